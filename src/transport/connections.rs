//! The connections of one worker: a table of slots with generations, a count for each source, and the choice of
//! who has to go when there is no more room.
//!
//! Knows nothing of sockets: what a connection is stays open (`C`).

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};

use dataplane::flow::{ConnectionId, WorkerId};

/// Connections of one worker. Eight workers then hold half a million phones, at 6 kB each in 400 MB a worker.
pub const CONNECTIONS_MAX: usize = 65_536;

/// Connections to peers of one worker: one for each gateway that is sent long requests within the time that an idle one is kept,
/// more than a carrier has. What would need another goes as a datagram.
pub const OPENED_MAX: usize = 128;

/// How many connections are compared to find one that was silent for long. Among so many the stalest is older
/// than 98 % of the table, and a full table costs each newcomer the same few microseconds.
const SAMPLE_MAX: usize = 64;

/// How many slots are looked at to find as many: a table that shrank may be mostly empty.
const SAMPLE_SLOTS_MAX: usize = 4_096;

/// Connections by id. An id that was given out and ended finds nothing, though its slot may be in use again.
pub struct Connections<C> {
    worker: WorkerId,
    /// Those to peers. They bring their ids along, and are few.
    opened: HashMap<ConnectionId, C>,
    slots: Vec<Slot<C>>,
    /// Freed slots, the longest free first, so that generations go round as late as possible.
    free: VecDeque<u32>,
    sources: Shares,
    connections_max: usize,
    first_generation: u32,
    sampled: usize,
    swept: usize,
}

struct Slot<C> {
    generation: u32,
    held: Option<Held<C>>,
}

struct Held<C> {
    address: IpAddr,
    connection: C,
}

/// Why there is no room for one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// The table is full: somebody stale must go first.
    Table,
    /// The source has its share.
    Source,
}

impl<C> Connections<C> {
    /// An empty table for `worker`. Every slot's generations begin after `first_generation`: a random one makes
    /// ids of before a restart, which bindings and route sets may still carry, find nothing.
    pub fn new(worker: WorkerId, first_generation: u32, connections_max: usize, per_source_max: u32) -> Self {
        Self {
            worker,
            opened: HashMap::new(),
            first_generation: first_generation & ConnectionId::GENERATION_MAX,
            slots: Vec::new(),
            free: VecDeque::new(),
            sources: Shares::new(per_source_max),
            connections_max: connections_max.min(u32::MAX as usize),
            sampled: 0,
            swept: 0,
        }
    }

    /// Each source may have so many from now on; who has more keeps them.
    pub fn set_per_source_max(&mut self, per_source_max: u32) {
        self.sources.set_each_max(per_source_max);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.accepted() + self.opened.len()
    }

    fn accepted(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Says whether one more from `address` would find room, which may have `more` than others.
    pub fn room_for(&self, address: IpAddr, more: u32) -> Result<(), Full> {
        if !self.sources.has_room_for_more(address, more) {
            Err(Full::Source)
        } else if self.accepted() >= self.connections_max {
            Err(Full::Table)
        } else {
            Ok(())
        }
    }

    /// Takes one more from `address`, which may have `more` than others; `open` makes it, told its id.
    pub fn insert(
        &mut self,
        address: IpAddr,
        more: u32,
        open: impl FnOnce(ConnectionId) -> C,
    ) -> Result<ConnectionId, Full> {
        self.room_for(address, more)?;
        let index = match self.free.pop_front() {
            Some(index) => index,
            None => {
                self.slots.push(Slot { generation: self.first_generation, held: None });
                (self.slots.len() - 1) as u32
            }
        };
        let slot = &mut self.slots[index as usize];
        slot.generation =
            if slot.generation >= ConnectionId::GENERATION_MAX { 1 } else { slot.generation + 1 };
        let id = ConnectionId::new(self.worker, slot.generation, index);
        slot.held = Some(Held { address, connection: open(id) });
        self.sources.take(address);
        Ok(id)
    }

    /// Takes the connection `id` to a peer. False: there are too many.
    pub fn insert_opened(&mut self, id: ConnectionId, connection: C) -> bool {
        let has_room = self.opened.len() < OPENED_MAX;
        if has_room {
            self.opened.insert(id, connection);
        }
        has_room
    }

    /// The connection `id`, if it still is.
    pub fn find(&mut self, id: ConnectionId) -> Option<&mut C> {
        if id.is_opened() {
            return self.opened.get_mut(&id);
        }
        if id.worker() != self.worker {
            return None;
        }
        let slot = self.slots.get_mut(id.slot() as usize)?;
        if slot.generation != id.generation() {
            return None;
        }
        slot.held.as_mut().map(|held| &mut held.connection)
    }

    /// Ends `id` and gives back what it was.
    pub fn remove(&mut self, id: ConnectionId) -> Option<C> {
        if id.is_opened() {
            return self.opened.remove(&id);
        }
        self.find(id)?;
        let held = self.slots.get_mut(id.slot() as usize)?.held.take()?;
        self.free.push_back(id.slot());
        self.sources.give_back(held.address);
        Some(held.connection)
    }

    /// An accepted connection that can be spared: of a sample, the one of lowest `rank`. Those of rank `None` stay.
    pub fn stalest<R: Ord>(&mut self, rank: impl Fn(&C) -> Option<R>) -> Option<ConnectionId> {
        let mut stalest: Option<(R, ConnectionId)> = None;
        let mut seen = 0;
        for _ in 0..self.slots.len().min(SAMPLE_SLOTS_MAX) {
            self.sampled = (self.sampled + 1) % self.slots.len();
            let index = self.sampled;
            let slot = &self.slots[index];
            let Some(held) = &slot.held else { continue };
            seen += 1;
            if let Some(rank) = rank(&held.connection)
                && stalest.as_ref().is_none_or(|(least, _)| rank < *least)
            {
                stalest = Some((rank, ConnectionId::new(self.worker, slot.generation, index as u32)));
            }
            if seen == SAMPLE_MAX {
                break;
            }
        }
        stalest.map(|(_, id)| id)
    }

    /// Looks at those to peers, and at the next tenth of the table, so that ten calls have seen each of it once; names those
    /// that `is_over` says are.
    pub fn sweep(&mut self, is_over: impl Fn(&C) -> bool) -> Vec<ConnectionId> {
        let opened = self.opened.iter().filter(|(_, connection)| is_over(connection));
        let mut over: Vec<_> = opened.map(|(id, _)| *id).collect();
        for _ in 0..self.slots.len().div_ceil(10) {
            self.swept = (self.swept + 1) % self.slots.len();
            let slot = &self.slots[self.swept];
            if slot.held.as_ref().is_some_and(|held| is_over(&held.connection)) {
                over.push(ConnectionId::new(self.worker, slot.generation, self.swept as u32));
            }
        }
        over
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &C> {
        let accepted = self.slots.iter().filter_map(|slot| slot.held.as_ref()).map(|held| &held.connection);
        accepted.chain(self.opened.values())
    }
}

/// How many of something each source has, and how many it may have.
#[derive(Debug)]
pub struct Shares {
    counts: HashMap<IpAddr, u32>,
    each_max: u32,
    taken: usize,
}

impl Shares {
    /// None taken yet.
    pub fn new(each_max: u32) -> Self {
        Self { counts: HashMap::new(), each_max, taken: 0 }
    }

    /// How many all sources have together.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// True if `address` may have one more.
    pub fn has_room(&self, address: IpAddr) -> bool {
        self.has_room_for_more(address, 0)
    }

    /// True if `address`, which may have `more` than others, may have one more.
    pub fn has_room_for_more(&self, address: IpAddr, more: u32) -> bool {
        let max = self.each_max.saturating_add(more);
        self.counts.get(&source(address)).is_none_or(|count| *count < max)
    }

    /// Each source may have so many from now on; who has more keeps them.
    pub fn set_each_max(&mut self, each_max: u32) {
        self.each_max = each_max;
    }

    /// `address` has one more.
    pub fn take(&mut self, address: IpAddr) {
        *self.counts.entry(source(address)).or_default() += 1;
        self.taken += 1;
    }

    /// `address` has one less.
    pub fn give_back(&mut self, address: IpAddr) {
        let source = source(address);
        let Some(count) = self.counts.get_mut(&source) else { return };
        self.taken -= 1;
        *count -= 1;
        if *count == 0 {
            self.counts.remove(&source);
        }
    }
}

/// Whom an address counts for: itself, for IPv6 its /64, of which every host has as many addresses as it likes.
pub fn source(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn table() -> Connections<u32> {
        Connections::new(WorkerId(3), 0, 4, 3)
    }

    #[test]
    fn an_ended_id_finds_nothing_though_its_slot_is_in_use() {
        let mut table = table();
        let first = table.insert(A, 0, |_| 1).unwrap();
        assert_eq!(table.remove(first), Some(1));

        let second = table.insert(A, 0, |_| 2).unwrap();

        assert_eq!(first.slot(), second.slot());
        assert_eq!(table.find(first), None);
        assert_eq!(table.remove(first), None);
        assert_eq!(table.find(second), Some(&mut 2));
    }

    #[test]
    fn an_id_of_another_worker_finds_nothing() {
        let mut table = table();
        let id = table.insert(A, 0, |_| 1).unwrap();

        let foreign = ConnectionId::new(WorkerId(4), id.generation(), id.slot());

        assert_eq!(table.find(foreign), None);
        assert_eq!(table.find(ConnectionId::new(WorkerId(3), 1, 99)), None);
    }

    #[test]
    fn generations_go_round_without_a_zero() {
        let mut table = table();
        let id = table.insert(A, 0, |_| 1).unwrap();
        table.slots[id.slot() as usize].generation = ConnectionId::GENERATION_MAX;
        let last = ConnectionId::new(WorkerId(3), ConnectionId::GENERATION_MAX, id.slot());
        assert_eq!(table.remove(last), Some(1));

        let next = table.insert(A, 0, |_| 2).unwrap();

        assert_eq!(next.generation(), 1);
    }

    #[test]
    fn one_source_leaves_room_for_others() {
        let mut table = table();
        let first = table.insert(A, 0, |_| 1).unwrap();
        table.insert(A, 0, |_| 2).unwrap();
        table.insert(A, 0, |_| 3).unwrap();

        assert_eq!(table.insert(A, 0, |_| 4), Err(Full::Source));
        let other = table.insert(B, 0, |_| 5).unwrap();
        assert_eq!(table.insert(B, 0, |_| 6), Err(Full::Table));

        table.remove(first);
        assert!(table.insert(A, 0, |_| 7).is_ok());
        table.remove(other);
        assert_eq!(table.insert(A, 0, |_| 8), Err(Full::Source));
        assert!(table.insert(A, 1, |_| 8).is_ok(), "a source with a phone behind it may have one more");
    }

    #[test]
    fn ipv6_addresses_of_one_network_are_one_source() {
        let address = |text: &str| -> IpAddr { text.parse().unwrap() };

        assert_eq!(source(address("2001:db8::1")), source(address("2001:db8::ffff:1")));
        assert_ne!(source(address("2001:db8::1")), source(address("2001:db8:0:1::1")));
    }

    #[test]
    fn the_stalest_is_of_lowest_rank() {
        let mut table = table();
        table.insert(A, 0, |_| 30).unwrap();
        let oldest = table.insert(A, 0, |_| 10).unwrap();
        table.insert(A, 0, |_| 0).unwrap();

        let stalest = table.stalest(|age| (*age > 0).then_some(*age));

        assert_eq!(stalest, Some(oldest));
        assert_eq!(self::table().stalest(|age| Some(*age)), None);
    }

    #[test]
    fn ten_sweeps_see_every_connection() {
        let mut table = Connections::new(WorkerId(0), ConnectionId::GENERATION_MAX - 1, 100, 100);
        for n in 0..37 {
            table.insert(A, 0, |_| n).unwrap();
        }

        let mut seen: Vec<u32> = (0..10).flat_map(|_| table.sweep(|_| true)).map(|id| id.slot()).collect();

        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 37);
        assert_eq!(table.iter().count(), 37);
    }
}
