//! What follows from a change of seats, or from a refusal: whoever asked is answered, everybody else is told.

use std::sync::Arc;

use super::{Leaving, Rooms};
use crate::context::{Context, Work};
use crate::effect::{Asker, Effect, LogIn};
use crate::hotdesk::{Cause, DeferredEnd, Origin, Place, Seat, SeatChange, Surface};
use crate::input::{Notice, ReplyId};
use crate::location::{Binding, Holder, device_hash};
use crate::notifier::Eviction;
use crate::output::{Done, Output};
use crate::pending::Waiting;
use crate::proxy;
use crate::query::{Query, Record, SaveVerdict};
use crate::refusal::Refusal;
use crate::seating::{self, Ending, customer_of};
use crate::settings::{Extension, Settings, Tenant};

impl Rooms {
    pub(super) fn granted(&mut self, work: &mut Work<'_>, asker: Asker, change: &Arc<SeatChange>) {
        match asker {
            Asker::Attendant(call) => self.attendant.grant(work, call, change, &mut self.effects),
            Asker::Register { flow, request, bound } => {
                let holder = bound.map(|eviction| eviction.holder);
                self.on_native_granted(work, &flow, &request, holder, change);
            }
            Asker::Hoteling { device, cseq } => self.subscriptions.granted(work, &device, cseq),
            Asker::Api(reply) => {
                let done = match (&change.begun, change.ended.first()) {
                    (Some(seat), _) => Done::LoggedIn(seat.clone()),
                    (None, Some(seat)) => Done::LoggedOut(seat.clone()),
                    (None, None) => unreachable!("a change begins or ends a seat"),
                };
                work.out.push(Output::Reply(reply, Ok(done)));
            }
            Asker::Nobody => {}
        }
    }

    pub(super) fn refused(&mut self, work: &mut Work<'_>, asker: Asker, refusal: Refusal) {
        work.ctx.counters.log_ins_refused += 1;
        match asker {
            Asker::Attendant(call) => self.attendant.refuse(work, call, refusal, &mut self.effects),
            Asker::Register { flow, request, bound } => {
                self.evict(work, bound);
                self.on_native_refused(work, &flow, &request, refusal);
            }
            Asker::Hoteling { device, cseq } => self.subscriptions.refused(work, &device, cseq),
            Asker::Api(reply) => work.out.push(Output::Reply(reply, Err(refusal))),
            Asker::Nobody => {}
        }
    }

    /// Seats have changed and everybody can see it: what rings follows, what must not come back is marked, and
    /// the phones are told.
    pub(super) fn seats_changed(&mut self, work: &mut Work<'_>, change: &Arc<SeatChange>) {
        seating::report(work, change);
        self.plan_ends(work, &change.ended, change.begun.as_ref());
        let mut effects = std::mem::take(&mut self.effects);
        self.proxy.on_seats_changed(work, change, &mut effects);
        self.effects = effects;
        work.out.push(Output::Tell(Notice::SeatsChanged(Arc::clone(change))));
        self.subscriptions.seats_changed(work, change);

        // Where it was dialled the phone is told when its call is over; the attendant sees to that.
        let here = change.begun.as_ref().or(change.ended.first()).map(|seat| &seat.device);
        let is_called = matches!(change.surface, Surface::Dialled | Surface::Attendant);
        let dialled_at = here.filter(|device| is_called && self.attendant.tells(device));
        // Marks of before go with the log-in; whoever it puts out at the same device leaves one of its own.
        if let Some(seat) = &change.begun {
            work.ctx.tables.marks.logged_in(&seat.device);
            seating::remember(work.ctx, seat);
        }
        for seat in &change.ended {
            let Some(tenant) = work.ctx.settings.tenant(seat.device.tenant()).cloned() else { continue };
            if change.begun.is_none() {
                seating::keep_desk(work, change.cause, seat);
            }
            if !change.is_by_phone_itself() {
                let silence = tenant.seats.native_silence;
                work.ctx.tables.marks.mark(&seat.device, &seat.extension, work.now.mono, silence);
                self.put_out(work, &tenant, seat, dialled_at == Some(&seat.device));
            }
        }
        if let Some(seat) = &change.begun {
            // A phone that was dialled from hears it after its call; a phone that registered needs no word.
            if matches!(change.surface, Surface::Api | Surface::Hoteling) {
                self.effects.push(Effect::Reload(seat.device.clone()));
            }
        }
    }

    /// Whoever has proved to be the extension leaves: the seat at the phone he calls from if he sits there, else all of
    /// his seats. The end of the first of them is what he hears.
    pub(super) fn log_out_everywhere(&mut self, work: &mut Work<'_>, log_in: LogIn) {
        let LogIn { asker, device, extension, surface, origin, .. } = log_in;
        if let Asker::Attendant(call) = &asker
            && !self.attendant.is_waiting(*call)
        {
            return; // The caller hung up before anything was decided.
        }
        let customer = customer_of(&work.ctx.settings, &extension);
        let seats = work.ctx.tables.seats.seats_of(&customer, &extension);
        let here = seats.iter().filter(|seat| seat.device == device);
        let leaving: Vec<_> =
            if here.clone().next().is_some() { here.collect() } else { seats.iter().collect() };
        if leaving.is_empty() {
            let (extension, refusal) = (Some(extension), Refusal::NotLoggedIn);
            return self.effects.push(Effect::Refused { asker, device, extension, refusal, surface, origin });
        }
        if let Asker::Attendant(call) = &asker {
            self.attendant.settle(*call);
        }
        let askers = std::iter::once(asker).chain(std::iter::repeat(Asker::Nobody));
        for (seat, asker) in leaving.into_iter().zip(askers) {
            let ending = Ending {
                customer: customer.clone(),
                device: seat.device.clone(),
                only_epoch: Some(seat.epoch),
                cause: Cause::LogOut,
                surface,
                origin: origin.clone(),
            };
            self.seating.end(work, &mut self.pending, asker, ending, &mut self.effects);
        }
    }

    /// A device lost its seat. What it registered for the extension is told to reload, then goes; its own
    /// account stays and is told when it is idle.
    fn put_out(&mut self, work: &mut Work<'_>, tenant: &Arc<Tenant>, seat: &Seat, told_later: bool) {
        let holder =
            Holder { device: device_hash(seat.device.tenant(), seat.device.name()), epoch: seat.epoch };
        let extension = seat.extension.name().as_bytes();
        let held: Vec<_> = work
            .ctx
            .tables
            .location
            .contacts(seat.extension.tenant(), extension, work.now.mono)
            .into_iter()
            .filter(|contact| contact.holder == Some(holder))
            .collect();
        let reload = tenant.device(seat.device.name()).map_or_else(Default::default, |device| device.reload);
        let idle = seating::is_idle(work, &seat.device);
        let eviction =
            || Some(Eviction { device: seat.device.clone(), extension: seat.extension.clone(), holder });
        let told = match idle && !told_later {
            true => proxy::of_contacts(&held, &seat.extension, Some(&seat.device)),
            false => Vec::new(),
        };
        let is_told = !told.is_empty();
        for target in told {
            let eviction = self.notifier.tell(work, reload, target, eviction());
            self.evict(work, eviction);
        }
        // In a call the bindings stay, for the requests within it; look-ups ignore them, and they expire.
        if idle && !is_told && !held.is_empty() {
            self.evict(work, eviction());
        }
        if !is_told && !told_later {
            self.effects.push(Effect::Reload(seat.device.clone()));
        }
    }

    /// Takes away what a loser had registered for the extension. Look-ups have ignored it since the change.
    pub(super) fn evict(&mut self, work: &mut Work<'_>, eviction: Option<Eviction>) {
        let Some(Eviction { device, extension, holder }) = eviction else { return };
        let (tenant, user) = (extension.tenant(), extension.name().as_bytes());
        let Context { tables, upkeep, counters, settings, .. } = &mut *work.ctx;
        let keep = |binding: &Binding<'_>| binding.holder != Some(holder);
        let removed = tables.location.retain(tenant, user, work.now.mono, upkeep, keep);
        if removed.is_empty() {
            return;
        }
        counters.bindings_removed += removed.len() as u64;
        if settings.durable {
            work.out.push(Output::WriteBehind(tables.location.snapshot(tenant, user, work.now)));
        }
        // CAP-6: a connection that leads to nobody any more is not left to be picked for the next call. It is in use
        // while another account is registered over it, or its phone is in a call.
        for connection in removed.iter().filter_map(|contact| contact.flow?.connection.zip(contact.flow)) {
            let (connection, flow) = connection;
            if !work.ctx.tables.location.is_used(&flow, work.now.mono) && seating::is_idle(work, &device) {
                work.out.push(Output::Close(connection));
            }
        }
    }

    /// A device may have become idle: what waited for that happens now.
    pub(super) fn idle(&mut self, work: &mut Work<'_>, device: &Place) {
        let tables = Arc::clone(&work.ctx.tables);
        let due = tables.reloads.take_if_idle(device, || seating::is_idle(work, device));
        if let Some(end) = due.end {
            self.end_owed(work, device.clone(), end);
        }
        if due.reload {
            let Some(tenant) = work.ctx.settings.tenant(device.tenant()).cloned() else { return };
            let reload = tenant.device(device.name()).map_or_else(Default::default, |device| device.reload);
            for target in proxy::of_device(work.ctx, device, work.now) {
                self.notifier.tell(work, reload, target, None);
            }
        }
    }

    /// An administrator ends a seat: at once, or when the calls at the device have ended.
    pub(super) fn force_out(
        &mut self,
        work: &mut Work<'_>,
        reply: ReplyId,
        by: &str,
        device: Place,
        now: bool,
    ) {
        let settings = Arc::clone(&work.ctx.settings);
        let refuse = |refusal| Output::Reply(reply, Err(refusal));
        let Some(tenant) = settings.tenant(device.tenant()) else {
            return work.out.push(refuse(Refusal::UnknownTenant));
        };
        if tenant.device(device.name()).is_none() {
            return work.out.push(refuse(Refusal::UnknownDevice));
        }
        let Some(seat) = work.ctx.tables.seats.seat_at(&tenant.customer, &device) else {
            return self.effects.push(Effect::Refused {
                asker: Asker::Api(reply),
                device,
                extension: None,
                refusal: Refusal::NobodySits,
                surface: Surface::Api,
                origin: Origin::of_operator(by),
            });
        };
        if now || seating::is_idle(work, &device) {
            let ending = Ending {
                customer: tenant.customer.clone(),
                device,
                only_epoch: Some(seat.epoch),
                cause: Cause::Forced,
                surface: Surface::Api,
                origin: Origin::of_operator(by),
            };
            return self.seating.end(work, &mut self.pending, Asker::Api(reply), ending, &mut self.effects);
        }
        let end = DeferredEnd {
            customer: tenant.customer.clone(),
            epoch: seat.epoch,
            cause: Cause::Forced,
            surface: Surface::Api,
            origin: Origin::of_operator(by),
        };
        let done = Done::Deferred(Seat::clone(&seat));
        match seating::owe_end(work.ctx, &device, end) {
            Some(record) => self.save_owed_end(work, record, done, reply),
            None => work.out.push(Output::Reply(reply, Ok(done))),
        }
        // The last call may have ended while this was decided.
        self.effects.push(Effect::Idle(device));
    }

    fn save_owed_end(&mut self, work: &mut Work<'_>, record: Record, done: Done, reply: ReplyId) {
        let waiting = Waiting::OwedEnd { record: record.clone(), done: done.clone(), reply };
        match self.pending.insert(waiting) {
            Some(query) => work.out.push(Output::Ask(query, Query::Save(record))),
            None => self.on_owed_end_saved(work, SaveVerdict::Failed, record, done, reply),
        }
    }

    /// The operator is told what is done; the store has it, or will have it as soon as it can.
    pub(super) fn on_owed_end_saved(
        &mut self,
        work: &mut Work<'_>,
        verdict: SaveVerdict,
        record: Record,
        done: Done,
        reply: ReplyId,
    ) {
        if verdict == SaveVerdict::Failed {
            self.not_durable(work);
            work.out.push(Output::WriteBehind(record));
        }
        work.out.push(Output::Reply(reply, Ok(done)));
    }

    /// An administrator ends every seat at the devices of a site, or of a tenant.
    pub(super) fn force_all_out(
        &mut self,
        work: &mut Work<'_>,
        reply: ReplyId,
        by: &str,
        tenant: &str,
        site: Option<&str>,
        now: bool,
    ) {
        let Some(tenant) = work.ctx.settings.tenant(tenant) else {
            return work.out.push(Output::Reply(reply, Err(Refusal::UnknownTenant)));
        };
        let stands_there = |seat: &Seat| {
            let of_site = |site: &str| {
                let stands = tenant.device(seat.device.name()).and_then(|device| tenant.site_of(device));
                stands.is_some_and(|stands| *stands.id == *site)
            };
            seat.device.tenant() == &*tenant.id && site.is_none_or(of_site)
        };
        let seats = work.ctx.tables.seats.in_shard_of(&tenant.customer);
        let seats = seats.into_iter().filter(|seat| stands_there(seat));
        if self.force_each_out(seats, &tenant.customer, reply, by, now) == 0 {
            work.out.push(Output::Reply(reply, Ok(Done::Ending(0))));
        }
    }

    /// An administrator ends every seat of an extension, also those at devices of other tenants.
    pub(super) fn force_extension_out(
        &mut self,
        work: &mut Work<'_>,
        reply: ReplyId,
        by: &str,
        extension: &Place,
        now: bool,
    ) {
        let refusal = match work.ctx.settings.tenant(extension.tenant()) {
            None => Refusal::UnknownTenant,
            Some(home) if home.extension(extension.name()).is_none() => Refusal::UnknownExtension,
            Some(home) => {
                let seats = work.ctx.tables.seats.seats_of(&home.customer, extension);
                if self.force_each_out(seats.into_iter(), &home.customer, reply, by, now) > 0 {
                    return;
                }
                Refusal::NotLoggedIn
            }
        };
        work.out.push(Output::Reply(reply, Err(refusal)));
    }

    /// Has seats end one after the other; says how many. If there are any, the reply follows when all have been seen to.
    fn force_each_out(
        &mut self,
        seats: impl Iterator<Item = Arc<Seat>>,
        customer: &str,
        reply: ReplyId,
        by: &str,
        now: bool,
    ) -> usize {
        let before = self.leaving.len();
        self.leaving.extend(seats.map(|seat| Leaving {
            device: seat.device.clone(),
            end: DeferredEnd {
                customer: customer.into(),
                epoch: seat.epoch,
                cause: Cause::Forced,
                surface: Surface::Api,
                origin: Origin::of_operator(by),
            },
            now,
            last_of: None,
        }));
        let ending = self.leaving.len() - before;
        if let Some(last) = self.leaving.back_mut().filter(|_| ending > 0) {
            last.last_of = Some((reply, ending));
        }
        ending
    }

    fn end_owed(&mut self, work: &mut Work<'_>, device: Place, end: DeferredEnd) {
        let DeferredEnd { customer, epoch, cause, surface, origin } = end;
        // A phone that un-registered when its seat could not end, and has registered since, has not left.
        if surface == Surface::Native
            && let Some(seat) = work.ctx.tables.seats.seat_at(&customer, &device)
            && seat.epoch == epoch
        {
            let holder = Holder { device: device_hash(device.tenant(), device.name()), epoch };
            if seating::has_binding(work, &seat.extension, holder) {
                return;
            }
        }
        let ending = Ending { customer, device, only_epoch: Some(epoch), cause, surface, origin };
        self.seating.end(work, &mut self.pending, Asker::Nobody, ending, &mut self.effects);
    }

    fn defer_end(&mut self, work: &mut Work<'_>, device: &Place, end: DeferredEnd) {
        if let Some(record) = seating::owe_end(work.ctx, device, end) {
            work.out.push(Output::WriteBehind(record));
        }
        // The last call may have ended while this was decided.
        self.effects.push(Effect::Idle(device.clone()));
    }

    /// Settings that are new to the seats: whoever sits at a device, or as an extension, that is gone or switched
    /// off, or at a tenant that has changed its customer, or has been given another PIN, leaves. `before` are the settings
    /// the seats are of.
    pub(crate) fn on_configured(&mut self, ctx: &Context, before: &Settings) {
        seating::forget_some(ctx);
        seating::forget_desks(ctx);
        for seat in ctx.tables.seats.snapshot() {
            seating::remember(ctx, &seat);
            let tenant = ctx.settings.tenant(seat.device.tenant());
            let device = tenant.and_then(|tenant| tenant.device(seat.device.name()));
            let home = ctx.settings.tenant(seat.extension.tenant());
            let extension = home.and_then(|tenant| tenant.extension(seat.extension.name()));
            let customer = customer_of(before, &seat.device);
            let stays = device.is_some_and(|device| device.enabled)
                && extension.is_some_and(|extension| extension.enabled)
                && [&seat.device, &seat.extension]
                    .iter()
                    .all(|it| customer == customer_of(&ctx.settings, it));
            let cause = match extension.filter(|_| stays) {
                None => Cause::Removed,
                Some(extension) if has_another_pin(before, extension, &seat.extension) => Cause::PinChanged,
                Some(_) => continue,
            };
            let (surface, origin) = (Surface::Configuration, Origin::default());
            let end = DeferredEnd { customer, epoch: seat.epoch, cause, surface, origin };
            self.leaving.push_back(Leaving { device: seat.device.clone(), end, now: false, last_of: None });
        }
    }

    /// Ends at most `limit` seats of those that leave; those in a call when the call is over, unless at once.
    pub(crate) fn see_off(&mut self, work: &mut Work<'_>, limit: usize) {
        self.see_to_ends(work, limit);
        let mut seen_off = Vec::new();
        for _ in 0..limit {
            let Some(Leaving { device, end, now, last_of }) = self.leaving.pop_front() else { break };
            if let Some((reply, ending)) = last_of {
                let record = Record::OwedEnd { device: device.clone(), end: end.clone() };
                seen_off.push((record, Done::Ending(ending), reply));
            }
            if now {
                self.end_owed(work, device, end);
            } else {
                self.defer_end(work, &device, end);
            }
        }
        self.carry_out(work);
        for (record, done, reply) in seen_off {
            // The store keeps to the order: once it has this, which is void if the seat is gone, it has all before it.
            match work.ctx.settings.durable {
                true => self.save_owed_end(work, record, done, reply),
                false => work.out.push(Output::Reply(reply, Ok(done))),
            }
        }
    }
}

/// True if the operator took away the PIN that `place`, now `extension`, had `before`. Another hash of the same PIN is another PIN:
/// nobody can tell.
fn has_another_pin(before: &Settings, extension: &Extension, place: &Place) -> bool {
    let before = before.tenant(place.tenant()).and_then(|tenant| tenant.extension(place.name()));
    let before = before.and_then(|before| before.pin.as_ref());
    before.is_some_and(|before| extension.pin.as_ref().is_none_or(|pin| pin.phc != before.phc))
}
