//! Calls to codes: the edge is the user agent server and hangs up itself.
//!
//! ```text
//!  INVITE *11… ──► 100 ──► Deciding ── refused ──► 403 / 603 ──► gone
//!                             │   └── CANCEL ──► 487 ──► gone
//!                             │ the store is writing
//!                          Settled ── CANCEL ──► ignored: the log-in stands
//!                             │
//!                            200 ──► Answered ── ACK, or 64·T1 (§15) ──► BYE ──► Ending ── answered ──► gone
//!                                       └───── BYE of the phone ──► 200 ──► gone
//! ```

mod sdp;

use std::collections::HashMap;
use std::net::IpAddr;

use crate::context::{Answer, Owner, Work};
use crate::effect::Effect;
use crate::flow::Flow;
use crate::hotdesk::Place;
use crate::media::{Heard, Order, SessionId};
use crate::output::Output;
use crate::refusal::Refusal;
use crate::slots::{SlotKey, Slots};
use crate::transaction::{ClientId, Event, ServerId};

/// Names a call of this worker's attendant.
pub(crate) type CallKey = SlotKey;

/// Calls to codes at a time and worker: a shift change of ten thousand within their half minute.
const CALLS_MAX: usize = 16_384;

const TAG_LENGTH: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Deciding,
    Settled,
    Answered,
    Ending,
}

struct Call {
    server: ServerId,
    flow: Flow,
    device: Place,
    invite: Box<[u8]>,
    tag: [u8; TAG_LENGTH],
    state: State,
    /// It changed a seat: the phone is told to reload when the call is over.
    seated: bool,
}

/// Calls to codes of one worker.
pub(crate) struct Attendant {
    calls: Slots<Call>,
    by_tag: HashMap<[u8; TAG_LENGTH], CallKey>,
}

impl Attendant {
    pub(crate) fn new() -> Self {
        Self { calls: Slots::new(CALLS_MAX), by_tag: HashMap::new() }
    }

    /// Takes a call from `device`; 100 is sent at once. `None`: too many, and it has been answered.
    pub(crate) fn begin(
        &mut self,
        work: &mut Work<'_>,
        server: ServerId,
        flow: Flow,
        request: &sip::Message<'_>,
        device: Place,
    ) -> Option<CallKey> {
        let tag = work.ctx.tag();
        let call = Call {
            server,
            flow,
            device,
            invite: request.bytes().into(),
            tag,
            state: State::Deciding,
            seated: false,
        };
        let Some(key) = self.calls.insert(call) else {
            work.ctx.counters.tables_full += 1;
            // A dialled log-in is shed with 603: 503 would make the phone leave the edge.
            work.respond(server, request, Answer::new(603, "Too Many Log-ins, Try Again"));
            return None;
        };
        work.transactions.set_owner(server, Owner::Attendant(key));
        self.by_tag.insert(tag, key);
        Some(key)
    }

    /// True while nothing is decided: a change for this caller may still begin.
    pub(crate) fn is_waiting(&self, key: CallKey) -> bool {
        self.calls.get(key).is_some_and(|call| call.state == State::Deciding)
    }

    /// The store has the change in hand: a CANCEL comes too late from here on.
    pub(crate) fn settle(&mut self, key: CallKey) {
        if let Some(call) = self.calls.get_mut(key) {
            call.state = State::Settled;
        }
    }

    /// The change stands: 200, repeated until the ACK comes.
    pub(crate) fn grant(&mut self, work: &mut Work<'_>, key: CallKey) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let Ok(request) = sip::Message::parse(&call.invite, &sip::Limits::default()) else { return };
        call.state = State::Answered;
        call.seated = true;
        let listener = work.ctx.listener(&call.flow);
        let address = listener.advertise_host.trim_matches(['[', ']']).parse::<IpAddr>();
        let address = address.unwrap_or(listener.local.ip());
        let session = u64::from(u32::from_be_bytes(work.ctx.random.bytes()));
        let offer = (!request.body().is_empty()).then(|| request.body());
        let body = sdp::write(offer, address, session);
        let contact = format!("<{}>", work.ctx.own_uri(&call.flow));
        let (tag, remote) = (call.tag, call.flow.remote);
        work.transactions.respond_reliably(work.now.mono, call.server, 200, work.out, |buffer| {
            let options =
                sip::ResponseOptions { source: Some(remote), to_tag: Some(&tag), record_route: true };
            sip::Compose::response(buffer, &request, 200, "OK", &options)
                .header(sip::Name::Contact, contact.as_bytes())
                .header(sip::Name::Allow, b"INVITE, ACK, CANCEL, BYE, OPTIONS, INFO")
                .body(b"application/sdp", body.as_bytes())
                .finish();
        });
    }

    /// Nothing changed: the reason phrase says why.
    pub(crate) fn refuse(&mut self, work: &mut Work<'_>, key: CallKey, refusal: Refusal) {
        let Some(call) = self.forget(key) else { return };
        let Ok(request) = sip::Message::parse(&call.invite, &sip::Limits::default()) else { return };
        work.transactions.set_owner(call.server, Owner::Nobody);
        work.respond(call.server, &request, Answer::new(refusal.sip_status(), refusal.phrase()));
    }

    /// The caller hung up before the answer. True: nothing had been decided, and nothing will be.
    pub(crate) fn cancel(&mut self, work: &mut Work<'_>, key: CallKey) -> bool {
        if !self.is_waiting(key) {
            return false;
        }
        self.refuse(work, key, Refusal::Cancelled);
        true
    }

    /// A request with a To tag: is it for a call of ours?
    pub(crate) fn call_of(&self, headers: &sip::Mandatory<'_>) -> Option<CallKey> {
        let key = *self.by_tag.get::<[u8; TAG_LENGTH]>(headers.to.tag()?.try_into().ok()?)?;
        let call = self.calls.get(key)?;
        let invite = sip::Message::parse(&call.invite, &sip::Limits::default()).ok()?;
        let same =
            invite.call_id().ok()? == headers.call_id && invite.from().ok()?.tag() == headers.from.tag();
        same.then_some(key)
    }

    /// The phone has the 200: now the edge may hang up (§15).
    pub(crate) fn on_ack(&mut self, work: &mut Work<'_>, key: CallKey, effects: &mut Vec<Effect>) {
        let Some(call) = self.calls.get(key) else { return };
        work.transactions.acknowledged(call.server);
        if call.state == State::Answered {
            self.end(work, key, effects);
        }
    }

    /// Hangs up. Where no BYE can be sent, the phone's person ends the call; the seat stands all the same.
    fn end(&mut self, work: &mut Work<'_>, key: CallKey, effects: &mut Vec<Effect>) {
        let Some(call) = self.calls.get_mut(key) else { return };
        call.state = State::Ending;
        if hang_up(work, key, call).is_none() {
            work.ctx.counters.tables_full += 1;
            self.on_response(key, effects);
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
        let answer = match request.method() {
            Some(sip::Method::Bye) => {
                if let Some(call) = self.forget(key) {
                    work.transactions.acknowledged(call.server);
                    effects.extend(call.seated.then_some(Effect::Reload(call.device)));
                }
                Answer::new(200, "OK")
            }
            Some(sip::Method::Info | sip::Method::Options | sip::Method::Update) => Answer::new(200, "OK"),
            Some(sip::Method::Invite) => Answer::new(488, "Not Acceptable Here"),
            _ => Answer::with(
                405,
                "Method Not Allowed",
                sip::Name::Allow,
                "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO",
            ),
        };
        work.respond(server, request, answer);
    }

    /// Our BYE was answered, whatever the answer.
    pub(crate) fn on_response(&mut self, key: CallKey, effects: &mut Vec<Effect>) {
        if let Some(call) = self.forget(key) {
            effects.extend(call.seated.then_some(Effect::Reload(call.device)));
        }
    }

    /// No ACK came, or our BYE was not answered, or the connection went away.
    pub(crate) fn on_event(&mut self, work: &mut Work<'_>, event: &Event<Owner>, effects: &mut Vec<Effect>) {
        match event {
            // The phone is gone before it heard the answer; a change that stands is told when it is back.
            Event::ServerLost { owner: Owner::Attendant(key), .. } => self.on_response(*key, effects),
            Event::ServerTimeout { owner: Owner::Attendant(key), .. }
                if self.calls.get(*key).is_some_and(|call| call.state == State::Answered) =>
            {
                self.end(work, *key, effects);
            }
            Event::ClientTimeout { owner: Owner::Attendant(key), .. }
            | Event::ClientLost { owner: Owner::Attendant(key), .. } => self.on_response(*key, effects),
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
        let known = self.calls.get(key).is_some();
        if !known || matches!(heard, Heard::Failed | Heard::Silent) {
            let session = SessionId { worker: work.ctx.worker, call: key.0 };
            work.out.push(Output::Media(session, Order::Close));
        }
        if known && matches!(heard, Heard::Failed | Heard::Silent) {
            self.end(work, key, effects);
        }
    }

    fn forget(&mut self, key: CallKey) -> Option<Call> {
        let call = self.calls.remove(key)?;
        self.by_tag.remove(&call.tag);
        Some(call)
    }

    /// Calls under way.
    pub(crate) fn len(&self) -> usize {
        self.calls.len()
    }
}

/// Sends the BYE. The dialog's route set is what the INVITE recorded (§12.1.1); the flow is the INVITE's.
fn hang_up(work: &mut Work<'_>, key: CallKey, call: &Call) -> Option<ClientId> {
    let invite = sip::Message::parse(&call.invite, &sip::Limits::default()).ok()?;
    let (from, to, call_id) = (invite.from().ok()?, invite.to().ok()?, invite.call_id().ok()?);
    let target = match invite.contacts().next() {
        Some(Ok(sip::ContactValue::Contact(contact))) => contact.addr.uri_raw,
        _ => from.uri_raw,
    };
    let via = work.ctx.via(&call.flow);
    let mut local = to.addr_raw.to_vec();
    local.extend_from_slice(b";tag=");
    local.extend_from_slice(&call.tag);
    let begun = work.transactions.begin_client(
        work.now.mono,
        call.flow,
        false,
        Owner::Attendant(key),
        0,
        None,
        work.out,
        |buffer, branch| {
            let mut top = via.to_vec();
            top.extend_from_slice(b";branch=");
            top.extend_from_slice(branch);
            let mut compose = sip::Compose::request(buffer, "BYE", target);
            compose.header(sip::Name::Via, &top);
            for route in invite.values(sip::Name::RecordRoute) {
                compose.header(sip::Name::Route, route);
            }
            compose
                .header(sip::Name::MaxForwards, b"70")
                .header(sip::Name::From, &local)
                .header(sip::Name::To, from.raw)
                .header(sip::Name::CallId, call_id)
                .header(sip::Name::CSeq, b"1 BYE")
                .finish();
        },
    );
    begun.ok()
}
