//! When seats end by themselves: what one table of the file says, what that comes to for one seat, and which instant a
//! time of day is.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Time;

/// Longest time after which a seat may end, and longest booking, of the control API too.
pub const TERM_MAX: Duration = Duration::from_secs(366 * 86_400);

/// How long something may last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Whatever the tables after this one say.
    Never,
    /// So long.
    After(Duration),
}

/// A time of day on the wall of a site: hours and minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay {
    hour: u8,
    minute: u8,
}

impl TimeOfDay {
    /// `None` unless there is such a time: 0 to 23 hours, 0 to 59 minutes.
    pub fn new(hour: u8, minute: u8) -> Option<Self> {
        (hour < 24 && minute < 60).then_some(Self { hour, minute })
    }

    /// Reads `HH:MM`, two digits each.
    pub fn parse(text: &str) -> Option<Self> {
        let two = |digits: &str| {
            let is_two = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_digit());
            is_two.then(|| digits.parse().ok()).flatten()
        };
        let (hour, minute) = text.split_once(':')?;
        Self::new(two(hour)?, two(minute)?)
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.hour, self.minute)
    }
}

/// When seats end by themselves, as the table of a device, an extension, a site or a tenant says. What one leaves open is
/// decided by the next in that order; what none says is *never*.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// Without a call or a code at the device.
    pub idle: Option<Limit>,
    /// Since the log-in.
    pub absolute: Option<Limit>,
    /// Every day at these times; an empty list: at none.
    pub times: Option<Vec<TimeOfDay>>,
}

/// What holds for one seat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms<'a> {
    /// Without a call or a code at the device.
    pub idle: Option<Duration>,
    /// Since the log-in.
    pub absolute: Option<Duration>,
    /// Every day at these times.
    pub times: &'a [TimeOfDay],
}

impl<'a> Terms<'a> {
    /// Of several tables the first that says something, each of the three for itself.
    pub fn of(tables: &[&'a Ends]) -> Self {
        let limit = |of: fn(&Ends) -> Option<Limit>| match tables.iter().find_map(|ends| of(ends)) {
            Some(Limit::After(span)) => Some(span),
            Some(Limit::Never) | None => None,
        };
        Self {
            idle: limit(|ends| ends.idle),
            absolute: limit(|ends| ends.absolute),
            times: tables.iter().find_map(|ends| ends.times.as_deref()).unwrap_or_default(),
        }
    }
}

/// Where a tenant's clocks hang: the rules by which they are put forward and back. UTC by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeZone(jiff::tz::TimeZone);

impl Default for TimeZone {
    fn default() -> Self {
        Self(jiff::tz::TimeZone::UTC)
    }
}

impl From<jiff::tz::TimeZone> for TimeZone {
    fn from(zone: jiff::tz::TimeZone) -> Self {
        Self(zone)
    }
}

impl TimeZone {
    /// The zone of these rules, as POSIX writes them in `TZ`, such as `CET-1CEST,M3.5.0,M10.5.0/3`.
    pub fn of_rules(rules: &str) -> Option<Self> {
        jiff::tz::TimeZone::posix(rules).ok().map(Self)
    }

    /// The first instant after `after` at which the clocks show one of `times`; both in milliseconds since 1970-01-01
    /// UTC. A time that the clocks skip in spring is as long after the last one before it as it would have been; of a time
    /// they show twice in autumn the first counts, and the second is passed over (as RFC 5545 §3.3.5 has it).
    pub fn next(&self, times: &[TimeOfDay], after: u64) -> Option<u64> {
        let after = Timestamp::from_millisecond(i64::try_from(after).ok()?).ok()?;
        let today = self.0.to_datetime(after).date();
        // There are places that have skipped a day.
        let days = std::iter::successors(Some(today), |day| day.tomorrow().ok()).take(3);
        let instants = days.flat_map(|day| {
            times.iter().filter_map(move |time| {
                let shown = day.to_datetime(Time::new(time.hour as i8, time.minute as i8, 0, 0).ok()?);
                self.0.to_ambiguous_timestamp(shown).compatible().ok()
            })
        });
        let next = instants.filter(|instant| *instant > after).min()?;
        u64::try_from(next.as_millisecond()).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::Blueprint;

    fn berlin() -> TimeZone {
        TimeZone::of_rules("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    fn instant(text: &str) -> u64 {
        text.parse::<Timestamp>().unwrap().as_millisecond() as u64
    }

    fn next(times: &[&str], after: &str) -> String {
        let times: Vec<_> = times.iter().map(|time| TimeOfDay::parse(time).unwrap()).collect();
        let next = berlin().next(&times, instant(after)).unwrap();
        Timestamp::from_millisecond(next as i64).unwrap().to_string()
    }

    #[test]
    fn next_time_of_day_is_the_first_one_after() {
        assert_eq!(next(&["18:00"], "2026-01-15T16:59:59Z"), "2026-01-15T17:00:00Z");
        assert_eq!(next(&["18:00"], "2026-01-15T17:00:00Z"), "2026-01-16T17:00:00Z");
        assert_eq!(next(&["22:00", "06:00", "14:00"], "2026-07-15T05:00:00Z"), "2026-07-15T12:00:00Z");
        assert_eq!(berlin().next(&[], instant("2026-01-15T17:00:00Z")), None);
    }

    #[test]
    fn evening_stays_an_evening_when_the_clocks_change() {
        assert_eq!(next(&["18:00"], "2026-03-28T18:00:00Z"), "2026-03-29T16:00:00Z");
        assert_eq!(next(&["18:00"], "2026-10-24T17:00:00Z"), "2026-10-25T17:00:00Z");
    }

    #[test]
    fn time_that_does_not_exist_in_spring_is_as_long_after_the_one_before() {
        // The clocks go from 02:00 to 03:00 at 01:00 UTC.
        assert_eq!(next(&["02:30"], "2026-03-28T12:00:00Z"), "2026-03-29T01:30:00Z");
        assert_eq!(next(&["02:30"], "2026-03-29T01:30:00Z"), "2026-03-30T00:30:00Z");
    }

    #[test]
    fn time_that_comes_twice_in_autumn_counts_once() {
        // The clocks go from 03:00 to 02:00 at 01:00 UTC: 02:30 is at 00:30 and at 01:30 UTC.
        assert_eq!(next(&["02:30"], "2026-10-24T12:00:00Z"), "2026-10-25T00:30:00Z");
        assert_eq!(next(&["02:30"], "2026-10-25T00:30:00Z"), "2026-10-26T01:30:00Z");
    }

    #[test]
    fn times_of_day_are_read_with_two_digits_each() {
        assert_eq!(TimeOfDay::parse("06:05").map(|time| time.to_string()).as_deref(), Some("06:05"));
        for text in ["24:00", "6:05", "06:60", "06:5", "0605", "", ":", "+6:05", "06:05:00"] {
            assert_eq!(TimeOfDay::parse(text), None, "{text}");
        }
    }

    proptest! {
        /// Q2: device, extension, site, tenant; a site that insists comes before the extension; none says *never*.
        #[test]
        fn end_of_a_seat_is_that_of_the_first_table_which_gives_it(
            given in proptest::array::uniform4(proptest::option::of(1_u64..5)),
            never in proptest::array::uniform4(any::<bool>()),
            forced: bool,
        ) {
            let limit = |table: usize| given[table].map(|hours| match never[table] {
                true => Limit::Never,
                false => Limit::After(Duration::from_secs(hours * 3600)),
            });
            let ends = |table| Ends { absolute: limit(table), ..Ends::default() };
            let mut blueprint = Blueprint::demo(1);
            blueprint.device("desk-1").ends = ends(0);
            blueprint.extension("1001").ends = ends(1);
            blueprint.tenants[0].sites[0].ends = ends(2);
            blueprint.tenants[0].sites[0].ends_forced = forced;
            blueprint.seats().ends = ends(3);

            let settings = blueprint.settings(1);
            let (_, terms) = settings.terms(("demo", "desk-1"), ("demo", "1001")).unwrap();

            let order = if forced { [0, 2, 1, 3] } else { [0, 1, 2, 3] };
            let first = order.into_iter().find_map(limit).unwrap_or(Limit::Never);
            prop_assert_eq!(terms.absolute.map_or(Limit::Never, Limit::After), first);
        }
    }

    #[test]
    fn first_table_that_says_something_decides_each_for_itself() {
        let hour = Duration::from_secs(3600);
        let device = Ends { idle: Some(Limit::Never), ..Ends::default() };
        let evening = vec![TimeOfDay::parse("18:00").unwrap()];
        let site = Ends { times: Some(evening.clone()), ..Ends::default() };
        let tenant = Ends {
            idle: Some(Limit::After(hour)),
            absolute: Some(Limit::After(hour * 12)),
            times: Some(Vec::new()),
        };

        let terms = Terms::of(&[&device, &site, &tenant]);

        assert_eq!(terms, Terms { idle: None, absolute: Some(hour * 12), times: &evening });
        assert_eq!(Terms::of(&[]), Terms::default());
    }
}
