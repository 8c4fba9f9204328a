//! The seat table, shown four ways: its rules one by one; any sequence of changes against a plain list
//! (`property`); every interleaving a scheduler can find (`model`); and real threads (`stress`).

#![expect(clippy::unwrap_used, reason = "this is all tests")]

use std::collections::BTreeMap;

use dataplane::hotdesk::{Place, Seat, SeatChange};
// The files of the table that `model` includes name these by `crate::`.
use dataplane::{now, refusal, settings};

mod model;
mod property;
mod rules;
mod stress;

/// What a store keeps of these records, written in this order: one seat a device.
fn fold<'a>(records: impl IntoIterator<Item = &'a SeatChange>) -> BTreeMap<Place, Seat> {
    let mut kept = BTreeMap::<Place, Seat>::new();
    for record in records {
        for seat in &record.ended {
            if kept.get(&seat.device).is_some_and(|known| known.epoch == seat.epoch) {
                kept.remove(&seat.device);
            }
        }
        if let Some(seat) = &record.begun {
            kept.insert(seat.device.clone(), seat.clone());
        }
    }
    kept
}
