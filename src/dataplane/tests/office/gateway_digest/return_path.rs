//! What the route of a call by a gateway is good for: that call, and nothing else.

use std::time::Duration;

use dataplane::testing::{Draft, Manner, Office};

use super::{OUTSIDE, office, office_with};
use crate::{last_answer, seconds};

/// A tag that the far end never gave, in the To of a request within a call.
fn with_made_up_tag(draft: &mut Draft) {
    let to = draft.get("To").split(";tag=").next().expect("a To").to_owned();
    draft.set("To", &format!("{to};tag=made-up"));
}

/// An office whose people may call no number that begins with +1900.
fn office_that_bars() -> Office {
    office_with(|blueprint| blueprint.tenants[0].outside.barred = vec!["+1900".into()])
}

#[test]
fn barred_number_is_not_called_within_another_call_with_the_tag_of_that_call_or_another() {
    let mut office = office_that_bars();
    let call = office.call("desk-1", OUTSIDE);
    assert_eq!(office.outcome(call), Some(200));
    let barred = "sip:+19005551234@first.example";

    let with_its_tag = office.invite_again(call, |draft| draft.uri = barred.into());
    let with_another = office.invite_again(call, |draft| {
        draft.uri = barred.into();
        with_made_up_tag(draft);
    });

    assert_eq!((with_its_tag, with_another), (Some(403), Some(481)));
    assert!(!office["first"].requests("INVITE").iter().any(|it| it.uri().contains("+1900")));
    assert_eq!(office.invite_again(call, |_| {}), Some(200), "the call itself goes on");
}

#[test]
fn only_the_bye_that_ends_a_call_makes_room_for_another() {
    let mut office = office_with(|blueprint| blueprint.tenants[0].outside.phone_calls_max = 1);
    let first = office.call("desk-1", OUTSIDE);
    assert_eq!(office.outcome(first), Some(200));
    let refused = office.call("desk-1", OUTSIDE);
    assert_eq!(office.outcome(refused), Some(403), "the limit holds");

    assert_eq!(office.ask_within(first, "BYE", with_made_up_tag), Some(481));
    let refused = office.call("desk-1", OUTSIDE);
    assert_eq!(office.outcome(refused), Some(403), "the call is still up");

    office.hang_up(first);
    let second = office.call("desk-1", OUTSIDE);
    assert_eq!(office.outcome(second), Some(200));
}

#[test]
fn gateway_is_asked_by_no_refer_to_call_a_number_itself() {
    let mut office = office_that_bars();
    let call = office.call("desk-1", OUTSIDE);

    let answer = office.ask_within(call, "REFER", |draft| {
        draft.add("Refer-To", "<sip:+19005551234@first.example>");
    });

    assert_eq!(answer, Some(403));
    assert!(office["first"].requests("REFER").is_empty());
}

#[test]
fn route_of_a_call_that_is_over_calls_nobody_from_a_phone_at_which_nobody_sits() {
    let mut office = office();
    let call = office.call("desk-1", OUTSIDE);
    office.hang_up(call);
    assert_eq!(office.log_out("desk-1"), Some(200));
    office.advance(Duration::from_secs(600));
    let refused = office.call("desk-1", OUTSIDE);
    assert_eq!(office.outcome(refused), Some(403), "nobody sits there");
    office["first"].forget();

    let answer = office.invite_again(call, |draft| {
        draft.uri = "sip:+19005551234@first.example".into();
        with_made_up_tag(draft);
    });

    assert_eq!(answer, Some(481));
    assert!(office["first"].requests("INVITE").is_empty());
}

/// A phone that has proved nothing may call for help from inside a site, and nobody else by the route of that call.
#[test]
fn route_of_a_call_for_help_calls_nobody_else() {
    let mut office = office();
    office["first"].manner = Manner::Rings;
    office.unbox("inside", "1003").seen_at("inside", "10.2.7.7:5060");
    office["inside"].wrong_password = Some("none".into());
    let call = office.dial("inside", "112");
    office.settle();
    let ringing = last_answer(&office, "inside", "INVITE");
    let header = |name| ringing.header(name).expect("a 180 has it").to_owned();
    let (to, routes) = (header("To"), header("Record-Route"));
    office.hang_up(call);
    office.advance(seconds(60));
    office["first"].forget();

    let answer = office.invite_again(call, |draft| {
        draft.uri = "sip:+19005551234@first.example".into();
        draft.set("To", &to).set("Route", &routes);
        with_made_up_tag(draft);
    });

    assert_eq!(answer, Some(481));
    assert!(office["first"].requests("INVITE").is_empty());
}
