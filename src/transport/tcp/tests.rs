use dataplane::flow::{ConnectionId, ListenerId, WorkerId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

const OPTIONS: &[u8] = b"OPTIONS sip:edge SIP/2.0\r\nContent-Length: 0\r\n\r\n";
const NOW: Mono = Mono(1_000_000_000);
const DEADLINE: Duration = Duration::from_secs(10);

/// Runs `test` with the edge's and the phone's end of one connection.
fn with_connection<F: Future<Output = ()>>(test: impl FnOnce(Connection, TcpStream) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = listen("127.0.0.1:0".parse().unwrap(), Dscp::CS3).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let phone = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (io, remote) = listener.accept().await.unwrap();
        let connection = Some(ConnectionId::new(WorkerId(0), 1, 0));
        let flow = Flow { listener: ListenerId(0), remote, connection };
        let connection = Connection::new(io, flow, None, Rc::new(Notify::new()), NOW);
        tokio::time::timeout(DEADLINE, test(connection, phone)).await.expect("the test ends in time");
    });
}

/// Drives `connection` once: waits for what it waits for and moves octets.
async fn drive(connection: &mut Connection, seen: &mut Vec<String>) -> Reading {
    let interest = connection.interest().expect("something to wait for");
    connection.io().clone().ready(interest).await.unwrap();
    if matches!(connection.write_on(NOW), Writing::Ended | Writing::Slow) {
        return Reading::Ended;
    }
    connection.receive(NOW, &mut [0; 4096], &mut 0, |_, piece| {
        seen.push(match piece {
            Piece::Message(octets) => String::from_utf8_lossy(octets).into_owned(),
            Piece::Misframed { kind, .. } => format!("{kind:?}"),
            Piece::Ping => unreachable!("pings are answered below"),
        });
    })
}

fn options() -> String {
    String::from_utf8_lossy(OPTIONS).into_owned()
}

#[test]
fn octet_by_octet_and_two_in_a_segment_are_whole_messages() {
    with_connection(async |mut connection, mut phone| {
        let mut seen = Vec::new();
        phone.set_nodelay(true).unwrap();

        for octet in OPTIONS.chunks(1) {
            phone.write_all(octet).await.unwrap();
            drive(&mut connection, &mut seen).await;
        }
        phone.write_all(&OPTIONS.repeat(2)).await.unwrap();
        while seen.len() < 3 {
            drive(&mut connection, &mut seen).await;
        }

        assert_eq!(seen, [options(), options(), options()]);
    });
}

#[test]
fn a_ping_is_answered_with_one_line_break() {
    with_connection(async |mut connection, mut phone| {
        phone.write_all(b"\r\n\r\n").await.unwrap();
        drive(&mut connection, &mut Vec::new()).await;
        assert_eq!(connection.send(NOW, b"next"), Writing::Done);

        let mut answer = [0; 6];
        phone.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"\r\nnext");
    });
}

#[test]
fn who_has_ended_its_side_is_still_answered() {
    with_connection(async |mut connection, mut phone| {
        let mut seen = Vec::new();
        phone.write_all(OPTIONS).await.unwrap();
        phone.shutdown().await.unwrap();
        let mut reading = Reading::Open;
        while reading == Reading::Open {
            reading = drive(&mut connection, &mut seen).await;
        }

        assert_eq!((reading, connection.is_finished()), (Reading::Finished, true));

        assert_eq!(connection.send(NOW, b"answer"), Writing::Done);
        assert_eq!(connection.close(NOW), Writing::Ended);
        drop(connection);

        let mut answer = Vec::new();
        phone.read_to_end(&mut answer).await.unwrap();
        assert_eq!((seen, answer), (vec![options()], b"answer".to_vec()));
    });
}

#[test]
fn the_answer_to_doubtful_framing_arrives_before_the_end() {
    with_connection(async |mut connection, mut phone| {
        let mut seen = Vec::new();
        // What follows must neither be read as a message nor reset the connection before the answer is there.
        let doubtful = [b"OPTIONS sip:edge SIP/2.0\r\nContent-Length: -1\r\n\r\n", OPTIONS].concat();
        phone.write_all(&doubtful).await.unwrap();
        drive(&mut connection, &mut seen).await;
        assert_eq!(connection.send(NOW, b"400"), Writing::Done);
        phone.write_all(OPTIONS).await.unwrap();

        assert_eq!(connection.close(NOW), Writing::Done);
        assert_eq!(connection.send(NOW, b"more"), Writing::Refused);

        let mut answer = Vec::new();
        phone.read_to_end(&mut answer).await.unwrap();
        drop(phone);
        while drive(&mut connection, &mut seen).await == Reading::Open {}
        assert_eq!((seen, answer), (vec!["ContentLength".to_owned()], b"400".to_vec()));
    });
}

#[test]
fn a_phone_that_does_not_read_costs_a_bounded_queue() {
    with_connection(async |mut connection, phone| {
        let message = [b'x'; 10_000];

        let mut writing = Writing::Done;
        while writing != Writing::Slow {
            writing = connection.send(NOW, &message);
            assert!(matches!(writing, Writing::Done | Writing::Waiting | Writing::Slow));
            assert!(connection.pending.len() <= PENDING_MAX);
        }

        assert!(connection.is_writing());
        assert_eq!(
            connection.overdue(NOW + Duration::from_secs(31), &Limits::default()),
            Some(Overdue::HalfMessage)
        );
        assert_eq!(
            connection.overdue(NOW + Duration::from_secs(33), &Limits::default()),
            Some(Overdue::Slow)
        );
        drop(phone);
    });
}

#[test]
fn what_waited_arrives_in_order_and_the_buffer_goes() {
    with_connection(async |mut connection, mut phone| {
        let mut sent = Vec::new();
        let mut number = 0_u32;
        while !connection.is_writing() || sent.len() < 100 {
            let message = number.to_be_bytes().repeat(1_000);
            assert!(matches!(connection.send(NOW, &message), Writing::Done | Writing::Waiting));
            sent.extend_from_slice(&message);
            number += 1;
        }

        let total = sent.len();
        let reader = tokio::spawn(async move {
            let mut received = vec![0; total];
            phone.read_exact(&mut received).await.unwrap();
            (received, phone)
        });
        while connection.is_writing() {
            connection.io().clone().ready(Interest::WRITABLE).await.unwrap();
            assert!(matches!(connection.write_on(NOW), Writing::Done | Writing::Waiting));
        }

        let (received, _phone) = reader.await.unwrap();
        assert!(received == sent);
        assert_eq!(connection.pending.capacity(), 0);
    });
}

#[test]
fn a_reset_ends_the_connection_and_nothing_else() {
    with_connection(async |mut connection, phone| {
        SockRef::from(&phone).set_linger(Some(Duration::ZERO)).unwrap();
        drop(phone);

        while drive(&mut connection, &mut Vec::new()).await == Reading::Open {}

        assert_eq!(connection.send(NOW, b"too late"), Writing::Ended);
    });
}

#[test]
fn half_messages_and_silence_have_their_time() {
    with_connection(async |mut connection, mut phone| {
        let limits = Limits::default();
        let after = |seconds| NOW + Duration::from_secs(seconds);
        assert_eq!(connection.overdue(after(30), &limits), None);
        assert_eq!(connection.overdue(after(31), &limits), Some(Overdue::HalfMessage));

        phone.write_all(OPTIONS).await.unwrap();
        drive(&mut connection, &mut Vec::new()).await;
        assert_eq!(connection.overdue(after(7200), &limits), None);
        assert_eq!(connection.overdue(after(7201), &limits), Some(Overdue::Idle));

        phone.write_all(&OPTIONS[..9]).await.unwrap();
        drive(&mut connection, &mut Vec::new()).await;
        assert_eq!(connection.overdue(after(31), &limits), Some(Overdue::HalfMessage));

        phone.write_all(&OPTIONS[9..]).await.unwrap();
        drive(&mut connection, &mut Vec::new()).await;
        assert_eq!(connection.overdue(after(31), &limits), None);

        assert_eq!(connection.close(NOW), Writing::Done);
        assert_eq!(connection.overdue(after(3), &limits), Some(Overdue::Closed));
    });
}

/// A connection to `peer` that the edge begins to open.
fn opening(peer: SocketAddr) -> Connection {
    let io = connect(peer.ip(), peer, Dscp::CS3).unwrap();
    let connection = Some(ConnectionId::opened(WorkerId(0), 1));
    let flow = Flow { listener: ListenerId(0), remote: peer, connection };
    Connection::opening(io, flow, Rc::new(Notify::new()), NOW)
}

#[test]
fn what_is_sent_before_a_connection_to_a_peer_is_open_arrives_when_it_is() {
    with_connection(async |_, _| {
        let peer = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut connection = opening(peer.local_addr().unwrap());
        assert!(connection.is_opening() && connection.is_usable());

        assert_eq!(connection.send(NOW, OPTIONS), Writing::Waiting);
        assert_eq!(drive(&mut connection, &mut Vec::new()).await, Reading::Open);

        let (mut far, _) = peer.accept().await.unwrap();
        let mut octets = [0; OPTIONS.len()];
        far.read_exact(&mut octets).await.unwrap();
        assert_eq!((octets.as_slice(), connection.is_opening()), (OPTIONS, false));
        let limits = Limits::default();
        let quiet = |seconds| connection.overdue(NOW + Duration::from_secs(seconds), &limits);
        assert_eq!((quiet(600), quiet(601)), (None, Some(Overdue::Idle)), "it need not be spoken to first");

        let mut seen = Vec::new();
        far.write_all(OPTIONS).await.unwrap();
        while seen.is_empty() {
            drive(&mut connection, &mut seen).await;
        }
        assert_eq!(seen, [options()]);
        drop(far);
        assert_eq!(drive(&mut connection, &mut seen).await, Reading::Ended, "the peer wants no more");
    });
}

#[test]
fn connection_that_a_peer_refuses_ends_before_it_is_open() {
    with_connection(async |_, _| {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut connection = opening(free);
        connection.send(NOW, OPTIONS);

        assert_eq!(drive(&mut connection, &mut Vec::new()).await, Reading::Ended);

        assert!(connection.is_opening());
    });
}

#[test]
fn connection_that_no_peer_answers_is_given_up_after_half_a_second() {
    with_connection(async |_, _| {
        let peer = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connection = opening(peer.local_addr().unwrap());

        let limits = Limits::default();
        let after = |milliseconds| connection.overdue(NOW + Duration::from_millis(milliseconds), &limits);

        assert_eq!((after(500), after(501)), (None, Some(Overdue::Unopened)));
    });
}

#[test]
fn connection_on_which_a_peer_confirms_nothing_ends_within_seconds() {
    with_connection(async |_, _| {
        // It is taken by the system, and nobody reads.
        let peer = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut connection = opening(peer.local_addr().unwrap());
        let long = vec![b' '; 64 * 1024];

        while connection.is_opening() || connection.send(NOW, &long) == Writing::Done {
            connection.io().writable().await.unwrap();
            connection.write_on(NOW);
        }

        while drive(&mut connection, &mut Vec::new()).await != Reading::Ended {}
    });
}
