//! SIP over UDP (RFC 3261 §18), in batches.
//!
//! One `recvmmsg` fills up to 64 slots that are reused for ever, one `sendmmsg` takes up to 64 messages straight
//! from where they were written; neither copies an octet outside the kernel. Datagrams and their sources come in
//! by [`Receiver::receive`], datagrams and their destinations go out by [`Sender::send`]. Waiting is left to the
//! caller: every socket is non-blocking and says `WouldBlock`.
//!
//! All unsafe code of the crate stands here, in four functions of one system call each.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use rustix::net::sockopt::{Ipv4PathMtuDiscovery, set_ip_mtu_discover};
use socket2::{Domain, Protocol, Socket, Type};

use super::Dscp;

mod unread;

pub use unread::leave_unread;

/// Datagrams moved by one system call. At 64 the call itself is less than a fiftieth of the work; more would
/// only make the first of a batch wait longer for the last.
pub const BATCH_MAX: usize = 64;

/// Room for one datagram. The payload of an IPv4 datagram has at most 65,507 octets and that of an IPv6 one at
/// most 65,527 (without jumbograms), so nothing is ever cut off. The rest, an odd number of cache lines, has each slot begin at
/// another place of a page, or all would share the same few lines of a cache.
pub const SLOT_OCTETS: usize = 64 * 1024 + 17 * 64;

/// What the kernel is asked to hold for us: a storm of 5,000 phones with messages of 800 octets (which count
/// double with their bookkeeping) while the worker is busy for a few milliseconds. The kernel grants at most
/// `net.core.rmem_max`.
const RECEIVE_BUFFER_OCTETS: usize = 8 << 20;

/// What the kernel is asked to hold of ours before it says `WouldBlock`.
const SEND_BUFFER_OCTETS: usize = 4 << 20;

/// A datagram leaves whole or is refused: what nobody will fragment needs no identification (RFC 6864 §4.1), and to find
/// one for each datagram is more than 2 % of all the work of a REGISTER refresh.
const WHOLE: Ipv4PathMtuDiscovery = Ipv4PathMtuDiscovery::DO;

/// A datagram longer than the MTU of its path leaves in fragments.
const IN_FRAGMENTS: Ipv4PathMtuDiscovery = Ipv4PathMtuDiscovery::WANT;

/// Binds a non-blocking socket that shares `address` with those of the other workers (`SO_REUSEPORT`): the
/// kernel hashes source and destination, so one phone always reaches the same socket. [`Sender::send`] is how to send by
/// it: an IPv4 socket by itself refuses what is longer than the MTU of the path.
///
/// An IPv6 socket takes no IPv4 (`IPV6_V6ONLY`), so that the two never hide behind mapped addresses and a
/// wildcard of each family can be bound beside the other.
pub fn bind(address: SocketAddr, dscp: Dscp) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_port(true)?;
    dscp.set(&socket, address)?;
    // In IPv6 only what is fragmented has an identification (RFC 8200 §4.5), so there the system's default stays.
    if address.is_ipv4() {
        set_ip_mtu_discover(&socket, WHOLE)?;
    }
    // The kernel clamps these to its limits without an error; a small buffer is no reason not to serve.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_OCTETS);
    let _ = socket.set_send_buffer_size(SEND_BUFFER_OCTETS);
    // From now on the system knows when each came. Where it does not, only losses tell of an overload.
    last_came_at(&socket);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// The receive slots of one worker, some 4 MiB that are touched only as far as datagrams fill them.
pub struct Receiver {
    slots: Box<[[u8; SLOT_OCTETS]; BATCH_MAX]>,
    names: [Name; BATCH_MAX],
    headers: [libc::mmsghdr; BATCH_MAX],
}

impl Receiver {
    /// Reserves the slots.
    pub fn new() -> Self {
        let slots = vec![[0; SLOT_OCTETS]; BATCH_MAX].into_boxed_slice();
        Self {
            slots: slots.try_into().expect("a batch of slots was asked for"),
            names: [Name::EMPTY; BATCH_MAX],
            headers: [EMPTY_HEADER; BATCH_MAX],
        }
    }

    /// Takes up to [`BATCH_MAX`] datagrams off `socket` and lends them out; `WouldBlock` if there is none.
    pub fn receive(&mut self, socket: &impl AsFd) -> io::Result<Batch<'_>> {
        let mut buffers = self.slots.each_mut().map(|slot| IoSliceMut::new(slot));
        let (names, headers) = (&mut self.names, &mut self.headers);
        let count = recvmmsg(socket.as_fd(), &mut buffers, names, headers)?;
        Ok(Batch { receiver: self, count })
    }
}

impl Default for Receiver {
    fn default() -> Self {
        Self::new()
    }
}

/// What one call of [`Receiver::receive`] brought.
pub struct Batch<'a> {
    receiver: &'a Receiver,
    count: usize,
}

impl Batch<'_> {
    /// How many datagrams there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Never, unless the kernel gave nothing and no error.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// True if the socket probably has more.
    pub fn is_full(&self) -> bool {
        self.count == BATCH_MAX
    }

    /// Each datagram with its source. One whose source is no internet address is left out.
    pub fn iter(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        let Receiver { slots, names, headers, .. } = self.receiver;
        slots.iter().zip(names).zip(headers).take(self.count).filter_map(|((slot, name), header)| {
            let octets = slot.get(..header.msg_len as usize)?;
            Some((name.address(header.msg_hdr.msg_namelen)?, octets))
        })
    }
}

/// The send headers of one worker.
pub struct Sender {
    names: [Name; BATCH_MAX],
    headers: [libc::mmsghdr; BATCH_MAX],
}

/// What became of messages given to [`Sender::send`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// How many the kernel took or refused for good: those before this index need nothing more.
    pub done: usize,
    /// How many of these it refused for good: no route, a firewall, too long.
    pub refused: usize,
    /// True if there are more and the socket would block.
    pub blocked: bool,
}

impl Sender {
    /// Headers without anything to send.
    pub fn new() -> Self {
        Self { names: [Name::EMPTY; BATCH_MAX], headers: [EMPTY_HEADER; BATCH_MAX] }
    }

    /// Sends messages in their order, 64 a call, and stops early where the socket would block. A message longer than the
    /// MTU of its path is sent in fragments; a destination that cannot be reached costs the others nothing.
    pub fn send<'m>(
        &mut self,
        socket: &impl AsFd,
        mut messages: impl Iterator<Item = (SocketAddr, &'m [u8])>,
    ) -> Sent {
        let socket = socket.as_fd();
        let mut sent = Sent::default();
        loop {
            let mut buffers = [IoSlice::new(&[]); BATCH_MAX];
            let mut count = 0;
            for (slot, (to, octets)) in messages.by_ref().take(BATCH_MAX).enumerate() {
                buffers[slot] = IoSlice::new(octets);
                self.headers[slot].msg_hdr.msg_namelen = self.names[slot].set(to);
                count = slot + 1;
            }
            if count == 0 {
                return sent;
            }
            let mut first = 0;
            while first < count {
                let result = match self.dispatch(socket, &buffers, first..count) {
                    Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => {
                        in_fragments(socket, || self.dispatch(socket, &buffers, first..first + 1))
                    }
                    result => result,
                };
                match result {
                    Ok(moved) => {
                        first += moved;
                        sent.done += moved;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        return Sent { blocked: true, ..sent };
                    }
                    // The error is the first message's: the kernel reports none after one it could send.
                    Err(_) => {
                        first += 1;
                        sent.done += 1;
                        sent.refused += 1;
                    }
                }
            }
        }
    }

    /// One system call for the messages in these slots, whose headers are written.
    fn dispatch(
        &mut self,
        socket: BorrowedFd<'_>,
        buffers: &[IoSlice<'_>],
        slots: Range<usize>,
    ) -> io::Result<usize> {
        sendmmsg(socket, &buffers[slots.clone()], &mut self.names[slots.clone()], &mut self.headers[slots])
    }
}

/// Has `send` try once more what did not fit the path whole. The socket stays, so the message leaves from the same address
/// and port; it belongs to one worker, so nothing else leaves meanwhile. An IPv6 socket refuses: what it would not send is
/// longer than any datagram.
fn in_fragments<R>(socket: BorrowedFd<'_>, send: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
    set_ip_mtu_discover(socket, IN_FRAGMENTS)?;
    let sent = send();
    set_ip_mtu_discover(socket, WHOLE)?;
    sent
}

impl Default for Sender {
    fn default() -> Self {
        Self::new()
    }
}

/// A socket address as the kernel reads and writes it: `sockaddr_in` or `sockaddr_in6`, by octets.
#[derive(Clone, Copy)]
#[repr(C, align(4))]
struct Name([u8; NAME_OCTETS]);

const NAME_OCTETS: usize = size_of::<libc::sockaddr_in6>();
const NAME_V4_OCTETS: usize = size_of::<libc::sockaddr_in>();

// The offsets that `Name` reads and writes, checked against the system's own structures.
const _: () = {
    use std::mem::offset_of;
    assert!(
        offset_of!(libc::sockaddr_in, sin_family) == 0 && offset_of!(libc::sockaddr_in6, sin6_family) == 0
    );
    assert!(size_of::<libc::sa_family_t>() == 2);
    assert!(offset_of!(libc::sockaddr_in, sin_port) == 2 && offset_of!(libc::sockaddr_in6, sin6_port) == 2);
    assert!(offset_of!(libc::sockaddr_in, sin_addr) == 4 && NAME_V4_OCTETS == 16);
    assert!(offset_of!(libc::sockaddr_in6, sin6_flowinfo) == 4);
    assert!(offset_of!(libc::sockaddr_in6, sin6_addr) == 8);
    assert!(offset_of!(libc::sockaddr_in6, sin6_scope_id) == 24 && NAME_OCTETS == 28);
};

impl Name {
    const EMPTY: Self = Self([0; NAME_OCTETS]);

    /// Writes `address` and says how many octets of it count.
    fn set(&mut self, address: SocketAddr) -> libc::socklen_t {
        let name = &mut self.0;
        name[2..4].copy_from_slice(&address.port().to_be_bytes());
        match address {
            SocketAddr::V4(address) => {
                name[..2].copy_from_slice(&(libc::AF_INET as libc::sa_family_t).to_ne_bytes());
                name[4..8].copy_from_slice(&address.ip().octets());
                name[8..16].fill(0);
                NAME_V4_OCTETS as libc::socklen_t
            }
            SocketAddr::V6(address) => {
                name[..2].copy_from_slice(&(libc::AF_INET6 as libc::sa_family_t).to_ne_bytes());
                name[4..8].copy_from_slice(&address.flowinfo().to_ne_bytes());
                name[8..24].copy_from_slice(&address.ip().octets());
                name[24..28].copy_from_slice(&address.scope_id().to_ne_bytes());
                NAME_OCTETS as libc::socklen_t
            }
        }
    }

    /// Reads what the kernel wrote, of which `length` octets count.
    fn address(&self, length: libc::socklen_t) -> Option<SocketAddr> {
        let name = &self.0;
        let family = libc::c_int::from(libc::sa_family_t::from_ne_bytes([name[0], name[1]]));
        let port = u16::from_be_bytes([name[2], name[3]]);
        match (family, length as usize) {
            (libc::AF_INET, NAME_V4_OCTETS) => {
                let ip = Ipv4Addr::new(name[4], name[5], name[6], name[7]);
                Some(SocketAddr::new(IpAddr::V4(ip), port))
            }
            (libc::AF_INET6, NAME_OCTETS) => {
                let ip: [u8; 16] = name[8..24].try_into().ok()?;
                let scope = u32::from_ne_bytes(name[24..28].try_into().ok()?);
                // The flow label of an incoming packet says nothing about the way back; it is left out so
                // that one peer has one address.
                Some(SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::from(ip), port, 0, scope)))
            }
            _ => None,
        }
    }
}

/// How many datagrams `socket` has dropped since it was bound: for want of room, by its filter, or because they were damaged; it
/// wraps.
#[expect(
    unsafe_code,
    reason = "no library at hand asks for SO_MEMINFO, and beside each datagram SO_RXQ_OVFL is dear and late"
)]
pub fn dropped(socket: &impl AsFd) -> io::Result<u32> {
    // As many as there are today; of a later system that has more the first are told.
    let mut numbers = [0_u32; libc::SK_MEMINFO_DROPS as usize + 1];
    let mut length = size_of_val(&numbers) as libc::socklen_t;
    // SAFETY: `numbers` is writable for the `length` octets that the system is told of, and it writes no more than these
    // and what it wrote into `length`; both live for longer than the call, which keeps no pointer; `socket` is open because
    // it is borrowed.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            numbers.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(numbers[libc::SK_MEMINFO_DROPS as usize])
}

/// When the datagram came that was received from `socket` last, by the system's wall clock, since 1970. `None` before the
/// first, and where the system does not say.
#[expect(
    unsafe_code,
    reason = "no library at hand asks for SIOCGSTAMPNS, and beside each datagram SO_TIMESTAMPNS is dear"
)]
pub fn last_came_at(socket: &impl AsFd) -> Option<Duration> {
    /// `SIOCGSTAMPNS` as every system has had it where a time is two numbers of eight octets (asm-generic/sockios.h).
    const LAST_CAME_AT: libc::Ioctl = 0x8907;
    const _: () = assert!(size_of::<libc::timespec>() == 16);
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the system writes one `timespec`, which lives for longer than the call and is exclusively borrowed; it keeps no
    // pointer; `socket` is open because it is borrowed.
    let result = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), LAST_CAME_AT, &raw mut time) };
    if result != 0 {
        return None;
    }
    Some(Duration::new(time.tv_sec.try_into().ok()?, time.tv_nsec.try_into().ok()?))
}

const EMPTY_HEADER: libc::mmsghdr = libc::mmsghdr {
    msg_hdr: libc::msghdr {
        msg_name: std::ptr::null_mut(),
        msg_namelen: 0,
        msg_iov: std::ptr::null_mut(),
        msg_iovlen: 1,
        msg_control: std::ptr::null_mut(),
        msg_controllen: 0,
        msg_flags: 0,
    },
    msg_len: 0,
};

/// Receives one datagram into each of `buffers`, its source into each of `names`, both lengths into each of
/// `headers`, as far as there are datagrams; says how many there were.
#[expect(unsafe_code, reason = "recvmmsg has no safe equal: 5.9 us against 8.5 us a datagram with recvfrom")]
fn recvmmsg(
    socket: BorrowedFd<'_>,
    buffers: &mut [IoSliceMut<'_>],
    names: &mut [Name],
    headers: &mut [libc::mmsghdr],
) -> io::Result<usize> {
    let mut count = 0;
    for ((buffer, name), header) in buffers.iter_mut().zip(names).zip(&mut *headers) {
        let header = &mut header.msg_hdr;
        header.msg_iov = std::ptr::from_mut(buffer).cast();
        header.msg_name = std::ptr::from_mut(name).cast();
        header.msg_namelen = NAME_OCTETS as libc::socklen_t;
        header.msg_flags = 0;
        count += 1;
    }
    // SAFETY: the first `count` headers were pointed, just above, at one buffer and one name each. Each buffer is
    // an `IoSliceMut`, which the standard library guarantees to be an `iovec` over memory that is writable for
    // its whole length; each name is `NAME_OCTETS` writable octets, and the header says so; there is no control data
    // (null, 0) and no time-out (null). All are exclusively borrowed for longer than the call, which keeps
    // no pointer, and `socket` is open because it is borrowed.
    let received = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            count,
            libc::MSG_DONTWAIT as _,
            std::ptr::null_mut(),
        )
    };
    usize::try_from(received).map_err(|_| io::Error::last_os_error())
}

/// Sends each of `buffers` to the address in each of `names`, whose length stands in each of `headers`; says how
/// many were sent, at least one.
#[expect(unsafe_code, reason = "sendmmsg has no safe equal: half the cost of 64 calls of sendto")]
fn sendmmsg(
    socket: BorrowedFd<'_>,
    buffers: &[IoSlice<'_>],
    names: &mut [Name],
    headers: &mut [libc::mmsghdr],
) -> io::Result<usize> {
    let mut count = 0;
    for ((buffer, name), header) in buffers.iter().zip(names).zip(&mut *headers) {
        let header = &mut header.msg_hdr;
        header.msg_iov = std::ptr::from_ref(buffer).cast_mut().cast();
        header.msg_name = std::ptr::from_mut(name).cast();
        header.msg_namelen = header.msg_namelen.min(NAME_OCTETS as libc::socklen_t);
        count += 1;
    }
    // SAFETY: the first `count` headers were pointed, just above, at one buffer and one name each. Each buffer is
    // an `IoSlice`, which the standard library guarantees to be an `iovec` over memory that is readable for its
    // whole length, and sendmmsg writes neither to it nor to the `iovec`; each name is readable for the length in
    // its header, which was cut to its size; there is no control data (null, 0). All are borrowed for longer
    // than the call, which keeps no pointer, and `socket` is open because it is borrowed.
    let sent = unsafe {
        libc::sendmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            count,
            (libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as _,
        )
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests;
