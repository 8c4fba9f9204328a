//! Whether the wall clock may say what is too old. One that was wrong and is set, or right and set wrong, would make
//! everything look old at once; what is removed then nobody brings back.

use std::time::{Duration, Instant};

use tracing::warn;

/// The clock must have run for so long without a step. That is time for people or NTP to set it right, also where it was
/// wrong from the start; and an edge that is restarted every night still has half of each day.
const STEADY_AFTER: Duration = Duration::from_secs(12 * 3600);

/// Below this between two looks the clock is slewed, or read late.
const STEP_MIN: Duration = Duration::from_secs(60);

/// The wall clock under watch.
pub(super) struct SteadyClock {
    /// When it was looked at last, and what it showed, in milliseconds since 1970-01-01 UTC.
    looked: (Instant, u64),
    /// It has not been set since.
    since: Instant,
}

impl SteadyClock {
    pub(super) fn new(now: Instant, wall: u64) -> Self {
        Self { looked: (now, wall), since: now }
    }

    /// Looks at it: `wall`, if that may be believed.
    pub(super) fn believed(&mut self, now: Instant, wall: u64) -> Option<u64> {
        let (before, shown) = std::mem::replace(&mut self.looked, (now, wall));
        let ran = u64::try_from((now - before).as_millis()).unwrap_or(u64::MAX);
        let step = Duration::from_millis(wall.abs_diff(shown.saturating_add(ran)));
        if step >= STEP_MIN {
            warn!(seconds = step.as_secs(), "the wall clock was set: for half a day no record is too old");
            self.since = now;
        }
        (now - self.since >= STEADY_AFTER).then_some(wall)
    }
}

#[cfg(test)]
mod tests {
    use super::super::queue::now;
    use super::*;

    const HOUR: u64 = 3600 * 1000;
    const YEAR: u64 = 365 * 24 * HOUR;
    /// Some day of 2026.
    const TODAY: u64 = 1_769_847_300_000;

    /// What is believed of a clock that shows so many milliseconds more than was to be expected, by hours since the start.
    fn believed(looks: &[(u64, u64)]) -> Vec<Option<u64>> {
        let start = now();
        let mut clock = SteadyClock::new(start, TODAY);
        let look = |(hour, ahead): &(u64, u64)| {
            let wall = TODAY + hour * HOUR + ahead;
            clock.believed(start + Duration::from_millis(hour * HOUR), wall).map(|wall| wall - TODAY)
        };
        looks.iter().map(look).collect()
    }

    #[test]
    fn clock_is_believed_when_it_has_run_for_half_a_day() {
        // It is slewed by some seconds in all.
        let looks = [(0, 0), (11, 3_000), (12, 5_000), (13, 4_000)];

        assert_eq!(believed(&looks), [None, None, Some(12 * HOUR + 5_000), Some(13 * HOUR + 4_000)]);
    }

    #[test]
    fn clock_that_was_set_is_believed_half_a_day_later() {
        let looks = [(12, 0), (13, YEAR), (24, YEAR), (25, YEAR)];
        assert_eq!(believed(&looks), [Some(12 * HOUR), None, None, Some(25 * HOUR + YEAR)]);

        // Set right again meanwhile, it never made anything look old.
        let looks = [(12, 0), (13, YEAR), (24, 0), (35, 0), (36, 0)];
        assert_eq!(believed(&looks), [Some(12 * HOUR), None, None, None, Some(36 * HOUR)]);
    }
}
