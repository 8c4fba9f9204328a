//! The `hotdesk` program.

mod welcome;

use std::io::{Write as _, stdout};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;
use hotdesk::backend::pin::key;
use hotdesk::cli::{self, Cli, Command, HashPinError};
use hotdesk::config;
use hotdesk::panics;
use hotdesk::reasons;
use hotdesk::server::Edge;
use hotdesk::server::shutdown::Signals;
use hotdesk::telemetry::log;
use tracing::{error, warn};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run { file } => run(&file),
        Command::Check { file } => cli::check(&file),
        Command::Unlock(arguments) => match cli::unlock(&arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error),
        },
        Command::HashPin(arguments) => print(cli::hash_pin(&arguments)),
        Command::SealPin { key } => print(cli::seal_pin(&key)),
        Command::MakePepper { file } | Command::MakeSealKey { file } => match key::make(&file) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error),
        },
        _ => unreachable!("every command of this version is above"),
    }
}

/// Prints a PIN as it is stored.
fn print(stored: Result<String, HashPinError>) -> ExitCode {
    match stored {
        Ok(stored) => {
            println!("{stored}");
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error),
    }
}

fn failed(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("hotdesk: {}", reasons::of(error));
    ExitCode::FAILURE
}

/// `hotdesk run FILE`: the edge, until a signal ends it.
fn run(file: &Path) -> ExitCode {
    let loaded = match config::load(file) {
        Ok(loaded) => loaded,
        Err(report) => {
            eprint!("{}", report.for_terminal());
            return ExitCode::FAILURE;
        }
    };
    log::to_stderr(loaded.server.log);
    panics::log();
    #[cfg(feature = "planted-faults")]
    warn!("this build lets tests plant faults: it is for nothing else");
    for line in loaded.warnings.lines() {
        warn!(reason = %line, "configuration");
    }
    // Before anything is opened: a signal from here on ends the edge in order.
    let signals = match Signals::take() {
        Ok(signals) => signals,
        Err(error) => {
            error!(reason = %error, "cannot take signals");
            return ExitCode::FAILURE;
        }
    };
    match Edge::start(loaded) {
        Ok(edge) => {
            // Nobody may be reading it.
            let _ = stdout().write_all(welcome::text(&edge, file).as_bytes());
            signals.attend(edge, file);
            ExitCode::SUCCESS
        }
        Err(error) => {
            error!(reason = %reasons::of(&error), "cannot start");
            ExitCode::FAILURE
        }
    }
}
