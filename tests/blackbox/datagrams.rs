//! UDP: REGISTER, where answers go, keep-alives.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bench::deadline::Deadline;
use bench::phone::{Algorithm, Challenge, Phone, Transport, connect, hang_up, parameter};

use crate::edge::{Edge, PATIENCE, Plan, desk, person};

#[test]
fn a_phone_registers_over_ipv4_with_md5() {
    let edge = Edge::start(Plan::default());
    let mut phone = edge.phone(Transport::Udp, desk(1));

    let first = phone.draft_register(&desk(1), 600);
    let sent = phone.send(&first, &desk(1), None).unwrap();
    let challenge = phone.final_answer(&sent).unwrap();
    let answer = phone.register(600).unwrap();

    assert_eq!(challenge.status(), Some(401));
    assert_eq!(Challenge::read(&challenge).unwrap().algorithm, Algorithm::Md5);
    assert_eq!(answer.status(), Some(200));
    assert_eq!(answer.contact(), Some(&*phone.contact("desk-1")));
    let expires: u32 = parameter(answer.header("Contact").unwrap(), "expires").unwrap().parse().unwrap();
    assert!((540..=600).contains(&expires), "each phone comes back at its own time: {expires}");
}

#[test]
fn a_phone_registers_over_ipv6_with_sha256() {
    let plan = Plan { registration: "digest = [\"SHA-256\", \"MD5\"]\n", ..Plan::default() };
    let edge = Edge::start(plan.with_ipv6());
    let mut phone = Phone::open(Transport::Udp, edge.address_ipv6(Transport::Udp), desk(1)).unwrap();

    let first = phone.draft_register(&desk(1), 600);
    let sent = phone.send(&first, &desk(1), None).unwrap();
    let challenge = phone.final_answer(&sent).unwrap();
    let answer = phone.register(600).unwrap();

    assert_eq!(Challenge::read(&challenge).unwrap().algorithm, Algorithm::Sha256);
    assert_eq!(answer.status(), Some(200));
    assert_eq!(answer.contact(), Some(&*phone.contact("desk-1")));
}

#[test]
fn a_wrong_password_is_refused_and_the_right_one_still_works() {
    let edge = Edge::start(Plan::default());
    let mut wrong = desk(1);
    wrong.password = "another".into();
    let mut phone = edge.phone(Transport::Udp, wrong);

    let refused = phone.register(600).unwrap();
    let granted = phone.register_as(&desk(1), 600).unwrap();

    assert_eq!((refused.status(), granted.status()), (Some(401), Some(200)));
}

#[test]
fn a_phone_in_a_trusted_network_is_believed_at_register_and_asked_at_invite() {
    let mut edge = Edge::start(Plan::default());
    let tenant = "id = \"demo\"\n";
    edge.rewrite(|text| text.replace(tenant, &format!("{tenant}trusted_networks = [\"127.0.0.0/8\"]\n")));
    edge.signal("HUP");
    edge.wait_for_log("configuration reloaded");
    let mut phone = edge.phone(Transport::Udp, person(1));

    let register = phone.draft_register(&person(1), 600);
    let sent = phone.send(&register, &person(1), None).unwrap();
    let registered = phone.final_answer(&sent).unwrap();
    let invite = phone.draft("INVITE", "sip:1002@demo.hotdesk");
    let sent = phone.send(&invite, &person(1), None).unwrap();
    let asked = phone.final_answer(&sent).unwrap();

    assert_eq!(registered.status(), Some(200));
    assert_eq!(registered.contact(), Some(&*phone.contact("1001")));
    assert_eq!(asked.status(), Some(407));
}

#[test]
fn an_answer_goes_where_the_request_came_from_and_says_so() {
    let edge = Edge::start(Plan::default());
    let mut phone = edge.phone(Transport::Udp, desk(1));
    let text = phone
        .draft("OPTIONS", "sip:demo.hotdesk")
        .with("Via", "SIP/2.0/UDP 192.0.2.9:9;received=192.0.2.8;rport=7;branch=z9hG4bKelsewhere")
        .write(&[]);

    let sent = phone.transmit(text).unwrap();
    let answer = phone.final_answer(&sent).unwrap();

    let via = answer.header("Via").unwrap();
    assert_eq!(answer.status(), Some(200));
    assert_eq!(parameter(via, "received"), Some(&*phone.address().ip().to_string()));
    assert_eq!(parameter(via, "rport"), Some(&*phone.address().port().to_string()));
}

#[test]
fn keep_alives_are_answered_and_pieces_of_stun_are_dropped() {
    let edge = Edge::start(Plan::default());
    let mut phone = edge.phone(Transport::Udp, desk(1));
    let mut binding = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    binding.extend(*b"transaction!");
    let mut octets = [0; 2048];

    phone.wire().send(b"\r\n\r\n").unwrap();
    let pong = phone.wire().read(&mut octets, Deadline::after(PATIENCE)).unwrap();
    assert_eq!(&octets[..pong.unwrap()], b"\r\n");

    phone.wire().send(&binding[..19]).unwrap();
    phone.wire().send(&binding).unwrap();
    let success = phone.wire().read(&mut octets, Deadline::after(PATIENCE)).unwrap();
    let success = &octets[..success.unwrap()];

    assert_eq!(success[..2], [1, 1]);
    assert_eq!(success[8..20], *b"transaction!");
    assert_eq!(mapped_address(success), phone.address());
}

/// XOR-MAPPED-ADDRESS for IPv4, the first attribute (RFC 5389 §15.2).
fn mapped_address(success: &[u8]) -> SocketAddr {
    assert_eq!(success[20..26], [0, 0x20, 0, 8, 0, 1]);
    let clear = |at: usize, length: usize| -> Vec<u8> {
        success[at..at + length].iter().zip(&success[4..8]).map(|(octet, cookie)| octet ^ cookie).collect()
    };
    let (port, ip) = (clear(26, 2), clear(28, 4));
    let ip = IpAddr::V4(Ipv4Addr::new(ip[0], ip[1], ip[2], ip[3]));
    SocketAddr::new(ip, u16::from_be_bytes([port[0], port[1]]))
}

#[test]
fn peers_are_told_the_advertised_address() {
    let edge = Edge::start(Plan::default().advertising("198.51.100.7:15060"));
    let mut caller = edge.taken_desk(Transport::Udp, 1);
    let mut callee = edge.taken_desk(Transport::Udp, 2);

    let (mut outgoing, incoming) = connect(&mut caller, &mut callee, "1002").unwrap();

    assert!(
        incoming.invite.header("Via").unwrap().contains("198.51.100.7:15060"),
        "{}",
        incoming.invite.text()
    );
    assert!(incoming.routes()[0].contains("198.51.100.7:15060"), "{:?}", incoming.routes());
    assert_eq!(hang_up(&mut caller, &mut outgoing, &mut callee).unwrap().status(), Some(200));
}

#[test]
fn what_is_no_sip_is_dropped_and_the_next_is_answered() {
    let edge = Edge::start(Plan::default());
    let mut phone = edge.phone(Transport::Udp, desk(1));

    for garbage in
        [&b"\x16\x03\x01\x02\x00\x01\x00"[..], b"GET / HTTP/1.1\r\n\r\n", b"", b"\0\0\0\0", &[0xff; 60_000]]
    {
        phone.wire().send(garbage).unwrap();
    }
    let draft = phone.draft("OPTIONS", "sip:demo.hotdesk");

    assert_eq!(phone.ask_as_itself(draft).unwrap().status(), Some(200));
    edge.wait_for_metric("hotdesk_dropped_unreadable_total", 1.0);
}
