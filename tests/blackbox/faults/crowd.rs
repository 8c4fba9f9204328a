//! Ten thousand connections that do nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use bench::certificates::{Authority, phone_believing};
use bench::phone::Transport;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::{address, call, connect_from, not_tested, options};
use crate::edge::{Edge, Plan};

const CROWD: usize = 10_000;

/// What is left of the descriptors of either process for everything else.
const OTHERS: usize = 3_000;

/// What the edge's certificate is for.
const NAME: &str = "edge.example";

/// One crowd at a time: they are as many as this process may have connections.
static TURN: Mutex<()> = Mutex::new(());

/// As many as there are descriptors for, here and in the edge; said where they are fewer than they should be.
fn crowd() -> usize {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    let most = match maximum.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX)) {
        few if few < 2 * OTHERS => few / 4,
        enough => enough - OTHERS,
    };
    if most < CROWD {
        not_tested(&format!("{CROWD} connections, only {most}: no more files may be open here"));
    }
    most.min(CROWD)
}

/// So many phones from an address each that ask something over what `over` makes of their connections, and then nothing.
fn idle<S: Read + Write + Send>(
    edge: &Edge,
    count: usize,
    transport: Transport,
    over: impl Fn(TcpStream) -> S + Sync,
    socket: impl Fn(S) -> TcpStream + Sync,
) -> Vec<TcpStream> {
    let to = edge.address(transport);
    let connect = |number: usize| {
        let mut stream = over(connect_from(address(66, number as u16), to).unwrap());
        stream.write_all(options(number).as_bytes()).unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"SIP/2.0 200 ");
        socket(stream)
    };
    let connect = &connect;
    thread::scope(|scope| {
        let half = |numbers: Range<usize>| scope.spawn(move || numbers.map(connect).collect::<Vec<_>>());
        let halves = [half(0..count / 2), half(count / 2..count)];
        halves.into_iter().flat_map(|half| half.join().unwrap()).collect()
    })
}

/// What it grows by whoever comes, as far as it does: allocations of the first connections, tables, sessions to resume.
const ONCE: u64 = 24 << 20;

/// The edge has grown by no more than `each` for each of `count` connections.
fn assert_small(edge: &Edge, before: u64, count: usize, transport: Transport, each: u64) {
    let grown = edge.memory().saturating_sub(before);
    let count = count as u64;
    println!("{count} idle connections over {}: {} octets each", transport.name(), grown / count);
    assert!(grown < ONCE + count * each, "{grown} octets for {count} connections");
}

/// Others are served over UDP, and over new connections.
fn assert_others_are_served(edge: &Edge) {
    let mut caller = edge.taken_desk(Transport::Udp, 1);
    let mut callee = edge.taken_desk(Transport::Tcp, 2);
    call(&mut caller, &mut callee, "1002");
    call(&mut callee, &mut caller, "1001");
}

#[test]
fn ten_thousand_idle_connections_cost_little_and_keep_nobody_out() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let count = crowd();
    let edge = Edge::start(Plan::default());
    let before = edge.memory();

    let connections = idle(&edge, count, Transport::Tcp, |stream| stream, |stream| stream);

    edge.wait_for_metric("hotdesk_connections", count as f64);
    assert_small(&edge, before, count, Transport::Tcp, 4 << 10);
    assert_others_are_served(&edge);
    drop(connections);
}

#[test]
fn ten_thousand_idle_connections_over_tls_cost_little_and_keep_nobody_out() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let count = crowd();
    let authority = Authority::new("us");
    let edge = Edge::start(Plan::default().with_tls(&authority.host(&[NAME]), ""));
    let tls: Arc<ClientConfig> = Arc::new(phone_believing(authority.pem(), None));
    let before = edge.memory();

    let connections = idle(
        &edge,
        count,
        Transport::Tls,
        |stream| {
            let name = NAME.try_into().unwrap();
            StreamOwned::new(ClientConnection::new(Arc::clone(&tls), name).unwrap(), stream)
        },
        // The edge does not see that its phone has forgotten the session.
        |session| session.sock,
    );

    edge.wait_for_metric("hotdesk_connections", count as f64);
    assert_small(&edge, before, count, Transport::Tls, 20 << 10);
    assert_others_are_served(&edge);
    drop(connections);
}

#[test]
fn one_address_does_not_take_the_connections_of_others() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let count = crowd();
    if count < CROWD {
        // They may be fewer than an address may have.
        return;
    }
    let edge = Edge::start(Plan { limited: true, ..Plan::default() });

    let to = edge.address(Transport::Tcp);
    let connections: Vec<_> = (0..count).map(|_| connect_from(address(67, 1), to).unwrap()).collect();

    edge.wait_for_metric("hotdesk_transport_connections_refused_total", 1.0);
    assert_others_are_served(&edge);
    drop(connections);
}
