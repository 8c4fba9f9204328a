//! The transactions of one side: by slot, by the connection they depend on, and with their reminders.

use std::collections::HashMap;

use super::timer::Reminders;
use crate::flow::{ConnectionId, Flow};
use crate::now::Mono;
use crate::settings::Timers;
use crate::slots::{SlotKey, Slots};

/// One side's transactions, each with the flow its messages take.
#[derive(Debug)]
pub(super) struct Table<T> {
    slots: Slots<(Flow, T)>,
    connections: Connections,
    reminders: Reminders,
}

impl<T> Table<T> {
    pub(super) fn new(len_max: usize, timers: &Timers) -> Self {
        Self {
            slots: Slots::new(len_max),
            connections: Connections::default(),
            reminders: Reminders::new(timers),
        }
    }

    /// Adds a transaction; `None` when the table is full.
    pub(super) fn insert(&mut self, flow: Flow, transaction: T) -> Option<SlotKey> {
        let key = self.slots.insert((flow, transaction))?;
        if let Some(connection) = flow.connection {
            self.connections.link(connection, key);
        }
        Some(key)
    }

    pub(super) fn is_half_full(&self) -> bool {
        self.slots.len() >= self.slots.len_max() / 2
    }

    pub(super) fn get(&self, key: SlotKey) -> Option<&(Flow, T)> {
        self.slots.get(key)
    }

    pub(super) fn get_mut(&mut self, key: SlotKey) -> Option<&mut (Flow, T)> {
        self.slots.get_mut(key)
    }

    pub(super) fn remove(&mut self, key: SlotKey) -> Option<T> {
        let (flow, transaction) = self.slots.remove(key)?;
        if let Some(connection) = flow.connection {
            self.connections.unlink(connection, key);
        }
        Some(transaction)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().map(|(_, transaction)| transaction)
    }

    /// Takes out one transaction that depends on `connection`.
    pub(super) fn remove_on(&mut self, connection: ConnectionId) -> Option<(SlotKey, T)> {
        let key = self.connections.first(connection)?;
        let transaction = self.remove(key).expect("only living transactions are linked");
        Some((key, transaction))
    }

    /// Has `key` come up at `due`.
    pub(super) fn remind(&mut self, now: Mono, key: SlotKey, due: Mono) {
        self.reminders.remind(now, key, due);
    }

    /// When [`Self::pop`] next has something.
    pub(super) fn next(&self) -> Option<Mono> {
        self.reminders.next()
    }

    /// Takes out a transaction to be asked what time it is for. Its key may be stale by now.
    pub(super) fn pop(&mut self, now: Mono) -> Option<SlotKey> {
        self.reminders.pop(now)
    }

    pub(super) fn configure(&mut self, now: Mono, timers: &Timers) {
        self.reminders.configure(now, timers);
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }
}

/// Which transactions depend on which connection: a doubly linked list through the slots, because a trunk's one
/// connection carries thousands of them and each must leave in constant time.
#[derive(Debug, Default)]
struct Connections {
    first: HashMap<ConnectionId, SlotKey>,
    /// By slot.
    links: Vec<Link>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Link {
    previous: Option<SlotKey>,
    next: Option<SlotKey>,
}

impl Connections {
    fn first(&self, connection: ConnectionId) -> Option<SlotKey> {
        self.first.get(&connection).copied()
    }

    fn link(&mut self, connection: ConnectionId, key: SlotKey) {
        let at = index(key);
        if self.links.len() <= at {
            self.links.resize(at + 1, Link::default());
        }
        let next = self.first.insert(connection, key);
        if let Some(next) = next {
            self.links[index(next)].previous = Some(key);
        }
        self.links[at] = Link { previous: None, next };
    }

    fn unlink(&mut self, connection: ConnectionId, key: SlotKey) {
        let Link { previous, next } = std::mem::take(&mut self.links[index(key)]);
        if let Some(next) = next {
            self.links[index(next)].previous = previous;
        }
        match (previous, next) {
            (Some(previous), _) => self.links[index(previous)].next = next,
            (None, Some(next)) => _ = self.first.insert(connection, next),
            (None, None) => _ = self.first.remove(&connection),
        }
    }
}

/// The slot of a key.
pub(super) fn index(key: SlotKey) -> usize {
    key.0 as u32 as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::tests::{datagram, stream};

    #[test]
    fn what_depends_on_a_connection_is_found_and_nothing_else() {
        let mut table = Table::new(8, &Timers::default());
        let lost = stream(1);
        let a = table.insert(lost, 'a').unwrap();
        table.insert(datagram(), 'b').unwrap();
        let c = table.insert(lost, 'c').unwrap();
        table.insert(stream(2), 'd').unwrap();
        let e = table.insert(lost, 'e').unwrap();

        assert_eq!(table.remove(c), Some('c'), "from the middle");
        let connection = lost.connection.unwrap();

        assert_eq!(table.remove_on(connection), Some((e, 'e')));
        assert_eq!(table.remove_on(connection), Some((a, 'a')));
        assert_eq!(table.remove_on(connection), None);
        assert_eq!(table.len(), 2);
        assert_eq!(table.connections.first.len(), 1, "a connection without transactions takes no room");
    }

    #[test]
    fn a_slot_used_again_hangs_on_its_own_connection() {
        let mut table = Table::new(2, &Timers::default());
        let (first, second) = (stream(1), stream(2));
        let a = table.insert(first, 'a').unwrap();
        table.insert(first, 'b').unwrap();

        table.remove(a);
        table.insert(second, 'c').unwrap();

        assert_eq!(table.insert(second, 'd'), None, "full");
        assert_eq!(table.remove_on(first.connection.unwrap()).map(|(_, it)| it), Some('b'));
        assert_eq!(table.remove_on(first.connection.unwrap()), None);
        assert_eq!(table.remove_on(second.connection.unwrap()).map(|(_, it)| it), Some('c'));
    }
}
