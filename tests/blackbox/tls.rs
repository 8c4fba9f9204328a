//! TLS: phones that speak it beside phones that do not, whose certificate is shown, and whose is believed.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use bench::certificates::{Authority, Issued, phone_believing};
use bench::deadline::Deadline;
use bench::phone::{Message, Phone, Transport, Wire, connect, exchange};
use rustls::{ClientConfig, ClientConnection, HandshakeKind};
use socket2::SockRef;

use crate::edge::{Edge, PATIENCE, Plan, desk, hotdesk, log_in_code, person};
use crate::faults::{address, connect_from};

/// What the edge's own certificate is for.
const NAME: &str = "edge.example";

/// An authority, an edge with a certificate of its, and what phones go by that believe it.
fn edge(more: &str, files: &[(&'static str, &str)]) -> (Authority, Edge, Arc<ClientConfig>) {
    let authority = Authority::new("us");
    let mut plan = Plan::default().with_tls(&authority.host(&[NAME]), more);
    plan.files.extend(files.iter().map(|(name, text)| (*name, (*text).to_owned())));
    let phone = Arc::new(phone_believing(authority.pem(), None));
    (authority, Edge::start(plan), phone)
}

fn showing(authority: &Authority, own: &Issued) -> Arc<ClientConfig> {
    Arc::new(phone_believing(authority.pem(), Some(own)))
}

/// `desk-NUMBER` over TLS, registered.
fn tls_desk(edge: &Edge, tls: &Arc<ClientConfig>, number: u16) -> Phone {
    let mut phone = Phone::over(edge.wire(NAME, tls).unwrap(), desk(number)).unwrap();
    assert_eq!(phone.register(600).unwrap().status(), Some(200));
    phone
}

/// The edge answers a question to itself on `wire`.
fn is_answered(wire: &mut Wire) -> bool {
    let options = "OPTIONS sip:demo.hotdesk SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:9;branch=z9hG4bKo\r\n\
                   Max-Forwards: 70\r\nFrom: <sip:a@demo.hotdesk>;tag=1\r\nTo: <sip:demo.hotdesk>\r\n\
                   Call-ID: o\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";
    wire.send(options.as_bytes()).unwrap();
    let answer = wire.receive(Deadline::after(PATIENCE)).unwrap();
    answer.as_ref().and_then(Message::status) == Some(200)
}

#[test]
fn phones_call_one_another_whatever_they_speak() {
    let (_, edge, tls) = edge("", &[]);

    for (number, other) in [(1, Transport::Udp), (3, Transport::Tcp)] {
        let mut secret = tls_desk(&edge, &tls, number);
        let mut plain = edge.taken_desk(other, number + 1);
        assert_eq!(secret.dial_code(&log_in_code(number)).unwrap().status(), Some(200));
        let (near, far) = (edge.address(Transport::Tls).to_string(), edge.address(other).to_string());

        let (mut outgoing, mut incoming) =
            connect(&mut secret, &mut plain, &format!("100{}", number + 1)).unwrap();
        let info = exchange(&mut plain, &mut incoming, &mut secret, "INFO").unwrap().status();
        let bye = exchange(&mut secret, &mut outgoing, &mut plain, "BYE").unwrap().status();
        assert_eq!((info, bye), (Some(200), Some(200)));
        // Each side's next hop is the listener of its own transport (RFC 5658 §4).
        let [first, second] = outgoing.routes() else { panic!("{:?}", outgoing.routes()) };
        assert!(
            first.contains(&format!("{near};transport=tls")) && second.contains(&far),
            "{first} {second}"
        );

        let (_, mut incoming) = connect(&mut plain, &mut secret, &format!("100{number}")).unwrap();
        let bye = exchange(&mut secret, &mut incoming, &mut plain, "BYE").unwrap().status();
        assert_eq!(incoming.invite.uri(), secret.contact(&format!("desk-{number}")));
        assert!(incoming.invite.header("Via").unwrap().starts_with(&format!("SIP/2.0/TLS {near}")));
        assert_eq!(bye, Some(200));
    }
}

#[test]
fn a_phone_that_comes_back_goes_on_with_its_session() {
    let (_, edge, tls) = edge("", &[]);
    let handshake = || {
        let mut wire = edge.wire(NAME, &tls).unwrap();
        // The ticket comes behind the handshake.
        assert!(is_answered(&mut wire));
        wire.tls().unwrap().handshake_kind()
    };

    let kinds = [handshake(), handshake(), handshake()];

    assert_eq!(
        kinds,
        [Some(HandshakeKind::Full), Some(HandshakeKind::Resumed), Some(HandshakeKind::Resumed)]
    );
    edge.wait_for_metric("hotdesk_transport_tls_resumptions_total", 2.0);
}

#[test]
fn a_tenant_has_a_certificate_of_its_own() {
    let (ours, theirs) = (Authority::new("us"), Authority::new("them"));
    let plan = Plan::default().with_tls(&ours.host(&[NAME]), "").with_certificate(
        "tenant.pem",
        "tenant.key",
        &theirs.host(&["sip.demo.hotdesk"]),
    );
    let tenant = "certificate = { chain = \"tenant.pem\", key = \"tenant.key\" }";
    let edge = Edge::start(Plan { tenant, ..plan });
    let believes = |authority: &Authority, name| {
        edge.wire(name, &Arc::new(phone_believing(authority.pem(), None))).is_ok()
    };

    assert!(believes(&theirs, "sip.demo.hotdesk"));
    assert!(believes(&ours, NAME));
    // Whoever asks for a name that nobody has is shown the edge's own.
    assert!(!believes(&ours, "other.example") && !believes(&theirs, "other.example"));
}

#[test]
fn a_reload_takes_in_a_new_certificate_and_no_connection_ends() {
    let (authority, mut edge, tls) = edge("", &[]);
    let mut before = edge.wire(NAME, &tls).unwrap();
    let renewed = authority.host(&[NAME, "new.example"]);
    edge.write("edge.pem", &renewed.chain);
    edge.write("edge.key", &renewed.key);

    edge.signal("HUP");
    edge.wait_for_log("configuration reloaded");

    assert!(is_answered(&mut before));
    assert!(is_answered(&mut edge.wire("new.example", &tls).unwrap()));
}

#[test]
fn a_reload_with_a_bad_certificate_changes_nothing_and_says_why() {
    let (authority, mut edge, tls) = edge("", &[]);
    edge.write("edge.key", &authority.host(&[NAME]).key);

    let checked = hotdesk(&["check", edge.file().to_str().unwrap()], "");
    edge.signal("HUP");
    let said = edge.wait_for_log("edge.key: it is the key of another certificate");

    assert_eq!(checked.status.code(), Some(1));
    assert!(said.contains("not reloaded"), "{said}");
    assert!(is_answered(&mut edge.wire(NAME, &tls).unwrap()));
}

#[test]
fn the_device_that_a_certificate_names_logs_in_by_its_wizard() {
    let (makers, strangers) = (Authority::new("maker"), Authority::new("maker"));
    let more = "client_certificates = \"optional\"\nclient_ca = \"makers.pem\"";
    let (authority, edge, none) = edge(more, &[("makers.pem", makers.pem())]);
    let register = |tls: &Arc<ClientConfig>, number| {
        let mut phone = Phone::over(edge.wire(NAME, tls).unwrap(), person(number)).unwrap();
        phone.register(600).unwrap().status()
    };

    // Nothing but the certificate says which phone it is; without one it is an ordinary phone.
    let certified = register(&showing(&authority, &makers.phone("020000000001")), 1);
    let ordinary = register(&none, 2);
    // Whoever nobody vouches for learns of it when he listens (RFC 8446 §4.4.2).
    let stranger = edge.wire(NAME, &showing(&authority, &strangers.phone("020000000003")));
    let refused = stranger.and_then(|mut wire| wire.receive(Deadline::after(PATIENCE)));

    assert_eq!((certified, ordinary), (Some(200), Some(200)));
    assert_eq!(edge.seats(), [("desk-1".into(), "1001".into())]);
    assert!(refused.is_err(), "{refused:?}");
    edge.wait_for_metric("hotdesk_transport_tls_refused_total", 1.0);
}

#[test]
fn a_certificate_alone_registers_nobody() {
    let makers = Authority::new("maker");
    let more = "client_certificates = \"required\"\nclient_ca = \"makers.pem\"";
    let (authority, edge, _) = edge(more, &[("makers.pem", makers.pem())]);
    let tls = showing(&authority, &makers.phone("020000000001"));
    let mut account = person(1);
    account.password = "wrong".into();

    let mut phone = Phone::over(edge.wire(NAME, &tls).unwrap(), account).unwrap();

    assert_eq!(phone.register(600).unwrap().status(), Some(401));
    assert_eq!(edge.seats(), []);
}

#[test]
fn whoever_speaks_no_tls_is_shown_the_door() {
    let (_, edge, tls) = edge("", &[]);

    for garbage in
        [&b"OPTIONS sip:demo.hotdesk SIP/2.0\r\n\r\n"[..], b"GET / HTTP/1.1\r\n\r\n", &[0xff; 4096]]
    {
        let mut stream = TcpStream::connect(edge.address(Transport::Tls)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        io::Write::write_all(&mut stream, garbage).unwrap();
        let mut heard = Vec::new();
        // A reset says it as well as an end.
        let ended = io::Read::read_to_end(&mut stream, &mut heard);
        assert!(!matches!(&ended, Err(error) if error.kind() == io::ErrorKind::WouldBlock), "{ended:?}");
        assert!(!heard.starts_with(b"SIP/2.0"), "{heard:?}");
    }
    edge.wait_for_metric("hotdesk_transport_tls_refused_total", 3.0);
    assert!(is_answered(&mut edge.wire(NAME, &tls).unwrap()));
}

#[test]
fn phones_are_served_while_others_never_finish_their_handshake() {
    let (_, edge, tls) = edge("", &[]);
    // The beginning of a handshake, and no more.
    let slow: Vec<TcpStream> = (0..300)
        .map(|_| {
            let mut stream = TcpStream::connect(edge.address(Transport::Tls)).unwrap();
            io::Write::write_all(&mut stream, b"\x16\x03\x01\x02\x00\x01").unwrap();
            stream
        })
        .collect();
    edge.wait_for_metric("hotdesk_transport_connections_accepted_total", 300.0);

    assert!(is_answered(&mut edge.wire(NAME, &tls).unwrap()));
    drop(slow);
}

#[test]
fn handshakes_of_one_address_leave_the_others_theirs() {
    let authority = Authority::new("us");
    let plan = Plan::default().with_tls(&authority.host(&[NAME]), "");
    let mut edge = Edge::start(Plan { limited: true, workers: 1, ..plan });
    let tls = Arc::new(phone_believing(authority.pem(), None));
    let (flooder, to) = (address(69, 1), edge.address(Transport::Tls));
    let shakes_hands = || {
        let mut session = ClientConnection::new(Arc::clone(&tls), NAME.try_into().unwrap()).unwrap();
        let mut stream = connect_from(flooder, to).unwrap();
        session.complete_io(&mut stream).is_ok()
    };
    let first = shakes_hands();
    // Long enough for more of them than time pays for, on a machine that has other things to do.
    let deadline = Deadline::after(6 * PATIENCE);
    let is_over = AtomicBool::new(false);

    let (refused, answered) = thread::scope(|scope| {
        scope.spawn(|| {
            while deadline.left().is_some() && !is_over.load(Ordering::Relaxed) {
                // By reset, so that it ties up no port here.
                if let Ok(stream) = connect_from(flooder, to) {
                    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
                }
            }
        });
        let refused = loop {
            if !shakes_hands() {
                break true;
            }
            if deadline.left().is_none() {
                break false;
            }
        };
        let answered = is_answered(&mut edge.wire(NAME, &tls).unwrap());
        is_over.store(true, Ordering::Relaxed);
        (refused, answered)
    });

    assert!(first && refused && answered, "{first} {refused} {answered}");
    let line = edge.wait_for_log("slowed address");
    let tail = format!(" WARN slowed address address={flooder} reason=handshakes over=connections");
    assert!(line.ends_with(&tail), "{line}");
    edge.wait_for_metric("hotdesk_handshakes_over_limit_total", 1.0);
}
