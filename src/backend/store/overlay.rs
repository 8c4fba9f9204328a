//! What a stretch of the journal leaves behind: for every key it touched, the state after its last entry.
//! Laid over the tables it is the whole store.
//!
//! The tables may hold the outcome of journal rows already, of some keys or of all: laying the same rows over
//! them again ends in the same state. So folding needs no bookkeeping, and a crash within it no repair.

use std::collections::BTreeMap;
use std::sync::Arc;

use dataplane::hotdesk::{CalledForHelp, Place, Seat, SeatChange};
use dataplane::query::{ChangedPin, Record};

use super::{Entry, SaveError, Secrets};

/// The outcome of journal rows.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Overlay {
    /// By device.
    pub(super) devices: BTreeMap<Place, DeviceState>,
    /// The highest of each customer in these rows.
    pub(super) epochs: BTreeMap<Box<str>, u64>,
    /// By address-of-record; `None`: no binding is left.
    pub(super) bindings: BTreeMap<Box<str>, Option<Box<[u8]>>>,
    /// By extension; `None`: the operator's PIN counts.
    pub(super) pins: BTreeMap<Place, Option<ChangedPin>>,
    /// By phone; `None`: its last emergency call is long enough ago.
    pub(super) called_for_help: BTreeMap<Place, Option<Arc<CalledForHelp>>>,
    /// The last, if any.
    pub(super) secrets: Option<Secrets>,
}

/// All that is kept of one device. Seat and mark are written in one transaction: the end of a seat is folded
/// only where the seat stands, so a mark that came later than its removal would never come.
#[derive(Debug, Default, PartialEq)]
pub(super) struct DeviceState {
    /// `None`: nobody sits there.
    pub(super) seat: Option<Seat>,
    /// Whose REGISTER from there is no log-in.
    pub(super) mark: Option<Place>,
}

impl Overlay {
    /// Keys held, which is what the memory goes by.
    pub(super) fn len(&self) -> usize {
        self.devices.len()
            + self.epochs.len()
            + self.bindings.len()
            + self.pins.len()
            + self.called_for_help.len()
    }

    /// Adds the next entry. `seat_below` tells who sits at a device according to the tables.
    pub(super) fn lay(
        &mut self,
        entry: Entry,
        seat_below: impl Fn(&Place) -> Result<Option<Seat>, SaveError>,
    ) -> Result<(), SaveError> {
        match entry {
            Entry::Record(Record::Bindings { aor, record }) => drop(self.bindings.insert(aor, record)),
            Entry::Record(Record::Seats(change)) => {
                self.lay_change(Arc::unwrap_or_clone(change), seat_below)?
            }
            Entry::Record(Record::LogIn { change, aor, record }) => {
                self.bindings.insert(aor, record);
                self.lay_change(Arc::unwrap_or_clone(change), seat_below)?;
            }
            Entry::Record(Record::Pin { extension, pin }) => drop(self.pins.insert(extension, pin)),
            Entry::Record(Record::CalledForHelp { key, call }) => {
                self.called_for_help.insert(key, call);
            }
            Entry::Secrets(secrets) => self.secrets = Some(secrets),
            Entry::Trail(_) | Entry::Place { .. } => unreachable!("they are not in the journal"),
        }
        Ok(())
    }

    fn lay_change(
        &mut self,
        change: SeatChange,
        seat_below: impl Fn(&Place) -> Result<Option<Seat>, SaveError>,
    ) -> Result<(), SaveError> {
        let by_phone_itself = change.is_by_phone_itself();
        // Where the change seats somebody, it alone tells the outcome, whatever was there.
        let mut put_out = None;
        for ended in change.ended {
            if change.begun.as_ref().is_some_and(|begun| begun.device == ended.device) {
                put_out = Some(ended.extension);
                continue;
            }
            let sits = match self.devices.get(&ended.device) {
                Some(state) => state.seat.as_ref().map(|seat| seat.epoch),
                None => seat_below(&ended.device)?.map(|seat| seat.epoch),
            };
            // An end that was made while the store was away may arrive behind the log-in that followed it:
            // the epoch tells that the seat it means is gone already.
            if sits == Some(ended.epoch) {
                let mark = (!by_phone_itself).then_some(ended.extension);
                self.devices.insert(ended.device, DeviceState { seat: None, mark });
            }
        }
        let epoch = self.epochs.entry(change.customer).or_default();
        *epoch = change.epoch.max(*epoch);
        if let Some(seat) = change.begun {
            self.devices.insert(seat.device.clone(), DeviceState { seat: Some(seat), mark: put_out });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use dataplane::hotdesk::{Cause, Origin, Surface};

    use super::*;

    fn seat(device: &str, epoch: u64) -> Seat {
        Seat {
            device: Place::new("demo", device),
            extension: Place::new("demo", "1001"),
            epoch,
            since: 0,
            surface: Surface::Api,
            until: None,
        }
    }

    fn change(epoch: u64, ended: &[Seat], begun: Option<Seat>) -> Entry {
        let cause = if begun.is_some() { Cause::LogIn } else { Cause::Forced };
        caused(cause, Surface::Api, epoch, ended, begun)
    }

    fn caused(cause: Cause, surface: Surface, epoch: u64, ended: &[Seat], begun: Option<Seat>) -> Entry {
        Entry::Record(Record::Seats(Arc::new(SeatChange {
            customer: "demo".into(),
            epoch,
            ended: ended.to_vec(),
            begun,
            cause,
            surface,
            at: 0,
            origin: Origin::UNKNOWN,
        })))
    }

    fn outcome(entries: impl IntoIterator<Item = Entry>, below: Option<Seat>) -> Overlay {
        let mut overlay = Overlay::default();
        for entry in entries {
            overlay.lay(entry, |_| Ok(below.clone())).unwrap();
        }
        overlay
    }

    fn at<'a>(overlay: &'a Overlay, device: &str) -> (Option<&'a Seat>, Option<&'a str>) {
        let state = &overlay.devices[&Place::new("demo", device)];
        (state.seat.as_ref(), state.mark.as_ref().map(|extension| extension.name()))
    }

    #[test]
    fn a_move_leaves_one_seat_and_a_mark_where_it_was() {
        let overlay =
            outcome([change(2, &[seat("desk-1", 1)], Some(seat("desk-2", 2)))], Some(seat("desk-1", 1)));

        assert_eq!(at(&overlay, "desk-1"), (None, Some("1001")));
        assert_eq!(at(&overlay, "desk-2"), (Some(&seat("desk-2", 2)), None));
        assert_eq!(overlay.epochs["demo"], 2);
    }

    #[test]
    fn an_end_that_comes_late_leaves_the_next_seat_alone() {
        let overlay =
            outcome([change(3, &[], Some(seat("desk-1", 3))), change(2, &[seat("desk-1", 1)], None)], None);

        assert_eq!(at(&overlay, "desk-1"), (Some(&seat("desk-1", 3)), None));
        assert_eq!(overlay.epochs["demo"], 3);
    }

    #[test]
    fn the_phones_own_un_register_leaves_no_mark_and_any_other_end_does() {
        let ends = [
            (Cause::LogOut, Surface::Native, None),
            (Cause::LogOut, Surface::Dialled, Some("1001")),
            (Cause::Forced, Surface::Api, Some("1001")),
            (Cause::Removed, Surface::Configuration, Some("1001")),
        ];
        for (cause, surface, mark) in ends {
            let end = caused(cause, surface, 2, &[seat("desk-1", 1)], None);

            let overlay = outcome([end], Some(seat("desk-1", 1)));

            assert_eq!(at(&overlay, "desk-1"), (None, mark), "{cause:?} by {surface:?}");
        }
    }

    #[test]
    fn a_log_in_takes_the_mark_away_and_leaves_one_of_whom_it_put_out() {
        let anew = outcome(
            [change(2, &[seat("desk-1", 1)], None), change(3, &[], Some(seat("desk-1", 3)))],
            Some(seat("desk-1", 1)),
        );
        let taken_over =
            outcome([change(2, &[seat("desk-1", 1)], Some(seat("desk-1", 2)))], Some(seat("desk-1", 1)));

        assert_eq!(at(&anew, "desk-1"), (Some(&seat("desk-1", 3)), None));
        assert_eq!(at(&taken_over, "desk-1"), (Some(&seat("desk-1", 2)), Some("1001")));
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

    #[test]
    fn an_end_laid_over_its_own_outcome_touches_nothing() {
        let overlay = outcome([change(2, &[seat("desk-1", 1)], None)], None);

        assert!(overlay.devices.is_empty(), "the mark in the tables stays");
    }
}
