//! What a dialled string asks of the edge itself: a log-in, a log-out, an emergency call.
//!
//! In comes the user part of a Request-URI, already unescaped (RFC 3261 §19.1.2).

use smallvec::SmallVec;

use crate::settings::{Codes, Emergency};

/// Longest extension that is looked for; no numbering plan has longer ones (E.164 has 15 digits).
const EXTENSION_LENGTH_MAX: usize = 64;

/// Longest string that may be an emergency number with a prefix, separators not counted.
const EMERGENCY_LENGTH_MAX: usize = 32;

/// What was dialled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Dialled<'a> {
    /// `LOGIN`, `LOGIN*extension`, `LOGIN*extension*PIN`.
    LogIn(Typed<'a>),
    /// `LOGOUT`, `LOGOUT*extension`, `LOGOUT*extension*PIN`.
    LogOut(Typed<'a>),
    /// `TOGGLE`, `TOGGLE*extension`, `TOGGLE*extension*PIN`.
    Toggle(Typed<'a>),
    /// `WHO`.
    Who,
    /// `PIN`, `PIN*extension`.
    ChangePin(Typed<'a>),
    /// A code, and something after it that it does not take.
    Malformed,
    /// Something else.
    NotACode,
}

/// What was dialled after a code.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Typed<'a> {
    /// The extension as dialled; never empty, at most 64 octets.
    pub extension: Option<&'a [u8]>,
    /// The PIN as dialled, which only an extension has before it; never empty.
    pub pin: Option<&'a [u8]>,
}

impl std::fmt::Debug for Typed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Where somebody dials digits in the wrong order, the extension may be the PIN.
        f.write_str(match self {
            Self { pin: Some(_), .. } => "(…, PIN)",
            Self { extension: Some(_), .. } => "(…)",
            Self { .. } => "()",
        })
    }
}

impl std::fmt::Debug for Dialled<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::LogIn(typed) => write!(f, "LogIn{typed:?}"),
            Self::LogOut(typed) => write!(f, "LogOut{typed:?}"),
            Self::Toggle(typed) => write!(f, "Toggle{typed:?}"),
            Self::Who => f.write_str("Who"),
            Self::ChangePin(typed) => write!(f, "ChangePin{typed:?}"),
            Self::Malformed => f.write_str("Malformed"),
            Self::NotACode => f.write_str("NotACode"),
        }
    }
}

/// Reads a dialled string. One `#` at the end, which many phones send along, is ignored. A code counts only
/// where a star follows it or nothing, so `*111001` is no log-in but somebody's number; where one code begins
/// with another (`*1`, `*1*2`), the longest that fits counts.
pub fn dialled<'a>(user: &'a [u8], codes: &Codes) -> Dialled<'a> {
    type Read = for<'a> fn(&'a [u8]) -> Dialled<'a>;

    let user = user.strip_suffix(b"#").unwrap_or(user);
    let known: [(&str, Read); 5] = [
        (&codes.login, |rest| typed(rest).map_or(Dialled::Malformed, Dialled::LogIn)),
        (&codes.logout, |rest| typed(rest).map_or(Dialled::Malformed, Dialled::LogOut)),
        (&codes.toggle, |rest| typed(rest).map_or(Dialled::Malformed, Dialled::Toggle)),
        (&codes.who, |rest| if rest.is_empty() { Dialled::Who } else { Dialled::Malformed }),
        // Old and new PIN in one string would be in the phone's list of calls.
        (&codes.pin, |rest| {
            typed(rest).filter(|typed| typed.pin.is_none()).map_or(Dialled::Malformed, Dialled::ChangePin)
        }),
    ];
    let fits = known.into_iter().filter_map(|(code, read)| Some((code.len(), after_code(user, code)?, read)));
    fits.max_by_key(|(length, ..)| *length).map_or(Dialled::NotACode, |(_, rest, read)| read(rest))
}

/// What follows the code: nothing, or a star and more.
fn after_code<'a>(user: &'a [u8], code: &str) -> Option<&'a [u8]> {
    let rest = user.strip_prefix(code.as_bytes()).filter(|_| !code.is_empty())?;
    matches!(rest.first(), None | Some(b'*')).then_some(rest)
}

/// Extension and PIN, each behind a star; `None`: parts that are empty, too long or too many.
fn typed(rest: &[u8]) -> Option<Typed<'_>> {
    let mut parts = rest.split(|octet| *octet == b'*').skip(1);
    let typed = Typed { extension: parts.next(), pin: parts.next() };
    let fits = parts.next().is_none()
        && typed.extension.is_none_or(|it| (1..=EXTENSION_LENGTH_MAX).contains(&it.len()))
        && typed.pin.is_none_or(|it| !it.is_empty());
    fits.then_some(typed)
}

/// The emergency number that was dialled, as the tenant writes it. Visual separators (RFC 3966 §5.1.1) and
/// blanks are skipped and one prefix for an outside line may stand before it; beyond that the whole string must
/// be the number, so no longer number is ever taken for one.
pub fn emergency<'a>(user: &[u8], emergency: &'a Emergency) -> Option<&'a str> {
    let is_separator = |octet: &u8| matches!(octet, b'-' | b'.' | b'(' | b')' | b' ');
    let mut digits = SmallVec::<[u8; EMERGENCY_LENGTH_MAX]>::new();
    for octet in user.strip_suffix(b"#").unwrap_or(user).iter().filter(|octet| !is_separator(octet)) {
        if digits.len() == EMERGENCY_LENGTH_MAX {
            return None;
        }
        digits.push(*octet);
    }
    let is_number = |number: &&str| {
        digits.strip_suffix(number.as_bytes()).is_some_and(|before| {
            before.is_empty() || emergency.prefixes.iter().any(|prefix| prefix.as_bytes() == before)
        })
    };
    let mut numbers = emergency.numbers.iter().map(|number| &**number).filter(|number| !number.is_empty());
    // `0112` may be a number of its own: what was dialled counts as it stands before it counts with a prefix.
    numbers.clone().find(|number| number.as_bytes() == &digits[..]).or_else(|| numbers.find(is_number))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn codes() -> Codes {
        Codes {
            login: "*11".into(),
            logout: "*12".into(),
            toggle: "*10".into(),
            who: "*13".into(),
            pin: "*15".into(),
        }
    }

    fn typed<'a>(extension: Option<&'a str>, pin: Option<&'a str>) -> Typed<'a> {
        Typed { extension: extension.map(str::as_bytes), pin: pin.map(str::as_bytes) }
    }

    fn log_in<'a>(extension: &'a str, pin: Option<&'a str>) -> Dialled<'a> {
        Dialled::LogIn(typed(Some(extension), pin))
    }

    #[test]
    fn log_in_is_code_extension_and_pin_with_stars_between() {
        assert_eq!(dialled(b"*11*1001*7738", &codes()), log_in("1001", Some("7738")));
        assert_eq!(dialled(b"*11*1001*7738#", &codes()), log_in("1001", Some("7738")));
        assert_eq!(dialled(b"*11*1001", &codes()), log_in("1001", None));
        assert_eq!(dialled(b"*11*1001#", &codes()), log_in("1001", None));
        assert_eq!(dialled(b"*11", &codes()), Dialled::LogIn(Typed::default()));
    }

    #[test]
    fn log_out_and_toggle_take_as_much_and_the_question_nothing() {
        assert_eq!(dialled(b"*12", &codes()), Dialled::LogOut(Typed::default()));
        assert_eq!(dialled(b"*12#", &codes()), Dialled::LogOut(Typed::default()));
        assert_eq!(dialled(b"*12*1001*7738", &codes()), Dialled::LogOut(typed(Some("1001"), Some("7738"))));
        assert_eq!(dialled(b"*10", &codes()), Dialled::Toggle(Typed::default()));
        assert_eq!(dialled(b"*10*1001", &codes()), Dialled::Toggle(typed(Some("1001"), None)));
        assert_eq!(dialled(b"*13", &codes()), Dialled::Who);
        assert_eq!(dialled(b"*15", &codes()), Dialled::ChangePin(Typed::default()));
        assert_eq!(dialled(b"*15*1001", &codes()), Dialled::ChangePin(typed(Some("1001"), None)));
        assert_eq!(dialled(b"*15*1001*7738", &codes()), Dialled::Malformed);
        assert_eq!(dialled(b"*13*1001", &codes()), Dialled::Malformed);
    }

    #[test]
    fn code_with_empty_parts_or_too_many_is_malformed() {
        let dialled_strings: [&[u8]; 6] =
            [b"*11*", b"*11**", b"*11**7738", b"*11*1001*", b"*11*1001*7738*", b"*12*1*2*3"];
        for user in dialled_strings {
            assert_eq!(dialled(user, &codes()), Dialled::Malformed, "{}", user.escape_ascii());
        }
        assert_eq!(dialled(&[b"*11*".as_slice(), &[b'1'; 65]].concat(), &codes()), Dialled::Malformed);
    }

    #[test]
    fn other_numbers_are_no_code() {
        for user in ["", "#", "1001", "11", "*1", "*14", "*111001*7738", "*121", "**11*1001*7738", " *11"] {
            assert_eq!(dialled(user.as_bytes(), &codes()), Dialled::NotACode, "{user}");
        }
        assert_eq!(dialled(b"*11*1*2", &Codes::default()), Dialled::NotACode);
        assert_eq!(dialled(b"", &Codes::default()), Dialled::NotACode);
    }

    #[test]
    fn longest_of_the_codes_that_fit_counts() {
        let codes = Codes { login: "*1".into(), logout: "*1*2".into(), who: "*1*2*3".into(), ..codes() };

        assert_eq!(dialled(b"*1*2", &codes), Dialled::LogOut(Typed::default()));
        assert_eq!(dialled(b"*1*2*3", &codes), Dialled::Who);
        assert_eq!(dialled(b"*1*1001*7738", &codes), log_in("1001", Some("7738")));

        let codes = Codes { login: "*1*2".into(), logout: "*1".into(), ..Codes::default() };

        assert_eq!(dialled(b"*1", &codes), Dialled::LogOut(Typed::default()));
        assert_eq!(dialled(b"*1*2*1001*7738", &codes), log_in("1001", Some("7738")));
    }

    #[test]
    fn nothing_dialled_shows_in_debug_output() {
        for user in ["*11*1001*7738", "*12*1001*7738", "*10*7738"] {
            let shown = format!("{:?}", dialled(user.as_bytes(), &codes()));

            assert!(!shown.contains("7738") && !shown.contains("55"), "{shown}");
        }
    }

    fn calls_emergency(user: &str) -> Option<&'static str> {
        let settings = Emergency { numbers: vec!["112".into(), "911".into()], ..Emergency::default() };
        emergency(user.as_bytes(), &settings).map(|number| match number {
            "112" => "112",
            "911" => "911",
            other => panic!("{other} is not configured"),
        })
    }

    #[test]
    fn emergency_number_is_known_with_separators_and_an_outside_line() {
        for user in ["112", "1-1-2", "(112)", "1 1 2", "0112", "9112", "9-112", "0.1.1.2", "112#"] {
            assert_eq!(calls_emergency(user), Some("112"), "{user}");
        }
        assert_eq!(calls_emergency("9911"), Some("911"));
        assert_eq!(calls_emergency("911"), Some("911"));
    }

    #[test]
    fn other_numbers_are_no_emergency() {
        let numbers =
            ["", "1", "11", "1121", "1120", "00112", "09112", "8112", "+112", "*112", "9", "0", "-", "#"];
        for user in numbers.into_iter().chain(["5550112", "01129110", "911112", "112911"]) {
            assert_eq!(calls_emergency(user), None, "{user}");
        }
        assert_eq!(calls_emergency(&format!("{}112", "0".repeat(40))), None);
        assert_eq!(calls_emergency(&format!("1{}12", "-".repeat(4_000))), Some("112"));
    }

    proptest! {
        #[test]
        fn any_octets_are_read_without_panic(user in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = dialled(&user, &codes());
            let _ = emergency(&user, &Emergency { numbers: vec!["112".into()], ..Emergency::default() });
        }

        #[test]
        fn what_a_person_dials_is_read_back(extension in "[0-9]{1,15}", pin in "[0-9]{1,12}", hash in "#?") {
            let user = format!("*11*{extension}*{pin}{hash}");

            prop_assert_eq!(dialled(user.as_bytes(), &codes()), log_in(&extension, Some(&pin)));
        }
    }
}
