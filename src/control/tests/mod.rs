//! The API over real sockets, in front of an edge that says what the test wants.

mod http;
mod locks;
mod seats;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use dataplane::admission::bans::{Ban, Offence};
use dataplane::hotdesk::{Cause, Lock, NextEnd, Place, Seat, Surface};
use dataplane::input::Command;
use dataplane::now::Mono;
use dataplane::output::Done;
use dataplane::refusal::Refusal;
use dataplane::settings::{Device, Extension, Settings, Tenant, TenantParts, Timers};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{Edge, serve};
use crate::backend::store::{Health, Trail};
use crate::telemetry::metrics::Figures;

/// Longer than anything here takes; only a test that fails waits for it.
const DEADLINE: Duration = Duration::from_secs(20);

const TOKEN: &str = "Authorization: Bearer demo-token\r\n";

/// An edge that does what the test says.
#[derive(Clone)]
struct Scripted {
    settings: Arc<Settings>,
    seats: Vec<Arc<Seat>>,
    /// `None`: a worker that never answers.
    outcome: Option<Result<Done, Refusal>>,
    asked: Arc<Mutex<Vec<Command>>>,
    is_serving: Arc<AtomicBool>,
    store_is_reachable: bool,
    trail: Arc<Trail>,
}

impl Scripted {
    fn new() -> Self {
        let tenants = [("demo", &["desk-1", "desk-2"][..]), ("annex", &["lobby"]), ("other", &[])];
        let tenants = tenants.map(|(id, devices)| Arc::new(tenant(id, devices))).to_vec();
        Self {
            settings: Arc::new(Settings::new(1, "edge-1", Vec::new(), tenants, Timers::default(), true)),
            seats: Vec::new(),
            outcome: None,
            asked: Arc::default(),
            is_serving: Arc::new(AtomicBool::new(true)),
            store_is_reachable: true,
            trail: Trail::of_nobody(),
        }
    }

    fn that_answers(outcome: Result<Done, Refusal>) -> Self {
        Self { outcome: Some(outcome), ..Self::new() }
    }

    fn asked(&self) -> Vec<Command> {
        self.asked.lock().unwrap().clone()
    }
}

impl Edge for Scripted {
    fn bearer(&self, presented: &[u8]) -> Option<Box<str>> {
        (presented == b"demo-token").then(|| "demo".into())
    }

    async fn command(&self, _: Box<str>, command: Command) -> Result<Done, Refusal> {
        self.asked.lock().unwrap().push(command);
        match self.outcome.clone() {
            Some(outcome) => outcome,
            None => std::future::pending().await,
        }
    }

    fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings)
    }

    fn seats(&self) -> Vec<Arc<Seat>> {
        self.seats.clone()
    }

    fn locks(&self) -> Vec<Lock> {
        let lock = |device: Option<Place>| Lock {
            device,
            extension: Place::new("demo", "1001"),
            wrong: 4,
            retry_after: Duration::from_millis(29_001),
        };
        let at = |tenant, name| lock(Some(Place::new(tenant, name)));
        vec![lock(None), at("demo", "desk-1"), at("demo", "1002"), at("annex", "1001")]
    }

    fn pins(&self) -> Vec<(Place, u64)> {
        [("annex", "1001"), ("demo", "1002")].map(|(tenant, name)| (Place::new(tenant, name), NOW)).to_vec()
    }

    fn bans(&self) -> Vec<(Ban, Duration)> {
        let ban = |port| Ban {
            address: [198, 51, 100, 66].into(),
            port,
            connections: false,
            offence: Offence::Sweep,
            until: Mono::from_seconds(600),
        };
        vec![(ban(None), Duration::from_millis(599_001)), (ban(Some(5062)), Duration::from_secs(9))]
    }

    fn address_of(&self, device: &Place) -> Option<SocketAddr> {
        (device.name() == "desk-1").then(|| "192.0.2.7:5060".parse().unwrap())
    }

    fn next_end(&self, seat: &Seat) -> Option<NextEnd> {
        (seat.device.name() == "lobby").then_some(NextEnd { at: NOW, cause: Cause::TimeOfDay })
    }

    fn wall(&self) -> u64 {
        NOW
    }

    fn is_serving(&self) -> bool {
        self.is_serving.load(Ordering::Relaxed)
    }

    fn figures(&self) -> Figures {
        Figures {
            store: Health { reachable: self.store_is_reachable, ..Health::default() },
            ..Figures::default()
        }
    }

    fn trail(&self) -> Arc<Trail> {
        Arc::clone(&self.trail)
    }
}

/// 2026-01-31T09:00:00Z.
const NOW: u64 = 1_769_850_000_000;

fn tenant(id: &str, devices: &[&str]) -> Tenant {
    let device = |id: &&str| Device { id: (*id).into(), name: (*id).into(), ..Device::default() };
    let extension = |number: &str, name: &str| Extension {
        number: number.into(),
        name: name.into(),
        ..Extension::default()
    };
    Tenant::new(TenantParts {
        id: id.into(),
        customer: if id == "other" { "other" } else { "acme" }.into(),
        domains: vec![format!("{id}.example").into()],
        devices: devices.iter().map(device).collect(),
        extensions: vec![extension("1001", "John Smith"), extension("1002", "Ann Lee")],
        ..TenantParts::default()
    })
}

fn seat(tenant: &str, device: &str, extension: &str) -> Seat {
    Seat {
        device: Place::new(tenant, device),
        extension: Place::new("demo", extension),
        epoch: 7,
        since: 1_769_847_300_250,
        surface: Surface::Dialled,
        until: None,
    }
}

/// The API on a port of its own, until dropped.
struct Running {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn new(edge: Scripted) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    ended = serve(listener, edge) => ended.unwrap(),
                    _ = stopped => (),
                }
            });
        });
        Self { address, stop: Some(stop), thread: Some(thread) }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    /// One request on a connection of its own.
    fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let mut stream = self.connect();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: edge\r\nConnection: close\r\nContent-Length: {length}\r\n"
        );
        // The edge may answer and close before it has read all of a request it refuses.
        let _ = stream.write_all(format!("{head}{headers}\r\n{body}").as_bytes());
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text);
        Answer::read(&String::from_utf8(text).unwrap())
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, TOKEN, "")
    }

    fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask("POST", path, TOKEN, &body.to_string())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking());
    }
}

#[derive(Debug)]
struct Answer {
    code: u16,
    head: String,
    body: String,
}

impl Answer {
    fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let code = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { code, head: head.to_ascii_lowercase(), body: body.into() }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn error(&self) -> String {
        self.json()["error"].as_str().unwrap().into()
    }
}

fn log_in_of(device: &str, extension: &str) -> Value {
    json!({ "tenant": "demo", "device": device, "extension": extension })
}
