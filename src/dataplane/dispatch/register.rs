//! REGISTER: who sends it, what it may touch, whether it is a log-in, which has a file of its own; then the table, the store,
//! the answer.

use std::sync::Arc;

use super::Rooms;
use super::calls::refuse_extensions;
use super::credentials::{ask, prove};
use super::native::spend;
use crate::admission;
use crate::auth::{Proof, Refused};
use crate::context::{Answer, Context, Work};
use crate::flow::Flow;
use crate::gruu;
use crate::hotdesk::{Origin, Place, Seat};
use crate::location::{Holder, NonceUse, device_hash};
use crate::output::Output;
use crate::pending::Waiting;
use crate::print::Print;
use crate::query::Query;
use crate::registrar::{self, Granted, Native, Outcome, OwnMax, Register, Registration, Role, Wish};
use crate::settings::{Account, Tenant};
use crate::subscription;

/// The option tag of RFC 5627.
const GRUU: &str = "gruu";

/// Who sends a REGISTER and for whom, once that is proved.
pub(super) struct Registrant<'a> {
    pub(super) tenant: &'a Arc<Tenant>,
    pub(super) user: &'a str,
    pub(super) role: Role,
    /// `None`: it was checked before, when the seat was not yet decided, or the sender is believed without.
    pub(super) proof: Option<Proof>,
    /// See [`Registration::is_believed`].
    pub(super) is_believed: bool,
    /// What the ordinary phones of the account may have together.
    pub(super) own_max: OwnMax,
}

impl<'a> Registrant<'a> {
    /// The device of a seat, for whoever sits there, when all has been proved before.
    pub(super) fn of_seat(tenant: &'a Arc<Tenant>, seat: &'a Seat) -> Self {
        let role = Role::Holder(holder_of(seat));
        let user = seat.extension.name();
        Self { tenant, user, role, proof: None, is_believed: false, own_max: OwnMax::default() }
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
        let registrant = |role| Registrant { tenant: &tenant, user, role, proof, is_believed, own_max };
        match account {
            Account::Device(_) => {
                self.update(work, &register, &registrant(Role::Device));
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
        registrant: impl Fn(Role) -> Registrant<'t>,
    ) {
        let ordinary = registrant(Role::Ordinary);
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
                let granted = self.update(work, register, &registrant(Role::Holder(holder)));
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

    /// Changes the bindings, has the store keep them, answers. True if this request, and no earlier one, did it.
    pub(super) fn update(
        &mut self,
        work: &mut Work<'_>,
        register: &Register<'_>,
        registrant: &Registrant<'_>,
    ) -> bool {
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
        let own = (registrant.tenant, registrant.user, registrant.role);
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
        let Registrant { tenant, user, role, .. } = registrant;
        let record = work.ctx.tables.location.snapshot(&tenant.id, user.as_bytes(), work.now);
        let waiting = Waiting::Bindings {
            flow: register.flow,
            request: register.message.bytes().into(),
            aor: Place::new(&tenant.id, user),
            role: *role,
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
        role: Role,
    ) {
        again(request, |request, headers| {
            let print = Print::of(headers);
            self.pending.forget_register(print);
            let mut granted = Granted::default();
            if let Some(tenant) = work.ctx.settings.tenant(aor.tenant()).cloned() {
                let register =
                    supports(request, "outbound").then(|| Register::read(request, headers, *flow, &tenant));
                let flow_timer = register.and_then(|register| register.flow_timer());
                announce(work, request, flow_timer, (&tenant, aor.name(), role), &mut granted);
            }
            let location = &work.ctx.tables.location;
            granted.list_all(location, (aor.tenant(), aor.name()), role, work.now.mono);
            answer_registered(work, flow, request, (headers, print), &granted);
        });
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
pub(super) fn again(request: &[u8], go_on: impl FnOnce(&sip::Message<'_>, &sip::Mandatory<'_>)) {
    if let Ok(request) = sip::Message::parse(request, &sip::Limits::default())
        && let Ok(headers) = request.validate()
    {
        go_on(&request, &headers);
    }
}

/// Changes the bindings of an account as its REGISTER wants it, and counts.
pub(super) fn change_bindings(
    work: &mut Work<'_>,
    register: &Register<'_>,
    registrant: &Registrant<'_>,
    granted: &mut Granted,
) -> Outcome {
    let Registrant { tenant, user, role, proof, is_believed, own_max } = *registrant;
    let registration = Registration {
        register,
        tenant,
        user,
        role,
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
pub(super) fn announce(
    work: &mut Work<'_>,
    request: &sip::Message<'_>,
    flow_timer: Option<&'static str>,
    (tenant, user, role): (&Arc<Tenant>, &str, Role),
    granted: &mut Granted,
) {
    granted.packages = packages_for(tenant, role);
    granted.flow_timer = flow_timer;
    let gruus = tenant.registrar.gruu && role == Role::Ordinary && supports(request, GRUU);
    granted.gruus = gruus.then(|| gruu::Names {
        keys: Arc::clone(&work.ctx.keys),
        tenant: Arc::clone(tenant),
        user: user.into(),
        nonce: work.ctx.random.bytes(),
    });
}

/// The event packages a shared phone with a guest key is told that it may subscribe to. One without gets no Allow-Events: it
/// may subscribe to `message-summary` all the same, and most refreshes stay as short as they can be.
fn packages_for(tenant: &Tenant, role: Role) -> Option<&'static str> {
    (tenant.seats.hoteling.is_some() && role == Role::Device).then_some(subscription::PACKAGES)
}

fn requires_gruu(request: &sip::Message<'_>) -> bool {
    request.has(sip::Name::Require) && request.option_tags(sip::Name::Require).has(GRUU)
}

/// True if the phone says that it knows what `tag` names.
fn supports(request: &sip::Message<'_>, tag: &str) -> bool {
    [sip::Name::Supported, sip::Name::Require].into_iter().any(|name| request.option_tags(name).has(tag))
}

/// What the bindings of a seat carry.
pub(super) fn holder_of(seat: &Seat) -> Holder {
    Holder { device: device_hash(seat.device.tenant(), seat.device.name()), epoch: seat.epoch }
}

/// The 200.
pub(super) fn answer_registered(
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
