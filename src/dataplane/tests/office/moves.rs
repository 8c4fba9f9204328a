//! Moves at the worst moment: while it rings, while a call is up, while an answer is on its way.

use std::time::Duration;

use dataplane::testing::{CallState, Manner, Office};

use crate::{last_heard, seconds, three_desks};

/// 1001 at desk-1, 1002 on an ordinary phone.
fn office_with_a_caller() -> Office {
    let mut office = three_desks();
    office.own_phone("soft-2", "1002");
    office.log_in("1001", "desk-1");
    office
}

#[test]
fn ringing_call_follows_the_person_to_the_new_desk() {
    let mut office = office_with_a_caller();
    office["desk-1"].manner = Manner::Rings;
    office["desk-2"].manner = Manner::Rings;
    let call = office.call("soft-2", "1001");

    office.log_in("1001", "desk-2");

    assert_eq!((office["desk-1"].ringing(), office["desk-2"].ringing()), (0, 1));
    office.pick_up("desk-2");
    office.settle();
    assert_eq!(office.leg(call).state, CallState::Up);
    assert_eq!(office.leg(call).outcome(), Some(200), "no other final answer came before");
}

#[test]
fn answer_that_crosses_the_move_stands() {
    let mut office = office_with_a_caller();
    office["desk-1"].manner = Manner::Rings;
    office["desk-2"].manner = Manner::Rings;
    let call = office.call("soft-2", "1001");
    let dialled = office.log_in_string("1001");
    office.dial("desk-2", &dialled);
    // It stands, and the CANCEL is on its way to the old desk.
    office.advance(Duration::from_micros(22_500));
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-2"));
    assert_eq!(office["desk-1"].ringing(), 1);

    office.pick_up("desk-1");
    office.settle();

    assert_eq!(office.outcome(call), Some(200));
    assert_eq!((office["desk-1"].up(), office["desk-2"].ringing()), (1, 0));
}

#[test]
fn call_to_a_person_who_was_put_out_ends_in_480() {
    let mut office = office_with_a_caller();
    office["desk-1"].manner = Manner::Rings;
    let call = office.call("soft-2", "1001");

    office.log_in("1003", "desk-1");

    assert_eq!(office.outcome(call), Some(480));
    assert_eq!(office["desk-1"].ringing(), 0);
}

#[test]
fn call_rings_on_at_an_ordinary_phone_when_the_seat_ends() {
    let mut office = office_with_a_caller();
    office.own_phone("soft-1", "1001");
    office["desk-1"].manner = Manner::Rings;
    office["soft-1"].manner = Manner::Rings;
    let call = office.call("soft-2", "1001");

    office.log_out("desk-1");

    assert_eq!((office["desk-1"].ringing(), office["soft-1"].ringing()), (0, 1));
    assert_eq!(office.outcome(call), None);
}

#[test]
fn call_in_progress_survives_the_move_and_ends_from_either_side() {
    for (by_caller, opened_at_the_device) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut office = office_with_a_caller();
        let call =
            if opened_at_the_device { office.call("desk-1", "1002") } else { office.call("soft-2", "1001") };
        let there = office.last_call(if opened_at_the_device { "soft-2" } else { "desk-1" });

        office.log_in("1001", "desk-2");
        assert_eq!(office.ask_within(call, "INFO", |_| {}), Some(200));
        assert_eq!(office.ask_within(there, "INFO", |_| {}), Some(200));
        office.hang_up(if by_caller { call } else { there });

        assert_eq!(
            (office["desk-1"].up(), office["soft-2"].up()),
            (0, 0),
            "{by_caller} {opened_at_the_device}"
        );
    }
}

#[test]
fn call_goes_on_as_the_person_it_began_with() {
    let mut office = office_with_a_caller();
    let call = office.call("desk-1", "1002");

    office.log_in("1003", "desk-1");
    office.ask_within(call, "INFO", |_| {});

    let info = last_heard(&office, "soft-2", "INFO");
    assert!(info.header("From").is_some_and(|from| from.contains("sip:1001@demo.hotdesk")));
    office.hang_up(call);
    let next = office.call("desk-1", "1002");
    assert_eq!(office.outcome(next), Some(200));
    let invite = last_heard(&office, "soft-2", "INVITE");
    assert!(invite.header("From").is_some_and(|from| from.contains("sip:1003@demo.hotdesk")));
}

#[test]
fn caller_who_hangs_up_before_the_store_has_it_is_not_logged_in() {
    let mut office = three_desks();
    let call = office.dial("desk-1", "*11*1001*7738");
    // The PIN is being checked.
    office.advance(Duration::from_millis(10));

    office.hang_up(call);

    assert_eq!(office.outcome(call), Some(487));
    assert_eq!(office.device_of("1001"), None);
    assert_eq!(office.store.seat_at("demo", "desk-1"), None);
}

#[test]
fn log_in_stands_when_the_caller_hangs_up_after_the_store_was_asked() {
    let mut office = three_desks();
    office.store.mood = dataplane::testing::StoreMood::Holds;
    let call = office.call("desk-1", "*11*1001*7738");

    office.hang_up(call);
    assert_eq!(office.outcome(call), None, "too late to cancel");
    office.release_store();

    assert_eq!(office.outcome(call), Some(200));
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
}

#[test]
fn two_log_ins_of_one_person_at_once_leave_one_seat() {
    let mut office = three_desks();
    let dialled = office.log_in_string("1001");

    let calls = ["desk-1", "desk-2", "desk-3"].map(|device| office.dial(device, &dialled));
    office.settle();

    assert_eq!(calls.map(|call| office.outcome(call)), [Some(200); 3], "the later ones wait and displace");
    assert_eq!(office.devices_of("1001").len(), 1);
}

#[test]
fn two_persons_who_swap_desks_at_once_both_sit() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");
    office.log_in("1002", "desk-2");

    let one = office.dial("desk-2", "*11*1001*7738");
    let two = office.dial("desk-1", "*11*1002*2468");
    office.settle();

    assert_eq!((office.outcome(one), office.outcome(two)), (Some(200), Some(200)));
    let sitting = ["desk-1", "desk-2"]
        .map(|device| office.seat_at(device).map(|seat| seat.extension.name().to_owned()));
    assert!(sitting.iter().flatten().count() >= 1, "{sitting:?}");
    office.advance(seconds(1));
}
