//! What a run has counted.

use std::collections::BTreeMap;

use super::histogram::Histogram;
use super::reading::Heard;

/// Different things gone wrong that are kept; what else goes wrong is counted under `other`.
const REASONS_MAX: usize = 32;

/// Counts of one window of time.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// How long each unit took that ended well, in nanoseconds, from when it was due.
    pub(super) latency: Histogram,
    /// Units that had no answer in time.
    pub(super) lost: u64,
    /// Units that had a wrong answer, by what was wrong with it.
    pub(super) wrong: BTreeMap<&'static str, Wrong>,
    /// 401 and 407 that were answered, beyond those that belong to the unit: nonces grown stale.
    pub(super) challenged_again: u64,
    /// NOTIFYs that were answered.
    pub(super) notifies: u64,
    /// Messages that nobody waited for: retransmissions, and answers that came too late.
    pub(super) strays: u64,
}

/// How often something went wrong, and one instance.
#[derive(Clone, Debug, Default)]
pub(super) struct Wrong {
    /// How often.
    pub(super) count: u64,
    /// The first message of the kind, as far as it is short.
    pub(super) example: String,
}

impl Tally {
    /// What went well is counted from here on; what went wrong stays.
    pub(super) fn begin_window(&mut self) {
        self.latency.clear();
        (self.challenged_again, self.notifies, self.strays) = (0, 0, 0);
    }

    /// Counts a unit that ended with a wrong message.
    pub(super) fn wrong(&mut self, reason: &'static str, message: &[u8]) {
        /// As much of a message as tells what it is: the headers of an answer.
        const EXAMPLE_OCTETS: usize = 1_000;
        let known = self.wrong.contains_key(reason) || self.wrong.len() < REASONS_MAX;
        let wrong = self.wrong.entry(if known { reason } else { "other" }).or_default();
        wrong.count += 1;
        if wrong.count == 1 {
            let message = &message[..message.len().min(EXAMPLE_OCTETS)];
            wrong.example = String::from_utf8_lossy(message).into_owned();
        }
    }

    /// Units that ended with a wrong message.
    pub(super) fn wrong_count(&self) -> u64 {
        self.wrong.values().map(|wrong| wrong.count).sum()
    }

    /// True if nothing was lost and nothing wrong.
    pub(super) fn is_clean(&self) -> bool {
        self.lost == 0 && self.wrong.is_empty()
    }
}

/// Why an answer is wrong that is not the one expected, by its status.
pub(super) fn unexpected(heard: &Heard<'_>) -> &'static str {
    match heard.status() {
        Some(401 | 407) => "a challenge where none was expected",
        Some(403) => "403",
        Some(404) => "404",
        Some(408) => "408",
        Some(480) => "480",
        Some(481) => "481",
        Some(500) => "500",
        Some(503) => "503",
        Some(100..200) => "an unexpected 1xx",
        Some(200..300) => "an unexpected 2xx",
        Some(300..400) => "3xx",
        Some(400..500) => "another 4xx",
        Some(_) => "5xx or 6xx",
        None => "a request",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_each_kind_of_wrong_answer_is_kept() {
        let mut tally = Tally::default();
        assert!(tally.is_clean());

        tally.wrong("403", b"first");
        tally.wrong("403", b"second");
        tally.wrong("404", &[b'x'; 5_000]);

        assert_eq!((tally.wrong_count(), tally.is_clean()), (3, false));
        assert_eq!(tally.wrong["403"].example, "first");
        assert_eq!(tally.wrong["404"].example.len(), 1_000);
    }
}
