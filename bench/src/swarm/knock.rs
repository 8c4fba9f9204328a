//! Waiting for a server: OPTIONS until something answers.

use std::net::Ipv4Addr;

use super::reading::Heard;
use super::stage::{Awaited, Next, Play, Stage, Time, fill};
use super::template::{Gap, Template};

/// Where OPTIONS of this play come from, in place of a phone's number: answers that come late are nobody's then.
const PARTY: u32 = u32::MAX;

/// Sends an OPTIONS each time it is due, until one is answered, with whatever status.
#[derive(Debug)]
pub(super) struct Knocking {
    options: Template,
    serial: u32,
    answered: bool,
}

impl Knocking {
    /// Nobody has answered yet.
    pub(super) fn new() -> Self {
        let text = "OPTIONS sip:{domain} SIP/2.0\r\nVia: SIP/2.0/UDP {source};branch={branch};rport\r\nMax-Forwards: 70\r\n\
                    From: <sip:swarm@{domain}>;tag={tag}\r\nTo: <sip:{domain}>\r\nCall-ID: {call_id}@{host}\r\n\
                    CSeq: {cseq} OPTIONS\r\nContent-Length: 0\r\n\r\n";
        Self { options: Template::new(text), serial: 0, answered: false }
    }

    /// Whether anybody has.
    pub(super) fn is_answered(&self) -> bool {
        self.answered
    }
}

impl Default for Knocking {
    fn default() -> Self {
        Self::new()
    }
}

impl Play for Knocking {
    fn begin(&mut self, stage: &mut Stage, _due: Time) -> Next {
        if self.answered {
            return Next::Over;
        }
        self.serial += 1;
        let (awaited, boot) = (Awaited { party: PARTY, serial: self.serial }, stage.boot);
        stage.send(0, |roster, source, out| {
            self.options.write(out, |gap, out| match gap {
                Gap::Domain => out.extend_from_slice(roster.domain(0).as_bytes()),
                _ => fill(gap, out, source, boot, awaited),
            });
        });
        Next::Begun
    }

    fn answered(
        &mut self,
        _stage: &mut Stage,
        _awaited: Awaited,
        _address: Ipv4Addr,
        _heard: &Heard<'_>,
        _octets: &[u8],
    ) {
        self.answered = true;
    }

    fn give_up(&mut self, _stage: &mut Stage, _awaited: Awaited) {}
}
