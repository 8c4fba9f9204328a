//! PINs: what a person hears, what an operator reads, how long guessing takes.

use dataplane::audit::{Event, Kind};
use dataplane::input::Command;
use dataplane::output::{Done, Report};
use dataplane::query::{FALLBACK_PIN, Pin};
use dataplane::refusal::Refusal;
use dataplane::testing::{Office, pin_hash};

use crate::{SEED, last_answer, seconds};

fn desks() -> Office {
    let mut office = Office::with(SEED, |blueprint| blueprint.extension("1003").pin = None);
    office.plug_in("desk-1").plug_in("desk-2").plug_in("desk-3");
    office
}

/// Dials a log-in; status and reason phrase of the answer.
fn dial(office: &mut Office, device: &str, code: &str) -> (Option<u16>, String) {
    let call = office.call(device, code);
    let answer = last_answer(office, device, "INVITE");
    (office.outcome(call), answer.text.lines().next().unwrap_or_default().to_owned())
}

fn events(office: &Office, kind: Kind) -> Vec<Event<'static>> {
    let events = office.reports.iter().filter_map(|report| match report {
        Report::Event(event) if event.kind == kind => Some((**event).clone()),
        _ => None,
    });
    events.collect()
}

#[test]
fn unknown_extension_wrong_pin_and_no_pin_are_one_answer_and_three_reasons() {
    let mut office = desks();

    let wrong = dial(&mut office, "desk-1", "*11*1001*0000");
    let none = dial(&mut office, "desk-2", "*11*1003*0000");
    let unknown = dial(&mut office, "desk-3", "*11*7777*0000");

    assert_eq!(wrong.0, Some(403));
    assert_eq!((&wrong, &wrong), (&none, &unknown));
    let refusals = events(&office, Kind::Refusal);
    let reasons: Vec<_> = refusals.iter().map(|event| (&*event.reason, event.extension.as_deref())).collect();
    assert_eq!(
        reasons,
        [("credentials", Some("1001")), ("no-pin", Some("1003")), ("unknown-extension", None)],
        "what was typed and names nobody may be a PIN"
    );
}

#[test]
fn pin_that_must_change_opens_nothing_and_is_no_wrong_one() {
    let mut office = desks();
    office.reconfigure(|blueprint| {
        blueprint.extension("1001").pin =
            Some(dataplane::settings::StoredPin { must_change: true, ..pin_hash("7738") });
    });

    for _ in 0..5 {
        assert_eq!(dial(&mut office, "desk-1", "*11*1001*7738").0, Some(403));
    }

    assert_eq!(office.device_of("1001"), None);
    let refusals = events(&office, Kind::Refusal);
    assert!(refusals.iter().all(|event| *event.reason == *Refusal::PinMustChange.code()), "{refusals:?}");
}

#[test]
fn master_pin_opens_every_extension_and_its_operator_is_named() {
    let mut office = desks();
    office.pins.master = Some(("night-desk", "86420"));

    assert_eq!(dial(&mut office, "desk-1", "*11*1003*86420").0, Some(200));
    assert_eq!(dial(&mut office, "desk-2", "*11*7777*86420").0, Some(403));

    assert_eq!(office.device_of("1003").as_deref(), Some("desk-1"));
    let by = office.reports.iter().find_map(|report| match report {
        Report::SeatsChanged(change) => Some(change.origin.by.clone()),
        _ => None,
    });
    assert_eq!(by.flatten().as_deref(), Some("night-desk"));
}

#[test]
fn who_has_no_pin_chooses_one_with_the_fallback_and_the_trail_says_so() {
    let mut office = desks();
    office.pins.fallback = Some("8080");
    assert_eq!(dial(&mut office, "desk-1", "*11*1003*8080").0, Some(403), "it opens nothing");

    office.talk("desk-1", "*11*1003");
    for entry in ["8080#", "2580#", "2580#"] {
        office.press(entry);
    }

    assert_eq!(office.device_of("1003").as_deref(), Some("desk-1"));
    let changes = events(&office, Kind::PinChange);
    assert!(
        matches!(&changes[..], [event] if event.by.as_deref() == Some(FALLBACK_PIN) && event.extension.as_deref() == Some("1003")),
        "{changes:?}"
    );
    let log_in = office.reports.iter().rev().find_map(|report| match report {
        Report::SeatsChanged(change) => Some(change.origin.by.clone()),
        _ => None,
    });
    assert_eq!(log_in, Some(None), "the log-in was with a PIN of the person's own");
}

#[test]
fn three_wrong_pins_lock_the_pair_alone_and_the_operator_reads_of_it_and_unlocks() {
    let mut office = desks();
    for _ in 0..3 {
        assert_eq!(dial(&mut office, "desk-1", "*11*1001*0000").0, Some(403));
    }

    assert_eq!(dial(&mut office, "desk-1", "*11*1001*7738").0, Some(603));
    let locked = events(&office, Kind::LockOut);
    assert!(
        matches!(&locked[..], [event] if *event.reason == *"pair" && event.extension.as_deref() == Some("1001"))
    );
    assert_eq!(dial(&mut office, "desk-2", "*11*1001*7738").0, Some(200), "nobody is locked out elsewhere");

    let unlock = Command::Unlock {
        tenant: "demo".into(),
        extension: "1001".into(),
        device: None,
        device_tenant: None,
    };
    assert_eq!(office.command(unlock), Some(Ok(Done::Unlocked)));
    assert_eq!(dial(&mut office, "desk-1", "*11*1001*7738").0, Some(200));
    assert_eq!(events(&office, Kind::Unlock).len(), 1);
}

#[test]
fn extension_is_never_slowed_down_where_it_gave_its_own_pin_but_where_it_gave_that_of_all_who_have_none() {
    for (extension, pin, at_first, at_last) in [("1001", "7738", 200, 200), ("1003", "8080", 403, 603)] {
        let mut office = desks();
        office.pins.fallback = Some("8080");
        let right = format!("*11*{extension}*{pin}");
        assert_eq!(dial(&mut office, "desk-1", &right).0, Some(at_first));

        // As soon as the locks at the two desks let it, until the extension has none free at any desk.
        for rest in [0, 0, 0, 31, 61, 121] {
            office.advance(seconds(rest));
            for device in ["desk-2", "desk-3"] {
                dial(&mut office, device, &format!("*11*{extension}*0000"));
            }
        }

        assert_eq!(dial(&mut office, "desk-1", &right).0, Some(at_last), "{extension}");
    }
}

#[test]
fn operator_unlocks_at_one_device_and_the_trail_says_which() {
    let mut office = desks();
    for _ in 0..3 {
        dial(&mut office, "desk-1", "*11*1001*0000");
    }
    let unlock = |device: &str| Command::Unlock {
        tenant: "demo".into(),
        extension: "1001".into(),
        device: Some(device.into()),
        device_tenant: None,
    };

    assert_eq!(office.command(unlock("desk-9")), Some(Err(Refusal::UnknownDevice)));
    assert_eq!(office.command(unlock("desk-2")), Some(Err(Refusal::NotLocked)));
    assert_eq!(dial(&mut office, "desk-1", "*11*1001*7738").0, Some(603), "that was another phone's");
    assert_eq!(office.command(unlock("desk-1")), Some(Ok(Done::Unlocked)));

    assert_eq!(dial(&mut office, "desk-1", "*11*1001*7738").0, Some(200));
    let at: Vec<_> = events(&office, Kind::Unlock).into_iter().map(|event| event.device).collect();
    assert_eq!(at, [Some("desk-1".into())]);
}

#[test]
fn lock_is_over_by_itself_and_a_phone_that_repeats_itself_tries_once() {
    let mut office = desks();
    // Every datagram comes twice: a request that was repeated is one try.
    office.quality.duplication = 1000;
    for _ in 0..2 {
        dial(&mut office, "desk-1", "*11*1001*0000");
    }
    assert_eq!(events(&office, Kind::LockOut), []);
    dial(&mut office, "desk-1", "*11*1001*0000");
    assert_eq!(dial(&mut office, "desk-1", "*11*1001*7738").0, Some(603));

    office.advance(seconds(31));

    assert_eq!(dial(&mut office, "desk-1", "*11*1001*7738").0, Some(200));
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
}

#[test]
fn unlock_of_nobody_is_refused() {
    let mut office = desks();
    let unlock = |tenant: &str, extension: &str| Command::Unlock {
        device: None,
        device_tenant: None,
        tenant: tenant.into(),
        extension: extension.into(),
    };

    assert_eq!(office.command(unlock("demo", "7777")), Some(Err(Refusal::UnknownExtension)));
    assert_eq!(office.command(unlock("nobody", "1001")), Some(Err(Refusal::UnknownTenant)));
}

#[test]
fn lock_of_an_ordinary_phone_is_listed_and_lifted() {
    let mut office = desks();
    office.own_phone("soft-2", "1002");
    for _ in 0..3 {
        assert_eq!(dial(&mut office, "soft-2", "*12*1001*0000").0, Some(403));
    }
    assert_eq!(dial(&mut office, "soft-2", "*12*1001*7738").0, Some(603));
    let locked = events(&office, Kind::LockOut);
    assert!(matches!(&locked[..], [event] if event.device.is_none()), "1002 is no device: {locked:?}");
    let listed = |office: &Office| {
        let locks = office.tables().locks(office.settings(), office.now().mono);
        let names = locks.iter().map(|lock| {
            let place = lock.device.as_ref().map(|place| place.name().to_owned());
            (place, lock.extension.name().to_owned())
        });
        names.collect::<Vec<_>>()
    };
    assert_eq!(listed(&office), [(Some("1002".to_owned()), "1001".to_owned())]);

    let unlock = Command::Unlock {
        tenant: "demo".into(),
        extension: "1001".into(),
        device: None,
        device_tenant: None,
    };
    assert_eq!(office.command(unlock), Some(Ok(Done::Unlocked)));

    assert_eq!(listed(&office), []);
    assert_ne!(dial(&mut office, "soft-2", "*12*1001*7738").0, Some(603));
}

#[test]
fn too_simple_a_pin_proves_nobody_who_gave_that_of_all_who_have_none() {
    let mut office = desks();
    office.pins.fallback = Some("8080");
    let call = office.talk("desk-1", "*11*1003");
    for entry in ["8080#", "1003#", "1003#"] {
        office.press(entry);
    }
    assert!(office.said().0.contains("pin-too-simple"), "{:?}", office.said());
    office.hang_up(call);

    for rest in [0, 0, 0, 31, 61, 121] {
        office.advance(seconds(rest));
        for device in ["desk-2", "desk-3"] {
            dial(&mut office, device, "*11*1003*0000");
        }
    }

    assert_eq!(dial(&mut office, "desk-1", "*11*1003*8080").0, Some(603), "the phone is nobody's own");
}

#[test]
fn many_wrong_pins_of_one_address_raise_one_alarm() {
    let mut office = desks();

    let desks = ["desk-1", "desk-2", "desk-3"];
    for (desk, port) in desks.into_iter().zip(5060..) {
        office.seen_at(desk, &format!("203.0.113.200:{port}"));
        assert_eq!(office.register(desk), Some(200));
    }
    for number in 0..30 {
        dial(&mut office, desks[number % 3], &format!("*11*{}*0000", 1001 + number));
        office.advance(seconds(15));
    }

    let alarms = events(&office, Kind::LockOut).into_iter().filter(|event| *event.reason == *"source-alarm");
    assert_eq!(alarms.count(), 1);
    assert_eq!(office.counters().pin_alarms, 1);
}

#[test]
fn longest_pin_opens_what_it_is_for() {
    let pin = "1234567890".repeat(7)[..Pin::LENGTH_MAX].to_owned();
    let mut office = Office::with(SEED, |blueprint| blueprint.extension("1001").pin = Some(pin_hash(&pin)));
    office.plug_in("desk-1");

    assert_eq!(dial(&mut office, "desk-1", &format!("*11*1001*{pin}0")).0, Some(403));
    assert_eq!(office.counters().pins_wrong, 0, "what is longer is none");
    assert_eq!(dial(&mut office, "desk-1", &format!("*11*1001*{pin}")).0, Some(200));
}
