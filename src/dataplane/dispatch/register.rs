//! REGISTER: who sends it, what it may touch, whether it is a log-in; then the table, the store, the answer.

use std::hash::Hasher as _;
use std::sync::Arc;

use siphasher::sip::SipHasher13;

use super::Rooms;
use super::calls::refuse_extensions;
use super::credentials::{ask, print, prove};
use crate::auth::{Proof, Refused};
use crate::context::{Answer, Context, Work};
use crate::effect::{Asker, Effect, LogIn};
use crate::flow::Flow;
use crate::hotdesk::{Cause, Place, SeatChange, Surface};
use crate::location::{Holder, NonceUse, device_hash};
use crate::output::Output;
use crate::pending::Waiting;
use crate::query::Query;
use crate::refusal::Refusal;
use crate::registrar::{self, Native, Outcome, Registration, Sender, Wish};
use crate::seating::{Ending, has_binding};
use crate::settings::{Account, Tenant};

/// Who sends a REGISTER and for whom, once that is proved.
struct Registrant<'a> {
    tenant: &'a Arc<Tenant>,
    user: &'a str,
    sender: Sender,
    /// `None`: it was checked before, when the seat was not yet decided.
    proof: Option<Proof>,
}

impl Rooms {
    /// RFC 3261 §10.3, with seats in it. Answered without a transaction: a retransmission finds the record as it
    /// left it and gets the same answer, written anew.
    pub(super) fn on_register(&mut self, work: &mut Work<'_>, flow: &Flow, request: &sip::Message<'_>) {
        work.ctx.counters.registers += 1;
        let Some(uri) = request.to().ok().and_then(|to| to.uri().ok()) else {
            return work.answer(flow, request, Answer::new(400, "Bad To"));
        };
        let Some(tenant) = work.ctx.tenant_of(&uri, flow) else {
            return work.answer(flow, request, Answer::new(403, "Unknown Domain"));
        };
        let (account, proof) = match prove(work, request, &tenant) {
            Ok(proved) => proved,
            Err(refused) => return ask(work, flow, request, &tenant, false, refused),
        };
        if request.has(sip::Name::Require) {
            return refuse_extensions(work, flow, request, sip::Name::Require);
        }
        // To decides whose bindings are meant; only their owner may touch them.
        let (user, _) = tenant.credentials(account);
        if *uri.user_unescaped() != *user.as_bytes() {
            return work.answer(flow, request, Answer::new(403, "Not Your Address-of-Record"));
        }
        if self.pending.has_register(fingerprint(request)) {
            return; // A retransmission: its answer comes when the store has it.
        }
        let proof = Some(proof);
        match account {
            Account::Device(_) => {
                let registrant = Registrant { tenant: &tenant, user, sender: Sender::Device, proof };
                self.update(work, flow, request, &registrant);
            }
            Account::Extension(index) => {
                let extension = &tenant.extensions[index as usize];
                if !extension.enabled {
                    return work.answer(flow, request, Answer::new(403, "Switched Off"));
                }
                let wish = registrar::wish(request);
                let native = registrar::decide(work.ctx, &tenant, extension, flow, request, wish, work.now);
                self.on_extension(work, flow, request, &tenant, user, native, proof);
            }
        }
    }

    /// A REGISTER for an extension, once it is known whose phone sends it.
    #[expect(
        clippy::too_many_arguments,
        reason = "the facts of one request, each found once on the way here"
    )]
    fn on_extension(
        &mut self,
        work: &mut Work<'_>,
        flow: &Flow,
        request: &sip::Message<'_>,
        tenant: &Arc<Tenant>,
        user: &str,
        native: Native,
        proof: Option<Proof>,
    ) {
        let registrant = |sender| Registrant { tenant, user, sender, proof };
        match native {
            Native::Ordinary => {
                self.update(work, flow, request, &registrant(Sender::Ordinary));
            }
            Native::Holder { device, holder, taken_natively } => {
                let granted = self.update(work, flow, request, &registrant(Sender::Holder(holder)));
                if granted && taken_natively && registrar::wish(request) == Wish::Remove {
                    self.leave(work, tenant, device, user, holder);
                }
            }
            Native::Nothing(device) => {
                if registrar::wish(request) == Wish::Remove {
                    match spend(work, flow, tenant, user, request, proof) {
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
            Native::Refused(reason) => work.answer(flow, request, Answer::new(403, reason)),
            Native::LogIn(device) => self.log_in_natively(work, flow, request, tenant, user, device, proof),
        }
    }

    /// A known phone's wizard wants its person in: the seat first, the binding when it stands.
    #[expect(
        clippy::too_many_arguments,
        reason = "the facts of one request, each found once on the way here"
    )]
    fn log_in_natively(
        &mut self,
        work: &mut Work<'_>,
        flow: &Flow,
        request: &sip::Message<'_>,
        tenant: &Arc<Tenant>,
        user: &str,
        device: Place,
        proof: Option<Proof>,
    ) {
        // What the registrar would refuse is refused before anybody is put out for it.
        if let Err(refused) = registrar::check(request, tenant, flow) {
            return work.answer(flow, request, refused.answer());
        }
        // The proof is spent now: what follows is not asked for it again. A proof that was used before seats nobody,
        // not even by what looks like a retransmission: whoever captured it would be the phone from then on. A phone
        // whose refusal was lost is asked once more.
        if spend(work, flow, tenant, user, request, proof) != NonceUse::Fresh {
            return ask(work, flow, request, tenant, false, Refused::Stale);
        }
        self.pending.await_register(fingerprint(request));
        self.effects.push(Effect::LogIn(LogIn {
            asker: Asker::Register { flow: *flow, request: request.bytes().into() },
            device,
            extension: Place::new(&tenant.id, user),
            surface: Surface::Native,
        }));
    }

    /// The seat stands: now the phone's contact for it.
    pub(super) fn on_native_granted(
        &mut self,
        work: &mut Work<'_>,
        flow: &Flow,
        request: &[u8],
        change: &Arc<SeatChange>,
    ) {
        let (Ok(request), Some(seat)) =
            (sip::Message::parse(request, &sip::Limits::default()), &change.begun)
        else {
            return;
        };
        self.pending.forget_register(fingerprint(&request));
        let Some(tenant) = work.ctx.settings.tenant(&seat.extension.tenant).cloned() else { return };
        let holder =
            Holder { device: device_hash(&seat.device.tenant, &seat.device.name), epoch: seat.epoch };
        let registrant = Registrant {
            tenant: &tenant,
            user: &seat.extension.name,
            sender: Sender::Holder(holder),
            proof: None,
        };
        self.update(work, flow, &request, &registrant);
    }

    /// Changes the bindings, has the store keep them, answers. True if this request, and no earlier one, did it.
    fn update(
        &mut self,
        work: &mut Work<'_>,
        flow: &Flow,
        request: &sip::Message<'_>,
        registrant: &Registrant<'_>,
    ) -> bool {
        let Registrant { tenant, user, sender, proof } = registrant;
        let own_phones_max = tenant.extension(user).map_or(0, |extension| extension.own_phones_max as usize);
        let registration = Registration {
            request,
            flow: *flow,
            tenant,
            user,
            sender: *sender,
            proof: *proof,
            print: print(request, flow),
            own_phones_max,
        };
        let Context { tables, upkeep, counters, .. } = &mut *work.ctx;
        let refusal = match registrar::update(&tables.location, upkeep, work.now.mono, &registration) {
            Outcome::Granted { added, refreshed, removed } => {
                counters.bindings_added += added as u64;
                counters.registers_refreshed += u64::from(refreshed > 0);
                counters.bindings_removed += removed as u64;
                if *sender == Sender::Device && tenant.seats.native && added + refreshed > 0 {
                    learn_instance(work, tenant, user, request);
                }
                let is_kept = work.ctx.settings.durable && added + removed > 0;
                if !(is_kept && self.save(work, flow, request, registrant)) {
                    answer_registered(work, flow, request, &tenant.id, user, *sender);
                }
                return true;
            }
            Outcome::Repeated => {
                answer_registered(work, flow, request, &tenant.id, user, *sender);
                return false;
            }
            Outcome::Stale => {
                ask(work, flow, request, tenant, false, Refused::Stale);
                return false;
            }
            Outcome::Refused(refusal) => refusal,
        };
        work.answer(flow, request, refusal.answer());
        false
    }

    /// Has the store keep the account's bindings; the 200 follows. False: too many wait for it, and nobody waits.
    fn save(
        &mut self,
        work: &mut Work<'_>,
        flow: &Flow,
        request: &sip::Message<'_>,
        registrant: &Registrant<'_>,
    ) -> bool {
        let Registrant { tenant, user, sender, .. } = registrant;
        let record = work.ctx.tables.location.snapshot(&tenant.id, user.as_bytes(), work.now);
        let waiting = Waiting::Bindings {
            flow: *flow,
            request: request.bytes().into(),
            aor: Place::new(&tenant.id, user),
            sender: *sender,
        };
        let Some(query) = self.pending.insert(waiting) else {
            work.out.push(Output::WriteBehind(record));
            return false;
        };
        self.pending.await_register(fingerprint(request));
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
        let Ok(request) = sip::Message::parse(request, &sip::Limits::default()) else { return };
        self.pending.forget_register(fingerprint(&request));
        answer_registered(work, flow, &request, &aor.tenant, &aor.name, sender);
    }

    /// A log-in by REGISTER came to nothing.
    pub(super) fn on_native_refused(
        &mut self,
        work: &mut Work<'_>,
        flow: &Flow,
        request: &[u8],
        refusal: Refusal,
    ) {
        let Ok(request) = sip::Message::parse(request, &sip::Limits::default()) else { return };
        self.pending.forget_register(fingerprint(&request));
        work.answer(flow, &request, Answer::new(403, refusal.phrase()));
    }

    /// The phone's own un-REGISTER ends a seat it took natively, once its last binding is gone; after the grace of
    /// brands that un-REGISTER at boot.
    fn leave(
        &mut self,
        work: &mut Work<'_>,
        tenant: &Tenant,
        device: Place,
        extension: &str,
        holder: Holder,
    ) {
        let extension = Place::new(&tenant.id, extension);
        if has_binding(work, &extension, holder) {
            return;
        }
        let grace = tenant.seats.native_logout_grace;
        if grace.is_zero() {
            let ending = Ending {
                customer: tenant.customer.clone(),
                device,
                only_epoch: Some(holder.epoch),
                cause: Cause::LogOut,
                surface: Surface::Native,
            };
            return self.seating.end(work, &mut self.pending, Asker::Nobody, ending, &mut self.effects);
        }
        self.seating.leave_after(work.now.mono + grace, extension, device, holder);
    }
}

/// Uses up the proof of a request that changes more than bindings.
fn spend(
    work: &mut Work<'_>,
    flow: &Flow,
    tenant: &Tenant,
    user: &str,
    request: &sip::Message<'_>,
    proof: Option<Proof>,
) -> NonceUse {
    let Some(proof) = proof else { return NonceUse::Fresh };
    let Context { tables, upkeep, .. } = &mut *work.ctx;
    let print = print(request, flow);
    tables.location.accept_nonce(&tenant.id, user.as_bytes(), proof, print, work.now.mono, upkeep)
}

fn learn_instance(work: &mut Work<'_>, tenant: &Tenant, user: &str, request: &sip::Message<'_>) {
    for contact in request.contacts().filter_map(Result::ok) {
        if let sip::ContactValue::Contact(sip::Contact { instance: Some(instance), .. }) = contact {
            work.ctx.tables.instances.learn(&Place::new(&tenant.id, user), instance);
        }
    }
}

/// The 200, written from the table.
fn answer_registered(
    work: &mut Work<'_>,
    flow: &Flow,
    request: &sip::Message<'_>,
    tenant: &str,
    user: &str,
    sender: Sender,
) {
    let tag = work.ctx.stateless_tag(request);
    let Work { ctx, out, now, .. } = work;
    let options = sip::ResponseOptions { source: Some(flow.remote), to_tag: Some(&tag), record_route: false };
    out.message(*flow, |buffer| {
        let location = &ctx.tables.location;
        registrar::write_granted(buffer, request, &options, location, (tenant, user), sender, now.mono);
    });
}

/// Stands for a REGISTER and its retransmissions while its answer waits.
fn fingerprint(request: &sip::Message<'_>) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(request.call_id().unwrap_or_default());
    hasher.write_u8(0);
    hasher.write(request.header(sip::Name::CSeq).unwrap_or_default());
    hasher.write_u8(0);
    hasher.write(request.header(sip::Name::To).unwrap_or_default());
    hasher.finish()
}
