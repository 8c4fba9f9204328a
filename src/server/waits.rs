//! How long what comes to a worker waits until it is taken: batches of datagrams go in, what the dataplane is told goes out.
//!
//! Of each way in counts who waited least, and of these the longest: a socket that is never empty keeps others waiting,
//! whatever the other sockets do.

use std::time::Duration;

use dataplane::flow::ListenerId;
use dataplane::input::Input;
use dataplane::now::Now;

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
    /// Of the last of the batch that waited least; `None`: nothing came.
    least: Option<Duration>,
    /// What the socket had dropped since it was bound, when it was asked last; it may have been read by a worker before this one.
    dropped: Option<u32>,
}

impl Waits {
    pub(super) fn new(listeners: usize) -> Self {
        Self { sockets: vec![Socket::default(); listeners], taken: 0, lost: 0 }
    }

    /// A batch of `count` datagrams was taken off the socket of `listener` at `now`, of which the last came at `came_at`, by the wall
    /// clock; `None`: the socket is empty, or the system does not say.
    pub(super) fn taken(&mut self, listener: ListenerId, now: Now, count: usize, came_at: Option<Duration>) {
        let Some(socket) = self.sockets.get_mut(usize::from(listener.0)) else { return };
        let waited =
            came_at.map_or(Duration::ZERO, |came| Duration::from_millis(now.wall).saturating_sub(came));
        let waited = if waited > WAIT_MAX { Duration::ZERO } else { waited };
        socket.least = Some(socket.least.map_or(waited, |least| least.min(waited)));
        self.taken = self.taken.saturating_add(count as u32);
    }

    /// The socket of `listener` has dropped so many since it was bound; says how many of them are new.
    pub(super) fn dropped(&mut self, listener: ListenerId, dropped: u32) -> u32 {
        let Some(socket) = self.sockets.get_mut(usize::from(listener.0)) else { return 0 };
        let lost = dropped.wrapping_sub(socket.dropped.replace(dropped).unwrap_or(dropped));
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
