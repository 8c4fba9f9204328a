//! A worker that cannot keep up with the REGISTER requests that come: most are dropped before anybody reads them, so that
//! they take no room from calls.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use bench::deadline::Deadline;
use bench::phone::{Transport, connect, hang_up};

use crate::edge::{Edge, PATIENCE, Plan};
use crate::flood::flood;

/// Of 64 datagrams, in milliseconds: a third of the flood is as much as a worker can read then, on any machine.
const SLOW: &str = "20";

/// Ends a flood, however the test ends.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

const UNREAD: &str = "hotdesk_shed_unread_total";

#[test]
fn registers_that_are_too_many_are_left_unread_and_calls_go_on() {
    let edge = Edge::start(Plan { plants: true, workers: 1, ..Plan::default() });
    let mut caller = edge.taken_desk(Transport::Udp, 1);
    let mut callee = edge.taken_desk(Transport::Udp, 2);
    let (mut outgoing, _) = connect(&mut caller, &mut callee, "1002").unwrap();
    let flooder = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (to, is_over) = (edge.address(Transport::Udp), AtomicBool::new(false));

    edge.plant("reading-slow", SLOW);
    let ended = thread::scope(|scope| {
        let _ends = Ends(&is_over);
        scope.spawn(|| flood(&flooder, to, &is_over));
        edge.wait_for_metric(UNREAD, 200.0);
        hang_up(&mut caller, &mut outgoing, &mut callee)
    });
    assert_eq!(ended.unwrap().status(), Some(200));

    edge.mend("reading-slow");
    let deadline = Deadline::after(PATIENCE);
    let mut are_all_read = false;
    while !are_all_read {
        assert!(deadline.left().is_some(), "REGISTER requests are still left unread");
        let before = edge.metric(UNREAD);
        let mut is_answered = || caller.register(600).is_ok_and(|answer| answer.status() == Some(200));
        are_all_read = (0..20).all(|_| is_answered()) && edge.metric(UNREAD) == before;
    }
}
