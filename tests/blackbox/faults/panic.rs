//! A worker that panics: it is replaced on the same sockets, over the same tables.

use bench::phone::{Phone, Transport, connect, hang_up};

use super::call;
use crate::edge::{Edge, Plan, desk, log_in_code};

/// In a message that panics whoever handles it.
const DEADLY: &str = "deadly-subject";

const PANICS: &str = "hotdesk_worker_panics_total";

/// One worker, so that it is the same that panics and that serves everybody.
fn plan() -> Plan {
    Plan { store: "embedded", plants: true, workers: 1, ..Plan::default() }
}

/// Sends what panics the worker, and waits for nothing.
fn kill_worker(phone: &mut Phone) {
    let deadly = phone.draft("OPTIONS", "sip:demo.hotdesk").with("Subject", DEADLY);
    let account = phone.account().clone();
    phone.send(&deadly, &account, None).unwrap();
}

#[test]
fn a_dataplane_that_panics_costs_no_call_no_seat_and_no_connection() {
    let mut edge = Edge::start(plan());
    let mut caller = edge.taken_desk(Transport::Udp, 1);
    let mut callee = edge.taken_desk(Transport::Tcp, 2);
    let mut empty = edge.desk(Transport::Tcp, 3);
    let (mut outgoing, _) = connect(&mut caller, &mut callee, "1002").unwrap();

    edge.plant("dataplane-panics", DEADLY);
    for phone in [&mut caller, &mut callee] {
        kill_worker(phone);
    }
    edge.wait_for_metric(PANICS, 2.0);
    edge.wait_for_log("the dataplane panicked and was replaced");

    // The same connections, and the call of before.
    assert_eq!(hang_up(&mut caller, &mut outgoing, &mut callee).unwrap().status(), Some(200));
    call(&mut callee, &mut caller, "1001");
    assert_eq!(empty.dial_code(&log_in_code(3)).unwrap().status(), Some(200));
    assert_eq!(edge.seats().len(), 3);
    assert_eq!(edge.metric(PANICS), 2.0);
}

#[test]
fn a_worker_that_panics_begins_anew_and_phones_on_connections_come_back() {
    let mut edge = Edge::start(plan());
    let mut caller = edge.taken_desk(Transport::Udp, 1);
    let callee = edge.taken_desk(Transport::Tcp, 2);

    // Once over a datagram, once over a connection.
    edge.plant("worker-panics", DEADLY);
    kill_worker(&mut caller);
    edge.wait_for_metric(PANICS, 1.0);
    let mut stranger = edge.phone(Transport::Tcp, caller.account().clone());
    kill_worker(&mut stranger);
    edge.wait_for_metric(PANICS, 2.0);
    edge.wait_for_log("and starts anew");

    drop(callee);
    let mut callee = edge.desk(Transport::Tcp, 2);
    call(&mut caller, &mut callee, "1002");
    assert_eq!(edge.seats().len(), 2);
}

#[test]
fn a_worker_that_panics_in_a_stop_goes_on_with_it() {
    // On a machine that stands still for five seconds the stop is over before the worker can panic.
    for _ in 0..5 {
        let mut edge = Edge::start(plan());
        let mut caller = edge.taken_desk(Transport::Udp, 1);
        let mut callee = edge.taken_desk(Transport::Udp, 2);
        let deadly = caller.draft("OPTIONS", "sip:demo.hotdesk").with("Subject", DEADLY);
        // What is under way keeps the edge from ending at once.
        caller.dial("1002").unwrap();
        callee.rings().unwrap();

        edge.plant("worker-panics", DEADLY);
        edge.signal("TERM");
        edge.wait_for_log("finishing what is under way");
        let is_sent = caller.send(&deadly, &desk(1), None).is_ok();

        assert!(edge.wait_for_end().success());
        if is_sent && edge.has_logged("starts anew") {
            return;
        }
    }
    panic!("no worker panicked in a stop");
}

#[test]
fn a_message_that_panics_each_time_is_no_end_of_service() {
    let edge = Edge::start(plan());
    let mut caller = edge.taken_desk(Transport::Udp, 1);
    let mut callee = edge.taken_desk(Transport::Udp, 2);
    let mut stranger = edge.phone(Transport::Udp, caller.account().clone());

    edge.plant("dataplane-panics", DEADLY);
    for _ in 0..10 {
        for _ in 0..10 {
            kill_worker(&mut stranger);
        }
        call(&mut caller, &mut callee, "1002");
    }

    edge.wait_for_metric(PANICS, 50.0);
}
