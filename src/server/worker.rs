//! One worker: a thread, its sockets, its dataplane, and the only place where the two meet.
//!
//! ```text
//!  datagrams ──┐                                           ┌─► sendmmsg, connections
//!  streams ────┤  one batch   ┌───────────┐     settle     ├─► rings of other workers
//!  ring ───────┼────────────► │ dataplane │ ─────────────► ├─► questions, store
//!  timers ─────┘              └───────────┘                └─► replies, log
//! ```
//!
//! Each way in is a task of the worker's own single-threaded runtime. A task waits, borrows the [`Worker`], puts
//! one batch into the dataplane, settles what came out, gives the worker back, and lets the others have their
//! turn. Nothing is borrowed across an await.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use dataplane::Tables;
use dataplane::flow::{ConnectionId, Flow, ListenerId, WorkerId};
use dataplane::input::{Input, ReplyId};
use dataplane::now::{Mono, Now};
use dataplane::output::{Done, Output};
use dataplane::refusal::Refusal;
use dataplane::return_path::RoutingKeys;
use dataplane::settings::Settings;
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::{JoinSet, LocalSet, spawn_local, yield_now};
use tracing::error;

use super::clock::Clock;
use super::controls::{Counts, Published};
use super::datagrams::Datagrams;
use super::guarded::{Guarded, Makings, Panicked};
use super::handoff::{Certain, Handed, Item, Ring};
use super::questions::Questions;
use super::sockets::Sockets;
use super::streams::{Bounds, Streams, is_exhausted};
use super::{random, report};
use crate::transport::Counters;
use crate::transport::stream::Piece;
use crate::transport::udp::{BATCH_MAX, Receiver, Sender};

/// Things taken off the ring in one batch; then sockets have their turn.
const RING_BATCH_MAX: usize = 4 * BATCH_MAX;

/// Commands whose reply is awaited on this worker; the control plane as a whole has fewer under way.
const REPLIES_MAX: usize = 1_024;

/// How often a tenth of the connections is looked at, so each is within a second of its time.
const SWEEP_EVERY: Duration = Duration::from_millis(100);

/// How often a worker that is to stop looks whether it can.
const DRAIN_LOOK_EVERY: Duration = Duration::from_millis(10);

/// Pause after an error that is nobody's message: a socket without memory, a process without descriptors. It
/// keeps an error that stays from taking all of the processor.
const ERROR_PAUSE: Duration = Duration::from_millis(10);

/// What all workers share.
pub(super) struct Shell {
    pub(super) clock: Clock,
    pub(super) rings: Arc<[Arc<Ring>]>,
    pub(super) counts: Arc<Counts>,
    pub(super) questions: Questions,
    pub(super) tables: Arc<Tables>,
    pub(super) settings: watch::Receiver<Arc<Settings>>,
    pub(super) keys: watch::Receiver<Arc<RoutingKeys>>,
    /// By [`ListenerId`].
    pub(super) sockets: Vec<Sockets>,
}

/// Drives worker `id` until it is told to stop. A panic outside the dataplane costs its connections; it starts
/// anew on the same sockets.
pub(super) fn run(shell: &Arc<Shell>, id: WorkerId) {
    loop {
        match catch_unwind(AssertUnwindSafe(|| drive(shell, id))) {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error!(worker = id.0, reason = %error, "the worker failed and starts anew"),
            Err(_) => error!(worker = id.0, "the worker panicked and starts anew"),
        }
        shell.counts.panicked();
        std::thread::sleep(ERROR_PAUSE);
    }
}

fn drive(shell: &Arc<Shell>, id: WorkerId) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let worker = Rc::new(RefCell::new(Worker::new(shell, id)?));
        let mut ways_in = JoinSet::new();
        for (index, sockets) in (0_u8..).zip(&shell.sockets) {
            let (worker, listener) = (Rc::clone(&worker), ListenerId(index));
            match sockets {
                Sockets::Udp(_) => {
                    if let Some(datagrams) = worker.borrow().datagrams_of(listener) {
                        ways_in.spawn_local(send_what_waits(Rc::clone(&worker), Rc::clone(&datagrams)));
                        ways_in.spawn_local(receive_datagrams(Rc::clone(&worker), listener, datagrams));
                    }
                }
                Sockets::Tcp(sockets) => {
                    let Some(socket) = sockets.get(usize::from(id.0)) else { continue };
                    let socket = tokio::net::TcpListener::from_std(TcpListener::try_clone(socket)?)?;
                    ways_in.spawn_local(accept(worker, listener, socket));
                }
            }
        }
        let ring = Arc::clone(&worker.borrow().ring);
        ways_in.spawn_local(empty_ring(Rc::clone(&worker), ring));
        ways_in.spawn_local(keep_time(Rc::clone(&worker)));
        ways_in.spawn_local(sweep(Rc::clone(&worker)));
        let stop = Rc::clone(&worker.borrow().stop);
        loop {
            tokio::select! {
                () = stop.notified() => {
                    if finish(&worker).await {
                        return Ok(());
                    }
                }
                Some(ended) = ways_in.join_next() => ended?,
            }
        }
    })
}

/// Receives and handles batch after batch.
async fn receive_datagrams(worker: Rc<RefCell<Worker>>, listener: ListenerId, datagrams: Rc<Datagrams>) {
    loop {
        if datagrams.readable().await.is_err() {
            return;
        }
        let received = datagrams.receive(|socket| worker.borrow_mut().receive(listener, socket));
        match received {
            Ok(count) if count < BATCH_MAX => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => {
                worker.borrow_mut().counters.socket_errors += 1;
                tokio::time::sleep(ERROR_PAUSE).await;
            }
        }
        yield_now().await;
    }
}

async fn send_what_waits(worker: Rc<RefCell<Worker>>, datagrams: Rc<Datagrams>) {
    datagrams
        .drain(|act| {
            let worker = &mut *worker.borrow_mut();
            act(&mut worker.sender, &mut worker.counters);
        })
        .await;
}

/// Accepts connections, each with a task of its own.
async fn accept(worker: Rc<RefCell<Worker>>, listener: ListenerId, socket: tokio::net::TcpListener) {
    loop {
        match socket.accept().await {
            Ok((io, remote)) => admit(&worker, listener, io, remote),
            Err(error) if is_exhausted(&error) => {
                // The reserve lets this one in; the stalest makes room for it and, once its task has ended, for
                // the reserve.
                {
                    let worker = &mut *worker.borrow_mut();
                    worker.counters.descriptors_exhausted += 1;
                    worker.streams.give_up_reserve();
                    worker.streams.evict(&mut worker.counters);
                    worker.settle(worker.shell.clock.now());
                }
                tokio::time::sleep(ERROR_PAUSE).await;
            }
            Err(_) if worker.borrow().stopping => return,
            // The peer went away before it was accepted, or the system has no memory.
            Err(_) => {
                worker.borrow_mut().counters.socket_errors += 1;
                tokio::time::sleep(ERROR_PAUSE).await;
            }
        }
        yield_now().await;
    }
}

fn admit(worker: &Rc<RefCell<Worker>>, listener: ListenerId, io: TcpStream, remote: SocketAddr) {
    let admitted = worker.borrow_mut().admit(listener, io, remote);
    if let Some(id) = admitted {
        spawn_local(serve(Rc::clone(worker), id));
    }
}

/// Waits for one connection until it is no more.
async fn serve(worker: Rc<RefCell<Worker>>, id: ConnectionId) {
    loop {
        let Some((io, wake, interest)) = worker.borrow_mut().streams.waiting(id) else { return };
        match interest {
            Some(interest) => tokio::select! {
                ready = io.ready(interest) => if ready.is_ok() { worker.borrow_mut().on_ready(id) },
                () = wake.notified() => {}
            },
            None => wake.notified().await,
        }
        // One that always has more must not keep the others waiting.
        yield_now().await;
    }
}

/// Takes what other threads handed over.
async fn empty_ring(worker: Rc<RefCell<Worker>>, ring: Arc<Ring>) {
    loop {
        ring.filled().await;
        worker.borrow_mut().empty_ring();
        yield_now().await;
    }
}

/// Calls the dataplane when it is due.
async fn keep_time(worker: Rc<RefCell<Worker>>) {
    let rearm = Rc::clone(&worker.borrow().rearm);
    let clock = worker.borrow().shell.clock;
    loop {
        let due = {
            let worker = &mut *worker.borrow_mut();
            worker.armed = worker.guarded.next_timeout();
            worker.armed
        };
        match due {
            None => rearm.notified().await,
            Some(due) => tokio::select! {
                () = tokio::time::sleep_until(clock.instant(due).into()) => worker.borrow_mut().on_timeout(),
                () = rearm.notified() => {}
            },
        }
        yield_now().await;
    }
}

/// Looks after the connections.
async fn sweep(worker: Rc<RefCell<Worker>>) {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        worker.borrow_mut().sweep();
    }
}

/// Waits until nothing is under way, for as long as the worker may; true: it is to end.
async fn finish(worker: &Rc<RefCell<Worker>>) -> bool {
    loop {
        {
            let worker = worker.borrow();
            let now = worker.shell.clock.now().mono;
            if worker.stop_at.is_some_and(|at| at <= now) || worker.is_quiet() {
                return true;
            }
        }
        tokio::time::sleep(DRAIN_LOOK_EVERY).await;
    }
}

/// What a worker owns.
struct Worker {
    id: WorkerId,
    shell: Arc<Shell>,
    ring: Arc<Ring>,
    guarded: Guarded,
    datagrams: Vec<Option<Rc<Datagrams>>>,
    receiver: Receiver,
    sender: Sender,
    streams: Streams,
    replies: HashMap<ReplyId, oneshot::Sender<Result<Done, Refusal>>>,
    next_reply: u64,
    counters: Counters,
    /// When [`keep_time`] will call.
    armed: Option<Mono>,
    rearm: Rc<Notify>,
    stopping: bool,
    stop_at: Option<Mono>,
    stop: Rc<Notify>,
}

impl Worker {
    fn new(shell: &Arc<Shell>, id: WorkerId) -> io::Result<Self> {
        let index = usize::from(id.0);
        let settings = Arc::clone(&shell.settings.borrow());
        let bounds = Bounds::of(&settings);
        let makings = Makings {
            worker: id,
            workers: u8::try_from(shell.rings.len()).unwrap_or(u8::MAX),
            settings,
            keys: Arc::clone(&shell.keys.borrow()),
            tables: Arc::clone(&shell.tables),
        };
        let earlier = shell.counts.last(index);
        let datagrams = shell.sockets.iter().map(|sockets| match sockets {
            Sockets::Udp(sockets) => {
                sockets.get(index).map(|socket| Datagrams::new(socket).map(Rc::new)).transpose()
            }
            Sockets::Tcp(_) => Ok(None),
        });
        let ring = shell.rings.get(index).ok_or(io::ErrorKind::NotFound)?;
        Ok(Self {
            id,
            shell: Arc::clone(shell),
            ring: Arc::clone(ring),
            guarded: Guarded::new(makings, earlier.dataplane, shell.clock.now()),
            datagrams: datagrams.collect::<io::Result<_>>()?,
            receiver: Receiver::new(),
            sender: Sender::new(),
            streams: Streams::new(id, u32::from_ne_bytes(random()), bounds),
            replies: HashMap::new(),
            next_reply: 0,
            counters: earlier.transport,
            armed: None,
            rearm: Rc::new(Notify::new()),
            stopping: false,
            stop_at: None,
            stop: Rc::new(Notify::new()),
        })
    }

    fn datagrams_of(&self, listener: ListenerId) -> Option<Rc<Datagrams>> {
        self.datagrams.get(usize::from(listener.0)).cloned().flatten()
    }

    /// One batch off `socket`; says how many datagrams it had.
    fn receive(&mut self, listener: ListenerId, socket: &impl AsFd) -> io::Result<usize> {
        let batch = self.receiver.receive(socket)?;
        let now = self.shell.clock.now();
        let count = batch.len();
        self.counters.datagrams_received += count as u64;
        let mut panics = 0;
        for (remote, bytes) in batch.iter() {
            let flow = Flow::datagram(listener, remote);
            panics += usize::from(self.guarded.handle(now, Input::Received { flow, bytes }).is_err());
        }
        self.forget_replies(panics);
        self.settle(now);
        Ok(count)
    }

    fn admit(&mut self, listener: ListenerId, io: TcpStream, remote: SocketAddr) -> Option<ConnectionId> {
        let now = self.shell.clock.now();
        let admitted = self.streams.admit(now.mono, listener, io, remote, &mut self.counters);
        self.settle(now);
        admitted
    }

    fn on_ready(&mut self, id: ConnectionId) {
        let now = self.shell.clock.now();
        let Self { streams, guarded, counters, .. } = self;
        let mut panics = 0;
        let mut misframed = false;
        streams.on_ready(now.mono, id, counters, |flow, piece| {
            let input = match piece {
                Piece::Message(bytes) => Input::Received { flow, bytes },
                Piece::Misframed { kind, head } => {
                    misframed = true;
                    Input::Misframed { flow, head, kind }
                }
                Piece::Ping => return,
            };
            panics += usize::from(guarded.handle(now, input).is_err());
        });
        self.forget_replies(panics);
        self.settle(now);
        if misframed {
            // Whatever the dataplane made of it: nothing more is read (RFC 3261 §18.3).
            self.streams.close(now.mono, id, &mut self.counters);
            self.settle(now);
        }
    }

    fn on_timeout(&mut self) {
        let now = self.shell.clock.now();
        let panicked = self.guarded.handle_timeout(now).is_err();
        self.forget_replies(usize::from(panicked));
        self.settle(now);
    }

    fn sweep(&mut self) {
        let now = self.shell.clock.now();
        self.streams.sweep(now.mono, &mut self.counters);
        self.settle(now);
    }

    fn empty_ring(&mut self) {
        let now = self.shell.clock.now();
        let ring = Arc::clone(&self.ring);
        for item in std::iter::from_fn(|| ring.take()).take(RING_BATCH_MAX) {
            let done = match item {
                Item::Handed(Handed::Send { flow, octets }) => {
                    self.streams.send(now.mono, flow, &octets, &mut self.counters);
                    Ok(())
                }
                Item::Handed(Handed::HandOver { flow, octets }) => {
                    self.guarded.handle(now, Input::HandedOver { flow, bytes: &octets })
                }
                Item::Handed(Handed::Tell(notice)) => self.guarded.handle(now, Input::Told(&notice)),
                Item::Certain(certain) => self.take_certain(now, certain),
            };
            self.forget_replies(usize::from(done.is_err()));
        }
        self.settle(now);
    }

    fn take_certain(&mut self, now: Now, certain: Certain) -> Result<(), Panicked> {
        match certain {
            Certain::Answered(query, answer) => self.guarded.handle(now, Input::Answered { query, answer }),
            Certain::Commanded(command, to) => {
                if self.replies.len() >= REPLIES_MAX {
                    self.replies.retain(|_, to| !to.is_closed());
                }
                if self.replies.len() >= REPLIES_MAX {
                    // Whoever waits is told `Busy` because `to` is dropped.
                    return Ok(());
                }
                let reply = ReplyId(self.next_reply);
                self.next_reply += 1;
                self.replies.insert(reply, to);
                self.guarded.handle(now, Input::Commanded { reply, command })
            }
            Certain::Configured(settings) => {
                self.streams.times = Bounds::of(&settings).times;
                self.guarded.handle(now, Input::Configured(settings))
            }
            Certain::Keyed(keys) => self.guarded.handle(now, Input::Keyed(keys)),
            Certain::Drain(grace) => {
                self.stopping = true;
                self.stop_at = Some(now.mono + grace);
                self.stop.notify_one();
                Ok(())
            }
        }
    }

    /// After a panic nobody will reply to what was asked before.
    fn forget_replies(&mut self, panics: usize) {
        for _ in 0..panics {
            self.shell.counts.panicked();
            self.replies.clear();
        }
    }

    /// Sends and does what the dataplane put out, tells it of connections lost on the way, publishes the counts.
    fn settle(&mut self, now: Now) {
        // Each turn but the first tells of a flow not told of before, so there are no more than connections.
        let mut told: Vec<Flow> = Vec::new();
        loop {
            self.send_messages(now.mono);
            for output in self.guarded.outbox.take_outputs() {
                self.act(now, output);
            }
            self.guarded.outbox.clear();
            let first = told.len();
            for flow in std::mem::take(&mut self.streams.lost) {
                if !told.contains(&flow) {
                    told.push(flow);
                }
            }
            if told.len() == first {
                break;
            }
            for flow in told.iter().skip(first) {
                let panicked = self.guarded.handle(now, Input::Lost { flow: *flow }).is_err();
                self.forget_replies(usize::from(panicked));
            }
        }
        self.shell.counts.publish(
            usize::from(self.id.0),
            Published {
                dataplane: self.guarded.counters(),
                transport: self.counters,
                connections: self.streams.len() as u64,
            },
        );
        let due = self.guarded.next_timeout();
        if due.is_some_and(|due| self.armed.is_none_or(|armed| due < armed)) {
            self.armed = due;
            self.rearm.notify_one();
        }
    }

    fn send_messages(&mut self, now: Mono) {
        let outbox = &self.guarded.outbox;
        if outbox.messages().len() == 0 {
            return;
        }
        for (index, datagrams) in (0_u8..).zip(&self.datagrams) {
            let Some(datagrams) = datagrams else { continue };
            let here = |flow: &Flow| flow.connection.is_none() && flow.listener == ListenerId(index);
            if outbox.messages().any(|(flow, _)| here(&flow)) {
                let messages = || {
                    let messages = outbox.messages().filter(|(flow, _)| here(flow));
                    messages.map(|(flow, octets)| (flow.remote, octets))
                };
                datagrams.send(&mut self.sender, messages, &mut self.counters);
            }
        }
        for (flow, octets) in outbox.messages() {
            let Some(connection) = flow.connection else { continue };
            if connection.worker() == self.id {
                self.streams.send(now, flow, octets, &mut self.counters);
            } else if let Some(ring) = self.shell.rings.get(usize::from(connection.worker().0)) {
                ring.offer(Handed::Send { flow, octets: octets.into() });
            }
        }
    }

    fn act(&mut self, now: Now, output: Output) {
        match output {
            Output::Close(connection) => self.streams.close(now.mono, connection, &mut self.counters),
            Output::Ask(query, question) => self.shell.questions.ask(&self.ring, query, question),
            Output::WriteBehind(record) => self.shell.questions.write_behind(record),
            Output::HandOver { worker, flow, range } => {
                if let Some(ring) = self.shell.rings.get(usize::from(worker.0)) {
                    ring.offer(Handed::HandOver { flow, octets: self.guarded.outbox.bytes(&range).into() });
                }
            }
            Output::Tell(notice) => {
                let others = (0..).zip(&*self.shell.rings).filter(|(index, _)| *index != self.id.0);
                for (_, ring) in others {
                    ring.offer(Handed::Tell(notice.clone()));
                }
            }
            Output::Reply(reply, outcome) => {
                if let Some(to) = self.replies.remove(&reply) {
                    // Whoever asked may have gone.
                    let _ = to.send(outcome);
                }
            }
            Output::Report(report) => report::write(self.id, &report),
        }
    }

    /// True if nothing would be lost by stopping now.
    fn is_quiet(&self) -> bool {
        self.guarded.is_quiet()
            && self.replies.is_empty()
            && self.ring.is_empty()
            && self.streams.is_written()
    }
}
