//! Log-in and log-out by a phone's own wizard: a REGISTER that takes a seat, and one that gives it up (RULES §2).

use std::sync::Arc;
use std::time::Duration;

use super::Rooms;
use super::credentials::ask;
use super::register::{Registrant, again, announce, answer_registered, change_bindings, holder_of};
use crate::admission;
use crate::auth::Refused;
use crate::context::{Answer, Context, Work};
use crate::effect::{Asker, Effect, LogIn};
use crate::flow::Flow;
use crate::hotdesk::{Cause, Origin, Place, Proposal, Proposed, SeatChange, Settled, Surface};
use crate::location::{Aor, Holder, NonceUse};
use crate::notifier::Eviction;
use crate::output::Output;
use crate::pending::Waiting;
use crate::print::Print;
use crate::query::{Query, Record};
use crate::refusal::Refusal;
use crate::registrar::{Granted, Outcome, Register, Role};
use crate::seating::{Ending, customer_of, has_binding, propose};

impl Rooms {
    /// A known phone's wizard wants its person in: the seat is proposed, the contact bound under it, and both stand
    /// when the store has them.
    pub(super) fn log_in_natively(
        &mut self,
        work: &mut Work<'_>,
        register: &Register<'_>,
        registrant: &Registrant<'_>,
        device: Place,
    ) {
        let Registrant { tenant, user, .. } = *registrant;
        let (request, flow) = (register.message, &register.flow);
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
                let role = Role::Holder(holder_of(&seat));
                self.update(work, register, &Registrant { role, ..*registrant });
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
        let registrant = Registrant { role: Role::Holder(holder), ..*registrant };
        let mut granted = Granted::default();
        let own = (registrant.tenant, registrant.user, registrant.role);
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
            return self.on_bindings_saved(work, flow, request, &seat.extension, Role::Holder(holder));
        }
        again(request, |request, headers| {
            let Some(tenant) = work.ctx.settings.tenant(seat.extension.tenant()).cloned() else { return };
            let register = Register::read(request, headers, *flow, &tenant);
            self.pending.forget_register(register.print);
            let registrant = Registrant::of_seat(&tenant, seat);
            self.update(work, &register, &registrant);
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
    pub(super) fn leave(
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

/// Uses up the proof of a request that changes more than bindings.
pub(super) fn spend(work: &mut Work<'_>, register: &Register<'_>, registrant: &Registrant<'_>) -> NonceUse {
    let Registrant { tenant, user, proof, .. } = registrant;
    let Some(proof) = *proof else { return NonceUse::Fresh };
    let Context { tables, upkeep, .. } = &mut *work.ctx;
    let print = register.print.with_content(register.message, register.flow.remote.ip());
    tables.location.accept_nonce(&tenant.id, user.as_bytes(), proof, print, work.now.mono, upkeep)
}
