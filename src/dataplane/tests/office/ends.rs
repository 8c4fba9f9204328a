//! Every end of a seat that comes by the clock: what ends it, what makes it wait, what it survives.

use std::time::Duration;

use dataplane::audit::Kind;
use dataplane::hotdesk::{Cause, Surface};
use dataplane::input::Command;
use dataplane::output::{Done, Report};
use dataplane::settings::{Ends, Limit, TimeOfDay, TimeZone};
use dataplane::testing::{Blueprint, Manner, Office};

use crate::{SEED, seconds};

const HOUR: u64 = 3600;
/// When the office opens: 2026-01-01T00:00:00Z, 01:00 in Berlin.
const OPENING: u64 = 1_767_225_600_000;

const fn minutes(minutes: u64) -> Duration {
    seconds(60 * minutes)
}

/// Two desks and the tenant's policy.
fn office_that(policy: impl FnOnce(&mut Blueprint)) -> Office {
    let mut office = Office::with(SEED, policy);
    office.plug_in("desk-1").plug_in("desk-2");
    office
}

fn idle_after(span: u64) -> Ends {
    Ends { idle: Some(Limit::After(seconds(span))), ..Ends::default() }
}

fn after(span: u64) -> Ends {
    Ends { absolute: Some(Limit::After(seconds(span))), ..Ends::default() }
}

fn at(times: &[&str]) -> Ends {
    let times = times.iter().map(|time| TimeOfDay::parse(time).expect("a time of day")).collect();
    Ends { times: Some(times), ..Ends::default() }
}

/// The clocks of Berlin: forward on the last Sunday of March at 02:00, back on that of October at 03:00.
fn berlin(blueprint: &mut Blueprint) {
    let zone = TimeZone::of_rules("CET-1CEST,M3.5.0,M10.5.0/3").expect("rules of POSIX");
    blueprint.tenants[0].time_zone = zone;
}

/// Puts the wall clock of the office, before anybody sits, at this instant.
fn set_clock(office: &mut Office, wall: u64) {
    let step = wall.cast_signed() - office.now().wall.cast_signed();
    office.step_wall(step);
    office.advance(seconds(2));
}

/// Ends that were told before they came, with the seconds from now to then.
fn warnings(office: &Office) -> Vec<(String, Cause, u64)> {
    let now = office.now().wall;
    let told = office.reports.iter().filter_map(|report| match report {
        Report::Event(event) if event.kind == Kind::Ending => {
            let (_, seconds) = event.details.iter().find(|(name, _)| name == "seconds")?;
            let at = event.at + 1000 * seconds.parse::<u64>().ok()?;
            let causes = [Cause::Idle, Cause::Absolute, Cause::TimeOfDay, Cause::Booking];
            let cause = causes.into_iter().find(|cause| event.reason == cause.code())?;
            Some((event.device.as_deref()?.to_owned(), cause, (at.saturating_sub(now) + 500) / 1000))
        }
        _ => None,
    });
    told.collect()
}

/// Why the last seat that ended did.
fn last_end(office: &Office) -> Option<(Cause, Surface)> {
    office.reports.iter().rev().find_map(|report| match report {
        Report::SeatsChanged(change) if change.begun.is_none() => Some((change.cause, change.surface)),
        _ => None,
    })
}

#[test]
fn seat_stands_for_ever_where_nothing_ends_it() {
    let mut office = office_that(|_| {});
    office.log_in("1001", "desk-1");

    office.advance(seconds(24 * HOUR));

    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
    assert_eq!(office.tables().timeouts.len(), 0, "and nothing is kept for it");
}

#[test]
fn idle_seat_ends_and_is_told_five_minutes_before() {
    let mut office = office_that(|it| it.seats().ends = idle_after(8 * HOUR));
    office.log_in("1001", "desk-1");

    office.advance(seconds(8 * HOUR) - minutes(5) - seconds(5));
    assert_eq!(warnings(&office), []);
    office.advance(seconds(7));
    assert_eq!(warnings(&office), [("desk-1".to_string(), Cause::Idle, 5 * 60 - 2)]);
    assert!(office.seat_at("desk-1").is_some());
    office.advance(minutes(5));

    assert_eq!(office.seat_at("desk-1"), None);
    assert_eq!(last_end(&office), Some((Cause::Idle, Surface::Clock)));
    assert_eq!(office["desk-1"].reloads(), 2, "after the log-in, and back to the base state");
}

#[test]
fn calls_and_codes_keep_a_seat_and_refreshes_do_not() {
    let mut office = office_that(|it| it.seats().ends = idle_after(HOUR));
    office.log_in("1001", "desk-1");
    office.log_in("1002", "desk-2");

    // A call from one to the other is use of both; a code is use, and so is warned that it ends.
    office.advance(minutes(58));
    let call = office.call("desk-1", "1002");
    office.hang_up(call);
    office.advance(minutes(58));
    let refused = office.call("desk-1", "*11*1003*0000");
    assert_eq!(office.outcome(refused), Some(403));
    office.register("desk-2");
    office.advance(minutes(30));

    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
    assert_eq!(office.device_of("1002"), None);
}

#[test]
fn whoever_was_told_and_stays_is_told_again() {
    let mut office = office_that(|it| it.seats().ends = idle_after(HOUR));
    office.log_in("1001", "desk-1");
    office.advance(minutes(57));
    assert_eq!(warnings(&office).len(), 1);

    let use_of_it = office.call("desk-1", "*11*1003*0000");
    assert_eq!(office.outcome(use_of_it), Some(403));
    office.advance(minutes(53));
    assert_eq!(warnings(&office).len(), 1);
    office.advance(minutes(4));

    assert_eq!(warnings(&office).len(), 2);
    office.advance(minutes(5));
    assert_eq!(office.seat_at("desk-1"), None);
}

#[test]
fn nobody_is_idle_in_a_call_nor_right_after_it() {
    let mut office = office_that(|it| it.seats().ends = idle_after(HOUR));
    office.log_in("1001", "desk-1");
    office.log_in("1002", "desk-2");
    office["desk-2"].manner = Manner::Answers;
    let call = office.call("desk-1", "1002");

    office.advance(minutes(150));
    assert!(office.seat_at("desk-1").is_some());
    office.hang_up(call);
    office.advance(minutes(59));
    assert!(office.seat_at("desk-1").is_some());
    office.advance(minutes(2));

    assert_eq!(office.seat_at("desk-1"), None);
}

#[test]
fn seat_ends_when_it_has_stood_for_its_time() {
    let mut office = office_that(|it| it.seats().ends = after(12 * HOUR));
    office.log_in("1001", "desk-1");

    office.advance(seconds(12 * HOUR) - seconds(1));
    assert!(office.seat_at("desk-1").is_some());
    office.advance(seconds(3));

    assert_eq!(office.seat_at("desk-1"), None);
    assert_eq!(last_end(&office), Some((Cause::Absolute, Surface::Clock)));
}

#[test]
fn end_of_a_shift_waits_for_the_call_and_then_comes_at_once() {
    let mut office = office_that(|it| it.seats().ends = at(&["18:00"]));
    office.log_in("1001", "desk-1");
    office.log_in("1002", "desk-2");
    office["desk-2"].manner = Manner::Answers;
    office.advance(seconds(18 * HOUR) - minutes(10));
    let call = office.call("desk-1", "1002");

    office.advance(minutes(30));
    assert!(office.seat_at("desk-1").is_some() && office.seat_at("desk-2").is_some());
    let seat = office.seat_at("desk-1").unwrap();
    let next = office.tables().next_end(&seat, office.settings(), office.now()).unwrap();
    assert_eq!((next.cause, next.at), (Cause::TimeOfDay, office.now().wall));
    office.hang_up(call);

    assert_eq!((office.seat_at("desk-1"), office.seat_at("desk-2")), (None, None));
    assert_eq!(last_end(&office), Some((Cause::TimeOfDay, Surface::Clock)));
}

#[test]
fn deferred_end_is_void_when_the_seat_has_moved_meanwhile() {
    let mut office = office_that(|it| it.seats().ends = at(&["18:00"]));
    office.log_in("1001", "desk-1");
    office.log_in("1002", "desk-2");
    office["desk-2"].manner = Manner::Answers;
    office.advance(seconds(18 * HOUR) - minutes(10));
    let call = office.call("desk-1", "1002");
    office.advance(minutes(20));

    office.log_in("1003", "desk-1");
    office.hang_up(call);
    office.advance(seconds(5));

    assert_eq!(office.device_of("1003").as_deref(), Some("desk-1"));
    assert_eq!(office.device_of("1002"), None);
}

#[test]
fn no_end_comes_during_an_emergency_call_and_its_hold() {
    let mut office = office_that(|it| {
        it.seats().ends = Ends { times: at(&["18:00"]).times, ..idle_after(30 * HOUR) };
    });
    office.log_in("1001", "desk-1");
    office.advance(seconds(18 * HOUR) - minutes(10));
    let now = office.now().mono;
    let desk = ("demo", "desk-1");
    office.tables().calls.began(&desk, 7, now, true);
    office.advance(minutes(20));
    assert!(office.seat_at("desk-1").is_some());
    let now = office.now().mono;
    office.tables().calls.ended(&desk, 7, now);

    office.advance(minutes(59));
    assert!(office.seat_at("desk-1").is_some());
    office.advance(minutes(2));

    assert_eq!(office.seat_at("desk-1"), None);
}

#[test]
fn end_that_waits_for_a_hold_comes_although_the_phone_reboots_meanwhile() {
    for (is_ordered, expected) in [(true, Cause::Forced), (false, Cause::Absolute)] {
        let ends = if is_ordered { Ends::default() } else { after(HOUR) };
        let mut office = office_that(|it| it.seats().ends = ends);
        assert_eq!(office.native_log_in("desk-1", "1001"), Some(200));
        office.advance(minutes(50));
        let (desk, now) = (("demo", "desk-1"), office.now().mono);
        office.tables().calls.began(&desk, 7, now, true);
        office.tables().calls.ended(&desk, 7, now);
        if is_ordered {
            office.force_out("desk-1", false);
        }
        office.advance(minutes(20));

        assert_eq!(office.unregister("desk-1"), Some(200));
        assert_eq!(office.register("desk-1"), Some(200));

        assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"), "it is held");
        office.advance(minutes(45));
        assert_eq!(office.device_of("1001"), None);
        assert_eq!(last_end(&office).map(|(cause, _)| cause), Some(expected));
    }
}

#[test]
fn time_of_day_is_that_of_the_tenant_in_winter_and_summer() {
    let mut office = office_that(|it| {
        berlin(it);
        it.seats().ends = at(&["18:00"]);
    });
    // 2026-03-28T18:30:00+01:00, the evening before the clocks go forward.
    set_clock(&mut office, 1_774_719_000_000);
    office.log_in("1001", "desk-1");

    office.advance(seconds(22 * HOUR + 1_795));
    assert!(office.seat_at("desk-1").is_some());
    office.advance(seconds(10));

    // 18:00 of the next day came an hour earlier: 22 hours and a half later.
    assert_eq!(office.seat_at("desk-1"), None);
}

#[test]
fn time_of_day_that_does_not_exist_in_spring_ends_the_seat_all_the_same() {
    let mut office = office_that(|it| {
        berlin(it);
        it.seats().ends = at(&["02:30"]);
    });
    // 2026-03-29T00:30:00Z, 01:30 in Berlin: at 02:00 the clocks show 03:00.
    set_clock(&mut office, 1_774_744_200_000);
    office.log_in("1001", "desk-1");

    office.advance(minutes(59));
    assert!(office.seat_at("desk-1").is_some());
    office.advance(minutes(2));

    assert_eq!(office.seat_at("desk-1"), None);
}

#[test]
fn time_of_day_that_comes_twice_in_autumn_ends_seats_once() {
    let mut office = office_that(|it| {
        berlin(it);
        it.seats().ends = at(&["02:30"]);
    });
    // 2026-10-25T00:00:00Z, 02:00 in Berlin for the first time.
    set_clock(&mut office, 1_792_886_400_000);
    office.log_in("1001", "desk-1");
    office.advance(minutes(31));
    assert_eq!(office.seat_at("desk-1"), None, "the first 02:30");

    office.log_in("1001", "desk-1");
    office.advance(minutes(120));
    assert!(office.seat_at("desk-1").is_some(), "the second is passed over");
    office.advance(seconds(24 * HOUR));

    assert_eq!(office.seat_at("desk-1"), None);
}

#[test]
fn wall_clock_put_forward_brings_civil_ends_and_leaves_durations() {
    let mut office = office_that(|it| {
        it.seats().ends = at(&["18:00"]);
        it.extension("1002").ends = Ends { times: Some(Vec::new()), ..after(12 * HOUR) };
    });
    office.log_in("1001", "desk-1");
    office.log_in("1002", "desk-2");

    office.step_wall((18 * HOUR * 1000 + 1000).cast_signed());
    office.advance(seconds(3));

    assert_eq!(office.seat_at("desk-1"), None);
    assert!(office.seat_at("desk-2").is_some());
    office.advance(seconds(12 * HOUR));
    assert_eq!(office.seat_at("desk-2"), None);
}

#[test]
fn wall_clock_put_back_puts_civil_ends_off() {
    let mut office = office_that(|it| it.seats().ends = at(&["18:00"]));
    office.advance(seconds(19 * HOUR));
    office.log_in("1001", "desk-1");

    // It was three hours fast: 18:00 is still to come.
    office.step_wall(-(3 * HOUR * 1000).cast_signed());
    office.advance(minutes(100));
    assert!(office.seat_at("desk-1").is_some());
    office.advance(minutes(25));

    assert_eq!(office.seat_at("desk-1"), None);
}

#[test]
fn ends_survive_a_restart() {
    let mut office = office_that(|it| {
        it.seats().ends = after(12 * HOUR);
        it.extension("1002").ends = Ends { absolute: Some(Limit::Never), ..at(&["08:00"]) };
    });
    office.log_in("1001", "desk-1");
    office.log_in("1002", "desk-2");
    office.advance(seconds(6 * HOUR));

    office.kill_and_restart();
    office.advance(seconds(2 * HOUR) + seconds(5));
    assert_eq!(office.seat_at("desk-2"), None, "08:00");
    assert!(office.seat_at("desk-1").is_some());
    office.advance(seconds(4 * HOUR));

    assert_eq!(office.seat_at("desk-1"), None, "twelve hours after the log-in, not after the restart");
}

#[test]
fn end_that_came_while_the_edge_was_down_comes_at_the_start() {
    let mut office = office_that(|it| it.seats().ends = at(&["18:00"]));
    office.log_in("1001", "desk-1");
    office.advance(seconds(17 * HOUR));

    office.step_wall((3 * HOUR * 1000).cast_signed());
    office.kill_and_restart();
    office.advance(seconds(3));

    assert_eq!(office.seat_at("desk-1"), None);
}

#[test]
fn first_that_says_something_decides_and_a_site_may_insist() {
    let mut office = office_that(|it| {
        it.seats().ends = after(10 * HOUR);
        it.tenants[0].sites[0].ends = after(5 * HOUR);
        it.extension("1001").ends = after(8 * HOUR);
        it.device("desk-2").ends = Ends { absolute: Some(Limit::Never), ..Ends::default() };
    });
    office.plug_in("desk-3");
    let ends_in = |office: &Office, device: &str| {
        let seat = office.seat_at(device).expect("somebody sits there");
        let end = office.tables().next_end(&seat, office.settings(), office.now())?;
        Some((end.at - office.now().wall + HOUR * 1000 / 2) / (HOUR * 1000))
    };
    office.log_in("1001", "desk-1");
    office.log_in("1002", "desk-2");
    office.log_in("1003", "desk-3");
    let of = |office: &Office| ["desk-1", "desk-2", "desk-3"].map(|device| ends_in(office, device));

    assert_eq!(of(&office), [Some(8), None, Some(5)]);
    office.reconfigure(|it| it.tenants[0].sites[0].ends_forced = true);
    assert_eq!(of(&office), [Some(5), None, Some(5)]);
}

#[test]
fn booking_ends_at_its_time_and_outlives_a_restart_and_a_reload() {
    let mut office = office_that(|_| {});
    let until = office.now().wall + 2 * HOUR * 1000;
    let booked = Command::LogIn {
        tenant: "demo".into(),
        device: "desk-1".into(),
        extension: "1001".into(),
        extension_tenant: None,
        force: false,
        until: Some(until),
    };
    assert!(matches!(office.command(booked), Some(Ok(Done::LoggedIn(seat))) if seat.until == Some(until)));

    office.advance(minutes(60));
    office.kill_and_restart();
    office.reconfigure(|_| {});
    office.advance(minutes(59));
    assert!(office.seat_at("desk-1").is_some());
    office.advance(minutes(2));

    assert_eq!(office.seat_at("desk-1"), None);
    assert_eq!(last_end(&office), Some((Cause::Booking, Surface::Clock)));
}

#[test]
fn second_log_in_changes_no_booking() {
    let mut office = office_that(|_| {});
    let until = office.now().wall + 2 * HOUR * 1000;
    let booked = |until| Command::LogIn {
        tenant: "demo".into(),
        device: "desk-1".into(),
        extension: "1001".into(),
        extension_tenant: None,
        force: false,
        until,
    };
    office.command(booked(Some(until))).expect("an answer").expect("the seat");

    for again in [Some(until + HOUR * 1000), Some(until - HOUR * 1000), None] {
        let answer = office.command(booked(again));
        assert!(matches!(answer, Some(Ok(Done::LoggedIn(seat))) if seat.until == Some(until)), "{again:?}");
    }
    office.log_in("1001", "desk-1");

    assert_eq!(office.seat_at("desk-1").and_then(|seat| seat.until), Some(until));
}

#[test]
fn edits_end_nobodys_seat_before_there_was_time_to_warn() {
    let mut office = office_that(|_| {});
    office.log_in("1001", "desk-1");
    office.advance(seconds(20 * HOUR));

    office.reconfigure(|it| {
        it.extension("1001").name = "John B. Smith".into();
        it.extension("1001").own_phones_max = 0;
        it.seats().ends = Ends { times: at(&["18:00"]).times, idle: idle_after(HOUR).idle, ..after(HOUR) };
    });
    office.advance(minutes(4));
    assert!(office.seat_at("desk-1").is_some());
    assert_eq!(warnings(&office).len(), 1);
    office.advance(minutes(2));

    assert_eq!(office.seat_at("desk-1"), None, "it had stood for longer than seats may now");
}

#[test]
fn reloads_one_after_the_other_do_not_put_an_end_off() {
    let mut office = office_that(|it| it.seats().ends = after(HOUR));
    office.log_in("1001", "desk-1");
    office.advance(minutes(57));

    for minute in 0..4 {
        office.reconfigure(|it| it.extension("1001").name = format!("John {minute}").into());
        office.advance(minutes(1));
    }

    assert_eq!(office.seat_at("desk-1"), None);
}

#[test]
fn seats_of_every_worker_end() {
    let mut office = office_that(|it| {
        it.workers = 3;
        it.seats().ends = after(HOUR);
    });
    office.plug_in("desk-3");
    for (extension, device) in [("1001", "desk-1"), ("1002", "desk-2"), ("1003", "desk-3")] {
        office.log_in(extension, device);
    }

    office.advance(minutes(61));

    assert!(office.tables().seats.is_empty());
    assert_eq!(office.now().wall - OPENING, office.now().mono.0 / 1_000_000, "the clocks went together");
}
