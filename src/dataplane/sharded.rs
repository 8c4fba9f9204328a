//! A table of small independent entries behind some mutexes, for facts about one device at a time.

use std::hash::{BuildHasher, Hash};
use std::sync::{Mutex, PoisonError};

use crate::hash::NameHasher;

/// A dozen workers seldom meet in one of 64.
const SHARDS: usize = 64;

/// Some `T`s, each with the entries whose key hashes to it.
#[derive(Debug)]
pub(crate) struct Sharded<T, S = NameHasher> {
    shards: Box<[Mutex<T>]>,
    hasher: S,
}

impl<T: Default, S: BuildHasher> Sharded<T, S> {
    pub(crate) fn new(hasher: S) -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), hasher }
    }

    /// Works on the shard of `key`, locked meanwhile.
    pub(crate) fn with<R>(&self, key: &(impl Hash + ?Sized), work: impl FnOnce(&mut T) -> R) -> R {
        // Not by the bits that a table within the shard goes by, or all its entries would crowd in a few places.
        let hash = self.hasher.hash_one(key) >> 32;
        with(&self.shards[hash as usize % SHARDS], work)
    }

    /// Works on every shard, one after the other.
    pub(crate) fn each(&self, mut work: impl FnMut(&mut T)) {
        for shard in &self.shards {
            with(shard, &mut work);
        }
    }

    /// How a key is hashed.
    pub(crate) fn hasher(&self) -> &S {
        &self.hasher
    }
}

fn with<T, R>(shard: &Mutex<T>, work: impl FnOnce(&mut T) -> R) -> R {
    // A thread that died in here left one entry of one device behind its time at worst: what there is, serves.
    let mut entries = shard.lock().unwrap_or_else(|poisoned| {
        shard.clear_poison();
        PoisonError::into_inner(poisoned)
    });
    work(&mut entries)
}
