//! Connections to peers, for requests that are too long for a datagram (RFC 3261 §18.1.1): which there are, and which
//! peers take none.
//!
//! One for each worker, like the connections themselves. Nobody is asked whether a peer takes connections: one is named and
//! asked for, and what is sent on it waits until it is open. What waits for one that comes to nothing goes as a datagram.

use std::collections::HashMap;
use std::time::Duration;

use crate::flow::{ConnectionId, Flow};
use crate::now::Mono;

/// The longest request that goes as a datagram where the path MTU is not known, in octets.
pub(crate) const DATAGRAM_MAX: usize = 1_300;

/// How long a peer that took no connection, or said nothing on it, is sent datagrams of any length: once in so much time a
/// call may wait for a connection that nobody opens, and a gateway that has learnt TCP is found out on the same day's work.
const AVOIDED_FOR: Duration = Duration::from_secs(600);

/// Peers of which a worker knows it, more than a carrier has gateways; others are sent datagrams.
const KNOWN_MAX: usize = 4_096;

/// What one worker knows of connections to peers, by the datagram flow to each.
#[derive(Debug, Default)]
pub(crate) struct PeerStreams {
    known: HashMap<Flow, Way>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Open, or being opened.
    Open(ConnectionId),
    AvoidedUntil(Mono),
}

/// The way over a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PeerStream {
    pub(crate) flow: Flow,
    /// It has yet to be opened.
    pub(crate) is_new: bool,
}

impl PeerStreams {
    /// The connection to `peer`, which is to have the name `fresh` if there is none yet. `None`: the peer takes none.
    pub(crate) fn to(&mut self, now: Mono, peer: Flow, fresh: ConnectionId) -> Option<PeerStream> {
        let way = |connection, is_new| {
            Some(PeerStream { flow: Flow { connection: Some(connection), ..peer }, is_new })
        };
        match self.known.get(&peer).copied() {
            Some(Way::Open(connection)) => return way(connection, false),
            Some(Way::AvoidedUntil(until)) if now < until => return None,
            Some(Way::AvoidedUntil(_)) => {}
            None if self.is_full(now) => return None,
            None => {}
        }
        self.known.insert(peer, Way::Open(fresh));
        way(fresh, true)
    }

    /// `peer` took no connection, or said nothing on it. False: that is no news.
    pub(crate) fn avoid(&mut self, now: Mono, peer: Flow) -> bool {
        if !self.known.contains_key(&peer) && self.is_full(now) {
            return false;
        }
        let before = self.known.insert(peer, Way::AvoidedUntil(now + AVOIDED_FOR));
        !matches!(before, Some(Way::AvoidedUntil(until)) if now < until)
    }

    /// A connection is no more.
    pub(crate) fn lost(&mut self, flow: &Flow) {
        let is_it = |way: &Way| flow.connection.is_some_and(|connection| *way == Way::Open(connection));
        if self.known.get(&flow.lasting()).is_some_and(is_it) {
            self.known.remove(&flow.lasting());
        }
    }

    /// Each peer may have learnt to take connections.
    pub(crate) fn avoid_nobody(&mut self) {
        self.known.retain(|_, way| matches!(way, Way::Open(_)));
    }

    fn is_full(&mut self, now: Mono) -> bool {
        if self.known.len() >= KNOWN_MAX {
            self.known.retain(|_, way| !matches!(way, Way::AvoidedUntil(until) if *until <= now));
        }
        self.known.len() >= KNOWN_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{ListenerId, WorkerId};

    fn peer(port: u16) -> Flow {
        Flow::datagram(ListenerId(0), ([192, 0, 2, 1], port).into())
    }

    fn name(number: u64) -> ConnectionId {
        ConnectionId::opened(WorkerId(0), number)
    }

    fn connection(streams: &mut PeerStreams, now: Mono, peer: Flow, number: u64) -> Option<(u64, bool)> {
        let stream = streams.to(now, peer, name(number))?;
        assert_eq!(stream.flow.lasting(), peer);
        let is_fresh = stream.flow.connection == Some(name(number));
        Some((if is_fresh { number } else { 0 }, stream.is_new))
    }

    #[test]
    fn connection_is_used_again_until_it_is_lost() {
        let mut streams = PeerStreams::default();
        assert_eq!(connection(&mut streams, Mono(0), peer(5060), 1), Some((1, true)));
        assert_eq!(connection(&mut streams, Mono(0), peer(5060), 2), Some((0, false)));
        assert_eq!(connection(&mut streams, Mono(0), peer(5061), 3), Some((3, true)), "another peer");

        streams.lost(&Flow { connection: Some(name(2)), ..peer(5060) });
        assert_eq!(connection(&mut streams, Mono(0), peer(5060), 4), Some((0, false)), "that was another");
        streams.lost(&Flow { connection: Some(name(1)), ..peer(5060) });

        assert_eq!(connection(&mut streams, Mono(0), peer(5060), 5), Some((5, true)));
    }

    #[test]
    fn peer_that_takes_none_is_tried_again_when_its_time_is_over_or_the_settings_change() {
        let mut streams = PeerStreams::default();
        assert!(streams.avoid(Mono(0), peer(5060)));
        assert!(!streams.avoid(Mono(0), peer(5060)), "that is known");
        let over = Mono(0) + AVOIDED_FOR;

        assert_eq!(connection(&mut streams, Mono(over.0 - 1), peer(5060), 1), None);
        assert_eq!(connection(&mut streams, over, peer(5060), 2), Some((2, true)));

        streams.avoid(over, peer(5060));
        streams.lost(&Flow { connection: Some(name(2)), ..peer(5060) });
        assert_eq!(connection(&mut streams, over, peer(5060), 3), None, "it is still avoided");
        streams.avoid_nobody();
        assert_eq!(connection(&mut streams, over, peer(5060), 4), Some((4, true)));
    }

    #[test]
    fn what_is_known_is_bounded_and_makes_room_when_its_time_is_over() {
        let mut streams = PeerStreams::default();
        for port in 0..KNOWN_MAX as u16 {
            streams.avoid(Mono(0), peer(port));
        }

        assert_eq!(connection(&mut streams, Mono(1), peer(60_000), 1), None);
        streams.avoid(Mono(1), peer(60_001));
        assert_eq!(streams.known.len(), KNOWN_MAX);
        assert_eq!(connection(&mut streams, Mono(0) + AVOIDED_FOR, peer(60_000), 2), Some((2, true)));
        assert_eq!(streams.known.len(), 1);
    }
}
