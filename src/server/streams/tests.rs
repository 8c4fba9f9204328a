use std::sync::Arc;

use bench::certificates::{Authority, phone_believing};
use rustls::{ClientConfig, ClientConnection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::transport::connections::OPENED_MAX;
use crate::transport::tls::{Certificate, Chain};
use crate::transport::{Dscp, tcp};

const NOW: Mono = Mono(1_000_000_000);
const OPTIONS: &[u8] = b"OPTIONS sip:edge SIP/2.0\r\nContent-Length: 0\r\n\r\n";

/// Connections of one worker, and the listener phones reach them by.
struct Desk {
    streams: Streams,
    counters: Counters,
    listener: TcpListener,
    tls: Acceptor,
    /// What phones go by that believe the edge.
    believing: Arc<ClientConfig>,
}

impl Desk {
    fn new(connections_max: usize, per_source_max: u32) -> Self {
        let bounds = Bounds {
            connections_max,
            per_source_max,
            half_open_max: 2,
            half_open_per_source_max: 3,
            times: Limits::default(),
        };
        let authority = Authority::new("us");
        let own = authority.host(&["edge.example"]);
        let chain = Chain::read(own.chain.as_bytes()).unwrap();
        let own = Certificate::new(chain, own.key.as_bytes()).unwrap();
        let listener = tcp::listen("127.0.0.1:0".parse().unwrap(), Dscp::CS3).unwrap();
        Self {
            streams: Streams::new(WorkerId(0), 0, bounds),
            counters: Counters::default(),
            listener: TcpListener::from_std(listener).unwrap(),
            tls: Acceptor::new(own, None),
            believing: Arc::new(phone_believing(authority.pem(), None)),
        }
    }

    /// A phone connects at `now`.
    async fn connect(&mut self, now: Mono) -> (TcpStream, Option<ConnectionId>) {
        self.connect_over(now, None).await
    }

    /// A phone connects at `now` to speak TLS, and has said nothing yet.
    async fn connect_tls(&mut self, now: Mono) -> (TcpStream, Option<ConnectionId>) {
        self.connect_over(now, Some(self.tls.clone())).await
    }

    async fn connect_over(&mut self, now: Mono, tls: Option<Acceptor>) -> (TcpStream, Option<ConnectionId>) {
        let phone = TcpStream::connect(self.listener.local_addr().unwrap()).await.unwrap();
        let accepted = self.listener.accept().await.unwrap();
        (phone, self.streams.admit(now, ListenerId(0), tls, accepted, 0, &mut self.counters))
    }

    /// The phone and `id` shake hands at `now`.
    async fn shake_hands(&mut self, now: Mono, phone: &mut TcpStream, id: ConnectionId) -> ClientConnection {
        let name = "edge.example".try_into().unwrap();
        let mut session = ClientConnection::new(Arc::clone(&self.believing), name).unwrap();
        while session.is_handshaking() || session.wants_write() {
            let mut said = Vec::new();
            while session.wants_write() {
                session.write_tls(&mut said).unwrap();
            }
            phone.write_all(&said).await.unwrap();
            self.drive(now, id).await;
            let mut answer = [0; 4096];
            let length = phone.read(&mut answer).await.unwrap();
            let mut answer = &answer[..length];
            while !answer.is_empty() {
                session.read_tls(&mut answer).unwrap();
                session.process_new_packets().unwrap();
            }
        }
        session
    }

    /// Waits for `id` and moves its octets; says what came.
    async fn drive(&mut self, now: Mono, id: ConnectionId) -> Vec<String> {
        let (io, _, interest) = self.streams.waiting(id).expect("the connection is");
        io.ready(interest.expect("something to wait for")).await.unwrap();
        let mut seen = Vec::new();
        self.streams.on_ready(now, id, &mut self.counters, |_, _, piece| seen.push(format!("{piece:?}")));
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
fn a_peer_that_has_finished_is_told_of_whenever_something_is_sent_there_and_lost_in_the_end() {
    run(async {
        let mut desk = Desk::new(10, 10);
        let (mut plain, one) = desk.connect(NOW).await;
        let (mut secret, two) = desk.connect_tls(NOW).await;
        let mut session = desk.shake_hands(NOW, &mut secret, two.unwrap()).await;
        let ids = [one.unwrap(), two.unwrap()];

        plain.shutdown().await.unwrap();
        session.send_close_notify();
        let mut farewell = Vec::new();
        session.write_tls(&mut farewell).unwrap();
        secret.write_all(&farewell).await.unwrap();
        for id in ids {
            desk.drive(NOW, id).await;
        }

        let told = std::mem::take(&mut desk.streams.finished);
        assert_eq!(told.iter().map(|flow| flow.connection).collect::<Vec<_>>(), ids.map(Some));
        for flow in &told {
            desk.streams.send(NOW, *flow, OPTIONS, &mut desk.counters);
        }
        assert_eq!(desk.streams.finished, told);
        let mut answer = vec![0; OPTIONS.len()];
        plain.read_exact(&mut answer).await.unwrap();
        assert_eq!((answer.as_slice(), desk.streams.lost.len()), (OPTIONS, 0));
        for _ in 0..10 {
            desk.streams.sweep(NOW + Duration::from_secs(33), &mut desk.counters);
        }
        desk.streams.lost.sort_by_key(|flow| flow.connection);
        assert_eq!((desk.streams.lost.as_slice(), desk.streams.len()), (told.as_slice(), 0));
    });
}

#[test]
fn peers_that_have_finished_make_room_for_their_source() {
    run(async {
        let mut desk = Desk::new(10, 2);
        let (_first, one) = desk.connect(NOW).await;
        let (mut second, two) = desk.connect(NOW + Duration::from_secs(1)).await;
        let (_third, three) = desk.connect(NOW).await;
        assert_eq!(three, None, "it has its share");

        second.shutdown().await.unwrap();
        desk.drive(NOW, two.unwrap()).await;
        let (_fourth, four) = desk.connect(NOW).await;
        let (_fifth, five) = desk.connect(NOW).await;

        assert!(four.is_some() && five.is_none());
        let lost = desk.streams.lost.iter().filter_map(|flow| flow.connection);
        assert_eq!(lost.collect::<Vec<_>>(), [two.unwrap()]);
        assert!(desk.streams.is_usable(one.unwrap()));
    });
}

#[test]
fn a_peer_that_finishes_before_its_handshake_is_gone() {
    run(async {
        let mut desk = Desk::new(10, 10);
        let (mut phone, id) = desk.connect_tls(NOW).await;

        phone.shutdown().await.unwrap();
        desk.drive(NOW, id.unwrap()).await;

        assert_eq!((desk.streams.len(), desk.streams.half_open.taken()), (0, 0));
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
fn a_handshake_has_ten_seconds_and_the_first_message_thirty() {
    run(async {
        let mut desk = Desk::new(10, 10);
        let (_silent, _) = desk.connect_tls(NOW).await;
        let (mut quiet, id) = desk.connect_tls(NOW).await;
        desk.shake_hands(NOW + Duration::from_secs(9), &mut quiet, id.unwrap()).await;
        let sweep = |desk: &mut Desk, seconds| {
            for _ in 0..10 {
                desk.streams.sweep(NOW + Duration::from_secs(seconds), &mut desk.counters);
            }
            let Counters { connections_half_open, connections_half_message, .. } = desk.counters;
            (connections_half_open, connections_half_message, desk.streams.len())
        };

        assert_eq!(desk.counters.tls_handshakes, 1);
        assert_eq!(sweep(&mut desk, 10), (0, 0, 2));
        assert_eq!(sweep(&mut desk, 11), (1, 0, 1));
        assert_eq!(sweep(&mut desk, 39), (1, 0, 1));
        assert_eq!(sweep(&mut desk, 40), (1, 1, 0));
        assert_eq!(desk.streams.half_open.taken(), 0);
    });
}

#[test]
fn a_handshake_that_goes_on_with_a_session_of_before_is_told() {
    run(async {
        let mut desk = Desk::new(10, 10);
        for resumed in [0, 1] {
            let (mut phone, id) = desk.connect_tls(NOW).await;
            desk.shake_hands(NOW, &mut phone, id.unwrap()).await;
            assert_eq!(desk.streams.resumed.len(), resumed);
        }
        assert_eq!((desk.counters.tls_handshakes, desk.counters.tls_resumptions), (1, 1));
    });
}

#[test]
fn a_handshake_too_many_ends_the_oldest_and_a_source_has_its_share() {
    run(async {
        let mut desk = Desk::new(10, 10);
        let (_first, one) = desk.connect_tls(NOW).await;
        let (_second, two) = desk.connect_tls(NOW + Duration::from_secs(1)).await;

        let (_third, three) = desk.connect_tls(NOW + Duration::from_secs(2)).await;
        desk.streams.half_open_max = 10;
        let (_fourth, four) = desk.connect_tls(NOW + Duration::from_secs(2)).await;
        let (_fifth, five) = desk.connect_tls(NOW + Duration::from_secs(2)).await;
        let (_plain, plain) = desk.connect(NOW + Duration::from_secs(2)).await;

        assert!(desk.streams.waiting(one.unwrap()).is_none());
        assert!(desk.streams.waiting(two.unwrap()).is_some());
        assert!(three.is_some() && four.is_some() && five.is_none() && plain.is_some());
        assert_eq!((desk.counters.connections_half_open, desk.counters.connections_refused), (1, 1));
    });
}

#[test]
fn what_is_no_tls_is_told_so_and_closed() {
    run(async {
        let mut desk = Desk::new(10, 10);
        let (mut phone, id) = desk.connect_tls(NOW).await;
        phone.write_all(OPTIONS).await.unwrap();

        assert!(desk.drive(NOW, id.unwrap()).await.is_empty());

        let mut heard = Vec::new();
        phone.read_to_end(&mut heard).await.unwrap();
        // An alert (RFC 8446 §6).
        assert_eq!((heard.first(), desk.counters.tls_refused), (Some(&21), 1));
        drop(phone);
        while desk.streams.waiting(id.unwrap()).is_some() {
            desk.drive(NOW, id.unwrap()).await;
        }
        assert_eq!((desk.streams.lost.len(), desk.streams.half_open.taken()), (1, 0));
    });
}

#[test]
fn a_phone_registered_for_long_may_be_silent_for_as_long() {
    let settings = |expires_max| {
        let registrar = dataplane::settings::RegistrarPolicy { expires_max, ..Default::default() };
        let parts = dataplane::settings::TenantParts { registrar, ..Default::default() };
        let tenant = Arc::new(dataplane::settings::Tenant::new(parts));
        Settings::new(1, "edge", Vec::new(), vec![tenant], Default::default(), false)
    };

    assert_eq!(Bounds::of(&settings(600), 1).times.idle, Duration::from_secs(7200));
    assert_eq!(Bounds::of(&settings(86_400), 1).times.idle, Duration::from_secs(87_000));
}

/// The `number`th connection to whoever is at `remote`.
fn to_peer(remote: SocketAddr, number: u64) -> Flow {
    let connection = Some(ConnectionId::opened(WorkerId(0), number));
    Flow { listener: ListenerId(0), remote, connection }
}

impl Desk {
    fn open(&mut self, flow: Flow) {
        self.streams.connect(NOW, flow, flow.remote.ip(), Dscp::CS3, &mut self.counters);
        self.streams.send(NOW, flow, OPTIONS, &mut self.counters);
    }
}

#[test]
fn a_connection_to_a_peer_brings_what_was_sent_on_it_and_is_lost_when_the_peer_ends_it() {
    run(async {
        let mut desk = Desk::new(1, 1);
        let peer = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let flow = to_peer(peer.local_addr().unwrap(), 1);
        let id = flow.connection.unwrap();

        desk.open(flow);
        assert_eq!(std::mem::take(&mut desk.streams.begun), [id]);
        let (mut far, _) = peer.accept().await.unwrap();
        desk.drive(NOW, id).await;

        let mut heard = vec![0; OPTIONS.len()];
        far.read_exact(&mut heard).await.unwrap();
        assert_eq!((heard.as_slice(), desk.counters.connections_opened), (OPTIONS, 1));
        let (_phone, phone) = desk.connect(NOW).await;
        assert!(phone.is_some(), "it takes no phone's place");
        assert_eq!(desk.streams.len(), 2);
        drop(far);
        while desk.streams.waiting(id).is_some() {
            desk.drive(NOW, id).await;
        }
        assert_eq!((desk.streams.lost.as_slice(), desk.streams.unopened.len()), (&[flow][..], 0));
    });
}

#[test]
fn a_connection_to_a_peer_that_comes_to_nothing_was_never_open() {
    run(async {
        let mut desk = Desk::new(1, 1);
        let peer = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let unanswered = to_peer(peer.local_addr().unwrap(), 1);
        desk.open(unanswered);
        desk.streams.sweep(NOW + Duration::from_millis(400), &mut desk.counters);
        assert!(desk.streams.unopened.is_empty());
        desk.streams.sweep(NOW + Duration::from_millis(600), &mut desk.counters);
        assert_eq!(std::mem::take(&mut desk.streams.unopened), [unanswered]);

        drop(peer);
        let refused = to_peer(unanswered.remote, 2);
        desk.open(refused);
        while desk.streams.waiting(refused.connection.unwrap()).is_some() {
            desk.drive(NOW, refused.connection.unwrap()).await;
        }

        assert_eq!((desk.streams.unopened.as_slice(), desk.streams.lost.len()), (&[refused][..], 0));
        assert_eq!((desk.counters.connections_unopened, desk.counters.connections_opened), (2, 0));
    });
}

#[test]
fn connections_to_peers_are_bounded() {
    run(async {
        let mut desk = Desk::new(1, 1);
        let peer = TcpListener::bind("127.0.0.1:0").await.unwrap();
        for number in 0..=OPENED_MAX as u64 {
            desk.open(to_peer(peer.local_addr().unwrap(), number));
        }

        assert_eq!(desk.streams.len(), OPENED_MAX);
        assert_eq!(desk.streams.unopened, [to_peer(peer.local_addr().unwrap(), OPENED_MAX as u64)]);
    });
}
