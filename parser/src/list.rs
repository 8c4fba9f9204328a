//! Headers that are lists: their values across lines and commas (RFC 3261 §7.3.1).

use crate::error::{ErrorKind, ParseError, Parsed};
use crate::header::name::Name;
use crate::header::name_addr::Reading;
use crate::index::Line;
use crate::octets;

/// Reads one value at the start of what is left of a line.
pub(crate) type ReadOne<'a, T> = fn(&'a [u8], Reading) -> Parsed<'a, T>;

/// The typed values of a header, across its lines and commas. After the first fault it ends.
#[derive(Debug, Clone)]
pub struct List<'m, 'a, T> {
    octets: &'a [u8],
    lines: core::slice::Iter<'m, Line>,
    name: Name,
    /// What is left of the line; `None` between lines.
    rest: Option<&'a [u8]>,
    reading: Reading,
    read: ReadOne<'a, T>,
}

impl<'m, 'a, T> List<'m, 'a, T> {
    /// The values of those of `lines` that are called `name`.
    pub(crate) const fn new(
        octets: &'a [u8],
        lines: core::slice::Iter<'m, Line>,
        name: Name,
        reading: Reading,
        read: ReadOne<'a, T>,
    ) -> Self {
        Self { octets, lines, name, rest: None, reading, read }
    }
}

impl<T> Iterator for List<'_, '_, T> {
    type Item = Result<T, ParseError>;

    fn next(&mut self) -> Option<Result<T, ParseError>> {
        let input = match self.rest {
            Some(rest) => rest,
            None => loop {
                let line = self.lines.find(|line| line.name == self.name)?;
                // An empty line of a list adds nothing to it.
                if line.value != line.value_end {
                    break line.value_in(self.octets);
                }
            },
        };
        let left = match (self.read)(input, self.reading) {
            Ok((rest, value)) => match octets::trim_start(rest).split_first() {
                None => {
                    self.rest = None;
                    return Some(Ok(value));
                }
                Some((b',', next)) => {
                    self.rest = Some(next);
                    return Some(Ok(value));
                }
                Some(_) => rest.len(),
            },
            Err(nom::Err::Error(fault) | nom::Err::Failure(fault)) => fault.left,
            Err(nom::Err::Incomplete(_)) => unreachable!("no streaming grammar is used"),
        };
        self.rest = None;
        self.lines = [].iter();
        let start = octets::offset_in(self.octets, input).expect("values are parts of the message");
        Some(Err(ParseError::new(ErrorKind::Malformed(self.name), start + input.len() - left)))
    }
}

/// The values of a header, across its lines and commas. An empty element is an empty value.
#[derive(Debug, Clone)]
pub struct Values<'m, 'a> {
    octets: &'a [u8],
    lines: core::slice::Iter<'m, Line>,
    name: Name,
    rest: Option<&'a [u8]>,
}

impl<'m, 'a> Values<'m, 'a> {
    /// The values of those of `lines` that are called `name`.
    pub(crate) const fn new(octets: &'a [u8], lines: core::slice::Iter<'m, Line>, name: Name) -> Self {
        Self { octets, lines, name, rest: None }
    }
}

impl<'a> Iterator for Values<'_, 'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let input = match self.rest {
            Some(rest) => rest,
            None => self.lines.find(|line| line.name == self.name)?.value_in(self.octets),
        };
        let (value, rest) = split_value(input);
        self.rest = rest;
        Some(octets::trim(value))
    }
}

/// The octets before the first comma outside quotes and brackets, and those after it if there is one.
pub(crate) fn split_value(input: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut at = 0;
    while let Some(found) = memchr::memchr3(b',', b'"', b'<', &input[at..]) {
        at += found;
        at += match input[at] {
            b',' => return (&input[..at], Some(&input[at + 1..])),
            b'"' => match octets::quoted(&input[at..]) {
                Ok((_, string)) => string.len(),
                Err(_) => break,
            },
            _ => match memchr::memchr(b'>', &input[at..]) {
                Some(end) => end + 1,
                None => break,
            },
        };
    }
    (input, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, Message};

    #[test]
    fn commas_in_quotes_and_brackets_split_nothing() {
        assert_eq!(split_value(b"\"a,b\" <c,d>;e , f"), (&b"\"a,b\" <c,d>;e "[..], Some(&b" f"[..])));
        assert_eq!(split_value(b"\"open, f"), (&b"\"open, f"[..], None));
        assert_eq!(split_value(b"<open, f"), (&b"<open, f"[..], None));
        assert_eq!(split_value(b"a,"), (&b"a"[..], Some(&b""[..])));
    }

    #[test]
    fn a_list_goes_on_over_lines_and_ends_at_a_fault() {
        let bytes = b"SIP/2.0 200 OK\r\nRoute: <sip:a>, <sip:b>\r\nRoute:\r\nRoute: <sip:c>\r\nPath: <sip:a>, , <sip:b>\r\n\
                      Contact: <sip:a>,\r\n\r\n";
        let message = Message::parse(bytes, &Limits::default()).expect("good");

        let routes: Vec<_> = message.routes().map(|route| route.expect("good").uri_raw).collect();
        let path: Vec<_> = message.addresses(Name::Path).map(|addr| addr.is_ok()).collect();
        let contacts: Vec<_> = message.contacts().map(|contact| contact.is_ok()).collect();

        assert_eq!(routes, [b"sip:a", b"sip:b", b"sip:c"]);
        assert_eq!(path, [true, false]);
        assert_eq!(contacts, [true, false]);
        assert_eq!(message.values(Name::Path).collect::<Vec<_>>(), [&b"<sip:a>"[..], b"", b"<sip:b>"]);
    }
}
