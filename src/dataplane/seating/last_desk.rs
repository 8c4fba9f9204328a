//! Which desks are kept for who has left them (CAP-23).

use crate::context::{Context, Work};
use crate::hotdesk::{Cause, Place, Seat};

/// A seat has ended and nobody follows at its device. It is kept for who left, or was logged out by the clock, and not for
/// whom an operator or the configuration put out.
pub(crate) fn keep_desk(work: &Work<'_>, cause: Cause, seat: &Seat) {
    let Context { settings, tables, .. } = &*work.ctx;
    if matches!(cause, Cause::Forced | Cause::Removed | Cause::PinChanged | Cause::LogIn) {
        return;
    }
    let Some(home) = settings.tenant(seat.extension.tenant()) else { return };
    let person = home.extension(seat.extension.name());
    if let Some(keep) = person.and_then(|person| home.absent(person).last_desk()) {
        tables.kept_desks.keep(seat, work.now.mono + keep);
    }
}

/// Settings are new: desks and extensions that are no more are forgotten.
pub(crate) fn forget_desks(ctx: &Context) {
    let exists = |place: &Place| {
        let tenant = ctx.settings.tenant(place.tenant());
        tenant.is_some_and(|it| it.device(place.name()).is_some() || it.extension(place.name()).is_some())
    };
    ctx.tables.kept_desks.retain(exists);
}
