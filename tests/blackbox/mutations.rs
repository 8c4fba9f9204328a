//! Messages changed at random by the ten thousand, from a seed: the edge answers everybody else, and does not grow.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bench::phone::Transport;

use crate::edge::{Edge, Plan, person, with_credentials};
use crate::probe::Probe;

/// Messages of a run over each of UDP and TCP; `HOTDESK_MUTATIONS` asks for more.
const MESSAGES: usize = 10_000;
/// Of those that are sent once more with the right credentials.
const PROVED: usize = 600;
/// After so many the edge must be as it was.
const ROUND: usize = 500;
/// Sent before anybody waits for the edge: some hundred kilobytes, so that a socket's buffer holds them.
const VOLLEY: usize = 50;
/// What a run may leave behind, with transactions that are still waiting and what the allocator keeps.
const GROWTH_MAX: u64 = 16 << 20;
/// Stands for the number of a message, lest it be taken for the repetition of another.
const NUMBER: &[u8] = b"########";
/// A failing run is repeated with the same one.
const SEED: u64 = 2543;

fn messages() -> usize {
    env::var("HOTDESK_MUTATIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(MESSAGES)
}

#[test]
fn messages_changed_at_random_harm_nobody_in_datagrams() {
    survive(SEED, messages(), |edge, volley| {
        let mut sender = Probe::new(edge, Transport::Udp);
        volley.iter().for_each(|message| sender.send(message));
        sender.answers(b"\r\n\r\n");
    });
}

#[test]
fn messages_changed_at_random_harm_nobody_on_streams() {
    survive(SEED + 1, messages(), |edge, volley| {
        // A connection each: whose framing is lost would take the next ones with it.
        let mut senders: Vec<_> = volley.iter().map(|_| Probe::new(edge, Transport::Tcp)).collect();
        for (sender, message) in senders.iter_mut().zip(volley) {
            // It may be closed while there is more to send.
            let _ = sender.wire.send(message);
        }
        // Those whose message is not finished would be kept for half a minute, and there may be only so many from here.
        senders.into_iter().for_each(|sender| sender.wire.reset().unwrap());
    });
}

#[test]
fn messages_changed_at_random_harm_nobody_with_the_right_credentials() {
    let edge = survive(SEED + 2, PROVED, |edge, volley| {
        let mut sender = Probe::new(edge, Transport::Udp);
        for message in volley {
            let answers = sender.answers(message);
            if let Some(asked) = answers.iter().find(|answer| matches!(answer.status(), Some(401 | 407))) {
                sender.answers(&with_credentials(message, asked, &person(1)));
            }
        }
    });

    assert!(edge.metric("hotdesk_requests_forwarded_total") > 30.0, "few of them came through");
}

/// Has `count` messages sent by `send`, some at a time, and looks after the edge between them.
fn survive(seed: u64, count: usize, send: impl Fn(&Edge, &[Vec<u8>])) -> Edge {
    let edge = Edge::start(Plan::default());
    // Somebody to call, who does not answer.
    let mut callee = edge.phone(Transport::Udp, person(2));
    assert_eq!(callee.register(600).unwrap().status(), Some(200));
    let originals = originals();
    let mut random = Random { state: seed, messages: 0 };
    let mut settled = None;

    for round in 0..count.div_ceil(ROUND) {
        for _ in 0..ROUND / VOLLEY {
            let volley: Vec<_> = (0..VOLLEY).map(|_| random.mutation(&originals)).collect();
            send(&edge, &volley);
        }
        callee.listen(Duration::from_millis(1)).unwrap();
        callee.take_unasked();
        for transport in [Transport::Udp, Transport::Tcp] {
            let mut phone = edge.phone(transport, person(3));
            let answer = phone.ask_as_itself(phone.draft("OPTIONS", "sip:demo.hotdesk"));
            assert_eq!(answer.unwrap().status(), Some(200), "seed {seed}, round {round}");
        }
        settled.get_or_insert_with(|| edge.memory());
    }

    let grown = edge.memory().saturating_sub(settled.unwrap_or_default());
    assert!(grown < GROWTH_MAX, "seed {seed}: {grown} octets more than after {ROUND} messages");
    assert!(edge.metric("hotdesk_worker_panics_total") == 0.0, "seed {seed}");
    edge
}

/// Messages worth changing: those of the torture sets, of real phones, and calls that this edge would put through.
fn originals() -> Vec<Vec<u8>> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("parser/tests");
    let mut files: Vec<PathBuf> = ["torture/rfc4475", "torture/rfc5118", "phones"]
        .iter()
        .flat_map(|folder| fs::read_dir(tests.join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let mut originals: Vec<_> = files.iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(originals.len() > 60);
    let number = String::from_utf8_lossy(NUMBER);
    for (method, user) in
        [("REGISTER", "1001"), ("INVITE", "1002"), ("MESSAGE", "1002"), ("INVITE", "*11*1001*73400001")]
    {
        let uri =
            if method == "REGISTER" { "sip:demo.hotdesk".into() } else { format!("sip:{user}@demo.hotdesk") };
        let message = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.9:5060;rport;branch=z9hG4bK{number}\r\nMax-Forwards: 70\r\n\
             From: \"Person 1\" <sip:1001@demo.hotdesk>;tag=1\r\nTo: <sip:{user}@demo.hotdesk>\r\nCall-ID: {number}\r\n\
             CSeq: 1 {method}\r\nContact: <sip:1001@192.168.1.9:5060>;expires=600\r\nSupported: replaces, timer\r\n\
             Content-Type: application/sdp\r\nContent-Length: 78\r\n\r\n\
             v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"
        );
        // As many again as of the others, so that what lies behind the first checks is reached too.
        originals.extend(std::iter::repeat_n(message.into_bytes(), 15));
    }
    originals
}

/// SplitMix64, and how many messages came of it.
struct Random {
    state: u64,
    messages: u32,
}

impl Random {
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn one_of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }

    /// An original with one to eight changes.
    fn mutation(&mut self, originals: &[Vec<u8>]) -> Vec<u8> {
        let mut octets = originals[self.below(originals.len())].clone();
        self.messages += 1;
        let number = format!("{:08}", self.messages);
        while let Some(at) = octets.windows(NUMBER.len()).position(|window| window == NUMBER) {
            octets[at..at + NUMBER.len()].copy_from_slice(number.as_bytes());
        }
        for _ in 0..=self.below(8) {
            self.change(&mut octets, originals);
        }
        // A datagram holds no more.
        octets.truncate(60_000);
        octets
    }

    fn change(&mut self, octets: &mut Vec<u8>, originals: &[Vec<u8>]) {
        const ODD: [&[u8]; 24] = [
            b"\0",
            b"\r",
            b"\n",
            b"\r\n",
            b"\r\n\r\n",
            b" ",
            b"\t",
            b"\"",
            b"<",
            b">",
            b"\\",
            b"%",
            b"%00",
            b";",
            b",",
            b":",
            b"@",
            b"=",
            b"*",
            b"\xff",
            b"\xc0\xaf",
            b"4294967296",
            b"-1",
            b"18446744073709551616",
        ];
        let at = self.below(octets.len() + 1);
        let end = (at + self.below(40)).min(octets.len());
        match self.below(8) {
            0 if at < octets.len() => octets[at] = self.next() as u8,
            1 if at < octets.len() => octets[at] ^= 1 << self.below(8),
            2 => drop(octets.drain(at..end)),
            3 => {
                let piece = octets[at..end].repeat(1 + self.below(200));
                octets.splice(at..at, piece);
            }
            4 => {
                let lines: Vec<_> =
                    octets.split_inclusive(|octet| *octet == b'\n').map(<[u8]>::to_vec).collect();
                if !lines.is_empty() {
                    let line = lines[self.below(lines.len())].clone();
                    let before: usize = lines.iter().take(self.below(lines.len())).map(Vec::len).sum();
                    octets.splice(before..before, line);
                }
            }
            5 => {
                let other = &originals[self.below(originals.len())];
                octets.truncate(at);
                octets.extend_from_slice(&other[at.min(other.len())..]);
            }
            6 if self.below(4) == 0 => octets.truncate(at),
            _ => drop(octets.splice(at..at, self.one_of(&ODD).iter().copied())),
        }
    }
}
