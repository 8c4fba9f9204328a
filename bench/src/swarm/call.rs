//! Phones that call one another, each pair one call after the other.
//!
//! ```text
//!      caller                 server                 callee
//!        │ INVITE               │                      │     timed from here
//!        │                  407 │                      │     unless trusted, or a nonce is in use:
//!        │ ACK, INVITE          │ INVITE               │     ACK and INVITE with proof
//!        │              100 180 │              180 200 │
//!        │                  200 │                      │     timed to here
//!        │ ACK, BYE             │ ACK, BYE             │
//!        │                  200 │                  200 │     the end
//! ```

use std::net::Ipv4Addr;

use super::answer::{write_answer, write_empty, write_session};
use super::calling::{Caller, Requests};
use super::line::Line;
use super::reading::Heard;
use super::roster::{read_user, write_source, write_user};
use super::stage::{Awaited, Next, Play, Stage, Time};
use super::tally::unexpected;
use crate::in_memory::Role;

/// See the module.
#[derive(Debug)]
pub(super) struct Calling {
    pairs: Vec<Pair>,
    next: usize,
    requests: Requests,
    /// INVITEs are believed.
    trusted: bool,
    /// Every pair once; or in turn for ever.
    once: bool,
}

/// Phone 2n calls phone 2n + 1.
#[derive(Debug, Default)]
struct Pair {
    caller: Caller,
    step: Step,
    due: Time,
    /// When the 200 to the INVITE came.
    answered: Time,
    /// 180 came.
    rang: bool,
    /// The callee was sent ACK.
    acknowledged: bool,
    /// The callee was sent BYE.
    left: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    #[default]
    Idle,
    /// INVITE is under way.
    Inviting,
    /// INVITE was challenged and is under way once more.
    Proving,
    /// BYE is under way.
    Leaving,
}

impl Calling {
    /// Pairs of phones that have not called yet.
    pub(super) fn new(stage: &Stage, trusted: bool) -> Self {
        let pairs = (0..stage.roster.phones() / 2).map(|_| Pair::default()).collect();
        Self { pairs, next: 0, requests: Requests::new(), trusted, once: true }
    }

    /// From now on every pair calls in turn, for ever; before, every pair once.
    pub(super) fn go_on(&mut self) {
        (self.next, self.once) = (0, false);
    }

    fn line(pair: usize) -> Line {
        let phone = 2 * pair as u32;
        Line { phone, role: Role::Extension(phone) }
    }

    fn callee(pair: usize) -> Vec<u8> {
        let phone = 2 * pair as u32 + 1;
        let mut user = Vec::with_capacity(8);
        write_user(&mut user, Role::Extension(phone), phone);
        user
    }

    fn invite(&mut self, stage: &mut Stage, number: usize, step: Step) {
        let pair = &mut self.pairs[number];
        pair.step = step;
        let again = step == Step::Proving;
        self.requests.invite(stage, Self::line(number), &mut pair.caller, &Self::callee(number), again);
    }
}

impl Play for Calling {
    fn begin(&mut self, stage: &mut Stage, due: Time) -> Next {
        let number = self.next;
        let Some(pair) = self.pairs.get_mut(number) else { return Next::Over };
        if pair.step != Step::Idle {
            return Next::Busy;
        }
        (pair.due, pair.rang, pair.acknowledged, pair.left) = (due, false, false, false);
        self.next = if self.once { number + 1 } else { (number + 1) % self.pairs.len() };
        stage.begin();
        self.invite(stage, number, Step::Inviting);
        Next::Begun
    }

    fn answered(
        &mut self,
        stage: &mut Stage,
        awaited: Awaited,
        _address: Ipv4Addr,
        heard: &Heard<'_>,
        octets: &[u8],
    ) {
        let number = Line::of_party(awaited.party).0 as usize / 2;
        let pair = self.pairs.get_mut(number);
        let Some(pair) = pair.filter(|pair| pair.step != Step::Idle && pair.caller.cseq == awaited.serial)
        else {
            stage.tally.strays += 1;
            return;
        };
        let (line, callee) = (Self::line(number), Self::callee(number));
        match (heard.status(), pair.step) {
            (Some(180), _) => pair.rang = true,
            (Some(100..200), _) => {}
            (Some(200), Step::Leaving) => {
                pair.step = Step::Idle;
                match (pair.rang, pair.acknowledged, pair.left) {
                    (true, true, true) => stage.finish(pair.due, pair.answered),
                    (false, ..) => stage.fail("the caller heard no 180", octets),
                    (_, false, _) => stage.fail("the callee was sent no ACK", octets),
                    (.., false) => stage.fail("the callee was sent no BYE", octets),
                }
            }
            (Some(200), _) => {
                (pair.step, pair.answered) = (Step::Leaving, stage.now);
                self.requests.acknowledge(stage, line, &callee, heard);
                self.requests.bye(stage, line, &mut pair.caller, heard);
            }
            (Some(401 | 407), Step::Inviting) if !self.trusted => {
                self.requests.acknowledge(stage, line, &callee, heard);
                stage.tally.challenged_again += 1;
                pair.caller.proof = line.proof(heard);
                self.invite(stage, number, Step::Proving);
            }
            _ => {
                if pair.step != Step::Leaving {
                    self.requests.acknowledge(stage, line, &callee, heard);
                }
                pair.step = Step::Idle;
                stage.fail(unexpected(heard), octets);
            }
        }
    }

    fn asked(&mut self, stage: &mut Stage, address: Ipv4Addr, method: &[u8], heard: &Heard<'_>) {
        let phone = heard.user().and_then(read_user).filter(|phone| *phone < stage.roster.phones());
        let Some(phone) = phone.filter(|phone| *stage.roster.source(*phone).address.ip() == address) else {
            stage.tally.strays += 1;
            return;
        };
        let Some(pair) = self.pairs.get_mut(phone as usize / 2) else { return };
        match method {
            b"ACK" => pair.acknowledged = true,
            b"INVITE" => {
                let contact = |out: &mut Vec<u8>, source| {
                    out.extend_from_slice(b"Contact: <sip:");
                    write_user(out, Role::Extension(phone), phone);
                    out.push(b'@');
                    write_source(out, source);
                    out.extend_from_slice(b">\r\n");
                };
                stage.send(phone, |_, source, out| {
                    write_answer(out, heard, "180 Ringing", phone, |out| {
                        contact(out, source.address);
                        write_empty(out);
                    });
                });
                stage.send(phone, |_, source, out| {
                    write_answer(out, heard, "200 OK", phone, |out| {
                        contact(out, source.address);
                        write_session(out, *source.address.ip());
                    });
                });
            }
            _ => {
                pair.left |= method == b"BYE";
                stage.send(phone, |_, _, out| write_answer(out, heard, "200 OK", phone, write_empty));
            }
        }
    }

    fn give_up(&mut self, stage: &mut Stage, awaited: Awaited) {
        let Some(pair) = self.pairs.get_mut(Line::of_party(awaited.party).0 as usize / 2) else { return };
        if pair.step != Step::Idle && pair.caller.cseq == awaited.serial {
            pair.step = Step::Idle;
            stage.lose();
        }
    }
}
