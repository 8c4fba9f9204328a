//! Emergency calls: before any seat, any base state, any PIN; number and place are the phone's (RULES §6).

use dataplane::audit::Kind;
use dataplane::settings::Peer;
use dataplane::testing::{CallState, Manner, Office};

use crate::{SEED, last_answer, last_heard, seconds};

/// An office with a gateway to the emergency service.
fn office_with_a_route() -> Office {
    let mut office = Office::with(SEED, |blueprint| {
        let addresses = vec!["198.51.100.112:5060".parse().expect("an address")];
        blueprint.tenants[0].emergency.route = Some(Peer { uri: "sip:psap.example".into(), addresses });
    });
    office
        .peer("psap", "198.51.100.112:5060")
        .plug_in("desk-1")
        .plug_in("desk-2")
        .own_phone("soft-2", "1002");
    office
}

#[test]
fn every_spelling_reaches_the_service_in_every_state() {
    let spellings = [
        "112",
        "911",
        "0112",
        "9-911",
        "1.1.2",
        "%31%31%32",
        "sip:112@demo.hotdesk;user=phone",
        "sip:112@192.0.2.1",
        "tel:112",
        "tel:1-1-2",
        "tel:112;phone-context=demo.hotdesk",
        "urn:service:sos",
        "urn:service:sos.fire",
    ];
    for seated in [false, true] {
        let mut office = office_with_a_route();
        if seated {
            office.log_in("1001", "desk-1");
        }
        for spelling in spellings {
            let call = office.call("desk-1", spelling);
            assert_eq!(office.outcome(call), Some(200), "{spelling}, seated: {seated}");
            office.hang_up(call);
        }
        assert_eq!(office["psap"].requests("INVITE").len(), spellings.len());
        assert_eq!(office["psap"].up(), 0, "each was ended");
    }
}

#[test]
fn other_numbers_are_no_emergency() {
    let mut office = office_with_a_route();
    office.log_in("1001", "desk-1");

    for number in ["1112", "1120", "00112", "+112"] {
        let call = office.call("desk-1", number);
        assert_eq!(office.outcome(call), Some(404), "{number}");
    }
    assert!(office["psap"].heard().is_empty());
}

#[test]
fn caller_is_the_place_and_never_the_person() {
    let mut office = office_with_a_route();
    office.log_in("1001", "desk-1");

    office.call("desk-1", "112");

    let invite = last_heard(&office, "psap", "INVITE");
    assert_eq!(invite.uri(), "sip:112@psap.example");
    let from = invite.header("From").expect("a From");
    assert!(from.starts_with("\"Open Desk 1\" <sip:+12125550100@demo.hotdesk>;tag="), "{from}");
    assert_eq!(invite.header("P-Asserted-Identity"), Some("<sip:+12125550100@demo.hotdesk>"));
    assert!(!invite.text.contains("John Smith"), "{}", invite.text);
    assert!(!invite.text.contains("uthorization"), "{}", invite.text);
}

#[test]
fn identity_a_phone_claims_does_not_reach_the_service() {
    let mut office = office_with_a_route();

    office.call_with("desk-1", "112", |invite| {
        invite.add("P-Asserted-Identity", "<sip:boss@demo.hotdesk>").add("Remote-Party-ID", "<sip:boss@x>");
        invite.set("From", "\"Boss\" <sip:boss@demo.hotdesk>;tag=1");
    });

    let invite = last_heard(&office, "psap", "INVITE");
    assert!(!invite.text.contains("boss"), "{}", invite.text);
}

#[test]
fn call_over_the_flow_of_a_registration_is_never_challenged() {
    let mut office = office_with_a_route();
    for phone in ["desk-1", "soft-2"] {
        // A boot forgets the nonces: the INVITE goes out bare, over the flow the phone registered.
        office.reboot(phone);
        office[phone].forget();
        let bare = office[phone].last_sent("REGISTER").to_owned();
        let via = bare.lines().find(|line| line.starts_with("Via")).unwrap_or_default().to_owned();
        let user = if phone == "desk-1" { "desk-1" } else { "1002" };
        let invite = format!(
            "INVITE sip:112@demo.hotdesk SIP/2.0\r\n{via}x\r\nMax-Forwards: 70\r\nFrom: <sip:{user}@demo.hotdesk>;tag=1\r\n\
             To: <sip:112@demo.hotdesk>\r\nCall-ID: bare-{phone}\r\nCSeq: 1 INVITE\r\nContact: <sip:{user}@192.168.1.9>\r\n\
             Content-Length: 0\r\n\r\n"
        );

        office.throw(phone, invite.as_bytes());

        let statuses: Vec<_> =
            office[phone].responses_to("INVITE").iter().filter_map(|it| it.status()).collect();
        assert!(statuses.contains(&200) && !statuses.contains(&407), "{phone}: {statuses:?}");
    }
}

#[test]
fn phone_without_registration_is_challenged_once_outside_and_not_inside_a_site() {
    let mut office = office_with_a_route();
    office.unbox("outside", "1001").unbox("inside", "1003").seen_at("inside", "10.2.7.7:5060");

    let outside = office.call("outside", "112");
    let inside = office.call("inside", "112");

    assert_eq!((office.outcome(outside), office.outcome(inside)), (Some(200), Some(200)));
    let challenges = |phone: &str| {
        office[phone].responses_to("INVITE").iter().filter(|it| it.status() == Some(407)).count()
    };
    assert_eq!((challenges("outside"), challenges("inside")), (1, 0));
}

#[test]
fn wrong_credentials_from_inside_a_site_pass_with_the_sites_number() {
    let mut office = office_with_a_route();
    office.unbox("inside", "1003").seen_at("inside", "10.2.7.7:5060");
    office["inside"].wrong_password = Some("forgotten".into());
    office.register("inside");

    let call = office.call("inside", "112");

    assert_eq!(office.outcome(call), Some(200));
    let from = last_heard(&office, "psap", "INVITE");
    assert!(from.header("From").is_some_and(|from| from.contains("+12125550100")));
}

#[test]
fn stranger_reaches_nobody() {
    let mut office = office_with_a_route();
    office.peer("stranger", "198.51.100.66:5060");

    let call = office.call("stranger", "112");

    assert_eq!(office.outcome(call), Some(407));
    assert!(office["psap"].heard().is_empty());
}

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
        blueprint.tenants[0].emergency.route =
            Some(Peer { uri: "sip:psap.example".into(), addresses: addresses.to_vec() });
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
fn extensions_a_proxy_does_not_know_stop_no_emergency_call() {
    let mut office = office_with_a_route();

    let call = office.call_with("desk-1", "112", |invite| {
        invite.add("Proxy-Require", "teleport");
    });

    assert_eq!(office.outcome(call), Some(200));
}

#[test]
fn phone_that_gave_up_its_own_account_still_calls_from_its_place() {
    let mut office = office_with_a_route();
    office["desk-1"].show_instance("urn:uuid:00000000-0000-1000-8000-001122334451");
    office.register("desk-1");
    office.unregister("desk-1");
    assert_eq!(office.native_log_in("desk-1", "1001"), Some(200));

    let call = office.call("desk-1", "112");

    assert_eq!(office.outcome(call), Some(200));
    let from = last_heard(&office, "psap", "INVITE");
    assert!(from.header("From").is_some_and(|from| from.contains("+12125550100")), "{}", from.text);
}

#[test]
fn disabled_device_still_calls_emergency() {
    let mut office = office_with_a_route();
    office.reconfigure(|blueprint| blueprint.device("desk-1").enabled = false);

    let call = office.call("desk-1", "112");

    assert_eq!(office.outcome(call), Some(200));
}

#[test]
fn no_seat_begins_or_ends_at_a_device_in_an_emergency_call_and_for_the_hold_after_it() {
    let mut office = office_with_a_route();
    office.log_in("1001", "desk-1");
    let call = office.call("desk-1", "112");

    assert_eq!(office.try_log_in("1003", "desk-1"), Some(603));
    assert_eq!(office.try_log_in("1001", "desk-2"), Some(603), "it would end the seat at desk-1");
    office.hang_up(call);
    assert_eq!(office["psap"].up(), 0);
    assert_eq!(office.try_log_in("1003", "desk-1"), Some(603));
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));

    office.advance(seconds(3601));
    assert_eq!(office.try_log_in("1003", "desk-1"), Some(200));
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
