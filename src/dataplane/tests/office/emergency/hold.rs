//! What waits while a phone is in a call for help, and for the hold after it.

use dataplane::hotdesk::Cause;
use dataplane::output::Done;
use dataplane::refusal::Refusal;

use super::{office_with_a_route, office_with_two_routes, reasons};
use crate::seconds;

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

/// OUT-18: what a phone does when it boots is no log-out, and a restart of the edge is none either.
#[test]
fn un_register_that_waits_for_the_hold_is_not_kept_over_a_restart() {
    let mut office = office_with_two_routes();
    assert_eq!(office.native_log_in("desk-1", "1001"), Some(200));
    let call = office.call("desk-1", "112");
    office.hang_up(call);
    assert_eq!(office.unregister("desk-1"), Some(200));
    assert!(office.store.restored().owed_ends.is_empty());

    office.kill_and_restart();
    office.advance(seconds(4000));

    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
    assert_eq!(office.register("desk-1"), Some(200));
    assert_eq!(office.unregister("desk-1"), Some(200));
    assert_eq!(office.device_of("1001"), None, "the next one counts");
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
