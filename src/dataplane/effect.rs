//! What one core wants of another: cores never call each other, `dispatch` carries it over.

use std::sync::Arc;

use crate::flow::Flow;
use crate::hotdesk::{Origin, Place, Proposal, SeatChange, Surface};
use crate::input::ReplyId;
use crate::notifier::Eviction;
use crate::query::{Pin, Proof};
use crate::refusal::Refusal;

/// Who asked for a change of seats and hears what became of it. It may hold a request with its credentials: never printed.
#[derive(Clone)]
pub(crate) enum Asker {
    /// A call to a code.
    Attendant(crate::attendant::CallKey),
    /// A REGISTER that is a log-in or log-out: answered when the seat is decided.
    Register {
        /// Whence it came.
        flow: Flow,
        /// Its octets.
        request: Box<[u8]>,
        /// Its contact is bound already, under the seat that is to come: what goes if the seat does not come.
        bound: Option<Eviction>,
    },
    /// The guest key of `device`: the SUBSCRIBE with this CSeq.
    Hoteling { device: Place, cseq: u32 },
    /// The control plane.
    Api(ReplyId),
    /// Nobody: the settings did it, or a deferred end came due.
    Nobody,
}

/// A log-in whose proof is given or not needed. What was typed as extension may be a PIN: never printed.
#[derive(Clone)]
pub(crate) struct LogIn {
    pub(crate) asker: Asker,
    pub(crate) device: Place,
    pub(crate) extension: Place,
    pub(crate) surface: Surface,
    /// Who asked, for the audit trail.
    pub(crate) origin: Origin,
    /// Whoever sits there is put out where the policy is to ask: it was asked. At the control API, whatever the policy.
    pub(crate) force: bool,
    /// Until when the seat is taken, wall clock in milliseconds; `None`: for no particular time.
    pub(crate) until: Option<u64>,
    /// The proof is for a log-out: the seats of the extension end.
    pub(crate) leaves: bool,
}

impl LogIn {
    /// A log-in for no particular time that forces nobody out.
    pub(crate) fn new(
        asker: Asker,
        device: Place,
        extension: Place,
        surface: Surface,
        origin: Origin,
    ) -> Self {
        Self { asker, device, extension, surface, origin, force: false, until: None, leaves: false }
    }

    /// What comes of it where it may not be.
    pub(crate) fn refused(self, refusal: Refusal) -> Effect {
        Effect::Refused {
            asker: self.asker,
            device: self.device,
            extension: Some(self.extension),
            refusal,
            surface: self.surface,
            origin: self.origin,
        }
    }
}

/// What one core wants of the others. Never printed, for what [`Asker`] and [`LogIn`] hold.
pub(crate) enum Effect {
    /// Check this proof, then seat the extension.
    CheckPin(LogIn, Proof),
    /// Seat the extension.
    LogIn(LogIn),
    /// The person of this extension, at this device, wants another PIN.
    ChangePin { by: LogIn, old: Pin, new: Pin },
    /// The new PIN counts; say so to whoever wanted it.
    PinChanged(Asker),
    /// A log-in by REGISTER that had to wait is proposed: bind its contact.
    Bind { proposal: Proposal, flow: Flow, request: Box<[u8]> },
    /// End the seat at a device, because the person there wants it.
    LogOut { asker: Asker, device: Place, surface: Surface, origin: Origin },
    /// Seats have changed: tell the phones, let ringing calls follow.
    SeatsChanged(Arc<SeatChange>),
    /// A log-in or log-out came to nothing.
    Refused {
        asker: Asker,
        device: Place,
        /// As typed; `None` for a log-out.
        extension: Option<Place>,
        refusal: Refusal,
        surface: Surface,
        origin: Origin,
    },
    /// A change stands; answer whoever asked.
    Granted { asker: Asker, change: Arc<SeatChange> },
    /// The last call at a device ended.
    Idle(Place),
    /// The device may now be told to reload: the call that seated somebody there is over.
    Reload(Place),
}
