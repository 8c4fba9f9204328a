//! A dataplane that outlives its panics: the one place where inputs enter it.
//!
//! A panic is a bug, and the message that finds it comes again. So the dataplane it happened in is thrown away
//! and a new one takes its place, on the same sockets and connections and over the same tables: what was under
//! way on this worker is lost, seats and bindings are not.

use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use dataplane::counters::Counters;
use dataplane::flow::{ListenerId, WorkerId};
use dataplane::input::Input;
use dataplane::now::{Mono, Now};
use dataplane::output::Outbox;
use dataplane::return_path::RoutingKeys;
use dataplane::settings::Settings;
use dataplane::{Dataplane, Tables};
use tracing::error;

/// All that a dataplane is made from.
#[derive(Clone, Debug)]
pub(super) struct Makings {
    pub(super) worker: WorkerId,
    pub(super) workers: u8,
    pub(super) settings: Arc<Settings>,
    pub(super) keys: Arc<RoutingKeys>,
    pub(super) tables: Arc<Tables>,
}

impl Makings {
    fn make(&self, now: Now) -> Dataplane {
        let Self { worker, workers, settings, keys, tables } = self.clone();
        Dataplane::new(worker, workers, settings, keys, tables, super::random(), now)
    }
}

/// One worker's dataplane and what it has put out.
pub(super) struct Guarded {
    makings: Makings,
    dataplane: Dataplane,
    pub(super) outbox: Outbox,
    /// What the dataplanes before this one counted.
    earlier: Counters,
}

/// The dataplane panicked and was replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Panicked;

impl Guarded {
    pub(super) fn new(makings: Makings, earlier: Counters, now: Now) -> Self {
        Self { dataplane: makings.make(now), makings, outbox: Outbox::new(), earlier }
    }

    pub(super) fn handle(&mut self, now: Now, input: Input<'_>) -> Result<(), Panicked> {
        match &input {
            Input::Configured(settings) => self.makings.settings = Arc::clone(settings),
            Input::Keyed(keys) => self.makings.keys = Arc::clone(keys),
            _ => {}
        }
        self.guard(now, |dataplane, outbox| {
            #[cfg(feature = "planted-faults")]
            if let Input::Received { bytes, .. } = input {
                crate::planted::panic_over("dataplane-panics", bytes);
            }
            dataplane.handle(now, input, outbox);
        })
    }

    /// See [`Dataplane::admit_connection`].
    pub(super) fn admit_connection(
        &mut self,
        now: Now,
        listener: ListenerId,
        remote: SocketAddr,
    ) -> Option<u32> {
        self.dataplane.admit_connection(now, listener, remote, &mut self.outbox)
    }

    /// See [`Dataplane::resumed`].
    pub(super) fn resumed(&mut self, now: Now, address: IpAddr) {
        self.dataplane.resumed(now, address);
    }

    pub(super) fn handle_timeout(&mut self, now: Now) -> Result<(), Panicked> {
        self.guard(now, |dataplane, outbox| dataplane.handle_timeout(now, outbox))
    }

    pub(super) fn next_timeout(&self) -> Option<Mono> {
        self.dataplane.next_timeout()
    }

    /// See [`Dataplane::left_unread`].
    pub(super) fn left_unread(&self) -> u32 {
        self.dataplane.left_unread()
    }

    /// True if no transaction, call or question is under way.
    pub(super) fn is_quiet(&self) -> bool {
        self.dataplane.is_quiet()
    }

    /// All that this worker's dataplanes counted.
    pub(super) fn counters(&self) -> Counters {
        let mut counters = self.earlier;
        counters.add(self.dataplane.counters());
        counters
    }

    fn guard(&mut self, now: Now, act: impl FnOnce(&mut Dataplane, &mut Outbox)) -> Result<(), Panicked> {
        let Self { dataplane, outbox, .. } = self;
        // Unwind safety: the dataplane is not looked at again but for its counts, plain numbers. The outbox
        // gains a message or output in its last step, so what it holds is whole and may still be sent. Tables
        // restore their own invariants.
        if catch_unwind(AssertUnwindSafe(|| act(dataplane, outbox))).is_ok() {
            return Ok(());
        }
        self.earlier.add(self.dataplane.counters());
        self.dataplane = self.makings.make(now);
        error!(worker = self.makings.worker.0, "the dataplane panicked and was replaced");
        Err(Panicked)
    }
}

#[cfg(test)]
mod tests {
    use dataplane::flow::{Flow, ListenerId};
    use dataplane::settings::Timers;

    use super::*;

    fn guarded() -> Guarded {
        let makings = Makings {
            worker: WorkerId(0),
            workers: 1,
            settings: Arc::new(Settings::new(1, "edge", Vec::new(), Vec::new(), Timers::default(), false)),
            keys: Arc::new(RoutingKeys::new(&[(0, [7; 32])], [7; 32])),
            tables: Arc::new(Tables::new([7; 32])),
        };
        Guarded::new(makings, Counters::default(), now())
    }

    fn now() -> Now {
        Now { mono: Mono::from_seconds(1), wall: 1_800_000_000_000 }
    }

    #[test]
    fn a_panic_costs_neither_counts_nor_what_was_put_out() {
        let mut guarded = guarded();
        let flow = Flow::datagram(ListenerId(0), "192.0.2.1:5060".parse().unwrap());
        let bytes = b"no SIP message";
        assert_eq!(guarded.handle(now(), Input::Received { flow, certified: None, bytes }), Ok(()));
        guarded.outbox.message(flow, |octets| octets.extend_from_slice(b"answer"));
        let before = guarded.outbox.messages().len();

        let panicked = guarded.guard(now(), |_, outbox| outbox.message(flow, |_| panic!("planted")));

        assert_eq!(panicked, Err(Panicked));
        assert_eq!(guarded.outbox.messages().len(), before);
        assert_eq!(guarded.handle(now(), Input::Received { flow, certified: None, bytes }), Ok(()));
        assert_eq!(guarded.counters().received, 2);
    }

    #[test]
    fn a_new_dataplane_has_the_newest_settings() {
        let mut guarded = guarded();
        let newest = Arc::new(Settings::new(2, "edge", Vec::new(), Vec::new(), Timers::default(), false));
        assert_eq!(guarded.handle(now(), Input::Configured(newest)), Ok(()));

        let panicked = guarded.guard(now(), |_, _| panic!("planted"));

        assert_eq!(panicked, Err(Panicked));
        assert_eq!(guarded.makings.settings.generation, 2);
    }
}
