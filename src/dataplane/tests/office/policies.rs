//! Who may sit where, what is dialled there, and what a device or a phone at home does meanwhile.

use dataplane::hotdesk::{Cause, Surface};
use dataplane::input::Command;
use dataplane::output::{Done, Report};
use dataplane::refusal::Refusal;
use dataplane::settings::{Codes, HomePhones, OnLimit, OnOccupied, Site};
use dataplane::testing::{Blueprint, Manner, Office, pin_hash, tenant};

use crate::{SEED, seconds, three_desks};

fn office_that(policy: impl FnOnce(&mut Blueprint)) -> Office {
    let mut office = Office::with(SEED, policy);
    office.plug_in("desk-1").plug_in("desk-2");
    office
}

/// The administrator seats somebody.
fn order(office: &mut Office, extension: &str, device: &str, force: bool) -> Result<Done, Refusal> {
    let command = Command::LogIn {
        tenant: "demo".into(),
        device: device.into(),
        extension: extension.into(),
        extension_tenant: None,
        force,
        until: None,
    };
    office.command(command).expect("there is an answer")
}

/// The code of the last refusal.
fn reason(office: &Office) -> String {
    let reason = office.reports.iter().rev().find_map(|report| match report {
        Report::Event(event) => Some(event.reason.to_string()),
        _ => None,
    });
    reason.expect("something was refused")
}

#[test]
fn extension_that_may_not_hot_desk_is_refused_for_that_and_only_after_its_pin() {
    let mut office = office_that(|it| it.extension("1001").may_hot_desk = false);

    assert_eq!(office.try_log_in("1001", "desk-1"), Some(403));
    assert_eq!(reason(&office), "not-permitted");
    let guess = office.call("desk-1", "*11*1001*0000");
    assert_eq!(office.outcome(guess), Some(403));
    assert_eq!(reason(&office), Refusal::Credentials.code());
    assert!(order(&mut office, "1001", "desk-1", false).is_ok(), "an administrator may");
}

#[test]
fn extension_sits_only_at_the_places_of_its_lists() {
    let mut office = office_that(|it| {
        it.tenants[0].sites.push(Site { id: "lab".into(), ..Site::default() });
        it.device("desk-2").site = Some(1);
        it.extension("1001").sites = vec![1];
        it.extension("1002").devices = vec!["desk-1".into()];
    });

    assert_eq!(office.try_log_in("1001", "desk-1"), Some(403));
    assert_eq!(reason(&office), "not-permitted-here");
    assert_eq!(office.try_log_in("1001", "desk-2"), Some(200));
    assert_eq!(office.try_log_in("1002", "desk-2"), Some(403));
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-2"), "who was refused put nobody out");
    assert_eq!(office.try_log_in("1002", "desk-1"), Some(200));
}

#[test]
fn site_may_be_closed_to_log_ins_and_who_sits_there_stays() {
    let mut office = office_that(|_| {});
    office.log_in("1001", "desk-1");

    office.reconfigure(|it| it.tenants[0].sites[0].may_hot_desk = false);

    assert_eq!(office.try_log_in("1002", "desk-2"), Some(403));
    assert_eq!(reason(&office), "not-permitted-here");
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
    assert_eq!(office.log_out("desk-1"), Some(200));
}

#[test]
fn protected_accounts_are_neither_the_old_nor_the_new_side_of_a_swap() {
    let mut office = office_that(|it| {
        it.extension("1001").protected = true;
        it.device("desk-2").protected = true;
    });
    order(&mut office, "1001", "desk-1", false).unwrap();

    for (extension, device) in [("1002", "desk-1"), ("1001", "desk-2"), ("1002", "desk-2")] {
        assert_eq!(office.try_log_in(extension, device), Some(403), "{extension} at {device}");
        assert_eq!(reason(&office), "protected");
    }
    assert_eq!(office.log_out("desk-1"), Some(403));
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
    assert!(matches!(office.force_out("desk-1", true), Some(Ok(Done::LoggedOut(_)))));
}

#[test]
fn seat_of_a_protected_account_ends_with_the_account() {
    let mut office = office_that(|it| it.extension("1001").protected = true);
    order(&mut office, "1001", "desk-1", false).unwrap();

    office.reconfigure(|it| it.extension("1001").enabled = false);
    office.advance(seconds(2));

    assert_eq!(office.seat_at("desk-1"), None);
}

#[test]
fn device_in_use_is_taken_over_refused_or_asked_for() {
    for (policy, taken) in
        [(OnOccupied::TakeOver, true), (OnOccupied::Refuse, false), (OnOccupied::Ask, false)]
    {
        let mut office = office_that(|it| it.seats().on_occupied = policy);
        office.log_in("1001", "desk-1");

        let outcome = office.try_log_in("1002", "desk-1");

        assert_eq!(outcome, Some(if taken { 200 } else { 403 }), "{policy:?}");
        if !taken {
            assert_eq!(reason(&office), "device-occupied");
            assert_eq!(order(&mut office, "1002", "desk-1", false), Err(Refusal::DeviceOccupied));
            assert!(
                matches!(order(&mut office, "1002", "desk-1", true), Ok(Done::LoggedIn(_))),
                "{policy:?}"
            );
            assert_eq!(office.device_of("1001"), None);
        }
    }
}

#[test]
fn administrator_may_force_an_extension_beyond_its_limit_elsewhere() {
    let mut office = office_that(|it| it.seats().on_limit = OnLimit::Refuse);
    office.log_in("1001", "desk-1");

    assert_eq!(order(&mut office, "1001", "desk-2", false), Err(Refusal::SeatLimit));
    assert!(order(&mut office, "1001", "desk-2", true).is_ok());

    assert_eq!(office.device_of("1001").as_deref(), Some("desk-2"));
}

#[test]
fn all_seats_of_a_site_or_a_tenant_end_by_one_order() {
    let mut office = Office::with(SEED, |it| {
        it.tenants[0].sites.push(Site { id: "lab".into(), ..Site::default() });
        it.device("desk-3").site = Some(1);
    });
    office.plug_in("desk-1").plug_in("desk-2").plug_in("desk-3");
    for (extension, device) in [("1001", "desk-1"), ("1002", "desk-2"), ("1003", "desk-3")] {
        office.log_in(extension, device);
    }
    office["desk-2"].manner = Manner::Answers;
    let call = office.call("desk-1", "1002");
    let all = |site: Option<&str>, now| Command::LogOutAll {
        tenant: "demo".into(),
        site: site.map(Into::into),
        now,
    };

    assert_eq!(office.command(all(Some("lab"), false)), Some(Ok(Done::Ending(1))));
    assert_eq!(office.device_of("1003"), None);
    assert_eq!(office.command(all(None, false)), Some(Ok(Done::Ending(2))));
    assert!(office.device_of("1001").is_some(), "a call is up");
    office.hang_up(call);
    assert_eq!((office.device_of("1001"), office.device_of("1002")), (None, None));

    office.log_in("1001", "desk-1");
    office.log_in("1002", "desk-2");
    office.call("desk-1", "1002");
    assert_eq!(office.command(all(None, true)), Some(Ok(Done::Ending(2))));
    assert!(office.tables().seats.is_empty());
}

#[test]
fn alias_logs_in_as_its_extension() {
    let mut office = office_that(|it| it.extension("1001").aliases = vec!["5551001".into()]);

    let call = office.call("desk-1", "*11*5551001*7738");

    assert_eq!(office.outcome(call), Some(200));
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
    assert_eq!(office.seat_at("desk-1").unwrap().surface, Surface::Dialled);
}

#[test]
fn codes_are_those_of_the_device_else_of_its_site_else_of_the_tenant() {
    let codes = |login: &str, logout: &str| {
        Some(Codes { login: login.into(), logout: logout.into(), ..Codes::default() })
    };
    let mut office = Office::with(SEED, |it| {
        it.tenants[0].sites.push(Site { id: "lab".into(), codes: codes("*33", "*34"), ..Site::default() });
        it.device("desk-2").site = Some(1);
        it.device("desk-3").site = Some(1);
        it.device("desk-3").codes = codes("*55", "*56");
    });
    office.plug_in("desk-1").plug_in("desk-2").plug_in("desk-3");

    for (device, login, logout) in
        [("desk-1", "*11", "*12"), ("desk-2", "*33", "*34"), ("desk-3", "*55", "*56")]
    {
        for code in ["*11", "*33", "*55"] {
            let call = office.call(device, &format!("{code}*1001*7738"));
            assert_eq!(office.outcome(call) == Some(200), code == login, "{code} at {device}");
        }
        assert_eq!(office.device_of("1001").as_deref(), Some(device));
        let call = office.call(device, logout);
        assert_eq!(office.outcome(call), Some(200));
        assert_eq!(office.device_of("1001"), None);
    }
}

#[test]
fn ordinary_phones_ring_along_keep_silent_or_rest_while_their_person_sits_elsewhere() {
    for (policy, rings, speaks) in
        [(HomePhones::Ring, true, true), (HomePhones::Silent, false, true), (HomePhones::Base, false, false)]
    {
        let mut office = Office::with(SEED, |it| it.extension("1001").home_phones = Some(policy));
        office.plug_in("desk-1").plug_in("desk-2").own_phone("home", "1001");
        office.log_in("1002", "desk-2");
        for phone in ["home", "desk-1", "desk-2"] {
            office[phone].manner = Manner::Rings;
        }
        let call = office.call("desk-2", "1001");
        assert_eq!(office["home"].ringing(), 1, "nobody sits: {policy:?}");
        office.hang_up(call);

        office.log_in("1001", "desk-1");
        let call = office.call("desk-2", "1001");
        assert_eq!(
            (office["desk-1"].ringing(), office["home"].ringing()),
            (1, usize::from(rings)),
            "{policy:?}"
        );
        office.hang_up(call);
        let call = office.call("home", "1002");
        assert_eq!(office.outcome(call) == Some(403), !speaks, "{policy:?}");
        if speaks {
            office.hang_up(call);
        }
        let help = office.call("home", "112");
        assert_eq!(office.outcome(help), Some(500), "no route here, and never refused: {policy:?}");
    }
}

#[test]
fn device_is_its_base_extension_while_nobody_sits_there() {
    let mut office = Office::with(SEED, |it| it.device("desk-1").base_extension = Some("1003".into()));
    office.plug_in("desk-1").plug_in("desk-2");
    office.log_in("1002", "desk-2");
    office["desk-1"].manner = Manner::Rings;
    office["desk-2"].manner = Manner::Rings;

    let call = office.call("desk-2", "1003");
    assert_eq!(office["desk-1"].ringing(), 1);
    office.hang_up(call);
    let call = office.call("desk-1", "1002");
    assert!(crate::last_heard(&office, "desk-2", "INVITE").text.contains("sip:1003@"));
    office.hang_up(call);

    office.log_in("1001", "desk-1");
    let call = office.call("desk-2", "1003");
    assert_eq!(office.outcome(call), Some(480), "it is somebody else's now");
    office.log_out("desk-1");
    let call = office.call("desk-2", "1003");
    assert_eq!((office["desk-1"].ringing(), office.outcome(call)), (1, None));
}

#[test]
fn one_number_in_two_tenants_is_two_people() {
    let mut office = Office::with(SEED, |it| it.tenants.push(tenant("other", "other.example")));
    office.plug_in("desk-1").unbox("theirs", "desk-1").in_domain("theirs", "other.example");
    assert_eq!(office.register("theirs"), Some(200));
    office.log_in("1001", "desk-1");

    let call = office.call("theirs", "*11*1001*7738");

    assert_eq!(office.outcome(call), Some(200));
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
    let seats = &office.tables().seats;
    assert!(seats.seat_at("other", &("other", "desk-1")).is_some_and(|it| it.extension.tenant() == "other"));
}

#[test]
fn edits_of_an_extension_end_no_seat_and_its_removal_does() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");
    office.log_in("1002", "desk-2");

    office.reconfigure(|it| {
        let extension = it.extension("1001");
        extension.name = "J. Smith".into();
        extension.devices_max = 3;
        extension.own_phones_max = 0;
        extension.aliases = vec!["77".into()];
        extension.may_hot_desk = false;
        it.device("desk-1").name = "Window".into();
        it.extension("1002").enabled = false;
    });

    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
    assert_eq!(office.device_of("1002"), None);
}

#[test]
fn another_pin_in_the_file_ends_the_seats_of_the_extension_after_the_call() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");
    office.log_in("1002", "desk-2");
    let leg = office.call("desk-1", "1002");

    office.reconfigure(|it| {
        it.extension("1001").pin = Some(pin_hash("9081"));
        it.extension("1003").pin = Some(pin_hash("9083"));
    });
    let in_call = office.device_of("1001");
    office.hang_up(leg);

    assert_eq!(in_call.as_deref(), Some("desk-1"));
    assert_eq!(office.device_of("1001"), None);
    assert_eq!(office.device_of("1002").as_deref(), Some("desk-2"));
    let Some(Report::SeatsChanged(end)) = office.reports.last() else { panic!("{:?}", office.reports) };
    assert_eq!((end.cause, end.surface), (Cause::PinChanged, Surface::Configuration));
}

#[test]
fn another_pin_ends_the_seat_though_the_edge_goes_down_before_the_call_is_over() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");
    office.log_in("1002", "desk-2");
    office.call("desk-1", "1002");
    office.reconfigure(|it| it.extension("1001").pin = Some(pin_hash("9081")));
    let in_call = office.device_of("1001");

    office.kill_and_restart();
    office.advance(seconds(2));

    assert_eq!((in_call.as_deref(), office.device_of("1001")), (Some("desk-1"), None));
}

#[test]
fn pin_that_must_change_is_the_same_pin() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");

    office.reconfigure(|it| it.extension("1001").pin.as_mut().expect("it has one").must_change = true);

    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
}

#[test]
fn person_who_may_not_log_in_hears_why() {
    type Forbid = fn(&mut Blueprint);
    let reasons: [(Forbid, &str); 4] = [
        (|it| it.extension("1001").may_hot_desk = false, "no-log-ins"),
        (|it| it.extension("1001").devices = vec!["desk-2".into()], "not-permitted"),
        (|it| it.tenants[0].sites[0].may_hot_desk = false, "not-permitted"),
        (|it| it.device("desk-1").protected = true, "has-its-place"),
    ];
    for (forbid, sentence) in reasons {
        let mut office = Office::with(SEED, forbid);
        office.plug_in("desk-1");
        office.talk("desk-1", "*11*1001");

        office.press("7738#");

        assert_eq!(office.said().0, format!("{sentence} goodbye"));
    }
}
