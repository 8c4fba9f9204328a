//! TCP: how octets become messages, and what becomes of octets that do not (RFC 3261 §18.3).

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;

use bench::certificates::{Authority, phone_believing};
use bench::deadline::Deadline;
use bench::phone::{Message, Phone, Transport, Wire};

use crate::edge::{Edge, PATIENCE, Plan, person};

/// A question to the edge itself: it is answered without a log-in.
fn options(number: u32) -> String {
    format!(
        "OPTIONS sip:demo.hotdesk SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bKo{number}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:a@demo.hotdesk>;tag=1\r\nTo: <sip:demo.hotdesk>\r\n\
         Call-ID: o{number}\r\nCSeq: {number} OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
}

fn open(edge: &Edge) -> Wire {
    Wire::open(Transport::Tcp, edge.address(Transport::Tcp)).unwrap()
}

fn receive(wire: &mut Wire) -> Message {
    wire.receive(Deadline::after(PATIENCE)).unwrap().expect("an answer in time")
}

/// Everything that comes until the edge closes the connection.
fn receive_to_the_end(wire: &mut Wire) -> Vec<Message> {
    let mut messages = Vec::new();
    let deadline = Deadline::after(PATIENCE);
    loop {
        match wire.receive(deadline) {
            Ok(Some(message)) => messages.push(message),
            Ok(None) => panic!("the connection stays open after {messages:?}"),
            Err(error) => {
                let gone = [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset];
                assert!(gone.contains(&error.kind()), "{error}");
                return messages;
            }
        }
    }
}

#[test]
fn octets_one_by_one_are_a_message() {
    let edge = Edge::start(Plan::default());
    let mut wire = open(&edge);
    let body = options(1).replace("Content-Length: 0\r\n\r\n", "Content-Length: 4\r\n\r\n\r\n\r\n");

    for octet in body.as_bytes() {
        wire.send(&[*octet]).unwrap();
    }

    assert_eq!(receive(&mut wire).status(), Some(200));
}

#[test]
fn a_message_cut_anywhere_is_whole_again() {
    let edge = Edge::start(Plan::default());
    let mut wire = open(&edge);
    let text = options(1);
    let header_name = text.find("Call-").unwrap() + 3;
    let line_end = text.find("\r\n").unwrap() + 1;

    for (number, cut) in [header_name, line_end, text.len() - 3, text.len() - 1].into_iter().enumerate() {
        let text = options(u32::try_from(number).unwrap());
        wire.send(&text.as_bytes()[..cut]).unwrap();
        wire.send(&text.as_bytes()[cut..]).unwrap();
        assert_eq!(receive(&mut wire).header("Call-ID"), Some(&*format!("o{number}")));
    }
}

#[test]
fn every_message_of_a_segment_is_answered() {
    let edge = Edge::start(Plan::default());

    for count in [2, 200] {
        let mut wire = open(&edge);
        let segment: String = (0..count).map(options).collect();
        wire.send(segment.as_bytes()).unwrap();
        for number in 0..count {
            let answer = receive(&mut wire);
            assert_eq!((answer.status(), answer.cseq()), (Some(200), number));
        }
    }
}

#[test]
fn what_follows_a_doubtful_length_is_never_read_as_a_message() {
    let edge = Edge::start(Plan::default());

    for length in ["-1", "+0", "0x0", "", "four", "4294967296", "18446744073709551616", "0, 0"] {
        let mut wire = open(&edge);
        let doubtful = options(1).replace("Content-Length: 0", &format!("Content-Length: {length}"));
        wire.send(format!("{doubtful}{}", options(2)).as_bytes()).unwrap();

        let answers = receive_to_the_end(&mut wire);

        let statuses: Vec<_> = answers.iter().map(|answer| (answer.status(), answer.cseq())).collect();
        assert!(matches!(statuses[..], [] | [(Some(400 | 413), 1)]), "{length:?}: {statuses:?}");
    }
    edge.wait_for_metric("hotdesk_transport_stream_misframed_total", 8.0);
}

#[test]
fn a_message_inside_a_body_is_a_body() {
    let edge = Edge::start(Plan::default());
    let mut wire = open(&edge);
    let inner = options(2);
    let outer = options(1).replace("Content-Length: 0", &format!("Content-Length: {}", inner.len()));

    wire.send(format!("{outer}{inner}{}", options(3)).as_bytes()).unwrap();

    assert_eq!((receive(&mut wire).cseq(), receive(&mut wire).cseq()), (1, 3));
}

#[test]
fn a_request_is_answered_although_its_sender_has_finished() {
    let edge = Edge::start(Plan::default());
    let mut wire = open(&edge);

    wire.send(options(1).as_bytes()).unwrap();
    wire.finish().unwrap();

    assert_eq!(receive(&mut wire).status(), Some(200));
}

#[test]
fn a_phone_that_has_finished_is_given_up_at_once_ringing_or_not() {
    let authority = Authority::new("us");
    let plan = Plan { more: "[timers]\nno_answer_from_phone = \"32s\"\n", ..Plan::default() };
    let edge = Edge::start(plan.with_tls(&authority.host(&["edge.example"]), ""));
    let tls = Arc::new(phone_believing(authority.pem(), None));
    let mut caller = edge.taken_desk(Transport::Udp, 1);

    for wire in [open(&edge), edge.wire("edge.example", &tls).unwrap()] {
        let mut phone = Phone::over(wire, person(2)).unwrap();
        assert_eq!(phone.register(600).unwrap().status(), Some(200));
        let mut ringing = caller.dial("1002").unwrap();
        phone.rings().unwrap();

        phone.wire().finish().unwrap();

        assert_eq!(caller.outcome(&mut ringing).unwrap().status(), Some(480));
        let mut again = caller.dial("1002").unwrap();
        assert_eq!(caller.outcome(&mut again).unwrap().status(), Some(480));
    }
}

#[test]
fn a_ping_between_messages_is_answered() {
    let edge = Edge::start(Plan::default());
    let mut wire = open(&edge);
    let mut octets = [0; 64];

    wire.send(b"\r\n\r\n").unwrap();
    let pong = wire.read(&mut octets, Deadline::after(PATIENCE)).unwrap().unwrap();
    wire.send(options(1).as_bytes()).unwrap();

    assert_eq!(&octets[..pong], b"\r\n");
    assert_eq!(receive(&mut wire).status(), Some(200));
}

#[test]
fn whoever_speaks_something_else_is_shown_the_door() {
    let edge = Edge::start(Plan::default());

    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        &[0xff; 4096],
    ] {
        let mut wire = open(&edge);
        wire.send(garbage).unwrap();
        let answers = receive_to_the_end(&mut wire);
        assert_eq!(answers, []);
    }
    let mut wire = open(&edge);
    wire.send(options(1).as_bytes()).unwrap();
    assert_eq!(receive(&mut wire).status(), Some(200));
}

#[test]
fn whoever_hangs_up_before_the_answer_harms_nobody() {
    let edge = Edge::start(Plan::default());

    for number in 0..50 {
        let mut wire = open(&edge);
        wire.send((0..20).map(|message| options(number * 20 + message)).collect::<String>().as_bytes())
            .unwrap();
        // Unread answers make this a reset.
        drop(wire);
    }

    let mut wire = open(&edge);
    wire.send(options(1).as_bytes()).unwrap();
    assert_eq!(receive(&mut wire).status(), Some(200));
    assert!(edge.metric("hotdesk_worker_panics_total") == 0.0);
}

#[test]
fn a_large_message_is_taken_and_a_huge_one_is_not() {
    let edge = Edge::start(Plan::default());
    let body = "x".repeat(60_000);
    let mut wire = open(&edge);
    let large = options(1).replace("Content-Length: 0", &format!("Content-Length: {}", body.len()));
    wire.send(format!("{large}{body}").as_bytes()).unwrap();
    assert_eq!(receive(&mut wire).status(), Some(200));

    let huge = options(2).replace("Content-Length: 0", "Content-Length: 20000000");
    wire.send(huge.as_bytes()).unwrap();

    let statuses: Vec<_> = receive_to_the_end(&mut wire).iter().map(Message::status).collect();
    assert!(matches!(statuses[..], [] | [Some(400 | 413)]), "{statuses:?}");
}

#[test]
fn a_phone_is_never_connected_to() {
    let edge = Edge::start(Plan::default());
    let elsewhere = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let contact = format!("<sip:1001@{};transport=tcp>", elsewhere.local_addr().unwrap());
    let mut caller = edge.taken_desk(Transport::Udp, 2);
    let mut phone = edge.phone(Transport::Tcp, person(1));
    let draft = phone.draft_register(&person(1), 600).replace("Contact", &contact);
    assert_eq!(phone.ask(&person(1), draft).unwrap().status(), Some(200));

    drop(phone);
    let mut call = caller.dial("1001").unwrap();
    let outcome = caller.outcome(&mut call).unwrap();

    assert_eq!(outcome.status(), Some(480));
    assert_eq!(elsewhere.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
}
