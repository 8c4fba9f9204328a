//! The thread of sound: its sockets, its clock, its turns.
//!
//! ```text
//!  turn, 1 ms:  orders ─► sockets that have something ─► frames that are due ─► figures
//!  no session:  asleep until an order
//! ```

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use dataplane::media::{Heard, Order, SessionId};
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use socket2::{Domain, Protocol, Socket, Type};
use tracing::{debug, error, warn};

use super::counters::Counters;
use super::pace::{Owed, Wheel};
use super::ports::Ports;
use super::session::Session;
use super::{Door, Figures, Ordered, Setup, lock};
use crate::transport::Dscp;

/// How often there is a turn while there is a session.
const TURN: Duration = Duration::from_millis(1);

/// Lower priority than the workers': with a processor to share, they have nine tenths of it, and run as soon as they
/// have something to do.
const NICE: i32 = 10;

/// Orders taken in one turn. Most cost nothing; to open a session takes the system some 10 µs.
const ORDERS_MAX: usize = 256;

/// Sockets that are looked at in one turn; the others have theirs in the next.
const EVENTS_MAX: usize = 1_024;

/// Packets of one session that are taken in one turn: a phone sends one in twenty. A flood costs no more.
const READS_MAX: usize = 4;

/// What the system is asked to hold for a session while the thread is late: half a second of packets, which count with
/// their bookkeeping. A flood fills no more.
const RECEIVE_BUFFER_OCTETS: usize = 32 << 10;

/// Longest packet that is read whole: G.711 of 200 ms. What is longer is cut off and is nobody's sound.
const PACKET_OCTETS_MAX: usize = 2_048;

/// Ports that are tried if others use those at the front of the queue.
const PORT_TRIES_MAX: usize = 16;

/// What the thread owns.
pub(super) struct Thread {
    door: Arc<Door>,
    poll: Poll,
    events: Events,
    ports: Ports,
    sessions_max: usize,
    dscp: Dscp,
    began: Instant,
    seats: Slab<Seat>,
    by_id: HashMap<SessionId, usize>,
    wheel: Wheel,
    /// Sessions whose sockets may have more than was read.
    unread: Vec<usize>,
    received: Vec<u8>,
    sent: Vec<u8>,
    counters: Counters,
}

/// A session and its place.
struct Seat {
    session: Session,
    socket: UdpSocket,
    port: u16,
    /// When its next frame is due, milliseconds since the thread began.
    due: u64,
}

impl Thread {
    pub(super) fn new(setup: &Setup, door: Arc<Door>) -> io::Result<Self> {
        #[expect(
            clippy::disallowed_methods,
            reason = "the media thread keeps its own time; no SIP timer hangs on it"
        )]
        let began = Instant::now();
        let poll = Poll::new()?;
        let random = || u32::from_ne_bytes(random());
        Ok(Self {
            door,
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            ports: Ports::new(&setup.ports, random),
            sessions_max: setup.sessions_max,
            dscp: setup.dscp,
            began,
            seats: Slab::new(),
            by_id: HashMap::new(),
            wheel: Wheel::default(),
            unread: Vec::new(),
            received: vec![0; PACKET_OCTETS_MAX],
            sent: Vec::with_capacity(PACKET_OCTETS_MAX),
            counters: Counters::default(),
        })
    }

    /// Serves until it is told to stop. A panic costs the sessions; it starts anew.
    pub(super) fn run(mut self) {
        if let Err(error) = rustix::process::nice(NICE) {
            warn!(reason = %error, "the media thread keeps its priority");
        }
        // Unwind safety: what a panic may have left half done is thrown away by `start_anew`.
        while catch_unwind(AssertUnwindSafe(|| self.serve())).is_err() {
            error!("the media thread panicked: its sessions ended");
            self.start_anew();
        }
    }

    fn start_anew(&mut self) {
        self.counters.panics += 1;
        for seat in std::mem::take(&mut self.seats) {
            self.ports.give_back(seat.1.port);
            (self.door.tell)(seat.1.session.id, Heard::Failed);
        }
        self.by_id.clear();
        self.wheel = Wheel::default();
        self.unread.clear();
    }

    fn serve(&mut self) {
        while !self.door.stopping.load(Ordering::Relaxed) {
            let began = self.began.elapsed();
            self.turn();
            if self.seats.is_empty() && self.door.orders.is_empty() {
                std::thread::park();
            } else {
                // The turn is at the millisecond, whatever the last one took.
                let next = Duration::from_millis(began.as_millis() as u64) + TURN;
                std::thread::sleep(next.saturating_sub(self.began.elapsed()));
            }
        }
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    fn turn(&mut self) {
        self.take_orders();
        self.receive();
        self.send();
        let mut figures = lock(&self.door.figures);
        // That one is counted at the door.
        let orders_refused = figures.counters.orders_refused;
        let counters = Counters { orders_refused, ..self.counters };
        *figures = Figures { sessions: self.seats.len() as u64, counters };
    }

    fn take_orders(&mut self) {
        for _ in 0..ORDERS_MAX {
            match self.door.orders.pop() {
                Some(Ordered::Do(id, order)) => {
                    self.door.waiting.fetch_sub(1, Ordering::Relaxed);
                    self.take_order(id, order);
                }
                Some(Ordered::Close(id)) => self.close(id),
                Some(Ordered::Forget(worker)) => {
                    let of_worker = |id: &&SessionId| id.worker == worker;
                    let ids: Vec<SessionId> = self.by_id.keys().filter(of_worker).copied().collect();
                    ids.into_iter().for_each(|id| self.close(id));
                }
                None => return,
            }
        }
    }

    fn take_order(&mut self, id: SessionId, order: Order) {
        if let Order::Open(address) = order {
            self.open(id, address);
            return;
        }
        let seat = self.by_id.get(&id).and_then(|at| self.seats.get_mut(*at));
        // The session failed, or its worker gave it up: it was told.
        let Some(Seat { session, .. }) = seat else { return };
        match order {
            Order::Connect(connection) => session.connect(connection),
            Order::Play { language, clips } => {
                let prompts = Arc::clone(&lock(&self.door.prompts));
                session.play(&prompts, &language, &clips, &mut self.counters);
            }
            Order::Stop => session.stop(),
            Order::Open(_) | Order::Close => {}
        }
    }

    fn open(&mut self, id: SessionId, address: IpAddr) {
        match self.bind(address) {
            Ok((socket, port)) => {
                let now = self.now();
                let entry = self.seats.vacant_entry();
                let at = entry.key();
                let mut seat = Seat { session: Session::new(id, random(), now), socket, port, due: 0 };
                if self.poll.registry().register(&mut seat.socket, Token(at), Interest::READABLE).is_ok() {
                    seat.due = self.wheel.join(at, now);
                    entry.insert(seat);
                    self.by_id.insert(id, at);
                    self.counters.sessions_opened += 1;
                    (self.door.tell)(id, Heard::Opened { port });
                    return;
                }
                self.ports.give_back(port);
            }
            Err(error) => debug!(%address, reason = %error, "no socket for sound"),
        }
        self.counters.sessions_refused += 1;
        (self.door.tell)(id, Heard::Failed);
    }

    fn bind(&mut self, address: IpAddr) -> io::Result<(UdpSocket, u16)> {
        if self.seats.len() >= self.sessions_max {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let mut result = Err(io::ErrorKind::AddrInUse.into());
        for _ in 0..PORT_TRIES_MAX {
            let Some(port) = self.ports.take() else { break };
            match bind(SocketAddr::new(address, port), self.dscp) {
                Ok(socket) => return Ok((socket, port)),
                Err(error) => {
                    self.ports.give_back(port);
                    let in_use = error.kind() == io::ErrorKind::AddrInUse;
                    result = Err(error);
                    if !in_use {
                        break;
                    }
                }
            }
        }
        result
    }

    fn close(&mut self, id: SessionId) {
        let Some(at) = self.by_id.remove(&id) else { return };
        let mut seat = self.seats.remove(at);
        // The socket is closed in any case, and nobody waits for a closed one.
        let _ = self.poll.registry().deregister(&mut seat.socket);
        self.wheel.leave(at, seat.due);
        self.ports.give_back(seat.port);
    }

    fn receive(&mut self) {
        if let Err(error) = self.poll.poll(&mut self.events, Some(Duration::ZERO)) {
            debug!(reason = %error, "sockets of sound");
            return;
        }
        let now = self.now();
        let mut ready = std::mem::take(&mut self.unread);
        ready.extend(self.events.iter().map(|event| event.token().0));
        ready.sort_unstable();
        ready.dedup();
        for at in ready {
            if self.read(at, now) {
                self.unread.push(at);
            }
        }
    }

    /// Reads one socket; says whether it may have more.
    fn read(&mut self, at: usize, now: u64) -> bool {
        let Some(Seat { session, socket, .. }) = self.seats.get_mut(at) else { return false };
        for _ in 0..READS_MAX {
            match socket.recv_from(&mut self.received) {
                Ok((length, from)) => {
                    let packet = self.received.get_mut(..length).unwrap_or_default();
                    let id = session.id;
                    session
                        .receive(now, from, packet, &mut self.counters, |heard| (self.door.tell)(id, heard));
                }
                // Nothing more, or what the network said of a packet that was sent earlier.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(_) => {}
            }
        }
        true
    }

    fn send(&mut self) {
        let now = self.now();
        let Self { seats, wheel, counters, sent, door, .. } = self;
        for at in wheel.turn(now) {
            let Some(seat) = seats.get_mut(at) else { continue };
            let owed = Owed::at(now, seat.due);
            seat.due = owed.due;
            counters.late += owed.late;
            counters.skipped += owed.skipped;
            if owed.skipped > 0 {
                seat.session.skip(u32::try_from(owed.skipped).unwrap_or(u32::MAX));
            }
            let id = seat.session.id;
            for _ in 0..owed.frames {
                let to = seat.session.frame(now, sent, |heard| (door.tell)(id, heard));
                match to.map(|to| seat.socket.send_to(sent, to)) {
                    None => {}
                    Some(Ok(_)) => counters.packets_sent += 1,
                    Some(Err(_)) => counters.packets_refused += 1,
                }
            }
        }
    }
}

fn bind(address: SocketAddr, dscp: Dscp) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    dscp.set(&socket, address)?;
    // The kernel clamps it to its limits without an error.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_OCTETS);
    socket.bind(&address.into())?;
    Ok(UdpSocket::from_std(socket.into()))
}

/// Fresh random octets of the operating system.
fn random<const N: usize>() -> [u8; N] {
    let mut octets = [0; N];
    getrandom::fill(&mut octets).expect("the operating system has random octets once it has booted");
    octets
}
