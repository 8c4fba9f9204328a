//! The INVITE server transaction (RFC 3261 §17.2.1 with RFC 6026 §7.1, and §13.3.1.4 for our own 2xx).

use std::time::Duration;

use super::timer::{Fired, NEVER, lifetime};
use crate::now::Mono;
use crate::settings::Timers;

/// ```text
///                          INVITE
///                            │
///                            ▼          1xx / send
///  INVITE / replay ┌──────────────────┐◀─────────┐
///        ┌────────▶│    Proceeding    │──────────┘
///        └─────────└──────────────────┘
///   300–699 / send   │      │      │   2xx of our own user agent / send
///         ┌──────────┘      │      └─────────────────────┐
///         ▼                 │ 2xx / send                 ▼
///  ┌────────────┐           ▼                    ┌────────────────┐ T1·2ⁿ / resend
///  │ Completed  │    ┌────────────┐ acknowledged │ Unacknowledged │─────┐
///  │            │    │  Accepted  │◀─────────────│                │◀────┘
///  └────────────┘    └────────────┘              └────────────────┘
///   │  │ INVITE, G / replay │ 2xx / send                │ 64·T1: timed out
///   │  │ ACK, start I       │ L                         │
///   │  ▼                    │                           │
///   │ ┌───────────┐ I       ▼                           │
///   │ │ Confirmed │──▶ Terminated ◀─────────────────────┘
///   │ └───────────┘         ▲
///   └───────────────────────┘ H: timed out
/// ```
///
/// `Accepted` absorbs INVITEs without an answer: whoever sent the 2xx sends it again until the ACK comes, which
/// for a proxy is the callee. `Unacknowledged` is that for a 2xx of the edge itself; by §13.3.1.4 it repeats the
/// 2xx over every transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Proceeding,
    Completed,
    Confirmed,
    Unacknowledged,
    Accepted,
    Terminated,
}

/// What becomes of an ACK that has the branch of the INVITE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ack {
    /// It has done its work, or has none to do.
    Absorb,
    /// It acknowledges a 2xx: the core's affair.
    ToCore,
}

/// One INVITE server transaction.
#[derive(Debug)]
pub(super) struct InviteServer {
    state: State,
    reliable: bool,
    /// Timer G, and the one of §13.3.1.4.
    resend: Mono,
    interval: Duration,
    /// Timers H, I, L.
    end: Mono,
}

impl InviteServer {
    pub(super) fn new(reliable: bool, timers: &Timers) -> Self {
        Self { state: State::Proceeding, reliable, resend: NEVER, interval: timers.t1, end: NEVER }
    }

    /// A retransmission came. True: give it the last answer again.
    pub(super) fn on_request(&self) -> bool {
        matches!(self.state, State::Proceeding | State::Completed)
    }

    /// The core answers. True: send and keep it. `repeat` asks for a 2xx to be repeated until acknowledged.
    pub(super) fn on_respond(&mut self, now: Mono, code: u16, repeat: bool, timers: &Timers) -> bool {
        match (self.state, code) {
            (State::Proceeding, 100..200) => {}
            (State::Proceeding, 200..300) => {
                self.end = now + lifetime(timers);
                self.state = if repeat { State::Unacknowledged } else { State::Accepted };
                if repeat {
                    self.resend = now + self.interval;
                }
            }
            (State::Proceeding, _) => {
                self.state = State::Completed;
                self.end = now + lifetime(timers);
                if !self.reliable {
                    self.resend = now + self.interval;
                }
            }
            // RFC 6026 §7.1: repeated 2xx and those of other forks pass; anything else comes too late.
            (State::Accepted, 200..300) => {}
            _ => return false,
        }
        true
    }

    pub(super) fn on_ack(&mut self, now: Mono, timers: &Timers) -> Ack {
        match self.state {
            State::Completed => {
                self.state = State::Confirmed;
                self.resend = NEVER;
                // Timer I only absorbs repeated ACKs; a reliable transport makes none (§17.2.1).
                self.end = if self.reliable { now } else { now + timers.t4 };
                Ack::Absorb
            }
            // The ACK of a 2xx has a branch of its own; RFC 2543 and some phones keep that of the INVITE.
            State::Accepted | State::Unacknowledged => Ack::ToCore,
            State::Proceeding | State::Confirmed | State::Terminated => Ack::Absorb,
        }
    }

    /// The core saw the ACK of its own 2xx.
    pub(super) fn on_acknowledged(&mut self) {
        if self.state == State::Unacknowledged {
            self.state = State::Accepted;
            self.resend = NEVER;
        }
    }

    pub(super) fn on_time(&mut self, now: Mono, timers: &Timers) -> Fired {
        if now >= self.end {
            let timed_out = matches!(self.state, State::Completed | State::Unacknowledged);
            (self.state, self.resend, self.end) = (State::Terminated, NEVER, NEVER);
            return if timed_out { Fired::TimedOut } else { Fired::Ended };
        }
        if now >= self.resend {
            self.interval = (self.interval * 2).min(timers.t2);
            self.resend = now + self.interval;
            return Fired::Resend;
        }
        Fired::Nothing
    }

    pub(super) fn due(&self) -> Mono {
        self.resend.min(self.end)
    }

    pub(super) fn has_final(&self) -> bool {
        self.state != State::Proceeding
    }

    /// True while the core has an answer to give, or waits for the ACK of its 2xx.
    pub(super) fn concerns_core(&self) -> bool {
        matches!(self.state, State::Proceeding | State::Unacknowledged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::tests::{at, fired};

    fn machine(reliable: bool) -> (InviteServer, Timers) {
        let timers = Timers::default();
        (InviteServer::new(reliable, &timers), timers)
    }

    fn run(server: &mut InviteServer, timers: &Timers) -> Vec<(u64, Fired)> {
        fired(server, InviteServer::due, |server, now| server.on_time(now, timers))
    }

    #[test]
    fn provisional_answers_are_replayed_and_no_timer_runs() {
        let (mut server, timers) = machine(false);

        assert!(server.on_respond(at(0), 100, false, &timers));
        assert!(server.on_respond(at(10), 180, false, &timers));

        assert!(server.on_request());
        assert!(!server.has_final());
        assert_eq!(server.on_ack(at(10), &timers), Ack::Absorb);
        assert_eq!(run(&mut server, &timers), []);
    }

    #[test]
    fn a_refusal_is_repeated_by_g_until_h_over_datagrams() {
        let (mut server, timers) = machine(false);

        assert!(server.on_respond(at(0), 486, false, &timers));

        assert!(server.on_request());
        let resent = [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
        let mut expected: Vec<_> = resent.map(|ms| (ms, Fired::Resend)).into();
        expected.push((32_000, Fired::TimedOut));
        assert_eq!(run(&mut server, &timers), expected);
    }

    #[test]
    fn a_refusal_is_sent_once_over_a_stream_and_h_still_waits_for_the_ack() {
        let (mut server, timers) = machine(true);

        assert!(server.on_respond(at(0), 486, false, &timers));

        assert_eq!(run(&mut server, &timers), [(32_000, Fired::TimedOut)]);
    }

    #[test]
    fn an_ack_confirms_a_refusal_and_i_absorbs_more_of_them() {
        for (reliable, end) in [(false, 5700), (true, 700)] {
            let (mut server, timers) = machine(reliable);
            server.on_respond(at(600), 486, false, &timers);

            assert_eq!(server.on_ack(at(700), &timers), Ack::Absorb);
            assert_eq!(server.on_ack(at(700), &timers), Ack::Absorb);

            assert!(!server.on_request(), "no answer is needed any more");
            assert_eq!(run(&mut server, &timers), [(end, Fired::Ended)]);
        }
    }

    #[test]
    fn only_the_first_refusal_counts() {
        let (mut server, timers) = machine(false);
        server.on_respond(at(0), 486, false, &timers);

        for code in [180, 200, 404, 603] {
            assert!(!server.on_respond(at(1), code, false, &timers), "{code} after 486");
        }
    }

    #[test]
    fn a_forwarded_2xx_is_left_to_the_callee_to_repeat_until_l() {
        for reliable in [false, true] {
            let (mut server, timers) = machine(reliable);

            assert!(server.on_respond(at(0), 200, false, &timers));

            assert!(!server.on_request(), "RFC 6026: absorbed");
            assert!(server.on_respond(at(500), 200, false, &timers), "repeated by the callee");
            assert!(!server.on_respond(at(600), 486, false, &timers), "too late");
            assert!(!server.on_respond(at(600), 180, false, &timers), "too late");
            assert_eq!(server.on_ack(at(700), &timers), Ack::ToCore);
            assert_eq!(run(&mut server, &timers), [(32_000, Fired::Ended)]);
        }
    }

    #[test]
    fn our_own_2xx_is_repeated_over_every_transport_until_its_ack_is_missed() {
        for reliable in [false, true] {
            let (mut server, timers) = machine(reliable);

            assert!(server.on_respond(at(0), 200, true, &timers));

            let run = run(&mut server, &timers);
            assert_eq!(run[..4], [500, 1500, 3500, 7500].map(|ms| (ms, Fired::Resend)));
            assert_eq!(run.last(), Some(&(32_000, Fired::TimedOut)));
        }
    }

    #[test]
    fn our_own_2xx_rests_once_acknowledged() {
        let (mut server, timers) = machine(false);
        server.on_respond(at(0), 200, true, &timers);
        assert_eq!(server.on_time(at(500), &timers), Fired::Resend);

        assert_eq!(server.on_ack(at(600), &timers), Ack::ToCore);
        assert!(server.concerns_core());
        server.on_acknowledged();

        assert!(!server.concerns_core());
        assert!(!server.on_respond(at(700), 486, false, &timers));
        assert_eq!(run(&mut server, &timers), [(32_000, Fired::Ended)]);
    }
}
