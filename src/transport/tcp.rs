//! SIP over TCP, and over TLS over TCP (RFC 3261 §18): listening, connecting, and one connection.
//!
//! A connection never waits. Its owner waits for what [`Connection::interest`] names and then calls
//! [`Connection::receive`] or [`Connection::write_on`].
//!
//! ```text
//!  ┌─────────┐  refused, or nobody answers
//!  │ Opening │ ────────────────────────────► gone        (of a connection that the edge opens)
//!  └─────────┘
//!      │ open
//!      ▼      end of stream, of an accepted    all written, or
//!  ┌──────┐ ───────────────► ┌────────────┐    64·T1 are over
//!  │ Open │                  │ HalfClosed │ ─────────────────────────────► gone
//!  └──────┘ ─────┐           └────────────┘                                 ▲
//!                │ close           │ close                                  │ end of stream,
//!                ▼                 ▼                                        │ or LINGER is over
//!             ┌─────────────────────┐  all written: our end of stream  ┌───────────┐
//!             │       Closing       │ ───────────────────────────────► │ Lingering │
//!             └─────────────────────┘                                  └───────────┘
//! ```
//! Lingering reads on and throws away: closing with octets unread would reset the connection, and a reset may
//! overtake the answer that says why. A peer that ends its side of a connection we opened wants no more requests on it, so that
//! is its end.

use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener};
use std::rc::Rc;
use std::time::Duration;

use dataplane::flow::{ConnectionId, Flow};
use dataplane::now::Mono;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::Dscp;
use super::stream::{Piece, Stream};
use super::tls::{Handshake, Session, Taken};

/// Connections that the kernel has accepted and we have not: all phones of a large office at once.
const BACKLOG: i32 = 4_096;

/// Octets that may wait for a peer that does not read: four of the longest messages. More means that it takes
/// nothing any longer, and its memory would be ours.
const PENDING_MAX: usize = 256 * 1024;

/// How long octets on the wire may stay unconfirmed before the system gives the connection up: as long as a
/// transaction lives (64·T1), so that a phone gone without a word is found out by the first call to it.
const UNCONFIRMED_MAX: Duration = Duration::from_secs(32);

/// The same of a connection that we opened: half of the usual time in which a gateway must answer, so that what is lost on the
/// way goes there in time as a datagram.
const UNCONFIRMED_BY_PEER_MAX: Duration = Duration::from_secs(2);

/// A connection that we opened is kept up by the system after so long without a word, since what stands between forgets quiet
/// ones within minutes and says nothing; and one whose peer is gone is found out before a call needs it.
const PEER_KEEP_ALIVE: Duration = Duration::from_secs(30);

/// How long a connection may be in each state that should pass.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From asking for a connection to its being open: half of the shortest time in which a gateway must answer a call. A
    /// peer whose answer takes longer, or was lost, is sent datagrams.
    pub open: Duration,
    /// From accepting to the end of the TLS handshake: two or three round trips.
    pub handshake: Duration,
    /// From the first octet of a message to its last, and from accepting (with TLS from its handshake) to the first
    /// message: a peer that needs longer is broken or hostile.
    pub message: Duration,
    /// Nothing whole was heard: longer than the longest time between two REGISTERs.
    pub idle: Duration,
    /// The same of a peer, on a connection that we opened: longer than anything is waited for there.
    pub peer_idle: Duration,
    /// A queue that does not become shorter.
    pub stuck: Duration,
    /// The peer has ended its side: 64·T1, by when every answer has come.
    pub half_closed: Duration,
    /// We have ended ours: enough for the answer to arrive and the peer to close.
    pub linger: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            open: Duration::from_millis(500),
            handshake: Duration::from_secs(10),
            message: Duration::from_secs(30),
            idle: Duration::from_secs(2 * 3600),
            peer_idle: Duration::from_secs(600),
            stuck: Duration::from_secs(32),
            half_closed: Duration::from_secs(32),
            linger: Duration::from_secs(2),
        }
    }
}

/// Binds a non-blocking listening socket that shares `address` with those of the other workers
/// (`SO_REUSEPORT`): the kernel spreads connections over them by hash. They inherit `dscp`.
pub fn listen(address: SocketAddr, dscp: Dscp) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Connections of before a restart may still be dying (TIME-WAIT, RFC 9293 §3.6.1).
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    dscp.set(&socket, address)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Begins to connect to `remote` from `local`, with `dscp`. The socket does not block: what becomes of it,
/// [`Connection::opening`] finds out.
pub fn connect(local: IpAddr, remote: SocketAddr, dscp: Dscp) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(remote), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    dscp.set(&socket, remote)?;
    if !local.is_unspecified() {
        socket.bind(&SocketAddr::new(local, 0).into())?;
    }
    match socket.connect(&remote.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => TcpStream::from_std(socket.into()),
    }
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    io: Rc<TcpStream>,
    wake: Rc<Notify>,
    flow: Flow,
    /// `None`: TCP alone.
    tls: Option<Box<Session>>,
    stream: Stream,
    state: State,
    /// Not yet taken by the system; empty and without a buffer as a rule.
    pending: Vec<u8>,
    /// How many octets of `pending` it has taken since.
    written: usize,
    /// When something whole was heard last.
    heard: Mono,
    /// Since when something whole is overdue.
    begun: Option<Mono>,
    /// Since when `pending` has not become shorter.
    stuck: Mono,
    spoke: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Opening { since: Mono },
    Open,
    HalfClosed { since: Mono },
    Closing,
    Lingering { since: Mono },
}

/// What reading came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Wait for more.
    Open,
    /// The peer has ended its side: nothing more comes, and it can still be answered.
    Finished,
    /// Close the connection: what the peer sends is no TLS to go on with, and it has been told so.
    Refused,
    /// The connection is over.
    Ended,
}

/// What became of octets to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// The system has all of it.
    Done,
    /// Some wait; call [`Connection::write_on`] when the connection is writable.
    Waiting,
    /// Dropped: the connection is being closed.
    Refused,
    /// The peer takes nothing any longer; end the connection.
    Slow,
    /// The connection is over.
    Ended,
}

/// Why a connection has to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overdue {
    /// The TLS handshake is not over.
    Handshake,
    /// A message was begun and not finished, or none ever came.
    HalfMessage,
    /// Nothing was heard.
    Idle,
    /// The peer takes nothing.
    Slow,
    /// It was closing and had its time.
    Closed,
    /// Nobody has answered who wants to open it.
    Unopened,
}

/// The answer to a ping (RFC 5626 §4.4.1).
const PONG: &[u8] = b"\r\n";

impl Connection {
    /// Takes over what was accepted at `now`, to be spoken on in `tls`, if any. `wake` is notified when there is
    /// something to write or close.
    pub fn new(io: TcpStream, flow: Flow, tls: Option<Session>, wake: Rc<Notify>, now: Mono) -> Self {
        // Neither changes what the peer sees, so a system that refuses them is no reason not to serve.
        let _ = io.set_nodelay(true);
        let _ = SockRef::from(&io).set_tcp_user_timeout(Some(UNCONFIRMED_MAX));
        Self {
            io: Rc::new(io),
            wake,
            flow,
            tls: tls.map(Box::new),
            stream: Stream::new(),
            state: State::Open,
            pending: Vec::new(),
            written: 0,
            heard: now,
            begun: Some(now),
            stuck: now,
            spoke: false,
        }
    }

    /// Takes over what [`connect`] has begun at `now`. What is sent waits until it is open.
    pub fn opening(io: TcpStream, flow: Flow, wake: Rc<Notify>, now: Mono) -> Self {
        let connection = Self::new(io, flow, None, wake, now);
        // As there, a system that refuses them is no reason not to serve.
        let socket = SockRef::from(&*connection.io);
        let _ = socket.set_tcp_user_timeout(Some(UNCONFIRMED_BY_PEER_MAX));
        let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(PEER_KEEP_ALIVE));
        // Who asks does not wait to be spoken to.
        Self { state: State::Opening { since: now }, begun: None, spoke: true, ..connection }
    }

    /// True until it is open, if the edge opens it.
    pub fn is_opening(&self) -> bool {
        matches!(self.state, State::Opening { .. })
    }

    /// The way to its peer.
    pub fn flow(&self) -> Flow {
        self.flow
    }

    /// The socket, to wait on.
    pub fn io(&self) -> &Rc<TcpStream> {
        &self.io
    }

    /// Notified when [`Self::interest`] has changed or the connection was removed.
    pub fn wake(&self) -> &Rc<Notify> {
        &self.wake
    }

    /// True while messages can be sent to the peer.
    pub fn is_usable(&self) -> bool {
        matches!(self.state, State::Opening { .. } | State::Open | State::HalfClosed { .. })
    }

    /// True once the peer has ended its side, while it can still be answered.
    pub fn is_finished(&self) -> bool {
        matches!(self.state, State::HalfClosed { .. })
    }

    /// How the TLS handshake went, if there is one and it is over.
    pub fn handshake(&self) -> Option<Handshake> {
        self.tls.as_ref()?.handshake()
    }

    /// True until the TLS handshake is over.
    pub fn is_half_open(&self) -> bool {
        self.tls.is_some() && self.handshake().is_none()
    }

    /// True while octets wait for the system to take them.
    pub fn is_writing(&self) -> bool {
        !self.pending.is_empty()
    }

    /// What to wait for; `None`: for nothing but [`Self::wake`].
    pub fn interest(&self) -> Option<Interest> {
        let writable = (!self.pending.is_empty()).then_some(Interest::WRITABLE);
        match self.state {
            State::Opening { .. } => Some(Interest::WRITABLE),
            State::Open => {
                Some(writable.map_or(Interest::READABLE, |writable| writable | Interest::READABLE))
            }
            State::HalfClosed { .. } | State::Closing => writable,
            State::Lingering { .. } => Some(Interest::READABLE),
        }
    }

    /// How much it would be missed if there were no room for all: those that never said anything first, then
    /// those silent for longest.
    pub fn worth(&self) -> (bool, Mono) {
        (self.spoke, self.heard)
    }

    /// Reads once into `scratch` and gives out what has become whole, with the MAC that the peer's certificate names.
    /// Pings are answered here; `pings` counts them.
    pub fn receive(
        &mut self,
        now: Mono,
        scratch: &mut [u8],
        pings: &mut u64,
        mut on_piece: impl FnMut(Option<[u8; 6]>, Piece<'_>),
    ) -> Reading {
        if !matches!(self.state, State::Open | State::Lingering { .. }) {
            return Reading::Open;
        }
        let octets = match self.io.try_read(scratch) {
            Ok(0) => return self.end_of_stream(now),
            Ok(count) => &scratch[..count],
            Err(error) if is_transient(&error) => return Reading::Open,
            Err(_) => return Reading::Ended,
        };
        if self.state != State::Open {
            return Reading::Open;
        }
        let mut pongs = 0;
        let mut messages = 0_usize;
        let half_open = self.is_half_open();
        let stream = &mut self.stream;
        let mut read = |certified, clear: &[u8]| {
            stream.feed(clear, |piece| {
                match piece {
                    Piece::Ping => pongs += 1,
                    Piece::Message(_) => messages += 1,
                    Piece::Misframed { .. } => {}
                }
                if piece != Piece::Ping {
                    on_piece(certified, piece);
                }
            });
        };
        let mut taken = Taken::Open;
        match &mut self.tls {
            None => read(None, octets),
            Some(session) => {
                taken = session.take_in(octets, read);
                let reply = session.take_out();
                if matches!(self.put(now, &reply), Writing::Slow | Writing::Ended) {
                    return Reading::Ended;
                }
            }
        }
        if half_open && !self.is_half_open() {
            self.begun = Some(now);
        }
        if messages + pongs > 0 {
            self.heard = now;
            self.spoke |= messages > 0;
            self.begun = self.begun.filter(|_| !self.spoke);
        }
        self.begun = if self.stream.is_inside() || !self.spoke { self.begun.or(Some(now)) } else { None };
        *pings += pongs as u64;
        if pongs > 0 && matches!(self.send(now, &PONG.repeat(pongs)), Writing::Slow | Writing::Ended) {
            return Reading::Ended;
        }
        match taken {
            Taken::Open => Reading::Open,
            Taken::Ended => self.end_of_stream(now),
            Taken::Refused => Reading::Refused,
        }
    }

    fn end_of_stream(&mut self, now: Mono) -> Reading {
        let is_accepted = !self.flow.connection.is_some_and(ConnectionId::is_opened);
        if self.state == State::Open && is_accepted && !self.is_half_open() {
            // RFC 9293 §3.6: the peer may still read, so what is under way is still answered.
            self.state = State::HalfClosed { since: now };
            self.stream = Stream::new();
            self.begun = None;
            Reading::Finished
        } else {
            Reading::Ended
        }
    }

    /// Sends one message, or as much of it as the system takes now; the rest waits.
    pub fn send(&mut self, now: Mono, octets: &[u8]) -> Writing {
        // Nobody has spoken before the handshake is over, so nobody is answered.
        if !self.is_usable() || self.is_half_open() {
            return Writing::Refused;
        }
        match &mut self.tls {
            None => self.put(now, octets),
            Some(session) => {
                let sealed = session.seal(octets);
                self.put(now, &sealed)
            }
        }
    }

    /// Writes octets as they are.
    fn put(&mut self, now: Mono, octets: &[u8]) -> Writing {
        let mut left = octets;
        if self.pending.is_empty() {
            match write_some(&self.io, left) {
                Ok(count) => left = &left[count..],
                Err(_) => return Writing::Ended,
            }
            if left.is_empty() {
                return Writing::Done;
            }
            self.stuck = now;
        }
        if self.pending.len() - self.written + left.len() > PENDING_MAX {
            return Writing::Slow;
        }
        self.pending.extend_from_slice(left);
        self.wake.notify_one();
        Writing::Waiting
    }

    /// Writes on what waits.
    pub fn write_on(&mut self, now: Mono) -> Writing {
        if self.is_opening() && self.io.peer_addr().is_ok() {
            (self.state, self.heard) = (State::Open, now);
        }
        if self.pending.is_empty() {
            return Writing::Done;
        }
        match write_some(&self.io, &self.pending[self.written..]) {
            Ok(0) => {}
            Ok(count) => {
                self.written += count;
                self.stuck = now;
            }
            Err(_) => return Writing::Ended,
        }
        if self.written < self.pending.len() {
            // Half of it is enough to make the move of the rest worth while.
            if self.written > self.pending.len() / 2 {
                self.pending.drain(..self.written);
                self.written = 0;
            }
            return Writing::Waiting;
        }
        self.pending = Vec::new();
        self.written = 0;
        if self.state == State::Closing {
            return self.linger(now);
        }
        Writing::Done
    }

    /// Ends the connection once what waits has been written. Nothing more is read as a message or sent.
    pub fn close(&mut self, now: Mono) -> Writing {
        if !self.is_usable() {
            return Writing::Refused;
        }
        if self.is_opening() {
            return Writing::Ended;
        }
        let ended = self.is_finished();
        if let Some(session) = &mut self.tls {
            let farewell = session.farewell();
            if self.put(now, &farewell) == Writing::Ended {
                return Writing::Ended;
            }
        }
        self.state = State::Closing;
        self.stream = Stream::new();
        self.begun = None;
        self.wake.notify_one();
        match (self.pending.is_empty(), ended) {
            (false, _) => Writing::Waiting,
            // Both sides have ended: nothing is left that a reset could destroy.
            (true, true) => Writing::Ended,
            (true, false) => self.linger(now),
        }
    }

    fn linger(&mut self, now: Mono) -> Writing {
        self.state = State::Lingering { since: now };
        match SockRef::from(&*self.io).shutdown(Shutdown::Write) {
            Ok(()) => Writing::Done,
            Err(_) => Writing::Ended,
        }
    }

    /// Says why the connection has to go at `now`, if it has to.
    pub fn overdue(&self, now: Mono, limits: &Limits) -> Option<Overdue> {
        if !self.pending.is_empty() && now.since(self.stuck) > limits.stuck {
            return Some(Overdue::Slow);
        }
        match self.state {
            State::Open if self.is_half_open() => self
                .begun
                .is_some_and(|begun| now.since(begun) > limits.handshake)
                .then_some(Overdue::Handshake),
            State::Open if self.begun.is_some_and(|begun| now.since(begun) > limits.message) => {
                Some(Overdue::HalfMessage)
            }
            State::Opening { since } => (now.since(since) > limits.open).then_some(Overdue::Unopened),
            State::Open if self.flow.connection.is_some_and(ConnectionId::is_opened) => {
                (now.since(self.heard) > limits.peer_idle).then_some(Overdue::Idle)
            }
            State::Open => (now.since(self.heard) > limits.idle).then_some(Overdue::Idle),
            State::HalfClosed { since } => (now.since(since) > limits.half_closed).then_some(Overdue::Closed),
            State::Lingering { since } => (now.since(since) > limits.linger).then_some(Overdue::Closed),
            State::Closing => None, // Bounded by `stuck`.
        }
    }
}

/// Writes as much as the system takes without waiting.
fn write_some(io: &TcpStream, octets: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    while written < octets.len() {
        match io.try_write(&octets[written..]) {
            Ok(0) => break,
            Ok(count) => written += count,
            Err(error) if is_transient(&error) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests;
