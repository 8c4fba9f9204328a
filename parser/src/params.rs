//! Parameters of headers and URIs: `;name`, `;name=value`.

use crate::error::{Parsed, fault};
use crate::octets::{self, TOKEN, VALUE};
use nom::Parser;

/// The parameters behind a URI or a header value, kept as written and split on demand.
///
/// Names are compared without regard to case. Values come as written: a quoted one keeps its quotes
/// ([`unquote`](crate::unquote) takes them off).
#[derive(Debug, Clone, Copy, Default)]
pub struct Params<'a> {
    raw: &'a [u8],
}

impl<'a> Params<'a> {
    pub(crate) const fn new(raw: &'a [u8]) -> Self {
        Self { raw }
    }

    /// The parameters as written, from the first semicolon on.
    #[must_use]
    pub const fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The first parameter of that name: `None` if there is none, `Some(None)` if it has no value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Option<&'a [u8]>> {
        self.iter().find(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }

    /// Whether there is a parameter of that name, with a value or without.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// All parameters in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        let mut rest = self.raw;
        core::iter::from_fn(move || {
            while !rest.is_empty() {
                let end = end_of_param(rest);
                let param = octets::trim(&rest[..end]);
                rest = &rest[(end + 1).min(rest.len())..];
                if !param.is_empty() {
                    return Some(split(param));
                }
            }
            None
        })
    }
}

/// Where the parameter at the start of `rest` ends: the next semicolon outside quotes, or the end.
fn end_of_param(rest: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b';', b'"', &rest[at..]) {
        at += found;
        if rest[at] == b';' {
            return at;
        }
        match octets::quoted(&rest[at..]) {
            Ok((_, string)) => at += string.len(),
            Err(_) => break,
        }
    }
    rest.len()
}

fn split(param: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'=', param) {
        Some(equal) => (octets::trim_end(&param[..equal]), Some(octets::trim_start(&param[equal + 1..]))),
        None => (param, None),
    }
}

/// Reads `*( SEMI generic-param )`, shows each to `visit`, and stops at the first octet that continues it not.
///
/// An empty parameter (`;;`) is a fault (RFC 4475 §3.1.2.1).
#[inline]
pub(crate) fn params<'a>(
    input: &'a [u8],
    mut visit: impl FnMut(&'a [u8], Option<&'a [u8]>),
) -> Parsed<'a, Params<'a>> {
    let mut rest = input;
    while let Some(after) = octets::trim_start(rest).strip_prefix(b";") {
        let (after, name) = octets::run(TOKEN).parse(octets::trim_start(after))?;
        let Some(value) = octets::trim_start(after).strip_prefix(b"=") else {
            visit(name, None);
            rest = after;
            continue;
        };
        let (after, value) = value_of(octets::trim_start(value))?;
        visit(name, Some(value));
        rest = after;
    }
    let raw = octets::trim_start(&input[..input.len() - rest.len()]);
    Ok((rest, Params::new(raw)))
}

/// `token / host / quoted-string`
fn value_of(input: &[u8]) -> Parsed<'_, &[u8]> {
    match input.first() {
        Some(b'"') => octets::quoted(input),
        Some(_) => octets::run(VALUE).parse(input),
        None => fault(input),
    }
}

/// Whether a URI parameter part (`;…`) holds nothing that cannot be there.
pub(crate) fn are_uri_params(raw: &[u8]) -> bool {
    raw.is_empty() || octets::all(raw, octets::USERINFO)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(raw: &[u8]) -> Vec<(&[u8], Option<&[u8]>)> {
        Params::new(raw).iter().collect()
    }

    #[test]
    fn parameters_are_split_outside_quotes() {
        assert_eq!(
            list(br#"; a ;b = 1;c="x;y" ;D"#),
            [
                (&b"a"[..], None),
                (&b"b"[..], Some(&b"1"[..])),
                (&b"c"[..], Some(&br#""x;y""#[..])),
                (&b"D"[..], None)
            ]
        );
        assert_eq!(Params::new(b";Tag=7").get("tAG"), Some(Some(&b"7"[..])));
        assert_eq!(Params::new(b";lr").get("lr"), Some(None));
        assert_eq!(Params::new(b"").get("lr"), None);
    }

    #[test]
    fn the_grammar_refuses_empty_parameters() {
        let left = |text| params(text, |_, _| {}).map(|(rest, params)| (rest, params.raw()));

        assert_eq!(left(b" ; a=b , next"), Ok((&b" , next"[..], &b"; a=b"[..])));
        assert!(left(b";;").is_err());
        assert!(left(b";a=").is_err());
        assert!(left(b";a=\"open").is_err());
        assert!(left(b";=b").is_err());
    }

    #[test]
    fn iteration_ends_on_any_input() {
        assert_eq!(list(b";;;"), []);
        assert_eq!(list(b";a=\"open;b"), [(&b"a"[..], Some(&b"\"open;b"[..]))]);
    }
}
