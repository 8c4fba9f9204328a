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

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use siphasher::sip::{SipHasher13, SipHasher24};

use super::ClientId;
use super::key::Fields;
use crate::flow::WorkerId;
use crate::slots::SlotKey;

/// The cookie of RFC 3261 §8.1.1.7.
const COOKIE: &[u8; 7] = b"z9hG4bK";
const MAC: usize = 8;
const SEALED: usize = 1 + 8 + 4;
const ENCODED: usize = (SEALED + MAC) * 4 / 3;

/// In the slot of a branch: there is no transaction.
const STATELESS: u64 = 1 << 31;

/// As many slots as a branch can name.
pub(super) const SLOTS_MAX: usize = STATELESS as usize;

/// A branch as it stands in a Via.
pub(crate) type Encoded = [u8; COOKIE.len() + ENCODED];

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
/// same for each retransmission, on every worker (§16.11).
pub(crate) fn stateless(mac_key: &[u8; 16], request: &sip::Message<'_>, loop_hash: u32) -> Encoded {
    let mut fields = Fields::new(SipHasher13::new_with_key(mac_key));
    fields.add(b"stateless");
    match request.top_via() {
        Ok(via) if via.has_cookie() => {
            fields.add(via.branch.unwrap_or_default());
            fields.add(via.host.raw());
            fields.add_number(u64::from(via.port.unwrap_or_default()));
        }
        via => {
            fields.add(via.map_or(b"", |via| via.raw));
            fields.add_call(request, true);
        }
    }
    seal(mac_key, 0, fields.into_hasher().finish() | STATELESS, loop_hash)
}

/// Reads a branch; `None` unless a worker of this process made it.
pub(crate) fn decode(branch: &[u8], mac_key: &[u8; 16]) -> Option<Branch> {
    let encoded: &[u8; ENCODED] = branch.strip_prefix(COOKIE)?.try_into().ok()?;
    let mut octets = [0; SEALED + MAC];
    URL_SAFE_NO_PAD.decode_slice(encoded, &mut octets).ok()?;
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
pub(crate) fn loop_hash(request: &sip::Message<'_>) -> u32 {
    let mut fields = Fields::new(SipHasher13::new());
    fields.add_call(request, true);
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
    let length = URL_SAFE_NO_PAD.encode_slice(octets, &mut branch[COOKIE.len()..]);
    debug_assert_eq!(length, Ok(ENCODED));
    branch
}

fn mac(mac_key: &[u8; 16], sealed: &[u8; SEALED]) -> u64 {
    let mut hasher = SipHasher24::new_with_key(mac_key);
    hasher.write(sealed);
    hasher.finish()
}
