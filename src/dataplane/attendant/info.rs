//! Keys that come as SIP INFO (RFC 6086 calls it legacy use; brands differ, phones.md §10): bodies of type
//! `application/dtmf-relay`, which say `Signal=5`, and `application/dtmf`, which are the key alone.

/// What an INFO says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Info {
    /// This key was pressed: `0`–`9`, `*`, `#`, `A`–`D`.
    Key(u8),
    /// Nothing of use: no body, a hook flash, a key held on.
    Nothing,
    /// A body of a type that tells of keys, and no key in it.
    Unreadable,
    /// A body of another type.
    Foreign,
}

/// Reads an INFO. A type counts without its parameters and in any case (RFC 3261 §20.15).
pub(super) fn read(content_type: Option<&[u8]>, body: &[u8]) -> Info {
    if body.trim_ascii().is_empty() {
        return Info::Nothing;
    }
    let kind = content_type.unwrap_or_default().split(|byte| *byte == b';').next().unwrap_or_default();
    let is = |name: &str| kind.trim_ascii().eq_ignore_ascii_case(name.as_bytes());
    let signal = if is("application/dtmf-relay") {
        relay(body)
    } else if is("application/dtmf") {
        Some(body)
    } else if is("application/hook-flash") {
        return Info::Nothing;
    } else {
        return Info::Foreign;
    };
    signal.map_or(Info::Unreadable, |signal| key(signal.trim_ascii()))
}

/// The value of the `Signal` line, whatever stands around it.
fn relay(body: &[u8]) -> Option<&[u8]> {
    body.split(|byte| matches!(*byte, b'\r' | b'\n')).find_map(|line| {
        let at = line.iter().position(|byte| *byte == b'=')?;
        let (name, value) = line.split_at(at);
        name.trim_ascii().eq_ignore_ascii_case(b"signal").then_some(&value[1..])
    })
}

/// A key by its name or by its number of RFC 4733 §3.2.
fn key(signal: &[u8]) -> Info {
    match signal {
        [key @ (b'0'..=b'9' | b'*' | b'#')] => Info::Key(*key),
        [key] if matches!(key.to_ascii_uppercase(), b'A'..=b'D') => Info::Key(key.to_ascii_uppercase()),
        b"10" => Info::Key(b'*'),
        b"11" => Info::Key(b'#'),
        [b'1', digit @ b'2'..=b'5'] => Info::Key(digit - b'2' + b'A'),
        b"16" | b"!" => Info::Nothing,
        _ => Info::Unreadable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relayed(body: &str) -> Info {
        read(Some(b"application/dtmf-relay"), body.as_bytes())
    }

    #[test]
    fn every_spelling_of_the_field_is_a_key() {
        for (body, key) in [
            ("Signal=5\r\nDuration=160\r\n", b'5'),
            ("Signal=5\r\n", b'5'),
            ("Signal=5", b'5'),
            ("signal = 5\nduration = 100", b'5'),
            ("Duration=160\r\nSignal= #\r\n", b'#'),
            ("Signal=10\r\n", b'*'),
            ("Signal=11\r\n", b'#'),
            ("Signal=a\r\n", b'A'),
            ("Signal=15\r\n", b'D'),
        ] {
            assert_eq!(relayed(body), Info::Key(key), "{body:?}");
        }
        assert_eq!(read(Some(b"application/dtmf"), b"5"), Info::Key(b'5'));
        assert_eq!(read(Some(b"Application/DTMF;charset=x"), b" 11\r\n"), Info::Key(b'#'));
    }

    #[test]
    fn what_is_no_key_is_told_from_what_is_no_use() {
        for body in ["Signal=\r\n", "Signal=99\r\n", "Signal=55", "Duration=1\r\n", "5"] {
            assert_eq!(relayed(body), Info::Unreadable, "{body:?}");
        }
        assert_eq!(relayed(""), Info::Nothing);
        assert_eq!(relayed("Signal=!\r\n"), Info::Nothing);
        assert_eq!(read(Some(b"application/hook-flash"), b"x"), Info::Nothing);
        assert_eq!(read(Some(b"application/media_control+xml"), b"<x/>"), Info::Foreign);
        assert_eq!(read(None, b"5"), Info::Foreign);
        assert_eq!(read(None, b""), Info::Nothing);
    }
}
