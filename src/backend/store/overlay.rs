//! What a stretch of the journal leaves behind: for every key it touched, the state after its last entry.
//! Laid over the tables it is the whole store.
//!
//! The tables may hold the outcome of journal rows already, of some keys or of all: laying the same rows over
//! them again ends in the same state. So folding needs no bookkeeping, and a crash within it no repair.

use std::collections::BTreeMap;
use std::sync::Arc;

use dataplane::hotdesk::{CalledForHelp, DeferredEnd, Place, Seat, SeatChange};
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
/// only where the seat stands, so a mark that came later than its removal would never come. What a seat owes is
/// written into its row.
#[derive(Debug, Default, PartialEq)]
pub(super) struct DeviceState {
    /// `None`: nobody sits there.
    pub(super) seat: Option<Seat>,
    /// How that seat is to end.
    pub(super) owed: Option<DeferredEnd>,
    /// Whose REGISTER from there is no log-in.
    pub(super) mark: Option<Place>,
}

impl DeviceState {
    fn epoch(&self) -> Option<u64> {
        self.seat.as_ref().map(|seat| seat.epoch)
    }
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

    /// Adds the next entry. `below` tells what is kept of a device according to the tables.
    pub(super) fn lay(
        &mut self,
        entry: Entry,
        below: impl Fn(&Place) -> Result<DeviceState, SaveError>,
    ) -> Result<(), SaveError> {
        match entry {
            Entry::Record(Record::Bindings { aor, record }) => drop(self.bindings.insert(aor, record)),
            Entry::Record(Record::Seats(change)) => self.lay_change(Arc::unwrap_or_clone(change), below)?,
            Entry::Record(Record::LogIn { change, aor, record }) => {
                self.bindings.insert(aor, record);
                self.lay_change(Arc::unwrap_or_clone(change), below)?;
            }
            Entry::Record(Record::Pin { extension, pin }) => drop(self.pins.insert(extension, pin)),
            Entry::Record(Record::CalledForHelp { key, call }) => {
                self.called_for_help.insert(key, call);
            }
            Entry::Record(Record::OwedEnd { device, end }) => self.lay_owed_end(device, end, below)?,
            Entry::Secrets(secrets) => self.secrets = Some(secrets),
            Entry::Trail(_) | Entry::Place { .. } => unreachable!("they are not in the journal"),
        }
        Ok(())
    }

    fn lay_change(
        &mut self,
        change: SeatChange,
        below: impl Fn(&Place) -> Result<DeviceState, SaveError>,
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
                Some(state) => state.epoch(),
                None => below(&ended.device)?.epoch(),
            };
            // An end that was made while the store was away may arrive behind the log-in that followed it:
            // the epoch tells that the seat it means is gone already.
            if sits == Some(ended.epoch) {
                let mark = (!by_phone_itself).then_some(ended.extension);
                self.devices.insert(ended.device, DeviceState { mark, ..DeviceState::default() });
            }
        }
        let epoch = self.epochs.entry(change.customer).or_default();
        *epoch = change.epoch.max(*epoch);
        if let Some(seat) = change.begun {
            let device = seat.device.clone();
            let state = DeviceState { seat: Some(seat), owed: None, mark: put_out };
            self.devices.insert(device, state);
        }
        Ok(())
    }

    fn lay_owed_end(
        &mut self,
        device: Place,
        end: DeferredEnd,
        below: impl Fn(&Place) -> Result<DeviceState, SaveError>,
    ) -> Result<(), SaveError> {
        let mut state = match self.devices.remove(&device) {
            Some(state) => state,
            None => below(&device)?,
        };
        // It may arrive behind the end of its seat, as any end may.
        if state.epoch() == Some(end.epoch) {
            state.owed = Some(end);
        }
        self.devices.insert(device, state);
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

    fn owed(epoch: u64) -> DeferredEnd {
        DeferredEnd {
            customer: "demo".into(),
            epoch,
            cause: Cause::Forced,
            surface: Surface::Api,
            origin: Origin::of_operator("console"),
        }
    }

    fn owes(epoch: u64) -> Entry {
        Entry::Record(Record::OwedEnd { device: Place::new("demo", "desk-1"), end: owed(epoch) })
    }

    fn outcome(entries: impl IntoIterator<Item = Entry>, below: Option<Seat>) -> Overlay {
        let mut overlay = Overlay::default();
        for entry in entries {
            overlay
                .lay(entry, |_| Ok(DeviceState { seat: below.clone(), ..DeviceState::default() }))
                .unwrap();
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
    fn an_end_that_waits_is_kept_with_its_seat_and_the_mark_stays() {
        let below = || DeviceState {
            seat: Some(seat("desk-1", 5)),
            owed: None,
            mark: Some(Place::new("demo", "1002")),
        };
        let mut overlay = Overlay::default();

        overlay.lay(owes(5), |_| Ok(below())).unwrap();

        let state = &overlay.devices[&Place::new("demo", "desk-1")];
        assert_eq!(*state, DeviceState { owed: Some(owed(5)), ..below() });
    }

    #[test]
    fn an_end_that_waits_goes_with_its_seat_and_is_void_for_another() {
        let next = || change(6, &[seat("desk-1", 5)], Some(seat("desk-1", 6)));
        for entries in [vec![owes(5), next()], vec![next(), owes(5)]] {
            let overlay = outcome(entries, Some(seat("desk-1", 5)));

            let state = &overlay.devices[&Place::new("demo", "desk-1")];
            assert_eq!((&state.seat, &state.owed), (&Some(seat("desk-1", 6)), &None));
        }
        let ended = outcome([change(6, &[seat("desk-1", 5)], None), owes(5)], Some(seat("desk-1", 5)));
        assert_eq!(ended.devices[&Place::new("demo", "desk-1")].owed, None);
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
