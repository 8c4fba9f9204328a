//! The thread that looks whether files with PINs have changed. It may wait for a slow disk; nobody waits for it.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};

use tracing::error;

use crate::backend::pin::desk::PinDesk;
use crate::backend::pin::voicemail_conf::LOOK_EVERY;

/// The running thread; dropped, it ends after the look it is at.
#[derive(Debug)]
pub(super) struct PinWatch {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl PinWatch {
    /// Has `desk` look at its files from now on.
    pub(super) fn start(desk: Arc<PinDesk>) -> io::Result<Self> {
        let (end, ended) = channel::<()>();
        let look = move || {
            // Nothing is ever sent: the other end goes when the edge does.
            while ended.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                desk.look();
            }
        };
        let thread = thread::Builder::new().name("pin-files".into()).spawn(look)?;
        Ok(Self { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for PinWatch {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            error!("the thread that looks at files with PINs panicked");
        }
    }
}
