//! A phone's line: one account, the REGISTERs it sends, and what their answers must say.

use std::net::Ipv4Addr;

use super::proof::{Ha2, Proof};
use super::reading::{Heard, parameter, uri};
use super::roster::{ACCOUNTS_PER_TENANT_MAX, Roster, write_source, write_user};
use super::stage::{Awaited, Stage, fill};
use super::template::{Gap, Template, write_decimal, write_hex};
use crate::in_memory::{Role, password};

/// What a phone says besides; with it a REGISTER has some 850 octets, as those of desk phones have.
pub(super) const ABOUT: &str = "Max-Forwards: 70\r\nUser-Agent: Yealink SIP-T46U 108.86.0.70\r\nAllow: INVITE, INFO, PRACK, ACK, \
                         BYE, CANCEL, OPTIONS, NOTIFY, REGISTER, SUBSCRIBE, REFER, PUBLISH, UPDATE, MESSAGE\r\n\
                         Allow-Events: talk,hold,conference,refer,check-sync\r\n";

/// An account at a phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The phone's number.
    pub(super) phone: u32,
    /// As whom it registers.
    pub(super) role: Role,
}

/// What a line has been told and has said.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The nonce in use.
    pub(super) proof: Option<Box<Proof>>,
    /// The CSeq of its last request.
    pub(super) cseq: u32,
}

/// What a REGISTER is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// Bind the phone's contact for so many seconds, or refresh it; 0 removes it.
    Bind(u32),
    /// Ask which contacts there are (RFC 3261 §10.2.3). The phone's own must be among them.
    Query,
}

/// What REGISTERs look like.
#[derive(Debug)]
pub(super) struct Registers {
    bind: Template,
    query: Template,
    /// Of each tenant: the Request-URI, and its hash with the method.
    tenants: Vec<(Vec<u8>, Ha2)>,
    /// Where answers are compared with what was sent.
    expected: Vec<u8>,
}

/// Set in the party of an extension's line: a phone may have two, and Call-ID and branch tell them apart.
const EXTENSION: u32 = 1 << 31;

impl Line {
    /// Who waits for its answers.
    pub(super) fn party(self) -> u32 {
        self.phone | if self.role == Role::Device { 0 } else { EXTENSION }
    }

    /// The phone whose line this is, and whether it is an extension's.
    pub(super) fn of_party(party: u32) -> (u32, bool) {
        (party & !EXTENSION, party & EXTENSION != 0)
    }

    /// The number of the account.
    pub(super) fn account(self) -> u32 {
        match self.role {
            Role::Device => self.phone,
            Role::Extension(number) => number,
        }
    }

    /// Reads the challenge of a 401 or 407 for it; `None` if MD5 is no answer to it.
    pub(super) fn proof(self, heard: &Heard<'_>) -> Option<Box<Proof>> {
        let by_proxy = heard.status() == Some(407);
        let user = self.role.user(self.phone);
        Proof::read(heard.challenge?, by_proxy, user.as_bytes(), password(&user).as_bytes()).map(Box::new)
    }
}

impl Registers {
    /// Those of the phones on a roster.
    pub(super) fn new(roster: &Roster) -> Self {
        let head = "REGISTER sip:{domain} SIP/2.0\r\nVia: SIP/2.0/UDP {source};branch={branch};rport\r\n\
                    From: \"Open Desk\" <sip:{user}@{domain}>;tag={tag}\r\nTo: <sip:{user}@{domain}>\r\n\
                    Call-ID: {call_id}@{host}\r\nCSeq: {cseq} REGISTER\r\n";
        let contact = "Contact: <sip:{user}@{source}>;+sip.instance=\"<urn:uuid:00000000-0000-4000-8000-{instance}>\"\r\n";
        let tail = "Content-Length: 0\r\n\r\n";
        let tenant = |account| {
            let uri = format!("sip:{}", roster.domain(account)).into_bytes();
            let ha2 = Ha2::new(b"REGISTER", &uri);
            (uri, ha2)
        };
        Self {
            bind: Template::new(
                &[head, contact, "{credentials}", ABOUT, "Expires: {expires}\r\n", tail].concat(),
            ),
            query: Template::new(&[head, "{credentials}", ABOUT, tail].concat()),
            tenants: (0..roster.phones()).step_by(ACCOUNTS_PER_TENANT_MAX as usize).map(tenant).collect(),
            expected: Vec::new(),
        }
    }

    /// Sends the next REGISTER of a line, with credentials if it is to be proven and there is a nonce in use.
    pub(super) fn send(&self, stage: &mut Stage, line: Line, memory: &mut Memory, task: Task, proven: bool) {
        memory.cseq += 1;
        let awaited = Awaited { party: line.party(), serial: memory.cseq };
        let (uri, ha2) = &self.tenants[(line.account() / ACCOUNTS_PER_TENANT_MAX) as usize];
        let (template, seconds) = match task {
            Task::Bind(seconds) => (&self.bind, seconds),
            Task::Query => (&self.query, 0),
        };
        let boot = stage.boot;
        stage.send(line.phone, |_, source, out| {
            template.write(out, |gap, out| match gap {
                Gap::User => write_user(out, line.role, line.phone),
                Gap::Domain => out.extend_from_slice(&uri[b"sip:".len()..]),
                Gap::Expires => write_decimal(out, seconds),
                Gap::Instance => write_hex(out, line.phone.into(), 12),
                Gap::Credentials => {
                    if let Some(proof) = memory.proof.as_mut().filter(|_| proven) {
                        let mut user = Vec::with_capacity(16);
                        write_user(&mut user, line.role, line.phone);
                        out.extend_from_slice(b"Authorization: ");
                        proof.write(out, &user, uri, ha2);
                        out.extend_from_slice(b"\r\n");
                    }
                }
                _ => fill(gap, out, source, boot, awaited),
            });
        });
        stage.wait_for(awaited);
    }

    /// What is wrong with a 200 that came to `address`, if anything: it must be for this line and its last request, and
    /// must list the line's own contact, or not, after it was removed.
    pub(super) fn fault(
        &mut self,
        stage: &Stage,
        line: Line,
        memory: &Memory,
        task: Task,
        (address, heard): (Ipv4Addr, &Heard<'_>),
    ) -> Option<&'static str> {
        let source = stage.roster.source(line.phone);
        if address != *source.address.ip() {
            return Some("it came to another phone");
        }
        if heard.cseq != memory.cseq || heard.method != b"REGISTER" {
            return Some("another CSeq");
        }
        let awaited = Awaited { party: line.party(), serial: memory.cseq };
        self.expect(|out| fill(Gap::CallId, out, source, stage.boot, awaited));
        if !heard.call_id.starts_with(&self.expected) {
            return Some("another Call-ID");
        }
        if parameter(heard.from, "tag") != Some(&self.expected) {
            return Some("another tag of From");
        }
        if parameter(heard.to, "tag").is_none_or(<[u8]>::is_empty) {
            return Some("no tag of To");
        }
        self.expect(|out| {
            out.extend_from_slice(b"sip:");
            write_user(out, line.role, line.phone);
            out.push(b'@');
            write_source(out, source.address);
        });
        let own = heard.values("Contact").find(|contact| {
            uri(contact) == Some(&self.expected) && parameter(contact, "expires") != Some(b"0")
        });
        match (own, task) {
            (Some(_), Task::Bind(1..) | Task::Query) | (None, Task::Bind(0)) => None,
            (None, _) => Some("its own contact is missing"),
            (Some(_), Task::Bind(0)) => Some("a removed contact is there"),
        }
    }

    fn expect(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.expected.clear();
        write(&mut self.expected);
    }
}
