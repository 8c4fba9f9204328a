//! The seat table and what may happen to it. Knows no SIP message.
//!
//! [`Seats`] says who sits where; [`Timeouts`] which seat ends when by itself; [`Calls`] which calls are up at a device;
//! [`Reloads`] what waits for their end; [`CallBacks`] which phone called for help; [`Marks`] what a phone that lost its
//! seat may not register; [`LastSeats`] who sat down last at a device; [`KeptDesks`] where a person who
//! has left is called for a while; [`Pins`] how often a PIN may be tried; and
//! [`dialled`] reads what a person dials. All workers share these tables; each is locked by shards, one shard at
//! a time, and no guard leaves its file.

mod call_backs;
mod calls;
mod change;
mod dialled;
#[cfg(test)]
mod fault;
mod kept_desks;
mod last_seats;
mod ledger;
mod marks;
mod outside;
mod pins;
mod place;
mod proposal;
mod reloads;
mod seat;
mod sync;
mod timeouts;

use crate::hash;

pub use call_backs::{CallBack, CallBacks, CalledForHelp, Caller, Resumed};
pub use calls::Calls;
pub use change::{Cause, Origin, Seat, SeatChange, Surface};
pub use dialled::{Dialled, Typed, dialled, emergency};
pub use kept_desks::KeptDesks;
pub use last_seats::LastSeats;
pub use ledger::SeatsOfExtension;
pub use marks::Marks;
pub use outside::{OneTooMany, OutsideCalls};
pub use pins::{Alarm, Lock, Locked, Pins};
pub use place::{Named, Place};
pub use proposal::{End, LogIn, Proposal, Proposed, Settled};
pub use reloads::{DeferredEnd, Due, Reloads};
pub use seat::Seats;
pub use timeouts::{Look, NextEnd, Occasion, Timeouts};
