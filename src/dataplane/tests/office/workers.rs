//! Several workers over the same tables, and a wire that does what it likes.

use std::time::Duration;

use dataplane::testing::{Blueprint, CallState, Leg, Manner, Office, Quality};
use proptest::prelude::*;

use crate::{SEED, seconds};

fn two_workers() -> Office {
    let mut office = Office::with(SEED, |blueprint| blueprint.workers = 2);
    office.plug_in("desk-1").plug_in("desk-2").plug_in("desk-3").own_phone("soft-2", "1002");
    for (phone, worker) in [("desk-1", 0), ("desk-2", 1), ("desk-3", 0), ("soft-2", 1)] {
        office.at_worker(phone, worker);
    }
    office
}

#[test]
fn answers_that_reach_another_worker_are_brought_home() {
    let mut office = two_workers();
    office.log_in("1001", "desk-1");

    let call = office.call("soft-2", "1001");

    assert_eq!(office.outcome(call), Some(200));
    assert!(office.counters().handed_over >= 1, "desk-1 answers to worker 0, the call is worker 1's");
    office.hang_up(call);
    assert_eq!(office["desk-1"].up(), 0);
}

#[test]
fn log_in_on_one_worker_moves_the_call_that_rings_on_another() {
    let mut office = two_workers();
    office.log_in("1001", "desk-1");
    office["desk-1"].manner = Manner::Rings;
    office["desk-3"].manner = Manner::Rings;
    let call = office.call("soft-2", "1001");

    office.log_in("1001", "desk-3");

    assert_eq!((office["desk-1"].ringing(), office["desk-3"].ringing()), (0, 1));
    office.pick_up("desk-3");
    office.settle();
    assert_eq!(office.leg(call).state, CallState::Up);
}

#[test]
fn call_that_knew_of_a_log_in_before_it_was_told_rings_once() {
    let mut office = two_workers();
    office["desk-1"].manner = Manner::Rings;
    office.ring_time = Duration::from_millis(200);
    let log_in = office.log_in_string("1001");
    office.dial("desk-1", &log_in);
    while office.device_of("1001").is_none() {
        office.advance(Duration::from_millis(1));
    }

    let call = office.dial("soft-2", "1001");
    office.advance(Duration::from_millis(500));

    assert_eq!(office["desk-1"].ringing(), 1);
    let invites = office["desk-1"].heard().iter().filter(|it| it.text.starts_with("INVITE")).count();
    assert_eq!(invites, 1, "the news of the log-in comes after the call and rings nobody again");
    office.pick_up("desk-1");
    office.advance(seconds(2));
    assert_eq!(office.outcome(call), Some(200));
}

#[test]
fn in_dialog_requests_are_served_where_they_land() {
    let mut office = two_workers();
    office.log_in("1001", "desk-1");
    let call = office.call("soft-2", "1001");
    let there = office.last_call("desk-1");

    office.at_worker("desk-1", 1).at_worker("soft-2", 0);
    assert_eq!(office.ask_within(call, "INFO", |_| {}), Some(200));
    assert_eq!(office.ask_within(there, "INFO", |_| {}), Some(200));
    office.hang_up(there);

    assert_eq!(office.leg(call).state, CallState::Over);
}

#[test]
fn same_log_in_on_two_workers_at_once_leaves_one_seat() {
    let mut office = two_workers();

    let calls = ["desk-1", "desk-2"].map(|device| office.dial(device, "*11*1001*7738"));
    office.settle();

    assert_eq!(calls.map(|call| office.outcome(call)), [Some(200); 2]);
    assert_eq!(office.devices_of("1001").len(), 1);
}

#[test]
fn nonces_are_good_at_any_worker_and_only_once() {
    let mut office = two_workers();

    for worker in [1, 0, 1, 0] {
        office.at_worker("desk-1", worker);
        assert_eq!(office.register("desk-1"), Some(200));
    }
    let challenges =
        office["desk-1"].responses_to("REGISTER").into_iter().filter(|it| it.status() == Some(401));
    assert_eq!(challenges.count(), 1, "only the first was asked for credentials");
}

#[test]
fn reload_ends_seats_once_whichever_worker_sees_to_it() {
    let mut office = two_workers();
    office.log_in("1001", "desk-2");

    office.reconfigure(|blueprint| blueprint.device("desk-2").enabled = false);
    office.advance(seconds(2));

    assert_eq!(office.device_of("1001"), None);
    let changes = office.reports.iter().filter(|it| matches!(it, dataplane::output::Report::SeatsChanged(_)));
    assert_eq!(changes.count(), 2, "one log-in and one end");
}

/// What somebody does in the course of a morning.
#[derive(Clone, Copy, Debug)]
enum Deed {
    LogIn { device: usize, person: usize },
    LogOut { device: usize },
    Native { device: usize, person: usize },
    NativeOut { device: usize },
    Call { device: usize, person: usize },
    HangUp { call: usize },
    ForceOut { device: usize },
    Reboot { device: usize },
    Wait { seconds: u64 },
    Kill,
}

const DEVICES: [&str; 3] = ["desk-1", "desk-2", "desk-3"];
const PEOPLE: [&str; 3] = ["1001", "1002", "1003"];

fn deed() -> impl Strategy<Value = Deed> {
    let (device, person) = (0..DEVICES.len(), 0..PEOPLE.len());
    prop_oneof![
        6 => (device.clone(), person.clone()).prop_map(|(device, person)| Deed::LogIn { device, person }),
        2 => device.clone().prop_map(|device| Deed::LogOut { device }),
        2 => (device.clone(), person.clone()).prop_map(|(device, person)| Deed::Native { device, person }),
        1 => device.clone().prop_map(|device| Deed::NativeOut { device }),
        4 => (device.clone(), person).prop_map(|(device, person)| Deed::Call { device, person }),
        3 => (0_usize..8).prop_map(|call| Deed::HangUp { call }),
        1 => device.clone().prop_map(|device| Deed::ForceOut { device }),
        1 => device.prop_map(|device| Deed::Reboot { device }),
        3 => (0_u64..40).prop_map(|seconds| Deed::Wait { seconds }),
        1 => Just(Deed::Kill),
    ]
}

/// Seats each of them may hold.
const LIMITS: [usize; 3] = [1, 2, 1];

/// What every look-up must find at every instant: nobody beyond his limit, no device with two, both maps alike.
fn assert_consistent(office: &Office) {
    for (person, limit) in PEOPLE.into_iter().zip(LIMITS) {
        let devices = office.devices_of(person);
        assert!(devices.len() <= limit, "{person} sits at {devices:?}");
        for device in devices {
            let seat = office.seat_at(&device);
            assert_eq!(seat.map(|seat| seat.extension.name().to_string()).as_deref(), Some(person));
        }
    }
}

/// When nothing is on its way, no phone rings for somebody who does not sit there; `since` counts, for each, the
/// calls that a killed edge could no longer cancel.
fn assert_nobody_rings_elsewhere(office: &Office, since: [usize; 3]) {
    for (device, since) in DEVICES.into_iter().zip(since) {
        let calls = office[device].calls()[since..].iter();
        let ringing = calls.filter(|it| !it.outgoing && it.state == CallState::Ringing);
        for call in ringing {
            let rings_for = PEOPLE.into_iter().find(|person| call.local.contains(&format!("sip:{person}@")));
            let person = rings_for.expect("a call is for one of them");
            assert!(office.devices_of(person).iter().any(|at| at == device), "{device} rings for {person}");
        }
    }
}

fn live_through(seed: u64, quality: Quality, deeds: &[Deed]) {
    let mut blueprint = Blueprint::demo(seed);
    blueprint.workers = 2;
    blueprint.quality = quality;
    blueprint.extension("1002").devices_max = LIMITS[1] as u32;
    let mut office = Office::open(blueprint);
    office.always = Some(assert_consistent);
    for device in DEVICES {
        office.unbox(device, device);
        office.register(device);
    }
    office["desk-1"].manner = Manner::Rings;
    let mut calls: Vec<Leg> = Vec::new();
    let mut before_kill = [0; 3];
    for deed in deeds {
        match *deed {
            Deed::LogIn { device, person } => {
                let dialled = office.log_in_string(PEOPLE[person]);
                office.switch_account(DEVICES[device], DEVICES[device]);
                calls.push(office.dial(DEVICES[device], &dialled));
            }
            Deed::LogOut { device } => {
                office.switch_account(DEVICES[device], DEVICES[device]);
                calls.push(office.dial(DEVICES[device], "*12"));
            }
            Deed::Native { device, person } => drop(office.native_log_in(DEVICES[device], PEOPLE[person])),
            // The device's own account stays: without it the phone would be an ordinary one from then on.
            Deed::NativeOut { device } if office[DEVICES[device]].account() == DEVICES[device] => {}
            Deed::NativeOut { device } => drop(office.unregister(DEVICES[device])),
            Deed::Call { device, person } => calls.push(office.dial(DEVICES[device], PEOPLE[person])),
            Deed::HangUp { call } => {
                if let Some(call) = calls.get(call) {
                    office.put_down(*call);
                }
            }
            Deed::ForceOut { device } => drop(office.force_out(DEVICES[device], false)),
            Deed::Reboot { device } => drop(office.reboot(DEVICES[device])),
            Deed::Wait { seconds: span } => office.advance(seconds(span)),
            Deed::Kill => {
                office.kill_and_restart();
                before_kill = DEVICES.map(|device| office[device].calls().len());
            }
        }
        if quality == Quality::PERFECT {
            office.settle();
            assert_nobody_rings_elsewhere(&office, before_kill);
        }
    }
    // Home time: whatever is up ends, the phones are unplugged, and the edge forgets all of it.
    office.quality = Quality::PERFECT;
    for call in calls {
        office.put_down(call);
    }
    office.settle();
    for device in DEVICES {
        office.pull_plug(device);
    }
    // A call whose caller vanished while it rang ends last: timer C (200 s), a CANCEL that nobody answers (64·T1),
    // and timer H for the ACK that never comes (64·T1).
    office.advance(seconds(300));
    assert_consistent(&office);
    for device in DEVICES {
        let stored = office.store.seat_at("demo", device).cloned();
        assert_eq!(
            office.seat_at(device).map(|seat| (*seat).clone()),
            stored,
            "the store knows who sits at {device}"
        );
    }
    assert!(office.is_quiet(), "nothing is left of it after five minutes");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn morning_ends_with_everything_in_order(
        seed in any::<u64>(),
        poor in any::<bool>(),
        deeds in proptest::collection::vec(deed(), 1..40),
    ) {
        live_through(seed, if poor { Quality::POOR } else { Quality::PERFECT }, &deeds);
    }
}

#[test]
fn call_of_a_phone_that_vanished_is_over_after_timers_c_and_h() {
    let deeds = [
        Deed::LogIn { device: 0, person: 1 },
        Deed::LogIn { device: 2, person: 2 },
        Deed::Call { device: 2, person: 1 },
        Deed::Reboot { device: 2 },
        Deed::LogIn { device: 0, person: 1 },
    ];

    live_through(0, Quality::PERFECT, &deeds);
}

#[test]
fn log_ins_get_through_a_wire_that_loses_one_in_ten() {
    for seed in 0..8 {
        let mut office = Office::with(seed, |blueprint| blueprint.quality = Quality::POOR);
        office.plug_in("desk-1").plug_in("desk-2");

        office.log_in("1001", "desk-1");
        office.log_in("1002", "desk-2");
        let call = office.call("desk-1", "1002");

        assert_eq!(office.outcome(call), Some(200), "seed {seed}");
        office.hang_up(call);
        assert_eq!((office["desk-1"].up(), office["desk-2"].up()), (0, 0), "seed {seed}");
    }
}

#[test]
fn run_is_the_same_for_the_same_seed() {
    let transcript = || {
        let mut office = Office::with(SEED, |blueprint| blueprint.quality = Quality::POOR);
        office.plug_in("desk-1").plug_in("desk-2");
        office.log_in("1001", "desk-1");
        office.log_in("1001", "desk-2");
        (office.clock(), office["desk-1"].heard().to_vec(), office["desk-2"].heard().to_vec())
    };

    assert_eq!(transcript(), transcript());
}
