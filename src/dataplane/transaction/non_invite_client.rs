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
///                      ▼     └───────────────────────┐   │
///  E / resend ┌────────────┐                         │   │
///   ┌────────▶│ Proceeding │─────── F: timed out ────┼──▶│
///   └─────────│            │                         │   │
///  1xx        └────────────┘                         ▼   ▼
///  / deliver        │ 200–699                   ┌────────────┐
///                   └── / deliver ─────────────▶│ Terminated │
///                                               └────────────┘
/// ```
///
/// There is no `Completed` and no timer K: all they do is to absorb repeated responses (§17.1.2.2), and one that names
/// a transaction that has ended dies at its branch, which no later transaction ever bears. So a request takes
/// its place only as long as it waits, not for T4 more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Trying,
    Proceeding,
    Terminated,
}

/// One non-INVITE client transaction.
#[derive(Debug)]
pub(super) struct NonInviteClient {
    state: State,
    /// Timer E.
    resend: Mono,
    interval: Duration,
    /// Timer F.
    end: Mono,
    /// How long the core waits for any response at all.
    no_answer: Mono,
}

impl NonInviteClient {
    /// The request is being sent.
    pub(super) fn new(now: Mono, reliable: bool, no_answer: Option<Duration>, timers: &Timers) -> Self {
        Self {
            state: State::Trying,
            resend: if reliable { NEVER } else { now + timers.t1 },
            interval: timers.t1,
            end: now + lifetime(timers),
            no_answer: no_answer.map_or(NEVER, |patience| now + patience),
        }
    }

    /// A response came. After a final one [`Self::has_final`] says that the transaction has ended.
    pub(super) fn on_response(&mut self, code: u16) {
        if code < 200 {
            self.state = State::Proceeding;
            self.no_answer = NEVER;
        } else {
            self.terminate();
        }
    }

    pub(super) fn on_time(&mut self, now: Mono, timers: &Timers) -> Fired {
        if now >= self.end {
            self.terminate();
            return Fired::TimedOut;
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

    pub(super) fn has_provisional(&self) -> bool {
        self.state == State::Proceeding
    }

    pub(super) fn has_final(&self) -> bool {
        self.state == State::Terminated
    }

    fn terminate(&mut self) {
        self.state = State::Terminated;
        (self.resend, self.end, self.no_answer) = (NEVER, NEVER, NEVER);
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

        client.on_response(100);

        assert_eq!(run(&mut client, &timers)[..3], [500, 4500, 8500].map(|ms| (ms, Fired::Resend)));
    }

    #[test]
    fn a_final_response_is_the_end() {
        for reliable in [false, true] {
            let (mut client, timers) = machine(reliable, Some(8000));
            client.on_response(100);
            assert!(!client.has_final());

            client.on_response(200);

            assert!(client.has_final());
            assert_eq!(run(&mut client, &timers), []);
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

        client.on_response(100);

        assert_eq!(run(&mut client, &timers), [(32_000, Fired::TimedOut)]);
    }
}
