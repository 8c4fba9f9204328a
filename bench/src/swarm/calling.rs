//! Requests of a caller: INVITE, ACK, BYE.

use super::answer::{write_routes, write_session, write_target};
use super::line::{ABOUT, Line};
use super::proof::{Ha2, Proof};
use super::reading::Heard;
use super::roster::write_user;
use super::stage::{Awaited, Stage, fill};
use super::template::{Gap, Template, write_hex};

/// A caller's account: what it has been told and has said.
#[derive(Debug, Default)]
pub(super) struct Caller {
    /// The nonce in use.
    pub(super) proof: Option<Box<Proof>>,
    /// The CSeq of its last request.
    pub(super) cseq: u32,
    /// The number of its call.
    call: u32,
}

/// What these requests look like.
#[derive(Debug)]
pub(super) struct Requests {
    invite: Template,
    /// ACK to what is no 2xx: it belongs to the INVITE's transaction (RFC 3261 §17.1.1.3).
    ack_refusal: Template,
    ack: Template,
    bye: Template,
}

/// Set in the serial number of an ACK to a 2xx: it is a transaction of its own with the CSeq of another.
const ACK: u32 = 1 << 31;

impl Requests {
    pub(super) fn new() -> Self {
        let via = "Via: SIP/2.0/UDP {source};branch={branch};rport\r\n";
        let within = |method: &str, uri: &str, routes: &str| {
            Template::new(&format!(
                "{method} {uri} SIP/2.0\r\n{via}{routes}From: {{from}}\r\nTo: {{to}}\r\nCall-ID: {{call_id}}\r\n\
                 CSeq: {{cseq}} {method}\r\n{ABOUT}Content-Length: 0\r\n\r\n"
            ))
        };
        let invite = format!(
            "INVITE sip:{{callee}}@{{domain}} SIP/2.0\r\n{via}From: \"Open Desk\" <sip:{{user}}@{{domain}}>;tag={{tag}}\r\n\
             To: <sip:{{callee}}@{{domain}}>\r\nCall-ID: {{call_id}}{{call}}@{{host}}\r\nCSeq: {{cseq}} INVITE\r\n\
             Contact: <sip:{{user}}@{{source}}>\r\n{{credentials}}{ABOUT}{{session}}"
        );
        Self {
            invite: Template::new(&invite),
            ack_refusal: within("ACK", "sip:{callee}@{domain}", ""),
            ack: within("ACK", "{target}", "{routes}"),
            bye: within("BYE", "{target}", "{routes}"),
        }
    }

    /// Begins a call, or sends its INVITE once more with credentials (`again`). With a nonce in use it is proven.
    pub(super) fn invite(
        &self,
        stage: &mut Stage,
        line: Line,
        caller: &mut Caller,
        callee: &[u8],
        again: bool,
    ) {
        caller.cseq += 1;
        if !again {
            caller.call = caller.cseq;
        }
        let awaited = Awaited { party: line.party(), serial: caller.cseq };
        let boot = stage.boot;
        stage.send(line.phone, |roster, source, out| {
            let domain = roster.domain(line.account()).as_bytes();
            self.invite.write(out, |gap, out| match gap {
                Gap::User => write_user(out, line.role, line.phone),
                Gap::Domain => out.extend_from_slice(domain),
                Gap::Callee => out.extend_from_slice(callee),
                Gap::Call => write_hex(out, caller.call.into(), 8),
                Gap::Session => write_session(out, *source.address.ip()),
                Gap::Credentials => {
                    if let Some(proof) = &mut caller.proof {
                        let uri = [b"sip:", callee, b"@", domain].concat();
                        let mut user = Vec::with_capacity(16);
                        write_user(&mut user, line.role, line.phone);
                        let name = if proof.by_proxy { "Proxy-Authorization: " } else { "Authorization: " };
                        out.extend_from_slice(name.as_bytes());
                        proof.write(out, &user, &uri, &Ha2::new(b"INVITE", &uri));
                        out.extend_from_slice(b"\r\n");
                    }
                }
                _ => fill(gap, out, source, boot, awaited),
            });
        });
        stage.wait_for(awaited);
    }

    /// Sends the ACK to `answer`, a final response to an INVITE to `callee`.
    pub(super) fn acknowledge(&self, stage: &mut Stage, line: Line, callee: &[u8], answer: &Heard<'_>) {
        if answer.status().is_some_and(|status| status >= 300) {
            self.within(&self.ack_refusal, stage, line, answer.cseq, 0, (callee, answer));
        } else {
            self.within(&self.ack, stage, line, answer.cseq, ACK, (callee, answer));
        }
    }

    /// Ends the dialog that `answer` has made.
    pub(super) fn bye(&self, stage: &mut Stage, line: Line, caller: &mut Caller, answer: &Heard<'_>) {
        caller.cseq += 1;
        self.within(&self.bye, stage, line, caller.cseq, 0, (b"", answer));
        stage.wait_for(Awaited { party: line.party(), serial: caller.cseq });
    }

    fn within(
        &self,
        template: &Template,
        stage: &mut Stage,
        line: Line,
        cseq: u32,
        mark: u32,
        (callee, answer): (&[u8], &Heard<'_>),
    ) {
        let boot = stage.boot;
        stage.send(line.phone, |roster, source, out| {
            template.write(out, |gap, out| match gap {
                Gap::Domain => out.extend_from_slice(roster.domain(line.account()).as_bytes()),
                Gap::Callee => out.extend_from_slice(callee),
                Gap::Target => write_target(out, answer),
                Gap::Routes => write_routes(out, answer),
                Gap::From => out.extend_from_slice(answer.from),
                Gap::To => out.extend_from_slice(answer.to),
                Gap::CallId => out.extend_from_slice(answer.call_id),
                Gap::Branch => {
                    fill(gap, out, source, boot, Awaited { party: line.party(), serial: cseq | mark });
                }
                _ => fill(gap, out, source, boot, Awaited { party: line.party(), serial: cseq }),
            });
        });
    }
}
