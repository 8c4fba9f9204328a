//! A phone: it registers, answers challenges, refreshes, calls and is called, and repeats itself over datagrams as
//! RFC 3261 §17 wants. It is written apart from the edge and reads messages as text.
//!
//! In: messages and time. Out: messages, and what it [`heard`](Phone::heard).

mod client;
mod door;
mod server;

pub use door::Door;

use std::net::SocketAddr;
use std::time::Duration;

use crate::flow::{ConnectionId, Flow};
use crate::now::Mono;
use crate::random::Random;
use crate::testing::call::{Call, CallState};
use crate::testing::digest::Asked;
use crate::testing::draft::Draft;
use crate::testing::heard::{Heard, values};
use crate::testing::office::Listening;

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
    /// This final answer at once, to a MESSAGE too.
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
    /// It answers every NOTIFY with this status and these headers.
    pub notify_refusal: Option<(u16, &'static [(&'static str, &'static str)])>,
    /// The CSeq of its calls' INVITEs.
    pub first_cseq: u32,
    /// A peer that asks who sends it requests.
    pub door: Option<Door>,
    /// What its user typed in place of the right password.
    pub wrong_password: Option<String>,
    /// Every digest answer it gave, for tests that look where they must not appear.
    pub responses: Vec<String>,
    /// What it does about connections of the edge, if it is a peer.
    pub listening: Listening,
    /// It sends its requests down the connection that the edge has to it, while there is one.
    pub asks_by_stream: bool,
    /// The MAC that its certificate names, if it shows one.
    pub certified: Option<[u8; 6]>,
    pub(super) flow: Flow,
    /// Where its next message is seen, if they take turns between two ways.
    pub(super) other_way: Option<SocketAddr>,
    /// Of its contacts.
    pub(super) scheme: &'static str,
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
    reg_id: Option<u32>,
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
            notify_refusal: None,
            first_cseq: 1,
            door: None,
            wrong_password: None,
            responses: Vec::new(),
            listening: Listening::default(),
            asks_by_stream: false,
            certified: None,
            flow,
            other_way: None,
            scheme: "sip",
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
            reg_id: None,
            random,
            clients: Vec::new(),
            served: Vec::new(),
            heard: Vec::new(),
            sent: Vec::new(),
        }
    }

    /// The connection it has now, if it speaks over a stream; another one after the edge or the network closed it.
    pub fn connection(&self) -> Option<ConnectionId> {
        self.flow.connection
    }

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
        let transport = match self.transport() {
            "UDP" => String::new(),
            stream => format!(";transport={}", stream.to_lowercase()),
        };
        format!("{}:{user}@{}{transport}", self.scheme, self.address)
    }

    /// As Via names it.
    pub(super) fn transport(&self) -> &'static str {
        ["UDP", "TCP", "TLS"][usize::from(self.flow.listener.0)]
    }

    /// The account it speaks as; empty without one.
    pub fn account(&self) -> &str {
        self.accounts.get(self.line).map_or("", |account| &account.user)
    }

    /// The next REGISTER of the current account has the CSeq after this one.
    pub fn set_cseq(&mut self, cseq: u32) {
        self.accounts[self.line].cseq = cseq;
    }

    /// Shows this `+sip.instance` in its REGISTERs from now on.
    pub fn show_instance(&mut self, instance: &str) {
        self.instance = Some(instance.into());
    }

    /// Is flow `reg_id` of the phone with this instance from now on (RFC 5626).
    pub fn show_flow(&mut self, instance: &str, reg_id: u32) {
        self.show_instance(instance);
        self.reg_id = Some(reg_id);
    }

    /// Belongs to another tenant from now on.
    pub(super) fn move_to(&mut self, domain: &str) {
        self.domain = domain.into();
    }

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
        let reg_id = self.reg_id.map_or_else(String::new, |it| format!(";reg-id={it}"));
        let mut draft = Draft::new("REGISTER", &format!("sip:{}", self.domain));
        if self.reg_id.is_some() {
            draft.add("Supported", "path, outbound");
        }
        draft
            .add("Max-Forwards", "70")
            .add("From", &format!("{own};tag={tag}"))
            .add("To", &own)
            .add("Call-ID", &call_id)
            .add("Contact", &format!("<{}>{instance}{reg_id}", self.contact(&user)))
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
            ack_body: String::new(),
            cseq: self.first_cseq,
            invite: String::new(),
            branch: String::new(),
            cancel_wanted: false,
        });
        let line = (!self.accounts.is_empty()).then_some(self.line);
        self.send(now, draft, line, self.first_cseq, Purpose::Invite(call));
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
        // Of a dialog of its own it has a number that grows.
        let cseq = draft.get("CSeq").parse().unwrap_or(1);
        draft.remove("CSeq");
        let line = (!self.accounts.is_empty()).then_some(self.line);
        self.send(now, draft, line, cseq, Purpose::Other)
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

    /// Sends an INVITE within a call; its 2xx is acknowledged.
    pub(super) fn invite_again(&mut self, now: Mono, call: usize, change: impl FnOnce(&mut Draft)) -> usize {
        let user = self.account().to_owned();
        let contact = format!("<{}>", self.contact(&user));
        let mut draft = self.calls[call].request("INVITE");
        draft.remove("CSeq").add("Contact", &contact);
        change(&mut draft);
        let cseq = self.calls[call].cseq;
        let line = (!self.accounts.is_empty()).then_some(self.line);
        self.send(now, draft, line, cseq, Purpose::Invite(call))
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

    pub(super) fn receive(&mut self, now: Mono, text: &str) {
        if text.starts_with("SIP/2.0 ") {
            self.on_response(now, text);
        } else if self.manner != Manner::Silent {
            self.on_request(now, text);
        } else {
            self.heard.push(Heard { at: now, text: text.into() });
        }
    }
}

/// The values of a header that lists several in a line.
fn listed(text: &str, name: &str) -> impl DoubleEndedIterator<Item = String> {
    let values: Vec<_> =
        values(text, name).flat_map(|line| line.split(',')).map(|it| it.trim().to_owned()).collect();
    values.into_iter()
}
