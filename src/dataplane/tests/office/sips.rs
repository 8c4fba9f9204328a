//! `sips:`: whoever asks for it is never carried over a hop that others can read (RFC 5630).

use dataplane::testing::Office;

use crate::{SEED, gateway, last_answer, last_heard};

/// Two desks that speak TLS and want to be called by `sips:`, one that speaks UDP; the person of each sits there.
fn office() -> Office {
    let mut office = Office::new(SEED);
    for desk in ["desk-1", "desk-2"] {
        office.unbox(desk, desk).over_tls(desk, "sips");
        assert_eq!(office.register(desk), Some(200));
    }
    office.plug_in("desk-3");
    for number in 1..=3 {
        office.log_in(&format!("100{number}"), &format!("desk-{number}"));
    }
    office
}

#[test]
fn sips_goes_to_sips_contacts_over_tls_alone() {
    let mut office = office();

    let call = office.call_with("desk-1", "1002", |invite| invite.uri = "sips:1002@demo.hotdesk".into());
    let refused = office.call_with("desk-1", "1003", |invite| invite.uri = "sips:1003@demo.hotdesk".into());

    assert_eq!((office.outcome(call), office.outcome(refused)), (Some(200), Some(480)));
    let invite = last_heard(&office, "desk-2", "INVITE");
    assert_eq!(invite.uri(), office["desk-2"].contact("desk-2"));
    assert!(invite.header("Record-Route").is_some_and(|route| route.starts_with("<sips:192.0.2.1:5061;")));
    let warning = last_answer(&office, "desk-1", "INVITE").header("Warning").map(str::to_owned);
    assert!(warning.as_deref().is_some_and(|warning| warning.starts_with("380 ")), "{warning:?}");
    assert!(office["desk-3"].requests("INVITE").is_empty());

    office["desk-2"].forget();
    office.hang_up(call);
    assert_eq!(office["desk-2"].requests("BYE").len(), 1, "the dialog finds its way by sips:, too");
    assert_eq!((office["desk-1"].up(), office["desk-2"].up()), (0, 0));
}

#[test]
fn sips_that_came_in_clear_is_refused() {
    let mut office = office();

    let call = office.call_with("desk-3", "1002", |invite| invite.uri = "sips:1002@demo.hotdesk".into());

    assert_eq!(office.outcome(call), Some(403));
    assert!(office["desk-2"].requests("INVITE").is_empty());
}

#[test]
fn a_phone_that_registered_sips_is_called_by_sip_over_its_tls() {
    let mut office = office();

    let call = office.call("desk-3", "1002");

    assert_eq!(office.outcome(call), Some(200));
    let contact = office["desk-2"].contact("desk-2");
    assert_eq!(last_heard(&office, "desk-2", "INVITE").uri(), contact.replacen("sips:", "sip:", 1));
}

#[test]
fn a_code_dialled_as_sips_is_answered_as_sips() {
    let mut office = office();

    let call = office.call_with("desk-1", "*12", |invite| invite.uri = "sips:*12@demo.hotdesk".into());

    assert_eq!((office.outcome(call), office.device_of("1001")), (Some(200), None));
    let answer = last_answer(&office, "desk-1", "INVITE");
    assert_eq!(answer.header("Contact"), Some("<sips:192.0.2.1:5061>"));
}

#[test]
fn sips_that_comes_in_clear_within_a_call_is_refused_and_the_call_can_be_hung_up() {
    let mut office = office();
    let call = office.call("desk-3", "1002");
    office["desk-2"].forget();

    let contact_alone = office.invite_again(call, |draft| draft.uri = draft.uri.replacen("sip:", "sips:", 1));
    assert_eq!(contact_alone, Some(200), "some phones call themselves so in any call");
    office["desk-2"].forget();
    office.invite_again(call, |draft| {
        draft.uri = draft.uri.replacen("sip:", "sips:", 1);
        let route = draft.get("Route").replace("<sip:", "<sips:");
        draft.set("Route", &route);
    });
    let answer = last_answer(&office, "desk-3", "INVITE");
    assert!(answer.text.starts_with("SIP/2.0 403 "), "{}", answer.text);
    assert!(office["desk-2"].requests("INVITE").is_empty());

    office.hang_up(call);
    assert_eq!(office["desk-2"].up(), 0);
}

#[test]
fn help_is_called_whatever_the_scheme() {
    let mut office = Office::with(SEED, |blueprint| {
        blueprint.tenants[0].emergency.routes = vec![gateway("psap", 112)];
    });
    office.peer("psap", "198.51.100.112:5060");
    office.unbox("desk-1", "desk-1").over_tls("desk-1", "sips");
    assert_eq!(office.register("desk-1"), Some(200));
    office.plug_in("desk-3");

    for desk in ["desk-1", "desk-3"] {
        let call = office.call_with(desk, "112", |invite| invite.uri = "sips:112@demo.hotdesk".into());
        assert_eq!(office.outcome(call), Some(200), "{desk}");
        office.hang_up(call);
        assert_eq!(office["psap"].up(), 0, "{desk} has hung up");
    }
    assert_eq!(office["psap"].requests("INVITE").len(), 2);
}
