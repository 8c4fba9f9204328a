//! Who logged in last at a phone is asked there for the PIN alone, where the tenant wants it (LOG-15).

use dataplane::testing::{Blueprint, Office};

use crate::{SEED, log_in_by_order};

const OFFER: &str = "for-extension 1 0 0 1 or-star enter-pin";

/// 1001 has logged in and out at the first of two desks of a tenant that remembers it.
fn after_hours(change: impl FnOnce(&mut Blueprint)) -> Office {
    let mut office = Office::with(SEED, |blueprint| {
        blueprint.seats().remember_last = true;
        change(blueprint);
    });
    office.plug_in("desk-1").plug_in("desk-2");
    office.log_in("1001", "desk-1");
    assert_eq!(office.log_out("desk-1"), Some(200));
    office
}

/// What whoever picks up the phone and dials the code is asked.
fn asked(office: &mut Office, device: &str) -> String {
    let call = office.talk(device, "*11");
    let said = office.said().0;
    office.hang_up(call);
    said
}

#[test]
fn last_user_logs_in_by_the_pin_alone() {
    let mut office = after_hours(|_| {});

    office.talk("desk-1", "*11");
    assert_eq!(office.said().0, OFFER);
    office.press("7738#");

    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
}

#[test]
fn another_person_presses_star_and_logs_in_as_ever() {
    let mut office = after_hours(|_| {});

    office.talk("desk-1", "*10");
    assert_eq!(office.said().0, OFFER, "the code that logs in and out asks the same");
    office.press("*");
    assert_eq!(office.said().0, "enter-extension");
    office.press("1002#2468#");

    assert_eq!(office.device_of("1002").as_deref(), Some("desk-1"));
}

#[test]
fn wrong_pin_leads_back_to_the_extension() {
    let mut office = after_hours(|_| {});
    office.talk("desk-1", "*11");

    office.press("0000#");

    assert_eq!(office.said().0, "wrong enter-extension");
}

#[test]
fn nobody_is_told_of_by_default_at_another_phone_or_while_somebody_sits() {
    let mut office = after_hours(|blueprint| blueprint.seats().remember_last = false);
    assert_eq!(asked(&mut office, "desk-1"), "enter-extension");

    let mut office = after_hours(|_| {});
    assert_eq!(asked(&mut office, "desk-2"), "enter-extension");

    office.log_in("1001", "desk-1");
    assert_eq!(asked(&mut office, "desk-1"), "enter-extension");
}

#[test]
fn person_who_moved_on_is_offered_the_desk_that_was_left() {
    let mut office = after_hours(|_| {});
    office.log_in("1001", "desk-1");
    office.log_in("1001", "desk-2");

    assert_eq!(asked(&mut office, "desk-1"), OFFER);
}

#[test]
fn whoever_was_seated_by_an_operator_did_not_log_in_there() {
    let mut office = after_hours(|_| {});
    log_in_by_order(&mut office, "1002", "desk-1").expect("the seat");
    office.force_out("desk-1", true).expect("an answer").expect("the end");

    assert_eq!(asked(&mut office, "desk-1"), OFFER, "the last who did is the one before");
}

#[test]
fn last_user_is_forgotten_who_may_sit_there_no_more() {
    let refusals: [fn(&mut Blueprint); 7] = [
        |it| it.extension("1001").enabled = false,
        |it| it.extension("1001").may_hot_desk = false,
        |it| it.extension("1001").devices = vec!["desk-2".into()],
        |it| it.extension("1001").protected = true,
        |it| it.device("desk-1").protected = true,
        |it| it.tenants[0].extensions.retain(|extension| &*extension.number != "1001"),
        |it| it.seats().remember_last = false,
    ];
    for refuse in refusals {
        let mut office = after_hours(|_| {});

        office.reconfigure(refuse);
        assert_eq!(asked(&mut office, "desk-1"), "enter-extension");

        office.reconfigure(|it| {
            *it = Blueprint::demo(SEED);
            it.seats().remember_last = true;
        });
        assert_eq!(asked(&mut office, "desk-1"), "enter-extension", "forgotten is forgotten");
    }
}

#[test]
fn restart_remembers_who_sits() {
    let mut office = after_hours(|_| {});
    office.log_in("1001", "desk-1");

    office.kill_and_restart();
    assert_eq!(office.log_out("desk-1"), Some(200));

    assert_eq!(asked(&mut office, "desk-1"), OFFER);
}
