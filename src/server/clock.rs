//! The one clock: read once a batch in the drive loops, handed down as [`Now`].

use std::time::{Duration, Instant};

use dataplane::now::{Mono, Now};

use crate::wall_clock;

/// Counts from the start of the edge; the same for all its workers.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    /// What the wall clock said then, whatever it is set to later.
    started_at: u64,
}

impl Clock {
    /// Starts to count.
    #[expect(clippy::disallowed_methods, reason = "the drive loops' clock begins here")]
    pub fn start() -> Self {
        Self { start: Instant::now(), started_at: wall() }
    }

    /// What the wall clock said at the start, milliseconds since 1970-01-01 UTC.
    pub fn started_at(&self) -> u64 {
        self.started_at
    }

    /// Reads the monotonic clock.
    pub fn mono(&self) -> Mono {
        Mono(nanos(self.start.elapsed()))
    }

    /// Reads both clocks.
    pub fn now(&self) -> Now {
        Now { mono: self.mono(), wall: wall() }
    }

    /// The instant of the system's monotonic clock that `mono` is.
    pub fn instant(&self, mono: Mono) -> Instant {
        /// Farther than any timer, nearer than the end of the system's clock.
        const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
        self.start + Duration::from_nanos(mono.0).min(FAR)
    }
}

fn wall() -> u64 {
    u64::try_from(wall_clock::since_1970().as_millis()).unwrap_or(u64::MAX)
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotonic_time_never_goes_back_and_maps_to_instants() {
        let clock = Clock::start();

        let first = clock.now();
        let second = clock.now();

        assert!(first.mono <= second.mono);
        assert!(clock.instant(first.mono) <= clock.instant(second.mono));
        assert!(clock.instant(Mono(u64::MAX)) > clock.instant(second.mono));
    }
}
