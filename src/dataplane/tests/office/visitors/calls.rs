//! Calls to a visitor, and those that he makes: by the dial plan of home, for help from where he stands.

use std::time::Duration;

use dataplane::audit::Kind;
use dataplane::settings::{Route, Site};
use dataplane::testing::{Blueprint, CallState, Manner};

use super::{LOG_IN, dial, office_that, visit_natively, visited};
use crate::{gateway, last_answer, last_heard, seconds};

#[test]
fn call_from_a_colleague_at_home_rings_the_visited_desk_and_either_side_ends_it() {
    for by_visitor in [false, true] {
        let mut office = visited();

        let call = office.call("west-2", "1001");

        assert_eq!(office.outcome(call), Some(200));
        assert_eq!((office["desk-1"].up(), office["west-desk"].requests("INVITE").len()), (1, 0));
        let there = office.last_call("desk-1");
        assert_eq!(office.ask_within(call, "INFO", |_| {}), Some(200));
        assert_eq!(office.ask_within(there, "INFO", |_| {}), Some(200));
        assert_eq!(office.invite_again(call, |_| {}), Some(200));
        assert_eq!(office.invite_again(there, |_| {}), Some(200));
        office.hang_up(if by_visitor { there } else { call });
        assert_eq!((office["desk-1"].up(), office["west-2"].up()), (0, 0));
        assert!(office.tables().calls.is_idle(
            &("demo", "desk-1"),
            office.now().mono,
            Duration::from_secs(4 * 3600)
        ));
    }
}

#[test]
fn visitor_calls_by_the_dial_plan_and_under_the_name_of_home() {
    for by_visitor in [false, true] {
        let mut office = visited();

        let call = office.call("desk-1", "1002");

        assert_eq!(office.outcome(call), Some(200));
        assert_eq!((office["west-2"].up(), office["soft-2"].up()), (1, 0), "1002 of home, not the one here");
        let invite = last_heard(&office, "west-2", "INVITE");
        let from = invite.header("From").expect("a From");
        assert!(from.starts_with("\"Wanda West\" <sip:1001@west.hotdesk>;tag="), "{from}");
        let heard = last_answer(&office, "desk-1", "INVITE");
        let own = heard.header("From").expect("a From");
        assert!(own.contains("sip:desk-1@demo.hotdesk"), "the phone gets back what it wrote: {own}");

        let there = office.last_call("west-2");
        assert_eq!(office.ask_within(call, "INFO", |_| {}), Some(200));
        let info = last_heard(&office, "west-2", "INFO");
        assert!(info.header("From").is_some_and(|from| from.contains("<sip:1001@west.hotdesk>")));
        assert_eq!(office.ask_within(there, "INFO", |_| {}), Some(200));
        let info = last_heard(&office, "desk-1", "INFO");
        assert!(info.header("To").is_some_and(|to| to.contains("sip:desk-1@demo.hotdesk")), "{}", info.text);
        assert_eq!(office.invite_again(there, |_| {}), Some(200));
        office.hang_up(if by_visitor { call } else { there });
        assert_eq!((office["desk-1"].up(), office["west-2"].up()), (0, 0));
    }
}

#[test]
fn within_a_call_the_visited_phone_is_known_by_its_own_account_also_from_another_address() {
    let mut office = visited();
    let call = office.call("desk-1", "1002");

    office.seen_at("desk-1", "203.0.113.77:7777");
    office.register("desk-1");
    assert_eq!(office.ask_within(call, "INFO", |_| {}), Some(200));
    let there = office.last_call("west-2");
    assert_eq!(office.ask_within(there, "INFO", |_| {}), Some(200), "and it is found there");

    // The desk of the same name at home is another phone.
    office.seen_at("desk-1", "203.0.113.78:7778");
    assert_eq!(office.ask_within(call, "INFO", |_| {}), Some(403));
}

/// A route by such a gateway for all numbers.
fn route(name: &str, octet: u8, caller: &str) -> Route {
    Route {
        prefix: "0".into(),
        peers: vec![gateway(name, octet)],
        strip: 1,
        prepend: "+1".into(),
        caller: Some(caller.into()),
        account: None,
        no_answer: seconds(4),
    }
}

#[test]
fn visitor_calls_outside_by_the_routes_the_number_and_within_the_limits_of_home() {
    let mut office = office_that(|it| {
        it.tenants[0].routes = vec![route("here", 1, "+12125550100")];
        it.tenants[1].routes = vec![route("home", 2, "+13105550100")];
        it.tenants[1].extensions[0].numbers = vec!["+13105551001".into()];
        it.tenants[1].extensions[0].caller = Some("+13105551001".into());
        it.tenants[1].outside.phone_calls_max = 1;
    });
    office.peer("here", "198.51.100.1:5060").peer("home", "198.51.100.2:5060");
    assert_eq!(dial(&mut office, "desk-1", LOG_IN), Some(200));
    assert_eq!(dial(&mut office, "west-desk", "*11*1002*5432"), Some(200));

    let call = office.call("desk-1", "03105557000");

    assert_eq!(office.outcome(call), Some(200));
    assert!(office["here"].heard().is_empty());
    let invite = last_heard(&office, "home", "INVITE");
    assert_eq!(invite.uri(), "sip:+13105557000@home.example;user=phone");
    let from = invite.header("From").expect("a From");
    assert!(from.starts_with("\"Wanda West\" <sip:+13105551001@west.hotdesk>;tag="), "{from}");
    assert_eq!(invite.header("P-Asserted-Identity"), Some("<sip:+13105551001@west.hotdesk>"));
    assert_eq!(dial(&mut office, "desk-1", "03105557000"), Some(403), "one call at a time, says home");
    let namesake = office.call("west-desk", "03105557000");
    assert_eq!(office.outcome(namesake), Some(200), "the desk of the same name there counts for itself");
    let there = office["home"].calls().len();
    assert_eq!(there, 2);
    office.hang_up(call);
    assert_eq!(dial(&mut office, "desk-1", "03105557000"), Some(200));

    let inbound = office.call("home", "sip:+13105551001@west.hotdesk");
    assert_eq!(office.outcome(inbound), Some(200), "and her number outside rings where she sits");
    assert_eq!(last_heard(&office, "desk-1", "INVITE").uri(), office["desk-1"].contact("desk-1"));
}

#[test]
fn call_that_rings_follows_the_person_to_the_other_tenant_and_back() {
    for workers in [1, 2] {
        let mut office = office_that(|it| it.workers = workers);
        office.at_worker("desk-1", workers - 1).at_worker("west-desk", 0).at_worker("west-2", 0);
        assert_eq!(dial(&mut office, "west-desk", "*11*1001*4321"), Some(200));
        for phone in ["desk-1", "west-desk"] {
            office[phone].manner = Manner::Rings;
        }
        let call = office.call("west-2", "1001");
        assert_eq!((office["west-desk"].ringing(), office["desk-1"].ringing()), (1, 0));

        assert_eq!(dial(&mut office, "desk-1", LOG_IN), Some(200));
        assert_eq!((office["west-desk"].ringing(), office["desk-1"].ringing()), (0, 1), "{workers}");
        assert_eq!(dial(&mut office, "west-desk", "*11*1001*4321"), Some(200));
        assert_eq!((office["west-desk"].ringing(), office["desk-1"].ringing()), (1, 0), "{workers}");
        assert_eq!(dial(&mut office, "desk-1", LOG_IN), Some(200));

        office.pick_up("desk-1");
        office.settle();
        assert_eq!(office.leg(call).state, CallState::Up);
        office.hang_up(call);
        assert_eq!(office["desk-1"].up(), 0);
    }
}

#[test]
fn nobody_at_the_visited_tenant_reaches_the_visitor_by_a_number_of_their_own() {
    let mut office = visited();

    assert_eq!(dial(&mut office, "soft-2", "1001"), Some(480), "their 1001 sits nowhere");
    assert!(office["desk-1"].requests("INVITE").is_empty());
}

// ---- emergency --------------------------------------------------------------------------------------------

#[test]
fn call_for_help_leaves_from_where_the_visitor_is_and_is_called_back_there() {
    for native in [false, true] {
        let mut office = office_that(|it| {
            it.tenants[0].emergency.routes = vec![gateway("psap", 112)];
            let west = &mut it.tenants[1];
            west.emergency.routes = vec![gateway("far", 113)];
            west.emergency.numbers = vec!["999".into()];
            west.sites[0] = Site { emergency_caller: Some("+13105550100".into()), ..west.sites[0].clone() };
        });
        office.peer("psap", "198.51.100.112:5060").peer("far", "198.51.100.113:5060");
        if native {
            assert_eq!(visit_natively(&mut office), Some(200));
        } else {
            assert_eq!(dial(&mut office, "desk-1", LOG_IN), Some(200));
        }

        let call = office.call("desk-1", "112");

        assert_eq!(office.outcome(call), Some(200), "{native}");
        let invite = last_heard(&office, "psap", "INVITE");
        let from = invite.header("From").expect("a From");
        assert!(from.starts_with("\"Open Desk 1\" <sip:+12125550100@"), "{from}");
        assert!(!invite.text.contains("Wanda"), "{}", invite.text);
        assert!(office["far"].heard().is_empty(), "the service of home is far away");
        let there = office.last_call("psap");
        assert_eq!(office.ask_within(there, "INFO", |_| {}), Some(200));
        office.hang_up(there);
        assert_eq!(office["desk-1"].up(), 0);

        // Nobody takes the seat while the service may call back, and it rings here whatever has become of her.
        assert_eq!(dial(&mut office, "west-desk", "*11*1001*4321"), Some(603), "the seat is held");
        let before = office["desk-1"].requests("INVITE").len();
        let back = office.call("psap", "+12125550100");
        assert_eq!(office.outcome(back), Some(200));
        assert_eq!(office["desk-1"].requests("INVITE").len(), before + 1);
        office.hang_up(back);
        let events = office.events(Kind::EmergencyCall);
        let routed = events.iter().find(|event| event.reason == "routed").expect("it is on record");
        assert_eq!((&*routed.tenant, routed.device.as_deref()), ("demo", Some("desk-1")));
        assert_eq!(
            (routed.extension.as_deref(), routed.extension_tenant.as_deref()),
            (Some("1001"), Some("west"))
        );
    }
}

#[test]
fn phone_of_home_that_is_carried_along_is_no_device_of_the_place() {
    let mut office = office_that(|it| it.tenants[0].emergency.routes = vec![gateway("psap", 112)]);
    office.peer("psap", "198.51.100.112:5060");
    office
        .unbox("carried", "desk-2")
        .in_domain("carried", "west.hotdesk")
        .seen_at("carried", "10.2.7.7:5060");

    assert_eq!(dial(&mut office, "carried", "112"), Some(200));

    let from = last_heard(&office, "psap", "INVITE").header("From").unwrap_or_default().to_owned();
    assert!(from.contains("<sip:+12125550100@") && !from.contains("Open Desk 2"), "{from}");
    let events = office.events(Kind::EmergencyCall);
    assert_eq!(events.first().and_then(|event| event.device.as_deref()), None);
}

/// While an old call keeps a seat that is to end, nobody is called from there on the account of where its person was at home.
#[test]
fn visitor_whose_seat_waits_for_a_call_to_end_makes_no_new_calls() {
    let changes: [fn(&mut Blueprint); 3] = [
        |it| it.tenants[1].extensions[0].enabled = false,
        |it| it.tenants[1].customer = "".into(),
        |it| it.tenants[1].extensions.retain(|extension| *extension.number != *"1001"),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let mut office = office_that(|it| {
            it.tenants[0].base.may_call = vec![dataplane::settings::Pattern::new("0.").unwrap()];
            it.tenants[0].routes = vec![route("here", 1, "+12125550100")];
            it.tenants[1].routes = vec![route("home", 2, "+13105550100")];
        });
        office.peer("here", "198.51.100.1:5060").peer("home", "198.51.100.2:5060");
        assert_eq!(dial(&mut office, "desk-1", LOG_IN), Some(200));
        let call = office.call("desk-1", "03105557000");
        assert_eq!(office.outcome(call), Some(200));

        office.reconfigure(change);
        office.advance(seconds(5));
        let refused = office.call("desk-1", "03105557001");

        assert_eq!(office.outcome(refused), Some(403), "change {index}");
        assert_eq!(office["home"].calls().len(), 1, "change {index}");
    }
}
