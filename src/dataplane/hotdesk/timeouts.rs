//! When seats end by themselves: idle, after a time, at a time of day, at the end of a booking (RULES §1, §5).
//!
//! ```text
//!            plan                      look, warn_before ahead         look, in time
//!  seat ──────────────► waits ──────────────────────────────► told ──────────────────► ends
//!                         ▲ │ a call or a code moves the idle end; the entry fires, is read again, waits on
//!                         └─┘
//! ```
//!
//! Durations run on the monotonic clock, times of day and bookings on the wall clock. An entry says when it is to be
//! looked at next; what it then comes to is computed anew, so activity writes one instant and moves nothing. After a
//! restart all follows from the stored seat and the settings; activity is not stored, idle time begins anew.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::change::{Cause, Seat};
use super::place::{Named, Place};
use crate::hash::NameHasher;
use crate::now::{Mono, Now};
use crate::settings::{Terms, TimeZone};
use crate::sharded::Sharded;

/// How soon a seat is looked at again that would be idle if no call were up at its device, or no hold.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// The two clocks are read in different units, and the wall clock is slewed.
const JITTER: Duration = Duration::from_secs(1);

/// Why a seat is planned (again).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// It has just begun, or is out of the store, or the wall clock was put forward or back: times of day since the log-in
    /// count, and durations that run go on as they were.
    Stands,
    /// The settings are new: an edit ends nobody's seat before there was time to warn of it (USR-10).
    Reloaded,
}

/// When the seat at a device will end by itself, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextEnd {
    /// Wall clock in milliseconds since 1970-01-01 UTC.
    pub at: u64,
    /// Why.
    pub cause: Cause,
}

/// What is to be done about a seat that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Where it stands.
    pub device: Place,
    /// Which.
    pub epoch: u64,
    /// When it ends, and why.
    pub end: NextEnd,
    /// True: it ends now. False: its end draws near, and it is to be told.
    pub is_over: bool,
}

/// All seats that end by themselves: one entry a seat, none for a seat that ends in no such way.
#[derive(Debug)]
pub struct Timeouts {
    shards: Sharded<Shard>,
}

#[derive(Debug, Default)]
struct Shard {
    seats: HashMap<Place, Timeout, NameHasher>,
    /// When each is looked at.
    due: BTreeSet<(Mono, Place)>,
}

/// The ends of one seat.
#[derive(Debug)]
struct Timeout {
    epoch: u64,
    look: Mono,
    /// Without activity for so long.
    idle: Option<Duration>,
    /// The last call or code.
    active: Mono,
    /// It has stood for its time.
    absolute: Option<Mono>,
    /// The next time of day, and the end of the booking; the earlier of the two counts.
    civil: [Option<NextEnd>; 2],
    /// From when on times of day count, wall clock.
    anchor: u64,
    warn_before: Duration,
    /// The end that was told of.
    warned: Option<Mono>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self::new()
    }
}

impl Timeouts {
    /// No seat ends.
    pub fn new() -> Self {
        Self { shards: Sharded::new(NameHasher::default()) }
    }

    /// Plans the ends of a seat that stands, under the terms of today. An older seat at the device is forgotten; if the
    /// device has a later one by now, nothing changes.
    pub fn plan(
        &self,
        seat: &Seat,
        terms: &Terms<'_>,
        zone: &TimeZone,
        warn_before: Duration,
        occasion: Occasion,
        now: Now,
    ) {
        self.shards.with(&seat.device, |shard| {
            let known = shard.seats.get(&seat.device);
            if known.is_some_and(|known| known.epoch > seat.epoch) {
                return;
            }
            let known = known.filter(|known| known.epoch == seat.epoch);
            let timeout = Timeout::of(seat, known, terms, zone, warn_before, occasion, now);
            shard.put(&seat.device, timeout);
        });
    }

    /// A seat has ended, or its device has a new one. Nothing happens to a later one.
    pub fn forget(&self, seat: &Seat) {
        self.shards.with(&seat.device, |shard| {
            if shard.seats.get(&seat.device).is_some_and(|known| known.epoch <= seat.epoch) {
                shard.put(&seat.device, None);
            }
        });
    }

    /// Somebody used the device: a call began or ended there, or a code was dialled. A refreshed registration is no use.
    pub fn used(&self, device: &dyn Named, now: Mono) {
        self.shards.with(device, |shard| {
            if let Some(timeout) = shard.seats.get_mut(device) {
                timeout.active = now;
            }
        });
    }

    /// When the seat of this epoch at a device will end, if by itself.
    pub fn next_end(&self, device: &dyn Named, epoch: u64, now: Now) -> Option<NextEnd> {
        self.shards.with(device, |shard| {
            let timeout = shard.seats.get(device).filter(|timeout| timeout.epoch == epoch)?;
            let (at, cause) = timeout.end(now)?;
            Some(NextEnd { at: wall_of(at, now), cause })
        })
    }

    /// Looks at what is due: at most about `max` seats, the rest when it is called again. `is_free` says whether no call
    /// is up at a device, and no emergency hold: until then nobody is idle there. It is asked under a lock and must not
    /// come back to this table.
    pub fn look(&self, max: usize, now: Now, is_free: impl Fn(&Place) -> bool) -> Vec<Look> {
        let mut looks = Vec::new();
        self.shards.each(|shard| {
            while looks.len() < max
                && shard.due.first().is_some_and(|(at, _)| *at <= now.mono)
                && let Some((_, device)) = shard.due.pop_first()
            {
                shard.look_at(device, now, &is_free, &mut looks);
            }
        });
        looks
    }

    /// How many seats end by themselves.
    pub fn len(&self) -> usize {
        let mut count = 0;
        self.shards.each(|shard| count += shard.seats.len());
        count
    }

    /// True if none does.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Shard {
    /// One entry in `due` for each in `seats`.
    fn put(&mut self, device: &Place, timeout: Option<Timeout>) {
        let look = timeout.as_ref().map(|timeout| timeout.look);
        let before = match timeout {
            Some(timeout) => self.seats.insert(device.clone(), timeout),
            None => self.seats.remove(device),
        };
        if let Some(before) = before {
            self.due.remove(&(before.look, device.clone()));
        }
        if let Some(look) = look {
            self.due.insert((look, device.clone()));
        }
    }

    fn look_at(&mut self, device: Place, now: Now, is_free: &impl Fn(&Place) -> bool, looks: &mut Vec<Look>) {
        let Some(timeout) = self.seats.get_mut(&device) else { return };
        let Some((at, cause)) = timeout.end(now) else { return };
        let end = NextEnd { at: wall_of(at, now), cause };
        let warn_at = Mono(at.0.saturating_sub(nanos(timeout.warn_before)));
        if timeout.warned.is_some_and(|warned| warned + JITTER < at) {
            timeout.warned = None; // Somebody has stayed.
        }
        let is_near = warn_at <= now.mono;
        if cause == Cause::Idle && is_near && !is_free(&device) {
            // Nobody is idle in a call; its end will be the last use.
            timeout.look = now.mono + LOOK_AGAIN;
        } else if is_near && timeout.warned.is_none() {
            timeout.warned = Some(at);
            looks.push(Look { device: device.clone(), epoch: timeout.epoch, end, is_over: false });
            timeout.look = at;
        } else if at <= now.mono {
            looks.push(Look { device: device.clone(), epoch: timeout.epoch, end, is_over: true });
            self.seats.remove(&device);
            return;
        } else {
            timeout.look = if timeout.warned.is_some() { at } else { warn_at };
        }
        self.due.insert((timeout.look, device));
    }
}

impl Timeout {
    /// `None` if it ends in no way.
    fn of(
        seat: &Seat,
        known: Option<&Self>,
        terms: &Terms<'_>,
        zone: &TimeZone,
        warn_before: Duration,
        occasion: Occasion,
        now: Now,
    ) -> Option<Self> {
        // What an edit brings nearer leaves time to warn; what was as near before stays where it was.
        let not_before = |at: Mono, before: Option<Mono>| match occasion {
            Occasion::Stands => at,
            Occasion::Reloaded => at.max(before.unwrap_or(Mono(u64::MAX)).min(now.mono + warn_before)),
        };
        let absolute = match (occasion, known) {
            (Occasion::Stands, Some(known)) => known.absolute,
            _ => terms.absolute.map(|span| {
                let age = Duration::from_millis(now.wall.saturating_sub(seat.since));
                not_before(now.mono + span.saturating_sub(age), known.and_then(|known| known.absolute))
            }),
        };
        let mut active = known.map_or(now.mono, |known| known.active);
        if let Some(idle) = terms.idle {
            let before = known.and_then(|known| Some(known.active + known.idle?));
            active = Mono(not_before(active + idle, before).0.saturating_sub(nanos(idle)));
        }
        // What was passed over when the clock was put forward has come; what will come again after it was put back counts.
        let anchor = match occasion {
            Occasion::Stands => known.map_or(seat.since, |known| known.anchor).min(now.wall),
            Occasion::Reloaded => now.wall,
        };
        let come = known.and_then(|known| known.civil[0]).filter(|ending| ending.at <= now.wall);
        let next = || Some(NextEnd { at: zone.next(terms.times, anchor)?, cause: Cause::TimeOfDay });
        let time_of_day = come.or_else(next);
        let booking = seat.until.map(|at| NextEnd { at, cause: Cause::Booking });
        let mut timeout = Self {
            epoch: seat.epoch,
            look: now.mono,
            idle: terms.idle,
            active,
            absolute,
            civil: [time_of_day, booking],
            anchor,
            warn_before,
            warned: known.and_then(|known| known.warned),
        };
        let (at, _) = timeout.end(now)?;
        timeout.look = match timeout.warned {
            Some(_) => now.mono,
            None => Mono(at.0.saturating_sub(nanos(warn_before))),
        };
        Some(timeout)
    }

    /// When it ends as things stand, and why; of several at once the one that is listed first.
    fn end(&self, now: Now) -> Option<(Mono, Cause)> {
        let civil = self.civil.iter().flatten().map(|ending| (mono_of(ending.at, now), ending.cause));
        let idle = self.idle.map(|idle| (self.active + idle, Cause::Idle));
        let absolute = self.absolute.map(|at| (at, Cause::Absolute));
        civil.chain(absolute).chain(idle).min_by_key(|(at, _)| *at)
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// What the monotonic clock will show when the wall clock shows `wall`; now if that has passed.
fn mono_of(wall: u64, now: Now) -> Mono {
    now.mono + Duration::from_millis(wall.saturating_sub(now.wall))
}

fn wall_of(mono: Mono, now: Now) -> u64 {
    let ahead = u64::try_from(mono.since(now.mono).as_millis()).unwrap_or(u64::MAX);
    now.wall.saturating_add(ahead)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hotdesk::Surface;

    const HOUR: Duration = Duration::from_secs(3600);

    fn now(seconds: u64) -> Now {
        Now { mono: Mono(seconds * 1_000_000_000), wall: 1_767_225_600_000 + seconds * 1_000 }
    }

    fn seat(device: &str) -> Seat {
        Seat {
            device: Place::new("acme", device),
            extension: Place::new("acme", "1001"),
            epoch: 1,
            since: now(0).wall,
            surface: Surface::Dialled,
            until: None,
        }
    }

    fn plan(timeouts: &Timeouts, seat: &Seat, terms: Terms<'_>) {
        let zone = TimeZone::default();
        timeouts.plan(seat, &terms, &zone, Duration::from_secs(300), Occasion::Stands, now(0));
    }

    #[test]
    fn hundred_thousand_seats_that_end_at_once_are_looked_at_a_few_at_a_time_and_each_twice() {
        const SEATS: usize = 100_000;
        const AT_ONCE: usize = 256;
        let timeouts = Timeouts::new();
        let terms = Terms { absolute: Some(HOUR), ..Terms::default() };
        for device in 0..SEATS {
            plan(&timeouts, &seat(&format!("desk-{device}")), terms);
        }
        assert_eq!(timeouts.len(), SEATS);
        let look = |seconds, is_over| {
            let (mut turns, mut seen) = (0, 0);
            loop {
                let looks = timeouts.look(AT_ONCE, now(seconds), |_| true);
                assert!(looks.len() <= AT_ONCE, "a turn of {}", looks.len());
                assert!(looks.iter().all(|look| look.is_over == is_over));
                (turns, seen) = (turns + 1, seen + looks.len());
                if looks.is_empty() {
                    return (turns, seen);
                }
            }
        };

        assert_eq!(look(3_299, false), (1, 0), "nothing is due");
        assert_eq!(look(3_300, false), (SEATS.div_ceil(AT_ONCE) + 1, SEATS));
        assert_eq!(look(3_600, true), (SEATS.div_ceil(AT_ONCE) + 1, SEATS));
        assert!(timeouts.is_empty());
    }

    #[test]
    fn news_of_an_older_sitting_changes_nothing_for_a_later_one() {
        let timeouts = Timeouts::new();
        let (older, later) = (seat("desk-1"), Seat { epoch: 2, ..seat("desk-1") });
        let ends_after = |epoch| {
            let end = timeouts.next_end(&later.device, epoch, now(0))?;
            Some((end.at - now(0).wall) / 1_000)
        };
        plan(&timeouts, &older, Terms { absolute: Some(HOUR * 2), ..Terms::default() });
        plan(&timeouts, &later, Terms { absolute: Some(HOUR), ..Terms::default() });

        plan(&timeouts, &older, Terms { absolute: Some(HOUR * 2), ..Terms::default() });
        timeouts.forget(&older);
        assert_eq!((ends_after(1), ends_after(2)), (None, Some(3_600)));

        timeouts.forget(&later);
        assert!(timeouts.is_empty());
    }

    #[test]
    fn earliest_end_counts_and_use_moves_the_idle_one_alone() {
        let timeouts = Timeouts::new();
        let desk = Seat { until: Some(now(7_200).wall), ..seat("desk-1") };
        plan(&timeouts, &desk, Terms { idle: Some(HOUR), absolute: Some(HOUR * 3), ..Terms::default() });
        let end = |seconds: u64| {
            let end = timeouts.next_end(&desk.device, 1, now(seconds)).expect("it ends");
            (end.cause, (end.at - now(0).wall) / 1_000)
        };

        assert_eq!(end(0), (Cause::Idle, 3_600));
        timeouts.used(&desk.device, now(3_000).mono);
        assert_eq!(end(3_000), (Cause::Idle, 6_600));
        timeouts.used(&desk.device, now(6_000).mono);

        assert_eq!(end(6_000), (Cause::Booking, 7_200));
        assert_eq!(timeouts.next_end(&desk.device, 2, now(6_000)), None, "a later sitting is another");
    }
}
