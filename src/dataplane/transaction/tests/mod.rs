//! The layer as a core sees it, and what the tests of all files here use.

mod client;
mod random;
mod room;
mod server;

use std::net::SocketAddr;
use std::time::Duration;

use super::timer::{Fired, NEVER};
use super::{Bounds, ClientId, Counts, Event, Full, Reception, Response, ServerId, Transactions};
use crate::flow::{ConnectionId, Flow, ListenerId, WorkerId};
use crate::now::Mono;
use crate::output::Outbox;
use crate::settings::Timers;

pub(super) const MAC_KEY: [u8; 16] = [7; 16];

pub(super) fn at(milliseconds: u64) -> Mono {
    Mono::default() + Duration::from_millis(milliseconds)
}

pub(super) fn parse(octets: &[u8]) -> sip::Message<'_> {
    sip::Message::parse(octets, &sip::Limits::default()).unwrap()
}

pub(super) fn datagram() -> Flow {
    Flow::datagram(ListenerId(0), SocketAddr::from(([192, 0, 2, 7], 5060)))
}

pub(super) fn stream(slot: u32) -> Flow {
    let connection = Some(ConnectionId::new(WorkerId(0), 1, slot));
    Flow { listener: ListenerId(1), remote: SocketAddr::from(([192, 0, 2, 7], 40_000)), connection }
}

/// Lets a machine alone until nothing is due any more: what fired, and at which millisecond. Timer C, which
/// comes again for ever, ends it too.
pub(super) fn fired<M>(
    machine: &mut M,
    due: impl Fn(&M) -> Mono,
    mut on_time: impl FnMut(&mut M, Mono) -> Fired,
) -> Vec<(u64, Fired)> {
    let mut all = Vec::new();
    while due(machine) != NEVER {
        let now = due(machine);
        let fired = on_time(machine, now);
        all.push((now.0 / 1_000_000, fired));
        if fired == Fired::TimerC {
            break;
        }
    }
    all
}

/// A request of a peer; `;tag=…` may follow To.
fn request(method: &str, branch: &str, to_tag: &str) -> String {
    format!(
        "{method} sip:1002@demo.hotdesk SIP/2.0\r\n\
         Via: SIP/2.0/UDP 192.0.2.7:5060;branch={branch}\r\n\
         Max-Forwards: 70\r\n\
         From: <sip:1001@demo.hotdesk>;tag=from\r\n\
         To: <sip:1002@demo.hotdesk>{to_tag}\r\n\
         Call-ID: call-{branch}\r\n\
         CSeq: 1 {method}\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

/// A response to a message of ours.
fn response(sent: &str, code: u16) -> String {
    let message = parse(sent.as_bytes());
    let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
    let cseq = message.cseq().unwrap();
    format!(
        "SIP/2.0 {code} Whatever\r\nVia: {}\r\nFrom: {}\r\nTo: {};tag=far\r\nCall-ID: {}\r\nCSeq: {} {}\r\n\
         Content-Length: 0\r\n\r\n",
        text(message.top_via().unwrap().raw),
        text(message.header(sip::Name::From).unwrap()),
        text(message.header(sip::Name::To).unwrap()),
        text(message.call_id().unwrap()),
        cseq.number,
        cseq.method,
    )
}

/// A layer with its clock, and what it gave out.
struct Layer {
    transactions: Transactions<u32>,
    now: Mono,
    out: Outbox,
    events: Vec<Event<u32>>,
}

impl Layer {
    fn new() -> Self {
        Self::bounded(Bounds::each(65_536))
    }

    fn bounded(bounds: Bounds) -> Self {
        Self {
            transactions: Transactions::new(WorkerId(3), Timers::default(), MAC_KEY, bounds),
            now: at(0),
            out: Outbox::new(),
            events: Vec::new(),
        }
    }

    fn receive(&mut self, flow: Flow, text: &str) -> Reception {
        let message = parse(text.as_bytes());
        let headers = message.validate().unwrap();
        self.transactions.receive_request(self.now, &flow, &message, &headers, &mut self.out)
    }

    /// Receives a request that must be new and begins its transaction.
    fn begin(&mut self, flow: Flow, text: &str, owner: u32) -> ServerId {
        let Reception::New(key) = self.receive(flow, text) else { panic!("not new: {text}") };
        self.transactions.begin_server(self.now, key, &flow, &parse(text.as_bytes()), owner).unwrap()
    }

    fn respond(&mut self, server: ServerId, code: u16) {
        let answer = format!("SIP/2.0 {code} Answer\r\nTo: <sip:1002@demo.hotdesk>;tag=ours\r\n\r\n");
        self.transactions.respond(self.now, server, code, &mut self.out, |buffer| {
            buffer.extend_from_slice(answer.as_bytes());
        });
    }

    fn respond_reliably(&mut self, server: ServerId) {
        self.transactions.respond_reliably(self.now, server, 200, &mut self.out, |buffer| {
            buffer.extend_from_slice(b"SIP/2.0 200 Ours\r\n\r\n");
        });
    }

    /// Sends a request; the client and what went out.
    fn send(&mut self, flow: Flow, method: &str, owner: u32, no_answer: Option<u64>) -> (ClientId, String) {
        let no_answer = no_answer.map(Duration::from_millis);
        let invite = method == "INVITE";
        let client = self.transactions.begin_client(
            self.now,
            flow,
            invite,
            owner,
            99,
            no_answer,
            &mut self.out,
            |buffer, branch| {
                let text = request(method, std::str::from_utf8(branch).unwrap(), "");
                buffer.extend_from_slice(text.as_bytes());
            },
        );
        (client.unwrap(), self.sent().pop().unwrap())
    }

    fn receive_response(&mut self, text: &str) -> Response<u32> {
        let message = parse(text.as_bytes());
        let headers = message.validate().unwrap();
        self.transactions.receive_response(self.now, &message, &headers, &mut self.out)
    }

    fn cancel(&mut self, client: ClientId) {
        self.transactions.cancel(self.now, client, &mut self.out);
    }

    /// Lets time pass, stopping wherever something is due.
    fn advance(&mut self, milliseconds: u64) {
        let until = self.now + Duration::from_millis(milliseconds);
        while let Some(due) = self.transactions.next_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.transactions.handle_timeout(self.now, &mut self.out, 3, &mut self.events);
        }
        self.now = until;
    }

    /// What went out since the last call.
    fn sent(&mut self) -> Vec<String> {
        let sent =
            self.out.messages().map(|(_, octets)| String::from_utf8(octets.to_vec()).unwrap()).collect();
        self.out.clear();
        sent
    }

    /// The first words of what went out since the last call.
    fn sent_words(&mut self) -> Vec<String> {
        let words = |text: &String| text.split("\r\n").next().unwrap_or_default().to_owned();
        self.sent().iter().map(words).map(|line| line.replace(" sip:1002@demo.hotdesk SIP/2.0", "")).collect()
    }

    fn events(&mut self) -> Vec<Event<u32>> {
        std::mem::take(&mut self.events)
    }
}
