//! Any sequence of changes, some of them under way at a time, against a plain list of seats.

use std::collections::BTreeMap;
use std::sync::Arc;

use dataplane::hotdesk::{
    Cause, End, LogIn, Origin, Place, Proposal, Proposed, Seat, SeatChange, Seats, Surface,
};
use dataplane::now::Now;
use dataplane::refusal::Refusal;
use dataplane::settings::{OnLimit, OnOccupied};
use proptest::prelude::*;

use crate::fold;

/// Two tenants of one customer, and one of another with the same names.
const TENANTS: [(&str, &str); 3] = [("acme", "acme"), ("acme", "acme-west"), ("other", "other")];

#[derive(Clone, Debug)]
enum Step {
    LogIn {
        device: (usize, u8),
        extension: (usize, u8),
        devices_max: u32,
        on_limit: OnLimit,
        on_occupied: OnOccupied,
        held: Option<(usize, u8)>,
    },
    End {
        device: (usize, u8),
        which: Which,
        at_once: bool,
        held: Option<(usize, u8)>,
    },
    Commit(prop::sample::Index),
    Abandon(prop::sample::Index),
}

/// Which sitting an end is about.
#[derive(Clone, Copy, Debug)]
enum Which {
    Any,
    This,
    Another,
}

fn place() -> impl Strategy<Value = (usize, u8)> {
    (0..TENANTS.len(), 0..4_u8)
}

fn step() -> impl Strategy<Value = Step> {
    let on_limit = prop_oneof![3 => Just(OnLimit::Displace), 1 => Just(OnLimit::Refuse)];
    let on_occupied = prop_oneof![3 => Just(OnOccupied::TakeOver), 1 => Just(OnOccupied::Refuse)];
    let held = || prop::option::weighted(0.2, place());
    let which = prop_oneof![Just(Which::Any), Just(Which::This), Just(Which::Another)];
    let log_in = (place(), place(), 0..4_u32, on_limit, on_occupied, held());
    let end = (place(), which, any::<bool>(), held());
    prop_oneof![
        4 => log_in.prop_map(|(device, extension, devices_max, on_limit, on_occupied, held)| Step::LogIn {
            device, extension, devices_max, on_limit, on_occupied, held,
        }),
        2 => end.prop_map(|(device, which, at_once, held)| Step::End { device, which, at_once, held }),
        3 => any::<prop::sample::Index>().prop_map(Step::Commit),
        1 => any::<prop::sample::Index>().prop_map(Step::Abandon),
    ]
}

fn device((tenant, number): (usize, u8)) -> Place {
    Place::new(TENANTS[tenant].1, &format!("desk-{number}"))
}

fn extension((tenant, number): (usize, u8)) -> Place {
    Place::new(TENANTS[tenant].1, &format!("100{number}"))
}

/// The same rules, said once more in the plainest way: a list of seats and a list of changes under way.
#[derive(Default)]
struct List {
    seats: Vec<Seat>,
    under_way: Vec<SeatChange>,
}

impl List {
    fn is_reserved(&self, place: &Place) -> bool {
        self.under_way.iter().any(|change| {
            change
                .ended
                .iter()
                .chain(&change.begun)
                .any(|seat| seat.device == *place || seat.extension == *place)
        })
    }

    fn at(&self, device: &Place) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.device == *device)
    }

    /// The seats that end, `None` if nothing is to be done.
    fn log_in(&self, request: &LogIn<'_>, held: &Option<Place>) -> Result<Option<Vec<Seat>>, Refusal> {
        let LogIn { device, extension, .. } = *request;
        if self.is_reserved(device) || self.is_reserved(extension) {
            return Err(Refusal::Busy);
        }
        let here = self.at(device);
        if here.is_some_and(|seat| seat.extension == *extension) {
            return Ok(None);
        }
        if here.is_some() && request.on_occupied == OnOccupied::Refuse {
            return Err(Refusal::DeviceOccupied);
        }
        if here.is_some_and(|seat| self.is_reserved(&seat.extension)) {
            return Err(Refusal::Busy);
        }
        let mut own: Vec<_> =
            self.seats.iter().filter(|seat| seat.extension == *extension).cloned().collect();
        own.sort_by_key(|seat| seat.epoch);
        let mut displaced = Vec::new();
        while own.len() + 1 > request.devices_max.max(1) as usize {
            displaced.push(own.remove(0));
        }
        if !displaced.is_empty() && request.on_limit == OnLimit::Refuse {
            return Err(Refusal::SeatLimit);
        }
        if displaced.iter().any(|seat| self.is_reserved(&seat.device)) {
            return Err(Refusal::Busy);
        }
        let ended: Vec<_> = here.cloned().into_iter().chain(displaced).collect();
        if held.as_ref().is_some_and(|held| held == device || ended.iter().any(|seat| seat.device == *held)) {
            return Err(Refusal::EmergencyHold);
        }
        Ok(Some(ended))
    }

    fn end(&self, request: &End<'_>, held: &Option<Place>) -> Result<Seat, Refusal> {
        if self.is_reserved(request.device) {
            return Err(Refusal::Busy);
        }
        let seat = self.at(request.device).ok_or(Refusal::NobodySits)?;
        if request.only_epoch.is_some_and(|epoch| epoch != seat.epoch) {
            return Err(Refusal::NobodySits);
        }
        if self.is_reserved(&seat.extension) {
            return Err(Refusal::Busy);
        }
        if held.as_ref() == Some(request.device) {
            return Err(Refusal::EmergencyHold);
        }
        Ok(seat.clone())
    }

    fn apply(&mut self, change: &SeatChange) {
        self.seats.retain(|seat| !change.ended.contains(seat));
        self.seats.extend(change.begun.clone());
    }

    fn settle(&mut self, change: &SeatChange) {
        let place = self.under_way.iter().position(|known| known == change).expect("it is under way");
        self.under_way.remove(place);
    }
}

/// Both look-ups, the snapshot and the count say what the list says.
fn compare(seats: &Seats, list: &List) -> Result<(), TestCaseError> {
    for (tenant, (customer, _)) in TENANTS.iter().enumerate() {
        for number in 0..4 {
            let (device, extension) = (device((tenant, number)), extension((tenant, number)));
            let at = seats.seat_at(customer, &device);
            prop_assert_eq!(at.as_deref(), list.at(&device));
            let mut own: Vec<_> = list.seats.iter().filter(|seat| seat.extension == extension).collect();
            own.sort_by_key(|seat| seat.epoch);
            let of: Vec<_> = seats.seats_of(customer, &extension).into_iter().collect();
            prop_assert_eq!(of.iter().map(Arc::as_ref).collect::<Vec<_>>(), own);
        }
    }
    prop_assert_eq!(seats.len(), list.seats.len());
    let snapshot: BTreeMap<_, _> =
        seats.snapshot().into_iter().map(|seat| (seat.device.clone(), Seat::clone(&seat))).collect();
    let listed: BTreeMap<_, _> = list.seats.iter().map(|seat| (seat.device.clone(), seat.clone())).collect();
    prop_assert_eq!(snapshot, listed);
    Ok(())
}

fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let (seats, mut list) = (Seats::new(), List::default());
    let mut proposals: Vec<Proposal> = Vec::new();
    let mut journal: Vec<SeatChange> = Vec::new();
    let mut epochs = BTreeMap::<Box<str>, u64>::new();
    let mut rises = |change: &SeatChange| {
        let last = epochs.insert(change.customer.clone(), change.epoch);
        prop_assert!(last < Some(change.epoch), "epoch {} after {last:?}", change.epoch);
        Ok(())
    };
    for (time, step) in (1_u64..).zip(steps) {
        let now = Now { wall: time, ..Now::default() };
        match step {
            Step::LogIn { device: at, extension: who, devices_max, on_limit, on_occupied, held } => {
                // Only a visitor of the same customer may come.
                let who = if TENANTS[at.0].0 == TENANTS[who.0].0 { who } else { (at.0, who.1) };
                let (at, who, customer, held) =
                    (device(at), extension(who), TENANTS[at.0].0, held.map(device));
                let request = LogIn {
                    customer,
                    device: &at,
                    extension: &who,
                    devices_max,
                    on_limit,
                    on_occupied,
                    surface: Surface::Dialled,
                    origin: &Origin::UNKNOWN,
                    until: None,
                };
                let may = |asked: &Place, _: Option<&Place>| {
                    if held.as_ref() == Some(asked) { Err(Refusal::EmergencyHold) } else { Ok(()) }
                };
                let expected = list.log_in(&request, &held);
                match (seats.propose_log_in(request, may, now), expected) {
                    (Ok(Proposed::AlreadySits(seat)), Ok(None)) => {
                        prop_assert_eq!(Some(&*seat), list.at(&at));
                    }
                    (Ok(Proposed::Change(proposal)), Ok(Some(ended))) => {
                        let change = SeatChange::clone(proposal.change());
                        rises(&change)?;
                        prop_assert_eq!(&change.ended, &ended);
                        let begun =
                            change.begun.as_ref().map(|seat| (&seat.device, &seat.extension, seat.since));
                        prop_assert_eq!(begun, Some((&at, &who, time)));
                        list.under_way.push(change);
                        proposals.push(proposal);
                    }
                    (Err(refusal), Err(expected)) => prop_assert_eq!(refusal, expected),
                    (outcome, expected) => prop_assert!(false, "{outcome:?}, expected {expected:?}"),
                }
            }
            Step::End { device: at, which, at_once, held } => {
                let (customer, at, held) = (TENANTS[at.0].0, device(at), held.map(device));
                let epoch = list.at(&at).map_or(0, |seat| seat.epoch);
                let only_epoch = match which {
                    Which::Any => None,
                    Which::This => Some(epoch),
                    Which::Another => Some(epoch + 1),
                };
                let request = End {
                    customer,
                    device: &at,
                    only_epoch,
                    cause: Cause::Forced,
                    surface: Surface::Api,
                    origin: &Origin::UNKNOWN,
                };
                let may = |asked: &Place, _: Option<&Place>| {
                    if held.as_ref() == Some(asked) { Err(Refusal::EmergencyHold) } else { Ok(()) }
                };
                let expected = list.end(&request, &held);
                if at_once {
                    let ended = seats.end_now(request, may, now);
                    prop_assert_eq!(
                        ended.as_ref().map(|change| &change.ended[0]).map_err(|e| *e),
                        expected.as_ref().map_err(|e| *e)
                    );
                    if let Ok(change) = ended {
                        rises(&change)?;
                        list.apply(&change);
                        journal.push(SeatChange::clone(&change));
                    }
                } else {
                    match (seats.propose_end(request, may, now), expected) {
                        (Ok(proposal), Ok(seat)) => {
                            rises(proposal.change())?;
                            prop_assert_eq!(&proposal.change().ended, &[seat]);
                            list.under_way.push(SeatChange::clone(proposal.change()));
                            proposals.push(proposal);
                        }
                        (Err(refusal), Err(expected)) => prop_assert_eq!(refusal, expected),
                        (outcome, expected) => prop_assert!(false, "{outcome:?}, expected {expected:?}"),
                    }
                }
            }
            Step::Commit(index) if !proposals.is_empty() => {
                let proposal = proposals.swap_remove(index.index(proposals.len()));
                journal.push(SeatChange::clone(proposal.change()));
                let change = seats.commit(proposal).expect("nobody else has it");
                list.settle(&change);
                list.apply(&change);
            }
            Step::Abandon(index) if !proposals.is_empty() => {
                let proposal = proposals.swap_remove(index.index(proposals.len()));
                list.settle(proposal.change());
                seats.abandon(proposal);
            }
            Step::Commit(_) | Step::Abandon(_) => {}
        }
        compare(&seats, &list)?;
    }
    let listed: BTreeMap<_, _> = list.seats.iter().map(|seat| (seat.device.clone(), seat.clone())).collect();
    prop_assert_eq!(fold(&journal), listed);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn table_does_what_a_plain_list_of_seats_does(steps in prop::collection::vec(step(), 1..60)) {
        run(steps)?;
    }
}
