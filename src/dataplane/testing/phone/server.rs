//! The phone as a server: how it answers, and repeats its answers (RFC 3261 §17.2, §13.3).

use super::{LIFETIME, Manner, NEVER, Phone, Served, T1, listed};
use crate::now::Mono;
use crate::testing::blueprint::password;
use crate::testing::call::{Call, CallState};
use crate::testing::digest;
use crate::testing::heard::{Heard, quoted, tag_of, uri_of, value, values};

impl Phone {
    pub(super) fn on_request(&mut self, now: Mono, text: &str) {
        let heard = Heard { at: now, text: text.into() };
        let method = heard.method().to_owned();
        let branch = quoted(value(text, "Via"), "branch").unwrap_or_default();
        if method == "ACK" {
            self.heard.push(heard);
            return self.on_ack(text, &branch);
        }
        if let Some(served) = self.served.iter().find(|it| it.branch == branch && it.method == method) {
            return self.outgoing.push(served.response.clone());
        }
        self.heard.push(heard);
        let passed =
            self.door.as_mut().filter(|_| method != "CANCEL").map_or(Ok(None), |door| door.pass(text));
        let headers: Vec<(&str, String)> = match passed {
            Err((code, name, challenge)) => return self.respond(now, text, code, &[(name, &challenge)]),
            Ok(_) if self.door.as_ref().is_some_and(|door| door.silent_behind) => return,
            Ok(next) => next.into_iter().map(|next| ("Authentication-Info", next)).collect(),
        };
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let to_tag = tag_of(value(text, "To"));
        let known = self.calls.iter().position(|call| {
            call.call_id == value(text, "Call-ID") && to_tag.is_some() && tag_of(&call.local) == to_tag
        });
        match (&*method, known) {
            ("INVITE", None) if to_tag.is_none() => self.on_invite(now, text, branch),
            ("CANCEL", _) => self.on_cancel(now, text, &branch),
            ("BYE", Some(call)) => {
                self.calls[call].state = CallState::Over;
                self.calls[call].ended_by_peer = true;
                self.served.iter_mut().filter(|it| it.call == Some(call)).for_each(|it| it.resend_at = NEVER);
                self.respond(now, text, 200, &headers);
            }
            ("NOTIFY", _) if let Some((code, headers)) = self.notify_refusal => {
                self.respond(now, text, code, headers);
            }
            ("NOTIFY", _) => {
                let nonce = self.notify_nonce.clone();
                let passes = nonce.as_deref().is_none_or(|nonce| self.is_from_edge(text, nonce));
                if passes {
                    return self.respond(now, text, 200, &[]);
                }
                let challenge = format!(
                    "Digest realm=\"{}\", nonce=\"{}\", qop=\"auth\", algorithm=MD5",
                    self.domain,
                    nonce.unwrap_or_default()
                );
                self.respond(now, text, 401, &[("WWW-Authenticate", &challenge)]);
            }
            ("MESSAGE", None)
                if to_tag.is_none()
                    && let Manner::Refuses(code) = self.manner =>
            {
                self.respond(now, text, code, &[]);
            }
            ("OPTIONS" | "MESSAGE" | "INFO", None) if to_tag.is_none() => self.respond(now, text, 200, &[]),
            ("INVITE", Some(call)) => {
                let contact = self.accounts.first().map_or("peer", |account| &account.user).to_owned();
                let contact = format!("<{}>", self.contact(&contact));
                let response = response(text, 200, value(text, "To"), &[("Contact", &contact)]);
                self.serve(now, text, response, Some(call), 200);
            }
            (_, Some(_)) => self.respond(now, text, 200, &headers),
            _ => self.respond(now, text, 481, &[]),
        }
    }

    fn is_from_edge(&self, notify: &str, nonce: &str) -> bool {
        let uri = notify.split(' ').nth(1).unwrap_or_default();
        let user = self.accounts.first().map_or("", |account| &account.user);
        let credentials = value(notify, "Authorization");
        digest::is_right(credentials, nonce, user, &password(user), "NOTIFY", uri)
    }

    fn on_invite(&mut self, now: Mono, text: &str, branch: String) {
        // §8.2.2.2: the same request by another way while it rings already.
        let rings = |call: &Call| call.call_id == value(text, "Call-ID") && call.state == CallState::Ringing;
        if self.calls.iter().any(rings) {
            return self.respond(now, text, 482, &[]);
        }
        let call = self.calls.len();
        let tag = self.token();
        self.calls.push(Call {
            state: CallState::Ringing,
            outgoing: false,
            statuses: Vec::new(),
            ended_by_peer: false,
            call_id: value(text, "Call-ID").into(),
            local: format!("{};tag={tag}", value(text, "To")),
            remote: value(text, "From").into(),
            target: uri_of(value(text, "Contact")).into(),
            routes: listed(text, "Record-Route").collect(),
            ack_body: String::new(),
            cseq: 0,
            invite: text.into(),
            branch,
            cancel_wanted: false,
        });
        match self.manner {
            Manner::Answers => {
                self.respond_to_invite(now, call, 180);
                self.answer(now, call);
            }
            Manner::Rings => self.respond_to_invite(now, call, 180),
            Manner::Refuses(code) => {
                self.calls[call].state = CallState::Over;
                self.respond_to_invite(now, call, code);
            }
            Manner::Silent => {}
        }
    }

    fn on_cancel(&mut self, now: Mono, text: &str, branch: &str) {
        let call = self.calls.iter().position(|call| !call.outgoing && call.branch == branch);
        self.respond(now, text, if call.is_some() { 200 } else { 481 }, &[]);
        if let Some(call) = call.filter(|call| self.calls[*call].state == CallState::Ringing) {
            self.calls[call].state = CallState::Over;
            self.calls[call].ended_by_peer = true;
            self.respond_to_invite(now, call, 487);
        }
    }

    fn on_ack(&mut self, text: &str, branch: &str) {
        let (call_id, to_tag) = (value(text, "Call-ID"), tag_of(value(text, "To")));
        let acknowledged =
            self.calls.iter().position(|call| call.call_id == call_id && tag_of(&call.local) == to_tag);
        let number = |text| value(text, "CSeq").split(' ').next().map(str::to_owned);
        for served in &mut self.served {
            let is_of = served.branch == branch || served.call == acknowledged;
            if served.method == "INVITE" && is_of && number(&served.response) == number(text) {
                served.resend_at = NEVER;
            }
        }
    }

    pub(super) fn respond_to_invite(&mut self, now: Mono, call: usize, code: u16) {
        self.calls[call].statuses.push(code);
        let invite = self.calls[call].invite.clone();
        let contact = self.accounts.first().map_or("peer", |account| &account.user).to_owned();
        let contact = format!("<{}>", self.contact(&contact));
        let to = self.calls[call].local.clone();
        let response = response(&invite, code, &to, &[("Contact", &contact)]);
        self.serve(now, &invite, response, Some(call), code);
    }

    fn respond(&mut self, now: Mono, request: &str, code: u16, headers: &[(&str, &str)]) {
        let mut to = value(request, "To").to_owned();
        if tag_of(&to).is_none() {
            to += &format!(";tag={}", self.token());
        }
        let response = response(request, code, &to, headers);
        self.serve(now, request, response, None, code);
    }

    fn serve(&mut self, now: Mono, request: &str, response: String, call: Option<usize>, code: u16) {
        let branch = quoted(value(request, "Via"), "branch").unwrap_or_default();
        let method = request.split(' ').next().unwrap_or_default().to_owned();
        self.served.retain(|served| served.branch != branch || served.method != method);
        let repeats = method == "INVITE" && code >= 200;
        self.served.push(Served {
            branch,
            method,
            response: response.clone(),
            interval: T1,
            resend_at: if repeats { now + T1 } else { NEVER },
            until: now + LIFETIME,
            call,
        });
        self.outgoing.push(response);
    }
}

fn response(request: &str, code: u16, to: &str, headers: &[(&str, &str)]) -> String {
    let mut text = format!("SIP/2.0 {code} {}\r\n", sip::reason_phrase(code));
    for name in ["Via", "Record-Route"] {
        for value in values(request, name) {
            text += &format!("{name}: {value}\r\n");
        }
    }
    for name in ["From", "Call-ID", "CSeq"] {
        text += &format!("{name}: {}\r\n", value(request, name));
    }
    text += &format!("To: {to}\r\n");
    // RFC 4028 §9: it takes whatever timer the caller wants, and leaves the refreshing to him.
    if let (2, Some(interval)) = (code / 100, values(request, "Session-Expires").next()) {
        text += &format!("Session-Expires: {interval};refresher=uac\r\n");
    }
    // RFC 4028 §8.1: what it would take.
    if code == 422 {
        text += "Min-SE: 1800\r\n";
    }
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text + "Content-Length: 0\r\n\r\n"
}
