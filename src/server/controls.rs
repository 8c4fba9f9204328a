//! What the control plane and telemetry get of a running edge: a way to command, and what they may look at.
//! Nothing here makes a worker wait.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dataplane::Tables;
use dataplane::counters::Counters;
use dataplane::input::{Command, Order};
use dataplane::output::Done;
use dataplane::refusal::Refusal;
use dataplane::settings::Settings;
use tokio::sync::{Semaphore, oneshot, watch};

use super::clock::Clock;
use super::handoff::{Certain, Ring};
use crate::audit::Followers;
use crate::backend::pin::desk::PinDesk;
use crate::backend::store::{StoreHandle, Trail};
use crate::config::Server;
use crate::durations::Durations;
use crate::media::Media;
use crate::telemetry::metrics::Reloads;
use crate::transport;

/// Commands under way at a time. Each waits for a commit of the store, some milliseconds, so this is tens of
/// thousands a second; a bulk tool that asks for more is told to try again.
const COMMANDS_MAX: usize = 256;

/// The doors of a running edge; cheap to clone.
#[derive(Clone, Debug)]
pub struct Controls {
    /// Has workers do something.
    pub commands: Commander,
    /// Seats and bindings, to be read.
    pub tables: Arc<Tables>,
    /// The settings in force.
    pub settings: watch::Receiver<Arc<Settings>>,
    /// What concerns the process: who may use the control API. A reload brings a new one.
    pub server: watch::Receiver<Arc<Server>>,
    /// What has come of reloads.
    pub reloads: watch::Receiver<Reloads>,
    /// What the workers count.
    pub counts: Arc<Counts>,
    /// Whose PIN was chosen at a phone: `pins.changed()`.
    pub pins: Arc<PinDesk>,
    /// How the store fares: `store.health()`.
    pub store: StoreHandle,
    /// Sound: `media.figures()`.
    pub media: Arc<Media>,
    /// What happened.
    pub trail: Arc<Trail>,
    /// Who is told of it.
    pub followers: Followers,
    /// The clock that all stored instants are of.
    pub clock: Clock,
    /// What the edge is doing; `/ready` is 200 while it serves.
    pub phase: watch::Receiver<Phase>,
}

/// What an edge is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It takes whatever comes.
    Serving,
    /// It finishes what is under way and takes no new connections.
    Draining,
}

/// Has workers do something and brings back what came of it.
#[derive(Clone, Debug)]
pub struct Commander {
    rings: Arc<[Arc<Ring>]>,
    next: Arc<AtomicUsize>,
    places: Arc<Semaphore>,
}

impl Commander {
    pub(super) fn new(rings: Arc<[Arc<Ring>]>) -> Self {
        Self { rings, next: Arc::default(), places: Arc::new(Semaphore::new(COMMANDS_MAX)) }
    }

    /// Does `command` for the operator called `by` and waits for its outcome, which comes when the store has it. The workers take turns;
    /// which one does it makes no difference.
    ///
    /// # Errors
    /// Why nothing changed. [`Refusal::Busy`] also where too many commands are under way, or the worker that
    /// had this one was replaced: then the outcome is unknown, and asking again is safe.
    pub async fn command(&self, by: Box<str>, command: Command) -> Result<Done, Refusal> {
        let _place = self.places.try_acquire().map_err(|_| Refusal::Busy)?;
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.rings.len().max(1);
        let ring = self.rings.get(turn).ok_or(Refusal::Busy)?;
        let (reply, outcome) = oneshot::channel();
        ring.deliver(Certain::Commanded(Order { by, command }, reply));
        outcome.await.unwrap_or(Err(Refusal::Busy))
    }
}

/// What all workers count, as of their last batch.
#[derive(Debug)]
pub struct Counts {
    workers: Box<[Mutex<Published>]>,
    rings: Arc<[Arc<Ring>]>,
    panics: AtomicU64,
}

/// What one worker said last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Published {
    pub(super) dataplane: Counters,
    pub(super) transport: transport::Counters,
    pub(super) connections: u64,
    pub(super) turns: Durations,
}

/// The sum over all workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// What the dataplanes count.
    pub dataplane: Counters,
    /// What the transports count.
    pub transport: transport::Counters,
    /// Connections that are open now.
    pub connections: u64,
    /// How long batches took.
    pub turns: Durations,
    /// Messages and notices dropped because the ring of a worker was full.
    pub handoffs_dropped: u64,
    /// Panics caught; after each a worker went on with a new dataplane, or started anew, on the same sockets.
    pub panics: u64,
}

impl Counts {
    pub(super) fn new(rings: Arc<[Arc<Ring>]>) -> Self {
        Self { workers: rings.iter().map(|_| Mutex::default()).collect(), rings, panics: AtomicU64::new(0) }
    }

    /// Adds up what the workers said last.
    pub fn snapshot(&self) -> Snapshot {
        let mut sum = Snapshot { panics: self.panics.load(Ordering::Relaxed), ..Snapshot::default() };
        for worker in &self.workers {
            let published = *worker.lock().unwrap_or_else(PoisonError::into_inner);
            sum.dataplane.add(&published.dataplane);
            sum.transport.add(&published.transport);
            sum.connections += published.connections;
            sum.turns.add(&published.turns);
        }
        sum.handoffs_dropped = self.rings.iter().map(|ring| ring.dropped()).sum();
        sum
    }

    pub(super) fn publish(&self, worker: usize, published: Published) {
        if let Some(slot) = self.workers.get(worker) {
            // A copy of plain numbers cannot be left half done, so poison says nothing here.
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = published;
        }
    }

    /// What `worker` said last, for one that starts anew and counts on.
    pub(super) fn last(&self, worker: usize) -> Published {
        self.workers
            .get(worker)
            .map(|slot| *slot.lock().unwrap_or_else(PoisonError::into_inner))
            .unwrap_or_default()
    }

    pub(super) fn panicked(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::super::handoff::Item;
    use super::*;

    fn rings(count: usize) -> Arc<[Arc<Ring>]> {
        (0..count).map(|_| Arc::new(Ring::new())).collect()
    }

    fn log_out() -> Command {
        Command::LogOut { tenant: "demo".into(), device: "desk-1".into(), now: true }
    }

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn a_command_comes_back_with_its_outcome() {
        let rings = rings(1);
        let commander = Commander::new(rings.clone());

        let outcome = block_on(async {
            let worker = async {
                rings[0].filled().await;
                let Some(Item::Certain(Certain::Commanded(order, reply))) = rings[0].take() else {
                    panic!("a command was sent");
                };
                assert_eq!((&*order.by, order.command), ("console", log_out()));
                reply.send(Err(Refusal::NobodySits)).unwrap();
            };
            tokio::join!(commander.command("console".into(), log_out()), worker).0
        });

        assert_eq!(outcome, Err(Refusal::NobodySits));
    }

    #[test]
    fn a_command_that_is_dropped_unanswered_was_not_done() {
        let rings = rings(1);
        let commander = Commander::new(rings.clone());

        let outcome = block_on(async {
            tokio::join!(commander.command("console".into(), log_out()), async { drop(rings[0].take()) }).0
        });

        assert_eq!(outcome, Err(Refusal::Busy));
    }

    #[test]
    fn workers_take_turns_and_too_many_commands_are_refused() {
        let rings = rings(2);
        let commander = Commander::new(rings.clone());

        block_on(async {
            let mut under_way: Vec<_> =
                (0..COMMANDS_MAX).map(|_| Box::pin(commander.command("console".into(), log_out()))).collect();
            for command in &mut under_way {
                assert!(futures_now(command).is_none());
            }

            assert_eq!(commander.command("console".into(), log_out()).await, Err(Refusal::Busy));
        });

        let taken = |ring: &Ring| std::iter::from_fn(|| ring.take()).count();
        assert_eq!([taken(&rings[0]), taken(&rings[1])], [COMMANDS_MAX / 2; 2]);
    }

    /// Polls once.
    fn futures_now<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::Pin::new(future).poll(&mut context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }

    #[test]
    fn a_snapshot_adds_up_the_workers() {
        let counts = Counts::new(rings(2));
        for worker in 0..2 {
            let dataplane = Counters { received: 3, ..Counters::default() };
            counts.publish(worker, Published { dataplane, connections: 2, ..Published::default() });
        }
        counts.panicked();

        let sum = counts.snapshot();

        assert_eq!((sum.dataplane.received, sum.connections, sum.panics), (6, 4, 1));
    }
}
