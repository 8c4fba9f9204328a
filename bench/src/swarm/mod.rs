//! Any number of SIP phones in one thread: a load generator that outruns what it measures.
//!
//! Options come in, datagrams go to and fro, figures come out. What phones do is a `stage::Play`; `drive` gives
//! it time and datagrams; `stage` holds what plays need. Phones are numbers: their accounts, addresses and Contacts
//! follow from them, so a later run knows the phones of an earlier one. Answers find their phone by the branch of
//! their Via (RFC 3261 §17.1.3).

mod answer;
pub mod attend;
mod call;
mod calling;
pub mod configuration;
mod datagrams;
mod drive;
mod histogram;
mod knock;
mod line;
pub mod options;
mod proof;
mod reading;
mod register;
mod report;
mod roster;
mod run;
mod stage;
mod swap;
mod tally;
mod template;
pub(crate) mod usage;

use std::fs;
use std::io::{self, BufWriter, Write as _};

use call::Calling;
use line::Task;
use options::{Call, Command, Kind, Load, Options, Register, Surface, Swap};
use register::{Proving, Registering};
pub use report::Report;
use run::Run;
pub use run::RunError;
use swap::Swapping;

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
pub enum SwarmError {
    /// Options do not go together.
    #[error("{0}")]
    Options(String),
    /// There are no figures.
    #[error(transparent)]
    Run(#[from] RunError),
    /// What there is to say cannot be written.
    #[error("{what} cannot be written")]
    Write {
        /// Which file.
        what: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Does what the command line says; true if every answer came and was right.
///
/// # Errors
/// See [`SwarmError`].
pub fn swarm(options: &Options) -> Result<bool, SwarmError> {
    let report = match &options.command {
        Command::Register(wanted) => register(wanted)?,
        Command::Swap(wanted) => swap(wanted)?,
        Command::Call(wanted) => call(wanted)?,
        Command::Configuration(wanted) => {
            let broken = |source| SwarmError::Write { what: "the configuration".into(), source };
            let mut out = BufWriter::new(io::stdout().lock());
            configuration::write(wanted, &mut out).and_then(|()| out.flush()).map_err(broken)?;
            return Ok(true);
        }
    };
    print!("{report}");
    if let Some(path) = &report.load.json {
        let broken = |source| SwarmError::Write { what: path.display().to_string(), source };
        fs::write(path, format!("{:#}\n", report.json())).map_err(broken)?;
    }
    Ok(report.is_clean())
}

/// Plays `swarm register`.
///
/// # Errors
/// See [`SwarmError`].
pub fn register(wanted: &Register) -> Result<Report, SwarmError> {
    let mut run = start(&wanted.load)?;
    let mut phones = Registering::new(&run.stage, false);
    let trusted = wanted.trusted || wanted.kind == Kind::Refresh;
    let proving = if trusted { Proving::Never } else { Proving::Reusing };
    let bind = Task::Bind(wanted.expires);
    if wanted.expect_all {
        phones.set(Task::Query, if wanted.trusted { Proving::Never } else { Proving::Reusing }, true);
        return Ok(run.measure(&mut phones, "register: contacts that are there", true)?);
    }
    let (name, before, proving) = match wanted.kind {
        Kind::New => ("register: new", Task::Bind(0), proving),
        Kind::Refresh => ("register: refresh", bind, Proving::Never),
        Kind::Digest => ("register: digest", bind, Proving::Reusing),
        Kind::Challenge => ("register: challenge", bind, Proving::EachTime),
    };
    let first = if proving == Proving::Never { Proving::Never } else { Proving::Reusing };
    phones.set(before, first, true);
    if !run.prepare(&mut phones, "the phones make ready")? {
        return Ok(run.unprepared("register: the phones could not make ready"));
    }
    let once = wanted.once || wanted.kind == Kind::New;
    phones.set(bind, proving, once);
    let report = run.measure(&mut phones, name, once)?;
    if wanted.leave {
        phones.set(Task::Bind(0), first, true);
        run.prepare(&mut phones, "the phones leave")?;
    }
    Ok(report)
}

/// Plays `swarm swap`.
///
/// # Errors
/// See [`SwarmError`].
pub fn swap(wanted: &Swap) -> Result<Report, SwarmError> {
    if wanted.load.phones > roster::ACCOUNTS_PER_TENANT_MAX {
        return Err(SwarmError::Options("swap: --phones is at most 100000, which is one tenant".into()));
    }
    let mut run = start(&wanted.load)?;
    let mut devices = Registering::new(&run.stage, true);
    devices.set(Task::Bind(86_400), Proving::Reusing, true);
    if !run.prepare(&mut devices, "the desks register")? {
        return Ok(run.unprepared("swap: the desks could not register"));
    }
    let mut people = Swapping::new(&run.stage, wanted.by);
    if !run.prepare(&mut people, "everybody sits at both desks in turn")? {
        return Ok(run.unprepared("swap: not everybody could sit down"));
    }
    people.go_on();
    let name = match wanted.by {
        Surface::Register => "swap: by REGISTER",
        Surface::Dialling => "swap: by dialling",
    };
    Ok(run.measure(&mut people, name, false)?)
}

/// Plays `swarm call`.
///
/// # Errors
/// See [`SwarmError`].
pub fn call(wanted: &Call) -> Result<Report, SwarmError> {
    let mut run = start(&wanted.load)?;
    let mut phones = Registering::new(&run.stage, false);
    let proving = if wanted.trusted { Proving::Never } else { Proving::Reusing };
    phones.set(Task::Bind(86_400), proving, true);
    if !run.prepare(&mut phones, "the phones register")? {
        return Ok(run.unprepared("call: the phones could not register"));
    }
    let mut pairs = Calling::new(&run.stage, wanted.trusted);
    if !run.prepare(&mut pairs, "everybody calls once")? {
        return Ok(run.unprepared("call: not everybody could call"));
    }
    pairs.go_on();
    Ok(run.measure(&mut pairs, "call", false)?)
}

fn start(load: &Load) -> Result<Run<'_>, SwarmError> {
    load.check().map_err(SwarmError::Options)?;
    Ok(Run::start(load)?)
}
