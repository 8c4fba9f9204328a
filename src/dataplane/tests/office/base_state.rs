//! A device where nobody sits, and a person who sits nowhere.

use dataplane::settings::{Absent, Pattern};
use dataplane::testing::{Manner, Office};

use crate::{SEED, last_answer, last_heard, seconds, three_desks};

#[test]
fn empty_phone_dials_nothing_but_codes() {
    let mut office = three_desks();
    office.log_in("1002", "desk-2");

    let call = office.call("desk-1", "1002");
    let message = office.ask("desk-1", "MESSAGE", "1002", |_| {});

    assert_eq!(office.outcome(call), Some(403));
    assert_eq!(message, Some(403));
    assert_eq!(office["desk-2"].calls().len(), 1, "only its own log-in");
    office.log_in("1001", "desk-1");
}

/// An office whose empty phones may call 1002 and what begins with 2.
fn office_with_a_list() -> Office {
    let mut office = Office::with(SEED, |blueprint| {
        let patterns = ["1002", "2."].map(|pattern| Pattern::new(pattern).expect("a pattern"));
        blueprint.tenants[0].base.may_call = patterns.to_vec();
    });
    office.plug_in("desk-1").plug_in("desk-2").plug_in("desk-3");
    office.log_in("1002", "desk-2");
    office.log_in("1003", "desk-3");
    office
}

#[test]
fn empty_phone_calls_whom_the_tenant_lists_and_nobody_else() {
    let mut office = office_with_a_list();

    let listed = office.call("desk-1", "1002");
    let not_listed = office.call("desk-1", "1003");
    let listed_and_nobody = office.call("desk-1", "2000");

    assert_eq!(office.outcome(listed), Some(200));
    assert_eq!(office.outcome(not_listed), Some(403));
    assert_eq!(office.outcome(listed_and_nobody), Some(404));
    let from = last_heard(&office, "desk-2", "INVITE");
    assert!(from.header("From").is_some_and(|from| from.contains("sip:desk-1@")), "{}", from.text);
    assert_eq!(office.ask("desk-1", "MESSAGE", "1002", |_| {}), Some(403), "it may call, and no more");
}

#[test]
fn call_of_an_empty_phone_goes_on_when_somebody_logs_in_there() {
    let mut office = office_with_a_list();
    let call = office.call("desk-1", "1002");

    office.log_in("1001", "desk-1");
    let there = office.last_call("desk-2");

    assert_eq!(office.ask_within(call, "INFO", |_| {}), Some(200));
    assert_eq!(office.ask_within(there, "INFO", |_| {}), Some(200));
    office.hang_up(there);
    assert_eq!(office["desk-1"].up(), 0);
}

#[test]
fn list_of_an_empty_phone_opens_no_code_device_or_emergency_number() {
    let mut office = Office::with(SEED, |blueprint| {
        blueprint.tenants[0].base.may_call =
            vec![Pattern::new("desk-2").unwrap(), Pattern::new("x.").unwrap()];
    });
    office.plug_in("desk-1").plug_in("desk-2");

    let device = office.call("desk-1", "desk-2");
    let emergency = office.call("desk-1", "0112");

    assert_eq!(office.outcome(device), Some(404));
    assert_eq!(office.outcome(emergency), Some(500), "it is an emergency call, and there is no route");
}

#[test]
fn empty_phone_reaches_emergency() {
    let mut office = three_desks();

    let call = office.call("desk-1", "112");

    assert_eq!(office.outcome(call), Some(500), "no route is configured, and it says so");
    let answer = last_answer(&office, "desk-1", "INVITE");
    assert!(answer.header("Warning").is_some_and(|warning| warning.starts_with("399 ")));
}

#[test]
fn device_account_cannot_be_called() {
    let mut office = three_desks();
    office.log_in("1002", "desk-2");
    office.own_phone("soft-3", "1003");

    for caller in ["desk-2", "soft-3"] {
        let device = office.call(caller, "desk-1");
        let nobody = office.call(caller, "4711");
        assert_eq!((office.outcome(device), office.outcome(nobody)), (Some(404), Some(404)));
    }
    assert!(office["desk-1"].calls().is_empty());
}

#[test]
fn person_who_sits_nowhere_is_not_to_be_had_now() {
    let mut office = three_desks();
    office.log_in("1002", "desk-2");

    let call = office.call("desk-2", "1001");

    assert_eq!(office.outcome(call), Some(480));
}

#[test]
fn person_with_ordinary_phones_is_rung_there_without_any_seat() {
    let mut office = Office::new(SEED);
    office.own_phone("soft-1", "1001").own_phone("soft-2", "1002");

    let call = office.call("soft-2", "1001");

    assert_eq!(office.outcome(call), Some(200));
    assert_eq!(office["soft-1"].up(), 1);
}

#[test]
fn ordinary_phones_ring_beside_the_seat_and_are_never_displaced() {
    let mut office = three_desks();
    office.own_phone("soft-1", "1001").own_phone("soft-2", "1002");
    office.log_in("1001", "desk-1");
    office.log_in("1001", "desk-2");
    office["soft-1"].manner = Manner::Rings;
    office["desk-2"].manner = Manner::Rings;

    office.call("soft-2", "1001");

    assert_eq!((office["soft-1"].ringing(), office["desk-2"].ringing()), (1, 1));
    assert_eq!(office["desk-1"].ringing(), 0);
}

#[test]
fn caller_of_somebody_who_is_nowhere_is_sent_where_the_tenant_or_the_person_wants() {
    let mut office = Office::with(SEED, |blueprint| {
        blueprint.tenants[0].absent = Absent::Redirect("+12125550199".into());
        blueprint.extension("1002").absent = Some(Absent::Redirect("sip:1003@demo.hotdesk".into()));
        blueprint.extension("1003").absent = Some(Absent::Unavailable);
    });
    office.own_phone("soft-2", "1002").plug_in("desk-1");
    let contact_after = |office: &mut Office, callee: &str| {
        let call = office.call("soft-2", callee);
        let contact = last_answer(office, "soft-2", "INVITE").header("Contact").map(str::to_owned);
        (office.outcome(call), contact)
    };

    let number = Some("<sip:+12125550199@demo.hotdesk;user=phone>".to_owned());
    assert_eq!(contact_after(&mut office, "1001"), (Some(302), number.clone()));
    assert_eq!(contact_after(&mut office, "1003"), (Some(480), None));
    assert_eq!(office.ask("soft-2", "MESSAGE", "1001", |_| {}), Some(480), "only calls are redirected");

    office.own_phone("soft-1", "1001").unregister("soft-2");
    let call = office.call("soft-1", "1002");
    assert_eq!(office.outcome(call), Some(302));
    let answer = last_answer(&office, "soft-1", "INVITE");
    assert_eq!(answer.header("Contact"), Some("<sip:1003@demo.hotdesk>"));
}

#[test]
fn redirect_ends_with_the_log_in_and_comes_back_with_the_log_out() {
    let mut office = Office::with(SEED, |blueprint| {
        blueprint.extension("1001").absent = Some(Absent::Redirect("+12125550199".into()));
    });
    office.own_phone("soft-2", "1002").plug_in("desk-1");
    let outcome = |office: &mut Office| {
        let call = office.call("soft-2", "1001");
        let outcome = office.outcome(call);
        office.hang_up(call);
        outcome
    };

    assert_eq!(outcome(&mut office), Some(302));
    office.log_in("1001", "desk-1");
    assert_eq!(outcome(&mut office), Some(200));
    office.log_out("desk-1");
    assert_eq!(outcome(&mut office), Some(302));
    office.reconfigure(|blueprint| blueprint.extension("1001").enabled = false);
    assert_eq!(outcome(&mut office), Some(480), "one that is switched off leads nowhere");
}

#[test]
fn phone_that_rings_unanswered_is_no_absence() {
    let mut office = Office::with(SEED, |blueprint| {
        blueprint.tenants[0].absent = Absent::Redirect("+12125550199".into());
    });
    office.own_phone("soft-1", "1001").own_phone("soft-2", "1002");
    office["soft-1"].manner = Manner::Silent;

    let call = office.call("soft-2", "1001");
    office.advance(seconds(10));

    assert_eq!(office.outcome(call), Some(480));
}
