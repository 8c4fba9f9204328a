//! Where a message came from and where the next one goes (RFC 5626 §3.1: the 5-tuple or connection).
//!
//! A datagram flow is nothing but two addresses, so any worker can send on it. A stream flow is a
//! connection that one worker owns; its id says which.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU64;

/// The worker that owns something: a connection, a transaction. At most 256 workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(pub u8);

/// Which `[[listen]]` of the configuration, in file order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId(pub u8);

/// One connection: worker (8 bits), generation (24 bits, never 0), slot (32 bits). An id is not used again before its
/// slot's generation has gone round, so a stale id finds nothing. Accepted ones are named by the table that keeps them,
/// those that the edge opens by the dataplane that wants them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(NonZeroU64);

impl ConnectionId {
    /// Largest generation of a slot; after it comes 1 again.
    pub const GENERATION_MAX: u32 = (1 << 24) - 1;

    /// In the slot of a connection that the edge opens. No table has so many slots.
    const OPENED: u32 = 1 << 31;

    /// Names slot `slot` of `worker` in its `generation` (1 to [`Self::GENERATION_MAX`]; 0 is read as 1).
    pub fn new(worker: WorkerId, generation: u32, slot: u32) -> Self {
        let generation = u64::from(generation & Self::GENERATION_MAX).max(1);
        let raw = u64::from(worker.0) << 56 | generation << 32 | u64::from(slot);
        Self(NonZeroU64::new(raw).expect("the generation is never zero"))
    }

    /// Names a connection that `worker` opens, by 55 bits of `number`.
    pub fn opened(worker: WorkerId, number: u64) -> Self {
        Self::new(worker, (number >> 31) as u32, number as u32 | Self::OPENED)
    }

    /// True for a connection that the edge has opened, and not its far end.
    pub fn is_opened(self) -> bool {
        self.slot() & Self::OPENED != 0
    }

    /// The number [`Self::to_u64`] gave; `None` for one that no connection can have.
    pub fn from_u64(raw: u64) -> Option<Self> {
        (raw >> 32 & u64::from(Self::GENERATION_MAX) != 0).then(|| NonZeroU64::new(raw)).flatten().map(Self)
    }

    /// All of it in one number, for tables and sealed parameters.
    pub fn to_u64(self) -> u64 {
        self.0.get()
    }

    /// The worker that has the connection and alone may write to it.
    pub fn worker(self) -> WorkerId {
        WorkerId((self.0.get() >> 56) as u8)
    }

    /// How often the slot had been used when this connection got it.
    pub fn generation(self) -> u32 {
        (self.0.get() >> 32) as u32 & Self::GENERATION_MAX
    }

    /// The place in the worker's table of connections.
    pub fn slot(self) -> u32 {
        self.0.get() as u32
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.worker().0, self.slot(), self.generation())
    }
}

/// A way to a peer: through which listener, to which address, over which connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The listener whose socket (datagrams) or accepted connection (streams) it is; of a connection that the edge opens,
    /// that of its datagrams to the same peer.
    pub listener: ListenerId,
    /// The peer as the socket saw it. IPv4 peers of a dual-stack socket are given as IPv4.
    pub remote: SocketAddr,
    /// `None`: datagrams.
    pub connection: Option<ConnectionId>,
}

impl Flow {
    /// A datagram flow.
    pub fn datagram(listener: ListenerId, remote: SocketAddr) -> Self {
        Self { listener, remote, connection: None }
    }

    /// The way to a peer that outlives its connections: of one that the edge has opened, the datagram flow to its far end,
    /// which is the peer's own address. Any other flow is its own.
    pub fn lasting(self) -> Self {
        match self.connection {
            Some(connection) if connection.is_opened() => Self::datagram(self.listener, self.remote),
            _ => self,
        }
    }

    /// True where the transport itself delivers or fails (RFC 3261 §17: no retransmissions).
    pub fn is_reliable(&self) -> bool {
        self.connection.is_some()
    }
}

/// Whom an address counts for where many are told apart by their addresses: itself, for IPv6 its /64, of which every host
/// has as many addresses as it likes.
pub(crate) fn network_of(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(ip) => ip.to_bits().into(),
        // No /64 in use begins with 32 zero bits (RFC 4291 §2.4), so none is an IPv4 address.
        IpAddr::V6(ip) => (ip.to_bits() >> 64) as u64,
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.listener.0, self.remote)?;
        match self.connection {
            Some(connection) => write!(f, "#{connection:?}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_that_the_edge_opens_is_known_by_its_id_and_leads_to_a_peer_that_outlives_it() {
        let datagram = Flow::datagram(ListenerId(3), "192.0.2.1:5060".parse().unwrap());
        for number in [0, 1, u64::from(u32::MAX) << 7, u64::MAX] {
            let id = ConnectionId::opened(WorkerId(200), number);
            let opened = Flow { connection: Some(id), ..datagram };

            assert!(id.is_opened() && id.worker() == WorkerId(200), "{number}");
            assert_eq!(ConnectionId::from_u64(id.to_u64()), Some(id));
            assert_eq!(opened.lasting(), datagram);
        }
        let accepted = ConnectionId::new(WorkerId(1), 1, 65_535);
        let accepted = Flow { connection: Some(accepted), ..datagram };
        assert_eq!(accepted.lasting(), accepted);
        assert_eq!(datagram.lasting(), datagram);
    }
}
