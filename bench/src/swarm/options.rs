//! The command line.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum, value_parser};

/// Plays any number of SIP phones against an edge and says how it fared.
///
/// Everything is bounded in time and count. It exits with 0 if every answer came and was right, with 1 if one
/// did not or was not, and with 2 if it was asked wrongly or no server answers.
#[derive(Clone, Debug, Parser)]
#[command(name = "swarm", version)]
pub struct Options {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Phones register, each an extension of its own
    Register(Register),
    /// People change desks: each log-in puts somebody out elsewhere, who is told by NOTIFY
    Swap(Swap),
    /// Phones call one another: INVITE 100 180 200 ACK BYE 200
    Call(Call),
    /// Write the accounts of the phones: a configuration of hotdesk, or a table of users for Kamailio
    Configuration(Configuration),
}

/// `swarm register`
#[derive(Clone, Debug, Args)]
pub struct Register {
    /// What one unit is
    #[arg(long, value_enum, default_value = "digest")]
    pub kind: Kind,
    /// The edge believes phones without proof (no digest); implied by `refresh`
    #[arg(long)]
    pub trusted: bool,
    /// For how long contacts are bound, in seconds
    #[arg(long, default_value_t = 3600, value_parser = value_parser!(u32).range(1..=86_400))]
    pub expires: u32,
    /// Every phone once, and no warm-up
    #[arg(long)]
    pub once: bool,
    /// After a restart: ask once for each phone's contacts, which must all be there
    #[arg(long, conflicts_with_all = ["kind", "once", "leave"])]
    pub expect_all: bool,
    /// Remove all contacts at the end
    #[arg(long)]
    pub leave: bool,
    /// What all loads have in common.
    #[command(flatten)]
    pub load: Load,
}

/// What one REGISTER of `swarm register` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A contact where there was none, every phone once; the nonce in use, if there is one
    New,
    /// A contact again, without authentication
    Refresh,
    /// A contact again, proven with the nonce in use
    Digest,
    /// A contact again, challenged each time: 401, then 200
    Challenge,
}

/// `swarm swap`
#[derive(Clone, Debug, Args)]
pub struct Swap {
    /// How people log in
    #[arg(long, value_enum, default_value = "register")]
    pub by: Surface,
    /// What all loads have in common.
    #[command(flatten)]
    pub load: Load,
}

/// How people log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Surface {
    /// Native REGISTER with the nonce in use: REGISTER 200, NOTIFY 200
    Register,
    /// Dialled string: INVITE 401 ACK INVITE 200 ACK BYE 200, and a NOTIFY to either desk
    Dialling,
}

/// `swarm call`
#[derive(Clone, Debug, Args)]
pub struct Call {
    /// The server believes INVITEs and REGISTERs without proof
    #[arg(long)]
    pub trusted: bool,
    /// What all loads have in common.
    #[command(flatten)]
    pub load: Load,
}

/// What all loads have in common.
#[derive(Clone, Debug, Args)]
pub struct Load {
    /// Where the edge listens for UDP
    #[arg(long, default_value = "127.0.0.1:5060", value_name = "ADDRESS:PORT")]
    pub edge: SocketAddrV4,
    /// Phones, numbered from 0
    #[arg(long, default_value_t = 1_000, value_parser = value_parser!(u32).range(2..=1_000_000))]
    pub phones: u32,
    /// The phones' first address and port
    #[arg(long, default_value = "127.16.0.0:20000", value_name = "ADDRESS:PORT")]
    pub from: SocketAddrV4,
    /// Their ports, from that one on
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u16).range(1..=1_000))]
    pub ports: u16,
    /// Their addresses, from that one on; by default so many that no two phones share address and port
    #[arg(long, value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub addresses: Option<u32>,
    /// Closed loop: so many units under way all the time. With --rate: at most
    #[arg(long, default_value_t = 64, value_parser = value_parser!(u32).range(1..=100_000))]
    pub in_flight: u32,
    /// Open loop: so many units a second, due whether those before have ended or not
    #[arg(long, value_parser = rate)]
    pub rate: Option<f64>,
    /// With --rate: at random times (a Poisson process), not evenly
    #[arg(long, requires = "rate")]
    pub poisson: bool,
    /// For how long it is measured, in seconds
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u32).range(1..=86_400))]
    pub seconds: u32,
    /// For how long it runs before, in seconds
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u32).range(0..=3_600))]
    pub warm_up: u32,
    /// Units at most
    #[arg(long, default_value_t = 1_000_000_000, value_parser = value_parser!(u64).range(1..=1_000_000_000))]
    pub count: u64,
    /// After so many milliseconds an answer is lost; nothing is sent again
    #[arg(long, default_value_t = 2_000, value_parser = value_parser!(u32).range(1..=60_000))]
    pub patience: u32,
    /// How long to wait for a server that does not answer yet, in seconds
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u32).range(0..=600))]
    pub wait: u32,
    /// The server's process: its processor time is measured, with that of its descendants
    #[arg(long)]
    pub pid: Option<u32>,
    /// Never sleep: for a processor of our own
    #[arg(long)]
    pub spin: bool,
    /// Write the figures here, too
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// No progress
    #[arg(long, short)]
    pub quiet: bool,
}

impl Load {
    /// How many addresses the phones have.
    pub fn addresses(&self) -> u32 {
        self.addresses.unwrap_or_else(|| self.phones.div_ceil(u32::from(self.ports)))
    }

    /// What is wrong with these options together.
    ///
    /// # Errors
    /// A sentence.
    pub fn check(&self) -> Result<(), String> {
        let last = u32::from(*self.from.ip()).checked_add(self.addresses() - 1).map(Ipv4Addr::from);
        if last.is_none_or(|last| last.is_loopback() != self.from.ip().is_loopback()) {
            return Err("--from, --addresses: the last address is none of this machine".into());
        }
        if self.from.port() == 0 || self.from.port().checked_add(self.ports - 1).is_none() {
            return Err("--from, --ports: ports are 1 to 65535".into());
        }
        Ok(())
    }

    /// `--patience`
    pub fn patience(&self) -> Duration {
        Duration::from_millis(self.patience.into())
    }
}

/// `swarm configuration`
#[derive(Clone, Debug, Args)]
pub struct Configuration {
    /// For whom
    #[arg(long = "for", value_enum, default_value = "hotdesk")]
    pub server: Server,
    /// So many extensions, and desks
    #[arg(long, default_value_t = 1_000, value_parser = value_parser!(u32).range(2..=1_000_000))]
    pub phones: u32,
    /// Desks too: devices for `swap` and `call`
    #[arg(long)]
    pub desks: bool,
    /// Believe REGISTERs from 127.0.0.0/8 without proof
    #[arg(long)]
    pub trusted: bool,
    /// Where seats and bindings are kept
    #[arg(long, value_enum, default_value = "memory")]
    pub store: Store,
    /// Where `--store embedded` keeps them
    #[arg(long, default_value = "swarm.db")]
    pub path: String,
    /// Threads of the edge
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u32).range(1..=64))]
    pub workers: u32,
    /// T1 of the edge in milliseconds: most transactions are kept for 64 T1
    #[arg(long, default_value_t = 500, value_parser = value_parser!(u32).range(10..=4_000))]
    pub t1: u32,
    /// Transactions that a worker keeps
    #[arg(long, default_value_t = 65_536, value_parser = value_parser!(u32).range(1_024..=4_194_304))]
    pub transactions_max: u32,
    /// Where the edge is to listen for UDP
    #[arg(long, default_value = "127.0.0.1:5060", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddrV4,
    /// Where the edge is to serve its control API
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub control: Option<SocketAddrV4>,
}

/// Whose accounts are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Server {
    /// A configuration file
    Hotdesk,
    /// A table `users` of its module htable, for db_text
    Kamailio,
}

/// A store of the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Store {
    /// Nowhere
    Memory,
    /// In a file
    Embedded,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "it is a number".to_owned())?;
    if (0.1..=1e6).contains(&rate) { Ok(rate) } else { Err("it is 0.1 to 1000000".into()) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn load(words: &str) -> Result<Load, clap::Error> {
        let words = ["swarm", "register"].into_iter().chain(words.split_whitespace());
        match Options::try_parse_from(words)?.command {
            Command::Register(register) => Ok(register.load),
            _ => unreachable!("register was asked for"),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn every_number_is_bounded() {
        for words in [
            "--phones 1",
            "--phones 1000001",
            "--in-flight 0",
            "--seconds 0",
            "--rate 0",
            "--rate nan",
            "--rate 1e7",
            "--count 0",
            "--ports 0",
            "--patience 0",
            "--poisson",
            "--edge localhost",
            "--expires 0",
        ] {
            assert!(load(words).is_err(), "{words}");
        }
        assert!(load("--rate 10000 --poisson --phones 2000 --pid 1").is_ok());
    }

    #[test]
    fn phones_have_addresses_of_their_own_unless_told_otherwise() {
        assert_eq!(load("--phones 1000 --ports 4").unwrap().addresses(), 250);
        assert_eq!(load("--phones 1000 --addresses 1").unwrap().addresses(), 1);
    }

    #[test]
    fn addresses_and_ports_end_where_they_end() {
        for words in [
            "--from 127.255.255.255:20000",
            "--from 127.1.0.0:65535 --ports 2",
            "--from 127.1.0.0:0",
            "--from 255.255.255.255:20000",
            "--from 126.255.255.255:20000",
        ] {
            assert!(load(words).unwrap().check().is_err(), "{words}");
        }
        assert!(load("--from 192.0.2.1:20000 --addresses 1 --ports 1000").unwrap().check().is_ok());
    }
}
