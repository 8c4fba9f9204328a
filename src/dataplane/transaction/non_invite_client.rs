//! The non-INVITE client transaction (RFC 3261 §17.1.2). A CANCEL is one, too.

use std::time::Duration;

use super::timer::{Fired, NEVER, lifetime};
use crate::now::Mono;
use crate::settings::Timers;

/// ```text
///                  request / send, start E, F
///                       │
///                       ▼
///  E / resend ┌──────────────────┐
///   ┌────────▶│      Trying      │─────── F: timed out ──┐
///   └─────────└──────────────────┘                       │
///        1xx / deliver │     │ 200–699 / deliver          │
///                      ▼     │                           │
///  E / resend ┌────────────┐ │                           │
///   ┌────────▶│ Proceeding │ │                           │
///   └─────────│            │─┼─────── F: timed out ─────▶│
///  1xx        └────────────┘ │                           │
///  / deliver        │ 200–699│/ deliver                  │
///                   ▼        ▼                           ▼
///             ┌──────────────────┐     K          ┌────────────┐
///             │    Completed     │───────────────▶│ Terminated │
///             └──────────────────┘                └────────────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Trying,
    Proceeding,
    Completed,
    Terminated,
}

/// One non-INVITE client transaction.
#[derive(Debug)]
pub(super) struct NonInviteClient {
    state: State,
    reliable: bool,
    /// Timer E.
    resend: Mono,
    interval: Duration,
    /// Timers F, K.
    end: Mono,
    /// How long the core waits for any response at all.
    no_answer: Mono,
}

impl NonInviteClient {
    /// The request is being sent.
    pub(super) fn new(now: Mono, reliable: bool, no_answer: Option<Duration>, timers: &Timers) -> Self {
        Self {
            state: State::Trying,
            reliable,
            resend: if reliable { NEVER } else { now + timers.t1 },
            interval: timers.t1,
            end: now + lifetime(timers),
            no_answer: no_answer.map_or(NEVER, |patience| now + patience),
        }
    }

    /// A response came. True: the core wants to see it.
    pub(super) fn on_response(&mut self, now: Mono, code: u16, timers: &Timers) -> bool {
        match self.state {
            State::Completed | State::Terminated => return false,
            State::Trying | State::Proceeding if code < 200 => {
                self.state = State::Proceeding;
            }
            State::Trying | State::Proceeding => {
                self.state = State::Completed;
                self.resend = NEVER;
                // Timer K only absorbs repeated responses (§17.1.2.2).
                self.end = if self.reliable { now } else { now + timers.t4 };
            }
        }
        self.no_answer = NEVER;
        true
    }

    pub(super) fn on_time(&mut self, now: Mono, timers: &Timers) -> Fired {
        if now >= self.end {
            let timed_out = self.state != State::Completed;
            self.state = State::Terminated;
            (self.resend, self.end, self.no_answer) = (NEVER, NEVER, NEVER);
            return if timed_out { Fired::TimedOut } else { Fired::Ended };
        }
        if now >= self.no_answer {
            self.no_answer = NEVER;
            return Fired::NoAnswer;
        }
        if now >= self.resend {
            self.interval = match self.state {
                State::Proceeding => timers.t2,
                _ => (self.interval * 2).min(timers.t2),
            };
            self.resend = now + self.interval;
            return Fired::Resend;
        }
        Fired::Nothing
    }

    pub(super) fn due(&self) -> Mono {
        self.resend.min(self.end).min(self.no_answer)
    }

    pub(super) fn has_final(&self) -> bool {
        matches!(self.state, State::Completed | State::Terminated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::tests::{at, fired};

    fn machine(reliable: bool, no_answer: Option<u64>) -> (NonInviteClient, Timers) {
        let timers = Timers::default();
        (NonInviteClient::new(at(0), reliable, no_answer.map(Duration::from_millis), &timers), timers)
    }

    fn run(client: &mut NonInviteClient, timers: &Timers) -> Vec<(u64, Fired)> {
        fired(client, NonInviteClient::due, |client, now| client.on_time(now, timers))
    }

    #[test]
    fn a_request_is_repeated_by_e_until_f_over_datagrams() {
        let (mut client, timers) = machine(false, None);

        let resent = [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
        let mut expected: Vec<_> = resent.map(|ms| (ms, Fired::Resend)).into();
        expected.push((32_000, Fired::TimedOut));
        assert_eq!(run(&mut client, &timers), expected);
    }

    #[test]
    fn a_request_is_sent_once_over_a_stream() {
        let (mut client, timers) = machine(true, None);

        assert_eq!(run(&mut client, &timers), [(32_000, Fired::TimedOut)]);
    }

    #[test]
    fn after_a_provisional_response_e_is_t2() {
        let (mut client, timers) = machine(false, None);

        assert!(client.on_response(at(100), 100, &timers));

        assert_eq!(run(&mut client, &timers)[..3], [500, 4500, 8500].map(|ms| (ms, Fired::Resend)));
    }

    #[test]
    fn a_final_response_is_delivered_once_and_k_absorbs_the_rest() {
        for (reliable, end) in [(false, 5100), (true, 100)] {
            let (mut client, timers) = machine(reliable, Some(8000));

            assert!(client.on_response(at(100), 200, &timers));

            assert!(!client.on_response(at(100), 200, &timers));
            assert!(!client.on_response(at(100), 100, &timers));
            assert!(client.has_final());
            assert_eq!(run(&mut client, &timers), [(end, Fired::Ended)]);
        }
    }

    #[test]
    fn silence_is_told_once_and_the_request_goes_on() {
        let (mut client, timers) = machine(true, Some(8000));

        assert_eq!(run(&mut client, &timers), [(8000, Fired::NoAnswer), (32_000, Fired::TimedOut)]);
    }

    #[test]
    fn any_response_ends_the_silence() {
        let (mut client, timers) = machine(true, Some(8000));

        client.on_response(at(1), 100, &timers);

        assert_eq!(run(&mut client, &timers), [(32_000, Fired::TimedOut)]);
    }
}
