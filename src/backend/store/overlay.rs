//! What a stretch of the journal leaves behind: for every key it touched, the state after its last entry.
//! Laid over the tables it is the whole store.
//!
//! The tables may hold the outcome of journal rows already, of some keys or of all: laying the same rows over
//! them again ends in the same state. So folding needs no bookkeeping, and a crash within it no repair.

use std::collections::BTreeMap;

use dataplane::hotdesk::{Place, Seat, SeatChange};
use dataplane::query::Record;

use super::{Entry, SaveError, Secrets};

/// The outcome of journal rows.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Overlay {
    /// By device; `None`: nobody sits there.
    pub(super) seats: BTreeMap<Place, Option<Seat>>,
    /// The highest of each customer in these rows.
    pub(super) epochs: BTreeMap<Box<str>, u64>,
    /// By address-of-record; `None`: no binding is left.
    pub(super) bindings: BTreeMap<Box<str>, Option<Box<[u8]>>>,
    /// The last, if any.
    pub(super) secrets: Option<Secrets>,
}

impl Overlay {
    /// Keys held, which is what the memory goes by.
    pub(super) fn len(&self) -> usize {
        self.seats.len() + self.epochs.len() + self.bindings.len()
    }

    /// Adds the next entry. `seat_below` tells who sits at a device according to the tables.
    pub(super) fn lay(
        &mut self,
        entry: Entry,
        seat_below: impl Fn(&Place) -> Result<Option<Seat>, SaveError>,
    ) -> Result<(), SaveError> {
        match entry {
            Entry::Record(Record::Bindings { aor, record }) => drop(self.bindings.insert(aor, record)),
            Entry::Record(Record::Seats(change)) => self.lay_change(change, seat_below)?,
            Entry::Secrets(secrets) => self.secrets = Some(secrets),
        }
        Ok(())
    }

    fn lay_change(
        &mut self,
        change: SeatChange,
        seat_below: impl Fn(&Place) -> Result<Option<Seat>, SaveError>,
    ) -> Result<(), SaveError> {
        for ended in change.ended {
            let sits = match self.seats.get(&ended.device) {
                Some(seat) => seat.as_ref().map(|seat| seat.epoch),
                None => seat_below(&ended.device)?.map(|seat| seat.epoch),
            };
            // An end that was made while the store was away may arrive behind the log-in that followed it:
            // the epoch tells that the seat it means is gone already.
            if sits == Some(ended.epoch) {
                self.seats.insert(ended.device, None);
            }
        }
        let epoch = self.epochs.entry(change.customer).or_default();
        *epoch = change.epoch.max(*epoch);
        if let Some(seat) = change.begun {
            self.seats.insert(seat.device.clone(), Some(seat));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use dataplane::hotdesk::{Cause, Surface};

    use super::*;

    fn seat(device: &str, epoch: u64) -> Seat {
        Seat {
            device: Place::new("demo", device),
            extension: Place::new("demo", "1001"),
            epoch,
            since: 0,
            surface: Surface::Api,
        }
    }

    fn change(epoch: u64, ended: &[Seat], begun: Option<Seat>) -> Entry {
        Entry::Record(Record::Seats(SeatChange {
            customer: "demo".into(),
            epoch,
            ended: ended.to_vec(),
            begun,
            cause: Cause::LogIn,
            surface: Surface::Api,
            at: 0,
        }))
    }

    fn outcome(entries: impl IntoIterator<Item = Entry>, below: Option<Seat>) -> Overlay {
        let mut overlay = Overlay::default();
        for entry in entries {
            overlay.lay(entry, |_| Ok(below.clone())).unwrap();
        }
        overlay
    }

    #[test]
    fn a_move_leaves_one_seat() {
        let overlay =
            outcome([change(2, &[seat("desk-1", 1)], Some(seat("desk-2", 2)))], Some(seat("desk-1", 1)));

        assert_eq!(overlay.seats[&Place::new("demo", "desk-1")], None);
        assert_eq!(overlay.seats[&Place::new("demo", "desk-2")], Some(seat("desk-2", 2)));
        assert_eq!(overlay.epochs["demo"], 2);
    }

    #[test]
    fn an_end_that_comes_late_leaves_the_next_seat_alone() {
        let overlay =
            outcome([change(3, &[], Some(seat("desk-1", 3))), change(2, &[seat("desk-1", 1)], None)], None);

        assert_eq!(overlay.seats[&Place::new("demo", "desk-1")], Some(seat("desk-1", 3)));
        assert_eq!(overlay.epochs["demo"], 3);
    }

    #[test]
    fn rows_laid_over_their_own_outcome_change_nothing() {
        let rows = || {
            [
                change(2, &[seat("desk-1", 1)], None),
                change(3, &[], Some(seat("desk-1", 3))),
                change(4, &[seat("desk-1", 3)], Some(seat("desk-1", 4))),
            ]
        };

        let first = outcome(rows(), Some(seat("desk-1", 1)));
        let again = outcome(rows(), Some(seat("desk-1", 4)));

        assert_eq!(first, again);
    }
}
