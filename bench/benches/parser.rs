//! T1: the parser at three depths beside `httparse`, on eight messages of desk phones; and what an octet of hostile input
//! costs at 4, 16 and 64 KiB.
//!
//! Criterion's figures are times; a shared machine doubles them from one minute to the next. So the summary at the end
//! measures once more, all four in turn within every round, and prints ratios: xhttp is the time relative to `httparse`
//! in the same round, the median over rounds, then over messages.
//!
//! The summary's figures are written to `target/parser.json` too, or to the file that `PARSER_FIGURES` names:
//!
//! ```text
//! {"messages": [{"name", "octets", "httparse_ns", "xhttp": {"L0": {"median", "low", "high"}, "L1", "L2"}}],
//!  "xhttp": {"L0", "L1", "L2"},                        medians over messages
//!  "hostile": [{"name", "points": [{"octets", "ns_an_octet"}], "longest_ms"}]}
//! ```
//!
//! Half of the rounds lie between `low` and `high`.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

#[path = "../../parser/tests/bombs.rs"]
mod bombs;

use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bench::parsing::{MESSAGES, as_http, http, l0, l1, l2};
use bombs::{UNBOUNDED, bombs, read_all};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use serde_json::{Value, json};

/// Rounds of the summary: odd, so that there is a middle one.
const ROUNDS: usize = 101;
/// Messages read in one go, so that reading the clock costs nothing: some 100 µs.
const READS: usize = 200;
/// The depths of [`bench::parsing`] by their names.
const DEPTHS: [&str; 3] = ["L0", "L1", "L2"];

/// Octets of the bombs: the last is the longest head that is read at all.
const BOMBS: [usize; 3] = [4 * 1_024, 16 * 1_024, 64 * 1_024 - 1];
/// Rounds a bomb is read in.
const BOMB_ROUNDS: usize = 15;
/// No bomb may take longer.
const BOMB_TIME_MAX: Duration = Duration::from_millis(50);

fn depths(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parser");
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1)).sample_size(50);
    for (name, bytes) in MESSAGES {
        let text = as_http(bytes);
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(BenchmarkId::new("httparse", name), |b| b.iter(|| http(black_box(&text))));
        group.bench_function(BenchmarkId::new("L0", name), |b| b.iter(|| l0(black_box(bytes))));
        group.bench_function(BenchmarkId::new("L1", name), |b| b.iter(|| l1(black_box(bytes))));
        group.bench_function(BenchmarkId::new("L2", name), |b| b.iter(|| l2(black_box(bytes))));
    }
    group.finish();
}

fn hostile(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hostile");
    group
        .warm_up_time(Duration::from_millis(50))
        .measurement_time(Duration::from_millis(200))
        .sample_size(10);
    for octets in BOMBS {
        for (name, bytes) in bombs(octets) {
            group.throughput(Throughput::Bytes(bytes.len() as u64));
            group.bench_function(BenchmarkId::new(name, octets), |b| {
                b.iter(|| read_all(black_box(&bytes), &UNBOUNDED));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, depths, hostile);

fn main() {
    benches();
    Criterion::default().configure_from_args().final_summary();
    // `cargo test` and `cargo bench -- --test` only see that it runs.
    if std::env::args().any(|argument| argument == "--bench")
        && !std::env::args().any(|argument| argument == "--test")
    {
        let figures = summary();
        let path = figures_path();
        let text = serde_json::to_string_pretty(&figures).expect("keys are text");
        std::fs::write(&path, text + "\n").expect("the figures can be written");
        println!("\n{}", path.display());
    }
}

/// Where the figures go: beside the build, unless the environment says where.
fn figures_path() -> PathBuf {
    std::env::var_os("PARSER_FIGURES").map_or_else(
        || {
            let program = std::env::current_exe().expect("a program knows its file");
            // The program lies in `target/release/deps`.
            program.ancestors().nth(3).expect("it was built by cargo").join("parser.json")
        },
        PathBuf::from,
    )
}

fn summary() -> Value {
    println!(
        "{:<24} {:>6} {:>11} {:>18} {:>18} {:>18}",
        "xhttp, median (spread)", "octets", "httparse", "L0", "L1", "L2"
    );
    let mut depths = [const { Vec::new() }; DEPTHS.len()];
    let mut messages = Vec::new();
    for (name, bytes) in MESSAGES {
        let (base, ratios) = compare(bytes);
        let spreads = ratios.map(Spread::of);
        let base = Spread::of(base).median;
        let [l0, l1, l2] = spreads.map(|spread| spread.to_string());
        println!("{name:<24} {:>6} {base:>8.0} ns {l0:>18} {l1:>18} {l2:>18}", bytes.len());
        for (depth, spread) in depths.iter_mut().zip(spreads) {
            depth.push(spread.median);
        }
        let [l0, l1, l2] = spreads.map(Spread::json);
        messages.push(json!({
            "name": name, "octets": bytes.len(), "httparse_ns": base, "xhttp": { "L0": l0, "L1": l1, "L2": l2 },
        }));
    }
    let [l0, l1, l2] = depths.map(|ratios| Spread::of(ratios).median);
    println!("{:<24} {:>6} {:>11} {l0:>18.2} {l1:>18.2} {l2:>18.2}", "median over messages", "", "1");
    json!({ "messages": messages, "xhttp": { "L0": l0, "L1": l1, "L2": l2 }, "hostile": bomb_figures() })
}

/// Nanoseconds of `httparse`, and the ratios of the depths to it, round by round.
fn compare(bytes: &[u8]) -> (Vec<f64>, [Vec<f64>; DEPTHS.len()]) {
    let text = as_http(bytes);
    let (mut base, mut ratios) = (Vec::new(), [const { Vec::new() }; DEPTHS.len()]);
    for _ in 0..ROUNDS {
        let of_http = time(READS, || http(black_box(&text)));
        let of_depths = [
            time(READS, || l0(black_box(bytes))),
            time(READS, || l1(black_box(bytes))),
            time(READS, || l2(black_box(bytes))),
        ];
        base.push(of_http);
        for (ratios, spent) in ratios.iter_mut().zip(of_depths) {
            ratios.push(spent / of_http);
        }
    }
    (base, ratios)
}

/// What an octet of each bomb costs at each length. The least of some rounds is taken, so that what else the machine
/// does counts little.
///
/// # Panics
/// If reading one takes longer than [`BOMB_TIME_MAX`].
fn bomb_figures() -> Vec<Value> {
    let [small, middle, big] = BOMBS.map(|octets| format!("{} KiB", octets.div_ceil(1_024)));
    println!("\n{:<24} {small:>8} {middle:>8} {big:>8} {:>14}", "hostile, ns an octet", "the longest");
    let lengths = BOMBS.map(bombs);
    let mut figures = Vec::new();
    for (number, (name, _)) in lengths[0].iter().enumerate() {
        let bytes = lengths.each_ref().map(|bombs| &bombs[number].1);
        let spent = bytes.map(|bytes| {
            let rounds = (0..BOMB_ROUNDS).map(|_| time(1, || read_all(black_box(bytes), &UNBOUNDED)));
            rounds.fold(f64::INFINITY, f64::min)
        });
        let each: [f64; BOMBS.len()] = core::array::from_fn(|at| spent[at] / bytes[at].len() as f64);
        let ([small, middle, big], [.., longest]) = (each, spent);
        println!("{name:<24} {small:>8.2} {middle:>8.2} {big:>8.2} {:>11.3} ms", longest / 1e6);
        assert!(longest < BOMB_TIME_MAX.as_nanos() as f64, "{name} takes too long");
        let points: Vec<_> = (BOMBS.iter().zip(each))
            .map(|(octets, each)| json!({ "octets": octets, "ns_an_octet": each }))
            .collect();
        figures.push(json!({ "name": name, "points": points, "longest_ms": longest / 1e6 }));
    }
    figures
}

/// Nanoseconds of one call, of `calls` in a row.
fn time<T>(calls: usize, read: impl Fn() -> T) -> f64 {
    let begun = Instant::now();
    for _ in 0..calls {
        black_box(read());
    }
    begun.elapsed().as_nanos() as f64 / calls as f64
}

/// The middle of some figures, and between what half of them lie.
#[derive(Clone, Copy)]
struct Spread {
    median: f64,
    low: f64,
    high: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let last = values.len() - 1;
        // The middle one, or the mean of the two in the middle.
        let median = f64::midpoint(values[last / 2], values[last.div_ceil(2)]);
        Self { median, low: values[last / 4], high: values[last - last / 4] }
    }

    fn json(self) -> Value {
        json!({ "median": self.median, "low": self.low, "high": self.high })
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = format!("{:.2} ({:.2} – {:.2})", self.median, self.low, self.high);
        f.pad(&text)
    }
}
