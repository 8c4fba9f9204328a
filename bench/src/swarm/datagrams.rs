//! Datagrams of many phones over few sockets.
//!
//! A socket is bound to a port of every address. Each datagram says in its control data which address it
//! comes from (`IP_PKTINFO`), and the kernel says of each that came which address it was for: so one socket plays any
//! number of phones, and one `recvmmsg` empties it for all of them.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd as _;

use nix::cmsg_space;
use nix::libc::{in_addr, in_pktinfo};
use nix::sys::socket::sockopt::{Ipv4PacketInfo, RcvBuf, RcvBufForce, SndBuf};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmsg, setsockopt,
};

/// Datagrams taken by one system call.
const BATCH_MAX: usize = 64;

/// Room for a datagram: an answer or request of a server that was sent none longer than 2 kB. What is longer is cut off.
const SLOT_OCTETS: usize = 4096;

/// What the kernel is asked to hold for us, so that what is lost is lost by the server: 20,000 answers.
const RECEIVE_BUFFER_OCTETS: usize = 32 << 20;

/// A non-blocking socket on this port of every address.
///
/// # Errors
/// The port is taken, or the system has no more sockets.
pub(super) fn bind(port: u16) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port))?;
    socket.set_nonblocking(true)?;
    setsockopt(&socket, Ipv4PacketInfo, &true)?;
    // Beyond net.core.rmem_max only with privilege; the kernel clamps the other to its limit.
    if setsockopt(&socket, RcvBufForce, &RECEIVE_BUFFER_OCTETS).is_err() {
        setsockopt(&socket, RcvBuf, &RECEIVE_BUFFER_OCTETS)?;
    }
    setsockopt(&socket, SndBuf, &RECEIVE_BUFFER_OCTETS)?;
    Ok(socket)
}

/// Sends one datagram from one of our addresses.
///
/// # Errors
/// `WouldBlock`, or the kernel refuses it: the address is not ours, or there is no way to `to`.
pub(super) fn send(socket: &UdpSocket, from: Ipv4Addr, to: SockaddrIn, octets: &[u8]) -> io::Result<()> {
    let source = in_pktinfo {
        ipi_ifindex: 0,
        ipi_spec_dst: in_addr { s_addr: from.to_bits().to_be() },
        ipi_addr: in_addr { s_addr: 0 },
    };
    let control = [ControlMessage::Ipv4PacketInfo(&source)];
    sendmsg(socket.as_raw_fd(), &[IoSlice::new(octets)], &control, MsgFlags::MSG_DONTWAIT, Some(&to))?;
    Ok(())
}

/// Slots for one batch.
#[derive(Debug)]
pub(super) struct Receiver {
    slots: Box<[u8]>,
    headers: MultiHeaders<SockaddrIn>,
    /// Of each slot that is filled: octets, and the address it was for.
    filled: Vec<(usize, Ipv4Addr)>,
}

impl Receiver {
    /// Empty slots.
    pub(super) fn new() -> Self {
        Self {
            slots: vec![0; BATCH_MAX * SLOT_OCTETS].into_boxed_slice(),
            headers: MultiHeaders::preallocate(BATCH_MAX, Some(cmsg_space!(in_pktinfo))),
            filled: Vec::with_capacity(BATCH_MAX),
        }
    }

    /// Takes up to 64 datagrams off a socket and lends them out, with the address that each was for; none if there
    /// are none.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn receive<'a>(
        &'a mut self,
        socket: &UdpSocket,
    ) -> io::Result<impl ExactSizeIterator<Item = (Ipv4Addr, &'a [u8])> + use<'a>> {
        self.filled.clear();
        let mut buffers = self.slots.chunks_exact_mut(SLOT_OCTETS);
        let mut slices: [[IoSliceMut<'_>; 1]; BATCH_MAX] =
            std::array::from_fn(|_| [IoSliceMut::new(buffers.next().unwrap_or_default())]);
        let flags = MsgFlags::MSG_DONTWAIT;
        match recvmmsg(socket.as_raw_fd(), &mut self.headers, slices.iter_mut(), flags, None) {
            Ok(messages) => {
                for message in messages {
                    let address = message.cmsgs()?.find_map(|control| match control {
                        ControlMessageOwned::Ipv4PacketInfo(info) => {
                            Some(Ipv4Addr::from_bits(u32::from_be(info.ipi_addr.s_addr)))
                        }
                        _ => None,
                    });
                    self.filled.push((message.bytes, address.unwrap_or(Ipv4Addr::UNSPECIFIED)));
                }
            }
            // An ICMP error for something sent before: nobody listens there. What is missing is counted as lost.
            Err(nix::Error::EAGAIN | nix::Error::EINTR | nix::Error::ECONNREFUSED) => {}
            Err(error) => return Err(error.into()),
        }
        let filled = self.filled.iter().zip(self.slots.chunks_exact(SLOT_OCTETS));
        Ok(filled.map(|((length, address), slot)| (*address, &slot[..(*length).min(SLOT_OCTETS)])))
    }
}

impl Default for Receiver {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use super::*;

    #[test]
    fn one_socket_plays_phones_with_addresses_of_their_own() {
        let edge = UdpSocket::bind("127.0.0.1:0").unwrap();
        edge.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let SocketAddr::V4(to) = edge.local_addr().unwrap() else { unreachable!("IPv4") };
        let socket = bind(0).unwrap();
        let phones = [Ipv4Addr::new(127, 16, 0, 1), Ipv4Addr::new(127, 16, 200, 7)];

        for phone in phones {
            send(&socket, phone, SockaddrIn::from(to), phone.to_string().as_bytes()).unwrap();
        }
        let mut octets = [0; 100];
        for phone in phones {
            let (length, from) = edge.recv_from(&mut octets).unwrap();
            assert_eq!((from.ip(), &octets[..length]), (phone.into(), phone.to_string().as_bytes()));
            edge.send_to(&octets[..length], from).unwrap();
        }

        let mut receiver = Receiver::new();
        let mut heard = Vec::new();
        // Over loopback what is sent has come.
        heard.extend(receiver.receive(&socket).unwrap().map(|(to, octets)| (to, octets.to_vec())));
        assert_eq!(heard, phones.map(|phone| (phone, phone.to_string().into_bytes())));
        assert_eq!(receiver.receive(&socket).unwrap().len(), 0);
    }
}
