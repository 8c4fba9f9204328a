//! Authorization and challenges (RFC 3261 §20.7, §20.27, RFC 7616, RFC 8760).

use crate::error::{ErrorKind, ParseError, Parsed, fault};
use crate::grammar::whole;
use crate::header::name::{Name, WINDOW, words_in, words_of};
use crate::octets::{self, TOKEN, unquote};
use crate::scan::{first_of, window_of};
use nom::Parser;

/// `auth-param *(COMMA auth-param)` behind a scheme, checked once and split on demand.
///
/// Values are given without their quotes, backslash escapes kept: a digest is made over the octets as they
/// came.
#[derive(Debug, Clone, Copy)]
struct AuthParams<'a> {
    /// Scheme and parameters.
    raw: &'a [u8],
    /// Octets of the scheme.
    scheme: u16,
    /// Where the values of the known parameters are, found in the one pass that checks the grammar.
    known: [Span; KNOWN],
}

/// Where a value is, without its quotes. Nothing stands before a scheme, so that one from 0 on is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: u16,
    end: u16,
}

impl Span {
    const NONE: Self = Self { start: 0, end: 0 };
}

/// How many parameters RFC 7616 gives credentials and challenges. Each may be there once: of two nonces, two
/// readers might believe different ones.
const KNOWN: usize = 13;

const USERNAME: usize = 0;
const REALM: usize = 1;
const NONCE: usize = 2;
const URI: usize = 3;
const RESPONSE: usize = 4;
const ALGORITHM: usize = 5;
const QOP: usize = 6;
const CNONCE: usize = 7;
const NC: usize = 8;
const OPAQUE: usize = 9;
const STALE: usize = 10;
const DOMAIN: usize = 11;
const USERHASH: usize = 12;

/// The names by their places, as words.
const WORDS: [[u64; 2]; KNOWN] = {
    const NAMES: [&str; KNOWN] = [
        "username",
        "realm",
        "nonce",
        "uri",
        "response",
        "algorithm",
        "qop",
        "cnonce",
        "nc",
        "opaque",
        "stale",
        "domain",
        "userhash",
    ];
    let mut words = [[0; 2]; KNOWN];
    let mut place = 0;
    while place < KNOWN {
        let [first, second, _] = words_of(NAMES[place].as_bytes());
        words[place] = [first, second];
        place += 1;
    }
    words
};

/// The place among the [`KNOWN`] of the name that `window` begins with, `length` octets of it, in any case.
#[inline(always)]
fn place_of(window: &[u8; WINDOW], length: usize) -> Option<usize> {
    let words = words_in(window, length);
    let is = |place: usize| words == WORDS[place];
    let place = match length {
        8 if is(USERNAME) => USERNAME,
        8 if is(RESPONSE) => RESPONSE,
        8 if is(USERHASH) => USERHASH,
        5 if is(REALM) => REALM,
        5 if is(NONCE) => NONCE,
        5 if is(STALE) => STALE,
        3 if is(URI) => URI,
        3 if is(QOP) => QOP,
        2 if is(NC) => NC,
        6 if is(CNONCE) => CNONCE,
        6 if is(OPAQUE) => OPAQUE,
        6 if is(DOMAIN) => DOMAIN,
        9 if is(ALGORITHM) => ALGORITHM,
        _ => return None,
    };
    Some(place)
}

/// Reads the name of a parameter and the equals sign behind it: its place, if it is known.
#[inline(always)]
fn name(input: &[u8]) -> Parsed<'_, Option<usize>> {
    let window = window_of(input);
    let length = first_of([b'='], &window);
    match place_of(&window, length) {
        // A known name is a token.
        Some(place) => Ok((octets::trim_start(&input[length + 1..]), Some(place))),
        None => unusual_name(input),
    }
}

/// The same for a name that is not known, or has blanks before the equals sign.
#[inline(never)]
fn unusual_name(input: &[u8]) -> Parsed<'_, Option<usize>> {
    let (after, name) = octets::run(TOKEN).parse(input)?;
    let (after, ()) = octets::separator(b'=')(after)?;
    Ok((after, place_of(&window_of(name), name.len())))
}

impl<'a> AuthParams<'a> {
    fn read(input: &'a [u8]) -> Parsed<'a, Self> {
        let raw = octets::trim_start(input);
        if raw.len() > usize::from(u16::MAX) {
            return fault(raw);
        }
        let (rest, scheme) = octets::run(TOKEN).parse(raw)?;
        let mut params = AuthParams { raw, scheme: scheme.len() as u16, known: [Span::NONE; KNOWN] };
        let mut rest = octets::trim_start(rest);
        loop {
            let (value, place) = name(rest)?;
            let (after, length, quotes) = match value {
                [b'"', ..] => {
                    let (after, string) = octets::quoted(value)?;
                    (after, string.len() - 2, 1)
                }
                _ => {
                    let (after, word) = octets::run(octets::VALUE).parse(value)?;
                    (after, word.len(), 0)
                }
            };
            if let Some(place) = place {
                let start = raw.len() - value.len() + quotes;
                let known = &mut params.known[place];
                if *known != Span::NONE {
                    return fault(rest);
                }
                *known = Span { start: start as u16, end: (start + length) as u16 };
            }
            let after = octets::trim_start(after);
            match after {
                [b',', next @ ..] => rest = octets::trim_start(next),
                _ => return Ok((after, params)),
            }
        }
    }

    fn known(&self, place: usize) -> Option<&'a [u8]> {
        let Span { start, end } = self.known[place];
        (start > 0).then(|| &self.raw[usize::from(start)..usize::from(end)])
    }

    fn scheme(&self) -> &'a [u8] {
        &self.raw[..usize::from(self.scheme)]
    }

    fn get(&self, name: &str) -> Option<&'a [u8]> {
        let mut rest = octets::trim(&self.raw[usize::from(self.scheme)..]);
        while !rest.is_empty() {
            let Ok((after, found)) = octets::run(TOKEN).parse(rest) else { return None };
            let Ok((after, ())) = octets::separator(b'=')(after) else { return None };
            let value = octets::quoted(after).or_else(|_| octets::run(octets::VALUE).parse(after));
            let Ok((after, value)) = value else { return None };
            if found.eq_ignore_ascii_case(name.as_bytes()) {
                return Some(unquote(value));
            }
            let after = octets::trim_start(after);
            rest = octets::trim_start(after.strip_prefix(b",").unwrap_or(after));
        }
        None
    }
}

/// What a client answers to a challenge: an Authorization or Proxy-Authorization value.
#[derive(Debug, Clone, Copy)]
pub struct Credentials<'a>(AuthParams<'a>);

/// What a server asks with: a WWW-Authenticate or Proxy-Authenticate value.
#[derive(Debug, Clone, Copy)]
pub struct Challenge<'a>(AuthParams<'a>);

/// Gives a type its accessors of known parameters.
macro_rules! accessors {
    ($type:ident: $($doc:literal $name:ident $place:ident;)*) => {
        impl<'a> $type<'a> {
            $(
                #[doc = $doc]
                #[must_use]
                pub fn $name(&self) -> Option<&'a [u8]> {
                    self.0.known($place)
                }
            )*

            /// The scheme as written; compare it in any case.
            #[must_use]
            pub fn scheme(&self) -> &'a [u8] {
                self.0.scheme()
            }

            /// Whether the scheme is `Digest`.
            #[must_use]
            pub fn is_digest(&self) -> bool {
                self.0.scheme().eq_ignore_ascii_case(b"Digest")
            }

            /// Any parameter by its name, without quotes.
            #[must_use]
            pub fn get(&self, name: &str) -> Option<&'a [u8]> {
                self.0.get(name)
            }
        }
    };
}

accessors! { Credentials:
    "The user name, escapes kept." username USERNAME;
    "The realm." realm REALM;
    "The nonce of the challenge that is answered." nonce NONCE;
    "The digest URI." uri URI;
    "The answer, in hexadecimal." response RESPONSE;
    "The algorithm; none means MD5." algorithm ALGORITHM;
    "The quality of protection chosen." qop QOP;
    "The client's nonce." cnonce CNONCE;
    "The nonce count as written, well formed or not; see [`Self::nc`]." nc_raw NC;
    "The server's opaque string, given back." opaque OPAQUE;
}

accessors! { Challenge:
    "The realm." realm REALM;
    "The nonce to use." nonce NONCE;
    "The algorithm; none means MD5." algorithm ALGORITHM;
    "The list of qualities of protection offered." qop QOP;
    "A string to give back." opaque OPAQUE;
}

impl<'a> Credentials<'a> {
    /// Reads one value.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`], where the grammar fails, a parameter is there twice, or the value has more octets than
    /// a message's head may have, 65,535.
    pub fn parse(value: &'a [u8]) -> Result<Self, ParseError> {
        Self::of(Name::Authorization, value)
    }

    pub(crate) fn of(name: Name, value: &'a [u8]) -> Result<Self, ParseError> {
        whole(value, ErrorKind::Malformed(name), AuthParams::read).map(Self)
    }

    /// The nonce count: exactly eight hexadecimal digits (RFC 7616 §3.4); anything else is none.
    #[must_use]
    pub fn nc(&self) -> Option<u32> {
        let digits: &[u8; 8] = self.nc_raw()?.try_into().ok()?;
        digits.iter().try_fold(0, |count, &digit| Some(count << 4 | (digit as char).to_digit(16)?))
    }
}

impl<'a> Challenge<'a> {
    /// Reads one value.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`], where the grammar fails, a parameter is there twice, or the value has more octets than
    /// a message's head may have, 65,535.
    pub fn parse(value: &'a [u8]) -> Result<Self, ParseError> {
        Self::of(Name::WwwAuthenticate, value)
    }

    pub(crate) fn of(name: Name, value: &'a [u8]) -> Result<Self, ParseError> {
        whole(value, ErrorKind::Malformed(name), AuthParams::read).map(Self)
    }

    /// Whether only the nonce was too old and the secret is right.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.0.known(STALE).is_some_and(|value| value.eq_ignore_ascii_case(b"true"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_credentials_are_read() {
        let credentials = Credentials::parse(
            b"Digest username=\"desk-1\", realm=\"demo.hotdesk\",nonce=\"a,b\" ,\r\n uri=\"sip:demo.hotdesk\", response=\"0f\", \
              algorithm=SHA-256, qop=auth, nc=0000001a, cnonce=\"x\\\"y\", opaque=\"\", auts=\"z\"",
        )
        .expect("good");

        assert!(credentials.is_digest());
        assert_eq!(credentials.username(), Some(&b"desk-1"[..]));
        assert_eq!(credentials.realm(), Some(&b"demo.hotdesk"[..]));
        assert_eq!(credentials.nonce(), Some(&b"a,b"[..]));
        assert_eq!(credentials.uri(), Some(&b"sip:demo.hotdesk"[..]));
        assert_eq!(credentials.response(), Some(&b"0f"[..]));
        assert_eq!(credentials.algorithm(), Some(&b"SHA-256"[..]));
        assert_eq!(credentials.qop(), Some(&b"auth"[..]));
        assert_eq!(credentials.nc(), Some(26));
        assert_eq!(credentials.cnonce(), Some(&b"x\\\"y"[..]));
        assert_eq!(credentials.opaque(), Some(&b""[..]));
        assert_eq!(credentials.get("AUTS"), Some(&b"z"[..]));
        assert_eq!(credentials.get("none"), None);
    }

    #[test]
    fn other_schemes_are_read_too() {
        let credentials = Credentials::parse(b"NoOneKnowsThisScheme opaque-data=here").expect("good");

        assert!(!credentials.is_digest());
        assert_eq!(credentials.get("opaque-data"), Some(&b"here"[..]));
    }

    #[test]
    fn a_nonce_count_has_eight_digits() {
        for (text, count) in [
            ("00000001", Some(1)),
            ("ffffffff", Some(u32::MAX)),
            ("1", None),
            ("000000001", None),
            ("0000000g", None),
            ("-0000001", None),
        ] {
            let value = format!("Digest nc={text}");
            let credentials = Credentials::parse(value.as_bytes()).expect("good");

            assert_eq!(credentials.nc(), count, "{text}");
            assert_eq!(credentials.nc_raw(), Some(text.as_bytes()));
        }
    }

    #[test]
    fn a_name_is_known_as_a_whole_in_any_case() {
        let names = [
            "username",
            "realm",
            "nonce",
            "uri",
            "response",
            "algorithm",
            "qop",
            "cnonce",
            "nc",
            "opaque",
            "stale",
            "domain",
            "userhash",
        ];
        let places_of = |name: &str| {
            let value = format!("Digest {name}=x");
            let params = AuthParams::read(value.as_bytes()).expect("good").1;
            (0..KNOWN).filter(|&place| params.known(place).is_some()).collect::<Vec<_>>()
        };

        for (place, name) in names.iter().enumerate() {
            assert_eq!(places_of(name), [place], "{name}");
            assert_eq!(places_of(&name.to_uppercase()), [place], "{name}");
            // Of whatever length, in steps of the window as well.
            for more in 1..40 {
                assert_eq!(places_of(&format!("{name}{}", "x".repeat(more))), [0; 0], "{name} and {more}");
            }
            for at in 0..name.len() {
                for octet in (0..=127_u8).filter(|octet| octets::is(*octet, TOKEN)) {
                    let mut other = name.as_bytes().to_vec();
                    other[at] = octet;
                    let other = String::from_utf8(other).expect("ASCII");
                    let same = other.eq_ignore_ascii_case(name);
                    assert_eq!(places_of(&other).is_empty(), !same, "{other}");
                }
            }
        }
    }

    #[test]
    fn garbage_is_refused() {
        for value in [
            "",
            " ",
            "Digest",
            "Digest ",
            "Digest username",
            "Digest username=",
            "Digest username=\"open",
            "Digest =x",
            "Digest ,",
            "Digest a=b,",
            "Digest a=b c=d",
            "Digest a=b,,c=d",
            "Digest nonce=\"a\", nonce=\"b\"",
            "Digest Nonce=a,nONCE=b",
            "Digest username=\"a\"x",
            "Digest \"a\"=b",
            "=",
            ",",
            "\"Digest\" a=b",
            "Digest a==\"b\"c",
            "Digest \0=b",
            "Basic YWxhZGRpbjpvcGVuc2VzYW1l",
        ] {
            assert!(Credentials::parse(value.as_bytes()).is_err(), "{value:?}");
        }
    }

    #[test]
    fn a_value_is_read_up_to_the_longest_a_head_can_hold() {
        let of_length = |length: usize| {
            let before = "Digest realm=\"a\", opaque=\"";
            format!("{before}{}\"", "x".repeat(length - before.len() - 1))
        };

        let longest = of_length(usize::from(u16::MAX));
        let credentials = Credentials::parse(longest.as_bytes()).expect("good");
        assert_eq!(credentials.realm(), Some(&b"a"[..]));
        assert_eq!(credentials.opaque(), longest.as_bytes().get(26..longest.len() - 1));
        assert!(Credentials::parse(of_length(usize::from(u16::MAX) + 1).as_bytes()).is_err());
    }

    #[test]
    fn a_challenge_is_read() {
        let challenge =
            Challenge::parse(b"digest realm=\"pbx\", nonce=\"1\", stale=TRUE, qop=\"auth,auth-int\"")
                .expect("good");

        assert!(challenge.is_digest());
        assert!(challenge.is_stale());
        assert_eq!(challenge.qop(), Some(&b"auth,auth-int"[..]));
    }
}
