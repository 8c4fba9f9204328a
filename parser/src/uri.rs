//! SIP, SIPS and tel URIs (RFC 3261 §19.1, RFC 3966); any other scheme is kept whole.

use std::borrow::Cow;

use crate::error::{ErrorKind, ParseError};
use crate::host::{Host, host_port};
use crate::octets::{self, URI, USER, USERINFO};
use crate::params::{Params, are_uri_params};

/// The scheme of a URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme<'a> {
    /// `sip:`
    Sip,
    /// `sips:`
    Sips,
    /// `tel:` (RFC 3966)
    Tel,
    /// `urn:` (RFC 8141; emergency services are `urn:service:sos`, RFC 5031)
    Urn,
    /// Any other scheme, as written.
    Other(&'a [u8]),
}

/// A URI taken apart. Nothing is copied or unescaped.
#[derive(Debug, Clone, Copy)]
pub struct Uri<'a> {
    /// The scheme.
    pub scheme: Scheme<'a>,
    /// What stands before `@`, without the password; the number of a `tel:` URI. Escapes are kept.
    pub user: Option<&'a [u8]>,
    /// What stands behind a colon in the user part.
    pub password: Option<&'a [u8]>,
    /// The host; the empty name where the scheme has none.
    pub host: Host<'a>,
    /// The port, if one is written.
    pub port: Option<u16>,
    /// Parameters, of `sip:`, `sips:` and `tel:`.
    pub params: Params<'a>,
    /// What stands behind `?`, without it; empty if nothing does.
    pub headers: &'a [u8],
    /// The whole URI.
    pub raw: &'a [u8],
}

/// Two URIs with more parameters or headers than this are equal only if they are written alike; comparing
/// each with each would let a peer buy much work with few octets.
const COMPARED_MAX: usize = 32;

/// Parameters that make two URIs differ if only one of them has it (§19.1.4).
const TELLING: [&str; 5] = ["user", "ttl", "method", "maddr", "transport"];

impl<'a> Uri<'a> {
    /// Reads a URI that is all of `raw`: no brackets, no white space.
    ///
    /// # Errors
    /// [`ErrorKind::Uri`], where the grammar fails.
    pub fn parse(raw: &'a [u8]) -> Result<Self, ParseError> {
        let Some((scheme, opaque)) = split_scheme(raw) else { return Err(fault_in(raw, raw.len())) };
        match scheme {
            Scheme::Sip | Scheme::Sips => Self::sip(scheme, opaque, raw),
            Scheme::Tel => Self::tel(opaque, raw),
            Scheme::Urn | Scheme::Other(_) if octets::all(opaque, URI) => Ok(Self::whole(scheme, raw)),
            Scheme::Urn | Scheme::Other(_) => Err(fault_in(raw, opaque.len())),
        }
    }

    /// `[ userinfo ] hostport uri-parameters [ headers ]`
    #[inline]
    fn sip(scheme: Scheme<'a>, opaque: &'a [u8], raw: &'a [u8]) -> Result<Self, ParseError> {
        let (user, password, rest) = split_userinfo(opaque);
        if user.is_some_and(<[u8]>::is_empty) {
            return Err(fault_in(raw, opaque.len()));
        }
        let (rest, (host, port)) = match host_port(rest, false) {
            Ok(read) => read,
            Err(nom::Err::Error(fault) | nom::Err::Failure(fault)) => return Err(fault_in(raw, fault.left)),
            Err(nom::Err::Incomplete(_)) => unreachable!("no streaming grammar is used"),
        };
        let (mut params, mut headers) = (rest, &b""[..]);
        if !rest.is_empty() {
            if let Some(mark) = memchr::memchr(b'?', rest) {
                (params, headers) = (&rest[..mark], &rest[mark + 1..]);
            }
            if !matches!(params, [] | [b';', ..]) || !are_uri_params(params) || !are_uri_params(headers) {
                return Err(fault_in(raw, rest.len()));
            }
        }
        Ok(Uri { scheme, user, password, host, port, params: Params::new(params), headers, raw })
    }

    fn tel(opaque: &'a [u8], raw: &'a [u8]) -> Result<Self, ParseError> {
        let (number, params) = opaque.split_at(memchr::memchr(b';', opaque).unwrap_or(opaque.len()));
        if !octets::all(number, USERINFO) || !are_uri_params(params) {
            return Err(fault_in(raw, opaque.len()));
        }
        Ok(Uri { user: Some(number), params: Params::new(params), ..Self::whole(Scheme::Tel, raw) })
    }

    /// A URI of which no part is told from the others.
    const fn whole(scheme: Scheme<'a>, raw: &'a [u8]) -> Self {
        Uri {
            scheme,
            user: None,
            password: None,
            host: Host::Name(b""),
            port: None,
            params: Params::new(b""),
            headers: b"",
            raw,
        }
    }

    /// What stands behind the scheme and its colon.
    #[must_use]
    pub fn opaque(&self) -> &'a [u8] {
        let scheme = match self.scheme {
            Scheme::Sip | Scheme::Tel | Scheme::Urn => 3,
            Scheme::Sips => 4,
            Scheme::Other(name) => name.len(),
        };
        &self.raw[scheme + 1..]
    }

    /// Whether it is a `sip:` or `sips:` URI.
    #[must_use]
    pub const fn is_sip(&self) -> bool {
        matches!(self.scheme, Scheme::Sip | Scheme::Sips)
    }

    /// The user part with its `%` escapes decoded; empty if there is none. Copies only if there are escapes.
    /// What looks like an escape and is none stays as it is. May hold any octet, NUL included.
    #[must_use]
    pub fn user_unescaped(&self) -> Cow<'a, [u8]> {
        let user = self.user.unwrap_or_default();
        if octets::find_any(user, [b'%']).is_none() {
            return Cow::Borrowed(user);
        }
        Cow::Owned(unescape(user).collect())
    }

    /// Whether both mean the same by the rules of §19.1.4, with which a registrar compares contacts.
    ///
    /// `tel:` numbers are compared without their visual separators (RFC 3966 §4), other schemes octet for octet.
    #[must_use]
    pub fn matches(&self, other: &Uri<'_>) -> bool {
        if self.raw == other.raw {
            return true;
        }
        match (self.scheme, other.scheme) {
            (Scheme::Sip, Scheme::Sip) | (Scheme::Sips, Scheme::Sips) => {
                self.port == other.port
                    && self.host == other.host
                    && same(self.user, other.user)
                    && same(self.password, other.password)
                    && same_params(self.params, other.params)
                    && same_headers(self.headers, other.headers)
            }
            (Scheme::Tel, Scheme::Tel) => {
                let digits = |uri: &Uri<'_>| -> Vec<u8> {
                    let number = uri.user.unwrap_or_default();
                    number
                        .iter()
                        .filter(|octet| !b"-.()".contains(octet))
                        .map(u8::to_ascii_lowercase)
                        .collect()
                };
                digits(self) == digits(other) && same_params(self.params, other.params)
            }
            (Scheme::Urn, Scheme::Urn) => self.opaque().eq_ignore_ascii_case(other.opaque()),
            (Scheme::Other(a), Scheme::Other(b)) => {
                a.eq_ignore_ascii_case(b) && self.opaque() == other.opaque()
            }
            _ => false,
        }
    }
}

/// The grammar fails `left` octets before the end of `raw`.
fn fault_in(raw: &[u8], left: usize) -> ParseError {
    ParseError::new(ErrorKind::Uri, raw.len() - left)
}

/// User and password, if there are, and what is behind their `@`.
#[inline]
fn split_userinfo(opaque: &[u8]) -> (Option<&[u8]>, Option<&[u8]>, &[u8]) {
    let none = (None, None, opaque);
    let Some(at) = octets::find_any(opaque, [b'@']) else { return none };
    let (userinfo, rest) = (&opaque[..at], &opaque[at + 1..]);
    if octets::all(userinfo, USER) {
        return (Some(userinfo), None, rest);
    }
    let user = octets::span(userinfo, USER);
    match userinfo[user..].split_first() {
        None => (Some(userinfo), None, rest),
        Some((b':', password)) if octets::span(password, USERINFO) == password.len() => {
            (Some(&userinfo[..user]), Some(password), rest)
        }
        // What cannot stand in front of it: the `@` is somewhere behind the host.
        Some(_) => none,
    }
}

/// The scheme, and what is behind its colon: `ALPHA *( ALPHA / DIGIT / "+" / "-" / "." ) ":"`.
#[inline]
fn split_scheme(raw: &[u8]) -> Option<(Scheme<'_>, &[u8])> {
    match raw {
        [b's' | b'S', b'i' | b'I', b'p' | b'P', b':', opaque @ ..] => Some((Scheme::Sip, opaque)),
        _ => split_other_scheme(raw),
    }
}

/// The same where it is not `sip:`, or not a URI.
#[inline(never)]
fn split_other_scheme(raw: &[u8]) -> Option<(Scheme<'_>, &[u8])> {
    let colon = memchr::memchr(b':', raw)?;
    let name = &raw[..colon];
    let well_formed = name.first()?.is_ascii_alphabetic()
        && name.iter().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'-' | b'.'));
    let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
    let scheme = match name.len() {
        4 if is(b"sips") => Scheme::Sips,
        3 if is(b"tel") => Scheme::Tel,
        3 if is(b"urn") => Scheme::Urn,
        _ => Scheme::Other(name),
    };
    well_formed.then_some((scheme, &raw[colon + 1..]))
}

/// Octets of a part of a URI with their `%` escapes decoded. What looks like an escape and is none stays as it is.
pub fn unescape(text: &[u8]) -> impl Iterator<Item = u8> + '_ {
    let mut rest = text;
    core::iter::from_fn(move || {
        let (&first, after) = rest.split_first()?;
        rest = after;
        if first == b'%'
            && let [high, low, after @ ..] = after
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            rest = after;
            return Some(high << 4 | low);
        }
        Some(first)
    })
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|value| value as u8)
}

fn same(a: Option<&[u8]>, b: Option<&[u8]>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a == b || unescape(a).eq(unescape(b)),
        (a, b) => a.is_none() && b.is_none(),
    }
}

fn same_in_any_case(a: &[u8], b: &[u8]) -> bool {
    a == b
        || unescape(a)
            .map(|octet| octet.to_ascii_lowercase())
            .eq(unescape(b).map(|octet| octet.to_ascii_lowercase()))
}

fn same_params(a: Params<'_>, b: Params<'_>) -> bool {
    if a.raw() == b.raw() {
        return true;
    }
    let too_many = |params: Params<'_>| params.iter().nth(COMPARED_MAX).is_some();
    if too_many(a) || too_many(b) {
        return false;
    }
    let agrees = |mine: Params<'_>, theirs: Params<'_>| {
        mine.iter().all(|(name, value)| {
            match theirs.iter().find(|(other, _)| same_in_any_case(name, other)) {
                Some((_, other)) => same_in_any_case(value.unwrap_or_default(), other.unwrap_or_default()),
                None => !TELLING.iter().any(|telling| same_in_any_case(name, telling.as_bytes())),
            }
        })
    };
    agrees(a, b) && agrees(b, a)
}

/// Headers are a set; none is optional.
fn same_headers(a: &[u8], b: &[u8]) -> bool {
    if a == b {
        return true;
    }
    let count = |headers: &[u8]| headers.split(|&octet| octet == b'&').take(COMPARED_MAX + 1).count();
    if count(a) != count(b) || count(a) > COMPARED_MAX {
        return false;
    }
    let has = |headers: &[u8], wanted: &[u8]| {
        headers.split(|&octet| octet == b'&').any(|header| same_in_any_case(header, wanted))
    };
    a.split(|&octet| octet == b'&').all(|header| has(b, header))
        && b.split(|&octet| octet == b'&').all(|header| has(a, header))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(raw: &str) -> Uri<'_> {
        Uri::parse(raw.as_bytes()).expect("the URI is good")
    }

    fn bad(raw: &str) -> bool {
        Uri::parse(raw.as_bytes()).is_err()
    }

    #[test]
    fn a_sip_uri_has_its_parts() {
        let uri = uri("sip:alice;day=tuesday:secret@atlanta.example.com:5070;lr;transport=tcp?subject=a&x=y");

        assert_eq!(uri.scheme, Scheme::Sip);
        assert_eq!(uri.user, Some(&b"alice;day=tuesday"[..]));
        assert_eq!(uri.password, Some(&b"secret"[..]));
        assert_eq!(uri.host.raw(), b"atlanta.example.com");
        assert_eq!(uri.port, Some(5070));
        assert_eq!(uri.params.get("transport"), Some(Some(&b"tcp"[..])));
        assert_eq!(uri.headers, b"subject=a&x=y");
    }

    #[test]
    fn what_phones_dial_is_a_user() {
        assert_eq!(uri("sip:*11*1001*7738#@demo.hotdesk").user, Some(&b"*11*1001*7738#"[..]));
        assert_eq!(uri("sip:*11*1001%23@demo.hotdesk").user_unescaped().as_ref(), b"*11*1001#");
        assert_eq!(uri("sip:null-%00-null@example.com").user_unescaped().as_ref(), b"null-\0-null");
        assert_eq!(uri("sip:100%@example.com").user_unescaped().as_ref(), b"100%");
        assert_eq!(uri("sip:%zz@example.com").user_unescaped().as_ref(), b"%zz");
    }

    #[test]
    fn other_schemes_keep_their_opaque_part() {
        let tel = uri("tel:+1-212-555-0100;phone-context=example.com");
        assert_eq!(tel.user, Some(&b"+1-212-555-0100"[..]));
        assert_eq!(tel.params.get("phone-context"), Some(Some(&b"example.com"[..])));
        assert_eq!(uri("urn:service:sos").opaque(), b"service:sos");
        assert_eq!(uri("soap.beep://192.0.2.103:3002").scheme, Scheme::Other(b"soap.beep"));
        assert_eq!(uri("SIPS:a@b").scheme, Scheme::Sips);
    }

    #[test]
    fn what_is_no_uri_is_refused() {
        for raw in [
            "",
            "sip",
            ":",
            "sip:",
            "sip:@b",
            "sip::p@b",
            "sip:a@",
            "sip:a@b:",
            "sip:a@b:99999",
            "sip:a@b c",
            "sip:a b@c",
            "sip:a@b@c",
            "sip:2001:db8::10",
            "sip:a@[::1",
            "sip:a@b/c",
            "1sip:a@b",
            "tel:",
            "urn:",
            "<sip:a@b>",
            "sip:a@b;x=<y>",
        ] {
            assert!(bad(raw), "{raw}");
        }
    }

    #[test]
    fn equality_is_that_of_section_19_1_4() {
        // The examples of the section.
        let same = [
            ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
            (
                "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
                "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
            ),
            (
                "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
                "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
            ),
            ("tel:+1-212-555", "tel:+1(212)555"),
        ];
        let different = [
            ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
            ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
            ("sip:a@b", "sips:a@b"),
        ];

        for (a, b) in same {
            assert!(uri(a).matches(&uri(b)) && uri(b).matches(&uri(a)), "{a} {b}");
        }
        for (a, b) in different {
            assert!(!uri(a).matches(&uri(b)) && !uri(b).matches(&uri(a)), "{a} {b}");
        }
    }
}
