//! Calls to the attendant by the thousand while phones refresh: what sound costs, and whether signalling feels it.
//!
//! ```text
//! phones refresh at their rate ───────────────────── measured alone
//! desks call the code: INVITE 200 ACK, RTP both ways
//! phones refresh at the same rate ────────────────── measured with the calls, which are measured too
//! BYE 200
//! ```

mod sound;

use std::fs;
use std::io;
use std::net::SocketAddrV4;
use std::thread;
use std::time::Duration;

use clap::{Parser, value_parser};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{SysconfVar, sysconf};

use super::options::{Command, Options as SwarmOptions};
use super::report::Report;
use super::roster::{ACCOUNTS_PER_TENANT_MAX, domain};
use super::{SwarmError, register};
use crate::deadline::now;
use crate::in_memory::{Role, password};
use crate::phone::{Account, Call, Phone, PhoneError, Transport};
use sound::{Caller, Heard, converse};

/// Holds calls to the attendant while phones refresh their registrations, and says what either felt.
///
/// The server needs accounts of `swarm configuration --desks --trusted`, with at least as many phones as there are
/// calls. For figures that mean something it has a processor of its own: `taskset -c 0 hotdesk run …`, and this
/// program another.
#[derive(Clone, Debug, Parser)]
#[command(name = "attendant-load", version)]
pub struct Options {
    /// Where the edge listens for UDP
    #[arg(long, default_value = "127.0.0.1:5060", value_name = "ADDRESS:PORT")]
    pub edge: SocketAddrV4,
    /// Calls at the same time
    #[arg(long, default_value_t = 1_000, value_parser = value_parser!(u32).range(1..=10_000))]
    pub calls: u32,
    /// What the desks dial
    #[arg(long, default_value = "*11")]
    pub code: String,
    /// Keys that each caller presses, a second
    #[arg(long, default_value_t = 0.2)]
    pub keys: f64,
    /// REGISTER refreshes a second
    #[arg(long, default_value_t = 10_000, value_parser = value_parser!(u32).range(1..=200_000))]
    pub rate: u32,
    /// Phones that refresh
    #[arg(long, default_value_t = 10_000, value_parser = value_parser!(u32).range(2..=1_000_000))]
    pub phones: u32,
    /// For how long it is measured, each time, in seconds
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u32).range(1..=600))]
    pub seconds: u32,
    /// The server's process: the processor time of its media thread is measured
    #[arg(long)]
    pub pid: Option<u32>,
}

/// Why it could not be measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttendError {
    /// The refreshes.
    #[error(transparent)]
    Swarm(#[from] SwarmError),
    /// A call could not be made.
    #[error("call {number}")]
    Call {
        /// Which.
        number: u32,
        /// Why.
        #[source]
        source: PhoneError,
    },
    /// A call was not taken.
    #[error("call {number} got {status} and no sound")]
    Refused {
        /// Which.
        number: u32,
        /// The final status.
        status: u16,
    },
    /// The system does not give what is needed.
    #[error("sockets or processor times")]
    System(#[from] io::Error),
}

/// Measures and prints; true if no REGISTER was lost and every call was heard.
///
/// # Errors
/// See [`AttendError`].
pub fn attend(wanted: &Options) -> Result<bool, AttendError> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(io::Error::from)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(io::Error::from)?;

    let alone = refresh(wanted)?;
    print!("without calls\n{alone}");
    let began = now();
    let (mut desks, mut callers) = call_all(wanted)?;
    println!("{} calls in {:.1} s", desks.len(), began.elapsed().as_secs_f64());

    let (with_calls, heard, spent) = thread::scope(|scope| {
        let refreshing = scope.spawn(|| refresh(wanted));
        // The warm-up of the refreshes, and their time.
        let time = Duration::from_secs(u64::from(wanted.seconds) + 1);
        let before = wanted.pid.map(media_time).transpose()?;
        let heard = converse(&mut callers, time, wanted.keys)?;
        let after = wanted.pid.map(media_time).transpose()?;
        let spent =
            before.zip(after).map(|(before, after)| (after - before).as_secs_f64() / time.as_secs_f64());
        let report = refreshing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok::<_, AttendError>((report, heard, spent))
    })?;
    print!("with calls\n{with_calls}");
    print_heard(&heard, spent, wanted.calls);
    hang_up_all(&mut desks);
    Ok(alone.is_clean() && with_calls.is_clean() && heard.silent == 0)
}

fn refresh(wanted: &Options) -> Result<Report, SwarmError> {
    let Options { edge, rate, phones, seconds, .. } = wanted;
    let words = format!(
        "swarm register --kind refresh --edge {edge} --rate {rate} --phones {phones} --seconds {seconds} \
         --in-flight 2000 --quiet"
    );
    let options = SwarmOptions::parse_from(words.split_whitespace());
    let Command::Register(register_options) = options.command else { unreachable!("it is `register`") };
    register(&register_options)
}

/// Desks with their calls, and the sound of these.
type Calls = (Vec<(Phone, Call)>, Vec<Caller>);

fn call_all(wanted: &Options) -> Result<Calls, AttendError> {
    let (mut desks, mut callers) = (Vec::new(), Vec::new());
    for number in 0..wanted.calls {
        let failed = |source| AttendError::Call { number, source };
        let user = Role::Device.user(number);
        let account = Account::new(&user, &password(&user), &domain(number / ACCOUNTS_PER_TENANT_MAX));
        let mut desk = Phone::open(Transport::Udp, wanted.edge.into(), account)?;
        let mut caller = Caller::new()?;
        let invite = desk.draft("INVITE", &wanted.code).with_body("application/sdp", &caller.offer()?);
        let mut call = desk.dial_with(invite).map_err(failed)?;
        let answer = desk.outcome(&mut call).map_err(failed)?;
        if call.status() != 200 || !caller.answered(answer.body()) {
            return Err(AttendError::Refused { number, status: call.status() });
        }
        desks.push((desk, call));
        callers.push(caller);
    }
    Ok((desks, callers))
}

/// Calls that the attendant ended meanwhile are not missed.
fn hang_up_all(desks: &mut [(Phone, Call)]) {
    for (desk, call) in desks {
        let (bye, account) = (call.request("BYE"), desk.account().clone());
        let _ = desk.send(&bye, &account, None);
    }
}

fn print_heard(heard: &Heard, spent: Option<f64>, calls: u32) {
    let millis = |quantile| heard.off.quantile(quantile) as f64 / 1e6;
    println!(
        "sound: {} packets, lost {}, late by more than 60 ms {}, calls without any {}; {} keys pressed",
        heard.packets, heard.lost, heard.late, heard.silent, heard.keys
    );
    println!(
        "  off 20 ms by  p50 {:.2} ms  p99 {:.2} ms  p99.9 {:.2} ms  max {:.1} ms",
        millis(0.5),
        millis(0.99),
        millis(0.999),
        heard.off.max() as f64 / 1e6
    );
    if let Some(share) = spent {
        println!(
            "  media thread  {:.1} % of a processor, {:.0} µs a second for each call",
            share * 100.0,
            share * 1e6 / f64::from(calls)
        );
    }
}

/// Processor time so far of the thread `media` of a process.
fn media_time(pid: u32) -> io::Result<Duration> {
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let thread = thread?.path();
        if fs::read_to_string(thread.join("comm"))?.trim() != "media" {
            continue;
        }
        let stat = fs::read_to_string(thread.join("stat"))?;
        // proc(5): the fields behind the name begin with the third; user and system time are 14 and 15.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks: u64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        let a_second = sysconf(SysconfVar::CLK_TCK)?.unwrap_or(100) as f64;
        return Ok(Duration::from_secs_f64(ticks as f64 / a_second));
    }
    Err(io::Error::new(io::ErrorKind::NotFound, "the process has no media thread"))
}
