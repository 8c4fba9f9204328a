//! Signals: SIGHUP reloads, SIGTERM and SIGINT stop, SIGXFSZ does nothing.
//!
//! ```text
//!            SIGHUP: reload
//!              ┌────┐
//!              ▼    │     SIGTERM, SIGINT               SIGTERM, SIGINT
//!            serving ┴──────────────────────► draining ─────────────────► stopping at once
//!                                                 └─ nothing under way, or GRACE is over ─► ended
//! ```

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tracing::{info, warn};

use super::Edge;

/// How long what is under way may take to finish: a forwarded request that was answered late still is; a call
/// that rings is not waited for, its phones try again elsewhere.
pub const GRACE: Duration = Duration::from_secs(5);

/// How long a second signal leaves to the store.
const FLUSH_WITHIN: Duration = Duration::from_secs(2);

/// Signals of the process that concern an edge. Those that come before [`Signals::attend`] are kept.
#[derive(Debug)]
pub struct Signals {
    runtime: tokio::runtime::Runtime,
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Takes the signals over from the system's own handling, which would end the process.
    ///
    /// # Errors
    /// The system does not give them.
    pub fn take() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (terminate, interrupt, hangup) = {
            let _inside = runtime.enter();
            // A file that may not grow is a disk that is full: the write fails, and whoever wrote says so. Left alone, the
            // signal would end the process. Once taken it stays so.
            drop(signal(SignalKind::from_raw(libc::SIGXFSZ))?);
            (
                signal(SignalKind::terminate())?,
                signal(SignalKind::interrupt())?,
                signal(SignalKind::hangup())?,
            )
        };
        Ok(Self { runtime, terminate, interrupt, hangup })
    }

    /// Does what signals ask of `edge` until it has stopped. `path` is its configuration file.
    pub fn attend(self, edge: Edge, path: &Path) {
        let Self { runtime, mut terminate, mut interrupt, mut hangup } = self;
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = hangup.recv() => edge.reload_file(path),
                    _ = terminate.recv() => break,
                    _ = interrupt.recv() => break,
                }
            }
            info!("stopping: finishing what is under way");
            let shell = Arc::clone(&edge.shell);
            let (ended, mut end) = oneshot::channel();
            thread::spawn(move || {
                edge.stop(GRACE);
                // Nobody listens if it took too long.
                let _ = ended.send(());
            });
            tokio::select! {
                _ = &mut end => return,
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            warn!("stopping at once");
            shell.stop_after(Duration::ZERO);
            if tokio::time::timeout(FLUSH_WITHIN, end).await.is_err() {
                warn!("the store has not written everything");
            }
        });
    }
}
