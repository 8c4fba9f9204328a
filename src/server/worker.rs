//! One worker: a thread, its sockets, its dataplane, and the only place where the two meet.
//!
//! ```text
//!  datagrams ──┐                                           ┌─► sendmmsg, connections
//!  streams ────┤  one batch   ┌───────────┐     settle     ├─► rings of other workers
//!  ring ───────┼────────────► │ dataplane │ ─────────────► ├─► questions, store
//!  timers ─────┘              └───────────┘                └─► replies, log
//! ```
//!
//! Nothing here waits: `drive.rs` does, and calls when there is something.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use dataplane::Tables;
use dataplane::flow::{ConnectionId, Flow, ListenerId, WorkerId};
use dataplane::input::{Input, ReplyId};
use dataplane::now::{Mono, Now};
use dataplane::output::{Done, Output, Report};
use dataplane::refusal::Refusal;
use dataplane::return_path::RoutingKeys;
use dataplane::settings::Settings;
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot, watch};

use super::clock::Clock;
use super::controls::{Counts, Published};
use super::datagrams::Datagrams;
use super::guarded::{Guarded, Makings, Panicked};
use super::handoff::{Certain, Handed, Item, Ring};
use super::questions::Questions;
use super::sockets::Sockets;
use super::streams::{Bounds, Streams};
use super::waits::Waits;
use super::{random, report};
use crate::backend::store::Note;
use crate::config::Server;
use crate::durations::Durations;
use crate::media::Media;
use crate::transport::Counters;
use crate::transport::stream::Piece;
use crate::transport::udp::{BATCH_MAX, Receiver, Sender, last_came_at};

/// Things taken off the ring in one batch; then sockets have their turn.
const RING_BATCH_MAX: usize = 4 * BATCH_MAX;

/// Commands whose reply is awaited on this worker; the control plane as a whole has fewer under way.
const REPLIES_MAX: usize = 1_024;

/// What all workers share.
pub(super) struct Shell {
    pub(super) clock: Clock,
    pub(super) rings: Arc<[Arc<Ring>]>,
    pub(super) counts: Arc<Counts>,
    pub(super) questions: Questions,
    pub(super) media: Arc<Media>,
    pub(super) tables: Arc<Tables>,
    pub(super) settings: watch::Receiver<Arc<Settings>>,
    pub(super) server: watch::Receiver<Arc<Server>>,
    pub(super) keys: watch::Receiver<Arc<RoutingKeys>>,
    /// By [`ListenerId`].
    pub(super) sockets: Vec<Sockets>,
    /// Connections of phones to one worker.
    pub(super) connections_max: usize,
    /// When every worker ends at the latest, once the edge is to stop: before that where nothing is under way. It stands
    /// here because a worker that panics on its way out goes on with it.
    pub(super) stop_at: watch::Sender<Option<Mono>>,
}

impl Shell {
    /// Has all workers end when nothing is under way, or `grace` from now. Who is in more of a hurry is heard.
    pub(super) fn stop_after(&self, grace: Duration) {
        let at = self.clock.mono() + grace;
        self.stop_at.send_modify(|earlier| *earlier = Some(earlier.map_or(at, |earlier| earlier.min(at))));
    }
}

/// What a worker owns.
pub(super) struct Worker {
    id: WorkerId,
    pub(super) shell: Arc<Shell>,
    pub(super) ring: Arc<Ring>,
    guarded: Guarded,
    datagrams: Vec<Option<Rc<Datagrams>>>,
    receiver: Receiver,
    waits: Waits,
    pub(super) sender: Sender,
    pub(super) streams: Streams,
    /// Connections of this worker on which others have sent: they are told when nothing more comes over one, and when it is lost.
    /// It is in here until then, so there are no more than connections.
    lent: HashSet<ConnectionId>,
    replies: HashMap<ReplyId, oneshot::Sender<Result<Done, Refusal>>>,
    next_reply: u64,
    pub(super) counters: Counters,
    turns: Durations,
    /// When [`Self::on_timeout`] will be called.
    armed: Option<Mono>,
    pub(super) rearm: Rc<Notify>,
    /// Notified when it panicked outside the dataplane in a task that nobody joins.
    pub(super) panicked: Rc<Notify>,
}

impl Worker {
    pub(super) fn new(shell: &Arc<Shell>, id: WorkerId) -> io::Result<Self> {
        let index = usize::from(id.0);
        let settings = Arc::clone(&shell.settings.borrow());
        let bounds = Bounds::of(&settings, shell.connections_max);
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
            waits: Waits::new(shell.sockets.len()),
            sender: Sender::new(),
            streams: Streams::new(id, u32::from_ne_bytes(random()), bounds),
            lent: HashSet::new(),
            replies: HashMap::new(),
            next_reply: 0,
            counters: earlier.transport,
            turns: earlier.turns,
            armed: None,
            rearm: Rc::new(Notify::new()),
            panicked: Rc::new(Notify::new()),
        })
    }

    pub(super) fn datagrams_of(&self, listener: ListenerId) -> Option<Rc<Datagrams>> {
        self.datagrams.get(usize::from(listener.0)).cloned().flatten()
    }

    /// One batch off `socket`; says how many datagrams it had.
    pub(super) fn receive(&mut self, listener: ListenerId, socket: &impl AsFd) -> io::Result<usize> {
        let now = self.shell.clock.now();
        self.take_news(now);
        let received = self.receiver.receive(socket);
        // A socket that gives nothing has had its turn as well.
        let batch = received.inspect_err(|_| self.waits.taken(listener, now, 0, None))?;
        let count = batch.len();
        #[cfg(feature = "planted-faults")]
        crate::planted::slow_reading(count);
        self.counters.datagrams_received += count as u64;
        // One that gave less than a batch is empty: nobody waits there.
        let came_at = if batch.is_full() { last_came_at(socket) } else { None };
        self.waits.taken(listener, now, count, came_at);
        let mut panics = 0;
        for (remote, bytes) in batch.iter() {
            #[cfg(feature = "planted-faults")]
            crate::planted::panic_over("worker-panics", bytes);
            let flow = Flow::datagram(listener, remote);
            panics += usize::from(
                self.guarded.handle(now, Input::Received { flow, certified: None, bytes }).is_err(),
            );
        }
        self.forget_replies(panics);
        self.settle(now);
        Ok(count)
    }

    pub(super) fn admit(
        &mut self,
        listener: ListenerId,
        io: TcpStream,
        remote: SocketAddr,
    ) -> Option<ConnectionId> {
        let now = self.shell.clock.now();
        let Some(more) = self.guarded.admit_connection(now, listener, remote) else {
            self.counters.connections_refused += 1;
            self.settle(now);
            return None;
        };
        let listen = usize::from(listener.0);
        let tls = self.shell.server.borrow().listeners.get(listen).and_then(|listen| listen.tls.clone());
        let admitted = self.streams.admit(now.mono, listener, tls, (io, remote), more, &mut self.counters);
        self.settle(now);
        admitted
    }

    pub(super) fn on_ready(&mut self, id: ConnectionId) {
        let now = self.shell.clock.now();
        self.take_news(now);
        let Self { streams, guarded, counters, .. } = self;
        let mut panics = 0;
        let mut misframed = false;
        streams.on_ready(now.mono, id, counters, |flow, certified, piece| {
            let input = match piece {
                Piece::Message(bytes) => {
                    #[cfg(feature = "planted-faults")]
                    crate::planted::panic_over("worker-panics", bytes);
                    Input::Received { flow, certified, bytes }
                }
                Piece::Misframed { kind, head } => {
                    misframed = true;
                    Input::Misframed { flow, head, kind }
                }
                Piece::Ping => return,
            };
            panics += usize::from(guarded.handle(now, input).is_err());
        });
        for address in streams.resumed.drain(..) {
            guarded.resumed(now, address);
        }
        self.forget_replies(panics);
        self.settle(now);
        if misframed {
            // Whatever the dataplane made of it: nothing more is read (RFC 3261 §18.3).
            self.streams.close(now.mono, id, &mut self.counters);
            self.settle(now);
        }
    }

    pub(super) fn on_timeout(&mut self) {
        let now = self.shell.clock.now();
        let panicked = self.guarded.handle_timeout(now).is_err();
        self.forget_replies(usize::from(panicked));
        self.settle(now);
    }

    /// Tells the dataplane how long what comes has to wait; what is ready waits for `turn` until it is its turn.
    pub(super) fn tell_waits(&mut self, turn: Duration) {
        let now = self.shell.clock.now();
        for (index, datagrams) in (0_u8..).zip(&self.datagrams) {
            let Some(Ok(dropped)) = datagrams.as_ref().map(|datagrams| datagrams.dropped()) else { continue };
            self.counters.datagrams_lost += u64::from(self.waits.dropped(ListenerId(index), dropped));
        }
        let filters = self.datagrams.iter().flatten().all(|datagrams| datagrams.takes_filter());
        let Some(waited) = self.waits.tell(turn, filters) else { return };
        let panicked = self.guarded.handle(now, waited).is_err();
        self.forget_replies(usize::from(panicked));
        let share = if filters { self.guarded.left_unread() } else { 0 };
        self.datagrams.iter().flatten().for_each(|datagrams| datagrams.leave_unread(share));
    }

    pub(super) fn sweep(&mut self) {
        let now = self.shell.clock.now();
        self.streams.sweep(now.mono, &mut self.counters);
        self.settle(now);
    }

    pub(super) fn empty_ring(&mut self) {
        let now = self.shell.clock.now();
        let ring = Arc::clone(&self.ring);
        for item in std::iter::from_fn(|| ring.take()).take(RING_BATCH_MAX) {
            let done = match item {
                Item::Handed(Handed::Send { flow, octets }) => {
                    self.send_for_another(now.mono, flow, &octets);
                    Ok(())
                }
                Item::Handed(Handed::HandOver { flow, octets }) => {
                    self.guarded.handle(now, Input::HandedOver { flow, bytes: &octets })
                }
                Item::Handed(Handed::Close(connection)) => {
                    self.streams.close(now.mono, connection, &mut self.counters);
                    Ok(())
                }
                Item::Handed(Handed::Lost(flow)) => self.guarded.handle(now, Input::Lost { flow }),
                Item::Handed(Handed::Finished(flow)) => self.guarded.handle(now, Input::Finished { flow }),
                Item::Handed(Handed::Tell(notice)) => self.guarded.handle(now, Input::Told(&notice)),
                Item::Certain(certain) => self.take_certain(now, certain),
            };
            self.forget_replies(usize::from(done.is_err()));
        }
        self.settle(now);
    }

    /// What must not be overtaken by messages: whoever was told that settings are in force sends under them.
    fn take_news(&mut self, now: Now) {
        let ring = Arc::clone(&self.ring);
        for certain in std::iter::from_fn(|| ring.take_certain()).take(RING_BATCH_MAX) {
            let done = self.take_certain(now, certain);
            self.forget_replies(usize::from(done.is_err()));
        }
    }

    fn take_certain(&mut self, now: Now, certain: Certain) -> Result<(), Panicked> {
        match certain {
            Certain::Answered(query, answer) => self.guarded.handle(now, Input::Answered { query, answer }),
            Certain::Heard(call, heard) => self.guarded.handle(now, Input::Heard { call, heard }),
            Certain::Commanded(order, to) => {
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
                self.guarded.handle(now, Input::Commanded { reply, order })
            }
            Certain::Configured(settings) => {
                self.streams.configure(Bounds::of(&settings, self.shell.connections_max));
                self.guarded.handle(now, Input::Configured(settings))
            }
            Certain::Keyed(keys) => self.guarded.handle(now, Input::Keyed(keys)),
        }
    }

    /// After a panic nobody will reply to what was asked before, and nobody knows the calls that there is sound for.
    fn forget_replies(&mut self, panics: usize) {
        for _ in 0..panics {
            self.shell.counts.panicked();
            self.shell.media.forget(self.id);
            self.replies.clear();
        }
    }

    /// Sends and does what the dataplane put out, tells it of connections lost on the way, publishes the counts. Ends
    /// the turn that began at `now`.
    fn settle(&mut self, now: Now) {
        // Each turn but the first tells of a flow what was not told before, so there are no more than twice as many as connections.
        let (mut told, mut told_finished) = (HashSet::new(), HashSet::new());
        loop {
            self.send_messages(now.mono);
            for output in self.guarded.outbox.take_outputs() {
                self.act(now, output);
            }
            self.guarded.outbox.clear();
            let mut unopened = std::mem::take(&mut self.streams.unopened);
            unopened.retain(|flow| told.insert(*flow));
            let mut lost = std::mem::take(&mut self.streams.lost);
            lost.retain(|flow| told.insert(*flow));
            let mut finished = std::mem::take(&mut self.streams.finished);
            finished.retain(|flow| told_finished.insert(*flow));
            if lost.is_empty() && unopened.is_empty() && finished.is_empty() {
                break;
            }
            for flow in finished {
                if flow.connection.is_some_and(|connection| self.lent.contains(&connection)) {
                    self.offer_to_others(|| Handed::Finished(flow));
                }
                let panicked = self.guarded.handle(now, Input::Finished { flow }).is_err();
                self.forget_replies(usize::from(panicked));
            }
            for flow in unopened {
                let panicked = self.guarded.handle(now, Input::Unopened { flow }).is_err();
                self.forget_replies(usize::from(panicked));
            }
            for flow in lost {
                if flow.connection.is_some_and(|connection| self.lent.remove(&connection)) {
                    self.offer_to_others(|| Handed::Lost(flow));
                }
                let panicked = self.guarded.handle(now, Input::Lost { flow }).is_err();
                self.forget_replies(usize::from(panicked));
            }
        }
        self.turns.observe(self.shell.clock.mono().since(now.mono));
        self.shell.counts.publish(
            usize::from(self.id.0),
            Published {
                dataplane: self.guarded.counters(),
                transport: self.counters,
                connections: self.streams.len() as u64,
                turns: self.turns,
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
        for flow in outbox.connects() {
            let index = usize::from(flow.listener.0);
            let (settings, server) = (self.shell.settings.borrow(), self.shell.server.borrow());
            let (Some(listener), Some(listen)) = (settings.listeners.get(index), server.listeners.get(index))
            else {
                continue;
            };
            self.streams.connect(now, *flow, listener.local.ip(), listen.dscp, &mut self.counters);
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

    /// Sends what another worker has for a connection of this one, or tells it that this leads to nobody any more.
    fn send_for_another(&mut self, now: Mono, flow: Flow, octets: &[u8]) {
        let Some(connection) = flow.connection else { return };
        if self.streams.is_usable(connection) {
            self.lent.insert(connection);
        } else {
            self.offer_to_others(|| Handed::Lost(flow));
        }
        self.streams.send(now, flow, octets, &mut self.counters);
    }

    fn act(&mut self, now: Now, output: Output) {
        match output {
            Output::Close(connection) if connection.worker() == self.id => {
                self.streams.close(now.mono, connection, &mut self.counters);
            }
            Output::Close(connection) => {
                if let Some(ring) = self.shell.rings.get(usize::from(connection.worker().0)) {
                    ring.offer(Handed::Close(connection));
                }
            }
            Output::Ask(query, question) => self.shell.questions.ask(&self.ring, query, question),
            Output::WriteBehind(record) => self.shell.questions.write_behind(record),
            Output::HandOver { worker, flow, range } => {
                if let Some(ring) = self.shell.rings.get(usize::from(worker.0)) {
                    ring.offer(Handed::HandOver { flow, octets: self.guarded.outbox.bytes(&range).into() });
                }
            }
            Output::Tell(notice) => self.offer_to_others(|| Handed::Tell(notice.clone())),
            Output::Media(session, order) => self.shell.media.order(session, order),
            Output::Reply(reply, outcome) => {
                if let Some(to) = self.replies.remove(&reply) {
                    // Whoever asked may have gone.
                    let _ = to.send(outcome);
                }
            }
            Output::Report(report) => {
                report::write(self.id, &report);
                self.note(report);
            }
        }
    }

    fn offer_to_others(&self, handed: impl Fn() -> Handed) {
        let others = (0..).zip(&*self.shell.rings).filter(|(index, _)| *index != self.id.0);
        for (_, ring) in others {
            ring.offer(handed());
        }
    }

    /// Tells the audit trail what no record of the store tells it.
    fn note(&self, report: Report) {
        match report {
            Report::Event(event) => self.shell.questions.note(Note::Event(event)),
            Report::SeatsChanged(change) if !self.shell.settings.borrow().durable => {
                self.shell.questions.note(Note::Change(change));
            }
            _ => {}
        }
    }

    /// Makes room for a connection that was not accepted because no descriptor is left. The reserve lets it in;
    /// the stalest connection gives its descriptor to it and, once its task has ended, the reserve is restored.
    pub(super) fn make_room(&mut self) {
        self.counters.descriptors_exhausted += 1;
        self.streams.give_up_reserve();
        self.streams.evict(&mut self.counters);
        self.settle(self.shell.clock.now());
    }

    pub(super) fn count_socket_error(&mut self) {
        self.counters.socket_errors += 1;
    }

    /// Says when [`Self::on_timeout`] is due; [`Self::rearm`] is notified when it becomes due earlier.
    pub(super) fn arm(&mut self) -> Option<Mono> {
        self.armed = self.guarded.next_timeout();
        self.armed
    }

    /// True if the edge is to stop, and nothing is under way here or the time for it is over.
    pub(super) fn may_stop(&self) -> bool {
        let stop_at = *self.shell.stop_at.borrow();
        stop_at.is_some_and(|at| at <= self.shell.clock.mono() || self.is_quiet())
    }

    /// True if nothing would be lost by stopping now.
    fn is_quiet(&self) -> bool {
        self.guarded.is_quiet()
            && self.replies.is_empty()
            && self.ring.is_empty()
            && self.streams.is_written()
    }
}
