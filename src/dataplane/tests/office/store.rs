//! The store: slow, away, and all that is left after `kill -9`.

use std::time::Duration;

use dataplane::hotdesk::{Cause, Surface};
use dataplane::input::Command;
use dataplane::output::{Done, Report};
use dataplane::testing::{Manner, Office, StoreMood};

use crate::{SEED, seconds, three_desks};

#[test]
fn log_in_is_answered_only_when_the_store_has_it() {
    let mut office = three_desks();
    office.store.mood = StoreMood::Holds;

    let call = office.call("desk-1", "*11*1001*7738");
    assert_eq!((office.outcome(call), office.device_of("1001")), (None, None));

    office.release_store();
    assert_eq!(office.outcome(call), Some(200));
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
}

#[test]
fn store_that_fails_refuses_the_log_in_and_the_old_seat_stays() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");
    office.store.mood = StoreMood::Fails;

    assert_eq!(office.try_log_in("1001", "desk-2"), Some(603));
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));

    office.store.mood = StoreMood::Writes(Duration::from_millis(1));
    assert_eq!(office.try_log_in("1001", "desk-2"), Some(200), "nothing was left half done");
}

#[test]
fn native_log_in_is_answered_when_the_store_has_seat_and_binding() {
    let mut office = three_desks();
    office.native_log_in("desk-1", "1001");
    office.store.mood = StoreMood::Holds;

    assert_eq!(office.native_log_in("desk-2", "1001"), None);
    assert_eq!(office.store.held(), 1, "seat and binding are one record");
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));

    office.release_store();
    let answers = office["desk-2"].responses_to("REGISTER");
    assert_eq!(answers.last().and_then(|answer| answer.status()), Some(200));
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-2"));
    office.kill_and_restart();
    office.own_phone("soft-2", "1002");
    let call = office.call("soft-2", "1001");
    assert_eq!(office.outcome(call), Some(200), "both were kept");
    assert_eq!(office["desk-2"].requests("INVITE").len(), 1);
}

#[test]
fn native_log_in_that_the_store_fails_leaves_no_binding() {
    let mut office = three_desks();
    office.native_log_in("desk-1", "1001");
    office.store.mood = StoreMood::Fails;

    assert_eq!(office.native_log_in("desk-2", "1001"), Some(403));

    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
    assert_eq!(office.tables().location.contacts("demo", b"1001", office.clock()).len(), 1);
    office.store.mood = StoreMood::Writes(Duration::from_millis(1));
    assert_eq!(office.register("desk-2"), Some(200), "nothing was left half done");
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-2"));
}

#[test]
fn log_out_takes_effect_with_the_store_away_and_says_so() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");
    office.store.mood = StoreMood::Fails;

    assert_eq!(office.log_out("desk-1"), Some(200));

    assert_eq!(office.device_of("1001"), None);
    assert!(office.reports.contains(&Report::NotDurable));
    assert_eq!(office.counters().not_durable, 1);
}

/// 1001 sits at desk-1 and 1002 at desk-2, in a call with each other.
fn two_in_a_call() -> Office {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");
    office.log_in("1002", "desk-2");
    let call = office.call("desk-1", "1002");
    assert_eq!(office.outcome(call), Some(200));
    office
}

/// Why the last seat ended, and who asked for it.
fn last_end(office: &Office) -> Option<(Cause, Surface, Option<Box<str>>)> {
    office.reports.iter().rev().find_map(|report| match report {
        Report::SeatsChanged(change) if change.begun.is_none() => {
            Some((change.cause, change.surface, change.origin.by.clone()))
        }
        _ => None,
    })
}

#[test]
fn log_out_that_waits_for_a_call_is_done_after_a_kill_as_it_was_asked_for() {
    let tenant = || Box::from("demo");
    let ways = [
        Command::LogOut { tenant: tenant(), device: "desk-1".into(), now: false },
        Command::LogOutExtension { tenant: tenant(), extension: "1001".into(), now: false },
        Command::LogOutAll { tenant: tenant(), site: None, now: false },
    ];
    for way in ways {
        let mut office = two_in_a_call();
        let done = office.command(way);
        assert!(matches!(done, Some(Ok(Done::Deferred(_) | Done::Ending(_)))), "{done:?}");
        office.advance(seconds(2));
        assert!(office.seat_at("desk-1").is_some(), "it waits");

        office.kill_and_restart();
        office.advance(seconds(2));

        assert_eq!(office.seat_at("desk-1"), None);
        assert_eq!(last_end(&office), Some((Cause::Forced, Surface::Api, Some("console".into()))));
        assert!(office.store.restored().owed_ends.is_empty(), "it is done");
    }
}

#[test]
fn log_out_that_waits_for_a_call_is_confirmed_when_the_store_has_it_or_is_away() {
    let mut office = two_in_a_call();
    office.store.mood = StoreMood::Holds;

    assert_eq!(office.force_out("desk-1", false), None);
    assert_eq!(office.store.held(), 1);

    office.store.mood = StoreMood::Fails;
    let done = office.force_out("desk-2", false);
    assert!(matches!(done, Some(Ok(Done::Deferred(_)))), "{done:?}");
    assert!(office.reports.contains(&Report::NotDurable));
}

#[test]
fn log_out_of_a_whole_tenant_is_confirmed_when_the_store_has_all_of_it_or_is_away() {
    let all = || Command::LogOutAll { tenant: "demo".into(), site: None, now: false };
    let mut office = two_in_a_call();
    office.log_in("1003", "desk-3");
    office.store.mood = StoreMood::Holds;

    assert_eq!(office.command(all()), None);
    assert_eq!(office.seat_at("desk-3"), None, "it is no less done");

    office.store.mood = StoreMood::Fails;
    assert_eq!(office.command(all()), Some(Ok(Done::Ending(2))));
    assert!(office.reports.contains(&Report::NotDurable));
}

#[test]
fn log_out_that_waited_ends_nobody_who_sat_down_later() {
    let mut office = two_in_a_call();
    office.force_out("desk-1", false);
    office.log_in("1003", "desk-1");

    office.kill_and_restart();
    office.advance(seconds(2));

    assert_eq!(office.device_of("1003").as_deref(), Some("desk-1"));
    assert_eq!(last_end(&office), None);
}

#[test]
fn calls_go_on_with_the_store_away() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");
    office.log_in("1002", "desk-2");
    office.store.mood = StoreMood::Fails;

    office.advance(seconds(2 * 3600));
    let call = office.call("desk-1", "1002");

    assert_eq!(office.outcome(call), Some(200));
    assert_eq!(office.tables().location.census().bindings, 3);
}

#[test]
fn seats_and_bindings_are_there_after_a_kill() {
    let mut office = three_desks();
    office.own_phone("soft-2", "1002");
    office.log_in("1001", "desk-1");
    let epoch = office.seat_at("desk-1").map(|seat| seat.epoch);

    office.kill_and_restart();

    assert_eq!(office.seat_at("desk-1").map(|seat| seat.epoch), epoch);
    let call = office.call("soft-2", "1001");
    assert_eq!(office.outcome(call), Some(200), "before any phone has registered anew");
    office.log_in("1001", "desk-2");
    let later = office.seat_at("desk-2").map(|seat| seat.epoch);
    assert!(later > epoch, "epochs only grow");
}

#[test]
fn log_in_that_was_not_durable_is_gone_after_a_kill_and_was_never_confirmed() {
    let mut office = three_desks();
    office.store.mood = StoreMood::Holds;
    let call = office.call("desk-1", "*11*1001*7738");

    office.kill_and_restart();

    assert_eq!(office.outcome(call), None);
    assert_eq!(office.device_of("1001"), None);
}

#[test]
fn log_out_that_was_confirmed_stays_after_a_kill() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");
    assert_eq!(office.log_out("desk-1"), Some(200));

    office.kill_and_restart();

    assert_eq!(office.device_of("1001"), None);
}

#[test]
fn nonces_of_before_a_kill_are_stale_and_phones_go_on_by_themselves() {
    let mut office = three_desks();

    office.kill_and_restart();

    assert_eq!(office.register("desk-1"), Some(200));
    let stale =
        office["desk-1"].responses_to("REGISTER").into_iter().filter(|it| it.text.contains("stale=true"));
    assert_eq!(stale.count(), 1);
}

#[test]
fn call_that_is_up_survives_a_kill() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");
    office.log_in("1002", "desk-2");
    let call = office.call("desk-1", "1002");
    let there = office.last_call("desk-2");

    office.kill_and_restart();
    assert_eq!(office.ask_within(call, "INFO", |_| {}), Some(200));
    office.hang_up(there);

    assert_eq!((office["desk-1"].up(), office["desk-2"].up()), (0, 0));
}

#[test]
fn binding_over_a_connection_is_answered_for_at_once_after_a_kill() {
    let mut office = Office::new(SEED);
    office.plug_in_stream("desk-1").own_phone("soft-2", "1002");
    office.log_in("1001", "desk-1");

    office.kill_and_restart();
    let call = office.call("soft-2", "1001");
    assert_eq!(office.outcome(call), Some(480));

    assert_eq!(office.reboot("desk-1"), Some(200));
    let call = office.call("soft-2", "1001");
    assert_eq!(office.outcome(call), Some(200));
}

#[test]
fn bindings_that_ran_out_while_the_edge_was_down_are_not_restored() {
    let mut office = three_desks();

    office.step_wall(3_600_000);
    office.kill_and_restart();

    assert_eq!(office.tables().location.census().bindings, 0);
}

#[test]
fn wall_clock_that_jumps_ends_no_binding_and_no_seat() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");

    for jump in [3_600_000, -7_200_000] {
        office.step_wall(jump);
        office.advance(seconds(10));
        assert_eq!(office.tables().location.census().bindings, 3);
        assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
    }
}

#[test]
fn without_a_store_everything_works_until_a_kill() {
    let mut office = Office::with(SEED, |blueprint| blueprint.durable = false);
    office.plug_in("desk-1").plug_in("desk-2");
    office.log_in("1001", "desk-1");
    office.log_in("1002", "desk-2");
    office["desk-2"].manner = Manner::Answers;
    let call = office.call("desk-1", "1002");
    assert_eq!(office.outcome(call), Some(200));

    office.kill_and_restart();

    assert_eq!(office.device_of("1001"), None);
    assert_eq!(office.tables().location.census().bindings, 0);
}

#[test]
fn seat_whose_device_is_gone_does_not_come_back_with_a_restart() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");
    office.reconfigure(|blueprint| {
        blueprint.tenants[0].devices.retain(|device| &*device.id != "desk-1");
    });
    office.advance(seconds(2));

    office.kill_and_restart();
    office.advance(seconds(2));

    assert_eq!(office.device_of("1001"), None);
    assert!(office.store.seat_at("demo", "desk-1").is_none());
}

#[test]
fn refresh_waits_for_no_store() {
    let mut office = three_desks();
    office.store.mood = StoreMood::Holds;

    assert_eq!(office.register("desk-1"), Some(200));

    assert_eq!(office.store.held(), 0, "what is refreshed is written when there is time");
}

#[test]
fn log_in_that_waits_too_long_for_another_is_refused() {
    let mut office = three_desks();
    office.store.mood = StoreMood::Holds;
    let first = office.call("desk-1", "*11*1001*7738");
    let second = office.call("desk-2", "*11*1001*7738");

    office.advance(seconds(3));

    assert_eq!((office.outcome(first), office.outcome(second)), (None, Some(603)));
    office.release_store();
    assert_eq!(office.outcome(first), Some(200));
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
}

#[test]
fn log_in_whose_answer_from_the_store_is_lost_is_written_again_and_stands() {
    let mut office = three_desks();
    office.store.mood = StoreMood::Holds;
    let call = office.call("desk-1", "*11*1001*7738");
    office.store.mood = StoreMood::Writes(Duration::from_millis(1));

    office.advance(seconds(32));

    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
    assert!(office.store.seat_at("demo", "desk-1").is_some());
    office.release_store();
    assert_eq!(office.outcome(call), Some(200), "the answer was but late");
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
}

#[test]
fn edge_is_not_quiet_while_the_store_is_asked_or_somebody_talks_to_it() {
    let mut office = three_desks();
    assert!(office.is_quiet());

    let call = office.talk("desk-1", "*11");
    office.advance(seconds(1));
    assert!(!office.is_quiet());
    office.hang_up(call);
    office.advance(seconds(40));
    assert!(office.is_quiet());

    office.store.mood = StoreMood::Holds;
    let order = Command::LogIn {
        tenant: "demo".into(),
        device: "desk-1".into(),
        extension: "1001".into(),
        extension_tenant: None,
        force: false,
        until: None,
    };
    assert_eq!(office.command(order), None);
    assert!(!office.is_quiet());
    office.release_store();
    office.advance(seconds(40));
    assert!(office.is_quiet());
}
