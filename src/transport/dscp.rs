//! The differentiated services code point (RFC 2474 §3): by which routers on the way tell signalling from the rest.

use std::io;
use std::net::SocketAddr;

use socket2::Socket;

/// A code point; what it is worth is up to the networks on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dscp(u8);

impl Dscp {
    /// The highest: it has six bits.
    pub const MAX: u8 = 63;
    /// What most telephone networks expect of signalling. RFC 4594 §4.2 would have it be CS5, 40.
    pub const CS3: Self = Self(24);
    /// Expedited forwarding, for sound (RFC 4594 §4.1).
    pub const EF: Self = Self(46);

    /// `None` above [`Self::MAX`].
    pub const fn new(code_point: u8) -> Option<Self> {
        if code_point <= Self::MAX { Some(Self(code_point)) } else { None }
    }

    /// Has all that leaves by `socket` carry it, and all that leaves by connections accepted from it.
    /// `address`, to which it is or will be bound, tells the family.
    pub(crate) fn set(self, socket: &Socket, address: SocketAddr) -> io::Result<()> {
        // It stands above the two bits of ECN, which are the system's (RFC 3168 §5).
        let octet = u32::from(self.0) << 2;
        match address {
            SocketAddr::V4(_) => socket.set_tos_v4(octet),
            SocketAddr::V6(_) => socket.set_tclass_v6(octet),
        }
    }
}

impl Default for Dscp {
    fn default() -> Self {
        Self::CS3
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use socket2::SockRef;

    use super::super::{tcp, udp};
    use super::*;

    const ADDRESSES: [&str; 2] = ["127.0.0.1:0", "[::1]:0"];

    /// What the system puts into the octet of IPv4's type of service, or IPv6's traffic class.
    fn octet(socket: SockRef<'_>, address: &str) -> u32 {
        if address.starts_with('[') { socket.tclass_v6().unwrap() } else { socket.tos_v4().unwrap() }
    }

    #[test]
    fn datagrams_carry_it_in_both_families() {
        for address in ADDRESSES {
            let socket = udp::bind(address.parse().unwrap(), Dscp::new(40).unwrap()).unwrap();

            assert_eq!(octet(SockRef::from(&socket), address), 40 << 2, "{address}");
        }
    }

    #[test]
    fn connections_carry_that_of_their_listener_in_both_families() {
        for address in ADDRESSES {
            let listener = tcp::listen(address.parse().unwrap(), Dscp::CS3).unwrap();
            let _phone = TcpStream::connect(listener.local_addr().unwrap()).unwrap();

            let accepted = accept(&listener);

            assert_eq!(octet(SockRef::from(&listener), address), 24 << 2, "{address}");
            assert_eq!(octet(SockRef::from(&accepted), address), 24 << 2, "{address}");
        }
    }

    fn accept(listener: &TcpListener) -> TcpStream {
        listener.set_nonblocking(false).unwrap();
        listener.accept().unwrap().0
    }

    #[test]
    fn it_has_six_bits() {
        assert!(Dscp::new(63).is_some());
        assert!(Dscp::new(64).is_none());
    }
}
