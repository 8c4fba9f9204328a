//! How long something may take.

use std::time::{Duration, Instant};

/// A moment after which nothing is waited for any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// The moment `patience` from now.
    pub fn after(patience: Duration) -> Self {
        Self(now() + patience)
    }

    /// What is left, never zero; `None` once it has passed. Sockets take a zero for "for ever".
    pub fn left(self) -> Option<Duration> {
        self.0.checked_duration_since(now()).filter(|left| !left.is_zero())
    }

    /// The same or `other`, whichever comes first.
    pub fn or(self, other: Self) -> Self {
        self.min(other)
    }
}

/// The monotonic clock.
#[expect(clippy::disallowed_methods, reason = "phones live in real time; this is where they read it")]
pub fn now() -> Instant {
    Instant::now()
}
