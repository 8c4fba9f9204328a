//! `name-addr` and `addr-spec` with header parameters: From, To, Contact, Route, identities (RFC 3261 §20.10).

use crate::error::{ErrorKind, ParseError, Parsed, fault};
use crate::grammar::whole;
use crate::header::name::Name;
use crate::octets::{self, LWS, TOKEN, URI};
use crate::params::{Params, params};
use crate::uri::Uri;

/// An address with its display name and the parameters of the header it stands in.
#[derive(Debug, Clone, Copy)]
pub struct NameAddr<'a> {
    /// The display name as written, with its quotes if it has them; `None` if there is none.
    pub display: Option<&'a [u8]>,
    /// The URI, without brackets.
    pub uri_raw: &'a [u8],
    /// The header parameters: what follows the brackets.
    pub params: Params<'a>,
    /// Display name and URI with its brackets, no header parameters: what a change of identity replaces.
    pub addr_raw: &'a [u8],
    /// The whole value.
    pub raw: &'a [u8],
    tag: Option<&'a [u8]>,
}

/// How a value ends and how literally it is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    /// A comma ends the value, and another may follow.
    pub(crate) list: bool,
    pub(crate) strict: bool,
}

impl<'a> NameAddr<'a> {
    /// Reads one value, liberally.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] of [`Name::Other`], where the grammar fails.
    pub fn parse(value: &'a [u8]) -> Result<Self, ParseError> {
        let reading = Reading { list: false, strict: false };
        whole(value, ErrorKind::Malformed(Name::Other), |input| Self::read(input, reading, |_, _| {}))
    }

    /// Reads a value and shows each header parameter to `visit`.
    #[inline]
    pub(crate) fn read(
        input: &'a [u8],
        reading: Reading,
        mut visit: impl FnMut(&'a [u8], Option<&'a [u8]>),
    ) -> Parsed<'a, Self> {
        let input = octets::trim_start(input);
        let (rest, (display, uri_raw)) = Self::address(input, reading)?;
        let addr_raw = &input[..input.len() - rest.len()];
        let mut tag = None;
        let (rest, params) = params(rest, |name, value| {
            if tag.is_none() && octets::is_word(name, b"tag") {
                tag = value;
            }
            visit(name, value);
        })?;
        let raw = &input[..input.len() - rest.len()];
        Ok((rest, NameAddr { display, uri_raw, params, addr_raw, raw, tag }))
    }

    /// The display name and the URI, with the brackets around it.
    fn address(input: &'a [u8], reading: Reading) -> Parsed<'a, (Option<&'a [u8]>, &'a [u8])> {
        let (bracket, display) = match input.first() {
            Some(b'"') => {
                let (rest, display) = octets::quoted(input)?;
                (octets::trim_start(rest), Some(display))
            }
            Some(b'<') => (input, None),
            _ => {
                // A display name without quotes, or a URI without brackets: a bracket before anything that
                // ends the latter tells.
                let ends =
                    |octet: &u8| matches!(octet, b'<' | b'"' | b';') || (reading.list && *octet == b',');
                let end = input.iter().position(ends).unwrap_or(input.len());
                if input.get(end) != Some(&b'<') {
                    return Self::bare_uri(input, reading);
                }
                let display = octets::trim_end(&input[..end]);
                // RFC 4475 §3.1.2.15: only tokens need no quotes.
                if reading.strict && !display.iter().all(|&octet| octets::is(octet, TOKEN | LWS)) {
                    return fault(input);
                }
                (&input[end..], Some(display))
            }
        };
        let Some(inside) = bracket.strip_prefix(b"<") else { return fault(bracket) };
        let Some(end) = octets::find_any(inside, [b'>']) else { return fault(bracket) };
        let uri = octets::trim(&inside[..end]);
        // RFC 4475 §3.1.2.14: no white space inside the brackets.
        if uri.is_empty() || (reading.strict && uri.len() != end) {
            return fault(inside);
        }
        Ok((&inside[end + 1..], (display, uri)))
    }

    /// `addr-spec` without brackets: a semicolon after it begins the header's parameters.
    fn bare_uri(input: &'a [u8], reading: Reading) -> Parsed<'a, (Option<&'a [u8]>, &'a [u8])> {
        let goes_on = |octet: &u8| !matches!(octet, b';' | b',') && octets::is(*octet, URI);
        let end = input.iter().position(|octet| !goes_on(octet)).unwrap_or(input.len());
        let uri = &input[..end];
        // §20.10: a URI that contains a question mark must stand in brackets (RFC 4475 §3.1.2.13).
        let marked = reading.strict && uri.contains(&b'?');
        if !uri.contains(&b':') || marked {
            return fault(input);
        }
        Ok((&input[end..], (None, uri)))
    }

    /// The URI taken apart.
    ///
    /// # Errors
    /// [`ErrorKind::Uri`], where its grammar fails, counted from the start of the URI.
    pub fn uri(&self) -> Result<Uri<'a>, ParseError> {
        Uri::parse(self.uri_raw)
    }

    /// The tag of a From or To.
    #[must_use]
    pub const fn tag(&self) -> Option<&'a [u8]> {
        self.tag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(value: &str) -> NameAddr<'_> {
        NameAddr::parse(value.as_bytes()).expect("the value is good")
    }

    fn read(value: &[u8], list: bool, strict: bool) -> Option<NameAddr<'_>> {
        NameAddr::read(value, Reading { list, strict }, |_, _| {}).ok().map(|(_, addr)| addr)
    }

    #[test]
    fn the_forms_of_an_address() {
        let quoted =
            addr("\"J Rosenberg \\\\\\\"\"       <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8");
        assert_eq!(quoted.display, Some(&b"\"J Rosenberg \\\\\\\"\""[..]));
        assert_eq!(quoted.uri_raw, b"sip:jdrosen@example.com");
        assert_eq!(quoted.tag(), Some(&b"98asjd8"[..]));
        assert!(quoted.addr_raw.ends_with(b".com>"));

        let tokens = addr("Bell, Alexander <sip:a.g.bell@example.com>;tag=43");
        assert_eq!(tokens.display, Some(&b"Bell, Alexander"[..]));

        let bare = addr("sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n");
        assert_eq!(bare.display, None);
        assert_eq!(bare.uri_raw, b"sip:vivekg@chair-dnrc.example.com");
        assert_eq!(bare.tag(), Some(&b"1918181833n"[..]));

        let joined = addr("caller<sip:caller@example.com>;tag=323");
        assert_eq!(joined.display, Some(&b"caller"[..]));

        let inside = addr("<sip:a@b;tag=not-mine>");
        assert_eq!(inside.tag(), None);
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for value in [
            "",
            "\"Mr. J. User <sip:j.user@example.com>",
            "<sip:a@b",
            "Bob",
            "\"Bob\" sip:a@b",
            "<>",
            "< >",
            "sip:a@b, sip:c@d",
            "<sip:a@b>;;",
            "<sip:a@b> x",
            "<sip:a@b>;tag=\"x",
        ] {
            assert!(NameAddr::parse(value.as_bytes()).is_err(), "{value}");
        }
    }

    #[test]
    fn strict_reading_wants_the_letter() {
        for value in ["Bell, A <sip:a@b>", "< sip:a@b >", "sip:a@b?Route=%3Csip:c%3E"] {
            assert!(read(value.as_bytes(), false, false).is_some(), "{value}");
            assert!(read(value.as_bytes(), false, true).is_none(), "{value}");
        }
        assert!(read(b"token1~` token2'+_ token3*%!.- <sip:a@b>", false, true).is_some());
    }

    #[test]
    fn a_list_ends_at_its_comma() {
        let reading = Reading { list: true, strict: false };

        let (rest, first) = NameAddr::read(b"<sip:a,b@c>;x=1 , <sip:d@e>", reading, |_, _| {}).expect("good");

        assert_eq!(first.uri_raw, b"sip:a,b@c");
        assert_eq!(rest, b" , <sip:d@e>");
    }
}
