//! Questions that leave and answers that enter later: PINs and the store are never waited for.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::hotdesk::{CalledForHelp, DeferredEnd, Place, Seat, SeatChange, Surface};
use crate::now::Mono;

/// Ties an answer to what waits for it: slot and generation of the asking worker's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QueryId(pub u64);

/// A question of the dataplane.
#[derive(Clone, Debug)]
pub enum Query {
    /// Is this the PIN? Answered by [`Answer::Pin`].
    VerifyPin(PinRequest),
    /// A person wants another PIN. Answered by [`Answer::PinChanged`].
    ChangePin(PinChange),
    /// Make it durable. Answered by [`Answer::Saved`] when it would survive `kill -9`.
    Save(Record),
}

/// A try to prove to be somebody.
#[derive(Clone, Debug)]
pub struct PinRequest {
    /// Who the person says he is, in the tenant where he is at home. There may be no such extension.
    pub extension: Place,
    /// What he gives to prove it.
    pub proof: Proof,
    /// Where.
    pub device: Place,
    /// By which way.
    pub surface: Surface,
    /// Whoever asks has given up by then.
    pub deadline: Mono,
}

/// What a person gives to prove who he is. Never printed.
#[derive(Clone)]
pub enum Proof {
    /// The PIN itself.
    Clear(Pin),
    /// What a phone makes of it (hoteling): only a backend that holds PINs in clear can tell.
    HotelingMd5 {
        /// The nonce the phone was given.
        nonce: Box<[u8]>,
        /// MD5 of nonce, colon and PIN, in lower-case hexadecimal digits.
        response: [u8; 32],
    },
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clear(_) => "Clear(…)",
            Self::HotelingMd5 { .. } => "HotelingMd5(…)",
        })
    }
}

/// A wish for another PIN.
#[derive(Clone, Debug)]
pub struct PinChange {
    /// Whose.
    pub extension: Place,
    /// The one in force: it is verified as in a log-in, and a wrong one counts as one.
    pub old: Pin,
    /// The one wished for.
    pub new: Pin,
    /// Where.
    pub device: Place,
    /// By which way.
    pub surface: Surface,
    /// Whoever asks has given up by then; a change that comes later is not made.
    pub deadline: Mono,
}

/// An answer to a [`Query`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To [`Query::VerifyPin`].
    Pin(PinVerdict),
    /// To [`Query::ChangePin`].
    PinChanged(PinChangeVerdict),
    /// To [`Query::Save`].
    Saved(SaveVerdict),
}

/// What stands in the audit trail in place of an operator where it was the PIN of all who have none. It has a blank, as no
/// operator's name has.
pub const FALLBACK_PIN: &str = "fallback PIN";

/// What the PIN backends of a tenant found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinVerdict {
    /// It is the one.
    Accepted {
        /// The operator whose master PIN it was, or [`FALLBACK_PIN`]; `None`: the person's own.
        operator: Option<Arc<str>>,
    },
    /// It opens nothing.
    Rejected(PinReject),
    /// Nobody could tell.
    Unavailable,
}

/// Why a PIN opens nothing. Told apart in logs, and never to whoever gave it, but for [`Self::MustChange`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinReject {
    /// No backend knows the extension.
    UnknownExtension,
    /// The extension has no PIN, or an empty one.
    NoPin,
    /// It is another one.
    Wrong,
    /// It is the one, and good for nothing but choosing another.
    MustChange {
        /// It is that of all who have none, and says nothing about who gave it.
        is_fallback: bool,
    },
}

/// What became of a wish for another PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinChangeVerdict {
    /// The new one is in the store, and the old one opens nothing any more.
    Changed {
        /// The old one was that of all who have none; it opens the others still.
        was_fallback: bool,
    },
    /// The old one was not proved; nothing changed.
    Rejected(PinReject),
    /// The new one is too short, too easily guessed or no keypad can dial it; nothing changed.
    TooSimple {
        /// The old one is that of all who have none.
        is_fallback: bool,
    },
    /// The PIN is kept where it cannot be changed from here, or the operator does not let it; nothing changed.
    Fixed,
    /// Nobody could tell, or the store did not take it; the old one stands.
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
    /// A PIN that was changed at a phone, in place of any before it; `None`: the operator's counts again.
    Pin {
        /// Whose.
        extension: Place,
        /// The PIN.
        pin: Option<ChangedPin>,
    },
    /// A phone called for help, or that call ended; `None`: that is long enough ago.
    CalledForHelp {
        /// Of the call.
        key: Place,
        /// What is known of it, in place of anything before.
        call: Option<Arc<CalledForHelp>>,
    },
    /// A seat is to end when no call is up at its device, in place of what was said of it before. It is kept with the
    /// seat whose epoch it has, and goes with it; where another sits there, or nobody, it is void.
    OwedEnd {
        /// Where.
        device: Place,
        /// How.
        end: DeferredEnd,
    },
}

/// A PIN that a person chose at a phone. It counts over the operator's until that one changes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedPin {
    /// As [`StoredPin::phc`](crate::settings::StoredPin::phc).
    pub phc: Box<str>,
    /// Fingerprint of the operator's PIN that it replaced.
    pub replaces: [u8; 16],
    /// Wall clock of the change, milliseconds since 1970-01-01 UTC.
    pub at: u64,
}

impl fmt::Debug for ChangedPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChangedPin(… of {})", self.at)
    }
}

impl Record {
    /// The address-of-record whose bindings it has: whatever waits to be written of the same one is older.
    pub fn aor(&self) -> Option<&str> {
        match self {
            Self::Seats(_) | Self::Pin { .. } | Self::CalledForHelp { .. } | Self::OwedEnd { .. } => None,
            Self::Bindings { aor, .. } | Self::LogIn { aor, .. } => Some(aor),
        }
    }
}

/// What a store gives back at start.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    /// The seats that stand.
    pub seats: Vec<Seat>,
    /// Devices where one of them is to end.
    pub owed_ends: Vec<(Place, DeferredEnd)>,
    /// The last epoch of each customer, also of those where nobody sits now.
    pub epochs: Vec<(Box<str>, u64)>,
    /// Device and extension of the last seat that ended there by anything but the phone's own un-REGISTER. At
    /// most one a device; the log-in that put it out may stand there, none came later.
    pub marks: Vec<(Place, Place)>,
    /// The bindings of each address-of-record, in the stored form of `location`.
    pub bindings: Vec<(Box<str>, Box<[u8]>)>,
    /// The PINs that were changed at a phone.
    pub pins: Vec<(Place, ChangedPin)>,
    /// The calls for help of not long ago.
    pub called_for_help: Vec<CalledForHelp>,
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
