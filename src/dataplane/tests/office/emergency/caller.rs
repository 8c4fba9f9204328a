//! Who calls for help, from where, and what the service is shown of it.

use dataplane::settings::Site;
use dataplane::testing::{Draft, Office};

use super::{office_with_a_route, office_with_two_routes};
use crate::{SEED, gateway, last_heard, seconds};

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
fn person_with_two_desks_calls_from_the_site_of_each_wherever_its_phone_is_seen() {
    let mut office = Office::with(SEED, |blueprint| {
        let here = &mut blueprint.tenants[0];
        here.emergency.routes = vec![gateway("psap", 112)];
        here.emergency.hold = seconds(0);
        let shown = Some("+13125550100".into());
        here.sites.push(Site { id: "home".into(), emergency_caller: shown, ..Site::default() });
        blueprint.device("desk-2").site = Some(1);
    });
    office.peer("psap", "198.51.100.112:5060").plug_in("desk-1").plug_in("desk-2");
    // Over the VPN it is in the network of the other site.
    office.seen_at("desk-2", "10.2.7.7:5060").register("desk-2");

    for (desk, number) in [("desk-1", "+12125550100"), ("desk-2", "+13125550100")] {
        office.log_in("1001", desk);

        let call = office.call(desk, "112");
        office.hang_up(call);

        let invite = last_heard(&office, "psap", "INVITE");
        let shown = format!("<sip:{number}@demo.hotdesk>");
        assert_eq!(invite.header("P-Asserted-Identity"), Some(&*shown), "{desk}");
    }
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
