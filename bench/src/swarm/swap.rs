//! People who change desks: person n of `phones` / 2 goes to and fro between desk n and desk n + `phones` / 2.
//!
//! ```text
//!   native                                            by dialling
//!   desk               edge       the other desk      desk               edge       the other desk
//!     │ REGISTER person │               │               │ INVITE *11*…    │               │
//!     │             200 │ NOTIFY        │               │             200 │ NOTIFY        │    timed to the 200
//!     │                 │           200 │               │ ACK             │           200 │
//!                                                       │             BYE │               │
//!                                                       │ 200      NOTIFY │               │
//!                                                       │ 200             │               │
//! ```
//!
//! With a nonce in use; without one, or if it is stale, the desk is challenged first (401 or 407; ACK to an INVITE).

use std::net::Ipv4Addr;

use super::answer::{write_answer, write_empty};
use super::calling::{Caller, Requests};
use super::line::{Line, Memory, Registers, Task};
use super::options::Surface;
use super::reading::Heard;
use super::roster::{read_user, write_user};
use super::stage::{Awaited, Next, Play, Stage, Time};
use super::tally::unexpected;
use crate::in_memory::Role;

/// For how long a person's contact is bound: longer than any run needs.
const BOUND: Task = Task::Bind(3_600);

/// What people dial besides their number; `swarm configuration` gives all of them this PIN.
const PIN: &[u8] = b"*7738";

/// See the module.
#[derive(Debug)]
pub(super) struct Swapping {
    surface: Surface,
    people: Vec<Person>,
    /// What each desk remembers of its person's account, which it registers.
    memories: Vec<Memory>,
    /// What each desk remembers of its own account, with which it dials.
    callers: Vec<Caller>,
    registers: Registers,
    requests: Requests,
    next: u32,
    /// How many more log-ins it makes; `None`: for ever.
    left: Option<u32>,
    /// Nobody has sat anywhere before: no other desk need be told.
    first: bool,
}

#[derive(Debug, Default)]
struct Person {
    /// Logs in, or sits, at the second desk.
    second: bool,
    step: Step,
    due: Time,
    /// When the log-in was answered.
    answered: Time,
    /// What must still come before the log-in is over.
    pending: Pending,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    #[default]
    Idle,
    Asking,
    /// The log-in was challenged and is under way once more.
    Proving,
    /// It was answered; NOTIFYs are on their way.
    Ending,
}

/// What comes with a log-in besides its answer, and has not come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Pending {
    /// NOTIFY to the other desk.
    other_told: bool,
    /// NOTIFY to this desk.
    told: bool,
    /// BYE to this desk.
    bye: bool,
}

impl Swapping {
    /// Desks where nobody has logged in yet.
    pub(super) fn new(stage: &Stage, surface: Surface) -> Self {
        let desks = stage.roster.phones() & !1;
        Self {
            surface,
            people: (0..desks / 2).map(|_| Person { second: true, ..Person::default() }).collect(),
            memories: (0..desks).map(|_| Memory::default()).collect(),
            callers: (0..desks).map(|_| Caller::default()).collect(),
            registers: Registers::new(&stage.roster),
            requests: Requests::new(),
            next: 0,
            left: Some(desks),
            first: true,
        }
    }

    /// Everybody has sat at both desks: from now on people log in for ever, and each log-in puts somebody out.
    pub(super) fn go_on(&mut self) {
        (self.next, self.left, self.first) = (0, None, false);
    }

    fn half(&self) -> u32 {
        self.people.len() as u32
    }

    /// The desk where this person logs in, or sits.
    fn desk(&self, person: u32) -> u32 {
        if self.people[person as usize].second { person + self.half() } else { person }
    }

    /// The account that logs in there.
    fn line(&self, person: u32) -> Line {
        let role = match self.surface {
            Surface::Register => Role::Extension(person),
            Surface::Dialling => Role::Device,
        };
        Line { phone: self.desk(person), role }
    }

    fn dialled(person: u32) -> Vec<u8> {
        let mut dialled = b"*11*".to_vec();
        write_user(&mut dialled, Role::Extension(person), 0);
        dialled.extend_from_slice(PIN);
        dialled
    }

    fn ask(&mut self, stage: &mut Stage, person: u32, step: Step) {
        let line = self.line(person);
        let desk = line.phone as usize;
        self.people[person as usize].step = step;
        match self.surface {
            Surface::Register => {
                self.registers.send(stage, line, &mut self.memories[desk], BOUND, true);
            }
            Surface::Dialling => {
                let dialled = Self::dialled(person);
                self.requests.invite(stage, line, &mut self.callers[desk], &dialled, step == Step::Proving);
            }
        }
    }

    /// The CSeq of the last request of a desk.
    fn cseq(&self, desk: u32) -> u32 {
        match self.surface {
            Surface::Register => self.memories[desk as usize].cseq,
            Surface::Dialling => self.callers[desk as usize].cseq,
        }
    }

    /// The person that waits for this answer.
    fn waiting(&self, awaited: Awaited) -> Option<u32> {
        let desk = Line::of_party(awaited.party).0;
        let person = desk.checked_rem(self.half())?;
        let waits = self.people[person as usize].step != Step::Idle;
        (waits && self.desk(person) == desk && self.cseq(desk) == awaited.serial).then_some(person)
    }

    fn end_if_over(&mut self, stage: &mut Stage, number: u32) {
        let person = &mut self.people[number as usize];
        if person.step == Step::Ending && person.pending == Pending::default() {
            person.step = Step::Idle;
            stage.finish(person.due, person.answered);
        }
    }
}

impl Play for Swapping {
    fn begin(&mut self, stage: &mut Stage, due: Time) -> Next {
        if self.left == Some(0) {
            return Next::Over;
        }
        let number = self.next;
        let (dialling, told) = (self.surface == Surface::Dialling, !self.first);
        let person = &mut self.people[number as usize];
        if person.step != Step::Idle {
            return Next::Busy;
        }
        person.second = !person.second;
        person.due = due;
        person.pending = Pending { other_told: told, told: told && dialling, bye: told && dialling };
        self.next = (number + 1) % self.half();
        self.left = self.left.map(|left| left - 1);
        stage.begin();
        self.ask(stage, number, Step::Asking);
        Next::Begun
    }

    fn answered(
        &mut self,
        stage: &mut Stage,
        awaited: Awaited,
        address: Ipv4Addr,
        heard: &Heard<'_>,
        octets: &[u8],
    ) {
        let Some(number) = self.waiting(awaited) else {
            stage.tally.strays += 1;
            return;
        };
        let line = self.line(number);
        let step = self.people[number as usize].step;
        if self.surface == Surface::Dialling
            && step != Step::Ending
            && heard.status().is_some_and(|status| status >= 200)
        {
            self.requests.acknowledge(stage, line, &Self::dialled(number), heard);
        }
        match (heard.status(), step) {
            (Some(100..200), _) => {}
            (Some(200), Step::Asking | Step::Proving) => {
                let memory = &self.memories[line.phone as usize];
                let fault = match self.surface {
                    Surface::Register => self.registers.fault(stage, line, memory, BOUND, (address, heard)),
                    Surface::Dialling => None,
                };
                let person = &mut self.people[number as usize];
                person.answered = stage.now;
                match fault {
                    None => {
                        person.step = Step::Ending;
                        self.end_if_over(stage, number);
                    }
                    Some(fault) => {
                        person.step = Step::Idle;
                        stage.fail(fault, octets);
                    }
                }
            }
            (Some(401 | 407), Step::Asking) => {
                let proof = line.proof(heard);
                stage.tally.challenged_again += 1;
                match self.surface {
                    Surface::Register => self.memories[line.phone as usize].proof = proof,
                    Surface::Dialling => self.callers[line.phone as usize].proof = proof,
                }
                self.ask(stage, number, Step::Proving);
            }
            (_, Step::Ending | Step::Idle) => stage.tally.strays += 1,
            _ => {
                self.people[number as usize].step = Step::Idle;
                stage.fail(unexpected(heard), octets);
            }
        }
    }

    /// A NOTIFY or BYE to a desk.
    fn asked(&mut self, stage: &mut Stage, address: Ipv4Addr, method: &[u8], heard: &Heard<'_>) {
        // A desk's own account says which desk; a person's may be for either of two.
        let account = heard.user().and_then(read_user).filter(|account| *account < 2 * self.half());
        let desks = account.map_or(0..0, |account| account..2 * self.half()).step_by(self.people.len());
        let here = |desk: &u32| *stage.roster.source(*desk).address.ip() == address;
        let Some(desk) = { desks }.find(here) else {
            stage.tally.strays += 1;
            return;
        };
        stage.send(desk, |_, _, out| write_answer(out, heard, "200 OK", desk, write_empty));
        let number = desk % self.half();
        let is_here = self.desk(number) == desk;
        let pending = &mut self.people[number as usize].pending;
        let awaited = match method {
            b"NOTIFY" => {
                stage.tally.notifies += 1;
                if is_here { &mut pending.told } else { &mut pending.other_told }
            }
            _ => &mut pending.bye,
        };
        if std::mem::take(awaited) {
            self.end_if_over(stage, number);
        } else if !self.first {
            stage.tally.strays += 1;
        }
    }

    fn give_up(&mut self, stage: &mut Stage, awaited: Awaited) {
        let Some(number) = self.waiting(awaited) else { return };
        let person = &mut self.people[number as usize];
        match person.step {
            Step::Ending if person.pending.other_told => stage.fail("the other desk was not told", b""),
            Step::Ending if person.pending.bye => stage.fail("the edge did not hang up", b""),
            Step::Ending => stage.fail("the desk was not told", b""),
            _ => stage.lose(),
        }
        person.step = Step::Idle;
    }
}
