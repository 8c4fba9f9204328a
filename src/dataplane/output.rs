//! All that may leave the dataplane: messages in one reused arena, the connections they want, and the few things that are
//! no message.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use crate::admission::bans::{Ban, Offence};
use crate::audit::Event;
use crate::flow::{ConnectionId, Flow, WorkerId};
use crate::hotdesk::{Seat, SeatChange};
use crate::input::{Notice, ReplyId};
use crate::media::{Order, SessionId};
use crate::query::{Query, QueryId, Record};
use crate::refusal::Refusal;

/// What a call of the dataplane gave out. The worker empties it after every batch and reuses it for ever.
#[derive(Debug, Default)]
pub struct Outbox {
    arena: Vec<u8>,
    messages: Vec<(Flow, Range<usize>)>,
    connects: Vec<Flow>,
    outputs: Vec<Output>,
}

/// What leaves and is no message on a flow.
#[derive(Debug)]
pub enum Output {
    /// Close this connection once what was written to it has been sent.
    Close(ConnectionId),
    /// Ask a backend; its answer enters as `Input::Answered`.
    Ask(QueryId, Query),
    /// Write this to the store some time soon; nobody waits for it.
    WriteBehind(Record),
    /// These octets belong to a transaction of another worker.
    HandOver {
        /// Whose.
        worker: WorkerId,
        /// Whence they came.
        flow: Flow,
        /// What: look up with [`Outbox::bytes`].
        range: Range<usize>,
    },
    /// Every other worker must hear this.
    Tell(Notice),
    /// What the sound of one of the attendant's calls is to do; what comes of it enters as `Input::Heard`.
    Media(SessionId, Order),
    /// The answer to a command of the control plane.
    Reply(ReplyId, Result<Done, Refusal>),
    /// Something the operator wants to read about.
    Report(Report),
}

/// What a command brought about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// The extension sits at the device.
    LoggedIn(Seat),
    /// The seat ended.
    LoggedOut(Seat),
    /// The seat ends when the calls at the device have ended.
    Deferred(Seat),
    /// The extension may log in again.
    Unlocked,
    /// It is listened to again.
    Pardoned,
    /// So many seats end, each as soon as it may.
    Ending(usize),
}

/// Something the operator wants to read about: a log line each, and its records in the audit trail. Never holds a PIN or a digest answer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Report {
    /// Seats changed. The trail has it from the record that was written of it.
    SeatsChanged(std::sync::Arc<SeatChange>),
    /// Something for the audit trail that is no change of seats: a refusal, an emergency call, a lock-out, a seat that is about
    /// to end.
    Event(Box<Event<'static>>),
    /// Somebody is not listened to for so long.
    Banned(Ban, Duration),
    /// Somebody scans in the name of this address and port, and is listened to slowly for so long.
    Slowed(SocketAddr, Offence, Duration),
    /// TLS connections of this address are closed at once while it begins too many. Told of again after ten minutes without.
    ManyHandshakes(IpAddr),
    /// The store did not take a change that stands in memory all the same.
    NotDurable,
}

impl Outbox {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes one message for `flow` straight into the arena.
    pub fn message<R>(&mut self, flow: Flow, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let start = self.arena.len();
        let result = write(&mut self.arena);
        self.messages.push((flow, start..self.arena.len()));
        result
    }

    /// Has a connection opened to the remote of `flow` and named as that says, before any message goes out; if it cannot be,
    /// `Input::Unopened` says so.
    pub fn connect(&mut self, flow: Flow) {
        self.connects.push(flow);
    }

    /// How many octets a message would have.
    pub fn length_of(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> usize {
        let start = self.arena.len();
        write(&mut self.arena);
        let length = self.arena.len() - start;
        self.arena.truncate(start);
        length
    }

    /// Puts octets aside that an [`Output::HandOver`] names.
    pub fn store(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.arena.len();
        self.arena.extend_from_slice(bytes);
        start..self.arena.len()
    }

    /// Adds what is no message.
    pub fn push(&mut self, output: Output) {
        self.outputs.push(output);
    }

    /// Tells the audit trail of something that is no change of seats.
    pub(crate) fn event(&mut self, event: Event<'_>) {
        self.push(Output::Report(Report::Event(Box::new(event.into_owned()))));
    }

    /// The octets of a range.
    pub fn bytes(&self, range: &Range<usize>) -> &[u8] {
        self.arena.get(range.clone()).unwrap_or_default()
    }

    /// The messages in the order they were written.
    pub fn messages(&self) -> impl ExactSizeIterator<Item = (Flow, &[u8])> {
        self.messages.iter().map(|(flow, range)| (*flow, self.bytes(range)))
    }

    /// The connections to be opened for them.
    pub fn connects(&self) -> &[Flow] {
        &self.connects
    }

    /// The last message written, for whoever must keep it for retransmission.
    pub fn last_message(&self) -> &[u8] {
        self.messages.last().map_or(&[], |(_, range)| self.bytes(range))
    }

    /// Takes out what is no message.
    pub fn take_outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }

    /// What is no message, in order.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// True if nothing is to be sent or done.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.connects.is_empty() && self.outputs.is_empty()
    }

    /// Forgets everything and keeps the room, unless a rare burst made it large.
    pub fn clear(&mut self) {
        /// A receive batch of 64 answers of 1 kB, sixteen times over.
        const ARENA_KEPT_MAX: usize = 1 << 20;
        self.arena.clear();
        self.arena.shrink_to(ARENA_KEPT_MAX);
        self.messages.clear();
        self.connects.clear();
        self.outputs.clear();
    }
}
