//! The phone's side of digest authentication (RFC 7616), written apart from the edge's so that one checks the other.

use md5::{Digest as _, Md5};
use sha2::Sha256;

use super::heard::{quoted, values};

/// What a phone was asked last, and how often it has answered.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    realm: String,
    pub(super) nonce: String,
    sha256: bool,
    qop: bool,
    opaque: Option<String>,
    pub(super) count: u32,
}

impl Asked {
    /// Reads the first challenge of a 401 or 407.
    pub(super) fn read(response: &str) -> Option<Self> {
        let name = ["WWW-Authenticate", "Proxy-Authenticate"];
        let challenge = name.into_iter().find_map(|name| values(response, name).next())?;
        Some(Self {
            realm: quoted(challenge, "realm")?,
            nonce: quoted(challenge, "nonce")?,
            sha256: quoted(challenge, "algorithm").is_some_and(|algorithm| algorithm == "SHA-256"),
            qop: quoted(challenge, "qop").is_some(),
            opaque: quoted(challenge, "opaque"),
            count: 0,
        })
    }

    /// The value of Authorization or Proxy-Authorization for one more request.
    pub(super) fn answer(
        &mut self,
        user: &str,
        password: &str,
        method: &str,
        uri: &str,
        cnonce: &str,
    ) -> String {
        self.count += 1;
        let Self { realm, nonce, count, .. } = &*self;
        let ha1 = self.hash(&format!("{user}:{realm}:{password}"));
        let ha2 = self.hash(&format!("{method}:{uri}"));
        let algorithm = if self.sha256 { "SHA-256" } else { "MD5" };
        let mut value = format!(
            "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", algorithm={algorithm}"
        );
        if self.qop {
            let response = self.hash(&format!("{ha1}:{nonce}:{count:08x}:{cnonce}:auth:{ha2}"));
            value += &format!(", response=\"{response}\", qop=auth, nc={count:08x}, cnonce=\"{cnonce}\"");
        } else {
            let response = self.hash(&format!("{ha1}:{nonce}:{ha2}"));
            value += &format!(", response=\"{response}\"");
        }
        if let Some(opaque) = &self.opaque {
            value += &format!(", opaque=\"{opaque}\"");
        }
        value
    }

    fn hash(&self, text: &str) -> String {
        let octets: Vec<u8> =
            if self.sha256 { Sha256::digest(text).to_vec() } else { Md5::digest(text).to_vec() };
        octets.iter().map(|octet| format!("{octet:02x}")).collect()
    }
}

/// True if an Authorization value answers `nonce` with the password, as a phone checks a NOTIFY.
pub(super) fn is_right(
    value: &str,
    nonce: &str,
    user: &str,
    password: &str,
    method: &str,
    uri: &str,
) -> bool {
    let field = |name| quoted(value, name).unwrap_or_default();
    let asked = Asked {
        realm: field("realm"),
        nonce: nonce.into(),
        sha256: field("algorithm") == "SHA-256",
        qop: quoted(value, "qop").is_some(),
        opaque: None,
        count: u32::from_str_radix(&field("nc"), 16).unwrap_or(1).saturating_sub(1),
    };
    let expected = asked.clone().answer(user, password, method, uri, &field("cnonce"));
    field("username") == user
        && field("nonce") == nonce
        && quoted(&expected, "response") == quoted(value, "response")
}
