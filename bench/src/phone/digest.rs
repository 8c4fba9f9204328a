//! The phone's side of digest authentication (RFC 7616, RFC 8760).

use md5::{Digest as _, Md5};
use sha2::Sha256;

use super::message::Message;

/// A challenge, and how often it has been answered.
#[derive(Clone, Debug)]
pub struct Challenge {
    /// The nonce.
    pub nonce: String,
    /// The algorithm it is answered with.
    pub algorithm: Algorithm,
    realm: String,
    opaque: Option<String>,
    qop: bool,
    count: u32,
    /// 407 rather than 401.
    by_proxy: bool,
}

/// An algorithm this phone has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// MD5.
    Md5,
    /// SHA-256.
    Sha256,
}

impl Challenge {
    /// The first challenge of a 401 or 407 that this phone can answer (RFC 8760 §2.4: the topmost is wanted most).
    pub fn read(response: &Message) -> Option<Self> {
        let by_proxy = response.status() == Some(407);
        let name = if by_proxy { "Proxy-Authenticate" } else { "WWW-Authenticate" };
        let lines = response.text().split("\r\n").filter_map(|line| line.split_once(": "));
        lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).find_map(|(_, line)| {
            let algorithm = match field(line, "algorithm").as_deref() {
                None | Some("MD5") => Algorithm::Md5,
                Some("SHA-256") => Algorithm::Sha256,
                Some(_) => return None,
            };
            Some(Self {
                nonce: field(line, "nonce")?,
                algorithm,
                realm: field(line, "realm")?,
                opaque: field(line, "opaque"),
                qop: field(line, "qop").is_some(),
                count: 0,
                by_proxy,
            })
        })
    }

    /// The header that carries an answer (§22.2, §22.3).
    pub(super) fn header(&self) -> &'static str {
        if self.by_proxy { "Proxy-Authorization" } else { "Authorization" }
    }

    /// The value of Authorization or Proxy-Authorization for one more request.
    pub fn answer(&mut self, user: &str, password: &str, method: &str, uri: &str, cnonce: &str) -> String {
        self.count += 1;
        let Self { nonce, algorithm, realm, opaque, qop, count, .. } = self;
        let ha1 = algorithm.hash(&format!("{user}:{realm}:{password}"));
        let ha2 = algorithm.hash(&format!("{method}:{uri}"));
        let mut value = format!(
            r#"Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{uri}", algorithm={}"#,
            algorithm.name()
        );
        if *qop {
            let response = algorithm.hash(&format!("{ha1}:{nonce}:{count:08x}:{cnonce}:auth:{ha2}"));
            value += &format!(r#", response="{response}", qop=auth, nc={count:08x}, cnonce="{cnonce}""#);
        } else {
            let response = algorithm.hash(&format!("{ha1}:{nonce}:{ha2}"));
            value += &format!(r#", response="{response}""#);
        }
        if let Some(opaque) = opaque {
            value += &format!(r#", opaque="{opaque}""#);
        }
        value
    }
}

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    fn hash(self, text: &str) -> String {
        let octets = match self {
            Self::Md5 => Md5::digest(text).to_vec(),
            Self::Sha256 => Sha256::digest(text).to_vec(),
        };
        octets.iter().map(|octet| format!("{octet:02x}")).collect()
    }
}

/// A field of a challenge, without quotes.
fn field(challenge: &str, name: &str) -> Option<String> {
    let fields = challenge.strip_prefix("Digest ")?.split(',').filter_map(|field| field.split_once('='));
    let found = fields.into_iter().find(|(known, _)| known.trim().eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.trim().trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7616 §3.9.1, with both algorithms.
    #[test]
    fn the_example_of_the_rfc_is_computed() {
        for (algorithm, expected) in [
            (Algorithm::Md5, "8ca523f5e9506fed4657c9700eebdbec"),
            (Algorithm::Sha256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let mut challenge = Challenge {
                nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v".into(),
                algorithm,
                realm: "http-auth@example.org".into(),
                opaque: None,
                qop: true,
                count: 0,
                by_proxy: false,
            };

            let value = challenge.answer(
                "Mufasa",
                "Circle of Life",
                "GET",
                "/dir/index.html",
                "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
            );

            assert!(value.contains(&format!(r#"response="{expected}""#)), "{value}");
        }
    }
}
