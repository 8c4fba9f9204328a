//! An error and what caused it, in one line.

use std::iter::successors;

/// What `error` says, and behind it what each error says that caused the one before.
pub fn of(error: &dyn std::error::Error) -> String {
    let reasons = successors(Some(error), |error| error.source());
    reasons.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
