//! All sockets of the edge: opened here and owned by the edge, so that a worker that panics is replaced on the
//! same ones. To close one would make the kernel hash every phone anew.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;

use dataplane::settings::Protocol;
use socket2::{Domain, SockRef, Socket, Type};

use crate::transport::{Dscp, tcp, udp};

/// The sockets of one listener, one for each worker, all on one address.
#[derive(Clone, Debug)]
pub(super) enum Sockets {
    Udp(Vec<Arc<UdpSocket>>),
    Tcp(Vec<Arc<TcpListener>>),
}

/// Why a listener cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({protocol:?})")]
pub struct BindError {
    /// Where.
    pub address: SocketAddr,
    /// How it would speak.
    pub protocol: Protocol,
    /// Why.
    #[source]
    pub source: io::Error,
}

impl Sockets {
    /// Opens one socket for each of `workers` on `address`, with `dscp` for what leaves by it; says what the address
    /// is, should the port have been 0.
    pub(super) fn open(
        protocol: Protocol,
        address: SocketAddr,
        dscp: Dscp,
        workers: usize,
    ) -> Result<(Self, SocketAddr), BindError> {
        let open = || {
            refuse_sharing(protocol, address)?;
            if protocol.is_stream() {
                let listen = |at| tcp::listen(at, dscp);
                let (sockets, address) = open_each(address, workers, listen, TcpListener::local_addr)?;
                Ok((Self::Tcp(sockets), address))
            } else {
                let bind = |at| udp::bind(at, dscp);
                let (sockets, address) = open_each(address, workers, bind, UdpSocket::local_addr)?;
                Ok((Self::Udp(sockets), address))
            }
        };
        open().map_err(|source| BindError { address, protocol, source })
    }

    /// Refuses further connections; those that were accepted stay.
    pub(super) fn stop_accepting(&self) {
        if let Self::Tcp(sockets) = self {
            for socket in sockets {
                // It fails on a socket that has stopped already.
                let _ = SockRef::from(&**socket).shutdown(Shutdown::Read);
            }
        }
    }
}

/// Fails if another process has the address. `SO_REUSEPORT` alone would let two edges of one user share it, and
/// each would get half the phones.
fn refuse_sharing(protocol: Protocol, address: SocketAddr) -> io::Result<()> {
    if address.port() == 0 {
        return Ok(());
    }
    let kind = if protocol.is_stream() { Type::STREAM } else { Type::DGRAM };
    let probe = Socket::new(Domain::for_address(address), kind, None)?;
    if address.is_ipv6() {
        probe.set_only_v6(true)?;
    }
    // Connections of before a restart that are still dying are no other process.
    probe.set_reuse_address(protocol.is_stream())?;
    probe.bind(&address.into())
}

fn open_each<S>(
    mut address: SocketAddr,
    workers: usize,
    open: impl Fn(SocketAddr) -> io::Result<S>,
    local: impl Fn(&S) -> io::Result<SocketAddr>,
) -> io::Result<(Vec<Arc<S>>, SocketAddr)> {
    let mut sockets = Vec::with_capacity(workers);
    for _ in 0..workers {
        let socket = open(address)?;
        // The first one may have been given a port; the others share it.
        address = local(&socket)?;
        sockets.push(Arc::new(socket));
    }
    Ok((sockets, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any() -> SocketAddr {
        "127.0.0.1:0".parse().unwrap()
    }

    #[test]
    fn all_workers_share_the_port_the_system_gave() {
        for protocol in [Protocol::Udp, Protocol::Tcp] {
            let (sockets, address) = Sockets::open(protocol, any(), Dscp::CS3, 3).unwrap();

            let addresses: Vec<SocketAddr> = match &sockets {
                Sockets::Udp(sockets) => sockets.iter().map(|socket| socket.local_addr().unwrap()).collect(),
                Sockets::Tcp(sockets) => sockets.iter().map(|socket| socket.local_addr().unwrap()).collect(),
            };

            assert_ne!(address.port(), 0);
            assert_eq!(addresses, [address; 3]);
        }
    }

    #[test]
    fn a_second_edge_on_the_same_address_is_refused() {
        for protocol in [Protocol::Udp, Protocol::Tcp] {
            let (_first, address) = Sockets::open(protocol, any(), Dscp::CS3, 2).unwrap();

            let error = Sockets::open(protocol, address, Dscp::CS3, 2).unwrap_err();

            assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
        }
    }

    #[test]
    fn after_stop_accepting_nobody_connects() {
        let (sockets, address) = Sockets::open(Protocol::Tcp, any(), Dscp::CS3, 1).unwrap();
        drop(std::net::TcpStream::connect(address).unwrap());

        sockets.stop_accepting();

        let refused = std::net::TcpStream::connect(address).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }
}
