//! What lies between the edge and the phones: datagrams are lost, doubled, late, out of order, all by the seed.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::now::Mono;
use crate::random::Random;

/// How well datagrams are delivered. Streams lose nothing and keep their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quality {
    /// Datagrams of a thousand that never arrive.
    pub loss: u16,
    /// Datagrams of a thousand that arrive twice.
    pub duplication: u16,
    /// How long each takes at least.
    pub delay: Duration,
    /// How much longer at most; above the gap between two of them they overtake each other.
    pub jitter: Duration,
}

impl Quality {
    /// A millisecond, always.
    pub const PERFECT: Self =
        Self { loss: 0, duplication: 0, delay: Duration::from_millis(1), jitter: Duration::ZERO };

    /// One in ten is lost, one in twenty comes twice, and they overtake each other.
    pub const POOR: Self = Self {
        loss: 100,
        duplication: 50,
        delay: Duration::from_millis(2),
        jitter: Duration::from_millis(60),
    };

    /// How much later each copy of what is sent now arrives: nothing if it is lost, two if it is doubled.
    pub(super) fn delays(&self, random: &mut Random, reliable: bool) -> Vec<Duration> {
        if reliable || *self == Self::PERFECT {
            return vec![self.delay];
        }
        let mut number = || u16::from_le_bytes(random.bytes());
        let copies = match number() % 1000 {
            luck if luck < self.loss => 0,
            luck if luck < self.loss + self.duplication => 2,
            _ => 1,
        };
        (0..copies).map(|_| self.delay + self.jitter * u32::from(number()) / u32::from(u16::MAX)).collect()
    }
}

/// What is under way, by when it arrives; what arrives at one instant arrives in the order it was sent.
#[derive(Debug)]
pub(super) struct Agenda<T> {
    entries: BTreeMap<(Mono, u64), T>,
    count: u64,
}

impl<T> Agenda<T> {
    pub(super) fn new() -> Self {
        Self { entries: BTreeMap::new(), count: 0 }
    }

    pub(super) fn insert(&mut self, at: Mono, entry: T) {
        self.count += 1;
        self.entries.insert((at, self.count), entry);
    }

    pub(super) fn next(&self) -> Option<Mono> {
        self.entries.first_key_value().map(|((at, _), _)| *at)
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        self.entries.pop_first().map(|(_, entry)| entry)
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.entries.retain(|_, entry| keep(entry));
    }
}
