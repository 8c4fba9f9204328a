//! `kill -9` in the middle of log-ins, again and again: what was confirmed is there, what was refused is not, and
//! what was neither may be either.
//!
//! Each worker has desks and people of its own and does one thing after the other, so it knows which states are
//! possible: one, until an answer fails to come.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use bench::control::Control;
use bench::deadline::Deadline;
use bench::phone::{Phone, Transport, connect, hang_up};
use bench::random;

use crate::edge::{Edge, PATIENCE, Plan, log_in_code, person};

/// Rounds of a run; `HOTDESK_KILL_ROUNDS` asks for more.
const ROUNDS: usize = 6;

/// Answers of one round before the edge is killed, at most.
const ANSWERS_MAX: usize = 60;

/// How long a worker waits for an answer. After that it rests until the edge is killed: whatever it asked for may
/// still be done, and anything more would be done in an unknown order.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Who sits where, of one worker's desks and people.
type Seats = BTreeMap<u16, u16>;

/// One thing asked for.
#[derive(Clone, Copy, Debug)]
enum Act {
    LogIn { desk: u16, person: u16 },
    LogOut { desk: u16 },
}

/// What was said to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Confirmed,
    Refused,
    None,
}

impl Act {
    fn done_to(self, before: &Seats) -> Seats {
        let mut after = before.clone();
        match self {
            Self::LogIn { desk, person } => {
                after.retain(|_, seated| *seated != person);
                after.insert(desk, person);
            }
            Self::LogOut { desk } => {
                after.remove(&desk);
            }
        }
        after
    }
}

/// How a worker asks.
enum Surface {
    Dialled(BTreeMap<u16, Phone>),
    Native(BTreeMap<u16, Phone>),
    Api(Control),
}

struct Worker {
    surface: Surface,
    desks: [u16; 2],
    people: [u16; 2],
    possible: BTreeSet<Seats>,
    /// Acts that were confirmed.
    confirmed: usize,
}

impl Worker {
    fn new(surface: Surface, desks: [u16; 2], people: [u16; 2]) -> Self {
        Self { surface, desks, people, possible: BTreeSet::from([Seats::new()]), confirmed: 0 }
    }

    /// Acts until told to stop, or until an answer fails to come.
    fn act_until(&mut self, stop: &AtomicBool, answers: &Sender<()>) {
        while !stop.load(Ordering::Relaxed) {
            let desk = self.desks[random::below(2)];
            let person = self.people[random::below(2)];
            let act = if random::below(4) == 0 { Act::LogOut { desk } } else { Act::LogIn { desk, person } };
            let word = self.ask(act);
            let done: BTreeSet<_> = self.possible.iter().map(|seats| act.done_to(seats)).collect();
            match word {
                // The 200 to an un-REGISTER is of the binding: the end of the seat follows it into the store.
                Word::Confirmed if self.is_native() && matches!(act, Act::LogOut { .. }) => {
                    self.possible.extend(done);
                }
                Word::Confirmed => {
                    self.possible = done;
                    self.confirmed += 1;
                }
                Word::Refused => {}
                Word::None => {
                    self.possible.extend(done);
                    return;
                }
            }
            // Nobody counts any more once the edge is killed.
            let _ = answers.send(());
        }
    }

    fn is_native(&self) -> bool {
        matches!(self.surface, Surface::Native(_))
    }

    fn ask(&mut self, act: Act) -> Word {
        match (&mut self.surface, act) {
            (Surface::Dialled(phones), Act::LogIn { desk, person }) => {
                let phone = phones.get_mut(&desk).unwrap();
                // One in eight mistypes; nobody sits down for that, ever.
                if random::below(8) == 0 {
                    dial(phone, &format!("*11*100{person}*0000"))
                } else {
                    dial(phone, &log_in_code(person))
                }
            }
            (Surface::Dialled(phones), Act::LogOut { desk }) => dial(phones.get_mut(&desk).unwrap(), "*12"),
            (Surface::Native(phones), Act::LogIn { desk, person: number }) => {
                let phone = phones.get_mut(&desk).unwrap();
                phone.take_unasked();
                let answer = phone.register_as(&person(number), 600);
                word(answer.ok().and_then(|answer| answer.status()))
            }
            (Surface::Native(phones), Act::LogOut { desk }) => {
                let phone = phones.get_mut(&desk).unwrap();
                // It ends the seat of whoever sits there natively, and clears the marks of both.
                for number in self.people {
                    let answer =
                        phone.register_as(&person(number), 0).ok().and_then(|answer| answer.status());
                    if word(answer) != Word::Confirmed {
                        return Word::None;
                    }
                }
                Word::Confirmed
            }
            (Surface::Api(control), Act::LogIn { desk, person }) => {
                let answer = control.log_in("demo", &format!("desk-{desk}"), &format!("100{person}"));
                word(answer.ok().map(|answer| answer.status))
            }
            (Surface::Api(control), Act::LogOut { desk }) => {
                word(control.log_out("demo", &format!("desk-{desk}")).ok().map(|answer| answer.status))
            }
        }
    }

    /// The edge is back: what it holds must be possible, and is what holds from now on.
    fn compare(&mut self, all: &Seats) {
        let held: Seats =
            all.iter().filter(|(desk, _)| self.desks.contains(desk)).map(|(d, p)| (*d, *p)).collect();
        assert!(self.possible.contains(&held), "{held:?} is there, possible is only {:?}", self.possible);
        self.possible = BTreeSet::from([held]);
    }
}

/// Dials a code; the 200 is the confirmation, whether or not the BYE comes.
fn dial(phone: &mut Phone, code: &str) -> Word {
    phone.take_unasked();
    let outcome = phone.dial(code).and_then(|mut call| phone.outcome(&mut call));
    word(outcome.ok().and_then(|outcome| outcome.status()))
}

fn word(status: Option<u16>) -> Word {
    match status {
        Some(200) => Word::Confirmed,
        // What the edge cannot say for certain is not said to be refused.
        None | Some(202 | 500..=599) => Word::None,
        Some(_) => Word::Refused,
    }
}

fn held_by(edge: &Edge) -> Seats {
    let number = |name: &str| name[name.len() - 1..].parse().unwrap();
    edge.seats().iter().map(|(device, extension)| (number(device), number(extension))).collect()
}

#[test]
fn what_was_confirmed_survives_kill_9_and_what_was_refused_does_not() {
    let rounds = std::env::var("HOTDESK_KILL_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let mut edge = Edge::start(Plan { store: "embedded", ..Plan::default() });
    let mut caller = edge.taken_desk(Transport::Udp, 7);
    let mut callee = edge.taken_desk(Transport::Udp, 8);
    let phones = |desks: [u16; 2]| {
        let open = |number| {
            let mut phone = edge.desk(Transport::Udp, number);
            phone.set_patience(ANSWER_WITHIN);
            (number, phone)
        };
        BTreeMap::from(desks.map(open))
    };
    let mut workers = [
        Worker::new(Surface::Dialled(phones([1, 2])), [1, 2], [1, 2]),
        Worker::new(Surface::Native(phones([3, 4])), [3, 4], [3, 4]),
        Worker::new(Surface::Api(edge.control.clone()), [5, 6], [5, 6]),
    ];

    for round in 0..rounds {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let (answers, answered) = mpsc::channel();
            for worker in &mut workers {
                let (stop, answers) = (&stop, answers.clone());
                scope.spawn(move || worker.act_until(stop, &answers));
            }
            drop(answers);
            for _ in 0..random::below(ANSWERS_MAX) {
                assert!(answered.recv_timeout(PATIENCE).is_ok(), "round {round}: nobody gets answers");
            }
            // Anywhere between two answers, not only just after one.
            let instant = Deadline::after(Duration::from_micros(random::number() % 5_000));
            while instant.left().is_some() {
                std::hint::spin_loop();
            }
            edge.kill();
            stop.store(true, Ordering::Relaxed);
        });
        let back = Deadline::after(PATIENCE);
        edge.start_again();
        let question = caller.draft("OPTIONS", "sip:demo.hotdesk");
        assert_eq!(caller.ask_as_itself(question).unwrap().status(), Some(200));
        assert!(back.left().is_some(), "round {round}: the edge is not back in time");

        let held = held_by(&edge);
        for worker in &mut workers {
            worker.compare(&held);
        }
        // Nobody has registered since: bindings of before are answered for at once.
        let (mut call, _) = connect(&mut caller, &mut callee, "1008").unwrap();
        assert_eq!(hang_up(&mut caller, &mut call, &mut callee).unwrap().status(), Some(200));
    }

    if rounds >= ROUNDS {
        for worker in &workers {
            assert!(worker.confirmed > 0, "nothing was confirmed at desks {:?}", worker.desks);
        }
    }
}
