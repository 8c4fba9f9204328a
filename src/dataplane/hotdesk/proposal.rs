//! What may be asked of the seat table, and what it hands out between the question and the fact.

use std::sync::Arc;

use super::change::{Cause, Origin, Seat, SeatChange, Surface};
use super::place::Place;
use crate::settings::{OnLimit, OnOccupied};

/// A person wants to sit down. Who may ask and whether the PIN is right was decided before.
#[derive(Clone, Copy, Debug)]
pub struct LogIn<'a> {
    /// The customer of both tenants: a visitor's extension and the device may be of two.
    pub customer: &'a str,
    /// Where.
    pub device: &'a Place,
    /// Who.
    pub extension: &'a Place,
    /// Seats the extension may hold at a time; 0 counts as 1.
    pub devices_max: u32,
    /// What happens at that limit.
    pub on_limit: OnLimit,
    /// What happens if another sits at the device.
    pub on_occupied: OnOccupied,
    /// By which way it was asked.
    pub surface: Surface,
    /// Who asked, for the audit trail.
    pub origin: &'a Origin,
    /// Until when the seat is taken, as [`Seat::until`].
    pub until: Option<u64>,
}

/// The seat at a device shall end without a successor.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// The customer of the device's tenant.
    pub customer: &'a str,
    /// Where.
    pub device: &'a Place,
    /// Only this sitting; `None`: whoever sits there.
    pub only_epoch: Option<u64>,
    /// Why.
    pub cause: Cause,
    /// By which way it was asked.
    pub surface: Surface,
    /// Who asked, for the audit trail.
    pub origin: &'a Origin,
}

/// What a log-in comes to.
#[derive(Debug)]
pub enum Proposed {
    /// These seats will change once the store has the record.
    Change(Proposal),
    /// The extension sits at this device already: there is nothing to write.
    AlreadySits(Arc<Seat>),
}

/// A change on its way to the store. Its devices and extensions are reserved until it is given back with
/// `Seats::commit` or `Seats::abandon`; one that is lost comes back by `Seats::overdue`.
#[must_use = "its devices and extensions stay reserved until it is committed or abandoned"]
#[derive(Debug)]
pub struct Proposal {
    pub(super) change: Arc<SeatChange>,
    /// 0 for whoever proposed it, one more for each who took it over.
    pub(super) holder: u32,
}

impl Proposal {
    /// The record to be made durable.
    pub fn change(&self) -> &Arc<SeatChange> {
        &self.change
    }
}

/// A change could not be committed: it was settled before, or another has taken it over and will settle it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the change of seats is settled, or in other hands")]
pub struct Settled;
