//! The law of [`Load`] by itself: what it makes of waits and losses. What comes of it in a queue, `simulation` shows.

use super::*;

const T1: Duration = Duration::from_millis(500);

/// The goal at that T1.
const GOAL: u64 = 25;

fn at(millis: u64) -> Mono {
    Mono::from_seconds(100) + Duration::from_millis(millis)
}

fn wait(load: &mut Load, now: u64, millis: u64) {
    let least = Duration::from_millis(millis);
    load.waited(at(now), Waiting { least, taken: 100, lost: 0 }, T1);
}

/// Has whoever comes wait for so long in this span of milliseconds.
fn wait_during(load: &mut Load, span: std::ops::Range<u64>, millis: u64) {
    span.step_by(25).for_each(|now| wait(load, now, millis));
}

/// How many of 1,024 of each class are refused.
fn refused(load: &Load) -> [u32; 4] {
    Class::ALL.map(|class| (0..1024).map(|lot| u32::from(load.refuses(class, || lot << 22))).sum())
}

const MOST: [u32; 4] = [1024, 384, 384, 960];

#[test]
fn a_burst_has_nobody_refused_however_long_it_makes_him_wait() {
    let mut load = Load::default();

    wait_during(&mut load, 0..250, 20 * GOAL);

    assert_eq!(refused(&load), [0; 4]);
    wait_during(&mut load, 250..500, 0);
    wait_during(&mut load, 500..750, 20 * GOAL);
    assert_eq!(refused(&load), [0; 4], "nor does the next");
    wait_during(&mut load, 750..1_000, 20 * GOAL);
    assert!(refused(&load)[0] > 0, "but this is none any more");
}

#[test]
fn who_waits_for_less_than_the_goal_is_never_refused() {
    let mut load = Load::default();

    wait_during(&mut load, 0..60_000, GOAL);

    assert!(!load.is_high());
}

#[test]
fn classes_are_refused_in_their_order_and_none_wholly_but_log_ins() {
    let mut load = Load::default();
    let mut before = [0; 4];
    for now in (0..12_000).step_by(25) {
        wait(&mut load, now, 2 * GOAL);
        let refused = refused(&load);
        assert!(refused.iter().zip(&before).all(|(now, before)| now >= before), "{before:?} {refused:?}");
        for later in 1..4 {
            assert!(refused[later] == 0 || refused[later - 1] == MOST[later - 1], "{refused:?}");
        }
        before = refused;
    }
    assert_eq!(before, MOST);
}

#[test]
fn what_was_refused_last_is_taken_first_when_nobody_waits_any_more() {
    let mut load = Load::default();
    wait_during(&mut load, 0..5_000, 10 * GOAL);
    assert_eq!(refused(&load), MOST);

    wait_during(&mut load, 5_000..6_000, 0);

    let calmer = refused(&load);
    assert!((1..960).contains(&calmer[3]) && calmer[2] == 384, "{calmer:?}");
    wait_during(&mut load, 6_000..13_500, 0);
    assert_eq!(refused(&load), [0; 4]);
    assert!(!load.is_high());
}

#[test]
fn the_farther_from_its_goal_a_wait_is_and_the_faster_it_grows_the_more_is_refused() {
    let after = |waits: [u64; 3]| {
        let mut load = Load::default();
        wait_during(&mut load, 0..275, 2 * GOAL);
        (0..).zip(waits).for_each(|(turn, millis)| wait(&mut load, 275 + 25 * turn, millis));
        load.pressure
    };

    let stays = after([50, 50, 50]);
    assert!(after([100, 100, 100]) > stays);
    assert!(after([60, 70, 80]) > stays && after([45, 40, 35]) < stays);
}

#[test]
fn losses_count_where_a_socket_is_too_small_for_anybody_to_wait() {
    let mut load = Load::default();
    let lose = |load: &mut Load, span: std::ops::Range<u64>, lost| {
        for now in span.step_by(25) {
            load.waited(at(now), Waiting { least: Duration::from_millis(3), taken: 100, lost }, T1);
        }
    };

    lose(&mut load, 0..250, 900);
    assert_eq!(refused(&load), [0; 4], "a burst");
    lose(&mut load, 250..600, 900);

    assert_eq!(refused(&load), MOST, "ten times as many as were taken came");
    let mut other = Load::default();
    lose(&mut other, 0..600, 1);
    assert!(other.pressure > 0.0 && other.pressure < load.pressure / 4.0, "{}", other.pressure);
}

#[test]
fn who_has_drawn_the_same_lot_is_treated_alike_while_the_pressure_rises() {
    let mut load = Load::default();
    wait_during(&mut load, 0..5_000, 10 * GOAL);
    let refuses = |load: &Load, lot| load.refuses(Class::Call, || lot);

    assert!(refuses(&load, 0) && refuses(&load, u32::MAX / 16 * 14));
    assert!(!refuses(&load, u32::MAX));
}

#[test]
fn refusals_are_told_to_a_share_of_those_who_came() {
    let mut load = Load::default();
    let told = |load: &mut Load, taken| {
        let waiting = Waiting { least: Duration::from_millis(2 * GOAL), taken, lost: 0 };
        load.waited(at(0), waiting, T1);
        (0..10_000).filter(|_| load.may_answer()).count()
    };

    assert_eq!((told(&mut load, 25_600), told(&mut load, 2_560), told(&mut load, 1)), (100, 10, 1));
}
