//! T12: what it costs two workers to share their tables: processor time of a REGISTER refresh in one dataplane that works
//! alone, and in two on two threads at once.
//!
//! ```text
//! two-threads [ROUNDS [REFRESHES [DESKS]]]
//! ```
//!
//! Each worker has half of the desks. A round is A B C C B A: in A one worker works alone, in B both at once over shared
//! tables, in C both at once, each over tables of its own. So B / A is what a second worker costs the first, C / A what of
//! it is the machine's (caches and memory that two processors share), and B / C what the tables add. Requests are
//! written before the clock is read; the clock is the thread's own, of processor time.

use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use bench::in_memory::{Desk, Role, settings};
use bench::phone::{Challenge, Message};
use dataplane::flow::{Flow, WorkerId};
use dataplane::input::Input;
use dataplane::now::{Mono, Now};
use dataplane::output::Outbox;
use dataplane::return_path::RoutingKeys;
use dataplane::settings::Settings;
use dataplane::{Dataplane, Tables};
use nix::time::ClockId;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rounds, refreshes of each desk in a part of a round, desks of each worker, unless the command line says otherwise.
const DEFAULTS: [u32; 3] = [15, 10, 2_000];

/// Messages between two looks at timers, as in a receive batch.
const BATCH: usize = 64;

const EXPIRES: u32 = 3600;

fn main() -> ExitCode {
    let mut numbers = DEFAULTS;
    let words = std::env::args().skip(1);
    for (at, word) in words.enumerate() {
        match (numbers.get_mut(at), word.parse()) {
            (Some(number), Ok(given @ 1..)) => *number = given,
            _ => {
                eprintln!("two-threads [ROUNDS [REFRESHES [DESKS]]]");
                return ExitCode::FAILURE;
            }
        }
    }
    let [rounds, refreshes, desks] = numbers;
    let settings = Arc::new(settings(2 * desks));
    let tables = || Arc::new(Tables::new([2; 32]));
    let (shared, own) = (tables(), [tables(), tables()]);
    let mut together = [0_u8, 1].map(|id| Worker::new(id, desks, &settings, &shared));
    let mut apart = [0_u8, 1].map(|id| Worker::new(id, desks, &settings, &own[usize::from(id)]));

    let mut ratios = [const { Vec::new() }; 3];
    let mut times = [const { Vec::new() }; 3];
    for round in 0..=rounds {
        let mut spent = [0; 3];
        for part in [0, 1, 2, 2, 1, 0] {
            spent[part] += match part {
                // Who works alone changes within the round.
                0 => 2 * work(&mut together[spent[0].min(1) as usize..][..1], refreshes),
                1 => work(&mut together, refreshes),
                _ => work(&mut apart, refreshes),
            };
        }
        // The first round only warms up.
        if round > 0 {
            let [alone, shared, own] = spent.map(|nanos| nanos as f64 / f64::from(4 * desks * refreshes));
            times.iter_mut().zip([alone, shared, own]).for_each(|(times, time)| times.push(time / 1000.0));
            let each = [shared / alone, own / alone, shared / own];
            ratios.iter_mut().zip(each).for_each(|(ratios, ratio)| ratios.push(ratio));
        }
    }
    let names = ["A, one thread", "B, two threads, shared tables", "C, two threads, tables apart"];
    for (name, times) in names.iter().zip(times) {
        println!("{name:<30} {} us of processor a refresh", summary(times));
    }
    for (name, ratios) in ["B / A", "C / A", "B / C"].iter().zip(ratios) {
        println!("{name:<30} {}", summary(ratios));
    }
    println!("{rounds} rounds, {} refreshes a thread and part", desks * refreshes);
    ExitCode::SUCCESS
}

/// Median and range.
fn summary(mut figures: Vec<f64>) -> String {
    figures.sort_by(f64::total_cmp);
    let [least, .., most] = figures[..] else { return format!("{:.3}", figures.first().unwrap_or(&0.0)) };
    format!("{:.3} ({least:.3} - {most:.3})", figures[figures.len() / 2])
}

/// Has each of `workers` refresh all its phones on a thread of its own, all of them at once; the processor time of all.
fn work(workers: &mut [Worker], refreshes: u32) -> u64 {
    let start = Barrier::new(workers.len());
    let start = &start;
    thread::scope(|scope| {
        let threads: Vec<_> = workers
            .iter_mut()
            .map(|worker| {
                scope.spawn(move || {
                    let requests = worker.requests(refreshes);
                    start.wait();
                    worker.serve(&requests)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no worker panics")).sum()
    })
}

/// A dataplane and the phones it serves.
struct Worker {
    dataplane: Dataplane,
    outbox: Outbox,
    now: Now,
    desks: Vec<Desk>,
}

impl Worker {
    /// All its phones have registered.
    fn new(id: u8, desks: u32, settings: &Arc<Settings>, tables: &Arc<Tables>) -> Self {
        let now = Now { mono: Mono::from_seconds(1), wall: 1_767_225_600_000 };
        let keys = Arc::new(RoutingKeys::new(&[(1, [1; 32])], [1; 32]));
        let (settings, tables) = (Arc::clone(settings), Arc::clone(tables));
        let dataplane = Dataplane::new(WorkerId(id), 2, settings, keys, tables, [id; 32], now);
        let numbers = u32::from(id) * desks..(u32::from(id) + 1) * desks;
        let desk = |number| Desk::new(number, Ipv4Addr::from(0x0a00_0000 + number), 1);
        let mut worker = Self { dataplane, outbox: Outbox::new(), now, desks: numbers.map(desk).collect() };
        for at in 0..worker.desks.len() {
            let desk = &mut worker.desks[at];
            let (flow, request) = (desk.flow(), desk.register(Role::Device, EXPIRES, false));
            let challenge = Challenge::read(&worker.answer(flow, &request));
            worker.desks[at].keep(Role::Device, challenge);
            let request = worker.desks[at].register(Role::Device, EXPIRES, true);
            assert_eq!(worker.answer(flow, &request).status(), Some(200));
        }
        worker
    }

    fn answer(&mut self, flow: Flow, bytes: &[u8]) -> Message {
        self.outbox.clear();
        self.dataplane.handle(self.now, Input::Received { flow, certified: None, bytes }, &mut self.outbox);
        let (_, answer) = self.outbox.messages().next().expect("a REGISTER is answered");
        Message::new(String::from_utf8_lossy(answer))
    }

    /// What its phones send, in turn, so often.
    fn requests(&mut self, refreshes: u32) -> Vec<(Flow, Vec<u8>)> {
        let mut requests = Vec::with_capacity(self.desks.len() * refreshes as usize);
        for _ in 0..refreshes {
            requests.extend(
                self.desks.iter_mut().map(|desk| (desk.flow(), desk.register(Role::Device, EXPIRES, true))),
            );
        }
        requests
    }

    /// Takes `requests` as they would come off a socket; its processor time.
    fn serve(&mut self, requests: &[(Flow, Vec<u8>)]) -> u64 {
        let begun = processor_time();
        let before = self.dataplane.counters().registers_refreshed;
        for batch in requests.chunks(BATCH) {
            self.now.mono = self.now.mono + Duration::from_micros(500);
            for (flow, bytes) in batch {
                self.dataplane.handle(
                    self.now,
                    Input::Received { flow: *flow, certified: None, bytes },
                    &mut self.outbox,
                );
            }
            self.outbox.take_outputs();
            self.outbox.clear();
            if self.dataplane.next_timeout().is_some_and(|due| due <= self.now.mono) {
                self.dataplane.handle_timeout(self.now, &mut self.outbox);
            }
        }
        let spent = processor_time() - begun;
        let refreshed = self.dataplane.counters().registers_refreshed - before;
        assert_eq!(refreshed, requests.len() as u64, "every refresh is accepted");
        spent
    }
}

/// Nanoseconds for which this thread has had a processor.
fn processor_time() -> u64 {
    let time = ClockId::CLOCK_THREAD_CPUTIME_ID.now().expect("Linux has this clock");
    Duration::from(time).as_nanos() as u64
}
