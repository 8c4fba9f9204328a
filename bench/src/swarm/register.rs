//! Phones that register: each its device account, or as an ordinary phone of an extension of its own.
//!
//! ```text
//!           begin                        401 where it is allowed
//!   Idle ─────────────────────► Asked ─────────────────────────► Proved
//!    ▲ │                          │ 200                           │   │ 401: the nonce is stale
//!    │ │ begin, nonce in use      │                               │   ▼
//!    │ └──────────────────────────┼──────────────────────► Proved │  Proved, the last time
//!    └────────────────────────────┴───────────────── 200 ─────────┴───┘
//! ```

use std::net::Ipv4Addr;

use super::line::{Line, Memory, Registers, Task};
use super::reading::Heard;
use super::stage::{Awaited, Next, Play, Stage, Time};
use super::tally::unexpected;
use crate::in_memory::Role;

/// How a phone proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proving {
    /// Not at all, and it is believed.
    Never,
    /// With the nonce in use; without one, or if it is stale, it is challenged.
    Reusing,
    /// It begins without, and is challenged each time.
    EachTime,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Registering {
    phones: Vec<Phone>,
    registers: Registers,
    /// They register their device accounts.
    devices: bool,
    task: Task,
    proving: Proving,
    /// Every phone once; or in turn for ever.
    once: bool,
    next: u32,
}

#[derive(Debug, Default)]
struct Phone {
    memory: Memory,
    step: Step,
    due: Time,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    #[default]
    Idle,
    /// A REGISTER without credentials is under way.
    Asked,
    /// One with credentials.
    Proved,
    /// One with credentials, after those with the nonce in use were refused.
    ProvedAgain,
}

impl Registering {
    /// Phones that have not done anything, with their device accounts or those of extensions.
    pub(super) fn new(stage: &Stage, devices: bool) -> Self {
        Self {
            phones: (0..stage.roster.phones()).map(|_| Phone::default()).collect(),
            registers: Registers::new(&stage.roster),
            devices,
            task: Task::Query,
            proving: Proving::Never,
            once: true,
            next: 0,
        }
    }

    /// What they do from now on, beginning with the first: every phone once, or in turn for ever.
    pub(super) fn set(&mut self, task: Task, proving: Proving, once: bool) {
        (self.task, self.proving, self.once, self.next) = (task, proving, once, 0);
    }

    fn line(&self, phone: u32) -> Line {
        Line { phone, role: if self.devices { Role::Device } else { Role::Extension(phone) } }
    }

    fn send(&mut self, stage: &mut Stage, number: u32, step: Step) {
        let line = self.line(number);
        let phone = &mut self.phones[number as usize];
        phone.step = step;
        let proven = step != Step::Asked;
        self.registers.send(stage, line, &mut phone.memory, self.task, proven);
    }
}

impl Play for Registering {
    fn begin(&mut self, stage: &mut Stage, due: Time) -> Next {
        let number = self.next;
        let Some(phone) = self.phones.get_mut(number as usize) else { return Next::Over };
        if phone.step != Step::Idle {
            return Next::Busy;
        }
        phone.due = due;
        let proven = self.proving == Proving::Reusing && phone.memory.proof.is_some();
        self.next = if self.once { number + 1 } else { (number + 1) % stage.roster.phones() };
        stage.begin();
        self.send(stage, number, if proven { Step::Proved } else { Step::Asked });
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
        let (number, _) = Line::of_party(awaited.party);
        let line = self.line(number);
        let phone = self.phones.get_mut(number as usize);
        let Some(phone) =
            phone.filter(|phone| phone.step != Step::Idle && phone.memory.cseq == awaited.serial)
        else {
            stage.tally.strays += 1;
            return;
        };
        match (heard.status(), phone.step, self.proving) {
            (Some(200), Step::Asked, Proving::EachTime) => {
                phone.step = Step::Idle;
                stage.fail("200 without a challenge", octets);
            }
            (Some(200), ..) => {
                phone.step = Step::Idle;
                match self.registers.fault(stage, line, &phone.memory, self.task, (address, heard)) {
                    None => stage.finish(phone.due, stage.now),
                    Some(fault) => stage.fail(fault, octets),
                }
            }
            (Some(401 | 407), Step::Asked | Step::Proved, Proving::Reusing | Proving::EachTime) => {
                let proof = line.proof(heard);
                if proof.is_none() {
                    phone.step = Step::Idle;
                    stage.fail("a challenge that MD5 does not answer", octets);
                    return;
                }
                phone.memory.proof = proof;
                let again = phone.step == Step::Proved;
                stage.tally.challenged_again += u64::from(self.proving == Proving::Reusing);
                self.send(stage, number, if again { Step::ProvedAgain } else { Step::Proved });
            }
            (Some(100..200), ..) => {}
            _ => {
                phone.step = Step::Idle;
                stage.fail(unexpected(heard), octets);
            }
        }
    }

    fn give_up(&mut self, stage: &mut Stage, awaited: Awaited) {
        let phone = &mut self.phones[Line::of_party(awaited.party).0 as usize];
        if phone.step != Step::Idle && phone.memory.cseq == awaited.serial {
            phone.step = Step::Idle;
            stage.lose();
        }
    }
}
