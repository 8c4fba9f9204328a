//! Puts the rooms together and drives them: sockets, workers, store, questions, control plane.
//!
//! Enters: a loaded configuration, signals. Leaves: an [`Edge`] that runs until it is stopped.

pub mod clock;
pub mod controls;
mod datagrams;
mod drive;
mod guarded;
pub mod handoff;
mod house;
mod keys;
mod pin_watch;
mod questions;
pub mod reload;
mod report;
mod restore;
pub mod shutdown;
mod sockets;
mod streams;
mod waits;
mod worker;

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use dataplane::Tables;
use dataplane::flow::WorkerId;
use dataplane::query::{Record, SaveVerdict};
use dataplane::settings::Settings;
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::audit::{self, Followers};
use crate::backend::pin::desk::{PinDesk, Plan};
use crate::backend::store::{OpenError, Secrets, StoreHandle, Trail};
use crate::config::{self, Loaded, Server};
use crate::media::Media;
use crate::telemetry::metrics::Reloads;
use crate::transport::connections::{CONNECTIONS_MAX, OPENED_MAX};
use clock::Clock;
use controls::{Commander, Controls, Counts, Phase};
use handoff::{Certain, Ring};
use house::House;
use pin_watch::PinWatch;
use questions::Questions;
use sockets::Sockets;
use worker::Shell;

pub use reload::{Changes, ReloadError};
pub use sockets::BindError;

/// How long the store may take to keep the first keys; then the edge serves without.
const FIRST_SAVE_WITHIN: Duration = Duration::from_secs(5);

/// Descriptors that are for no connection of a phone: some dozens of listeners and of what workers wait with, the store,
/// the files that a reload reads, the audit file, hooks, and 64 connections to the control API.
const DESCRIPTORS_KEPT: usize = 256;

/// Where the system does not say how many there may be.
const DESKTOP_DESCRIPTORS: u64 = 1_024;

/// A running edge. Dropped, it stops at once.
pub struct Edge {
    bound: Vec<SocketAddr>,
    control: Option<SocketAddr>,
    controls: Controls,
    settings: watch::Sender<Arc<Settings>>,
    server: watch::Sender<Arc<Server>>,
    reloads: watch::Sender<Reloads>,
    phase: watch::Sender<Phase>,
    pins: Arc<PinDesk>,
    /// Where the PINs of each tenant are, by its id; held while another configuration is put in force.
    plans: Mutex<HashMap<Box<str>, Plan>>,
    shell: Arc<Shell>,
    workers: Vec<JoinHandle<()>>,
    house: Option<House>,
    audit: Option<audit::Office>,
    pin_watch: Option<PinWatch>,
}

/// Why an edge cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A listener.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The control API's address.
    #[error("cannot listen on {address} (control)")]
    Control {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The operating system gives no thread or runtime.
    #[error("cannot start a thread")]
    Thread(#[from] io::Error),
}

impl Edge {
    /// Opens all sockets and the store, takes over what was stored, and serves. Returns when the first message
    /// will be answered.
    ///
    /// # Errors
    /// See [`StartError`]; nothing keeps running then.
    pub fn start(loaded: Loaded) -> Result<Self, StartError> {
        let server = Arc::new(loaded.server.clone());
        let descriptors = raise_descriptor_limit();
        let connections_max = connections_max(descriptors, server.media.setup.sessions_max, server.workers);
        info!(descriptors, each = connections_max, "open files, and connections of phones to each worker");
        let (mut sockets, mut bound) = (Vec::new(), Vec::new());
        for listen in &server.listeners {
            let (opened, address) =
                Sockets::open(listen.protocol, listen.address, listen.dscp, server.workers)?;
            sockets.push(opened);
            bound.push(address);
        }
        let control = server.control.as_ref().map(|control| open_control(control.address)).transpose()?;
        let plans = loaded.pins.clone();
        let settings = Arc::new(loaded.settings(1, &bound, None));

        let clock = Clock::start();
        let now = clock.now();
        let tables = Arc::new(Tables::new(random()));
        let retention = server.audit.retention();
        let trail = Arc::new(Trail::new(Arc::clone(&settings), retention, now.wall));
        let (store, mut secrets, changed) = restore::open(&server.store, &tables, &settings, &trail, clock)?;
        if keys::renew(&mut secrets, now.wall, settings.timers.call_max) {
            save_first_keys(&store, &secrets);
        }

        let rings: Arc<[Arc<Ring>]> = (0..server.workers).map(|_| Arc::new(Ring::new())).collect();
        let counts = Arc::new(Counts::new(Arc::clone(&rings)));
        let pins = Arc::new(PinDesk::new(changed));
        forget_pins(&store, pins.configure(&settings, &plans, server.keys.clone()));
        let questions = Questions::start(store.clone(), Arc::clone(&pins), clock)?;
        let media = Arc::new(start_media(&server.media, &rings)?);
        let keys = watch::Sender::new(Arc::new(keys::routing_keys(&secrets)));
        let settings = watch::Sender::new(settings);
        let server = watch::Sender::new(server);
        let reloads = Reloads { applied_at: clock.started_at(), ..Reloads::default() };
        let reloads = watch::Sender::new(reloads);
        let phase = watch::Sender::new(Phase::Serving);
        let controls = Controls {
            commands: Commander::new(Arc::clone(&rings)),
            tables: Arc::clone(&tables),
            settings: settings.subscribe(),
            server: server.subscribe(),
            reloads: reloads.subscribe(),
            counts: Arc::clone(&counts),
            pins: Arc::clone(&pins),
            store,
            media: Arc::clone(&media),
            trail,
            followers: Followers::default(),
            clock,
            phase: phase.subscribe(),
        };
        let shell = Arc::new(Shell {
            clock,
            rings,
            counts,
            questions,
            media,
            tables,
            settings: settings.subscribe(),
            server: server.subscribe(),
            keys: keys.subscribe(),
            sockets,
            connections_max,
            stop_at: watch::Sender::new(None),
        });
        let control_address = control.as_ref().map(TcpListener::local_addr).transpose()?;
        let mut edge = Self {
            bound,
            control: control_address,
            controls: controls.clone(),
            settings,
            server,
            reloads,
            phase,
            pins,
            plans: Mutex::new(plans),
            shell,
            workers: Vec::new(),
            house: None,
            audit: None,
            pin_watch: None,
        };
        // From here on dropping `edge` ends what has been started.
        for id in (0_u8..=u8::MAX).take(edge.shell.rings.len()).map(WorkerId) {
            let shell = Arc::clone(&edge.shell);
            let thread = thread::Builder::new().name(format!("worker-{}", id.0));
            edge.workers.push(thread.spawn(move || drive::run(&shell, id))?);
        }
        edge.pin_watch = Some(PinWatch::start(Arc::clone(&edge.pins))?);
        let rings = Arc::clone(&edge.shell.rings);
        let Controls { trail, store, followers, server, .. } = controls.clone();
        edge.audit = Some(audit::Office::open(trail, store, followers, server)?);
        edge.house = Some(House::open(control, controls, keys, secrets, rings)?);
        Ok(edge)
    }

    /// The addresses of the listeners, in the order of the file, with the ports the system gave.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.bound
    }

    /// The address of the control API, if there is one.
    pub fn control_address(&self) -> Option<SocketAddr> {
        self.control
    }

    /// The doors for the control plane and telemetry.
    pub fn controls(&self) -> &Controls {
        &self.controls
    }

    /// Finishes what is under way for at most `grace`, writes what is owed to the store, and ends. New
    /// connections are refused from the start; datagrams are answered to the last.
    pub fn stop(mut self, grace: Duration) {
        self.end(grace);
    }

    fn end(&mut self, grace: Duration) {
        if self.house.is_none() && self.workers.is_empty() {
            return;
        }
        self.phase.send_replace(Phase::Draining);
        self.shell.sockets.iter().for_each(Sockets::stop_accepting);
        self.shell.stop_after(grace);
        for worker in self.workers.drain(..) {
            if worker.join().is_err() {
                error!("a worker ended by a panic");
            }
        }
        if let Some(house) = self.house.take() {
            house.close();
        }
        self.shell.media.stop();
        drop(self.pin_watch.take());
        self.shell.questions.stop();
        if let Some(audit) = self.audit.take() {
            audit.close();
        }
        self.controls.store.clone().flush_and_close();
        info!("stopped");
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.end(Duration::ZERO);
    }
}

/// Has the store forget PINs that the operator replaced. Where it does not, the next start finds them and asks again.
fn forget_pins(store: &StoreHandle, records: Vec<Record>) {
    for record in records {
        store.write_behind(record);
    }
}

/// Fresh random octets of the operating system.
fn random<const N: usize>() -> [u8; N] {
    let mut octets = [0; N];
    getrandom::fill(&mut octets).expect("the operating system has random octets once it has booted");
    octets
}

/// A connection is a descriptor, and the usual limit is that of a desktop: 1,024. The operator's hard limit is
/// the one that was meant. Returns what holds.
fn raise_descriptor_limit() -> u64 {
    rlimit::increase_nofile_limit(u64::MAX).unwrap_or_else(|error| {
        warn!(reason = %error, "the limit of open files stays as it is");
        rlimit::Resource::NOFILE.get_soft().unwrap_or(DESKTOP_DESCRIPTORS)
    })
}

/// How many connections of phones each of `workers` may have: its share of what `sounds` sessions of sound, connections to
/// peers and everything else leave, and half of all at least. A table that is full lets its stalest go; a process without
/// descriptors could not even read its configuration.
fn connections_max(descriptors: u64, sounds: usize, workers: usize) -> usize {
    let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
    let kept = (DESCRIPTORS_KEPT + sounds + workers * OPENED_MAX).min(descriptors / 2);
    ((descriptors - kept) / workers.max(1)).clamp(1, CONNECTIONS_MAX)
}

fn open_control(address: SocketAddr) -> Result<TcpListener, StartError> {
    let open = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    open().map_err(|source| StartError::Control { address, source })
}

/// Whatever is heard goes to the worker whose call it is.
fn start_media(media: &config::Media, rings: &Arc<[Arc<Ring>]>) -> io::Result<Media> {
    let rings = Arc::clone(rings);
    Media::start(&media.setup, Arc::clone(&media.prompts), move |session, heard| {
        if let Some(ring) = rings.get(usize::from(session.worker.0)) {
            ring.deliver(Certain::Heard(session.call, heard));
        }
    })
}

/// Calls sealed under a key that the store does not have would lose their way at a restart.
fn save_first_keys(store: &StoreHandle, secrets: &Secrets) {
    let (done, saved) = mpsc::sync_channel(1);
    store.put_secrets(secrets.clone(), move |verdict| {
        // Nobody listens if it took too long.
        let _ = done.send(verdict);
    });
    if saved.recv_timeout(FIRST_SAVE_WITHIN) != Ok(SaveVerdict::Durable) {
        warn!("the store does not keep the routing keys: calls of now will not survive a restart");
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpStream, UdpSocket};
    use std::path::Path;

    use super::*;
    use crate::config::Source;

    const DEADLINE: Duration = Duration::from_secs(10);

    fn configuration(extra: &str) -> String {
        let listen = |protocol| format!("[[listen]]\nprotocol = \"{protocol}\"\naddress = \"127.0.0.1:0\"\n");
        format!(
            "[edge]\nworkers = 2\n[store]\nkind = \"memory\"\n{}{}[[tenant]]\nid = \"demo\"\n\
             domains = [\"demo.hotdesk\"]\n{extra}",
            listen("udp"),
            listen("tcp"),
        )
    }

    fn load(text: &str) -> Loaded {
        let source = Source {
            name: "test",
            text,
            base: Path::new(""),
            readable_by_others: false,
            resolve: &|_, _| Ok(Vec::new()),
        };
        config::parse(&source).unwrap_or_else(|report| panic!("{report}"))
    }

    fn start() -> Edge {
        Edge::start(load(&configuration(""))).unwrap()
    }

    fn options(via: &str, number: usize) -> String {
        format!(
            "OPTIONS sip:demo.hotdesk SIP/2.0\r\nVia: SIP/2.0/{via} 127.0.0.1;branch=z9hG4bK{number};rport\r\n\
             Max-Forwards: 70\r\nTo: <sip:demo.hotdesk>\r\nFrom: <sip:a@demo.hotdesk>;tag=1\r\n\
             Call-ID: {number}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        )
    }

    /// Reads until `count` answers are complete; each here has no body.
    fn answers(phone: &mut TcpStream, count: usize) -> String {
        phone.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut text = String::new();
        while text.matches("\r\n\r\n").count() < count {
            let mut octets = [0; 4096];
            let read = phone.read(&mut octets).expect("an answer comes");
            assert_ne!(read, 0, "{text}");
            text.push_str(std::str::from_utf8(&octets[..read]).unwrap());
        }
        text
    }

    fn phone(edge: &Edge) -> UdpSocket {
        let phone = UdpSocket::bind("127.0.0.1:0").unwrap();
        phone.connect(edge.addresses()[0]).unwrap();
        phone.set_read_timeout(Some(DEADLINE)).unwrap();
        phone
    }

    #[test]
    fn every_phone_is_answered_whichever_worker_it_reaches() {
        let edge = start();

        // Sixteen source ports miss one of two workers once in 32,768 runs, and then nothing fails.
        for number in 0..16 {
            let phone = phone(&edge);
            phone.send(options("UDP", number).as_bytes()).unwrap();
            let mut octets = [0; 4096];
            let length = phone.recv(&mut octets).expect("an answer comes");
            assert!(octets[..length].starts_with(b"SIP/2.0 "));

            let mut phone = TcpStream::connect(edge.addresses()[1]).unwrap();
            phone.write_all(options("TCP", number).repeat(3).as_bytes()).unwrap();
            assert_eq!(answers(&mut phone, 3).matches("SIP/2.0 ").count(), 3);
        }
    }

    #[test]
    fn doubtful_framing_is_answered_and_closed() {
        let edge = start();
        let mut phone = TcpStream::connect(edge.addresses()[1]).unwrap();
        let doubtful = options("TCP", 1).replace("Content-Length: 0", "Content-Length: +0");

        phone.write_all((doubtful + &options("TCP", 2)).as_bytes()).unwrap();

        phone.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut text = String::new();
        phone.read_to_string(&mut text).expect("the edge closes");
        assert!(text.starts_with("SIP/2.0 400 "), "{text}");
        assert_eq!(text.matches("SIP/2.0 400 ").count(), 1, "{text}");
    }

    #[test]
    fn a_reload_is_all_or_nothing() {
        let edge = start();
        let site =
            "[[tenant.site]]\nid = \"office\"\nname = \"Office\"\nemergency_caller = \"+12125550100\"\n";

        let changes = edge.reload(load(&configuration(site))).unwrap();
        assert_eq!((changes.tenants.changed, changes.edge), (1, false));
        assert_eq!(edge.controls().settings.borrow().generation, 2);

        // What keeps somebody out is told as anything else.
        let denied = format!("deny = [\"192.0.2.0/24\"]\n{site}");
        let changes = edge.reload(load(&configuration(&denied))).unwrap();
        assert_eq!((changes.tenants.changed, changes.edge), (1, false));
        let banned = format!("{denied}[admission]\nban = \"1h\"\n");
        let changes = edge.reload(load(&configuration(&banned))).unwrap();
        assert_eq!((changes.tenants.changed, changes.edge), (0, true));

        let more_workers = configuration("").replace("workers = 2", "workers = 3");
        let error = edge.reload(load(&more_workers)).unwrap_err();
        assert_eq!(error.to_string(), "needs a restart: edge.workers");
        let reloads = *edge.controls().reloads.borrow();
        assert_eq!((reloads.applied, reloads.needing_restart, reloads.mistaken), (3, 1, 0));
        assert!(reloads.applied_at >= edge.controls().clock.started_at());
        assert_eq!(edge.controls().settings.borrow().generation, 4);
        assert_eq!(edge.controls().settings.borrow().tenants[0].sites.len(), 1);
    }

    #[test]
    fn connections_leave_descriptors_for_everything_else() {
        assert_eq!(connections_max(1_024, 2_000, 2), 256);
        assert_eq!(connections_max(20_000, 2_000, 2), (20_000 - 2_256 - 2 * OPENED_MAX) / 2);
        assert_eq!(connections_max(u64::MAX, 2_000, 8), CONNECTIONS_MAX);
        assert_eq!(connections_max(0, 2_000, 8), 1);
    }

    #[test]
    fn an_address_in_use_is_said() {
        let edge = start();
        let address = edge.addresses()[0].to_string();

        let text = configuration("").replacen("127.0.0.1:0", &address, 1);
        let error = Edge::start(load(&text)).err().expect("it is in use");

        assert!(matches!(error, StartError::Bind(BindError { .. })));
        assert_eq!(error.to_string(), format!("cannot listen on {address} (Udp)"));
    }

    #[test]
    fn after_a_stop_everything_is_closed() {
        let edge = start();
        let (controls, addresses) = (edge.controls().clone(), edge.addresses().to_vec());
        let mut phone = TcpStream::connect(addresses[1]).unwrap();
        phone.write_all(options("TCP", 1).as_bytes()).unwrap();
        answers(&mut phone, 1);

        edge.stop(DEADLINE);

        assert_eq!(*controls.phase.borrow(), Phase::Draining);
        assert!(!controls.store.health().reachable);
        assert_eq!(phone.read(&mut [0]).unwrap_or(0), 0);
        // Both ports are free again.
        UdpSocket::bind(addresses[0]).unwrap();
        assert!(TcpStream::connect(addresses[1]).is_err());
    }
}
