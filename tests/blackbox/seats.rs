//! Log-in, move, displacement and log-out at the phone.

use bench::phone::{Transport, connect, hang_up};

use crate::edge::{Edge, Plan, log_in_code};

fn seats(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(device, extension)| ((*device).into(), (*extension).into())).collect()
}

#[test]
fn a_person_sits_moves_and_leaves_by_dialling() {
    let edge = Edge::start(Plan::default());
    let mut first = edge.desk(Transport::Udp, 1);
    let mut second = edge.desk(Transport::Udp, 2);
    let mut caller = edge.taken_desk(Transport::Udp, 3);

    // In.
    assert_eq!(first.dial_code(&log_in_code(1)).unwrap().status(), Some(200));
    assert_eq!(edge.seats(), seats(&[("desk-1", "1001"), ("desk-3", "1003")]));
    let reload = first.expect("NOTIFY").unwrap();
    assert!(reload.header("Event").unwrap().starts_with("check-sync"));
    let (mut call, _) = connect(&mut caller, &mut first, "1001").unwrap();
    hang_up(&mut caller, &mut call, &mut first).unwrap();

    // Elsewhere: the old phone is told, and the next call rings at the new one alone.
    assert_eq!(second.dial_code(&log_in_code(1)).unwrap().status(), Some(200));
    first.expect("NOTIFY").unwrap();
    assert_eq!(edge.seats(), seats(&[("desk-2", "1001"), ("desk-3", "1003")]));
    let (mut call, _) = connect(&mut caller, &mut second, "1001").unwrap();
    hang_up(&mut caller, &mut call, &mut second).unwrap();
    assert!(!first.unasked().iter().any(|line| line.starts_with("INVITE")));

    // Out: nobody is left to be called.
    assert_eq!(second.dial_code("*12").unwrap().status(), Some(200));
    assert_eq!(edge.seats(), seats(&[("desk-3", "1003")]));
    let mut call = caller.dial("1001").unwrap();
    assert_eq!(caller.outcome(&mut call).unwrap().status(), Some(480));
}

#[test]
fn another_person_takes_a_desk_over_without_a_log_out() {
    let edge = Edge::start(Plan::default());
    let mut desk = edge.desk(Transport::Tcp, 1);
    desk.dial_code(&log_in_code(1)).unwrap();

    let outcome = desk.dial_code(&log_in_code(2)).unwrap();

    assert_eq!(outcome.status(), Some(200));
    assert_eq!(edge.seats(), seats(&[("desk-1", "1002")]));
}

#[test]
fn a_phone_without_a_seat_may_call_nobody() {
    let edge = Edge::start(Plan::default());
    let mut base = edge.desk(Transport::Udp, 1);
    let _other = edge.taken_desk(Transport::Udp, 2);

    let mut call = base.dial("1002").unwrap();
    let outcome = base.outcome(&mut call).unwrap();
    let mut emergency = base.dial("112").unwrap();
    let unrouted = base.outcome(&mut emergency).unwrap();

    assert_eq!(outcome.status(), Some(403));
    // Even here an emergency call is tried; this tenant has no route for it.
    assert_eq!(unrouted.status(), Some(500));
    assert!(unrouted.header("Warning").is_some());
}

#[test]
fn a_wrong_pin_seats_nobody_and_says_why() {
    let edge = Edge::start(Plan::default());
    let mut desk = edge.desk(Transport::Udp, 1);

    let wrong = desk.dial_code("*11*1001*9999").unwrap();
    let unknown = desk.dial_code("*11*7777*9999").unwrap();

    assert_eq!((wrong.status(), wrong.reason()), (Some(403), "Extension or PIN is wrong"));
    assert_eq!((unknown.status(), unknown.reason()), (wrong.status(), wrong.reason()));
    assert_eq!(edge.seats(), []);
}

#[test]
fn a_call_that_rings_follows_the_person() {
    let edge = Edge::start(Plan::default());
    let mut caller = edge.taken_desk(Transport::Udp, 1);
    let mut first = edge.taken_desk(Transport::Udp, 2);
    let mut second = edge.desk(Transport::Tcp, 3);

    let mut outgoing = caller.dial("1002").unwrap();
    first.rings().unwrap();
    assert_eq!(second.dial_code(&log_in_code(2)).unwrap().status(), Some(200));
    first.expect("CANCEL").unwrap();
    let mut incoming = second.rings().unwrap();
    second.pick_up(&mut incoming).unwrap();
    let outcome = caller.outcome(&mut outgoing).unwrap();
    second.acknowledged(&incoming).unwrap();

    assert_eq!(outcome.status(), Some(200));
    assert_eq!(hang_up(&mut caller, &mut outgoing, &mut second).unwrap().status(), Some(200));
}

#[test]
fn no_log_holds_a_pin() {
    let mut edge = Edge::start(Plan::default());
    let mut desk = edge.desk(Transport::Udp, 1);

    desk.dial_code(&log_in_code(1)).unwrap();
    desk.dial_code("*11*1002*8642").unwrap();
    edge.signal("TERM");
    edge.wait_for_end();

    // The one that is right is looked for in the log of every edge of these tests.
    let log = edge.log_so_far();
    assert!(log.contains("desk-1"), "{log}");
    assert!(!log.contains("8642"), "{log}");
}
