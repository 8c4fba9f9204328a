//! All that a SIP message meets inside Hotdesk: it decides, does no I/O and reads no clock.
//!
//! Two doors: what may enter is [`input::Input`], what leaves is in [`output::Outbox`]. Between them a message goes
//! through `admission`, `transaction` and `dispatch` to one of the cores: `registrar`, `proxy`, `attendant`, `subscription`; what
//! concerns seats is decided in `seating` over the tables of `hotdesk` and `location`.

pub mod admission;
mod alarm;
mod attendant;
pub mod audit;
pub mod auth;
mod base64url;
mod context;
pub mod counters;
mod dispatch;
mod effect;
pub mod flow;
mod gruu;
mod hash;
mod hex;
pub mod hotdesk;
pub mod input;
pub mod location;
pub mod mac;
pub mod media;
mod notifier;
pub mod now;
pub mod output;
mod pending;
mod phone;
mod print;
mod proxy;
pub mod query;
mod random;
pub mod refusal;
mod registrar;
mod request_uri;
pub mod return_path;
mod seating;
mod secret;
pub mod settings;
mod sharded;
mod slots;
mod subscription;
mod tables;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod transaction;
pub mod upstream;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use admission::{
    Admission, Load, Sources, Waiting, admit, answer_keep_alive, refuse, refuse_malformed, refuse_unreadable,
};
use context::{Context, Owner, Work};
use counters::Counters;
use dispatch::Rooms;
use flow::{ListenerId, WorkerId};
use hotdesk::Occasion;
use input::Input;
use location::Upkeep;
use now::{Mono, Now};
use output::{Outbox, Output};
use random::Random;
use return_path::RoutingKeys;
use settings::Settings;
use subscription::EventNotifier;
pub use tables::{Tables, Unplaced};
use transaction::{Bounds, Transactions};
use upstream::{Challenges, PeerStreams};

/// Units of work of one call of [`Dataplane::handle_timeout`]: some hundred microseconds, so that no datagram
/// waits long behind timers.
const UNITS_MAX: usize = 256;

/// How often what a lost worker left behind is looked for, and reloads that no event will release.
const PATROL: std::time::Duration = std::time::Duration::from_secs(1);

/// One worker's share of the edge.
pub struct Dataplane {
    ctx: Context,
    transactions: Transactions<Owner>,
    rooms: Rooms,
    events: Vec<transaction::Event<Owner>>,
    patrol_at: Mono,
}

impl Dataplane {
    /// The dataplane of `worker`, one of `workers`. `seed` feeds tags, Call-IDs and nonces and must be random in
    /// production. What the tables restored from the store is shared out between the workers here.
    pub fn new(
        worker: WorkerId,
        workers: u8,
        settings: Arc<Settings>,
        keys: Arc<RoutingKeys>,
        tables: Arc<Tables>,
        seed: [u8; 32],
        now: Now,
    ) -> Self {
        let transactions_max = settings.transactions_max as usize;
        let bounds = Bounds::each(transactions_max);
        let transactions = Transactions::new(worker, settings.timers, tables.branch_key, bounds);
        let mut upkeep = Upkeep::new(worker, settings.durable);
        tables.location.adopt(now.mono, &mut upkeep, (u64::from(worker.0), u64::from(workers)));
        let mut random = Random::new(seed);
        let mut rooms = Rooms::new(u32::from_ne_bytes(random.bytes()), transactions_max);
        let (counters, challenges) = (Counters::default(), Challenges::default());
        let peer_streams = PeerStreams::default();
        let (sources, load) = (Sources::new(tables.source_key), Load::default());
        let ctx = Context {
            worker,
            settings,
            keys,
            tables,
            random,
            counters,
            upkeep,
            challenges,
            peer_streams,
            sources,
            load,
        };
        if worker == WorkerId(0) {
            // Seats out of the store may be of devices and extensions that are no more.
            rooms.on_configured(&ctx, &ctx.settings);
            rooms.plan_all(&ctx, Occasion::Stands, now);
        }
        Self { ctx, transactions, rooms, events: Vec::new(), patrol_at: now.mono + PATROL }
    }

    /// Forgets what is under way and has room for so many server transactions and forwarded requests from now on.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn make_room_for(&mut self, servers_max: usize, calls_max: usize) {
        let bounds = Bounds { servers_max, ..Bounds::each(65_536) };
        let (worker, timers) = (self.ctx.worker, self.ctx.settings.timers);
        self.transactions = Transactions::new(worker, timers, self.ctx.tables.branch_key, bounds);
        self.rooms.proxy = proxy::Proxy::new(calls_max);
    }

    /// Takes one thing that happened; what follows from it at once is in `out`.
    pub fn handle(&mut self, now: Now, input: Input<'_>, out: &mut Outbox) {
        let certified = match input {
            Input::Received { certified, .. } => certified,
            _ => None,
        };
        let mut work = Work { now, ctx: &mut self.ctx, transactions: &mut self.transactions, out, certified };
        let rooms = &mut self.rooms;
        match input {
            Input::Received { flow, bytes, .. } => {
                match admit(&mut work, &flow, bytes) {
                    Admission::Read => receive(rooms, &mut work, &flow, bytes, true),
                    Admission::Refuse => refuse(&mut work, &flow, bytes),
                    Admission::Drop => {}
                }
                self.ctx.sources.done();
            }
            Input::Waited { least, taken, lost, filters } => {
                let t1 = work.ctx.settings.timers.t1;
                let unread = work.ctx.load.waited(now.mono, Waiting { least, taken, lost, filters }, t1);
                work.ctx.counters.shed_unread += u64::from(unread);
            }
            Input::HandedOver { flow, bytes } => receive(rooms, &mut work, &flow, bytes, false),
            Input::Misframed { flow, head, kind } => {
                refuse_unreadable(&mut work, &flow, head, kind);
                if let Some(connection) = flow.connection {
                    work.out.push(Output::Close(connection));
                }
            }
            Input::Lost { flow } | Input::Unopened { flow } | Input::Finished { flow } => {
                if matches!(input, Input::Unopened { .. }) {
                    work.ctx.avoid_streams(now.mono, flow.lasting());
                }
                work.ctx.tables.location.lose(&flow, now.mono, &mut work.ctx.upkeep);
                work.ctx.peer_streams.lost(&flow);
                if matches!(input, Input::Finished { .. }) {
                    work.transactions.finished(&flow, &mut self.events);
                } else {
                    work.transactions.lost(&flow, &mut self.events);
                }
                for event in std::mem::take(&mut self.events) {
                    rooms.on_event(&mut work, &event);
                }
            }
            Input::Answered { query, answer } => rooms.on_answer(&mut work, query, answer),
            Input::Commanded { reply, order } => rooms.on_command(&mut work, reply, order),
            Input::Heard { call, heard } => rooms.on_heard(&mut work, call, heard),
            Input::Told(notice) => rooms.on_notice(&mut work, notice),
            Input::Configured(settings) => {
                work.transactions.configure(now.mono, settings.timers);
                work.ctx.challenges = Challenges::default();
                work.ctx.peer_streams.avoid_nobody();
                let before = std::mem::replace(&mut work.ctx.settings, settings);
                // One worker sees to what follows for all.
                if work.ctx.worker == WorkerId(0) {
                    rooms.on_configured(work.ctx, &before);
                    rooms.plan_by_new_settings(&work);
                    EventNotifier::on_configured(work.ctx, now.mono);
                }
            }
            Input::Keyed(keys) => work.ctx.keys = keys,
        }
        let counts = self.transactions.take_counts();
        self.ctx.counters.retransmissions_absorbed += counts.absorbed;
    }

    /// How many connections whoever wants to begin one from `remote` may have beyond those of any other; `None`: none at all.
    /// One to a listener for TLS counts as a handshake.
    pub fn admit_connection(
        &mut self,
        now: Now,
        listener: ListenerId,
        remote: SocketAddr,
        out: &mut Outbox,
    ) -> Option<u32> {
        admission::admit_connection(&mut self.ctx, now.mono, listener, remote, out)
    }

    /// The TLS handshake of a connection from `address` went on with a session of before, and counts for less.
    pub fn resumed(&mut self, now: Now, address: IpAddr) {
        self.ctx.sources.resumed(now.mono, address);
    }

    /// Lets time pass: at most 256 units of each kind of work; what is left shows in
    /// [`Self::next_timeout`] at once.
    pub fn handle_timeout(&mut self, now: Now, out: &mut Outbox) {
        let (ctx, transactions) = (&mut self.ctx, &mut self.transactions);
        let mut work = Work { now, ctx, transactions, out, certified: None };
        work.transactions.handle_timeout(now.mono, work.out, UNITS_MAX, &mut self.events);
        for event in self.events.drain(..) {
            self.rooms.on_event(&mut work, &event);
        }
        self.rooms.handle_timeout(&mut work);
        self.rooms.see_off(&mut work, UNITS_MAX);

        let Context { tables, upkeep, counters, .. } = &mut *work.ctx;
        let store = &mut *work.out;
        counters.bindings_expired += tables.location.expire(now, upkeep, UNITS_MAX, |record| {
            store.push(Output::WriteBehind(record));
        }) as u64;
        tables
            .location
            .write_behind(now, upkeep, UNITS_MAX, |record| store.push(Output::WriteBehind(record)));

        if self.patrol_at <= now.mono {
            self.patrol_at = now.mono + PATROL;
            self.rooms.patrol(&mut work);
        }
        let counts = self.transactions.take_counts();
        self.ctx.counters.retransmissions_sent += counts.resent;
        self.ctx.counters.retransmissions_absorbed += counts.absorbed;
    }

    /// When [`Self::handle_timeout`] has work; it may lie in the past.
    pub fn next_timeout(&self) -> Option<Mono> {
        let leaving = self.rooms.has_leaving().then_some(Mono::default());
        let next = [
            self.transactions.next_timeout(),
            self.rooms.next_timeout(),
            self.ctx.upkeep.next_due(),
            Some(self.patrol_at),
            leaving,
        ];
        next.into_iter().flatten().min()
    }

    /// What was counted since start.
    pub fn counters(&self) -> &Counters {
        &self.ctx.counters
    }

    /// The share of all REGISTER requests in datagrams, out of 2³², that is not to be read: there is too much to do. It changes with
    /// [`Input::Waited`] alone.
    pub fn left_unread(&self) -> u32 {
        self.ctx.load.left_unread()
    }

    /// True if nobody waits for an answer, no call to a code and no question is under way: nothing is lost by stopping
    /// now. Looks at every transaction.
    pub fn is_quiet(&self) -> bool {
        self.transactions.is_settled() && self.rooms.is_quiet()
    }
}

impl std::fmt::Debug for Dataplane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dataplane").field("worker", &self.ctx.worker).finish_non_exhaustive()
    }
}

fn receive(rooms: &mut Rooms, work: &mut Work<'_>, flow: &flow::Flow, bytes: &[u8], at_home: bool) {
    if answer_keep_alive(work, flow, bytes) {
        return;
    }
    // Both stay where they were made: they are large.
    let parsed = sip::Message::parse(bytes, &sip::Limits::default());
    let message = match &parsed {
        Ok(message) => message,
        Err(error) => return refuse_unreadable(work, flow, bytes, error.kind),
    };
    match &message.validate() {
        Ok(headers) if message.is_request() => rooms.on_request(work, flow, message, headers),
        Ok(headers) => rooms.on_response(work, flow, message, headers, at_home),
        Err(error) => refuse_malformed(work, flow, message, error.kind),
    }
}
