//! The server side: requests that came in, and our answers to them.

use super::invite_server::{Ack, InviteServer};
use super::key::Key;
use super::non_invite_server::NonInviteServer;
use super::timer::Fired;
use super::{Event, Full, Reception, ServerId, Transactions};
use crate::flow::Flow;
use crate::now::Mono;
use crate::output::Outbox;
use crate::settings::Timers;
use crate::slots::SlotKey;

/// One server transaction.
#[derive(Debug)]
pub(super) struct Server<O> {
    pub(super) owner: O,
    key: Key,
    /// The request, to its exact size.
    request: Box<[u8]>,
    /// The last answer, as long as it may have to be sent again.
    answer: Box<[u8]>,
    machine: Machine,
}

#[derive(Debug)]
enum Machine {
    Invite(InviteServer),
    NonInvite(NonInviteServer),
}

impl<O> Server<O> {
    fn has_final(&self) -> bool {
        match &self.machine {
            Machine::Invite(machine) => machine.has_final(),
            Machine::NonInvite(machine) => machine.has_final(),
        }
    }

    /// True while the core has an answer to give, or waits for the ACK of its 2xx.
    pub(super) fn concerns_core(&self) -> bool {
        match &self.machine {
            Machine::Invite(machine) => machine.concerns_core(),
            Machine::NonInvite(machine) => !machine.has_final(),
        }
    }

    fn on_request(&self) -> bool {
        match &self.machine {
            Machine::Invite(machine) => machine.on_request(),
            Machine::NonInvite(machine) => machine.on_request(),
        }
    }

    fn on_time(&mut self, now: Mono, timers: &Timers) -> Fired {
        match &mut self.machine {
            Machine::Invite(machine) => machine.on_time(now, timers),
            Machine::NonInvite(machine) => machine.on_time(now),
        }
    }

    fn due(&self) -> Mono {
        match &self.machine {
            Machine::Invite(machine) => machine.due(),
            Machine::NonInvite(machine) => machine.due(),
        }
    }
}

impl<O: Copy> Transactions<O> {
    /// Finds out what a request is, and gives the last answer again to one that was seen before: to whom the
    /// first came from, wherever this one did.
    pub(crate) fn receive_request(
        &mut self,
        now: Mono,
        flow: &Flow,
        request: &sip::Message<'_>,
        headers: &sip::Mandatory<'_>,
        out: &mut Outbox,
    ) -> Reception {
        let Some(method) = request.method() else { return Reception::Absorbed };
        match method {
            sip::Method::Ack => return self.receive_ack(now, request, headers),
            sip::Method::Cancel => return Reception::Cancels(self.cancelled_by(flow, request, headers)),
            _ => {}
        }
        let key = Key::new(&self.mac_key, request, headers, method);
        let Some((flow, server)) = self.by_key.get(&key).and_then(|known| self.servers.get(*known)) else {
            return Reception::New(key);
        };
        self.counts.absorbed += 1;
        if server.on_request() && !server.answer.is_empty() {
            out.message(*flow, |buffer| buffer.extend_from_slice(&server.answer));
        }
        Reception::Absorbed
    }

    fn receive_ack(
        &mut self,
        now: Mono,
        request: &sip::Message<'_>,
        headers: &sip::Mandatory<'_>,
    ) -> Reception {
        let key = Key::new(&self.mac_key, request, headers, sip::Method::Invite);
        let Some(id) = self.by_key.get(&key).copied() else { return Reception::NoMatch };
        let Some((_, server)) = self.servers.get_mut(id) else { return Reception::NoMatch };
        let Machine::Invite(machine) = &mut server.machine else { return Reception::NoMatch };
        // §17.2.3: without the cookie the ACK must repeat the tag of the answer it acknowledges.
        let has_cookie = headers.via.has_cookie();
        if !has_cookie && !server.answer.is_empty() && !has_to_tag_of(headers, &server.answer) {
            return Reception::NoMatch;
        }
        match machine.on_ack(now, &self.timers) {
            Ack::Absorb => {
                let due = machine.due();
                self.servers.remind(now, id, due);
                Reception::Absorbed
            }
            Ack::ToCore => Reception::AckToCore(ServerId(id)),
        }
    }

    /// §9.2. A CANCEL cannot be challenged, so it counts only from the host that sent the INVITE (§22.1); its
    /// port may have changed with its connection.
    fn cancelled_by(
        &self,
        flow: &Flow,
        cancel: &sip::Message<'_>,
        headers: &sip::Mandatory<'_>,
    ) -> Option<ServerId> {
        let id = *self.by_key.get(&Key::new(&self.mac_key, cancel, headers, sip::Method::Invite))?;
        let (origin, _) = self.servers.get(id)?;
        (origin.remote.ip() == flow.remote.ip()).then_some(ServerId(id))
    }

    /// Begins the transaction of a request that [`Self::receive_request`] found new. Its octets are kept, once.
    ///
    /// # Errors
    /// [`Full`]: answer it without a transaction, or drop it.
    pub(crate) fn begin_server(
        &mut self,
        now: Mono,
        key: Key,
        flow: &Flow,
        request: &sip::Message<'_>,
        owner: O,
    ) -> Result<ServerId, Full> {
        let reliable = flow.is_reliable();
        let machine = if request.method() == Some(sip::Method::Invite) {
            Machine::Invite(InviteServer::new(reliable, &self.timers))
        } else {
            Machine::NonInvite(NonInviteServer::new(now, reliable, &self.timers))
        };
        let server = Server { owner, key, request: request.bytes().into(), answer: Box::default(), machine };
        let due = server.due();
        let id = self.servers.insert(*flow, server).ok_or(Full)?;
        self.by_key.insert(key, id);
        self.servers.remind(now, id, due);
        Ok(ServerId(id))
    }

    /// Answers: `write` writes the answer with status `code`. Nothing happens if the transaction has ended or is
    /// past such an answer, as a second final one (only more 2xx may follow a 2xx to INVITE).
    pub(crate) fn respond(
        &mut self,
        now: Mono,
        server: ServerId,
        code: u16,
        out: &mut Outbox,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        self.answer(now, server, code, false, out, write);
    }

    /// Answers an INVITE with a 2xx of the edge itself and sends that again until
    /// [`Self::acknowledged`], or [`Event::ServerTimeout`] after 64·T1 (§13.3.1.4). Otherwise as
    /// [`Self::respond`].
    pub(crate) fn respond_reliably(
        &mut self,
        now: Mono,
        server: ServerId,
        code: u16,
        out: &mut Outbox,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        self.answer(now, server, code, true, out, write);
    }

    fn answer(
        &mut self,
        now: Mono,
        ServerId(id): ServerId,
        code: u16,
        repeat: bool,
        out: &mut Outbox,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let Some((flow, server)) = self.servers.get_mut(id) else { return };
        let (passes, replayed) = match &mut server.machine {
            Machine::Invite(machine) => {
                (machine.on_respond(now, code, repeat, &self.timers), repeat || machine.on_request())
            }
            Machine::NonInvite(machine) => (machine.on_respond(now, code, &self.timers), true),
        };
        if !passes {
            return;
        }
        out.message(*flow, write);
        server.answer = if replayed { out.last_message().into() } else { Box::default() };
        let due = server.due();
        self.servers.remind(now, id, due);
    }

    /// The ACK of a 2xx came, by whatever way: it is not sent again.
    pub(crate) fn acknowledged(&mut self, ServerId(id): ServerId) {
        if let Some((_, Server { machine: Machine::Invite(machine), .. })) = self.servers.get_mut(id) {
            machine.on_acknowledged();
        }
    }

    /// The octets of the request.
    pub(crate) fn request(&self, ServerId(id): ServerId) -> Option<&[u8]> {
        self.servers.get(id).map(|(_, server)| &*server.request)
    }

    /// Where the request came from, and its answers go.
    pub(crate) fn flow(&self, ServerId(id): ServerId) -> Option<Flow> {
        self.servers.get(id).map(|(flow, _)| *flow)
    }

    /// Whose the request is.
    pub(crate) fn server_owner(&self, ServerId(id): ServerId) -> Option<O> {
        self.servers.get(id).map(|(_, server)| server.owner)
    }

    /// Gives the request to another owner.
    pub(crate) fn set_owner(&mut self, ServerId(id): ServerId, owner: O) {
        if let Some((_, server)) = self.servers.get_mut(id) {
            server.owner = owner;
        }
    }

    /// True once a final answer was given: a CANCEL then has nothing to do. Also true if the transaction has
    /// ended.
    pub(crate) fn has_final(&self, ServerId(id): ServerId) -> bool {
        self.servers.get(id).is_none_or(|(_, server)| server.has_final())
    }

    pub(super) fn server_is_due(
        &mut self,
        now: Mono,
        server: ServerId,
        out: &mut Outbox,
        events: &mut Vec<Event<O>>,
    ) {
        let ServerId(id) = server;
        let Some((flow, transaction)) = self.servers.get_mut(id) else { return };
        loop {
            let fired = transaction.on_time(now, &self.timers);
            match fired {
                Fired::Nothing => break,
                Fired::Resend => {
                    self.counts.resent += 1;
                    out.message(*flow, |buffer| buffer.extend_from_slice(&transaction.answer));
                }
                Fired::NoAnswer | Fired::TimerC => {
                    unreachable!("only client transactions wait for responses")
                }
                Fired::TimedOut | Fired::Ended => {
                    if fired == Fired::TimedOut {
                        events.push(Event::ServerTimeout { server, owner: transaction.owner });
                    }
                    let ended = self.servers.remove(id).expect("it was there");
                    return self.forget(id, &ended);
                }
            }
        }
        let due = transaction.due();
        self.servers.remind(now, id, due);
    }

    /// Lets requests find `ended` no longer.
    pub(super) fn forget(&mut self, id: SlotKey, ended: &Server<O>) {
        if self.by_key.get(&ended.key) == Some(&id) {
            self.by_key.remove(&ended.key);
        }
    }
}

/// True if both have the same To tag, and there is one.
fn has_to_tag_of(headers: &sip::Mandatory<'_>, answer: &[u8]) -> bool {
    let Ok(answer) = sip::Message::parse(answer, &sip::Limits::default()) else { return false };
    let Ok(there) = answer.to() else { return false };
    headers.to.tag().is_some() && headers.to.tag() == there.tag()
}
