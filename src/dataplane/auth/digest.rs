//! The arithmetic of digest access authentication for SIP, on both sides: MD5 and SHA-256, `qop=auth` or none.

use md5::{Digest as _, Md5};
use sha2::Sha256;
use smallvec::SmallVec;
use subtle::{Choice, ConstantTimeEq as _};

use super::nonce::{Nonce, NonceState, Nonces, Proof};
use crate::hex;
use crate::now::Mono;
use crate::settings::{RegistrarPolicy, SipSecret};

/// A digest algorithm of the edge (RFC 7616 §3.2, RFC 8760).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Md5,
    Sha256,
}

/// Octets in hexadecimal: a digest has 32 or 64 digits, a nonce count 8.
#[derive(Clone, Debug)]
struct Hex {
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

    fn as_bytes(&self) -> &[u8] {
        &self.digits[..self.length]
    }

    fn in_upper_case(mut self) -> Self {
        self.digits.make_ascii_uppercase();
        self
    }

    /// Compares with digits of either case in a time that does not tell how many are right.
    fn is(&self, response: &[u8]) -> bool {
        let mut lower = [0; 64];
        let Some(lower) = lower.get_mut(..response.len()).filter(|lower| lower.len() == self.length) else {
            return false;
        };
        lower.copy_from_slice(response);
        lower.make_ascii_lowercase();
        // A length is a multiple of eight, and words are compared faster than octets.
        let word = |octets: &[u8]| u64::from_ne_bytes(octets.try_into().expect("eight octets"));
        let pairs = self.as_bytes().chunks_exact(8).zip(lower.chunks_exact(8));
        pairs.fold(Choice::from(1), |same, (own, other)| same & word(own).ct_eq(&word(other))).into()
    }
}

impl Algorithm {
    /// As a challenge says it. Without the parameter it is MD5 (RFC 7616 §3.3).
    fn of(name: Option<&[u8]>) -> Option<Self> {
        let is = |wanted: &str| name.is_some_and(|name| name.eq_ignore_ascii_case(wanted.as_bytes()));
        match name {
            None => Some(Self::Md5),
            Some(_) if is("MD5") => Some(Self::Md5),
            Some(_) if is("SHA-256") => Some(Self::Sha256),
            Some(_) => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    fn is_offered(self, policy: &RegistrarPolicy) -> bool {
        match self {
            Self::Md5 => policy.digest_md5,
            Self::Sha256 => policy.digest_sha256,
        }
    }

    fn ha1(self, secret: &SipSecret) -> Option<&[u8]> {
        match self {
            Self::Md5 => secret.ha1_md5.as_ref().map(<[u8; 32]>::as_slice),
            Self::Sha256 => secret.ha1_sha256.as_ref().map(<[u8; 64]>::as_slice),
        }
    }

    /// What stands for the secret of an account that is not there: as long, and no digest in hexadecimal.
    fn no_ha1(self) -> &'static [u8] {
        match self {
            Self::Md5 => &[b'-'; 32],
            Self::Sha256 => &[b'-'; 64],
        }
    }

    /// H(part ":" part ":" …).
    fn hash(self, parts: &[&[u8]]) -> Hex {
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
    /// When.
    pub now: Mono,
}

/// Why a request proves nothing. All are answered by a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There are no digest credentials for the realm.
    Missing,
    /// They are not what was asked for, the secret is another, or there is no such account.
    Wrong,
    /// The secret is right; the nonce is too old or of before a restart. Say `stale=true`.
    Stale,
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
    let count = nonce_count(credentials, request, account, asked).ok_or(Refused::Wrong)?;
    match asked.nonces.verify(credentials.nonce().unwrap_or_default(), asked.now) {
        NonceState::Valid(nonce) => Ok(Proof { nonce, count }),
        NonceState::Stale | NonceState::Foreign => Err(Refused::Stale),
    }
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
            let is = |nc: &Hex| {
                algorithm.hash(&[ha1, nonce, nc.as_bytes(), cnonce, qop, ha2.as_bytes()]).is(response)
            };
            // The count is hashed as it was written: the digits are lower case, and some write them upper case.
            let nc = Hex::of(&count.to_be_bytes());
            let has_letters = nc.as_bytes().iter().any(u8::is_ascii_alphabetic);
            (is(&nc) || has_letters && is(&nc.in_upper_case()), Some(count))
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
    if !challenge.is_digest() || challenge.realm() != Some(realm.as_bytes()) {
        return None;
    }
    let algorithm = Algorithm::of(challenge.algorithm())?;
    let ha1 = algorithm.ha1(secret)?;
    let nonce = std::str::from_utf8(challenge.nonce()?).ok()?;
    let ha2 = algorithm.hash(&[method.as_bytes(), uri.as_bytes()]);
    let has_auth = |offered: &[u8]| {
        offered.split(|octet| *octet == b',').any(|qop| qop.trim_ascii().eq_ignore_ascii_case(b"auth"))
    };
    let (response, quality) = match challenge.qop() {
        None => (algorithm.hash(&[ha1, nonce.as_bytes(), ha2.as_bytes()]), String::new()),
        Some(offered) if has_auth(offered) => {
            let nc = format!("{count:08x}");
            let parts = [ha1, nonce.as_bytes(), nc.as_bytes(), cnonce.as_bytes(), b"auth", ha2.as_bytes()];
            (algorithm.hash(&parts), format!(",qop=auth,nc={nc},cnonce=\"{cnonce}\""))
        }
        Some(_) => return None,
    };
    let response = std::str::from_utf8(response.as_bytes()).expect("hexadecimal digits");
    let opaque = match challenge.opaque() {
        Some(opaque) => format!(",opaque=\"{}\"", std::str::from_utf8(opaque).ok()?),
        None => String::new(),
    };
    let algorithm = algorithm.name();
    Some(format!(
        "Digest username=\"{user}\",realm=\"{realm}\",nonce=\"{nonce}\",uri=\"{uri}\",response=\"{response}\",\
         algorithm={algorithm}{quality}{opaque}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::NonceId;

    const NOW: Mono = Mono(5_000_000_000);

    fn policy(md5: bool, sha256: bool) -> RegistrarPolicy {
        RegistrarPolicy { digest_md5: md5, digest_sha256: sha256, ..RegistrarPolicy::default() }
    }

    fn nonces() -> Nonces {
        Nonces::new([3; 16])
    }

    fn nonce() -> String {
        String::from_utf8(nonces().make(NOW, [0, 0, 0, 9]).to_vec()).unwrap()
    }

    /// A REGISTER with this Authorization value.
    fn register(authorization: &str) -> Vec<u8> {
        format!(
            "REGISTER sip:demo.hotdesk SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@demo.hotdesk>;tag=1\r\n\
             To: <sip:a@demo.hotdesk>\r\nCall-ID: c\r\nCSeq: 1 REGISTER\r\nAuthorization: {authorization}\r\n\r\n"
        )
        .into_bytes()
    }

    /// What the edge says to these credentials of an account.
    fn verdict_on(
        authorization: &str,
        policy: &RegistrarPolicy,
        now: Mono,
        account: Option<(&str, &SipSecret)>,
    ) -> Result<Proof, Refused> {
        let bytes = register(authorization);
        let request = sip::Message::parse(&bytes, &sip::Limits::default()).unwrap();
        let uris = RegistrarUris::of(&["demo.hotdesk".into()]);
        let asked = Asked { uris: &uris, policy, nonces: &nonces(), now };
        assert!(credentials_for(&request, sip::Name::ProxyAuthorization, "demo.hotdesk").is_none());
        let credentials = credentials_for(&request, sip::Name::Authorization, "demo.hotdesk");
        verify(&credentials.ok_or(Refused::Missing)?, &request, account, &asked)
    }

    /// The same for `desk-1`, whose password is `secret`.
    fn verdict(authorization: &str, policy: &RegistrarPolicy, now: Mono) -> Result<Proof, Refused> {
        let secret = secret("desk-1", "demo.hotdesk", "secret");
        verdict_on(authorization, policy, now, Some(("desk-1", &secret)))
    }

    /// Credentials as a phone makes them from a challenge, by the client side.
    fn credentials(challenge: &str, user: &str, password: &str, request: (&str, &str)) -> String {
        let challenge = sip::Challenge::parse(challenge.as_bytes()).unwrap();
        let secret = secret(user, "demo.hotdesk", password);
        answer(&challenge, (user, &secret), "demo.hotdesk", request, "c0ffee", 1).unwrap()
    }

    const REGISTER: (&str, &str) = ("REGISTER", "sip:demo.hotdesk");

    fn challenge(extra: &str) -> String {
        format!("Digest realm=\"demo.hotdesk\", nonce=\"{}\"{extra}", nonce())
    }

    #[test]
    fn md5_is_the_same_in_blocks_and_piece_by_piece() {
        let text = [b'x'; 400];
        for length in 0..400 {
            let parts: [&[u8]; 3] = [&text[..length / 2], b"", &text[..length - length / 2]];
            let whole = parts.join(&b':');

            let expected = Hex::of(&Md5::digest(&whole));
            assert_eq!(Algorithm::Md5.hash(&parts).as_bytes(), expected.as_bytes(), "{length}");
        }
    }

    #[test]
    fn the_examples_of_rfc_7616_come_out() {
        // §3.9.1: both algorithms.
        let secret = secret("Mufasa", "http-auth@example.org", "Circle of Life");
        let answered = |algorithm| {
            let challenge = format!(
                "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
                 nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
                 opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            );
            let challenge = sip::Challenge::parse(challenge.as_bytes()).unwrap();
            let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
            let (realm, request) = ("http-auth@example.org", ("GET", "/dir/index.html"));
            answer(&challenge, ("Mufasa", &secret), realm, request, cnonce, 1)
        };

        let md5 = answered("MD5").unwrap();
        assert!(md5.contains("response=\"8ca523f5e9506fed4657c9700eebdbec\""), "{md5}");
        assert!(md5.ends_with(",opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""), "{md5}");
        let sha256 = answered("SHA-256").unwrap();
        let wanted = "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1";
        assert!(sha256.contains(wanted), "{sha256}");
        assert_eq!(answered("SHA-512-256"), None);
    }

    #[test]
    fn the_example_of_rfc_2617_comes_out() {
        let ha1 = secret("Mufasa", "testrealm@host.com", "Circle Of Life").ha1_md5.unwrap();
        let ha2 = Algorithm::Md5.hash(&[b"GET", b"/dir/index.html"]);

        let nonce = b"dcd98b7102dd2f0e8b11d0f600bfb0c093";
        let response = Algorithm::Md5.hash(&[&ha1, nonce, b"00000001", b"0a4f113b", b"auth", ha2.as_bytes()]);

        assert_eq!(&ha1, b"939e7578ed9e3c518a452acee763bce9");
        assert_eq!(response.as_bytes(), b"6629fae49393a05397450978507c4ef1");
    }

    #[test]
    fn a_right_answer_proves_the_account() {
        let count = |count| Ok(Proof { nonce: NonceId(5 << 32 | 9), count });
        let both = policy(true, true);
        for (extra, wanted) in [
            (",qop=\"auth\"", count(Some(1))),
            (",qop=\"auth\",algorithm=MD5", count(Some(1))),
            (",qop=\"auth\",algorithm=SHA-256", count(Some(1))),
            ("", count(None)),
            (",algorithm=SHA-256", count(None)),
        ] {
            let right = credentials(&challenge(extra), "desk-1", "secret", REGISTER);
            assert_eq!(verdict(&right, &both, NOW), wanted, "{extra}");
            assert_eq!(verdict(&right.replace("algorithm=MD5,", ""), &both, NOW), wanted, "{extra}");
            // Hexadecimal digits of either case.
            let (head, tail) = right.split_once("response=\"").unwrap();
            let (response, tail) = tail.split_once('"').unwrap();
            let upper = format!("{head}response=\"{}\"{tail}", response.to_uppercase());
            assert_eq!(verdict(&upper, &both, NOW), wanted, "{extra}");
        }
    }

    #[test]
    fn a_count_is_hashed_as_it_was_written() {
        for count in ["0000000a", "0000000A"] {
            let secret = secret("desk-1", "demo.hotdesk", "secret");
            let (ha2, nonce) = (Algorithm::Md5.hash(&[b"REGISTER", b"sip:demo.hotdesk"]), nonce());
            let ha1 = Algorithm::Md5.ha1(&secret).unwrap();
            let parts = [ha1, nonce.as_bytes(), count.as_bytes(), b"c", b"auth", ha2.as_bytes()];
            let response = Algorithm::Md5.hash(&parts);
            let response = std::str::from_utf8(response.as_bytes()).unwrap();
            let made = format!(
                "Digest username=\"desk-1\",realm=\"demo.hotdesk\",nonce=\"{nonce}\",uri=\"sip:demo.hotdesk\",\
                 response=\"{response}\",qop=auth,nc={count},cnonce=\"c\""
            );

            let proof = verdict(&made, &policy(true, false), NOW).unwrap();

            assert_eq!(proof.count, Some(10));
        }
    }

    #[test]
    fn whatever_was_not_asked_for_proves_nothing() {
        let md5 = policy(true, false);
        let right = credentials(&challenge(",qop=\"auth\""), "desk-1", "secret", REGISTER);
        assert!(verdict(&right, &md5, NOW).is_ok());

        for (from, to) in [
            ("qop=auth", "qop=auth-int"),
            ("qop=auth", "qop=\"\""),
            ("nc=00000001", "nc=1"),
            ("nc=00000001", "nc=00000002"),
            (",nc=00000001", ""),
            (",cnonce=\"c0ffee\"", ""),
            ("cnonce=\"c0ffee\"", "cnonce=\"c0ffe\""),
            ("uri=\"sip:demo.hotdesk\"", "uri=\"sip:demo.hotdesk:5060\""),
            ("algorithm=MD5", "algorithm=SHA-256"),
            ("algorithm=MD5", "algorithm=MD5-sess"),
            ("response=\"", "response=\"0"),
            ("response=", "respons="),
            ("username=\"desk-1\"", "username=\"desk-2\""),
            ("username=\"desk-1\",", ""),
        ] {
            assert_eq!(verdict(&right.replace(from, to), &md5, NOW), Err(Refused::Wrong), "{from} {to}");
        }
        for (from, to) in [("=\"demo.hotdesk\"", "=\"other\""), ("Digest", "Digestive"), ("Digest ", "")] {
            assert_eq!(verdict(&right.replace(from, to), &md5, NOW), Err(Refused::Missing), "{from} {to}");
        }
        let wrong = credentials(&challenge(",qop=\"auth\""), "desk-1", "secre", REGISTER);
        assert_eq!(verdict(&wrong, &md5, NOW), Err(Refused::Wrong));
        let invite =
            credentials(&challenge(",qop=\"auth\""), "desk-1", "secret", ("INVITE", "sip:demo.hotdesk"));
        assert_eq!(verdict(&invite, &md5, NOW), Err(Refused::Wrong));
        assert_eq!(verdict(&right, &policy(false, true), NOW), Err(Refused::Wrong));
    }

    #[test]
    fn the_uri_names_the_same_user_whatever_else_it_says() {
        let md5 = policy(true, false);
        for uri in ["sip:demo.hotdesk:5060", "sip:192.0.2.1;transport=udp", "sips:other.example"] {
            let lenient = credentials(&challenge(",qop=\"auth\""), "desk-1", "secret", ("REGISTER", uri));
            assert!(verdict(&lenient, &md5, NOW).is_ok(), "{uri}");
        }
        for uri in ["sip:1001@demo.hotdesk", "tel:+1", "nonsense", ""] {
            let other = credentials(&challenge(",qop=\"auth\""), "desk-1", "secret", ("REGISTER", uri));
            assert_eq!(verdict(&other, &md5, NOW), Err(Refused::Wrong), "{uri}");
        }
    }

    #[test]
    fn an_old_or_foreign_nonce_is_stale_if_the_answer_is_right() {
        let md5 = policy(true, false);
        let right = credentials(&challenge(",qop=\"auth\""), "desk-1", "secret", REGISTER);
        let wrong = credentials(&challenge(",qop=\"auth\""), "desk-1", "other", REGISTER);
        let foreign = "Digest realm=\"demo.hotdesk\",nonce=\"of-another-life\",qop=\"auth\"";
        let later = NOW + super::super::LIFETIME;

        assert_eq!(verdict(&right, &md5, later), Err(Refused::Stale));
        assert_eq!(verdict(&wrong, &md5, later), Err(Refused::Wrong));
        assert_eq!(
            verdict(&credentials(foreign, "desk-1", "secret", REGISTER), &md5, NOW),
            Err(Refused::Stale)
        );
        assert_eq!(
            verdict(&credentials(foreign, "desk-1", "other", REGISTER), &md5, NOW),
            Err(Refused::Wrong)
        );
    }

    #[test]
    fn an_account_that_is_not_there_is_like_a_wrong_secret() {
        let made = credentials(&challenge(",qop=\"auth\""), "nobody", "x", REGISTER);

        let md5 = policy(true, false);
        assert_eq!(verdict_on(&made, &md5, NOW, None), Err(Refused::Wrong));
        assert_eq!(
            verdict_on(&made, &md5, NOW, Some(("nobody", &SipSecret::default()))),
            Err(Refused::Wrong)
        );
    }

    #[test]
    fn nobody_proves_himself_with_what_stands_for_no_secret() {
        let ha2 = Algorithm::Md5.hash(&[b"REGISTER", b"sip:demo.hotdesk"]);
        let nonce = nonce();
        let response = Algorithm::Md5.hash(&[Algorithm::Md5.no_ha1(), nonce.as_bytes(), ha2.as_bytes()]);
        let response = std::str::from_utf8(response.as_bytes()).unwrap();

        let forged = format!(
            "Digest username=\"nobody\",realm=\"demo.hotdesk\",nonce=\"{nonce}\",uri=\"sip:demo.hotdesk\",response=\"{response}\""
        );

        assert_eq!(verdict_on(&forged, &policy(true, false), NOW, None), Err(Refused::Wrong));
    }

    #[test]
    fn a_challenge_offers_each_algorithm_on_its_own_line() {
        let nonce = nonces().make(NOW, [0; 4]);
        let values = |md5, sha256, stale| -> Vec<String> {
            Challenge::new("demo.hotdesk", &nonce, stale, &policy(md5, sha256))
                .values()
                .map(Into::into)
                .collect()
        };

        let both = values(true, true, false);
        assert_eq!(both.len(), 2);
        assert!(both[0].contains("algorithm=SHA-256") && both[1].contains("algorithm=MD5"));
        for value in both.iter().chain(&values(true, false, true)) {
            let read = sip::Challenge::parse(value.as_bytes()).unwrap();
            assert_eq!(read.realm(), Some(&b"demo.hotdesk"[..]));
            assert_eq!(read.nonce(), Some(&nonce[..]));
            assert_eq!(read.qop(), Some(&b"auth"[..]));
        }
        assert!(sip::Challenge::parse(values(true, false, true)[0].as_bytes()).unwrap().is_stale());
        assert!(!sip::Challenge::parse(both[0].as_bytes()).unwrap().is_stale());
    }

    #[test]
    fn a_phones_challenge_is_answered_for_our_realm_alone() {
        let secret = secret("desk-1", "demo.hotdesk", "secret");
        let answered = |challenge: &str| {
            let challenge = sip::Challenge::parse(challenge.as_bytes()).unwrap();
            answer(&challenge, ("desk-1", &secret), "demo.hotdesk", ("NOTIFY", "sip:desk-1@h"), "c", 1)
        };

        assert!(answered("Digest realm=\"demo.hotdesk\",nonce=\"n\",qop=\"auth-int, auth\"").is_some());
        assert_eq!(answered("Digest realm=\"pbx.example\",nonce=\"n\",qop=\"auth\""), None);
        assert_eq!(answered("Digest realm=\"demo.hotdesk\",nonce=\"n\",qop=\"auth-int\""), None);
        assert_eq!(answered("Digest realm=\"demo.hotdesk\",qop=\"auth\""), None);
        assert_eq!(answered("Other realm=\"demo.hotdesk\",nonce=\"n\""), None);
    }
}
