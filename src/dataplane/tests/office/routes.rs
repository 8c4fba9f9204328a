//! Calls to the world outside and from it: by which way, as whom, and how many.

use std::time::Duration;

use dataplane::audit::Kind;
use dataplane::settings::{Absent, Pattern, Peer, Route};
use dataplane::testing::{Blueprint, CallState, Manner, Office};

use crate::{SEED, gateway, last_answer, last_heard, seconds};

const FIRST: &str = "198.51.100.1:5060";
const SECOND: &str = "198.51.100.2:5060";

fn route(prefix: &str, peers: &[(&str, &str)]) -> Route {
    let peer = |(uri, address): &(&str, &str)| Peer {
        uri: (*uri).into(),
        addresses: vec![address.parse().expect("an address")],
    };
    Route {
        prefix: prefix.into(),
        peers: peers.iter().map(peer).collect(),
        account: None,
        strip: prefix.len() as u8,
        prepend: "+1".into(),
        caller: Some("+12125551000".into()),
        no_answer: Duration::from_secs(4),
    }
}

/// An office with one route of two peers for what is dialled behind a 0; 1001 has a number outside.
fn office_with(change: impl FnOnce(&mut Blueprint)) -> Office {
    let mut office = Office::with(SEED, |blueprint| {
        let peers = [("sip:first.example", FIRST), ("sip:second.example", SECOND)];
        blueprint.tenants[0].routes = vec![route("0", &peers)];
        blueprint.extension("1001").numbers = vec!["+12125551001".into()];
        blueprint.extension("1001").caller = Some("+12125551001".into());
        change(blueprint);
    });
    office.peer("first", FIRST).peer("second", SECOND).plug_in("desk-1").plug_in("desk-2");
    office.log_in("1001", "desk-1");
    office
}

fn outcome(office: &mut Office, phone: &str, number: &str) -> Option<u16> {
    let call = office.call(phone, number);
    let outcome = office.outcome(call);
    office.hang_up(call);
    outcome
}

#[test]
fn number_leaves_by_the_route_as_the_peer_wants_it() {
    let mut office = office_with(|_| {});

    let call = office.call("desk-1", "0-(212)-555.7000");

    assert_eq!(office.outcome(call), Some(200));
    let invite = last_heard(&office, "first", "INVITE");
    assert_eq!(invite.uri(), "sip:+12125557000@first.example;user=phone");
    let from = invite.header("From").expect("a From");
    assert!(from.starts_with("\"John Smith\" <sip:+12125551001@demo.hotdesk>;tag="), "{from}");
    assert_eq!(invite.header("P-Asserted-Identity"), Some("<sip:+12125551001@demo.hotdesk>"));
    assert!(!invite.text.contains("uthorization"), "{}", invite.text);
}

#[test]
fn call_outside_lives_until_either_side_hangs_up() {
    let mut office = office_with(|_| {});
    let call = office.call("desk-1", "02125557000");
    let there = office.last_call("first");

    assert_eq!(office.ask_within(call, "INFO", |_| {}), Some(200));
    let info = last_heard(&office, "first", "INFO");
    assert!(info.header("From").is_some_and(|from| from.contains("\"John Smith\" <sip:+12125551001@")));
    assert_eq!(office.ask_within(there, "INFO", |_| {}), Some(200));
    let info = last_heard(&office, "desk-1", "INFO");
    assert!(!info.text.contains("+12125551001@"), "the phone is called what it calls itself: {}", info.text);
    office.hang_up(there);

    assert_eq!(office.leg(call).state, CallState::Over);
}

#[test]
fn longest_prefix_chooses_the_route_and_what_fits_none_is_not_found() {
    let mut office = office_with(|blueprint| {
        blueprint.tenants[0].routes.push(route("00", &[("sip:second.example:5062", SECOND)]));
    });

    assert_eq!(outcome(&mut office, "desk-1", "00442012345"), Some(200));
    assert_eq!(office["first"].requests("INVITE").len(), 0);
    assert_eq!(
        last_heard(&office, "second", "INVITE").uri(),
        "sip:+1442012345@second.example:5062;user=phone"
    );
    for number in ["4711", "reception", "0", "0212;x=1", "*72"] {
        assert_eq!(outcome(&mut office, "desk-1", number), Some(404), "{number}");
    }
}

#[test]
fn next_peer_is_tried_when_one_fails_and_only_then() {
    for (manner, caller, second) in [
        (Manner::Refuses(503), 200, 1),
        (Manner::Refuses(500), 200, 1),
        (Manner::Silent, 200, 1),
        (Manner::Refuses(486), 486, 0),
        (Manner::Refuses(404), 404, 0),
        (Manner::Refuses(603), 603, 0),
        (Manner::Refuses(407), 403, 0),
    ] {
        let mut office = office_with(|_| {});
        office["first"].manner = manner;
        let before = office.clock();

        let call = office.call("desk-1", "02125557000");
        office.advance(seconds(6));

        assert_eq!(office.outcome(call), Some(caller), "{manner:?}");
        assert_eq!(office["second"].requests("INVITE").len(), second, "{manner:?}");
        assert!(office.clock().since(before) < seconds(8), "{manner:?}");
    }
}

#[test]
fn peers_that_all_fail_give_no_503_to_the_phone() {
    let mut office = office_with(|_| {});
    office["first"].manner = Manner::Refuses(503);
    office["second"].manner = Manner::Refuses(503);

    assert_eq!(outcome(&mut office, "desk-1", "02125557000"), Some(500));
}

#[test]
fn who_has_no_number_outside_shows_that_of_the_route_and_no_name() {
    let mut office = office_with(|_| {});
    office.log_in("1002", "desk-2");

    outcome(&mut office, "desk-2", "02125557000");

    let from = last_heard(&office, "first", "INVITE");
    let from = from.header("From").expect("a From");
    assert!(from.starts_with("<sip:+12125551000@demo.hotdesk>;tag="), "{from}");
}

#[test]
fn caller_who_wants_to_stay_unknown_is_asserted_to_the_peer_with_privacy() {
    let mut office = office_with(|_| {});

    office.call_with("desk-1", "02125557000", |invite| {
        invite.set("From", "\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=1");
    });

    let invite = last_heard(&office, "first", "INVITE");
    assert!(invite.header("From").is_some_and(|from| from.contains("anonymous.invalid")));
    assert_eq!(invite.header("Privacy"), Some("id"));
    assert_eq!(invite.header("P-Asserted-Identity"), Some("<sip:+12125551001@demo.hotdesk>"));
}

#[test]
fn call_from_a_peer_rings_whoever_has_the_number_where_that_person_sits() {
    let mut office = office_with(|_| {});

    for spelling in
        ["+12125551001", "12125551001", "sip:+1-212-555-1001@192.0.2.1", "sip:+12125551001@x.example"]
    {
        let call = office.call("first", spelling);
        assert_eq!(office.outcome(call), Some(200), "{spelling}");
        assert_eq!(office["desk-1"].up(), 1, "{spelling}");
        office.hang_up(call);
    }
    office.log_in("1001", "desk-2");
    let call = office.call("second", "+12125551001");
    let there = office.last_call("desk-2");
    assert_eq!(office.ask_within(there, "INFO", |_| {}), Some(200));
    office.hang_up(there);
    assert_eq!(office.leg(call).state, CallState::Over);
}

#[test]
fn call_from_a_peer_that_rings_follows_the_person_to_another_desk() {
    let mut office = office_with(|_| {});
    office["desk-1"].manner = Manner::Rings;
    office.dial("first", "+12125551001");
    office.settle();
    assert_eq!(office["desk-1"].ringing(), 1);

    office.log_in("1001", "desk-2");

    assert_eq!((office["desk-1"].ringing(), office["desk-2"].up()), (0, 1));
}

#[test]
fn identity_a_peer_asserts_reaches_no_phone() {
    let mut office = office_with(|_| {});

    office.call_with("first", "+12125551001", |invite| {
        invite.add("P-Asserted-Identity", "<sip:+19995550000@first.example>").add("Privacy", "id");
    });

    assert!(last_heard(&office, "desk-1", "INVITE").header("P-Asserted-Identity").is_none());
}

#[test]
fn peer_reaches_no_extension_code_emergency_or_route_and_others_reach_nothing() {
    let mut office = office_with(|_| {});
    office.peer("stranger", "198.51.100.66:5060").peer("port", "198.51.100.1:5062");

    for number in ["1001", "1002", "02125557000", "*11*1002*2468", "112", "desk-1"] {
        assert_eq!(outcome(&mut office, "first", number), Some(404), "{number}");
    }
    for stranger in ["stranger", "port"] {
        assert_eq!(outcome(&mut office, stranger, "+12125551001"), Some(407), "{stranger}");
    }
    assert_eq!(office.ask("first", "MESSAGE", "+12125551001", |_| {}), Some(407));
    assert_eq!(office.ask("desk-1", "MESSAGE", "02125557000", |_| {}), Some(404), "only calls go outside");
    let relayed = office.call_with("first", "+12125551001", |invite| {
        invite.add("Route", "<sip:elsewhere.example;lr>");
    });
    assert_eq!(office.outcome(relayed), Some(403));
    assert_eq!(office.device_of("1002"), None);
    assert!(office["second"].heard().is_empty());
}

#[test]
fn peer_is_told_of_somebody_who_is_nowhere() {
    let mut office = office_with(|blueprint| {
        blueprint.extension("1002").numbers = vec!["+12125551002".into()];
        blueprint.extension("1003").numbers = vec!["+12125551003".into()];
        blueprint.extension("1003").absent = Some(Absent::Redirect("+12125550199".into()));
    });

    assert_eq!(outcome(&mut office, "first", "+12125551002"), Some(480));
    assert_eq!(outcome(&mut office, "first", "+12125551003"), Some(302));
    let answer = last_answer(&office, "first", "INVITE");
    assert_eq!(answer.header("Contact"), Some("<sip:+12125550199@demo.hotdesk;user=phone>"));
}

#[test]
fn number_of_a_colleague_rings_inside_and_costs_no_call_outside() {
    let mut office = office_with(|_| {});
    office.log_in("1002", "desk-2");

    assert_eq!(outcome(&mut office, "desk-2", "+12125551001"), Some(200));
    assert_eq!(office["first"].requests("INVITE").len(), 0);
    assert_eq!(office.counters().outside_calls, 0);
}

#[test]
fn barred_numbers_stay_inside_as_they_are_dialled_and_as_they_leave() {
    let mut office = office_with(|blueprint| {
        blueprint.tenants[0].outside.barred = vec!["+1900".into(), "0976".into()];
    });

    for number in ["09005551234", "0-900-555", "0976555"] {
        assert_eq!(outcome(&mut office, "desk-1", number), Some(403), "{number}");
    }
    let answer = last_answer(&office, "desk-1", "INVITE");
    assert!(answer.text.starts_with("SIP/2.0 403 This number may not be called\r\n"), "{}", answer.text);
    assert_eq!(office["first"].requests("INVITE").len(), 0);
    assert_eq!(office.counters().outside_calls_refused, 3);
    let told = office.events(Kind::Refusal);
    let told: Vec<_> = told.iter().map(|event| (&*event.reason, event.device.as_deref())).collect();
    assert_eq!(told, [("number-barred", Some("desk-1")); 3]);
}

#[test]
fn phone_has_so_many_calls_outside_at_a_time_and_no_emergency_is_counted() {
    let mut office = office_with(|blueprint| {
        blueprint.tenants[0].outside.phone_calls_max = 2;
        blueprint.tenants[0].emergency.routes = vec![gateway("psap", 112)];
    });
    office.peer("psap", "198.51.100.112:5060");
    let calls = ["02125557001", "02125557002"].map(|number| office.call("desk-1", number));
    assert_eq!(calls.map(|call| office.outcome(call)), [Some(200); 2]);

    assert_eq!(outcome(&mut office, "desk-1", "02125557003"), Some(403));
    let told = office.events(Kind::Refusal);
    let told: Vec<_> = told.iter().map(|event| (&*event.reason, event.device.as_deref())).collect();
    assert_eq!(told, [("call-limit", Some("desk-1"))]);
    assert_eq!(outcome(&mut office, "desk-1", "112"), Some(200));
    office.hang_up(calls[0]);
    let third = office.call("desk-1", "02125557003");
    assert_eq!(office.outcome(third), Some(200));
    assert_eq!(outcome(&mut office, "desk-1", "02125557004"), Some(403));
    let there = office.last_call("first");
    office.hang_up(there);
    assert_eq!(outcome(&mut office, "desk-1", "02125557004"), Some(200), "whoever hangs up");
}

#[test]
fn phone_begins_so_many_calls_outside_in_a_minute_whoever_sits_there() {
    let mut office = office_with(|blueprint| blueprint.tenants[0].outside.phone_calls_a_minute_max = 2);

    assert_eq!(outcome(&mut office, "desk-1", "02125557000"), Some(200));
    office["first"].manner = Manner::Refuses(486);
    assert_eq!(outcome(&mut office, "desk-1", "02125557000"), Some(486));
    office.log_in("1002", "desk-1");
    assert_eq!(outcome(&mut office, "desk-1", "02125557000"), Some(403));
    let answer = last_answer(&office, "desk-1", "INVITE");
    assert!(answer.text.starts_with("SIP/2.0 403 Too many calls, try again later\r\n"), "{}", answer.text);
    office.advance(seconds(61));
    assert_eq!(outcome(&mut office, "desk-1", "02125557000"), Some(486));
}

#[test]
fn calls_outside_that_fail_or_are_given_up_are_over() {
    let mut office = office_with(|blueprint| blueprint.tenants[0].outside.calls_max = 1);
    for manner in [Manner::Refuses(486), Manner::Rings, Manner::Refuses(503)] {
        office["first"].manner = manner;
        office["second"].manner = manner;
        outcome(&mut office, "desk-1", "02125557000");
    }
    office["first"].manner = Manner::Answers;

    let call = office.call("desk-1", "02125557000");

    assert_eq!(office.outcome(call), Some(200));
}

#[test]
fn empty_phone_calls_outside_only_what_is_listed() {
    let mut office = office_with(|blueprint| {
        blueprint.tenants[0].base.may_call = vec![Pattern::new("0800.").expect("a pattern")];
    });

    assert_eq!(outcome(&mut office, "desk-2", "08005551234"), Some(200));
    assert_eq!(outcome(&mut office, "desk-2", "02125557000"), Some(403));
    let from = last_heard(&office, "first", "INVITE");
    assert!(from.header("From").is_some_and(|from| from.contains("<sip:+12125551000@")), "{}", from.text);
}

#[test]
fn person_of_another_tenant_has_no_use_of_the_route() {
    let mut office = Office::with(SEED, |blueprint| {
        blueprint.tenants[0].routes = vec![route("0", &[("sip:first.example", FIRST)])];
        blueprint.tenants.push(dataplane::testing::tenant("other", "other.example"));
    });
    office.peer("first", FIRST).unbox("soft", "1001").in_domain("soft", "other.example");
    office.register("soft");

    assert_eq!(outcome(&mut office, "soft", "02125557000"), Some(404));
    assert_eq!(
        outcome(&mut office, "soft", "sip:02125557000@demo.hotdesk"),
        Some(403),
        "From is not its own"
    );
    assert!(office["first"].heard().is_empty());
}

#[test]
fn call_back_of_the_emergency_service_comes_by_the_route_as_any_call_does() {
    let mut office = office_with(|blueprint| {
        blueprint.tenants[0].routes.push(route("", &[("sip:first.example", FIRST)]));
        blueprint.tenants[0].emergency.routes = vec![gateway("psap", 112)];
    });
    office.peer("psap", "198.51.100.112:5060");
    assert_eq!(outcome(&mut office, "first", "+12125550100"), Some(404), "nobody has called for help");
    assert_eq!(outcome(&mut office, "desk-2", "112"), Some(200));

    assert_eq!(outcome(&mut office, "first", "+12125550100"), Some(200));
    assert_eq!(outcome(&mut office, "desk-1", "+12125550100"), Some(200));

    assert_eq!(office["desk-2"].requests("INVITE").len(), 2);
    assert!(office["first"].requests("INVITE").is_empty(), "a colleague reaches the phone and not the world");
}

#[test]
fn end_of_a_call_inside_makes_no_room_for_one_outside() {
    let mut office = office_with(|blueprint| blueprint.tenants[0].outside.phone_calls_max = 1);
    office.own_phone("soft-2", "1002");
    let with_id = |office: &mut Office, number: &str| {
        office.call_with("desk-1", number, |invite| {
            invite.set("Call-ID", "one-and-the-same");
        })
    };
    let outside = with_id(&mut office, "02125557000");
    assert_eq!(office.outcome(outside), Some(200));

    let again = with_id(&mut office, "02125557001");
    let inside = with_id(&mut office, "1002");
    office.hang_up(inside);

    assert_eq!(office.outcome(again), Some(482));
    assert_eq!(outcome(&mut office, "desk-1", "02125557002"), Some(403));
}

#[test]
fn extension_that_was_switched_off_makes_no_new_calls_while_its_seat_waits_for_a_call_to_end() {
    let mut office = office_with(|_| {});
    let call = office.call("desk-1", "02125557000");
    assert_eq!(office.outcome(call), Some(200));

    office.reconfigure(|blueprint| blueprint.extension("1001").enabled = false);
    office.advance(seconds(5));

    assert_eq!(outcome(&mut office, "desk-1", "02125557001"), Some(403));
    assert_eq!(outcome(&mut office, "desk-1", "*12"), Some(200), "whoever sits there may leave");
}
