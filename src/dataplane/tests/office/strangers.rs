//! What must not work, and how it is refused (RFC 3261 §16.3; no open relay).

use dataplane::testing::{Manner, Office};

use crate::{SEED, last_answer, last_heard, three_desks};

fn two_phones() -> Office {
    let mut office = three_desks();
    office.own_phone("soft-1", "1001").own_phone("soft-2", "1002");
    office
}

#[test]
fn request_out_of_hops_is_refused() {
    let mut office = two_phones();

    let call = office.call_with("soft-1", "1002", |invite| {
        invite.set("Max-Forwards", "0");
    });

    assert_eq!(office.outcome(call), Some(483));
}

#[test]
fn hops_are_counted_down() {
    let mut office = two_phones();

    office.call_with("soft-1", "1002", |invite| {
        invite.set("Max-Forwards", "3");
    });

    assert_eq!(last_heard(&office, "soft-2", "INVITE").header("Max-Forwards"), Some("2"));
}

#[test]
fn required_proxy_extensions_are_named_as_unsupported() {
    let mut office = two_phones();

    let call = office.call_with("soft-1", "1002", |invite| {
        invite.add("Proxy-Require", "teleport, foo");
    });

    assert_eq!(office.outcome(call), Some(420));
    let unsupported = last_answer(&office, "soft-1", "INVITE");
    assert_eq!(unsupported.header("Unsupported"), Some("teleport, foo"));
    assert_eq!(
        office.register_with("soft-1", |register| {
            register.add("Require", "outbound, teleport");
        }),
        Some(420)
    );
    assert_eq!(last_answer(&office, "soft-1", "REGISTER").header("Unsupported"), Some("teleport"));
    let passed = office.call_with("soft-1", "1002", |invite| {
        invite.add("Require", "teleport");
    });
    assert_eq!(office.outcome(passed), Some(200), "what is meant for the callee is passed on");
}

#[test]
fn request_that_comes_back_unchanged_is_a_loop() {
    let mut office = two_phones();
    office["soft-2"].manner = Manner::Rings;
    office.call("soft-1", "1002");
    let sent = office["soft-1"].last_sent("INVITE").to_owned();
    let forwarded = last_heard(&office, "soft-2", "INVITE");
    let ours = forwarded.header("Via").expect("our Via is on top").to_owned();
    let branch =
        sent.split("branch=").nth(1).and_then(|it| it.split("\r\n").next()).expect("a branch").to_owned();
    office["soft-1"].forget();

    let back =
        sent.replace(&branch, "z9hG4bKback").replace("\r\nCSeq:", &format!("\r\nVia: {ours}\r\nCSeq:"));
    office.throw("soft-1", back.as_bytes());

    let statuses: Vec<_> =
        office["soft-1"].responses_to("INVITE").iter().filter_map(|it| it.status()).collect();
    assert_eq!(statuses, [482]);
}

#[test]
fn what_is_for_others_is_not_relayed() {
    let mut office = two_phones();
    office.peer("victim", "198.51.100.7:5060").peer("stranger", "198.51.100.66:5060");

    for caller in ["soft-1", "stranger"] {
        let elsewhere = office.call(caller, "sip:someone@198.51.100.7");
        let domain = office.call(caller, "sip:someone@victim.example");
        let routed = office.call_with(caller, "1002", |invite| {
            invite.add("Route", "<sip:198.51.100.7;lr>");
        });
        let through_us = office.call_with(caller, "1002", |invite| {
            invite.add("Route", "<sip:192.0.2.1;lr>").add("Route", "<sip:198.51.100.7;lr>");
        });
        let outcomes = [elsewhere, domain, routed, through_us].map(|call| office.outcome(call));
        // To whoever proves who he is: there is no such person here. A route through others is refused unasked.
        let nobody = if caller == "stranger" { Some(407) } else { Some(404) };
        assert_eq!(outcomes, [nobody, nobody, Some(403), Some(403)], "{caller}");
    }
    assert!(office["victim"].heard().is_empty());
}

#[test]
fn subscriptions_and_stray_notifies_are_refused() {
    let mut office = two_phones();

    let outcome = office.ask("soft-1", "SUBSCRIBE", "1002", |subscribe| {
        subscribe.add("Event", "presence");
    });
    assert_eq!(outcome, Some(489));
    let stray = office.ask("soft-1", "NOTIFY", "1002", |notify| {
        notify.add("Event", "presence");
    });
    assert_eq!(stray, Some(481));
}

#[test]
fn stranger_gets_one_challenge_and_no_phone_rings() {
    let mut office = two_phones();
    office.peer("stranger", "198.51.100.66:5060");

    let call = office.call("stranger", "1002");

    assert_eq!(office.outcome(call), Some(407));
    assert_eq!(office["stranger"].responses_to("INVITE").len(), 1);
    assert!(office["soft-2"].calls().is_empty());
}

#[test]
fn made_up_dialog_rings_no_phone() {
    let mut office = two_phones();
    office.peer("stranger", "198.51.100.66:5060");
    let contact = office["soft-2"].contact("1002");
    office["soft-2"].forget();

    for (caller, route) in [
        ("stranger", "<sip:192.0.2.1;lr>"),
        ("stranger", "<sip:192.0.2.1;lr;hd=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA>"),
        ("soft-1", "<sip:192.0.2.1;lr>"),
    ] {
        let call = office.call_with(caller, &contact, |invite| {
            invite.set("To", "<sip:1002@demo.hotdesk>;tag=made-up").add("Route", route);
        });
        assert!(matches!(office.outcome(call), Some(403 | 481)), "{caller} {route}");
    }
    assert!(office["soft-2"].heard().is_empty());
}

#[test]
fn sealed_route_of_somebody_elses_dialog_opens_nothing() {
    let mut office = two_phones();
    office.peer("stranger", "198.51.100.66:5060");
    let call = office.call("soft-1", "1002");
    let (routes, call_id) = (office.leg(call).routes.clone(), office.leg(call).call_id.clone());
    let (local, remote) = (office.leg(call).local.clone(), office.leg(call).remote.clone());
    let target = office.leg(call).target.clone();
    office["soft-2"].forget();

    let mut steal = |same_call: bool| {
        office.ask("stranger", "BYE", &target, |bye| {
            bye.set("From", &local).set("To", &remote).set("CSeq", "99 BYE").remove("CSeq");
            if same_call {
                bye.set("Call-ID", &call_id);
            }
            for route in &routes {
                bye.add("Route", route);
            }
        })
    };
    let replayed = [steal(true), steal(false)];

    assert_eq!(replayed, [Some(403), Some(481)]);
    assert!(office["soft-2"].heard().is_empty());
    assert_eq!(office["soft-2"].up(), 1);
}

#[test]
fn stray_acks_cancels_and_responses_do_no_harm() {
    let mut office = two_phones();
    office["soft-1"].forget();
    let message = |line: &str, method: &str| {
        format!(
            "{line}\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKstray\r\nFrom: <sip:1001@demo.hotdesk>;tag=1\r\n\
             To: <sip:1002@demo.hotdesk>;tag=2\r\nCall-ID: stray\r\nCSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n"
        )
    };

    office.throw("soft-1", message("ACK sip:1002@demo.hotdesk SIP/2.0", "ACK").as_bytes());
    office.throw("soft-1", message("SIP/2.0 200 OK", "INVITE").as_bytes());
    assert!(office["soft-1"].heard().is_empty(), "neither is ever answered");
    office.throw("soft-1", message("CANCEL sip:1002@demo.hotdesk SIP/2.0", "CANCEL").as_bytes());

    assert_eq!(last_answer(&office, "soft-1", "CANCEL").status(), Some(481));
}

#[test]
fn phone_that_sends_calls_back_to_the_edge_makes_no_storm() {
    let mut office =
        Office::with(SEED, |blueprint| blueprint.tenants[0].registrar.third_party_contacts = true);
    office.own_phone("soft-2", "1002").unbox("mirror", "1001");
    // Its contact is the edge itself.
    office.register_with("mirror", |register| {
        register.set("Contact", "<sip:1001@demo.hotdesk>");
    });
    office["mirror"].manner = Manner::Refuses(302);

    let call = office.call("soft-2", "1001");

    assert_eq!(office.outcome(call), Some(302));
    assert_eq!(office["mirror"].requests("INVITE").len(), 1);
}

#[test]
fn options_to_the_edge_is_answered_and_to_a_person_passed_on() {
    let mut office = two_phones();

    assert_eq!(office.ask("soft-1", "OPTIONS", "sip:demo.hotdesk", |_| {}), Some(200));
    assert!(office["soft-2"].requests("OPTIONS").is_empty());
    assert_eq!(office.ask("soft-1", "OPTIONS", "1002", |_| {}), Some(200));
    assert_eq!(office["soft-2"].requests("OPTIONS").len(), 1);
    assert_eq!(office.ask("soft-1", "OPTIONS", "soap.beep://192.0.2.103:3002", |_| {}), Some(416));
}

#[test]
fn extension_that_is_switched_off_calls_nobody() {
    let mut office = two_phones();
    office.reconfigure(|blueprint| blueprint.extension("1001").enabled = false);

    let call = office.call("soft-1", "1002");

    assert_eq!(office.outcome(call), Some(403));
    assert!(office["soft-2"].requests("INVITE").is_empty());
}

#[test]
fn foreign_domain_on_a_listener_without_tenant_is_refused() {
    let mut office = Office::with(SEED, |blueprint| blueprint.listeners_serve_a_tenant = false);
    office.own_phone("soft-1", "1001").unbox("lost", "1001").in_domain("lost", "nobody.example");

    assert_eq!(office.register("lost"), Some(403));
    let call = office.call("soft-1", "sip:1002@nobody.example");
    assert_eq!(office.outcome(call), Some(403));
}
