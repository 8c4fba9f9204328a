//! The client side: requests we sent, and the responses to them.

use std::time::Duration;

use super::invite_client::{InviteClient, Verdict};
use super::non_invite_client::NonInviteClient;
use super::timer::Fired;
use super::{ClientId, Event, Full, Response, Transactions, branch, compose};
use crate::flow::Flow;
use crate::now::Mono;
use crate::output::Outbox;
use crate::settings::Timers;

/// One client transaction.
#[derive(Debug)]
pub(super) struct Client<O> {
    pub(super) owner: O,
    /// As in the branch: a response to whoever had the slot before a worker was replaced does not fit.
    loop_hash: u32,
    /// The request as it was sent.
    request: Box<[u8]>,
    machine: Machine,
}

#[derive(Debug)]
enum Machine {
    Invite(InviteClient, Option<Box<Cancel>>),
    NonInvite(NonInviteClient),
}

/// The CANCEL of an INVITE: a transaction of its own (§9.1), though with the INVITE's branch and place. It ends
/// with the INVITE, because after that one's final response nothing is left to cancel.
#[derive(Debug)]
struct Cancel {
    machine: NonInviteClient,
    octets: Box<[u8]>,
}

impl<O> Client<O> {
    pub(super) fn has_final(&self) -> bool {
        match &self.machine {
            Machine::Invite(machine, _) => machine.has_final(),
            Machine::NonInvite(machine) => machine.has_final(),
        }
    }

    pub(super) fn has_provisional(&self) -> bool {
        match &self.machine {
            Machine::Invite(machine, _) => machine.has_provisional(),
            Machine::NonInvite(machine) => machine.has_provisional(),
        }
    }

    fn on_time(&mut self, now: Mono, timers: &Timers) -> Fired {
        match &mut self.machine {
            Machine::Invite(machine, _) => machine.on_time(now, timers),
            Machine::NonInvite(machine) => machine.on_time(now, timers),
        }
    }

    fn due(&self) -> Mono {
        match &self.machine {
            Machine::Invite(machine, None) => machine.due(),
            Machine::Invite(machine, Some(cancel)) => machine.due().min(cancel.machine.due()),
            Machine::NonInvite(machine) => machine.due(),
        }
    }

    /// The method of the request.
    fn method(&self) -> &[u8] {
        self.request.split(|octet| *octet == b' ').next().unwrap_or_default()
    }

    /// Sends the CANCEL of an INVITE.
    fn send_cancel(&mut self, now: Mono, flow: Flow, timers: &Timers, out: &mut Outbox) {
        let Machine::Invite(_, cancel) = &mut self.machine else { return };
        let Ok(invite) = sip::Message::parse(&self.request, &sip::Limits::default()) else { return };
        out.message(flow, |buffer| compose::cancel(&invite, buffer));
        let machine = NonInviteClient::new(now, flow.is_reliable(), None, timers);
        *cancel = Some(Box::new(Cancel { machine, octets: out.last_message().into() }));
    }

    /// Sends the ACK of a refusal.
    fn acknowledge(&self, flow: Flow, refusal: &sip::Message<'_>, out: &mut Outbox) {
        if let Ok(invite) = sip::Message::parse(&self.request, &sip::Limits::default()) {
            out.message(flow, |buffer| compose::acknowledge(&invite, refusal, buffer));
        }
    }
}

impl<O: Copy> Transactions<O> {
    /// Sends a request: `write` writes it with a top Via whose branch is the one it is handed. Its octets are
    /// kept. With `no_answer`, [`Event::NoAnswer`] tells once that no response at all came for so long.
    ///
    /// # Errors
    /// [`Full`]: nothing was written or sent.
    #[expect(clippy::too_many_arguments, reason = "each says one thing about the request")]
    pub(crate) fn begin_client(
        &mut self,
        now: Mono,
        flow: Flow,
        invite: bool,
        owner: O,
        loop_hash: u32,
        no_answer: Option<Duration>,
        out: &mut Outbox,
        write: impl FnOnce(&mut Vec<u8>, &[u8]),
    ) -> Result<ClientId, Full> {
        let (reliable, timers) = (flow.is_reliable(), &self.timers);
        let machine = if invite {
            Machine::Invite(InviteClient::new(now, reliable, no_answer, timers), None)
        } else {
            Machine::NonInvite(NonInviteClient::new(now, reliable, no_answer, timers))
        };
        let client = Client { owner, loop_hash, request: Box::default(), machine };
        let due = client.due();
        let id = self.clients.insert(flow, client).ok_or(Full)?;
        let branch = branch::encode(&self.mac_key, self.worker, ClientId(id), loop_hash);
        out.message(flow, |buffer| write(buffer, &branch));
        let (_, client) = self.clients.get_mut(id).expect("it was just put there");
        client.request = out.last_message().into();
        self.clients.remind(now, id, due);
        Ok(ClientId(id))
    }

    /// Finds the request a response answers. Refusals of an INVITE are acknowledged here; a 2xx is for the core,
    /// each time it comes.
    pub(crate) fn receive_response(
        &mut self,
        now: Mono,
        response: &sip::Message<'_>,
        headers: &sip::Mandatory<'_>,
        out: &mut Outbox,
    ) -> Response<O> {
        let (Some(code), cseq) = (response.status(), headers.cseq) else { return Response::Stray };
        let Some(branch) = headers.via.branch.and_then(|branch| branch::decode(branch, &self.mac_key)) else {
            return Response::Stray;
        };
        let Some((worker, client)) = branch.transaction else { return Response::Stray };
        if worker != self.worker {
            return Response::Foreign(worker);
        }
        let ClientId(id) = client;
        let Some((flow, transaction)) = self.clients.get_mut(id) else { return Response::Stray };
        if transaction.loop_hash != branch.loop_hash {
            return Response::Stray;
        }
        // §17.1.3: the method tells a CANCEL's response from its INVITE's.
        let same_method = cseq.method.as_bytes() == transaction.method();
        let owner = transaction.owner;
        let timers = &self.timers;
        let verdict = match &mut transaction.machine {
            Machine::Invite(machine, _) if same_method => machine.on_response(now, code, timers),
            Machine::Invite(_, cancel) if cseq.method == sip::Method::Cancel => {
                if let Some(cancel) = cancel {
                    cancel.machine.on_response(code);
                }
                Verdict::Absorb
            }
            Machine::NonInvite(machine) if same_method => {
                machine.on_response(code);
                if machine.has_final() {
                    self.clients.remove(id);
                    return Response::Deliver { client, owner };
                }
                Verdict::Deliver
            }
            Machine::Invite(..) | Machine::NonInvite(_) => return Response::Stray,
        };
        match verdict {
            Verdict::Absorb | Verdict::Deliver => {}
            Verdict::CancelAndDeliver => transaction.send_cancel(now, *flow, timers, out),
            Verdict::AcknowledgeAndDeliver | Verdict::Acknowledge => {
                transaction.acknowledge(*flow, response, out);
            }
        }
        if let Machine::Invite(machine, slot) = &mut transaction.machine
            && slot.as_ref().is_some_and(|cancel| machine.has_final() || cancel.machine.has_final())
        {
            *slot = None;
        }
        let due = transaction.due();
        self.clients.remind(now, id, due);
        match verdict {
            Verdict::Absorb | Verdict::Acknowledge => Response::Absorbed,
            Verdict::Deliver | Verdict::CancelAndDeliver | Verdict::AcknowledgeAndDeliver => {
                Response::Deliver { client, owner }
            }
        }
    }

    /// Cancels an INVITE (§9.1): now if a provisional response has come, else as soon as one comes. What comes of
    /// it is a final response, or [`Event::ClientTimeout`] 64·T1 after the CANCEL. Nothing happens to an INVITE
    /// that has its final response, nor to any other request.
    pub(crate) fn cancel(&mut self, now: Mono, ClientId(id): ClientId, out: &mut Outbox) {
        let Some((flow, client)) = self.clients.get_mut(id) else { return };
        let Machine::Invite(machine, _) = &mut client.machine else { return };
        if machine.on_cancel(now, &self.timers) {
            client.send_cancel(now, *flow, &self.timers, out);
            let due = client.due();
            self.clients.remind(now, id, due);
        }
    }

    pub(super) fn client_is_due(
        &mut self,
        now: Mono,
        client: ClientId,
        out: &mut Outbox,
        events: &mut Vec<Event<O>>,
    ) {
        let ClientId(id) = client;
        let Some((flow, transaction)) = self.clients.get_mut(id) else { return };
        let owner = transaction.owner;
        loop {
            match transaction.on_time(now, &self.timers) {
                Fired::Nothing => break,
                Fired::Resend => {
                    self.counts.resent += 1;
                    out.message(*flow, |buffer| buffer.extend_from_slice(&transaction.request));
                }
                Fired::NoAnswer => events.push(Event::NoAnswer { client, owner }),
                Fired::TimerC => events.push(Event::TimerC { client, owner }),
                Fired::TimedOut => {
                    events.push(Event::ClientTimeout { client, owner });
                    self.clients.remove(id);
                    return;
                }
                Fired::Ended => {
                    self.clients.remove(id);
                    return;
                }
            }
        }
        if let Machine::Invite(_, slot) = &mut transaction.machine
            && let Some(cancel) = slot
        {
            match cancel.machine.on_time(now, &self.timers) {
                Fired::Resend => {
                    self.counts.resent += 1;
                    out.message(*flow, |buffer| buffer.extend_from_slice(&cancel.octets));
                }
                Fired::TimedOut | Fired::Ended => *slot = None,
                Fired::Nothing | Fired::NoAnswer | Fired::TimerC => {}
            }
        }
        let due = transaction.due();
        self.clients.remind(now, id, due);
    }
}
