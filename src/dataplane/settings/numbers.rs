//! Numbers that are dialled, and patterns of them.

/// Longest number that is routed: E.164 has 15 digits, and a prefix for an outside line or a carrier may stand before.
const NUMBER_LENGTH_MAX: usize = 32;
/// Longest pattern: as long as the longest name of an extension.
const PATTERN_LENGTH_MAX: usize = 64;

/// Which numbers: `1000` is that one, `x` is any digit, and `.` at the end is one digit or more, so that `2xx` is 200
/// to 299 and `00.` all that begins with 00.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Box<str>);

impl Pattern {
    /// `None`: it has characters that are in no number, code or name, none at all, or too many.
    pub fn new(text: &str) -> Option<Self> {
        let is_possible = |c: char| c.is_ascii_alphanumeric() || "-_.~+*#".contains(c);
        let fits = (1..=PATTERN_LENGTH_MAX).contains(&text.len()) && text.chars().all(is_possible);
        fits.then(|| Self(text.into()))
    }

    /// True if `user`, an unescaped user part, is one of its numbers; visual separators do not count.
    pub fn fits(&self, user: &[u8]) -> bool {
        let pattern = self.0.as_bytes();
        if user == pattern {
            return true;
        }
        let Some(number) = number(user) else { return false };
        let (pattern, goes_on) = match pattern.strip_suffix(b".") {
            Some(pattern) => (pattern, true),
            None => (pattern, false),
        };
        let long_enough = if goes_on { number.len() > pattern.len() } else { number.len() == pattern.len() };
        let alike =
            |(pattern, digit): (&u8, u8)| *pattern == digit || (*pattern == b'x' && digit.is_ascii_digit());
        long_enough && pattern.iter().zip(number.bytes()).all(alike)
    }

    /// True if it fits numbers. If not, it can only be the name of an extension.
    pub fn is_of_numbers(&self) -> bool {
        let goes_on = self.0.strip_suffix('.').map(|beginning| format!("{beginning}x"));
        let least = goes_on.as_deref().unwrap_or(&self.0).replace('x', "0");
        number(least.as_bytes()).as_deref() == Some(&*least)
    }
}

/// The number that `user`, an unescaped user part, is: digits, with a `+` in front or without. Visual separators (RFC
/// 3966 §5.1.1), blanks and the `#` that ends dialling are taken off. `None`: it is no number.
pub fn number(user: &[u8]) -> Option<String> {
    let mut number = String::with_capacity(user.len().min(NUMBER_LENGTH_MAX));
    for octet in user.strip_suffix(b"#").unwrap_or(user) {
        match octet {
            b'-' | b'.' | b'(' | b')' | b' ' => {}
            b'+' if number.is_empty() => number.push('+'),
            b'0'..=b'9' if number.len() < NUMBER_LENGTH_MAX => number.push(char::from(*octet)),
            _ => return None,
        }
    }
    number.ends_with(|c: char| c.is_ascii_digit()).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pattern_is_a_number_or_its_beginning_with_any_digits() {
        let fits = |pattern: &str, user: &str| Pattern::new(pattern).unwrap().fits(user.as_bytes());

        for (pattern, user) in [
            ("1000", "1000"),
            ("2xx", "200"),
            ("00.", "0049301234"),
            ("+49.", "+49 (30) 12-34"),
            ("reception", "reception"),
            ("*98", "*98"),
            ("x.", "10"),
        ] {
            assert!(fits(pattern, user), "{pattern} {user}");
        }
        for (pattern, user) in [
            ("1000", "10001"),
            ("1000", "100"),
            ("2xx", "2000"),
            ("2xx", "2*1"),
            ("00.", "00"),
            ("00.", "0+1"),
            ("reception", "Reception"),
            ("+49.", "0049301234"),
        ] {
            assert!(!fits(pattern, user), "{pattern} {user}");
        }
    }

    #[test]
    fn pattern_that_no_number_fits_is_known() {
        for (pattern, fits) in [
            ("1000", true),
            ("2xx", true),
            ("+49.", true),
            (".", true),
            ("2XX", false),
            ("_1XX.", false),
            ("1.2", false),
            ("2-00", false),
            ("+", false),
            ("*98", false),
            ("reception", false),
        ] {
            assert_eq!(Pattern::new(pattern).unwrap().is_of_numbers(), fits, "{pattern}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in ["", "1;2", "2…", "a b", "sip:1", &"1".repeat(65)] {
            assert_eq!(Pattern::new(text), None, "{text}");
        }
    }

    #[test]
    fn number_has_digits_alone_and_an_end() {
        assert_eq!(number(b"+1 (212) 555-1001").as_deref(), Some("+12125551001"));
        assert_eq!(number(b"00.49.30#").as_deref(), Some("004930"));
        for user in ["", "+", "#", "1;phone-context=x", "*72", "1+2", "++1", "desk-1", "1#2", &"1".repeat(33)]
        {
            assert_eq!(number(user.as_bytes()), None, "{user}");
        }
    }
}
