//! The location service (RFC 3261 §10): address-of-record → contacts, for all workers.
//!
//! In: what the registrar decided about one account, lost connections, time. Out: contacts, which account a flow
//! belongs to, and what a store should keep. It knows no SIP message and no seat: what a binding was registered under
//! is an opaque [`Holder`], and whether that still counts is for the reader to say.
//!
//! One table of 1,024 locked shards holds one packed record per account (`record.rs`); a change decodes it into a
//! [`Draft`], and puts it back in place if its length is the same, as at a refresh. No guard outlives a call, and no
//! closure given to this module may call back into it or into another table. A closure that panics leaves the record
//! as it was: it had only a draft.

mod binding;
mod change;
mod crowd;
mod departed;
mod draft;
mod expiry;
mod index;
mod record;
mod refresh;
mod stored;
mod wheel;
mod window;

use std::hash::{BuildHasherDefault, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use dashmap::DashMap;
use siphasher::sip::SipHasher13;
use smallvec::SmallVec;

use crate::auth::Proof;
use crate::flow::Flow;
use crate::hash::Identity;
use crate::now::{Mono, Now};
use crate::query::Record;

pub use binding::{
    Binding, Contact, Holder, INSTANCE_LENGTH_MAX, Renewed, URI_LENGTH_MAX, device_hash, instance_hash,
    stable_hash,
};
pub use draft::{CONTACTS_PER_AOR_MAX, Draft};
pub use expiry::Upkeep;
pub use record::NAME_LENGTH_MAX;
pub use stored::{Aor, ImportError};
pub use window::{NONCES_PER_AOR_MAX, NonceUse};

/// Locks of the table. A shard grows in one go: with 1,024 a million records stall a worker 3 ms at worst, with 8
/// shards 13 ms.
const SHARDS: usize = 1024;

/// Octets of tenant id and user, or instance, together, as they come: a `urn:uuid` has 45.
const KEY_LENGTH_TYPICAL: usize = 96;

/// How much there is. Bindings count until their expiry was worked off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Addresses-of-record with a binding.
    pub aors: usize,
    /// Bindings.
    pub bindings: usize,
}

/// The bindings of all accounts.
#[derive(Debug)]
pub struct Location {
    records: DashMap<u64, Box<[u8]>, BuildHasherDefault<Identity>>,
    /// Flows of bindings over streams, and of all bindings of device accounts.
    flows: index::Flows,
    /// Instances of the bindings of device accounts, by tenant.
    instances: index::Instances,
    departed: departed::Departed,
    crowds: crowd::Crowds,
    hasher: SipHasher13,
    aors: AtomicUsize,
    bindings: AtomicUsize,
}

impl Location {
    /// An empty one under a key that must be random and new at every start: with it nobody outside can make names
    /// that fall on one shard.
    pub fn new(key: [u8; 16]) -> Self {
        Self {
            records: DashMap::with_hasher_and_shard_amount(BuildHasherDefault::default(), SHARDS),
            flows: index::Flows::new(SHARDS),
            instances: index::Instances::new(SHARDS),
            departed: departed::Departed::default(),
            crowds: crowd::Crowds::default(),
            hasher: SipHasher13::new_with_key(&key),
            aors: AtomicUsize::new(0),
            bindings: AtomicUsize::new(0),
        }
    }

    // --- Readers ---

    /// The live contacts of an account, oldest first. Those whose connection is gone have no flow.
    pub fn contacts(&self, tenant: &str, user: &[u8], now: Mono) -> SmallVec<[Contact; 2]> {
        let mut contacts = SmallVec::new();
        self.read(tenant, user, now, |binding| contacts.push(binding.into()));
        contacts
    }

    /// Shows each live binding of an account to `show`, oldest first, without copying. The shard is locked
    /// meanwhile: `show` does no more than compare and write.
    pub fn read(&self, tenant: &str, user: &[u8], now: Mono, mut show: impl FnMut(&Binding<'_>)) {
        let Some(bucket) = self.records.get(&self.key(tenant, user)) else { return };
        let Some(range) = record::find(&bucket, tenant, user) else { return };
        let bindings = record::bindings(&bucket[range]);
        bindings.filter(|binding| binding.expires_at > now).for_each(|binding| show(&binding));
    }

    /// True if the account has a live binding over `flow`: what comes over it is as good as its REGISTER.
    pub fn account_has_flow(&self, tenant: &str, user: &[u8], flow: &Flow, now: Mono) -> bool {
        let mut has = false;
        self.read(tenant, user, now, |binding| has |= binding.flow.as_ref() == Some(flow));
        has
    }

    /// True if any account has a live binding over this connection. Datagram flows of ordinary phones are not indexed
    /// and count as unused.
    pub fn is_used(&self, flow: &Flow, now: Mono) -> bool {
        self.flows.all(self.flow_hash(flow)).into_iter().any(|key| {
            self.aors_at(key, |_| true)
                .iter()
                .any(|aor| self.account_has_flow(&aor.tenant, aor.user.as_bytes(), flow, now))
        })
    }

    /// The device account that has a live binding over `flow`, if it is the only one.
    pub fn device_of_flow(&self, flow: &Flow, now: Mono) -> Option<Aor> {
        let keys = self.flows.of_phone(self.flow_hash(flow));
        self.only_device(&keys, now, |binding| binding.flow.as_ref() == Some(flow))
    }

    /// The device account of `tenant` that was the last to register with this `+sip.instance`; it need not be
    /// registered any more.
    pub fn device_of_instance(&self, tenant: &str, instance: &[u8], now: Mono) -> Option<Aor> {
        let hash = self.instance_hash(tenant, instance);
        let has_it = |record: &[u8]| {
            let draft = record::decode(record, now);
            draft.device_account && draft.bindings().iter().any(|binding| *binding.instance == *instance)
        };
        let registered = self.instances.key_of(hash).and_then(|key| self.aors_at(key, has_it).pop());
        registered.or_else(|| self.departed.device_of(hash)).filter(|aor| *aor.tenant == *tenant)
    }

    /// How much there is.
    pub fn census(&self) -> Census {
        Census { aors: self.aors.load(Relaxed), bindings: self.bindings.load(Relaxed) }
    }

    fn only_device(&self, keys: &[u64], now: Mono, is: impl Fn(&Binding<'_>) -> bool) -> Option<Aor> {
        let mut found = None;
        for key in keys {
            let Some(bucket) = self.records.get(key) else { continue };
            for range in record::records(&bucket) {
                let record = &bucket[range.clone()];
                let mut live = record::bindings(record).filter(|binding| binding.expires_at > now);
                if !record::is_of_device(record) || !live.any(|binding| is(&binding)) {
                    continue;
                }
                if found.is_some() {
                    return None;
                }
                found = Some(aor_of(&bucket[range]));
            }
        }
        found
    }

    fn read_at<R>(
        &self,
        key: u64,
        tenant: &str,
        user: &[u8],
        now: Mono,
        read: impl FnOnce(&Draft<'_>) -> R,
    ) -> Option<R> {
        let bucket = self.records.get(&key)?;
        let range = record::find(&bucket, tenant, user)?;
        Some(read(&record::decode(&bucket[range], now)))
    }

    // --- Changes ---

    /// Changes one account's record in one lock; the record springs into being with its first binding or nonce. All
    /// that `change` did to the draft counts, or nothing if it panics.
    ///
    /// Refreshes reach the store by [`Self::write_behind`]. Whoever adds or removes bindings gives [`Self::snapshot`]
    /// to the store himself, and before he answers.
    ///
    /// An account whose tenant id or user is longer than [`NAME_LENGTH_MAX`] or no UTF-8 has no record: its draft is
    /// dropped. No configuration names such accounts.
    pub fn update<R>(
        &self,
        tenant: &str,
        user: &[u8],
        now: Mono,
        upkeep: &mut Upkeep,
        change: impl FnOnce(&mut Draft<'_>) -> R,
    ) -> R {
        self.update_at(self.key(tenant, user), tenant, user, now, Some(upkeep), change)
    }

    /// What a proof of an account is, and spends it if it is fresh. For requests other than REGISTER, which does it
    /// together with its bindings. `print` stands for the request, so that its retransmission is known.
    pub fn accept_nonce(
        &self,
        tenant: &str,
        user: &[u8],
        proof: Proof,
        print: u32,
        now: Mono,
        upkeep: &mut Upkeep,
    ) -> NonceUse {
        self.update(tenant, user, now, upkeep, |draft| {
            let verdict = draft.judge_nonce(proof, print);
            draft.spend_nonce(proof, print);
            verdict
        })
    }

    /// Removes the bindings of an account that `keep` does not want; returns them. The caller sees to the store.
    ///
    /// Eviction is `|binding| binding.holder.is_none_or(|holder| …)`: bindings of ordinary phones have no holder.
    pub fn retain(
        &self,
        tenant: &str,
        user: &[u8],
        now: Mono,
        upkeep: &mut Upkeep,
        mut keep: impl FnMut(&Binding<'_>) -> bool,
    ) -> SmallVec<[Contact; 2]> {
        let mut removed = SmallVec::new();
        self.update(tenant, user, now, upkeep, |draft| {
            draft.retain(|binding| {
                let stays = keep(binding);
                if !stays {
                    removed.push(binding.into());
                }
                stays
            });
        });
        removed
    }

    /// A connection ended: its bindings stay but lead nowhere until the phone comes back. Returns how many. The work
    /// is bounded by the accounts that were registered over it.
    pub fn lose(&self, flow: &Flow, now: Mono, upkeep: &mut Upkeep) -> usize {
        let mut lost = 0;
        for key in self.flows.all(self.flow_hash(flow)) {
            for aor in self.aors_at(key, |_| true) {
                lost += self.update_at(key, &aor.tenant, aor.user.as_bytes(), now, Some(upkeep), |draft| {
                    draft.lose(flow)
                });
            }
        }
        lost
    }

    // --- The store ---

    /// What the store should keep of an account now.
    pub fn snapshot(&self, tenant: &str, user: &[u8], now: Now) -> Record {
        let aor = Aor { tenant: tenant.into(), user: String::from_utf8_lossy(user).into() };
        Record::Bindings { aor: aor.key(), record: self.export(tenant, user, now) }
    }

    /// The live bindings of an account in stored form, expiries on the wall clock; `None` if there are none.
    pub fn export(&self, tenant: &str, user: &[u8], now: Now) -> Option<Box<[u8]>> {
        let key = self.key(tenant, user);
        self.read_at(key, tenant, user, now.mono, |draft| stored::write(draft, now))?
    }

    /// Takes over stored bindings at start; returns how many of them live. None lives longer than `expires_max`
    /// seconds; bindings over streams have no flow until their phone is back. An account that is here already stays as
    /// it is. [`Self::adopt`] must follow.
    pub fn import(&self, aor: &str, bytes: &[u8], now: Now, expires_max: u32) -> Result<usize, ImportError> {
        let (tenant, user) = stored::names(aor).ok_or(ImportError::Key)?;
        let user = user.as_bytes();
        if !is_name(&tenant, user) {
            return Err(ImportError::Key);
        }
        let stored = stored::read(bytes, now, expires_max).ok_or(ImportError::Record)?;
        let key = self.key(&tenant, user);
        if self.insert_at(key, &tenant, user, now.mono, &stored) {
            return Ok(stored.bindings().len());
        }
        let live = self.update_at(key, &tenant, user, now.mono, None, |draft| {
            if draft.bindings().is_empty() {
                draft.set_device_account(stored.device_account);
                stored.bindings().iter().filter(|binding| draft.add(binding.to_owned_texts())).count()
            } else {
                0
            }
        });
        Ok(live)
    }

    // --- Hashes ---

    fn key(&self, tenant: &str, user: &[u8]) -> u64 {
        // In one go, which takes half of what it takes piece by piece.
        let mut octets = [0; KEY_LENGTH_TYPICAL];
        let length = tenant.len() + 1 + user.len();
        if let Some(octets) = octets.get_mut(..length) {
            octets[..tenant.len()].copy_from_slice(tenant.as_bytes());
            octets[tenant.len() + 1..].copy_from_slice(user);
            return self.hasher.hash(octets);
        }
        self.hasher.hash(&[tenant.as_bytes(), &[0], user].concat())
    }

    fn instance_hash(&self, tenant: &str, instance: &[u8]) -> u64 {
        self.key(tenant, instance)
    }

    fn flow_hash(&self, flow: &Flow) -> u64 {
        let mut hasher = self.hasher;
        flow.hash(&mut hasher);
        hasher.finish()
    }

    /// The addresses-of-record in a bucket whose record `is` of interest.
    fn aors_at(&self, key: u64, is: impl Fn(&[u8]) -> bool) -> SmallVec<[Aor; 1]> {
        let Some(bucket) = self.records.get(&key) else { return SmallVec::new() };
        let records = record::records(&bucket).map(|range| &bucket[range]);
        records.filter(|record| is(record)).map(aor_of).collect()
    }
}

fn is_name(tenant: &str, user: &[u8]) -> bool {
    tenant.len() <= NAME_LENGTH_MAX && user.len() <= NAME_LENGTH_MAX && std::str::from_utf8(user).is_ok()
}

fn aor_of(record: &[u8]) -> Aor {
    let (tenant, user) = record::name(record);
    let text = |bytes| Box::from(std::str::from_utf8(bytes).expect("names are UTF-8: is_name saw to it"));
    Aor { tenant: text(tenant), user: text(user) }
}

#[cfg(test)]
mod tests;
