//! What it costs that a message lands at one worker and belongs to another.
//!
//! ```text
//! hand-over [ROUNDS]              processor time, on two threads
//! hand-over WAY TIMES             WAY: landed, handed-over, sent-on; for instruction counts
//! ```
//!
//! The message is a 180 of a callee, which the proxy sends on to the caller. *landed*: it comes to the worker that forwarded
//! the INVITE. *handed-over*: it comes to the other one, whose dataplane reads it and finds by its branch whose it is; the
//! octets go over the ring, and the first worker serves them. *sent-on*: a message that a dataplane has written for a
//! connection of the other worker goes over the ring, up to where it would be written to the connection.
//!
//! Under callgrind only the functions `landed`, `handed_over` and `sent_on` are to be counted (`--toggle-collect`). A round
//! of the other form is A B B A: in A all land where they belong, in B all at the other thread; a worker that has nothing
//! sleeps in its runtime, as in the server.

use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use bench::in_memory::{Desk, Role, settings};
use bench::phone::{Challenge, Message};
use dataplane::flow::{ConnectionId, Flow, WorkerId};
use dataplane::input::Input;
use dataplane::now::{Mono, Now};
use dataplane::output::{Outbox, Output};
use dataplane::return_path::RoutingKeys;
use dataplane::settings::Settings;
use dataplane::{Dataplane, Tables};
use handoff::{Handed, Item, Ring};
use nix::time::ClockId;

#[path = "../../../src/server/handoff.rs"]
#[expect(dead_code, unreachable_pub, reason = "the server's own ring, of which this needs a part")]
mod handoff;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rounds, unless the command line says otherwise; the first only warms up.
const ROUNDS: usize = 31;

/// Calls that ring, as many as messages in a receive batch.
const CALLS: u32 = 64;

/// Messages of a part of a round: what a ring holds, so that none is lost.
const MESSAGES: usize = 4_096;

const EXPIRES: u32 = 3600;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        [] | [_] => {
            let rounds = words.first().map_or(Some(ROUNDS), |rounds| rounds.parse().ok());
            rounds.filter(|rounds| *rounds > 0).map(compare)
        }
        [way, times] => times.parse().ok().and_then(|times| count(way, times)),
        _ => None,
    };
    if done.is_none() {
        eprintln!("hand-over [ROUNDS] | hand-over landed|handed-over|sent-on TIMES");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// One way, `times` times, on this thread.
fn count(way: &str, times: usize) -> Option<()> {
    let (mut owner, mut other, ringing) = calls();
    let ring = Ring::new();
    let connection = Some(ConnectionId::new(WorkerId(0), 1, 0));
    for (flow, octets) in ringing.iter().cycle().take(times) {
        match way {
            "landed" => landed(&mut owner, *flow, octets),
            "handed-over" => handed_over(&mut owner, &mut other, &ring, *flow, octets),
            "sent-on" => drop(sent_on(&ring, Flow { connection, ..*flow }, octets)),
            _ => return None,
        }
    }
    println!("{way}: {times} times {} octets", ringing[0].1.len());
    Some(())
}

#[inline(never)]
fn landed(owner: &mut Worker, flow: Flow, octets: &[u8]) {
    owner.serve(Input::Received { flow, certified: None, bytes: octets });
}

#[inline(never)]
fn handed_over(owner: &mut Worker, other: &mut Worker, ring: &Ring, flow: Flow, octets: &[u8]) {
    other.hand_over(ring, flow, octets);
    owner.empty(ring);
}

#[inline(never)]
fn sent_on(ring: &Ring, flow: Flow, octets: &[u8]) -> Option<Item> {
    ring.offer(Handed::Send { flow, octets: octets.into() });
    ring.take()
}

/// Both ways in turn; prints the processor time of all threads for each message.
fn compare(rounds: usize) {
    let (mut owner, mut other, ringing) = calls();
    let (mut times, mut more) = ([Vec::new(), Vec::new()], Vec::new());
    for round in 0..=rounds {
        let mut spent = [0; 2];
        for way in [0, 1, 1, 0] {
            spent[way] += match way {
                0 => processor_time_of(|| {
                    ringing.iter().cycle().take(MESSAGES).for_each(|(flow, octets)| {
                        landed(&mut owner, *flow, octets);
                    });
                }),
                _ => apart(&mut owner, &mut other, &ringing),
            };
        }
        if round > 0 {
            let [landed, handed_over] = spent.map(|nanos| nanos as f64 / (2 * MESSAGES) as f64);
            times[0].push(landed);
            times[1].push(handed_over);
            more.push(handed_over - landed);
        }
    }
    let [landed, handed_over] = times;
    for (name, times) in [("landed", landed), ("handed over", handed_over), ("more", more)] {
        println!("{name:<12} {} ns of processor a message", summary(times));
    }
    println!("{rounds} rounds, {} messages each way and round", 2 * MESSAGES);
}

/// All messages land at the other worker, on its own thread; the processor time of both.
fn apart(owner: &mut Worker, other: &mut Worker, ringing: &[(Flow, Vec<u8>)]) -> u64 {
    let (ring, start) = (&Ring::new(), &Barrier::new(2));
    let served = owner.served;
    thread::scope(|scope| {
        let handing = scope.spawn(move || {
            start.wait();
            processor_time_of(|| {
                ringing.iter().cycle().take(MESSAGES).for_each(|(flow, octets)| {
                    other.hand_over(ring, *flow, octets);
                });
            })
        });
        let serving = scope.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
            let runtime = runtime.expect("the system has a descriptor left");
            start.wait();
            processor_time_of(|| {
                while owner.served - served < MESSAGES {
                    runtime.block_on(ring.filled());
                    owner.empty(ring);
                }
            })
        });
        [handing, serving].into_iter().map(|thread| thread.join().expect("no worker panics")).sum()
    })
}

/// Median and range.
fn summary(mut figures: Vec<f64>) -> String {
    figures.sort_by(f64::total_cmp);
    let [least, .., most] = figures[..] else { return format!("{:.0}", figures.first().unwrap_or(&0.0)) };
    format!("{:.0} ({least:.0} - {most:.0})", figures[figures.len() / 2])
}

/// Two workers over the same tables, calls that the first has forwarded, and the 180 of each callee.
fn calls() -> (Worker, Worker, Vec<(Flow, Vec<u8>)>) {
    let settings = Arc::new(settings(2 * CALLS));
    let tables = Arc::new(Tables::new([2; 32]));
    let [mut owner, other] = [0, 1].map(|id| Worker::new(id, &settings, &tables));
    let desk = |number| Desk::new(number, Ipv4Addr::from(0x0a00_0000 + number), 1);
    let mut desks: Vec<Desk> = (0..2 * CALLS).map(desk).collect();
    for desk in &mut desks {
        owner.register(desk, Role::Device);
        owner.register(desk, Role::Extension(desk.number));
    }
    let mut ringing = Vec::new();
    for pair in desks.chunks_exact_mut(2) {
        let callee = Role::Extension(pair[1].number).user(pair[1].number);
        let (flow, invite) = (pair[0].flow(), pair[0].invite(&callee, true));
        let sent = owner.sent(flow, &invite);
        let invite =
            sent.iter().find(|message| message.is_request("INVITE")).expect("the INVITE is forwarded");
        ringing.push((pair[1].flow(), pair[1].answer(invite, "180 Ringing")));
    }
    (owner, other, ringing)
}

/// A dataplane, what it put out, and how much it has served.
struct Worker {
    dataplane: Dataplane,
    outbox: Outbox,
    now: Now,
    served: usize,
}

impl Worker {
    fn new(id: u8, settings: &Arc<Settings>, tables: &Arc<Tables>) -> Self {
        let now = Now { mono: Mono::from_seconds(1), wall: 1_767_225_600_000 };
        let keys = Arc::new(RoutingKeys::new(&[(1, [1; 32])], [1; 32]));
        let (settings, tables) = (Arc::clone(settings), Arc::clone(tables));
        let dataplane = Dataplane::new(WorkerId(id), 2, settings, keys, tables, [id; 32], now);
        Self { dataplane, outbox: Outbox::new(), now, served: 0 }
    }

    fn register(&mut self, desk: &mut Desk, role: Role) {
        let request = desk.register(role, EXPIRES, false);
        let challenge = self.sent(desk.flow(), &request).iter().find_map(Challenge::read);
        desk.keep(role, challenge);
        let request = desk.register(role, EXPIRES, true);
        assert!(self.sent(desk.flow(), &request).iter().any(|message| message.status() == Some(200)));
    }

    /// What leaves because of `bytes`.
    fn sent(&mut self, flow: Flow, bytes: &[u8]) -> Vec<Message> {
        self.outbox.clear();
        self.dataplane.handle(self.now, Input::Received { flow, certified: None, bytes }, &mut self.outbox);
        self.outbox.messages().map(|(_, sent)| Message::new(String::from_utf8_lossy(sent))).collect()
    }

    /// A 180 that is at home here, and is sent on.
    fn serve(&mut self, input: Input<'_>) {
        self.outbox.clear();
        self.dataplane.handle(self.now, input, &mut self.outbox);
        assert_eq!(self.outbox.messages().len(), 1, "the caller is told that it rings");
        self.served += 1;
    }

    /// A 180 that landed here, and goes to `ring` as the server's worker has it.
    fn hand_over(&mut self, ring: &Ring, flow: Flow, bytes: &[u8]) {
        self.outbox.clear();
        self.dataplane.handle(self.now, Input::Received { flow, certified: None, bytes }, &mut self.outbox);
        for output in self.outbox.take_outputs() {
            let Output::HandOver { flow, range, .. } = output else { continue };
            let octets = self.outbox.bytes(&range).into();
            assert!(ring.offer(Handed::HandOver { flow, octets }), "a part of a round fits the ring");
        }
    }

    /// Serves what is on `ring`.
    fn empty(&mut self, ring: &Ring) {
        while let Some(item) = ring.take() {
            let Item::Handed(Handed::HandOver { flow, octets }) = item else { continue };
            self.serve(Input::HandedOver { flow, bytes: &octets });
        }
    }
}

/// Nanoseconds for which this thread has a processor while it does `work`.
fn processor_time_of(work: impl FnOnce()) -> u64 {
    let now = || ClockId::CLOCK_THREAD_CPUTIME_ID.now().expect("Linux has this clock");
    let begun = now();
    work();
    Duration::from(now() - begun).as_nanos() as u64
}
