//! baresip as a desk phone without hardware: commands go to its control port, what happens comes back as events.
//!
//! Both travel as JSON in netstrings (`4:text,`): `{"command":"dial","params":"1001"}` in, `{"event":true,
//! "type":"CALL_RINGING",…}` and `{"response":true,…}` out.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use bench::deadline::Deadline;
use bench::sound::{Ear, samples};
use serde_json::Value;
use tempfile::TempDir;

use crate::PATIENCE;

/// How often a phone that starts is tried.
const KNOCK: Duration = Duration::from_millis(20);

/// How often a recording is looked at.
const LOOK: Duration = Duration::from_millis(300);

/// No event of baresip is longer.
const NETSTRING_OCTETS_MAX: usize = 64 * 1024;

/// A phone that is switched on. It is switched off with its value.
pub(crate) struct Baresip {
    device: String,
    child: Child,
    dir: TempDir,
    commands: TcpStream,
    events: Receiver<Value>,
    /// Events that came and were not asked for yet.
    pending: VecDeque<Value>,
}

impl Baresip {
    /// Switches a phone on at `address`. It has no account yet.
    pub(crate) fn start(device: &str, address: IpAddr) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("config"), config(address, dir.path())).unwrap();
        fs::write(dir.path().join("accounts"), "").unwrap();
        fs::write(dir.path().join("contacts"), "").unwrap();
        let log = fs::File::create(dir.path().join("log")).unwrap();
        let child = Command::new("baresip")
            .arg("-f")
            .arg(dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut phone = Self {
            device: device.into(),
            child,
            dir,
            commands: knock(SocketAddr::new(address, 4444)),
            events: mpsc::channel().1,
            pending: VecDeque::new(),
        };
        phone.events = listen(phone.commands.try_clone().unwrap());
        phone
    }

    /// Gives it its account, as a person types it into a phone, and waits until it is registered: server and outbound
    /// proxy are the edge, the domain is the tenant's.
    pub(crate) fn register(&mut self, edge: SocketAddr, transport: &str) {
        self.register_with(edge, transport, "");
    }

    /// The same with `more` parameters of the account.
    pub(crate) fn register_with(&mut self, edge: SocketAddr, transport: &str, more: &str) {
        let device = self.device.clone();
        self.command(
            "uanew",
            &format!(
                "<sip:{device}@demo.hotdesk;transport={transport}>;auth_user={device};auth_pass=demo-{device}\
                 ;outbound=\"sip:{edge};transport={transport}\";regint=600;answermode=manual{more}"
            ),
        );
        self.wait_for("REGISTER_OK");
    }

    pub(crate) fn dial(&mut self, number: &str) {
        self.command("dial", number);
    }

    pub(crate) fn accept(&mut self) {
        self.command("accept", "");
    }

    pub(crate) fn hang_up(&mut self) {
        self.command("hangup", "");
    }

    /// Dials a code: the call is answered and then ended from the other side.
    pub(crate) fn dial_code(&mut self, code: &str) {
        self.dial(code);
        self.wait_for("CALL_ESTABLISHED");
        self.wait_for("CALL_CLOSED");
    }

    /// Dials what is refused, and gives back why.
    pub(crate) fn dial_in_vain(&mut self, number: &str) -> String {
        self.dial(number);
        let closed = self.wait_for("CALL_CLOSED");
        assert!(!self.has_heard("CALL_ESTABLISHED"), "{}: {number} was answered", self.device);
        text(&closed, "param").to_owned()
    }

    /// Presses keys in the call that is up.
    pub(crate) fn press(&mut self, keys: &str) {
        for key in keys.chars() {
            self.command("sndcode", &key.to_string());
        }
    }

    /// Waits until what was said in its one call is enough. All of it, by the names of the clips.
    pub(crate) fn listen(&mut self, ear: &Ear, enough: impl Fn(&str) -> bool) -> String {
        let deadline = Deadline::after(PATIENCE);
        // Never written to: waiting for it is how the next look is put off.
        let (_silent, silence) = mpsc::channel::<()>();
        loop {
            let said = self.recording().map(|sound| ear.understand(&sound).to_string()).unwrap_or_default();
            if enough(&said) {
                return said;
            }
            assert!(deadline.left().is_some(), "{} heard only {said:?}", self.device);
            assert_eq!(silence.recv_timeout(LOOK), Err(RecvTimeoutError::Timeout));
        }
    }

    /// What it has heard, as far as it is written; `None` before that.
    fn recording(&self) -> Option<Vec<i16>> {
        let entries = fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().path());
        let heard = |path: &PathBuf| path.to_string_lossy().ends_with("-dec.wav");
        samples(&fs::read(entries.into_iter().find(heard)?).unwrap()).ok()
    }

    /// Waits for the next event of this type and takes it; others are kept.
    pub(crate) fn wait_for(&mut self, kind: &str) -> Value {
        self.wait_until(kind, |event| is(event, kind))
    }

    /// True if such an event came and was not waited for.
    pub(crate) fn has_heard(&mut self, kind: &str) -> bool {
        self.pending.extend(self.events.try_iter());
        self.pending.iter().any(|event| is(event, kind))
    }

    fn command(&mut self, command: &str, params: &str) {
        let request =
            serde_json::json!({ "command": command, "params": params, "token": command }).to_string();
        write!(self.commands, "{}:{request},", request.len()).unwrap();
        let answer = self.wait_until(command, |event| event["response"] == true && event["token"] == command);
        assert_eq!(answer["ok"], true, "{}: {command} {params}: {answer}", self.device);
    }

    fn wait_until(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.pending.iter().position(&is_it) {
            return self.pending.remove(at).expect("it is there");
        }
        let deadline = Deadline::after(PATIENCE);
        loop {
            match self.events.recv_timeout(deadline.left().unwrap_or_default()) {
                Ok(event) if is_it(&event) => return event,
                Ok(event) => self.pending.push_back(event),
                Err(error) => panic!(
                    "{}: {what} did not come ({error}); heard {:#?}\nits log:\n{}",
                    self.device,
                    self.pending,
                    fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
                ),
            }
        }
    }
}

impl Drop for Baresip {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The field of an event as text; empty where it is missing.
pub(crate) fn text<'a>(event: &'a Value, field: &str) -> &'a str {
    event[field].as_str().unwrap_or_default()
}

fn is(event: &Value, kind: &str) -> bool {
    event["event"] == true && event["type"] == kind
}

/// Sound comes from a sine and goes nowhere: no test machine needs a sound card.
/// What is heard is recorded in `dir`.
fn config(address: IpAddr, dir: &Path) -> String {
    format!(
        "poll_method epoll\nsip_listen {address}:5060\nnet_interface {address}\ncall_max_calls 4\n\
         audio_source ausine,440\naudio_player aubridge,nowhere\naudio_alert aubridge,nowhere\nausrc_srate 48000\nausrc_channels 2\n\
         module_path /usr/lib/baresip/modules\nmodule g711.so\nmodule srtp.so\nmodule ausine.so\nmodule aubridge.so\n\
         module sndfile.so\nsnd_path {}\n\
         module ctrl_tcp.so\nmodule_app menu.so\nctrl_tcp_listen {address}:4444\n",
        dir.display()
    )
}

/// Connects to a phone that is just starting.
fn knock(control: SocketAddr) -> TcpStream {
    let deadline = Deadline::after(PATIENCE);
    // Never written to: waiting for it is how the next try is put off.
    let (_silent, silence) = mpsc::channel::<()>();
    loop {
        match TcpStream::connect(control) {
            Ok(stream) => return stream,
            Err(error) => {
                assert!(deadline.left().is_some(), "baresip does not listen on {control}: {error}");
                assert_eq!(silence.recv_timeout(KNOCK), Err(RecvTimeoutError::Timeout));
            }
        }
    }
}

fn listen(stream: TcpStream) -> Receiver<Value> {
    let (heard, events) = mpsc::channel();
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        while let Ok(event) = read_netstring(&mut stream) {
            if heard.send(event).is_err() {
                return;
            }
        }
    });
    events
}

fn read_netstring(stream: &mut BufReader<TcpStream>) -> io::Result<Value> {
    let mut length = Vec::new();
    stream.by_ref().take(8).read_until(b':', &mut length)?;
    length.pop();
    let length = String::from_utf8(length).ok().and_then(|digits| digits.parse::<usize>().ok());
    let length = length.filter(|length| *length <= NETSTRING_OCTETS_MAX).ok_or(io::ErrorKind::InvalidData)?;
    let mut octets = vec![0; length + 1];
    stream.read_exact(&mut octets)?;
    octets.pop();
    Ok(serde_json::from_slice(&octets)?)
}
