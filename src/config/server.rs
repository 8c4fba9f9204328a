//! What concerns the process and not one tenant: `[edge]`, `[[listen]]`, `[store]`, `[timers]`, `[pins]`, `[log]`.
//! `[control]`, `[admission]`, `[media]` and what follows the trail have files of their own.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::Path;
use std::thread;
use std::time::Duration;

use dataplane::settings::{AdmissionPolicy, Networks, Protocol, Settings, Timers};

use super::admission;
use super::audit::{self, Audit};
use super::control::{self, Control};
use super::keys;
use super::media::{self, Media};
use super::name;
use super::read::{Choice, Table, Text};
use super::report::{Problem, Span};
use super::secret::Secrets;
use super::tls;
use crate::backend::pin::key::{Key, Keys};
use crate::backend::store::StoreKind;
use crate::transport::Dscp;
use crate::transport::tls::{Acceptor, Certificate};

/// Most workers: a thread for each processor of the largest machines in use, and far below the 256 a flow can name.
pub const WORKERS_MAX: u32 = 64;
/// Transactions of a worker on each side: 8 calls a second for long, and 32,768, which take some 6 GB.
const TRANSACTIONS_MAX: RangeInclusive<u32> = 1_024..=4_194_304;
/// Most listeners: every worker opens each of them.
pub const LISTENERS_MAX: usize = 64;
/// The store of an edge whose file names none.
const STORE_PATH: &str = "var/hotdesk.db";

/// All that the file says beside the tenants: what the process opens, and what holds for every message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The edge's own name, for `Server`, logs and metrics.
    pub name: Box<str>,
    /// Worker threads, 1 to [`WORKERS_MAX`].
    pub workers: usize,
    /// How many transactions each of them keeps on each side.
    pub transactions_max: u32,
    /// What to listen on, in file order; at least one, at most [`LISTENERS_MAX`].
    pub listeners: Vec<Listen>,
    /// SIP timers and limits of time.
    pub timers: Timers,
    /// What a source may cost before it is known who it is.
    pub admission: AdmissionPolicy,
    /// Where seats and bindings are kept.
    pub store: StoreKind,
    /// The control API; `None`: there is none.
    pub control: Option<Control>,
    /// The keys of PINs.
    pub keys: Keys,
    /// The attendant's sound.
    pub media: Media,
    /// What becomes of the audit trail.
    pub audit: Audit,
    /// What is logged, and how.
    pub log: Log,
}

impl Server {
    /// The keys whose change `other` brings and that take effect at a start only. Empty: a reload can bring them all.
    pub fn changed_at_start_only(&self, other: &Self) -> Vec<&'static str> {
        let sockets = || self.listeners.iter().zip(&other.listeners);
        let control = |server: &Self| server.control.as_ref().map(|control| control.address);
        let is_embedded = |server: &Self| matches!(server.store, StoreKind::Embedded { .. });
        let other_kind = is_embedded(self) != is_embedded(other);
        let (media, other_media) = (&self.media.setup, &other.media.setup);
        [
            ("edge.workers", self.workers != other.workers),
            ("edge.transactions_max", self.transactions_max != other.transactions_max),
            ("listen", self.listeners.len() != other.listeners.len()),
            ("listen.protocol", sockets().any(|(one, other)| one.protocol != other.protocol)),
            ("listen.address", sockets().any(|(one, other)| one.address != other.address)),
            ("listen.dscp", sockets().any(|(one, other)| one.dscp != other.dscp)),
            ("store.kind", other_kind),
            ("store.path", !other_kind && self.store != other.store),
            ("control.address", control(self) != control(other)),
            ("media.ports", media.ports != other_media.ports),
            ("media.sessions_max", media.sessions_max != other_media.sessions_max),
            ("media.dscp", media.dscp != other_media.dscp),
            ("log.level", self.log.level != other.log.level),
            ("log.format", self.log.format != other.log.format),
        ]
        .into_iter()
        .filter_map(|(key, changed)| changed.then_some(key))
        .collect()
    }

    /// Goes on with the TLS of `before` wherever it was made of the same certificates: phones can resume their sessions.
    pub(crate) fn keep_tickets(&mut self, before: &Self) {
        for (listen, before) in self.listeners.iter_mut().zip(&before.listeners) {
            if listen.tls == before.tls {
                listen.tls.clone_from(&before.tls);
            }
        }
    }

    /// Gives every listener that speaks TLS the certificates of the tenants.
    pub(super) fn show_named(&mut self, named: Vec<Certificate>) {
        if named.is_empty() {
            return;
        }
        for tls in self.listeners.iter_mut().filter_map(|listen| listen.tls.as_mut()) {
            *tls = tls.with_named(named.clone());
        }
    }
}

/// One `[[listen]]` before it is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// How it speaks.
    pub protocol: Protocol,
    /// What to bind; port 0 lets the system choose.
    pub address: SocketAddr,
    /// The host peers are told instead of the bound address; IPv6 in brackets.
    pub advertise_host: Option<Box<str>>,
    /// The port peers are told instead of the bound one.
    pub advertise_port: Option<u16>,
    /// What its packets carry for the routers on the way.
    pub dscp: Dscp,
    /// The tenant of requests that name no domain of ours.
    pub tenant: Option<Box<str>>,
    /// How it speaks TLS, if it does.
    pub tls: Option<Acceptor>,
    /// From where anything is read at all.
    pub networks: Networks,
}

/// What is logged, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// The least important messages that are still written.
    pub level: LogLevel,
    /// How a message is written.
    pub format: LogFormat,
}

/// Importance of a log message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Something failed that somebody must repair.
    Error,
    /// Something is not as it should be.
    Warn,
    /// What an operator wants to know.
    #[default]
    Info,
    /// What a peer caused, message by message.
    Debug,
    /// Everything.
    Trace,
}

/// How a log message is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Reads all of it; what is wrong becomes a finding and its default stands.
pub(super) fn read(top: &Table<'_>, base: &Path, secrets: &Secrets<'_>) -> Server {
    let edge = top.table("edge", &keys::EDGE);
    let name = edge.as_ref().and_then(|edge| name::name(&edge.text("name")?, edge.findings()));
    let workers = edge.as_ref().and_then(|edge| edge.number("workers", 1..=WORKERS_MAX));
    let workers = workers.map_or_else(processors, |workers| workers as usize);

    let transactions_max = edge.and_then(|edge| edge.number("transactions_max", TRANSACTIONS_MAX));

    let listeners = listeners(top, secrets);
    let control =
        top.table("control", &keys::CONTROL).and_then(|table| control::read(&table, secrets, &listeners));
    Server {
        name: name.unwrap_or_else(|| "hotdesk".into()),
        workers,
        transactions_max: transactions_max.unwrap_or(Settings::TRANSACTIONS_MAX),
        control,
        store: store(top, base),
        keys: top.table("pins", &keys::PINS).map_or_else(Keys::default, |pins| pin_keys(&pins, secrets)),
        media: media::read(top, base),
        audit: audit::read(top, base, secrets),
        timers: timers(top),
        admission: admission::read(top),
        log: top.table("log", &keys::LOG).map_or_else(Log::default, |table| log(&table)),
        listeners: listeners.into_iter().map(|(listen, _)| listen).collect(),
    }
}

fn processors() -> usize {
    thread::available_parallelism().map_or(1, |processors| processors.get().min(WORKERS_MAX as usize))
}

fn listeners(top: &Table<'_>, secrets: &Secrets<'_>) -> Vec<(Listen, Span)> {
    let tables = top.tables("listen", &keys::LISTEN, LISTENERS_MAX);
    if tables.is_empty() && top.entry("listen").is_none() {
        let problem = Problem::error("no [[listen]]: nobody can reach the edge");
        top.add(problem.help("add [[listen]] with protocol = \"udp\" and address = \"127.0.0.1:5060\""));
    }
    let mut listeners: Vec<(Listen, Span)> = Vec::with_capacity(tables.len());
    for table in &tables {
        let Some((listen, span)) = listen(table, secrets) else { continue };
        let twin = listeners.iter().find(|(other, _)| {
            let same_socket = other.protocol.is_stream() == listen.protocol.is_stream();
            same_socket && other.address == listen.address && listen.address.port() != 0
        });
        if let Some((_, first)) = twin {
            let problem = Problem::error(format!("{} is listened on twice", listen.address));
            table.add(problem.at(first, "here").at(&span, "and here"));
        }
        listeners.push((listen, span));
    }
    listeners
}

fn listen(table: &Table<'_>, secrets: &Secrets<'_>) -> Option<(Listen, Span)> {
    const PROTOCOLS: [Choice<Protocol>; 5] = [
        ("udp", Some(Protocol::Udp)),
        ("tcp", Some(Protocol::Tcp)),
        ("tls", Some(Protocol::Tls)),
        ("ws", None),
        ("wss", None),
    ];

    table.required("protocol", "add protocol = \"udp\", \"tcp\" or \"tls\"");
    let protocol = table.choice("protocol", &PROTOCOLS);
    let address = table.required("address", "add address = \"127.0.0.1:5060\"");
    let address = address.and_then(|text| Some((socket_address(&text, table)?, text.span)));
    let advertise = table.text("advertise").and_then(|text| {
        let advertise = name::host_and_port(text.value);
        if advertise.is_none() {
            let problem = Problem::error(format!("\"{}\" is no host with or without a port", text.value));
            table
                .add(problem.at(&text.span, "this").help("such as \"203.0.113.7:5060\" or \"edge.example\""));
        }
        advertise
    });
    let dscp = table.number("dscp", 0..=u32::from(Dscp::MAX));
    let dscp = dscp.and_then(|code_point| Dscp::new(u8::try_from(code_point).ok()?)).unwrap_or_default();
    let (address, span) = address?;
    if address.ip().is_unspecified() && table.entry("advertise").is_none() {
        let problem = Problem::error(format!("peers cannot be told to come back to {}", address.ip()));
        let help = "add advertise = \"…\": the address or name under which phones reach this listener";
        table.add(problem.at(&span, "any address of this machine").help(help));
    }
    let (advertise_host, advertise_port) = advertise.map_or((None, None), |(host, port)| (Some(host), port));
    let tenant = table.text("tenant").map(|text| text.value.into());
    let protocol = protocol?;
    let tls = tls::acceptor(table, protocol == Protocol::Tls, secrets);
    let networks = admission::networks(table);
    Some((Listen { protocol, address, advertise_host, advertise_port, dscp, tenant, tls, networks }, span))
}

pub(super) fn socket_address(text: &Text<'_>, table: &Table<'_>) -> Option<SocketAddr> {
    let address = text.value.parse().ok();
    if address.is_none() {
        let problem =
            Problem::error(format!("\"{}\" is no address with a port", text.value)).at(&text.span, "this");
        table.add(problem.help("such as \"127.0.0.1:5060\" or \"[::1]:5060\"; a name is not possible here"));
    }
    address
}

fn store(top: &Table<'_>, base: &Path) -> StoreKind {
    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        Memory,
        Embedded,
    }
    const KINDS: [Choice<Kind>; 3] =
        [("memory", Some(Kind::Memory)), ("embedded", Some(Kind::Embedded)), ("redis", None)];

    let table = top.table("store", &keys::STORE);
    let kind = table.as_ref().and_then(|table| table.choice("kind", &KINDS)).unwrap_or(Kind::Embedded);
    let path = table.as_ref().and_then(|table| table.text("path"));
    if let Some(empty) = path.as_ref().filter(|path| path.value.is_empty()) {
        top.add(Problem::error("`path` is empty").at(&empty.span, "this"));
    }
    match (kind, table) {
        (Kind::Memory, Some(table)) => {
            let problem = Problem::warning("after a restart nobody sits anywhere and no phone is registered");
            let problem = problem.at(&table.place("kind"), "kept in memory only");
            top.add(problem.help("kind = \"embedded\" keeps seats and bindings in a file"));
            if let Some(path) = path {
                let problem = Problem::warning("`path` has no effect where the store is memory");
                top.add(problem.at(&path.span, "this"));
            }
            StoreKind::Memory
        }
        _ => StoreKind::Embedded { path: base.join(path.map_or(STORE_PATH, |path| path.value)) },
    }
}

/// SIP timers; bounds in docs/configuration.md.
fn timers(top: &Table<'_>) -> Timers {
    const MS: fn(u64) -> Duration = Duration::from_millis;
    const S: fn(u64) -> Duration = Duration::from_secs;

    let defaults = Timers::default();
    let Some(table) = top.table("timers", &keys::TIMERS) else { return defaults };
    let timers = Timers {
        t1: table.time("t1", MS(10)..=S(5)).unwrap_or(defaults.t1),
        t2: table.time("t2", MS(10)..=S(60)).unwrap_or(defaults.t2),
        t4: table.time("t4", MS(10)..=S(60)).unwrap_or(defaults.t4),
        // More than three minutes (RFC 3261 §16.6 item 11).
        timer_c: table.time("timer_c", S(181)..=S(3600)).unwrap_or(defaults.timer_c),
        no_answer_from_phone: table
            .time("no_answer_from_phone", MS(500)..=S(32))
            .unwrap_or(defaults.no_answer_from_phone),
        call_max: table.time("call_max", S(60)..=S(7 * 86_400)).unwrap_or(defaults.call_max),
    };
    if timers.t1 > timers.t2 {
        let problem = Problem::error("`t1` is longer than `t2`, the longest interval of retransmissions");
        table.add(problem.at(&table.place("t1"), "t1").at(&table.place("t2"), "t2"));
    }
    timers
}

fn pin_keys(pins: &Table<'_>, secrets: &Secrets<'_>) -> Keys {
    let key = |name: &str, section, make: &str| {
        let table = pins.table(name, section)?;
        let line = secrets.file(&table)?;
        let key = Key::new(line.as_bytes());
        if key.is_none() {
            let problem = Problem::error(format!("a key of PINs has at least {} octets", Key::OCTETS_MIN));
            let problem = problem.at(&table.place("file"), "this one has fewer");
            table.add(problem.help(format!("make one: hotdesk {make} FILE")));
        }
        key
    };
    Keys {
        pepper: key("pepper", &keys::PEPPER, "make-pepper"),
        seal: key("seal_key", &keys::SEAL_KEY, "make-seal-key"),
    }
}

fn log(table: &Table<'_>) -> Log {
    const LEVELS: [Choice<LogLevel>; 5] = [
        ("error", Some(LogLevel::Error)),
        ("warn", Some(LogLevel::Warn)),
        ("info", Some(LogLevel::Info)),
        ("debug", Some(LogLevel::Debug)),
        ("trace", Some(LogLevel::Trace)),
    ];
    const FORMATS: [Choice<LogFormat>; 2] =
        [("text", Some(LogFormat::Text)), ("json", Some(LogFormat::Json))];

    Log {
        level: table.choice("level", &LEVELS).unwrap_or_default(),
        format: table.choice("format", &FORMATS).unwrap_or_default(),
    }
}
