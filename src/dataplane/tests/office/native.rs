//! Log-in by the phone's own wizard: a REGISTER for the extension from a known device (RULES §2).

use dataplane::hotdesk::Surface;
use dataplane::settings::{NativeIdentify, OnOccupied};
use dataplane::testing::{Manner, Office, StoreMood};

use crate::{SEED, last_heard, seconds, three_desks};

#[test]
fn register_of_an_extension_from_a_device_is_a_log_in() {
    let mut office = three_desks();

    assert_eq!(office.native_log_in("desk-1", "1001"), Some(200));

    let seat = office.seat_at("desk-1").expect("somebody sits there");
    assert_eq!((seat.extension.name(), seat.surface), ("1001", Surface::Native));
    assert!(office.store.seat_at("demo", "desk-1").is_some());
    office.own_phone("soft-2", "1002");
    let call = office.call("soft-2", "1001");
    assert_eq!(office.outcome(call), Some(200));
    let invite = last_heard(&office, "desk-1", "INVITE");
    assert_eq!(invite.uri(), office["desk-1"].contact("1001"), "the account's own contact rings");
    assert_eq!(office["desk-1"].requests("INVITE").len(), 1, "and the phone but once");
}

#[test]
fn native_phone_calls_as_its_person() {
    let mut office = three_desks();
    office.own_phone("soft-2", "1002");
    office.native_log_in("desk-1", "1001");

    let call = office.call("desk-1", "1002");

    assert_eq!(office.outcome(call), Some(200));
    let from = last_heard(&office, "soft-2", "INVITE");
    assert!(from.header("From").is_some_and(|from| from.contains("<sip:1001@demo.hotdesk>")));
}

#[test]
fn un_register_ends_the_seat() {
    let mut office = three_desks();
    office.native_log_in("desk-1", "1001");

    assert_eq!(office.unregister("desk-1"), Some(200));

    assert_eq!(office.device_of("1001"), None);
    assert!(office.store.seat_at("demo", "desk-1").is_none());
    assert_eq!(office.native_log_in("desk-1", "1001"), Some(200), "and the next REGISTER is a log-in again");
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
}

#[test]
fn refresh_of_a_loser_never_brings_its_seat_back() {
    let mut office = three_desks();
    office.native_log_in("desk-1", "1001");
    office.log_in("1001", "desk-2");

    for _ in 0..3 {
        assert_eq!(office.register("desk-1"), Some(403));
        office.advance(seconds(300));
    }
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-2"));

    assert_eq!(office.unregister("desk-1"), Some(200));
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-2"), "the seat elsewhere is not its to end");
    assert_eq!(office.register("desk-1"), Some(200), "after its un-REGISTER it is a log-in");
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
}

#[test]
fn loser_that_keeps_still_long_enough_may_log_in_again() {
    let mut office = three_desks();
    office.native_log_in("desk-1", "1001");
    office.log_in("1001", "desk-2");

    // Its own refresh comes within five minutes, is refused, and is not repeated.
    office.advance(seconds(301 + 15 * 60));

    assert_eq!(office.register("desk-1"), Some(200));
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
}

#[test]
fn refresh_after_another_took_the_device_brings_nobody_back() {
    let mut office = three_desks();
    office.native_log_in("desk-1", "1001");
    office.switch_account("desk-1", "desk-1");
    office.log_in("1002", "desk-1");

    office.switch_account("desk-1", "1001");
    assert_eq!(office.register("desk-1"), Some(403));

    assert_eq!(office.device_of("1002").as_deref(), Some("desk-1"));
    assert_eq!(office.device_of("1001"), None);
}

#[test]
fn refresh_after_a_dialled_log_out_brings_nobody_back() {
    let mut office = three_desks();
    office.native_log_in("desk-1", "1001");
    office.switch_account("desk-1", "desk-1");
    assert_eq!(office.log_out("desk-1"), Some(200));

    office.switch_account("desk-1", "1001");

    assert_eq!(office.register("desk-1"), Some(403));
    assert_eq!(office.device_of("1001"), None);
}

#[test]
fn refresh_of_a_loser_brings_nobody_back_after_a_kill_either() {
    let mut office = three_desks();
    office.native_log_in("desk-1", "1001");
    office.log_in("1001", "desk-2");

    for _ in 0..2 {
        office.kill_and_restart();

        assert_eq!(office.register("desk-1"), Some(403));
        assert_eq!(office.device_of("1001").as_deref(), Some("desk-2"));
    }

    assert_eq!(office.unregister("desk-1"), Some(200));
    assert_eq!(office.register("desk-1"), Some(200), "after its un-REGISTER it is a log-in");
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
}

#[test]
fn refresh_of_whom_another_put_out_at_the_device_brings_nobody_back_after_a_kill() {
    let mut office = three_desks();
    office.native_log_in("desk-1", "1001");
    office.switch_account("desk-1", "desk-1");
    office.log_in("1002", "desk-1");

    office.kill_and_restart();
    office.switch_account("desk-1", "1001");

    assert_eq!(office.register("desk-1"), Some(403));
    assert_eq!(office.device_of("1002").as_deref(), Some("desk-1"));
}

#[test]
fn after_a_kill_a_loser_has_to_keep_still_for_the_whole_silence() {
    let mut office = three_desks();
    office.native_log_in("desk-1", "1001");
    office.log_in("1001", "desk-2");
    office.advance(seconds(14 * 60));

    office.kill_and_restart();
    office.advance(seconds(14 * 60));
    assert_eq!(office.register("desk-1"), Some(403));
    office.advance(seconds(15 * 60 + 1));

    assert_eq!(office.register("desk-1"), Some(200));
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
}

#[test]
fn log_in_at_the_device_by_another_surface_lets_the_loser_in_after_a_kill() {
    let mut office = three_desks();
    office.native_log_in("desk-1", "1001");
    office.log_in("1001", "desk-2");
    office.switch_account("desk-1", "desk-1");
    office.log_in("1002", "desk-1");

    office.kill_and_restart();

    assert_eq!(office.native_log_in("desk-1", "1001"), Some(200));
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
}

#[test]
fn un_register_leaves_nothing_behind_that_a_kill_brings_back() {
    let mut office = three_desks();
    office.native_log_in("desk-1", "1001");
    office.unregister("desk-1");

    office.kill_and_restart();

    assert_eq!(office.native_log_in("desk-1", "1001"), Some(200));
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
}

#[test]
fn what_the_loser_registered_rings_no_more_and_goes_when_it_was_told() {
    let mut office = three_desks();
    office.own_phone("soft-2", "1002");
    office.native_log_in("desk-1", "1001");
    let before = office.tables().location.census().bindings;
    office["desk-1"].manner = Manner::Rings;

    office.log_in("1001", "desk-2");

    assert_eq!(office.tables().location.census().bindings, before - 1);
    assert!(office["desk-1"].reloads() >= 1);
    office.call("soft-2", "1001");
    assert_eq!((office["desk-1"].ringing(), office["desk-2"].up()), (0, 1));
}

#[test]
fn un_register_of_a_seat_that_was_dialled_removes_bindings_alone() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");
    assert_eq!(office.native_log_in("desk-1", "1001"), Some(200));

    assert_eq!(office.unregister("desk-1"), Some(200));

    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
}

#[test]
fn binding_that_runs_out_ends_no_seat() {
    let mut office = three_desks();
    office.native_log_in("desk-1", "1001");

    office.pull_plug("desk-1");
    office.advance(seconds(1300));

    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
    assert_eq!(office.tables().location.census().bindings, 2);
}

#[test]
fn reboot_of_a_native_phone_is_no_log_out() {
    let mut office = three_desks();
    office.native_log_in("desk-1", "1001");
    let epoch = office.seat_at("desk-1").map(|seat| seat.epoch);

    assert_eq!(office.reboot("desk-1"), Some(200));

    assert_eq!(office.seat_at("desk-1").map(|seat| seat.epoch), epoch);
}

#[test]
fn native_log_in_is_refused_where_the_tenant_has_none() {
    let mut office = Office::with(SEED, |blueprint| blueprint.seats().native = false);
    office.plug_in("desk-1");

    assert_eq!(office.native_log_in("desk-1", "1001"), Some(403));
    assert_eq!(office.device_of("1001"), None);
}

#[test]
fn phone_that_deletes_its_own_account_is_known_by_its_instance() {
    let mut office = Office::new(SEED);
    office.unbox("desk-1", "desk-1").unbox("soft-1", "1001");
    office["desk-1"].show_instance("urn:uuid:00000000-0000-1000-8000-001122334451");
    office.register("desk-1");
    office.unregister("desk-1");

    assert_eq!(office.native_log_in("desk-1", "1001"), Some(200));
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));

    assert_eq!(office.register("soft-1"), Some(200), "a phone nobody knows is an ordinary one");
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
}

#[test]
fn connection_that_leads_to_nobody_any_more_is_closed_with_its_last_binding() {
    let mut office = Office::new(SEED);
    office.plug_in_stream("desk-1").plug_in("desk-2").plug_in("desk-3");
    office["desk-1"].show_instance("urn:uuid:00000000-0000-1000-8000-001122334451");
    office.register("desk-1");
    office.native_log_in("desk-1", "1001");
    let before = office["desk-1"].connection();

    office.log_in("1001", "desk-2");
    assert_eq!(office["desk-1"].connection(), before, "its own account is registered over it");

    office.switch_account("desk-1", "desk-1").unregister("desk-1");
    assert_eq!(office.native_log_in("desk-1", "1003"), Some(200));
    assert_eq!(office["desk-1"].connection(), before);
    office.log_in("1003", "desk-3");
    assert_ne!(office["desk-1"].connection(), before);
}

#[test]
fn star_from_a_device_removes_its_own_and_from_an_ordinary_phone_never_the_seats() {
    let mut office = three_desks();
    office.own_phone("soft-1", "1001");
    office.native_log_in("desk-1", "1001");
    let star = |office: &mut Office, phone: &str| {
        office.register_with(phone, |register| {
            register.set("Contact", "*").set("Expires", "0");
        })
    };
    let bound = |office: &Office| office.tables().location.contacts("demo", b"1001", office.now().mono).len();

    assert_eq!(star(&mut office, "soft-1"), Some(200));
    assert_eq!(bound(&office), 1);
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));

    office.register("soft-1");
    assert_eq!(star(&mut office, "desk-1"), Some(200));
    assert_eq!(bound(&office), 1);
    assert_eq!(office.device_of("1001"), None, "it was the device's last binding of a seat taken natively");
}

#[test]
fn seat_and_binding_wait_for_the_store_and_retransmissions_wait_with_them() {
    let mut office = three_desks();
    office.store.mood = StoreMood::Holds;

    assert_eq!(office.native_log_in("desk-1", "1001"), None);
    office.advance(seconds(3));
    assert_eq!(office.device_of("1001"), None);
    office.release_store();
    office.settle();

    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
    let seats = office.reports.iter().filter(|it| matches!(it, dataplane::output::Report::SeatsChanged(_)));
    assert_eq!(seats.count(), 1, "the retransmissions were no further log-ins");
}

#[test]
fn disabled_device_takes_no_native_log_in() {
    let mut office = Office::with(SEED, |blueprint| blueprint.device("desk-1").enabled = false);
    office.plug_in("desk-1");

    assert_eq!(office.native_log_in("desk-1", "1001"), Some(403));
}

#[test]
fn captured_register_neither_logs_in_nor_lifts_a_mark() {
    let mut office = Office::new(SEED);
    office.unbox("desk-1", "desk-1").plug_in("desk-2").peer("thief", "198.51.100.66:5060");
    office["desk-1"].show_instance("urn:uuid:00000000-0000-1000-8000-001122334451");
    office.register("desk-1");
    office.native_log_in("desk-1", "1001");
    let log_in = office["desk-1"].last_sent("REGISTER").to_owned();
    office.reboot("desk-1");
    office.unregister("desk-1");
    let log_out = office["desk-1"].last_sent("REGISTER").to_owned();
    assert_eq!(office.device_of("1001"), None);

    office.throw("thief", log_in.as_bytes());
    assert_eq!(office.device_of("1001"), None, "nobody is seated by a replay");
    assert!(office.tables().location.contacts("demo", b"1001", office.now().mono).is_empty());

    office.reboot("desk-1");
    office.log_in("1001", "desk-2");
    assert_eq!(office.register("desk-1"), Some(403));
    office.throw("thief", log_out.as_bytes());
    assert_eq!(office.register("desk-1"), Some(403), "the mark stays");
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-2"));
}

#[test]
fn captured_register_of_a_refused_log_in_seats_nobody_later() {
    let mut office = three_desks();
    office.reconfigure(|blueprint| blueprint.seats().on_occupied = OnOccupied::Refuse);
    office.log_in("1002", "desk-1");
    assert_eq!(office.native_log_in("desk-1", "1001"), Some(403));
    let captured = office["desk-1"].last_sent("REGISTER").to_owned();
    let branch = captured.split("branch=").nth(1).and_then(|it| it.split("\r\n").next()).expect("a branch");
    office.log_out("desk-1");

    office.throw("desk-1", captured.replace(branch, "z9hG4bKother").as_bytes());

    assert_eq!(office.device_of("1001"), None, "its proof was used up");
    assert_eq!(office.native_log_in("desk-1", "1001"), Some(200));
}

/// 1001 sits at desk-1 natively, of a brand that un-registers at boot and has ten seconds to be back.
fn seated_with_a_grace() -> Office {
    let mut office = Office::with(SEED, |blueprint| blueprint.seats().native_logout_grace = seconds(10));
    office.plug_in("desk-1");
    office.native_log_in("desk-1", "1001");
    office
}

#[test]
fn grace_for_brands_that_un_register_at_boot_keeps_the_seat() {
    let mut office = seated_with_a_grace();

    office.unregister("desk-1");
    office.advance(seconds(5));
    assert_eq!(office.reboot("desk-1"), Some(200));
    office.advance(seconds(20));
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));

    office.unregister("desk-1");
    office.advance(seconds(11));
    assert_eq!(office.device_of("1001"), None);
}

#[test]
fn grace_begins_anew_with_each_un_register() {
    let mut office = seated_with_a_grace();

    office.unregister("desk-1");
    office.advance(seconds(5));
    assert_eq!(office.reboot("desk-1"), Some(200));
    office.unregister("desk-1");
    office.advance(seconds(8));
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"), "it has two seconds left");

    office.advance(seconds(3));
    assert_eq!(office.device_of("1001"), None);
}

#[test]
fn native_call_in_progress_survives_the_move() {
    let mut office = three_desks();
    office.own_phone("soft-2", "1002");
    office.native_log_in("desk-1", "1001");
    let call = office.call("soft-2", "1001");

    office.log_in("1001", "desk-2");
    assert_eq!(office.ask_within(call, "INFO", |_| {}), Some(200));
    let there = office.last_call("desk-1");
    assert_eq!(office.ask_within(there, "INFO", |_| {}), Some(200));
    office.hang_up(call);

    assert_eq!(office["desk-1"].up(), 0);
}

#[test]
fn connection_of_a_loser_stays_as_long_as_its_call_is_up() {
    let mut office = Office::new(SEED);
    office.plug_in_stream("desk-1").plug_in("desk-2").own_phone("soft-2", "1002");
    office["desk-1"].show_instance("urn:uuid:00000000-0000-1000-8000-001122334451");
    office.register("desk-1");
    office.native_log_in("desk-1", "1001");
    // Nothing else is registered over it.
    office.switch_account("desk-1", "desk-1").unregister("desk-1");
    office.switch_account("desk-1", "1001");
    let call = office.call("soft-2", "1001");
    let (there, before) = (office.last_call("desk-1"), office["desk-1"].connection());

    office.log_in("1001", "desk-2");
    office.advance(seconds(120));

    assert_eq!(office["desk-1"].connection(), before);
    for leg in [call, there] {
        assert_eq!(office.ask_within(leg, "INFO", |_| {}), Some(200));
    }
    office.hang_up(call);
    assert_eq!(office["desk-1"].up(), 0);
}

#[test]
fn phone_with_a_persons_account_is_free_when_either_side_hangs_up() {
    let is_idle = |office: &Office| {
        let call_max = office.settings().timers.call_max;
        office.tables().calls.is_idle(&("demo", "desk-1"), office.now().mono, call_max)
    };
    for (from, to, number) in [("desk-1", "soft-2", "1002"), ("soft-2", "desk-1", "1001")] {
        for caller_hangs_up in [true, false] {
            let mut office = three_desks();
            office.own_phone("soft-2", "1002");
            office.native_log_in("desk-1", "1001");

            let call = office.call(from, number);
            assert_eq!(office.outcome(call), Some(200));
            assert!(!is_idle(&office), "{from}");
            let leg = if caller_hangs_up { call } else { office.last_call(to) };
            office.hang_up(leg);

            assert!(is_idle(&office), "{from}, caller hangs up: {caller_hangs_up}");
        }
    }
}

#[test]
fn the_certificate_says_which_phone_it_is_before_anything_else() {
    let mut office = three_desks();
    let mac = |office: &Office, desk| office.settings().tenants[0].device(desk).and_then(|device| device.mac);
    office.unbox("phone", "desk-2").over_tls("phone", "sip");
    office["phone"].certified = mac(&office, "desk-3");
    assert_eq!(office.register("phone"), Some(200));

    // Over this flow desk-2 has registered, yet the certificate is that of desk-3.
    assert_eq!(office.native_log_in("phone", "1001"), Some(200));

    assert_eq!(office.device_of("1001").as_deref(), Some("desk-3"));
}

#[test]
fn a_claimed_mac_is_believed_inside_its_site_alone_and_only_where_the_tenant_says_so() {
    const INSIDE: &str = "10.2.0.9:5060";
    for (identify, address, desk) in [
        (NativeIdentify::Mac, INSIDE, Some("desk-1")),
        (NativeIdentify::Mac, "198.51.100.9:5060", None),
        (NativeIdentify::Flow, INSIDE, None),
    ] {
        let mut office = Office::with(SEED, |blueprint| blueprint.seats().native_identify = identify);
        office.peer("phone", address).switch_account("phone", "1001");

        let outcome = office.register_with("phone", |register| {
            register.set("User-Agent", "Yealink SIP-T46S 00:11:22:33:44:51");
        });

        assert_eq!(outcome, Some(200));
        assert_eq!(office.device_of("1001").as_deref(), desk, "{identify:?} {address}");
    }
}

#[test]
fn a_certificate_stands_for_no_password() {
    let mut office = three_desks();
    office.unbox("phone", "1001").over_tls("phone", "sip");
    office["phone"].certified = office.settings().tenants[0].device("desk-1").and_then(|device| device.mac);
    office["phone"].wrong_password = Some("guessed".into());

    assert_eq!(office.register("phone"), Some(401));

    assert_eq!(office.device_of("1001"), None);
}

#[test]
fn question_for_what_is_bound_is_no_un_register() {
    let mut office = three_desks();
    office.native_log_in("desk-1", "1001");
    office.log_in("1001", "desk-2");
    assert_eq!(office.register("desk-1"), Some(403));

    let asked = office.register_with("desk-1", |question| {
        question.remove("Contact");
    });

    assert_eq!(asked, Some(200));
    assert_eq!(office.register("desk-1"), Some(403), "the mark stays");
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-2"));
}

#[test]
fn wizard_that_requires_what_the_edge_knows_gets_in() {
    let mut office = three_desks();
    office.switch_account("desk-1", "1001");

    let outcome = office.register_with("desk-1", |register| {
        register.add("Require", "outbound");
    });

    assert_eq!(outcome, Some(200));
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
}

#[test]
fn wizard_waits_for_another_change_that_is_under_way() {
    let mut office = three_desks();
    office.store.mood = StoreMood::Holds;
    office.call("desk-2", "*11*1001*7738");

    assert_eq!(office.native_log_in("desk-1", "1001"), None);
    office.release_store();

    let answers = office["desk-1"].responses_to("REGISTER");
    assert_eq!(answers.last().and_then(|answer| answer.status()), Some(200));
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"), "who came last sits");
}

#[test]
fn wizard_is_told_to_come_again_in_an_overload() {
    let mut office = three_desks();
    office.let_wait(seconds(1), seconds(1));

    assert_eq!(office.native_log_in("desk-1", "1001"), Some(503));

    assert_eq!(office.device_of("1001"), None);
}
