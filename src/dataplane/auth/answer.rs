//! The side that is asked: what a challenge wants, and the answer to it (RFC 7616 §3.4).

use std::fmt;

use super::digest::{Algorithm, Hex};
use crate::settings::SipSecret;

/// Longest nonce, realm or opaque string that is given back: those of real servers have some hundred octets, and three of
/// them with the rest must fit into one datagram with a call.
const VALUE_LENGTH_MAX: usize = 256;

/// What a challenge wants, as far as the edge can answer it.
#[derive(Clone)]
pub(crate) struct Ask {
    algorithm: Algorithm,
    realm: Box<[u8]>,
    nonce: Box<[u8]>,
    opaque: Option<Box<[u8]>>,
    /// With `qop=auth`, and so with a count; else as RFC 2069 had it.
    counted: bool,
}

/// H(user:realm:password): as good as the password, and shown nowhere.
pub(crate) struct Ha1(Hex);

impl Ask {
    /// `None` if it is no digest, of an algorithm the edge does not have, with `qop` but no `auth` among it, or too long.
    pub(crate) fn read(challenge: &sip::Challenge<'_>) -> Option<Self> {
        let is_fit = |value: &&[u8]| value.len() <= VALUE_LENGTH_MAX;
        let has_auth = |offered: &[u8]| {
            offered.split(|octet| *octet == b',').any(|qop| qop.trim_ascii().eq_ignore_ascii_case(b"auth"))
        };
        let counted = match challenge.qop() {
            None => false,
            Some(offered) if has_auth(offered) => true,
            Some(_) => return None,
        };
        let opaque = match challenge.opaque() {
            Some(opaque) => Some(Some(opaque).filter(is_fit)?.into()),
            None => None,
        };
        challenge.is_digest().then_some(())?;
        Some(Self {
            algorithm: Algorithm::of(challenge.algorithm())?,
            realm: challenge.realm().filter(is_fit)?.into(),
            nonce: challenge.nonce().filter(is_fit)?.into(),
            opaque,
            counted,
        })
    }

    pub(crate) fn realm(&self) -> &[u8] {
        &self.realm
    }

    /// True if its algorithm is stronger than that of `other`. RFC 8760 §2.4 takes the topmost, unless a policy says
    /// otherwise: not every peer puts the strongest there.
    pub(crate) fn is_stronger_than(&self, other: &Self) -> bool {
        self.algorithm > other.algorithm
    }

    /// The same with the nonce that the server wants to see next (RFC 7616 §3.5).
    pub(crate) fn renew(&mut self, nonce: &[u8]) {
        if nonce.len() <= VALUE_LENGTH_MAX {
            self.nonce = nonce.into();
        }
    }

    /// What is proved with a password.
    pub(crate) fn ha1(&self, user: &str, password: &str) -> Ha1 {
        Ha1(self.algorithm.hash(&[user.as_bytes(), &self.realm, password.as_bytes()]))
    }

    /// Credentials for a request, its method and Request-URI: the value of Authorization or Proxy-Authorization. `cnonce`
    /// is a random token; `count` begins at 1 with each nonce. `None` for a URI that cannot stand between quotes.
    pub(crate) fn answer(
        &self,
        user: &str,
        ha1: &[u8],
        (method, uri): (&[u8], &[u8]),
        cnonce: &[u8],
        count: u32,
    ) -> Option<Vec<u8>> {
        if uri.iter().any(|octet| matches!(octet, b'"' | b'\\' | ..b' ')) {
            return None;
        }
        let (algorithm, nonce) = (self.algorithm, &*self.nonce);
        let ha2 = algorithm.hash(&[method, uri]);
        let nc = format!("{count:08x}");
        let response = if self.counted {
            algorithm.hash(&[ha1, nonce, nc.as_bytes(), cnonce, b"auth", ha2.as_bytes()])
        } else {
            algorithm.hash(&[ha1, nonce, ha2.as_bytes()])
        };
        let mut value = [
            b"Digest username=\"",
            user.as_bytes(),
            b"\",realm=\"",
            &self.realm,
            b"\",nonce=\"",
            nonce,
            b"\",uri=\"",
            uri,
            b"\",response=\"",
            response.as_bytes(),
            b"\",algorithm=",
            algorithm.name().as_bytes(),
        ]
        .concat();
        if self.counted {
            value.extend([b",qop=auth,nc=", nc.as_bytes(), b",cnonce=\"", cnonce, b"\""].concat());
        }
        if let Some(opaque) = &self.opaque {
            value.extend([b",opaque=\"", &**opaque, b"\""].concat());
        }
        Some(value)
    }
}

impl Ha1 {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask").field("realm", &String::from_utf8_lossy(&self.realm)).finish_non_exhaustive()
    }
}

impl fmt::Debug for Ha1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ha1(…)")
    }
}

/// Answers the challenge of a phone to a `request` of ours, its method and Request-URI, with the secret of the account it
/// is registered with: the value of Authorization or Proxy-Authorization. `None` if it asks for another realm than the
/// account's, or for something else than MD5 or SHA-256 with `qop=auth` or none: then nothing is told. `cnonce` is a
/// random token; `count` begins at 1 with each nonce.
pub fn answer(
    challenge: &sip::Challenge<'_>,
    account: (&str, &SipSecret),
    realm: &str,
    request: (&str, &str),
    cnonce: &str,
    count: u32,
) -> Option<String> {
    let (user, secret) = account;
    let (method, uri) = request;
    let ask = Ask::read(challenge).filter(|ask| *ask.realm == *realm.as_bytes())?;
    let request = (method.as_bytes(), uri.as_bytes());
    let value = ask.answer(user, ask.algorithm.ha1(secret)?, request, cnonce.as_bytes(), count)?;
    String::from_utf8(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(challenge: &str) -> Option<Ask> {
        Ask::read(&sip::Challenge::parse(challenge.as_bytes()).unwrap())
    }

    fn answered(challenge: &str) -> String {
        let ask = ask(challenge).unwrap();
        let ha1 = ask.ha1("trunk", "secret");
        let request = (&b"INVITE"[..], &b"sip:+12125557000@pbx.example"[..]);
        String::from_utf8(ask.answer("trunk", ha1.as_bytes(), request, b"c0ffee", 26).unwrap()).unwrap()
    }

    #[test]
    fn a_peer_gets_what_it_asks_for() {
        // Made with `openssl dgst -sha512-256` and `-md5`.
        assert_eq!(
            answered(
                "Digest realm=\"pbx\", nonce=\"n\", opaque=\"o\", algorithm=SHA-512-256, qop=\"auth-int,auth\""
            ),
            "Digest username=\"trunk\",realm=\"pbx\",nonce=\"n\",uri=\"sip:+12125557000@pbx.example\",response=\"83029056d8d8ebbd5142d78f40d45e35a5635b5f68cd6e2c9ef155aebcbe89d9\",\
             algorithm=SHA-512-256,qop=auth,nc=0000001a,cnonce=\"c0ffee\",opaque=\"o\""
        );
        assert_eq!(
            answered("Digest realm=\"pbx\", nonce=\"n\""),
            "Digest username=\"trunk\",realm=\"pbx\",nonce=\"n\",uri=\"sip:+12125557000@pbx.example\",response=\"6d9d48e1a28a402a09e98afe7999f353\",\
             algorithm=MD5"
        );
    }

    #[test]
    fn the_stronger_of_two_is_known() {
        let of = |algorithm: &str| ask(&format!("Digest realm=a,nonce=b,algorithm={algorithm}")).unwrap();

        assert!(of("SHA-256").is_stronger_than(&of("MD5")));
        assert!(of("SHA-512-256").is_stronger_than(&of("SHA-256")));
        assert!(!of("MD5").is_stronger_than(&of("MD5")));
    }

    #[test]
    fn what_cannot_be_answered_is_not() {
        assert!(ask("Digest realm=a,nonce=b,algorithm=MD5-sess,qop=auth").is_none());
        assert!(ask("Digest realm=a,nonce=b,qop=auth-int").is_none());
        assert!(ask("Digest nonce=b").is_none());
        assert!(ask("Digest realm=a").is_none());
        assert!(ask("Basic realm=a,nonce=b").is_none());
        for long in ["realm", "nonce", "opaque"] {
            let others = ["realm", "nonce"].into_iter().filter(|name| *name != long);
            let others: String = others.map(|name| format!(",{name}=x")).collect();
            let value = |length| format!("Digest {long}=\"{}\"{others}", "x".repeat(length));
            assert!(ask(&value(VALUE_LENGTH_MAX)).is_some());
            assert!(ask(&value(VALUE_LENGTH_MAX + 1)).is_none());
        }
    }

    #[test]
    fn nothing_is_put_between_quotes_that_ends_them() {
        let ask = ask("Digest realm=a,nonce=b,qop=auth").unwrap();
        let ha1 = ask.ha1("trunk", "secret");

        for uri in ["sip:a\",response=\"b", "sip:a\\", "sip:a\r\nX: y"] {
            let request = (&b"BYE"[..], uri.as_bytes());
            assert_eq!(ask.answer("trunk", ha1.as_bytes(), request, b"c", 1), None, "{uri:?}");
        }
    }

    #[test]
    fn no_secret_is_printed() {
        let ask = ask("Digest realm=a,nonce=b,qop=auth").unwrap();
        let ha1 = ask.ha1("trunk", "secret");

        assert_eq!(format!("{ask:?} {ha1:?}"), "Ask { realm: \"a\", .. } Ha1(…)");
    }
}
