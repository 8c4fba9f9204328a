//! One binding: as a change sees it ([`Binding`], borrowed from the record) and as a reader takes it away
//! ([`Contact`], owned).

use std::borrow::Cow;
use std::hash::Hasher as _;
use std::time::Duration;

use siphasher::sip::SipHasher13;

use crate::auth::Proof;
use crate::flow::Flow;
use crate::now::Mono;

/// Longest contact URI that is kept. Desk phones write some 60 octets, browsers some 150.
pub const URI_LENGTH_MAX: usize = 512;

/// Longest `+sip.instance` that is kept, quotes and all. A `urn:uuid` takes 49 octets (RFC 5626 §4.1).
pub const INSTANCE_LENGTH_MAX: usize = 128;

/// The seat under which a hot-desk device registered a contact for an extension. Only its owner knows what the
/// two numbers mean; here they are equal or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Holder {
    /// The device, see [`device_hash`].
    pub device: u64,
    /// The epoch of the seat.
    pub epoch: u64,
}

/// The number that stands for a device in [`Holder::device`], the same after every restart. Names are the
/// operator's, so nobody hostile picks two that collide.
pub fn device_hash(tenant: &str, device: &str) -> u64 {
    stable_hash(&[tenant.as_bytes(), device.as_bytes()])
}

/// A hash that survives restarts, for Call-IDs and branches: whoever makes two of his own collide disturbs only
/// his own binding.
pub fn stable_hash(parts: &[&[u8]]) -> u64 {
    let mut hasher = SipHasher13::new();
    for part in parts {
        hasher.write(part);
        hasher.write_u8(0);
    }
    hasher.finish()
}

/// One contact of an address-of-record within [`Location::update`](super::Location::update).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding<'r> {
    /// The contact URI as the phone gave it, at most [`URI_LENGTH_MAX`] octets.
    pub uri: Cow<'r, [u8]>,
    /// `+sip.instance` as the phone gave it, at most [`INSTANCE_LENGTH_MAX`] octets; empty: none.
    pub instance: Cow<'r, [u8]>,
    /// `reg-id` where the phone keeps several flows (RFC 5626 §4.2); 0: it does not. With the instance it tells the flow.
    pub reg_id: u32,
    /// Preference, 0 to 1000 (RFC 3261 §10.2.1.2: thousandths).
    pub q: u16,
    /// When it ends. Kept in whole seconds, rounded up.
    pub expires_at: Mono,
    /// A hash of the Call-ID, the same after a restart, of the REGISTER that last touched it.
    pub call_id: u64,
    /// CSeq of that REGISTER.
    pub cseq: u32,
    /// Hash of the top branch of that REGISTER.
    pub branch: u32,
    /// The way to the phone; `None`: its connection is gone.
    pub flow: Option<Flow>,
    /// The seat it was registered under, if a hot-desk device registered it for an extension.
    pub holder: Option<Holder>,
}

/// What a REGISTER brings that may be a mere refresh.
#[derive(Debug)]
pub struct Renewed<'a> {
    /// The binding as it shall be.
    pub binding: Binding<'a>,
    /// What the digest proved, to be spent with the change; `None`: nothing is.
    pub proof: Option<Proof>,
    /// It is the account of a hot-desk device.
    pub device_account: bool,
}

impl Binding<'_> {
    /// Seconds it still lives, at least 1, for `expires` parameters.
    pub fn remaining(&self, now: Mono) -> u64 {
        remaining(self.expires_at, now)
    }

    /// The same, borrowing nothing.
    pub(super) fn to_owned_texts(&self) -> Binding<'static> {
        Binding {
            uri: Cow::Owned(self.uri.to_vec()),
            instance: Cow::Owned(self.instance.to_vec()),
            reg_id: self.reg_id,
            q: self.q,
            expires_at: self.expires_at,
            call_id: self.call_id,
            cseq: self.cseq,
            branch: self.branch,
            flow: self.flow,
            holder: self.holder,
        }
    }
}

/// What stands for a `+sip.instance` in [`Contact::instance`]: 0 for none.
pub fn instance_hash(instance: &[u8]) -> u64 {
    if instance.is_empty() { 0 } else { stable_hash(&[instance]).max(1) }
}

/// One contact of an address-of-record, taken away from the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// The contact URI as the phone gave it: the Request-URI of what goes there.
    pub uri: Box<[u8]>,
    /// The way there; `None`: its connection is gone, and no other is made.
    pub flow: Option<Flow>,
    /// Preference, 0 to 1000.
    pub q: u16,
    /// When it ends.
    pub expires_at: Mono,
    /// Tells phones apart: a hash of `+sip.instance`, 0 without one.
    pub instance: u64,
    /// A hash of the Call-ID of the REGISTER that last touched it.
    pub call_id: u64,
    /// The seat it was registered under, if a hot-desk device registered it for an extension.
    pub holder: Option<Holder>,
}

impl From<&Binding<'_>> for Contact {
    fn from(binding: &Binding<'_>) -> Self {
        Self {
            uri: (*binding.uri).into(),
            flow: binding.flow,
            q: binding.q,
            expires_at: binding.expires_at,
            instance: instance_hash(&binding.instance),
            call_id: binding.call_id,
            holder: binding.holder,
        }
    }
}

pub(super) fn remaining(expires_at: Mono, now: Mono) -> u64 {
    expires_at.since(now).as_secs().max(1)
}

/// Whole seconds, rounded up, so that nothing ends before its time.
pub(super) fn seconds_up(instant: Mono) -> u32 {
    (instant + Duration::from_nanos(999_999_999)).seconds()
}
