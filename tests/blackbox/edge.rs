//! An edge of its own for each test: the program in a folder of its own, on ports that the system gives. Restarted, it
//! keeps them.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use bench::certificates::Issued;
use bench::control::Control;
use bench::deadline::Deadline;
use bench::phone::{Account, Challenge, Message, Phone, Transport, Wire};
use hotdesk::backend::pin::hash;
use hotdesk::backend::pin::key::Key;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use rustls::ClientConfig;
use tempfile::TempDir;

use crate::secrets;

/// Ten times what is promised, for machines that do other things as well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The domain of the one tenant, `demo`.
pub(crate) const DOMAIN: &str = "demo.hotdesk";

/// The folder beside the configuration in which faults are planted.
const PLANTED: &str = "planted";

pub(crate) const PEPPER: &str = "a key of more than sixteen octets";

/// Desks and people of the tenant: `desk-1` and 1001, with PIN 73400001, and so on.
pub(crate) const PEOPLE: u16 = 9;

/// What differs from edge to edge.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) workers: u8,
    /// `memory` or `embedded`.
    pub(crate) store: &'static str,
    pub(crate) listeners: Vec<Listener>,
    /// Lines of `[[tenant]]`.
    pub(crate) tenant: &'static str,
    /// Lines of `[tenant.registration]`.
    pub(crate) registration: &'static str,
    /// Whether what one source may send is limited. Tests send more than phones, most of them.
    pub(crate) limited: bool,
    /// Further tables of the file.
    pub(crate) more: &'static str,
    /// Files beside the configuration, and what is in them.
    pub(crate) files: Vec<(&'static str, String)>,
    /// Words of a command that the program and its arguments are given to: it does something first and becomes them.
    pub(crate) under: &'static [&'static str],
    /// Faults will be planted ([`Edge::plant`]).
    pub(crate) plants: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Listener {
    protocol: &'static str,
    address: SocketAddr,
    advertise: Option<&'static str>,
    /// Lines of its own.
    more: String,
}

impl Default for Plan {
    /// UDP and TCP on an IPv4 address that no other edge of this run has.
    fn default() -> Self {
        static EDGES: AtomicU8 = AtomicU8::new(1);
        let host = Ipv4Addr::new(127, 200, EDGES.fetch_add(1, Ordering::Relaxed), 1);
        let address = SocketAddr::new(host.into(), 0);
        let listener = |protocol| Listener { protocol, address, advertise: None, more: String::new() };
        Self {
            workers: 2,
            store: "memory",
            listeners: vec![listener("udp"), listener("tcp")],
            tenant: "",
            registration: "",
            limited: false,
            more: "",
            files: Vec::new(),
            under: &[],
            plants: false,
        }
    }
}

impl Plan {
    /// UDP and TCP on `::1` too.
    pub(crate) fn with_ipv6(mut self) -> Self {
        let address = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 0);
        let listener = |protocol| Listener { protocol, address, advertise: None, more: String::new() };
        self.listeners.extend([listener("udp"), listener("tcp")]);
        self
    }

    /// TLS too, with a certificate and further lines of the listener.
    pub(crate) fn with_tls(mut self, own: &Issued, more: &str) -> Self {
        let Some(Listener { address, .. }) = self.listeners.first() else { unreachable!("there is UDP") };
        let more = format!("certificate = {{ chain = \"edge.pem\", key = \"edge.key\" }}\n{more}\n");
        self.listeners.push(Listener { protocol: "tls", address: *address, advertise: None, more });
        self.with_certificate("edge.pem", "edge.key", own)
    }

    /// A certificate beside the configuration.
    pub(crate) fn with_certificate(
        mut self,
        chain: &'static str,
        key: &'static str,
        issued: &Issued,
    ) -> Self {
        self.files.extend([(chain, issued.chain.clone()), (key, issued.key.clone())]);
        self
    }

    /// Every listener says that it is elsewhere.
    pub(crate) fn advertising(mut self, address: &'static str) -> Self {
        self.listeners.iter_mut().for_each(|listener| listener.advertise = Some(address));
        self
    }

    /// The configuration file.
    pub(crate) fn text(&self, control: SocketAddr) -> String {
        let Self { workers, store, listeners, tenant, registration, limited, more, .. } = self;
        let mut text = format!(
            "[edge]\nname = \"blackbox\"\nworkers = {workers}\n\n\
             [store]\nkind = \"{store}\"\n\n\
             [control]\naddress = \"{control}\"\ntokens = [{{ name = \"test\", token = \"test-token\" }}]\n\n\
             [pins]\npepper = {{ file = \"pepper\" }}\n\n"
        );
        if !limited {
            text += "[admission]\nnever_limited = [\"127.0.0.0/8\", \"::1/128\"]\n\n";
        }
        for Listener { protocol, address, advertise, more } in listeners {
            let advertise = advertise.map_or_else(String::new, |at| format!("advertise = \"{at}\"\n"));
            write!(
                text,
                "[[listen]]\nprotocol = \"{protocol}\"\naddress = \"{address}\"\ntenant = \"demo\"\n{advertise}{more}\n"
            )
            .unwrap();
        }
        write!(
            text,
            "[[tenant]]\nid = \"demo\"\ndomains = [\"{DOMAIN}\"]\n{tenant}\ncodes = {{ login = \"*11\", logout = \"*12\", pin = \"*14\" }}\n\
             emergency = {{ numbers = [\"112\"] }}\n\n[tenant.seats]\nnative = true\n\n\
             [tenant.registration]\n{registration}\n\
             [[tenant.site]]\nid = \"office\"\nemergency_caller = \"+12125550100\"\n\n"
        )
        .unwrap();
        for number in 1..=PEOPLE {
            let pin = pin_hash(number);
            write!(
                text,
                "[[tenant.device]]\nid = \"desk-{number}\"\nmac = \"02:00:00:00:00:0{number}\"\nsite = \"office\"\nreload = \"check-sync\"\n\
                 password = \"desk-{number}-secret\"\n\n\
                 [[tenant.extension]]\nnumber = \"100{number}\"\nname = \"Person {number}\"\n\
                 pin = {{ hash = \"{pin}\" }}\npassword = \"100{number}-secret\"\nown_phones_max = 2\n\n"
            )
            .unwrap();
        }
        text + more
    }
}

/// The hash of the PIN of the person `number`, the same each time a file is written.
pub(crate) fn pin_hash(number: u16) -> &'static str {
    static HASHES: OnceLock<Vec<String>> = OnceLock::new();
    let pepper = Key::new(PEPPER.as_bytes()).expect("32 octets are enough");
    let hash = |number| hash::hash_hmac(pin(number).as_bytes(), &pepper).unwrap();
    &HASHES.get_or_init(|| (1..=PEOPLE).map(hash).collect())[usize::from(number) - 1]
}

/// The PIN of the person `number`.
pub(crate) fn pin(number: u16) -> String {
    (73_400_000 + u32::from(number)).to_string()
}

/// What the person `number` dials to sit down.
pub(crate) fn log_in_code(number: u16) -> String {
    format!("*11*100{number}*{}", pin(number))
}

/// The account of `desk-NUMBER`.
pub(crate) fn desk(number: u16) -> Account {
    Account::new(&format!("desk-{number}"), &format!("desk-{number}-secret"), DOMAIN)
}

/// The account of the person `number` itself.
pub(crate) fn person(number: u16) -> Account {
    Account::new(&format!("100{number}"), &format!("100{number}-secret"), DOMAIN)
}

/// The same request with the account's answer to this challenge as its first header line, and nothing else changed.
pub(crate) fn with_credentials(request: &[u8], challenge: &Message, account: &Account) -> Vec<u8> {
    let header = if challenge.status() == Some(401) { "Authorization" } else { "Proxy-Authorization" };
    let mut challenge = Challenge::read(challenge).expect("a challenge that a phone can answer");
    let line_end = request.windows(2).position(|two| two == b"\r\n").map_or(request.len(), |at| at + 2);
    let (line, rest) = request.split_at(line_end);
    let text = String::from_utf8_lossy(line);
    let [method, uri] = [0, 1].map(|part| text.split(' ').nth(part).unwrap_or_default());
    let credentials = challenge.answer(&account.user, &account.password, method, uri, "cnonce");
    [line, header.as_bytes(), b": ", credentials.as_bytes(), b"\r\n", rest].concat()
}

/// A running edge. It ends with its value.
pub(crate) struct Edge {
    pub(crate) control: Control,
    process: Process,
    log: Receiver<String>,
    logged: Vec<String>,
    /// As in the file it runs on.
    plan: Plan,
    control_address: SocketAddr,
    /// Where it listens, in the order of the file, and where the control API does.
    bound: (Vec<SocketAddr>, SocketAddr),
    dir: TempDir,
}

impl Edge {
    /// Starts an edge and waits until it serves.
    pub(crate) fn start(plan: Plan) -> Self {
        let dir = tempfile::tempdir().unwrap();
        write_secret(&dir.path().join("pepper"), PEPPER);
        for (name, text) in &plan.files {
            write_secret(&dir.path().join(name), text);
        }
        let host = plan.listeners.first().map(|listener| listener.address.ip()).unwrap();
        let control_address = SocketAddr::new(host, 0);
        if plan.plants {
            fs::create_dir(dir.path().join(PLANTED)).unwrap();
        }
        let file = file_in(dir.path());
        write_secret(&file, &plan.text(control_address));
        let Started { process, log, bound } = run_under(plan.under, &file);
        assert_eq!(bound.0.len(), plan.listeners.len());
        let control = Control::new(bound.1, "test-token");
        Self { control, process, log, logged: Vec::new(), plan, control_address, bound, dir }
    }

    /// Where it listens.
    pub(crate) fn address(&self, transport: Transport) -> SocketAddr {
        self.listener(transport, false)
    }

    /// Where it listens on IPv6.
    pub(crate) fn address_ipv6(&self, transport: Transport) -> SocketAddr {
        self.listener(transport, true)
    }

    fn listener(&self, transport: Transport, is_ipv6: bool) -> SocketAddr {
        let protocol = transport.name().to_lowercase();
        let mut listeners = self.plan.listeners.iter().zip(&self.bound.0);
        let fits = |known: &Listener| known.protocol == protocol && known.address.is_ipv6() == is_ipv6;
        *listeners.find(|(listener, _)| fits(listener)).unwrap().1
    }

    /// Where the control API listens.
    pub(crate) fn control_address(&self) -> SocketAddr {
        self.bound.1
    }

    /// A phone that speaks to it, not yet registered.
    pub(crate) fn phone(&self, transport: Transport, account: Account) -> Phone {
        Phone::open(transport, self.address(transport), account).unwrap()
    }

    /// A connection over TLS to whoever is called `name`, by a phone that goes by `tls`.
    pub(crate) fn wire(&self, name: &str, tls: &Arc<ClientConfig>) -> io::Result<Wire> {
        Wire::open_tls(self.address(Transport::Tls), name, Arc::clone(tls))
    }

    /// Puts another file beside the configuration, or another text into one.
    pub(crate) fn write(&self, name: &str, text: &str) {
        write_secret(&self.dir.path().join(name), text);
    }

    /// `desk-NUMBER`, registered.
    pub(crate) fn desk(&self, transport: Transport, number: u16) -> Phone {
        let mut phone = self.phone(transport, desk(number));
        let answer = phone.register(600).unwrap();
        assert_eq!(answer.status(), Some(200), "{}", answer.text());
        phone
    }

    /// `desk-NUMBER`, registered, and the person of that number sits there.
    pub(crate) fn taken_desk(&self, transport: Transport, number: u16) -> Phone {
        let mut phone = self.desk(transport, number);
        let answer = self.control.log_in("demo", &phone.account().user, &format!("100{number}")).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        phone.expect("NOTIFY").unwrap();
        phone
    }

    /// Who sits where: device and extension, by device.
    pub(crate) fn seats(&self) -> Vec<(String, String)> {
        self.control.seats().unwrap().into_iter().map(|seat| (seat.device, seat.extension)).collect()
    }

    /// A metric, summed over its labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let page = self.control.get("/metrics").unwrap().body;
        let samples = page.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            let (sample, value) = line.rsplit_once(' ')?;
            (sample.split('{').next() == Some(name)).then(|| value.parse::<f64>().unwrap())
        });
        let samples: Vec<_> = samples.collect();
        assert!(!samples.is_empty(), "no {name} in\n{page}");
        samples.iter().sum()
    }

    /// Waits until a metric has come to `least`: workers publish what they count after the answers they send.
    pub(crate) fn wait_for_metric(&self, name: &str, least: f64) {
        let deadline = Deadline::after(PATIENCE);
        while self.metric(name) < least {
            assert!(deadline.left().is_some(), "{name} stays {}", self.metric(name));
        }
    }

    /// Octets of memory it takes: its own alone, and its part of what is shared.
    pub(crate) fn memory(&self) -> u64 {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.process.0.id())).unwrap();
        let line = rollup.lines().find(|line| line.starts_with("Pss:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
    }

    /// What the system knows it by.
    pub(crate) fn process(&self) -> u32 {
        self.process.0.id()
    }

    /// Has the system give it no more than `most` of `resource` from now on; `None`: as much as there is. What the hard
    /// limit allows can be had back.
    pub(crate) fn limit(&self, resource: Resource, most: Option<u64>) {
        // It has that of this process.
        let maximum = getrlimit(resource).maximum;
        let limit = Rlimit { current: most.or(maximum), maximum };
        prlimit(Some(Pid::from_child(&self.process.0)), resource, limit).unwrap();
    }

    /// Plants a fault of `src/planted.rs`, or the same fault with something else in it.
    #[cfg(feature = "planted-faults")]
    pub(crate) fn plant(&self, fault: &str, with: &str) {
        let folder = self.dir.path().join(PLANTED);
        // Nobody ever sees half of it.
        fs::write(folder.join("unfinished"), with).unwrap();
        fs::rename(folder.join("unfinished"), folder.join(fault)).unwrap();
    }

    /// Mends what was planted.
    #[cfg(feature = "planted-faults")]
    pub(crate) fn mend(&self, fault: &str) {
        fs::remove_file(self.dir.path().join(PLANTED).join(fault)).unwrap();
    }

    /// Waits until nobody sits anywhere.
    pub(crate) fn wait_for_everybody_gone(&self) {
        let deadline = Deadline::after(PATIENCE);
        while !self.seats().is_empty() {
            assert!(deadline.left().is_some(), "still there: {:?}", self.seats());
        }
    }

    /// Its configuration file.
    pub(crate) fn file(&self) -> PathBuf {
        file_in(self.dir.path())
    }

    /// The same edge's configuration, changed.
    pub(crate) fn rewrite(&self, change: impl FnOnce(String) -> String) {
        write_secret(&self.file(), &change(self.plan.text(self.control_address)));
    }

    /// Writes into its file the ports it was given.
    pub(crate) fn pin_ports(&mut self) {
        for (listener, address) in self.plan.listeners.iter_mut().zip(&self.bound.0) {
            listener.address = *address;
        }
        self.control_address = self.bound.1;
        self.rewrite(|text| text);
    }

    /// Sends a signal: `HUP`, `TERM`, `INT`.
    pub(crate) fn signal(&self, name: &str) {
        let kill = Command::new("sh")
            .args(["-c", "kill -s \"$0\" \"$1\"", name, &self.process.0.id().to_string()])
            .status()
            .unwrap();
        assert!(kill.success());
    }

    /// Waits for a line of the log that contains `text`.
    pub(crate) fn wait_for_log(&mut self, text: &str) -> String {
        let deadline = Deadline::after(PATIENCE);
        loop {
            let left = deadline.left().unwrap_or_else(|| panic!("no {text:?} in {:#?}", self.logged));
            match self.log.recv_timeout(left) {
                Ok(line) => {
                    self.logged.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    panic!("ended without {text:?}: {:#?}", self.logged)
                }
            }
        }
    }

    /// True if a line of the log that has come contains `text`.
    pub(crate) fn has_logged(&mut self, text: &str) -> bool {
        self.logged.extend(self.log.try_iter());
        self.logged.iter().any(|line| line.contains(text))
    }

    /// All that it has logged. It ends for it.
    pub(crate) fn whole_log(&mut self) -> String {
        self.process.end();
        self.logged.extend(self.log.iter());
        self.log_so_far()
    }

    /// What it has logged and somebody has asked for.
    pub(crate) fn log_so_far(&self) -> String {
        self.logged.join("\n")
    }

    /// Waits until the process has ended by itself.
    pub(crate) fn wait_for_end(&mut self) -> ExitStatus {
        let deadline = Deadline::after(PATIENCE);
        loop {
            let left = deadline.left().unwrap_or_else(|| panic!("still running: {:#?}", self.logged));
            match self.log.recv_timeout(left) {
                Ok(line) => self.logged.push(line),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                // Nobody holds the other end of its standard error any more.
                Err(mpsc::RecvTimeoutError::Disconnected) => return self.process.0.wait().unwrap(),
            }
        }
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.whole_log();
    }

    /// Starts it again with the same ports and store.
    pub(crate) fn start_again(&mut self) {
        self.start_again_under(self.plan.under);
    }

    /// The same, under another command.
    pub(crate) fn start_again_under(&mut self, under: &[&str]) {
        self.pin_ports();
        let Started { process, log, bound } = run_under(under, &self.file());
        (self.process, self.log) = (process, log);
        assert_eq!(bound, self.bound);
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        let log = self.whole_log();
        if thread::panicking() {
            eprintln!("the edge's log:\n{log}");
        } else {
            // Whatever the test was about.
            secrets::assert_none_in(&log);
        }
    }
}

/// `hotdesk` with these arguments and this standard input, to its end.
pub(crate) fn hotdesk(arguments: &[&str], input: &str) -> Output {
    use std::io::Write as _;

    let mut child = Command::new(env!("CARGO_BIN_EXE_hotdesk"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// A process that ends with its value.
struct Process(Child);

impl Process {
    fn end(&mut self) {
        // It fails only where the process has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// A process that serves. It ends with its value.
pub(crate) struct Started {
    process: Process,
    log: Receiver<String>,
    /// Where it listens, in the order of the file, and where the control API does.
    pub(crate) bound: (Vec<SocketAddr>, SocketAddr),
}

/// Writes a file that nobody else may read.
fn write_secret(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn file_in(dir: &Path) -> PathBuf {
    dir.join("edge.toml")
}

/// Runs the program and reads from its welcome where it listens.
pub(crate) fn run(file: &Path) -> Started {
    run_under(&[], file)
}

fn run_under(under: &[&str], file: &Path) -> Started {
    let words = under.iter().copied().chain([env!("CARGO_BIN_EXE_hotdesk"), "run"]);
    let words: Vec<_> = words.map(OsStr::new).chain([file.as_os_str()]).collect();
    let mut command = Command::new(words[0]);
    let planted = file.with_file_name(PLANTED);
    if planted.exists() {
        command.env("HOTDESK_PLANTED_FAULTS", planted);
    }
    let child = command
        .args(&words[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut process = Process(child);
    let welcome = lines(process.0.stdout.take().unwrap());
    let log = lines(process.0.stderr.take().unwrap());
    let (mut sip, mut control) = (Vec::new(), None);
    let deadline = Deadline::after(PATIENCE);
    loop {
        let line = deadline.left().and_then(|left| welcome.recv_timeout(left).ok());
        let Some(line) = line else {
            process.end();
            panic!("the edge does not start: {:#?}", log.iter().collect::<Vec<_>>());
        };
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            ["SIP", _, address] => sip.push(address.parse().unwrap()),
            ["control", url, ..] => control = url.strip_prefix("http://").map(|at| at.parse().unwrap()),
            ["Ctrl-C", ..] => break,
            _ => {}
        }
    }
    Started { process, log, bound: (sip, control.expect("the control API is configured")) }
}

/// The lines of a pipe as they come. Read to the end whether anybody listens or not, so that the writer never waits.
fn lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    receiver
}
