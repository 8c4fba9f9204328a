//! How long something took, as a histogram: plain numbers that one thread counts and a scrape adds up.

use std::time::Duration;

/// Durations by their order of magnitude, and the longest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    /// Those of at most [`Self::BOUNDS`] of the same index and more than the bound before it; the last is without
    /// bound.
    pub counts: [u64; Self::BOUNDS.len() + 1],
    /// All of them together.
    pub sum: Duration,
    /// The longest since start.
    pub longest: Duration,
}

impl Durations {
    /// Upper bounds: from a batch of a few messages or a commit that no disk was asked for to what a person notices.
    pub const BOUNDS: [Duration; 11] = [
        Duration::from_micros(100),
        Duration::from_micros(250),
        Duration::from_micros(500),
        Duration::from_millis(1),
        Duration::from_millis(2),
        Duration::from_millis(5),
        Duration::from_millis(10),
        Duration::from_millis(25),
        Duration::from_millis(100),
        Duration::from_millis(500),
        Duration::from_secs(2),
    ];

    /// Counts one.
    pub fn observe(&mut self, took: Duration) {
        let slot = Self::BOUNDS.iter().position(|bound| took <= *bound).unwrap_or(Self::BOUNDS.len());
        self.counts[slot] += 1;
        self.sum += took;
        self.longest = self.longest.max(took);
    }

    /// Adds those of another thread.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.sum += other.sum;
        self.longest = self.longest.max(other.longest);
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(millis: &[u64]) -> Durations {
        let mut durations = Durations::default();
        millis.iter().for_each(|millis| durations.observe(Duration::from_millis(*millis)));
        durations
    }

    #[test]
    fn each_is_counted_below_the_first_bound_that_holds_it() {
        let durations = of(&[0, 1, 2, 3, 9_000]);

        assert_eq!(durations.counts, [1, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 1]);
        assert_eq!(durations.sum, Duration::from_millis(9_006));
        assert_eq!(durations.longest, Duration::from_secs(9));
    }

    #[test]
    fn two_threads_together_are_as_one() {
        let mut sum = of(&[1, 700]);

        sum.add(&of(&[3]));

        assert_eq!(sum, of(&[1, 3, 700]));
        assert_eq!(sum.count(), 3);
    }
}
