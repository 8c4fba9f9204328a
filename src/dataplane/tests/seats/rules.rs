//! What the seat table promises, one promise a test.

use std::cell::RefCell;
use std::collections::HashSet;
use std::time::Duration;

use dataplane::hotdesk::{
    Cause, End, LogIn, Origin, Place, Proposal, Proposed, Seat, Seats, Settled, Surface,
};
use dataplane::now::{Mono, Now};
use dataplane::refusal::Refusal;
use dataplane::settings::{OnLimit, OnOccupied};

const NOW: Now = Now { mono: Mono(1), wall: 1_700_000_000_000 };

fn desk(number: u32) -> Place {
    Place::new("acme", &format!("desk-{number}"))
}

fn person(number: u32) -> Place {
    Place::new("acme", &number.to_string())
}

fn log_in<'a>(device: &'a Place, extension: &'a Place) -> LogIn<'a> {
    LogIn {
        customer: "acme",
        device,
        extension,
        devices_max: 1,
        on_limit: OnLimit::Displace,
        on_occupied: OnOccupied::TakeOver,
        surface: Surface::Dialled,
        origin: &Origin::UNKNOWN,
        until: None,
    }
}

fn end(device: &Place) -> End<'_> {
    End {
        customer: "acme",
        device,
        only_epoch: None,
        cause: Cause::LogOut,
        surface: Surface::Dialled,
        origin: &Origin::UNKNOWN,
    }
}

fn propose(seats: &Seats, request: LogIn<'_>) -> Proposal {
    match seats.propose_log_in(request, |_, _| Ok(()), NOW) {
        Ok(Proposed::Change(proposal)) => proposal,
        other => panic!("{request:?} came to {other:?}"),
    }
}

fn refused(seats: &Seats, request: LogIn<'_>) -> Refusal {
    match seats.propose_log_in(request, |_, _| Ok(()), NOW) {
        Err(refusal) => refusal,
        other => panic!("{request:?} came to {other:?}"),
    }
}

fn sit(seats: &Seats, device: &Place, extension: &Place) {
    seats.commit(propose(seats, log_in(device, extension))).unwrap();
}

fn extension_at(seats: &Seats, device: &Place) -> Option<Place> {
    seats.seat_at("acme", device).map(|seat| seat.extension.clone())
}

fn devices_of(seats: &Seats, extension: &Place) -> Vec<Place> {
    let seats = seats.seats_of("acme", extension);
    seats.iter().map(|seat| seat.device.clone()).collect()
}

#[test]
fn seat_is_seen_from_both_sides_only_after_the_commit() {
    let seats = Seats::new();

    let proposal = propose(&seats, log_in(&desk(1), &person(1001)));
    assert_eq!(extension_at(&seats, &desk(1)), None);
    assert_eq!(devices_of(&seats, &person(1001)), []);

    let change = seats.commit(proposal).unwrap();
    assert_eq!(extension_at(&seats, &desk(1)), Some(person(1001)));
    assert_eq!(devices_of(&seats, &person(1001)), [desk(1)]);
    let begun = Seat {
        device: desk(1),
        extension: person(1001),
        epoch: change.epoch,
        since: NOW.wall,
        surface: Surface::Dialled,
        until: None,
    };
    assert_eq!(change.begun, Some(begun));
    assert_eq!((change.cause, change.at, change.ended.len()), (Cause::LogIn, NOW.wall, 0));
}

#[test]
fn abandoned_log_in_changes_nothing_and_may_be_tried_again() {
    let seats = Seats::new();
    sit(&seats, &desk(1), &person(1001));

    seats.abandon(propose(&seats, log_in(&desk(2), &person(1001))));

    assert_eq!(devices_of(&seats, &person(1001)), [desk(1)]);
    sit(&seats, &desk(2), &person(1001));
    assert_eq!(devices_of(&seats, &person(1001)), [desk(2)]);
}

#[test]
fn log_in_elsewhere_ends_the_seat_before_it_and_puts_out_who_sat_there_in_one_change() {
    let seats = Seats::new();
    sit(&seats, &desk(1), &person(1001));
    sit(&seats, &desk(2), &person(1002));

    let change = seats.commit(propose(&seats, log_in(&desk(2), &person(1001)))).unwrap();

    let ended: HashSet<_> =
        change.ended.iter().map(|seat| (seat.device.clone(), seat.extension.clone())).collect();
    assert_eq!(ended, HashSet::from([(desk(1), person(1001)), (desk(2), person(1002))]));
    assert_eq!(extension_at(&seats, &desk(1)), None);
    assert_eq!(extension_at(&seats, &desk(2)), Some(person(1001)));
    assert_eq!(devices_of(&seats, &person(1002)), []);
    assert_eq!(seats.len(), 1);
}

#[test]
fn extension_at_its_limit_loses_its_oldest_seat() {
    let seats = Seats::new();
    for device in 1..=3 {
        let (device, john) = (desk(device), person(1001));
        seats.commit(propose(&seats, LogIn { devices_max: 3, ..log_in(&device, &john) })).unwrap();
    }

    let (device, john) = (desk(4), person(1001));
    seats.commit(propose(&seats, LogIn { devices_max: 3, ..log_in(&device, &john) })).unwrap();
    assert_eq!(devices_of(&seats, &john), [desk(2), desk(3), desk(4)]);

    // The operator has lowered the limit since.
    let device = desk(5);
    seats.commit(propose(&seats, LogIn { devices_max: 2, ..log_in(&device, &john) })).unwrap();
    assert_eq!(devices_of(&seats, &john), [desk(4), desk(5)]);
}

#[test]
fn extension_at_its_limit_is_refused_where_the_policy_says_so() {
    let seats = Seats::new();
    sit(&seats, &desk(1), &person(1001));

    let (device, john) = (desk(2), person(1001));
    let request = LogIn { on_limit: OnLimit::Refuse, ..log_in(&device, &john) };

    assert_eq!(refused(&seats, request), Refusal::SeatLimit);
    seats.commit(propose(&seats, LogIn { devices_max: 2, ..request })).unwrap();
    assert_eq!(devices_of(&seats, &john), [desk(1), desk(2)]);
}

#[test]
fn device_in_use_is_refused_where_the_policy_says_so() {
    let seats = Seats::new();
    sit(&seats, &desk(1), &person(1001));

    let (device, ann) = (desk(1), person(1002));
    let request = LogIn { on_occupied: OnOccupied::Refuse, ..log_in(&device, &ann) };

    assert_eq!(refused(&seats, request), Refusal::DeviceOccupied);
    assert_eq!(extension_at(&seats, &device), Some(person(1001)));
}

#[test]
fn log_in_where_one_sits_already_changes_nothing_whatever_the_policy() {
    let seats = Seats::new();
    sit(&seats, &desk(1), &person(1001));
    let before = seats.seat_at("acme", &("acme", "desk-1"));

    let (device, john) = (desk(1), person(1001));
    let request =
        LogIn { on_limit: OnLimit::Refuse, on_occupied: OnOccupied::Refuse, ..log_in(&device, &john) };
    let may_not = |_: &Place, _: Option<&Place>| Err(Refusal::EmergencyHold);

    match seats.propose_log_in(request, may_not, NOW) {
        Ok(Proposed::AlreadySits(seat)) => assert_eq!(Some(seat), before),
        other => panic!("{other:?}"),
    }
    assert!(seats.overdue(Mono::from_seconds(60), 1).is_empty());
}

#[test]
fn visitor_of_another_tenant_sits_like_anybody_and_namesakes_are_other_people() {
    let seats = Seats::new();
    let (here, visitor) = (desk(1), Place::new("acme-west", "1001"));
    sit(&seats, &desk(2), &person(1001));

    sit(&seats, &here, &visitor);

    assert_eq!(extension_at(&seats, &here), Some(visitor.clone()));
    assert_eq!(devices_of(&seats, &visitor), [here]);
    assert_eq!(devices_of(&seats, &person(1001)), [desk(2)]);
    assert_eq!(seats.seat_at("acme", &("acme-west", "desk-1")), None);
}

#[test]
fn changes_of_one_device_or_extension_come_one_after_the_other() {
    let seats = Seats::new();
    sit(&seats, &desk(1), &person(1001));
    sit(&seats, &desk(2), &person(1002));

    // It touches desk-1, desk-2, 1001 and 1002.
    let proposal = propose(&seats, log_in(&desk(2), &person(1001)));

    assert_eq!(refused(&seats, log_in(&desk(1), &person(1003))), Refusal::Busy);
    assert_eq!(refused(&seats, log_in(&desk(2), &person(1003))), Refusal::Busy);
    assert_eq!(refused(&seats, log_in(&desk(3), &person(1001))), Refusal::Busy);
    assert_eq!(refused(&seats, log_in(&desk(3), &person(1002))), Refusal::Busy);
    assert_eq!(seats.end_now(end(&desk(1)), |_, _| Ok(()), NOW), Err(Refusal::Busy));
    sit(&seats, &desk(3), &person(1003));
    seats.commit(proposal).unwrap();
    sit(&seats, &desk(1), &person(1002));
}

#[test]
fn every_device_of_a_change_is_asked_for_and_one_emergency_stops_it() {
    let seats = Seats::new();
    sit(&seats, &desk(1), &person(1001));
    sit(&seats, &desk(2), &person(1002));
    let asked = RefCell::new(Vec::new());
    let ask = |device: &Place, _: Option<&Place>| {
        asked.borrow_mut().push(device.clone());
        Ok(())
    };

    let proposed = seats.propose_log_in(log_in(&desk(2), &person(1001)), ask, NOW);

    let Ok(Proposed::Change(proposal)) = proposed else { panic!("{proposed:?}") };
    assert_eq!(asked.take(), [desk(2), desk(1)]);
    seats.abandon(proposal);

    for held in [desk(1), desk(2)] {
        let may_change = |device: &Place, _: Option<&Place>| {
            if *device == held { Err(Refusal::EmergencyHold) } else { Ok(()) }
        };
        let outcome = seats.propose_log_in(log_in(&desk(2), &person(1001)), may_change, NOW);
        assert!(matches!(outcome, Err(Refusal::EmergencyHold)), "{outcome:?}");
        assert_eq!(seats.end_now(end(&held), may_change, NOW), Err(Refusal::EmergencyHold));
    }
    assert_eq!(seats.len(), 2);
}

#[test]
fn end_takes_effect_at_once() {
    let seats = Seats::new();
    sit(&seats, &desk(1), &person(1001));

    let change = seats.end_now(end(&desk(1)), |_, _| Ok(()), NOW).unwrap();

    assert_eq!((change.ended.len(), change.begun.as_ref(), change.cause), (1, None, Cause::LogOut));
    assert!(change.epoch > change.ended[0].epoch);
    assert_eq!(devices_of(&seats, &person(1001)), []);
    assert_eq!(seats.end_now(end(&desk(1)), |_, _| Ok(()), NOW), Err(Refusal::NobodySits));
}

#[test]
fn end_that_must_be_durable_is_seen_after_the_commit() {
    let seats = Seats::new();
    sit(&seats, &desk(1), &person(1001));

    let proposal = seats.propose_end(end(&desk(1)), |_, _| Ok(()), NOW).unwrap();
    assert_eq!(extension_at(&seats, &desk(1)), Some(person(1001)));
    seats.commit(proposal).unwrap();

    assert!(seats.is_empty());
}

#[test]
fn end_of_one_sitting_spares_the_next() {
    let seats = Seats::new();
    let first = seats.commit(propose(&seats, log_in(&desk(1), &person(1001)))).unwrap();
    sit(&seats, &desk(1), &person(1002));

    let device = desk(1);
    let late = End { only_epoch: Some(first.epoch), ..end(&device) };
    assert_eq!(seats.end_now(late, |_, _| Ok(()), NOW), Err(Refusal::NobodySits));

    let epoch = seats.seat_at("acme", &("acme", "desk-1")).map(|seat| seat.epoch);
    seats.end_now(End { only_epoch: epoch, ..end(&device) }, |_, _| Ok(()), NOW).unwrap();
    assert!(seats.is_empty());
}

#[test]
fn change_that_nobody_settled_is_handed_to_another_who_alone_can_settle_it() {
    let seats = Seats::new();
    let lost = propose(&seats, log_in(&desk(1), &person(1001)));
    let mut now = NOW.mono;
    assert!(seats.overdue(now + Duration::from_secs(29), 8).is_empty());

    for _ in 0..3 {
        now = now + Duration::from_secs(30);
        let taken = seats.overdue(now, 8).pop().unwrap();
        assert!(seats.overdue(now, 8).is_empty(), "its lease starts anew");
        assert_eq!(taken.change(), lost.change());
        // What became of the first writing is not known, so it stays reserved.
        seats.abandon(taken);
        assert_eq!(refused(&seats, log_in(&desk(1), &person(1002))), Refusal::Busy);
    }
    assert_eq!(seats.commit(lost), Err(Settled));
    assert!(seats.is_empty());

    let taken = seats.overdue(now + Duration::from_secs(30), 8).pop().unwrap();
    seats.commit(taken).unwrap();
    assert_eq!(extension_at(&seats, &desk(1)), Some(person(1001)));
}

#[test]
fn no_more_changes_are_handed_over_at_once_than_asked_for() {
    let seats = Seats::new();
    for number in 0..8 {
        let customer = format!("customer-{number}");
        for name in [1, 2] {
            let (device, extension) = (desk(number * 2 + name), person(number * 2 + name));
            let request = LogIn { customer: &customer, ..log_in(&device, &extension) };
            drop(propose(&seats, request));
        }
    }

    let late = NOW.mono + Duration::from_secs(30);
    let turns: Vec<_> = (0..7).map(|_| seats.overdue(late, 3).len()).collect();

    assert_eq!(turns, [3, 3, 3, 3, 3, 1, 0]);
}

#[test]
fn restored_seats_stand_and_epochs_go_on_above_them() {
    let seats = Seats::new();
    let seat = |device: Place, extension: Place, epoch| Seat {
        device,
        extension,
        epoch,
        since: 5,
        surface: Surface::Native,
        until: None,
    };
    let visitor = Place::new("acme-west", "2001");
    let stored = vec![
        seat(desk(2), person(1002), 40),
        seat(desk(1), person(1002), 17),
        seat(desk(3), visitor.clone(), 41),
        seat(desk(3), person(1003), 42),
        seat(desk(4), Place::new("gone", "1"), 43),
        seat(desk(5), Place::new("other", "1"), 44),
    ];
    let customer_of = |tenant: &str| match tenant {
        "acme" | "acme-west" => Some("acme"),
        "other" => Some("other"),
        _ => None,
    };

    let refused = seats.restore(stored, &[("acme".into(), 99), ("other".into(), 7)], customer_of);

    let refused: Vec<_> = refused.iter().map(|seat| seat.epoch).collect();
    assert_eq!(refused, [42, 43, 44]);
    assert_eq!(devices_of(&seats, &person(1002)), [desk(1), desk(2)], "oldest first");
    assert_eq!(devices_of(&seats, &visitor), [desk(3)]);
    assert_eq!(seats.snapshot().len(), 3);
    let change = seats.commit(propose(&seats, log_in(&desk(6), &person(1006)))).unwrap();
    assert_eq!(change.epoch, 100);
}
