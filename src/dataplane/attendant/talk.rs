//! The conversation of a call: from keys and silence to questions, from decisions to words.
//!
//! ```text
//!  Saying ── played ──► Listening ── key ──► Listening (digit_timeout)
//!    ▲  └── key (the rest is not said) ─────────┘   └── silence, # ──► Saying | Idle ── decided ──► Saying
//!    └────────────────────────────────────────────────────────────────┘
//!  hold: nothing is waited for but the resume, which repeats the question
//! ```

use std::time::Duration;

use super::dialog::SessionTimer;
use super::due::Reminder;
use super::menu::{Act, Goal, Known, Menu, Step};
use super::words::{self, Sentence};
use super::{Attendant, CallKey, Caller, State, order};
use crate::context::Work;
use crate::effect::{Asker, Effect, LogIn};
use crate::hotdesk::{Origin, Place, SeatChange, Surface};
use crate::media::{Clip, Order, SrtpKey};
use crate::now::Mono;
use crate::query::Proof;
use crate::refusal::Refusal;
use crate::seating;
use crate::settings::{AttendantPolicy, OnOccupied, Reload, Settings};

/// Longer than any announcement, and then it counts as played: no call waits for sound.
const PLAYING_MAX: Duration = Duration::from_secs(60);

/// How long a call may stand on hold.
const HOLD_MAX: Duration = Duration::from_secs(5 * 60);

/// Longest call: three tries with a person who thinks long, many times over.
const CALL_MAX: Duration = Duration::from_secs(15 * 60);

/// What is to be said once there is sound.
pub(crate) enum Wish {
    /// Take a seat. The extension may have been dialled, or else there is who sat here last.
    LogIn { extension: Option<Box<str>>, last: Option<Place> },
    /// End the seats of an extension that was dialled.
    LogOut { extension: Box<str> },
    /// End the seat of this extension; without a PIN only the one at this phone.
    LogOutOf { extension: Place, needs_pin: bool },
    /// Change the PIN of this extension; without one it is asked for.
    ChangePin { extension: Option<Place> },
    /// Say who sits here, or where the extension of this phone sits.
    Who,
}

impl std::fmt::Debug for Wish {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What was dialled for the extension may be a PIN.
        f.write_str(match self {
            Self::LogIn { extension: Some(_), .. } => "LogIn(…)",
            Self::LogIn { extension: None, .. } => "LogIn()",
            Self::LogOut { .. } => "LogOut(…)",
            Self::LogOutOf { .. } => "LogOutOf(…)",
            Self::ChangePin { extension: Some(_) } => "ChangePin(…)",
            Self::ChangePin { extension: None } => "ChangePin()",
            Self::Who => "Who",
        })
    }
}

/// By what a key came. A phone that sends both is listened to by the first it used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Sound,
    Info,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Saying { until: Mono },
    Listening { until: Mono },
    Idle,
}

/// How far a change has come that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Nothing,
    Waiting,
    Settled,
}

/// What a call with sound has besides.
pub(super) struct Talk {
    wish: Option<Wish>,
    menu: Option<Menu>,
    /// The extension that was not keyed in, with its home.
    known: Option<Place>,
    language: Box<str>,
    source: Option<Source>,
    phase: Phase,
    asked: Asked,
    /// What is said is the last.
    leaving: bool,
    held: Option<Mono>,
    ends_at: Mono,
    refresh_by: Option<Mono>,
    pub(super) reminder: Reminder,
    /// Session id and version of our descriptions (RFC 4566 §5.2).
    pub(super) session: u64,
    pub(super) version: u32,
    /// Where our sound comes in; 0 while there is no socket.
    pub(super) port: u16,
    /// Our key, as long as the phone's stays the same.
    pub(super) key: Option<SrtpKey>,
    /// Our offer is in a 200, and its answer will be in the ACK.
    pub(super) awaits_answer: bool,
    remote_cseq: u32,
    /// The Contact of the last re-INVITE or UPDATE.
    target: Option<Box<[u8]>>,
}

impl Talk {
    pub(super) fn new(wish: Wish, language: Box<str>, session: u64, cseq: u32, now: Mono) -> Self {
        Self {
            wish: Some(wish),
            menu: None,
            known: None,
            language,
            source: None,
            phase: Phase::Idle,
            asked: Asked::Nothing,
            leaving: false,
            held: None,
            ends_at: now + CALL_MAX,
            refresh_by: None,
            reminder: Reminder::default(),
            session,
            version: 0,
            port: 0,
            key: None,
            awaits_answer: false,
            remote_cseq: cseq,
            target: None,
        }
    }

    /// A change that was asked for may still begin.
    pub(super) fn is_waiting(&self) -> bool {
        self.asked == Asked::Waiting
    }

    pub(super) fn is_settled(&self) -> bool {
        self.asked == Asked::Settled
    }

    pub(super) fn settle(&mut self) {
        self.asked = Asked::Settled;
    }

    /// §12.2.2: takes note of the number of a request; true if it is not higher than all before.
    pub(super) fn is_out_of_order(&mut self, request: &sip::Message<'_>) -> bool {
        let Ok(cseq) = request.cseq() else { return true };
        let is_late = cseq.number <= self.remote_cseq;
        self.remote_cseq = self.remote_cseq.max(cseq.number);
        is_late
    }

    /// A re-INVITE or UPDATE was taken: it says where the phone is (§12.2.2), and that it is there.
    pub(super) fn refreshed(&mut self, request: &sip::Message<'_>, timer: Option<SessionTimer>, now: Mono) {
        if let Some(Ok(sip::ContactValue::Contact(contact))) = request.contacts().next() {
            self.target = Some(contact.addr.uri_raw.into());
        }
        self.refresh_by = timer.map(|timer| timer.ends_at(now));
    }

    pub(super) fn target(&self) -> Option<&[u8]> {
        self.target.as_deref()
    }

    pub(super) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    fn due(&self) -> Mono {
        let phase = match self.phase {
            Phase::Saying { until } | Phase::Listening { until } => until,
            Phase::Idle => self.ends_at,
        };
        // On hold nothing is listened for, and a last word ends all the same.
        let own = match self.held {
            Some(until) if !self.leaving => until,
            _ => phase,
        };
        own.min(self.ends_at).min(self.refresh_by.unwrap_or(self.ends_at))
    }
}

impl Attendant {
    /// Begins to talk: the phone has our 200.
    pub(super) fn begin_talk(&mut self, work: &mut Work<'_>, key: CallKey, effects: &mut Vec<Effect>) {
        let policy = self.policy(work, key);
        let Some(call) = self.calls.get_mut(key) else { return };
        let caller = call.caller.clone();
        let Some(talk) = &mut call.talk else { return };
        call.state = State::Talking;
        let given = |extension: Option<Box<str>>| Known { extension, ..Known::default() };
        let (goal, known) = match talk.wish.take() {
            None => return,
            Some(Wish::Who) => {
                let step = Step::Leave(who(work, &caller).then(words::PAUSE).then(words::GOODBYE).clips());
                return self.perform(work, key, step, effects);
            }
            Some(Wish::LogIn { extension, last }) => {
                let last_name = last.as_ref().map(|last| last.name().into());
                talk.known = last;
                (Goal::LogIn, Known { extension, last: last_name, needs_no_pin: false })
            }
            Some(Wish::ChangePin { extension }) => {
                let name = extension.as_ref().map(|extension| extension.name().into());
                talk.known = extension;
                (Goal::ChangePin, given(name))
            }
            Some(Wish::LogOut { extension }) => (Goal::LogOut, given(Some(extension))),
            Some(Wish::LogOutOf { extension, needs_pin }) => {
                let name = extension.name().into();
                talk.known = Some(extension);
                (Goal::LogOut, Known { needs_no_pin: !needs_pin, ..given(Some(name)) })
            }
        };
        let (menu, step) = Menu::start(goal, known, policy.tries);
        talk.menu = Some(menu);
        self.perform(work, key, step, effects);
    }

    /// A key was pressed.
    pub(super) fn press(
        &mut self,
        work: &mut Work<'_>,
        key: CallKey,
        pressed: u8,
        source: Source,
        effects: &mut Vec<Effect>,
    ) {
        let Some(talk) = self.calls.get_mut(key).and_then(|call| call.talk.as_mut()) else { return };
        if *talk.source.get_or_insert(source) != source || talk.leaving {
            return;
        }
        let Some(menu) = &mut talk.menu else { return };
        let step = menu.key(pressed);
        if matches!(talk.phase, Phase::Saying { .. }) && !matches!(step, Step::Say(_) | Step::Leave(_)) {
            order(work, key, Order::Stop);
        }
        self.perform(work, key, step, effects);
    }

    /// What was to be said is said, or could not be in all that time.
    pub(super) fn played(&mut self, work: &mut Work<'_>, key: CallKey, effects: &mut Vec<Effect>) {
        let until = work.now.mono + self.policy(work, key).first_digit_timeout;
        let Some(talk) = self.calls.get_mut(key).and_then(|call| call.talk.as_mut()) else { return };
        if !matches!(talk.phase, Phase::Saying { .. }) {
            return;
        }
        if talk.leaving {
            return self.end(work, key, effects);
        }
        talk.phase = Phase::Listening { until };
        self.remind(key);
    }

    /// The phone put us on hold, or takes us back.
    pub(super) fn hold(&mut self, work: &mut Work<'_>, key: CallKey, holds: bool, effects: &mut Vec<Effect>) {
        let Some(talk) = self.calls.get_mut(key).and_then(|call| call.talk.as_mut()) else { return };
        if holds == talk.is_held() {
            return;
        }
        talk.held = holds.then(|| work.now.mono + HOLD_MAX);
        match &mut talk.menu {
            Some(menu) if !holds && !talk.leaving => {
                let step = menu.repeat();
                self.perform(work, key, step, effects);
            }
            _ => self.remind(key),
        }
    }

    /// Does what has come due: at most `limit` calls.
    pub(crate) fn handle_timeout(&mut self, work: &mut Work<'_>, limit: usize, effects: &mut Vec<Effect>) {
        let now = work.now.mono;
        for _ in 0..limit {
            let Some(key) = self.due.pop(now) else { break };
            let Some(talk) = self.calls.get_mut(key).and_then(|call| call.talk.as_mut()) else { continue };
            if self.due.is_due(key, &mut talk.reminder, now) {
                self.on_due(work, key, effects);
            }
        }
    }

    fn on_due(&mut self, work: &mut Work<'_>, key: CallKey, effects: &mut Vec<Effect>) {
        let Some(talk) = self.calls.get_mut(key).and_then(|call| call.talk.as_mut()) else { return };
        let now = work.now.mono;
        let is_over = |until: Mono| until <= now;
        let on_hold_for_too_long = talk.held.is_some_and(|until| is_over(until) && !talk.leaving);
        if is_over(talk.ends_at) || talk.refresh_by.is_some_and(is_over) || on_hold_for_too_long {
            return self.end(work, key, effects);
        }
        match (talk.phase, &mut talk.menu) {
            (Phase::Saying { .. }, _) => self.played(work, key, effects),
            (Phase::Listening { .. }, Some(menu)) => {
                let step = menu.silence();
                self.perform(work, key, step, effects);
            }
            _ => {}
        }
    }

    pub(super) fn say_granted(
        &mut self,
        work: &mut Work<'_>,
        key: CallKey,
        change: &SeatChange,
        effects: &mut Vec<Effect>,
    ) {
        let Some(call) = self.calls.get_mut(key) else { return };
        if call.state == State::Gone {
            return self.on_response(work, key, effects);
        }
        let sentence = granted(work, &call.caller, change);
        let settings = &work.ctx.settings;
        let person = change.begun.as_ref().or(change.ended.first()).map(|seat| &seat.extension);
        let own = person.and_then(|place| settings.tenant(place.tenant())?.extension(place.name()));
        let Some(talk) = &mut call.talk else { return };
        if let Some(language) = own.and_then(|extension| extension.language.as_ref()) {
            talk.language = language.clone();
        }
        talk.asked = Asked::Nothing;
        let Some(menu) = &mut talk.menu else { return };
        let step = menu.granted(sentence);
        self.perform(work, key, step, effects);
    }

    /// The new PIN counts.
    pub(crate) fn pin_changed(&mut self, work: &mut Work<'_>, key: CallKey, effects: &mut Vec<Effect>) {
        let Some(talk) = self.calls.get_mut(key).and_then(|call| call.talk.as_mut()) else { return };
        talk.asked = Asked::Nothing;
        let Some(menu) = &mut talk.menu else { return };
        let step = menu.pin_changed();
        self.perform(work, key, step, effects);
    }

    pub(super) fn say_refused(
        &mut self,
        work: &mut Work<'_>,
        key: CallKey,
        refusal: Refusal,
        effects: &mut Vec<Effect>,
    ) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let occupant = occupant(work, &call.caller);
        let Some(talk) = &mut call.talk else { return };
        talk.asked = Asked::Nothing;
        let Some(menu) = &mut talk.menu else { return };
        let step = menu.refused(refusal, occupant.as_ref().map(Place::name));
        self.perform(work, key, step, effects);
    }

    fn perform(&mut self, work: &mut Work<'_>, key: CallKey, step: Step, effects: &mut Vec<Effect>) {
        let policy = self.policy(work, key);
        let Some(call) = self.calls.get_mut(key) else { return };
        let (caller, origin) = (call.caller.clone(), call.origin());
        let Some(talk) = &mut call.talk else { return };
        let now = work.now.mono;
        match step {
            Step::Say(clips) => {
                if talk.menu.as_ref().is_some_and(Menu::asks_for_extension) {
                    talk.known = None;
                }
                say(work, key, talk, clips);
            }
            Step::Leave(clips) => {
                talk.leaving = true;
                say(work, key, talk, clips);
            }
            Step::Listen => talk.phase = Phase::Listening { until: now + policy.digit_timeout },
            Step::Wait => {}
            Step::Act(act) => {
                talk.phase = Phase::Idle;
                talk.asked = Asked::Waiting;
                let is_it = |known: &&Place| *known.name() == *act.extension().unwrap_or_default();
                let known = talk.known.as_ref().filter(is_it).cloned();
                effects.push(effect(&work.ctx.settings, key, &caller, act, known, origin));
            }
        }
        self.remind(key);
    }

    fn remind(&mut self, key: CallKey) {
        let Some(talk) = self.calls.get_mut(key).and_then(|call| call.talk.as_mut()) else { return };
        let due = talk.due();
        self.due.remind(key, &mut talk.reminder, due);
    }

    /// How the attendant talks where the call came from.
    pub(super) fn policy(&self, work: &Work<'_>, key: CallKey) -> AttendantPolicy {
        let caller = self.calls.get(key).map(|call| call.caller.place());
        let tenant = caller.and_then(|place| work.ctx.settings.tenant(place.tenant()));
        tenant.map_or_else(AttendantPolicy::default, |tenant| tenant.attendant.clone())
    }
}

fn say(work: &mut Work<'_>, key: CallKey, talk: &mut Talk, clips: Vec<Clip>) {
    talk.phase = Phase::Saying { until: work.now.mono + PLAYING_MAX };
    order(work, key, Order::Play { language: talk.language.clone(), clips });
}

/// The change a conversation has come to. `known` is the extension where it was not keyed in.
fn effect(
    settings: &Settings,
    key: CallKey,
    caller: &Caller,
    act: Act,
    known: Option<Place>,
    origin: Origin,
) -> Effect {
    let (asker, surface) = (Asker::Attendant(key), Surface::Attendant);
    let device = caller.place().clone();
    let place = |typed: &str| match settings.tenant(device.tenant()) {
        Some(tenant) => seating::extension_typed(settings, tenant, typed.as_bytes()),
        None => Place::new(device.tenant(), typed),
    };
    let typed = |typed: &str| known.clone().unwrap_or_else(|| place(typed));
    match act {
        Act::LogIn { extension, pin, force } => {
            let extension = typed(&extension);
            Effect::CheckPin(
                LogIn { force, ..LogIn::new(asker, device, extension, surface, origin) },
                Proof::Clear(pin),
            )
        }
        Act::ChangePin { extension, old, new } => {
            let by = LogIn::new(asker, device.clone(), typed(&extension), surface, origin);
            Effect::ChangePin { by, old, new }
        }
        Act::LogOut { extension: Some(extension), pin: Some(pin) } => {
            let extension = typed(&extension);
            Effect::CheckPin(
                LogIn { leaves: true, ..LogIn::new(asker, device, extension, surface, origin) },
                Proof::Clear(pin),
            )
        }
        Act::LogOut { .. } => Effect::LogOut { asker, device, surface, origin },
    }
}

/// Who sits at a phone, where the policy is to ask whoever comes whether to take over.
fn occupant(work: &Work<'_>, caller: &Caller) -> Option<Place> {
    let Caller::Device(device) = caller else { return None };
    let tenant = work.ctx.settings.tenant(device.tenant())?;
    let asks = tenant.seats.on_occupied == OnOccupied::Ask;
    let seat = work.ctx.tables.seats.seat_at(&tenant.customer, device).filter(|_| asks)?;
    Some(seat.extension.clone())
}

/// The language of a place: its site's, else its tenant's.
pub(super) fn language(work: &Work<'_>, caller: &Caller) -> Box<str> {
    let place = caller.place();
    let Some(tenant) = work.ctx.settings.tenant(place.tenant()) else {
        return AttendantPolicy::default().language;
    };
    let own = match caller {
        Caller::Extension(extension) => {
            tenant.extension(extension.name()).and_then(|extension| extension.language.clone())
        }
        Caller::Device(device) => {
            let site = tenant.device(device.name()).and_then(|device| device.site);
            site.and_then(|site| tenant.sites.get(site as usize)?.language.clone())
        }
    };
    own.unwrap_or_else(|| tenant.attendant.language.clone())
}

/// What is said of who sits where.
fn who(work: &Work<'_>, caller: &Caller) -> Sentence {
    let Some(tenant) = work.ctx.settings.tenant(caller.place().tenant()) else {
        return Sentence::of(&[words::UNAVAILABLE]);
    };
    let seats = &work.ctx.tables.seats;
    match caller {
        Caller::Device(device) => match seats.seat_at(&tenant.customer, device) {
            Some(seat) => Sentence::of(&[words::YOU_ARE]).number(seat.extension.name()),
            None => Sentence::of(&[words::NOBODY]),
        },
        Caller::Extension(extension) => {
            let sentence = Sentence::of(&[words::YOUR_EXTENSION]).number(extension.name());
            let sits = !seats.seats_of(&tenant.customer, extension).is_empty();
            sentence.then(if sits { words::SITS_ELSEWHERE } else { words::NOT_LOGGED_IN })
        }
    }
}

/// What is said of a change: what stands, who had to give way, what the phone does next.
fn granted(work: &Work<'_>, caller: &Caller, change: &SeatChange) -> Sentence {
    let is_here = |device: &Place| matches!(caller, Caller::Device(here) if here == device);
    let sentence = match &change.begun {
        Some(seat) if seat.epoch == change.epoch && seat.since == change.at => {
            let others = change.ended.iter().filter(|ended| ended.extension != seat.extension);
            let sentence = Sentence::of(&[words::LOGGED_IN]).number(seat.extension.name());
            let sentence = others.fold(sentence, |sentence, other| {
                sentence.then(words::WAS_IN_USE).number(other.extension.name())
            });
            let moved = change.ended.iter().any(|ended| ended.extension == seat.extension);
            if moved { sentence.then(words::WAS_ELSEWHERE) } else { sentence }
        }
        Some(seat) => return Sentence::of(&[words::ALREADY_HERE]).number(seat.extension.name()),
        None => Sentence::of(&[words::LOGGED_OUT]),
    };
    let reloads = change.seats().filter(|seat| is_here(&seat.device)).any(|seat| {
        let tenant = work.ctx.settings.tenant(seat.device.tenant());
        let device = tenant.and_then(|tenant| tenant.device(seat.device.name()));
        device.is_some_and(|device| device.reload == Reload::CheckSync)
    });
    if reloads { sentence.then(words::PAUSE).then(words::PHONE_RELOADS) } else { sentence }
}
