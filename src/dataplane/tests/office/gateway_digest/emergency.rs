//! Calls for help through gateways that ask, and those that come back: nothing of it keeps a call waiting.

use std::time::Duration;

use dataplane::settings::LocationForm;
use dataplane::testing::{CallState, Door, Manner};

use super::{asked_and_answered, assert_in_order, office, office_with};
use crate::seconds;

#[test]
fn emergency_call_answers_challenges_and_goes_on_where_they_are_not_taken() {
    let mut office = office();
    let call = office.call("desk-1", "112");
    assert_eq!(office.outcome(call), Some(200));
    assert_eq!(asked_and_answered(&office, "first", "INVITE"), (2, 1));
    office.hang_up(call);
    assert_eq!(office["first"].up(), 0);
    assert_in_order(&office, "first");

    office["first"].door.as_mut().expect("a door").password = "another".into();
    let call = office.call("desk-1", "112");

    assert_eq!(office.outcome(call), Some(200));
    assert_eq!(office["psap"].up(), 1);
    assert_eq!(asked_and_answered(&office, "psap", "INVITE"), (2, 1));
    office.hang_up(call);
    assert_eq!(office["psap"].up(), 0);
    assert_eq!(office.counters().emergency_unrouted, 0);
}

#[test]
fn place_that_a_gateway_refuses_is_left_out_and_its_numbers_rise() {
    let mut office = office_with(|blueprint| {
        blueprint.tenants[0].emergency.location = LocationForm::PidfLo;
        blueprint.tenants[0].sites[0].civic = vec![("country".into(), "US".into())];
    });
    office["first"].manner = Manner::Refuses(415);

    let call = office.call("desk-1", "112");

    assert_eq!(office.outcome(call), Some(200));
    let invites = office["first"].requests("INVITE");
    let located: Vec<_> = invites.iter().map(|invite| invite.header("Geolocation").is_some()).collect();
    assert_eq!(located, [true, true, false], "asked, refused, and refused without the place");
    assert_in_order(&office, "first");
    assert_eq!(office["psap"].up(), 1);
}

#[test]
fn call_back_of_the_emergency_service_is_hung_up_by_a_bye_that_it_challenges() {
    let mut office = office();
    let call = office.call("desk-1", "112");
    office.hang_up(call);

    let call = office.call("psap", "+12125550100");
    assert_eq!(office.outcome(call), Some(200));
    let there = office.last_call("desk-1");
    office.hang_up(there);

    assert_eq!(office.leg(call).state, CallState::Over);
    assert_eq!(asked_and_answered(&office, "psap", "BYE"), (2, 1));
    assert_in_order(&office, "psap");
}

#[test]
fn gateway_that_falls_silent_behind_its_challenge_does_not_keep_an_emergency_call() {
    let mut office = office();
    office["first"].door.as_mut().expect("a door").silent_behind = true;
    let before = office.clock();

    let call = office.dial("desk-1", "112");
    while office.outcome(call).is_none() {
        office.advance(Duration::from_millis(100));
    }

    assert_eq!(office.outcome(call), Some(200));
    assert_eq!(office["psap"].up(), 1);
    assert!(office.clock().since(before) < seconds(5), "patience is for the gateway, not for each INVITE");
}

/// The emergency service is known by its address alone, and may call back from another port.
#[test]
fn call_back_from_another_port_is_hung_up_by_a_bye_that_is_challenged() {
    let mut office = office();
    office.peer("psap-out", "198.51.100.112:40000");
    office["psap-out"].door = Some(Door::new("acme", "secret"));
    let call = office.call("desk-1", "112");
    office.hang_up(call);

    let call = office.call("psap-out", "+12125550100");
    assert_eq!(office.outcome(call), Some(200));
    let there = office.last_call("desk-1");
    office.hang_up(there);

    assert_eq!(office.leg(call).state, CallState::Over);
}
