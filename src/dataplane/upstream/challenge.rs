//! What peers have asked, kept so that the next request brings the answer along (RFC 7616 §3.6).
//!
//! One for each worker: each is asked once by each peer, and counts by itself how often it has used its nonce. A reload
//! forgets all of it.

use std::collections::HashMap;
use std::fmt;
use std::hash::BuildHasher as _;
use std::net::SocketAddr;

use crate::auth::{Ask, Ha1};
use crate::hash::NameHasher;
use crate::random::Random;
use crate::settings::PeerAccount;

/// Accounts at addresses of peers, more than a carrier has gateways. Beyond it another is forgotten and asks again.
const KNOWN_MAX: usize = 4096;

/// A header that says who the edge is.
#[derive(Clone)]
pub(crate) struct Credentials {
    /// Authorization for a user agent that asks, Proxy-Authorization for a proxy.
    pub(crate) name: sip::Name,
    pub(crate) value: Box<[u8]>,
}

/// What a peer asked of one of our accounts.
struct Known {
    ask: Ask,
    ha1: Ha1,
    /// How it is answered.
    name: sip::Name,
    /// How often its nonce was used.
    count: u32,
}

/// What peers have asked this worker.
#[derive(Default)]
pub(crate) struct Challenges {
    known: HashMap<u64, Known, NameHasher>,
}

/// A challenge as far as it can be answered: next time [`Challenges::credentials`] are asked for, they answer it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answerable {
    /// Only the nonce was too old.
    pub(crate) stale: bool,
}

fn key(account: &PeerAccount, peer: SocketAddr) -> u64 {
    NameHasher::default().hash_one((peer, &account.username, &account.realm))
}

impl Challenges {
    /// Takes the strongest challenge of a 401 or 407 of `peer` that the edge can answer: of the realm of the account, or of
    /// that which this peer named first, since what stands behind it may ask as well and is no business of ours.
    /// `None`: there is none, and what was known stays.
    pub(crate) fn ask(
        &mut self,
        account: &PeerAccount,
        peer: SocketAddr,
        response: &sip::Message<'_>,
    ) -> Option<Answerable> {
        let (asks, name) = match response.status()? {
            401 => (sip::Name::WwwAuthenticate, sip::Name::Authorization),
            _ => (sip::Name::ProxyAuthenticate, sip::Name::ProxyAuthorization),
        };
        let key = key(account, peer);
        let of_account = account.realm.as_ref().map(|realm| realm.as_bytes());
        let mut realm = of_account.or_else(|| self.known.get(&key).map(|known| known.ask.realm()));
        let challenges: Vec<_> = response
            .challenges(asks)
            .flatten()
            .filter_map(|challenge| Some((Ask::read(&challenge)?, challenge.is_stale())))
            .collect();
        let mut best: Option<&(Ask, bool)> = None;
        for challenge in &challenges {
            let (ask, _) = challenge;
            let is_best = best.is_none_or(|(best, _)| ask.is_stronger_than(best));
            let is_meant = *realm.get_or_insert(ask.realm()) == ask.realm();
            if is_meant && is_best {
                best = Some(challenge);
            }
        }
        let (ask, stale) = best.cloned()?;
        if self.known.len() >= KNOWN_MAX
            && !self.known.contains_key(&key)
            && let Some(other) = self.known.keys().next().copied()
        {
            self.known.remove(&other);
        }
        let ha1 = ask.ha1(&account.username, &account.password);
        self.known.insert(key, Known { ask, ha1, name, count: 0 });
        Some(Answerable { stale })
    }

    /// Credentials for a request to `peer`, its method and Request-URI, if it has asked before.
    pub(crate) fn credentials(
        &mut self,
        account: &PeerAccount,
        peer: SocketAddr,
        request: (&[u8], &[u8]),
        random: &mut Random,
    ) -> Option<Credentials> {
        let known = self.known.get_mut(&key(account, peer))?;
        let cnonce = random.token::<16>();
        let count = known.count.saturating_add(1);
        let value = known.ask.answer(&account.username, known.ha1.as_bytes(), request, &cnonce, count)?;
        known.count = count;
        Some(Credentials { name: known.name, value: value.into() })
    }

    /// The peer may say in an answer which nonce it wants to see next (RFC 7616 §3.5).
    pub(crate) fn renew(&mut self, account: &PeerAccount, peer: SocketAddr, response: &sip::Message<'_>) {
        let Some(info) = response.header(sip::Name::AuthenticationInfo) else { return };
        let Some(known) = self.known.get_mut(&key(account, peer)) else { return };
        // The header is a challenge without a scheme.
        let value = [b"Digest ", info].concat();
        let next = sip::Challenge::parse(&value).ok();
        if let Some(nonce) = next.and_then(|info| info.get("nextnonce")) {
            known.ask.renew(nonce);
            known.count = 0;
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({})", self.name.as_str())
    }
}

impl fmt::Debug for Challenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Challenges({} known)", self.known.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 5060);

    fn account(realm: Option<&str>) -> PeerAccount {
        let password = String::from("secret").into();
        PeerAccount { username: "trunk".into(), password, realm: realm.map(Into::into) }
    }

    /// What becomes of a 401 with these challenges.
    fn asked(challenges: &mut Challenges, account: &PeerAccount, values: &[&str]) -> Option<Answerable> {
        let lines: String =
            values.iter().map(|value| format!("WWW-Authenticate: Digest {value}\r\n")).collect();
        let text = format!("SIP/2.0 401 Unauthorized\r\n{lines}Content-Length: 0\r\n\r\n");
        challenges.ask(account, PEER, &sip::Message::parse(text.as_bytes(), &sip::Limits::default()).unwrap())
    }

    fn credentials(challenges: &mut Challenges, account: &PeerAccount, peer: SocketAddr) -> Option<String> {
        let request = (&b"INVITE"[..], &b"sip:1@pbx"[..]);
        let credentials = challenges.credentials(account, peer, request, &mut Random::new([1; 32]))?;
        assert_eq!(credentials.name, sip::Name::Authorization);
        Some(String::from_utf8(credentials.value.to_vec()).unwrap())
    }

    #[test]
    fn strongest_of_the_realm_is_answered_and_counted() {
        let (mut challenges, account) = (Challenges::default(), account(None));
        let md5 = "realm=\"pbx\",nonce=\"a\",qop=\"auth\"";
        let sha = "realm=\"pbx\",nonce=\"b\",qop=\"auth\",algorithm=SHA-256,stale=true";
        let foreign = "realm=\"else\",nonce=\"c\",qop=\"auth\",algorithm=SHA-512-256";

        assert_eq!(credentials(&mut challenges, &account, PEER), None);
        let answerable = asked(&mut challenges, &account, &[md5, sha, foreign]);

        assert_eq!(answerable, Some(Answerable { stale: true }));
        for count in ["nc=00000001", "nc=00000002"] {
            let value = credentials(&mut challenges, &account, PEER).unwrap();
            assert!(value.contains("algorithm=SHA-256") && value.contains(count), "{value}");
        }
    }

    #[test]
    fn another_realm_than_the_first_or_the_one_configured_is_not_answered() {
        let mut challenges = Challenges::default();

        assert!(asked(&mut challenges, &account(None), &["realm=\"pbx\",nonce=\"a\""]).is_some());
        assert!(asked(&mut challenges, &account(None), &["realm=\"else\",nonce=\"a\""]).is_none());
        assert!(asked(&mut challenges, &account(Some("own")), &["realm=\"pbx\",nonce=\"a\""]).is_none());
        assert_eq!(credentials(&mut challenges, &account(Some("own")), PEER), None);
        assert!(asked(&mut challenges, &account(Some("own")), &["realm=\"own\",nonce=\"a\""]).is_some());
    }

    #[test]
    fn what_one_peer_asked_is_told_no_other() {
        let (mut challenges, account) = (Challenges::default(), account(None));
        asked(&mut challenges, &account, &["realm=\"pbx\",nonce=\"a\""]);

        assert_eq!(credentials(&mut challenges, &account, "127.0.0.1:5061".parse().unwrap()), None);
        assert_eq!(credentials(&mut challenges, &account, "127.0.0.2:5060".parse().unwrap()), None);
    }

    #[test]
    fn next_nonce_is_used_from_its_first_count() {
        let (mut challenges, account) = (Challenges::default(), account(None));
        asked(&mut challenges, &account, &["realm=\"pbx\",nonce=\"a\",qop=\"auth\""]);
        credentials(&mut challenges, &account, PEER);

        let text =
            "SIP/2.0 200 OK\r\nAuthentication-Info: nextnonce=\"b\",qop=auth\r\nContent-Length: 0\r\n\r\n";
        let response = sip::Message::parse(text.as_bytes(), &sip::Limits::default()).unwrap();
        challenges.renew(&account, PEER, &response);

        let value = credentials(&mut challenges, &account, PEER).unwrap();
        assert!(value.contains("nonce=\"b\"") && value.contains("nc=00000001"), "{value}");
    }

    #[test]
    fn what_is_known_is_bounded() {
        let (mut challenges, account) = (Challenges::default(), account(None));
        let text = "SIP/2.0 401 Unauthorized\r\nWWW-Authenticate: Digest realm=a,nonce=b\r\nContent-Length: 0\r\n\r\n";
        let response = sip::Message::parse(text.as_bytes(), &sip::Limits::default()).unwrap();

        for port in 0..=KNOWN_MAX as u16 {
            challenges.ask(&account, SocketAddr::new(PEER.ip(), port), &response);
        }

        assert_eq!(challenges.known.len(), KNOWN_MAX);
        assert_eq!(format!("{challenges:?}"), "Challenges(4096 known)");
    }
}
