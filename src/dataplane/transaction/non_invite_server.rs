//! The non-INVITE server transaction (RFC 3261 §17.2.2, RFC 4320).

use super::timer::{Fired, NEVER, lifetime};
use crate::now::Mono;
use crate::settings::Timers;

/// ```text
///                    request
///                       │
///                       ▼
///               ┌──────────────┐
///               │    Trying    │──── 64·T1 ───┐
///               └──────────────┘              │
///      1xx / send │         │ 200–699 / send  │
///                 ▼         │                 │
///  request    ┌────────────┐│                 │
///  ┌─────────▶│ Proceeding ││                 │
///  │ /replay  │            │┼──── 64·T1 ─────▶│
///  └──────────└────────────┘│                 │
///   200–699 / send │        │                 │
///                  ▼        ▼                 ▼
///  request    ┌──────────────┐  J     ┌────────────┐
///  ┌─────────▶│  Completed   │───────▶│ Terminated │
///  └──────────└──────────────┘        └────────────┘
///    / replay
/// ```
///
/// Who gets no answer within 64·T1 has stopped waiting for one (timer F), and a 408 would only confuse the
/// proxies between (RFC 4320 §4.2): the transaction then ends in silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Trying,
    Proceeding,
    Completed,
    Terminated,
}

/// One non-INVITE server transaction.
#[derive(Debug)]
pub(super) struct NonInviteServer {
    state: State,
    reliable: bool,
    /// Timer J, and the end of the client's timer F.
    end: Mono,
}

impl NonInviteServer {
    pub(super) fn new(now: Mono, reliable: bool, timers: &Timers) -> Self {
        Self { state: State::Trying, reliable, end: now + lifetime(timers) }
    }

    /// A retransmission came. True: give it the last answer again.
    pub(super) fn on_request(&self) -> bool {
        matches!(self.state, State::Proceeding | State::Completed)
    }

    /// The core answers. True: send and keep it.
    pub(super) fn on_respond(&mut self, now: Mono, code: u16, timers: &Timers) -> bool {
        if self.has_final() {
            return false;
        }
        if code < 200 {
            self.state = State::Proceeding;
        } else {
            self.state = State::Completed;
            // Timer J only absorbs retransmissions (§17.2.2).
            self.end = if self.reliable { now } else { now + lifetime(timers) };
        }
        true
    }

    pub(super) fn on_time(&mut self, now: Mono) -> Fired {
        if now < self.end {
            return Fired::Nothing;
        }
        (self.state, self.end) = (State::Terminated, NEVER);
        Fired::Ended
    }

    pub(super) fn due(&self) -> Mono {
        self.end
    }

    pub(super) fn has_final(&self) -> bool {
        matches!(self.state, State::Completed | State::Terminated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::tests::{at, fired};

    fn machine(reliable: bool) -> (NonInviteServer, Timers) {
        let timers = Timers::default();
        (NonInviteServer::new(at(0), reliable, &timers), timers)
    }

    fn run(server: &mut NonInviteServer) -> Vec<(u64, Fired)> {
        fired(server, NonInviteServer::due, NonInviteServer::on_time)
    }

    #[test]
    fn before_an_answer_retransmissions_are_absorbed_in_silence() {
        let (server, _) = machine(false);

        assert!(!server.on_request());
        assert!(!server.has_final());
    }

    #[test]
    fn a_request_nobody_answers_ends_in_silence_when_its_sender_has_given_up() {
        for reliable in [false, true] {
            let (mut server, timers) = machine(reliable);
            assert_eq!(run(&mut server), [(32_000, Fired::Ended)]);
            assert!(!server.on_respond(at(32_001), 408, &timers));

            let (mut server, timers) = machine(reliable);
            server.on_respond(at(5000), 100, &timers);
            assert_eq!(run(&mut server), [(32_000, Fired::Ended)]);
        }
    }

    #[test]
    fn an_end_that_is_looked_at_late_is_one() {
        let (mut server, _) = machine(false);

        assert_eq!(server.on_time(at(31_999)), Fired::Nothing);
        assert_eq!(server.on_time(at(32_500)), Fired::Ended);
    }

    #[test]
    fn a_provisional_answer_is_replayed_until_the_final_one() {
        let (mut server, timers) = machine(false);

        assert!(server.on_respond(at(1), 100, &timers));
        assert!(server.on_request());

        assert!(server.on_respond(at(2), 200, &timers));
        assert!(server.on_request());
        assert!(server.has_final());
    }

    #[test]
    fn a_final_answer_is_replayed_until_j_and_nothing_follows_it() {
        for (reliable, end) in [(false, 32_100), (true, 100)] {
            let (mut server, timers) = machine(reliable);

            assert!(server.on_respond(at(100), 404, &timers));

            assert!(!server.on_respond(at(100), 200, &timers));
            assert!(!server.on_respond(at(100), 100, &timers));
            assert_eq!(run(&mut server), [(end, Fired::Ended)]);
        }
    }
}
