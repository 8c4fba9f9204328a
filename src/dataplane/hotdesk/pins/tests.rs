use super::*;

fn pins() -> Pins {
    Pins::new([7; 16])
}

fn desk(number: u32) -> Place {
    Place::new("acme", &format!("desk-{number}"))
}

fn person(number: u32) -> Place {
    Place::new("acme", &number.to_string())
}

fn at(seconds: u32) -> Mono {
    Mono::from_seconds(seconds)
}

/// Tries a wrong PIN; the seconds to wait if it may not be tried.
fn wrong(pins: &Pins, device: &Place, extension: &Place, seconds: u32) -> Result<(), u64> {
    pins.attempt(device, extension, at(seconds)).map_err(|locked| locked.retry_after.as_secs())?;
    pins.wrong(device, extension, at(seconds));
    Ok(())
}

#[test]
fn pair_is_locked_after_three_wrong_pins_ever_longer_up_to_15_minutes() {
    let (pins, desk, john) = (pins(), desk(1), person(1001));
    for second in 0..3 {
        assert_eq!(wrong(&pins, &desk, &john, second), Ok(()));
    }

    let mut now = 2;
    for lock in [30, 60, 120, 240, 480, 900, 900] {
        assert_eq!(wrong(&pins, &desk, &john, now), Err(lock));
        assert_eq!(wrong(&pins, &desk, &john, now + lock as u32 - 1), Err(1));
        now += lock as u32;
        assert_eq!(wrong(&pins, &desk, &john, now), Ok(()), "after {lock} s");
    }
}

#[test]
fn right_pin_makes_the_pair_start_anew() {
    let (pins, desk, john) = (pins(), desk(1), person(1001));
    for round in 0..20 {
        assert_eq!(wrong(&pins, &desk, &john, round * 10), Ok(()));
        assert_eq!(wrong(&pins, &desk, &john, round * 10), Ok(()));
        pins.attempt(&desk, &john, at(round * 10)).unwrap();
        pins.right(&desk, &john);
    }
}

#[test]
fn lock_of_one_pair_leaves_others_alone() {
    let (pins, john) = (pins(), person(1001));
    for _ in 0..3 {
        wrong(&pins, &desk(1), &john, 0).unwrap();
    }

    assert_eq!(wrong(&pins, &desk(2), &john, 1), Ok(()));
    assert_eq!(wrong(&pins, &desk(1), &person(1002), 1), Ok(()));
    assert_eq!(wrong(&pins, &desk(1), &john, 1), Err(29));
}

#[test]
fn tries_at_the_same_time_are_charged_before_any_is_answered() {
    let (pins, desk, john) = (pins(), desk(1), person(1001));

    let let_in = (0..100).filter(|_| pins.attempt(&desk, &john, at(0)).is_ok()).count();

    assert_eq!(let_in, 3);
}

#[test]
fn try_that_nobody_could_check_is_given_back() {
    let (pins, desk, john) = (pins(), desk(1), person(1001));
    for second in 0..100 {
        pins.attempt(&desk, &john, at(second)).unwrap();
        pins.void(&desk, &john);
    }

    wrong(&pins, &desk, &john, 100).unwrap();
    wrong(&pins, &desk, &john, 100).unwrap();
    pins.attempt(&desk, &john, at(100)).unwrap();
    pins.void(&desk, &john);
    assert_eq!(wrong(&pins, &desk, &john, 100), Ok(()));
    assert_eq!(wrong(&pins, &desk, &john, 100), Err(30));
}

#[test]
fn pair_is_forgotten_an_hour_after_its_last_lock() {
    let (pins, desk, john) = (pins(), desk(1), person(1001));
    for _ in 0..3 {
        wrong(&pins, &desk, &john, 0).unwrap();
    }

    for _ in 0..3 {
        assert_eq!(wrong(&pins, &desk, &john, 30 + 3600), Ok(()));
    }
    assert_eq!(wrong(&pins, &desk, &john, 30 + 3600), Err(30));
}

#[test]
fn extension_tried_from_many_devices_is_slowed_down_except_where_it_last_succeeded() {
    let (pins, director) = (pins(), person(1000));
    pins.attempt(&desk(0), &director, at(0)).unwrap();
    pins.right(&desk(0), &director);
    for device in 1..=10 {
        assert_eq!(wrong(&pins, &desk(device), &director, 1), Ok(()));
    }

    assert_eq!(wrong(&pins, &desk(11), &director, 1), Err(2));
    assert_eq!(wrong(&pins, &desk(11), &director, 3), Ok(()));
    assert_eq!(wrong(&pins, &desk(12), &director, 3), Err(4));
    assert_eq!(pins.attempt(&desk(0), &director, at(3)), Ok(()));
}

#[test]
fn extension_is_slowed_down_at_none_of_the_four_desks_where_it_last_succeeded() {
    let (pins, director) = (pins(), person(1000));
    for device in [0, 1, 2, 3, 4, 4, 4, 4] {
        pins.attempt(&desk(device), &director, at(0)).unwrap();
        pins.right(&desk(device), &director);
    }
    for device in 10..20 {
        assert_eq!(wrong(&pins, &desk(device), &director, 1), Ok(()));
    }

    assert_eq!(wrong(&pins, &desk(0), &director, 1), Err(2), "a fifth has taken its place");
    for device in 1..=4 {
        assert_eq!(pins.attempt(&desk(device), &director, at(1)), Ok(()), "{device}");
    }
}

#[test]
fn tries_are_forgiven_while_others_are_made() {
    let (pins, director) = (pins(), person(1000));

    for device in 0..28 {
        assert_eq!(wrong(&pins, &desk(device), &director, device * 250), Ok(()), "{device}");
    }

    assert_eq!(pins.locks(&[], &[director], at(28 * 250)), []);
}

#[test]
fn delay_of_an_extension_grows_to_five_minutes_and_goes_when_nobody_tries() {
    let (pins, director) = (pins(), person(1000));
    let (mut now, mut longest) = (0, 0);
    for device in 0..40 {
        if let Err(wait) = wrong(&pins, &desk(device), &director, now) {
            now += wait as u32;
            longest = longest.max(wait);
            wrong(&pins, &desk(device), &director, now).unwrap();
        }
    }

    assert_eq!(longest, 300);
    now += 2 * 3600;
    for device in 100..110 {
        assert_eq!(wrong(&pins, &desk(device), &director, now), Ok(()));
    }
}

#[test]
fn refused_tries_at_a_locked_pair_do_not_slow_the_extension_down() {
    let (pins, director) = (pins(), person(1000));
    for _ in 0..1_000 {
        let _ = wrong(&pins, &desk(1), &director, 0);
    }

    for device in 2..9 {
        assert_eq!(wrong(&pins, &desk(device), &director, 1), Ok(()));
    }
}

#[test]
fn device_where_more_than_five_extensions_fail_is_slowed_down() {
    let (pins, desk) = (pins(), desk(1));
    for extension in 0..5 {
        assert_eq!(wrong(&pins, &desk, &person(extension), 0), Ok(()));
    }

    assert_eq!(wrong(&pins, &desk, &person(5), 0), Err(2));
    assert_eq!(wrong(&pins, &desk, &person(5), 2), Ok(()));
    assert_eq!(wrong(&pins, &desk, &person(6), 2), Err(4));
}

#[test]
fn person_who_is_known_at_a_device_is_not_slowed_down_by_what_others_try_there() {
    let (pins, desk) = (pins(), desk(1));
    pins.attempt(&desk, &person(1001), at(0)).unwrap();
    pins.right(&desk, &person(1001));
    for extension in 0..5 {
        wrong(&pins, &desk, &person(extension), 0).unwrap();
    }

    assert_eq!(wrong(&pins, &desk, &person(5), 0), Err(2));
    assert_eq!(wrong(&pins, &desk, &person(1001), 0), Ok(()));
}

#[test]
fn flood_from_a_device_neither_unlocks_its_own_pairs_nor_those_of_others() {
    let (pins, john) = (pins(), person(1001));
    for _ in 0..5 {
        for seconds in [0, 30, 90] {
            let _ = wrong(&pins, &desk(1), &john, seconds);
            let _ = wrong(&pins, &desk(2), &john, seconds);
        }
    }
    let locked = |device| pins.attempt(&desk(device), &john, at(91)).is_err();
    assert!(locked(1) && locked(2));

    for extension in 0..100_000 {
        let _ = wrong(&pins, &desk(1), &person(extension), 91);
    }

    assert!(locked(1) && locked(2));
}

#[test]
fn made_up_extensions_neither_fill_memory_nor_push_out_who_matters() {
    let (pins, director, clerk) = (pins(), person(999_999_999), person(999_999_998));
    for device in 0..11 {
        wrong(&pins, &desk(device), &director, device * 2).unwrap();
    }
    pins.attempt(&desk(0), &clerk, at(20)).unwrap();
    pins.right(&desk(0), &clerk);

    for made_up in 0..200_000 {
        let _ = wrong(&pins, &desk(1_000 + made_up), &person(made_up), 21);
    }

    let (_, of_director) = pins.keys(&desk(0), &director);
    let (_, of_clerk) = pins.keys(&desk(0), &clerk);
    let (mut kept, mut found) = (0, 0);
    pins.extensions.each(|shard| {
        kept += shard.len();
        found += usize::from(shard.contains_key(&of_director)) + usize::from(shard.contains_key(&of_clerk));
    });
    assert!(kept <= 64 * EXTENSIONS_PER_SHARD_MAX, "{kept}");
    assert_eq!(found, 2);
}

#[test]
fn names_that_fall_together_differ_with_every_start() {
    assert_ne!(Pins::new([7; 16]).key(&desk(1)), Pins::new([8; 16]).key(&desk(1)));
}

#[test]
fn administrator_unlocks() {
    let (pins, desk, john) = (pins(), desk(1), person(1001));
    for _ in 0..3 {
        wrong(&pins, &desk, &john, 0).unwrap();
    }

    pins.unlock([&desk], &john);

    assert_eq!(wrong(&pins, &desk, &john, 1), Ok(()));
}

#[test]
fn administrator_unlocks_at_one_desk_alone() {
    let (pins, john) = (pins(), person(1001));
    for desk in [desk(1), desk(2)] {
        for _ in 0..3 {
            wrong(&pins, &desk, &john, 0).unwrap();
        }
    }

    assert!(pins.unlock_at(&desk(1), &john));
    assert!(!pins.unlock_at(&desk(3), &john), "nobody tried there");
    assert!(!pins.unlock_at(&desk(2), &person(1002)), "nor this person there");

    assert_eq!(wrong(&pins, &desk(1), &john, 1), Ok(()));
    assert!(wrong(&pins, &desk(2), &john, 1).is_err());
}

#[test]
fn locks_are_shown_until_they_are_over_and_made_up_extensions_are_not() {
    let (pins, desks, people) = (pins(), [desk(1), desk(2)], [person(1001), person(1002)]);
    for second in 0..3 {
        wrong(&pins, &desks[0], &people[0], second).unwrap();
        wrong(&pins, &desks[1], &person(7738), second).unwrap();
    }

    let lock = |seconds| Lock {
        device: Some(desk(1)),
        extension: person(1001),
        wrong: 3,
        retry_after: Duration::from_secs(seconds),
    };
    assert_eq!(pins.locks(&desks, &people, at(2)), [lock(30)]);
    assert_eq!(pins.locks(&desks, &people, at(31)), [lock(1)]);
    assert_eq!(pins.locks(&desks, &people, at(32)), []);
}

#[test]
fn extension_that_is_slowed_down_is_shown_and_unlocked_everywhere() {
    let (pins, director) = (pins(), person(1000));
    for number in 0..10 {
        wrong(&pins, &desk(number), &director, 0).unwrap();
    }

    let shown = pins.locks(&[], std::slice::from_ref(&director), at(1));
    assert!(matches!(&shown[..], [Lock { device: None, wrong: 10, .. }]), "{shown:?}");
    pins.unlock([], &director);

    assert_eq!(pins.locks(&[], std::slice::from_ref(&director), at(1)), []);
    assert_eq!(wrong(&pins, &desk(99), &director, 1), Ok(()));
}

#[test]
fn address_and_tenant_raise_an_alarm_once_in_ten_minutes_and_lock_nobody() {
    let (pins, source) = (pins(), Some("192.0.2.7".parse().unwrap()));
    let alarms = |from: u32| -> Vec<Alarm> {
        let counted = (0..150).map(|n| pins.count(source, "acme", at(from + n / 10)));
        counted.filter(|alarm| *alarm != Alarm::default()).collect()
    };

    let raised = [Alarm { source: Some(20), tenant: None }, Alarm { source: None, tenant: Some(100) }];
    assert_eq!(alarms(0), raised);
    assert_eq!(alarms(100), []);
    assert_eq!(alarms(700), raised);
    assert_eq!(wrong(&pins, &desk(1), &person(1001), 715), Ok(()));
}

#[test]
fn addresses_that_are_counted_are_bounded() {
    let pins = pins();

    for address in 0..100_000_u32 {
        pins.count(Some(IpAddr::from(address.to_be_bytes())), "acme", at(0));
    }

    let mut kept = 0;
    pins.tallies.each(|shard| kept += shard.len());
    assert!(kept <= 64 * TALLIES_PER_SHARD_MAX, "{kept}");
}

#[test]
fn address_that_is_counted_is_not_pushed_out_and_counts_that_are_over_make_room() {
    let (pins, early, late) = (pins(), IpAddr::from([192, 0, 2, 7]), IpAddr::from([192, 0, 2, 8]));
    let flood = || {
        for address in 0..100_000_u32 {
            pins.count(Some(IpAddr::from((address | 0x0a00_0000).to_be_bytes())), "acme", at(300));
        }
    };
    let alarms_at = |source, second| {
        let alarms = (0..20).map(|_| pins.count(Some(source), "acme", at(second)).source);
        alarms.flatten().collect::<Vec<_>>()
    };
    pins.count(Some(early), "acme", at(300));

    flood();

    let alarms: Vec<_> = (0..19).filter_map(|_| pins.count(Some(early), "acme", at(301)).source).collect();
    assert_eq!(alarms, [20]);
    assert_eq!(alarms_at(late, 302), [], "there is no room");
    assert_eq!(alarms_at(late, 900), [20], "there is room again");
}

#[test]
fn pairs_of_a_device_are_bounded_though_everybody_is_known_there() {
    let (pins, desk) = (pins(), desk(1));
    let people = (0..=PAIRS_PER_DEVICE_MAX as u32).map(person).collect::<Vec<_>>();
    let (last, others) = people.split_last().unwrap();
    for person in &people {
        pins.attempt(&desk, person, at(0)).unwrap();
        pins.right(&desk, person);
    }
    let pairs = || pins.devices.with(&pins.key(&desk), |shard| shard[&pins.key(&desk)].pairs.len());

    for (second, person) in others.iter().enumerate() {
        for _ in 0..3 {
            wrong(&pins, &desk, person, second as u32).unwrap();
        }
    }
    assert_eq!(wrong(&pins, &desk, last, 16), Err(14), "all are locked, the first for thirty seconds");

    assert_eq!(wrong(&pins, &desk, last, 40), Ok(()), "the first is locked no longer and gives way");
    assert_eq!(pairs(), PAIRS_PER_DEVICE_MAX);
    assert_eq!(wrong(&pins, &desk, &others[15], 40), Err(5), "the others stay");
}
