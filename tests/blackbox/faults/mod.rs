//! Bad days of a whole edge: what it does when the disk, the clock, the system, the phones or the program itself fail, and
//! that it is whole again afterwards. `kill -9` is in `kill.rs`, reloads with a broken file are in `program.rs`.

#[cfg(feature = "planted-faults")]
mod clock;
mod crowd;
mod descriptors;
mod nat;
#[cfg(feature = "planted-faults")]
mod panic;
mod slow_reader;
#[cfg(feature = "planted-faults")]
mod slow_worker;
mod store;

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use bench::phone::{Phone, connect, hang_up};
use socket2::{Domain, Socket, Type};

use crate::edge::PATIENCE;

/// The `number`th address of a network that no edge and no phone of another test is in. The system takes all of
/// 127.0.0.0/8 for its own.
pub(crate) fn address(network: u8, number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(127, network, high, low)
}

/// A connection from `own` to `edge`.
pub(crate) fn connect_from(own: Ipv4Addr, edge: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((own, 0)).into())?;
    socket.connect_timeout(&edge.into(), PATIENCE)?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(Duration::from_secs(1)))?;
    Ok(stream)
}

/// A question to the edge itself, over TCP: it is answered without a log-in.
fn options(number: usize) -> String {
    format!(
        "OPTIONS sip:demo.hotdesk SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bKo{number}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:a@demo.hotdesk>;tag=1\r\nTo: <sip:demo.hotdesk>\r\n\
         Call-ID: o{number}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
}

/// Says what this machine does not allow to be tested, also where the test passes.
fn not_tested(what: &str) {
    // Not by a macro, whose output is shown of tests that fail alone.
    let _ = writeln!(io::stderr(), "\nNOT TESTED: {what}");
}

/// One calls `number`, the other picks up, and the first hangs up.
fn call(caller: &mut Phone, callee: &mut Phone, number: &str) {
    let (mut call, _) = connect(caller, callee, number).unwrap();
    assert_eq!(hang_up(caller, &mut call, callee).unwrap().status(), Some(200));
}
