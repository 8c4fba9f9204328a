//! What the codes do, what is said of it, and PINs that are changed.

use dataplane::audit::Kind;
use dataplane::settings::{CodesFrom, OnOccupied, StoredPin};
use dataplane::testing::{CallState, Office, pin_hash};

use super::said;
use crate::{SEED, last_heard, seconds, three_desks};

#[test]
fn toggle_code_logs_in_where_nobody_sits_and_out_where_somebody_does() {
    let mut office = three_desks();

    office.talk("desk-1", "*10");
    office.press("1001#7738#");
    office.listen_to_end();
    office.settle();
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
    let call = office.talk("desk-1", "*10");

    assert_eq!(office.device_of("1001"), None);
    assert_eq!(said(&office), "logged-out phone-reloads goodbye");
    office.listen_to_end();
    office.settle();
    assert!(office.leg(call).ended_by_peer);
}

#[test]
fn codes_with_a_number_need_no_word_where_nothing_is_to_be_asked() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");

    let toggled = office.call("desk-1", "*10*1002*2468");
    assert_eq!(office.outcome(toggled), Some(200));
    assert_eq!(office.device_of("1002").as_deref(), Some("desk-1"), "the number that was dialled takes over");

    let left = office.call("desk-1", "*12*1002");
    assert_eq!(office.outcome(left), Some(200));
    assert_eq!((office.device_of("1002"), office.open_sessions()), (None, 0));
}

#[test]
fn who_sits_here_is_said_and_changes_nothing() {
    let mut office = three_desks();
    office.talk("desk-1", "*13");
    assert_eq!(said(&office), "nobody goodbye");
    office.log_in("1001", "desk-2");

    office.talk("desk-2", "*13");
    assert_eq!(said(&office), "you-are 1 0 0 1 goodbye");
    office.own_phone("soft-1", "1001");
    office.talk("soft-1", "*13");

    assert_eq!(said(&office), "your-extension 1 0 0 1 sits-elsewhere goodbye");
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-2"));
}

#[test]
fn log_out_asks_for_the_pin_where_the_tenant_says_so() {
    let mut office = Office::with(SEED, |blueprint| blueprint.seats().logout_pin = true);
    office.plug_in("desk-1");
    for code in ["*12", "*10", "*12*1001"] {
        office.log_in("1001", "desk-1");

        let call = office.talk("desk-1", code);
        assert_eq!(said(&office), "enter-pin", "{code}");
        office.press("0000#");
        assert_eq!(said(&office), "wrong enter-pin", "whose PIN is wanted is known");
        assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
        office.press("7738#");

        assert_eq!(said(&office), "logged-out phone-reloads goodbye");
        assert_eq!(office.device_of("1001"), None);
        office.hang_up(call);
    }
}

#[test]
fn forgotten_seat_is_ended_from_any_phone_with_the_pin() {
    let mut office = three_desks();
    office.own_phone("soft-1", "1001");
    for (phone, code) in [("desk-2", "*12*1001"), ("soft-1", "*12"), ("soft-1", "*12*1001")] {
        office.log_in("1001", "desk-1");
        let before = office["desk-1"].reloads();

        let call = office.talk(phone, code);
        assert_eq!(said(&office), "enter-pin");
        office.press("7738#");

        assert_eq!(office.device_of("1001"), None, "{phone} {code}");
        assert_eq!(said(&office), "logged-out goodbye");
        assert_eq!(office["desk-1"].reloads(), before + 1, "the phone that lost it is told at once");
        office.hang_up(call);
    }
    office.log_in("1001", "desk-1");
    let whole = office.call("desk-2", "*12*1001*7738");
    assert_eq!((office.outcome(whole), office.device_of("1001")), (Some(200), None));
    let nowhere = office.call("desk-2", "*12*1001*7738");
    assert_eq!(office.outcome(nowhere), Some(403));
    let wrong = office.call("desk-2", "*12*1001*0000");
    assert_eq!(office.outcome(wrong), Some(403));
}

#[test]
fn person_at_two_desks_leaves_the_one_that_is_dialled_from_and_from_elsewhere_both() {
    let mut office = Office::with(SEED, |blueprint| blueprint.extension("1001").devices_max = 2);
    office.plug_in("desk-1").plug_in("desk-2").plug_in("desk-3");
    let sits_at = |office: &Office| ["desk-1", "desk-2"].map(|device| office.seat_at(device).is_some());
    for (phone, left) in [("desk-1", [false, true]), ("desk-3", [false, false])] {
        office.log_in("1001", "desk-1");
        office.log_in("1001", "desk-2");
        assert_eq!(sits_at(&office), [true, true]);

        let call = office.call(phone, "*12*1001*7738");

        assert_eq!((office.outcome(call), sits_at(&office)), (Some(200), left), "{phone}");
    }
}

#[test]
fn ordinary_phone_takes_no_seat_whatever_it_dials() {
    for from in [CodesFrom::Pool, CodesFrom::Any] {
        let mut office = Office::with(SEED, |blueprint| blueprint.seats().codes_from = from);
        office.plug_in("desk-1").own_phone("soft-1", "1001");
        office.log_in("1001", "desk-1");

        for code in ["*11", "*11*1001", "*11*1001*7738"] {
            let call = office.talk("soft-1", code);
            assert_eq!(office.outcome(call), Some(403), "{code}");
        }
        let toggle = office.talk("soft-1", "*10");

        let expected = if from == CodesFrom::Any { 200 } else { 403 };
        assert_eq!(office.outcome(toggle), Some(expected));
        let another_pin = office.talk("soft-1", "*14");
        assert_eq!(office.outcome(another_pin), Some(expected));
        assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
    }
}

#[test]
fn device_in_use_is_taken_over_when_the_person_says_so() {
    let mut office = Office::with(SEED, |blueprint| blueprint.seats().on_occupied = OnOccupied::Ask);
    office.plug_in("desk-1");
    office.log_in("1002", "desk-1");

    assert_eq!(office.try_log_in("1001", "desk-1"), Some(403), "a dialled string cannot be asked");
    office.talk("desk-1", "*11*1001");
    office.press("7738#");
    assert_eq!(said(&office), "in-use 1 0 0 2 ask-take-over");
    assert_eq!(office.device_of("1002").as_deref(), Some("desk-1"));
    office.press("1");

    assert_eq!(said(&office), "logged-in 1 0 0 1 was-in-use 1 0 0 2 phone-reloads goodbye");
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
}

#[test]
fn person_hears_where_the_extension_was_until_now() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");

    office.talk("desk-2", "*11*1001");
    office.press("7738#");
    assert_eq!(said(&office), "logged-in 1 0 0 1 was-elsewhere phone-reloads goodbye");
    office.listen_to_end();
    office.settle();
    office.talk("desk-2", "*11*1001");
    office.press("7738#");

    assert_eq!(said(&office), "already-here 1 0 0 1 goodbye");
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-2"));
}

#[test]
fn seat_lost_while_in_the_menu_is_no_hindrance() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");
    let call = office.talk("desk-1", "*11");
    office.press("10");

    office.log_in("1001", "desk-2");
    assert_eq!(office.leg(call).state, CallState::Up);
    office.press("02#2468#");

    assert_eq!(office.device_of("1002").as_deref(), Some("desk-1"));
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-2"));
}

#[test]
fn language_is_the_places_until_the_person_is_known() {
    let mut office = Office::with(SEED, |blueprint| {
        blueprint.tenants[0].attendant.language = "fr".into();
        blueprint.tenants[0].sites[0].language = Some("de".into());
        blueprint.device("desk-2").site = None;
        blueprint.extension("1001").language = Some("en".into());
    });
    office.plug_in("desk-1").plug_in("desk-2");

    office.talk("desk-2", "*11");
    assert_eq!(office.said().1, "fr");
    office.talk("desk-1", "*11");
    office.press("1001#");
    assert_eq!(office.said(), ("enter-pin".into(), "de".into()), "whether it exists shows in nothing");
    office.press("7738#");

    assert_eq!(office.said().1, "en");
}

#[test]
fn call_to_the_attendant_is_nobodys_call() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");
    office.talk("desk-1", "*13");
    let before = office["desk-1"].reloads();

    office.force_out("desk-1", false);

    assert_eq!(office.seat_at("desk-1"), None, "nothing waits for it");
    assert_eq!(office["desk-1"].reloads(), before + 1);
}

#[test]
fn no_pin_shows_in_what_leaves_the_edge() {
    let mut office = three_desks();
    office.listen();
    office.talk("desk-1", "*11");
    office.press("1001#90817263#");
    office.press("1001#7738#");

    let overheard = office.overheard.clone().unwrap_or_default();

    for pin in ["7738", "90817263", "[55, 55, 51, 56]"] {
        assert!(!overheard.contains(pin), "{pin} shows in {overheard}");
    }
}

#[test]
fn wire_that_loses_and_doubles_logs_in_all_the_same() {
    let mut office = Office::with(SEED, |blueprint| {
        blueprint.quality = dataplane::testing::Quality { loss: 150, duplication: 100, ..blueprint.quality };
    });
    office.plug_in("desk-1");

    let call = office.talk("desk-1", "*11*1001");
    office.press("7738#");
    office.advance(seconds(60));

    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
    assert!(office.leg(call).ended_by_peer);
    let _ = last_heard(&office, "desk-1", "BYE");
}

#[test]
fn person_changes_the_pin_at_his_desk_and_the_old_one_opens_nothing() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");

    let call = office.talk("desk-1", "*14");
    assert_eq!(said(&office), "enter-pin", "whoever sits here is not asked who he is");
    office.press("0000#2580#2580#");
    assert_eq!(said(&office), "wrong enter-pin");
    office.press("7738#");
    office.press("2580#2580#");
    assert_eq!(said(&office), "pin-changed goodbye");
    office.listen_to_end();
    office.settle();

    assert!(office.leg(call).ended_by_peer && office.is_quiet());
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"), "no seat has changed");
    let told = office.events(Kind::PinChange);
    let told: Vec<_> =
        told.iter().map(|event| (event.device.as_deref(), event.extension.as_deref())).collect();
    assert_eq!(told, [(Some("desk-1"), Some("1001"))]);
    let old = office.call("desk-2", "*11*1001*7738");
    assert_eq!(office.outcome(old), Some(403));
    let new = office.call("desk-2", "*11*1001*2580");
    assert_eq!(office.outcome(new), Some(200));
}

#[test]
fn first_pin_is_replaced_at_the_log_in_that_gives_it() {
    let mut office = three_desks();
    office.reconfigure(|blueprint| {
        blueprint.extension("1001").pin = Some(StoredPin { must_change: true, ..pin_hash("7738") });
    });

    office.talk("desk-1", "*11");
    office.press("1001#");
    office.press("7738#");
    assert_eq!(said(&office), "pin-must-change enter-new-pin");
    assert_eq!(office.device_of("1001"), None);
    office.press("1001#");
    office.press("1001#");
    assert_eq!(said(&office), "pin-too-simple enter-new-pin");
    office.press("2580#");
    office.press("2580#");

    assert_eq!(said(&office), "pin-changed logged-in 1 0 0 1 phone-reloads goodbye");
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
}

#[test]
fn wrong_pins_given_for_another_count_towards_the_lock() {
    let mut office = three_desks();

    office.talk("desk-1", "*14*1001");
    for _ in 0..3 {
        office.press("0000#");
        office.press("2580#");
        office.press("2580#");
    }
    office.listen_to_end();
    office.settle();
    office.talk("desk-1", "*14*1001");
    office.press("7738#");
    office.press("2580#");
    office.press("2580#");

    assert_eq!(said(&office), "locked goodbye");
}
