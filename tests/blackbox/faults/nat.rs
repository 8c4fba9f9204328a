//! Half of the phones behind one NAT: one address with many ports, beside somebody who floods.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use bench::phone::{Account, Phone, Transport, Wire};

use super::{address, call};
use crate::edge::{DOMAIN, Edge, Plan};

/// Half of them behind the NAT.
const PHONES: u16 = 240;

/// An office, a home, a café: others have an address each.
const NAT: Ipv4Addr = Ipv4Addr::new(127, 63, 0, 1);
const OTHERS: u8 = 64;
const FLOODER: Ipv4Addr = Ipv4Addr::new(127, 65, 0, 1);

/// Messages of the flooder that are under way at a time; the next follow when these are answered, or when no more answers
/// come for so long.
const VOLLEY: usize = 20;
const PAUSE: Duration = Duration::from_millis(10);

fn number(phone: u16) -> String {
    (3000 + phone).to_string()
}

fn account(phone: u16) -> Account {
    Account::new(&number(phone), &format!("secret of {phone}"), DOMAIN)
}

/// Their accounts.
static EXTENSIONS: LazyLock<String> = LazyLock::new(|| {
    let mut text = String::new();
    for phone in 0..PHONES {
        let Account { user, password, .. } = account(phone);
        writeln!(
            text,
            "[[tenant.extension]]\nnumber = \"{user}\"\npassword = \"{password}\"\nown_phones_max = 1"
        )
        .unwrap();
    }
    text
});

/// REGISTERs of nobody without end; they are counted.
fn flood(edge: SocketAddr, over: &AtomicBool, sent: &AtomicU64) {
    let socket = UdpSocket::bind((FLOODER, 0)).unwrap();
    socket.connect(edge).unwrap();
    socket.set_read_timeout(Some(PAUSE)).unwrap();
    while !over.load(Ordering::Relaxed) {
        for _ in 0..VOLLEY {
            let number = sent.fetch_add(1, Ordering::Relaxed);
            let register = format!(
                "REGISTER sip:{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/UDP {FLOODER};branch=z9hG4bKf{number}\r\n\
                 Max-Forwards: 70\r\nFrom: <sip:3000@{DOMAIN}>;tag=1\r\nTo: <sip:3000@{DOMAIN}>\r\n\
                 Call-ID: f{number}\r\nCSeq: 1 REGISTER\r\nContact: <sip:3000@{FLOODER}>\r\nContent-Length: 0\r\n\r\n"
            );
            // A full buffer is no reason to stop.
            let _ = socket.send(register.as_bytes());
        }
        let mut awaited = VOLLEY;
        while awaited > 0 && socket.recv(&mut [0; 2048]).is_ok() {
            awaited -= 1;
        }
    }
}

#[test]
fn hundreds_of_phones_behind_one_address_are_served_as_any_while_somebody_floods() {
    let edge = Edge::start(Plan { limited: true, more: EXTENSIONS.as_str(), ..Plan::default() });
    let listener = edge.address(Transport::Udp);
    let (over, sent) = (AtomicBool::new(false), AtomicU64::new(0));

    thread::scope(|scope| {
        let flooding = scope.spawn(|| flood(listener, &over, &sent));
        let mut phones: Vec<_> = (0..PHONES)
            .map(|phone| {
                let own: IpAddr = if phone % 2 == 0 { NAT.into() } else { address(OTHERS, phone).into() };
                let wire = Wire::open_udp(listener, own).unwrap();
                Phone::over(wire, account(phone)).unwrap()
            })
            .collect();

        // All of them come, stay and call one another, near and far.
        for _ in 0..2 {
            for phone in &mut phones {
                assert_eq!(phone.register(600).unwrap().status(), Some(200), "{phone:?}");
            }
        }
        for first in (0..usize::from(PHONES) - 2).step_by(7) {
            let [caller, near, far] = &mut phones[first..first + 3] else { unreachable!("there are three") };
            call(caller, far, &far.account().user.clone());
            call(near, caller, &caller.account().user.clone());
        }
        over.store(true, Ordering::Relaxed);
        flooding.join().unwrap();
    });

    assert_eq!(edge.metric("hotdesk_bindings"), f64::from(PHONES));
    assert!(sent.load(Ordering::Relaxed) >= 100, "that was no flood");
}
