//! One shard of the seat table without its lock: who sits where, and which changes are under way.
//!
//! ```text
//!            hold              apply
//!   nothing ──────► reserved ─────────► stands, nothing reserved
//!                       │ release
//!                       └─────────────► nothing
//! ```
//!
//! What is written down first is the change itself, with its stage; the devices' seats follow; the rest
//! (extensions' seats, reservations, the count) is derived from those two. So whatever a panic leaves behind
//! is completed or taken back by [`Ledger::mend`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::change::{Cause, Seat, SeatChange};
use super::hash::NameHasher;
use super::place::{Named, Place};
use super::proposal::{End, LogIn, Proposal};
use crate::now::{Mono, Now};
use crate::refusal::Refusal;
use crate::settings::{OnLimit, OnOccupied};

/// The seats of one extension: one or two are the rule, more lie on the heap.
pub type SeatsOfExtension = SmallVec<[Arc<Seat>; 2]>;

/// The seats of some customers. All tenants of a customer are in the same ledger.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    devices: HashMap<Place, AtDevice, NameHasher>,
    extensions: HashMap<Place, OfExtension, NameHasher>,
    customers: HashMap<Box<str>, Customer, NameHasher>,
    /// Seats that stand.
    count: usize,
}

#[derive(Debug, Default)]
struct AtDevice {
    seat: Option<Arc<Seat>>,
    reserved_by: Option<u64>,
}

#[derive(Debug, Default)]
struct OfExtension {
    /// Oldest first: changes of one extension come one after the other, each with a higher epoch.
    seats: SeatsOfExtension,
    reserved_by: Option<u64>,
}

#[derive(Debug, Default)]
struct Customer {
    /// The last epoch given out.
    epoch: u64,
    /// Changes on their way to the store. Each reserves a device, so there are at most as many.
    pending: HashMap<u64, Pending, NameHasher>,
}

#[derive(Debug)]
struct Pending {
    change: Arc<SeatChange>,
    stage: Stage,
    /// When whoever sees to it took it.
    since: Mono,
    /// Who sees to it: see [`Proposal`].
    holder: u32,
}

/// How far a change has come. Whoever looks at a ledger that is whole finds `Reserved` alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Reserving,
    Reserved,
    Applying,
}

/// What a log-in would do.
#[derive(Debug)]
pub(super) enum Plan {
    AlreadySits(Arc<Seat>),
    /// These seats end and the new one begins.
    Sit(Vec<Seat>),
}

impl Ledger {
    pub(super) fn seat_at(&self, device: &dyn Named) -> Option<&Arc<Seat>> {
        self.devices.get(device)?.seat.as_ref()
    }

    /// Oldest first.
    pub(super) fn seats_of(&self, extension: &dyn Named) -> &[Arc<Seat>] {
        self.extensions.get(extension).map_or(&[], |of| &of.seats)
    }

    pub(super) fn seats(&self) -> impl Iterator<Item = &Arc<Seat>> {
        self.devices.values().filter_map(|at| at.seat.as_ref())
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    fn extension_is_reserved(&self, extension: &Place) -> bool {
        self.extensions.get(extension).is_some_and(|of| of.reserved_by.is_some())
    }

    /// Decides what a log-in changes, and changes nothing.
    pub(super) fn plan_log_in(
        &self,
        request: &LogIn<'_>,
        may_change: impl Fn(&Place, Option<&Place>) -> Result<(), Refusal>,
    ) -> Result<Plan, Refusal> {
        let LogIn { device, extension, .. } = *request;
        let (at, of) = (self.devices.get(device), self.extensions.get(extension));
        if at.is_some_and(|at| at.reserved_by.is_some()) || of.is_some_and(|of| of.reserved_by.is_some()) {
            return Err(Refusal::Busy);
        }
        let mut ended = Vec::new();
        if let Some(sitting) = at.and_then(|at| at.seat.as_ref()) {
            if sitting.extension == *extension {
                return Ok(Plan::AlreadySits(sitting.clone()));
            }
            if request.on_occupied != OnOccupied::TakeOver {
                return Err(Refusal::DeviceOccupied);
            }
            if self.extension_is_reserved(&sitting.extension) {
                return Err(Refusal::Busy);
            }
            ended.push(Seat::clone(sitting));
        }
        let seats: &[_] = of.map_or(&[], |of| &of.seats);
        let others_max = request.devices_max.saturating_sub(1) as usize;
        let beyond = seats.len().saturating_sub(others_max);
        if beyond > 0 && request.on_limit == OnLimit::Refuse {
            return Err(Refusal::SeatLimit);
        }
        // Their devices are free: a change at a device where somebody sits reserves that extension as well.
        ended.extend(seats[..beyond].iter().map(|displaced| Seat::clone(displaced)));
        may_change(device, at.and_then(|at| at.seat.as_ref()).map(|seat| &seat.extension))?;
        for seat in ended.iter().filter(|seat| seat.device != *device) {
            may_change(&seat.device, Some(&seat.extension))?;
        }
        Ok(Plan::Sit(ended))
    }

    /// Decides which seat an end ends, and changes nothing.
    pub(super) fn plan_end(
        &self,
        request: &End<'_>,
        may_change: impl Fn(&Place, Option<&Place>) -> Result<(), Refusal>,
    ) -> Result<Seat, Refusal> {
        let device = request.device;
        let at = self.devices.get(device).ok_or(Refusal::NobodySits)?;
        if at.reserved_by.is_some() {
            return Err(Refusal::Busy);
        }
        let seat = at.seat.as_ref().ok_or(Refusal::NobodySits)?;
        if request.only_epoch.is_some_and(|epoch| epoch != seat.epoch) {
            return Err(Refusal::NobodySits);
        }
        if self.extension_is_reserved(&seat.extension) {
            return Err(Refusal::Busy);
        }
        may_change(device, Some(&seat.extension))?;
        Ok(Seat::clone(seat))
    }

    /// Reserves what a planned log-in touches, under a new epoch.
    pub(super) fn hold_log_in(&mut self, request: &LogIn<'_>, ended: Vec<Seat>, now: Now) -> Proposal {
        self.hold(request.customer, now.mono, |epoch| SeatChange {
            customer: request.customer.into(),
            epoch,
            ended,
            begun: Some(Seat {
                device: request.device.clone(),
                extension: request.extension.clone(),
                epoch,
                since: now.wall,
                surface: request.surface,
                until: request.until,
            }),
            cause: Cause::LogIn,
            surface: request.surface,
            at: now.wall,
            origin: request.origin.clone(),
        })
    }

    /// Reserves what a planned end touches, under a new epoch.
    pub(super) fn hold_end(&mut self, request: &End<'_>, ended: Seat, now: Now) -> Proposal {
        self.hold(request.customer, now.mono, |epoch| SeatChange {
            customer: request.customer.into(),
            epoch,
            ended: vec![ended],
            begun: None,
            cause: request.cause,
            surface: request.surface,
            at: now.wall,
            origin: request.origin.clone(),
        })
    }

    fn customer(&mut self, name: &str) -> &mut Customer {
        // The name is copied for its first change alone.
        if !self.customers.contains_key(name) {
            self.customers.insert(name.into(), Customer::default());
        }
        self.customers.get_mut(name).expect("it was there or has just been put there")
    }

    fn hold(&mut self, customer: &str, since: Mono, change: impl FnOnce(u64) -> SeatChange) -> Proposal {
        let customer = self.customer(customer);
        customer.epoch += 1;
        let epoch = customer.epoch;
        let change = Arc::new(change(epoch));
        customer
            .pending
            .insert(epoch, Pending { change: change.clone(), stage: Stage::Reserving, since, holder: 0 });
        step();
        self.reserve(&change, Some(epoch));
        if let Some(pending) = self.pending_mut(&change) {
            pending.stage = Stage::Reserved;
        }
        step();
        Proposal { change, holder: 0 }
    }

    /// Carries out a reserved change. `None` if it is not reserved (any more), or in other hands.
    pub(super) fn apply(&mut self, proposal: &Proposal) -> Option<Arc<SeatChange>> {
        let Proposal { change, holder } = proposal;
        self.pending_mut(change).filter(|pending| pending.holder == *holder)?.stage = Stage::Applying;
        step();
        for seat in &change.ended {
            self.remove(seat);
            step();
        }
        if let Some(seat) = &change.begun {
            self.insert(Arc::new(seat.clone()));
            step();
        }
        self.settle(change);
        Some(change.clone())
    }

    /// Takes a reserved change back, unless it was taken over: see [`Ledger::overdue`].
    pub(super) fn release(&mut self, proposal: &Proposal) {
        let Some(pending) = self.pending_mut(&proposal.change).filter(|pending| pending.holder == 0) else {
            return;
        };
        pending.stage = Stage::Reserving;
        step();
        self.settle(&proposal.change);
    }

    /// Nothing is under way any more where this change was.
    fn settle(&mut self, change: &SeatChange) {
        self.reserve(change, None);
        if let Some(customer) = self.customers.get_mut(&change.customer) {
            customer.pending.remove(&change.epoch);
        }
        step();
    }

    fn pending_mut(&mut self, change: &SeatChange) -> Option<&mut Pending> {
        self.customers.get_mut(&change.customer)?.pending.get_mut(&change.epoch)
    }

    /// Hands out again at most `max` changes that nobody settled for `lease`, and starts their lease anew.
    pub(super) fn overdue(&mut self, now: Mono, lease: Duration, max: usize) -> Vec<Proposal> {
        let pending = self.customers.values_mut().flat_map(|customer| customer.pending.values_mut());
        let overdue = pending.filter(|pending| now.since(pending.since) >= lease).take(max);
        overdue
            .map(|pending| {
                pending.since = now;
                pending.holder += 1;
                Proposal { change: pending.change.clone(), holder: pending.holder }
            })
            .collect()
    }

    /// True if a change is on its way to the store.
    pub(super) fn has_pending(&self) -> bool {
        self.customers.values().any(|customer| !customer.pending.is_empty())
    }

    /// Puts a stored seat back, or gives it back if the device is taken.
    pub(super) fn restore(&mut self, customer: &str, seat: Seat) -> Option<Seat> {
        self.raise_epoch(customer, seat.epoch);
        if self.seat_at(&seat.device).is_some() {
            return Some(seat);
        }
        self.insert(Arc::new(seat));
        None
    }

    /// No epoch up to `epoch` is given out to the customer again.
    pub(super) fn raise_epoch(&mut self, customer: &str, epoch: u64) {
        let customer = self.customer(customer);
        customer.epoch = customer.epoch.max(epoch);
    }

    /// Reserves every device and extension of a change, or frees them and drops what is empty then.
    fn reserve(&mut self, change: &SeatChange, by: Option<u64>) {
        for Seat { device, extension, .. } in change.seats() {
            let at = self.devices.entry(device.clone()).or_default();
            at.reserved_by = by;
            if by.is_none() && at.seat.is_none() {
                self.devices.remove(device);
            }
            step();
            let of = self.extensions.entry(extension.clone()).or_default();
            of.reserved_by = by;
            if by.is_none() && of.seats.is_empty() {
                self.extensions.remove(extension);
            }
            step();
        }
    }

    fn insert(&mut self, seat: Arc<Seat>) {
        let seats = &mut self.extensions.entry(seat.extension.clone()).or_default().seats;
        let place = seats.partition_point(|other| other.epoch < seat.epoch);
        seats.insert(place, Arc::clone(&seat));
        step();
        let at = self.devices.entry(seat.device.clone()).or_default();
        at.seat = Some(seat);
        self.count += 1;
    }

    fn remove(&mut self, seat: &Seat) {
        if let Some(at) = self.devices.get_mut(&seat.device)
            && at.seat.take_if(|sitting| sitting.epoch == seat.epoch).is_some()
        {
            self.count -= 1;
        }
        step();
        if let Some(of) = self.extensions.get_mut(&seat.extension) {
            of.seats.retain(|sitting| sitting.epoch != seat.epoch);
        }
    }

    /// Makes the ledger whole after a panic in the middle of a change: what was being reserved or taken back is
    /// not, what was being applied is (the store has it), and all that is derived is derived anew.
    ///
    /// All of it is prepared beside the ledger: a panic in here leaves it as it was, to be mended again.
    pub(super) fn mend(&mut self) {
        let pending = || self.customers.values().flat_map(|customer| customer.pending.values());
        let mut standing: HashMap<&Place, Arc<Seat>> =
            self.seats().map(|seat| (&seat.device, seat.clone())).collect();
        for change in
            pending().filter(|pending| pending.stage == Stage::Applying).map(|pending| &pending.change)
        {
            for seat in &change.ended {
                if standing.get(&seat.device).is_some_and(|sitting| sitting.epoch == seat.epoch) {
                    standing.remove(&seat.device);
                }
            }
            if let Some(seat) = &change.begun {
                standing.insert(&seat.device, Arc::new(seat.clone()));
            }
        }
        let mut whole = Self::default();
        for seat in standing.into_values() {
            whole.insert(seat);
        }
        for change in
            pending().filter(|pending| pending.stage == Stage::Reserved).map(|pending| &pending.change)
        {
            whole.reserve(change, Some(change.epoch));
        }
        self.devices = whole.devices;
        self.extensions = whole.extensions;
        self.count = whole.count;
        for customer in self.customers.values_mut() {
            customer.pending.retain(|_, pending| pending.stage == Stage::Reserved);
        }
    }
}

/// Between two steps of a change. Tests let a thread die here.
#[inline(always)]
fn step() {
    #[cfg(test)]
    super::fault::step();
}
