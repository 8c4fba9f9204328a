//! The `x-broadworks-hoteling` package: a phone's own guest key (LOG-12).
//!
//! ```text
//!  SUBSCRIBE                ─► 200, NOTIFY with who sits here; again with every change, whoever made it
//!  SUBSCRIBE, guest         ─► 200, NOTIFY with a nonce
//!  SUBSCRIBE, guest, proof  ─► 200 ······· PIN ······· NOTIFY with the guest; with nobody, if it was refused
//!  SUBSCRIBE, empty guest   ─► 200, the person leaves, NOTIFY with nobody
//!  SUBSCRIBE, Expires: 0    ─► 200, last NOTIFY; whoever sits here stays
//! ```
//!
//! Enters: SUBSCRIBEs of device accounts that are proved; changes of seats; what became of a wish. Leaves: the same wishes
//! to `seating` as of any other surface, and NOTIFYs. A NOTIFY says who sits there when it is written, so whatever crosses
//! it, the last one is right. RFC 6665 §4.2.1.2 wants one at once after each SUBSCRIBE; with a wish it is the outcome, two
//! seconds later at most but for a store that hangs, since an earlier one would read as a refusal.

use std::sync::Arc;
use std::time::Duration;

use super::body::{CONTENT_TYPE, HotelingEvent, SetHoteling};
use super::dialog::{Dialog, Tag};
use super::notify::{EventNotifier, State, way};
use super::request::{NO_SUBSCRIPTION, NOT_REGISTERED, Subscribe, accept, acceptable, granted, refuse_body};
use super::table::Subscription;
use crate::context::{Answer, Context, Work};
use crate::effect::{Effect, LogIn};
use crate::flow::Flow;
use crate::hotdesk::{Origin, Place, Seat, SeatChange, Surface};
use crate::now::Mono;
use crate::query::Proof;
use crate::refusal::Refusal;
use crate::seating;
use crate::settings::{HotelingPolicy, Settings};
use crate::transaction::ServerId;

/// The event package.
pub(crate) const PACKAGE: &str = "x-broadworks-hoteling";

/// How long a challenge may be answered: a person types his PIN meanwhile.
const NONCE_LIFE: Duration = Duration::from_secs(120);
/// What phones are told of a seat that does not end by itself, in seconds: what other such servers grant, and renewed with
/// every refresh.
const SITS_ON: u64 = 12 * 3600;
/// Subscriptions that end in one go.
const ENDS_MAX: usize = 256;

impl EventNotifier {
    /// Takes a SUBSCRIBE in its server transaction.
    pub(crate) fn on_subscribe(
        &mut self,
        work: &mut Work<'_>,
        server: ServerId,
        subscribe: &Subscribe<'_>,
        policy: HotelingPolicy,
        effects: &mut Vec<Effect>,
    ) {
        let Subscribe { request, device, .. } = *subscribe;
        let granted =
            acceptable(request, CONTENT_TYPE).and_then(|()| granted(request.expires(), policy.expires_max));
        let expires = match granted {
            Ok(expires) => expires,
            Err(answer) => return work.respond(server, request, answer),
        };
        // Its end must always be possible: what else it wants is not looked at then.
        let wish = match (request.body(), expires) {
            ([], _) | (_, 0) => None,
            (body, _) => match SetHoteling::read(body) {
                Ok(wish) => Some(wish),
                Err(malformed) => {
                    effects.push(refused(work, subscribe, "", Refusal::Malformed));
                    return refuse_body(work, server, request, malformed);
                }
            },
        };
        if !is_served(&work.ctx.settings, device) {
            let refusal = Refusal::DeviceDisabled;
            effects.extend(wish.map(|wish| refused(work, subscribe, &wish.guest, refusal)));
            return work.respond(server, request, Answer::new(403, refusal.phrase()));
        }
        let (tag, ended) = match keep(work, subscribe, expires) {
            Ok(kept) => kept,
            Err(answer) => return work.respond(server, request, answer),
        };
        accept(work, server, subscribe, expires, &tag);
        match (ended, wish) {
            (Some(ended), _) => self.say_last(work, device, ended, State::TimedOut),
            (None, Some(wish)) => self.carry_out(work, subscribe, policy, wish, effects),
            (None, None) => self.tell(work, device),
        }
    }

    /// The phone wants somebody in, or out.
    fn carry_out(
        &mut self,
        work: &mut Work<'_>,
        subscribe: &Subscribe<'_>,
        policy: HotelingPolicy,
        wish: SetHoteling,
        effects: &mut Vec<Effect>,
    ) {
        let Subscribe { flow, headers, tenant, device, .. } = *subscribe;
        let SetHoteling { guest, proof } = wish;
        work.ctx.tables.timeouts.used(device, work.now.mono);
        let seat = work.ctx.tables.seats.seat_at(&tenant.customer, device);
        let leaves = guest.is_empty();
        let leaves_unproved = leaves && (seat.is_none() || !tenant.seats.logout_pin);
        let who = match &seat {
            Some(seat) if leaves => seat.extension.clone(),
            _ => seating::extension_typed(&work.ctx.settings, tenant, guest.as_bytes()),
        };
        // What a visitor must prove is up to where he is at home, too.
        let home = work.ctx.settings.tenant(who.tenant()).and_then(|home| home.seats.hoteling);
        let challenges = policy.challenge || home.is_none_or(|home| home.challenge);
        let is_proof_wanted = challenges && !leaves_unproved;
        if is_proof_wanted && proof.is_none() {
            return self.challenge(work, device);
        }
        let cseq = headers.cseq.number;
        let nonce = work.ctx.tables.subscriptions.update(device, |subscription| {
            subscription.asked = Some(cseq);
            subscription.nonce.take()
        });
        let (asker, surface) = (subscribe.asker(), Surface::Hoteling);
        let origin = Origin::of_request(flow.remote, headers.call_id);
        if leaves_unproved {
            return effects.push(Effect::LogOut { asker, device: device.clone(), surface, origin });
        }
        let wish = LogIn { leaves, ..LogIn::new(asker, device.clone(), who, surface, origin) };
        let Some(proof) = proof.filter(|_| is_proof_wanted) else {
            return effects.push(Effect::LogIn(wish));
        };
        let is_fresh =
            |(given, until): &([u8; 32], Mono)| *given == *proof.nonce.as_bytes() && work.now.mono < *until;
        if !nonce.flatten().as_ref().is_some_and(is_fresh) {
            return effects.push(refused(work, subscribe, &guest, Refusal::StaleProof));
        }
        let nonce = proof.nonce.as_bytes().into();
        effects.push(Effect::CheckPin(wish, Proof::HotelingMd5 { nonce, response: proof.response }));
    }

    /// Has the phone prove a PIN. One nonce may be answered, once.
    fn challenge(&mut self, work: &mut Work<'_>, device: &Place) {
        let nonce = work.ctx.random.token();
        let until = work.now.mono + NONCE_LIFE;
        let facts = work.ctx.tables.subscriptions.update(device, |subscription| {
            subscription.nonce = Some((nonce, until));
            subscription.next()
        });
        let text = str::from_utf8(&nonce).expect("a token is ASCII");
        self.say(work, device, facts, HotelingEvent::Challenge(text));
    }

    /// Says who sits there.
    fn tell(&mut self, work: &mut Work<'_>, device: &Place) {
        let seat = seat_at(work.ctx, device);
        let facts = work.ctx.tables.subscriptions.update(device, |subscription| {
            subscription.told = epoch_of(seat.as_deref());
            subscription.next()
        });
        self.say_who(work, device, facts, seat.as_deref());
    }

    /// Seats have changed: phones that subscribed are told who sits there now. Only by the worker that changed them.
    pub(crate) fn seats_changed(&mut self, work: &mut Work<'_>, change: &SeatChange) {
        if work.ctx.tables.subscriptions.is_empty() {
            return;
        }
        let here = change.begun.as_ref().or(change.ended.first()).map(|seat| &seat.device);
        for seat in change.seats() {
            // What a guest key wanted is its own answer.
            let is_answer = change.surface == Surface::Hoteling && here == Some(&seat.device);
            self.tell_what_is_new(work, &seat.device, is_answer);
        }
    }

    fn tell_what_is_new(&mut self, work: &mut Work<'_>, device: &Place, is_answer: bool) {
        // Another worker may have changed it meanwhile, and told first. Each turn takes such a change, and the last NOTIFY
        // is right.
        loop {
            let seat = seat_at(work.ctx, device);
            let epoch = epoch_of(seat.as_deref());
            let facts = work.ctx.tables.subscriptions.update(device, |subscription| {
                if is_answer {
                    subscription.asked = None;
                }
                let is_news = std::mem::replace(&mut subscription.told, epoch) != epoch;
                is_news.then(|| subscription.next())
            });
            let Some(Some(facts)) = facts else { return };
            self.say_who(work, device, Some(facts), seat.as_deref());
        }
    }

    /// A wish was granted: its change of seats tells the phone, unless nothing changed.
    pub(crate) fn granted(&mut self, work: &mut Work<'_>, device: &Place, cseq: u32) {
        let epoch = epoch_of(seat_at(work.ctx, device).as_deref());
        let is_known = work.ctx.tables.subscriptions.update(device, |subscription| {
            subscription.asked.take_if(|asked| *asked == cseq).is_some() && subscription.told == epoch
        });
        if is_known == Some(true) {
            self.tell(work, device);
        }
    }

    /// A wish was refused: the phone is told who sits there all the same, mostly nobody.
    pub(crate) fn refused(&mut self, work: &mut Work<'_>, device: &Place, cseq: u32) {
        let is_awaited = work
            .ctx
            .tables
            .subscriptions
            .update(device, |subscription| subscription.asked.take_if(|asked| *asked == cseq).is_some());
        if is_awaited == Some(true) {
            self.tell(work, device);
        }
    }

    /// Ends what nobody has renewed, or whose device is no more.
    pub(crate) fn end_due(&mut self, work: &mut Work<'_>) {
        if work.ctx.tables.subscriptions.is_empty() {
            return;
        }
        for (device, ended) in work.ctx.tables.subscriptions.take_due(work.now.mono, ENDS_MAX) {
            let state = match is_served(&work.ctx.settings, &device) {
                true => State::TimedOut,
                false => State::NoResource,
            };
            self.say_last(work, &device, ended, state);
        }
    }

    /// Settings are new: subscriptions of devices that they do not know, or do not let log in, end.
    pub(crate) fn on_configured(ctx: &Context, now: Mono) {
        ctx.tables.subscriptions.expire_unless(now, |device| is_served(&ctx.settings, device));
    }

    /// The last NOTIFY of a subscription.
    fn say_last(&mut self, work: &mut Work<'_>, device: &Place, mut ended: Subscription, state: State) {
        let seat = seat_at(work.ctx, device);
        let body = who(work, seat.as_deref()).to_string();
        let (dialog, flow, cseq, _) = ended.next();
        self.notify(work, device, (dialog, flow), cseq, state, (CONTENT_TYPE, body));
    }

    fn say_who(&mut self, work: &mut Work<'_>, device: &Place, facts: Option<Facts>, seat: Option<&Seat>) {
        let event = who(work, seat);
        self.say(work, device, facts, event);
    }

    fn say(&mut self, work: &mut Work<'_>, device: &Place, facts: Option<Facts>, event: HotelingEvent<'_>) {
        let Some((dialog, flow, cseq, expires_at)) = facts else { return };
        let state = State::Active(expires_at.since(work.now.mono));
        let body = event.to_string();
        let tag = dialog.tag;
        if self.notify(work, device, (dialog, flow), cseq, state, (CONTENT_TYPE, body)).is_none() {
            work.ctx.tables.subscriptions.end(device, &tag);
        }
    }
}

/// Begins the subscription, or renews it; the tag of its dialog. Of one that the phone ends, or has only fetched the state
/// by (RFC 6665 §4.4.3), what its last NOTIFY takes: it is not kept, and a fetch leaves the device's subscription alone.
fn keep(
    work: &mut Work<'_>,
    subscribe: &Subscribe<'_>,
    expires: u32,
) -> Result<(Tag, Option<Subscription>), Answer<'static>> {
    let Subscribe { flow, request, headers, device, .. } = *subscribe;
    let is_new = headers.to.tag().is_none();
    if way(work.ctx, device, *flow, work.now).is_none() {
        return Err(match is_new {
            true => NOT_REGISTERED,
            false => NO_SUBSCRIPTION,
        });
    }
    let expires_at = work.now.mono + Duration::from_secs(expires.into());
    let subscriptions = &work.ctx.tables.subscriptions;
    if is_new {
        let tag = work.ctx.random.token();
        let dialog = Arc::new(Dialog::of(request, headers, tag)?);
        let subscription = Subscription {
            dialog,
            flow: *flow,
            expires_at,
            heard: headers.cseq.number,
            said: 0,
            nonce: None,
            asked: None,
            told: 0,
        };
        if expires == 0 {
            return Ok((tag, Some(subscription)));
        }
        subscriptions.put(device, subscription);
        return Ok((tag, None));
    }
    let renewed = subscriptions.update(device, |subscription| {
        if !subscription.dialog.is_of(headers) || subscription.expires_at <= work.now.mono {
            return Err(NO_SUBSCRIPTION);
        }
        if headers.cseq.number <= subscription.heard {
            // RFC 3261 §12.2.2.
            return Err(Answer::new(500, "Out of Order"));
        }
        subscription.heard = headers.cseq.number;
        subscription.flow = *flow;
        subscription.expires_at = expires_at;
        subscription.dialog = Arc::new(subscription.dialog.renewed(request, headers)?);
        Ok(subscription.dialog.tag)
    });
    let tag = renewed.unwrap_or(Err(NO_SUBSCRIPTION))?;
    let ended = if expires == 0 { subscriptions.end(device, &tag) } else { None };
    Ok((tag, ended))
}

/// What the next NOTIFY of a subscription is made of: its dialog, flow and CSeq, and until when it runs.
type Facts = (Arc<Dialog>, Flow, u32, Mono);

impl Subscription {
    fn next(&mut self) -> Facts {
        self.said += 1;
        (Arc::clone(&self.dialog), self.flow, self.said, self.expires_at)
    }
}

fn refused(work: &Work<'_>, subscribe: &Subscribe<'_>, guest: &str, refusal: Refusal) -> Effect {
    let Subscribe { flow, headers, tenant, device, .. } = *subscribe;
    let typed = || seating::extension_typed(&work.ctx.settings, tenant, guest.as_bytes());
    let extension = (!guest.is_empty()).then(typed);
    let origin = Origin::of_request(flow.remote, headers.call_id);
    let (asker, surface) = (subscribe.asker(), Surface::Hoteling);
    Effect::Refused { asker, device: device.clone(), extension, refusal, surface, origin }
}

fn seat_at(ctx: &Context, device: &Place) -> Option<Arc<Seat>> {
    let tenant = ctx.settings.tenant(device.tenant())?;
    ctx.tables.seats.seat_at(&tenant.customer, device)
}

fn epoch_of(seat: Option<&Seat>) -> u64 {
    seat.map_or(0, |seat| seat.epoch)
}

fn who<'s>(work: &Work<'_>, seat: Option<&'s Seat>) -> HotelingEvent<'s> {
    let Some(seat) = seat else { return HotelingEvent::Nobody };
    let end = work.ctx.tables.next_end(seat, &work.ctx.settings, work.now);
    let left = end.map_or(SITS_ON, |end| end.at.saturating_sub(work.now.wall) / 1000);
    HotelingEvent::Guest(seat.extension.name(), left)
}

/// True if the settings let this device have a guest key.
fn is_served(settings: &Settings, device: &Place) -> bool {
    let tenant = settings.tenant(device.tenant()).filter(|tenant| tenant.seats.hoteling.is_some());
    tenant.and_then(|tenant| tenant.device(device.name())).is_some_and(|device| device.enabled)
}
