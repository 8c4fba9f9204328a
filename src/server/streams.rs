//! The connections of one worker: who is let in, what is sent, who has to go. Sockets and messages are
//! `transport`'s; this is the worker's side of them.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use dataplane::flow::{ConnectionId, Flow, ListenerId, WorkerId};
use dataplane::now::Mono;
use dataplane::settings::Settings;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::transport::Counters;
use crate::transport::connections::{CONNECTIONS_MAX, Connections, Full, PER_SOURCE_MAX};
use crate::transport::stream::Piece;
use crate::transport::tcp::{Connection, Limits, Overdue, Reading, Writing};

/// Read at once from one connection: as long as the longest message.
const SCRATCH_OCTETS: usize = 64 * 1024;

/// What an idle connection may be late with its REGISTER.
const REGISTER_SLACK: Duration = Duration::from_secs(600);

/// How many connections there may be, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) connections_max: usize,
    pub(super) per_source_max: u32,
    pub(super) times: Limits,
}

impl Bounds {
    /// Connections are idle for as long as the longest registration may last: a phone that neither pings nor
    /// calls is heard again then.
    pub(super) fn of(settings: &Settings) -> Self {
        let mut times = Limits::default();
        for tenant in &settings.tenants {
            let longest = Duration::from_secs(tenant.registrar.expires_max.into());
            times.idle = times.idle.max(longest + REGISTER_SLACK);
        }
        Self { connections_max: CONNECTIONS_MAX, per_source_max: PER_SOURCE_MAX, times }
    }
}

/// All connections of one worker.
pub(super) struct Streams {
    connections: Connections<Connection>,
    scratch: Box<[u8]>,
    pub(super) times: Limits,
    /// Flows on which nothing can be sent any longer, and of which the dataplane has not heard.
    pub(super) lost: Vec<Flow>,
    /// Given up to accept when no descriptor is left.
    reserve: Option<File>,
}

/// What a connection's task waits for.
pub(super) type Waiting = (Rc<TcpStream>, Rc<Notify>, Option<Interest>);

impl Streams {
    /// No connections yet. See [`Connections::new`] for `first_generation`.
    pub(super) fn new(worker: WorkerId, first_generation: u32, bounds: Bounds) -> Self {
        let Bounds { connections_max, per_source_max, times } = bounds;
        Self {
            connections: Connections::new(worker, first_generation, connections_max, per_source_max),
            scratch: vec![0; SCRATCH_OCTETS].into_boxed_slice(),
            times,
            lost: Vec::new(),
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

    /// Takes in what was accepted, unless its source has its share. A full table lets its stalest connection go.
    pub(super) fn admit(
        &mut self,
        now: Mono,
        listener: ListenerId,
        io: TcpStream,
        remote: SocketAddr,
        counters: &mut Counters,
    ) -> Option<ConnectionId> {
        if self.connections.room_for(remote.ip()) == Err(Full::Table) {
            self.evict(counters);
        }
        let admitted = self.connections.insert(remote.ip(), |id| {
            let flow = Flow { listener, remote, connection: Some(id) };
            Connection::new(io, flow, Rc::new(Notify::new()), now)
        });
        match admitted {
            Ok(_) => counters.connections_accepted += 1,
            Err(Full::Table | Full::Source) => counters.connections_refused += 1,
        }
        admitted.ok()
    }

    /// What the task of `id` has to wait for; `None`: the connection is no more.
    pub(super) fn waiting(&mut self, id: ConnectionId) -> Option<Waiting> {
        let connection = self.connections.find(id)?;
        Some((Rc::clone(connection.io()), Rc::clone(connection.wake()), connection.interest()))
    }

    /// Moves octets both ways; each message goes to `on_piece`.
    pub(super) fn on_ready(
        &mut self,
        now: Mono,
        id: ConnectionId,
        counters: &mut Counters,
        mut on_piece: impl FnMut(Flow, Piece<'_>),
    ) {
        let Some(connection) = self.connections.find(id) else { return };
        let writing = connection.write_on(now);
        if matches!(writing, Writing::Ended | Writing::Slow) {
            return self.remove(id, counters);
        }
        let flow = connection.flow();
        let (mut messages, mut misframed) = (0, false);
        let reading = connection.receive(now, &mut self.scratch, &mut counters.stream_keep_alives, |piece| {
            match piece {
                Piece::Misframed { .. } => misframed = true,
                Piece::Message(_) => messages += 1,
                Piece::Ping => {}
            }
            on_piece(flow, piece);
        });
        counters.stream_messages += messages;
        counters.stream_misframed += u64::from(misframed);
        if reading == Reading::Ended {
            self.remove(id, counters);
        }
    }

    /// Sends one message on a connection of this worker. One that is no more is lost again, so that whoever
    /// still believes in it learns better.
    pub(super) fn send(&mut self, now: Mono, flow: Flow, octets: &[u8], counters: &mut Counters) {
        let Some(id) = flow.connection else { return };
        let writing = self.connections.find(id).map(|connection| connection.send(now, octets));
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
                Some(Overdue::HalfMessage) => counters.connections_half_message += 1,
                Some(Overdue::Idle) => counters.connections_idle += 1,
                Some(Overdue::Slow) => counters.connections_slow += 1,
                Some(Overdue::Closed) | None => {}
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

    fn remove(&mut self, id: ConnectionId, counters: &mut Counters) {
        let Some(connection) = self.connections.remove(id) else { return };
        counters.connections_ended += 1;
        if connection.is_usable() {
            self.lost.push(connection.flow());
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
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::transport::{Dscp, tcp};

    const NOW: Mono = Mono(1_000_000_000);
    const OPTIONS: &[u8] = b"OPTIONS sip:edge SIP/2.0\r\nContent-Length: 0\r\n\r\n";

    /// Connections of one worker, and the listener phones reach them by.
    struct Desk {
        streams: Streams,
        counters: Counters,
        listener: TcpListener,
    }

    impl Desk {
        fn new(connections_max: usize, per_source_max: u32) -> Self {
            let bounds = Bounds { connections_max, per_source_max, times: Limits::default() };
            let listener = tcp::listen("127.0.0.1:0".parse().unwrap(), Dscp::CS3).unwrap();
            Self {
                streams: Streams::new(WorkerId(0), 0, bounds),
                counters: Counters::default(),
                listener: TcpListener::from_std(listener).unwrap(),
            }
        }

        /// A phone connects at `now`.
        async fn connect(&mut self, now: Mono) -> (TcpStream, Option<ConnectionId>) {
            let phone = TcpStream::connect(self.listener.local_addr().unwrap()).await.unwrap();
            let (io, remote) = self.listener.accept().await.unwrap();
            (phone, self.streams.admit(now, ListenerId(0), io, remote, &mut self.counters))
        }

        /// Waits for `id` and moves its octets; says what came.
        async fn drive(&mut self, now: Mono, id: ConnectionId) -> Vec<String> {
            let (io, _, interest) = self.streams.waiting(id).expect("the connection is");
            io.ready(interest.expect("something to wait for")).await.unwrap();
            let mut seen = Vec::new();
            self.streams.on_ready(now, id, &mut self.counters, |_, piece| seen.push(format!("{piece:?}")));
            seen
        }
    }

    fn run<F: Future<Output = ()>>(test: F) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(10), test).await.expect("the test ends in time");
        });
    }

    #[test]
    fn a_source_with_its_share_is_refused() {
        run(async {
            let mut desk = Desk::new(10, 2);
            let (_first, one) = desk.connect(NOW).await;
            let (_second, two) = desk.connect(NOW).await;

            let (mut third, three) = desk.connect(NOW).await;

            assert!(one.is_some() && two.is_some() && three.is_none());
            assert_eq!(desk.counters.connections_refused, 1);
            assert_eq!(third.read(&mut [0]).await.unwrap_or(0), 0);
        });
    }

    #[test]
    fn a_full_table_lets_the_stalest_go_and_says_so() {
        run(async {
            let mut desk = Desk::new(2, 10);
            let (mut talker, one) = desk.connect(NOW).await;
            talker.write_all(OPTIONS).await.unwrap();
            desk.drive(NOW, one.unwrap()).await;
            let (_silent, two) = desk.connect(NOW + Duration::from_secs(1)).await;

            let (_newcomer, three) = desk.connect(NOW + Duration::from_secs(2)).await;

            assert!(three.is_some());
            assert!(desk.streams.waiting(one.unwrap()).is_some());
            assert!(desk.streams.waiting(two.unwrap()).is_none());
            assert_eq!(desk.streams.lost.iter().map(|flow| flow.connection).collect::<Vec<_>>(), [two]);
            assert_eq!((desk.counters.connections_evicted, desk.streams.len()), (1, 2));
        });
    }

    #[test]
    fn a_connection_is_lost_once_however_it_ends() {
        run(async {
            let mut desk = Desk::new(10, 10);
            let (phone, id) = desk.connect(NOW).await;
            let id = id.unwrap();

            desk.streams.close(NOW, id, &mut desk.counters);
            desk.streams.close(NOW, id, &mut desk.counters);
            drop(phone);
            while desk.streams.waiting(id).is_some() {
                desk.drive(NOW, id).await;
            }

            assert_eq!(desk.streams.lost.len(), 1);
            assert_eq!((desk.counters.connections_ended, desk.streams.len()), (1, 0));
        });
    }

    #[test]
    fn what_is_sent_to_a_connection_of_before_is_lost() {
        run(async {
            let mut desk = Desk::new(10, 10);
            let connection = ConnectionId::new(WorkerId(0), 77, 0);
            let remote = "192.0.2.1:5060".parse().unwrap();
            let flow = Flow { listener: ListenerId(0), remote, connection: Some(connection) };

            desk.streams.send(NOW, flow, OPTIONS, &mut desk.counters);

            assert_eq!(desk.streams.lost, [flow]);
            assert_eq!(desk.counters.stream_dropped, 1);
        });
    }

    #[test]
    fn overdue_connections_are_swept() {
        run(async {
            let mut desk = Desk::new(10, 10);
            let (mut phone, id) = desk.connect(NOW).await;
            phone.write_all(&OPTIONS[..10]).await.unwrap();
            assert!(desk.drive(NOW, id.unwrap()).await.is_empty());

            for _ in 0..10 {
                desk.streams.sweep(NOW + Duration::from_secs(31), &mut desk.counters);
            }

            assert_eq!((desk.counters.connections_half_message, desk.streams.len()), (1, 0));
            // The task that waits for it would let go of the socket now.
            assert_eq!(phone.read(&mut [0]).await.unwrap_or(0), 0);
        });
    }

    #[test]
    fn a_phone_registered_for_long_may_be_silent_for_as_long() {
        let settings = |expires_max| {
            let registrar = dataplane::settings::RegistrarPolicy { expires_max, ..Default::default() };
            let parts = dataplane::settings::TenantParts { registrar, ..Default::default() };
            let tenant = std::sync::Arc::new(dataplane::settings::Tenant::new(parts));
            Settings::new(1, "edge", Vec::new(), vec![tenant], Default::default(), false)
        };

        assert_eq!(Bounds::of(&settings(600)).times.idle, Duration::from_secs(7200));
        assert_eq!(Bounds::of(&settings(86_400)).times.idle, Duration::from_secs(87_000));
    }
}
