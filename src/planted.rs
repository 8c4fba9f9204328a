//! Faults that a test plants into the running program: what no test can bring about from outside. Compiled by the feature
//! `planted-faults` alone, which is in no default build.
//!
//! A fault is a file in the folder that the variable `HOTDESK_PLANTED_FAULTS` of the environment names. It is there from its
//! making to its removal:
//!
//! | file | holds | what happens |
//! |---|---|---|
//! | `wall-clock` | seconds, also negative | the wall clock is off by so much |
//! | `store-slow` | milliseconds | a commit of the store takes so much longer |
//! | `reading-slow` | microseconds | a datagram takes so much longer |
//! | `dataplane-panics` | octets | a message with these octets in it panics the dataplane |
//! | `worker-panics` | octets | … panics the worker outside the dataplane |

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

/// The folder.
static FOLDER: LazyLock<Option<PathBuf>> =
    LazyLock::new(|| std::env::var_os("HOTDESK_PLANTED_FAULTS").map(PathBuf::from));

fn planted(fault: &str) -> Option<Vec<u8>> {
    std::fs::read(FOLDER.as_ref()?.join(fault)).ok()
}

fn number(fault: &str) -> Option<i64> {
    str::from_utf8(&planted(fault)?).ok()?.trim().parse().ok()
}

/// What a wall clock that shows `time` since 1970 shows in its place.
pub(crate) fn wall_clock(time: Duration) -> Duration {
    let off = number("wall-clock").unwrap_or_default();
    let by = Duration::from_secs(off.unsigned_abs());
    if off < 0 { time.saturating_sub(by) } else { time + by }
}

/// Waits as long as a slow disk would.
pub(crate) fn slow_commit() {
    if let Some(time) = number("store-slow").and_then(|time| u64::try_from(time).ok()) {
        std::thread::sleep(Duration::from_millis(time));
    }
}

/// Waits as long as a slow processor would take for so many datagrams.
pub(crate) fn slow_reading(datagrams: usize) {
    if let Some(time) = number("reading-slow").and_then(|time| u32::try_from(time).ok()) {
        std::thread::sleep(Duration::from_micros(time.into()) * datagrams as u32);
    }
}

/// Panics over `message` if it holds what `fault` names. The message of the panic quotes what it was about, as those of the
/// standard library do.
pub(crate) fn panic_over(fault: &str, message: &[u8]) {
    if let Some(octets) = planted(fault)
        && !octets.is_empty()
        && message.windows(octets.len()).any(|some| some == octets)
    {
        panic!("planted: {fault} over {}", String::from_utf8_lossy(message));
    }
}
