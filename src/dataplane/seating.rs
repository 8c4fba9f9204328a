//! One path for every log-in and log-out, whatever surface it came by (RULES §1).
//!
//! ```text
//!  CheckPin ─► PIN backend ─► right? ─► re-check ─► propose ─► store ─► commit ─► answer ─► tell the others
//!     │                        │           │           │         │
//!     └─ locked, unknown ──────┴───────────┴───────────┴─────────┴──► refused: nothing has changed
//!  LogOut ─► ends in memory at once ─► store ─► answer
//! ```

mod grace;
mod last_desk;
mod last_user;
mod new_pin;
mod permission;
mod pin_tries;
mod typed;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::attendant::Attendant;
use crate::context::{Context, Work};
use crate::effect::{Asker, Effect, LogIn};
use crate::hotdesk::{self, Cause, DeferredEnd, Origin, Place, Proposed, SeatChange, Surface};
use crate::location::{Holder, device_hash};
use crate::now::Mono;
use crate::output::{Output, Report};
use crate::pending::{Pending, Waiting};
use crate::query::{PinReject, PinRequest, PinVerdict, Proof, Query, Record, SaveVerdict};
use crate::refusal::Refusal;
use crate::settings::{OnLimit, OnOccupied, Settings, StoredPin};
use crate::tables::Tables;
use grace::{Grace, Unregistered};
pub(crate) use last_desk::{forget_desks, keep_desk};
pub(crate) use last_user::{forget_some, last_user, remember};
pub(crate) use new_pin::{change_pin, on_pin_changed};
pub(crate) use permission::home_of_speaker;
use permission::{extension_of, is_protected, may_log_in, may_sit};
pub(crate) use pin_tries::unlock;
use pin_tries::{was_right, wrong_pin};
pub(crate) use typed::extension_typed;

/// A person at a phone waits no longer for his PIN to be checked.
const PIN_WITHIN: Duration = Duration::from_secs(2);

/// How long a change waits for another change of the same device or extension before it is tried again: about
/// one group commit.
const RETRY_AFTER: Duration = Duration::from_millis(5);

/// After this long the other change is taken to be stuck, and the person is told so.
const RETRY_MAX: Duration = Duration::from_secs(2);

/// Changes that wait for others at a time and worker.
const RETRIES_MAX: usize = 1024;

/// A seat that is to end.
pub(crate) struct Ending {
    /// Of the settings under which it was taken.
    pub(crate) customer: Box<str>,
    pub(crate) device: Place,
    /// Only this sitting; `None`: whoever sits there.
    pub(crate) only_epoch: Option<u64>,
    pub(crate) cause: Cause,
    pub(crate) surface: Surface,
    /// Who asked, for the audit trail.
    pub(crate) origin: Origin,
}

/// Log-ins of one worker that wait for another change to be settled, in the order they are due.
#[derive(Default)]
pub(crate) struct Seating {
    retries: VecDeque<(Mono, Mono, LogIn)>,
    grace: Grace,
}

impl Seating {
    /// First leg: may this PIN be tried? Whether there is such an extension, and whether it has a PIN, makes no
    /// difference: the backends take as long to say no to any.
    pub(crate) fn check_pin(
        &mut self,
        work: &mut Work<'_>,
        pending: &mut Pending,
        log_in: LogIn,
        proof: Proof,
    ) -> Option<Effect> {
        let tables = &work.ctx.tables;
        if pending.is_full() {
            return Some(log_in.refused(Refusal::Busy));
        }
        // A log-out needs no device, and is open to whoever has a PIN.
        if !log_in.leaves
            && let Err(refusal) = may_log_in(&work.ctx.settings, &log_in)
        {
            return Some(log_in.refused(refusal));
        }
        let stored = extension_of(&work.ctx.settings, &log_in).and_then(|extension| extension.pin.clone());
        if tables.pins.attempt(&log_in.device, &log_in.extension, work.now.mono).is_err() {
            return Some(log_in.refused(Refusal::Locked));
        }
        let request = PinRequest {
            extension: log_in.extension.clone(),
            proof,
            device: log_in.device.clone(),
            surface: log_in.surface,
            deadline: work.now.mono + PIN_WITHIN,
        };
        let query = pending.insert(Waiting::Pin { log_in, stored })?;
        work.out.push(Output::Ask(query, Query::VerifyPin(request)));
        None
    }

    /// The PIN backends answered.
    pub(crate) fn on_pin(
        &mut self,
        work: &mut Work<'_>,
        mut log_in: LogIn,
        stored: Option<&StoredPin>,
        verdict: PinVerdict,
    ) -> Effect {
        let tables = &work.ctx.tables;
        let operator = match verdict {
            PinVerdict::Accepted { operator } => operator,
            PinVerdict::Rejected(PinReject::MustChange { is_fallback }) => {
                was_right(tables, &log_in, !is_fallback);
                return log_in.refused(Refusal::PinMustChange);
            }
            PinVerdict::Rejected(reject) => return wrong_pin(work, log_in, reject),
            PinVerdict::Unavailable => {
                tables.pins.void(&log_in.device, &log_in.extension);
                return log_in.refused(Refusal::PinUnavailable);
            }
        };
        was_right(tables, &log_in, operator.is_none());
        // Settings may have been reloaded meanwhile: a PIN that was changed is a wrong one (SEC-7).
        let extension = extension_of(&work.ctx.settings, &log_in);
        if extension.and_then(|extension| extension.pin.as_ref()) != stored {
            return log_in.refused(Refusal::SettingsChanged);
        }
        if extension.is_some_and(|extension| !extension.enabled) {
            return log_in.refused(Refusal::ExtensionDisabled);
        }
        if let Some(operator) = operator {
            work.ctx.counters.master_pins_used += 1;
            // Whoever looks the change up finds who was behind it (SEC-3).
            log_in.origin.by = Some(operator.as_ref().into());
        }
        Effect::LogIn(log_in)
    }

    /// Second leg: proof is given; the change is proposed and goes to the store. What another change is in the way of
    /// is tried again later.
    pub(crate) fn log_in(
        &mut self,
        work: &mut Work<'_>,
        pending: &mut Pending,
        attendant: &mut Attendant,
        log_in: LogIn,
        effects: &mut Vec<Effect>,
    ) {
        let give_up = work.now.mono + RETRY_MAX;
        self.try_log_in(work, pending, attendant, log_in, give_up, effects);
    }

    fn try_log_in(
        &mut self,
        work: &mut Work<'_>,
        pending: &mut Pending,
        attendant: &mut Attendant,
        log_in: LogIn,
        give_up: Mono,
        effects: &mut Vec<Effect>,
    ) {
        if let Asker::Attendant(call) = &log_in.asker
            && !attendant.is_waiting(*call)
        {
            return; // The caller hung up before anything was decided.
        }
        if pending.is_full() {
            return effects.push(log_in.refused(Refusal::Busy));
        }
        match propose(work, &log_in) {
            Ok(Proposed::AlreadySits(seat)) => {
                let change = SeatChange {
                    customer: customer_of(&work.ctx.settings, &log_in.device),
                    epoch: seat.epoch,
                    ended: Vec::new(),
                    begun: Some((*seat).clone()),
                    cause: Cause::LogIn,
                    surface: log_in.surface,
                    at: work.now.wall,
                    origin: log_in.origin,
                };
                effects.push(Effect::Granted { asker: log_in.asker, change: Arc::new(change) });
            }
            Ok(Proposed::Change(proposal)) => {
                let asker = match log_in.asker {
                    // The contact is bound before the seat stands.
                    Asker::Register { flow, request, .. } => {
                        return effects.push(Effect::Bind { proposal, flow, request });
                    }
                    asker => asker,
                };
                if let Asker::Attendant(call) = &asker {
                    attendant.settle(*call);
                }
                if !work.ctx.settings.durable {
                    return commit(work, proposal, asker, effects);
                }
                let record = Record::Seats(Arc::clone(proposal.change()));
                if let Some(query) = pending.insert(Waiting::Seats { proposal, asker }) {
                    work.out.push(Output::Ask(query, Query::Save(record)));
                }
            }
            Err(Refusal::Busy) if work.now.mono < give_up && self.retries.len() < RETRIES_MAX => {
                self.retries.push_back((work.now.mono + RETRY_AFTER, give_up, log_in));
            }
            Err(refusal) => effects.push(log_in.refused(refusal)),
        }
    }

    /// The store answered for a log-in.
    pub(crate) fn on_saved(
        &mut self,
        work: &mut Work<'_>,
        proposal: hotdesk::Proposal,
        asker: Asker,
        verdict: SaveVerdict,
        effects: &mut Vec<Effect>,
    ) {
        if verdict == SaveVerdict::Durable {
            return commit(work, proposal, asker, effects);
        }
        let change = Arc::clone(proposal.change());
        work.ctx.tables.seats.abandon(proposal);
        effects.push(not_kept(asker, &change));
    }

    /// Ends the seat at a device: in memory at once, then in the store, then the answer.
    pub(crate) fn end(
        &mut self,
        work: &mut Work<'_>,
        pending: &mut Pending,
        asker: Asker,
        ending: Ending,
        effects: &mut Vec<Effect>,
    ) {
        let Ending { customer, device, only_epoch, cause, surface, origin } = ending;
        let settings = Arc::clone(&work.ctx.settings);
        let request = hotdesk::End {
            customer: &customer,
            device: &device,
            only_epoch,
            cause,
            surface,
            origin: &origin,
        };
        let is_own_wish = cause == Cause::LogOut && surface != Surface::Api;
        let may_change = |device: &Place, of: Option<&Place>| {
            emergency_free(&work.ctx.tables, &settings, device, work.now.mono)?;
            let protected = is_own_wish && of.is_some_and(|of| is_protected(&settings, device, of));
            if protected { Err(Refusal::Protected) } else { Ok(()) }
        };
        let change = match work.ctx.tables.seats.end_now(request, may_change, work.now) {
            Ok(change) => change,
            // Nobody will ask again for an end that nobody asked for: it waits until it can happen.
            Err(Refusal::Busy | Refusal::EmergencyHold) if matches!(asker, Asker::Nobody) => {
                if let Some(epoch) = only_epoch {
                    let end = DeferredEnd { customer, epoch, cause, surface, origin };
                    if let Some(record) = owe_end(work.ctx, &device, end) {
                        work.out.push(Output::WriteBehind(record));
                    }
                }
                return;
            }
            Err(refusal) => {
                let extension = None;
                effects.push(Effect::Refused { asker, device, extension, refusal, surface, origin });
                return;
            }
        };
        effects.push(Effect::SeatsChanged(Arc::clone(&change)));
        if !settings.durable {
            effects.push(Effect::Granted { asker, change });
            return;
        }
        let record = Record::Seats(Arc::clone(&change));
        match pending.insert(Waiting::End { change: Arc::clone(&change), asker: asker.clone() }) {
            Some(query) => work.out.push(Output::Ask(query, Query::Save(record))),
            None => {
                work.out.push(Output::WriteBehind(record));
                effects.push(Effect::Granted { asker, change });
            }
        }
    }

    /// Tries again what waited for another change, and takes over what a lost worker left behind.
    pub(crate) fn handle_timeout(
        &mut self,
        work: &mut Work<'_>,
        pending: &mut Pending,
        attendant: &mut Attendant,
        effects: &mut Vec<Effect>,
    ) {
        self.see_out(work, pending, effects);
        for _ in 0..self.retries.len() {
            match self.retries.front() {
                Some((due, ..)) if *due <= work.now.mono => {}
                _ => break,
            }
            if let Some((_, give_up, log_in)) = self.retries.pop_front() {
                self.try_log_in(work, pending, attendant, log_in, give_up, effects);
            }
        }
    }

    /// Ends the seat of a phone that has un-registered, unless it is back by then.
    pub(crate) fn leave_after(
        &mut self,
        due: Mono,
        extension: Place,
        device: Place,
        holder: Holder,
        origin: Origin,
    ) {
        self.grace.begin(device, Unregistered { extension, epoch: holder.epoch, due, origin });
    }

    fn see_out(&mut self, work: &mut Work<'_>, pending: &mut Pending, effects: &mut Vec<Effect>) {
        /// Of a site whose phones all un-registered at once some milliseconds' worth; the rest follows at once.
        const SEEN_OUT_MAX: usize = 256;
        for _ in 0..SEEN_OUT_MAX {
            let Some((device, unregistered)) = self.grace.take_due(work.now.mono) else { break };
            let Unregistered { extension, epoch, origin, .. } = unregistered;
            let holder = Holder { device: device_hash(device.tenant(), device.name()), epoch };
            if !has_binding(work, &extension, holder) {
                let (cause, surface) = (Cause::LogOut, Surface::Native);
                let customer = customer_of(&work.ctx.settings, &device);
                let ending = Ending { customer, device, only_epoch: Some(epoch), cause, surface, origin };
                self.end(work, pending, Asker::Nobody, ending, effects);
            }
        }
    }

    /// Writes once more what was reserved too long ago by a worker that is gone.
    pub(crate) fn take_over(&mut self, work: &mut Work<'_>, pending: &mut Pending) {
        /// A worker's worth of open changes is rare; the rest follows a second later.
        const TAKEN_OVER_MAX: usize = 64;
        for proposal in work.ctx.tables.seats.overdue(work.now.mono, TAKEN_OVER_MAX) {
            let record = Record::Seats(Arc::clone(proposal.change()));
            if let Some(query) = pending.insert(Waiting::Seats { proposal, asker: Asker::Nobody }) {
                work.out.push(Output::Ask(query, Query::Save(record)));
            }
        }
    }

    pub(crate) fn next_timeout(&self) -> Option<Mono> {
        let retry = self.retries.front().map(|(due, ..)| *due);
        [retry, self.grace.next_timeout()].into_iter().flatten().min()
    }
}

/// The seat at a device is to end when that can be. Returns what the store is to hear of it, if anything.
pub(crate) fn owe_end(ctx: &Context, device: &Place, end: DeferredEnd) -> Option<Record> {
    let record = (ctx.settings.durable && end.is_kept())
        .then(|| Record::OwedEnd { device: device.clone(), end: end.clone() });
    ctx.tables.reloads.owe_end(device, end);
    record
}

/// Proposes a log-in where the settings of today allow it.
pub(crate) fn propose(work: &Work<'_>, log_in: &LogIn) -> Result<Proposed, Refusal> {
    let Context { settings, tables, .. } = &*work.ctx;
    let (tenant, device, extension) = may_log_in(settings, log_in)?;
    let extension = extension.ok_or(Refusal::UnknownExtension)?;
    let home = settings.tenant(log_in.extension.tenant()).ok_or(Refusal::UnknownExtension)?;
    let is_ordered = log_in.surface == Surface::Api;
    if !is_ordered {
        may_sit(tenant, device, home, extension)?;
    }
    // How often somebody may sit is a matter of where he is at home, who gives way at a device one of where that stands.
    let (on_limit, on_occupied) = (home.seats.on_limit, tenant.seats.on_occupied);
    let request = hotdesk::LogIn {
        customer: &tenant.customer,
        device: &log_in.device,
        extension: &log_in.extension,
        devices_max: extension.devices_max,
        on_limit: if is_ordered && log_in.force { OnLimit::Displace } else { on_limit },
        on_occupied: match on_occupied {
            OnOccupied::Ask if log_in.force => OnOccupied::TakeOver,
            OnOccupied::Refuse if is_ordered && log_in.force => OnOccupied::TakeOver,
            policy => policy,
        },
        surface: log_in.surface,
        origin: &log_in.origin,
        until: log_in.until,
    };
    let may_change = |seat: &Place, of: Option<&Place>| {
        emergency_free(tables, settings, seat, work.now.mono)?;
        let protected = !is_ordered && of.is_some_and(|of| is_protected(settings, seat, of));
        if protected { Err(Refusal::Protected) } else { Ok(()) }
    };
    tables.seats.propose_log_in(request, may_change, work.now)
}

/// Visible, then answered, then told. Where another worker has settled a change that took too long, it has told
/// everybody, and what stands now is the answer.
fn commit(work: &mut Work<'_>, proposal: hotdesk::Proposal, asker: Asker, effects: &mut Vec<Effect>) {
    let proposed = Arc::clone(proposal.change());
    if let Ok(change) = work.ctx.tables.seats.commit(proposal) {
        effects.push(Effect::Granted { asker, change: Arc::clone(&change) });
        effects.push(Effect::SeatsChanged(change));
        return;
    }
    let begun = proposed.begun.as_ref().expect("only log-ins are proposed here");
    let seat = work.ctx.tables.seats.seat_at(&proposed.customer, &begun.device);
    if seat.is_some_and(|seat| seat.epoch == proposed.epoch) {
        effects.push(Effect::Granted { asker, change: proposed });
    } else {
        effects.push(not_kept(asker, &proposed));
    }
}

/// A change that was proposed came to nothing because the store does not keep it.
fn not_kept(asker: Asker, change: &SeatChange) -> Effect {
    let begun = change.begun.as_ref().expect("only log-ins are proposed here");
    Effect::Refused {
        asker,
        device: begun.device.clone(),
        extension: Some(begun.extension.clone()),
        refusal: Refusal::StoreUnavailable,
        surface: change.surface,
        origin: change.origin.clone(),
    }
}

/// While an emergency call is up at a device, and for the hold after it, no seat there begins or ends.
fn emergency_free(tables: &Tables, settings: &Settings, device: &Place, now: Mono) -> Result<(), Refusal> {
    let Some(tenant) = settings.tenant(device.tenant()) else { return Ok(()) };
    let held = tables.calls.emergency_hold(device, now, tenant.emergency.hold, settings.timers.call_max);
    if held { Err(Refusal::EmergencyHold) } else { Ok(()) }
}

/// True if no call is up at a device, and no emergency call was a short while ago: an end that nobody there asked
/// for, and its reload, may happen now.
pub(crate) fn is_idle(work: &Work<'_>, device: &Place) -> bool {
    let Context { tables, settings, .. } = &*work.ctx;
    tables.calls.is_idle(device, work.now.mono, settings.timers.call_max)
        && emergency_free(tables, settings, device, work.now.mono).is_ok()
}

/// True if the device still has a binding of the extension.
pub(crate) fn has_binding(work: &Work<'_>, extension: &Place, holder: Holder) -> bool {
    let mut has = false;
    let user = extension.name().as_bytes();
    work.ctx.tables.location.read(extension.tenant(), user, work.now.mono, |binding| {
        has |= binding.holder == Some(holder);
    });
    has
}

/// Whose seats those of a device are among.
pub(crate) fn customer_of(settings: &Settings, device: &Place) -> Box<str> {
    settings.tenant(device.tenant()).map_or(device.tenant(), |tenant| &tenant.customer).into()
}

/// What a change of seats looks like to the operator.
pub(crate) fn report(work: &mut Work<'_>, change: &Arc<SeatChange>) {
    work.ctx.counters.log_ins += u64::from(change.begun.is_some());
    match change.cause {
        Cause::LogIn => work.ctx.counters.displacements += change.ended.len() as u64,
        _ => work.ctx.counters.log_outs += change.ended.len() as u64,
    }
    work.out.push(Output::Report(Report::SeatsChanged(Arc::clone(change))));
}
