//! Which UDP ports sound may use: even ones (RFC 3550 §11), in no order that a stranger could guess, and none again
//! until all others had their turn.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

/// The free ports.
#[derive(Debug)]
pub(super) struct Ports {
    free: VecDeque<u16>,
}

impl Ports {
    /// The even ports of `range`, in an order that `random` decides.
    pub(super) fn new(range: &RangeInclusive<u16>, mut random: impl FnMut() -> u32) -> Self {
        let mut free: Vec<u16> = even(range).collect();
        // Fisher and Yates. The remainder favours no port by more than one in a hundred thousand.
        for last in (1..free.len()).rev() {
            free.swap(last, random() as usize % (last + 1));
        }
        Self { free: free.into() }
    }

    /// One that was not used for longest.
    pub(super) fn take(&mut self) -> Option<u16> {
        self.free.pop_front()
    }

    /// It is free again, after all others.
    pub(super) fn give_back(&mut self, port: u16) {
        self.free.push_back(port);
    }
}

/// The ports of `range` that sound may use.
pub fn even(range: &RangeInclusive<u16>) -> impl Iterator<Item = u16> + use<> {
    range.clone().filter(|port| port.is_multiple_of(2))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_even_port_has_its_turn_before_one_comes_again() {
        let mut seed = 1_u32;
        let random = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed >> 8
        };
        let mut ports = Ports::new(&(20_001..=20_200), random);

        let mut taken = Vec::new();
        for _ in 0..100 {
            let port = ports.take().unwrap();
            taken.push(port);
            ports.give_back(port);
        }

        assert!(taken.iter().all(|port| port.is_multiple_of(2) && (20_001..=20_200).contains(port)));
        assert_eq!(taken.iter().collect::<HashSet<_>>().len(), 100);
        assert!(!taken.is_sorted(), "nobody can guess the next");
        assert_eq!(ports.take(), Some(taken[0]));
    }

    #[test]
    fn ports_in_use_are_not_given() {
        let mut ports = Ports::new(&(20_000..=20_003), || 0);

        assert!(ports.take().is_some() && ports.take().is_some());
        assert_eq!(ports.take(), None);
    }
}
