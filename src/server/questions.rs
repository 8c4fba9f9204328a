//! Where questions of the dataplane go: PINs to a few threads of their own, records to the store. Answers come
//! home through the ring of the worker that asked. No worker ever waits, and no queue grows: what finds one full
//! is answered at once.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use dataplane::query::{Answer, Pin, PinVerdict, Query, QueryId, Record};
use dataplane::settings::PinHash;
use tracing::error;

use super::handoff::{Certain, Ring};
use crate::backend::pin::hash;
use crate::backend::store::StoreHandle;

/// Threads that check PINs: Argon2 takes tens of milliseconds of a core and 19 MiB, and calls go before log-ins.
const PIN_THREADS: usize = 2;

/// PINs that wait. With two threads the last of them is checked within two seconds, which a person at a phone
/// still bears; more are told to try again.
const PINS_MAX: usize = 64;

/// Takes questions; shared by all workers.
pub(super) struct Questions {
    pins: Mutex<Option<SyncSender<PinQuestion>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    store: StoreHandle,
}

/// Checks a PIN against its hash.
type Check = dyn Fn(&PinHash, &Pin) -> PinVerdict + Send + Sync;

struct PinQuestion {
    ring: Arc<Ring>,
    query: QueryId,
    hash: PinHash,
    pin: Pin,
}

impl Questions {
    /// Starts the threads; `check` does the work.
    pub(super) fn start(store: StoreHandle, check: Arc<Check>) -> io::Result<Self> {
        let (pins, waiting) = sync_channel(PINS_MAX);
        let waiting = Arc::new(Mutex::new(waiting));
        let threads = (0..PIN_THREADS)
            .map(|n| {
                let (waiting, check) = (Arc::clone(&waiting), Arc::clone(&check));
                thread::Builder::new().name(format!("pins-{n}")).spawn(move || check_pins(&waiting, &*check))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { pins: Mutex::new(Some(pins)), threads: Mutex::new(threads), store })
    }

    /// Has `question` answered; the answer to `query` arrives in `ring`.
    pub(super) fn ask(&self, ring: &Arc<Ring>, query: QueryId, question: Query) {
        match question {
            Query::VerifyPin { hash, pin } => {
                self.verify(PinQuestion { ring: Arc::clone(ring), query, hash, pin });
            }
            Query::Save(record) => {
                let ring = Arc::clone(ring);
                self.store.save(record, move |verdict| {
                    ring.deliver(Certain::Answered(query, Answer::Saved(verdict)));
                });
            }
        }
    }

    /// Has `record` written some time soon.
    pub(super) fn write_behind(&self, record: Record) {
        self.store.write_behind(record);
    }

    fn verify(&self, question: PinQuestion) {
        let refused = match &*lock(&self.pins) {
            Some(pins) => pins.try_send(question).err(),
            None => Some(TrySendError::Disconnected(question)),
        };
        if let Some(TrySendError::Full(question) | TrySendError::Disconnected(question)) = refused {
            question.answer(PinVerdict::Unavailable);
        }
    }

    /// Takes no more PINs and waits until those that were taken are checked: at most two seconds.
    pub(super) fn stop(&self) {
        drop(lock(&self.pins).take());
        for thread in lock(&self.threads).drain(..) {
            if thread.join().is_err() {
                error!("a thread that checks PINs panicked");
            }
        }
    }
}

impl PinQuestion {
    fn answer(&self, verdict: PinVerdict) {
        self.ring.deliver(Certain::Answered(self.query, Answer::Pin(verdict)));
    }
}

/// What is in these locks is replaced whole, so poison says nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn check_pins(waiting: &Mutex<Receiver<PinQuestion>>, check: &Check) {
    loop {
        // The lock is held while waiting: the other threads queue behind it instead of at the channel.
        let question = lock(waiting).recv();
        let Ok(question) = question else { return };
        // Whoever dialled hears of it whatever happens, and the thread goes on.
        let verdict = catch_unwind(AssertUnwindSafe(|| check(&question.hash, &question.pin)));
        question.answer(verdict.unwrap_or(PinVerdict::Unavailable));
    }
}

/// Checks a PIN; `pepper` keys the hashes that want one.
pub(super) fn check_pin(hash: &PinHash, pin: &Pin, pepper: Option<&[u8]>) -> PinVerdict {
    match hash::verify(&hash.0, pin.reveal(), pepper) {
        Ok(true) => PinVerdict::Right,
        Ok(false) => PinVerdict::Wrong,
        Err(error) => {
            // The configuration was checked for it: the operator must hear.
            error!(reason = %error, "a stored PIN hash cannot be used");
            PinVerdict::Unavailable
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dataplane::query::SaveVerdict;

    use super::super::handoff::Item;
    use super::*;
    use crate::backend::store::StoreKind;

    fn questions(check: impl Fn(&PinHash, &Pin) -> PinVerdict + Send + Sync + 'static) -> Questions {
        let (store, ..) = StoreHandle::open(&StoreKind::Memory, |_| ()).unwrap();
        Questions::start(store, Arc::new(check)).unwrap()
    }

    /// Waits for `count` answers.
    fn answers(ring: &Ring, count: usize) -> Vec<(u64, Answer)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut answers = Vec::new();
            while answers.len() < count {
                let filled = tokio::time::timeout(Duration::from_secs(30), ring.filled()).await;
                filled.expect("every question is answered");
                while let Some(Item::Certain(Certain::Answered(query, answer))) = ring.take() {
                    answers.push((query.0, answer));
                }
            }
            answers.sort_by_key(|(query, _)| *query);
            answers
        })
    }

    fn pin(digits: &[u8]) -> Query {
        Query::VerifyPin { hash: PinHash("7738".into()), pin: Pin::new(digits) }
    }

    fn equal(hash: &PinHash, pin: &Pin) -> PinVerdict {
        match pin.reveal() {
            b"panic" => panic!("planted"),
            digits if digits == hash.0.as_bytes() => PinVerdict::Right,
            _ => PinVerdict::Wrong,
        }
    }

    #[test]
    fn every_pin_is_answered_even_one_that_panics() {
        let (questions, ring) = (questions(equal), Arc::new(Ring::new()));

        for (query, digits) in
            [&b"7738"[..], b"7739", b"panic", b"panic", b"panic", b"7738"].iter().enumerate()
        {
            questions.ask(&ring, QueryId(query as u64), pin(digits));
        }

        use PinVerdict::{Right, Unavailable, Wrong};
        let verdicts: Vec<Answer> = answers(&ring, 6).into_iter().map(|(_, answer)| answer).collect();
        assert_eq!(verdicts, [Right, Wrong, Unavailable, Unavailable, Unavailable, Right].map(Answer::Pin));
        questions.stop();
    }

    #[test]
    fn more_pins_than_can_wait_are_answered_at_once() {
        // The check waits until the test lets it go on.
        let gate = Arc::new(Mutex::new(()));
        let closed = gate.lock().unwrap();
        let questions = questions({
            let gate = Arc::clone(&gate);
            move |hash, pin| {
                drop(gate.lock());
                equal(hash, pin)
            }
        });
        let ring = Arc::new(Ring::new());
        let room = (PINS_MAX + PIN_THREADS) as u64;

        for query in 0..room + 10 {
            questions.ask(&ring, QueryId(query), pin(b"7738"));
        }
        let refused = answers(&ring, 10);
        drop(closed);

        assert!(refused.iter().all(|(_, answer)| *answer == Answer::Pin(PinVerdict::Unavailable)));
        questions.stop();
    }

    #[test]
    fn who_asks_too_late_is_answered() {
        let (questions, ring) = (questions(equal), Arc::new(Ring::new()));
        questions.stop();

        questions.ask(&ring, QueryId(1), pin(b"7738"));

        assert_eq!(answers(&ring, 1), [(1, Answer::Pin(PinVerdict::Unavailable))]);
    }

    #[test]
    fn a_hash_that_cannot_be_used_is_no_wrong_pin() {
        let verdict = check_pin(&PinHash("7738".into()), &Pin::new(b"7738"), None);

        assert_eq!(verdict, PinVerdict::Unavailable);
    }

    #[test]
    fn a_record_is_answered_by_the_store() {
        let (questions, ring) = (questions(equal), Arc::new(Ring::new()));

        questions.ask(&ring, QueryId(7), Query::Save(Record::Bindings { aor: "a".into(), record: None }));

        assert_eq!(answers(&ring, 1), [(7, Answer::Saved(SaveVerdict::Durable))]);
    }
}
