//! How long what comes to a worker waits until it is taken: batches of datagrams go in, what the dataplane is told goes out.
//!
//! Of each way in counts who waited least, and of these the longest: a socket that is never empty keeps others waiting,
//! whatever the other sockets do.

use std::time::Duration;

use dataplane::flow::ListenerId;
use dataplane::input::Input;
use dataplane::now::Now;

use crate::transport::udp::Batch;

/// No socket holds what a worker needs longer for. More than that is a clock that was set.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Since it was told last.
#[derive(Debug)]
pub(super) struct Waits {
    /// By listener.
    sockets: Vec<Socket>,
    taken: u32,
    lost: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Socket {
    /// Of the first of the batch that waited least; `None`: nothing came.
    least: Option<Duration>,
    /// What the socket had lost since it was bound, when it was read last; it may have been read by a worker before this one.
    overflows: Option<u32>,
}

impl Waits {
    pub(super) fn new(listeners: usize) -> Self {
        Self { sockets: vec![Socket::default(); listeners], taken: 0, lost: 0 }
    }

    /// A batch was taken off the socket of `listener` at `now`; says how many datagrams were dropped before it.
    pub(super) fn taken(&mut self, listener: ListenerId, now: Now, batch: &Batch<'_>) -> u32 {
        let Some(socket) = self.sockets.get_mut(usize::from(listener.0)) else { return 0 };
        let came_at = batch.came_at().unwrap_or(Duration::MAX);
        let waited = Duration::from_millis(now.wall).saturating_sub(came_at);
        let waited = if waited > WAIT_MAX { Duration::ZERO } else { waited };
        socket.least = Some(socket.least.map_or(waited, |least| least.min(waited)));
        let overflows = batch.overflows();
        let before = socket.overflows.replace(overflows).unwrap_or(overflows);
        // The count is told once it is no longer 0.
        let lost = if overflows == 0 { 0 } else { overflows.wrapping_sub(before) };
        self.taken = self.taken.saturating_add(batch.len() as u32);
        self.lost = self.lost.saturating_add(lost);
        lost
    }

    /// What the dataplane is to be told, and begins anew. Whatever is ready, such as a connection, waits for `turn`; `filters`:
    /// the sockets drop what is to be left unread.
    pub(super) fn tell(&mut self, turn: Duration, filters: bool) -> Input<'static> {
        let least =
            self.sockets.iter_mut().filter_map(|socket| socket.least.take()).fold(turn, Duration::max);
        let (taken, lost) = (std::mem::take(&mut self.taken), std::mem::take(&mut self.lost));
        Input::Waited { least, taken, lost, filters }
    }
}
