//! Connections that the edge opens to peers: taken, refused, or left unanswered.

use std::time::Duration;

use super::{Office, Parcel};
use crate::flow::{ConnectionId, Flow};
use crate::testing::phone::Phone;

/// How long the edge waits for a connection that nobody answers.
const OPENING_MAX: Duration = Duration::from_millis(500);

/// What a peer does about connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Listening {
    /// Nobody listens.
    #[default]
    Refuses,
    /// They are taken; what it is asked by one is answered by the same.
    Takes,
    /// Somebody drops what should open one, and says nothing.
    Ignores,
    /// Somebody before it takes them, and passes nothing on.
    Swallows,
}

impl Office {
    /// The edge wants a connection to a peer.
    pub(super) fn connect(&mut self, flow: Flow) {
        let peer = self.phones.iter().find(|phone| phone.is_at(flow));
        let fails_after = match peer.map_or(Listening::Ignores, |peer| peer.listening) {
            Listening::Takes | Listening::Swallows => return self.opened.push(flow),
            Listening::Refuses => self.quality.delay,
            Listening::Ignores => OPENING_MAX,
        };
        self.agenda.insert(self.clock + fails_after, Parcel::Unopened { flow });
    }

    /// The connections that the edge has to a peer.
    pub fn streams_to(&self, peer: &str) -> Vec<Flow> {
        let peer = &self[peer];
        self.opened.iter().filter(|flow| peer.is_at(**flow)).copied().collect()
    }

    /// A peer closes the connections that the edge has to it, and what is under way on them is lost.
    pub fn close_streams(&mut self, peer: &str) {
        for flow in self.streams_to(peer) {
            self.break_connection(flow);
        }
        self.settle();
    }

    /// The way by which the phone `index` sends `text`.
    pub(super) fn way_of(&self, index: usize, text: &str) -> Flow {
        let phone = &self.phones[index];
        let mut streams = self.opened.iter().filter(|flow| phone.is_at(**flow));
        let via = text.lines().find(|line| line.starts_with("Via: ")).unwrap_or_default();
        let is_answer = text.starts_with("SIP/2.0 ");
        let by_stream = if is_answer { via.starts_with("Via: SIP/2.0/TCP ") } else { phone.asks_by_stream };
        by_stream.then(|| streams.next_back()).flatten().copied().unwrap_or(phone.flow)
    }

    /// True if what was sent on `flow` arrives: its connection, if the edge had to open that, was taken and stands.
    pub(super) fn stands(&self, flow: Flow) -> bool {
        let is_swallowed =
            || self.phones.iter().any(|phone| phone.is_at(flow) && phone.listening == Listening::Swallows);
        !flow.connection.is_some_and(ConnectionId::is_opened)
            || self.opened.contains(&flow) && !is_swallowed()
    }
}

impl Phone {
    /// True if `flow` leads here.
    pub(super) fn is_at(&self, flow: Flow) -> bool {
        let is_there = self.flow == flow.lasting() || self.other_way == Some(flow.remote);
        is_there && self.plugged_in
    }

    /// Has the next message go out by the other of two ways.
    pub(super) fn take_turns(&mut self) {
        if let Some(other) = &mut self.other_way {
            std::mem::swap(other, &mut self.flow.remote);
        }
    }
}
