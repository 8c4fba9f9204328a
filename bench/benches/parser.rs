//! T1: the parser at three depths beside `httparse`, on eight messages of desk phones.
//!
//! Criterion's figures are times; a shared machine doubles them from one minute to the next. So the summary at the end
//! measures once more, all four in turn within every round, and prints ratios: xhttp is the time relative to `httparse`
//! in the same round, the median over rounds, then over messages.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bench::parsing::{MESSAGES, as_http, http, l0, l1, l2};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};

/// Rounds of the summary: odd, so that there is a middle one.
const ROUNDS: usize = 101;
/// Messages read in one go, so that reading the clock costs nothing: some 100 µs.
const READS: usize = 200;

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

criterion_group!(benches, depths);

fn main() {
    benches();
    Criterion::default().configure_from_args().final_summary();
    // `cargo test` and `cargo bench -- --test` only see that it runs.
    if std::env::args().any(|argument| argument == "--bench")
        && !std::env::args().any(|argument| argument == "--test")
    {
        summary();
    }
}

fn summary() {
    println!(
        "{:<24} {:>6} {:>9} {:>7} {:>7} {:>7}",
        "xhttp, medians of rounds", "octets", "httparse", "L0", "L1", "L2"
    );
    let mut depths = [const { Vec::new() }; 3];
    for (name, bytes) in MESSAGES {
        let text = as_http(bytes);
        let (mut base, mut ratios) = (Vec::new(), [const { Vec::new() }; 3]);
        for _ in 0..ROUNDS {
            let of_http = time(|| http(black_box(&text)));
            let of_depths =
                [time(|| l0(black_box(bytes))), time(|| l1(black_box(bytes))), time(|| l2(black_box(bytes)))];
            base.push(of_http);
            for (ratios, spent) in ratios.iter_mut().zip(of_depths) {
                ratios.push(spent / of_http);
            }
        }
        let [l0, l1, l2] = ratios.map(median);
        println!("{name:<24} {:>6} {:>6.0} ns {l0:>7.2} {l1:>7.2} {l2:>7.2}", bytes.len(), median(base));
        for (depth, ratio) in depths.iter_mut().zip([l0, l1, l2]) {
            depth.push(ratio);
        }
    }
    let [l0, l1, l2] = depths.map(median);
    println!("{:<24} {:>6} {:>9} {l0:>7.2} {l1:>7.2} {l2:>7.2}", "median over messages", "", "1");
}

/// Nanoseconds of one call.
fn time<T>(read: impl Fn() -> T) -> f64 {
    let begun = Instant::now();
    for _ in 0..READS {
        black_box(read());
    }
    begun.elapsed().as_nanos() as f64 / READS as f64
}

/// The middle one, or the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
    f64::midpoint(low, high)
}
