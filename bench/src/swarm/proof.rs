//! Digest credentials at the price of one MD5 a request (RFC 7616 §3.4: MD5, with qop=auth or without).

use md5::{Digest as _, Md5};

use super::reading::parameter;
use super::template::{HEX, write_hex};

/// What a phone says in `cnonce`. It need be no secret here.
const CNONCE: &[u8] = b"0a4f113b";

/// A challenge, with all of its answers that can be computed beforehand.
#[derive(Clone, Debug)]
pub(super) struct Proof {
    nonce: Box<[u8]>,
    realm: Box<[u8]>,
    opaque: Option<Box<[u8]>>,
    /// Whether it is answered with a nonce count.
    qop: bool,
    /// 407 rather than 401: it is answered with Proxy-Authorization.
    pub(super) by_proxy: bool,
    /// How often it has been answered.
    count: u32,
    /// MD5 of `HA1:nonce:`, not finished.
    begun: Md5,
}

impl Proof {
    /// Reads WWW-Authenticate or Proxy-Authenticate; `None` if MD5 is no answer to it.
    pub(super) fn read(challenge: &[u8], by_proxy: bool, user: &[u8], password: &[u8]) -> Option<Self> {
        if parameter(challenge, "algorithm").is_some_and(|name| !name.eq_ignore_ascii_case(b"MD5")) {
            return None;
        }
        let (nonce, realm) = (parameter(challenge, "nonce")?, parameter(challenge, "realm")?);
        let ha1 = hash(&[user, b":", realm, b":", password]);
        Some(Self {
            nonce: nonce.into(),
            realm: realm.into(),
            opaque: parameter(challenge, "opaque").map(Into::into),
            qop: parameter(challenge, "qop").is_some(),
            by_proxy,
            count: 0,
            begun: begin(&[&ha1, b":", nonce, b":"]),
        })
    }

    /// Writes the value of Authorization or Proxy-Authorization for one more request to `uri`, whose method and URI
    /// are hashed in `ha2`.
    pub(super) fn write(&mut self, out: &mut Vec<u8>, user: &[u8], uri: &[u8], ha2: &Ha2) {
        self.count += 1;
        let mut response = self.begun.clone();
        let mut count = Vec::with_capacity(8);
        if self.qop {
            write_hex(&mut count, self.count.into(), 8);
            for part in [&count[..], b":", CNONCE, b":auth:"] {
                response.update(part);
            }
        }
        response.update(ha2.0);
        out.extend_from_slice(b"Digest algorithm=MD5");
        quote(out, b"username", user);
        quote(out, b"realm", &self.realm);
        quote(out, b"nonce", &self.nonce);
        quote(out, b"uri", uri);
        quote(out, b"response", &hex(response));
        if let Some(opaque) = &self.opaque {
            quote(out, b"opaque", opaque);
        }
        if self.qop {
            out.extend_from_slice(b", qop=auth, nc=");
            out.extend_from_slice(&count);
            quote(out, b"cnonce", CNONCE);
        }
    }
}

/// The hash of a method and URI: the same for all requests that have both.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ha2([u8; 32]);

impl Ha2 {
    /// Of a request.
    pub(super) fn new(method: &[u8], uri: &[u8]) -> Self {
        Self(hash(&[method, b":", uri]))
    }
}

fn quote(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    for part in [b", ", name, b"=\"", value, b"\""] {
        out.extend_from_slice(part);
    }
}

fn begin(parts: &[&[u8]]) -> Md5 {
    let mut md5 = Md5::new();
    for part in parts {
        md5.update(part);
    }
    md5
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    hex(begin(parts))
}

fn hex(md5: Md5) -> [u8; 32] {
    let octets = md5.finalize();
    std::array::from_fn(|place| {
        let octet = octets[place / 2];
        HEX[usize::from(if place % 2 == 0 { octet >> 4 } else { octet & 15 })]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phone::{Challenge, Message};

    fn written(proof: &mut Proof) -> String {
        let mut out = Vec::new();
        proof.write(&mut out, b"1001", b"sip:demo.hotdesk", &Ha2::new(b"REGISTER", b"sip:demo.hotdesk"));
        String::from_utf8(out).unwrap()
    }

    /// The other phones of this crate compute digests as RFC 7616 writes them down.
    #[test]
    fn it_says_what_the_other_phones_say() {
        for more in ["", r#", qop="auth""#, r#", opaque="o", qop="auth""#] {
            let value = format!(r#"Digest realm="demo.hotdesk", nonce="n0nce", algorithm=MD5{more}"#);
            let message = format!("SIP/2.0 401 Unauthorized\r\nWWW-Authenticate: {value}\r\n\r\n");
            let mut other = Challenge::read(&Message::new(message)).unwrap();
            let mut proof = Proof::read(value.as_bytes(), false, b"1001", b"secret").unwrap();
            for _ in 0..2 {
                let theirs = other.answer("1001", "secret", "REGISTER", "sip:demo.hotdesk", "0a4f113b");
                let ours = written(&mut proof);

                let fields = |value: &str| {
                    let mut fields: Vec<_> =
                        value.strip_prefix("Digest ").unwrap().split(", ").map(str::to_owned).collect();
                    fields.sort();
                    fields
                };
                assert_eq!(fields(&ours), fields(&theirs));
            }
        }
    }

    #[test]
    fn what_md5_does_not_answer_is_not_answered() {
        let challenge = br#"Digest realm="r", nonce="n", algorithm=SHA-256"#;

        assert!(Proof::read(challenge, false, b"1001", b"secret").is_none());
    }
}
