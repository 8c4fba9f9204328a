//! The office: it carries octets between edge and phones, answers what the edge asks, and lets time pass.
//!
//! One clock, one agenda. Whatever is due next happens next: a parcel arrives, a backend answers, a phone or a worker
//! has something to do. Nothing else moves, so a run is the same for the same seed.

mod people;
mod sound;
mod streams;
mod world;

pub use sound::OFFER;
pub use streams::Listening;

use std::collections::BTreeMap;
use std::ops::{Index, IndexMut};
use std::sync::Arc;
use std::time::Duration;

use crate::flow::{ConnectionId, Flow, ListenerId, WorkerId};
use crate::input::{Input, Notice};
use crate::media::{Heard, Order, SessionId};
use crate::now::{Mono, Now};
use crate::output::{Done, Outbox, Output, Report};
use crate::query::{Answer, Query, QueryId, Record, SaveVerdict};
use crate::random::Random;
use crate::refusal::Refusal;
use crate::return_path::RoutingKeys;
use crate::settings::Settings;
use crate::testing::blueprint::Blueprint;
use crate::testing::phone::Phone;
use crate::testing::pins::Pins;
use crate::testing::store::{Store, StoreMood};
use crate::testing::wire::{Agenda, Quality};
use crate::{Dataplane, Tables};

const UDP: ListenerId = ListenerId(0);
const TCP: ListenerId = ListenerId(1);
const TLS: ListenerId = ListenerId(2);

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
    Heard { worker: u8, call: u64, heard: Heard, of_play: Option<usize> },
    WriteBehind(Record),
    Unopened { flow: Flow },
    Finished { worker: u8, flow: Flow },
}

/// An office with its edge, phones, wire, store and clock.
#[derive(Debug)]
pub struct Office {
    /// The store.
    pub store: Store,
    /// How well the wire delivers from now on.
    pub quality: Quality,
    /// How long it takes until one worker hears what another tells it.
    pub ring_time: Duration,
    /// What answers questions about PINs.
    pub pins: Pins,
    /// What the edge wanted its operator to read, in order.
    pub reports: Vec<Report>,
    /// Looked at after everything that happens in the edge, to the instant.
    pub always: Option<fn(&Self)>,
    /// Everything but messages that left the edge, as it would be printed; only while [`Office::listen`] was called.
    pub overheard: Option<String>,
    /// False: no socket can be opened for sound.
    pub sound_available: bool,
    /// What the sound of calls to the attendant was told to do, in order.
    pub media: Vec<(SessionId, Order)>,
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
    /// Connections that the edge has opened to peers.
    opened: Vec<Flow>,
    /// Connections of which the phone has ended its side.
    finished: Vec<Flow>,
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
            ring_time: RING_TIME,
            pins: Pins::default(),
            reports: Vec::new(),
            always: None,
            overheard: None,
            sound_available: true,
            media: Vec::new(),
            generation: 1,
            clock: Mono::default(),
            started: Mono::default(),
            stepped: 0,
            moved: Mono::default(),
            settings,
            keys: Arc::new(RoutingKeys::new(&[(1, random.bytes())], random.bytes())),
            tables: Arc::new(Tables::new(random.bytes())),
            workers: Vec::new(),
            outbox: Outbox::new(),
            agenda: Agenda::new(),
            phones: Vec::new(),
            opened: Vec::new(),
            finished: Vec::new(),
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
        self.opened.clear();
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
                let certified =
                    self.phones.iter().find(|phone| phone.flow == flow).and_then(|phone| phone.certified);
                self.handle(worker, now, Input::Received { flow, certified, bytes: &bytes });
            }
            Parcel::HandedOver { worker, flow, bytes } => {
                self.handle(worker, now, Input::HandedOver { flow, bytes: &bytes });
            }
            Parcel::Unopened { flow } => {
                let worker = flow_worker(flow).expect("a connection has a worker");
                self.handle(worker, now, Input::Unopened { flow });
            }
            Parcel::Finished { worker, flow } => self.handle(worker, now, Input::Finished { flow }),
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
            Parcel::Heard { worker, call, heard, of_play } => {
                if self.is_current(of_play) {
                    self.handle(worker, now, Input::Heard { call, heard });
                }
            }
            Parcel::WriteBehind(record) => {
                if self.store.mood != StoreMood::Fails {
                    self.store.write(record);
                }
            }
            Parcel::ToPhone { flow, bytes } => {
                let index = self.phones.iter().position(|phone| phone.is_at(flow));
                let Some(index) = index.filter(|_| self.stands(flow)) else { return };
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
        for flow in outbox.connects() {
            self.connect(*flow);
        }
        for (flow, bytes) in outbox.messages() {
            if self.finished.contains(&flow) {
                self.tell_finished(flow);
            }
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
                        .chain(self.opened.iter().copied())
                        .find(|it| it.connection == Some(connection));
                    flow.into_iter().for_each(|flow| self.break_connection(flow));
                }
                Output::Ask(query, Query::VerifyPin(request)) => {
                    let answer = Answer::Pin(self.pins.verify(&request, &self.settings));
                    self.agenda.insert(self.clock + PIN_TIME, Parcel::Answered { worker: id, query, answer });
                }
                Output::Ask(query, Query::ChangePin(change)) => {
                    let answer = Answer::PinChanged(self.pins.change(&change, &self.settings));
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
                    let parcel = Parcel::HandedOver { worker: worker.0, flow, bytes };
                    self.agenda.insert(self.clock + self.ring_time, parcel);
                }
                Output::Tell(notice) => {
                    for other in (0..self.blueprint.workers).filter(|other| *other != id) {
                        let parcel = Parcel::Told { worker: other, notice: notice.clone() };
                        self.agenda.insert(self.clock + self.ring_time, parcel);
                    }
                }
                Output::Media(session, order) => self.obey(session, order),
                Output::Reply(reply, result) => {
                    let earlier = self.replies.insert(reply.0, result);
                    assert_eq!(earlier, None, "an order is answered once");
                }
                Output::Report(report) => self.reports.push(report),
            }
        }
        outbox.clear();
        // A connection that broke meanwhile has left more to carry off; that was done on the way.
        self.outbox = outbox;
        if let Some(look) = self.always {
            look(self);
        }
    }

    /// Carries off what a phone wants to send.
    fn post(&mut self, index: usize) {
        let phone = &mut self.phones[index];
        let at_home = phone.worker;
        let texts = std::mem::take(&mut phone.outgoing);
        if !phone.plugged_in {
            return;
        }
        for text in texts {
            let flow = self.way_of(index, &text);
            let worker = flow_worker(flow).unwrap_or(at_home);
            self.phones[index].take_turns();
            self.send_to_edge(worker, flow, text.into_bytes());
        }
    }

    fn send_to_edge(&mut self, worker: u8, flow: Flow, bytes: Vec<u8>) {
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
