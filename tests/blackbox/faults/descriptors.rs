//! Descriptors that are used up: by phones, or by whoever only connects.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use bench::phone::{Phone, Transport, Wire};
use rustix::process::Resource;

use super::{address, call, connect_from, options};
use crate::edge::{Edge, Plan, desk, log_in_code};

/// What the system has for the edge of the first test.
const DESCRIPTORS: usize = 256;

/// So many connect from an address each and say nothing.
fn silent(edge: &Edge, network: u8, count: usize) -> Vec<TcpStream> {
    let to = edge.address(Transport::Tcp);
    (0..count).map(|number| connect_from(address(network, number as u16), to).unwrap()).collect()
}

/// A phone that has just come, and asks something.
fn is_served(stream: &mut TcpStream, number: usize) -> bool {
    stream.write_all(options(number).as_bytes()).unwrap();
    let mut answer = [0; 16];
    stream.read_exact(&mut answer).is_ok() && answer.starts_with(b"SIP/2.0 200")
}

#[test]
fn whoever_only_connects_leaves_room_for_phones_the_store_and_the_operator() {
    let under = &["sh", "-c", "ulimit -n 256; exec \"$@\"", "sh"];
    let mut edge = Edge::start(Plan { store: "embedded", under, ..Plan::default() });
    let mut caller = edge.taken_desk(Transport::Udp, 1);
    let mut callee = edge.taken_desk(Transport::Tcp, 2);

    let _silent = silent(&edge, 61, 2 * DESCRIPTORS);
    edge.wait_for_metric("hotdesk_transport_connections_evicted_total", DESCRIPTORS as f64);

    // Who has spoken stays, and whoever comes finds room.
    call(&mut caller, &mut callee, "1002");
    let newcomer = connect_from(address(61, 9_999), edge.address(Transport::Tcp)).unwrap();
    let mut newcomer = Phone::over(Wire::over_tcp(newcomer).unwrap(), desk(3)).unwrap();
    assert_eq!(newcomer.register(600).unwrap().status(), Some(200));
    assert_eq!(newcomer.dial_code(&log_in_code(3)).unwrap().status(), Some(200));
    // So do files, and an operator.
    edge.rewrite(|text| text.replace("name = \"Person 2\"", "name = \"Somebody Else\""));
    edge.signal("HUP");
    edge.wait_for_log("configuration reloaded");
    let names: Vec<_> = edge.control.seats().unwrap().into_iter().map(|seat| seat.name).collect();
    assert_eq!(names, ["Person 1", "Somebody Else", "Person 3"]);
    // It has not come to the last descriptor at all.
    assert_eq!(edge.metric("hotdesk_transport_descriptors_exhausted_total"), 0.0);
}

#[test]
fn the_last_descriptor_goes_round_among_those_who_come() {
    let edge = Edge::start(Plan::default());
    let mut caller = edge.taken_desk(Transport::Udp, 1);
    let mut callee = edge.taken_desk(Transport::Udp, 2);
    let _silent = silent(&edge, 62, 64);
    edge.wait_for_metric("hotdesk_connections", 64.0);

    // The system has no more for it, as if others had used them up.
    let open = fs::read_dir(format!("/proc/{}/fd", edge.process())).unwrap().count();
    edge.limit(Resource::Nofile, Some(open as u64));
    let mut newcomers = Vec::new();
    for number in 0..32 {
        let mut newcomer = connect_from(address(62, 1_000 + number), edge.address(Transport::Tcp)).unwrap();
        assert!(is_served(&mut newcomer, number.into()), "newcomer {number}");
        newcomers.push(newcomer);
        call(&mut caller, &mut callee, "1002");
    }

    edge.limit(Resource::Nofile, None);
    assert!(edge.metric("hotdesk_transport_descriptors_exhausted_total") >= 1.0);
    assert_eq!(edge.metric("hotdesk_worker_panics_total"), 0.0);
}
