//! Calls through the proxy (RFC 3261 §16): forking, the best answer, silence, dialogs.

use dataplane::output::Done;
use dataplane::testing::{CallState, Draft, Manner, Office};

use crate::{SEED, last_answer, last_heard, seconds, three_desks};

/// 1001 at desk-1 and at two ordinary phones; 1002 calls from `soft-2`.
fn three_phones_of_one() -> Office {
    let mut office = three_desks();
    office.own_phone("soft-a", "1001").own_phone("soft-b", "1001").own_phone("soft-2", "1002");
    office.log_in("1001", "desk-1");
    office
}

#[test]
fn all_phones_of_a_person_ring_and_the_losers_stop_when_one_answers() {
    let mut office = three_phones_of_one();
    for phone in ["desk-1", "soft-a", "soft-b"] {
        office[phone].manner = Manner::Rings;
    }
    let call = office.call("soft-2", "1001");
    assert_eq!(["desk-1", "soft-a", "soft-b"].map(|phone| office[phone].ringing()), [1, 1, 1]);

    office.pick_up("soft-a");
    office.settle();

    assert_eq!(office.leg(call).state, CallState::Up);
    assert_eq!(["desk-1", "soft-a", "soft-b"].map(|phone| office[phone].ringing()), [0, 0, 0]);
    assert_eq!(office["desk-1"].requests("CANCEL").len(), 1);
    assert_eq!(office["soft-b"].requests("CANCEL").len(), 1);
    assert_eq!(office.leg(call).statuses.iter().filter(|status| **status == 200).count(), 1);
}

#[test]
fn more_preferred_contacts_ring_first() {
    let mut office = three_desks();
    office.own_phone("soft-a", "1001").unbox("soft-b", "1001").own_phone("soft-2", "1002");
    let contact = office["soft-b"].contact("1001");
    office.register_with("soft-b", |register| {
        register.set("Contact", &format!("<{contact}>;q=0.3"));
    });
    office["soft-a"].manner = Manner::Refuses(486);

    let call = office.call("soft-2", "1001");

    assert_eq!(office.outcome(call), Some(200));
    assert_eq!(office["soft-b"].up(), 1);
    let (first, second) = (last_heard(&office, "soft-a", "INVITE"), last_heard(&office, "soft-b", "INVITE"));
    assert!(first.at < second.at);
}

#[test]
fn caller_gets_the_best_of_all_answers() {
    let mut office = three_phones_of_one();
    office["desk-1"].manner = Manner::Refuses(486);
    office["soft-a"].manner = Manner::Refuses(480);
    office["soft-b"].manner = Manner::Refuses(503);

    let call = office.call("soft-2", "1001");

    assert_eq!(office.outcome(call), Some(486));
}

#[test]
fn what_concerns_only_edge_and_phone_stays_inside() {
    for (phone, caller) in [(503, 500), (408, 480), (401, 403), (430, 480)] {
        let mut office = Office::new(SEED);
        office.own_phone("soft-1", "1001").own_phone("soft-2", "1002");
        office["soft-1"].manner = Manner::Refuses(phone);

        let call = office.call("soft-2", "1001");

        assert_eq!(office.outcome(call), Some(caller), "{phone}");
    }
}

#[test]
fn decline_everywhere_stops_the_other_phones() {
    let mut office = three_phones_of_one();
    office["desk-1"].manner = Manner::Rings;
    office["soft-a"].manner = Manner::Rings;
    office["soft-b"].manner = Manner::Refuses(603);

    let call = office.call("soft-2", "1001");

    assert_eq!(office.outcome(call), Some(603));
    assert_eq!((office["desk-1"].ringing(), office["soft-a"].ringing()), (0, 0));
}

#[test]
fn silent_phone_is_passed_over_after_eight_seconds_and_then_nobody_is_there() {
    let mut office = three_desks();
    office.own_phone("soft-a", "1001").unbox("soft-b", "1001").own_phone("soft-2", "1002");
    let contact = office["soft-b"].contact("1001");
    office.register_with("soft-b", |register| {
        register.set("Contact", &format!("<{contact}>;q=0.3"));
    });
    office["soft-a"].manner = Manner::Silent;

    let call = office.call("soft-2", "1001");
    office.advance(seconds(7));
    assert_eq!(office.outcome(call), None);
    office.advance(seconds(2));
    assert_eq!(office.outcome(call), Some(200), "the next contact");
    office.hang_up(call);

    office["soft-b"].manner = Manner::Silent;
    let call = office.call("soft-2", "1001");
    office.advance(seconds(18));
    assert_eq!(office.outcome(call), Some(480));
}

#[test]
fn phone_that_rings_for_ever_is_given_up_by_timer_c() {
    let mut office = three_phones_of_one();
    for phone in ["desk-1", "soft-a", "soft-b"] {
        office[phone].manner = Manner::Rings;
    }
    let call = office.call("soft-2", "1001");

    office.advance(seconds(199));
    assert_eq!(office.outcome(call), None);
    office.advance(seconds(4));

    assert!(matches!(office.outcome(call), Some(408 | 480 | 487)), "{:?}", office.outcome(call));
    assert_eq!(office["desk-1"].ringing(), 0);
}

#[test]
fn caller_who_hangs_up_gets_487_and_the_phones_stop() {
    let mut office = three_phones_of_one();
    for phone in ["desk-1", "soft-a", "soft-b"] {
        office[phone].manner = Manner::Rings;
    }
    let call = office.call("soft-2", "1001");

    office.hang_up(call);

    assert_eq!(office.outcome(call), Some(487));
    assert_eq!(["desk-1", "soft-a", "soft-b"].map(|phone| office[phone].ringing()), [0, 0, 0]);
    assert_eq!(last_answer(&office, "soft-2", "CANCEL").status(), Some(200));
}

#[test]
fn answer_that_crosses_the_cancel_stands() {
    let mut office = three_desks();
    office.own_phone("soft-2", "1002");
    office.log_in("1001", "desk-1");
    office["desk-1"].manner = Manner::Rings;
    let call = office.call("soft-2", "1001");

    office.pick_up("desk-1");
    office.put_down(call);
    office.settle();

    assert_eq!(office.outcome(call), Some(200));
}

#[test]
fn call_lives_until_either_side_hangs_up() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");
    office.log_in("1002", "desk-2");

    for callee_hangs_up in [false, true] {
        let call = office.call("desk-1", "1002");
        let there = office.last_call("desk-2");
        let re_invite = office.ask_within(call, "INFO", |_| {});
        let back = office.ask_within(there, "INFO", |_| {});
        assert_eq!((re_invite, back), (Some(200), Some(200)));

        office.hang_up(if callee_hangs_up { there } else { call });

        assert_eq!((office["desk-1"].up(), office["desk-2"].up()), (0, 0));
    }
}

#[test]
fn refresh_of_a_session_within_the_call_keeps_its_phone_busy_for_another_interval() {
    for by_update in [true, false] {
        let mut office = three_desks();
        office.own_phone("soft-2", "1002");
        office.log_in("1001", "desk-1");
        let timed = |request: &mut Draft| drop(request.add("Session-Expires", "90").to_owned());
        let call = office.call_with("soft-2", "1001", timed);
        assert_eq!(office.outcome(call), Some(200));
        office.advance(seconds(60));
        let refreshed = match by_update {
            true => office.ask_within(call, "UPDATE", timed),
            false => office.invite_again(call, timed),
        };
        assert_eq!(refreshed, Some(200));
        let deferred = office.force_out("desk-1", false);
        assert!(matches!(deferred, Some(Ok(Done::Deferred(_)))), "{deferred:?}");

        // Without the refresh it would be over 32 s after its 90. An answer that is repeated refreshes once more.
        office.advance(seconds(90));
        assert!(office.seat_at("desk-1").is_some());
        office.advance(seconds(90));

        assert_eq!(office.seat_at("desk-1"), None, "by UPDATE: {by_update}");
    }
}

#[test]
fn in_dialog_requests_carry_the_persons_name_one_way_and_the_phones_the_other() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");
    office.log_in("1002", "desk-2");
    let call = office.call("desk-1", "1002");
    let there = office.last_call("desk-2");

    office.ask_within(call, "INFO", |_| {});
    let to_callee = last_heard(&office, "desk-2", "INFO");
    office.ask_within(there, "INFO", |_| {});
    let to_opener = last_heard(&office, "desk-1", "INFO");

    assert_eq!(to_callee.header("From"), Some(office.leg(there).remote.as_str()), "as it was in the INVITE");
    assert_eq!(to_opener.header("To"), Some(office.leg(call).local.as_str()), "as the phone wrote it");
    let answer = last_answer(&office, "desk-2", "INFO");
    assert_eq!(answer.header("To").map(str::to_owned), Some(office.leg(there).remote.clone()));
}

#[test]
fn from_must_be_ones_own() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");
    office.own_phone("soft-2", "1002").own_phone("soft-3", "1003");

    for caller in ["desk-1", "soft-3"] {
        let call = office.call_with(caller, "1002", |invite| {
            invite.set("From", "\"Ann\" <sip:1002@demo.hotdesk>;tag=1");
        });
        assert_eq!(office.outcome(call), Some(403), "{caller}");
    }
    let as_its_person = office.call_with("desk-1", "1002", |invite| {
        invite.set("From", "<sip:1001@demo.hotdesk>;tag=1");
    });
    assert_eq!(office.outcome(as_its_person), Some(200));
}

#[test]
fn from_that_could_not_be_put_back_is_refused() {
    let mut office = Office::new(SEED);
    office.plug_in("desk-1").own_phone("soft-2", "1002");
    office.log_in("1001", "desk-1");
    let from = |name: usize| format!("\"{}\" <sip:desk-1@demo.hotdesk>;tag=long", "x".repeat(name));

    let short = office.call_with("desk-1", "1002", |draft| {
        draft.set("From", &from(300));
    });
    let long = office.call_with("desk-1", "1002", |draft| {
        draft.set("From", &from(400));
    });
    office.hang_up(short);

    assert_eq!(office.outcome(short), Some(200));
    assert_eq!(office.outcome(long), Some(513));
    assert_eq!(office["soft-2"].up(), 0, "the BYE found its way");
}

#[test]
fn from_names_no_domain_but_ours() {
    let mut office = three_desks();
    office.own_phone("soft-1", "1001").own_phone("soft-2", "1002");

    let call = office.call_with("soft-1", "1002", |invite| {
        invite.set("From", "\"Bank\" <sip:1001@bank.example>;tag=1");
    });

    assert_eq!(office.outcome(call), Some(200));
    let invite = last_heard(&office, "soft-2", "INVITE");
    assert_eq!(invite.header("From"), Some("\"John Smith\" <sip:1001@demo.hotdesk>;tag=1"));
}

#[test]
fn phone_that_was_given_another_name_of_the_edge_calls_all_the_same() {
    let mut office = three_desks();
    office.own_phone("soft-1", "1001").own_phone("soft-2", "1002");

    let call = office.call_with("soft-1", "sip:1002@pbx.office.lan", |invite| {
        invite.set("From", "<sip:1001@pbx.office.lan>;tag=1");
    });

    assert_eq!(office.outcome(call), Some(200));
    assert_eq!(office["soft-2"].requests("INVITE").len(), 1);
}

#[test]
fn extension_without_ordinary_phones_calls_from_no_stranger() {
    let mut office = Office::with(SEED, |blueprint| blueprint.extension("1003").own_phones_max = 0);
    office.unbox("soft-3", "1003").own_phone("soft-2", "1002");

    let call = office.call("soft-3", "1002");

    assert_eq!(office.outcome(call), Some(403));
    assert_eq!(office["soft-2"].requests("INVITE").len(), 0);
}

#[test]
fn loser_of_a_native_seat_calls_as_nobody() {
    let mut office = three_desks();
    office.own_phone("soft-2", "1002");
    office.native_log_in("desk-1", "1001");
    let before = office.call("desk-1", "1002");
    assert_eq!(office.outcome(before), Some(200));
    office.hang_up(before);

    office.log_in("1001", "desk-2");
    let call = office.call("desk-1", "1002");

    assert_eq!(office.outcome(call), Some(403));
}

#[test]
fn call_that_the_far_end_does_not_know_is_over() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");
    office.log_in("1002", "desk-2");
    let call = office.call("desk-1", "1002");
    office.pull_plug("desk-2");

    office.ask_within(call, "INFO", |_| {});
    office.advance(seconds(40));

    assert_eq!(office.force_out("desk-1", false).map(|done| done.is_ok()), Some(true));
    assert_eq!(office.device_of("1001"), None, "nothing is waited for");
}

#[test]
fn call_to_a_code_that_requires_an_extension_of_sip_is_refused() {
    let mut office = three_desks();

    let call = office.call_with("desk-1", "*11*1001*7738", |invite| {
        invite.add("Require", "teleport");
    });

    assert_eq!(office.outcome(call), Some(420));
    assert_eq!(office.device_of("1001"), None);
}

#[test]
fn dialog_is_found_behind_the_outbound_proxy_a_phone_puts_first() {
    let mut office = three_desks();
    office.own_phone("soft-1", "1001").own_phone("soft-2", "1002");
    let call = office.call("soft-1", "1002");

    let answer = office.ask_within(call, "INFO", |info| {
        let route = info.get("Route").to_owned();
        info.set("Route", &format!("<sip:192.0.2.1:5060;lr>, {route}"));
    });

    assert_eq!(answer, Some(200));
}

#[test]
fn anonymous_caller_stays_anonymous() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");
    office.own_phone("soft-2", "1002");

    let call = office.call_with("desk-1", "1002", |invite| {
        invite.set("From", "\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=1");
    });

    assert_eq!(office.outcome(call), Some(200));
    let invite = last_heard(&office, "soft-2", "INVITE");
    assert_eq!(invite.header("Privacy"), Some("id"));
    assert!(invite.header("From").is_some_and(|from| from.contains("anonymous.invalid")));
    assert_eq!(invite.header("P-Asserted-Identity"), None, "no phone hears who it was");
    assert!(!invite.text.contains("sip:1001@demo.hotdesk"), "{}", invite.text);
}

#[test]
fn identity_headers_of_phones_are_taken_off_whatever_their_spelling() {
    let mut office = three_desks();
    office.own_phone("soft-1", "1001").own_phone("soft-2", "1002");

    let call = office.call_with("soft-1", "1002", |invite| {
        invite
            .add("P-Asserted-Identity", "<sip:boss@demo.hotdesk>")
            .add("p-asserted-IDENTITY ", "<sip:boss@demo.hotdesk>")
            .add("P-Preferred-Identity\t", "<sip:boss@demo.hotdesk>")
            .add("REMOTE-PARTY-ID", "<sip:boss@demo.hotdesk>");
    });

    assert_eq!(office.outcome(call), Some(200));
    let invite = last_heard(&office, "soft-2", "INVITE");
    assert!(!invite.text.contains("boss"), "{}", invite.text);
}

#[test]
fn credentials_for_the_edge_go_no_further() {
    let mut office = three_desks();
    office.own_phone("soft-1", "1001").own_phone("soft-2", "1002");

    office.call("soft-1", "1002");

    assert!(office["soft-1"].last_sent("INVITE").contains("Proxy-Authorization: Digest"));
    let invite = last_heard(&office, "soft-2", "INVITE");
    assert!(!invite.text.contains("uthorization"), "{}", invite.text);
}

#[test]
fn connection_that_breaks_while_it_rings_is_given_up_at_once() {
    let mut office = Office::new(SEED);
    office.plug_in_stream("desk-1").own_phone("soft-2", "1002");
    office.log_in("1001", "desk-1");
    office["desk-1"].manner = Manner::Rings;
    let call = office.call("soft-2", "1001");

    office.lose("desk-1");

    assert_eq!(office.outcome(call), Some(480));
    let again = office.call("soft-2", "1001");
    assert_eq!(office.outcome(again), Some(480), "no connection is made to a contact behind NAT");
    assert_eq!(office.register("desk-1"), Some(200));
    office["desk-1"].manner = Manner::Answers;
    let back = office.call("soft-2", "1001");
    assert_eq!(office.outcome(back), Some(200));
}

/// `desk-NUMBER` over UDP, TCP or TLS, where its contact may be `sips:`; its person sits there.
fn desk_over(office: &mut Office, number: u8, over: &str) {
    let desk = format!("desk-{number}");
    match over {
        "udp" => drop(office.plug_in(&desk)),
        "tcp" => drop(office.plug_in_stream(&desk)),
        _ => {
            office.unbox(&desk, &desk).over_tls(&desk, if over == "sips" { "sips" } else { "sip" });
            assert_eq!(office.register(&desk), Some(200));
        }
    }
    office.log_in(&format!("100{number}"), &desk);
}

#[test]
fn calls_between_listeners_find_their_way_back_from_both_sides() {
    let face = |over| match over {
        "udp" => "<sip:192.0.2.1:5060;lr;",
        "tcp" => "<sip:192.0.2.1:5060;transport=tcp;lr;",
        _ => "<sip:192.0.2.1:5061;transport=tls;lr;",
    };
    let transports = ["udp", "tcp", "tls", "sips"];
    let pairs = transports.into_iter().flat_map(|caller| transports.map(|callee| (caller, callee)));
    for (caller, callee) in pairs.filter(|(caller, callee)| face(*caller) != face(*callee)) {
        let mut office = Office::new(SEED);
        desk_over(&mut office, 1, caller);
        desk_over(&mut office, 2, callee);

        let call = office.call("desk-1", "1002");
        let there = office.last_call("desk-2");

        assert_eq!(office.outcome(call), Some(200), "{caller} to {callee}");
        // Each side's next hop is the listener of its own transport (RFC 5658 §4).
        for (leg, near, far) in [(call, caller, callee), (there, callee, caller)] {
            let [first, second] = &office.leg(leg).routes[..] else { panic!("{:?}", office.leg(leg).routes) };
            assert!(first.starts_with(face(near)) && second.starts_with(face(far)), "{first} {second}");
        }
        for leg in [call, there] {
            assert_eq!(office.ask_within(leg, "INFO", |_| {}), Some(200), "{caller} to {callee}");
            assert_eq!(office.invite_again(leg, |_| {}), Some(200), "{caller} to {callee}");
        }
        let acks = ["desk-1", "desk-2"].map(|desk| office[desk].requests("ACK").len());
        assert_eq!(acks, [1, 2], "{caller} to {callee}");
        office.hang_up(there);
        assert_eq!((office["desk-1"].up(), office["desk-2"].up()), (0, 0), "{caller} to {callee}");
    }
}

#[test]
fn request_of_any_size_goes_down_the_flow_of_the_phone() {
    let mut office = three_desks();
    office.own_phone("soft-1", "1001").own_phone("soft-2", "1002");

    let call = office.call_with("soft-1", "1002", |invite| {
        invite.add("Subject", &"x".repeat(4_000));
    });

    // §18.1.1 would have it change to TCP, and nobody can connect to a phone behind NAT.
    assert_eq!(office.outcome(call), Some(200));
    let invite = last_heard(&office, "soft-2", "INVITE");
    assert!(
        invite.text.len() > 4_000 && invite.header("Via").is_some_and(|via| via.starts_with("SIP/2.0/UDP"))
    );
}

#[test]
fn two_phones_that_answer_at_once_both_reach_the_caller_and_the_winner_counts_as_busy() {
    let mut office = Office::with(SEED, |blueprint| blueprint.extension("1001").devices_max = 2);
    office.plug_in("desk-1").plug_in("desk-2").own_phone("soft-2", "1002");
    office.log_in("1001", "desk-1");
    office.log_in("1001", "desk-2");

    let call = office.call("soft-2", "1001");

    let answers = office["soft-2"].responses_to("INVITE").into_iter().filter(|it| it.status() == Some(200));
    assert_eq!(answers.count(), 2, "§16.7 item 5: every 2xx is passed on");
    assert_eq!(office["desk-1"].up() + office["desk-2"].up(), 1);
    assert_eq!(office.leg(call).state, CallState::Up);
    let winner = if office["desk-1"].up() == 1 { "desk-1" } else { "desk-2" };
    let end = office.force_out(winner, false);
    assert!(matches!(end, Some(Ok(Done::Deferred(_)))), "{winner}: {end:?}");
}

#[test]
fn call_finds_a_phone_again_that_came_back_over_another_connection() {
    let mut office = Office::new(SEED);
    office.plug_in_stream("desk-1").own_phone("soft-2", "1002");
    office.log_in("1001", "desk-1");
    let call = office.call("soft-2", "1001");
    let there = office.last_call("desk-1");

    office.lose("desk-1");
    office.register("desk-1");

    assert_eq!(office.ask_within(call, "INFO", |_| {}), Some(200));
    assert_eq!(office.ask_within(there, "INFO", |_| {}), Some(200));
    office.hang_up(call);
    assert_eq!(office["desk-1"].up(), 0);
}

#[test]
fn what_ends_here_is_asked_for_with_401_and_what_is_passed_on_with_407() {
    let mut office = three_desks();
    office.own_phone("soft-2", "1002");
    for (target, expected) in [("*11*1001*7738", 401), ("1002", 407)] {
        // A phone that was never asked, so its INVITE goes out bare.
        office.unbox(target, "desk-1");
        let call = office.call(target, target);

        assert_eq!(office.outcome(call), Some(200));
        let first = office[target].responses_to("INVITE").first().and_then(|it| it.status());
        assert_eq!(first, Some(expected), "{target}");
    }
}

#[test]
fn call_may_be_transferred_by_either_phone_of_it() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");
    office.log_in("1002", "desk-2");
    let call = office.call("desk-1", "1002");
    let there = office.last_call("desk-2");

    for leg in [call, there] {
        let outcome = office.ask_within(leg, "REFER", |refer| {
            refer.add("Refer-To", "<sip:1003@demo.hotdesk>");
        });
        assert_eq!(outcome, Some(200));
    }
}

#[test]
fn call_that_came_through_another_proxy_is_no_loop() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");
    office.log_in("1002", "desk-2");

    let call = office.call_with("desk-1", "1002", |invite| {
        invite.add("Via", "SIP/2.0/UDP 10.9.9.9;branch=z9hG4bKfarther");
    });

    assert_eq!(office.outcome(call), Some(200));
}
