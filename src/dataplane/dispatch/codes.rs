//! Calls to codes: what was dialled, from which phone, and whether anything has to be asked or said.
//!
//! Dialled whole, a log-in or log-out is decided in silence; else the attendant talks.

use std::sync::Arc;

use super::{Incoming, Rooms};
use crate::admission;
use crate::attendant::{self, Caller, Wish};
use crate::context::{Answer, Owner, Work};
use crate::effect::{Asker, Effect, LogIn};
use crate::hotdesk::{Dialled, Origin, Place, Seat, Surface, Typed};
use crate::query::{Pin, Proof};
use crate::refusal::Refusal;
use crate::seating;
use crate::settings::{CodesFrom, Tenant};

/// What a code leads to.
enum LeadsTo<'a> {
    /// Seat this extension here.
    LogIn {
        extension: &'a [u8],
        pin: &'a [u8],
    },
    /// End the seats of this extension.
    LogOut {
        extension: &'a [u8],
        pin: &'a [u8],
    },
    /// End the seat here.
    LeaveHere,
    /// Talk.
    Talk(Wish),
    Refuse(Refusal),
}

impl Rooms {
    /// A call to a code of `here`, where the caller's phone stands.
    pub(super) fn on_code(
        &mut self,
        work: &mut Work<'_>,
        incoming: &Incoming<'_>,
        here: &Tenant,
        caller: Caller,
        dialled: Dialled<'_>,
    ) {
        let Incoming { flow, request, key, .. } = *incoming;
        if matches!(dialled, Dialled::LogIn(_) | Dialled::Toggle(_)) && admission::sheds_log_in(work) {
            return admission::refuse_code(work, flow, request);
        }
        if let Caller::Device(device) = &caller {
            work.ctx.tables.timeouts.used(device, work.now.mono);
        }
        let room = work.transactions.room_for_new();
        let begin = |()| work.transactions.begin_server(work.now.mono, key, flow, request, Owner::Nobody);
        let Ok(server) = room.and_then(begin) else {
            return work.answer(flow, request, Answer::new(603, "Too Many Log-ins, Try Again"));
        };
        let leads_to = leads_to(work, here, &caller, dialled);
        work.respond(server, request, Answer::new(100, "Trying"));
        if let LeadsTo::Talk(wish) = leads_to {
            return self.attendant.begin_talk_with(work, server, *flow, request, caller, wish);
        }
        if let Some(tags) = attendant::unknown_extensions(request) {
            let answer = Answer::with(420, "Bad Extension", sip::Name::Unsupported, &tags);
            return work.respond(server, request, answer);
        }
        let device = caller.place().clone();
        let Some(call) = self.attendant.begin(work, server, *flow, request, caller) else { return };
        let (asker, surface) = (Asker::Attendant(call), Surface::Dialled);
        let origin = Origin::of_request(flow.remote, request.call_id().unwrap_or_default());
        let settings = Arc::clone(&work.ctx.settings);
        let of = |typed: &[u8]| seating::extension_typed(&settings, here, typed);
        let effect = match leads_to {
            LeadsTo::LogIn { extension, pin } => Effect::CheckPin(
                LogIn::new(asker, device, of(extension), surface, origin),
                Proof::Clear(Pin::new(pin)),
            ),
            LeadsTo::LogOut { extension, pin } => {
                let log_out =
                    LogIn { leaves: true, ..LogIn::new(asker, device, of(extension), surface, origin) };
                Effect::CheckPin(log_out, Proof::Clear(Pin::new(pin)))
            }
            LeadsTo::Refuse(refusal) => {
                Effect::Refused { asker, device, extension: None, refusal, surface, origin }
            }
            LeadsTo::LeaveHere => Effect::LogOut { asker, device, surface, origin },
            LeadsTo::Talk(_) => unreachable!("the attendant talks already"),
        };
        self.effects.push(effect);
    }
}

/// What a code that was dialled at this phone leads to.
fn leads_to<'a>(work: &Work<'_>, tenant: &Tenant, caller: &Caller, dialled: Dialled<'a>) -> LeadsTo<'a> {
    let seat = || match caller {
        Caller::Device(device) => work.ctx.tables.seats.seat_at(&tenant.customer, device),
        Caller::Extension(_) => None,
    };
    match (dialled, caller) {
        (Dialled::LogIn(typed), Caller::Device(device)) => log_in(work, tenant, device, typed),
        (Dialled::LogIn(_), Caller::Extension(_)) => LeadsTo::Refuse(Refusal::NotASharedPhone),
        (Dialled::LogOut(typed), _) => log_out(work, tenant, caller, seat().as_deref(), typed),
        (Dialled::Toggle(typed), Caller::Device(device)) => match seat() {
            Some(seat) if typed.extension.is_none() => LeadsTo::Talk(Wish::LogOutOf {
                extension: seat.extension.clone(),
                needs_pin: tenant.seats.logout_pin,
            }),
            _ => log_in(work, tenant, device, typed),
        },
        (Dialled::Toggle(typed), Caller::Extension(_)) if tenant.seats.codes_from == CodesFrom::Any => {
            log_out(work, tenant, caller, None, typed)
        }
        (Dialled::Toggle(_), Caller::Extension(_)) => LeadsTo::Refuse(Refusal::NotASharedPhone),
        (Dialled::Who, _) => LeadsTo::Talk(Wish::Who),
        (Dialled::ChangePin(_), Caller::Extension(_)) if tenant.seats.codes_from == CodesFrom::Pool => {
            LeadsTo::Refuse(Refusal::NotASharedPhone)
        }
        (Dialled::ChangePin(typed), _) => LeadsTo::Talk(Wish::ChangePin {
            extension: match (typed.extension, caller) {
                (Some(extension), _) => Some(seating::extension_typed(&work.ctx.settings, tenant, extension)),
                (None, Caller::Extension(own)) => Some(own.clone()),
                (None, Caller::Device(_)) => seat().map(|seat| seat.extension.clone()),
            },
        }),
        (Dialled::Malformed | Dialled::NotACode, _) => LeadsTo::Refuse(Refusal::Malformed),
    }
}

fn log_in<'a>(work: &Work<'_>, tenant: &Tenant, device: &Place, typed: Typed<'a>) -> LeadsTo<'a> {
    match (typed.extension, typed.pin) {
        (Some(extension), Some(pin)) => dialled_whole(tenant, pin, LeadsTo::LogIn { extension, pin }),
        (Some(extension), None) => {
            LeadsTo::Talk(Wish::LogIn { extension: Some(text(extension)), last: None })
        }
        (None, _) => {
            let last = seating::last_user(work, tenant, device);
            LeadsTo::Talk(Wish::LogIn { extension: None, last })
        }
    }
}

/// A log-out of whoever sits at this phone; or of the extension that was dialled, or whose own phone this is, from
/// wherever (OUT-14), for which it takes the PIN.
fn log_out<'a>(
    work: &Work<'_>,
    tenant: &Tenant,
    caller: &Caller,
    seat: Option<&Seat>,
    typed: Typed<'a>,
) -> LeadsTo<'a> {
    let needs_pin = tenant.seats.logout_pin;
    let sits_here = |typed: &[u8]| {
        seat.is_some_and(|seat| seat.extension == seating::extension_typed(&work.ctx.settings, tenant, typed))
    };
    match (typed.extension, typed.pin, caller) {
        (Some(extension), Some(pin), _) => dialled_whole(tenant, pin, LeadsTo::LogOut { extension, pin }),
        (Some(extension), None, _) if !needs_pin && sits_here(extension) => LeadsTo::LeaveHere,
        (Some(extension), ..) => LeadsTo::Talk(Wish::LogOut { extension: text(extension) }),
        (None, _, Caller::Extension(own)) => {
            LeadsTo::Talk(Wish::LogOutOf { extension: own.clone(), needs_pin: true })
        }
        (None, _, Caller::Device(_)) => match seat {
            Some(seat) if needs_pin => {
                LeadsTo::Talk(Wish::LogOutOf { extension: seat.extension.clone(), needs_pin })
            }
            Some(_) => LeadsTo::LeaveHere,
            None => LeadsTo::Refuse(Refusal::NobodySits),
        },
    }
}

/// Whether a PIN may stand in what is dialled (SEC-9), and can be one.
fn dialled_whole<'a>(tenant: &Tenant, pin: &[u8], goes_on: LeadsTo<'a>) -> LeadsTo<'a> {
    if !tenant.seats.dial_pin {
        LeadsTo::Refuse(Refusal::PinNotDialled)
    } else if pin.len() > Pin::LENGTH_MAX {
        LeadsTo::Refuse(Refusal::Malformed)
    } else {
        goes_on
    }
}

fn text(extension: &[u8]) -> Box<str> {
    String::from_utf8_lossy(extension).into()
}
