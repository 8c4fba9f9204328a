//! A message with gaps: what is the same for every phone is written once, the rest for each message.

/// A text in pieces.
#[derive(Clone, Debug)]
pub(super) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Gap(Gap),
}

/// What differs from message to message. In a template's text it stands in braces: `{user}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gap {
    /// The SIP user of the account.
    User,
    /// The domain of the account, which is the domain of the request.
    Domain,
    /// The phone's address and port.
    Source,
    /// The phone's address.
    Host,
    /// The branch of our Via.
    Branch,
    /// The Call-ID.
    CallId,
    /// The number of CSeq.
    Cseq,
    /// The tag of From.
    Tag,
    /// The phone's number, 12 hexadecimal digits, the end of its instance.
    Instance,
    /// For how many seconds a contact is bound.
    Expires,
    /// Authorization or Proxy-Authorization with its CRLF; nothing without proof.
    Credentials,
    /// The number of a call, so that each has a Call-ID of its own.
    Call,
    /// Who is called, or what is dialled.
    Callee,
    /// A session description, with the headers it needs.
    Session,
    /// The Request-URI within a dialog.
    Target,
    /// The lines Route with their CRLFs.
    Routes,
    /// From as it stands in a dialog.
    From,
    /// To as it stands in a dialog.
    To,
}

const GAPS: [(&str, Gap); 18] = [
    ("user", Gap::User),
    ("domain", Gap::Domain),
    ("source", Gap::Source),
    ("host", Gap::Host),
    ("branch", Gap::Branch),
    ("call_id", Gap::CallId),
    ("cseq", Gap::Cseq),
    ("tag", Gap::Tag),
    ("instance", Gap::Instance),
    ("expires", Gap::Expires),
    ("credentials", Gap::Credentials),
    ("call", Gap::Call),
    ("callee", Gap::Callee),
    ("session", Gap::Session),
    ("target", Gap::Target),
    ("routes", Gap::Routes),
    ("from", Gap::From),
    ("to", Gap::To),
];

impl Template {
    /// Reads a text with gaps in braces.
    ///
    /// # Panics
    /// If something else stands in braces: templates are part of the program.
    pub(super) fn new(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').expect("a brace is closed");
            let known = GAPS.iter().find(|(known, _)| *known == name);
            let (_, gap) = known.expect("what stands in braces is a gap");
            pieces.push(Piece::Text(before.into()));
            pieces.push(Piece::Gap(*gap));
            rest = after;
        }
        pieces.push(Piece::Text(rest.into()));
        pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
        Self { pieces }
    }

    /// Writes the message to the end of `out`; `fill` writes what stands in a gap.
    pub(super) fn write(&self, out: &mut Vec<u8>, mut fill: impl FnMut(Gap, &mut Vec<u8>)) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Gap(gap) => fill(*gap, out),
            }
        }
    }
}

/// Writes `number` in `digits` hexadecimal digits.
pub(super) fn write_hex(out: &mut Vec<u8>, number: u64, digits: u32) {
    for digit in (0..digits).rev() {
        out.push(HEX[(number >> (4 * digit)) as usize & 15]);
    }
}

/// Writes a number in decimal.
pub(super) fn write_decimal(out: &mut Vec<u8>, mut number: u32) {
    let mut digits = [0; 10];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[first..]);
}

/// Reads so many hexadecimal digits from the beginning of `text`.
pub(super) fn read_hex(text: &[u8], digits: usize) -> Option<u32> {
    let digits = str::from_utf8(text.get(..digits)?).ok()?;
    u32::from_str_radix(digits, 16).ok()
}

/// Hexadecimal digits.
pub(super) const HEX: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_filled_and_the_rest_is_copied() {
        let template = Template::new("{user}@{domain}: {cseq}{credentials}.");
        let mut out = b"> ".to_vec();

        template.write(&mut out, |gap, out| match gap {
            Gap::User => out.extend_from_slice(b"1001"),
            Gap::Domain => out.extend_from_slice(b"demo.hotdesk"),
            Gap::Cseq => write_decimal(out, 70),
            _ => {}
        });

        assert_eq!(str::from_utf8(&out), Ok("> 1001@demo.hotdesk: 70."));
    }

    #[test]
    fn numbers_are_written_and_read() {
        let decimal = |number| {
            let mut out = Vec::new();
            write_decimal(&mut out, number);
            String::from_utf8(out).unwrap()
        };
        assert_eq!([0, 9, 10, u32::MAX].map(decimal), ["0", "9", "10", "4294967295"]);
        let mut out = Vec::new();
        write_hex(&mut out, 0xbeef, 6);
        assert_eq!(out, b"00beef");
        assert_eq!(read_hex(b"00beefx", 6), Some(0xbeef));
        assert_eq!(read_hex(b"00be", 6), None);
        assert_eq!(read_hex(b"00beeg", 6), None);
    }
}
