//! Holds a thousand calls to the attendant while phones refresh; docs/load-test.md tells how.
//!
//! ```text
//! swarm configuration --phones 10000 --desks --trusted >swarm.toml
//! taskset -c 0 hotdesk run swarm.toml &
//! taskset -c 1 attendant-load --pid $!
//! ```

use std::iter::successors;
use std::process::ExitCode;

use bench::swarm::attend::{Options, attend};
use clap::Parser as _;

fn main() -> ExitCode {
    match attend(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let reasons = successors(Some(&error as &dyn std::error::Error), |error| error.source());
            let reasons: Vec<_> = reasons.map(ToString::to_string).collect();
            eprintln!("attendant-load: {}", reasons.join(": "));
            ExitCode::from(2)
        }
    }
}
