//! What waits for a backend: a PIN being checked, a record being written.

use std::collections::HashSet;

use crate::effect::{Asker, LogIn};
use crate::flow::Flow;
use crate::hotdesk::{Place, Proposal, SeatChange};
use crate::input::ReplyId;
use crate::output::Done;
use crate::print::Print;
use crate::query::{QueryId, Record};
use crate::registrar::Role;
use crate::settings::StoredPin;
use crate::slots::{SlotKey, Slots};
use std::sync::Arc;

/// Questions of one worker under way at a time: a restart's worth of new bindings within a group commit.
const WAITING_MAX: usize = 65_536;

/// What an answer is for.
pub(crate) enum Waiting {
    /// A PIN.
    Pin {
        log_in: LogIn,
        /// What the settings had when it was asked: where they have another by then, the answer is worth nothing.
        stored: Option<StoredPin>,
    },
    /// Another PIN.
    NewPin(LogIn),
    /// A log-in on its way to the store.
    Seats { proposal: Proposal, asker: Asker },
    /// An end that stands in memory already.
    End { change: Arc<SeatChange>, asker: Asker },
    /// An end that waits for a call. The operator hears what is done when that would be there after a restart.
    OwedEnd { record: Record, done: Done, reply: ReplyId },
    /// The bindings of a REGISTER that is answered when they are durable.
    Bindings { flow: Flow, request: Box<[u8]>, aor: Place, role: Role },
}

/// What waits for a backend.
pub(crate) struct Pending {
    waiting: Slots<Waiting>,
    /// REGISTERs that wait for their answer, by their print: their retransmissions wait with them.
    registers: HashSet<u64>,
}

impl Pending {
    /// Nothing waits. `first_generation` must be random: backends may still answer what a dataplane asked that has
    /// panicked since, and a verdict on one person's PIN must not be taken for that on another's.
    pub(crate) fn new(first_generation: u32) -> Self {
        Self { waiting: Slots::beginning_after(first_generation, WAITING_MAX), registers: HashSet::new() }
    }

    /// True if no further question can be asked now. Whoever must not lose what he asks for looks first.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting.len() >= WAITING_MAX
    }

    /// Remembers what the answer to a question is for; `None`: too many questions are open.
    pub(crate) fn insert(&mut self, waiting: Waiting) -> Option<QueryId> {
        self.waiting.insert(waiting).map(|key| QueryId(key.0))
    }

    /// Takes back what a question was for.
    pub(crate) fn take(&mut self, query: QueryId) -> Option<Waiting> {
        self.waiting.remove(SlotKey(query.0))
    }

    /// The REGISTER of this print is answered later: until then its retransmissions get no answer.
    pub(crate) fn await_register(&mut self, print: Print) {
        self.registers.insert(print.request);
    }

    /// It is answered now.
    pub(crate) fn forget_register(&mut self, print: Print) {
        self.registers.remove(&print.request);
    }

    /// True while a REGISTER of this print waits.
    pub(crate) fn has_register(&self, print: Print) -> bool {
        self.registers.contains(&print.request)
    }

    /// Questions that are open.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}
