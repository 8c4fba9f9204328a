//! The phone as a client: what it sends, repeats and hears back (RFC 3261 §17.1, §13.2.2).

use std::time::Duration;

use super::{Client, LIFETIME, NEVER, Phone, Purpose, T1, T2, listed};
use crate::now::Mono;
use crate::testing::blueprint::password;
use crate::testing::call::{Call, CallState};
use crate::testing::digest::Asked;
use crate::testing::draft::Draft;
use crate::testing::heard::{Heard, quoted, tag_of, uri_of, value, values};

impl Phone {
    pub(super) fn send(
        &mut self,
        now: Mono,
        draft: Draft,
        account: Option<usize>,
        cseq: u32,
        purpose: Purpose,
    ) -> usize {
        let ticket = self.outcomes.len();
        self.outcomes.push(None);
        self.clients.push(Client {
            draft,
            account,
            cseq,
            branch: String::new(),
            text: String::new(),
            purpose,
            ticket,
            attempts: 0,
            interval: T1,
            resend_at: NEVER,
            until: NEVER,
            done: None,
        });
        self.attempt(now, self.clients.len() - 1);
        ticket
    }

    /// Sends a request, or sends it again with credentials: a transaction of its own.
    fn attempt(&mut self, now: Mono, index: usize) {
        let (branch, cnonce) = (format!("z9hG4bK{}", self.token()), self.token());
        let reliable = self.flow.is_reliable();
        let via = self.via(&branch);
        let client = &mut self.clients[index];
        let cseq = format!("{} {}", client.cseq, client.draft.method);
        let mut first = vec![("Via", via.as_str()), ("CSeq", &cseq)];
        let credentials = client.account.and_then(|index| {
            let account = &mut self.accounts[index];
            let (method, uri) = (&client.draft.method, &client.draft.uri);
            let password = self.wrong_password.clone().unwrap_or_else(|| password(&account.user));
            Some(account.asked.as_mut()?.answer(&account.user, &password, method, uri, &cnonce))
        });
        if let Some(value) = &credentials {
            let name =
                if client.purpose == Purpose::Register { "Authorization" } else { "Proxy-Authorization" };
            first.push((name, value));
            self.responses.extend(quoted(value, "response"));
        }
        client.text = client.draft.write(&first);
        client.attempts += 1;
        client.interval = T1;
        client.resend_at = if reliable { NEVER } else { now + T1 };
        client.until = now + LIFETIME;
        if let Purpose::Invite(call) = client.purpose {
            let call = &mut self.calls[call];
            (call.invite, call.branch, call.cseq) = (client.text.clone(), branch.clone(), client.cseq);
        }
        client.branch = branch;
        let text = client.text.clone();
        self.sent.push(text.clone());
        self.outgoing.push(text);
    }

    pub(super) fn cancel(&mut self, now: Mono, call: usize) {
        let Call { invite, branch, cseq, .. } = &self.calls[call];
        let cseq = *cseq;
        let mut draft = Draft::new("CANCEL", invite.split(' ').nth(1).unwrap_or_default());
        for name in ["Max-Forwards", "From", "To", "Call-ID"] {
            draft.add(name, value(invite, name));
        }
        let (branch, via) = (branch.clone(), value(invite, "Via").to_owned());
        let text = draft.write(&[("Via", &via), ("CSeq", &format!("{cseq} CANCEL"))]);
        self.calls[call].cancel_wanted = false;
        let ticket = self.outcomes.len();
        self.outcomes.push(None);
        self.outgoing.push(text.clone());
        self.clients.push(Client {
            draft,
            account: None,
            cseq,
            branch,
            text,
            purpose: Purpose::Other,
            ticket,
            attempts: 2,
            interval: T1,
            resend_at: if self.flow.is_reliable() { NEVER } else { now + T1 },
            until: now + LIFETIME,
            done: None,
        });
    }

    pub(super) fn via(&self, branch: &str) -> String {
        format!("SIP/2.0/{} {};rport;branch={branch}", self.transport(), self.address)
    }

    pub(super) fn token(&mut self) -> String {
        String::from_utf8_lossy(&self.random.token::<12>()).into_owned()
    }

    pub(super) fn on_response(&mut self, now: Mono, text: &str) {
        let heard = Heard { at: now, text: text.into() };
        let (code, method) = (heard.status().unwrap_or(0), heard.method().to_owned());
        self.heard.push(heard);
        let branch = quoted(value(text, "Via"), "branch").unwrap_or_default();
        let found =
            self.clients.iter().position(|client| client.branch == branch && client.draft.method == method);
        let Some(index) = found else { return };
        if let Purpose::Invite(call) = self.clients[index].purpose {
            return self.on_invite_response(now, index, call, code, text);
        }
        let client = &mut self.clients[index];
        if client.done.is_some() {
            return;
        }
        if code < 200 {
            client.interval = T2;
            return;
        }
        if matches!(code, 401 | 407) && self.try_credentials(now, index, text) {
            return;
        }
        let client = &mut self.clients[index];
        if code == 423 && client.attempts < 4 && client.purpose == Purpose::Register {
            let shortest = value(text, "Min-Expires").to_owned();
            client.draft.set("Expires", &shortest);
            client.cseq += 1;
            if let Some(account) = client.account {
                self.accounts[account].cseq = client.cseq;
            }
            return self.attempt(now, index);
        }
        client.done = Some(String::new());
        client.resend_at = NEVER;
        let (purpose, account, ticket) = (client.purpose, client.account, client.ticket);
        if purpose == Purpose::Register
            && code == 200
            && let Some(line) = account
        {
            let own = self.contact(&self.accounts[line].user);
            let bound = values(text, "Contact").flat_map(|line| line.split(',')).find(|it| uri_of(it) == own);
            let expires = bound.and_then(|bound| quoted(bound, "expires")?.parse::<u64>().ok());
            self.accounts[line].refresh_at =
                expires.map_or(NEVER, |expires| now + Duration::from_secs(expires.div_ceil(2)));
        }
        self.finish(now, purpose, account, ticket, code);
    }

    /// The last word on a request.
    pub(super) fn finish(
        &mut self,
        now: Mono,
        purpose: Purpose,
        account: Option<usize>,
        ticket: usize,
        code: u16,
    ) {
        self.outcomes[ticket] = Some(code);
        match purpose {
            Purpose::Invite(call) if self.calls[call].state != CallState::Up => {
                self.calls[call].state = CallState::Over;
                self.calls[call].statuses.push(code);
            }
            Purpose::Register if code == 408 => {
                if let Some(line) = account {
                    self.accounts[line].refresh_at = now + Duration::from_secs(30);
                }
            }
            _ => {}
        }
    }

    /// Sends a request again with an answer to the challenge; false if it has been asked often enough.
    fn try_credentials(&mut self, now: Mono, index: usize, challenge: &str) -> bool {
        let client = &mut self.clients[index];
        let (Some(line), Some(asked)) = (client.account, Asked::read(challenge)) else { return false };
        let stale = challenge.contains("stale=true");
        let known = self.accounts[line].asked.is_some();
        // One wrong answer is enough, unless the nonce alone was at fault.
        let attempts_max = if stale || known { 3 } else { 2 };
        if client.attempts >= attempts_max {
            return false;
        }
        client.cseq += 1;
        if client.purpose == Purpose::Register {
            self.accounts[line].cseq = client.cseq;
        }
        self.accounts[line].asked = Some(asked);
        self.attempt(now, index);
        true
    }

    fn on_invite_response(&mut self, now: Mono, index: usize, call: usize, code: u16, text: &str) {
        let client = &mut self.clients[index];
        if let Some(ack) = &client.done {
            let same = tag_of(value(text, "To")) == tag_of(&self.calls[call].remote);
            match code {
                ..200 => {}
                200..300 if !same => self.end_second_dialog(now, call, text),
                _ => self.outgoing.push(ack.clone()),
            }
            return;
        }
        client.resend_at = NEVER;
        if code < 200 {
            // Timer C of a phone is its user.
            client.until = NEVER;
            let state = &mut self.calls[call];
            state.statuses.push(code);
            if code > 100 && state.state == CallState::Calling {
                state.state = CallState::Ringing;
            }
            if std::mem::take(&mut state.cancel_wanted) {
                self.cancel(now, call);
            }
            return;
        }
        client.until = now + LIFETIME;
        if code >= 300 {
            let mut ack = Draft::new("ACK", &client.draft.uri);
            for name in ["Max-Forwards", "From", "Call-ID"] {
                ack.add(name, client.draft.get(name));
            }
            ack.add("To", value(text, "To"));
            let cseq = format!("{} ACK", client.cseq);
            let via = value(&client.text, "Via").to_owned();
            let ack = ack.write(&[("Via", &via), ("CSeq", &cseq)]);
            self.outgoing.push(ack.clone());
            if matches!(code, 401 | 407) && self.try_credentials(now, index, text) {
                return;
            }
            let client = &mut self.clients[index];
            client.done = Some(ack);
            let ticket = client.ticket;
            return self.finish(now, Purpose::Invite(call), None, ticket, code);
        }
        self.calls[call].statuses.push(code);
        let cseq = self.clients[index].cseq;
        let ack = self.establish(call, text, cseq);
        let client = &mut self.clients[index];
        client.done = Some(ack);
        self.outcomes[client.ticket] = Some(code);
    }

    /// A 2xx makes a dialog (§12.1.2); its ACK is sent and given back.
    fn establish(&mut self, call: usize, text: &str, cseq: u32) -> String {
        let state = &mut self.calls[call];
        state.remote = value(text, "To").into();
        state.target = uri_of(value(text, "Contact")).into();
        // §12.2.1.2: a request within the dialog changes no route.
        if state.state != CallState::Up {
            state.routes = listed(text, "Record-Route").rev().collect();
        }
        state.state = CallState::Up;
        let ack = state.ack(cseq);
        let branch = format!("z9hG4bK{}", self.token());
        let ack = ack.write(&[("Via", &self.via(&branch))]);
        self.sent.push(ack.clone());
        self.outgoing.push(ack.clone());
        ack
    }

    /// Two phones answered at once: the second is acknowledged and ended (§13.2.2.4).
    fn end_second_dialog(&mut self, now: Mono, call: usize, text: &str) {
        let (call_id, tag) = (self.calls[call].call_id.clone(), tag_of(value(text, "To")));
        let known = self.calls.iter().position(|it| it.call_id == call_id && tag_of(&it.remote) == tag);
        let second = known.unwrap_or_else(|| {
            self.calls.push(Call { state: CallState::Calling, ..self.calls[call].clone() });
            self.calls.len() - 1
        });
        self.establish(second, text, self.calls[second].cseq);
        self.calls[second].state = if known.is_some() { CallState::Over } else { CallState::Up };
        self.hang_up(now, second);
    }
}
