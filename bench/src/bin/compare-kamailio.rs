//! Compares hotdesk with Kamailio; `bench/compare-kamailio` installs and builds what it needs and calls it.

use std::iter::successors;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bench::comparison::{Place, Run, Wish, compare, free_addresses};
use clap::Parser;

/// Hotdesk against Kamailio: the same load on one after the other, a processor for each server and one for the load.
#[derive(Debug, Parser)]
#[command(name = "compare-kamailio")]
struct Options {
    /// Two minutes: one pair of rounds, two seconds each, fewer bindings
    #[arg(long)]
    quick: bool,
    /// These targets only, T4 for example
    #[arg(long, value_delimiter = ',', value_parser = ["T4", "T5", "T6", "T7", "T8", "T9", "T10", "T11"])]
    only: Vec<String>,
    /// Rounds of each server under each load
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// How long each is measured, in seconds
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Bindings whose memory is measured
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1_000..=1_000_000))]
    bindings: u32,
    /// The latency curve up to overload, too
    #[arg(long)]
    curve: bool,
    /// Where figures are written
    #[arg(long, default_value = "target/compare.json")]
    json: PathBuf,
    #[command(flatten)]
    run: Run,
    /// Kamailio
    #[arg(long, default_value = "/usr/sbin/kamailio")]
    kamailio: PathBuf,
}

fn main() -> ExitCode {
    let options = Options::parse();
    // Kamailio and valgrind change their folder.
    let programs = std::path::absolute(&options.run.programs).unwrap_or(options.run.programs);
    let (listen, control) = match free_addresses() {
        Ok(addresses) => addresses,
        Err(error) => {
            eprintln!("compare-kamailio: no free port: {error}");
            return ExitCode::FAILURE;
        }
    };
    let place = Place {
        listen,
        control,
        hotdesk: programs.join("hotdesk"),
        swarm: programs.join("swarm"),
        kamailio: options.kamailio,
        kamailio_configuration: Path::new(env!("CARGO_MANIFEST_DIR")).join("kamailio/kamailio.cfg"),
        work: programs.join("compare"),
        server_cpu: options.run.server_cpu,
        swarm_cpu: options.run.swarm_cpu,
        favoured: options.run.favoured,
    };
    let wish = Wish {
        only: options.only,
        rounds: if options.quick { 1 } else { options.rounds },
        seconds: if options.quick { 2 } else { options.seconds },
        bindings: if options.quick { options.bindings.min(20_000) } else { options.bindings },
        curve: options.curve,
        json: options.json,
    };
    match compare(&place, &wish) {
        Ok(table) => {
            print!("{table}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let reasons = successors(Some(&error as &dyn std::error::Error), |error| error.source());
            let reasons: Vec<_> = reasons.map(ToString::to_string).collect();
            eprintln!("compare-kamailio: {}", reasons.join(": "));
            ExitCode::FAILURE
        }
    }
}
