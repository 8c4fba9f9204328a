//! Phones that end their side of a connection: what they have asked is answered, and nobody waits for anything of theirs.

use dataplane::testing::{CallState, Manner, Office, StoreMood};

use crate::outbound::two_flows;
use crate::{SEED, last_answer, seconds};

/// `desk-1` over a connection of worker 0, where 1001 sits, and `caller`, of 1002, at worker 1.
fn office() -> Office {
    let mut office = Office::with(SEED, |blueprint| blueprint.workers = 2);
    office.plug_in_stream("desk-1").own_phone("caller", "1002");
    office.log_in("1001", "desk-1");
    office
}

#[test]
fn phone_that_has_finished_is_called_no_more_until_it_is_back() {
    let mut office = office();
    office.finish("desk-1");
    let began = office.clock();

    let call = office.call("caller", "1001");

    assert_eq!(office.outcome(call), Some(480));
    assert!(office.clock().since(began) < seconds(1), "nobody waits for what cannot come");
    assert!(office["desk-1"].requests("INVITE").is_empty());
    office.lose("desk-1");
    assert_eq!(office.register("desk-1"), Some(200));
    let back = office.call("caller", "1001");
    assert_eq!(office.outcome(back), Some(200));
}

#[test]
fn phone_that_finishes_while_it_rings_is_given_up_at_once_on_whichever_worker() {
    let mut office = office();
    office["desk-1"].manner = Manner::Rings;
    let call = office.call("caller", "1001");
    assert_eq!(office["desk-1"].ringing(), 1);

    office.finish("desk-1");

    assert_eq!(office.outcome(call), Some(480));
}

#[test]
fn less_preferred_contact_over_the_same_connection_is_not_tried() {
    let mut office = office();
    office.unbox("own", "1003").over_tls("own", "sip");
    let contact = office["own"].contact("1003");
    let outcome = office.register_with("own", |register| {
        register.set("Contact", &format!("<{contact};line=1>;q=1.0, <{contact};line=2>;q=0.5"));
    });
    assert_eq!(outcome, Some(200));
    office["own"].manner = Manner::Rings;
    let call = office.call("caller", "1003");

    office.finish("own");

    assert_eq!(office.outcome(call), Some(480));
    assert_eq!(office["own"].requests("INVITE").len(), 1);
}

#[test]
fn call_goes_on_to_the_next_flow_and_the_caller_hears_nothing_of_it() {
    let mut office = two_flows();
    office["flow-1"].manner = Manner::Silent;
    let call = office.call("caller", "1001");
    assert_eq!(office.outcome(call), None);

    office.finish("flow-1");

    assert_eq!(office.outcome(call), Some(200));
    assert_eq!(office["flow-2"].up(), 1);
}

#[test]
fn request_within_a_call_goes_by_another_flow() {
    let mut office = two_flows();
    let call = office.call("caller", "1001");
    assert_eq!(office["flow-1"].up(), 1);

    office.finish("flow-1");
    office.ask_within(call, "INFO", |_| {});

    assert_eq!((office["flow-1"].requests("INFO").len(), office["flow-2"].requests("INFO").len()), (0, 1));
}

#[test]
fn what_a_phone_has_asked_before_it_finished_is_answered() {
    let mut office = office();
    office["caller"].manner = Manner::Rings;
    let call = office.call("desk-1", "1002");

    office.finish("desk-1");
    assert_eq!(office.leg(call).state, CallState::Ringing);
    office.pick_up("caller");
    office.settle();

    assert_eq!(office.outcome(call), Some(200));
}

#[test]
fn phone_that_finishes_behind_its_register_is_answered_and_cannot_be_reached() {
    let mut office = office();
    office.unbox("own", "1003").over_tls("own", "sip");
    office.store.mood = StoreMood::Writes(seconds(1));
    assert_eq!(office.register("own"), None, "the store has not written it yet");

    office.finish("own");
    office.advance(seconds(2));

    assert_eq!(last_answer(&office, "own", "REGISTER").status(), Some(200));
    let began = office.clock();
    let call = office.call("caller", "1003");
    assert_eq!(office.outcome(call), Some(480));
    assert!(office.clock().since(began) < seconds(1));
    assert!(office["own"].requests("INVITE").is_empty());
}
