use std::sync::Arc;

use bench::certificates::{Authority, Issued, phone_believing};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::*;

const MAC: [u8; 6] = [0x00, 0x15, 0x65, 0xf4, 0x29, 0xa4];

fn certificate(issued: &Issued) -> Certificate {
    Certificate::new(Chain::read(issued.chain.as_bytes()).unwrap(), issued.key.as_bytes()).unwrap()
}

/// An authority, and a listener with a certificate of its for `edge.example`.
fn edge(clients: Option<Clients>) -> (Authority, Acceptor) {
    let authority = Authority::new("us");
    let own = certificate(&authority.host(&["edge.example"]));
    (authority, Acceptor::new(own, clients))
}

fn clients(of: &Authority, required: bool) -> Clients {
    let patterns = vec!["CN={mac}".parse().unwrap()];
    Clients::new(Authorities::read(of.pem().as_bytes()).unwrap(), required, patterns)
}

/// Both ends of a session, as far as they came with one another.
struct Line {
    phone: ClientConnection,
    edge: Session,
    /// What the edge's end came to last.
    taken: Taken,
    /// What the edge heard, and from whom.
    heard: Vec<(Option<[u8; 6]>, Vec<u8>)>,
    /// What the phone did not like.
    dismay: Option<rustls::Error>,
}

impl Line {
    fn open(acceptor: &Acceptor, name: &'static str, phone: ClientConfig) -> Self {
        Self::with(acceptor, name, &Arc::new(phone))
    }

    fn with(acceptor: &Acceptor, name: &'static str, phone: &Arc<ClientConfig>) -> Self {
        let name = ServerName::try_from(name).unwrap();
        let phone = ClientConnection::new(Arc::clone(phone), name).unwrap();
        let edge = Session::new(acceptor.clone()).unwrap();
        let mut line = Self { phone, edge, taken: Taken::Open, heard: Vec::new(), dismay: None };
        line.talk(usize::MAX);
        line
    }

    /// Carries octets, so many at a time, until neither has more to say.
    fn talk(&mut self, at_once: usize) {
        loop {
            let mut said = Vec::new();
            while self.phone.wants_write() {
                self.phone.write_tls(&mut said).unwrap();
            }
            for piece in said.chunks(at_once) {
                if self.taken == Taken::Open {
                    self.taken = self.edge.take_in(piece, |mac, clear| self.heard.push((mac, clear.into())));
                }
            }
            let answer = self.edge.take_out();
            self.phone_hears(&answer);
            if said.is_empty() && answer.is_empty() {
                return;
            }
        }
    }

    fn phone_hears(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() && self.dismay.is_none() {
            self.phone.read_tls(&mut octets).unwrap();
            self.dismay = self.phone.process_new_packets().err();
        }
    }

    /// The phone says something; the edge hears it.
    fn say(&mut self, text: &str) {
        if self.dismay.is_none() {
            self.phone.writer().write_all(text.as_bytes()).unwrap();
        }
        self.talk(usize::MAX);
    }
}

#[test]
fn what_is_said_octet_by_octet_is_heard_on_both_sides() {
    let (authority, acceptor) = edge(None);
    let mut line = Line::open(&acceptor, "edge.example", phone_believing(authority.pem(), None));
    assert_eq!(line.edge.handshake(), Some(Handshake::Full));

    line.phone.writer().write_all(b"hello").unwrap();
    line.talk(1);
    let sealed = line.edge.seal(b"welcome");
    line.phone_hears(&sealed);

    assert_eq!(line.heard, [(None, b"hello".to_vec())]);
    assert!(!sealed.windows(7).any(|seven| seven == b"welcome"));
    assert_eq!(line.phone.reader().fill_buf().unwrap(), b"welcome");
}

#[test]
fn the_certificate_is_that_of_the_name_asked_for() {
    let (authority, acceptor) = edge(None);
    let named = [authority.host(&["acme.example", "*.acme.example"]), authority.host(&["globex.example"])];
    let acceptor = acceptor.with_named(named.iter().map(certificate).collect());
    let is_believed = |name| {
        let line = Line::open(&acceptor, name, phone_believing(authority.pem(), None));
        line.dismay.is_none() && line.edge.handshake().is_some()
    };

    for name in ["edge.example", "acme.example", "sip.acme.example", "ACME.example", "globex.example"] {
        assert!(is_believed(name), "{name}");
    }
    for name in ["other.example", "a.b.acme.example", "sip.globex.example"] {
        assert!(!is_believed(name), "{name}");
    }
}

#[test]
fn a_session_goes_on_with_the_ticket_of_the_one_before() {
    let (authority, acceptor) = edge(None);
    let phone = Arc::new(phone_believing(authority.pem(), None));
    drop(Line::with(&acceptor, "edge.example", &phone));

    let next = Line::with(&acceptor, "edge.example", &phone);
    let elsewhere = Acceptor::new(certificate(&authority.host(&["edge.example"])), None);
    let renewed = Line::with(&elsewhere, "edge.example", &phone);

    assert_eq!(next.edge.handshake(), Some(Handshake::Resumed));
    assert_eq!(renewed.edge.handshake(), Some(Handshake::Full));
}

#[test]
fn a_phone_is_the_one_its_certificate_names_also_when_it_comes_back() {
    let makers = Authority::new("maker");
    let (authority, acceptor) = edge(Some(clients(&makers, false)));
    let own = makers.phone("001565F429A4");
    let phone = Arc::new(phone_believing(authority.pem(), Some(&own)));

    for handshake in [Handshake::Full, Handshake::Resumed] {
        let mut line = Line::with(&acceptor, "edge.example", &phone);
        line.say("hello");

        assert_eq!(line.edge.handshake(), Some(handshake));
        assert_eq!(line.heard, [(Some(MAC), b"hello".to_vec())]);
    }
}

#[test]
fn a_certificate_that_nobody_vouches_for_ends_the_session() {
    let (makers, strangers) = (Authority::new("maker"), Authority::new("maker"));
    let (authority, acceptor) = edge(Some(clients(&makers, false)));

    for own in
        [strangers.phone("001565F429A4"), makers.expired_phone("001565F429A4"), makers.host(&["a.example"])]
    {
        let mut line = Line::open(&acceptor, "edge.example", phone_believing(authority.pem(), Some(&own)));
        line.say("hello");

        assert_eq!((line.taken, line.heard), (Taken::Refused, vec![]));
        assert!(matches!(line.dismay, Some(rustls::Error::AlertReceived(_))), "{:?}", line.dismay);
    }
}

#[test]
fn whoever_shows_no_certificate_is_served_unless_one_is_required() {
    let makers = Authority::new("maker");

    for (required, heard) in [(false, vec![(None, b"hello".to_vec())]), (true, vec![])] {
        let (authority, acceptor) = edge(Some(clients(&makers, required)));
        let mut line = Line::open(&acceptor, "edge.example", phone_believing(authority.pem(), None));
        line.say("hello");
        assert_eq!(line.heard, heard, "required: {required}");
    }
}

#[test]
fn what_is_no_tls_is_refused_with_an_alert() {
    let (_, acceptor) = edge(None);

    for garbage in
        [&b"OPTIONS sip:edge SIP/2.0\r\n\r\n"[..], &[0xff; 64], b"\x16\x03\x01\x00\x04\xff\x00\x00\x00"]
    {
        let mut session = Session::new(acceptor.clone()).unwrap();
        assert_eq!(session.take_in(garbage, |_, _| panic!("nothing was said")), Taken::Refused);
        // An alert (RFC 8446 §6).
        assert_eq!(session.take_out().first(), Some(&21));
    }
}

#[test]
fn only_sip_is_spoken_to_whoever_names_a_protocol() {
    let (authority, acceptor) = edge(None);
    let asking = |protocol: &str| {
        let mut phone = phone_believing(authority.pem(), None);
        phone.alpn_protocols = vec![protocol.into()];
        Line::open(&acceptor, "edge.example", phone).taken
    };

    assert_eq!(
        [asking("sip/2"), asking("sip"), asking("http/1.1")],
        [Taken::Open, Taken::Open, Taken::Refused]
    );
}

#[test]
fn the_last_word_of_either_side_is_understood() {
    let (authority, acceptor) = edge(None);
    let mut line = Line::open(&acceptor, "edge.example", phone_believing(authority.pem(), None));

    let farewell = line.edge.farewell();
    line.phone_hears(&farewell);
    assert_eq!(line.phone.reader().fill_buf().unwrap(), b"");
    line.phone.send_close_notify();
    line.talk(usize::MAX);

    assert_eq!(line.taken, Taken::Ended);
}

#[test]
fn a_key_of_another_certificate_and_what_is_none_are_told_apart() {
    let authority = Authority::new("us");
    let (one, another) = (authority.host(&["a.example"]), authority.host(&["a.example"]));
    let chain = || Chain::read(one.chain.as_bytes()).unwrap();

    assert!(matches!(Certificate::new(chain(), another.key.as_bytes()), Err(KeyError::OfAnother)));
    assert!(matches!(Certificate::new(chain(), one.chain.as_bytes()), Err(KeyError::Empty)));
    assert!(matches!(Chain::read(one.key.as_bytes()), Err(ChainError::Empty)));
    let cut = &one.chain[..one.chain.len() - 30];
    assert!(matches!(Chain::read(cut.as_bytes()), Err(ChainError::Pem(_))));
    let none = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(Chain::read(none.as_bytes()), Err(ChainError::Unreadable(_))));
}

#[test]
fn acceptors_of_the_same_certificates_are_the_same() {
    let (authority, acceptor) = edge(None);
    let own = authority.host(&["edge.example"]);
    let of = |clients| Acceptor::new(certificate(&own), clients);

    assert_eq!(of(None), of(None));
    assert_ne!(of(None), acceptor);
    assert_ne!(of(None), of(Some(clients(&authority, false))));
    assert_ne!(of(Some(clients(&authority, true))), of(Some(clients(&authority, false))));
    assert_ne!(of(None), of(None).with_named(vec![certificate(&own)]));
}
