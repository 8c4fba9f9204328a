//! A phone whose seat ends, or is to: what it is told, what it keeps, and when it has not left after all.

use dataplane::testing::Office;

use crate::{SEED, gateway, seconds, three_desks};

/// A native phone without an account of its own, over a connection.
fn phone_of_one_account() -> Office {
    let mut office = Office::new(SEED);
    office.plug_in_stream("desk-1").plug_in("desk-2").own_phone("soft-2", "1002");
    office["desk-1"].show_instance("urn:uuid:00000000-0000-1000-8000-001122334451");
    office.register("desk-1");
    office.unregister("desk-1");
    assert_eq!(office.native_log_in("desk-1", "1001"), Some(200));
    office
}

#[test]
fn loser_without_an_account_of_its_own_is_told_by_what_it_loses() {
    let mut office = phone_of_one_account();

    office.log_in("1001", "desk-2");

    assert_eq!(office["desk-1"].reloads(), 1);
    assert_eq!(office.tables().location.contacts("demo", b"1001", office.clock()).len(), 0);
}

#[test]
fn loser_in_a_call_is_told_nothing_and_keeps_what_it_registered() {
    let mut office = phone_of_one_account();
    let call = office.call("desk-1", "1002");
    assert_eq!(office.outcome(call), Some(200));

    office.log_in("1001", "desk-2");

    assert_eq!(office["desk-1"].reloads(), 0);
    assert_eq!(office.tables().location.contacts("demo", b"1001", office.clock()).len(), 1);
    assert_eq!(office.ask_within(call, "INFO", |_| {}), Some(200));
}

#[test]
fn dialled_log_out_takes_away_what_the_wizard_registered() {
    let mut office = three_desks();
    office.native_log_in("desk-1", "1001");
    office.switch_account("desk-1", "desk-1");

    assert_eq!(office.log_out("desk-1"), Some(200));

    assert_eq!(office.tables().location.contacts("demo", b"1001", office.clock()).len(), 0);
}

#[test]
fn phone_that_comes_back_while_an_emergency_call_holds_its_seat_keeps_it() {
    let mut office = Office::with(SEED, |blueprint| {
        blueprint.tenants[0].emergency.routes = vec![gateway("psap", 112)];
    });
    office.peer("psap", "198.51.100.112:5060").plug_in("desk-1");
    office.native_log_in("desk-1", "1001");
    let help = office.call("desk-1", "112");
    office.hang_up(help);

    assert_eq!(office.unregister("desk-1"), Some(200));
    let held = office.seat_at("desk-1").expect("it is held");
    assert_eq!(office.register("desk-1"), Some(200));
    for _ in 0..30 {
        office.advance(seconds(250));
        assert_eq!(office.register("desk-1"), Some(200));
    }

    assert_eq!(office.seat_at("desk-1").map(|seat| seat.epoch), Some(held.epoch), "none was taken anew");
}
