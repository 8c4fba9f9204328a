//! What a seat is and what one change of seats is: one record, journalled whole, applied whole.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::place::Place;

/// The way a change was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Surface {
    /// Everything in one dialled string, or a dialled code.
    Dialled,
    /// The phone's own wizard: a REGISTER for the extension from a known device.
    Native,
    /// The control API.
    Api,
    /// The configuration: an extension or device was removed or disabled.
    Configuration,
    /// The attendant, which asked for what was not dialled.
    Attendant,
    /// The clock: the seat had stood for its time.
    Clock,
    /// The phone's own guest key: a SUBSCRIBE to the hoteling event package.
    Hoteling,
}

impl Surface {
    /// All of them, in the order of [`Self::code`].
    pub const ALL: [Self; 7] = [
        Self::Dialled,
        Self::Native,
        Self::Api,
        Self::Configuration,
        Self::Attendant,
        Self::Clock,
        Self::Hoteling,
    ];

    /// The stable code in the audit trail.
    pub fn code(self) -> &'static str {
        match self {
            Self::Dialled => "dialled",
            Self::Native => "native",
            Self::Api => "api",
            Self::Configuration => "configuration",
            Self::Attendant => "attendant",
            Self::Clock => "clock",
            Self::Hoteling => "hoteling",
        }
    }
}

/// Why a change happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Cause {
    /// A person took a seat; whatever seats ended were displaced by it.
    LogIn,
    /// The person at the device left.
    LogOut,
    /// An administrator ended it.
    Forced,
    /// The extension or the device is no longer there, or disabled.
    Removed,
    /// Nobody used the device for too long.
    Idle,
    /// It stood for as long as a seat may.
    Absolute,
    /// A time of day has come at which seats end.
    TimeOfDay,
    /// It was taken until now.
    Booking,
    /// The operator gave the extension another PIN (USR-9).
    PinChanged,
}

impl Cause {
    /// All of them, in the order of [`Self::code`].
    pub const ALL: [Self; 9] = [
        Self::LogIn,
        Self::LogOut,
        Self::Forced,
        Self::Removed,
        Self::Idle,
        Self::Absolute,
        Self::TimeOfDay,
        Self::Booking,
        Self::PinChanged,
    ];

    /// The stable code in the audit trail.
    pub fn code(self) -> &'static str {
        match self {
            Self::LogIn => "log-in",
            Self::LogOut => "log-out",
            Self::Forced => "forced",
            Self::Removed => "removed",
            Self::Idle => "idle",
            Self::Absolute => "absolute",
            Self::TimeOfDay => "time-of-day",
            Self::Booking => "booking",
            Self::PinChanged => "pin-changed",
        }
    }
}

/// Who asked for a change and from where, as far as it is known: for the audit trail alone, nothing is decided by it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Origin {
    /// The operator behind it: the name of a token, or of a master PIN.
    pub by: Option<Box<str>>,
    /// Where its request came from.
    pub source: Option<SocketAddr>,
    /// Call-ID of its request, at most [`Origin::CALL_ID_MAX`] octets of it.
    pub call_id: Option<Box<str>>,
}

impl Origin {
    /// Nobody is known to have asked.
    pub const UNKNOWN: Self = Self { by: None, source: None, call_id: None };

    /// Phones write 20 to 60 octets; what is longer is cut.
    pub const CALL_ID_MAX: usize = 128;

    /// A request that came from `source` with this Call-ID.
    pub fn of_request(source: SocketAddr, call_id: &[u8]) -> Self {
        let call_id = &call_id[..call_id.len().min(Self::CALL_ID_MAX)];
        Self { by: None, source: Some(source), call_id: Some(String::from_utf8_lossy(call_id).into()) }
    }

    /// An order of an operator.
    pub fn of_operator(name: &str) -> Self {
        Self { by: Some(name.into()), ..Self::default() }
    }
}

/// The tie of a device to an extension: who sits where, since when, how it was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// Where.
    pub device: Place,
    /// Who.
    pub extension: Place,
    /// Rises with every change of the customer's seats; tells this sitting from any other.
    pub epoch: u64,
    /// Wall clock of the log-in, milliseconds since 1970-01-01 UTC.
    pub since: u64,
    /// By which way it was taken.
    pub surface: Surface,
    /// Until when it was taken, wall clock in milliseconds since 1970-01-01 UTC; `None`: for no particular time.
    pub until: Option<u64>,
}

/// One change: the seats that end, the seat that begins, if any. Applied under one write lock and written as
/// one record, so no reader and no restart ever sees half of it.
///
/// Records of different workers may reach the store in another order than their epochs, but a seat's beginning
/// always before its end. So a store that keeps one seat a device folds them in any order: what begins takes
/// its device's place, and a seat that ends is removed only where the seat kept has its epoch. To fold a record
/// twice in a row is to fold it once.
///
/// Marks are folded with the seats, one a device: a seat that is removed leaves its extension as the mark of its
/// device, or none where the phone itself ended it; a seat that begins leaves the extension it put out there, or
/// none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeatChange {
    /// The tenants that may visit one another; all their seats share one lock and one row of epochs.
    pub customer: Box<str>,
    /// The epoch of this change, higher than any before it of the customer.
    pub epoch: u64,
    /// Seats that end: at most those the extension held, and the one of whoever sat at the device.
    pub ended: Vec<Seat>,
    /// The seat that begins; its epoch is the change's.
    pub begun: Option<Seat>,
    /// Why.
    pub cause: Cause,
    /// By which way.
    pub surface: Surface,
    /// Wall clock of the change, milliseconds since 1970-01-01 UTC.
    pub at: u64,
    /// Who asked. It goes to the audit trail and not into the journal, so it is gone where a change was read back.
    #[serde(skip)]
    pub origin: Origin,
}

impl SeatChange {
    /// Every seat of the change, those that end first.
    pub fn seats(&self) -> impl Iterator<Item = &Seat> {
        self.ended.iter().chain(&self.begun)
    }

    /// True for the phone's own un-REGISTER. The seats that end by anything else leave a mark.
    pub fn is_by_phone_itself(&self) -> bool {
        self.cause == Cause::LogOut && self.surface == Surface::Native
    }
}
