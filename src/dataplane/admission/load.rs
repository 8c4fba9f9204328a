//! What is refused when there is more to do than a worker can: so little and so late as possible, and in an order.
//!
//! A worker is overloaded when datagrams are lost because nobody took them from its socket in time. The system counts
//! these and tells the count with a batch. It says what no clock can: a socket that is never empty may belong to a worker
//! that is merely busy, and how long a datagram has waited depends on how many the socket may hold.
//!
//! ```text
//!  pressure   0 ─────────── 1 ─────────── 2 ─────────── 3 ─────────── 4
//!  refused        log-ins      new REGISTER    refreshes       calls
//! ```
//!
//! While datagrams are lost the pressure rises, and what comes next in the order is refused in part, then as far as it
//! may be; when none was lost for a while it falls, eight times slower. So it stays where hardly any is lost: whatever is
//! lost may belong to a call. Nothing is refused of a dialog, and no call for help.

use std::time::Duration;

use crate::now::Mono;

/// What can be refused, in the order in which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// A log-in, a subscription, or whatever a stranger begins: nobody is worse off than before.
    LogIn,
    /// A REGISTER of a phone that is not known yet.
    NewRegistration,
    /// A REGISTER of one that is, or that has been asked for its password: what was begun is brought to its end.
    Refresh,
    /// A call.
    Call,
}

/// Pressure of one class.
const CLASS: u32 = 1024;

/// How often the pressure is set anew.
const TICK: Duration = Duration::from_millis(25);

/// A burst of all phones of an office at once may overflow a socket; that is over after so long.
const BURST: Duration = Duration::from_millis(250);

/// Losses further apart than this are of different bursts.
const APART: Duration = Duration::from_secs(1);

/// Without a loss for so long, what is refused is enough.
const CALM: Duration = Duration::from_millis(250);

/// By how much the pressure rises in a tick with losses: from nothing to calls in little more than a second. What is refused of
/// a class changes by a sixteenth at a time, or there would be nothing to do after each rise.
const RISE: u32 = CLASS / 16;

/// By how much it falls in one without.
const FALL: u32 = CLASS / 128;

/// Refusals that are told in a tick, 5,000 a second. Each costs as much as a registration, so this is a twentieth of what a
/// worker can do; others hear nothing and try again by themselves.
const ANSWERS: u32 = 125;

/// What a worker refuses.
#[derive(Debug, Default)]
pub(crate) struct Load {
    pressure: u32,
    /// The last tick.
    set_at: Mono,
    /// Datagrams are lost since then.
    losing_since: Option<Mono>,
    lost_at: Mono,
    answers: u32,
}

impl Load {
    /// Datagrams were lost.
    pub(crate) fn overrun(&mut self, now: Mono) {
        if now.since(self.lost_at) > APART {
            self.losing_since = None;
        }
        self.losing_since.get_or_insert(now);
        self.lost_at = now;
        self.set(now);
    }

    /// True if one of `class` is to be refused; `random` is.
    pub(crate) fn refuses(&mut self, now: Mono, class: Class, random: impl FnOnce() -> u32) -> bool {
        if self.pressure == 0 {
            return false;
        }
        self.set(now);
        let share = self.pressure.saturating_sub(class as u32 * CLASS).min(CLASS) * class.most() / CLASS;
        share > 0 && random() % CLASS < share
    }

    /// True if there is time to tell somebody that he is refused.
    pub(crate) fn may_answer(&mut self) -> bool {
        let may = self.answers > 0;
        self.answers = self.answers.saturating_sub(1);
        may
    }

    /// True while something may be refused.
    pub(crate) fn is_high(&self) -> bool {
        self.pressure > 0
    }

    /// Sets the pressure anew if it is time: by whether anything was lost since it was set last. The system tells of
    /// losses now and then only, since it gives room in a socket back by the quarter.
    fn set(&mut self, now: Mono) {
        let ticks = (now.since(self.set_at).as_millis() / TICK.as_millis()) as u32;
        if ticks == 0 {
            return;
        }
        if self.lost_at > self.set_at && self.losing_since.is_some_and(|since| now.since(since) >= BURST) {
            self.pressure = (self.pressure + RISE).min(CLASS * 4);
        } else if now.since(self.lost_at) > CALM {
            self.pressure = self.pressure.saturating_sub(FALL.saturating_mul(ticks));
        }
        (self.set_at, self.answers) = (now, ANSWERS);
    }
}

impl Class {
    /// The largest share of them that is refused, out of 1,024. To read one for nothing takes a tenth of what a
    /// registration takes and a fortieth of a call; if all were read, ten times as many as a worker can serve would leave
    /// it no time to serve any. What is not read the system drops.
    fn most(self) -> u32 {
        match self {
            Self::LogIn => CLASS,
            Self::NewRegistration | Self::Refresh => CLASS * 5 / 8,
            Self::Call => CLASS * 15 / 16,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Class; 4] = [Class::LogIn, Class::NewRegistration, Class::Refresh, Class::Call];

    fn at(millis: u64) -> Mono {
        Mono::from_seconds(100) + Duration::from_millis(millis)
    }

    /// How many of a thousand of each class are refused.
    fn refused(load: &mut Load, now: Mono) -> [u32; 4] {
        ALL.map(|class| (0..1024).map(|random| u32::from(load.refuses(now, class, || random))).sum())
    }

    fn lose(load: &mut Load, millis: std::ops::RangeInclusive<u64>) {
        millis.step_by(10).for_each(|millis| load.overrun(at(millis)));
    }

    #[test]
    fn a_burst_that_overflows_a_socket_refuses_nobody() {
        let mut load = Load::default();

        lose(&mut load, 0..=200);

        assert_eq!(refused(&mut load, at(200)), [0; 4]);
        lose(&mut load, 5_000..=5_200);
        assert_eq!(refused(&mut load, at(5_200)), [0; 4], "nor does the next");
    }

    #[test]
    fn classes_are_refused_in_their_order_and_none_wholly_but_log_ins() {
        let mut load = Load::default();
        let mut before = [0; 4];
        for until in (300..=2_600).step_by(50) {
            lose(&mut load, until - 300..=until);
            let now = refused(&mut load, at(until));
            assert!(now.iter().zip(&before).all(|(now, before)| now >= before), "{before:?} {now:?}");
            let full = [1024, 640, 640, 960];
            for later in 1..4 {
                assert!(now[later] == 0 || now[later - 1] == full[later - 1], "{now:?}");
            }
            before = now;
        }
        assert_eq!(before, [1024, 640, 640, 960]);
    }

    #[test]
    fn what_was_refused_last_is_taken_first_when_it_is_calm_again() {
        let mut load = Load::default();
        lose(&mut load, 0..=2_600);

        assert_eq!(refused(&mut load, at(2_800)), [1024, 640, 640, 960], "not at once");
        let calmer = refused(&mut load, at(4_600));
        assert!(calmer[3] < 960 && calmer[2] == 640, "{calmer:?}");
        assert_eq!(refused(&mut load, at(17_000)), [0; 4]);
        assert!(!load.is_high());
    }

    #[test]
    fn losses_that_are_told_of_now_and_then_raise_the_pressure_as_others_do() {
        let mut load = Load::default();

        for millis in 0..4_000 {
            if millis % 24 == 0 {
                load.overrun(at(millis));
            }
            load.refuses(at(millis), Class::Call, || 0);
        }

        assert_eq!(refused(&mut load, at(4_000)), [1024, 640, 640, 960]);
    }

    #[test]
    fn refusals_are_told_to_as_many_as_there_is_time_for() {
        let mut load = Load::default();
        lose(&mut load, 0..=1_000);

        let told = (0..10_000).filter(|_| load.may_answer()).count();

        assert_eq!(told, 125);
    }
}
