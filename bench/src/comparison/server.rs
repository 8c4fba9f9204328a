//! The two servers: how each is started on its processor, watched, and ended.

use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::ComparisonError;
use super::slowed::Slowed;
use crate::deadline::Deadline;
use crate::swarm::usage::family;

/// How long a server may take to end; under valgrind it writes its counts then.
const ENDING_MAX: Duration = Duration::from_secs(60);

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Server {
    /// Ours, on a configuration that swarm writes.
    Hotdesk,
    /// On `bench/kamailio/kamailio.cfg`.
    Kamailio,
}

/// How a server is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Setup {
    /// Phones must prove who they are.
    pub(super) digest: bool,
    /// hotdesk has desks.
    pub(super) desks: bool,
    /// hotdesk keeps seats and bindings in memory alone.
    pub(super) in_memory: bool,
    /// Accounts.
    pub(super) phones: u32,
    /// T1 in milliseconds: transactions of calls stay for 64 of it.
    pub(super) t1: u32,
    /// Transactions that hotdesk keeps.
    pub(super) transactions_max: u32,
    /// The server runs for one millisecond of each so many.
    pub(super) slowed: u32,
    /// Instructions are counted by callgrind.
    pub(super) callgrind: bool,
}

/// How servers and load run, as options of a command line.
#[derive(Clone, Debug, clap::Args)]
pub struct Run {
    /// The server's processor
    #[arg(long, default_value_t = 0)]
    pub server_cpu: u32,
    /// The load's processor
    #[arg(long, default_value_t = 1)]
    pub swarm_cpu: u32,
    /// On a busy machine: servers and load go before everything else (nice -20; root)
    #[arg(long)]
    pub favoured: bool,
    /// Where `hotdesk` and `swarm` are
    #[arg(long, default_value = "target/release")]
    pub programs: PathBuf,
}

/// Programs and places.
#[derive(Clone, Debug)]
pub struct Place {
    /// The programs `hotdesk` and `swarm`.
    pub hotdesk: PathBuf,
    /// See above.
    pub swarm: PathBuf,
    /// `kamailio`.
    pub kamailio: PathBuf,
    /// Its configuration.
    pub kamailio_configuration: PathBuf,
    /// Where files are made.
    pub work: PathBuf,
    /// Where servers listen for UDP.
    pub listen: SocketAddr,
    /// Where hotdesk serves its control API.
    pub control: SocketAddr,
    /// The server's processor.
    pub server_cpu: u32,
    /// The load's processor.
    pub swarm_cpu: u32,
    /// Both go before everything else that runs (nice -20), which takes privilege.
    pub favoured: bool,
}

/// A server that runs. It ends with its value.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    /// Removed after the process has ended.
    _slowed: Option<Slowed>,
}

/// A UDP and a TCP address on loopback that nobody has at this moment.
///
/// # Errors
/// The system has none left.
pub fn free_addresses() -> io::Result<(SocketAddr, SocketAddr)> {
    let (udp, tcp) = (UdpSocket::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
    Ok((udp.local_addr()?, tcp.local_addr()?))
}

impl Place {
    /// Starts a server.
    pub(super) fn start(&self, server: Server, setup: Setup) -> Result<Running, ComparisonError> {
        let mut command = self.pinned(self.server_cpu);
        let slowed = (setup.slowed > 1).then(|| Slowed::to(setup.slowed)).transpose();
        let slowed = slowed.map_err(broken("a control group"))?;
        if let Some(slowed) = &slowed {
            slowed.enter(&mut command);
        }
        if setup.callgrind {
            command.arg("valgrind").args(["-q", "--tool=callgrind"]);
            command.arg(format!("--callgrind-out-file={}/callgrind.%p", self.work.display()));
        }
        match server {
            Server::Hotdesk => {
                let file = self.work.join("hotdesk.toml");
                self.write_hotdesk(&file, setup)?;
                command.arg(&self.hotdesk).arg("run").arg(file);
            }
            Server::Kamailio => {
                command.arg(&self.kamailio).arg("-f").arg(&self.kamailio_configuration);
                // One allocator for both kinds of memory, large pools, the main process in the foreground.
                command.args(["-x", "fm", "-X", "fm", "-m", "2048", "-M", "64", "-DD", "-E"]);
                command.arg("-l").arg(format!("udp:{}", self.listen));
                command.arg("-Y").arg(&self.work);
                if setup.digest {
                    let users = self.write_users(setup)?;
                    command.args(["-A", "DIGEST", "-A"]).arg(format!("USERS=\"text://{}\"", users.display()));
                }
            }
        }
        let log = File::create(self.work.join("server.log")).map_err(broken("the server's log"))?;
        let error_log = log.try_clone().map_err(broken("the server's log"))?;
        let child = command.stdin(Stdio::null()).stdout(log).stderr(error_log).spawn();
        Ok(Running { child: child.map_err(broken("the server"))?, _slowed: slowed })
    }

    /// The beginning of a command that runs on one processor, and ends when we do, however that comes.
    pub(super) fn pinned(&self, cpu: u32) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM"]);
        if self.favoured {
            // Where the system groups processes by session, niceness counts within a group alone, and the group has its own.
            const FAVOUR: &str = "echo -20 > /proc/self/autogroup; exec nice -n -20 \"$@\"";
            command.args(["setsid", "sh", "-c", FAVOUR, "sh"]);
        }
        command.args(["taskset", "-c"]).arg(cpu.to_string());
        command
    }

    fn write_hotdesk(&self, file: &Path, setup: Setup) -> Result<(), ComparisonError> {
        let store = self.work.join("hotdesk.db");
        match fs::remove_file(&store) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(broken("the old store")(error));
            }
            _ => {}
        }
        let mut command = Command::new(&self.swarm);
        command.args(["configuration", "--path", "hotdesk.db"]);
        command.arg("--t1").arg(setup.t1.to_string());
        command.arg("--transactions-max").arg(setup.transactions_max.to_string());
        command.arg("--listen").arg(self.listen.to_string()).arg("--control").arg(self.control.to_string());
        command.arg("--phones").arg(setup.phones.to_string());
        command.args(["--store", if setup.in_memory { "memory" } else { "embedded" }]);
        if setup.desks {
            command.arg("--desks");
        }
        if !setup.digest {
            command.arg("--trusted");
        }
        self.write(command, file)
    }

    /// Returns the folder.
    fn write_users(&self, setup: Setup) -> Result<PathBuf, ComparisonError> {
        let users = self.work.join("users");
        fs::create_dir_all(&users).map_err(broken("a folder"))?;
        let version = "table_name(string) table_version(int)\nhtable:2\nusers:2\n";
        fs::write(users.join("version"), version).map_err(broken("a table"))?;
        let mut command = Command::new(&self.swarm);
        command.args(["configuration", "--for", "kamailio", "--phones"]).arg(setup.phones.to_string());
        self.write(command, &users.join("users"))?;
        Ok(users)
    }

    fn write(&self, mut command: Command, file: &Path) -> Result<(), ComparisonError> {
        let out = File::create(file).map_err(broken("a configuration"))?;
        let status = command.stdout(out).status().map_err(broken("swarm"))?;
        if status.success() {
            Ok(())
        } else {
            Err(ComparisonError::Failed { what: "swarm configuration".into() })
        }
    }

    /// What a server has said, for when it has failed.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.work.join("server.log")).unwrap_or_default()
    }
}

impl Running {
    /// Its first process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Octets of memory that are its processes': PSS, so that what they share counts once.
    pub(super) fn memory(&self) -> Result<u64, ComparisonError> {
        let mut total = 0;
        for pid in family(self.pid()).map_err(broken("the server's processes"))? {
            let path = format!("/proc/{pid}/smaps_rollup");
            let rollup = fs::read_to_string(path).map_err(broken("the server's memory"))?;
            let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
            let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
            total += 1024 * kibibytes.unwrap_or_default();
        }
        Ok(total)
    }

    /// Asks it to end, and waits until it has.
    pub(super) fn end(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        let all = family(self.pid()).unwrap_or_default();
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let signal = |pid: u32, signal| {
            // It fails only where the process has ended already.
            let _ = kill(Pid::from_raw(pid.cast_signed()), signal);
        };
        signal(self.pid(), Signal::SIGTERM);
        let deadline = Deadline::after(ENDING_MAX);
        while matches!(self.child.try_wait(), Ok(None)) {
            if deadline.left().is_none() {
                all.iter().for_each(|pid| signal(*pid, Signal::SIGKILL));
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

pub(super) fn broken(what: &'static str) -> impl Fn(io::Error) -> ComparisonError {
    move |source| ComparisonError::System { what, source }
}
