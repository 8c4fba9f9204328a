//! REGISTER from a trusted network: believed for bindings, never for seats or calls.

use dataplane::testing::Office;

use crate::{SEED, seconds};

/// An office whose tenant trusts 10.1.0.0/16; with phones that log in natively or without.
fn closed_voice_network(native: bool) -> Office {
    Office::with(SEED, |blueprint| {
        blueprint.seats().native = native;
        blueprint.tenants[0].trusted_networks = vec!["10.1.0.0/16".parse().expect("a network")];
    })
}

fn statuses(office: &Office, phone: &str) -> Vec<u16> {
    office[phone].responses_to("REGISTER").iter().filter_map(|it| it.status()).collect()
}

#[test]
fn phone_in_a_trusted_network_registers_unasked() {
    let mut office = closed_voice_network(true);
    office.unbox("soft-1", "1001").seen_at("soft-1", "10.1.0.7:5060");

    assert_eq!(office.register("soft-1"), Some(200));
    assert_eq!(office.register("soft-1"), Some(200));

    assert_eq!(statuses(&office, "soft-1"), [200, 200]);
    assert_eq!(office.tables().location.census().bindings, 1);
    assert_eq!(office.unregister("soft-1"), Some(200));
    assert_eq!(office.tables().location.census().bindings, 0);
}

/// A request for itself of whoever says he is `user`, without credentials.
fn unproved(method: &str, user: &str, target: &str, cseq: u32, lines: &str) -> Vec<u8> {
    format!(
        "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP 10.1.0.66;branch=z9hG4bK{method}{cseq}\r\n\
         From: <sip:{user}@demo.hotdesk>;tag=66\r\nTo: <{to}>\r\nCall-ID: unproved-{method}\r\n\
         CSeq: {cseq} {method}\r\n{lines}\r\n",
        to = if method == "REGISTER" { format!("sip:{user}@demo.hotdesk") } else { target.into() },
    )
    .into_bytes()
}

fn unproved_register(user: &str, cseq: u32, lines: &str) -> Vec<u8> {
    unproved("REGISTER", user, "sip:demo.hotdesk", cseq, lines)
}

#[test]
fn device_in_a_trusted_network_is_challenged() {
    for native in [false, true] {
        let mut office = closed_voice_network(native);
        office.unbox("phone", "desk-1").seen_at("phone", "10.1.0.7:5060");

        assert_eq!(office.register("phone"), Some(200));

        assert_eq!(statuses(&office, "phone"), [401, 200], "native: {native}");
    }
}

#[test]
fn nobody_takes_or_ends_a_seat_for_a_device_he_only_says_he_is() {
    for native in [false, true] {
        let mut office = closed_voice_network(native);
        office.plug_in("desk-1");
        office.log_in("1001", "desk-1");
        office.peer("thief", "10.1.0.66:5060");

        for (cseq, user) in ["desk-1", "desk-2"].into_iter().enumerate() {
            let contact = format!("Contact: <sip:{user}@10.1.0.66>\r\n");
            office.throw("thief", &unproved_register(user, cseq as u32 + 1, &contact));
        }
        let call = "Max-Forwards: 70\r\nContact: <sip:thief@10.1.0.66>\r\n";
        office.throw("thief", &unproved("INVITE", "desk-1", "sip:*12@demo.hotdesk", 1, call));
        let log_in = format!("sip:{}@demo.hotdesk", office.log_in_string("1002"));
        office.throw("thief", &unproved("INVITE", "desk-2", &log_in, 2, call));

        assert_eq!(statuses(&office, "thief"), [401, 401], "native: {native}");
        let dialled = office["thief"].responses_to("INVITE");
        let dialled: Vec<_> = dialled.iter().filter_map(|it| it.status()).collect();
        assert_eq!(dialled, [401, 401], "a code is dialled by a device that has proved itself");
        assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
        assert_eq!(office.device_of("1002"), None);
    }
}

#[test]
fn phone_that_registered_from_elsewhere_is_not_touched_without_a_proof() {
    let mut office = closed_voice_network(true);
    office.own_phone("at-home", "1001");
    office.peer("thief", "10.1.0.66:5060");
    let before = office.tables().location.contacts("demo", b"1001", office.clock());
    let own = format!("Contact: <{}>\r\n", office["at-home"].contact("1001"));

    let requests = [
        "Contact: *\r\nExpires: 0\r\n".into(),
        format!("{own}Expires: 0\r\n"),
        own,
        "Contact: <sip:1001@10.1.0.66>\r\n".into(),
        String::new(),
    ];
    for (cseq, lines) in requests.iter().enumerate() {
        office.throw("thief", &unproved_register("1001", cseq as u32 + 1, lines));
    }

    assert_eq!(statuses(&office, "thief"), [401; 5]);
    let bound = office.tables().location.contacts("demo", b"1001", office.clock());
    assert_eq!(bound, before);
}

#[test]
fn phone_in_a_trusted_network_proves_itself_beside_one_from_elsewhere() {
    let mut office = closed_voice_network(true);
    office.unbox("soft-1", "1001").seen_at("soft-1", "10.1.0.7:5060");
    assert_eq!(office.register("soft-1"), Some(200));
    office.own_phone("at-home", "1001");

    assert_eq!(office.register("soft-1"), Some(200), "a refresh in place");
    office.unregister("at-home");
    assert_eq!(office.register("soft-1"), Some(200));

    assert_eq!(statuses(&office, "soft-1"), [200, 401, 200, 200]);
    assert_eq!(office.tables().location.census().bindings, 1);
}

#[test]
fn phone_elsewhere_is_challenged() {
    let mut office = closed_voice_network(false);

    for (name, address) in
        [("soft-1", "10.2.0.7:5060"), ("soft-2", "198.51.100.7:5060"), ("soft-3", "[fd00::1]:5060")]
    {
        office.unbox(name, "1001").seen_at(name, address);
        office.register(name);
        assert_eq!(statuses(&office, name)[0], 401, "{address}");
    }
}

#[test]
fn whoever_is_believed_has_proved_nothing_that_keeps_him_from_a_ban() {
    let mut office = closed_voice_network(false);
    office.unbox("soft-1", "1001").seen_at("soft-1", "10.1.0.7:5060");
    assert_eq!(office.register("soft-1"), Some(200));
    office["soft-1"].wrong_password = Some("guess".into());

    for _ in 0..40 {
        office.call("soft-1", "1002");
        office.advance(seconds(1));
    }

    let banned = office.tables().bans.list(office.now().mono);
    let banned: Vec<_> = banned.iter().map(|ban| (ban.address.to_string(), ban.port)).collect();
    assert_eq!(banned, [("10.1.0.7".to_owned(), Some(5060))]);
}

#[test]
fn credentials_are_checked_wherever_they_come_from() {
    let mut office = closed_voice_network(false);
    office.unbox("soft-1", "1001").seen_at("soft-1", "10.1.0.7:5060");
    let wrong =
        "Digest username=\"1001\",realm=\"demo.hotdesk\",nonce=\"x\",uri=\"sip:demo.hotdesk\",response=\"0\"";

    office.register_with("soft-1", |draft| {
        draft.set("Authorization", wrong);
    });

    assert_eq!(statuses(&office, "soft-1")[0], 401);
}

#[test]
fn nobody_is_believed_for_another() {
    let mut office = closed_voice_network(false);
    office.unbox("soft-1", "1001").seen_at("soft-1", "10.1.0.7:5060");
    office.unbox("nobody", "4711").seen_at("nobody", "10.1.0.8:5060");

    office.register_with("soft-1", |draft| {
        draft.set("From", "<sip:1002@demo.hotdesk>;tag=1");
    });
    office.register("nobody");

    assert_eq!(statuses(&office, "soft-1")[0], 401, "From is not To");
    assert_eq!(statuses(&office, "nobody")[0], 401, "an unknown account looks like a known one elsewhere");
}

#[test]
fn native_log_in_from_a_trusted_network_is_proved() {
    let mut office = closed_voice_network(true);
    office.unbox("phone", "desk-1").seen_at("phone", "10.1.0.7:5060");
    office.register("phone");
    let before = statuses(&office, "phone").len();

    assert_eq!(office.native_log_in("phone", "1001"), Some(200));

    assert_eq!(statuses(&office, "phone")[before..], [401, 200]);
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
}

#[test]
fn refresh_and_end_of_a_native_seat_are_proved() {
    let mut office = closed_voice_network(true);
    office.unbox("phone", "desk-1").seen_at("phone", "10.1.0.7:5060");
    office.register("phone");
    office.native_log_in("phone", "1001");
    let contact = format!("<{}>", office["phone"].contact("1001"));

    for (cseq, expires) in [(901, 600), (902, 0)] {
        let register = format!(
            "REGISTER sip:demo.hotdesk SIP/2.0\r\nVia: SIP/2.0/UDP 10.1.0.7;branch=z9hG4bK{cseq}\r\n\
             From: <sip:1001@demo.hotdesk>;tag=9\r\nTo: <sip:1001@demo.hotdesk>\r\nCall-ID: unproved\r\n\
             CSeq: {cseq} REGISTER\r\nContact: {contact}\r\nExpires: {expires}\r\n\r\n"
        );
        office.throw("phone", register.as_bytes());
        assert_eq!(statuses(&office, "phone").last(), Some(&401), "{expires}");
    }

    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
}

#[test]
fn calls_from_a_trusted_network_are_challenged() {
    let mut office = closed_voice_network(false);
    office.own_phone("soft-2", "1002");
    office.unbox("soft-1", "1001").seen_at("soft-1", "10.1.0.7:5060");
    office.register("soft-1");

    let call = office.call("soft-1", "1002");

    assert_eq!(office.outcome(call), Some(200));
    let challenged = office["soft-1"].responses_to("INVITE").iter().any(|it| it.status() == Some(407));
    assert!(challenged, "a binding is no proof of who calls");
}
