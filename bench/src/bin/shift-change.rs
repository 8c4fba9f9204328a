//! Plays a shift change against the running quick start: two phones, three people, real sockets.
//!
//! ```text
//! cargo run --release -- run configs/quickstart.toml       in one terminal
//! cargo run --release -p bench --bin shift-change          in another
//! ```
//!
//! Exits with 0 if everything was as promised, with 1 if something was not, and with 2 if there is no edge.

use std::io::{IsTerminal as _, stdout};
use std::iter::successors;
use std::process::ExitCode;

use bench::shift_change::{CONTROL, Place, PlayError, SIP, play};

fn main() -> ExitCode {
    let sip = SIP.parse().expect("the quick start's address is one");
    let control = CONTROL.parse().expect("the quick start's address is one");
    let colours = stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    match play(&Place { udp: sip, tcp: sip, control }, Box::new(stdout()), colours) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("\nshift-change: {}", reasons(&error));
            if matches!(error, PlayError::NoEdge { .. }) {
                eprintln!("Start it first: cargo run --release -- run configs/quickstart.toml");
                return ExitCode::from(2);
            }
            ExitCode::FAILURE
        }
    }
}

/// An error and what caused it, in one line.
fn reasons(error: &dyn std::error::Error) -> String {
    let all = successors(Some(error), |error| error.source());
    all.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
