//! The way back: from a flow, or an instance, to the addresses-of-record that have it.
//!
//! An entry is made and unmade with its binding, under the lock of the record: a record's shard is locked first, then
//! an index's, never the other way round. Readers take the keys away and read the records themselves, which have the
//! last word; so nothing here needs to be exact at every instant, and no name is kept twice.
//!
//! Trees, not hash tables: a million entries are spread over shards that all fill at the same pace, so hash tables
//! would all double at about the same time and stand half empty until they do. A tree is two thirds full at any size.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use smallvec::SmallVec;

/// Accounts that one phone may have on a flow. What has more is no phone but a proxy, and says nothing about a device.
pub(super) const ACCOUNTS_PER_PHONE_MAX: usize = 16;

/// From the hash of a flow to the keys of all records that have it.
#[derive(Debug)]
pub(super) struct Flows(Sharded<BTreeSet<(u64, u64)>>);

impl Flows {
    pub(super) fn new(shards: usize) -> Self {
        Self(Sharded::new(shards))
    }

    pub(super) fn insert(&self, hash: u64, key: u64) {
        self.0.lock(hash).insert((hash, key));
    }

    pub(super) fn remove(&self, hash: u64, key: u64) {
        self.0.lock(hash).remove(&(hash, key));
    }

    /// The keys under `hash`; none if they are more than a phone has.
    pub(super) fn of_phone(&self, hash: u64) -> SmallVec<[u64; 4]> {
        let keys = self.0.lock(hash);
        let mut keys = keys.range(under(hash)).map(|(_, key)| *key);
        let few = keys.by_ref().take(ACCOUNTS_PER_PHONE_MAX).collect();
        if keys.next().is_none() { few } else { SmallVec::new() }
    }

    /// All keys under `hash`, however many.
    pub(super) fn all(&self, hash: u64) -> Vec<u64> {
        self.0.lock(hash).range(under(hash)).map(|(_, key)| *key).collect()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.each().map(|keys| keys.len()).sum()
    }
}

fn under(hash: u64) -> std::ops::RangeInclusive<(u64, u64)> {
    (hash, 0)..=(hash, u64::MAX)
}

/// From the hash of an instance to the key of the record that was the last to come by it.
#[derive(Debug)]
pub(super) struct Instances(Sharded<BTreeMap<u64, u64>>);

impl Instances {
    pub(super) fn new(shards: usize) -> Self {
        Self(Sharded::new(shards))
    }

    /// An instance that another record has had until now changes hands: the proof is the newer one.
    pub(super) fn insert(&self, hash: u64, key: u64) {
        self.0.lock(hash).insert(hash, key);
    }

    pub(super) fn remove(&self, hash: u64, key: u64) {
        let mut keys = self.0.lock(hash);
        if keys.get(&hash) == Some(&key) {
            keys.remove(&hash);
        }
    }

    pub(super) fn key_of(&self, hash: u64) -> Option<u64> {
        self.0.lock(hash).get(&hash).copied()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.each().map(|keys| keys.len()).sum()
    }
}

/// Some `T`s behind locks, chosen by a keyed hash.
#[derive(Debug)]
struct Sharded<T>(Box<[Mutex<T>]>);

impl<T: Default> Sharded<T> {
    fn new(shards: usize) -> Self {
        Self((0..shards).map(|_| Mutex::default()).collect())
    }

    fn lock(&self, hash: u64) -> MutexGuard<'_, T> {
        // Nothing in here panics halfway through a change.
        self.0[hash as usize % self.0.len()].lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    fn each(&self) -> impl Iterator<Item = MutexGuard<'_, T>> {
        self.0.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_and_go() {
        let flows = Flows::new(2);

        for key in [1, 2, 2, u64::MAX] {
            flows.insert(77, key);
        }
        flows.insert(79, 4);
        flows.remove(77, 1);
        flows.remove(77, 9);

        assert_eq!(flows.all(77), [2, u64::MAX]);
        flows.remove(77, 2);
        flows.remove(77, u64::MAX);
        assert_eq!(flows.all(77), []);
        assert_eq!(flows.len(), 1);
    }

    #[test]
    fn a_flow_with_many_accounts_is_no_phone() {
        let flows = Flows::new(2);
        for key in 0..ACCOUNTS_PER_PHONE_MAX as u64 {
            flows.insert(77, key);
        }
        assert_eq!(flows.of_phone(77).len(), ACCOUNTS_PER_PHONE_MAX);

        flows.insert(77, ACCOUNTS_PER_PHONE_MAX as u64);

        assert!(flows.of_phone(77).is_empty());
        assert_eq!(flows.all(77).len(), ACCOUNTS_PER_PHONE_MAX + 1);
    }

    #[test]
    fn an_instance_leads_to_whoever_came_last() {
        let instances = Instances::new(2);
        instances.insert(77, 1);
        instances.insert(77, 2);

        instances.remove(77, 1);
        assert_eq!(instances.key_of(77), Some(2));
        instances.remove(77, 2);
        assert_eq!(instances.key_of(77), None);
        assert_eq!(instances.len(), 0);
    }
}
