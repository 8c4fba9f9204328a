//! The wall clock: for what outlives the process or is told to others, never for how long something takes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time since 1970-01-01 UTC. A clock before that is one that nobody has set: it counts as 1970.
#[expect(clippy::disallowed_methods, reason = "shells read the clock and hand the time down")]
pub(crate) fn since_1970() -> Duration {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    #[cfg(feature = "planted-faults")]
    let time = crate::planted::wall_clock(time);
    time
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_that_of_the_system() {
        // 2020-01-01 UTC: no machine that builds this has an earlier clock.
        assert!(since_1970() > Duration::from_secs(1_577_836_800));
    }
}
