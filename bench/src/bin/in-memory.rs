//! Fixed runs for instruction counts: parser and dataplane in memory, each so often as the command line says.
//!
//! ```text
//! in-memory parser DEPTH [TIMES]        DEPTH: httparse, L0, L1, L2; each of the eight messages TIMES times
//! in-memory OPERATION [TIMES [DESKS]]   OPERATION: refresh, refresh-trusted, challenge, new-binding, swap, dialled-log-in, call,
//!                                       refused-call
//! ```
//!
//! Under callgrind only the functions `bench::parsing::{http,l0,l1,l2}`, `Edge::take` and `Edge::tick` are to be
//! counted (`--toggle-collect`); docs/benchmarks.md has the commands. Without callgrind it prints the rate within
//! the edge.

use std::hint::black_box;
use std::process::ExitCode;

use bench::in_memory::{Floor, Operation};
use bench::parsing::{MESSAGES, as_http, http, l0, l1, l2};

const USAGE: &str = "in-memory parser httparse|L0|L1|L2 [TIMES]\n\
                     in-memory refresh|refresh-trusted|challenge|new-binding|swap|dialled-log-in|call|refused-call [TIMES [DESKS]]";

/// Times, and desks, unless the command line says otherwise.
const DEFAULTS: (u64, u32) = (1_000, 1_000);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&words) {
        Some(()) => ExitCode::SUCCESS,
        None => {
            eprintln!("{USAGE}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Option<()> {
    match words {
        ["parser", depth, rest @ ..] => {
            let times = number(rest.first())?.unwrap_or(DEFAULTS.0);
            read(depth, times)
        }
        [operation, rest @ ..] => {
            let operation = Operation::of_name(operation)?;
            let times = number(rest.first())?.unwrap_or(DEFAULTS.0);
            let desks = number(rest.get(1))?.unwrap_or(DEFAULTS.1);
            perform(operation, times, desks);
            Some(())
        }
        [] => None,
    }
}

fn read(depth: &str, times: u64) -> Option<()> {
    for (name, bytes) in MESSAGES {
        let text = as_http(bytes);
        for _ in 0..times {
            match depth {
                "httparse" => drop(black_box(http(black_box(&text)))),
                "L0" => drop(black_box(l0(black_box(bytes)))),
                "L1" => drop(black_box(l1(black_box(bytes)))),
                "L2" => drop(black_box(l2(black_box(bytes)))),
                _ => return None,
            }
        }
        println!("{name}: {times} times {} octets", bytes.len());
    }
    Some(())
}

fn perform(operation: Operation, times: u64, desks: u32) {
    let mut floor = Floor::ready_for(operation, desks);
    floor.edge.metered = true;
    for _ in 0..times {
        floor.perform(operation);
    }
    let spent = floor.edge.take_spent();
    let (received, sent) = operation.messages();
    println!(
        "{}: {times} times, {received} messages in and {sent} out; {:.2} us each, {:.0} a second",
        operation.name(),
        spent.as_secs_f64() * 1e6 / times as f64,
        times as f64 / spent.as_secs_f64()
    );
}

/// A number where there is a word; `None` if the word is none.
fn number<N: std::str::FromStr>(word: Option<&&str>) -> Option<Option<N>> {
    match word {
        Some(word) => Some(Some(word.parse().ok()?)),
        None => Some(None),
    }
}
