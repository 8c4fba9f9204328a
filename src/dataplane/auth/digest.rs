//! The arithmetic of digest access authentication for SIP: MD5, SHA-256 and SHA-512-256, `qop=auth` or none; and the
//! side that asks, which offers the first two.

use std::net::IpAddr;

use md5::{Digest as _, Md5};
use sha2::{Sha256, Sha512_256};
use smallvec::SmallVec;
use subtle::ConstantTimeEq as _;

use super::nonce::{Nonce, NonceState, Nonces, Proof, SentTo};
use crate::hex;
use crate::now::Mono;
use crate::settings::{RegistrarPolicy, SipSecret};

/// A digest algorithm (RFC 7616 §3.2, RFC 8760), the stronger the later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Algorithm {
    Md5,
    Sha256,
    /// Asked for by nobody here; answered to peers.
    Sha512Of256,
}

/// A digest in hexadecimal: 32 or 64 digits.
#[derive(Clone, Debug)]
pub(super) struct Hex {
    digits: [u8; 64],
    length: usize,
}

impl Hex {
    fn of(digest: &[u8]) -> Self {
        let mut digits = [0; 64];
        let length = digest.len() * 2;
        hex::write(digest, &mut digits[..length]);
        Self { digits, length }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.digits[..self.length]
    }

    /// Compares with digits of either case in a time that does not tell how many are right.
    fn is(&self, response: &[u8]) -> bool {
        /// Makes letters small; digits have these bits. What else becomes a digit by them is no secret to its writer.
        const LOWER: u64 = u64::from_ne_bytes([0x20; 8]);
        if response.len() != self.length {
            return false;
        }
        // A length is a multiple of eight, and words are compared faster than octets.
        let (own, _) = self.as_bytes().as_chunks();
        let (others, _) = response.as_chunks();
        let difference = own.iter().zip(others).fold(0, |difference, (own, other)| {
            difference | u64::from_ne_bytes(*own) ^ (u64::from_ne_bytes(*other) | LOWER)
        });
        difference.ct_eq(&0).into()
    }
}

impl Algorithm {
    /// As a challenge says it. Without the parameter it is MD5 (RFC 7616 §3.3).
    pub(super) fn of(name: Option<&[u8]>) -> Option<Self> {
        let is = |wanted: &str| name.is_some_and(|name| name.eq_ignore_ascii_case(wanted.as_bytes()));
        match name {
            None => Some(Self::Md5),
            Some(_) if is("MD5") => Some(Self::Md5),
            Some(_) if is("SHA-256") => Some(Self::Sha256),
            Some(_) if is("SHA-512-256") => Some(Self::Sha512Of256),
            Some(_) => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
            Self::Sha512Of256 => "SHA-512-256",
        }
    }

    fn is_offered(self, policy: &RegistrarPolicy) -> bool {
        match self {
            Self::Md5 => policy.digest_md5,
            Self::Sha256 => policy.digest_sha256,
            Self::Sha512Of256 => false,
        }
    }

    pub(super) fn ha1(self, secret: &SipSecret) -> Option<&[u8]> {
        match self {
            Self::Md5 => secret.ha1_md5.as_ref().map(<[u8; 32]>::as_slice),
            Self::Sha256 => secret.ha1_sha256.as_ref().map(<[u8; 64]>::as_slice),
            Self::Sha512Of256 => None,
        }
    }

    /// What stands for the secret of an account that is not there: as long, and no digest in hexadecimal.
    fn no_ha1(self) -> &'static [u8] {
        match self {
            Self::Md5 => &[b'-'; 32],
            Self::Sha256 | Self::Sha512Of256 => &[b'-'; 64],
        }
    }

    /// H(part ":" part ":" …).
    pub(super) fn hash(self, parts: &[&[u8]]) -> Hex {
        fn feed(mut hasher: impl md5::Digest, parts: &[&[u8]]) -> Hex {
            for (number, part) in parts.iter().enumerate() {
                if number > 0 {
                    hasher.update(b":");
                }
                hasher.update(part);
            }
            Hex::of(&hasher.finalize())
        }
        match self {
            Self::Md5 => md5_of_few(parts).unwrap_or_else(|| feed(Md5::new(), parts)),
            Self::Sha256 => feed(Sha256::new(), parts),
            Self::Sha512Of256 => feed(Sha512_256::new(), parts),
        }
    }
}

/// MD5 of parts that together are as short as those of a desk phone: laid out in padded blocks and hashed in one go, which
/// takes a third off what the same costs piece by piece. `None`: they are longer.
fn md5_of_few(parts: &[&[u8]]) -> Option<Hex> {
    const BLOCKS: usize = 3;
    /// Behind the text stand one bit and, in eight octets, its length (RFC 1321 §3.1, §3.2).
    const TEXT_MAX: usize = BLOCKS * 64 - 9;
    let mut blocks = [0; BLOCKS * 64];
    let mut length = 0;
    for (number, part) in parts.iter().enumerate() {
        let start = if number > 0 { length + 1 } else { 0 };
        let end = start + part.len();
        if end > TEXT_MAX {
            return None;
        }
        if number > 0 {
            blocks[length] = b':';
        }
        blocks[start..end].copy_from_slice(part);
        length = end;
    }
    blocks[length] = 0x80;
    let end = (length + 9).next_multiple_of(64);
    blocks[end - 8..end].copy_from_slice(&(length as u64 * 8).to_le_bytes());
    let (blocks, _) = blocks[..end].as_chunks();
    // RFC 1321 §3.3.
    let mut state = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    md5::block_api::compress(&mut state, blocks);
    let mut digest = [0; 16];
    for (octets, word) in digest.chunks_exact_mut(4).zip(state) {
        octets.copy_from_slice(&word.to_le_bytes());
    }
    Some(Hex::of(&digest))
}

/// The digest secret of a password: H(user:realm:password) for each algorithm. The password is not kept.
pub fn secret(user: &str, realm: &str, password: &str) -> SipSecret {
    let ha1 =
        |algorithm: Algorithm| algorithm.hash(&[user.as_bytes(), realm.as_bytes(), password.as_bytes()]);
    let (md5, sha256) = (ha1(Algorithm::Md5), ha1(Algorithm::Sha256));
    SipSecret { ha1_md5: md5.as_bytes().try_into().ok(), ha1_sha256: sha256.as_bytes().try_into().ok() }
}

/// H(REGISTER:uri) by MD5 for the URIs that phones register at, so that it is not made anew for each refresh.
#[derive(Debug, Default)]
pub(crate) struct RegistrarUris(Vec<(Box<[u8]>, Hex)>);

impl RegistrarUris {
    /// Those of a tenant with these domains: `sip:domain`.
    pub(crate) fn of(domains: &[Box<str>]) -> Self {
        let uris = domains.iter().map(|domain| format!("sip:{domain}").into_bytes());
        let known = uris.map(|uri| (uri.as_slice().into(), Algorithm::Md5.hash(&[b"REGISTER", &uri])));
        Self(known.collect())
    }

    fn ha2(&self, algorithm: Algorithm, method: sip::Method<'_>, uri: &[u8]) -> Option<&Hex> {
        let is_known = algorithm == Algorithm::Md5 && method == sip::Method::Register;
        let known = self.0.iter().filter(|_| is_known).find(|(known, _)| **known == *uri);
        known.map(|(_, ha2)| ha2)
    }
}

/// What a tenant asks of whoever wants to prove who he is.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// What is known of its URIs.
    pub(crate) uris: &'a RegistrarUris,
    /// Which algorithms it offers.
    pub policy: &'a RegistrarPolicy,
    /// The nonces it accepts.
    pub nonces: &'a Nonces,
    /// From where.
    pub address: IpAddr,
    /// When.
    pub now: Mono,
}

/// Why a request proves nothing. All are answered by a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There are no digest credentials for the realm.
    Missing,
    /// They answer a nonce that was sent there, and are not what was asked for, the secret is another, or there is no such
    /// account.
    Wrong,
    /// The nonce is too old, or of before a restart; what was made with it is not looked at. Say `stale=true`.
    Stale,
    /// The nonce was sent elsewhere: what was made with it is not looked at, so that guesses can be made nowhere but where we
    /// are heard. Say `stale=true`, with a nonce that is good from both.
    Elsewhere(SentTo),
}

/// The digest credentials for `realm` in `header` ([`sip::Name::Authorization`] or [`sip::Name::ProxyAuthorization`]);
/// others are passed over.
pub fn credentials_for<'a>(
    request: &sip::Message<'a>,
    header: sip::Name,
    realm: &str,
) -> Option<sip::Credentials<'a>> {
    let mut digests = request.credentials(header).flatten().filter(sip::Credentials::is_digest);
    digests.find(|credentials| credentials.realm() == Some(realm.as_bytes()))
}

/// Proves that `request` was made with the secret of `account`, its user and secret; `None` for an account that is not
/// there takes the same time and is [`Refused::Wrong`]. The `credentials` are for the realm asked for. What is proved
/// is for the account's record to spend.
pub fn verify(
    credentials: &sip::Credentials<'_>,
    request: &sip::Message<'_>,
    account: Option<(&str, &SipSecret)>,
    asked: &Asked<'_>,
) -> Result<Proof, Refused> {
    let nonce = credentials.nonce().unwrap_or_default();
    let nonce = match asked.nonces.verify(nonce, asked.address, asked.now) {
        NonceState::Valid(nonce) => nonce,
        NonceState::Elsewhere(sent_to) => return Err(Refused::Elsewhere(sent_to)),
        NonceState::Stale | NonceState::Foreign => return Err(Refused::Stale),
    };
    let count = nonce_count(credentials, request, account, asked).ok_or(Refused::Wrong)?;
    Ok(Proof { nonce, count })
}

/// The nonce count of credentials that are right but for their nonce, `Some(None)` for the kind without a count.
fn nonce_count(
    credentials: &sip::Credentials<'_>,
    request: &sip::Message<'_>,
    account: Option<(&str, &SipSecret)>,
    asked: &Asked<'_>,
) -> Option<Option<u32>> {
    let algorithm =
        Algorithm::of(credentials.algorithm()).filter(|algorithm| algorithm.is_offered(asked.policy))?;
    let (username, nonce) = (credentials.username()?, credentials.nonce()?);
    let (uri, response) = (credentials.uri()?, credentials.response()?);
    let method = request.method()?;
    let made;
    let ha2 = match asked.uris.ha2(algorithm, method, uri) {
        Some(known) => known,
        None => {
            made = algorithm.hash(&[method.as_bytes(), uri]);
            &made
        }
    };
    // An account that is not there is answered like a wrong secret, and after the same work.
    let own = account.filter(|(user, _)| user.as_bytes() == username);
    let own = own.and_then(|(_, secret)| algorithm.ha1(secret));
    let ha1 = own.unwrap_or(algorithm.no_ha1());
    let (is_right, count) = match credentials.qop() {
        // As RFC 2069 had it: without a count the nonce is good once.
        None => (algorithm.hash(&[ha1, nonce, ha2.as_bytes()]).is(response), None),
        Some(qop) if qop.eq_ignore_ascii_case(b"auth") => {
            let (cnonce, count) = (credentials.cnonce()?, credentials.nc()?);
            // The count is hashed as it was written: some write its digits in upper case.
            let parts = [ha1, nonce, credentials.nc_raw()?, cnonce, qop, ha2.as_bytes()];
            (algorithm.hash(&parts).is(response), Some(count))
        }
        // auth-int is not offered: it would make an intruder of every proxy that touches a body.
        Some(_) => return None,
    };
    (is_right && own.is_some() && names_the_same(uri, request.request_uri())).then_some(count)
}

/// The `uri` of credentials need not be the Request-URI octet for octet: phones leave out ports and parameters, and
/// what stands between may have rewritten the host (RFC 7616 §3.4.6). But it must name the same user, so that an answer
/// made for one number dials no other.
fn names_the_same(uri: &[u8], request_uri: &[u8]) -> bool {
    if uri == request_uri {
        return true;
    }
    let (Ok(a), Ok(b)) = (sip::Uri::parse(uri), sip::Uri::parse(request_uri)) else { return false };
    a.is_sip() && b.is_sip() && a.user_unescaped() == b.user_unescaped()
}

/// The values of WWW-Authenticate or Proxy-Authenticate, one line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    values: SmallVec<[String; 2]>,
}

impl Challenge {
    /// Asks for credentials of `realm` with each algorithm the tenant offers, the stronger first (RFC 8760 §2.3).
    pub fn new(realm: &str, nonce: &Nonce, stale: bool, policy: &RegistrarPolicy) -> Self {
        let nonce = std::str::from_utf8(nonce).expect("a nonce is base64url");
        let stale = if stale { ",stale=true" } else { "" };
        let offered =
            [Algorithm::Sha256, Algorithm::Md5].into_iter().filter(|algorithm| algorithm.is_offered(policy));
        let values = offered.map(|algorithm| {
            let algorithm = algorithm.name();
            format!("Digest realm=\"{realm}\",nonce=\"{nonce}\",algorithm={algorithm},qop=\"auth\"{stale}")
        });
        Self { values: values.collect() }
    }

    /// Each value.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.values.iter().map(String::as_str)
    }
}

#[cfg(test)]
mod tests;
