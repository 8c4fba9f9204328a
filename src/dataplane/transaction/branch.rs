//! The branch of our Via: it says which client transaction a response is for, and proves that we wrote it.
//!
//! ```text
//!  z9hG4bK + base64url of 21 octets = 35 characters
//!
//!  │ worker 1 │ generation 4 │ slot 4 │ loop hash 4 │ MAC 8 │      one of our transactions
//!  │    0     │  63 bits of the incoming request     │ …         none: §16.11, the top bit of slot is set
//! ```
//!
//! The MAC is SipHash-2-4 under a key of this process, so responses to what we never sent die after one hash,
//! whichever worker they reach, and nobody learns to make one by looking at thousands.

use std::hash::Hasher as _;

use siphasher::sip::{SipHasher13, SipHasher24};

use super::ClientId;
use super::key::Fields;
use crate::base64url;
use crate::flow::WorkerId;
use crate::hash::NameHash;
use crate::slots::SlotKey;

/// The cookie of RFC 3261 §8.1.1.7.
const COOKIE: &[u8; 7] = b"z9hG4bK";
const MAC: usize = 8;
const SEALED: usize = 1 + 8 + 4;
const ENCODED: usize = base64url::length(SEALED + MAC);

/// In the slot of a branch: there is no transaction.
const STATELESS: u64 = 1 << 31;

/// As many slots as a branch can name.
pub(super) const SLOTS_MAX: usize = STATELESS as usize;

/// A branch as it stands in a Via.
pub(crate) type Encoded = [u8; COOKIE.len() + ENCODED];

/// As long as any branch, where one is not known yet.
pub(crate) const UNKNOWN: Encoded = [b'0'; COOKIE.len() + ENCODED];

/// What a branch of this process says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Branch {
    /// Whose transaction, and which; `None`: the request was forwarded without one.
    pub(crate) transaction: Option<(WorkerId, ClientId)>,
    /// The [`loop_hash`] of the request as it came to us.
    pub(crate) loop_hash: u32,
}

/// Writes the branch of a client transaction.
pub(super) fn encode(mac_key: &[u8; 16], worker: WorkerId, client: ClientId, loop_hash: u32) -> Encoded {
    seal(mac_key, worker.0, client.0.0, loop_hash)
}

/// Writes the branch of a request that is forwarded without a transaction, such as the ACK of a 2xx. It is the
/// same for each retransmission, on every worker (§16.11). It detects no loop: an ACK that runs in one is ended by
/// Max-Forwards.
pub(crate) fn stateless(
    mac_key: &[u8; 16],
    request: &sip::Message<'_>,
    headers: &sip::Mandatory<'_>,
) -> Encoded {
    let mut fields = Fields::new(SipHasher13::new_with_key(mac_key));
    fields.add(b"stateless");
    let via = &headers.via;
    if via.has_cookie() {
        fields.add(via.branch.unwrap_or_default());
        fields.add(via.host.raw());
        fields.add_number(u64::from(via.port.unwrap_or_default()));
    } else {
        fields.add(via.raw);
        fields.add_call(request, headers, true);
    }
    seal(mac_key, 0, fields.into_hasher().finish() | STATELESS, 0)
}

/// Reads a branch; `None` unless a worker of this process made it.
pub(crate) fn decode(branch: &[u8], mac_key: &[u8; 16]) -> Option<Branch> {
    let encoded = branch.strip_prefix(COOKIE)?;
    let mut octets = [0; SEALED + MAC];
    if !base64url::decode(encoded, &mut octets) {
        return None;
    }
    let (sealed, found) = octets.split_first_chunk::<SEALED>().expect("it has thirteen octets and more");
    if found != mac(mac_key, sealed).to_be_bytes() {
        return None;
    }
    let (worker, rest) = sealed.split_first().expect("it has thirteen octets");
    let (slot, loop_hash) = rest.split_first_chunk::<8>().expect("twelve are left");
    let slot = u64::from_be_bytes(*slot);
    Some(Branch {
        transaction: (slot & STATELESS == 0).then_some((WorkerId(*worker), ClientId(SlotKey(slot)))),
        loop_hash: u32::from_be_bytes(loop_hash.try_into().expect("four are left")),
    })
}

/// The loop detection part of §16.6 item 8, of a request as it came in: all that decides where it goes, and no
/// Via, which differs on every round (RFC 5393 §4.2.1). A request that comes back with the same hash in one of
/// our Vias loops; one that comes back changed (Request-URI, Route) spirals, which is lawful.
pub(crate) fn loop_hash(request: &sip::Message<'_>, headers: &sip::Mandatory<'_>) -> u32 {
    // Whoever makes two of his own requests look alike has one of them refused.
    let mut fields = Fields::new(NameHash::default());
    fields.add_call(request, headers, true);
    for name in [sip::Name::Route, sip::Name::ProxyRequire, sip::Name::ProxyAuthorization] {
        fields.add_all(request, name);
    }
    fields.into_hasher().finish() as u32
}

fn seal(mac_key: &[u8; 16], worker: u8, slot: u64, loop_hash: u32) -> Encoded {
    let mut octets = [0; SEALED + MAC];
    octets[0] = worker;
    octets[1..9].copy_from_slice(&slot.to_be_bytes());
    octets[9..SEALED].copy_from_slice(&loop_hash.to_be_bytes());
    let sealed = octets.first_chunk::<SEALED>().expect("it has thirteen octets and more");
    let mac = mac(mac_key, sealed);
    octets[SEALED..].copy_from_slice(&mac.to_be_bytes());

    let mut branch = [0; COOKIE.len() + ENCODED];
    branch[..COOKIE.len()].copy_from_slice(COOKIE);
    base64url::encode(&octets, &mut branch[COOKIE.len()..]);
    branch
}

fn mac(mac_key: &[u8; 16], sealed: &[u8; SEALED]) -> u64 {
    SipHasher24::new_with_key(mac_key).hash(sealed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::tests::{MAC_KEY, parse};

    const CLIENT: ClientId = ClientId(SlotKey(0xdead_beef_0000_ffff));

    fn request(uri: &str, vias: &str, route: &str) -> String {
        format!(
            "ACK {uri} SIP/2.0\r\n{vias}{route}From: <sip:a@demo>;tag=f\r\nTo: <sip:b@demo>;tag=t\r\n\
             Call-ID: c\r\nCSeq: 5 ACK\r\n\r\n"
        )
    }

    fn stateless_of(text: &str) -> Encoded {
        let message = parse(text.as_bytes());
        stateless(&MAC_KEY, &message, &message.validate().unwrap())
    }

    fn loop_hash_of(text: &str) -> u32 {
        let message = parse(text.as_bytes());
        loop_hash(&message, &message.validate().unwrap())
    }

    const VIA: &str = "Via: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK1\r\n";

    #[test]
    fn a_branch_is_a_token_that_says_what_was_put_in() {
        let branch = encode(&MAC_KEY, WorkerId(255), CLIENT, u32::MAX);

        assert!(branch.starts_with(b"z9hG4bK"));
        assert!(branch.iter().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_')));
        let read = Branch { transaction: Some((WorkerId(255), CLIENT)), loop_hash: u32::MAX };
        assert_eq!(decode(&branch, &MAC_KEY), Some(read));
    }

    #[test]
    fn a_branch_with_any_bit_changed_is_none_of_ours() {
        let branch = encode(&MAC_KEY, WorkerId(1), CLIENT, 7);

        for at in 0..branch.len() * 8 {
            let mut forged = branch;
            forged[at / 8] ^= 1 << (at % 8);
            assert_eq!(decode(&forged, &MAC_KEY), None, "bit {at}");
        }
        assert_eq!(decode(&branch[..34], &MAC_KEY), None);
        assert_eq!(decode(&[&branch[..], b"A"].concat(), &MAC_KEY), None);
        assert_eq!(decode(&branch, &[8; 16]), None, "of another boot");
    }

    #[test]
    fn a_stateless_branch_is_the_same_for_each_retransmission_and_names_no_transaction() {
        let text = request("sip:b@192.0.2.9", VIA, "");
        let branch = stateless_of(&text);

        assert_eq!(stateless_of(&text), branch);
        assert_eq!(decode(&branch, &MAC_KEY), Some(Branch { transaction: None, loop_hash: 0 }));

        for other in [
            request("sip:b@192.0.2.9", "Via: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK2\r\n", ""),
            request("sip:b@192.0.2.9", "Via: SIP/2.0/UDP 192.0.2.8;branch=z9hG4bK1\r\n", ""),
            request("sip:b@192.0.2.9", "Via: SIP/2.0/UDP 192.0.2.7;branch=1\r\n", ""),
        ] {
            assert_ne!(stateless_of(&other), branch, "{other}");
        }
        for number in 0..16 {
            let other = stateless_of(&text.replace("z9hG4bK1", &format!("z9hG4bK{number}")));
            assert_eq!(decode(&other, &MAC_KEY).expect("it is ours").transaction, None, "{number}");
        }
    }

    #[test]
    fn a_stateless_branch_without_the_cookie_follows_the_call() {
        let old = "Via: SIP/2.0/UDP 192.0.2.7;branch=1\r\n";
        let text = request("sip:b@192.0.2.9", old, "");
        let branch = stateless_of(&text);

        assert_eq!(stateless_of(&text), branch);
        let other = text.replace("Call-ID: c", "Call-ID: d");
        assert_ne!(stateless_of(&other), branch);
    }

    #[test]
    fn a_request_that_comes_back_unchanged_loops_and_a_changed_one_spirals() {
        let text = request("sip:b@demo", VIA, "");
        let hash = loop_hash_of(&text);

        let more_vias = format!("Via: SIP/2.0/UDP far.example;branch=z9hG4bKfar\r\n{VIA}");
        let looped = request("sip:b@demo", &more_vias, "");
        assert_eq!(loop_hash_of(&looped), hash);

        for spiral in [
            request("sip:c@demo", &more_vias, ""),
            request("sip:b@demo", &more_vias, "Route: <sip:next.example;lr>\r\n"),
            request("sip:b@demo", &more_vias, "Proxy-Require: x\r\n"),
            request("sip:b@demo", &more_vias, "Proxy-Authorization: Digest x=\"y\"\r\n"),
            looped.replace("CSeq: 5", "CSeq: 6"),
            looped.replace("Call-ID: c", "Call-ID: d"),
            looped.replace("tag=f", "tag=g"),
            looped.replace("tag=t", "tag=u"),
        ] {
            assert_ne!(loop_hash_of(&spiral), hash, "{spiral}");
        }
    }
}
