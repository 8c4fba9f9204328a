//! Where a call for help goes, what happens when a gateway fails, and who reads of it.

use dataplane::audit::Kind;
use dataplane::settings::{Peer, Told};
use dataplane::testing::{CallState, Heard, Manner, Office};

use super::{office_with_a_route, office_with_two_routes, reasons};
use crate::{SEED, gateway, last_answer, last_heard, seconds};

#[test]
fn without_a_route_the_call_gets_500_with_a_warning_at_once_and_the_operator_reads_of_it() {
    let mut office = Office::new(SEED);
    office.plug_in("desk-1");
    let before = office.clock();

    let call = office.call("desk-1", "911");

    assert_eq!(office.outcome(call), Some(500));
    assert!(last_answer(&office, "desk-1", "INVITE").header("Warning").is_some());
    assert!(office.clock().since(before) < seconds(1));
    let read = office.events(Kind::EmergencyCall).iter().any(|event| event.reason != "routed");
    assert!(read);
    assert_eq!(office.counters().emergency_unrouted, 1);
}

#[test]
fn second_address_of_the_route_is_tried_when_the_first_refuses() {
    let mut office = Office::with(SEED, |blueprint| {
        let addresses = ["198.51.100.1:5060", "198.51.100.2:5060"].map(|it| it.parse().expect("an address"));
        blueprint.tenants[0].emergency.routes =
            vec![Peer { uri: "sip:psap.example".into(), addresses: addresses.to_vec() }];
    });
    office.peer("first", "198.51.100.1:5060").peer("second", "198.51.100.2:5060").plug_in("desk-1");
    office["first"].manner = Manner::Refuses(503);

    let call = office.call("desk-1", "112");

    assert_eq!(office.outcome(call), Some(200));
    assert_eq!(office["second"].up(), 1);
}

#[test]
fn route_that_answers_nowhere_fails_in_seconds_and_the_operator_reads_of_it() {
    let mut office = office_with_a_route();
    office["psap"].manner = Manner::Silent;
    let before = office.clock();

    let call = office.call("desk-1", "112");
    office.advance(seconds(10));

    assert_eq!(office.outcome(call), Some(500));
    assert!(office.clock().since(before) < seconds(15));
    let read = office.events(Kind::EmergencyCall).iter().any(|event| event.reason != "routed");
    assert!(read);
}

#[test]
fn service_may_hang_up_and_ask_within_the_call() {
    let mut office = office_with_a_route();
    let call = office.call("desk-1", "112");
    let there = office.last_call("psap");

    assert_eq!(office.ask_within(there, "INFO", |_| {}), Some(200));
    office.hang_up(there);

    assert_eq!(office.leg(call).state, CallState::Over);
}

#[test]
fn refusal_and_decline_of_one_gateway_leave_the_next_to_be_tried() {
    for refusal in [486, 503, 600, 603] {
        let mut office = office_with_two_routes();
        office["psap"].manner = Manner::Refuses(refusal);

        let call = office.call("desk-1", "112");

        assert_eq!(office.outcome(call), Some(200), "{refusal}");
        assert_eq!(office["psap-2"].up(), 1, "{refusal}");
        assert_eq!(last_heard(&office, "psap-2", "INVITE").uri(), "sip:112@psap-2.example");
    }
}

#[test]
fn refusal_of_every_route_is_passed_on_and_the_operator_reads_of_it() {
    let mut office = office_with_two_routes();
    office["psap"].manner = Manner::Refuses(603);
    office["psap-2"].manner = Manner::Refuses(503);

    let call = office.call("desk-1", "112");

    assert_eq!(office.outcome(call), Some(603));
    assert_eq!(reasons(&office), ["routed", "refused", "ended"]);
    assert_eq!(office.counters().emergency_unrouted, 1);
}

#[test]
fn route_of_the_site_comes_first_and_those_of_the_tenant_catch_its_failure() {
    let mut office = Office::with(SEED, |blueprint| {
        blueprint.tenants[0].emergency.routes = vec![gateway("psap", 112)];
        blueprint.tenants[0].sites[0].emergency_routes = vec![gateway("local", 10)];
    });
    office.peer("psap", "198.51.100.112:5060").peer("local", "198.51.100.10:5060").plug_in("desk-1");

    let near = office.call("desk-1", "112");
    office.hang_up(near);
    office["local"].manner = Manner::Silent;
    let far = office.call("desk-1", "112");
    office.advance(seconds(5));

    assert_eq!((office.outcome(near), office.outcome(far)), (Some(200), Some(200)));
    assert_eq!((office["local"].up(), office["psap"].up()), (0, 1));
    assert_eq!(office["psap"].requests("INVITE").len(), 1);
}

#[test]
fn gateway_that_refuses_the_place_gets_the_call_without_it() {
    let mut office = office_with_two_routes();
    office["psap"].manner = Manner::Refuses(415);

    let call = office.call("desk-1", "112");

    assert_eq!(office.outcome(call), Some(200));
    let types = |name: &str| {
        let invites = office[name].requests("INVITE");
        let kind =
            |it: &&Heard| it.header("Content-Type").unwrap_or_default().split(';').next().map(str::to_owned);
        invites.iter().filter_map(kind).collect::<Vec<_>>()
    };
    assert_eq!(types("psap"), ["multipart/mixed", "application/sdp"]);
    assert_eq!(types("psap-2"), ["multipart/mixed"]);
    assert_eq!(office["psap"].requests("INVITE")[1].header("Geolocation"), None);
}

#[test]
fn whoever_is_named_reads_of_the_call_at_once() {
    let mut office = Office::with(SEED, |blueprint| {
        let emergency = &mut blueprint.tenants[0].emergency;
        emergency.routes = vec![gateway("psap", 112)];
        let addresses =
            ["198.51.100.50:5060", "198.51.100.51:5060"].map(|it| it.parse().expect("an address"));
        let guard = Peer { uri: "sip:guard@security.example".into(), addresses: addresses.to_vec() };
        emergency.notify =
            vec![Told::Extension("1002".into()), Told::Peer(guard), Told::Extension("1003".into())];
    });
    office.peer("psap", "198.51.100.112:5060").peer("guard", "198.51.100.51:5060").plug_in("desk-1");
    office.own_phone("soft-2", "1002");
    office.log_in("1001", "desk-1");
    office["psap"].manner = Manner::Rings;

    office.call("desk-1", "112");

    let told = last_heard(&office, "soft-2", "MESSAGE");
    for word in
        ["112", "Open Desk 1 (desk-1)", "Desk 1", "Headquarters (hq)", "+12125550100", "John Smith (1001)"]
    {
        assert!(told.text.contains(word), "{word}: {}", told.text);
    }
    // The first address of the other is silent.
    office.advance(seconds(40));
    assert_eq!(last_heard(&office, "guard", "MESSAGE").uri(), "sip:guard@security.example");
    // And the third is nowhere to be had.
    assert!(reasons(&office).contains(&"not-notified"));
    assert_eq!(office.counters().emergency_notices_failed, 1);
}

#[test]
fn notice_that_is_refused_goes_to_the_next_address_and_then_to_the_operator() {
    let mut office = Office::with(SEED, |blueprint| {
        let emergency = &mut blueprint.tenants[0].emergency;
        emergency.routes = vec![gateway("psap", 112)];
        let addresses = ["198.51.100.50:5060", "198.51.100.51:5060"];
        let addresses = addresses.map(|it| it.parse().expect("an address")).to_vec();
        let guard = Peer { uri: "sip:guard@security.example".into(), addresses };
        emergency.notify = vec![Told::Peer(guard), Told::Extension("1002".into())];
    });
    office.peer("psap", "198.51.100.112:5060");
    office.peer("guard", "198.51.100.50:5060").peer("guard-2", "198.51.100.51:5060");
    office.plug_in("desk-1").own_phone("soft-2", "1002");
    for (name, code) in [("guard", 503), ("soft-2", 405)] {
        office[name].manner = Manner::Refuses(code);
    }

    let call = office.call("desk-1", "112");

    assert_eq!(office.outcome(call), Some(200), "the call itself does not wait for it");
    let told = ["guard", "guard-2", "soft-2"].map(|name| office[name].requests("MESSAGE").len());
    assert_eq!(told, [1, 1, 1], "nobody is told twice");
    let events = office.events(Kind::EmergencyCall);
    let not_told: Vec<_> = events.iter().filter(|event| event.reason == "not-notified").collect();
    assert_eq!(not_told.len(), 1);
    assert_eq!(not_told[0].details, [("told".into(), "1002".into())]);
    assert_eq!(office.counters().emergency_notices_failed, 1);
}
