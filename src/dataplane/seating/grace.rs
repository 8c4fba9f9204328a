//! Phones of brands that un-REGISTER at boot: their seat ends if they are not back when their grace is over.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BinaryHeap, HashMap};

use crate::hash::NameHasher;
use crate::hotdesk::{Origin, Place};
use crate::now::Mono;

/// Devices that un-registered: as many as are configured at most.
#[derive(Default)]
pub(super) struct Grace {
    devices: HashMap<Place, Unregistered, NameHasher>,
    /// When each is looked at, which may be too early: it has one entry, however often it un-registers.
    looks: BinaryHeap<Reverse<(Mono, Place)>>,
}

/// What a device un-registered that had been taken natively.
pub(super) struct Unregistered {
    pub(super) extension: Place,
    pub(super) epoch: u64,
    /// When its grace is over.
    pub(super) due: Mono,
    pub(super) origin: Origin,
}

impl Grace {
    /// A device has un-registered. The grace of its last un-REGISTER counts.
    pub(super) fn begin(&mut self, device: Place, unregistered: Unregistered) {
        match self.devices.entry(device) {
            Entry::Occupied(mut known) => drop(known.insert(unregistered)),
            Entry::Vacant(place) => {
                self.looks.push(Reverse((unregistered.due, place.key().clone())));
                place.insert(unregistered);
            }
        }
    }

    /// Takes a device whose grace is over.
    pub(super) fn take_due(&mut self, now: Mono) -> Option<(Place, Unregistered)> {
        while let Some(Reverse((look, _))) = self.looks.peek()
            && *look <= now
        {
            let Reverse((_, device)) = self.looks.pop()?;
            let Entry::Occupied(known) = self.devices.entry(device) else { continue };
            if known.get().due <= now {
                return Some(known.remove_entry());
            }
            // It was back, and has un-registered once more.
            self.looks.push(Reverse((known.get().due, known.key().clone())));
        }
        None
    }

    /// When [`Self::take_due`] may have one.
    pub(super) fn next_timeout(&self) -> Option<Mono> {
        self.looks.peek().map(|Reverse((look, _))| *look)
    }
}
