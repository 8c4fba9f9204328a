//! The office: it carries octets between edge and phones, answers what the edge asks, and lets time pass.
//!
//! One clock, one agenda. Whatever is due next happens next: a parcel arrives, a backend answers, a phone or a worker
//! has something to do. Nothing else moves, so a run is the same for the same seed.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::{Index, IndexMut};
use std::sync::Arc;
use std::time::Duration;

use super::blueprint::Blueprint;
use super::call::{Call, CallState, Leg};
use super::draft::Draft;
use super::phone::Phone;
use super::store::{Store, StoreMood};
use super::wire::{Agenda, Quality};
use crate::counters::Counters;
use crate::flow::{ConnectionId, Flow, ListenerId, WorkerId};
use crate::hotdesk::Seat;
use crate::input::{Command, Input, Notice, ReplyId};
use crate::now::{Mono, Now};
use crate::output::{Done, Outbox, Output, Report};
use crate::query::{Answer, PinVerdict, Query, QueryId, Record, SaveVerdict};
use crate::random::Random;
use crate::refusal::Refusal;
use crate::return_path::RoutingKeys;
use crate::settings::Settings;
use crate::{Dataplane, Tables};

const UDP: ListenerId = ListenerId(0);
const TCP: ListenerId = ListenerId(1);

/// How long a PIN backend thinks.
const PIN_TIME: Duration = Duration::from_millis(20);
/// Between two workers of one process.
const RING_TIME: Duration = Duration::from_micros(50);
/// Nothing has moved for so long: what comes next are far timers. Longer than any retry within the edge.
const QUIET: Duration = Duration::from_millis(50);
/// On a wire that loses, whoever misses an answer repeats himself within T2 of 4 s.
const QUIET_ON_A_POOR_WIRE: Duration = Duration::from_millis(4200);
/// The edge never rests: a bug that a test must not wait for.
const STEPS_AT_ONCE_MAX: u32 = 200_000;
/// Wall clock when the doors open: 2026-01-01.
const OPENING: u64 = 1_767_225_600_000;

/// Something under way.
#[derive(Debug)]
enum Parcel {
    ToEdge { worker: u8, flow: Flow, bytes: Vec<u8> },
    ToPhone { flow: Flow, bytes: Vec<u8> },
    HandedOver { worker: u8, flow: Flow, bytes: Vec<u8> },
    Told { worker: u8, notice: Notice },
    Answered { worker: u8, query: QueryId, answer: Answer },
    Save { worker: u8, query: QueryId, record: Record },
    WriteBehind(Record),
}

/// An office with its edge, phones, wire, store and clock.
#[derive(Debug)]
pub struct Office {
    /// The store.
    pub store: Store,
    /// How well the wire delivers from now on.
    pub quality: Quality,
    /// False: no PIN can be checked.
    pub pins_available: bool,
    /// What the edge wanted its operator to read, in order.
    pub reports: Vec<Report>,
    /// Everything but messages that left the edge, as it would be printed; only while [`Office::listen`] was called.
    pub overheard: Option<String>,
    blueprint: Blueprint,
    generation: u64,
    /// Since the doors opened.
    clock: Mono,
    /// When the edge that runs now was started.
    started: Mono,
    /// How far the wall clock was stepped, milliseconds.
    stepped: i64,
    moved: Mono,
    settings: Arc<Settings>,
    keys: Arc<RoutingKeys>,
    tables: Arc<Tables>,
    workers: Vec<Dataplane>,
    outbox: Outbox,
    agenda: Agenda<Parcel>,
    phones: Vec<Phone>,
    names: BTreeMap<String, usize>,
    replies: BTreeMap<u64, Result<Done, Refusal>>,
    next_reply: u64,
    random: Random,
}

impl Office {
    /// The quick start with this seed.
    pub fn new(seed: u64) -> Self {
        Self::open(Blueprint::demo(seed))
    }

    /// The demo tenant after `change`.
    pub fn with(seed: u64, change: impl FnOnce(&mut Blueprint)) -> Self {
        let mut blueprint = Blueprint::demo(seed);
        change(&mut blueprint);
        Self::open(blueprint)
    }

    /// Opens the doors.
    pub fn open(blueprint: Blueprint) -> Self {
        let mut random = Random::new(seed_of(blueprint.seed, 0));
        let settings = Arc::new(blueprint.settings(1));
        let mut office = Self {
            store: Store::new(),
            quality: blueprint.quality,
            pins_available: true,
            reports: Vec::new(),
            overheard: None,
            generation: 1,
            clock: Mono::default(),
            started: Mono::default(),
            stepped: 0,
            moved: Mono::default(),
            settings,
            keys: Arc::new(RoutingKeys::new(&[(1, random.bytes())])),
            tables: Arc::new(Tables::new(random.bytes())),
            workers: Vec::new(),
            outbox: Outbox::new(),
            agenda: Agenda::new(),
            phones: Vec::new(),
            names: BTreeMap::new(),
            replies: BTreeMap::new(),
            next_reply: 0,
            random,
            blueprint,
        };
        office.start();
        office
    }

    fn start(&mut self) {
        self.started = self.clock;
        self.tables = Arc::new(Tables::new(self.random.bytes()));
        if self.blueprint.durable {
            let unplaced = self.tables.restore(self.store.restored(), &self.settings, self.now());
            assert_eq!(unplaced.unreadable, 0, "the store gives back what it was given");
            unplaced.endings.into_iter().for_each(|record| self.store.write(record));
        }
        let now = self.now();
        self.workers = (0..self.blueprint.workers)
            .map(|worker| {
                Dataplane::new(
                    WorkerId(worker),
                    self.blueprint.workers,
                    Arc::clone(&self.settings),
                    Arc::clone(&self.keys),
                    Arc::clone(&self.tables),
                    self.random.bytes(),
                    now,
                )
            })
            .collect();
    }

    // ---- phones ----

    /// Puts the device phone `device` on its desk: it registers its own account over UDP.
    pub fn plug_in(&mut self, device: &str) -> &mut Self {
        self.install(device, device, UDP)
    }

    /// The same over a connection.
    pub fn plug_in_stream(&mut self, device: &str) -> &mut Self {
        self.install(device, device, TCP)
    }

    /// Puts an ordinary phone called `name` beside the desks: it registers the account of `extension` over UDP.
    pub fn own_phone(&mut self, name: &str, extension: &str) -> &mut Self {
        self.install(name, extension, UDP)
    }

    fn install(&mut self, name: &str, user: &str, listener: ListenerId) -> &mut Self {
        self.add_phone(name, listener, None);
        self[name].use_account(user);
        let outcome = self.register(name);
        assert_eq!(outcome, Some(200), "{name} registers");
        self
    }

    /// A phone that holds the account `user` and has not registered.
    pub fn unbox(&mut self, name: &str, user: &str) -> &mut Self {
        self.add_phone(name, UDP, None);
        self[name].use_account(user);
        self
    }

    /// A peer without any account, at an address of its own: a gateway, or a stranger.
    pub fn peer(&mut self, name: &str, address: &str) -> &mut Self {
        self.add_phone(name, UDP, Some(address.parse().expect("an address")));
        self
    }

    fn add_phone(&mut self, name: &str, listener: ListenerId, address: Option<SocketAddr>) {
        let number = self.phones.len();
        let host = number as u8 + 1;
        let port = 5060 + number as u16;
        // Behind NAT: the edge sees another address than the phone does.
        let seen = address.unwrap_or(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, host)), port));
        let own = address.unwrap_or(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 168, 1, host)), 5060));
        let worker = (number % usize::from(self.blueprint.workers)) as u8;
        let connection = (listener == TCP).then(|| ConnectionId::new(WorkerId(worker), 1, number as u32));
        let flow = Flow { listener, remote: seen, connection };
        let domain = self.settings.tenants[0].realm().to_owned();
        let random = Random::new(seed_of(self.blueprint.seed, number as u64 + 1));
        let mut phone = Phone::new(&domain, flow, own, random);
        phone.worker = worker;
        let known = self.names.insert(name.into(), number);
        assert_eq!(known, None, "{name} is a phone already");
        self.phones.push(phone);
    }

    /// Moves a phone into another tenant before it speaks.
    pub fn in_domain(&mut self, name: &str, domain: &str) -> &mut Self {
        self[name].move_to(domain);
        self
    }

    /// A phone that the kernel hashes to this worker's socket.
    pub fn at_worker(&mut self, name: &str, worker: u8) -> &mut Self {
        self[name].worker = worker;
        self
    }

    /// A phone seen at this address from now on.
    pub fn seen_at(&mut self, name: &str, address: &str) -> &mut Self {
        self[name].flow.remote = address.parse().expect("an address");
        self
    }

    /// The connection of a phone breaks; both sides notice.
    pub fn lose(&mut self, name: &str) {
        let flow = self[name].flow;
        self.break_connection(flow);
        self.settle();
    }

    fn break_connection(&mut self, flow: Flow) {
        let Some(connection) = flow.connection else { return };
        self.agenda.retain(|parcel| !parcel.is_on(connection));
        let gone = self.phones.iter_mut().find(|phone| phone.flow == flow);
        if let Some(phone) = gone {
            let next = ConnectionId::new(connection.worker(), connection.generation() + 1, connection.slot());
            phone.flow.connection = Some(next);
        }
        let worker = usize::from(connection.worker().0);
        let now = self.now();
        self.workers[worker].handle(now, Input::Lost { flow }, &mut self.outbox);
        self.empty(worker);
    }

    /// Pulls the plug: the phone hears and says nothing more.
    pub fn pull_plug(&mut self, name: &str) {
        self[name].plugged_in = false;
    }

    /// The phone boots: it forgets its calls and registers anew, with a new Call-ID.
    pub fn reboot(&mut self, name: &str) -> Option<u16> {
        let phone = &mut self[name];
        phone.plugged_in = true;
        phone.boot();
        self.register(name)
    }

    // ---- registrations ----

    /// Registers the phone's current account; the final answer.
    pub fn register(&mut self, name: &str) -> Option<u16> {
        self.register_with(name, |_| {})
    }

    /// The same with a changed REGISTER.
    pub fn register_with(&mut self, name: &str, change: impl FnOnce(&mut Draft)) -> Option<u16> {
        let (index, clock) = (self.names[name], self.clock);
        let ticket = self.phones[index].register(clock, change);
        self.post(index);
        self.settle();
        self.phones[index].outcomes[ticket]
    }

    /// The phone takes its current account back.
    pub fn unregister(&mut self, name: &str) -> Option<u16> {
        self.register_with(name, |register| {
            register.set("Expires", "0");
        })
    }

    /// The wizard of a phone puts in `extension`'s account and registers it.
    pub fn native_log_in(&mut self, name: &str, extension: &str) -> Option<u16> {
        self[name].use_account(extension);
        self.register(name)
    }

    /// The phone speaks as `user` again.
    pub fn switch_account(&mut self, name: &str, user: &str) -> &mut Self {
        self[name].use_account(user);
        self
    }

    // ---- calls ----

    /// Lifts the handset and dials; nothing has arrived anywhere yet.
    pub fn dial(&mut self, name: &str, target: &str) -> Leg {
        self.dial_with(name, target, |_| {})
    }

    /// The same with a changed INVITE.
    pub fn dial_with(&mut self, name: &str, target: &str, change: impl FnOnce(&mut Draft)) -> Leg {
        let (phone, clock) = (self.names[name], self.clock);
        let call = self.phones[phone].dial(clock, target, change);
        self.post(phone);
        Leg { phone, call }
    }

    /// Dials and waits until nothing moves.
    pub fn call(&mut self, name: &str, target: &str) -> Leg {
        self.call_with(name, target, |_| {})
    }

    /// The same with a changed INVITE.
    pub fn call_with(&mut self, name: &str, target: &str, change: impl FnOnce(&mut Draft)) -> Leg {
        let leg = self.dial_with(name, target, change);
        self.settle();
        leg
    }

    /// Takes the call that rings at a phone, without waiting.
    pub fn pick_up(&mut self, name: &str) -> Leg {
        let (phone, clock) = (self.names[name], self.clock);
        let ringing = |call: &Call| !call.outgoing && call.state == CallState::Ringing;
        let call = self.phones[phone].calls.iter().position(ringing).expect("something rings");
        self.phones[phone].answer(clock, call);
        self.post(phone);
        Leg { phone, call }
    }

    /// The latest call of a phone.
    pub fn last_call(&self, name: &str) -> Leg {
        let phone = self.names[name];
        Leg { phone, call: self.phones[phone].calls.len().checked_sub(1).expect("it had a call") }
    }

    /// Ends a call in the way its state wants: BYE, CANCEL or 603. Waits until nothing moves.
    pub fn hang_up(&mut self, leg: Leg) {
        self.put_down(leg);
        self.settle();
    }

    /// The same without waiting.
    pub fn put_down(&mut self, leg: Leg) {
        self.phones[leg.phone].hang_up(self.clock, leg.call);
        self.post(leg.phone);
    }

    /// The final answer of a call; `None` while there is none.
    pub fn outcome(&self, leg: Leg) -> Option<u16> {
        self.leg(leg).outcome()
    }

    /// A call as its phone has it.
    pub fn leg(&self, leg: Leg) -> &Call {
        &self.phones[leg.phone].calls[leg.call]
    }

    /// Sends a request outside dialogs; the final answer.
    pub fn ask(
        &mut self,
        name: &str,
        method: &str,
        target: &str,
        change: impl FnOnce(&mut Draft),
    ) -> Option<u16> {
        let (phone, clock) = (self.names[name], self.clock);
        let ticket = self.phones[phone].ask(clock, method, target, change);
        self.post(phone);
        self.settle();
        self.phones[phone].outcomes[ticket]
    }

    /// Sends a request within a call; the final answer.
    pub fn ask_within(&mut self, leg: Leg, method: &str, change: impl FnOnce(&mut Draft)) -> Option<u16> {
        let ticket = self.phones[leg.phone].ask_within(self.clock, leg.call, method, change);
        self.post(leg.phone);
        self.settle();
        self.phones[leg.phone].outcomes[ticket]
    }

    /// Puts octets on the wire as they are, from where `name` is seen, and waits until nothing moves.
    pub fn throw(&mut self, name: &str, bytes: &[u8]) {
        let (flow, worker) = (self[name].flow, self[name].worker);
        self.to_edge(worker, flow, bytes.to_vec());
        self.settle();
    }

    // ---- seats ----

    /// The person dials the log-in at the device and gets in, or the test fails.
    pub fn log_in(&mut self, extension: &str, device: &str) {
        let outcome = self.try_log_in(extension, device);
        assert_eq!(outcome, Some(200), "{extension} logs in at {device}");
    }

    /// The person dials code, extension and the right PIN; the final answer.
    pub fn try_log_in(&mut self, extension: &str, device: &str) -> Option<u16> {
        let dialled = self.log_in_string(extension);
        let leg = self.call(device, &dialled);
        self.outcome(leg)
    }

    /// What the person dials: `*11*1001*7738`.
    pub fn log_in_string(&self, extension: &str) -> String {
        let tenant = &self.settings.tenants[0];
        let pin = tenant.extension(extension).and_then(|it| it.pin.as_ref()).expect("it has a PIN");
        let pin = pin.0.trim_start_matches("$office$");
        format!("{}*{extension}*{pin}", tenant.codes.login)
    }

    /// The person at the device dials the log-out code; the final answer.
    pub fn log_out(&mut self, device: &str) -> Option<u16> {
        let code = self.settings.tenants[0].codes.logout.clone();
        let leg = self.call(device, &code);
        self.outcome(leg)
    }

    /// Where the extension of the first tenant sits, if at one device.
    pub fn device_of(&self, extension: &str) -> Option<String> {
        let devices = self.devices_of(extension);
        assert!(devices.len() <= 1, "{extension} sits at {devices:?}");
        devices.into_iter().next()
    }

    /// Where the extension of the first tenant sits, longest first.
    pub fn devices_of(&self, extension: &str) -> Vec<String> {
        let tenant = &self.settings.tenants[0];
        let seats = self.tables.seats.seats_of(&tenant.customer, &tenant.id, extension);
        seats.iter().map(|seat| seat.device.name.to_string()).collect()
    }

    /// Who sits at a device of the first tenant.
    pub fn seat_at(&self, device: &str) -> Option<Arc<Seat>> {
        let tenant = &self.settings.tenants[0];
        self.tables.seats.seat_at(&tenant.customer, &tenant.id, device)
    }

    /// The control plane wants something; the reply, if it has come when nothing moves any more.
    pub fn command(&mut self, command: Command) -> Option<Result<Done, Refusal>> {
        let reply = ReplyId(self.next_reply);
        self.next_reply += 1;
        let now = self.now();
        self.workers[0].handle(now, Input::Commanded { reply, command }, &mut self.outbox);
        self.empty(0);
        self.settle();
        self.replies.remove(&reply.0)
    }

    /// An administrator ends the seat at a device of the first tenant.
    pub fn force_out(&mut self, device: &str, at_once: bool) -> Option<Result<Done, Refusal>> {
        let tenant = self.settings.tenants[0].id.clone();
        self.command(Command::LogOut { tenant, device: device.into(), now: at_once })
    }

    // ---- the operator and the world ----

    /// The operator changes the configuration and reloads.
    pub fn reconfigure(&mut self, change: impl FnOnce(&mut Blueprint)) {
        change(&mut self.blueprint);
        self.generation += 1;
        self.settings = Arc::new(self.blueprint.settings(self.generation));
        let now = self.now();
        for worker in 0..self.workers.len() {
            let input = Input::Configured(Arc::clone(&self.settings));
            self.workers[worker].handle(now, input, &mut self.outbox);
            self.empty(worker);
        }
        self.settle();
    }

    /// `kill -9` and a new start: what the store has is all that is left. Connections break.
    pub fn kill_and_restart(&mut self) {
        self.agenda.retain(|parcel| matches!(parcel, Parcel::ToPhone { flow, .. } if !flow.is_reliable()));
        self.store.held = VecDeque::new();
        self.start();
        for phone in &mut self.phones {
            if let Some(old) = phone.flow.connection {
                let next = ConnectionId::new(old.worker(), old.generation() + 1, old.slot());
                phone.flow.connection = Some(next);
            }
        }
        self.settle();
    }

    /// A store that held answers now, in order, and writes from now on.
    pub fn release_store(&mut self) {
        self.store.mood = StoreMood::Writes(Duration::from_millis(1));
        for (worker, query, record) in std::mem::take(&mut self.store.held) {
            self.agenda.insert(self.clock, Parcel::Save { worker: worker.0, query, record });
        }
        self.settle();
    }

    /// The wall clock jumps; nothing else does.
    pub fn step_wall(&mut self, milliseconds: i64) {
        self.stepped += milliseconds;
    }

    /// Keeps everything but messages that leaves the edge, as it would be printed.
    pub fn listen(&mut self) {
        self.overheard = Some(String::new());
    }

    /// The tables all workers share.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// The settings of today.
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// What all workers counted since their start.
    pub fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        self.workers.iter().for_each(|worker| sum.add(worker.counters()));
        sum
    }

    /// True if no worker has anything under way.
    pub fn is_quiet(&self) -> bool {
        self.workers.iter().all(Dataplane::is_quiet)
    }

    /// The clock, since the doors opened.
    pub fn clock(&self) -> Mono {
        self.clock
    }

    /// What time it is for the edge.
    pub fn now(&self) -> Now {
        let elapsed = self.clock.0 / 1_000_000;
        let wall = (OPENING + elapsed).saturating_add_signed(self.stepped);
        Now { mono: Mono(self.clock.0 - self.started.0), wall }
    }

    // ---- time ----

    /// Lets time pass.
    pub fn advance(&mut self, span: Duration) {
        let until = self.clock + span;
        let mut steps = 0;
        while self.step(until) {
            steps += 1;
            assert!(steps < 100 * STEPS_AT_ONCE_MAX, "the office never comes to rest");
        }
        self.clock = until;
    }

    /// Runs until nothing moves but far timers.
    pub fn settle(&mut self) {
        let quiet = if self.quality == Quality::PERFECT { QUIET } else { QUIET_ON_A_POOR_WIRE };
        self.moved = self.clock;
        let mut steps = 0;
        while self.step(self.moved + quiet) {
            steps += 1;
            assert!(steps < STEPS_AT_ONCE_MAX, "the office never comes to rest");
        }
    }

    /// Does what is due next, if it is due by `until`.
    fn step(&mut self, until: Mono) -> bool {
        let parcel = self.agenda.next();
        let phone =
            self.phones.iter().enumerate().filter_map(|(index, it)| Some((it.next_timeout()?, index))).min();
        let since = self.started;
        let worker = self.workers.iter().enumerate();
        let worker =
            worker.filter_map(|(index, it)| Some((Mono(it.next_timeout()?.0 + since.0), index))).min();
        let next = [parcel, phone.map(|(at, _)| at), worker.map(|(at, _)| at)].into_iter().flatten().min();
        let Some(next) = next.filter(|next| *next <= until) else { return false };
        self.clock = self.clock.max(next);
        if parcel == Some(next) {
            self.moved = self.clock;
            if let Some(parcel) = self.agenda.pop() {
                self.deliver(parcel);
            }
        } else if let Some((_, index)) = phone.filter(|(at, _)| *at == next) {
            self.phones[index].handle_timeout(self.clock);
            self.post(index);
        } else if let Some((_, index)) = worker {
            let now = self.now();
            self.workers[index].handle_timeout(now, &mut self.outbox);
            self.empty(index);
        }
        true
    }

    fn deliver(&mut self, parcel: Parcel) {
        let now = self.now();
        match parcel {
            Parcel::ToEdge { worker, flow, bytes } => {
                self.handle(worker, now, Input::Received { flow, bytes: &bytes });
            }
            Parcel::HandedOver { worker, flow, bytes } => {
                self.handle(worker, now, Input::HandedOver { flow, bytes: &bytes });
            }
            Parcel::Told { worker, notice } => self.handle(worker, now, Input::Told(&notice)),
            Parcel::Answered { worker, query, answer } => {
                self.handle(worker, now, Input::Answered { query, answer });
            }
            Parcel::Save { worker, query, record } => {
                let verdict = if self.store.mood == StoreMood::Fails {
                    SaveVerdict::Failed
                } else {
                    self.store.write(record);
                    SaveVerdict::Durable
                };
                self.handle(worker, now, Input::Answered { query, answer: Answer::Saved(verdict) });
            }
            Parcel::WriteBehind(record) => {
                if self.store.mood != StoreMood::Fails {
                    self.store.write(record);
                }
            }
            Parcel::ToPhone { flow, bytes } => {
                let same = |phone: &Phone| phone.flow == flow && phone.plugged_in;
                let Some(index) = self.phones.iter().position(same) else { return };
                let text = String::from_utf8_lossy(&bytes);
                self.phones[index].receive(self.clock, &text);
                self.post(index);
            }
        }
    }

    fn handle(&mut self, worker: u8, now: Now, input: Input<'_>) {
        let worker = usize::from(worker);
        self.workers[worker].handle(now, input, &mut self.outbox);
        self.empty(worker);
    }

    /// Carries off what a worker gave out.
    fn empty(&mut self, worker: usize) {
        let mut outbox = std::mem::take(&mut self.outbox);
        if !outbox.is_empty() {
            self.moved = self.clock;
        }
        for (flow, bytes) in outbox.messages() {
            for delay in self.quality.delays(&mut self.random, flow.is_reliable()) {
                self.agenda.insert(self.clock + delay, Parcel::ToPhone { flow, bytes: bytes.to_vec() });
            }
        }
        let id = worker as u8;
        for output in outbox.take_outputs() {
            if let Some(overheard) = &mut self.overheard {
                *overheard += &format!("{output:?}\n");
            }
            match output {
                Output::Close(connection) => {
                    let flow = self
                        .phones
                        .iter()
                        .map(|phone| phone.flow)
                        .find(|it| it.connection == Some(connection));
                    flow.into_iter().for_each(|flow| self.break_connection(flow));
                }
                Output::Ask(query, Query::VerifyPin { hash, pin }) => {
                    let right = hash.0.strip_prefix("$office$").map(str::as_bytes) == Some(pin.reveal());
                    let verdict = match right {
                        _ if !self.pins_available => PinVerdict::Unavailable,
                        true => PinVerdict::Right,
                        false => PinVerdict::Wrong,
                    };
                    let answer = Answer::Pin(verdict);
                    self.agenda.insert(self.clock + PIN_TIME, Parcel::Answered { worker: id, query, answer });
                }
                Output::Ask(query, Query::Save(record)) => match self.store.mood {
                    StoreMood::Holds => self.store.held.push_back((WorkerId(id), query, record)),
                    StoreMood::Writes(span) => {
                        self.agenda.insert(self.clock + span, Parcel::Save { worker: id, query, record });
                    }
                    StoreMood::Fails => {
                        self.agenda.insert(self.clock, Parcel::Save { worker: id, query, record })
                    }
                },
                Output::WriteBehind(record) => self.agenda.insert(self.clock, Parcel::WriteBehind(record)),
                Output::HandOver { worker, flow, range } => {
                    let bytes = outbox.bytes(&range).to_vec();
                    self.agenda
                        .insert(self.clock + RING_TIME, Parcel::HandedOver { worker: worker.0, flow, bytes });
                }
                Output::Tell(notice) => {
                    for other in (0..self.blueprint.workers).filter(|other| *other != id) {
                        let parcel = Parcel::Told { worker: other, notice: notice.clone() };
                        self.agenda.insert(self.clock + RING_TIME, parcel);
                    }
                }
                Output::Reply(reply, result) => drop(self.replies.insert(reply.0, result)),
                Output::Report(report) => self.reports.push(report),
            }
        }
        outbox.clear();
        // A connection that broke meanwhile has left more to carry off; that was done on the way.
        self.outbox = outbox;
    }

    /// Carries off what a phone wants to send.
    fn post(&mut self, index: usize) {
        let phone = &mut self.phones[index];
        let (flow, worker) = (phone.flow, flow_worker(phone.flow).unwrap_or(phone.worker));
        let texts = std::mem::take(&mut phone.outgoing);
        if !phone.plugged_in {
            return;
        }
        for text in texts {
            self.to_edge(worker, flow, text.into_bytes());
        }
    }

    fn to_edge(&mut self, worker: u8, flow: Flow, bytes: Vec<u8>) {
        self.moved = self.clock;
        for delay in self.quality.delays(&mut self.random, flow.is_reliable()) {
            let parcel = Parcel::ToEdge { worker, flow, bytes: bytes.clone() };
            self.agenda.insert(self.clock + delay, parcel);
        }
    }
}

impl Parcel {
    fn is_on(&self, connection: ConnectionId) -> bool {
        match self {
            Self::ToEdge { flow, .. } | Self::ToPhone { flow, .. } => flow.connection == Some(connection),
            _ => false,
        }
    }
}

impl Index<&str> for Office {
    type Output = Phone;

    fn index(&self, name: &str) -> &Phone {
        &self.phones[self.names[name]]
    }
}

impl IndexMut<&str> for Office {
    fn index_mut(&mut self, name: &str) -> &mut Phone {
        &mut self.phones[self.names[name]]
    }
}

fn flow_worker(flow: Flow) -> Option<u8> {
    flow.connection.map(|connection| connection.worker().0)
}

/// Draws one stream of randomness for each use of a seed.
fn seed_of(seed: u64, number: u64) -> [u8; 32] {
    let mut octets = [0; 32];
    octets[..8].copy_from_slice(&seed.to_le_bytes());
    octets[8..16].copy_from_slice(&number.to_le_bytes());
    octets
}
