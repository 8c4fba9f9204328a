//! REGISTER: who sends it, what it may touch, whether it is a log-in; then the table, the store, the answer.

use std::sync::Arc;
use std::time::Duration;

use super::Rooms;
use super::calls::refuse_extensions;
use super::credentials::{ask, prove};
use crate::admission;
use crate::auth::{Proof, Refused};
use crate::context::{Answer, Context, Work};
use crate::effect::{Asker, Effect, LogIn};
use crate::flow::Flow;
use crate::gruu;
use crate::hotdesk::{Cause, Origin, Place, Proposal, Proposed, Seat, SeatChange, Settled, Surface};
use crate::location::{Aor, Holder, NonceUse, device_hash};
use crate::notifier::Eviction;
use crate::output::Output;
use crate::pending::Waiting;
use crate::print::Print;
use crate::query::{Query, Record};
use crate::refusal::Refusal;
use crate::registrar::{self, Granted, Native, Outcome, OwnMax, Register, Registration, Sender, Wish};
use crate::seating::{Ending, customer_of, has_binding, propose};
use crate::settings::{Account, Tenant};
use crate::subscription;

/// The option tag of RFC 5627.
const GRUU: &str = "gruu";

/// Who sends a REGISTER and for whom, once that is proved.
struct Registrant<'a> {
    tenant: &'a Arc<Tenant>,
    user: &'a str,
    sender: Sender,
    /// `None`: it was checked before, when the seat was not yet decided, or the sender is believed without.
    proof: Option<Proof>,
    /// See [`Registration::is_believed`].
    is_believed: bool,
    /// What the ordinary phones of the account may have together.
    own_max: OwnMax,
}

impl<'a> Registrant<'a> {
    /// The device of a seat, for whoever sits there, when all has been proved before.
    fn of_seat(tenant: &'a Arc<Tenant>, seat: &'a Seat) -> Self {
        let sender = Sender::Holder(holder_of(seat));
        let user = seat.extension.name();
        Self { tenant, user, sender, proof: None, is_believed: false, own_max: OwnMax::default() }
    }
}

impl Rooms {
    /// RFC 3261 §10.3, with seats in it. Answered without a transaction: a retransmission finds the record as it
    /// left it and gets the same answer, written anew.
    pub(super) fn on_register(
        &mut self,
        work: &mut Work<'_>,
        flow: &Flow,
        request: &sip::Message<'_>,
        headers: &sip::Mandatory<'_>,
    ) {
        work.ctx.counters.registers += 1;
        let Some(tenant) = work.ctx.tenant_of(&headers.to_uri, flow) else {
            return work.answer(flow, request, Answer::new(403, "Unknown Domain"));
        };
        if !tenant.networks.admit(flow.remote.ip()) {
            return work.answer(flow, request, Answer::new(403, "Not From Here"));
        }
        let (account, proof) = match prove(work, flow, request, &tenant) {
            Ok((account, proof)) => (account, Some(proof)),
            Err(refused) => match believed(request, headers, flow, &tenant) {
                Some(account) => (account, None),
                None if admission::is_attack(work, flow, request, headers, &tenant, refused) => return,
                None => return ask(work, flow, request, &tenant, false, refused),
            },
        };
        let may_have_gruus = tenant.registrar.gruu && matches!(account, Account::Extension(_));
        let known = if may_have_gruus { &["outbound", GRUU][..] } else { &["outbound"] };
        if refuse_extensions(work, flow, request, sip::Name::Require, known) {
            return;
        }
        // To decides whose bindings are meant; only their owner may touch them.
        let (user, _) = tenant.credentials(account);
        if *headers.to_uri.user_unescaped() != *user.as_bytes() {
            return work.answer(flow, request, Answer::new(403, "Not Your Address-of-Record"));
        }
        let register = Register::read(request, headers, *flow, &tenant);
        if self.pending.has_register(register.print) {
            return; // A retransmission: its answer comes when the store has it.
        }
        let own_max = match account {
            Account::Device(_) => OwnMax::default(),
            Account::Extension(index) => OwnMax::of(&tenant.extensions[index as usize]),
        };
        let is_believed = proof.is_none();
        let registrant = |sender| Registrant { tenant: &tenant, user, sender, proof, is_believed, own_max };
        match account {
            Account::Device(_) => {
                self.update(work, &register, &registrant(Sender::Device));
            }
            Account::Extension(index) => {
                let extension = &tenant.extensions[index as usize];
                if !extension.enabled {
                    return work.answer(flow, request, Answer::new(403, "Switched Off"));
                }
                let (ctx, certified) = (&*work.ctx, work.certified);
                let native =
                    registrar::meaning(ctx, &tenant, extension, &register, certified, !is_believed, work.now);
                // Whose phone it is decides as whom it registers.
                self.on_extension(work, &register, native, registrant);
            }
        }
    }

    /// A REGISTER for an extension, once it is known whose phone sends it.
    fn on_extension<'t>(
        &mut self,
        work: &mut Work<'_>,
        register: &Register<'_>,
        native: Native,
        registrant: impl Fn(Sender) -> Registrant<'t>,
    ) {
        let ordinary = registrant(Sender::Ordinary);
        let Registrant { tenant, user, .. } = ordinary;
        let (request, flow) = (register.message, &register.flow);
        match native {
            Native::Ordinary => {
                self.update(work, register, &ordinary);
            }
            // What it requires, a seat does not have (RULES §4).
            Native::Holder { .. } | Native::LogIn(_) if requires_gruu(request) => {
                refuse_extensions(work, flow, request, sip::Name::Require, &["outbound"]);
            }
            Native::Holder { device, holder, taken_natively } => {
                let granted = self.update(work, register, &registrant(Sender::Holder(holder)));
                if granted && taken_natively && register.wish() == Wish::Remove {
                    let origin = Origin::of_request(flow.remote, register.headers.call_id);
                    self.leave(work, device, Place::new(&tenant.id, user), holder, origin);
                }
            }
            Native::Nothing(device) => {
                if register.wish() == Wish::Remove {
                    match spend(work, register, &ordinary) {
                        NonceUse::Fresh => {
                            work.ctx.tables.marks.unregistered(&device, &Place::new(&tenant.id, user));
                        }
                        NonceUse::Repeated => {}
                        // A captured un-REGISTER must not make room for a captured log-in.
                        NonceUse::Replayed | NonceUse::Stale => {
                            return ask(work, flow, request, tenant, false, Refused::Stale);
                        }
                    }
                }
                work.answer(flow, request, Answer::new(200, "OK"));
            }
            Native::Unproved => ask(work, flow, request, tenant, false, Refused::Missing),
            Native::Refused(reason) => work.answer(flow, request, Answer::new(403, reason)),
            Native::LogIn(device) => self.log_in_natively(work, register, &ordinary, device),
        }
    }

    /// A known phone's wizard wants its person in: the seat is proposed, the contact bound under it, and both stand
    /// when the store has them.
    fn log_in_natively(
        &mut self,
        work: &mut Work<'_>,
        register: &Register<'_>,
        registrant: &Registrant<'_>,
        device: Place,
    ) {
        let Registrant { tenant, user, .. } = *registrant;
        let (request, flow) = (register.message, &register.flow);
        // What the registrar would refuse is refused before anybody is put out for it.
        if let Err(refused) = register.check(tenant) {
            return work.answer(flow, request, refused.answer());
        }
        if admission::sheds_log_in(work) {
            // Its proof is used up, as that of any other that is refused.
            return match spend(work, register, registrant) {
                NonceUse::Fresh => admission::tell_busy(work, flow, request),
                _ => ask(work, flow, request, tenant, false, Refused::Stale),
            };
        }
        let extension = Place::new(&tenant.id, user);
        let origin = Origin::of_request(flow.remote, register.headers.call_id);
        let mut log_in = LogIn::new(Asker::Nobody, device, extension, Surface::Native, origin);
        let proposed = if self.pending.is_full() { Err(Refusal::Busy) } else { propose(work, &log_in) };
        match proposed {
            Ok(Proposed::Change(proposal)) => self.bind(work, register, registrant, proposal),
            Ok(Proposed::AlreadySits(seat)) => {
                let sender = Sender::Holder(holder_of(&seat));
                self.update(work, register, &Registrant { sender, ..*registrant });
            }
            // Its proof is used up all the same: whoever has captured it must not be seated by it later.
            Err(_) if spend(work, register, registrant) != NonceUse::Fresh => {
                ask(work, flow, request, tenant, false, Refused::Stale);
            }
            Err(refusal) => {
                log_in.asker = Asker::Register { flow: *flow, request: request.bytes().into(), bound: None };
                self.pending.await_register(register.print);
                self.effects.push(match refusal {
                    Refusal::Busy => Effect::LogIn(log_in),
                    refusal => log_in.refused(refusal),
                });
            }
        }
    }

    /// A log-in that had to wait for another change is proposed now.
    pub(super) fn on_native_proposed(
        &mut self,
        work: &mut Work<'_>,
        flow: &Flow,
        request: &[u8],
        proposal: Proposal,
    ) {
        let change = Arc::clone(proposal.change());
        let Some(seat) = &change.begun else { return };
        // There was room when it was proposed, and others have asked since.
        if self.pending.is_full() {
            work.ctx.tables.seats.abandon(proposal);
            self.effects.push(Effect::Refused {
                asker: Asker::Register { flow: *flow, request: request.into(), bound: None },
                device: seat.device.clone(),
                extension: Some(seat.extension.clone()),
                refusal: Refusal::Busy,
                surface: change.surface,
                origin: change.origin.clone(),
            });
            return;
        }
        again(request, |request, headers| {
            let Some(tenant) = work.ctx.settings.tenant(seat.extension.tenant()).cloned() else { return };
            let register = Register::read(request, headers, *flow, &tenant);
            self.pending.forget_register(register.print);
            let registrant = Registrant::of_seat(&tenant, seat);
            self.bind(work, &register, &registrant, proposal);
        });
    }

    /// Binds the contact of a log-in under its seat, which nobody sees before the seat stands: what the registrar
    /// refuses puts nobody out, and whoever sees the seat sees where it rings. One record has both.
    fn bind(
        &mut self,
        work: &mut Work<'_>,
        register: &Register<'_>,
        registrant: &Registrant<'_>,
        proposal: Proposal,
    ) {
        let (request, flow) = (register.message, &register.flow);
        let change = Arc::clone(proposal.change());
        let seat = change.begun.as_ref().expect("a log-in begins a seat");
        let holder = holder_of(seat);
        let registrant = Registrant { sender: Sender::Holder(holder), ..*registrant };
        let mut granted = Granted::default();
        let own = (registrant.tenant, registrant.user, registrant.sender);
        announce(work, request, register.flow_timer(), own, &mut granted);
        match change_bindings(work, register, &registrant, &mut granted) {
            Outcome::Granted { .. } => {}
            Outcome::Unproved => unreachable!("nobody is believed for a seat"),
            Outcome::Refused(refused) => {
                work.ctx.tables.seats.abandon(proposal);
                return work.answer(flow, request, refused.answer());
            }
            // A proof that was used before seats nobody, not even by what looks like a retransmission: whoever
            // captured it would be the phone from then on. A phone whose refusal was lost is asked once more.
            Outcome::Repeated | Outcome::Stale => {
                work.ctx.tables.seats.abandon(proposal);
                return ask(work, flow, request, registrant.tenant, false, Refused::Stale);
            }
        }
        let asker = || {
            let (device, extension) = (seat.device.clone(), seat.extension.clone());
            let bound = Some(Eviction { device, extension, holder });
            Asker::Register { flow: *flow, request: request.bytes().into(), bound }
        };
        let (tenant, name) = (seat.extension.tenant(), seat.extension.name());
        if work.ctx.settings.durable {
            let aor = Aor { tenant: tenant.into(), user: name.into() }.key();
            let record = work.ctx.tables.location.export(tenant, name.as_bytes(), work.now);
            // Room was looked for before this was called.
            if let Some(query) = self.pending.insert(Waiting::Seats { proposal, asker: asker() }) {
                self.pending.await_register(register.print);
                let record = Record::LogIn { change: Arc::clone(&change), aor, record };
                work.out.push(Output::Ask(query, Query::Save(record)));
            }
            return;
        }
        self.effects.push(match work.ctx.tables.seats.commit(proposal) {
            Ok(change) => {
                answer_registered(work, flow, request, (register.headers, register.print), &granted);
                Effect::SeatsChanged(change)
            }
            // This worker stood still for so long that another has taken the change over.
            Err(Settled) => Effect::Refused {
                asker: asker(),
                device: seat.device.clone(),
                extension: Some(seat.extension.clone()),
                refusal: Refusal::StoreUnavailable,
                surface: change.surface,
                origin: change.origin.clone(),
            },
        });
    }

    /// The seat stands: the phone hears of its contact, or has it bound now where the seat stood before.
    pub(super) fn on_native_granted(
        &mut self,
        work: &mut Work<'_>,
        flow: &Flow,
        request: &[u8],
        bound: Option<Holder>,
        change: &Arc<SeatChange>,
    ) {
        let Some(seat) = &change.begun else { return };
        if let Some(holder) = bound {
            return self.on_bindings_saved(work, flow, request, &seat.extension, Sender::Holder(holder));
        }
        again(request, |request, headers| {
            let Some(tenant) = work.ctx.settings.tenant(seat.extension.tenant()).cloned() else { return };
            let register = Register::read(request, headers, *flow, &tenant);
            self.pending.forget_register(register.print);
            let registrant = Registrant::of_seat(&tenant, seat);
            self.update(work, &register, &registrant);
        });
    }

    /// Changes the bindings, has the store keep them, answers. True if this request, and no earlier one, did it.
    fn update(&mut self, work: &mut Work<'_>, register: &Register<'_>, registrant: &Registrant<'_>) -> bool {
        let mut granted = std::mem::take(&mut self.granted);
        granted.clear();
        let is_done = self.update_and_list(work, register, registrant, &mut granted);
        self.granted = granted;
        is_done
    }

    fn update_and_list(
        &mut self,
        work: &mut Work<'_>,
        register: &Register<'_>,
        registrant: &Registrant<'_>,
        granted: &mut Granted,
    ) -> bool {
        let (request, flow) = (register.message, &register.flow);
        let facts = (register.headers, register.print);
        let own = (registrant.tenant, registrant.user, registrant.sender);
        announce(work, request, register.flow_timer(), own, granted);
        match change_bindings(work, register, registrant, granted) {
            Outcome::Granted { added, removed, .. } => {
                let is_kept = work.ctx.settings.durable && added + removed > 0;
                if !(is_kept && self.save(work, register, registrant)) {
                    answer_registered(work, flow, request, facts, granted);
                }
                return true;
            }
            Outcome::Repeated => answer_registered(work, flow, request, facts, granted),
            Outcome::Stale => ask(work, flow, request, registrant.tenant, false, Refused::Stale),
            Outcome::Unproved => ask(work, flow, request, registrant.tenant, false, Refused::Missing),
            Outcome::Refused(refusal) => work.answer(flow, request, refusal.answer()),
        }
        false
    }

    /// Has the store keep the account's bindings; the 200 follows. False: too many wait for it, and nobody waits.
    fn save(&mut self, work: &mut Work<'_>, register: &Register<'_>, registrant: &Registrant<'_>) -> bool {
        let Registrant { tenant, user, sender, .. } = registrant;
        let record = work.ctx.tables.location.snapshot(&tenant.id, user.as_bytes(), work.now);
        let waiting = Waiting::Bindings {
            flow: register.flow,
            request: register.message.bytes().into(),
            aor: Place::new(&tenant.id, user),
            sender: *sender,
        };
        let Some(query) = self.pending.insert(waiting) else {
            work.out.push(Output::WriteBehind(record));
            return false;
        };
        self.pending.await_register(register.print);
        work.out.push(Output::Ask(query, Query::Save(record)));
        true
    }

    /// The store has the bindings, or cannot: the phone is served either way.
    pub(super) fn on_bindings_saved(
        &mut self,
        work: &mut Work<'_>,
        flow: &Flow,
        request: &[u8],
        aor: &Place,
        sender: Sender,
    ) {
        again(request, |request, headers| {
            let print = Print::of(headers);
            self.pending.forget_register(print);
            let mut granted = Granted::default();
            if let Some(tenant) = work.ctx.settings.tenant(aor.tenant()).cloned() {
                let register =
                    supports(request, "outbound").then(|| Register::read(request, headers, *flow, &tenant));
                let flow_timer = register.and_then(|register| register.flow_timer());
                announce(work, request, flow_timer, (&tenant, aor.name(), sender), &mut granted);
            }
            let location = &work.ctx.tables.location;
            granted.list_all(location, (aor.tenant(), aor.name()), sender, work.now.mono);
            answer_registered(work, flow, request, (headers, print), &granted);
        });
    }

    /// A log-in by REGISTER came to nothing.
    pub(super) fn on_native_refused(
        &mut self,
        work: &mut Work<'_>,
        flow: &Flow,
        request: &[u8],
        refusal: Refusal,
    ) {
        again(request, |request, headers| {
            self.pending.forget_register(Print::of(headers));
            work.answer(flow, request, Answer::new(403, refusal.phrase()));
        });
    }

    /// The phone's own un-REGISTER ends a seat it took natively, once its last binding is gone; after the grace of
    /// brands that un-REGISTER at boot.
    fn leave(
        &mut self,
        work: &mut Work<'_>,
        device: Place,
        extension: Place,
        holder: Holder,
        origin: Origin,
    ) {
        if has_binding(work, &extension, holder) {
            return;
        }
        let here = work.ctx.settings.tenant(device.tenant());
        let grace = here.map_or(Duration::ZERO, |here| here.seats.native_logout_grace);
        if grace.is_zero() {
            let ending = Ending {
                customer: customer_of(&work.ctx.settings, &device),
                device,
                only_epoch: Some(holder.epoch),
                cause: Cause::LogOut,
                surface: Surface::Native,
                origin,
            };
            return self.seating.end(work, &mut self.pending, Asker::Nobody, ending, &mut self.effects);
        }
        self.seating.leave_after(work.now.mono + grace, extension, device, holder, origin);
    }
}

/// The account that a REGISTER without credentials is believed to be of because it comes from a trusted network: an
/// extension that registers for itself. A device proves itself wherever it is: the flow of its REGISTER says which
/// phone dials a code, calls for help or logs somebody in.
fn believed(
    request: &sip::Message<'_>,
    headers: &sip::Mandatory<'_>,
    flow: &Flow,
    tenant: &Tenant,
) -> Option<Account> {
    let has_credentials = request.has(sip::Name::Authorization) || request.has(sip::Name::ProxyAuthorization);
    let for_itself = headers.from.uri_raw == headers.to.uri_raw;
    if has_credentials || !for_itself || !tenant.trusts(flow.remote.ip()) {
        return None;
    }
    tenant
        .account(&headers.to_uri.user_unescaped())
        .filter(|account| matches!(account, Account::Extension(_)))
}

/// Reads a REGISTER again that has waited, as octets, for what it is answered with.
fn again(request: &[u8], go_on: impl FnOnce(&sip::Message<'_>, &sip::Mandatory<'_>)) {
    if let Ok(request) = sip::Message::parse(request, &sip::Limits::default())
        && let Ok(headers) = request.validate()
    {
        go_on(&request, &headers);
    }
}

/// Changes the bindings of an account as its REGISTER wants it, and counts.
fn change_bindings(
    work: &mut Work<'_>,
    register: &Register<'_>,
    registrant: &Registrant<'_>,
    granted: &mut Granted,
) -> Outcome {
    let Registrant { tenant, user, sender, proof, is_believed, own_max } = *registrant;
    let registration = Registration {
        register,
        tenant,
        user,
        sender,
        proof,
        is_believed,
        print: register.print.with_content(register.message, register.flow.remote.ip()),
        own_max,
    };
    let Context { tables, upkeep, counters, sources, .. } = &mut *work.ctx;
    let outcome = registrar::update(&tables.location, upkeep, work.now.mono, &registration, granted);
    if let Outcome::Granted { added, refreshed, removed } = outcome {
        counters.bindings_added += added as u64;
        counters.registers_refreshed += u64::from(refreshed > 0);
        counters.bindings_removed += removed as u64;
        if !is_believed {
            sources.proved(work.now.mono, tenant.registrar.expires_max);
        }
    }
    outcome
}

/// Has the 200 say what it says beside the bindings.
fn announce(
    work: &mut Work<'_>,
    request: &sip::Message<'_>,
    flow_timer: Option<&'static str>,
    (tenant, user, sender): (&Arc<Tenant>, &str, Sender),
    granted: &mut Granted,
) {
    granted.packages = packages_for(tenant, sender);
    granted.flow_timer = flow_timer;
    let gruus = tenant.registrar.gruu && sender == Sender::Ordinary && supports(request, GRUU);
    granted.gruus = gruus.then(|| gruu::Names {
        keys: Arc::clone(&work.ctx.keys),
        tenant: Arc::clone(tenant),
        user: user.into(),
        nonce: work.ctx.random.bytes(),
    });
}

/// The event packages a shared phone with a guest key is told that it may subscribe to. One without gets no Allow-Events: it
/// may subscribe to `message-summary` all the same, and most refreshes stay as short as they can be.
fn packages_for(tenant: &Tenant, sender: Sender) -> Option<&'static str> {
    (tenant.seats.hoteling.is_some() && sender == Sender::Device).then_some(subscription::PACKAGES)
}

fn requires_gruu(request: &sip::Message<'_>) -> bool {
    request.has(sip::Name::Require) && request.option_tags(sip::Name::Require).has(GRUU)
}

/// True if the phone says that it knows what `tag` names.
fn supports(request: &sip::Message<'_>, tag: &str) -> bool {
    [sip::Name::Supported, sip::Name::Require].into_iter().any(|name| request.option_tags(name).has(tag))
}

/// What the bindings of a seat carry.
fn holder_of(seat: &Seat) -> Holder {
    Holder { device: device_hash(seat.device.tenant(), seat.device.name()), epoch: seat.epoch }
}

/// Uses up the proof of a request that changes more than bindings.
fn spend(work: &mut Work<'_>, register: &Register<'_>, registrant: &Registrant<'_>) -> NonceUse {
    let Registrant { tenant, user, proof, .. } = registrant;
    let Some(proof) = *proof else { return NonceUse::Fresh };
    let Context { tables, upkeep, .. } = &mut *work.ctx;
    let print = register.print.with_content(register.message, register.flow.remote.ip());
    tables.location.accept_nonce(&tenant.id, user.as_bytes(), proof, print, work.now.mono, upkeep)
}

/// The 200.
fn answer_registered(
    work: &mut Work<'_>,
    flow: &Flow,
    request: &sip::Message<'_>,
    (headers, print): (&sip::Mandatory<'_>, Print),
    granted: &Granted,
) {
    let tag = print.tag(&work.ctx.tables.branch_key);
    let options = sip::ResponseOptions { source: Some(flow.remote), to_tag: Some(&tag), record_route: false };
    work.out.message(*flow, |buffer| registrar::write_granted(buffer, request, headers, &options, granted));
}
