//! The bindings of one address-of-record as the store keeps them: a version, flags, a count, and each binding as in
//! memory but with its expiry on the wall clock. Nonces are not stored: their key dies with the process.

use std::borrow::Cow;
use std::time::Duration;

use super::binding::Binding;
use super::draft::Draft;
use super::record::{Reader, put_binding, take_binding};
use crate::now::Now;

const VERSION: u8 = 2;
/// Knows no reg-id.
const VERSION_OLDEST: u8 = 1;
const FLAG_DEVICE: u8 = 1;

/// The store hears of a refresh at most this many seconds late; so much is added to what it kept.
const SLACK: u64 = 5;

/// Why stored bindings were not taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The key names no address-of-record.
    #[error("the key of the stored bindings names no address-of-record")]
    Key,
    /// The octets are not what this version or an older one wrote.
    #[error("the stored bindings cannot be read")]
    Record,
}

/// An address-of-record: a tenant and a user of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Aor {
    /// The tenant's id.
    pub tenant: Box<str>,
    /// The account's SIP user.
    pub user: Box<str>,
}

impl Aor {
    /// Its key in the store, the same after every restart: `tenant/user`, with `%` and `/` of the tenant escaped.
    pub fn key(&self) -> Box<str> {
        let tenant = self.tenant.replace('%', "%25").replace('/', "%2F");
        format!("{tenant}/{}", self.user).into()
    }

    /// Reads what [`Self::key`] wrote.
    pub fn from_key(key: &str) -> Option<Self> {
        let (tenant, user) = names(key)?;
        Some(Self { tenant: tenant.into(), user: user.into() })
    }
}

/// Tenant and user of a key in the store. Hardly a tenant's id has anything escaped.
pub(super) fn names(key: &str) -> Option<(Cow<'_, str>, &str)> {
    let (tenant, user) = key.split_once('/')?;
    let tenant = match tenant.contains('%') {
        true => Cow::Owned(tenant.replace("%2F", "/").replace("%25", "%")),
        false => Cow::Borrowed(tenant),
    };
    Some((tenant, user))
}

/// The stored form of what is live in `draft`; `None` if nothing is.
pub(super) fn write(draft: &Draft<'_>, now: Now) -> Option<Box<[u8]>> {
    let live = || draft.bindings().iter().filter(|binding| binding.expires_at > now.mono);
    let count = live().count();
    if count == 0 {
        return None;
    }
    let mut out = vec![VERSION, if draft.device_account { FLAG_DEVICE } else { 0 }, count as u8];
    for binding in live() {
        let left = binding.expires_at.since(now.mono).as_secs();
        // Good until the year 2106.
        let expires = u32::try_from(now.wall_seconds() + left + 1).unwrap_or(u32::MAX);
        put_binding(binding, expires, &mut out);
    }
    Some(out.into())
}

/// Reads the stored form: bindings that still live, none for longer than `expires_max` seconds whatever the wall
/// clock did meanwhile. A stream's binding has no flow until its phone comes back; datagrams still find it.
pub(super) fn read(bytes: &[u8], now: Now, expires_max: u32) -> Option<Draft<'_>> {
    let mut reader = Reader(bytes);
    let [version, flags, count] = reader.array()?;
    if !(VERSION_OLDEST..=VERSION).contains(&version) {
        return None;
    }
    let mut draft = Draft::empty(now.mono);
    draft.device_account = flags & FLAG_DEVICE != 0;
    for _ in 0..count {
        let binding = take_binding(&mut reader, |expires| {
            let left = (u64::from(expires) + SLACK).saturating_sub(now.wall_seconds());
            now.mono + Duration::from_secs(left.min(u64::from(expires_max)))
        })?;
        let flow = binding.flow.filter(|flow| !flow.is_reliable());
        let binding = Binding { flow, q: binding.q.min(1000), ..binding };
        if binding.expires_at > now.mono && !draft.add(binding) {
            return None;
        }
    }
    reader.0.is_empty().then_some(draft)
}
