//! The store of the office: what would survive `kill -9`, and a mood.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::flow::WorkerId;
use crate::hotdesk::{CalledForHelp, DeferredEnd, Place, Seat};
use crate::query::{QueryId, Record, Restored};

/// How the store behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreMood {
    /// It writes and answers after this long.
    Writes(Duration),
    /// It takes questions and answers none until [`Office::release_store`](super::Office::release_store).
    Holds,
    /// It answers that it could not.
    Fails,
}

/// What is durable, and how more becomes so.
#[derive(Debug)]
pub struct Store {
    /// How it behaves from now on.
    pub mood: StoreMood,
    pub(super) held: VecDeque<(WorkerId, QueryId, Record)>,
    seats: BTreeMap<Place, Seat>,
    owed_ends: BTreeMap<Place, DeferredEnd>,
    marks: BTreeMap<Place, Place>,
    epochs: BTreeMap<Box<str>, u64>,
    bindings: BTreeMap<Box<str>, Box<[u8]>>,
    called_for_help: BTreeMap<Place, CalledForHelp>,
}

impl Store {
    pub(super) fn new() -> Self {
        Self {
            mood: StoreMood::Writes(Duration::from_millis(1)),
            held: VecDeque::new(),
            seats: BTreeMap::new(),
            owed_ends: BTreeMap::new(),
            marks: BTreeMap::new(),
            epochs: BTreeMap::new(),
            bindings: BTreeMap::new(),
            called_for_help: BTreeMap::new(),
        }
    }

    /// One seat and one mark a device, folded as [`SeatChange`](crate::hotdesk::SeatChange) says.
    pub(super) fn write(&mut self, record: Record) {
        match record {
            Record::LogIn { change, aor, record } => {
                self.write(Record::Seats(change));
                self.write(Record::Bindings { aor, record });
            }
            Record::Seats(change) => {
                let epoch = self.epochs.entry(change.customer.clone()).or_default();
                *epoch = (*epoch).max(change.epoch);
                let here = change.begun.as_ref().map(|seat| &seat.device);
                if let Some(device) = here {
                    self.marks.remove(device);
                }
                for seat in &change.ended {
                    let stands = self.seats.get(&seat.device).is_some_and(|kept| kept.epoch == seat.epoch);
                    if stands {
                        self.seats.remove(&seat.device);
                        self.owed_ends.remove(&seat.device);
                    }
                    if here == Some(&seat.device) || stands {
                        self.marks.remove(&seat.device);
                        if !change.is_by_phone_itself() {
                            self.marks.insert(seat.device.clone(), seat.extension.clone());
                        }
                    }
                }
                if let Some(seat) = &change.begun {
                    self.seats.insert(seat.device.clone(), seat.clone());
                    self.owed_ends.remove(&seat.device);
                }
            }
            Record::OwedEnd { device, end } => {
                if self.seats.get(&device).is_some_and(|kept| kept.epoch == end.epoch) {
                    self.owed_ends.insert(device, end);
                }
            }
            Record::Bindings { aor, record: Some(record) } => drop(self.bindings.insert(aor, record)),
            Record::Bindings { aor, record: None } => drop(self.bindings.remove(&aor)),
            Record::CalledForHelp { key, call: Some(call) } => {
                self.called_for_help.insert(key, CalledForHelp::clone(&call));
            }
            Record::CalledForHelp { key, call: None } => drop(self.called_for_help.remove(&key)),
            // The edge's shell keeps them; here `Pins` does.
            Record::Pin { .. } => {}
        }
    }

    /// What a new edge is given at its start.
    pub fn restored(&self) -> Restored {
        Restored {
            seats: self.seats.values().cloned().collect(),
            owed_ends: self.owed_ends.iter().map(|(device, end)| (device.clone(), end.clone())).collect(),
            marks: self.marks.iter().map(|(device, mark)| (device.clone(), mark.clone())).collect(),
            epochs: self.epochs.iter().map(|(customer, epoch)| (customer.clone(), *epoch)).collect(),
            bindings: self.bindings.iter().map(|(aor, record)| (aor.clone(), record.clone())).collect(),
            pins: Vec::new(),
            called_for_help: self.called_for_help.values().cloned().collect(),
        }
    }

    /// How many phones a restart would find to have called for help.
    pub fn called_for_help(&self) -> usize {
        self.called_for_help.len()
    }

    /// How many records wait for its answer while it holds.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// The seat a restart would find at a device.
    pub fn seat_at(&self, tenant: &str, device: &str) -> Option<&Seat> {
        self.seats.get(&Place::new(tenant, device))
    }
}
