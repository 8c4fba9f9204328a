//! A phone that has stopped reading, while everybody writes to it.

use bench::phone::{Challenge, Phone, Transport, Wire};
use socket2::{Domain, Socket, Type};

use super::call;
use crate::edge::{Edge, Plan, desk};

/// More than the edge keeps for one phone and the system for one connection.
const MESSAGES_MAX: usize = 800;
const MESSAGE_OCTETS: usize = 40_000;

/// What the edge may grow by: the queue of one connection, and what is under way.
const GROWTH_MAX: u64 = 24 << 20;

/// `desk-2`, registered over a connection with little room for what it does not read.
fn phone(edge: &Edge) -> Phone {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(8 << 10).unwrap();
    socket.connect(&edge.address(Transport::Tcp).into()).unwrap();
    let mut phone = Phone::over(Wire::over_tcp(socket.into()).unwrap(), desk(2)).unwrap();
    assert_eq!(phone.register(600).unwrap().status(), Some(200));
    phone
}

#[test]
fn a_phone_that_has_stopped_reading_costs_a_bounded_queue_and_harms_nobody() {
    let edge = Edge::start(Plan::default());
    let silent = phone(&edge);
    edge.control.log_in("demo", "desk-2", "1002").unwrap();
    let mut writer = edge.taken_desk(Transport::Tcp, 1);
    let mut caller = edge.taken_desk(Transport::Udp, 3);
    let mut callee = edge.taken_desk(Transport::Tcp, 4);
    let before = edge.memory();

    let body = "x".repeat(MESSAGE_OCTETS);
    let mut sent = 0;
    while edge.metric("hotdesk_transport_connections_slow_total") == 0.0 {
        assert!(sent < MESSAGES_MAX, "{sent} messages wait for a phone that does not read");
        for _ in 0..10 {
            let message = writer.draft("MESSAGE", "1002").with_body("text/plain", &body);
            let account = writer.account().clone();
            let first = writer.send(&message, &account, None).unwrap();
            let mut challenge = Challenge::read(&writer.final_answer(&first).unwrap()).unwrap();
            let again = message.replace("CSeq", "2 MESSAGE");
            writer.send(&again, &account, Some(&mut challenge)).unwrap();
            sent += 1;
        }
        call(&mut caller, &mut callee, "1004");
    }

    // Nothing of what waited is kept, the phone is not there, and it may come back.
    let after = edge.memory();
    assert!(after < before + GROWTH_MAX, "{before} octets before, {after} after");
    let mut unanswered = caller.dial("1002").unwrap();
    assert_eq!(caller.outcome(&mut unanswered).unwrap().status(), Some(480));
    drop(silent);
    let mut back = phone(&edge);
    call(&mut caller, &mut back, "1002");
}
