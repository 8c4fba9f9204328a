//! Where questions of the dataplane go: PINs to a few threads of their own, records to the store. Answers come
//! home through the ring of the worker that asked. No worker ever waits, and no queue grows: what finds one full
//! is answered at once.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use dataplane::query::{
    Answer, ChangedPin, PinChange, PinChangeVerdict, PinRequest, PinVerdict, Query, QueryId, Record,
    SaveVerdict,
};
use tracing::{error, info};

use super::clock::Clock;
use super::handoff::{Certain, Ring};
use crate::backend::pin::desk::PinDesk;
use crate::backend::store::{Note, StoreHandle};

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

/// What a thread that checks PINs needs.
#[derive(Clone)]
struct Clerk {
    desk: Arc<PinDesk>,
    store: StoreHandle,
    clock: Clock,
}

struct PinQuestion {
    reply: Reply,
    task: Task,
}

enum Task {
    Verify(PinRequest),
    Change(PinChange),
}

/// Where an answer goes.
struct Reply {
    ring: Arc<Ring>,
    query: QueryId,
}

impl Questions {
    /// Starts the threads that ask `desk`.
    pub(super) fn start(store: StoreHandle, desk: Arc<PinDesk>, clock: Clock) -> io::Result<Self> {
        let (pins, waiting) = sync_channel(PINS_MAX);
        let waiting = Arc::new(Mutex::new(waiting));
        let clerk = Clerk { desk, store: store.clone(), clock };
        let threads = (0..PIN_THREADS)
            .map(|n| {
                let (waiting, clerk) = (Arc::clone(&waiting), clerk.clone());
                thread::Builder::new().name(format!("pins-{n}")).spawn(move || clerk.run(&waiting))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { pins: Mutex::new(Some(pins)), threads: Mutex::new(threads), store })
    }

    /// Has `question` answered; the answer to `query` arrives in `ring`.
    pub(super) fn ask(&self, ring: &Arc<Ring>, query: QueryId, question: Query) {
        let reply = Reply { ring: Arc::clone(ring), query };
        match question {
            Query::VerifyPin(request) => self.check(PinQuestion { reply, task: Task::Verify(request) }),
            Query::ChangePin(change) => self.check(PinQuestion { reply, task: Task::Change(change) }),
            Query::Save(record) => {
                self.store.save(record, move |verdict| reply.give(Answer::Saved(verdict)));
            }
        }
    }

    /// Has the audit trail told.
    pub(super) fn note(&self, note: Note) {
        self.store.note(note);
    }

    /// Has `record` written some time soon.
    pub(super) fn write_behind(&self, record: Record) {
        self.store.write_behind(record);
    }

    fn check(&self, question: PinQuestion) {
        let refused = match &*lock(&self.pins) {
            Some(pins) => pins.try_send(question).err(),
            None => Some(TrySendError::Disconnected(question)),
        };
        if let Some(TrySendError::Full(question) | TrySendError::Disconnected(question)) = refused {
            let unavailable = question.task.unavailable();
            question.reply.give(unavailable);
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

impl Reply {
    fn give(self, answer: Answer) {
        self.ring.deliver(Certain::Answered(self.query, answer));
    }
}

impl Task {
    fn unavailable(&self) -> Answer {
        match self {
            Self::Verify(_) => Answer::Pin(PinVerdict::Unavailable),
            Self::Change(_) => Answer::PinChanged(PinChangeVerdict::Unavailable),
        }
    }

    /// True if whoever asked has given up.
    fn is_late(&self, clock: Clock) -> bool {
        let (Self::Verify(PinRequest { deadline, .. }) | Self::Change(PinChange { deadline, .. })) = self;
        *deadline < clock.mono()
    }
}

/// What is in these locks is replaced whole, so poison says nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Clerk {
    fn run(&self, waiting: &Mutex<Receiver<PinQuestion>>) {
        loop {
            // The lock is held while waiting: the other threads queue behind it instead of at the channel.
            let question = lock(waiting).recv();
            let Ok(PinQuestion { reply, task }) = question else { return };
            let unavailable = task.unavailable();
            if task.is_late(self.clock) {
                reply.give(unavailable);
                continue;
            }
            // Whoever dialled hears of it whatever happens, and the thread goes on.
            match task {
                Task::Verify(request) => {
                    let verdict = catch_unwind(AssertUnwindSafe(|| self.desk.verify(&request)));
                    reply.give(verdict.map_or(unavailable, Answer::Pin));
                }
                Task::Change(change) => {
                    let at = self.clock.now().wall;
                    match catch_unwind(AssertUnwindSafe(|| self.desk.change(&change, at))) {
                        Ok(Ok((pin, verdict))) => self.keep(change, pin, verdict, reply),
                        Ok(Err(verdict)) => reply.give(Answer::PinChanged(verdict)),
                        Err(_) => reply.give(unavailable),
                    }
                }
            }
        }
    }

    /// First the store, then everybody: a PIN that was changed must not be the old one again after a restart.
    fn keep(
        &self,
        PinChange { extension, .. }: PinChange,
        pin: ChangedPin,
        verdict: PinChangeVerdict,
        reply: Reply,
    ) {
        let record = Record::Pin { extension: extension.clone(), pin: Some(pin.clone()) };
        let desk = Arc::clone(&self.desk);
        self.store.save(record, move |saved| {
            if saved == SaveVerdict::Failed {
                return reply.give(Answer::PinChanged(PinChangeVerdict::Unavailable));
            }
            info!(tenant = %extension.tenant(), extension = %extension.name(), "a PIN was changed at a phone");
            desk.kept(extension, pin);
            reply.give(Answer::PinChanged(verdict));
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dataplane::hotdesk::{Place, Surface};
    use dataplane::now::Mono;
    use dataplane::query::{Pin, PinReject, Proof, SaveVerdict};
    use dataplane::settings::{Extension, Tenant, TenantParts};

    use super::super::handoff::Item;
    use super::*;
    use crate::backend::pin::desk::TenantPins;
    use crate::backend::pin::{Capabilities, Finding, PinBackend};
    use crate::backend::store::{StoreKind, Trail};

    /// Knows extension 1001 of demo, whose PIN is 7738.
    #[derive(Debug)]
    struct Scripted {
        /// Verifying waits until the test lets it go on.
        gate: Arc<Mutex<()>>,
    }

    impl PinBackend for Scripted {
        fn name(&self) -> &'static str {
            "scripted"
        }

        fn capabilities(&self) -> Capabilities {
            Capabilities { verify_clear: true, verify_hoteling: false, change_pin: true, watch: false }
        }

        fn verify(&self, _: &str, proof: &Proof) -> Finding {
            drop(lock(&self.gate));
            let Proof::Clear(pin) = proof else { return Finding::Unavailable };
            match pin.reveal() {
                b"panic" => panic!("planted"),
                b"7738" => Finding::Right,
                _ => Finding::Rejected(PinReject::Wrong),
            }
        }

        fn change(&self, _: &str, _: &[u8], at: u64) -> Result<ChangedPin, PinChangeVerdict> {
            Ok(ChangedPin { phc: "new".into(), replaces: [0; 16], at })
        }
    }

    fn questions(gate: &Arc<Mutex<()>>) -> Questions {
        let (store, ..) = StoreHandle::open(&StoreKind::Memory, Trail::of_nobody(), |read| read).unwrap();
        let extension = Extension { number: "1001".into(), ..Extension::default() };
        let parts = TenantParts { id: "demo".into(), extensions: vec![extension], ..TenantParts::default() };
        let backend = Scripted { gate: Arc::clone(gate) };
        let pins = TenantPins::over(&Arc::new(Tenant::new(parts)), vec![Arc::new(backend)]);
        Questions::start(store, Arc::new(PinDesk::of([pins])), Clock::start()).unwrap()
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

    fn pin(digits: &[u8], deadline: Mono) -> Query {
        Query::VerifyPin(PinRequest {
            extension: Place::new("demo", "1001"),
            proof: Proof::Clear(Pin::new(digits)),
            device: Place::new("demo", "desk-1"),
            surface: Surface::Dialled,
            deadline,
        })
    }

    fn soon(digits: &[u8]) -> Query {
        pin(digits, Mono::from_seconds(3600))
    }

    fn change(old: &[u8], new: &[u8]) -> Query {
        Query::ChangePin(PinChange {
            extension: Place::new("demo", "1001"),
            old: Pin::new(old),
            new: Pin::new(new),
            device: Place::new("demo", "desk-1"),
            surface: Surface::Dialled,
            deadline: Mono::from_seconds(3600),
        })
    }

    #[test]
    fn every_pin_is_answered_even_one_that_panics() {
        let (questions, ring) = (questions(&Arc::default()), Arc::new(Ring::new()));

        for (query, digits) in
            [&b"7738"[..], b"7739", b"panic", b"panic", b"panic", b"7738"].iter().enumerate()
        {
            questions.ask(&ring, QueryId(query as u64), soon(digits));
        }

        let (right, wrong) =
            (PinVerdict::Accepted { operator: None }, PinVerdict::Rejected(PinReject::Wrong));
        let failed = PinVerdict::Unavailable;
        let verdicts: Vec<Answer> = answers(&ring, 6).into_iter().map(|(_, answer)| answer).collect();
        assert_eq!(
            verdicts,
            [right.clone(), wrong, failed.clone(), failed.clone(), failed, right].map(Answer::Pin)
        );
        questions.stop();
    }

    #[test]
    fn more_pins_than_can_wait_are_answered_at_once() {
        let gate = Arc::new(Mutex::new(()));
        let closed = gate.lock().unwrap();
        let questions = questions(&gate);
        let ring = Arc::new(Ring::new());
        let room = (PINS_MAX + PIN_THREADS) as u64;

        for query in 0..room + 10 {
            questions.ask(&ring, QueryId(query), soon(b"7738"));
        }
        let refused = answers(&ring, 10);
        drop(closed);

        assert!(refused.iter().all(|(_, answer)| *answer == Answer::Pin(PinVerdict::Unavailable)));
        questions.stop();
    }

    #[test]
    fn who_asks_too_late_is_answered() {
        let (questions, ring) = (questions(&Arc::default()), Arc::new(Ring::new()));
        questions.stop();

        questions.ask(&ring, QueryId(1), soon(b"7738"));

        assert_eq!(answers(&ring, 1), [(1, Answer::Pin(PinVerdict::Unavailable))]);
    }

    #[test]
    fn a_pin_that_waited_too_long_is_not_checked() {
        let (questions, ring) = (questions(&Arc::default()), Arc::new(Ring::new()));

        questions.ask(&ring, QueryId(1), pin(b"7738", Mono::default()));

        assert_eq!(answers(&ring, 1), [(1, Answer::Pin(PinVerdict::Unavailable))]);
    }

    #[test]
    fn a_pin_is_changed_by_whoever_knows_the_old_one() {
        let (questions, ring) = (questions(&Arc::default()), Arc::new(Ring::new()));
        let ask = |old: &[u8], new: &[u8]| {
            questions.ask(&ring, QueryId(1), change(old, new));
            answers(&ring, 1).remove(0).1
        };

        assert_eq!(ask(b"7739", b"2468"), Answer::PinChanged(PinChangeVerdict::Rejected(PinReject::Wrong)));
        assert_eq!(
            ask(b"7738", b"1234"),
            Answer::PinChanged(PinChangeVerdict::TooSimple { is_fallback: false })
        );
        assert_eq!(ask(b"panic", b"2469"), Answer::PinChanged(PinChangeVerdict::Unavailable));
        assert_eq!(
            ask(b"7738", b"2469"),
            Answer::PinChanged(PinChangeVerdict::Changed { was_fallback: false })
        );
    }

    #[test]
    fn a_record_is_answered_by_the_store() {
        let (questions, ring) = (questions(&Arc::default()), Arc::new(Ring::new()));

        questions.ask(&ring, QueryId(7), Query::Save(Record::Bindings { aor: "a".into(), record: None }));

        assert_eq!(answers(&ring, 1), [(7, Answer::Saved(SaveVerdict::Durable))]);
    }
}
