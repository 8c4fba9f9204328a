//! What waits for a device's calls to end: a reload it owes, and an end of its seat that nobody at the device
//! asked for. Moves, log-ins and a person's own log-out never wait here.
//!
//! First it is owed, then asked for: whoever owes something calls `take_if_idle` at once, and so does whoever
//! sees a call end. So a call that ends between the two leaves nothing behind.

use std::cmp::Ordering;
use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::change::{Cause, Origin, Surface};
use super::place::Place;
use crate::hash::NameHasher;
use crate::sharded::Sharded;

/// The end of one sitting, kept until the device is idle. It is void if the epoch has changed by then: give it
/// to `Seats::end_now` as `only_epoch`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeferredEnd {
    /// The customer of the device's tenant.
    pub customer: Box<str>,
    /// The sitting it is about.
    pub epoch: u64,
    /// Why it ends.
    pub cause: Cause,
    /// By which way it was asked.
    pub surface: Surface,
    /// Who asked, for the audit trail.
    pub origin: Origin,
}

impl DeferredEnd {
    /// True if nothing else knows that the seat is to end: such an end is kept in the store. What the clock ends it ends again
    /// after a restart, and so does the configuration for who is not in it any more; that a PIN was another before nobody
    /// knows then. Of a phone that has un-registered nobody would know then whether it was back before everything went down,
    /// and a reboot is no log-out (OUT-18): it un-registers once more if its person is to leave.
    pub fn is_kept(&self) -> bool {
        matches!(self.cause, Cause::Forced | Cause::LogOut | Cause::PinChanged)
            && self.surface != Surface::Native
    }
}

/// What is due at a device that has become idle. The end comes first: the reload then shows what follows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// The seat ends.
    pub end: Option<DeferredEnd>,
    /// The phone is told to fetch its file again.
    pub reload: bool,
}

/// What all devices owe: one entry a device at most, so as many as are configured.
#[derive(Debug)]
pub struct Reloads {
    devices: Sharded<HashMap<Place, Due, NameHasher>>,
}

impl Default for Reloads {
    fn default() -> Self {
        Self::new()
    }
}

impl Reloads {
    /// Nothing is owed.
    pub fn new() -> Self {
        Self { devices: Sharded::new(NameHasher::default()) }
    }

    /// The device is to fetch its file again. Owed twice is owed once: it fetches what holds then.
    pub fn owe(&self, device: &Place) {
        self.devices.with(device, |devices| match devices.get_mut(device) {
            Some(due) => due.reload = true,
            None => drop(devices.insert(device.clone(), Due { end: None, reload: true })),
        });
    }

    /// The seat at the device is to end. The later order stands in place of an earlier one, unless that is of a later
    /// sitting; and a phone that has un-registered, which undoes its end when it is back, takes the place of none.
    pub fn owe_end(&self, device: &Place, end: DeferredEnd) {
        self.devices.with(device, |devices| {
            let due = devices.entry(device.clone()).or_default();
            let gives_way = |known: &DeferredEnd| match known.epoch.cmp(&end.epoch) {
                Ordering::Equal => end.surface != Surface::Native,
                order => order.is_lt(),
            };
            if due.end.as_ref().is_none_or(gives_way) {
                due.end = Some(end);
            }
        });
    }

    /// The end that the device owes.
    pub fn owed_end(&self, device: &Place) -> Option<DeferredEnd> {
        self.devices.with(device, |devices| devices.get(device)?.end.clone())
    }

    /// Takes what the device owes if `is_idle` says that no call (and no hold) is in the way. It is asked
    /// without a lock held, and only where something is owed.
    pub fn take_if_idle(&self, device: &Place, is_idle: impl FnOnce() -> bool) -> Due {
        let owes = self.devices.with(device, |devices| devices.contains_key(device));
        if !owes || !is_idle() {
            return Due::default();
        }
        self.devices.with(device, |devices| devices.remove(device)).unwrap_or_default()
    }

    /// The devices that owe something. Now and then each is given to [`Reloads::take_if_idle`]: the end of a
    /// call that is only forgotten, and of an emergency hold, is told by nobody.
    pub fn waiting(&self) -> Vec<Place> {
        let mut waiting = Vec::new();
        self.devices.each(|devices| waiting.extend(devices.keys().cloned()));
        waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn desk() -> Place {
        Place::new("acme", "desk-1")
    }

    fn end(epoch: u64) -> DeferredEnd {
        DeferredEnd {
            customer: "acme".into(),
            epoch,
            cause: Cause::Forced,
            surface: Surface::Api,
            origin: Origin::default(),
        }
    }

    #[test]
    fn reload_waits_for_the_device_to_be_idle_and_happens_once() {
        let reloads = Reloads::new();
        reloads.owe(&desk());
        reloads.owe(&desk());

        assert_eq!(reloads.take_if_idle(&desk(), || false), Due::default());
        assert_eq!(reloads.waiting(), [desk()]);
        assert_eq!(reloads.take_if_idle(&desk(), || true), Due { end: None, reload: true });
        assert_eq!(reloads.take_if_idle(&desk(), || true), Due::default());
        assert_eq!(reloads.waiting(), []);
    }

    #[test]
    fn idle_is_not_asked_for_a_device_that_owes_nothing() {
        let reloads = Reloads::new();
        reloads.owe(&desk());

        let due = reloads.take_if_idle(&Place::new("acme", "desk-2"), || unreachable!("nothing is owed"));

        assert_eq!(due, Due::default());
    }

    #[test]
    fn end_and_reload_come_due_together() {
        let reloads = Reloads::new();
        reloads.owe_end(&desk(), end(7));
        reloads.owe(&desk());

        assert_eq!(reloads.take_if_idle(&desk(), || true), Due { end: Some(end(7)), reload: true });
    }

    #[test]
    fn end_is_kept_in_the_store_if_nothing_else_knows_of_it() {
        let kept = |cause, surface| DeferredEnd { cause, surface, ..end(7) }.is_kept();

        for cause in Cause::ALL {
            let by_somebody = matches!(cause, Cause::Forced | Cause::LogOut | Cause::PinChanged);
            assert_eq!(kept(cause, Surface::Api), by_somebody, "{cause:?}");
            assert!(!kept(cause, Surface::Native), "{cause:?}: the phone may be back by then");
        }
    }

    #[test]
    fn end_of_an_older_sitting_does_not_replace_that_of_a_newer_one() {
        let reloads = Reloads::new();
        reloads.owe_end(&desk(), end(7));
        reloads.owe_end(&desk(), end(9));
        reloads.owe_end(&desk(), end(8));

        assert_eq!(reloads.take_if_idle(&desk(), || true).end, Some(end(9)));
    }
}
