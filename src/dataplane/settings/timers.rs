//! SIP timers, and the edge's own limits of time.

use std::time::Duration;

/// SIP timers (RFC 3261 Table 4) and the edge's own limits of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// Round-trip estimate, 500 ms.
    pub t1: Duration,
    /// Longest interval of non-INVITE requests and INVITE answers, 4 s.
    pub t2: Duration,
    /// How long a message may stay in the network, 5 s.
    pub t4: Duration,
    /// How long a forwarded INVITE may ring after a provisional answer; above 3 min (§16.6 item 11).
    pub timer_c: Duration,
    /// A phone that says nothing at all for this long is passed over.
    pub no_answer_from_phone: Duration,
    /// A call whose end was never seen counts no longer.
    pub call_max: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            timer_c: Duration::from_secs(200),
            no_answer_from_phone: Duration::from_secs(8),
            call_max: Duration::from_secs(4 * 3600),
        }
    }
}
