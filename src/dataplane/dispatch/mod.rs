//! From a message to the core it belongs to, and from what one core wants to the others.

mod calls;
mod codes;
mod credentials;
mod emergency;
mod ends;
mod goal;
mod native;
mod register;
mod seats;
mod subscriptions;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::admission;
use crate::alarm::Alarms;
use crate::attendant::Attendant;
use crate::audit;
use crate::context::{Answer, Owner, Work};
use crate::effect::{Asker, Effect, LogIn};
use crate::flow::{Flow, WorkerId};
use crate::hotdesk::{Cause, DeferredEnd, Occasion, Origin, Place, Seat, Surface};
use crate::input::{Command, Notice, Order, ReplyId};
use crate::media::Heard;
use crate::notifier::Notifier;
use crate::now::Mono;
use crate::output::{Done, Output, Report};
use crate::pending::{Pending, Waiting};
use crate::proxy::{self, InDialog, Proxy};
use crate::query::{QueryId, Record};
use crate::registrar::Granted;
use crate::seating::{self, Ending, Seating, customer_of};
use crate::slots::SlotKey;
use crate::subscription::EventNotifier;
use crate::transaction::{self, Event, Key, Reception, Response};

/// Calls of the attendant that are looked after in one go: each may play a prompt or hang up.
const TALKS_MAX: usize = 256;

/// A seat that ends when it is its turn.
pub(crate) struct Leaving {
    device: Place,
    end: DeferredEnd,
    /// It does not wait for the calls at the device.
    now: bool,
    /// It is the last of so many that an operator wants to end, who hears of it when all would be there after a restart.
    last_of: Option<(ReplyId, usize)>,
}

/// A request that no transaction knows yet.
#[derive(Clone, Copy)]
struct Incoming<'a> {
    flow: &'a Flow,
    request: &'a sip::Message<'a>,
    headers: &'a sip::Mandatory<'a>,
    /// Of the server transaction it is to have.
    key: Key,
}

/// The cores of one worker.
pub(crate) struct Rooms {
    pub(crate) proxy: Proxy,
    pub(crate) attendant: Attendant,
    pub(crate) notifier: Notifier,
    subscriptions: EventNotifier,
    alarms: Alarms,
    pub(crate) pending: Pending,
    pub(crate) seating: Seating,
    /// Seats that the settings, the clock or an administrator end: a few at a time.
    pub(crate) leaving: VecDeque<Leaving>,
    /// Seats whose ends are planned (again), a few at a time, and why.
    planning: (VecDeque<Arc<Seat>>, Occasion),
    /// Seats whose end may still be looked at in this second.
    looks_left: usize,
    /// Another worker may have planned by settings of before until then.
    plan_again: Option<Mono>,
    /// How far the wall clock was ahead of the monotonic one when all ends were planned last, in milliseconds.
    wall_ahead: u64,
    effects: Vec<Effect>,
    /// What the 200 being written lists.
    granted: Granted,
}

impl Rooms {
    pub(crate) fn new(first_generation: u32, calls_max: usize) -> Self {
        Self {
            proxy: Proxy::new(calls_max),
            attendant: Attendant::new(first_generation),
            notifier: Notifier::new(),
            subscriptions: EventNotifier::new(),
            alarms: Alarms::new(),
            pending: Pending::new(first_generation),
            seating: Seating::default(),
            leaving: VecDeque::new(),
            planning: (VecDeque::new(), Occasion::Stands),
            looks_left: 0,
            plan_again: None,
            wall_ahead: 0,
            effects: Vec::new(),
            granted: Granted::default(),
        }
    }

    // ---- messages --------------------------------------------------------------------------------------

    /// A response. `at_home` is false for one that another worker has handed over.
    pub(crate) fn on_response(
        &mut self,
        work: &mut Work<'_>,
        flow: &Flow,
        response: &sip::Message<'_>,
        headers: &sip::Mandatory<'_>,
        at_home: bool,
    ) {
        match work.transactions.receive_response(work.now.mono, response, headers, work.out) {
            Response::Deliver { client, owner: Owner::Proxy(key) } => {
                let mut effects = std::mem::take(&mut self.effects);
                self.proxy.on_response(work, key, client, flow, response, headers, &mut effects);
                self.effects = effects;
            }
            Response::Deliver { owner: Owner::Attendant(key), .. } => {
                if response.status() >= Some(200) {
                    self.attendant.on_response(work, key, &mut self.effects);
                }
            }
            Response::Deliver { owner: Owner::Notifier(key), .. } => {
                let eviction = self.notifier.on_response(work, key, response);
                self.evict(work, eviction);
            }
            Response::Deliver { owner: Owner::Subscription(key), .. } => {
                self.subscriptions.on_response(work, key, response);
            }
            Response::Deliver { owner: Owner::Alarm(key), .. } => {
                self.alarms.on_response(work, key, response);
            }
            Response::Deliver { owner: Owner::Nobody, .. } | Response::Absorbed => {}
            Response::Foreign(worker) if at_home => {
                work.ctx.counters.handed_over += 1;
                let range = work.out.store(response.bytes());
                work.out.push(Output::HandOver { worker, flow: *flow, range });
            }
            Response::Foreign(_) | Response::Stray => work.ctx.counters.responses_dropped += 1,
        }
        self.carry_out(work);
    }

    /// A request that has passed admission.
    pub(crate) fn on_request(
        &mut self,
        work: &mut Work<'_>,
        flow: &Flow,
        request: &sip::Message<'_>,
        headers: &sip::Mandatory<'_>,
    ) {
        match request.method() {
            Some(sip::Method::Register) => self.on_register(work, flow, request, headers),
            Some(sip::Method::Options) if self.is_for_edge(work, flow, headers) => {
                if !admission::is_scanner(work, flow, request, headers) {
                    work.describe_edge(flow, request, calls::ALLOW);
                }
            }
            _ => match work.transactions.receive_request(work.now.mono, flow, request, headers, work.out) {
                Reception::Absorbed => {}
                Reception::New(key) => {
                    self.on_new_request(work, &Incoming { flow, request, headers, key });
                }
                Reception::Cancels(invite) => self.on_cancel(work, flow, request, invite),
                Reception::AckToCore(_) | Reception::NoMatch => self.on_ack(work, flow, request, headers),
            },
        }
        self.carry_out(work);
    }

    /// OPTIONS without a user, outside a dialog, is a question to the edge itself (RFC 3261 §11.2).
    fn is_for_edge(&self, work: &Work<'_>, flow: &Flow, headers: &sip::Mandatory<'_>) -> bool {
        let Some(uri) = &headers.request_uri else { return false };
        let in_dialog = headers.to.tag().is_some();
        uri.is_sip() && uri.user.is_none() && !in_dialog && work.ctx.tenant_of(uri, flow).is_some()
    }

    fn on_cancel(
        &mut self,
        work: &mut Work<'_>,
        flow: &Flow,
        cancel: &sip::Message<'_>,
        invite: Option<transaction::ServerId>,
    ) {
        let Some((server, owner)) =
            invite.and_then(|server| Some((server, work.transactions.server_owner(server)?)))
        else {
            return work.answer(flow, cancel, Answer::new(481, "Call/Transaction Does Not Exist"));
        };
        work.answer(flow, cancel, Answer::new(200, "OK"));
        if work.transactions.has_final(server) {
            return; // The answer has crossed it (§9.2).
        }
        match owner {
            Owner::Proxy(key) => {
                let mut effects = std::mem::take(&mut self.effects);
                self.proxy.cancel(work, key, &mut effects);
                self.effects = effects;
            }
            Owner::Attendant(key) => {
                self.attendant.cancel(work, key, &mut self.effects);
            }
            Owner::Notifier(_) | Owner::Subscription(_) | Owner::Alarm(_) | Owner::Nobody => {}
        }
    }

    /// The ACK of a 2xx: it has no transaction and is never answered.
    fn on_ack(
        &mut self,
        work: &mut Work<'_>,
        flow: &Flow,
        ack: &sip::Message<'_>,
        headers: &sip::Mandatory<'_>,
    ) {
        if let Some(call) = self.attendant.call_of(headers) {
            return self.attendant.on_ack(work, call, ack, &mut self.effects);
        }
        if headers.max_forwards == Some(0) {
            return;
        }
        if let InDialog::Ours(plan) = proxy::in_dialog(work.ctx, flow, ack, headers, work.now) {
            self.proxy.forward_ack(work, flow, ack, headers, &plan);
        }
    }

    // ---- backends, control plane, other workers --------------------------------------------------------

    /// A backend answered.
    pub(crate) fn on_answer(&mut self, work: &mut Work<'_>, query: QueryId, answer: crate::query::Answer) {
        use crate::query::{Answer, SaveVerdict};
        match (self.pending.take(query), answer) {
            (Some(Waiting::Pin { log_in, stored }), Answer::Pin(verdict)) => {
                self.effects.push(self.seating.on_pin(work, log_in, stored.as_ref(), verdict));
            }
            (Some(Waiting::NewPin(by)), Answer::PinChanged(verdict)) => {
                self.effects.push(seating::on_pin_changed(work, by, verdict));
            }
            (Some(Waiting::Seats { proposal, asker }), Answer::Saved(verdict)) => {
                self.seating.on_saved(work, proposal, asker, verdict, &mut self.effects);
            }
            (Some(Waiting::End { change, asker }), Answer::Saved(verdict)) => {
                if verdict == SaveVerdict::Failed {
                    // The end stands; the store has it as soon as it can.
                    self.not_durable(work);
                    work.out.push(Output::WriteBehind(Record::Seats(Arc::clone(&change))));
                }
                self.effects.push(Effect::Granted { asker, change });
            }
            (Some(Waiting::OwedEnd { record, done, reply }), Answer::Saved(verdict)) => {
                self.on_owed_end_saved(work, verdict, record, done, reply);
            }
            (Some(Waiting::Bindings { flow, request, aor, role }), Answer::Saved(verdict)) => {
                if verdict == SaveVerdict::Failed {
                    // Bindings are soft state: the phone is served, and its next refresh is written again.
                    self.not_durable(work);
                }
                self.on_bindings_saved(work, &flow, &request, &aor, role);
            }
            _ => {}
        }
        self.carry_out(work);
    }

    fn not_durable(&self, work: &mut Work<'_>) {
        work.ctx.counters.not_durable += 1;
        work.out.push(Output::Report(Report::NotDurable));
    }

    /// The control plane wants something done. It is trusted: no PIN.
    pub(crate) fn on_command(&mut self, work: &mut Work<'_>, reply: ReplyId, order: Order) {
        let Order { by, command } = order;
        match command {
            Command::LogIn { tenant, device, extension, extension_tenant, force, until } => {
                let home = extension_tenant.as_ref().unwrap_or(&tenant);
                let (device, extension) = (Place::new(&tenant, &device), Place::new(home, &extension));
                let origin = Origin::of_operator(&by);
                let log_in = LogIn::new(Asker::Api(reply), device, extension, Surface::Api, origin);
                self.effects.push(Effect::LogIn(LogIn { force, until, ..log_in }));
            }
            Command::LogOut { tenant, device, now } => {
                self.force_out(work, reply, &by, Place::new(&tenant, &device), now)
            }
            Command::LogOutExtension { tenant, extension, now } => {
                self.force_extension_out(work, reply, &by, &Place::new(&tenant, &extension), now);
            }
            Command::Unlock { tenant, extension, device, device_tenant } => {
                let host = device_tenant.as_ref().unwrap_or(&tenant);
                let device = device.map(|device| Place::new(host, &device));
                let outcome = seating::unlock(work, &by, &Place::new(&tenant, &extension), device.as_ref());
                work.out.push(Output::Reply(reply, outcome));
            }
            Command::Pardon { address, port } => {
                admission::pardon(work, address, port);
                work.out.push(Output::Reply(reply, Ok(Done::Pardoned)));
            }
            Command::LogOutAll { tenant, site, now } => {
                self.force_all_out(work, reply, &by, &tenant, site.as_deref(), now);
            }
        }
        self.carry_out(work);
    }

    /// The sound of a call to the attendant has something to say.
    pub(crate) fn on_heard(&mut self, work: &mut Work<'_>, call: u64, heard: Heard) {
        self.attendant.on_heard(work, SlotKey(call), heard, &mut self.effects);
        self.carry_out(work);
    }

    /// Another worker changed seats: what rings here may have to follow.
    pub(crate) fn on_notice(&mut self, work: &mut Work<'_>, notice: &Notice) {
        match notice {
            Notice::SeatsChanged(change) => {
                let mut effects = std::mem::take(&mut self.effects);
                self.proxy.on_seats_changed(work, change, &mut effects);
                self.effects = effects;
            }
            Notice::Banned(ban) => {
                work.ctx.sources.ban(work.now.mono, ban);
            }
            Notice::Pardoned { address, port } => work.ctx.sources.pardon(work.now.mono, *address, *port),
        }
        self.carry_out(work);
    }

    /// Timers of transactions.
    pub(crate) fn on_event(&mut self, work: &mut Work<'_>, event: &Event<Owner>) {
        let mut effects = std::mem::take(&mut self.effects);
        self.proxy.on_event(work, event, &mut effects);
        self.attendant.on_event(work, event, &mut effects);
        self.effects = effects;
        self.alarms.on_event(work, event);
        self.subscriptions.on_event(work, event);
        let eviction = self.notifier.on_event(work, event);
        self.evict(work, eviction);
        self.carry_out(work);
    }

    /// Once a second: what a lost worker left behind is settled, and devices whose calls were never seen to end
    /// are told what they are owed.
    pub(crate) fn patrol(&mut self, work: &mut Work<'_>) {
        self.seating.take_over(work, &mut self.pending);
        if work.ctx.worker == WorkerId(0) {
            proxy::forget_call_backs(work);
            self.effects.extend(work.ctx.tables.reloads.waiting().into_iter().map(Effect::Idle));
            self.mind_the_clock(work);
            self.subscriptions.end_due(work);
        }
        self.carry_out(work);
    }

    /// True while seats wait to be seen off, or to be looked at for that.
    pub(crate) fn has_leaving(&self) -> bool {
        !self.leaving.is_empty() || self.has_ends_to_see_to()
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub(crate) fn next_timeout(&self) -> Option<Mono> {
        let next = [self.proxy.next_timeout(), self.seating.next_timeout(), self.attendant.next_timeout()];
        next.into_iter().flatten().min()
    }

    /// True if no call, NOTIFY or question is under way.
    pub(crate) fn is_quiet(&self) -> bool {
        self.attendant.len() == 0 && self.pending.len() == 0 && self.seating.next_timeout().is_none()
    }

    /// What waited for its time.
    pub(crate) fn handle_timeout(&mut self, work: &mut Work<'_>) {
        self.proxy.handle_timeout(work.now.mono);
        let mut effects = std::mem::take(&mut self.effects);
        self.seating.handle_timeout(work, &mut self.pending, &mut self.attendant, &mut effects);
        self.attendant.handle_timeout(work, TALKS_MAX, &mut effects);
        self.effects = effects;
        self.carry_out(work);
    }

    // ---- effects ---------------------------------------------------------------------------------------

    /// Carries over what the cores want of one another, until nobody wants anything.
    pub(crate) fn carry_out(&mut self, work: &mut Work<'_>) {
        while !self.effects.is_empty() {
            for effect in std::mem::take(&mut self.effects) {
                self.carry(work, effect);
            }
        }
    }

    fn carry(&mut self, work: &mut Work<'_>, effect: Effect) {
        match effect {
            Effect::CheckPin(log_in, proof) => {
                let effect = self.seating.check_pin(work, &mut self.pending, log_in, proof);
                self.effects.extend(effect);
            }
            Effect::ChangePin { by, old, new } => {
                self.effects.extend(seating::change_pin(work, &mut self.pending, by, old, new));
            }
            Effect::PinChanged(asker) => {
                if let Asker::Attendant(call) = asker {
                    self.attendant.pin_changed(work, call, &mut self.effects);
                }
            }
            Effect::LogIn(log_in) if log_in.leaves => self.log_out_everywhere(work, log_in),
            Effect::LogIn(log_in) => {
                self.seating.log_in(work, &mut self.pending, &mut self.attendant, log_in, &mut self.effects);
            }
            Effect::Bind { proposal, flow, request } => {
                self.on_native_proposed(work, &flow, &request, proposal);
            }
            Effect::LogOut { asker, device, surface, origin } => {
                if let Asker::Attendant(call) = &asker {
                    // It ends in memory at once.
                    self.attendant.settle(*call);
                }
                let customer = customer_of(&work.ctx.settings, &device);
                let cause = Cause::LogOut;
                let ending = Ending { customer, device, only_epoch: None, cause, surface, origin };
                self.seating.end(work, &mut self.pending, asker, ending, &mut self.effects);
            }
            Effect::Granted { asker, change } => self.granted(work, asker, &change),
            Effect::Refused { asker, device, extension, refusal, surface, origin } => {
                if !matches!(asker, Asker::Nobody) {
                    let (at, settings) = (work.now.wall, &work.ctx.settings);
                    let tried = audit::of_refusal(
                        refusal,
                        &device,
                        extension.as_ref(),
                        surface,
                        &origin,
                        at,
                        settings,
                    );
                    work.out.event(tried);
                    self.refused(work, asker, refusal);
                }
            }
            Effect::SeatsChanged(change) => self.seats_changed(work, &change),
            Effect::Idle(device) => self.idle(work, &device),
            Effect::Reload(device) => {
                work.ctx.tables.reloads.owe(&device);
                self.idle(work, &device);
            }
        }
    }
}
