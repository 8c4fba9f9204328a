//! A device where nobody sits, and a person who sits nowhere.

use dataplane::testing::Office;

use crate::{SEED, last_answer, three_desks};

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
    office["soft-1"].manner = dataplane::testing::Manner::Rings;
    office["desk-2"].manner = dataplane::testing::Manner::Rings;

    office.call("soft-2", "1001");

    assert_eq!((office["soft-1"].ringing(), office["desk-2"].ringing()), (1, 1));
    assert_eq!(office["desk-1"].ringing(), 0);
}
