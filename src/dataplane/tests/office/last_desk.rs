//! Who has logged out is called for a while at the desk that was left, where the tenant or the person wants it (CAP-23).

use std::time::Duration;

use dataplane::settings::{Absent, Limit};
use dataplane::testing::{CallState, Leg, Manner, Office};

use crate::{SEED, last_answer, last_heard, seconds};

const KEEP: Duration = seconds(600);

/// Two desks, and a colleague with a phone of his own who calls 1001, whose desk is kept.
fn office() -> Office {
    let mut office = Office::with(SEED, |blueprint| {
        blueprint.extension("1001").absent = Some(Absent::LastDesk { keep: KEEP, redirect: None });
    });
    office.plug_in("desk-1").plug_in("desk-2").own_phone("soft-2", "1002");
    office.log_in("1001", "desk-1");
    office
}

fn call(office: &mut Office) -> (Leg, Option<u16>) {
    let leg = office.call("soft-2", "1001");
    (leg, office.outcome(leg))
}

#[test]
fn desk_that_was_left_rings_until_its_time_is_over() {
    let mut office = office();
    assert_eq!(office.log_out("desk-1"), Some(200));
    office.advance(KEEP - seconds(5));

    let (leg, outcome) = call(&mut office);
    assert_eq!(outcome, Some(200));
    assert_eq!(office["desk-1"].up(), 1);
    let invite = last_heard(&office, "desk-1", "INVITE");
    assert!(!invite.text.contains("John Smith"), "the desk does not show whose call it is: {}", invite.text);
    office.hang_up(leg);
    assert_eq!(office["desk-1"].up(), 0);

    office.advance(seconds(6));
    assert_eq!(call(&mut office).1, Some(480));
}

#[test]
fn only_calls_ring_at_a_desk_that_was_left() {
    let mut office = office();
    office.log_out("desk-1");

    assert_eq!(office.ask("soft-2", "MESSAGE", "1001", |_| {}), Some(480));
}

#[test]
fn desk_is_kept_after_an_end_by_the_clock_and_not_after_one_by_an_operator() {
    let mut office = office();
    office.reconfigure(|blueprint| blueprint.seats().ends.absolute = Some(Limit::After(seconds(600))));
    office.advance(seconds(620));
    assert_eq!(office.device_of("1001"), None);
    let (leg, outcome) = call(&mut office);
    assert_eq!(outcome, Some(200));
    office.hang_up(leg);

    office.log_in("1001", "desk-2");
    office.force_out("desk-2", true).expect("an answer").expect("the end");

    assert_eq!(call(&mut office).1, Some(480), "neither the desk it was put out of nor the one before rings");
}

#[test]
fn desk_is_kept_no_more_when_somebody_else_has_sat_there() {
    let mut office = office();
    office.log_out("desk-1");
    office.log_in("1003", "desk-1");
    assert_eq!(call(&mut office).1, Some(480));

    office.log_out("desk-1");

    assert_eq!(call(&mut office).1, Some(480), "what is over does not come back");
}

#[test]
fn call_that_rings_at_a_kept_desk_leaves_it_when_another_sits_down() {
    let mut office = office();
    office["desk-1"].manner = Manner::Rings;
    office.log_out("desk-1");
    let (leg, _) = call(&mut office);
    assert_eq!(office["desk-1"].ringing(), 1);

    office.log_in("1003", "desk-1");

    assert_eq!(office["desk-1"].ringing(), 0);
    assert_eq!(office.outcome(leg), Some(480));
}

#[test]
fn call_that_rings_at_a_kept_desk_follows_the_person_to_another() {
    let mut office = office();
    office["desk-1"].manner = Manner::Rings;
    office["desk-2"].manner = Manner::Rings;
    office.log_out("desk-1");
    let (leg, _) = call(&mut office);

    office.log_in("1001", "desk-2");

    assert_eq!((office["desk-1"].ringing(), office["desk-2"].ringing()), (0, 1));
    assert_ne!(office.leg(leg).state, CallState::Over);
}

#[test]
fn call_that_rings_at_a_kept_desk_goes_on_when_the_person_comes_back() {
    let mut office = office();
    office["desk-1"].manner = Manner::Rings;
    office.log_out("desk-1");
    call(&mut office);

    office.log_in("1001", "desk-1");

    assert_eq!(office["desk-1"].ringing(), 1);
}

#[test]
fn callers_are_sent_on_when_the_desk_is_not_kept_any_more() {
    let mut office = office();
    office.reconfigure(|blueprint| {
        let redirect = Some("+12125550199".into());
        blueprint.extension("1001").absent = Some(Absent::LastDesk { keep: KEEP, redirect });
    });
    office.log_out("desk-1");
    office.advance(KEEP + seconds(1));

    assert_eq!(call(&mut office).1, Some(302));
    let answer = last_answer(&office, "soft-2", "INVITE");
    assert_eq!(answer.header("Contact"), Some("<sip:+12125550199@demo.hotdesk;user=phone>"));
}

#[test]
fn desk_that_is_switched_off_rings_for_nobody_and_a_restart_keeps_none() {
    let mut office = office();
    office.log_out("desk-1");
    office.reconfigure(|blueprint| blueprint.device("desk-1").enabled = false);
    assert_eq!(call(&mut office).1, Some(480));
    office.reconfigure(|blueprint| blueprint.device("desk-1").enabled = true);
    let (leg, outcome) = call(&mut office);
    assert_eq!(outcome, Some(200));
    office.hang_up(leg);

    office.kill_and_restart();

    assert_eq!(call(&mut office).1, Some(480));
}

#[test]
fn desk_is_kept_for_nobody_who_has_the_number_later() {
    let mut office = office();
    office.log_out("desk-1");
    let mut leaver = None;
    office.reconfigure(|blueprint| {
        let extensions = &mut blueprint.tenants[0].extensions;
        let index = extensions.iter().position(|it| &*it.number == "1001").expect("there is one");
        leaver = Some(extensions.remove(index));
    });

    office.reconfigure(|blueprint| blueprint.tenants[0].extensions.extend(leaver));

    assert_eq!(call(&mut office).1, Some(480));
}
