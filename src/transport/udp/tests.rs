use std::process::Command;
use std::time::Duration;

use rustix::net::sockopt::ip_mtu_discover;

use super::*;
use crate::wall_clock;

/// Receives until `count` datagrams came or the socket stays silent for five seconds.
fn receive_all(socket: &UdpSocket, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut receiver = Receiver::new();
    let mut all = Vec::new();
    while all.len() < count {
        await_readable(socket);
        let batch = receiver.receive(socket).expect("a readable socket gives a datagram");
        all.extend(batch.iter().map(|(from, octets)| (from, octets.to_vec())));
    }
    all
}

/// Blocks until there is a datagram, at most five seconds.
fn await_readable(socket: &UdpSocket) {
    let blocking = socket.try_clone().unwrap();
    blocking.set_nonblocking(false).unwrap();
    blocking.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    blocking.peek(&mut [0]).expect("a datagram comes");
    blocking.set_nonblocking(true).unwrap();
}

fn echo_round(address: &str) {
    let edge = bind(address.parse().unwrap(), Dscp::CS3).unwrap();
    let phones: Vec<UdpSocket> = (0..3).map(|_| bind(address.parse().unwrap(), Dscp::CS3).unwrap()).collect();
    // 63 octets of a pattern, an empty datagram, and the longest one.
    let longest = vec![7; 65_507];
    for (phone, octets) in phones.iter().zip([&b"REGISTER"[..], b"", &longest]) {
        phone.send_to(octets, edge.local_addr().unwrap()).unwrap();
    }

    let received = receive_all(&edge, 3);
    let sent = Sender::new().send(&edge, received.iter().map(|(from, octets)| (*from, octets.as_slice())));

    assert_eq!(sent, Sent { done: 3, refused: 0, blocked: false });
    for (phone, octets) in phones.iter().zip([&b"REGISTER"[..], b"", &longest]) {
        let back = receive_all(phone, 1);
        assert_eq!(back[0].0, edge.local_addr().unwrap());
        assert!(back[0].1 == octets);
    }
}

#[test]
fn datagrams_come_with_their_source_and_go_back_to_it() {
    echo_round("127.0.0.1:0");
}

#[test]
fn ipv6_datagrams_come_with_their_source_and_go_back_to_it() {
    echo_round("[::1]:0");
}

#[test]
fn more_than_a_batch_arrives_whole_and_in_order() {
    let edge = bind("127.0.0.1:0".parse().unwrap(), Dscp::CS3).unwrap();
    let phone = bind("127.0.0.1:0".parse().unwrap(), Dscp::CS3).unwrap();
    let messages: Vec<Vec<u8>> = (0..150_u8).map(|n| vec![n; usize::from(n) + 1]).collect();
    let to = phone.local_addr().unwrap();

    let sent = Sender::new().send(&edge, messages.iter().map(|octets| (to, octets.as_slice())));

    assert_eq!(sent, Sent { done: 150, refused: 0, blocked: false });
    let received: Vec<Vec<u8>> = receive_all(&phone, 150).into_iter().map(|(_, octets)| octets).collect();
    assert_eq!(received, messages);
}

#[test]
fn a_full_socket_says_at_once_how_many_it_lost() {
    let edge = bind("127.0.0.1:0".parse().unwrap(), Dscp::CS3).unwrap();
    let phone = bind("127.0.0.1:0".parse().unwrap(), Dscp::CS3).unwrap();
    let octets = [7; 1400];
    let to = edge.local_addr().unwrap();
    assert_eq!(dropped(&edge).unwrap(), 0);
    let burst = || std::iter::repeat_n((to, &octets[..]), 20_000);
    // More than a socket may hold, whatever the system allows.
    let sent = Sender::new().send(&phone, burst());
    assert_eq!((sent.done, sent.refused), (20_000, 0));

    let lost = dropped(&edge).unwrap();

    let mut receiver = Receiver::new();
    let mut received = 0;
    while let Ok(batch) = receiver.receive(&edge) {
        received += batch.len();
    }
    assert!(received < 20_000);
    assert_eq!(lost as usize, 20_000 - received);
}

#[test]
fn a_socket_says_when_the_last_datagram_of_a_batch_came() {
    let edge = bind("127.0.0.1:0".parse().unwrap(), Dscp::CS3).unwrap();
    let phone = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut receiver = Receiver::new();
    assert_eq!(last_came_at(&edge), None);
    // A system that has not been asked for long begins to write it down a little later, and says until then when it is asked.
    let is_written_down = || {
        phone.send_to(b"sooner", edge.local_addr().unwrap()).unwrap();
        await_readable(&edge);
        let now = wall_clock::since_1970();
        receiver.receive(&edge).unwrap();
        last_came_at(&edge).is_some_and(|came_at| came_at <= now)
    };
    assert!(std::iter::repeat_with(is_written_down).take(1_000).any(|it_is| it_is));

    phone.send_to(b"first", edge.local_addr().unwrap()).unwrap();
    await_readable(&edge);
    let before = wall_clock::since_1970();
    phone.send_to(b"second", edge.local_addr().unwrap()).unwrap();
    let after = wall_clock::since_1970();
    let batch = receiver.receive(&edge).unwrap();
    let came_at = last_came_at(&edge).expect("the system writes it down");

    assert_eq!(batch.len(), 2);
    assert!(before <= came_at && came_at <= after, "{before:?} {came_at:?} {after:?}");
}

#[test]
fn one_unreachable_destination_costs_the_others_nothing() {
    let edge = bind("127.0.0.1:0".parse().unwrap(), Dscp::CS3).unwrap();
    let phone = bind("127.0.0.1:0".parse().unwrap(), Dscp::CS3).unwrap();
    let to = phone.local_addr().unwrap();
    let too_long = vec![0; 65_508];

    let messages = [(to, &b"one"[..]), (to, &too_long), (to, b"two")];
    let sent = Sender::new().send(&edge, messages.into_iter());

    assert_eq!(sent, Sent { done: 3, refused: 1, blocked: false });
    let received: Vec<Vec<u8>> = receive_all(&phone, 2).into_iter().map(|(_, octets)| octets).collect();
    assert_eq!(received, [b"one", b"two"]);
}

#[test]
fn a_message_longer_than_any_datagram_costs_an_ipv6_batch_nothing() {
    let edge = bind("[::1]:0".parse().unwrap(), Dscp::CS3).unwrap();
    let phone = bind("[::1]:0".parse().unwrap(), Dscp::CS3).unwrap();
    let to = phone.local_addr().unwrap();
    let too_long = vec![0; 65_528];

    let sent = Sender::new().send(&edge, [(to, &too_long[..]), (to, b"one")].into_iter());

    assert_eq!(sent, Sent { done: 2, refused: 1, blocked: false });
    assert_eq!(receive_all(&phone, 1)[0].1, b"one");
}

/// Passes the test of this name in a network of its own, whose loopback has the MTU of an Ethernet. True: this is that
/// network. Where one may not be made, or without `unshare` and `ip`, the test is left out, and says so.
fn is_in_ethernet(test: &str) -> bool {
    const INSIDE: &str = "HOTDESK_TEST_IN_ETHERNET";
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let network = |then: &str| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--net", "sh", "-c"]);
        command.arg(format!("ip link set lo mtu 1500 up && {then}")).arg(std::env::current_exe().unwrap());
        command
    };
    if !network("true").status().is_ok_and(|status| status.success()) {
        eprintln!("left out: no network of one's own can be made here");
        return false;
    }
    let name = format!("{}::{test}", module_path!().split_once("::").expect("a crate").1);
    let passed =
        network("exec \"$0\" --exact \"$1\" --nocapture").arg(name).env(INSIDE, "").output().unwrap();
    let output = String::from_utf8_lossy(&passed.stdout);
    assert!(passed.status.success() && output.contains("1 passed"), "{output}");
    false
}

#[test]
fn what_does_not_fit_the_path_leaves_in_fragments_and_in_its_turn() {
    if !is_in_ethernet("what_does_not_fit_the_path_leaves_in_fragments_and_in_its_turn") {
        return;
    }
    let edge = bind("127.0.0.1:0".parse().unwrap(), Dscp::CS3).unwrap();
    let phone = bind("127.0.0.1:0".parse().unwrap(), Dscp::CS3).unwrap();
    let to = phone.local_addr().unwrap();
    // The longest that fits (RFC 791 §3.1: 20 octets of header, and 8 of UDP), the next, and much longer ones.
    let lengths = [3, 1_472, 1_473, 9_000, 4, 60_000, 65_507, 65_508, 5];
    let messages = lengths.map(|length| vec![length as u8; length]);
    assert_eq!(edge.send_to(&messages[2], to).unwrap_err().raw_os_error(), Some(libc::EMSGSIZE));

    let sent = Sender::new().send(&edge, messages.iter().map(|octets| (to, octets.as_slice())));

    assert_eq!(sent, Sent { done: 9, refused: 1, blocked: false });
    let received = receive_all(&phone, 8);
    assert!(received.iter().all(|(from, _)| *from == edge.local_addr().unwrap()));
    let sendable = messages.iter().filter(|octets| octets.len() <= 65_507);
    assert!(received.iter().map(|(_, octets)| octets).eq(sendable));
    assert_eq!(ip_mtu_discover(&edge).unwrap(), WHOLE);
}

#[test]
fn an_empty_socket_would_block() {
    let edge = bind("127.0.0.1:0".parse().unwrap(), Dscp::CS3).unwrap();

    let error = Receiver::new().receive(&edge).err().expect("nothing was sent");

    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn workers_share_a_port() {
    let first = bind("127.0.0.1:0".parse().unwrap(), Dscp::CS3).unwrap();

    let second = bind(first.local_addr().unwrap(), Dscp::CS3).unwrap();

    assert_eq!(first.local_addr().unwrap(), second.local_addr().unwrap());
}

#[test]
fn addresses_survive_the_kernels_form() {
    for text in ["192.0.2.1:5060", "[2001:db8::1]:5061", "[fe80::1%3]:5060"] {
        let address: SocketAddr = text.parse().unwrap();
        let mut name = Name::EMPTY;

        let length = name.set(address);

        assert_eq!(name.address(length), Some(address));
    }
}

#[test]
fn a_source_of_another_kind_is_no_address() {
    assert_eq!(Name::EMPTY.address(0), None);
    assert_eq!(Name::EMPTY.address(NAME_V4_OCTETS as libc::socklen_t), None);
}

/// What of these comes through to a socket that leaves this share of REGISTER requests unread; an `END` follows them all.
fn passes(address: &str, share: u32, datagrams: &[&[u8]]) -> Vec<Vec<u8>> {
    let edge = bind(address.parse().unwrap(), Dscp::CS3).unwrap();
    leave_unread(&edge, share).unwrap();
    let phone = bind(address.parse().unwrap(), Dscp::CS3).unwrap();
    let mut receiver = Receiver::new();
    let mut all: Vec<Vec<u8>> = Vec::new();
    // No more at once than any socket holds.
    for datagrams in datagrams.chunks(16) {
        datagrams.iter().chain(&[&b"END"[..]]).for_each(|octets| {
            phone.send_to(octets, edge.local_addr().unwrap()).unwrap();
        });
        loop {
            await_readable(&edge);
            let batch = receiver.receive(&edge).unwrap();
            all.extend(batch.iter().map(|(_, octets)| octets.to_vec()));
            if all.pop_if(|last| last == b"END").is_some() {
                break;
            }
        }
    }
    all
}

#[test]
fn nothing_but_register_is_left_unread() {
    let others: [&[u8]; 9] = [
        b"",
        b"\0",
        b"\r\n",
        b"\r\n\r\n",
        b"REGISTER",
        b"REGISTERED sip:a SIP/2.0\r\n",
        b"REGISTRY sip:a SIP/2.0\r\n",
        b"INVITE sip:REGISTER@a SIP/2.0\r\n",
        b"SIP/2.0 200 OK\r\n",
    ];
    let all = [&others[..], &[b"REGISTER sip:a SIP/2.0\r\n", b"REGISTER "]].concat();
    for address in ["127.0.0.1:0", "[::1]:0"] {
        assert_eq!(passes(address, u32::MAX, &all), others, "{address}");
        assert_eq!(passes(address, 0, &all), all, "{address}");
    }
}

#[test]
fn of_register_so_many_are_left_unread_as_is_asked() {
    let register: &[u8] = b"REGISTER sip:a SIP/2.0\r\n";

    let quarter = passes("127.0.0.1:0", u32::MAX / 4 * 3, &[register; 1_000]).len();

    assert!((150..350).contains(&quarter), "{quarter}");
}

#[test]
fn socket_reads_all_again_and_says_how_many_were_left_unread() {
    let (edge, phone) =
        (bind("127.0.0.1:0".parse().unwrap(), Dscp::CS3).unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let send = |octets: &[u8]| phone.send_to(octets, edge.local_addr().unwrap()).unwrap();
    let mut receiver = Receiver::new();
    leave_unread(&edge, u32::MAX).unwrap();
    leave_unread(&edge, u32::MAX - 1).unwrap();
    for _ in 0..3 {
        send(b"REGISTER sip:a SIP/2.0\r\n");
    }
    leave_unread(&edge, 0).unwrap();
    leave_unread(&edge, 0).unwrap();
    send(b"REGISTER sip:b SIP/2.0\r\n");

    await_readable(&edge);
    let batch = receiver.receive(&edge).unwrap();

    assert_eq!(batch.iter().map(|(_, octets)| octets[13]).collect::<Vec<_>>(), b"b");
    assert_eq!(dropped(&edge).unwrap(), 3);
}
