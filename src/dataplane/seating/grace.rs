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
    leaving: HashMap<Place, Leaving, NameHasher>,
    /// When each is looked at, which may be too early: it has one entry, however often it un-registers.
    looks: BinaryHeap<Reverse<(Mono, Place)>>,
}

/// What a device un-registered that had been taken natively.
pub(super) struct Leaving {
    pub(super) extension: Place,
    pub(super) epoch: u64,
    /// When its grace is over.
    pub(super) due: Mono,
    pub(super) origin: Origin,
}

impl Grace {
    /// A device has un-registered. The grace of its last un-REGISTER counts.
    pub(super) fn begin(&mut self, device: Place, leaving: Leaving) {
        match self.leaving.entry(device) {
            Entry::Occupied(mut known) => drop(known.insert(leaving)),
            Entry::Vacant(place) => {
                self.looks.push(Reverse((leaving.due, place.key().clone())));
                place.insert(leaving);
            }
        }
    }

    /// Takes a device whose grace is over.
    pub(super) fn take_due(&mut self, now: Mono) -> Option<(Place, Leaving)> {
        while let Some(Reverse((look, _))) = self.looks.peek()
            && *look <= now
        {
            let Reverse((_, device)) = self.looks.pop()?;
            let Entry::Occupied(known) = self.leaving.entry(device) else { continue };
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
