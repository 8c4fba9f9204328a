//! What one thread hands to another: a ring for each worker.
//!
//! Two lanes. The lossy one carries what a network might have lost as well: octets for a flow of another worker,
//! responses that came to the wrong one, notices. It is bounded, and what finds it full is dropped and counted.
//! The certain one carries what must arrive: answers, commands, settings, what is heard. Each of these was admitted
//! elsewhere (a bounded queue of questions, a bounded number of commands, of sessions and of keys a second), so the lane
//! needs no bound of its own.
//!
//! A worker is woken once a drain, and only if it sleeps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

use crossbeam_queue::{ArrayQueue, SegQueue};
use dataplane::flow::{ConnectionId, Flow};
use dataplane::input::{Notice, Order};
use dataplane::media::Heard;
use dataplane::output::Done;
use dataplane::query::{Answer, QueryId};
use dataplane::refusal::Refusal;
use dataplane::return_path::RoutingKeys;
use dataplane::settings::Settings;
use tokio::sync::{Notify, oneshot};

/// Octets and notices under way to one worker: what the others can produce while it works off one batch of 64
/// datagrams that each fork to the limit. More means that it cannot keep up, and waiting would only add delay.
const LOSSY_MAX: usize = 4_096;

/// What may be lost.
#[derive(Debug)]
pub enum Handed {
    /// To be written to a connection of the receiving worker.
    Send {
        /// The connection.
        flow: Flow,
        /// One message.
        octets: Box<[u8]>,
    },
    /// A message for a transaction of the receiving worker.
    HandOver {
        /// Whence the handing worker had it.
        flow: Flow,
        /// One message.
        octets: Box<[u8]>,
    },
    /// A connection of the receiving worker that leads to nobody any more.
    Close(ConnectionId),
    /// A connection of the handing worker on which the receiving one may have sent is gone.
    Lost(Flow),
    /// Nothing more comes over such a connection.
    Finished(Flow),
    /// What another worker's dataplane wants all to know.
    Tell(Notice),
}

/// What must arrive.
#[derive(Debug)]
pub enum Certain {
    /// The answer to a question of the receiving worker.
    Answered(QueryId, Answer),
    /// What the sound of a call has to say.
    Heard(u64, Heard),
    /// Something the control plane wants done, and where the reply goes.
    Commanded(Order, oneshot::Sender<Result<Done, Refusal>>),
    /// New settings.
    Configured(Arc<Settings>),
    /// New keys.
    Keyed(Arc<RoutingKeys>),
}

/// One thing off a ring.
#[derive(Debug)]
pub enum Item {
    /// From the certain lane.
    Certain(Certain),
    /// From the lossy lane.
    Handed(Handed),
}

/// The way to one worker. Any thread may push, the worker alone takes.
#[derive(Debug)]
pub struct Ring {
    lossy: ArrayQueue<Handed>,
    certain: SegQueue<Certain>,
    asleep: AtomicBool,
    wake: Notify,
    dropped: AtomicU64,
}

impl Ring {
    /// An empty ring.
    pub fn new() -> Self {
        Self {
            lossy: ArrayQueue::new(LOSSY_MAX),
            certain: SegQueue::new(),
            asleep: AtomicBool::new(false),
            wake: Notify::new(),
            dropped: AtomicU64::new(0),
        }
    }

    /// Hands over what may be lost. False: the ring was full, and it was.
    pub fn offer(&self, handed: Handed) -> bool {
        let taken = self.lossy.push(handed).is_ok();
        if taken {
            self.wake_if_asleep();
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }

    /// Hands over what must arrive.
    pub fn deliver(&self, certain: Certain) {
        self.certain.push(certain);
        self.wake_if_asleep();
    }

    /// How much was dropped since start because the ring was full.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Takes one thing, certain ones first.
    pub fn take(&self) -> Option<Item> {
        self.certain.pop().map(Item::Certain).or_else(|| self.lossy.pop().map(Item::Handed))
    }

    /// Takes one thing of the certain lane.
    pub fn take_certain(&self) -> Option<Certain> {
        self.certain.pop()
    }

    /// True if there is nothing to take.
    pub fn is_empty(&self) -> bool {
        self.certain.is_empty() && self.lossy.is_empty()
    }

    /// Waits until there is something to take.
    pub async fn filled(&self) {
        loop {
            self.asleep.store(true, Ordering::Relaxed);
            // Pairs with the fence in `wake_if_asleep`: either this thread sees what was pushed before that fence,
            // or the pusher sees that this one sleeps.
            fence(Ordering::SeqCst);
            if !self.is_empty() {
                self.asleep.store(false, Ordering::Relaxed);
                return;
            }
            self.wake.notified().await;
        }
    }

    fn wake_if_asleep(&self) {
        fence(Ordering::SeqCst);
        // The first look spares a busy ring the contended exchange.
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Relaxed) {
            self.wake.notify_one();
        }
    }
}

impl Default for Ring {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dataplane::flow::ListenerId;

    use super::*;

    fn message(n: u32) -> Handed {
        let flow = Flow::datagram(ListenerId(0), "192.0.2.1:5060".parse().unwrap());
        Handed::Send { flow, octets: n.to_be_bytes().into() }
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
    }

    #[test]
    fn a_full_ring_drops_and_counts() {
        let ring = Ring::new();

        let taken = (0..LOSSY_MAX as u32 + 3).filter(|n| ring.offer(message(*n))).count();

        assert_eq!(taken, LOSSY_MAX);
        assert_eq!(ring.dropped(), 3);
    }

    #[test]
    fn what_is_certain_passes_a_full_lane() {
        let ring = Ring::new();
        while ring.offer(message(0)) {}

        ring.deliver(Certain::Heard(1, Heard::Played));

        assert!(matches!(ring.take(), Some(Item::Certain(Certain::Heard(1, _)))));
    }

    #[test]
    fn nothing_pushed_from_another_thread_is_slept_through() {
        let ring = Arc::new(Ring::new());
        let pusher = {
            let ring = ring.clone();
            std::thread::spawn(move || {
                for n in 0..20_000 {
                    while !ring.offer(message(n)) {
                        std::thread::yield_now();
                    }
                }
            })
        };

        let taken = runtime().block_on(async {
            let mut taken = 0_u32;
            while taken < 20_000 {
                tokio::time::timeout(Duration::from_secs(20), ring.filled())
                    .await
                    .expect("a wake is never lost");
                while let Some(Item::Handed(Handed::Send { octets, .. })) = ring.take() {
                    assert_eq!(*octets, taken.to_be_bytes());
                    taken += 1;
                }
            }
            taken
        });

        assert_eq!(taken, 20_000);
        pusher.join().unwrap();
    }
}
