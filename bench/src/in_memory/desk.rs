//! A desk phone with two accounts, its own and its person's: what it has been told, and what it writes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use dataplane::flow::{Flow, ListenerId};

use crate::phone::{Challenge, Message};

/// The domain of all accounts.
pub const DOMAIN: &str = "demo.hotdesk";

/// What phones of this make add to each request; with it a REGISTER has some 900 octets.
const ABOUT: &str = "Max-Forwards: 70\r\nUser-Agent: Yealink SIP-T46U 108.86.0.70\r\nAllow: INVITE, INFO, PRACK, ACK, BYE, \
                     CANCEL, OPTIONS, NOTIFY, REGISTER, SUBSCRIBE, REFER, PUBLISH, UPDATE, MESSAGE\r\nAllow-Events: \
                     talk,hold,conference,refer,check-sync\r\n";

/// As whom a phone speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// As the device.
    Device,
    /// As the extension of that number on the floor.
    Extension(u32),
}

impl Role {
    /// The SIP user, on the desk with this number.
    pub fn user(self, desk: u32) -> String {
        match self {
            Self::Device => format!("desk-{desk:07}"),
            Self::Extension(number) => format!("{}", 1_000_000 + number),
        }
    }
}

/// The password of an account.
pub fn password(user: &str) -> String {
    format!("secret of {user}")
}

/// A phone on a desk.
#[derive(Clone, Debug)]
pub struct Desk {
    /// Its number on the floor.
    pub number: u32,
    address: Ipv4Addr,
    boot: u32,
    cseq: u32,
    device: Option<Box<Challenge>>,
    extension: Option<Box<Challenge>>,
}

impl Desk {
    /// A phone at this address, port 5060, that was never asked for anything. `boot` goes into its Call-IDs: one that
    /// starts anew has new ones (RFC 3261 §10.2.4).
    pub fn new(number: u32, address: Ipv4Addr, boot: u32) -> Self {
        Self { number, address, boot, cseq: 0, device: None, extension: None }
    }

    /// The way to it, through the first listener.
    pub fn flow(&self) -> Flow {
        Flow::datagram(ListenerId(0), SocketAddr::new(IpAddr::V4(self.address), 5060))
    }

    /// Keeps the challenge of a 401 for a role; `None` forgets it.
    pub fn keep(&mut self, role: Role, challenge: Option<Challenge>) {
        *self.challenge(role) = challenge.map(Box::new);
    }

    fn challenge(&mut self, role: Role) -> &mut Option<Box<Challenge>> {
        match role {
            Role::Device => &mut self.device,
            Role::Extension(_) => &mut self.extension,
        }
    }

    /// A REGISTER; `proven`: with credentials.
    ///
    /// # Panics
    /// If it is to be proven and no challenge was kept.
    pub fn register(&mut self, role: Role, seconds: u32, proven: bool) -> Vec<u8> {
        let user = role.user(self.number);
        let own = format!("<sip:{user}@{DOMAIN}>");
        let uri = format!("sip:{DOMAIN}");
        let credentials =
            if proven { self.credentials(role, "Authorization", "REGISTER", &uri) } else { String::new() };
        let (flow, number) = (self.flow(), self.number);
        let instance = format!("\"<urn:uuid:00000000-0000-4000-8000-{number:012x}>\"");
        let contact = format!("Contact: <sip:{user}@{}>;+sip.instance={instance}\r\n", flow.remote);
        let head = self.head("REGISTER", &uri, (&own, &own), &format!("{user}-{number}"));
        format!("{head}{contact}{credentials}{ABOUT}Expires: {seconds}\r\nContent-Length: 0\r\n\r\n")
            .into_bytes()
    }

    /// An INVITE to `callee`, with credentials of the device or without.
    ///
    /// # Panics
    /// If it is to be proven and no challenge was kept for the device.
    pub fn invite(&mut self, callee: &str, proven: bool) -> Vec<u8> {
        let user = Role::Device.user(self.number);
        let uri = format!("sip:{callee}@{DOMAIN}");
        let credentials = if proven {
            self.credentials(Role::Device, "Proxy-Authorization", "INVITE", &uri)
        } else {
            String::new()
        };
        let call_id = format!("{user}-call-{}", self.cseq);
        let addresses = (&*format!("<sip:{user}@{DOMAIN}>"), &*format!("<{uri}>"));
        let head = self.head("INVITE", &uri, addresses, &call_id);
        let contact = format!("Contact: <sip:{user}@{}>\r\n", self.flow().remote);
        let body = self.session();
        format!(
            "{head}{contact}{credentials}{ABOUT}Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }

    /// A request of the caller within the dialog that `answer`, a 2xx to its INVITE, has made (RFC 3261 §12.2.1.1).
    pub(super) fn within(&mut self, method: &str, answer: &Message) -> Vec<u8> {
        let target = answer.contact().unwrap_or_default();
        let mut routes = answer.values("Record-Route");
        routes.reverse();
        let routes: String = routes.iter().map(|route| format!("Route: {route}\r\n")).collect();
        let from = answer.header("From").unwrap_or_default();
        let to = answer.header("To").unwrap_or_default();
        let call_id = answer.header("Call-ID").unwrap_or_default();
        let cseq = answer.cseq() + u32::from(method != "ACK");
        let via = self.via();
        format!(
            "{method} {target} SIP/2.0\r\n{via}{routes}From: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\n\
             CSeq: {cseq} {method}\r\n{ABOUT}Content-Length: 0\r\n\r\n"
        )
        .into_bytes()
    }

    /// An answer to a request it was sent.
    pub fn answer(&self, request: &Message, status: &str) -> Vec<u8> {
        let lines = |name: &str| -> String {
            request.values(name).iter().map(|value| format!("{name}: {value}\r\n")).collect()
        };
        let line = |name| request.header(name).unwrap_or_default();
        let tag =
            if request.to_tag().is_some() { String::new() } else { format!(";tag=desk{}", self.number) };
        let is_invite = request.is_request("INVITE");
        let contact = if is_invite { format!("Contact: <{}>\r\n", request.uri()) } else { String::new() };
        let body = if is_invite && status.starts_with('2') { self.session() } else { String::new() };
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        format!(
            "SIP/2.0 {status}\r\n{}{}From: {}\r\nTo: {}{tag}\r\nCall-ID: {}\r\nCSeq: {}\r\n{contact}{kind}\
             Content-Length: {}\r\n\r\n{body}",
            lines("Via"),
            lines("Record-Route"),
            line("From"),
            line("To"),
            line("Call-ID"),
            line("CSeq"),
            body.len()
        )
        .into_bytes()
    }

    fn head(&mut self, method: &str, uri: &str, (from, to): (&str, &str), call_id: &str) -> String {
        let via = self.via();
        format!(
            "{method} {uri} SIP/2.0\r\n{via}From: \"Open Desk\" {from};tag=1203990{cseq}\r\nTo: {to}\r\n\
             Call-ID: {call_id}@{boot}.desk\r\nCSeq: {cseq} {method}\r\n",
            cseq = self.cseq,
            boot = self.boot
        )
    }

    /// Each request has a CSeq of its own, and its branch is made of it.
    fn via(&mut self) -> String {
        self.cseq += 1;
        format!(
            "Via: SIP/2.0/UDP {};branch=z9hG4bK28{}x{};rport\r\n",
            self.flow().remote,
            self.number,
            self.cseq
        )
    }

    fn credentials(&mut self, role: Role, header: &str, method: &str, uri: &str) -> String {
        let user = role.user(self.number);
        let challenge = self.challenge(role).as_mut().expect("the phone was challenged before");
        format!("{header}: {}\r\n", challenge.answer(&user, &password(&user), method, uri, "0a4f113b"))
    }

    fn session(&self) -> String {
        let ip = self.flow().remote.ip();
        format!(
            "v=0\r\no=- 20817 20817 IN IP4 {ip}\r\ns=call\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio 11780 RTP/AVP 9 8 0 101\r\n\
             a=rtpmap:9 G722/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
             a=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
        )
    }
}
