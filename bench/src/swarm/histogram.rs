//! How long things took: a histogram with log-linear buckets.
//!
//! Every power of two is cut into 64 buckets, so a value is known to one part in 64 from 64 ns to the
//! end of `u64`, and below that exactly. 30 kB, no allocation after the start, a few nanoseconds a value.

/// Buckets within a power of two, as a power of two.
const FINE_BITS: u32 = 6;
const FINE: usize = 1 << FINE_BITS;
/// One row of exact values, and one for each power of two above.
const BUCKETS: usize = FINE * (1 + 64 - FINE_BITS as usize);

/// Counts of durations in nanoseconds.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    buckets: Box<[u64]>,
    count: u64,
    sum: u128,
    max: u64,
}

impl Histogram {
    /// Nothing counted.
    pub(super) fn new() -> Self {
        Self { buckets: vec![0; BUCKETS].into_boxed_slice(), count: 0, sum: 0, max: 0 }
    }

    /// Counts one.
    pub(super) fn record(&mut self, nanoseconds: u64) {
        self.buckets[bucket(nanoseconds)] += 1;
        self.count += 1;
        self.sum += u128::from(nanoseconds);
        self.max = self.max.max(nanoseconds);
    }

    /// How many were counted.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The longest; 0 if nothing was counted.
    pub(super) fn max(&self) -> u64 {
        self.max
    }

    /// The mean; 0 if nothing was counted.
    pub(super) fn mean(&self) -> u64 {
        u64::try_from(self.sum / u128::from(self.count.max(1))).unwrap_or(u64::MAX)
    }

    /// The least value that a share of `quantile` (0 to 1) does not exceed, rounded up to the end of its bucket.
    pub(super) fn quantile(&self, quantile: f64) -> u64 {
        let wanted = ((self.count as f64 * quantile).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return end_of(index).min(self.max);
            }
        }
        self.max
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.buckets.fill(0);
        (self.count, self.sum, self.max) = (0, 0, 0);
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

fn bucket(value: u64) -> usize {
    let row = (u64::BITS - value.leading_zeros()).saturating_sub(FINE_BITS);
    // The value's FINE_BITS + 1 leading bits; the first is set in every row but the exact one.
    let fine = (value >> row.saturating_sub(1)) as usize;
    if row == 0 { fine } else { row as usize * FINE + (fine - FINE) }
}

/// The greatest value of a bucket.
fn end_of(bucket: usize) -> u64 {
    let (row, fine) = (bucket / FINE, bucket % FINE);
    match row {
        0 => fine as u64,
        _ => (((FINE + fine) as u64) << (row - 1)) + ((1 << (row - 1)) - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_the_bucket_that_ends_at_or_after_it_and_begins_no_lower_than_a_64th_before() {
        let mut values: Vec<u64> = (0..10_000).collect();
        values.extend((0..64).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1u64 << bit) + 1]));
        values.push(u64::MAX);
        for value in values {
            let end = end_of(bucket(value));

            assert!(end >= value && end - value <= value / FINE as u64, "{value}: {end}");
            assert!(bucket(value) == 0 || end_of(bucket(value) - 1) < value, "{value}");
        }
    }

    #[test]
    fn quantiles_are_those_of_what_was_counted() {
        let mut histogram = Histogram::new();
        for microseconds in 1..=1_000 {
            histogram.record(microseconds * 1_000);
        }

        let near = |quantile: f64, value: u64| {
            let found = histogram.quantile(quantile);
            assert!(found >= value && found <= value + value / 64 + 1, "{quantile}: {found}");
        };
        near(0.5, 500_000);
        near(0.99, 990_000);
        assert_eq!(histogram.quantile(1.0), 1_000_000);
        assert_eq!((histogram.count(), histogram.max(), histogram.mean()), (1_000, 1_000_000, 500_500));
    }

    #[test]
    fn an_empty_one_says_nothing() {
        let mut histogram = Histogram::new();
        assert_eq!((histogram.quantile(0.5), histogram.max(), histogram.mean()), (0, 0, 0));
        histogram.record(7);

        histogram.clear();

        assert_eq!((histogram.count(), histogram.quantile(0.5), histogram.max()), (0, 0, 0));
    }
}
