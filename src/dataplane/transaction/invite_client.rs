//! The INVITE client transaction (RFC 3261 §17.1.1 with RFC 6026 §7.2, timer C of §16.6 to §16.8, CANCEL of §9.1).

use std::time::Duration;

use super::timer::{Fired, NEVER, lifetime};
use crate::now::Mono;
use crate::settings::Timers;

/// ```text
///                 INVITE / send, start A, B, C
///                       │
///                       ▼
///  A / resend ┌──────────────────┐
///   ┌────────▶│     Calling      │──── B: timed out ────┐
///   └─────────└──────────────────┘                      │
///               │     │        │ 2xx / deliver          │
///      1xx      │     │        └──────────────┐         │
///   / deliver   ▼     │ 300–699               │         │
///       ┌────────────┐│ / ACK, deliver        │         │
///  ┌───▶│ Proceeding ││                       │         │
///  └────│            │┼─ cancelled, 64·T1: ───┼────────▶│
///  1xx  └────────────┘│  timed out            │         │
///    300–699 │   │ 2xx│/ deliver              │         │
///     / ACK, │   └────┼───────────────────┐   │         │
///    deliver ▼        ▼                   ▼   ▼         ▼
///           ┌───────────┐   D         ┌──────────┐ M ┌────────────┐
///           │ Completed │──────┐      │ Accepted │──▶│ Terminated │
///           └───────────┘      │      └──────────┘   └────────────┘
///            ▲  │ 300–699      │       ▲  │ 2xx            ▲
///            └──┘ / ACK        │       └──┘ / deliver      │
///                              └───────────────────────────┘
/// ```
///
/// Timer C tells the core, which then cancels (§16.8); until it does, it is told again every C. A CANCEL wished
/// for in `Calling` is held until a provisional response shows that there is something to cancel (§9.1); the
/// INVITE goes on being repeated, because the phone may ring all the same and only the lost 1xx be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Calling,
    Proceeding,
    Completed,
    Accepted,
    Terminated,
}

/// Whether the INVITE is to be cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cancel {
    No,
    /// As soon as a provisional response comes.
    Held,
    Sent,
}

/// What becomes of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nobody needs it.
    Absorb,
    /// It is the core's.
    Deliver,
    /// It is the core's; before, a held CANCEL goes out.
    CancelAndDeliver,
    /// It is the core's; before, the layer acknowledges it.
    AcknowledgeAndDeliver,
    /// The core has it already, but the ACK was lost.
    Acknowledge,
}

/// One INVITE client transaction.
#[derive(Debug)]
pub(super) struct InviteClient {
    state: State,
    cancel: Cancel,
    reliable: bool,
    /// Timer A.
    resend: Mono,
    interval: Duration,
    /// Timers B, D, M, and the end of a cancelled one.
    end: Mono,
    /// How long the core waits for any response at all.
    no_answer: Mono,
    /// Timer C.
    timer_c: Mono,
}

impl InviteClient {
    /// The INVITE is being sent.
    pub(super) fn new(now: Mono, reliable: bool, no_answer: Option<Duration>, timers: &Timers) -> Self {
        Self {
            state: State::Calling,
            cancel: Cancel::No,
            reliable,
            resend: if reliable { NEVER } else { now + timers.t1 },
            interval: timers.t1,
            end: now + lifetime(timers),
            no_answer: no_answer.map_or(NEVER, |patience| now + patience),
            timer_c: now + timers.timer_c,
        }
    }

    pub(super) fn on_response(&mut self, now: Mono, code: u16, timers: &Timers) -> Verdict {
        match (self.state, code) {
            (State::Calling | State::Proceeding, 100..200) => {
                if self.state == State::Calling {
                    self.state = State::Proceeding;
                    (self.resend, self.end, self.no_answer) = (NEVER, NEVER, NEVER);
                }
                // §16.7 item 2: a 100 says nothing about ringing. Nor does ringing help once it is cancelled.
                if code > 100 && self.cancel == Cancel::No {
                    self.timer_c = now + timers.timer_c;
                }
                if self.cancel == Cancel::Held {
                    self.send_cancel(now, timers);
                    return Verdict::CancelAndDeliver;
                }
                Verdict::Deliver
            }
            (State::Calling | State::Proceeding, 200..300) => {
                self.finish(State::Accepted, now + lifetime(timers));
                Verdict::Deliver
            }
            (State::Calling | State::Proceeding, _) => {
                // Timer D outlives timer H of the other side; a reliable transport repeats nothing (§17.1.1.2).
                self.finish(State::Completed, if self.reliable { now } else { now + lifetime(timers) });
                Verdict::AcknowledgeAndDeliver
            }
            (State::Completed, 300..) => Verdict::Acknowledge,
            // RFC 6026 §7.2: repeated 2xx, and those of forks beyond the next hop.
            (State::Accepted, 200..300) => Verdict::Deliver,
            (State::Completed | State::Accepted | State::Terminated, _) => Verdict::Absorb,
        }
    }

    /// The core gives the INVITE up. True: the CANCEL goes out now.
    pub(super) fn on_cancel(&mut self, now: Mono, timers: &Timers) -> bool {
        match (self.state, self.cancel) {
            (State::Calling, Cancel::No) => {
                self.cancel = Cancel::Held;
                false
            }
            (State::Proceeding, Cancel::No) => {
                self.send_cancel(now, timers);
                true
            }
            _ => false,
        }
    }

    pub(super) fn on_time(&mut self, now: Mono, timers: &Timers) -> Fired {
        if now >= self.end {
            let timed_out = !self.has_final();
            self.finish(State::Terminated, NEVER);
            return if timed_out { Fired::TimedOut } else { Fired::Ended };
        }
        if now >= self.no_answer {
            self.no_answer = NEVER;
            return Fired::NoAnswer;
        }
        if now >= self.timer_c {
            self.timer_c = now + timers.timer_c;
            return Fired::TimerC;
        }
        if now >= self.resend {
            self.interval *= 2;
            self.resend = now + self.interval;
            return Fired::Resend;
        }
        Fired::Nothing
    }

    pub(super) fn due(&self) -> Mono {
        self.resend.min(self.end).min(self.no_answer).min(self.timer_c)
    }

    pub(super) fn has_provisional(&self) -> bool {
        self.state == State::Proceeding
    }

    pub(super) fn has_final(&self) -> bool {
        !matches!(self.state, State::Calling | State::Proceeding)
    }

    /// §9.1: without a final response within 64·T1 of the CANCEL the INVITE counts as cancelled.
    fn send_cancel(&mut self, now: Mono, timers: &Timers) {
        self.cancel = Cancel::Sent;
        self.timer_c = NEVER;
        self.end = now + lifetime(timers);
    }

    fn finish(&mut self, state: State, end: Mono) {
        (self.state, self.end) = (state, end);
        (self.resend, self.no_answer, self.timer_c) = (NEVER, NEVER, NEVER);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::tests::{at, fired};

    fn machine(reliable: bool, no_answer: Option<u64>) -> (InviteClient, Timers) {
        let timers = Timers::default();
        (InviteClient::new(at(0), reliable, no_answer.map(Duration::from_millis), &timers), timers)
    }

    fn run(client: &mut InviteClient, timers: &Timers) -> Vec<(u64, Fired)> {
        fired(client, InviteClient::due, |client, now| client.on_time(now, timers))
    }

    #[test]
    fn an_invite_is_repeated_by_a_until_b_over_datagrams() {
        let (mut client, timers) = machine(false, None);

        let mut expected: Vec<_> =
            [500, 1500, 3500, 7500, 15_500, 31_500].map(|ms| (ms, Fired::Resend)).into();
        expected.push((32_000, Fired::TimedOut));
        assert_eq!(run(&mut client, &timers), expected);
    }

    #[test]
    fn an_invite_is_sent_once_over_a_stream() {
        let (mut client, timers) = machine(true, None);

        assert_eq!(run(&mut client, &timers), [(32_000, Fired::TimedOut)]);
    }

    #[test]
    fn silence_is_told_once_and_the_invite_goes_on() {
        let (mut client, timers) = machine(true, Some(8000));

        assert_eq!(run(&mut client, &timers), [(8000, Fired::NoAnswer), (32_000, Fired::TimedOut)]);
    }

    #[test]
    fn a_provisional_response_stops_a_b_and_the_wait_for_an_answer() {
        let (mut client, timers) = machine(false, Some(8000));

        assert_eq!(client.on_response(at(100), 100, &timers), Verdict::Deliver);

        assert_eq!(client.due(), at(200_000), "only timer C is left");
    }

    #[test]
    fn ringing_restarts_timer_c_and_a_100_does_not() {
        let (mut client, timers) = machine(false, None);

        client.on_response(at(1000), 180, &timers);
        assert_eq!(client.due(), at(201_000));
        client.on_response(at(50_000), 100, &timers);
        assert_eq!(client.due(), at(201_000));
        client.on_response(at(60_000), 183, &timers);
        assert_eq!(client.due(), at(260_000));

        assert_eq!(client.on_time(at(260_000), &timers), Fired::TimerC);
        assert_eq!(client.due(), at(460_000), "told again unless cancelled");
    }

    #[test]
    fn a_refusal_is_acknowledged_as_often_as_it_comes_until_d() {
        for (reliable, end) in [(false, 32_100), (true, 100)] {
            let (mut client, timers) = machine(reliable, None);

            assert_eq!(client.on_response(at(100), 486, &timers), Verdict::AcknowledgeAndDeliver);

            assert_eq!(client.on_response(at(100), 486, &timers), Verdict::Acknowledge);
            assert_eq!(client.on_response(at(100), 180, &timers), Verdict::Absorb);
            assert_eq!(client.on_response(at(100), 200, &timers), Verdict::Absorb);
            assert_eq!(run(&mut client, &timers), [(end, Fired::Ended)]);
        }
    }

    #[test]
    fn every_2xx_is_delivered_until_m() {
        for reliable in [false, true] {
            let (mut client, timers) = machine(reliable, None);
            client.on_response(at(50), 180, &timers);

            assert_eq!(client.on_response(at(100), 200, &timers), Verdict::Deliver);

            assert_eq!(client.on_response(at(600), 200, &timers), Verdict::Deliver);
            assert_eq!(client.on_response(at(600), 180, &timers), Verdict::Absorb);
            assert_eq!(client.on_response(at(600), 486, &timers), Verdict::Absorb);
            assert_eq!(run(&mut client, &timers), [(32_100, Fired::Ended)]);
        }
    }

    #[test]
    fn a_cancel_goes_out_at_once_where_the_phone_has_answered() {
        let (mut client, timers) = machine(false, None);
        client.on_response(at(100), 180, &timers);

        assert!(client.on_cancel(at(1000), &timers));
        assert!(!client.on_cancel(at(1001), &timers), "once");

        assert_eq!(client.on_response(at(1100), 180, &timers), Verdict::Deliver);
        assert_eq!(client.on_response(at(1200), 487, &timers), Verdict::AcknowledgeAndDeliver);
    }

    #[test]
    fn a_cancel_is_held_until_a_provisional_response_comes() {
        let (mut client, timers) = machine(false, None);

        assert!(!client.on_cancel(at(100), &timers));
        assert_eq!(client.on_time(at(500), &timers), Fired::Resend, "the INVITE is still repeated");

        assert_eq!(client.on_response(at(600), 100, &timers), Verdict::CancelAndDeliver);
        assert_eq!(client.on_response(at(700), 180, &timers), Verdict::Deliver);
        assert_eq!(run(&mut client, &timers), [(32_600, Fired::TimedOut)]);
    }

    #[test]
    fn a_held_cancel_is_forgotten_with_the_final_response() {
        let (mut client, timers) = machine(false, None);
        client.on_cancel(at(100), &timers);

        assert_eq!(client.on_response(at(200), 200, &timers), Verdict::Deliver);

        assert!(!client.on_cancel(at(300), &timers));
        assert_eq!(run(&mut client, &timers), [(32_200, Fired::Ended)]);
    }

    #[test]
    fn a_cancelled_invite_without_a_final_response_is_given_up() {
        let (mut client, timers) = machine(true, None);
        client.on_response(at(100), 180, &timers);

        client.on_cancel(at(1000), &timers);

        assert_eq!(run(&mut client, &timers), [(33_000, Fired::TimedOut)]);
    }
}
