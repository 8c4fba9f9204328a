//! The transaction layer of one worker (RFC 3261 §17, §9; RFC 6026; RFC 4320).
//!
//! | in | out |
//! |---|---|
//! | a request from a peer | absorbed and answered from memory, or new, or a CANCEL or ACK for the core |
//! | a response from a peer | for the core, with the owner of its request; or absorbed; or nobody's |
//! | a request or answer of a core | a message in the [`Outbox`], sent again as long as it must be |
//! | time, a lost connection | [`Event`]s |
//!
//! A client transaction is found by the index in the branch we wrote ([`branch`]), a server transaction by a
//! keyed hash of what §17.2.3 compares ([`key`]). The four machines know states and deadlines and nothing
//! else; this layer keeps octets, writes ACK and CANCEL, and asks the machines when a reminder ([`timer`])
//! comes up. All of it is owned by one worker; nothing is locked.

pub(crate) mod branch;
mod client;
mod compose;
mod invite_client;
mod invite_server;
mod key;
mod non_invite_client;
mod non_invite_server;
mod server;
mod table;
#[cfg(test)]
mod tests;
mod timer;

pub(crate) use branch::loop_hash;
pub(crate) use key::Key;

use crate::flow::{Flow, WorkerId};
use crate::now::Mono;
use crate::output::Outbox;
use crate::settings::Timers;
use crate::slots::SlotKey;
use client::Client;
use key::ByKey;
use server::Server;
use table::Table;

/// Names a server transaction of this worker. One that has ended is named by nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ServerId(SlotKey);

/// Names a client transaction of this worker. One that has ended is named by nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClientId(SlotKey);

/// How many transactions a worker keeps at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Server transactions, at most 2³¹.
    pub(crate) servers_max: usize,
    /// Client transactions, at most 2³¹.
    pub(crate) clients_max: usize,
}

impl Bounds {
    /// So many on each side. Over datagrams a transaction lives some 32 s after its answer, so a table takes a 32nd of it in
    /// requests a second, half of them new ([`Transactions::room_for_new`]).
    pub(crate) fn each(max: usize) -> Self {
        Self { servers_max: max, clients_max: max }
    }
}

/// The table is full; nothing was sent or kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// What a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reception {
    /// Dealt with: a retransmission, or the ACK of a refusal.
    Absorbed,
    /// Not seen before: hand the key to [`Transactions::begin_server`], or answer without a transaction.
    New(Key),
    /// A CANCEL, for this INVITE from the same host if there is one (§9.2). The core answers it.
    Cancels(Option<ServerId>),
    /// The ACK of a 2xx that has the branch of its INVITE, as of RFC 2543.
    AckToCore(ServerId),
    /// An ACK that belongs to no transaction here, as every proper ACK of a 2xx. It is never answered.
    NoMatch,
}

/// What a response is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Response<O> {
    /// For the core.
    Deliver {
        /// Which request it answers.
        client: ClientId,
        /// Whose that is.
        owner: O,
    },
    /// Dealt with: a retransmission, an answer to a CANCEL, or one that comes too late.
    Absorbed,
    /// It answers nothing we sent, or no longer: to be dropped (RFC 6026 §7.2 forbids to forward it).
    Stray,
    /// It answers a request of this worker.
    Foreign(WorkerId),
}

/// What time or a lost connection brought about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event<O> {
    /// No final response in time (timers B and F; a cancelled INVITE after 64·T1): as if a 408 had come. The
    /// transaction has ended.
    ClientTimeout {
        /// Which.
        client: ClientId,
        /// Whose.
        owner: O,
    },
    /// No response at all for as long as the core wanted to wait. The transaction goes on.
    NoAnswer {
        /// Which.
        client: ClientId,
        /// Whose.
        owner: O,
    },
    /// An INVITE has rung for too long (§16.8). The transaction goes on; it is to be cancelled, else this comes
    /// again after another C.
    TimerC {
        /// Which.
        client: ClientId,
        /// Whose.
        owner: O,
    },
    /// The connection of a request without a final response is gone, or nothing more comes over it: as if a 503 had come. The
    /// transaction has ended.
    ClientLost {
        /// Which.
        client: ClientId,
        /// A provisional response had come.
        heard: bool,
        /// Whose.
        owner: O,
    },
    /// A final answer was never acknowledged (timer H, or 64·T1 of a 2xx repeated by the layer). The transaction
    /// has ended.
    ServerTimeout {
        /// Which.
        server: ServerId,
        /// Whose.
        owner: O,
    },
    /// The connection of a request without a final answer is gone, or of an INVITE whose 2xx the layer repeats:
    /// nobody can be answered. The transaction has ended.
    ServerLost {
        /// Which.
        server: ServerId,
        /// Whose.
        owner: O,
    },
}

/// Retransmissions seen and made since [`Transactions::take_counts`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Requests that were no news.
    pub(crate) absorbed: u64,
    /// Requests and answers sent again because a timer fired.
    pub(crate) resent: u64,
}

/// All transactions of one worker. `O` is the core's own name for the owner of a transaction.
pub(crate) struct Transactions<O> {
    worker: WorkerId,
    /// Branches are authenticated and server transactions hashed under it; all workers of the process have it.
    mac_key: [u8; 16],
    timers: Timers,
    servers: Table<Server<O>>,
    clients: Table<Client<O>>,
    by_key: ByKey,
    counts: Counts,
}

impl<O: Copy> Transactions<O> {
    /// None yet. `mac_key` is random, drawn at every start, and the same for all workers.
    pub(crate) fn new(worker: WorkerId, timers: Timers, mac_key: [u8; 16], bounds: Bounds) -> Self {
        let Bounds { servers_max, clients_max } = bounds;
        Self {
            worker,
            mac_key,
            timers,
            servers: Table::new(servers_max.min(branch::SLOTS_MAX), &timers),
            clients: Table::new(clients_max.min(branch::SLOTS_MAX), &timers),
            by_key: ByKey::default(),
            counts: Counts::default(),
        }
    }

    /// Takes over new timers. What runs keeps its deadlines.
    pub(crate) fn configure(&mut self, now: Mono, timers: Timers) {
        self.timers = timers;
        self.servers.configure(now, &timers);
        self.clients.configure(now, &timers);
    }

    /// Whether something new may begin. Only half of each table is for what does: a call that has begun has as many requests
    /// within it yet to come, of which the last ends it, and a call for help finds room at any time.
    ///
    /// # Errors
    /// [`Full`]: there is room only for what belongs to a call.
    pub(crate) fn room_for_new(&self) -> Result<(), Full> {
        if self.servers.is_half_full() || self.clients.is_half_full() { Err(Full) } else { Ok(()) }
    }

    /// Lets time pass for at most `limit` transactions; what is then still due shows in [`Self::next_timeout`].
    pub(crate) fn handle_timeout(
        &mut self,
        now: Mono,
        out: &mut Outbox,
        limit: usize,
        events: &mut Vec<Event<O>>,
    ) {
        for _ in 0..limit {
            let (server, client) = (self.servers.next(), self.clients.next());
            if server.is_some_and(|server| client.is_none_or(|client| server <= client)) {
                let Some(key) = self.servers.pop(now) else { return };
                self.server_is_due(now, ServerId(key), out, events);
            } else {
                let Some(key) = self.clients.pop(now) else { return };
                self.client_is_due(now, ClientId(key), out, events);
            }
        }
    }

    /// When [`Self::handle_timeout`] next has something to do.
    pub(crate) fn next_timeout(&self) -> Option<Mono> {
        [self.servers.next(), self.clients.next()].into_iter().flatten().min()
    }

    /// Nothing more comes over a connection: what waited for its far end has failed.
    pub(crate) fn finished(&mut self, flow: &Flow, events: &mut Vec<Event<O>>) {
        let Some(connection) = flow.connection else { return };
        while let Some((key, client)) = self.clients.remove_on(connection) {
            if !client.has_final() {
                let heard = client.has_provisional();
                events.push(Event::ClientLost { client: ClientId(key), heard, owner: client.owner });
            }
        }
    }

    /// A connection is gone, and with it all transactions on it: nor can its far end be answered any more.
    pub(crate) fn lost(&mut self, flow: &Flow, events: &mut Vec<Event<O>>) {
        self.finished(flow, events);
        let Some(connection) = flow.connection else { return };
        while let Some((key, server)) = self.servers.remove_on(connection) {
            self.forget(key, &server);
            if server.concerns_core() {
                events.push(Event::ServerLost { server: ServerId(key), owner: server.owner });
            }
        }
    }

    /// True if nobody waits for an answer: what is left only absorbs retransmissions. Looks at all of them.
    pub(crate) fn is_settled(&self) -> bool {
        !self.servers.iter().any(Server::concerns_core) && self.clients.iter().all(Client::has_final)
    }

    /// How many transactions there are, those included that only absorb retransmissions.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.servers.len() + self.clients.len()
    }

    /// What was counted since the last call.
    pub(crate) fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }
}

impl<O> std::fmt::Debug for Transactions<O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Transactions({} servers, {} clients)", self.servers.len(), self.clients.len())
    }
}
