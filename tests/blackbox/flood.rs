//! A flood from one source: everybody else is served. A scanner: the log says so, for tools that read it.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use bench::deadline::{Deadline, now};
use bench::phone::Transport;

use crate::edge::{DOMAIN, Edge, PATIENCE, PEOPLE, Plan};

/// What is sent each hundredth of a second: ten thousand REGISTER a second, from one address and port.
const AT_ONCE: u32 = 100;
const PAUSE: Duration = Duration::from_millis(10);

const LASTING: Duration = Duration::from_secs(5);

/// What one source may send a second; five seconds' worth may come at once. So little that a flood is one on any machine.
const RATE: u32 = 50;
const LIMITS: &str = "[admission]\nsource_rate = 50\nphone_rate = 1000\n";

/// The flood is no less than this, however long it takes: several times what is read of it meanwhile.
const FLOOD: u32 = 4_000;

/// How many REGISTERs were sent, and how many answered until when.
struct Flood {
    sent: u32,
    answered: u32,
    lasted: Duration,
}

/// The REGISTER of this number that comes `from` there without a password.
pub(crate) fn register(from: SocketAddr, number: u32) -> String {
    format!(
        "REGISTER sip:{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bKf{number};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:desk-1@{DOMAIN}>;tag=1\r\nTo: <sip:desk-1@{DOMAIN}>\r\n\
         Call-ID: flood-{number}\r\nCSeq: 1 REGISTER\r\nContact: <sip:desk-1@{from}>\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

/// Floods until `is_over`, with REGISTERs of which each is another.
fn flood(socket: &UdpSocket, edge: SocketAddr, is_over: &AtomicBool) -> Flood {
    let from = socket.local_addr().unwrap();
    socket.set_read_timeout(Some(PAUSE)).unwrap();
    let (begun, mut sent, mut answered) = (now(), 0, 0);
    while !is_over.load(Ordering::Relaxed) || sent < FLOOD {
        for number in sent..sent + AT_ONCE {
            // A full buffer is no reason to stop.
            let _ = socket.send_to(register(from, number).as_bytes(), edge);
        }
        sent += AT_ONCE;
        while socket.recv(&mut [0; 2048]).is_ok() {
            answered += 1;
        }
    }
    Flood { sent, answered, lasted: begun.elapsed() }
}

#[test]
fn flood_of_one_source_leaves_the_others_their_answers() {
    let edge = Edge::start(Plan { limited: true, more: LIMITS, ..Plan::default() });
    let to = edge.address(Transport::Udp);
    let mut phones: Vec<_> = (1..=PEOPLE).map(|number| edge.desk(Transport::Udp, number)).collect();
    phones.iter_mut().for_each(|phone| phone.set_patience(PATIENCE));
    // From the very address of the phones, as one of them would that has gone mad.
    let flooder = UdpSocket::bind((phones[0].address().ip(), 0)).unwrap();
    let is_over = AtomicBool::new(false);

    let (mut asked, mut in_time) = (0, 0);
    let Flood { sent, answered, lasted } = thread::scope(|scope| {
        let flooding = scope.spawn(|| flood(&flooder, to, &is_over));
        let end = Deadline::after(LASTING);
        while end.left().is_some() {
            for phone in &mut phones {
                let begun = now();
                let is_granted = phone.register(600).is_ok_and(|answer| answer.status() == Some(200));
                asked += 1;
                in_time += u32::from(is_granted && begun.elapsed() < PATIENCE);
            }
        }
        is_over.store(true, Ordering::Relaxed);
        flooding.join().unwrap()
    });

    assert!(in_time * 100 >= asked * 95, "{in_time} of {asked} were answered in time");
    // Five seconds' worth at once, and what time has paid since.
    let may = RATE * (5 + 1) + RATE * lasted.as_millis() as u32 / 1_000;
    assert!(answered <= may, "{answered} of {sent} were read in {lasted:?}");
    assert!(edge.metric("hotdesk_dropped_over_limit_total") > 0.0, "{answered} of {sent} in {lasted:?}");
}

#[test]
fn scanner_is_one_line_of_the_log_that_fail2ban_can_read() {
    let mut edge = Edge::start(Plan { limited: true, ..Plan::default() });
    let options = |transport: &str| {
        format!(
            "OPTIONS sip:{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/{transport} scanner;branch=z9hG4bKs;rport\r\nMax-Forwards: 70\r\n\
             From: <sip:100@{DOMAIN}>;tag=1\r\nTo: <sip:{DOMAIN}>\r\nCall-ID: scan\r\nCSeq: 1 OPTIONS\r\n\
             User-Agent: friendly-scanner\r\nContent-Length: 0\r\n\r\n"
        )
    };

    // The filter of docs/operations.md, which is plain text but for the address.
    let page = include_str!("../../docs/operations.md");
    let filter = page.lines().find_map(|line| line.strip_prefix("failregex = ")).unwrap();
    let finds = |line: &str, address| line.contains(&filter.replace("<ADDR>", address));
    let scanner = UdpSocket::bind("127.0.66.6:0").unwrap();
    let port = scanner.local_addr().unwrap().port();
    scanner.send_to(options("UDP").as_bytes(), edge.address(Transport::Udp)).unwrap();
    let line = edge.wait_for_log("slowed");
    let tail =
        format!(" WARN slowed port address=127.0.66.6 port={port} reason=scanner seconds=600 over=datagrams");
    assert!(line.ends_with(&tail), "{line}");
    assert!(!finds(&line, "127.0.66.6"), "{line}");

    let mut scanner = TcpStream::connect(edge.address(Transport::Tcp)).unwrap();
    scanner.write_all(options("TCP").as_bytes()).unwrap();
    let line = edge.wait_for_log("banned");
    let tail = " WARN banned address address=127.0.0.1 reason=scanner seconds=600 over=connections";
    assert!(line.ends_with(tail), "{line}");
    assert!(finds(&line, "127.0.0.1"), "{filter} in {line}");

    // Counted by the workers, which hand their counts out when they have nothing else to do.
    edge.wait_for_metric("hotdesk_slowed_total", 1.0);
    edge.wait_for_metric("hotdesk_bans_total", 1.0);
}
