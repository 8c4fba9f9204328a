//! Plays any number of SIP phones against an edge; docs/load-test.md tells how.
//!
//! ```text
//! swarm configuration --phones 1000 >swarm.toml          accounts
//! swarm register --kind digest --pid PID                 load, and what it cost the server
//! ```

use std::iter::successors;
use std::process::ExitCode;

use bench::swarm::options::Options;
use bench::swarm::swarm;
use clap::Parser as _;

fn main() -> ExitCode {
    match swarm(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let reasons = successors(Some(&error as &dyn std::error::Error), |error| error.source());
            let reasons: Vec<_> = reasons.map(ToString::to_string).collect();
            eprintln!("swarm: {}", reasons.join(": "));
            ExitCode::from(2)
        }
    }
}
