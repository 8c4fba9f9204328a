//! Calls to codes: the edge is the user agent server and hangs up itself.
//!
//! What was dialled whole needs no sound and is decided before it is answered:
//!
//! ```text
//!  INVITE *11*1001*7738 ──► 100 ──► Deciding ── refused ──► 403 / 603 ──► gone
//!                             │   └── CANCEL ──► 487 ──► gone
//!                             │ the store is writing
//!                          Settled ── CANCEL ──► ignored: the log-in stands
//!                             │
//!                            200 ──► Answered ── ACK, or 64·T1 (§15) ──► BYE ──► Ending ── answered ──► gone
//!                                       └───── BYE of the phone ──► 200 ──► gone
//! ```
//!
//! Where something has to be asked or said, it is answered as soon as there is a socket for its sound ([`call`]), and a
//! conversation follows ([`talk`], [`menu`]):
//!
//! ```text
//!  INVITE *11 ──► 100 ──► Opening ── no socket ──► 603 ──► gone
//!                            │   └── CANCEL ──► 487 ──► gone
//!                           200 ──► Answered ── ACK ──► Talking ── said goodbye ──► BYE ──► Ending ──► gone
//!                                                         └───── BYE of the phone ──► 200 ──► gone, or Gone while
//!                                                                                     the store is writing
//! ```

mod call;
mod dialog;
mod due;
mod info;
mod menu;
mod sdp;
mod talk;
mod words;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;

use crate::context::{Answer, Owner, Work};
use crate::effect::Effect;
use crate::flow::Flow;
use crate::hash::NameHasher;
use crate::hotdesk::{Origin, Place, SeatChange};
use crate::media::{Heard, Order, SessionId};
use crate::now::Mono;
use crate::output::Output;
use crate::refusal::Refusal;
use crate::slots::{SlotKey, Slots};
use crate::transaction::{Event, ServerId};
pub(crate) use call::unknown_extensions;
use due::Due;
use sdp::Speaker;
use talk::Talk;
pub(crate) use talk::Wish;

/// Names a call of this worker's attendant.
pub(crate) type CallKey = SlotKey;

/// Calls to codes at a time and worker: a shift change of ten thousand within their half minute.
const CALLS_MAX: usize = 16_384;

/// Calls to codes at a time and worker from one device, or from the phones of one extension: a phone has as many lines at
/// most, and no account takes the sound from everybody else. All that comes over one flow reaches one worker; who calls
/// from several ports may have as many on each worker.
const CALLS_PER_PLACE_MAX: u8 = 4;

const TAG_LENGTH: usize = 16;

/// The methods the attendant takes within a call.
const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE";

/// Whose phone a call came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A shared phone.
    Device(Place),
    /// A phone of an extension's own.
    Extension(Place),
}

impl Caller {
    /// The device, or the extension.
    pub(crate) fn place(&self) -> &Place {
        match self {
            Self::Device(place) | Self::Extension(place) => place,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Deciding,
    Settled,
    Opening,
    Answered,
    Talking,
    Ending,
    Gone,
}

struct Call {
    /// The INVITE that was last accepted, or is to be.
    server: ServerId,
    flow: Flow,
    caller: Caller,
    invite: Box<[u8]>,
    tag: [u8; TAG_LENGTH],
    state: State,
    /// It changed a seat here: the phone is told to reload when the call is over.
    seated: bool,
    /// What a call with sound has besides.
    talk: Option<Box<Talk>>,
}

impl Call {
    /// Who asks for what is asked for in it.
    fn origin(&self) -> Origin {
        let invite = sip::Message::parse(&self.invite, &sip::Limits::default());
        let call_id = invite.as_ref().ok().and_then(|invite| invite.call_id().ok());
        Origin::of_request(self.flow.remote, call_id.unwrap_or_default())
    }
}

/// Calls to codes of one worker.
pub(crate) struct Attendant {
    calls: Slots<Call>,
    by_tag: HashMap<[u8; TAG_LENGTH], CallKey>,
    /// The latest call of each device, for who tells it to reload.
    by_device: HashMap<Place, CallKey, NameHasher>,
    /// How many there are from each device or extension.
    from: HashMap<Place, u8, NameHasher>,
    due: Due,
}

impl Attendant {
    /// No calls. `first_generation` must be random: what a session of a dataplane says that has panicked since must not be
    /// taken for the word of another call.
    pub(crate) fn new(first_generation: u32) -> Self {
        Self {
            calls: Slots::beginning_after(first_generation, CALLS_MAX),
            by_tag: HashMap::new(),
            by_device: HashMap::default(),
            from: HashMap::default(),
            due: Due::default(),
        }
    }

    /// Takes a call in which nothing is said. `None`: too many, and it has been answered.
    pub(crate) fn begin(
        &mut self,
        work: &mut Work<'_>,
        server: ServerId,
        flow: Flow,
        request: &sip::Message<'_>,
        caller: Caller,
    ) -> Option<CallKey> {
        self.take(work, server, flow, request, caller, State::Deciding, None)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one call, each found once on the way here")]
    fn take(
        &mut self,
        work: &mut Work<'_>,
        server: ServerId,
        flow: Flow,
        request: &sip::Message<'_>,
        caller: Caller,
        state: State,
        talk: Option<Box<Talk>>,
    ) -> Option<CallKey> {
        let place = caller.place().clone();
        if self.from.get(&place).is_some_and(|calls| *calls >= CALLS_PER_PLACE_MAX) {
            work.ctx.counters.attendant_calls_refused += 1;
            work.respond(server, request, Answer::new(603, "Too Many Calls From Here"));
            return None;
        }
        let tag = work.ctx.tag();
        let device = if let Caller::Device(device) = &caller { Some(device.clone()) } else { None };
        let invite = request.bytes().into();
        let call = Call { server, flow, caller, invite, tag, state, seated: false, talk };
        let Some(key) = self.calls.insert(call) else {
            work.ctx.counters.tables_full += 1;
            // A dialled log-in is shed with 603: 503 would make the phone leave the edge.
            work.respond(server, request, Answer::new(603, "Too Many Log-ins, Try Again"));
            return None;
        };
        work.transactions.set_owner(server, Owner::Attendant(key));
        self.by_tag.insert(tag, key);
        *self.from.entry(place).or_default() += 1;
        if let Some(device) = device {
            self.by_device.insert(device, key);
        }
        Some(key)
    }

    /// True while nothing is decided: a change for this caller may still begin.
    pub(crate) fn is_waiting(&self, key: CallKey) -> bool {
        self.calls.get(key).is_some_and(|call| match (&call.talk, call.state) {
            (None, State::Deciding) => true,
            (Some(talk), State::Opening | State::Talking) => talk.is_waiting(),
            _ => false,
        })
    }

    /// The store has the change in hand: a CANCEL or a BYE comes too late from here on.
    pub(crate) fn settle(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(key) else { return };
        match &mut call.talk {
            None => call.state = State::Settled,
            Some(talk) => talk.settle(),
        }
    }

    /// The change stands: 200, repeated until the ACK comes; or it is said.
    pub(crate) fn grant(
        &mut self,
        work: &mut Work<'_>,
        key: CallKey,
        change: &SeatChange,
        effects: &mut Vec<Effect>,
    ) {
        let Some(call) = self.calls.get_mut(key) else { return };
        call.seated = change.seats().any(|seat| seat.device == *call.caller.place());
        if call.talk.is_some() {
            return self.say_granted(work, key, change, effects);
        }
        let Ok(request) = sip::Message::parse(&call.invite, &sip::Limits::default()) else { return };
        call.state = State::Answered;
        let session = u64::from(u32::from_be_bytes(work.ctx.random.bytes()));
        let speaker = Speaker { address: address_of(work, &call.flow), session, version: 1, port: 0 };
        let offer = (!request.body().is_empty()).then(|| request.body());
        let body = sdp::silent(offer, speaker);
        dialog::accept(work, call, call.server, &request, &body, None);
    }

    /// Nothing changed: the reason phrase says why, or the attendant does.
    pub(crate) fn refuse(
        &mut self,
        work: &mut Work<'_>,
        key: CallKey,
        refusal: Refusal,
        effects: &mut Vec<Effect>,
    ) {
        let Some(call) = self.calls.get(key) else { return };
        match call.state {
            State::Deciding | State::Settled | State::Opening => {
                let Some(call) = self.forget(work, key) else { return };
                let Ok(request) = sip::Message::parse(&call.invite, &sip::Limits::default()) else { return };
                work.transactions.set_owner(call.server, Owner::Nobody);
                work.respond(call.server, &request, Answer::new(refusal.sip_status(), refusal.phrase()));
            }
            State::Answered | State::Talking => self.say_refused(work, key, refusal, effects),
            State::Ending => {}
            State::Gone => drop(self.forget(work, key)),
        }
    }

    /// The caller hung up before the answer. True: nothing had been decided, and nothing will be.
    pub(crate) fn cancel(&mut self, work: &mut Work<'_>, key: CallKey, effects: &mut Vec<Effect>) -> bool {
        let is_early = |call: &Call| matches!(call.state, State::Deciding | State::Opening);
        if !self.calls.get(key).is_some_and(is_early) {
            return false;
        }
        self.refuse(work, key, Refusal::Cancelled, effects);
        true
    }

    /// True if a call of this device ends here: it is told to reload when that is over.
    pub(crate) fn tells(&mut self, device: &Place) -> bool {
        let key = self.by_device.get(device).copied();
        let Some(call) = key.and_then(|key| self.calls.get_mut(key)) else { return false };
        call.seated = true;
        true
    }

    /// A request with a To tag: is it for a call of ours?
    pub(crate) fn call_of(&self, headers: &sip::Mandatory<'_>) -> Option<CallKey> {
        let key = *self.by_tag.get::<[u8; TAG_LENGTH]>(headers.to.tag()?.try_into().ok()?)?;
        let call = self.calls.get(key).filter(|call| call.state != State::Gone)?;
        let invite = sip::Message::parse(&call.invite, &sip::Limits::default()).ok()?;
        let same =
            invite.call_id().ok()? == headers.call_id && invite.from().ok()?.tag() == headers.from.tag();
        same.then_some(key)
    }

    /// The phone has the 200: now the edge may speak, or hang up (§15).
    pub(crate) fn on_ack(
        &mut self,
        work: &mut Work<'_>,
        key: CallKey,
        ack: &sip::Message<'_>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(call) = self.calls.get(key) else { return };
        work.transactions.acknowledged(call.server);
        match (call.state, &call.talk) {
            (State::Answered, None) => self.end(work, key, effects),
            (State::Answered | State::Talking, Some(_)) => self.on_acknowledged(work, key, ack, effects),
            _ => {}
        }
    }

    /// Hangs up. Where no BYE can be sent, the phone's person ends the call; the seat stands all the same.
    fn end(&mut self, work: &mut Work<'_>, key: CallKey, effects: &mut Vec<Effect>) {
        let Some(call) = self.calls.get_mut(key) else { return };
        if matches!(call.state, State::Ending | State::Gone) {
            return;
        }
        call.state = State::Ending;
        if call.talk.is_some() {
            close(work, key);
        }
        if dialog::hang_up(work, key, call).is_none() {
            work.ctx.counters.tables_full += 1;
            self.on_response(work, key, effects);
        }
    }

    /// Any other request of the phone within the call.
    pub(crate) fn on_request(
        &mut self,
        work: &mut Work<'_>,
        key: CallKey,
        server: ServerId,
        request: &sip::Message<'_>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let is_talking = call.talk.is_some();
        if call.talk.as_mut().is_some_and(|talk| talk.is_out_of_order(request)) {
            // §12.2.2: what the phone sent before something we have seen.
            return work.respond(server, request, Answer::new(500, "CSeq Too Low"));
        }
        let answer = match request.method() {
            Some(sip::Method::Bye) => {
                work.transactions.acknowledged(call.server);
                self.on_hung_up(work, key, effects);
                Answer::new(200, "OK")
            }
            Some(sip::Method::Info) if is_talking => self.on_info(work, key, request, effects),
            Some(sip::Method::Invite | sip::Method::Update) if is_talking => {
                return self.on_offer(work, key, server, request, effects);
            }
            Some(sip::Method::Info | sip::Method::Options | sip::Method::Update) => Answer::new(200, "OK"),
            Some(sip::Method::Invite) => Answer::new(488, "Not Acceptable Here"),
            _ => Answer::with(405, "Method Not Allowed", sip::Name::Allow, ALLOW),
        };
        work.respond(server, request, answer);
    }

    /// Our BYE was answered, whatever the answer.
    pub(crate) fn on_response(&mut self, work: &mut Work<'_>, key: CallKey, effects: &mut Vec<Effect>) {
        if let Some(call) = self.forget(work, key)
            && call.seated
            && let Caller::Device(device) = call.caller
        {
            effects.push(Effect::Reload(device));
        }
    }

    /// The phone hung up, or is gone. What the store has in hand stands, and the phone is told of it then.
    fn on_hung_up(&mut self, work: &mut Work<'_>, key: CallKey, effects: &mut Vec<Effect>) {
        match self.calls.get_mut(key) {
            Some(call) if call.talk.as_ref().is_some_and(|talk| talk.is_settled()) => {
                call.state = State::Gone;
                close(work, key);
            }
            _ => self.on_response(work, key, effects),
        }
    }

    /// No ACK came, or our BYE was not answered, or the connection went away.
    pub(crate) fn on_event(&mut self, work: &mut Work<'_>, event: &Event<Owner>, effects: &mut Vec<Effect>) {
        match event {
            // The phone is gone before it heard the answer; a change that stands is told when it is back.
            Event::ServerLost { owner: Owner::Attendant(key), .. } => self.on_hung_up(work, *key, effects),
            Event::ServerTimeout { owner: Owner::Attendant(key), server } => {
                let unheard = |call: &Call| {
                    call.server == *server && matches!(call.state, State::Answered | State::Talking)
                };
                if self.calls.get(*key).is_some_and(unheard) {
                    self.end(work, *key, effects);
                }
            }
            Event::ClientTimeout { owner: Owner::Attendant(key), .. }
            | Event::ClientLost { owner: Owner::Attendant(key), .. } => self.on_response(work, *key, effects),
            _ => {}
        }
    }

    /// The sound of a call has something to say. A session that can no longer serve, or whose call is over, is closed.
    pub(crate) fn on_heard(
        &mut self,
        work: &mut Work<'_>,
        key: CallKey,
        heard: Heard,
        effects: &mut Vec<Effect>,
    ) {
        match self.calls.get(key) {
            Some(call) if call.talk.is_some() => self.on_sound(work, key, heard, effects),
            _ => close(work, key),
        }
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub(crate) fn next_timeout(&self) -> Option<Mono> {
        self.due.next()
    }

    fn forget(&mut self, work: &mut Work<'_>, key: CallKey) -> Option<Call> {
        let call = self.calls.remove(key)?;
        self.by_tag.remove(&call.tag);
        if let Entry::Occupied(mut calls) = self.from.entry(call.caller.place().clone()) {
            *calls.get_mut() -= 1;
            if *calls.get() == 0 {
                calls.remove();
            }
        }
        if let Caller::Device(device) = &call.caller
            && self.by_device.get(device) == Some(&key)
        {
            self.by_device.remove(device);
        }
        if call.talk.is_some() && !matches!(call.state, State::Ending | State::Gone) {
            close(work, key);
        }
        Some(call)
    }

    /// Calls under way.
    pub(crate) fn len(&self) -> usize {
        self.calls.len()
    }
}

/// The address peers of a flow are told for sound.
fn address_of(work: &Work<'_>, flow: &Flow) -> IpAddr {
    let listener = work.ctx.listener(flow);
    let address = listener.advertise_host.trim_matches(['[', ']']).parse::<IpAddr>();
    address.unwrap_or(listener.local.ip())
}

fn order(work: &mut Work<'_>, key: CallKey, order: Order) {
    let session = SessionId { worker: work.ctx.worker, call: key.0 };
    work.out.push(Output::Media(session, order));
}

fn close(work: &mut Work<'_>, key: CallKey) {
    order(work, key, Order::Close);
}
