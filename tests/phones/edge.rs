//! An edge of its own for each test: the program as it is shipped, with the quick start's configuration, on a
//! loopback address that nobody else has.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use bench::control::Control;
use tempfile::TempDir;

use crate::PATIENCE;

/// A running edge. It ends with its value.
pub(crate) struct Edge {
    child: Child,
    dir: TempDir,
    net: Net,
    pub(crate) control: Control,
}

/// Loopback addresses of one test. All of 127.0.0.0/8 is this machine, so every phone has an address of its own and
/// the usual port, and tests that run at the same time do not meet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Net(u8, u8);

impl Net {
    /// The net of this process' test number `test`.
    pub(crate) fn new(test: u8) -> Self {
        assert!(test < 16, "four bits of the address are for the test");
        let process = std::process::id();
        Self(64 | (process >> 4 & 0x3f) as u8, (process << 4) as u8 | test)
    }

    pub(crate) fn host(self, host: u8) -> IpAddr {
        Ipv4Addr::new(127, self.0, self.1, host).into()
    }
}

impl Edge {
    /// Starts the edge and waits until it says that it runs.
    pub(crate) fn start(net: Net) -> Self {
        Self::start_with(net, "")
    }

    /// The same with `more` tables of the tenant.
    pub(crate) fn start_with(net: Net, more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let quickstart =
            fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("configs/quickstart.toml"))
                .unwrap();
        let address = net.host(1).to_string();
        fs::write(dir.path().join("edge.toml"), quickstart.replace("127.0.0.1", &address) + more).unwrap();
        let child = run(&dir);
        let control = Control::new(SocketAddr::new(net.host(1), 8060), "demo-token");
        Self { child, dir, net, control }
    }

    /// Where it listens for SIP.
    pub(crate) fn sip(&self) -> SocketAddr {
        SocketAddr::new(self.net.host(1), 5060)
    }

    /// Ends it without a word, as a power cut does, and starts it again.
    pub(crate) fn kill_and_start(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = run(&self.dir);
    }

    /// Who sits where: device and extension, by device.
    pub(crate) fn seats(&self) -> Vec<(String, String)> {
        let seats = self.control.seats().unwrap();
        seats.into_iter().map(|seat| (seat.device, seat.extension)).collect()
    }

    /// A metric, summed over its labels.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let text = self.control.get("/metrics").unwrap().body;
        let values: Vec<f64> = text
            .lines()
            .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])))
            .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
            .collect();
        assert!(!values.is_empty(), "no metric {name} in\n{text}");
        values.iter().sum::<f64>() as u64
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        // It may have ended by itself, which the test has noticed otherwise.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("the edge's log:\n{}", self.log());
        }
    }
}

fn run(dir: &TempDir) -> Child {
    let log = fs::File::options().create(true).append(true).open(dir.path().join("log")).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_hotdesk"))
        .arg("run")
        .arg(dir.path().join("edge.toml"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .unwrap();
    let (said, says) = mpsc::channel();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            // Nobody listens once the edge runs; its pipe is read all the same.
            let _ = said.send(line);
        }
    });
    while !says.recv_timeout(PATIENCE).expect("the edge says that it runs").ends_with("is running.") {}
    child
}
