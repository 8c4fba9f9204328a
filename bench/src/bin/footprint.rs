//! T7: what one binding costs, all included: how much the process grows while phones register.
//!
//! ```text
//! footprint [BINDINGS [device|extension]]      the figure for so many bindings
//! footprint --json [BINDINGS [device|extension]]
//! footprint --curve [BINDINGS]                 for 10,000 bindings and more, up to so many, as JSON for `pictures`
//! ```
//!
//! The dataplane runs in this process under the allocator of the `hotdesk` program, store `memory`. Each phone is
//! challenged, registers, and forgets what it was told, so what stays is the edge's. PSS (what of the memory is this
//! process's alone, plus its part of what is shared) is read from /proc/self/smaps_rollup before and after. Accounts
//! are there before: what the configuration costs is a line of its own.

use std::fs;
use std::process::{Command, ExitCode};

use bench::in_memory::{Floor, Role};
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Unless the command line says otherwise.
const BINDINGS: u32 = 100_000;
const CURVE_BINDINGS: u32 = 1_000_000;

/// Where a curve begins: with fewer, what the process has anyway outweighs the bindings.
const CURVE_START: u32 = 10_000;

/// Points of a curve each time the bindings double: enough to see tables grow.
const POINTS_PER_DOUBLING: u32 = 4;

const USAGE: &str = "footprint [--json] [BINDINGS [device|extension]]\nfootprint --curve [BINDINGS]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["--curve", ref rest @ ..] => curve(rest),
        ["--points", bindings, role] => points(bindings, role),
        ["--json", ref rest @ ..] => figure(rest).map(|figure| println!("{}", figure.to_json())),
        ref rest => figure(rest).map(|figure| figure.print()),
    };
    if done.is_none() {
        eprintln!("{USAGE}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// As whom the phone on a desk registers.
type OfDesk = fn(u32) -> Role;

/// What was measured, in octets each.
struct Figure {
    bindings: u32,
    role: &'static str,
    /// A device and an extension.
    configured: f64,
    binding: f64,
}

impl Figure {
    fn print(&self) {
        println!("{} bindings", self.bindings);
        println!("a device and an extension configured  {:>6.0} octets", self.configured);
        println!("a binding, all included               {:>6.0} octets", self.binding);
    }

    fn to_json(&self) -> Value {
        json!({
            "bindings": self.bindings,
            "role": self.role,
            "bytes_configured": self.configured,
            "bytes_each": self.binding,
        })
    }
}

/// `None`: the words mean nothing.
fn figure(words: &[&str]) -> Option<Figure> {
    let (bindings, role) = match *words {
        [] => (BINDINGS, "device"),
        [bindings] => (number(bindings)?, "device"),
        [bindings, role] => (number(bindings)?, role),
        _ => return None,
    };
    let (role, of_desk) = role_of(role)?;
    let empty = pss();
    let mut floor = Floor::new(bindings);
    let configured = pss();
    register(&mut floor, 0..bindings, of_desk);
    let registered = pss();
    let each = |grown: u64| grown as f64 / f64::from(bindings);
    Some(Figure {
        bindings,
        role,
        configured: each(configured.saturating_sub(empty)),
        binding: each(registered.saturating_sub(configured)),
    })
}

/// Each role in a process of its own: what the first has given back to the allocator would be there for the second.
fn curve(words: &[&str]) -> Option<()> {
    let bindings = match *words {
        [] => CURVE_BINDINGS,
        [bindings] => number(bindings)?,
        _ => return None,
    };
    let own = std::env::current_exe().expect("a program knows where it is");
    let series = ["device", "extension"].map(|role| {
        let output = Command::new(&own).args(["--points", &bindings.to_string(), role]).output();
        let output = output.expect("a program may start itself");
        let points: Value = serde_json::from_slice(&output.stdout).expect("it prints its points");
        let name = if role == "device" { "hot-desk device" } else { "ordinary phone" };
        json!({ "name": name, "points": points })
    });
    println!("{:#}", json!({ "series": series }));
    Some(())
}

/// One series of a curve, measured while the phones of one floor register.
fn points(bindings: &str, role: &str) -> Option<()> {
    let bindings = number(bindings)?;
    let (_, of_desk) = role_of(role)?;
    let mut floor = Floor::new(bindings);
    let configured = pss();
    let mut points = Vec::new();
    let mut registered = 0;
    let steps = (0..).map(|step| {
        let doublings = f64::from(step) / f64::from(POINTS_PER_DOUBLING);
        (f64::from(CURVE_START) * doublings.exp2()).round() as u32
    });
    for until in steps.take_while(|until| *until < bindings).chain([bindings]) {
        register(&mut floor, registered..until, of_desk);
        registered = until;
        let grown = pss().saturating_sub(configured);
        points.push(json!({ "bindings": until, "bytes_each": grown as f64 / f64::from(until) }));
    }
    println!("{}", Value::Array(points));
    Some(())
}

fn register(floor: &mut Floor, desks: std::ops::Range<u32>, role: OfDesk) {
    for desk in desks {
        let role = role(desk);
        floor.register(desk, role);
        floor.forget(desk, role);
    }
}

fn number(word: &str) -> Option<u32> {
    word.parse().ok().filter(|number| *number > 0)
}

/// Device accounts are found by flow and instance too, so their bindings cost more.
fn role_of(word: &str) -> Option<(&'static str, OfDesk)> {
    match word {
        "device" => Some(("device", |_| Role::Device)),
        "extension" => Some(("extension", Role::Extension)),
        _ => None,
    }
}

/// Octets of memory that are this process's.
fn pss() -> u64 {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").expect("Linux 4.14 or later");
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).expect("a line Pss");
    let kibibytes = line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of kB");
    kibibytes * 1024
}
