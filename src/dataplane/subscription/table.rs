//! The subscriptions of all workers: at most one a device, the newest.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::dialog::{Dialog, Tag};
use crate::flow::Flow;
use crate::hash::NameHasher;
use crate::hotdesk::Place;
use crate::now::Mono;
use crate::sharded::Sharded;

/// A challenge: 192 random bits.
pub(super) type Nonce = [u8; 32];

/// One subscription.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) dialog: Arc<Dialog>,
    /// Over which the phone spoke last.
    pub(super) flow: Flow,
    pub(super) expires_at: Mono,
    /// CSeq of the phone's last SUBSCRIBE.
    pub(super) heard: u32,
    /// CSeq of the last NOTIFY.
    pub(super) said: u32,
    /// The challenge that may be answered, and until when.
    pub(super) nonce: Option<(Nonce, Mono)>,
    /// CSeq of the SUBSCRIBE whose wish is being carried out.
    pub(super) asked: Option<u32>,
    /// Epoch of the seat it was told of last; 0: of none.
    pub(super) told: u64,
}

/// Who has subscribed.
///
/// Devices are those that proved who they are, so there are at most as many entries as devices are configured; each is
/// bounded by the dialog's octets.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    shards: Sharded<Shard>,
    len: AtomicUsize,
}

#[derive(Debug, Default)]
struct Shard {
    by_device: HashMap<Place, Subscription, NameHasher>,
    /// When each ends.
    due: BTreeSet<(Mono, Place)>,
}

impl Subscriptions {
    pub(crate) fn new() -> Self {
        Self { shards: Sharded::new(NameHasher::default()), len: AtomicUsize::new(0) }
    }

    /// True if there is none, as in most tenants: then no change of seats costs anything here.
    pub(crate) fn is_empty(&self) -> bool {
        self.len.load(Relaxed) == 0
    }

    /// Takes a subscription, in place of the device's one before.
    pub(super) fn put(&self, device: &Place, subscription: Subscription) {
        let expires_at = subscription.expires_at;
        self.shards.with(device, |shard| {
            match shard.by_device.insert(device.clone(), subscription) {
                Some(before) => drop(shard.due.remove(&(before.expires_at, device.clone()))),
                None => drop(self.len.fetch_add(1, Relaxed)),
            }
            shard.due.insert((expires_at, device.clone()));
        });
    }

    /// Works on the subscription of a device, if it has one.
    pub(super) fn update<R>(&self, device: &Place, work: impl FnOnce(&mut Subscription) -> R) -> Option<R> {
        self.shards.with(device, |shard| {
            let subscription = shard.by_device.get_mut(device)?;
            let before = subscription.expires_at;
            let result = work(subscription);
            let after = subscription.expires_at;
            if before != after {
                shard.due.remove(&(before, device.clone()));
                shard.due.insert((after, device.clone()));
            }
            Some(result)
        })
    }

    /// Ends the subscription of a device, if it still is that of `tag`.
    pub(super) fn end(&self, device: &Place, tag: &Tag) -> Option<Subscription> {
        self.shards.with(device, |shard| {
            shard.by_device.get(device).filter(|subscription| subscription.dialog.tag == *tag)?;
            let ended = shard.by_device.remove(device)?;
            shard.due.remove(&(ended.expires_at, device.clone()));
            self.len.fetch_sub(1, Relaxed);
            Some(ended)
        })
    }

    /// Ends those whose time is over, about `max` of them; the rest when it is called again.
    pub(super) fn take_due(&self, now: Mono, max: usize) -> Vec<(Place, Subscription)> {
        let mut taken = Vec::new();
        self.shards.each(|shard| {
            while taken.len() < max
                && shard.due.first().is_some_and(|(at, _)| *at <= now)
                && let Some((_, device)) = shard.due.pop_first()
                && let Some(ended) = shard.by_device.remove(&device)
            {
                self.len.fetch_sub(1, Relaxed);
                taken.push((device, ended));
            }
        });
        taken
    }

    /// The time of those whose device is not among those that `stays` is over now. It must not come back to this table.
    pub(super) fn expire_unless(&self, now: Mono, stays: impl Fn(&Place) -> bool) {
        self.shards.each(|shard| {
            for (device, subscription) in &mut shard.by_device {
                if !stays(device) {
                    shard.due.remove(&(subscription.expires_at, device.clone()));
                    subscription.expires_at = now;
                    shard.due.insert((now, device.clone()));
                }
            }
        });
    }
}
