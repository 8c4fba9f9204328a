//! REGISTER (RFC 3261 §10.3): whose bindings are whose, order, limits, nonces, restart.

use dataplane::testing::{Heard, Office};

use crate::{SEED, last_answer, seconds, three_desks};

fn contacts(answer: &Heard) -> usize {
    answer.headers("Contact").iter().map(|line| line.split(',').count()).sum()
}

#[test]
fn phone_registers_with_digest() {
    let mut office = Office::new(SEED);

    office.plug_in("desk-1");

    let answers: Vec<_> = office["desk-1"].responses_to("REGISTER").iter().map(|it| it.status()).collect();
    assert_eq!(answers, [Some(401), Some(200)]);
    assert_eq!(office.tables().location.census().bindings, 1);
}

#[test]
fn phone_registers_with_sha_256_where_the_tenant_offers_it_alone() {
    let mut office = Office::with(SEED, |blueprint| {
        blueprint.tenants[0].registrar.digest_md5 = false;
        blueprint.tenants[0].registrar.digest_sha256 = true;
    });

    office.plug_in("desk-1");

    assert!(office["desk-1"].last_sent("REGISTER").contains("algorithm=SHA-256"));
}

#[test]
fn refreshes_keep_a_binding_for_hours_and_silence_ends_it() {
    let mut office = three_desks();

    office.advance(seconds(6 * 3600));
    assert_eq!(office.tables().location.census().bindings, 3);

    office.pull_plug("desk-1");
    office.advance(seconds(700));
    assert_eq!(office.tables().location.census().bindings, 2);
}

#[test]
fn nonce_that_has_grown_old_is_stale_and_the_phone_goes_on_without_asking_anybody() {
    let mut office = three_desks();
    office.advance(seconds(2 * 3600));

    let challenges =
        office["desk-1"].responses_to("REGISTER").into_iter().filter(|it| it.status() == Some(401));
    let stale = challenges.filter(|it| it.text.contains("stale=true")).count();

    assert!(stale >= 1, "a nonce lives an hour");
    assert_eq!(office.tables().location.census().bindings, 3);
}

#[test]
fn phone_whose_messages_take_turns_between_two_uplinks_is_not_asked_for_ever() {
    let mut office = three_desks();
    office.unbox("soft", "1001").seen_in_turn_at("soft", "198.51.100.66:5060");

    assert_eq!(office.register("soft"), Some(200));
    assert_eq!(office["soft"].responses_to("REGISTER").len(), 3, "asked on either way, and then no more");
    assert_eq!((office.register("soft"), office.register("soft")), (Some(200), Some(200)));
    assert_eq!(office["soft"].responses_to("REGISTER").len(), 5);

    office.unbox("visitor", "1002").seen_in_turn_at("visitor", "198.51.100.67:5060");
    office.call("visitor", "112");
    assert_eq!(office.counters().emergency_calls, 1, "nor is it when it calls for help");
}

#[test]
fn replayed_credentials_bind_nothing() {
    let mut office = three_desks();
    office.peer("thief", "198.51.100.66:5060");
    let captured = office["desk-1"].last_sent("REGISTER").to_owned();
    let contact = office["desk-1"].contact("desk-1");
    let branch = captured.split("branch=").nth(1).and_then(|it| it.split("\r\n").next()).expect("a branch");

    for forged in [
        captured.replace(&contact, "sip:desk-1@192.168.1.66:5060").replace(branch, "z9hG4bKother"),
        captured.replace(branch, "z9hG4bKother").replace("CSeq: 2 ", "CSeq: 3 "),
        captured.replace(&contact, "sip:desk-1@192.168.1.66:5060"),
        captured.clone(),
    ] {
        office.throw("thief", forged.as_bytes());
    }

    let location = &office.tables().location;
    let bound = location.contacts("demo", b"desk-1", office.now().mono);
    assert_eq!(bound.len(), 1);
    assert_eq!(String::from_utf8_lossy(&bound[0].uri), contact);
    let flow = bound[0].flow.expect("over datagrams there is one");
    assert_eq!(flow.remote.ip().to_string(), "203.0.113.1", "the thief's flow is not the phone's");
}

#[test]
fn retransmitted_register_gets_its_200_again() {
    let mut office = three_desks();
    let sent = office["desk-1"].last_sent("REGISTER").to_owned();
    office["desk-1"].forget();

    office.throw("desk-1", sent.as_bytes());

    let answer = last_answer(&office, "desk-1", "REGISTER");
    assert_eq!(answer.status(), Some(200));
    assert_eq!(contacts(&answer), 1);
}

#[test]
fn nobody_registers_for_another() {
    let mut office = three_desks();
    office.unbox("soft-1", "1001");

    let foreign_to = office.register_with("desk-1", |register| {
        register.set("To", "<sip:desk-2@demo.hotdesk>");
    });
    let extension = office.register_with("desk-1", |register| {
        register.set("To", "<sip:1001@demo.hotdesk>");
    });
    let colleague = office.register_with("soft-1", |register| {
        register.set("To", "<sip:1002@demo.hotdesk>");
    });

    assert_eq!([foreign_to, extension, colleague], [Some(403); 3]);
    assert_eq!(office.tables().location.census().bindings, 3);
}

#[test]
fn unknown_user_and_wrong_password_look_alike() {
    let mut office = Office::new(SEED);
    office.unbox("guesser", "1001").unbox("stranger", "9999");
    office["guesser"].wrong_password = Some("guessed".into());
    // What is random, or is the request's own, differs for anybody.
    let shape = |office: &Office, phone: &str| -> Vec<String> {
        let answers = office[phone].responses_to("REGISTER").into_iter();
        let own = ["Via:", "From:", "To:", "Call-ID:"];
        let lines = answers.flat_map(|it| it.text.lines().map(str::to_owned).collect::<Vec<_>>());
        let lines = lines.filter(|line| !own.iter().any(|name| line.starts_with(name)));
        lines.map(|line| line.split("nonce=").next().unwrap_or_default().to_owned()).collect()
    };

    assert_eq!(office.register("guesser"), Some(401));
    assert_eq!(office.register("stranger"), Some(401));

    assert_eq!(shape(&office, "guesser"), shape(&office, "stranger"));
}

#[test]
fn star_removes_what_is_the_senders_and_only_when_alone_with_expires_0() {
    let mut office = Office::new(SEED);
    office.own_phone("soft-1", "1001");

    let bare = office.register_with("soft-1", |register| {
        register.set("Contact", "*").remove("Expires");
    });
    let long = office.register_with("soft-1", |register| {
        register.set("Contact", "*").set("Expires", "3600");
    });
    let beside = office.register_with("soft-1", |register| {
        register.add("Contact", "*").set("Expires", "0");
    });
    assert_eq!([bare, long, beside], [Some(400); 3]);
    assert_eq!(office.tables().location.census().bindings, 1);

    let right = office.register_with("soft-1", |register| {
        register.set("Contact", "*").set("Expires", "0");
    });
    assert_eq!(right, Some(200));
    assert_eq!(contacts(&last_answer(&office, "soft-1", "REGISTER")), 0);
    assert_eq!(office.tables().location.census().bindings, 0);
}

#[test]
fn expiry_below_the_shortest_is_423_with_min_expires() {
    let mut office = Office::new(SEED);
    office.unbox("soft-1", "1001");

    let outcome = office.register_with("soft-1", |register| {
        register.set("Expires", "1");
    });

    let refusals =
        office["soft-1"].responses_to("REGISTER").into_iter().filter(|it| it.status() == Some(423));
    let shortest: Vec<_> = refusals.map(|it| it.header("Min-Expires").map(str::to_owned)).collect();
    assert_eq!(shortest, [Some("60".to_owned())]);
    assert_eq!(outcome, Some(200), "the phone asks for what it may have");
}

#[test]
fn older_cseq_of_the_same_call_id_changes_nothing() {
    let mut office = Office::new(SEED);
    office.own_phone("soft-1", "1001");
    office["soft-1"].set_cseq(100);
    office.register("soft-1");

    office["soft-1"].set_cseq(50);
    let outcome = office.register_with("soft-1", |register| {
        register.set("Expires", "0");
    });

    assert_eq!(outcome, Some(500));
    assert_eq!(office.tables().location.census().bindings, 1);
}

#[test]
fn ordinary_phones_are_bounded_by_own_phones_max() {
    let mut office = Office::new(SEED);
    office.own_phone("soft-1", "1001").own_phone("soft-2", "1001").unbox("soft-3", "1001");

    assert_eq!(office.register("soft-3"), Some(403));

    office.reconfigure(|blueprint| blueprint.extension("1002").own_phones_max = 0);
    office.unbox("soft-4", "1002");
    assert_eq!(office.register("soft-4"), Some(403));
    office.reconfigure(|blueprint| blueprint.extension("1001").own_phones_max = 0);
    assert_eq!(office.register("soft-1"), Some(403), "nor is one that is bound refreshed");
    assert_eq!(office.unregister("soft-1"), Some(200));
}

#[test]
fn same_extension_number_in_two_tenants_is_two_people() {
    let mut office = Office::with(SEED, |blueprint| {
        blueprint.tenants.push(dataplane::testing::tenant("other", "other.hotdesk"));
    });
    office.plug_in("desk-1").plug_in("desk-2");
    office.unbox("elsewhere", "desk-1").in_domain("elsewhere", "other.hotdesk");
    assert_eq!(office.register("elsewhere"), Some(200));

    office.log_in("1001", "desk-1");
    let code = office.log_in_string("1001");
    let there = office.call("elsewhere", &code);

    assert_eq!(office.outcome(there), Some(200));
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"), "nobody was displaced");
    let seats = office.tables().seats.seats_of("other", &("other", "1001"));
    assert_eq!(seats[0].device.tenant(), "other");

    office.log_in("1002", "desk-2");
    let call = office.call("desk-2", "1001");
    assert_eq!(office.outcome(call), Some(200));
    assert_eq!((office["desk-1"].up(), office["elsewhere"].up()), (1, 0));
}

#[test]
fn reboot_is_no_log_out_and_a_new_call_id_takes_the_binding_over() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");

    assert_eq!(office.reboot("desk-1"), Some(200));

    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
    assert_eq!(office.tables().location.census().bindings, 3);
}

#[test]
fn keep_alives_are_answered() {
    let mut office = three_desks();
    office["desk-1"].forget();

    office.throw("desk-1", b"\r\n\r\n");
    office.throw("desk-1", b"\x00\x01\x00\x00\x21\x12\xa4\x42transaction!");

    assert_eq!(office.counters().keep_alives, 2);
}
