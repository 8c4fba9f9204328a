//! One dataplane with its outbox and clock, and a meter at its doors.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dataplane::flow::{Flow, WorkerId};
use dataplane::input::Input;
use dataplane::now::{Mono, Now};
use dataplane::output::{Outbox, Output};
use dataplane::query::{Answer, PinVerdict, Query, QueryId};
use dataplane::return_path::RoutingKeys;
use dataplane::settings::Settings;
use dataplane::{Dataplane, Tables};

/// Wall clock at the start: 2026-01-01, in milliseconds.
const START: u64 = 1_767_225_600_000;

/// A dataplane that keeps nothing durable and believes every PIN.
#[derive(Debug)]
pub struct Edge {
    dataplane: Dataplane,
    outbox: Outbox,
    now: Now,
    /// Off: phones make ready, and what the edge does for it is not counted.
    pub metered: bool,
    spent: Duration,
}

impl Edge {
    /// One worker with empty tables.
    pub fn new(settings: Settings) -> Self {
        let keys = Arc::new(RoutingKeys::new(&[(1, [1; 32])], [1; 32]));
        let tables = Arc::new(Tables::new([2; 32]));
        let now = Now { mono: Mono::from_seconds(1), wall: START };
        let dataplane = Dataplane::new(WorkerId(0), 1, Arc::new(settings), keys, tables, [3; 32], now);
        Self { dataplane, outbox: Outbox::new(), now, metered: false, spent: Duration::ZERO }
    }

    /// A datagram enters. What follows from it, PINs checked, is in [`Self::sent`] until the next one.
    pub fn receive(&mut self, flow: Flow, bytes: &[u8]) {
        self.outbox.clear();
        self.enter(Input::Received { flow, certified: None, bytes });
        while let Some(query) = self.asked() {
            self.enter(Input::Answered {
                query,
                answer: Answer::Pin(PinVerdict::Accepted { operator: None }),
            });
        }
    }

    /// Whatever came in the last seconds had to wait for longer than anybody has patience.
    pub fn overload(&mut self) {
        const TICK: Duration = Duration::from_millis(25);
        for _ in 0..400 {
            self.pass(TICK);
            self.enter(Input::Waited { least: Duration::from_secs(1), taken: 1, lost: 1, filters: false });
        }
    }

    /// Time passes, timers fire.
    pub fn pass(&mut self, time: Duration) {
        let mono = self.now.mono + time;
        self.now = Now { mono, wall: START + mono.0 / 1_000_000 };
        self.outbox.clear();
        while self.dataplane.next_timeout().is_some_and(|due| due <= mono) {
            if self.metered {
                self.timed(Self::tick);
            } else {
                self.dataplane.handle_timeout(self.now, &mut self.outbox);
            }
        }
    }

    /// The messages that left, with the flow of each.
    pub fn sent(&self) -> impl ExactSizeIterator<Item = (Flow, &[u8])> {
        self.outbox.messages()
    }

    /// Time spent within the dataplane while metered, since this was asked last.
    pub fn take_spent(&mut self) -> Duration {
        std::mem::take(&mut self.spent)
    }

    fn enter(&mut self, input: Input<'_>) {
        if self.metered {
            self.timed(|edge| edge.take(input));
        } else {
            self.dataplane.handle(self.now, input, &mut self.outbox);
        }
    }

    #[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
    fn timed(&mut self, work: impl FnOnce(&mut Self)) {
        let begun = Instant::now();
        work(self);
        self.spent += begun.elapsed();
    }

    /// The work of a message; callgrind knows it by this name.
    #[inline(never)]
    fn take(&mut self, input: Input<'_>) {
        self.dataplane.handle(self.now, input, &mut self.outbox);
    }

    /// The work of timers; callgrind knows it by this name.
    #[inline(never)]
    fn tick(&mut self) {
        self.dataplane.handle_timeout(self.now, &mut self.outbox);
    }

    fn asked(&mut self) -> Option<QueryId> {
        self.outbox.take_outputs().into_iter().find_map(|output| match output {
            Output::Ask(query, Query::VerifyPin(_)) => Some(query),
            _ => None,
        })
    }
}
