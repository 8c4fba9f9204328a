//! The law of [`Load`] by itself: what it makes of waits and losses. What comes of it in a queue, `simulation` shows.

use super::*;
use crate::flow::{ConnectionId, ListenerId, WorkerId};

const T1: Duration = Duration::from_millis(500);

/// The goal at that T1.
const GOAL: u64 = 25;

fn at(millis: u64) -> Mono {
    Mono::from_seconds(100) + Duration::from_millis(millis)
}

fn wait(load: &mut Load, now: u64, millis: u64) {
    let least = Duration::from_millis(millis);
    load.waited(at(now), Waiting { least, taken: 100, lost: 0, filters: true }, T1);
}

/// Has whoever comes wait for so long in this span of milliseconds.
fn wait_during(load: &mut Load, span: std::ops::Range<u64>, millis: u64) {
    span.step_by(25).for_each(|now| wait(load, now, millis));
}

/// How many of 1,024 each measure concerns, in their order.
fn refused(load: &Load) -> [u32; 5] {
    let unread = load.left_unread().div_ceil(1 << 22);
    let of = |class| (0..1024).map(|lot| u32::from(load.refuses(class, || lot << 22))).sum();
    [of(Class::LogIn), of(Class::NewRegistration), of(Class::Refresh), unread, of(Class::Call)]
}

/// Log-ins, new REGISTER, refreshes, REGISTER unread, calls.
const MOST: [u32; 5] = [1024, 512, 256, 960, 992];

#[test]
fn a_burst_has_nobody_refused_however_long_it_makes_him_wait() {
    let mut load = Load::default();

    wait_during(&mut load, 0..250, 20 * GOAL);

    assert_eq!(refused(&load), [0; 5]);
    wait_during(&mut load, 250..500, 0);
    wait_during(&mut load, 500..750, 20 * GOAL);
    assert_eq!(refused(&load), [0; 5], "nor does the next");
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
    let mut before = [0; 5];
    for now in (0..12_000).step_by(25) {
        wait(&mut load, now, 2 * GOAL);
        let refused = refused(&load);
        assert!(refused.iter().zip(&before).all(|(now, before)| now >= before), "{before:?} {refused:?}");
        for later in 1..5 {
            assert!(refused[later] == 0 || refused[later - 1] == MOST[later - 1], "{refused:?}");
        }
        before = refused;
    }
    assert_eq!(before, MOST);
}

#[test]
fn what_was_refused_last_is_taken_first_when_hardly_anybody_waits_any_more() {
    let mut load = Load::default();
    wait_during(&mut load, 0..5_000, 10 * GOAL);
    assert_eq!(refused(&load), MOST);

    wait_during(&mut load, 5_000..5_600, 0);

    let calmer = refused(&load);
    assert!((1..992).contains(&calmer[4]) && calmer[3] == 960, "{calmer:?}");
    wait_during(&mut load, 5_600..8_000, 0);
    assert_eq!(refused(&load), [0; 5]);
    assert!(!load.is_high());
}

#[test]
fn a_wait_short_of_the_goal_has_less_refused_slowly_and_none_at_all_fast() {
    let after = |millis| {
        let mut load = Load::default();
        wait_during(&mut load, 0..5_000, 10 * GOAL);
        wait_during(&mut load, 5_000..5_400, millis);
        let before = load.pressure;
        wait_during(&mut load, 5_400..5_500, millis);
        before - load.pressure
    };

    assert!(after(GOAL / 2) > 0.0);
    assert!(after(0) > 4.0 * after(GOAL / 2), "{} {}", after(0), after(GOAL / 2));
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
            load.waited(
                at(now),
                Waiting { least: Duration::from_millis(3), taken: 100, lost, filters: true },
                T1,
            );
        }
    };

    lose(&mut load, 0..250, 900);
    assert_eq!(refused(&load), [0; 5], "a burst");
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
    let refuses = |lot| load.refuses(Class::Call, || lot);

    assert!(refuses(0) && refuses(u32::MAX / 32 * 30));
    assert!(!refuses(u32::MAX));
}

#[test]
fn refusals_are_told_to_a_share_of_those_who_came() {
    let mut load = Load::default();
    let told = |load: &mut Load, taken| {
        let waiting = Waiting { least: Duration::from_millis(2 * GOAL), taken, lost: 0, filters: true };
        load.waited(at(0), waiting, T1);
        (0..10_000).filter(|_| load.may_answer()).count()
    };

    assert_eq!((told(&mut load, 51_200), told(&mut load, 5_120), told(&mut load, 1)), (100, 10, 1));
}

/// So many REGISTER requests come that were not left unread.
fn spare(load: &mut Load, registers: u32) {
    let flow = Flow::datagram(ListenerId(0), "192.0.2.1:5060".parse().unwrap());
    for _ in 0..registers {
        load.has_spared(&flow, b"REGISTER sip:a SIP/2.0\r\n");
    }
}

#[test]
fn a_worker_that_has_time_refuses_nothing_for_long_whatever_the_filter_drops() {
    for registers in [1, 10, 100, 1_000_u32] {
        let mut load = Load::default();
        wait_during(&mut load, 0..5_000, 10 * GOAL);
        for now in (5_000..9_000).step_by(25) {
            let share = f64::from(load.left_unread()) / f64::from(u32::MAX);
            // Now and then none is read of twice as many as there are for one that is.
            let (read, of) = if now % 100 == 0 { (0, 2) } else { (registers, registers) };
            spare(&mut load, read);
            let lost = (f64::from(of) * share / (1.0 - share)) as u32;
            let least = Duration::ZERO;
            load.waited(at(now), Waiting { least, taken: 100, lost, filters: true }, T1);
        }
        assert!(!load.is_high(), "{registers}: {}", load.pressure);
    }
}

#[test]
fn a_register_that_no_filter_sees_is_not_taken_for_one_that_it_spared() {
    let mut load = Load::default();
    wait(&mut load, 0, 0);
    let (listener, remote) = (ListenerId(0), "192.0.2.1:5060".parse().unwrap());
    let mut datagram = |octets: &[u8]| load.has_spared(&Flow::datagram(listener, remote), octets);

    assert!(datagram(b"REGISTER sip:a SIP/2.0\r\n"));
    assert!(!datagram(b"\r\nREGISTER sip:a SIP/2.0\r\n"));
    assert!(!datagram(b"REGISTERED sip:a SIP/2.0\r\n"));
    let stream =
        Flow { connection: Some(ConnectionId::new(WorkerId(0), 1, 1)), ..Flow::datagram(listener, remote) };
    assert!(!load.has_spared(&stream, b"REGISTER sip:a SIP/2.0\r\n"));
    load.waited(at(25), Waiting { least: Duration::ZERO, taken: 1, lost: 0, filters: false }, T1);
    assert!(!load.has_spared(&Flow::datagram(listener, remote), b"REGISTER sip:a SIP/2.0\r\n"));
}

#[test]
fn damaged_datagrams_are_no_overload_while_nobody_waits() {
    let mut load = Load::default();

    for (taken, lost) in [(0, 1), (10, 10), (63, 1_000), (640, 39)] {
        for now in (0..10_000).step_by(25) {
            load.waited(at(now), Waiting { least: Duration::ZERO, taken, lost, filters: true }, T1);
        }
    }

    assert!(!load.is_high());
}

#[test]
fn what_was_to_be_left_unread_is_not_lost() {
    let mut load = Load::default();
    wait_during(&mut load, 0..5_000, 10 * GOAL);
    let lose = |load: &mut Load, now, registers, lost| {
        spare(load, registers);
        load.waited(
            at(now),
            Waiting { least: Duration::from_millis(GOAL), taken: 100, lost, filters: true },
            T1,
        )
    };
    assert_eq!(refused(&load)[3], 960);

    assert_eq!(lose(&mut load, 5_000, 100, 1_500), 1_500, "of sixteen one was read");
    let before = load.pressure;
    assert_eq!(lose(&mut load, 5_025, 100, 2_100), 2_100, "or by chance somewhat less");
    assert_eq!(lose(&mut load, 5_050, 0, 50), 50, "or none");
    assert!(load.pressure <= before);
    assert_eq!(lose(&mut load, 5_075, 100, 5_000), 2_160, "but no more than by chance");
    assert!(load.pressure > before || before > 8.6);
    let mut calm = Load::default();
    assert_eq!(lose(&mut calm, 0, 10, 150), 0);
}
