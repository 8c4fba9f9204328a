//! Questions that leave and answers that enter later: PINs and the store are never waited for.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::hotdesk::{Place, Seat, SeatChange};
use crate::settings::PinHash;

/// Ties an answer to what waits for it: slot and generation of the asking worker's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QueryId(pub u64);

/// A question of the dataplane.
#[derive(Clone, Debug)]
pub enum Query {
    /// Is this the PIN? Answered by [`Answer::Pin`].
    VerifyPin {
        /// What the operator stored.
        hash: PinHash,
        /// What the person gave.
        pin: Pin,
    },
    /// Make it durable. Answered by [`Answer::Saved`] when it would survive `kill -9`.
    Save(Record),
}

/// An answer to a [`Query`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To [`Query::VerifyPin`].
    Pin(PinVerdict),
    /// To [`Query::Save`].
    Saved(SaveVerdict),
}

/// What a PIN backend found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinVerdict {
    /// It is the one.
    Right,
    /// It is not.
    Wrong,
    /// Nobody could tell.
    Unavailable,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaveVerdict {
    /// It survives `kill -9`.
    Durable,
    /// It is not in the store and will not be.
    Failed,
}

/// What the store keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// One change of seats.
    Seats(Arc<SeatChange>),
    /// All bindings of one address-of-record, in the stored form of `location`; `None` when none is left.
    Bindings {
        /// The address-of-record's key, stable over restarts.
        aor: Box<str>,
        /// The stored form, see `location::Location::export`.
        record: Option<Box<[u8]>>,
    },
    /// A log-in by REGISTER, in one write: the change of seats, and the bindings with the contact it came with. A
    /// restart finds both or neither.
    LogIn {
        /// The seats.
        change: Arc<SeatChange>,
        /// The address-of-record, as in [`Self::Bindings`].
        aor: Box<str>,
        /// All its bindings, as in [`Self::Bindings`].
        record: Option<Box<[u8]>>,
    },
}

impl Record {
    /// The address-of-record whose bindings it has: whatever waits to be written of the same one is older.
    pub fn aor(&self) -> Option<&str> {
        match self {
            Self::Seats(_) => None,
            Self::Bindings { aor, .. } | Self::LogIn { aor, .. } => Some(aor),
        }
    }
}

/// What a store gives back at start.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    /// The seats that stand.
    pub seats: Vec<Seat>,
    /// The last epoch of each customer, also of those where nobody sits now.
    pub epochs: Vec<(Box<str>, u64)>,
    /// Device and extension of the last seat that ended there by anything but the phone's own un-REGISTER. At
    /// most one a device; the log-in that put it out may stand there, none came later.
    pub marks: Vec<(Place, Place)>,
    /// The bindings of each address-of-record, in the stored form of `location`.
    pub bindings: Vec<(Box<str>, Box<[u8]>)>,
}

/// A PIN on its way to be checked. It is wiped when dropped and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Pin(Zeroizing<Vec<u8>>);

impl Pin {
    /// Longest PIN that is looked at; longer ones are wrong.
    pub const LENGTH_MAX: usize = 64;

    /// Takes the digits as dialled or typed.
    pub fn new(digits: &[u8]) -> Self {
        Self(Zeroizing::new(digits.to_vec()))
    }

    /// The digits, for the backend that checks them.
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(…)")
    }
}
