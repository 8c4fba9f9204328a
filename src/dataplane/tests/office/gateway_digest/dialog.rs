//! Numbers of a dialog with a gateway that asks: they rise at the gateway, and the phone sees its own.

use std::time::Duration;

use dataplane::testing::{CallState, Leg, Manner, Office, Quality};

use super::{OUTSIDE, asked_and_answered, assert_in_order, number, office, office_with};
use crate::{last_answer, last_heard, seconds};

#[test]
fn answers_have_the_numbers_of_the_phones_requests() {
    let mut office = office();

    let call = office.call("desk-1", OUTSIDE);
    office.ask_within(call, "INFO", |_| {});
    office.hang_up(call);

    for method in ["INVITE", "INFO", "BYE"] {
        let sent = office["desk-1"].last_sent(method);
        let sent = sent.split("CSeq: ").nth(1).map(number).expect("a CSeq");
        let answer = last_answer(&office, "desk-1", method);
        assert_eq!(answer.header("CSeq"), Some(&*format!("{sent} {method}")), "{}", answer.text);
        assert!(number(last_heard(&office, "first", method).header("CSeq").expect("a CSeq")) > sent);
    }
}

#[test]
fn requests_within_the_dialog_are_challenged_and_answered_from_both_sides() {
    let mut office = office();
    office["first"].door.as_mut().expect("a door").uses_max = 1;
    let call = office.call("desk-1", OUTSIDE);
    let there = office.last_call("first");

    assert_eq!(office.invite_again(call, |_| {}), Some(200));
    assert_eq!(office.ask_within(call, "UPDATE", |_| {}), Some(200));
    assert_eq!(office.invite_again(there, |_| {}), Some(200));
    assert_eq!(office.invite_again(call, |_| {}), Some(200));
    let invite = last_heard(&office, "desk-1", "INVITE");
    assert_eq!(invite.header("CSeq"), Some("1 INVITE"), "the peer's own numbers pass as they are");
    office.advance(seconds(40));
    assert_eq!(office.leg(call).state, CallState::Up, "every 200 was acknowledged");
    office.hang_up(call);

    assert_eq!(office.leg(there).state, CallState::Over);
    assert_in_order(&office, "first");
    assert_eq!(asked_and_answered(&office, "first", "BYE"), (2, 2));
    assert_eq!(office["desk-1"].responses_to("BYE").len(), 1);
}

#[test]
fn call_of_a_peer_is_hung_up_by_a_bye_that_it_challenges() {
    let mut office = office();
    let call = office.call("first", "+12125551001");
    let there = office.last_call("desk-1");
    assert_eq!(office.outcome(call), Some(200));

    assert_eq!(office.invite_again(there, |_| {}), Some(200));
    office.hang_up(there);

    assert_eq!(office.leg(call).state, CallState::Over);
    assert_eq!(asked_and_answered(&office, "first", "INVITE"), (2, 1));
    assert_eq!(last_heard(&office, "first", "BYE").header("CSeq"), Some("8 BYE"), "4 · 2 + 0");
    assert_in_order(&office, "first");
}

#[test]
fn phone_with_high_numbers_can_call_and_be_called() {
    let mut office = office();
    for (first, expected) in [((1 << 29) + 5, "20 INVITE"), ((1 << 31) - 2, "536870904 INVITE")] {
        office["first"].forget();
        office["desk-1"].first_cseq = first;
        let call = office.call("desk-1", OUTSIDE);
        assert_eq!(office.outcome(call), Some(200));
        assert_eq!(office["first"].requests("INVITE")[0].header("CSeq"), Some(expected));
        office.hang_up(call);
        assert_eq!(office["first"].up(), 0);
        assert_in_order(&office, "first");
    }
}

/// Sends a PRACK for the 180 that a phone heard last, with its number.
fn acknowledge_ringing(office: &mut Office, call: Leg, invite: u32) -> Option<u16> {
    let ringing = last_answer(office, "desk-1", "INVITE");
    assert_eq!(ringing.status(), Some(180));
    let header = |name| ringing.header(name).expect("a 180 has it").to_owned();
    let (to, routes) = (header("To"), header("Record-Route"));
    office.ask_within(call, "PRACK", |prack| {
        prack.set("To", &to).add("Route", &routes).add("RAck", &format!("7 {invite} INVITE"));
    })
}

#[test]
fn prack_names_the_invite_by_its_number_at_the_peer() {
    let mut office = office();
    office["first"].manner = Manner::Rings;
    let call = office.call("desk-1", OUTSIDE);
    let sent = office["desk-1"].last_sent("INVITE").split("CSeq: ").nth(1).map(number).expect("a CSeq");

    assert_eq!(acknowledge_ringing(&mut office, call, sent), Some(200));

    let invite = last_heard(&office, "first", "INVITE").header("CSeq").map(number).expect("a CSeq");
    let prack = last_heard(&office, "first", "PRACK");
    assert_eq!(prack.header("RAck"), Some(&*format!("7 {invite} INVITE")));
    office.pick_up("first");
    office.settle();
    assert_eq!(office.outcome(call), Some(200));
    office.hang_up(call);
    assert_in_order(&office, "first");
}

#[test]
fn caller_who_gives_up_at_any_moment_leaves_nothing_behind() {
    for half_milliseconds in 1..24 {
        for manner in [Manner::Rings, Manner::Answers] {
            let mut office = office();
            office["first"].manner = manner;
            office["first"].door.as_mut().expect("a door").uses_max = 1;
            let call = office.dial("desk-1", OUTSIDE);

            office.advance(Duration::from_micros(500 * half_milliseconds));
            office.hang_up(call);
            office.advance(seconds(1));
            let outcome = office.outcome(call);
            // A 200 that has crossed the CANCEL stands, and is hung up as any call is.
            office.hang_up(call);

            let at = (half_milliseconds, manner);
            assert!(outcome == Some(487) || outcome == Some(200), "{at:?}: {outcome:?}");
            assert_eq!((office["first"].ringing(), office["first"].up()), (0, 0), "{at:?}");
            assert!(office["second"].heard().is_empty(), "{at:?}");
            assert_in_order(&office, "first");
            office.advance(seconds(64));
            assert!(office.is_quiet(), "{at:?}");
        }
    }
}

#[test]
fn calls_get_through_a_wire_that_loses_one_in_ten() {
    for seed in 0..8 {
        let mut office = office_with(|blueprint| blueprint.seed = seed);
        office["first"].door.as_mut().expect("a door").uses_max = 2;
        office.quality = Quality::POOR;

        let call = office.call("desk-1", OUTSIDE);
        assert_eq!(office.outcome(call), Some(200), "seed {seed}");
        assert_eq!(office.invite_again(call, |_| {}), Some(200), "seed {seed}");
        office.hang_up(call);

        office.advance(seconds(40));
        assert_eq!((office["first"].up(), office["desk-1"].up()), (0, 0), "seed {seed}");
    }
}

#[test]
fn dialog_outlives_a_restart() {
    let mut office = office();
    let call = office.call("desk-1", OUTSIDE);
    let incoming = office.call("first", "+12125551001");
    let there = office.last_call("desk-1");

    office.kill_and_restart();
    assert_eq!(office.invite_again(call, |_| {}), Some(200));
    office.hang_up(call);
    office.hang_up(there);

    assert_eq!((office["first"].up(), office.leg(incoming).state), (0, CallState::Over));
    assert_in_order(&office, "first");
}

#[test]
fn peers_without_an_account_get_every_call_as_before() {
    let mut office = office_with(|blueprint| blueprint.tenants[0].routes[0].account = None);
    office["first"].door = None;

    let call = office.call("desk-1", OUTSIDE);
    let sent = office["desk-1"].last_sent("INVITE").split("CSeq: ").nth(1).map(number).expect("a CSeq");

    assert_eq!(last_heard(&office, "first", "INVITE").header("CSeq"), Some(&*format!("{sent} INVITE")));
    office.hang_up(call);
    assert_eq!(last_heard(&office, "first", "BYE").header("CSeq"), Some(&*format!("{} BYE", sent + 1)));
}
