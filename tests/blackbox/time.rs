//! How long a person waits. From the last message of a log-in, the INVITE with the dialled string and credentials, to
//! the first call that rings at the new device: within lie the check of the PIN, the write to the store, the 200, and
//! a call by somebody else who dials the moment that 200 is there and is challenged first.
//!
//! `cargo test --release --test blackbox rings_at_the_new_desk -- --nocapture --test-threads 1` prints the figures.

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use bench::deadline::now;
use bench::phone::{Direction, Message, Phone, Transport};
use hotdesk::backend::pin::hash;

use crate::edge::{Edge, Plan, log_in_code, pin, pin_hash};

/// Log-ins that count.
const ROUNDS: usize = 50;
/// Log-ins before them, until both desks and every table have been in use.
const WARM_UP: usize = 4;

/// Ten times what is promised, for machines that do other things as well. It holds for the median.
const BOUND: Duration = Duration::from_millis(200);

/// The moments at which INVITEs go by.
struct Watched {
    phone: Phone,
    invites: Receiver<(Direction, Instant)>,
}

impl Watched {
    fn new(mut phone: Phone) -> Self {
        let (seen, invites) = channel();
        phone.observe(Box::new(move |direction, message: &Message| {
            if message.is_request("INVITE") {
                // Nobody looks any more when the test is over.
                let _ = seen.send((direction, now()));
            }
        }));
        Self { phone, invites }
    }

    /// When the last INVITE was sent and the last one heard, of those since this was asked before.
    fn last_invites(&self) -> (Instant, Instant) {
        let invites: Vec<_> = self.invites.try_iter().collect();
        let last = |direction| {
            let seen = invites.iter().rev().find(|(which, _)| *which == direction);
            seen.map(|(_, at)| *at).unwrap()
        };
        (last(Direction::Sent), last(Direction::Heard))
    }
}

/// Times of the log-ins of 1001, to and fro between two desks, in order of length.
fn times(edge: &Edge) -> Vec<Duration> {
    let mut caller = edge.taken_desk(Transport::Udp, 3);
    let mut desks = [1, 2].map(|number| Watched::new(edge.desk(Transport::Udp, number)));
    let mut times = Vec::with_capacity(ROUNDS);
    for round in 0..WARM_UP + ROUNDS {
        let [first, second] = &mut desks;
        let (desk, old) = if round % 2 == 0 { (first, second) } else { (second, first) };
        let mut log_in = desk.phone.dial(&log_in_code(1)).unwrap();
        assert_eq!(desk.phone.outcome(&mut log_in).unwrap().status(), Some(200));
        let mut outgoing = caller.dial("1001").unwrap();
        let mut incoming = desk.phone.rings().unwrap();
        let (last_sent, rang) = desk.last_invites();

        desk.phone.give(&mut incoming, 486).unwrap();
        assert_eq!(caller.outcome(&mut outgoing).unwrap().status(), Some(486));
        desk.phone.acknowledged(&incoming).unwrap();
        desk.phone.expect("BYE").unwrap();
        // Both are told before the next log-in, as they are where people change desks once a day.
        desk.phone.expect("NOTIFY").unwrap();
        if round > 0 {
            old.phone.expect("NOTIFY").unwrap();
        }
        if round >= WARM_UP {
            times.push(rang - last_sent);
        }
    }
    times.sort();
    times
}

/// Prints what was measured; returns the median.
fn median_of(what: &str, times: &[Duration]) -> Duration {
    let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)];
    let shown = [50, 99].map(|part| format!("{:.2} ms", at(part).as_secs_f64() * 1e3));
    println!("log-in to ring, {what}: median {}, p99 {}, {} log-ins", shown[0], shown[1], times.len());
    at(50)
}

/// Two workers: the desk's may not be the caller's.
fn plan(store: &'static str) -> Plan {
    Plan { workers: 2, store, ..Plan::default() }
}

#[test]
fn a_call_rings_at_the_new_desk_at_once() {
    for store in ["memory", "embedded"] {
        let edge = Edge::start(plan(store));

        let median = median_of(&format!("$hmac-sha256$, store {store}"), &times(&edge));

        assert!(median <= BOUND, "{median:?}");
    }
}

/// Without a bound: Argon2 that is not optimised takes several times what it takes in a release.
#[test]
fn a_call_rings_at_the_new_desk_with_a_slow_hash_too() {
    let mut edge = Edge::start(plan("embedded"));
    let slow = hash::hash_argon2id(pin(1).as_bytes()).unwrap();
    edge.rewrite(|text| text.replace(pin_hash(1), &slow));
    edge.signal("HUP");
    edge.wait_for_log("configuration reloaded");

    let times = times(&edge);

    median_of("$argon2id$, store embedded", &times);
    assert_eq!(times.len(), ROUNDS);
}
