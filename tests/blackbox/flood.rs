//! A flood from one source: everybody else is served. A scanner: the log says so, for tools that read it.

use std::net::UdpSocket;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use bench::deadline::{Deadline, now};
use bench::phone::Transport;

use crate::edge::{DOMAIN, Edge, PATIENCE, PEOPLE, Plan};

/// What is sent each hundredth of a second: ten thousand REGISTER a second, from one address and port.
const AT_ONCE: u32 = 100;

const LASTING: Duration = Duration::from_secs(5);

#[test]
fn flood_of_one_source_leaves_the_others_their_answers() {
    let edge = Edge::start(Plan { limited: true, ..Plan::default() });
    let to = edge.address(Transport::Udp);
    let mut phones: Vec<_> = (1..=PEOPLE).map(|number| edge.desk(Transport::Udp, number)).collect();
    phones.iter_mut().for_each(|phone| phone.set_patience(PATIENCE));
    // From the very address of the phones, as one of them would that has gone mad.
    let flooder = UdpSocket::bind((phones[0].address().ip(), 0)).unwrap();
    let from = flooder.local_addr().unwrap();
    let (stop, stopped) = mpsc::channel::<()>();
    let flood = thread::spawn(move || {
        let mut sent = 0;
        while stopped.recv_timeout(Duration::from_millis(10)) == Err(RecvTimeoutError::Timeout) {
            for number in sent..sent + AT_ONCE {
                let register = format!(
                    "REGISTER sip:{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bKf{number};rport\r\n\
                     Max-Forwards: 70\r\nFrom: <sip:desk-1@{DOMAIN}>;tag=1\r\nTo: <sip:desk-1@{DOMAIN}>\r\n\
                     Call-ID: flood-{number}\r\nCSeq: 1 REGISTER\r\nContact: <sip:desk-1@{from}>\r\n\
                     Content-Length: 0\r\n\r\n"
                );
                flooder.send_to(register.as_bytes(), to).unwrap();
            }
            sent += AT_ONCE;
        }
        sent
    });

    let (mut asked, mut in_time) = (0, 0);
    let end = Deadline::after(LASTING);
    while end.left().is_some() {
        for phone in &mut phones {
            let begun = now();
            let is_granted = phone.register(600).is_ok_and(|answer| answer.status() == Some(200));
            asked += 1;
            in_time += u32::from(is_granted && begun.elapsed() < PATIENCE);
        }
    }
    stop.send(()).unwrap();
    let sent = flood.join().unwrap();

    assert!(in_time * 100 >= asked * 95, "{in_time} of {asked} were answered in time");
    // A machine that is busy elsewhere may not have sent so much.
    let over = edge.metric("hotdesk_dropped_over_limit_total");
    assert!(over > 0.0 || sent < 10_000, "{over} of {sent} were not read");
}

#[test]
fn ban_is_one_line_of_the_log_that_fail2ban_can_read() {
    let mut edge = Edge::start(Plan { limited: true, ..Plan::default() });
    let scanner = UdpSocket::bind("127.0.66.6:0").unwrap();
    let from = scanner.local_addr().unwrap();
    let options = format!(
        "OPTIONS sip:{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bKs;rport\r\nMax-Forwards: 70\r\n\
         From: <sip:100@{DOMAIN}>;tag=1\r\nTo: <sip:{DOMAIN}>\r\nCall-ID: scan\r\nCSeq: 1 OPTIONS\r\n\
         User-Agent: friendly-scanner\r\nContent-Length: 0\r\n\r\n"
    );

    scanner.send_to(options.as_bytes(), edge.address(Transport::Udp)).unwrap();
    let line = edge.wait_for_log("banned");

    // The expression of docs/operations.md: banned address address=<ADDR> reason=
    assert!(
        line.ends_with(
            " WARN banned address address=127.0.66.6 reason=\"scanner\" seconds=600 over=\"datagrams\""
        ),
        "{line}"
    );
    // Counted by the worker, which hands its counts out when it has nothing else to do.
    edge.wait_for_metric("hotdesk_bans_total", 1.0);
}
