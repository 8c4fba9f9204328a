//! A worker that cannot keep up with the REGISTER requests that come: most are dropped before anybody reads them, so that
//! they take no room from calls.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use bench::deadline::{Deadline, now};
use bench::phone::{Transport, connect};

use crate::edge::{Edge, PATIENCE, Plan};
use crate::flood::register;

/// What a datagram takes longer, in microseconds: a worker does no more than a thousand a second, on any machine.
const SLOW: &str = "1000";

/// Three times as many come.
const PER_MILLISECOND: u32 = 3;

const PAUSE: Duration = Duration::from_millis(10);

/// Whoever could not send for a while makes up for no more, or the worker would have to read for as long.
const AT_ONCE: u32 = 500;

const UNREAD: &str = "hotdesk_shed_unread_total";

/// All that the kernel dropped, also those that were to be left unread.
const LOST: &str = "hotdesk_transport_datagrams_lost_total";

/// Floods until `is_over`, with REGISTERs of which each is another.
fn flood(edge: SocketAddr, is_over: &AtomicBool) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(PAUSE)).unwrap();
    let from = socket.local_addr().unwrap();
    let (begun, mut sent) = (now(), 0);
    while !is_over.load(Ordering::Relaxed) {
        let due = begun.elapsed().as_millis() as u32 * PER_MILLISECOND;
        for number in sent.max(due.saturating_sub(AT_ONCE))..due {
            // A full buffer is no reason to stop.
            let _ = socket.send_to(register(from, number).as_bytes(), edge);
        }
        sent = due;
        // Nobody heeds what is answered.
        let _ = socket.recv(&mut [0; 2048]);
    }
}

/// Ends a flood, however the test ends.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn registers_that_are_too_many_are_left_unread_and_none_once_it_is_over() {
    let edge = Edge::start(Plan { plants: true, workers: 1, ..Plan::default() });
    let mut caller = edge.taken_desk(Transport::Udp, 1);
    let mut callee = edge.taken_desk(Transport::Udp, 2);
    let (mut outgoing, _) = connect(&mut caller, &mut callee, "1002").unwrap();
    let (to, is_over) = (edge.address(Transport::Udp), AtomicBool::new(false));

    edge.plant("reading-slow", SLOW);
    thread::scope(|scope| {
        let _ends = Ends(&is_over);
        scope.spawn(|| flood(to, &is_over));
        edge.wait_for_metric(UNREAD, 200.0);

        // A BYE may still meet a full socket; it is repeated while the other end waits.
        let hung_up = scope.spawn(|| callee.expect("BYE"));
        let account = caller.account().clone();
        let bye = caller.send(&outgoing.request("BYE"), &account, None).unwrap();
        assert_eq!(caller.final_answer(&bye).unwrap().status(), Some(200));
        hung_up.join().unwrap().unwrap();
    });

    edge.mend("reading-slow");
    let deadline = Deadline::after(PATIENCE);
    let mut are_all_read = false;
    while !are_all_read {
        assert!(deadline.left().is_some(), "REGISTER requests are still left unread");
        let before = edge.metric(LOST);
        let mut is_answered = || caller.register(600).is_ok_and(|answer| answer.status() == Some(200));
        are_all_read = (0..20).all(|_| is_answered()) && edge.metric(LOST) == before;
    }
}
