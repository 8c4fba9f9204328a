//! What the edge still does when it is asked for more than it can do; docs/benchmarks.md has the picture.

use std::iter::successors;
use std::path::PathBuf;
use std::process::ExitCode;

use bench::comparison::{Asked, ComparisonError, Place, Run, free_addresses, overload};
use clap::Parser;

/// Offers calls and registrations at multiples of what the edge can do, and counts what goes well.
///
/// The edge has a processor and the load another. The programs `hotdesk` and `swarm` do the work.
#[derive(Debug, Parser)]
#[command(name = "overload")]
struct Options {
    /// Loads whose names begin so: `calls`, `REGISTER`; all by default
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// How much is offered, in capacities
    #[arg(long, value_delimiter = ',', default_values_t = [1.0, 2.0, 5.0, 10.0])]
    multiples: Vec<f64>,
    /// Times that all of it is measured
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// How long each is measured, in seconds
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Where figures are written
    #[arg(long, default_value = "target/overload.json")]
    json: PathBuf,
    #[command(flatten)]
    run: Run,
}

fn main() -> ExitCode {
    match measure(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let reasons = successors(Some(&error as &dyn std::error::Error), |error| error.source());
            let reasons: Vec<_> = reasons.map(ToString::to_string).collect();
            eprintln!("overload: {}", reasons.join(": "));
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> Result<(), ComparisonError> {
    let system = |what| move |source| ComparisonError::System { what, source };
    let programs = std::path::absolute(&options.run.programs).map_err(system("--programs"))?;
    let (listen, control) = free_addresses().map_err(system("a free port"))?;
    let place = Place {
        listen,
        control,
        hotdesk: programs.join("hotdesk"),
        swarm: programs.join("swarm"),
        // Nobody is compared with.
        kamailio: PathBuf::new(),
        kamailio_configuration: PathBuf::new(),
        work: programs.join("overload.files"),
        server_cpu: options.run.server_cpu,
        swarm_cpu: options.run.swarm_cpu,
        favoured: options.run.favoured,
    };
    let asked = Asked {
        only: options.only.clone(),
        multiples: options.multiples.clone(),
        rounds: options.rounds,
        seconds: options.seconds,
    };
    let figures = overload(&place, &asked)?;
    std::fs::write(&options.json, format!("{figures:#}\n")).map_err(system("--json"))
}
