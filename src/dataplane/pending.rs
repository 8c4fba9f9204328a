//! What waits for a backend: a PIN being checked, a record being written.

use std::collections::HashSet;

use crate::effect::{Asker, LogIn};
use crate::flow::Flow;
use crate::hotdesk::{Proposal, SeatChange};
use crate::query::QueryId;
use crate::settings::PinHash;
use crate::slots::{SlotKey, Slots};
use std::sync::Arc;

/// Questions of one worker under way at a time: a restart's worth of new bindings within a group commit.
const WAITING_MAX: usize = 65_536;

/// What an answer is for.
pub(crate) enum Waiting {
    /// A PIN.
    Pin {
        log_in: LogIn,
        /// What it is checked against; if the settings have another by then, the log-in starts over.
        hash: PinHash,
        /// False: there is no such extension, and the answer is wrong whatever the backend says.
        known: bool,
    },
    /// A log-in on its way to the store.
    Seats { proposal: Proposal, asker: Asker },
    /// An end that stands in memory already.
    End { change: Arc<SeatChange>, asker: Asker },
    /// The bindings of a REGISTER that is answered when they are durable.
    Bindings { flow: Flow, request: Box<[u8]>, seen: u64 },
}

/// What waits for a backend.
pub(crate) struct Pending {
    waiting: Slots<Waiting>,
    /// REGISTERs that wait, by account, Call-ID and CSeq: their retransmissions wait with them.
    registers: HashSet<u64>,
}

impl Pending {
    pub(crate) fn new() -> Self {
        Self { waiting: Slots::new(WAITING_MAX), registers: HashSet::new() }
    }

    /// Remembers what the answer to a question is for; `None`: too many questions are open.
    pub(crate) fn insert(&mut self, waiting: Waiting) -> Option<QueryId> {
        let seen = match &waiting {
            Waiting::Bindings { seen, .. } => Some(*seen),
            _ => None,
        };
        let key = self.waiting.insert(waiting)?;
        self.registers.extend(seen);
        Some(QueryId(key.0))
    }

    /// Takes back what a question was for.
    pub(crate) fn take(&mut self, query: QueryId) -> Option<Waiting> {
        let waiting = self.waiting.remove(SlotKey(query.0))?;
        if let Waiting::Bindings { seen, .. } = &waiting {
            self.registers.remove(seen);
        }
        Some(waiting)
    }

    /// True while a REGISTER of this fingerprint waits for the store.
    pub(crate) fn has_register(&self, seen: u64) -> bool {
        self.registers.contains(&seen)
    }

    /// Questions that are open.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}
