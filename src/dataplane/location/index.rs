//! The way back: from a flow, or an instance, to the addresses-of-record that have it.
//!
//! An entry is made and unmade with its binding, under the lock of the record: a record's shard is locked first, then
//! an index's, never the other way round. Readers take the keys away and read the records themselves, which have the
//! last word; so nothing here needs to be exact at every instant.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use smallvec::SmallVec;

use super::Identity;

/// Accounts that one phone may have on a flow, or under an instance. What has more is no phone but a proxy, and says
/// nothing about a device.
pub(super) const ACCOUNTS_PER_PHONE_MAX: usize = 16;

type KeySet = HashSet<u64, BuildHasherDefault<Identity>>;

#[derive(Debug)]
enum Keys {
    One(u64),
    Several(Box<KeySet>),
}

/// From a hash to the keys of records.
#[derive(Debug)]
pub(super) struct Index(DashMap<u64, Keys, BuildHasherDefault<Identity>>);

impl Index {
    pub(super) fn new(shards: usize) -> Self {
        Self(DashMap::with_hasher_and_shard_amount(BuildHasherDefault::default(), shards))
    }

    pub(super) fn insert(&self, hash: u64, key: u64) {
        match self.0.entry(hash) {
            Entry::Vacant(entry) => {
                entry.insert(Keys::One(key));
            }
            Entry::Occupied(mut entry) => {
                let keys = entry.get_mut();
                match *keys {
                    Keys::One(one) if one == key => {}
                    Keys::One(one) => *keys = Keys::Several(Box::new([one, key].into_iter().collect())),
                    Keys::Several(ref mut set) => {
                        set.insert(key);
                    }
                }
            }
        }
    }

    pub(super) fn remove(&self, hash: u64, key: u64) {
        let Entry::Occupied(mut entry) = self.0.entry(hash) else { return };
        let is_empty = match entry.get_mut() {
            Keys::One(one) => *one == key,
            Keys::Several(set) => {
                set.remove(&key);
                set.is_empty()
            }
        };
        if is_empty {
            entry.remove();
        }
    }

    /// The keys under `hash`; none if they are more than a phone has.
    pub(super) fn of_phone(&self, hash: u64) -> SmallVec<[u64; 4]> {
        match self.0.get(&hash).as_deref() {
            Some(Keys::One(key)) => SmallVec::from_slice(&[*key]),
            Some(Keys::Several(set)) if set.len() <= ACCOUNTS_PER_PHONE_MAX => set.iter().copied().collect(),
            _ => SmallVec::new(),
        }
    }

    /// All keys under `hash`, however many.
    pub(super) fn all(&self, hash: u64) -> Vec<u64> {
        match self.0.get(&hash).as_deref() {
            Some(Keys::One(key)) => vec![*key],
            Some(Keys::Several(set)) => set.iter().copied().collect(),
            None => Vec::new(),
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_and_go() {
        let index = Index::new(2);

        for key in [1, 2, 2, 3] {
            index.insert(77, key);
        }
        index.remove(77, 1);
        index.remove(77, 9);

        let mut keys = index.all(77);
        keys.sort_unstable();
        assert_eq!(keys, [2, 3]);
        index.remove(77, 2);
        index.remove(77, 3);
        assert_eq!(index.len(), 0);
    }

    #[test]
    fn a_flow_with_many_accounts_is_no_phone() {
        let index = Index::new(2);
        for key in 0..=ACCOUNTS_PER_PHONE_MAX as u64 {
            index.insert(77, key);
        }

        assert!(index.of_phone(77).is_empty());
        assert_eq!(index.all(77).len(), ACCOUNTS_PER_PHONE_MAX + 1);
    }
}
