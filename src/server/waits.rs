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

/// Where there is more, somebody waits, though a clock of milliseconds may not tell.
const WAIT_MIN: Duration = Duration::from_millis(1);

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
    /// Of the last of the batch that waited least; `None`: it was not asked.
    least: Option<Duration>,
    /// It had more when it was asked last.
    has_more: bool,
    /// What the socket had dropped since it was bound, when it was asked last; it may have been read by a worker before this one.
    dropped: Option<u32>,
}

impl Waits {
    pub(super) fn new(listeners: usize) -> Self {
        Self { sockets: vec![Socket::default(); listeners], taken: 0, lost: 0 }
    }

    /// A batch of `count` datagrams, or none, was taken off the socket of `listener` at `now`, of which the last came at `came_at`, by
    /// the wall clock; `None`: the socket is empty, or the system does not say.
    pub(super) fn taken(&mut self, listener: ListenerId, now: Now, count: usize, came_at: Option<Duration>) {
        let Some(socket) = self.sockets.get_mut(usize::from(listener.0)) else { return };
        let since = |came| Duration::from_millis(now.wall).saturating_sub(came);
        let waited = came_at
            .map(since)
            .map_or(Duration::ZERO, |waited| if waited > WAIT_MAX { WAIT_MIN } else { waited.max(WAIT_MIN) });
        socket.has_more = came_at.is_some();
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

    /// What the dataplane is to be told, and begins anew. `None` while a socket that had more has not been asked again, as where a
    /// batch takes longer than it is from one telling to the next: whoever is in there still waits. Whatever is ready, such as a
    /// connection, waits for `turn`; `filters`: the sockets drop what is to be left unread.
    pub(super) fn tell(&mut self, turn: Duration, filters: bool) -> Option<Input<'static>> {
        if self.sockets.iter().any(|socket| socket.has_more && socket.least.is_none()) {
            return None;
        }
        let least =
            self.sockets.iter_mut().filter_map(|socket| socket.least.take()).fold(turn, Duration::max);
        let (taken, lost) = (std::mem::take(&mut self.taken), std::mem::take(&mut self.lost));
        Some(Input::Waited { least, taken, lost, filters })
    }
}

#[cfg(test)]
mod tests {
    use dataplane::now::Mono;

    use super::*;

    const HERE: ListenerId = ListenerId(0);

    const NOW: Now = Now { mono: Mono(0), wall: 1_000_000 };

    /// When who has waited for so long now came.
    fn came(millis: u64) -> Option<Duration> {
        Some(Duration::from_millis(NOW.wall - millis))
    }

    fn told(waits: &mut Waits) -> Option<(Duration, u32)> {
        match waits.tell(Duration::ZERO, true)? {
            Input::Waited { least, taken, .. } => Some((least, taken)),
            other => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn nothing_is_told_of_a_socket_that_has_more_and_has_not_had_its_turn() {
        let mut waits = Waits::new(1);
        assert_eq!(told(&mut waits), Some((Duration::ZERO, 0)), "nobody came");

        waits.taken(HERE, NOW, 64, came(70));
        assert_eq!(told(&mut waits), Some((Duration::from_millis(70), 64)));
        assert_eq!(told(&mut waits), None, "who waits there is not known to wait no longer");

        waits.taken(HERE, NOW, 64, came(0));
        assert_eq!(told(&mut waits), Some((WAIT_MIN, 64)), "there is more");
        waits.taken(HERE, NOW, 64, came(20_000));
        assert_eq!(told(&mut waits), Some((WAIT_MIN, 64)), "the clock was set");

        waits.taken(HERE, NOW, 64, came(90));
        waits.taken(HERE, NOW, 10, None);
        assert_eq!(told(&mut waits), Some((Duration::ZERO, 74)));
        assert_eq!(told(&mut waits), Some((Duration::ZERO, 0)), "it is empty");
    }
}
