//! A phone: it registers, answers challenges, refreshes, calls and is called, and repeats itself over datagrams as
//! RFC 3261 §17 wants. It is written apart from the edge and reads messages as text.
//!
//! In: messages and time. Out: messages, and what it [`heard`](Phone::heard).

use std::net::SocketAddr;
use std::time::Duration;

use super::blueprint::password;
use super::call::{Call, CallState};
use super::digest::{self, Asked};
use super::draft::Draft;
use super::heard::{Heard, quoted, tag_of, uri_of, value, values};
use crate::flow::Flow;
use crate::now::Mono;
use crate::random::Random;

const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
const LIFETIME: Duration = Duration::from_secs(32);
const NEVER: Mono = Mono(u64::MAX);

/// What a phone does when it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// 180, then 200 at once.
    Answers,
    /// 180, and a person is waited for.
    Rings,
    /// This final answer at once.
    Refuses(u16),
    /// Nothing at all, as a phone without power.
    Silent,
}

/// An account a phone holds.
#[derive(Clone, Debug)]
struct Account {
    user: String,
    call_id: String,
    cseq: u32,
    expires: u32,
    /// When it refreshes.
    refresh_at: Mono,
    asked: Option<Asked>,
}

/// What a request of the phone was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Register,
    Invite(usize),
    Other,
}

/// A request under way.
#[derive(Clone, Debug)]
struct Client {
    draft: Draft,
    account: Option<usize>,
    cseq: u32,
    branch: String,
    text: String,
    purpose: Purpose,
    ticket: usize,
    attempts: u8,
    interval: Duration,
    resend_at: Mono,
    until: Mono,
    /// It has its final answer; the ACK of that, where there is one.
    done: Option<String>,
}

/// A request that was answered, for when it comes again.
#[derive(Clone, Debug)]
struct Served {
    branch: String,
    method: String,
    response: String,
    interval: Duration,
    /// A final answer to an INVITE is repeated until its ACK comes.
    resend_at: Mono,
    until: Mono,
    call: Option<usize>,
}

/// A phone of the office.
#[derive(Debug)]
pub struct Phone {
    /// What it does when it is called.
    pub manner: Manner,
    /// It challenges NOTIFYs with this nonce and takes none without its own account's credentials.
    pub notify_nonce: Option<String>,
    /// What its user typed in place of the right password.
    pub wrong_password: Option<String>,
    /// Every digest answer it gave, for tests that look where they must not appear.
    pub responses: Vec<String>,
    pub(super) flow: Flow,
    pub(super) worker: u8,
    pub(super) plugged_in: bool,
    pub(super) outgoing: Vec<String>,
    pub(super) calls: Vec<Call>,
    pub(super) outcomes: Vec<Option<u16>>,
    /// Which account it speaks as.
    line: usize,
    accounts: Vec<Account>,
    domain: String,
    /// Where the phone believes it is: behind NAT, that is not where the edge sees it.
    address: SocketAddr,
    instance: Option<String>,
    random: Random,
    clients: Vec<Client>,
    served: Vec<Served>,
    heard: Vec<Heard>,
    sent: Vec<String>,
}

impl Phone {
    pub(super) fn new(domain: &str, flow: Flow, address: SocketAddr, random: Random) -> Self {
        Self {
            manner: Manner::Answers,
            notify_nonce: None,
            wrong_password: None,
            responses: Vec::new(),
            flow,
            worker: 0,
            plugged_in: true,
            outgoing: Vec::new(),
            calls: Vec::new(),
            outcomes: Vec::new(),
            line: 0,
            accounts: Vec::new(),
            domain: domain.into(),
            address,
            instance: None,
            random,
            clients: Vec::new(),
            served: Vec::new(),
            heard: Vec::new(),
            sent: Vec::new(),
        }
    }

    // ---- for assertions ----

    /// Everything it heard, oldest first.
    pub fn heard(&self) -> &[Heard] {
        &self.heard
    }

    /// The requests of one method it heard.
    pub fn requests(&self, method: &str) -> Vec<&Heard> {
        self.heard.iter().filter(|heard| heard.status().is_none() && heard.method() == method).collect()
    }

    /// The responses it heard to requests of one method.
    pub fn responses_to(&self, method: &str) -> Vec<&Heard> {
        self.heard.iter().filter(|heard| heard.status().is_some() && heard.method() == method).collect()
    }

    /// NOTIFYs with `Event: check-sync` it heard.
    pub fn reloads(&self) -> usize {
        let notifies = self.requests("NOTIFY");
        notifies
            .iter()
            .filter(|notify| notify.header("Event").is_some_and(|it| it.starts_with("check-sync")))
            .count()
    }

    /// Its calls, oldest first.
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// Calls that ring here now.
    pub fn ringing(&self) -> usize {
        self.calls.iter().filter(|call| !call.outgoing && call.state == CallState::Ringing).count()
    }

    /// Calls that are up.
    pub fn up(&self) -> usize {
        self.calls.iter().filter(|call| call.state == CallState::Up).count()
    }

    /// The last request of a method it sent, without repetitions.
    pub fn last_sent(&self, method: &str) -> &str {
        let mut sent = self.sent.iter().rev();
        sent.find(|text| text.starts_with(method)).map_or("", |text| text)
    }

    /// Forgets what it heard.
    pub fn forget(&mut self) {
        self.heard.clear();
    }

    /// Its contact for `user`.
    pub fn contact(&self, user: &str) -> String {
        let transport = if self.flow.is_reliable() { ";transport=tcp" } else { "" };
        format!("sip:{user}@{}{transport}", self.address)
    }

    /// Shows this `+sip.instance` in its REGISTERs from now on.
    pub fn show_instance(&mut self, instance: &str) {
        self.instance = Some(instance.into());
    }

    /// Belongs to another tenant from now on.
    pub(super) fn move_to(&mut self, domain: &str) {
        self.domain = domain.into();
    }

    // ---- what its user does ----

    /// Speaks as `user` from now on; the account is made if it is new.
    pub(super) fn use_account(&mut self, user: &str) {
        self.line = match self.accounts.iter().position(|account| account.user == user) {
            Some(known) => known,
            None => {
                let call_id = self.token();
                let account = Account {
                    user: user.into(),
                    call_id,
                    cseq: 0,
                    expires: 600,
                    refresh_at: NEVER,
                    asked: None,
                };
                self.accounts.push(account);
                self.accounts.len() - 1
            }
        };
    }

    /// The phone was without power: its registrations begin anew, with new Call-IDs.
    pub(super) fn boot(&mut self) {
        self.calls.iter_mut().for_each(|call| call.state = CallState::Over);
        self.clients.clear();
        self.served.clear();
        let call_ids: Vec<_> = self.accounts.iter().map(|_| self.random.token::<12>()).collect();
        for (account, call_id) in self.accounts.iter_mut().zip(call_ids) {
            account.call_id = String::from_utf8_lossy(&call_id).into_owned();
            account.cseq = 0;
            account.asked = None;
        }
    }

    /// Sends a REGISTER of the current account; `change` may alter it. Returns its ticket.
    pub(super) fn register(&mut self, now: Mono, change: impl FnOnce(&mut Draft)) -> usize {
        let tag = self.token();
        let line = self.line;
        let (user, call_id, expires) = {
            let account = &self.accounts[line];
            (account.user.clone(), account.call_id.clone(), account.expires)
        };
        let own = format!("<sip:{user}@{}>", self.domain);
        let instance =
            self.instance.as_ref().map_or_else(String::new, |it| format!(";+sip.instance=\"<{it}>\""));
        let mut draft = Draft::new("REGISTER", &format!("sip:{}", self.domain));
        draft
            .add("Max-Forwards", "70")
            .add("From", &format!("{own};tag={tag}"))
            .add("To", &own)
            .add("Call-ID", &call_id)
            .add("Contact", &format!("<{}>{instance}", self.contact(&user)))
            .add("Expires", &expires.to_string());
        change(&mut draft);
        self.accounts[line].cseq += 1;
        let cseq = self.accounts[line].cseq;
        self.send(now, draft, Some(line), cseq, Purpose::Register)
    }

    /// Calls `target`, a number or a URI; `change` may alter the INVITE. Returns the call.
    pub(super) fn dial(&mut self, now: Mono, target: &str, change: impl FnOnce(&mut Draft)) -> usize {
        let mut draft = self.request("INVITE", target);
        draft.add("Content-Type", "application/sdp");
        draft.body = "v=0\r\no=- 1 1 IN IP4 192.168.1.1\r\ns=-\r\nc=IN IP4 192.168.1.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n".into();
        change(&mut draft);
        let call = self.calls.len();
        self.calls.push(Call {
            state: CallState::Calling,
            outgoing: true,
            statuses: Vec::new(),
            ended_by_peer: false,
            call_id: draft.get("Call-ID").into(),
            local: draft.get("From").into(),
            remote: draft.get("To").into(),
            target: draft.uri.clone(),
            routes: Vec::new(),
            cseq: 1,
            invite: String::new(),
            branch: String::new(),
            cancel_wanted: false,
        });
        let line = (!self.accounts.is_empty()).then_some(self.line);
        self.send(now, draft, line, 1, Purpose::Invite(call));
        call
    }

    /// Sends any request outside a dialog. Returns its ticket.
    pub(super) fn ask(
        &mut self,
        now: Mono,
        method: &str,
        target: &str,
        change: impl FnOnce(&mut Draft),
    ) -> usize {
        let mut draft = self.request(method, target);
        change(&mut draft);
        let line = (!self.accounts.is_empty()).then_some(self.line);
        self.send(now, draft, line, 1, Purpose::Other)
    }

    /// Sends a request within a call.
    pub(super) fn ask_within(
        &mut self,
        now: Mono,
        call: usize,
        method: &str,
        change: impl FnOnce(&mut Draft),
    ) -> usize {
        let mut draft = self.calls[call].request(method);
        draft.remove("CSeq");
        change(&mut draft);
        let cseq = self.calls[call].cseq;
        let line = (!self.accounts.is_empty()).then_some(self.line);
        self.send(now, draft, line, cseq, Purpose::Other)
    }

    /// Takes a ringing call.
    pub(super) fn answer(&mut self, now: Mono, call: usize) {
        assert_eq!(self.calls[call].state, CallState::Ringing, "only what rings can be answered");
        self.calls[call].state = CallState::Up;
        self.respond_to_invite(now, call, 200);
    }

    /// Ends a call in the way its state wants.
    pub(super) fn hang_up(&mut self, now: Mono, call: usize) {
        let state = self.calls[call].state;
        match (state, self.calls[call].outgoing) {
            (CallState::Over, _) => {}
            (CallState::Up, _) => {
                self.calls[call].state = CallState::Over;
                self.ask_within(now, call, "BYE", |_| {});
            }
            (_, true) => {
                let provisional = !self.calls[call].statuses.is_empty();
                self.calls[call].cancel_wanted = true;
                if provisional {
                    self.cancel(now, call);
                }
            }
            (_, false) => {
                self.calls[call].state = CallState::Over;
                self.respond_to_invite(now, call, 603);
            }
        }
    }

    fn request(&mut self, method: &str, target: &str) -> Draft {
        let (tag, call_id) = (self.token(), self.token());
        let uri =
            if target.contains(':') { target.to_owned() } else { format!("sip:{target}@{}", self.domain) };
        let user = self.accounts.get(self.line).map_or("peer", |account| &account.user).to_owned();
        let mut draft = Draft::new(method, &uri);
        draft
            .add("Max-Forwards", "70")
            .add("From", &format!("\"Phone {user}\" <sip:{user}@{}>;tag={tag}", self.domain))
            .add("To", &format!("<{uri}>"))
            .add("Call-ID", &call_id)
            .add("Contact", &format!("<{}>", self.contact(&user)));
        draft
    }

    // ---- sending ----

    fn send(
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

    fn cancel(&mut self, now: Mono, call: usize) {
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

    fn via(&self, branch: &str) -> String {
        let transport = if self.flow.is_reliable() { "TCP" } else { "UDP" };
        format!("SIP/2.0/{transport} {};rport;branch={branch}", self.address)
    }

    fn token(&mut self) -> String {
        String::from_utf8_lossy(&self.random.token::<12>()).into_owned()
    }

    // ---- time ----

    pub(super) fn next_timeout(&self) -> Option<Mono> {
        let clients = self.clients.iter().filter(|client| client.done.is_none());
        let clients = clients.map(|client| client.resend_at.min(client.until));
        let served = self.served.iter().map(|served| served.resend_at);
        let accounts = self.accounts.iter().map(|account| account.refresh_at);
        clients.chain(served).chain(accounts).min().filter(|at| *at < NEVER && self.plugged_in)
    }

    pub(super) fn handle_timeout(&mut self, now: Mono) {
        for line in 0..self.accounts.len() {
            if self.accounts[line].refresh_at <= now {
                self.accounts[line].refresh_at = NEVER;
                let current = std::mem::replace(&mut self.line, line);
                self.register(now, |_| {});
                self.line = current;
            }
        }
        let mut timed_out = Vec::new();
        for client in &mut self.clients {
            if client.done.is_some() {
                continue;
            }
            if client.until <= now {
                client.done = Some(String::new());
                client.resend_at = NEVER;
                timed_out.push((client.purpose, client.account, client.ticket));
            } else if client.resend_at <= now {
                let doubled = client.interval * 2;
                // §17.1.1: an INVITE doubles for ever, everything else up to T2.
                client.interval =
                    if matches!(client.purpose, Purpose::Invite(_)) { doubled } else { doubled.min(T2) };
                client.resend_at = now + client.interval;
                self.outgoing.push(client.text.clone());
            }
        }
        for (purpose, account, ticket) in timed_out {
            self.finish(now, purpose, account, ticket, 408);
        }
        let mut abandoned = Vec::new();
        for served in &mut self.served {
            if served.resend_at > now {
                continue;
            }
            if served.until <= now {
                served.resend_at = NEVER;
                abandoned.extend(served.call);
            } else {
                served.interval = (served.interval * 2).min(T2);
                served.resend_at = now + served.interval;
                self.outgoing.push(served.response.clone());
            }
        }
        // §13.3.1.4: a call whose 2xx nobody acknowledges is ended.
        for call in abandoned {
            self.hang_up(now, call);
        }
        self.served.retain(|served| served.until > now || served.resend_at < NEVER);
        self.clients.retain(|client| client.until > now || client.done.is_none());
    }

    // ---- receiving ----

    pub(super) fn receive(&mut self, now: Mono, text: &str) {
        if text.starts_with("SIP/2.0 ") {
            self.on_response(now, text);
        } else if self.manner != Manner::Silent {
            self.on_request(now, text);
        } else {
            self.heard.push(Heard { at: now, text: text.into() });
        }
    }

    fn on_response(&mut self, now: Mono, text: &str) {
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
    fn finish(&mut self, now: Mono, purpose: Purpose, account: Option<usize>, ticket: usize, code: u16) {
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
            if code >= 300 || code >= 200 && same {
                self.outgoing.push(ack.clone());
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
        let call_state = &mut self.calls[call];
        call_state.statuses.push(code);
        call_state.state = CallState::Up;
        call_state.remote = value(text, "To").into();
        call_state.target = uri_of(value(text, "Contact")).into();
        call_state.routes = listed(text, "Record-Route").rev().collect();
        let ack = call_state.ack();
        let branch = format!("z9hG4bK{}", self.token());
        let ack = ack.write(&[("Via", &self.via(&branch))]);
        self.sent.push(ack.clone());
        self.outgoing.push(ack.clone());
        let client = &mut self.clients[index];
        client.done = Some(ack);
        self.outcomes[client.ticket] = Some(code);
    }

    fn on_request(&mut self, now: Mono, text: &str) {
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
                self.respond(now, text, 200, &[]);
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
            ("OPTIONS" | "MESSAGE" | "INFO", None) if to_tag.is_none() => self.respond(now, text, 200, &[]),
            (_, Some(_)) => self.respond(now, text, 200, &[]),
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
        for served in &mut self.served {
            if served.method == "INVITE" && (served.branch == branch || served.call == acknowledged) {
                served.resend_at = NEVER;
            }
        }
    }

    fn respond_to_invite(&mut self, now: Mono, call: usize, code: u16) {
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

/// The values of a header that lists several in a line.
fn listed(text: &str, name: &str) -> impl DoubleEndedIterator<Item = String> {
    let values: Vec<_> =
        values(text, name).flat_map(|line| line.split(',')).map(|it| it.trim().to_owned()).collect();
    values.into_iter()
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
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text + "Content-Length: 0\r\n\r\n"
}
