//! Gateways: calls that are too long for a datagram, with one that takes connections and one that does not
//! (RFC 3261 §18.1.1).

use std::net::{Ipv4Addr, TcpListener};
use std::sync::mpsc;
use std::thread;

use bench::phone::{Account, Call, Draft, Phone, Transport, Wire};

use crate::edge::{DOMAIN, Edge, PATIENCE, Plan};

/// A gateway on one port of UDP and TCP.
struct Gateway {
    datagrams: Phone,
    listener: TcpListener,
}

impl Gateway {
    fn account() -> Account {
        Account::new("gateway", "", DOMAIN)
    }

    /// One that the edge sends its calls to from now on.
    fn of(edge: &mut Edge) -> Self {
        let (wire, listener) = loop {
            let wire = Wire::open_udp(edge.address(Transport::Udp), Ipv4Addr::LOCALHOST.into()).unwrap();
            // Somebody else may have the same port of the other protocol.
            if let Ok(listener) = TcpListener::bind(wire.address().unwrap()) {
                break (wire, listener);
            }
        };
        let route =
            format!("[[tenant.route]]\nprefix = \"0\"\npeers = [\"sip:{}\"]\n", wire.address().unwrap());
        edge.rewrite(|text| text + &route);
        edge.signal("HUP");
        edge.wait_for_log("configuration reloaded");
        Self { datagrams: Phone::over(wire, Self::account()).unwrap(), listener }
    }

    /// What it is at the other end of the next connection.
    fn by_connection(&self) -> Phone {
        let (accepted, taken) = mpsc::channel();
        let listener = self.listener.try_clone().unwrap();
        thread::spawn(move || accepted.send(listener.accept()));
        let (stream, _) = taken.recv_timeout(PATIENCE).expect("a connection in time").unwrap();
        Phone::over(Wire::over_tcp(stream).unwrap(), Self::account()).unwrap()
    }
}

/// Makes a request too long for a datagram.
fn long(request: Draft) -> Draft {
    let body = format!("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\na={}\r\n", "x".repeat(1_300));
    request.with_body("application/sdp", &body)
}

fn long_call(caller: &mut Phone) -> Call {
    let invite = long(caller.draft("INVITE", "02125557000"));
    caller.dial_with(invite).unwrap()
}

/// The call is answered and hung up at the end of its connection, if it came by one, and its short ACK comes as a datagram.
fn is_served(datagrams: &mut Phone, mut connection: Option<&mut Phone>, caller: &mut Phone, mut call: Call) {
    let way = if connection.is_some() { "SIP/2.0/TCP " } else { "SIP/2.0/UDP " };
    let gateway = connection.as_deref_mut().unwrap_or(&mut *datagrams);
    let mut incoming = gateway.rings().unwrap();
    let via = incoming.invite.header("Via").unwrap();
    assert!(via.starts_with(way), "{via}");
    gateway.pick_up(&mut incoming).unwrap();
    assert_eq!(caller.outcome(&mut call).unwrap().status(), Some(200));
    datagrams.acknowledged(&incoming).unwrap();

    let account = caller.account().clone();
    let bye = caller.send(&long(call.request("BYE")), &account, None).unwrap();
    connection.unwrap_or(datagrams).expect("BYE").unwrap();
    assert_eq!(caller.final_answer(&bye).unwrap().status(), Some(200));
}

#[test]
fn long_call_goes_to_a_gateway_over_tcp_by_one_connection() {
    let mut edge = Edge::start(Plan { workers: 1, ..Plan::default() });
    let mut gateway = Gateway::of(&mut edge);
    let mut caller = edge.taken_desk(Transport::Udp, 1);

    let call = long_call(&mut caller);
    let mut connection = gateway.by_connection();
    is_served(&mut gateway.datagrams, Some(&mut connection), &mut caller, call);
    let call = long_call(&mut caller);
    is_served(&mut gateway.datagrams, Some(&mut connection), &mut caller, call);

    edge.wait_for_metric("hotdesk_transport_connections_opened_total", 1.0);
    assert_eq!(edge.metric("hotdesk_transport_connections_opened_total"), 1.0);
    drop(connection);
    edge.wait_for_metric("hotdesk_transport_connections_ended_total", 1.0);
    let call = long_call(&mut caller);
    let mut connection = gateway.by_connection();
    is_served(&mut gateway.datagrams, Some(&mut connection), &mut caller, call);
}

#[test]
fn long_call_goes_as_a_datagram_to_a_gateway_that_takes_no_connections() {
    let mut edge = Edge::start(Plan { workers: 1, ..Plan::default() });
    let mut gateway = Gateway::of(&mut edge);
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    drop(std::mem::replace(&mut gateway.listener, nobody));
    let mut caller = edge.taken_desk(Transport::Udp, 1);

    for _ in 0..2 {
        let call = long_call(&mut caller);
        is_served(&mut gateway.datagrams, None, &mut caller, call);
    }

    edge.wait_for_metric("hotdesk_transport_connections_unopened_total", 1.0);
    assert_eq!(edge.metric("hotdesk_transport_connections_unopened_total"), 1.0, "it is remembered");
}
