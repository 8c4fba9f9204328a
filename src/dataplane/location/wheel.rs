//! A wheel of one-second slots: which records to look at when.

use crate::now::Mono;

/// Seconds a wheel reaches ahead. What is due later fires at its end, is read again and goes round once more; most
/// phones register for an hour or less.
pub(super) const SPAN: u32 = 4096;

/// Keys by the second they are due, for the next [`SPAN`] seconds.
pub(super) struct Wheel {
    slots: Box<[Vec<u64>]>,
    /// Which slots hold something, a bit each.
    occupied: [u64; (SPAN / 64) as usize],
    /// Every second before this one has been worked off.
    at: u32,
    length: usize,
}

impl Wheel {
    pub(super) fn new() -> Self {
        let slots = (0..SPAN).map(|_| Vec::new()).collect();
        Self { slots, occupied: [0; (SPAN / 64) as usize], at: 0, length: 0 }
    }

    /// Puts `key` where it fires at `second`, or at the wheel's end if that is sooner; returns the second it got.
    pub(super) fn insert(&mut self, key: u64, second: u32, now: u32) -> u32 {
        if self.length == 0 {
            self.at = now;
        }
        // A wheel that is not turned in time takes what comes at its end, to be looked at as soon as it is turned.
        let second = second.max(now.max(self.at) + 1).min(self.at + SPAN - 1);
        let slot = second % SPAN;
        self.slots[slot as usize].push(key);
        self.occupied[(slot / 64) as usize] |= 1 << (slot % 64);
        self.length += 1;
        second
    }

    /// The first second that holds something.
    pub(super) fn next(&self) -> Option<u32> {
        if self.length == 0 {
            return None;
        }
        let start = self.at % SPAN;
        let words = self.occupied.len() as u32;
        // The word the wheel stands in comes twice: first what lies ahead in it, at last, when that is nothing, all of it.
        (0..=words).find_map(|turn| {
            let word = (start / 64 + turn) % words;
            let ahead = u64::MAX << (start % 64);
            let mask = if turn == 0 { ahead } else { u64::MAX };
            let bits = self.occupied[word as usize] & mask;
            (bits != 0).then(|| {
                let slot = word * 64 + bits.trailing_zeros();
                self.at + (slot + SPAN - start) % SPAN
            })
        })
    }

    /// Takes one key that is due, and the second it was put under.
    pub(super) fn pop(&mut self, now: Mono) -> Option<(u64, u32)> {
        let second = self.next().filter(|second| *second <= now.seconds())?;
        self.at = second;
        let slot = second % SPAN;
        let keys = &mut self.slots[slot as usize];
        let key = keys.pop()?;
        self.length -= 1;
        if keys.is_empty() {
            *keys = Vec::new();
            self.occupied[(slot / 64) as usize] &= !(1 << (slot % 64));
        }
        Some((key, second))
    }
}

impl std::fmt::Debug for Wheel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wheel").field("at", &self.at).field("length", &self.length).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(second: u32) -> Mono {
        Mono::from_seconds(second)
    }

    #[test]
    fn keys_come_out_in_the_order_of_their_seconds_and_not_before() {
        let mut wheel = Wheel::new();
        for (key, due) in [(1, 700), (2, 130), (3, 4000), (4, 131)] {
            assert_eq!(wheel.insert(key, due, 100), due);
        }

        let mut fired = Vec::new();
        for now in 100..=4100 {
            assert_eq!(wheel.next().is_some_and(|next| next <= now), {
                let one = wheel.pop(second(now));
                fired.extend(one.map(|(key, due)| (key, due, now)));
                one.is_some()
            });
        }

        assert_eq!(fired, [(2, 130, 130), (4, 131, 131), (1, 700, 700), (3, 4000, 4000)]);
        assert_eq!(wheel.next(), None);
    }

    #[test]
    fn what_is_due_beyond_the_wheel_fires_at_its_end() {
        let mut wheel = Wheel::new();

        assert_eq!(wheel.insert(1, 100_000, 50), 50 + SPAN - 1);
        assert_eq!(wheel.insert(2, u32::MAX, 50), 50 + SPAN - 1);
        assert_eq!(wheel.insert(3, 0, 50), 51);
        assert_eq!(wheel.next(), Some(51));
    }

    #[test]
    fn a_long_pause_loses_nothing() {
        let mut wheel = Wheel::new();
        for key in 0..5000 {
            wheel.insert(key, key as u32, 0);
        }

        let mut fired = 0;
        while wheel.pop(second(1_000_000)).is_some() {
            fired += 1;
        }

        assert_eq!(fired, 5000);
        assert_eq!(wheel.insert(1, 1_000_010, 1_000_000), 1_000_010);
    }
}
