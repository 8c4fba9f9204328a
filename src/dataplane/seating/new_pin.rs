//! Another PIN: asked of the backends as a log-in is, with the old one as its proof.
//!
//! ```text
//!  ChangePin ─► PIN backends ─► old one right, new one good, kept in the store ─► said
//!     │              └─ wrong: counts as at a log-in; too simple, fixed ────────► said why
//!     └─ locked ────────────────────────────────────────────────────────────────► said why
//! ```

use super::{PIN_WITHIN, was_right, wrong_pin};
use crate::audit::{Event, Kind};
use crate::context::Work;
use crate::effect::{Effect, LogIn};
use crate::output::Output;
use crate::pending::{Pending, Waiting};
use crate::query::{FALLBACK_PIN, Pin, PinChange, PinChangeVerdict, Query};
use crate::refusal::Refusal;

/// First leg of another PIN: it is open to whoever has one, and tries at the old one count as those of a log-in.
pub(crate) fn change_pin(
    work: &mut Work<'_>,
    pending: &mut Pending,
    by: LogIn,
    old: Pin,
    new: Pin,
) -> Option<Effect> {
    if pending.is_full() {
        return Some(by.refused(Refusal::Busy));
    }
    if work.ctx.tables.pins.attempt(&by.device, &by.extension, work.now.mono).is_err() {
        return Some(by.refused(Refusal::Locked));
    }
    let change = PinChange {
        extension: by.extension.clone(),
        old,
        new,
        device: by.device.clone(),
        surface: by.surface,
        deadline: work.now.mono + PIN_WITHIN,
    };
    let query = pending.insert(Waiting::NewPin(by))?;
    work.out.push(Output::Ask(query, Query::ChangePin(change)));
    None
}

/// The PIN backends answered to a wish for another PIN.
pub(crate) fn on_pin_changed(work: &mut Work<'_>, mut by: LogIn, verdict: PinChangeVerdict) -> Effect {
    let tables = &work.ctx.tables;
    let (refusal, is_own) = match verdict {
        PinChangeVerdict::Rejected(reject) => return wrong_pin(work, by, reject),
        PinChangeVerdict::Unavailable => {
            tables.pins.void(&by.device, &by.extension);
            return by.refused(Refusal::PinUnavailable);
        }
        PinChangeVerdict::Changed { was_fallback } => {
            by.origin.by = was_fallback.then(|| FALLBACK_PIN.into());
            (None, true)
        }
        PinChangeVerdict::TooSimple { is_fallback } => (Some(Refusal::PinTooSimple), !is_fallback),
        PinChangeVerdict::Fixed => (Some(Refusal::PinFixed), true),
    };
    was_right(tables, &by, is_own);
    match refusal {
        None => {
            record(work, &by);
            Effect::PinChanged(by.asker)
        }
        Some(refusal) => by.refused(refusal),
    }
}

/// A PIN is another from now on: whoever looks into a stolen extension will ask where that was.
fn record(work: &mut Work<'_>, by: &LogIn) {
    let event = Event::new(Kind::PinChange, "pin-change", by.extension.tenant(), work.now.wall)
        .at_device(&by.device, &work.ctx.settings)
        .of_extension(&by.extension)
        .by_way_of(by.surface)
        .asked_by(&by.origin);
    work.out.event(event);
}
