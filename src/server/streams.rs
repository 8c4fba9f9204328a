//! The connections of one worker: who is let in, what is sent, who has to go. Sockets and messages are
//! `transport`'s; this is the worker's side of them.

use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use dataplane::flow::{ConnectionId, Flow, ListenerId, WorkerId};
use dataplane::now::Mono;
use dataplane::settings::Settings;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::transport::connections::{Connections, Full, Shares, source};
use crate::transport::stream::Piece;
use crate::transport::tcp::{self, Connection, Limits, Overdue, Reading, Writing};
use crate::transport::tls::{Acceptor, Handshake, Session};
use crate::transport::{Counters, Dscp};

/// Read at once from one connection: as long as the longest message.
const SCRATCH_OCTETS: usize = 64 * 1024;

/// TLS handshakes under way on one worker: what two processors can finish in the ten seconds one may take. Each costs some
/// 20 kB until then.
const HALF_OPEN_MAX: usize = 8_192;

/// Of them, those of one source: a large office after a power cut has room, and eight such sources are needed to be in
/// the way of others.
const HALF_OPEN_PER_SOURCE_MAX: u32 = 1_024;

/// What an idle connection may be late with its REGISTER.
const REGISTER_SLACK: Duration = Duration::from_secs(600);

/// How many connections there may be, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) connections_max: usize,
    pub(super) per_source_max: u32,
    pub(super) half_open_max: usize,
    pub(super) half_open_per_source_max: u32,
    pub(super) times: Limits,
}

impl Bounds {
    /// Connections are idle for as long as the longest registration may last: a phone that neither pings nor
    /// calls is heard again then. Those to peers are for as long as a call may ring without a word, and be cancelled.
    pub(super) fn of(settings: &Settings, connections_max: usize) -> Self {
        let mut times = Limits::default();
        times.peer_idle = times.peer_idle.max(settings.timers.timer_c * 2);
        for tenant in &settings.tenants {
            let longest = Duration::from_secs(tenant.registrar.expires_max.into());
            times.idle = times.idle.max(longest + REGISTER_SLACK);
        }
        Self {
            connections_max,
            per_source_max: settings.admission.connections,
            half_open_max: HALF_OPEN_MAX,
            half_open_per_source_max: HALF_OPEN_PER_SOURCE_MAX,
            times,
        }
    }
}

/// All connections of one worker.
pub(super) struct Streams {
    connections: Connections<Connection>,
    /// Those whose TLS handshake is under way.
    half_open: Shares,
    half_open_max: usize,
    scratch: Box<[u8]>,
    times: Limits,
    /// Flows on which nothing can be sent any longer, and of which the dataplane has not heard.
    pub(super) lost: Vec<Flow>,
    /// Those of which the peer has ended its side, and of which the dataplane has not heard, or has sent there since.
    pub(super) finished: Vec<Flow>,
    /// Those to peers that never came to be.
    pub(super) unopened: Vec<Flow>,
    /// Whose TLS handshakes went on with a session of before, and of which the dataplane has not heard.
    pub(super) resumed: Vec<IpAddr>,
    /// Connections to peers that have no task yet, and who is told of them.
    pub(super) begun: Vec<ConnectionId>,
    pub(super) begins: Rc<Notify>,
    /// Given up to accept when no descriptor is left.
    reserve: Option<File>,
}

/// What a connection's task waits for.
pub(super) type Waiting = (Rc<TcpStream>, Rc<Notify>, Option<Interest>);

impl Streams {
    /// No connections yet. See [`Connections::new`] for `first_generation`.
    pub(super) fn new(worker: WorkerId, first_generation: u32, bounds: Bounds) -> Self {
        let Bounds { connections_max, per_source_max, half_open_max, half_open_per_source_max, times } =
            bounds;
        Self {
            connections: Connections::new(worker, first_generation, connections_max, per_source_max),
            half_open: Shares::new(half_open_per_source_max),
            half_open_max,
            scratch: vec![0; SCRATCH_OCTETS].into_boxed_slice(),
            times,
            lost: Vec::new(),
            finished: Vec::new(),
            unopened: Vec::new(),
            resumed: Vec::new(),
            begun: Vec::new(),
            begins: Rc::new(Notify::new()),
            reserve: reserve(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.connections.len()
    }

    /// True if everything that was sent has been taken by the system.
    pub(super) fn is_written(&self) -> bool {
        self.connections.iter().all(|connection| !connection.is_writing())
    }

    /// The settings have changed; what there is stays.
    pub(super) fn configure(&mut self, bounds: Bounds) {
        self.times = bounds.times;
        self.connections.set_per_source_max(bounds.per_source_max);
    }

    /// Takes in what was accepted, to be spoken on in `tls`, if any, unless its source, which may have
    /// `more` than others, has its share. A full table lets
    /// its stalest connection go, a source one of which the peer has ended its side, and too many handshakes the one that was
    /// heard of least lately.
    pub(super) fn admit(
        &mut self,
        now: Mono,
        listener: ListenerId,
        tls: Option<Acceptor>,
        (io, remote): (TcpStream, SocketAddr),
        more: u32,
        counters: &mut Counters,
    ) -> Option<ConnectionId> {
        let tls = match tls {
            None => None,
            Some(_) if !self.half_open.has_room(remote.ip()) => {
                counters.connections_refused += 1;
                return None;
            }
            Some(acceptor) => {
                if self.half_open.taken() >= self.half_open_max {
                    self.evict_half_open(counters);
                }
                let session = Session::new(acceptor).expect("an acceptor can begin sessions");
                self.half_open.take(remote.ip());
                Some(session)
            }
        };
        let is_half_open = tls.is_some();
        match self.connections.room_for(remote.ip(), more) {
            Err(Full::Table) => self.evict(counters),
            Err(Full::Source) => self.evict_finished(remote.ip(), counters),
            Ok(()) => {}
        }
        let admitted = self.connections.insert(remote.ip(), more, |id| {
            let flow = Flow { listener, remote, connection: Some(id) };
            Connection::new(io, flow, tls, Rc::new(Notify::new()), now)
        });
        match admitted {
            Ok(_) => counters.connections_accepted += 1,
            Err(Full::Table | Full::Source) => {
                counters.connections_refused += 1;
                if is_half_open {
                    self.half_open.give_back(remote.ip());
                }
            }
        }
        admitted.ok()
    }

    /// Begins to open the connection to a peer that `flow` names, from `local` and with `dscp`.
    pub(super) fn connect(
        &mut self,
        now: Mono,
        flow: Flow,
        local: IpAddr,
        dscp: Dscp,
        counters: &mut Counters,
    ) {
        let Some(id) = flow.connection else { return };
        let is_begun = tcp::connect(local, flow.remote, dscp).is_ok_and(|io| {
            let connection = Connection::opening(io, flow, Rc::new(Notify::new()), now);
            self.connections.insert_opened(id, connection)
        });
        if is_begun {
            self.begun.push(id);
            self.begins.notify_one();
        } else {
            counters.connections_unopened += 1;
            self.unopened.push(flow);
        }
    }

    /// What the task of `id` has to wait for; `None`: the connection is no more.
    pub(super) fn waiting(&mut self, id: ConnectionId) -> Option<Waiting> {
        let connection = self.connections.find(id)?;
        Some((Rc::clone(connection.io()), Rc::clone(connection.wake()), connection.interest()))
    }

    /// Moves octets both ways; each message goes to `on_piece`, with the MAC that its sender's certificate names.
    pub(super) fn on_ready(
        &mut self,
        now: Mono,
        id: ConnectionId,
        counters: &mut Counters,
        mut on_piece: impl FnMut(Flow, Option<[u8; 6]>, Piece<'_>),
    ) {
        let Some(connection) = self.connections.find(id) else { return };
        let was_opening = connection.is_opening();
        let writing = connection.write_on(now);
        counters.connections_opened += u64::from(was_opening && !connection.is_opening());
        if matches!(writing, Writing::Ended | Writing::Slow) {
            return self.remove(id, counters);
        }
        let flow = connection.flow();
        let (mut messages, mut misframed) = (0, false);
        let was_half_open = connection.is_half_open();
        let pings = &mut counters.stream_keep_alives;
        let reading = connection.receive(now, &mut self.scratch, pings, |certified, piece| {
            match piece {
                Piece::Misframed { .. } => misframed = true,
                Piece::Message(_) => messages += 1,
                Piece::Ping => {}
            }
            on_piece(flow, certified, piece);
        });
        counters.stream_messages += messages;
        counters.stream_misframed += u64::from(misframed);
        if was_half_open && let Some(handshake) = connection.handshake() {
            self.half_open.give_back(flow.remote.ip());
            match handshake {
                Handshake::Full => counters.tls_handshakes += 1,
                Handshake::Resumed => {
                    counters.tls_resumptions += 1;
                    self.resumed.push(flow.remote.ip());
                }
            }
        }
        match reading {
            Reading::Open => {}
            Reading::Finished => self.finished.push(flow),
            Reading::Ended => self.remove(id, counters),
            Reading::Refused => {
                counters.tls_refused += 1;
                self.close(now, id, counters);
            }
        }
    }

    /// True if something can be sent on `id`.
    pub(super) fn is_usable(&mut self, id: ConnectionId) -> bool {
        self.connections.find(id).is_some_and(|connection| connection.is_usable())
    }

    /// Sends one message on a connection of this worker. One that is no more is lost again, and one whose peer has finished
    /// has that said again, so that whoever still believes in it learns better.
    pub(super) fn send(&mut self, now: Mono, flow: Flow, octets: &[u8], counters: &mut Counters) {
        let Some(id) = flow.connection else { return };
        let writing = self.connections.find(id).map(|connection| {
            if connection.is_finished() {
                self.finished.push(flow);
            }
            connection.send(now, octets)
        });
        match writing {
            Some(Writing::Done | Writing::Waiting) => {}
            Some(Writing::Slow) => {
                counters.connections_slow += 1;
                self.remove(id, counters);
            }
            Some(Writing::Ended) => self.remove(id, counters),
            Some(Writing::Refused) => counters.stream_dropped += 1,
            None => {
                counters.stream_dropped += 1;
                self.lost.push(flow);
            }
        }
    }

    /// Ends `id` once what was sent on it has been written.
    pub(super) fn close(&mut self, now: Mono, id: ConnectionId, counters: &mut Counters) {
        let Some(connection) = self.connections.find(id) else { return };
        if !connection.is_usable() {
            return;
        }
        self.lost.push(connection.flow());
        if matches!(connection.close(now), Writing::Ended | Writing::Slow) {
            self.remove(id, counters);
        }
    }

    /// Ends what is overdue, a tenth of the table a call.
    pub(super) fn sweep(&mut self, now: Mono, counters: &mut Counters) {
        let times = self.times;
        for id in self.connections.sweep(|connection| connection.overdue(now, &times).is_some()) {
            match self.connections.find(id).and_then(|connection| connection.overdue(now, &times)) {
                Some(Overdue::Handshake) => counters.connections_half_open += 1,
                Some(Overdue::HalfMessage) => counters.connections_half_message += 1,
                Some(Overdue::Idle) => counters.connections_idle += 1,
                Some(Overdue::Slow) => counters.connections_slow += 1,
                Some(Overdue::Closed | Overdue::Unopened) | None => {}
            }
            self.remove(id, counters);
        }
        self.reserve = self.reserve.take().or_else(reserve);
    }

    /// Frees a descriptor for an accept that found none.
    pub(super) fn give_up_reserve(&mut self) {
        self.reserve = None;
    }

    /// Lets the stalest connection go: one that never said anything, else the one silent for longest.
    pub(super) fn evict(&mut self, counters: &mut Counters) {
        if let Some(id) = self.connections.stalest(|connection| Some(connection.worth())) {
            counters.connections_evicted += 1;
            self.remove(id, counters);
        }
    }

    /// Lets a connection of this source go that its peer has ended its side of: phones that all connect anew would else wait
    /// for those they had.
    fn evict_finished(&mut self, address: IpAddr, counters: &mut Counters) {
        let worth = |connection: &Connection| {
            let is_of_source = source(connection.flow().remote.ip()) == source(address);
            (connection.is_finished() && is_of_source).then(|| connection.worth())
        };
        if let Some(id) = self.connections.stalest(worth) {
            self.remove(id, counters);
        }
    }

    /// Lets go the one of the handshakes under way that was heard of least lately: that of a phone takes a moment.
    fn evict_half_open(&mut self, counters: &mut Counters) {
        let worth = |connection: &Connection| connection.is_half_open().then(|| connection.worth());
        if let Some(id) = self.connections.stalest(worth) {
            counters.connections_half_open += 1;
            self.remove(id, counters);
        }
    }

    fn remove(&mut self, id: ConnectionId, counters: &mut Counters) {
        let Some(connection) = self.connections.remove(id) else { return };
        if connection.is_half_open() {
            self.half_open.give_back(connection.flow().remote.ip());
        }
        if connection.is_opening() {
            counters.connections_unopened += 1;
            self.unopened.push(connection.flow());
        } else {
            counters.connections_ended += 1;
            if connection.is_usable() {
                self.lost.push(connection.flow());
            }
        }
        // Its task wakes, finds it gone and lets go of the socket.
        connection.wake().notify_one();
    }
}

/// A descriptor that is of no other use. None left is no error here: the next sweep tries again.
fn reserve() -> Option<File> {
    File::open("/dev/null").ok()
}

/// True if an accept failed because the process or the system has no descriptor left.
pub(super) fn is_exhausted(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

#[cfg(test)]
mod tests;
