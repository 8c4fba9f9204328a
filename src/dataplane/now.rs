//! Time as the dataplane is told it: two clocks that enter as an argument and are never read here.

use std::time::Duration;

/// Monotonic nanoseconds since the edge started. All durations and timers run on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub u64);

impl Mono {
    /// The whole seconds since start, as tables store them: good for 136 years of uptime.
    pub fn seconds(self) -> u32 {
        (self.0 / 1_000_000_000) as u32
    }

    /// The instant `seconds` whole seconds after start.
    pub fn from_seconds(seconds: u32) -> Self {
        Self(u64::from(seconds) * 1_000_000_000)
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl std::ops::Add<Duration> for Mono {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// What time it is: one clock for durations, one for everything stored or civil.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Monotonic, nanoseconds since start.
    pub mono: Mono,
    /// Wall clock, milliseconds since 1970-01-01 UTC. It may step either way.
    pub wall: u64,
}

impl Now {
    /// Whole seconds of the wall clock since 1970-01-01 UTC.
    pub fn wall_seconds(self) -> u64 {
        self.wall / 1000
    }
}
