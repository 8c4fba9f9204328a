//! Input that was made to harm: what it must not reach, remove or cost. What needs real sockets for it is in
//! `tests/blackbox/hostile.rs`; who may do what is in `strangers.rs`.

use dataplane::testing::{Heard, Manner, Office, StoreMood};

use crate::{SEED, last_answer, last_heard, seconds, three_desks};

fn one_phone() -> Office {
    let mut office = Office::new(SEED);
    office.own_phone("soft-1", "1001");
    office
}

/// The seconds that a 200 to REGISTER grants, binding by binding.
fn granted(answer: &Heard) -> Vec<i64> {
    let contacts = answer.headers("Contact").join(",");
    let expires = contacts.split(";expires=").skip(1).filter_map(|rest| rest.split([',', ';']).next());
    expires.map(|seconds| seconds.trim().parse().expect("a number")).collect()
}

#[test]
fn answer_goes_down_the_callers_flow_whatever_its_vias_say() {
    let mut office = three_desks();
    office.own_phone("soft-1", "1001").own_phone("soft-2", "1002");
    office.peer("everybody", "255.255.255.255:5060").peer("victim", "198.51.100.7:5060");
    office["soft-2"].manner = Manner::Silent;
    office.call("soft-1", "1002");
    let invite = last_heard(&office, "soft-2", "INVITE");
    let [ours, callers] = invite.headers("Via")[..] else { panic!("{}", invite.text) };
    let line = |name| invite.header(name).expect("every request has it");
    let branch = callers.split("branch=").nth(1).expect("a branch").split(';').next().expect("a branch");

    for next in ["255.255.255.255", "192.0.2.9;maddr=255.255.255.255", "198.51.100.7;received=198.51.100.7"] {
        let ringing = format!(
            "SIP/2.0 180 Ringing\r\nVia: {ours}\r\nVia: SIP/2.0/UDP {next};branch={branch}\r\nFrom: {}\r\nTo: {};tag=1\r\n\
             Call-ID: {}\r\nCSeq: {}\r\nContent-Length: 0\r\n\r\n",
            line("From"),
            line("To"),
            line("Call-ID"),
            line("CSeq"),
        );
        office["soft-1"].forget();
        office.throw("soft-2", ringing.as_bytes());
        assert_eq!(office["soft-1"].heard().len(), 1, "{next}");
    }
    assert!(office["everybody"].heard().is_empty() && office["victim"].heard().is_empty());
}

#[test]
fn request_without_a_call_id_is_refused_and_such_an_ack_or_response_is_answered_by_nothing() {
    let mut office = one_phone();
    for (first, method, answers) in [
        ("OPTIONS sip:demo SIP/2.0", "OPTIONS", 1),
        ("ACK sip:demo SIP/2.0", "ACK", 0),
        ("SIP/2.0 200 OK", "INVITE", 0),
    ] {
        let message = format!(
            "{first}\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKx\r\nFrom: <sip:a@demo>;tag=1\r\nTo: <sip:b@demo>\r\n\
             CSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n"
        );
        office["soft-1"].forget();

        office.throw("soft-1", message.as_bytes());

        let heard: Vec<_> = office["soft-1"].heard().iter().map(|heard| heard.status()).collect();
        assert_eq!(heard, vec![Some(400); answers], "{first}");
    }
    let counters = office.counters();
    assert_eq!((counters.refused_malformed, counters.responses_dropped), (1, 1));
}

#[test]
fn expiry_out_of_range_is_clamped_or_the_default_and_never_negative() {
    let mut office = one_phone();

    for expiry in
        ["4294967295", "4294967296", "18446744073709551617", "-1", "+60", "soon", "", "60.5", "0x3c"]
    {
        let outcome = office.register_with("soft-1", |register| {
            register.set("Expires", expiry);
        });
        assert_eq!(outcome, Some(200), "{expiry:?}");
        let seconds = granted(&last_answer(&office, "soft-1", "REGISTER"));
        assert!(matches!(seconds[..], [60..=7200]), "{expiry:?} is granted {seconds:?}");
    }
    assert_eq!(office.tables().location.census().bindings, 1);
}

#[test]
fn a_thousand_contacts_are_refused_and_change_nothing() {
    let mut office = one_phone();
    let contacts: Vec<_> =
        (0..1_000).map(|port| format!("<sip:1001@192.168.1.9:{}>", 10_000 + port)).collect();

    let in_a_line = office.register_with("soft-1", |register| {
        register.set("Contact", &contacts.join(", "));
    });
    let line_by_line = office.register_with("soft-1", |register| {
        register.remove("Contact");
        contacts.iter().take(200).fold(register, |register, contact| register.add("Contact", contact));
    });

    assert_eq!([in_a_line, line_by_line], [Some(403); 2]);
    assert_eq!(office.tables().location.census().bindings, 1);
}

/// What a wizard may want to bind, and what it hears: no SIP URI, half of one, a `*` among others, a wish too short, and an
/// address that is not the phone's.
const NOT_TO_BE_BOUND: [(&str, u16); 5] = [
    ("<tel:+12125550100>", 400),
    ("<sip:1001@192.168.1.9", 400),
    ("*, <sip:1001@192.168.1.9>", 400),
    ("<sip:1001@192.168.1.9>;expires=1", 423),
    ("<sip:1001@203.0.113.99>", 403),
];

#[test]
fn log_in_with_a_contact_that_cannot_be_bound_puts_nobody_out() {
    for (contact, code) in NOT_TO_BE_BOUND {
        let mut office = three_desks();
        office.log_in("1001", "desk-2");
        office.switch_account("desk-1", "1001");

        let refused = office.register_with("desk-1", |register| {
            register.set("Contact", contact);
        });

        assert_eq!((refused, office.device_of("1001").as_deref()), (Some(code), Some("desk-2")), "{contact}");
        assert_eq!(office.register("desk-1"), Some(200), "nothing is left of it that would be in the way");
        assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
    }
}

#[test]
fn nor_does_one_that_had_to_wait_for_another_change() {
    for (contact, code) in NOT_TO_BE_BOUND {
        let mut office = three_desks();
        office.switch_account("desk-1", "1001");
        office.store.mood = StoreMood::Holds;
        office.call("desk-2", "*11*1001*7738");

        let waiting = office.register_with("desk-1", |register| {
            register.set("Contact", contact);
        });
        assert_eq!(waiting, None, "{contact}");
        office.release_store();

        assert_eq!(last_answer(&office, "desk-1", "REGISTER").status(), Some(code), "{contact}");
        assert_eq!(office.device_of("1001").as_deref(), Some("desk-2"));
        assert_eq!(office.register("desk-1"), Some(200));
        assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
    }
}

#[test]
fn instance_of_another_persons_phone_reaches_no_other_address_of_record() {
    const INSTANCE: &str = "urn:uuid:00000000-0000-1000-8000-000a95a0e128";
    let mut office = Office::new(SEED);
    office.unbox("soft-1", "1001").unbox("soft-2", "1002").own_phone("caller", "1003");
    for phone in ["soft-1", "soft-2"] {
        office[phone].show_instance(INSTANCE);
        assert_eq!(office.register(phone), Some(200));
    }

    office.unregister("soft-2");
    let call = office.call("caller", "1001");

    assert_eq!(office.outcome(call), Some(200));
    assert_eq!(office["soft-1"].requests("INVITE").len(), 1);
    assert!(office["soft-2"].requests("INVITE").is_empty());
}

#[test]
fn stranger_costs_one_small_answer_and_no_repetition() {
    let mut office = one_phone();
    office.peer("stranger", "198.51.100.66:5060");
    let requests = [
        ("INVITE", "sip:1001@demo.hotdesk"),
        ("REGISTER", "sip:demo.hotdesk"),
        ("MESSAGE", "sip:1001@demo.hotdesk"),
    ];

    for (number, (method, uri)) in requests.into_iter().enumerate() {
        let request = format!(
            "{method} {uri} SIP/2.0\r\nv: SIP/2.0/UDP 198.51.100.66;branch=z9hG4bK{number}\r\nf: <sip:a@a>;tag=1\r\n\
             t: <sip:1001@demo.hotdesk>\r\ni: {number}\r\nCSeq: 1 {method}\r\n\r\n"
        );
        office["stranger"].forget();
        office.throw("stranger", request.as_bytes());
        // Timer H is over by then: nobody has acknowledged anything.
        office.advance(seconds(40));
        let heard = office["stranger"].heard();
        assert_eq!(heard.len(), 1, "{heard:?}");
        assert!(matches!(heard[0].status(), Some(401 | 407)));
        let (sent, answered) = (request.len(), heard[0].text.len());
        assert!(answered < 3 * sent, "{answered} octets answer {sent}: {}", heard[0].text);
    }
    assert!(office["soft-1"].calls().is_empty());
}

#[test]
fn odd_octets_in_a_user_part_end_no_name_and_find_nobody() {
    let mut office = three_desks();
    office.own_phone("soft-1", "1001").own_phone("soft-2", "1002");
    let users = [
        "1002%00",
        "1002%00x",
        "%001002",
        "1002%",
        "1002%zz",
        "1002%2",
        "%31%30%30%32%00",
        "1002%c0%80",
        "%c0%b1002",
        "1002%0d%0a",
        "1002%20",
        "%201002",
        "1002%25",
        "1002;x",
        "1002%3b",
        "1002%40evil",
    ];

    for user in users {
        let call = office.call("soft-1", &format!("sip:{user}@demo.hotdesk"));
        assert!(matches!(office.outcome(call), Some(400..=499)), "{user}: {:?}", office.outcome(call));
        let for_other = office.register_with("soft-1", |register| {
            register.set("To", &format!("<sip:{}@demo.hotdesk>", user.replace("1002", "1001")));
        });
        assert!(matches!(for_other, Some(400..=499)), "{user}: {for_other:?}");
    }
    let escaped = office.call("soft-1", "sip:%31%30%30%32@demo.hotdesk");

    assert_eq!(
        office.outcome(escaped),
        Some(200),
        "escapes are the octets they stand for (RFC 3261 §19.1.4)"
    );
    assert_eq!(office["soft-2"].requests("INVITE").len(), 1);
    assert_eq!(office.tables().location.census().bindings, 5);
}

#[test]
fn method_that_nobody_knows_is_501_and_one_that_is_not_served_405() {
    let mut office = one_phone();

    assert_eq!(office.ask("soft-1", "TELEPORT", "1002", |_| {}), Some(501));
    assert_eq!(office.ask("soft-1", "invite", "1002", |_| {}), Some(501));
    assert_eq!(office.ask("soft-1", "PUBLISH", "1002", |_| {}), Some(405));
    assert!(
        last_answer(&office, "soft-1", "PUBLISH")
            .header("Allow")
            .is_some_and(|allow| allow.contains("INVITE"))
    );
}
