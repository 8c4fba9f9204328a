//! T13: how long an edge with many stored bindings takes from its start to its first answer.
//!
//! ```text
//! restart [--json] [BINDINGS [ROUNDS]]
//! ```
//!
//! The programs `hotdesk` and `swarm` beside this one do the work. Phones register 100,000 at a time, each time in another
//! tenant, so the store fills up while the configuration stays small: what is timed is the store, not the reading of
//! accounts. Bindings of tenants that are gone are taken over all the same. Then three starts are timed in turn, as many
//! rounds as were asked for:
//!
//! ```text
//! unfolded   killed at the end of the load: much of it stands in the journal (a copy of the file each round)
//! killed     the journal folded, the edge killed
//! stopped    the journal folded, the edge stopped in good order
//! ```
//!
//! From before the process is made until an OPTIONS is answered; then all bindings must be there.

use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use bench::control::Control;
use bench::deadline::{Deadline, now};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

/// Unless the command line says otherwise.
const DEFAULTS: [usize; 2] = [1_000_000, 5];

/// Phones that register at a time: what one tenant of swarm's has.
const PHONES: usize = 100_000;

/// The accounts of an edge whose start is timed.
const FEW: usize = 2;

/// A start, an end, and the folding of a journal take no longer on any machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Between two looks at an edge that is not ready yet.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// A journal shorter than this is left alone.
const FOLDED: usize = 131_072;

const LISTEN: &str = "127.0.0.1:15064";
const CONTROL: &str = "127.0.0.1:18089";

const USAGE: &str = "restart [--json] [BINDINGS [ROUNDS]]";

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let as_json = words.first().is_some_and(|word| word == "--json");
    words.drain(..usize::from(as_json));
    let mut numbers = DEFAULTS;
    for (at, word) in words.iter().enumerate() {
        match (numbers.get_mut(at), word.parse()) {
            (Some(number), Ok(given @ 1..)) => *number = given,
            _ => {
                eprintln!("{USAGE}");
                return ExitCode::FAILURE;
            }
        }
    }
    match measure(numbers) {
        Ok(figures) if as_json => println!("{:#}", figures.to_json()),
        Ok(figures) => figures.print(),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Seconds to the first answer, sorted.
struct Figures {
    bindings: usize,
    /// Records in the journal of the first series.
    unfolded: usize,
    series: [(&'static str, Vec<f64>); 3],
}

impl Figures {
    fn print(&self) {
        println!("{} bindings; unfolded: {} records in the journal", self.bindings, self.unfolded);
        for (name, seconds) in &self.series {
            let [least, .., most] = seconds[..] else {
                println!("{name:<9} {:.2} s, one round", seconds[0]);
                continue;
            };
            println!("{name:<9} {:.2} s ({least:.2} - {most:.2}, {} rounds)", median(seconds), seconds.len());
        }
    }

    fn to_json(&self) -> serde_json::Value {
        let series = self.series.iter().map(
            |(name, seconds)| json!({ "name": name, "median_seconds": median(seconds), "seconds": seconds }),
        );
        json!({
            "bindings": self.bindings,
            "journal_records": self.unfolded,
            "series": series.collect::<Vec<_>>(),
        })
    }
}

fn median(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}

fn measure([bindings, rounds]: [usize; 2]) -> io::Result<Figures> {
    let floor = Floor::new()?;
    let (store, heavy) = (floor.folder.join("hotdesk.db"), floor.folder.join("unfolded.db"));
    let mut registered = 0;
    for tenant in 0.. {
        let phones = PHONES.min(bindings - registered).max(FEW);
        let (_, edge) = floor.start(&store, tenant, phones)?;
        floor.register(phones)?;
        registered += phones;
        if registered >= bindings {
            edge.kill()?;
            break;
        }
        edge.stop()?;
    }
    fs::copy(&store, &heavy)?;

    let (mut unfolded, mut times) = (0, [const { Vec::new() }; 3]);
    for _ in 0..rounds {
        fs::copy(&heavy, &store)?;
        let (took, edge) = floor.start(&store, usize::MAX, FEW)?;
        unfolded = floor.all_there(registered)?;
        times[0].push(took.as_secs_f64());
        edge.kill()?;
    }
    floor.start(&store, usize::MAX, FEW)?.1.fold(&floor)?.kill()?;
    for _ in 0..rounds {
        for at in [1, 2] {
            let (took, edge) = floor.start(&store, usize::MAX, FEW)?;
            floor.all_there(registered)?;
            times[at].push(took.as_secs_f64());
            if at == 1 { edge.stop()? } else { edge.kill()? }
        }
    }
    times.iter_mut().for_each(|times| times.sort_by(f64::total_cmp));
    let mut times = times.into_iter();
    let series = ["unfolded", "killed", "stopped"].map(|name| (name, times.next().unwrap_or_default()));
    Ok(Figures { bindings: registered, unfolded, series })
}

/// Where it all happens. Its files go with it.
struct Floor {
    folder: PathBuf,
    programs: PathBuf,
    control: Control,
}

impl Floor {
    fn new() -> io::Result<Self> {
        let own = std::env::current_exe()?;
        let programs = own.parent().unwrap_or(Path::new(".")).to_owned();
        let folder = std::env::temp_dir().join(format!("hotdesk-restart-{}", std::process::id()));
        fs::create_dir(&folder)?;
        Ok(Self { folder, programs, control: Control::new(address(CONTROL), "swarm-token") })
    }

    /// Starts an edge on `store` and waits for its first answer.
    fn start(&self, store: &Path, tenant: usize, phones: usize) -> io::Result<(Duration, Edge)> {
        let phones = phones.to_string();
        let store = store.display().to_string();
        let written = Command::new(self.programs.join("swarm"))
            .args(["configuration", "--trusted", "--store", "embedded", "--path", &store])
            .args(["--phones", &phones, "--listen", LISTEN, "--control", CONTROL])
            .output()?;
        let text = String::from_utf8_lossy(&written.stdout);
        let configuration = self.folder.join("restart.toml");
        fs::write(&configuration, text.replace("\"tenant-0\"", &format!("\"tenant-{tenant}\"")))?;
        let begun = now();
        let log = File::create(self.folder.join("hotdesk.log"))?;
        let mut edge = Command::new(self.programs.join("hotdesk"));
        let edge = edge.arg("run").arg(&configuration).stdout(Stdio::null()).stderr(log);
        let mut edge = Edge { process: edge.spawn()? };
        edge.wait_for_answer()?;
        Ok((begun.elapsed(), edge))
    }

    /// Every phone registers once.
    fn register(&self, phones: usize) -> io::Result<()> {
        let status = Command::new(self.programs.join("swarm"))
            .args(["register", "--kind", "new", "--trusted", "--quiet", "--edge", LISTEN])
            .args(["--phones", &phones.to_string(), "--seconds", "600"])
            .stdout(Stdio::null())
            .status()?;
        if status.success() { Ok(()) } else { Err(io::Error::other("swarm could not register its phones")) }
    }

    /// A figure of the edge's metrics.
    fn metric(&self, name: &str) -> io::Result<usize> {
        let page = self.control.get("/metrics")?;
        let mut values = page.body.lines().filter_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        values.next().ok_or_else(|| io::Error::other(format!("the edge does not tell {name}")))
    }

    /// Makes sure that all bindings came back; how many records the journal has.
    fn all_there(&self, bindings: usize) -> io::Result<usize> {
        let here = self.metric("hotdesk_bindings ")?;
        if here != bindings {
            return Err(io::Error::other(format!("{here} of {bindings} bindings came back")));
        }
        self.metric("hotdesk_store_journal_records ")
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        // Nothing else is in it, and what stays is in the system's folder for such files.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The process. Dropped, it is killed.
struct Edge {
    process: Child,
}

impl Edge {
    fn wait_for_answer(&mut self) -> io::Result<()> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(LISTEN)?;
        socket.set_read_timeout(Some(LOOK_EVERY))?;
        let own = socket.local_addr()?;
        let deadline = Deadline::after(PATIENCE);
        let mut answer = [0; 2_048];
        for serial in 0.. {
            if deadline.left().is_none() || self.process.try_wait()?.is_some() {
                break;
            }
            let options = format!(
                "OPTIONS sip:{LISTEN} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{serial}\r\n\
                 From: <sip:restart@{own}>;tag=1\r\nTo: <sip:{LISTEN}>\r\nCall-ID: {serial}@{own}\r\n\
                 CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
            );
            // Refused until the edge has its socket; then the first one waits there for its answer.
            if socket.send(options.as_bytes()).is_ok() && socket.recv(&mut answer).is_ok() {
                return Ok(());
            }
        }
        Err(io::Error::other("the edge did not start"))
    }

    /// Waits until nothing more is folded.
    fn fold(self, floor: &Floor) -> io::Result<Self> {
        let deadline = Deadline::after(PATIENCE);
        let mut before = usize::MAX;
        while deadline.left().is_some() {
            let unfolded = floor.metric("hotdesk_store_journal_records ")?;
            if unfolded < FOLDED && unfolded == before {
                return Ok(self);
            }
            before = unfolded;
            std::thread::sleep(LOOK_EVERY);
        }
        Err(io::Error::other("the journal is not folded"))
    }

    fn kill(self) -> io::Result<()> {
        self.end(Signal::SIGKILL)
    }

    fn stop(self) -> io::Result<()> {
        self.end(Signal::SIGTERM)
    }

    fn end(mut self, signal: Signal) -> io::Result<()> {
        kill(Pid::from_raw(self.process.id().cast_signed()), signal)?;
        self.process.wait().map(drop)
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("a constant of this file")
}
