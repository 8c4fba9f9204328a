//! T7: what one binding costs, all included: how much the process grows while phones register.
//!
//! ```text
//! footprint [BINDINGS [device|extension]]
//! ```
//!
//! The dataplane runs in this process under the allocator of the `hotdesk` program, store `memory`. Each phone is
//! challenged, registers, and forgets what it was told, so what stays is the edge's. PSS (what of the memory is this
//! process's alone, plus its part of what is shared) is read from /proc/self/smaps_rollup before and after. Accounts
//! are there before: what the configuration costs is a line of its own.

use std::fs;
use std::process::ExitCode;

use bench::in_memory::{Floor, Role};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Unless the command line says otherwise.
const BINDINGS: u32 = 100_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let bindings = arguments.first().map_or(Ok(BINDINGS), |word| word.parse());
    let (Ok(bindings @ 1..), Some(role)) = (bindings, role(arguments.get(1).map(String::as_str))) else {
        eprintln!("footprint [BINDINGS [device|extension]]");
        return ExitCode::FAILURE;
    };
    let empty = pss();
    let mut floor = Floor::new(bindings);
    let configured = pss();
    for desk in 0..bindings {
        let role = role(desk);
        floor.register(desk, role);
        floor.forget(desk, role);
    }
    let registered = pss();
    let each = |grown: u64| grown as f64 / f64::from(bindings);
    println!("{bindings} bindings");
    println!("a device and an extension configured  {:>6.0} octets", each(configured - empty));
    println!("a binding, all included               {:>6.0} octets", each(registered - configured));
    ExitCode::SUCCESS
}

/// Device accounts are found by flow and instance too, so their bindings cost more.
fn role(word: Option<&str>) -> Option<fn(u32) -> Role> {
    match word {
        None | Some("device") => Some(|_| Role::Device),
        Some("extension") => Some(Role::Extension),
        Some(_) => None,
    }
}

/// Octets of memory that are this process's.
fn pss() -> u64 {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").expect("Linux 4.14 or later");
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).expect("a line Pss");
    let kibibytes = line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of kB");
    kibibytes * 1024
}
