//! The signalling of a call with sound: it is answered when its socket is there, and follows what the phone offers.
//!
//! ```text
//!  INVITE with an offer ──► Open ── Opened ──► 200 with the answer ──► Connect ── ACK ──► it talks
//!  INVITE without ────────► Open ── Opened ──► 200 with our offer ──── ACK with the answer ──► Connect, it talks
//!  re-INVITE, UPDATE ─────► answered at once: hold, resume, another address
//! ```

use super::dialog::{self, MIN_SE, SessionTimer};
use super::info::{self, Info};
use super::sdp::{self, Keys, Offer, Speaker, Unusable};
use super::talk::{self, Source, Talk, Wish};
use super::{Attendant, Call, CallKey, Caller, State, address_of, order};
use crate::context::{Answer, Owner, Work};
use crate::effect::{Asker, Effect};
use crate::flow::Flow;
use crate::hotdesk::Surface;
use crate::media::{Heard, Order, SrtpKey};
use crate::refusal::Refusal;
use crate::transaction::ServerId;

/// The types of body an INFO may have.
const ACCEPT_INFO: &str = "application/dtmf-relay, application/dtmf";

/// Why a request of the phone is not taken.
enum Fault {
    Unusable(Unusable),
    /// No description, but another kind of body.
    Foreign,
    TimerTooShort,
    /// Option tags we do not know.
    Extension(String),
}

impl Attendant {
    /// Takes a call that needs sound: a socket is asked for, and answered it is when that is there.
    pub(crate) fn begin_talk_with(
        &mut self,
        work: &mut Work<'_>,
        server: ServerId,
        flow: Flow,
        request: &sip::Message<'_>,
        caller: Caller,
        wish: Wish,
    ) {
        if let Err(fault) = self.examine(work, &flow, request) {
            return refuse(work, &flow, server, request, fault);
        }
        let session = u64::from(u32::from_be_bytes(work.ctx.random.bytes()));
        let cseq = request.cseq().map_or(0, |cseq| cseq.number);
        let language = talk::language(work, &caller);
        let talk = Box::new(Talk::new(wish, language, session, cseq, work.now.mono));
        let local = work.ctx.listener(&flow).local.ip();
        if let Some(key) = self.take(work, server, flow, request, caller, State::Opening, Some(talk)) {
            order(work, key, Order::Open(local));
        }
    }

    /// What a request that makes or changes a call must be: its offer, if it has one, and its session timer.
    fn examine(
        &self,
        work: &Work<'_>,
        flow: &Flow,
        request: &sip::Message<'_>,
    ) -> Result<(Option<Offer>, Option<SessionTimer>), Fault> {
        if let Some(tags) = unknown_extensions(request) {
            return Err(Fault::Extension(tags));
        }
        let timer = SessionTimer::asked(request).map_err(|_| Fault::TimerTooShort)?;
        let offer = description(request)?.map(|body| read(work, flow, body)).transpose();
        Ok((offer.map_err(Fault::Unusable)?, timer))
    }

    /// The sound of a call has something to say.
    pub(super) fn on_sound(
        &mut self,
        work: &mut Work<'_>,
        key: CallKey,
        heard: Heard,
        effects: &mut Vec<Effect>,
    ) {
        let Some(call) = self.calls.get(key) else { return };
        let Some(talk) = &call.talk else { return };
        match heard {
            Heard::Opened { port } if call.state == State::Opening => {
                self.on_opened(work, key, port, effects)
            }
            Heard::Failed if call.state == State::Opening => effects.push(Effect::Refused {
                asker: Asker::Attendant(key),
                device: call.caller.place().clone(),
                extension: None,
                refusal: Refusal::NoSound,
                surface: Surface::Attendant,
                origin: call.origin(),
            }),
            Heard::Key(pressed) => self.press(work, key, pressed, Source::Sound, effects),
            Heard::Played => self.played(work, key, effects),
            // On hold many phones send nothing.
            Heard::Silent if talk.is_held() => {}
            Heard::Failed | Heard::Silent => self.end(work, key, effects),
            Heard::Opened { .. } => {}
        }
    }

    /// There is a socket: the INVITE is answered.
    fn on_opened(&mut self, work: &mut Work<'_>, key: CallKey, port: u16, effects: &mut Vec<Effect>) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let (server, flow, invite) = (call.server, call.flow, call.invite.clone());
        let Some(talk) = &mut call.talk else { return };
        talk.port = port;
        let Ok(request) = sip::Message::parse(&invite, &sip::Limits::default()) else { return };
        match self.examine(work, &flow, &request) {
            Ok((offer, timer)) => {
                if let Some(call) = self.calls.get_mut(key) {
                    call.state = State::Answered;
                }
                self.answer(work, key, server, &request, offer, timer, effects);
            }
            Err(_) => self.end(work, key, effects),
        }
    }

    /// A re-INVITE or an UPDATE.
    pub(super) fn on_offer(
        &mut self,
        work: &mut Work<'_>,
        key: CallKey,
        server: ServerId,
        request: &sip::Message<'_>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(Call { flow, state, talk: Some(talk), .. }) = self.calls.get(key) else { return };
        let (flow, state) = (*flow, *state);
        if !matches!(state, State::Answered | State::Talking) {
            return work.respond(server, request, Answer::new(481, "Call/Transaction Does Not Exist"));
        }
        // Our own offer has no answer yet (§14.2, RFC 3311 §5.2).
        if talk.awaits_answer && (request.method() == Some(sip::Method::Invite) || !request.body().is_empty())
        {
            return work.respond(server, request, Answer::new(491, "Request Pending"));
        }
        match self.examine(work, &flow, request) {
            Ok((offer, timer)) => self.answer(work, key, server, request, offer, timer, effects),
            Err(fault) => refuse(work, &flow, server, request, fault),
        }
    }

    /// Answers an INVITE or UPDATE that can be taken, and lets the sound follow.
    #[expect(clippy::too_many_arguments, reason = "the parts of one request, each read once on the way here")]
    fn answer(
        &mut self,
        work: &mut Work<'_>,
        key: CallKey,
        server: ServerId,
        request: &sip::Message<'_>,
        offer: Option<Offer>,
        timer: Option<SessionTimer>,
        effects: &mut Vec<Effect>,
    ) {
        let is_invite = request.method() == Some(sip::Method::Invite);
        let Some(call) = self.calls.get_mut(key) else { return };
        let address = address_of(work, &call.flow);
        let Some(talk) = &mut call.talk else { return };
        talk.refreshed(request, timer, work.now.mono);
        talk.version += u32::from(offer.is_some() || is_invite);
        let speaker = Speaker { address, session: talk.session, version: talk.version, port: talk.port };
        let crypto = offer.as_ref().and_then(Offer::crypto);
        let ours = crypto.map(|crypto| own_key(work, talk, |octets| crypto.answer_with(octets)));
        let body = match &offer {
            Some(offer) => Some(sdp::answer(request.body(), offer, speaker, ours.as_ref())),
            None => is_invite.then(|| sdp::offer(speaker)),
        };
        talk.awaits_answer = is_invite && offer.is_none();
        if is_invite {
            // Whatever was answered before is known to have arrived (§14.1).
            if call.server != server {
                work.transactions.acknowledged(call.server);
            }
            call.server = server;
            work.transactions.set_owner(server, Owner::Attendant(key));
            dialog::accept(work, call, server, request, body.as_deref().unwrap_or_default(), timer);
        } else {
            dialog::answer_update(work, call, server, request, body.as_deref(), timer);
        }
        if let Some(offer) = offer {
            self.connect(work, key, &offer, ours, effects);
        }
    }

    /// What both sides agreed on goes to the sound.
    fn connect(
        &mut self,
        work: &mut Work<'_>,
        key: CallKey,
        offer: &Offer,
        ours: Option<SrtpKey>,
        effects: &mut Vec<Effect>,
    ) {
        let in_band = self.policy(work, key).in_band;
        let Some(call) = self.calls.get(key) else { return };
        let theirs = offer.crypto().map(|crypto| crypto.key.clone());
        let keys = ours.zip(theirs).map(|(ours, theirs)| Keys { ours, theirs });
        let connection = sdp::agreed(offer, keys, call.flow.remote.ip(), in_band);
        order(work, key, Order::Connect(connection));
        self.hold(work, key, !offer.listens(), effects);
    }

    /// The ACK of a 200 came, with the answer to our offer if we made one.
    pub(super) fn on_acknowledged(
        &mut self,
        work: &mut Work<'_>,
        key: CallKey,
        ack: &sip::Message<'_>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let (flow, state) = (call.flow, call.state);
        let Some(talk) = &mut call.talk else { return };
        if std::mem::take(&mut talk.awaits_answer) {
            let answer = description(ack).ok().flatten().and_then(|body| read(work, &flow, body).ok());
            match answer.filter(|answer| answer.crypto().is_none()) {
                Some(answer) => self.connect(work, key, &answer, None, effects),
                // §13.2.2.4: there is no session, so there is no call.
                None => return self.end(work, key, effects),
            }
        }
        if state == State::Answered {
            self.begin_talk(work, key, effects);
        }
    }

    /// An INFO: most likely a key.
    pub(super) fn on_info(
        &mut self,
        work: &mut Work<'_>,
        key: CallKey,
        request: &sip::Message<'_>,
        effects: &mut Vec<Effect>,
    ) -> Answer<'static> {
        if request.fields().any(|field| field.raw_name.eq_ignore_ascii_case(b"Info-Package")) {
            // RFC 6086 §4.2.2: we have asked for no package.
            return Answer::new(469, "Bad Info Package");
        }
        match info::read(request.header(sip::Name::ContentType), request.body()) {
            Info::Key(pressed) => {
                self.press(work, key, pressed, Source::Info, effects);
                Answer::new(200, "OK")
            }
            // A phone that is refused a key it did not press may end the call.
            Info::Nothing => Answer::new(200, "OK"),
            Info::Unreadable => Answer::new(400, "Unknown Signal"),
            Info::Foreign => Answer::with(415, "Unsupported Media Type", sip::Name::Accept, ACCEPT_INFO),
        }
    }
}

/// The option tags of a request that the attendant does not know, if there are any (§8.2.2.3).
pub(crate) fn unknown_extensions(request: &sip::Message<'_>) -> Option<String> {
    let unknown = request.option_tags(sip::Name::Require).filter(|tag| !tag.eq_ignore_ascii_case(b"timer"));
    let unknown: Vec<_> = unknown.collect();
    (!unknown.is_empty()).then(|| String::from_utf8_lossy(&unknown.join(&b", "[..])).into_owned())
}

/// Our key of the call: it stays while the suite does, so that a re-INVITE changes nothing (RFC 4568 §7.1.4).
fn own_key(work: &mut Work<'_>, talk: &mut Talk, make: impl FnOnce([u8; 30]) -> SrtpKey) -> SrtpKey {
    let made = make(work.ctx.random.bytes());
    match &talk.key {
        Some(known) if known.short_tag() == made.short_tag() => known.clone(),
        _ => talk.key.insert(made).clone(),
    }
}

/// The session description of a request; none: it has no body.
fn description<'a>(request: &sip::Message<'a>) -> Result<Option<&'a [u8]>, Fault> {
    let body = request.body();
    if body.is_empty() {
        return Ok(None);
    }
    let kind = request.header(sip::Name::ContentType).unwrap_or_default();
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let is_plain = request.header(sip::Name::ContentEncoding).is_none();
    if is_plain && kind.eq_ignore_ascii_case(b"application/sdp") {
        Ok(Some(body))
    } else {
        Err(Fault::Foreign)
    }
}

/// Reads a description that came over `flow`: sound takes the family of addresses its listener has.
fn read(work: &Work<'_>, flow: &Flow, body: &[u8]) -> Result<Offer, Unusable> {
    let offer = sdp::read(body)?;
    let here = work.ctx.listener(flow).local.is_ipv4();
    if offer.is_ipv4().is_some_and(|there| there != here) { Err(Unusable::Address) } else { Ok(offer) }
}

fn refuse(work: &mut Work<'_>, flow: &Flow, server: ServerId, request: &sip::Message<'_>, fault: Fault) {
    let answer = |code, reason, header, value: &str| (code, reason, header, value.to_owned());
    let (code, reason, name, value) = match fault {
        Fault::Unusable(unusable) => {
            let (warning, text) = unusable.warning();
            let host = &work.ctx.listener(flow).advertise_host;
            let value = format!("{warning} {host} \"{text}\"");
            (488, "Not Acceptable Here", sip::Name::Warning, value)
        }
        Fault::Foreign => answer(415, "Unsupported Media Type", sip::Name::Accept, "application/sdp"),
        Fault::TimerTooShort => answer(422, "Session Interval Too Small", sip::Name::MinSe, MIN_SE),
        Fault::Extension(tags) => (420, "Bad Extension", sip::Name::Unsupported, tags),
    };
    work.respond(server, request, Answer::with(code, reason, name, &value));
}
