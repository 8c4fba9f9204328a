//! Emergency calls: before any seat, any base state, any PIN; number and place are the phone's (RULES §6).

use dataplane::audit::Kind;
use dataplane::hotdesk::Cause;
use dataplane::output::Done;
use dataplane::refusal::Refusal;
use dataplane::settings::{LocationForm, Peer, Told};
use dataplane::testing::{CallState, Draft, Heard, Manner, Office, StoreMood, tenant};

use crate::{SEED, last_answer, last_heard, seconds};

/// An office with a gateway to the emergency service.
fn office_with_a_route() -> Office {
    let mut office = Office::with(SEED, |blueprint| {
        let addresses = vec!["198.51.100.112:5060".parse().expect("an address")];
        blueprint.tenants[0].emergency.routes = vec![Peer { uri: "sip:psap.example".into(), addresses }];
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
fn end_that_waits_for_a_hold_is_shown_for_when_the_hold_is_over() {
    let mut office = office_with_a_route();
    office.log_in("1001", "desk-1");
    let call = office.call("desk-1", "112");
    office.hang_up(call);
    office.advance(seconds(600));

    let deferred = office.force_out("desk-1", false);

    assert!(matches!(deferred, Some(Ok(Done::Deferred(_)))), "{deferred:?}");
    let seat = office.seat_at("desk-1").expect("it stands");
    let end = office.tables().next_end(&seat, office.settings(), office.now()).expect("it will end");
    assert_eq!(end.cause, Cause::Forced);
    let ahead = (end.at - office.now().wall).div_ceil(1000);
    assert!((2990..=3000).contains(&ahead), "{ahead} s");
    office.advance(seconds(ahead + 2));
    assert_eq!(office.seat_at("desk-1"), None);
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
fn call_carries_the_place_and_the_room_beside_its_session() {
    let mut office = office_with_two_routes();

    office.call_with("desk-1", "112", |invite| {
        invite.add("Geolocation", "<https://liar.example/>").add("Geolocation-Routing", "no");
    });

    let invite = last_heard(&office, "psap", "INVITE");
    let token = invite.header("Content-Type").and_then(|it| it.strip_prefix("multipart/mixed;boundary="));
    let token = token.expect("it has parts");
    let geolocation = invite.header("Geolocation").map(str::to_owned);
    assert_eq!(geolocation, Some(format!("<cid:{token}@demo.hotdesk>")));
    assert_eq!(invite.headers("Geolocation-Routing"), ["yes"]);
    assert!(!invite.text.contains("liar"), "{}", invite.text);
    let (head, body) = invite.text.split_once("\r\n\r\n").expect("it has a body");
    assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
    assert!(body.contains("Content-Type: application/sdp\r\n\r\nv=0\r\n"), "{body}");
    assert!(body.contains(&format!("Content-ID: <{token}@demo.hotdesk>\r\n")), "{body}");
    assert!(body.contains("<ca:country>US</ca:country>"), "{body}");
    assert!(body.contains("<ca:ROOM>Desk 1</ca:ROOM>"), "{body}");
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
fn without_a_number_of_the_place_the_service_sees_and_calls_the_account_and_no_claim_of_the_phone() {
    let mut office = Office::with(SEED, |blueprint| {
        let here = &mut blueprint.tenants[0];
        here.emergency.routes = vec![gateway("psap", 112)];
        here.sites[0].emergency_caller = None;
    });
    office.peer("psap", "198.51.100.112:5060").plug_in("desk-1").own_phone("soft-2", "1002");
    let claim = "\"Boss\" <sip:+12125550177@demo.hotdesk>;tag=1";

    // One phone has proved who it is by the flow of its registration, the other by nothing.
    office.unbox("inside", "1003").seen_at("inside", "10.2.7.7:5060");
    for phone in ["soft-2", "inside"] {
        let own = if phone == "soft-2" { "<sip:1002@demo.hotdesk>;tag=2" } else { claim };
        let call = office.call_with(phone, "112", |invite| {
            invite.set("From", own);
        });
        assert_eq!(office.outcome(call), Some(200), "{phone}");
        office.hang_up(call);
    }
    let proved = office["psap"].requests("INVITE")[0].header("From").map(str::to_owned).unwrap_or_default();
    assert!(proved.contains("<sip:1002@demo.hotdesk>"), "{proved}");

    let claimed = office.call("psap", "+12125550177");
    let nobody = office.call("psap", "sip:demo.hotdesk");
    let own = office.call("psap", "1002");

    assert_ne!(office.outcome(claimed), Some(200), "who wrote that number into From is not called by it");
    assert_ne!(office.outcome(nobody), Some(200));
    assert_eq!(office.outcome(own), Some(200));
    assert_eq!(office["soft-2"].requests("INVITE").len(), 1);
    assert!(office["inside"].requests("INVITE").is_empty());
}

#[test]
fn device_at_a_place_without_a_number_shows_its_own_name_whatever_its_from_says() {
    let mut office = office_with_a_route();
    office.reconfigure(|blueprint| blueprint.tenants[0].sites[0].emergency_caller = None);

    let call = office.call_with("desk-1", "112", |invite| {
        invite.set("From", "\"Boss\" <sip:+12125550177@demo.hotdesk>;tag=1");
    });

    assert_eq!(office.outcome(call), Some(200));
    let invite = last_heard(&office, "psap", "INVITE");
    let from = invite.header("From").unwrap_or_default();
    assert!(from.starts_with("\"Open Desk 1\" <sip:desk-1@demo.hotdesk>"), "{from}");
    office.hang_up(call);
    let claimed = office.call("psap", "+12125550177");
    let own = office.call("psap", "desk-1");
    assert_ne!(office.outcome(claimed), Some(200));
    assert_eq!(office.outcome(own), Some(200));
}

#[test]
fn place_a_phone_claims_reaches_nobody_in_no_request() {
    let mut office = office_with_a_route();
    office.log_in("1001", "desk-1");
    let claims = |request: &mut Draft| {
        request.add("Geolocation", "<https://liar.example/>").add("Geolocation-Routing", "no");
    };

    let inside = office.call_with("desk-1", "1002", claims);
    assert_eq!(office.outcome(inside), Some(200));
    assert_eq!(office.ask_within(inside, "INFO", claims), Some(200));
    assert_eq!(office.invite_again(inside, claims), Some(200));
    office.hang_up(inside);
    let help = office.call("desk-1", "112");
    assert_eq!(office.ask_within(help, "INFO", claims), Some(200));
    assert_eq!(office.invite_again(help, claims), Some(200));

    for name in ["soft-2", "psap"] {
        for heard in office[name].heard() {
            assert!(!heard.text.contains("Geolocation"), "{name}: {}", heard.text);
        }
    }
}

#[test]
fn call_of_a_colleague_is_no_call_back_and_holds_no_phone() {
    let mut office = office_with_two_routes();
    office.log_in("1001", "desk-1");
    let call = office.call("desk-1", "112");
    office.hang_up(call);

    office.advance(seconds(3500));
    let colleague = office.call("soft-2", "+12125550100");
    assert_eq!(office.outcome(colleague), Some(200));
    assert_eq!(office["desk-1"].up(), 1);
    office.hang_up(colleague);

    assert!(!reasons(&office).contains(&"called-back"));
    assert_eq!(office.counters().emergency_call_backs, 0);
    office.advance(seconds(200));
    assert_eq!(office.try_log_in("1003", "desk-1"), Some(200), "the hold was that of the call for help");
    let late = office.call("soft-2", "+12125550100");
    assert_ne!(office.outcome(late), Some(200), "and so was its time");
}

/// Two customers behind one gateway, each with a phone that called for help and showed the number given.
fn two_customers_behind_one_gateway(numbers: [&str; 2]) -> Office {
    let mut office = Office::with(SEED, |blueprint| {
        blueprint.tenants.push(tenant("other", "other.example"));
        for (tenant, number) in blueprint.tenants.iter_mut().zip(numbers) {
            tenant.emergency.routes = vec![gateway("psap", 112)];
            tenant.sites[0].emergency_caller = Some(number.into());
            tenant.sites[0].networks.clear();
        }
    });
    office.peer("psap", "198.51.100.112:5060").plug_in("desk-1");
    office.unbox("theirs", "desk-1").in_domain("theirs", "other.example");
    assert_eq!(office.register("theirs"), Some(200));
    for phone in ["desk-1", "theirs"] {
        let call = office.call(phone, "112");
        assert_eq!(office.outcome(call), Some(200), "{phone}");
        office.hang_up(call);
        office[phone].manner = Manner::Rings;
    }
    office
}

#[test]
fn call_back_over_a_shared_gateway_rings_the_customer_whose_domain_is_called() {
    for (domain, rings) in [("demo.hotdesk", (1, 0)), ("other.example", (0, 1)), ("192.0.2.1", (1, 1))] {
        let mut office = two_customers_behind_one_gateway(["+12125550100", "+12125550100"]);

        office.dial("psap", &format!("sip:2125550100@{domain}"));
        office.settle();

        assert_eq!((office["desk-1"].ringing(), office["theirs"].ringing()), rings, "{domain}");
    }
}

#[test]
fn phone_that_showed_exactly_the_number_called_comes_before_those_that_showed_one_like_it() {
    let mut office = two_customers_behind_one_gateway(["5550100", "+12125550100"]);

    office.dial("psap", "sip:+12125550100@192.0.2.1");
    office.settle();

    assert_eq!((office["desk-1"].ringing(), office["theirs"].ringing()), (0, 1));
    office.pick_up("theirs");
    office.settle();
    let there = office.last_call("psap");
    office.hang_up(there);
    assert_eq!(office["theirs"].up(), 0, "the phone of the other tenant hears the end");
}

#[test]
fn visitor_from_the_tenant_its_customer_is_named_after_dials_the_number_on_the_wall() {
    let mut office = Office::with(SEED, |blueprint| {
        let mut branch = tenant("branch", "branch.hotdesk");
        branch.customer = "demo".into();
        branch.sites[0].networks = vec!["10.9.0.0/16".parse().expect("a network")];
        branch.emergency.numbers = vec!["999".into()];
        branch.emergency.routes = vec![gateway("far", 200)];
        blueprint.tenants.push(branch);
    });
    office.peer("far", "198.51.100.200:5060").unbox("guest", "1001").seen_at("guest", "10.9.7.7:5060");
    assert_eq!(office.register("guest"), Some(200));

    let call = office.call("guest", "999");

    assert_eq!(office.outcome(call), Some(200));
    assert_eq!(last_heard(&office, "far", "INVITE").uri(), "sip:999@far.example");
}

#[test]
fn call_that_found_the_tables_full_holds_no_phone() {
    for (servers, calls) in [(0, 100), (100, 0)] {
        let mut office = office_with_a_route();
        office.make_room_for(servers, calls);

        let call = office.call("desk-1", "112");

        assert_eq!(office.outcome(call), Some(500), "a 503 would drive the phone away");
        assert!(office["psap"].heard().is_empty());
        assert_eq!(reasons(&office), ["routed", "unreachable"]);
        assert_eq!(office.store.called_for_help(), 0);
        office.make_room_for(100, 100);
        assert_eq!(office.try_log_in("1001", "desk-1"), Some(200), "{servers} {calls}");
        let again = office.call("desk-1", "112");
        assert_eq!(office.outcome(again), Some(200));
    }
}

/// What befalls a phone that calls for help, or the edge meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plight {
    BaseState,
    Seated,
    MidSwap,
    LockedPin,
    StoreDown,
    FirstRouteDown,
    NoRouteLeft,
    DeviceDisabled,
    ExtensionDisabled,
    Visitor,
    Native,
    DeletedItsOwnAccount,
}

impl Plight {
    const ALL: [Self; 12] = [
        Self::BaseState,
        Self::Seated,
        Self::MidSwap,
        Self::LockedPin,
        Self::StoreDown,
        Self::FirstRouteDown,
        Self::NoRouteLeft,
        Self::DeviceDisabled,
        Self::ExtensionDisabled,
        Self::Visitor,
        Self::Native,
        Self::DeletedItsOwnAccount,
    ];

    /// Brings it about. Gives the phone that will call.
    fn strike(self, office: &mut Office) -> &'static str {
        const PHONE: &str = "desk-1";
        match self {
            Self::BaseState => {}
            Self::Seated => office.log_in("1001", PHONE),
            Self::MidSwap => {
                office.log_in("1001", PHONE);
                office.store.mood = StoreMood::Holds;
                let dialled = office.log_in_string("1003");
                office.call(PHONE, &dialled);
                assert_eq!(office.store.held(), 1, "the log-in is on its way to the store");
            }
            Self::LockedPin => {
                for _ in 0..4 {
                    office.call(PHONE, "*11*1001*0000");
                }
                assert_eq!(office.try_log_in("1001", PHONE), Some(603));
            }
            Self::StoreDown => {
                office.log_in("1001", PHONE);
                office.store.mood = StoreMood::Fails;
            }
            Self::FirstRouteDown => office["psap"].manner = Manner::Silent,
            Self::NoRouteLeft => {
                office["psap"].manner = Manner::Silent;
                office["psap-2"].manner = Manner::Silent;
            }
            Self::DeviceDisabled => {
                office.log_in("1001", PHONE);
                office.reconfigure(|blueprint| blueprint.device(PHONE).enabled = false);
            }
            Self::ExtensionDisabled => {
                office.log_in("1001", PHONE);
                office.reconfigure(|blueprint| blueprint.extension("1001").enabled = false);
            }
            Self::Visitor => {
                // Its home is far away; the network it is in, and the numbers on the wall, are those of the site here.
                office.unbox("guest", "1001").in_domain("guest", "branch.hotdesk");
                office.seen_at("guest", "10.2.7.7:5060");
                assert_eq!(office.register("guest"), Some(200));
                return "guest";
            }
            Self::Native => assert_eq!(office.native_log_in(PHONE, "1001"), Some(200)),
            Self::DeletedItsOwnAccount => {
                office[PHONE].show_instance("urn:uuid:00000000-0000-1000-8000-001122334451");
                office.register(PHONE);
                office.unregister(PHONE);
                assert_eq!(office.native_log_in(PHONE, "1001"), Some(200));
            }
        }
        PHONE
    }
}

#[test]
fn in_every_plight_the_call_leaves_with_its_place_and_is_called_back() {
    for plight in Plight::ALL {
        let mut office = office_with_two_routes();
        let phone = plight.strike(&mut office);
        office[phone].forget();

        let call = office.call(phone, "112");
        office.advance(seconds(10));

        if plight == Plight::NoRouteLeft {
            assert_eq!(office.outcome(call), Some(500), "{plight:?}");
            assert!(reasons(&office).contains(&"unreachable"), "{plight:?}: {:?}", reasons(&office));
            // Who has heard the call ring may know the number all the same.
        } else {
            assert_eq!(office.outcome(call), Some(200), "{plight:?}");
            let psap = if plight == Plight::FirstRouteDown { "psap-2" } else { "psap" };
            let invite = last_heard(&office, psap, "INVITE");
            let from = invite.header("From").unwrap_or_default();
            assert!(from.contains("<sip:+12125550100@"), "{plight:?}: {from}");
            assert!(invite.text.contains("<ca:RD>46th</ca:RD>"), "{plight:?}: {}", invite.text);
            let has_room = invite.text.contains("<ca:ROOM>Desk 1</ca:ROOM>");
            assert_eq!(has_room, phone == "desk-1", "{plight:?}: {}", invite.text);
            office.hang_up(call);
        }
        let before = office[phone].requests("INVITE").len();

        let back = office.call("psap-2", "+12125550100");

        assert_eq!(office.outcome(back), Some(200), "{plight:?}");
        assert_eq!(office[phone].requests("INVITE").len(), before + 1, "{plight:?}");
        office.hang_up(back);
        assert!(office.counters().emergency_call_backs > 0, "{plight:?}");
    }
}

#[test]
fn call_back_rings_only_the_phone_that_called_and_only_for_its_time() {
    let mut office = office_with_two_routes();
    office.log_in("1001", "desk-1");
    let call = office.call("desk-1", "112");
    office.hang_up(call);

    for called in
        ["+12125550100", "12125550100", "2125550100", "sip:+12125550100@192.0.2.1", "tel:+1-212-555-0100"]
    {
        let back = office.call("psap", called);
        assert_eq!(office.outcome(back), Some(200), "{called}");
        office.hang_up(back);
    }
    assert_eq!(office["desk-1"].requests("INVITE").len(), 5);
    assert!(office["desk-2"].requests("INVITE").is_empty());

    office.advance(seconds(3601));
    let late = office.call("psap", "+12125550100");
    assert_ne!(office.outcome(late), Some(200));
    assert_eq!(office.store.called_for_help(), 0, "the store has forgotten it");
}

#[test]
fn each_of_two_calls_for_help_of_one_phone_ends_for_itself() {
    let mut office = office_with_two_routes();
    let [first, second] = ["112", "911"].map(|number| office.call("desk-1", number));

    office.hang_up(second);
    office.advance(seconds(3601));
    let back = office.call("psap", "+12125550100");
    assert_eq!(office.outcome(back), Some(200), "the first is up, however long ago the second was");
    office.hang_up(back);
    office.hang_up(first);

    assert_eq!(reasons(&office).iter().filter(|reason| **reason == "ended").count(), 2);
    office.advance(seconds(3601));
    assert_eq!(office.store.called_for_help(), 0);
    assert_eq!(office.try_log_in("1001", "desk-1"), Some(200), "no call holds the phone any more");
}

#[test]
fn two_phones_that_showed_one_number_ring_together() {
    let mut office = office_with_two_routes();
    for phone in ["desk-1", "desk-2"] {
        let call = office.call(phone, "112");
        office.hang_up(call);
        office[phone].manner = Manner::Rings;
    }

    office.dial("psap", "+12125550100");
    office.settle();

    assert_eq!((office["desk-1"].ringing(), office["desk-2"].ringing()), (1, 1));
    office.pick_up("desk-2");
    office.settle();
    assert_eq!((office["desk-1"].ringing(), office["desk-2"].up()), (0, 1));
}

#[test]
fn nobody_else_outside_reaches_a_phone_by_its_emergency_number_and_a_colleague_does() {
    let mut office = office_with_two_routes();
    office.peer("stranger", "198.51.100.66:5060");
    let call = office.call("desk-1", "112");
    office.hang_up(call);

    let stranger = office.call("stranger", "+12125550100");
    let colleague = office.call("soft-2", "+12125550100");

    assert_eq!(office.outcome(stranger), Some(407));
    assert_eq!(office.outcome(colleague), Some(200));
    assert_eq!(office["desk-1"].requests("INVITE").len(), 1);
}

#[test]
fn phone_that_registered_nothing_is_called_back_the_way_it_called() {
    let mut office = office_with_two_routes();
    office.unbox("inside", "1003").seen_at("inside", "10.2.7.7:5060");
    let call = office.call("inside", "112");
    assert_eq!(office.outcome(call), Some(200));
    office.hang_up(call);

    let back = office.call("psap", "+12125550100");

    assert_eq!(office.outcome(back), Some(200));
    assert_eq!(office["inside"].requests("INVITE").len(), 1);
}

#[test]
fn hold_and_call_back_outlive_a_restart() {
    let mut office = office_with_two_routes();
    office.log_in("1001", "desk-1");
    let call = office.call("desk-1", "112");
    office.hang_up(call);
    office.advance(seconds(600));

    office.kill_and_restart();

    assert_eq!(office.try_log_in("1003", "desk-1"), Some(603), "the seat is held");
    let back = office.call("psap", "+12125550100");
    assert_eq!(office.outcome(back), Some(200));
    office.hang_up(back);
    // The call-back has begun the hold anew.
    office.advance(seconds(3500));
    assert_eq!(office.try_log_in("1003", "desk-1"), Some(603));
    office.advance(seconds(200));
    assert_eq!(office.try_log_in("1003", "desk-1"), Some(200));
}

#[test]
fn call_that_is_up_at_a_restart_holds_its_phone_until_it_ends_and_an_hour_on() {
    let mut office = office_with_two_routes();
    office.log_in("1001", "desk-1");
    let call = office.call("desk-1", "112");

    office.kill_and_restart();
    office.advance(seconds(4000));
    assert_eq!(office.try_log_in("1003", "desk-1"), Some(603), "it is still up");
    office.hang_up(call);

    office.advance(seconds(3500));
    assert_eq!(office.try_log_in("1003", "desk-1"), Some(603));
    office.advance(seconds(200));
    assert_eq!(office.try_log_in("1003", "desk-1"), Some(200));
}

#[test]
fn hold_of_a_phone_with_a_persons_account_begins_with_the_end_of_its_call() {
    let mut office = office_with_two_routes();
    assert_eq!(office.native_log_in("desk-1", "1001"), Some(200));
    let call = office.call("desk-1", "112");
    office.hang_up(call);

    office.advance(seconds(3601));

    assert_eq!(office.native_log_in("desk-1", "1003"), Some(200));
}

#[test]
fn phone_that_un_registers_in_the_hold_and_comes_back_keeps_its_seat() {
    for comes_back in [true, false] {
        let mut office = office_with_two_routes();
        assert_eq!(office.native_log_in("desk-1", "1001"), Some(200));
        let call = office.call("desk-1", "112");
        office.hang_up(call);

        assert_eq!(office.unregister("desk-1"), Some(200));
        office.advance(seconds(60));
        assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
        if comes_back {
            assert_eq!(office.register("desk-1"), Some(200));
        }
        office.advance(seconds(3700));

        assert_eq!(office.device_of("1001").is_some(), comes_back);
    }
}

#[test]
fn nothing_that_waits_for_a_phone_happens_to_it_in_the_hold() {
    let mut office = office_with_two_routes();
    office.log_in("1001", "desk-1");
    let reloads = office["desk-1"].reloads();
    let call = office.call("desk-1", "112");

    assert_eq!(office.log_out("desk-1"), Some(603));
    office.hang_up(call);
    assert_eq!(office.force_out("desk-1", true), Some(Err(Refusal::EmergencyHold)));
    office.force_out("desk-1", false);
    office.reconfigure(|blueprint| blueprint.extension("1001").enabled = false);
    office.advance(seconds(3500));
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
    assert_eq!(office["desk-1"].reloads(), reloads, "no NOTIFY disturbs it");

    office.advance(seconds(200));
    assert_eq!(office.device_of("1001"), None);
    assert!(office["desk-1"].reloads() > reloads);
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

/// A gateway whose host is called so, at the last octet of its address.
fn gateway(name: &str, octet: u8) -> Peer {
    let address = format!("198.51.100.{octet}:5060").parse().expect("an address");
    Peer { uri: format!("sip:{name}.example").into(), addresses: vec![address] }
}

/// An office with two gateways, whose calls carry their place, and a tenant of the same customer elsewhere.
fn office_with_two_routes() -> Office {
    let mut office = Office::with(SEED, |blueprint| {
        let here = &mut blueprint.tenants[0];
        here.emergency.routes = vec![gateway("psap", 112), gateway("psap-2", 113)];
        here.emergency.location = LocationForm::PidfLo;
        let civic = [("country", "US"), ("RD", "46th"), ("HNO", "1633")];
        here.sites[0].civic = civic.map(|(name, text)| (name.into(), text.into())).to_vec();
        let mut branch = tenant("branch", "branch.hotdesk");
        branch.sites.clear();
        branch.devices.clear();
        branch.emergency.numbers = vec!["999".into()];
        branch.emergency.routes = vec![gateway("far", 200)];
        blueprint.tenants.push(branch);
        for tenant in &mut blueprint.tenants {
            tenant.customer = "acme".into();
        }
    });
    office
        .peer("psap", "198.51.100.112:5060")
        .peer("psap-2", "198.51.100.113:5060")
        .plug_in("desk-1")
        .plug_in("desk-2")
        .own_phone("soft-2", "1002");
    office
}

/// The reasons of all events of emergency calls, in order.
fn reasons(office: &Office) -> Vec<&str> {
    office.events(Kind::EmergencyCall).iter().map(|event| &*event.reason).collect()
}
