//! The header lines of a head that has not been read: for who wants to know what a message is about before it is worth reading.

use crate::octets;
use crate::scan::{Break, Breaks};

/// The lines behind the start line in their order, each with the lines it is folded over and its CRLF (RFC 3261 §7.3.1), up to the
/// empty line. Nothing is proved of them but that each ends in CRLF and holds no bare CR or LF: of a
/// message that [`Message::parse`](crate::Message::parse) takes they are its fields.
///
/// ```
/// let mut lines = sip::HeaderLines::of(b"BYE sip:a@b SIP/2.0\r\nTo: <sip:a@b>\r\n ;tag=1\r\nt: x\r\n\r\nTo: y\r\n");
/// assert_eq!(lines.next(), Some(&b"To: <sip:a@b>\r\n ;tag=1\r\n"[..]));
/// assert_eq!(lines.next(), Some(&b"t: x\r\n"[..]));
/// assert_eq!(lines.next(), None);
/// ```
pub struct HeaderLines<'a> {
    octets: &'a [u8],
    breaks: Breaks<'a>,
    /// Where the next one begins; `None`: there is none.
    start: Option<usize>,
}

impl<'a> HeaderLines<'a> {
    /// Those of the message that `octets` begin with.
    #[inline]
    pub fn of(octets: &'a [u8]) -> Self {
        let mut breaks = Breaks::new(octets, 0);
        let start = match breaks.next() {
            Some(Break::Line(next)) => Some(next),
            _ => None,
        };
        Self { octets, breaks, start }
    }
}

impl<'a> Iterator for HeaderLines<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let start = self.start.take()?;
        loop {
            let Some(Break::Line(end)) = self.breaks.next() else { return None };
            if end == start + 2 {
                return None;
            }
            if !self.octets.get(end).is_some_and(|&octet| octets::is_blank(octet)) {
                self.start = Some(end);
                return Some(&self.octets[start..end]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(octets: &str) -> Vec<&str> {
        HeaderLines::of(octets.as_bytes()).map(|line| core::str::from_utf8(line).unwrap()).collect()
    }

    #[test]
    fn lines_are_given_with_their_folds_up_to_the_empty_line() {
        for (octets, expected) in [
            ("x\r\na:\r\n\tb\r\n c\r\nd\r\n\r\ne\r\n", &["a:\r\n\tb\r\n c\r\n", "d\r\n"][..]),
            ("x\r\n\r\na\r\n", &[]),
            // A datagram may end before its head does.
            ("x\r\na\r\nb", &["a\r\n"]),
            ("x\r\na\r\n", &["a\r\n"]),
            ("x\r\na\r\n b", &[]),
            ("x\r\n", &[]),
            ("x", &[]),
            ("", &[]),
            // What no reader takes for a line end.
            ("x\r\na\r\nb\nc\r\n", &["a\r\n"]),
            ("x\na\r\n", &[]),
        ] {
            assert_eq!(lines(octets), expected, "{octets:?}");
        }
    }

    #[test]
    fn lines_are_found_wherever_they_lie_in_a_block() {
        for length in 0..200 {
            let line = format!("{}\r\n", "a".repeat(length + 1));
            let octets = format!("x\r\n{line}b\r\n{line}\r\n");

            assert_eq!(lines(&octets), [&line, "b\r\n", &line]);
        }
    }
}
