//! Who sat down last at each device: where the tenant wants it, the attendant asks that person for the PIN alone (LOG-15).
//!
//! It outlives the seat, and of a restart only what the store keeps of seats that stand.

use std::collections::HashMap;

use super::change::Seat;
use super::place::{Named, Place};
use crate::hash::NameHasher;
use crate::sharded::Sharded;

/// The last seat of each device, as far as any is remembered: one entry a device at most, so as many as are configured.
#[derive(Debug)]
pub struct LastSeats {
    devices: Sharded<HashMap<Place, Seat, NameHasher>>,
}

impl Default for LastSeats {
    fn default() -> Self {
        Self::new()
    }
}

impl LastSeats {
    /// Nothing is remembered.
    pub fn new() -> Self {
        Self { devices: Sharded::new(NameHasher::default()) }
    }

    /// A seat has begun, or stands. In whatever order seats of a device are told here, the youngest stays.
    pub fn remember(&self, seat: &Seat) {
        self.devices.with(&seat.device, |devices| {
            if devices.get(&seat.device).is_none_or(|known| known.epoch < seat.epoch) {
                devices.insert(seat.device.clone(), seat.clone());
            }
        });
    }

    /// The last seat at a device.
    pub fn of(&self, device: &dyn Named) -> Option<Seat> {
        self.devices.with(device, |devices| devices.get(device).cloned())
    }

    /// Forgets all but the seats for which `keep` is true.
    pub fn retain(&self, keep: impl Fn(&Seat) -> bool) {
        self.devices.each(|devices| devices.retain(|_, seat| keep(seat)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hotdesk::Surface;

    fn seat(extension: &str, epoch: u64) -> Seat {
        Seat {
            device: Place::new("acme", "desk-1"),
            extension: Place::new("acme", extension),
            epoch,
            since: 0,
            surface: Surface::Attendant,
            until: None,
        }
    }

    #[test]
    fn youngest_seat_is_the_last_in_whatever_order_it_is_told() {
        let last = LastSeats::new();
        last.remember(&seat("1002", 9));
        last.remember(&seat("1001", 7));

        assert_eq!(last.of(&Place::new("acme", "desk-1")), Some(seat("1002", 9)));
        assert_eq!(last.of(&Place::new("acme", "desk-2")), None);
        last.remember(&seat("1003", 11));
        assert_eq!(last.of(&Place::new("acme", "desk-1")), Some(seat("1003", 11)));
    }

    #[test]
    fn what_is_not_to_be_kept_is_forgotten() {
        let last = LastSeats::new();
        last.remember(&seat("1001", 7));

        last.retain(|seat| seat.extension.name() != "1001");

        assert_eq!(last.of(&Place::new("acme", "desk-1")), None);
    }
}
