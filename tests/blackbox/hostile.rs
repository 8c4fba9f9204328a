//! Input that was made to harm, over real sockets: what it is answered, and that the next one is served as if nothing had
//! been. Framing of streams has a file of its own, and so have the torture messages and those changed at random.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use bench::deadline::Deadline;
use bench::phone::{Challenge, Draft, Message, Phone, Transport, Wire};

use crate::edge::{Edge, PATIENCE, Plan, desk, person, with_credentials};
use crate::probe::Probe;

/// A request with these header lines in place of the usual ones of the same names.
fn request(method: &str, uri: &str, lines: &[(&str, &str)]) -> Vec<u8> {
    let cseq = format!("1 {method}");
    let usual = [
        ("Via", "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKhostile"),
        ("Max-Forwards", "70"),
        ("From", "<sip:1001@demo.hotdesk>;tag=1"),
        ("To", "<sip:1002@demo.hotdesk>"),
        ("Call-ID", "hostile"),
        ("CSeq", &*cseq),
    ];
    let draft =
        usual.into_iter().fold(Draft::new(method, uri), |draft, (name, value)| draft.with(name, value));
    lines.iter().fold(draft, |draft, (name, value)| draft.replace(name, value)).write(&[]).into_bytes()
}

/// A call to 1002 as it stands on the wire, with one piece of it replaced.
fn invite_with(piece: &str, by: &str) -> Vec<u8> {
    let invite = String::from_utf8(request("INVITE", "sip:1002@demo.hotdesk", &[])).unwrap();
    assert!(invite.contains(piece), "{piece} is in {invite}");
    invite.replacen(piece, by, 1).into_bytes()
}

#[test]
fn a_doubtful_length_of_a_datagram_is_refused_and_what_is_behind_a_good_one_is_dropped() {
    let edge = Edge::start(Plan::default());
    let mut probe = Probe::new(&edge, Transport::Udp);
    let lengths = [
        "-1",
        "+0",
        "0x0",
        "",
        "four",
        "1",
        "9999",
        "4294967296",
        "4294967301",
        "18446744073709551616",
        "0, 0",
    ];

    for length in lengths {
        let statuses =
            probe.statuses(&invite_with("Content-Length: 0", &format!("Content-Length: {length}")));
        assert_eq!(statuses, [400], "{length:?}");
    }
    let second = request("OPTIONS", "sip:demo.hotdesk", &[("Call-ID", "behind")]);
    let first = request("OPTIONS", "sip:demo.hotdesk", &[]);
    assert_eq!(probe.statuses(&[&first[..], &second].concat()), [200]);
    assert_eq!(probe.statuses(&[&first[..], b"\0\xff\r\n\r\n"].concat()), [200]);
}

#[test]
fn what_is_malformed_is_refused_by_its_status() {
    let edge = Edge::start(Plan::default());
    let lines = [
        ("Max-Forwards: 70", "Max-Forwards: 0", 483),
        ("Max-Forwards: 70", "Max-Forwards: 256", 400),
        ("Max-Forwards: 70", "Max-Forwards: -1", 400),
        ("Max-Forwards: 70", "Max-Forwards: many", 400),
        ("Max-Forwards: 70", "Max-Forwards: 70\r\nMax-Forwards: 70", 400),
        ("CSeq: 1 INVITE", "CSeq: 1 OPTIONS", 400),
        ("CSeq: 1 INVITE", "CSeq: 4294967296 INVITE", 400),
        ("CSeq: 1 INVITE", "CSeq: -1 INVITE", 400),
        ("CSeq: 1 INVITE", "CSeq: one INVITE", 400),
        ("CSeq: 1 INVITE", "CSeq: 1", 400),
        ("CSeq: 1 INVITE", "CSec: 1 INVITE", 400),
        ("CSeq: 1 INVITE", "CSeq: 1 INVITE\r\nCSeq: 1 INVITE", 400),
        ("Call-ID: hostile", "Call-ID: hostile\r\ni: another", 400),
        ("Call-ID: hostile", "Call-ID:", 400),
        ("From:", "f: <sip:1001@demo.hotdesk>;tag=1\r\nFrom:", 400),
        ("To:", "To: <sip:1001@demo.hotdesk>\r\nTo:", 400),
        ("To: <sip:1002@demo.hotdesk>", "To: \"Bob <sip:1002@demo.hotdesk>", 400),
        ("To: <sip:1002@demo.hotdesk>", "To: <sip:1002@demo.hotdesk", 400),
        ("From: <sip:1001@demo.hotdesk>", "From: <sip:1001@demo.hotdesk;tag=1", 400),
        ("Via: SIP/2.0/UDP 192.0.2.9", "Via: SIP/2.0/UDP 2001:db8::1", 400),
        ("INVITE sip:1002@demo.hotdesk SIP", "INVITE <sip:1002@demo.hotdesk> SIP", 400),
        ("INVITE sip:1002@demo.hotdesk SIP", "INVITE  sip:1002@demo.hotdesk SIP", 400),
        ("INVITE sip:1002@demo.hotdesk SIP", "INVITE sip:1002 @demo.hotdesk SIP", 400),
        ("INVITE sip:1002@demo.hotdesk SIP", "INVITE sip:1002\0@demo.hotdesk SIP", 400),
        ("SIP/2.0\r\n", "SIP/7.0\r\n", 505),
        ("SIP/2.0\r\n", "SIP/2.0 \r\n", 400),
        // Who reads a line here, and who another one?
        (
            "Content-Length:",
            "Subject: a\nP-Asserted-Identity: <sip:1003@demo.hotdesk>\r\nContent-Length:",
            400,
        ),
        (
            "Content-Length:",
            "Subject: a\rP-Asserted-Identity: <sip:1003@demo.hotdesk>\r\nContent-Length:",
            400,
        ),
        ("To:", "P-Asserted-Identity\x01: <sip:1003@demo.hotdesk>\r\nTo:", 400),
        ("To:", "P-Asserted-Identity\0: <sip:1003@demo.hotdesk>\r\nTo:", 400),
        ("To:", "no header at all\r\nTo:", 400),
        ("To:", ": nameless\r\nTo:", 400),
    ];

    let mut datagrams = Probe::new(&edge, Transport::Udp);
    for (piece, by, status) in lines {
        assert_eq!(datagrams.statuses(&invite_with(piece, by)), [status], "{by:?}");
        // Where it is in doubt what a line is, it is in doubt where the message ends, and the connection with it.
        let on_a_stream = Probe::new(&edge, Transport::Tcp).statuses(&invite_with(piece, by));
        assert_eq!(on_a_stream, [status], "{by:?} on a stream");
    }
}

#[test]
fn responses_of_nobodys_request_and_of_no_status_are_dropped() {
    let edge = Edge::start(Plan::default());
    let mut probe = Probe::new(&edge, Transport::Udp);
    let own = edge.address(Transport::Udp);

    for status in ["0", "99", "100", "200", "401", "700", "999", "4294967301", "-1", "OK", "2 00", ""] {
        for via in [own.to_string(), "192.0.2.9".into(), "255.255.255.255".into()] {
            let response = format!(
                "SIP/2.0 {status} Never Mind\r\nVia: SIP/2.0/UDP {via};branch=z9hG4bKmade-up\r\n\
                 Via: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bKnext\r\nFrom: <sip:a@a>;tag=1\r\nTo: <sip:b@b>;tag=2\r\n\
                 Call-ID: stray\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
            );
            assert_eq!(probe.statuses(response.as_bytes()), [0; 0], "{status:?} {via}");
        }
    }
}

#[test]
fn an_answer_goes_back_the_way_the_request_came_whatever_its_via_says() {
    let edge = Edge::start(Plan::default());
    let victim = UdpSocket::bind("127.0.0.1:0").unwrap();
    victim.set_nonblocking(true).unwrap();
    let at = victim.local_addr().unwrap();
    let (host, port) = (at.ip(), at.port());
    let vias = [
        format!("SIP/2.0/TCP {at};branch=z9hG4bK1"),
        format!("SIP/2.0/TLS {at};branch=z9hG4bK2"),
        format!("SIP/2.0/SCTP {at};rport;branch=z9hG4bK3"),
        format!("SIP/2.0/UDP {at};branch=z9hG4bK4"),
        format!("SIP/2.0/UDP 192.0.2.9;received={host};rport={port};branch=z9hG4bK5"),
        format!("SIP/2.0/UDP 192.0.2.9:{port};maddr={host};ttl=1;branch=z9hG4bK6"),
        format!("SIP/2.0/UDP {at};received={host};maddr={host};branch=z9hG4bK7"),
    ];

    for transport in [Transport::Udp, Transport::Tcp] {
        let mut probe = Probe::new(&edge, transport);
        for via in &vias {
            let asked = request("OPTIONS", "sip:demo.hotdesk", &[("Via", via)]);
            assert_eq!(probe.statuses(&asked), [200], "{transport:?} {via}");
            let called = request("INVITE", "sip:1002@demo.hotdesk", &[("Via", via)]);
            assert_eq!(probe.statuses(&called), [407], "{transport:?} {via}");
        }
    }
    let nothing = victim.recv(&mut [0; 64]).unwrap_err();
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn whatever_its_size_a_message_is_answered_and_the_next_one_too() {
    let edge = Edge::start(Plan::default());
    let long = "x".repeat(50_000);
    let pieces = [
        ("z9hG4bKhostile", format!("z9hG4bK{long}")),
        ("tag=1", format!("tag={long}")),
        ("Call-ID: hostile", format!("Call-ID: {long}")),
        ("INVITE sip:1002@", format!("INVITE sip:{long}@")),
        ("Max-Forwards:", format!("Subject: {long}\r\nMax-Forwards:")),
        ("Max-Forwards:", format!("{long}: 1\r\nMax-Forwards:")),
        ("To: <", format!("To: \"{long}\" <")),
        ("Content-Length: 0\r\n\r\n", format!("Content-Length: 50000\r\n\r\n{long}")),
        (
            "INVITE sip:1002@demo.hotdesk SIP/2.0",
            format!("{} sip:1002@demo.hotdesk SIP/2.0", &long[..25_000]),
        ),
    ];

    for transport in [Transport::Udp, Transport::Tcp] {
        let mut probe = Probe::new(&edge, transport);
        for (piece, by) in &pieces {
            let statuses = probe.statuses(&invite_with(piece, by));
            // A datagram holds no answer that repeats nearly all of it and adds to it.
            let is_fine = matches!(statuses[..], [400 | 404 | 407 | 413 | 501 | 513]);
            assert!(is_fine, "{transport:?} {by:.30}: {statuses:?}");
        }
    }

    // Beyond 65,535 octets nothing is read, and on a stream nothing behind it.
    for (piece, by) in [
        ("Max-Forwards:", format!("Subject: {}\r\nMax-Forwards:", "x".repeat(70_000))),
        ("Content-Length: 0\r\n\r\n", format!("Content-Length: 70000\r\n\r\n{}", "x".repeat(70_000))),
    ] {
        let mut probe = Probe::new(&edge, Transport::Tcp);
        // It may be closed while there is more to send.
        let _ = probe.wire.send(&invite_with(piece, &by));
        let (answers, ended) = probe.read_to_the_end();
        let statuses: Vec<_> = answers.iter().filter_map(Message::status).collect();
        assert!(ended && matches!(statuses[..], [] | [413 | 513]), "{statuses:?}");
    }
    assert_eq!(Probe::new(&edge, Transport::Tcp).statuses(b"\r\n\r\n"), [0; 0]);
}

#[test]
fn folded_compact_and_oddly_spelt_headers_register_a_phone() {
    let edge = Edge::start(Plan::default());
    let mut wire = Wire::open(Transport::Udp, edge.address(Transport::Udp)).unwrap();
    let register = "REGISTER sip:demo.hotdesk SIP/2.0\r\nv:SIP / 2.0 /UDP\r\n 192.0.2.9 ;\r\n\tbranch= z9hG4bKodd\r\n\
                    MAX-forwards  : 0070\r\nF :\r\n \"A \\\" B\" <sip:1001@demo.hotdesk>\r\n ; tag = 1\r\nt\t: <sip:1001@demo.hotdesk>\r\n\
                    I: odd\r\ncsEQ: 0001\r\n REGISTER\r\nm: <sip:1001@192.168.1.9:5060>\r\n ;expires=600\r\nl : 0\r\n\r\n";
    wire.send(register.as_bytes()).unwrap();
    let asked = wire.receive(Deadline::after(PATIENCE)).unwrap().unwrap();

    wire.send(&with_credentials(register.as_bytes(), &asked, &person(1))).unwrap();
    let answer = wire.receive(Deadline::after(PATIENCE)).unwrap().unwrap();

    assert_eq!((asked.status(), answer.status()), (Some(401), Some(200)), "{}", answer.text());
    assert_eq!(answer.contact(), Some("sip:1001@192.168.1.9:5060"));
}

#[test]
fn garbage_for_credentials_is_asked_again_or_refused_and_binds_nothing() {
    let edge = Edge::start(Plan::default());
    let mut phone = edge.phone(Transport::Udp, person(1));
    let draft = phone.draft_register(&person(1), 600);
    let sent = phone.send(&draft, &person(1), None).unwrap();
    let mut challenge = Challenge::read(&phone.final_answer(&sent).unwrap()).unwrap();
    let good = challenge.answer("1001", "1001-secret", "REGISTER", "sip:demo.hotdesk", "cnonce");
    let field = |name: &str| good.split(", ").find(|field| field.contains(&format!("{name}="))).unwrap();
    let without = |name: &str| good.replacen(&format!(", {}", field(name)), "", 1);
    let with = |name: &str, value: &str| good.replacen(field(name), &format!("{name}={value}"), 1);
    let long = "9".repeat(20_000);
    let garbage = [
        String::new(),
        "Digest".into(),
        "Digest ".into(),
        "Digest ,".into(),
        "Digest ,,,,=,=,".into(),
        "Digest =".into(),
        "Digest =\"\"".into(),
        "Digest username".into(),
        "Digest username=".into(),
        "Digest username=\"".into(),
        "Digest username=\"1001".into(),
        "Digest username=\"1001\\".into(),
        "Digest \"username\"=\"1001\"".into(),
        "Digest username=\"1001\" realm=\"demo.hotdesk\"".into(),
        "Basic MTAwMToxMDAxLXNlY3JldA==".into(),
        "Bearer abc".into(),
        "\0".into(),
        "Digest \0".into(),
        "{{7*7}}".into(),
        "Digest username=\"' OR 1=1 --\"".into(),
        format!("Digest {long}"),
        format!("Digest username=\"{long}\""),
        without("nonce"),
        without("realm"),
        without("uri"),
        without("response"),
        without("nc"),
        without("cnonce"),
        with("nonce", "\"\""),
        with("nonce", "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\""),
        with("response", "\"\""),
        with("response", "\"00000000000000000000000000000000\""),
        with("response", "\"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz\""),
        with("response", &format!("\"{long}\"")),
        with("nc", "00000000"),
        with("nc", "ffffffffff"),
        with("nc", "-0000001"),
        with("nc", "1"),
        with("qop", "auth-int"),
        with("qop", "\"auth,auth-int\""),
        with("algorithm", "MD5-sess"),
        with("algorithm", "SHA-256"),
        with("algorithm", "none"),
        with("realm", "\"elsewhere.example\""),
        with("uri", "\"sip:elsewhere.example\""),
        with("cnonce", "\"another\""),
        good.replace("username=\"1001\"", "username=\"1002\""),
        good.replace("username=\"1001\"", "username=\"\""),
        good.replace("username=\"1001\"", "username=\"1001\\0\""),
        format!("{}{}", &good[..good.len() - 1], "\\\""),
    ];

    for (number, line) in garbage.iter().enumerate() {
        let draft = phone.draft_register(&person(1), 600).with("Authorization", line);
        let sent = phone.send(&draft, &person(1), None).unwrap();
        let status = phone.final_answer(&sent).unwrap().status();
        assert!(matches!(status, Some(400 | 401)), "{number}: {status:?} to {line:.80}");
    }
    assert_eq!(edge.metric("hotdesk_bindings"), 0.0);
    assert_eq!(phone.register(600).unwrap().status(), Some(200));
}

#[test]
fn an_invented_nonce_is_stale_and_binds_nothing() {
    let edge = Edge::start(Plan::default());
    let mut phone = edge.phone(Transport::Udp, person(1));
    let draft = phone.draft_register(&person(1), 600);
    let sent = phone.send(&draft, &person(1), None).unwrap();
    let mut challenge = Challenge::read(&phone.final_answer(&sent).unwrap()).unwrap();
    let given = challenge.nonce.clone();
    // As long, and of the same alphabet.
    challenge.nonce = given.chars().rev().collect();

    let again = phone.draft_register(&person(1), 600);
    let sent = phone.send(&again, &person(1), Some(&mut challenge)).unwrap();
    let answer = phone.final_answer(&sent).unwrap();

    assert_eq!(answer.status(), Some(401));
    assert!(answer.header("WWW-Authenticate").unwrap().contains("stale=true"), "{}", answer.text());
    let fresh = Challenge::read(&answer).unwrap().nonce;
    assert!(fresh != given && fresh != challenge.nonce);
}

#[test]
fn an_unknown_user_is_answered_as_fast_as_a_wrong_password() {
    const ROUNDS: usize = 300;
    let edge = Edge::start(Plan::default());
    let mut phones = ["1001", "7777"].map(|user| {
        let mut account = person(1);
        (account.user, account.password) = (user.into(), "wrong".into());
        (edge.phone(Transport::Udp, account), Vec::new())
    });

    for _ in 0..ROUNDS {
        for (phone, times) in &mut phones {
            let account = phone.account().clone();
            let draft = phone.draft_register(&account, 600);
            let sent = phone.send(&draft, &account, None).unwrap();
            let mut challenge = Challenge::read(&phone.final_answer(&sent).unwrap()).unwrap();
            let draft = phone.draft_register(&account, 600);
            #[expect(clippy::disallowed_methods, reason = "time is what is measured here")]
            let start = Instant::now();
            let sent = phone.send(&draft, &account, Some(&mut challenge)).unwrap();
            assert_eq!(phone.final_answer(&sent).unwrap().status(), Some(401));
            times.push(start.elapsed());
        }
    }

    let [wrong, unknown] = phones.map(|(_, mut times): (Phone, Vec<Duration>)| {
        times.sort();
        times[ROUNDS / 2].as_secs_f64()
    });
    // What is told apart by a password hash or a look into a file differs by a multiple.
    let ratio = unknown / wrong;
    assert!((0.7..1.4).contains(&ratio), "{unknown} s for an unknown user, {wrong} s for a wrong password");
}

#[test]
fn what_other_languages_would_obey_is_plain_text() {
    let mut edge = Edge::start(Plan { more: "[log]\nlevel = \"debug\"\n", ..Plan::default() });
    let mut phone = edge.desk(Transport::Udp, 1);
    let words = [
        "'%20OR%20'1'='1",
        "1002'--",
        "1002;DROP",
        "*)(uid=*",
        "$(reboot)",
        "`reboot`",
        "${jndi:ldap://127.0.0.1/a}",
        "%25s%25s%25n",
        "../../etc/passwd",
        "%1b[2J%1b]0;owned%07",
        "1002%0d%0aVia:%20x",
        "%0a%0aFATAL",
        "%e2%80%ae2001",
    ];

    for word in words {
        let target = format!("sip:{}@demo.hotdesk", word.replace(['{', '}', '`', '[', ']'], "%7b"));
        for draft in [
            phone.draft("MESSAGE", &target),
            phone
                .draft("MESSAGE", "sip:1002@demo.hotdesk")
                .replace("From", &format!("\"{word}\" <{target}>;tag=1")),
            phone.draft("MESSAGE", "sip:1002@demo.hotdesk").with("User-Agent", word).with("X-Mac", word),
            phone.draft_register(&desk(1), 600).replace("To", &format!("\"{word}\" <{target}>")),
        ] {
            let asked = draft.write(&[]);
            let status = phone.ask_as_itself(draft).unwrap().status();
            assert!(matches!(status, Some(400..=499)), "{status:?} to {asked}");
        }
        let mut code =
            phone.dial(&format!("sip:*11*{}*1234@demo.hotdesk", word.replace(':', "%3a"))).unwrap();
        let outcome = phone.outcome(&mut code).unwrap().status();
        assert!(matches!(outcome, Some(400..=499 | 603)), "{word}: {outcome:?}");
    }

    edge.signal("TERM");
    edge.wait_for_end();
    let log = edge.log_so_far();
    let controls: Vec<_> = log.chars().filter(|c| c.is_control() && *c != '\n').collect();
    assert!(controls.is_empty(), "{controls:?} in {log}");
}
