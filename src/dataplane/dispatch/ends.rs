//! Seats that end by themselves: the worker that sees to it for all plans them, looks at what is due, warns, ends.

use std::sync::Arc;
use std::time::Duration;

use super::{Leaving, Rooms};
use crate::audit::Event;
use crate::context::{Context, Work};
use crate::hotdesk::{DeferredEnd, Look, Occasion, Origin, Seat, Surface};
use crate::now::Now;
use crate::seating::{self, customer_of};

/// Below this the wall clock is slewed, which adds up, or read late; above it somebody has set it.
const STEP_MIN: u64 = 1_000;

/// By then every worker has heard of new settings.
const SETTINGS_HEARD: Duration = Duration::from_secs(10);

/// Seats that are told to end, or end, in a second: the hundred thousand of a tenant that go home at six take half a minute, and
/// the audit trail, which takes four times as many at once, has room for an emergency call.
const LOOKS_A_SECOND: usize = 4_096;

impl Rooms {
    /// A change of seats stands: its ends are forgotten and planned.
    pub(super) fn plan_ends<'s>(
        &self,
        work: &Work<'_>,
        ended: impl IntoIterator<Item = &'s Seat>,
        begun: Option<&Seat>,
    ) {
        for seat in ended {
            work.ctx.tables.timeouts.forget(seat);
        }
        if let Some(seat) = begun {
            plan(work, seat, Occasion::Stands);
        }
    }

    /// The ends of all seats are planned anew, a few at a time.
    pub(crate) fn plan_all(&mut self, ctx: &Context, occasion: Occasion, now: Now) {
        self.wall_ahead = wall_ahead(now);
        self.planning = (ctx.tables.seats.snapshot().into(), occasion);
    }

    /// After a reload the ends of all seats are planned by the new settings; once more when every worker has heard of
    /// them, for the seats that one has planned by the old ones meanwhile.
    pub(crate) fn plan_by_new_settings(&mut self, work: &Work<'_>) {
        self.plan_all(work.ctx, Occasion::Reloaded, work.now);
        self.plan_again = Some(work.now.mono + SETTINGS_HEARD);
    }

    /// Once a second: what is due is looked at, and whether somebody has set the wall clock.
    pub(super) fn mind_the_clock(&mut self, work: &Work<'_>) {
        self.looks_left = LOOKS_A_SECOND;
        let step = wall_ahead(work.now).wrapping_sub(self.wall_ahead).cast_signed().unsigned_abs();
        if step >= STEP_MIN {
            // Durations have not changed, so one plan is no loss for this and for what is not planned to the end.
            let (seats, occasion) = &self.planning;
            let occasion = if seats.is_empty() { Occasion::Stands } else { *occasion };
            self.plan_all(work.ctx, occasion, work.now);
        }
        if self.plan_again.is_some_and(|at| at <= work.now.mono) {
            self.plan_again = None;
            self.plan_all(work.ctx, Occasion::Reloaded, work.now);
        }
    }

    /// True if [`Self::see_to_ends`] has something to do.
    pub(super) fn has_ends_to_see_to(&self) -> bool {
        self.looks_left > 0 || !self.planning.0.is_empty()
    }

    /// Plans at most `limit` seats, and looks at about as many that are due.
    pub(super) fn see_to_ends(&mut self, work: &mut Work<'_>, limit: usize) {
        let (seats, occasion) = &mut self.planning;
        for seat in seats.drain(..limit.min(seats.len())) {
            plan(work, &seat, *occasion);
        }
        let limit = limit.min(self.looks_left);
        if limit == 0 {
            return;
        }
        let tables = Arc::clone(&work.ctx.tables);
        let looks = tables.timeouts.look(limit, work.now, |device| seating::is_idle(work, device));
        self.looks_left = if looks.len() < limit { 0 } else { self.looks_left.saturating_sub(looks.len()) };
        for Look { device, epoch, end, is_over } in looks {
            let customer = customer_of(&work.ctx.settings, &device);
            let seat = tables.seats.seat_at(&customer, &device).filter(|seat| seat.epoch == epoch);
            let Some(seat) = seat else { continue };
            if is_over {
                let (surface, origin) = (Surface::Clock, Origin::default());
                let end = DeferredEnd { customer, epoch, cause: end.cause, surface, origin };
                self.leaving.push_back(Leaving { device, end, now: false, last_of: None });
            } else {
                let event = Event::of_ending(&seat, end.cause, end.at, work.now.wall, &work.ctx.settings);
                work.out.event(event);
            }
        }
    }
}

/// It may wrap, and its differences are right all the same.
fn wall_ahead(now: Now) -> u64 {
    now.wall.wrapping_sub(now.mono.0 / 1_000_000)
}

fn plan(work: &Work<'_>, seat: &Seat, occasion: Occasion) {
    let Context { settings, tables, .. } = &*work.ctx;
    let (device, extension) = (&seat.device, &seat.extension);
    let names = ((device.tenant(), device.name()), (extension.tenant(), extension.name()));
    match settings.terms(names.0, names.1) {
        Some((tenant, terms)) => {
            let warn_before = tenant.seats.warn_before;
            tables.timeouts.plan(seat, &terms, &tenant.time_zone, warn_before, occasion, work.now);
        }
        // Device or extension is gone, and the seat with it.
        None => tables.timeouts.forget(seat),
    }
}
