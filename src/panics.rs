//! What is said of a panic: where it was, as one line of the log. Its message only where that is a sentence of the source;
//! one that was put together may quote what a peer said, and that may be a PIN.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;

use tracing::error;

/// Has panics logged from now on, in place of the message that Rust writes to standard error. With `RUST_BACKTRACE=1` the
/// functions that were on the stack are logged, too.
pub fn log() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("nameless");
        let at = panic.location().map(ToString::to_string).unwrap_or_default();
        let reason = sentence(panic);
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            error!(thread, at, reason, %backtrace, "panic");
        } else {
            error!(thread, at, reason, "panic");
        }
    }));
}

/// The message of a panic if it is as the source has it.
fn sentence(panic: &PanicHookInfo<'_>) -> &'static str {
    panic.payload().downcast_ref().copied().unwrap_or("not shown: it may quote a message")
}
