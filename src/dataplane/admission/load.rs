//! What is refused when there is more to do than a worker can: so little and so late as possible, and in an order.
//!
//! A worker is overloaded when what comes has to wait, even where it waits least: a burst is over at some time, and in a
//! queue that is worked off there is always one who hardly had to wait (RFC 8289 §3.1). Who waits for too long begins to
//! repeat himself (T1), and so does the edge, so the goal is a small share of T1.
//!
//! ```text
//!  pressure   0 ───────── 2 ───────────── 2.7 ───────── 3.4 ─────── 7.4
//!  refused      log-ins     new REGISTER     refreshes      calls
//! ```
//!
//! Pressure counts how often that was halved which is let in, of one class after the other. It follows how far the
//! wait is from its goal and how it changes (RFC 8033 §4.2), or how much is lost where the queue is full already. Because it is
//! halvings, a step of it is the same share of what is done at twice what a worker can do and at ten times. Nothing is
//! refused of a dialog, and no call for help.

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

/// How things were on the ways into a worker for a short time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// Who waited least, on the way in where that was longest.
    pub(crate) least: Duration,
    /// Datagrams that were taken.
    pub(crate) taken: u32,
    /// Datagrams for which there was no room.
    pub(crate) lost: u32,
}

/// The goal is T1 over this, 25 ms: a call waits in the queue three or four times before it is up, and an answer of the edge
/// has to be back well within T1.
const GOAL_OF_T1: u32 = 20;

/// A clock of milliseconds, and others at the same processor, tell no shorter waits from none.
const GOAL_MIN: Duration = Duration::from_millis(5);

/// A burst of all phones of an office at once has them wait; that is over after so long.
const BURST: Duration = Duration::from_millis(250);

/// What came since the pressure was set last changes it by a quarter of what would be right if all of it was new: what
/// was let in has its answers and its BYE still to come.
const GAIN: f64 = 0.25;

/// What is refused of a class at twice the goal, in halvings a second; without any wait so much less is. So
/// everything is taken again within eight seconds.
const PULL: f64 = 1.2;

/// A wait beyond so many times the goal, less one, counts as so many.
const FAR: f64 = 8.0;

/// The pressure is set anew some forty times a second. Whoever is asked sooner or later than that is not believed
/// more.
const SPAN: std::ops::RangeInclusive<f64> = 0.005..=0.25;

/// Of so many datagrams that were taken one refusal is told. It costs as much as a registration, and its ACK has to be read; others
/// hear nothing and try again by themselves.
const TAKEN_FOR_AN_ANSWER: u32 = 256;

/// What a worker refuses.
#[derive(Debug, Default)]
pub(crate) struct Load {
    /// Halvings.
    pressure: f64,
    /// What is refused of each class, out of 2³².
    shares: [u32; 4],
    set_at: Mono,
    /// How long who came had waited, then.
    least: Duration,
    /// It is too long since then.
    long_since: Option<Mono>,
    answers: u32,
}

impl Load {
    /// Sets the pressure anew by how long who came had to wait since it was set last.
    pub(crate) fn waited(&mut self, now: Mono, waiting: Waiting, t1: Duration) {
        let span = now.since(self.set_at).as_secs_f64().clamp(*SPAN.start(), *SPAN.end());
        (self.set_at, self.answers) = (now, (waiting.taken / TAKEN_FOR_AN_ANSWER).max(1));
        let goal = (t1 / GOAL_OF_T1).max(GOAL_MIN);
        let grown =
            waiting.least.as_secs_f64() - std::mem::replace(&mut self.least, waiting.least).as_secs_f64();
        // What is lost would have waited for longer than there is room for.
        let least = if waiting.lost > 0 { waiting.least.max(goal * 2) } else { waiting.least };
        if least <= goal {
            self.long_since = None;
        } else {
            self.long_since.get_or_insert(now);
        }
        if self.pressure == 0.0 && self.long_since.is_none_or(|since| now.since(since) < BURST) {
            return;
        }
        // What came, as a multiple of what could be done: a queue that holds a second more after a second was given
        // twice as much.
        let taken = f64::from(waiting.taken.max(1));
        let came = (1.0 + grown / span) * (taken + f64::from(waiting.lost)) / taken;
        let off = (least.as_secs_f64() / goal.as_secs_f64() - 1.0).min(FAR);
        self.pressure += GAIN * came.clamp(0.25, 16.0).log2() + PULL * span * off;
        self.share_out();
    }

    /// Says for each class what the pressure means, and bounds it by what all of them can bear.
    fn share_out(&mut self) {
        let mut left = self.pressure.max(0.0);
        self.pressure = 0.0;
        for (class, share) in Class::ALL.into_iter().zip(&mut self.shares) {
            let halvings = left.min(class.halvings());
            let refused = if left < class.halvings() { 1.0 - (-halvings).exp2() } else { class.most() };
            *share = (refused * f64::from(u32::MAX)) as u32;
            self.pressure += halvings;
            left -= halvings;
        }
    }

    /// True if one of `class` is to be refused. `lot` is any number; who has the same is treated alike.
    pub(crate) fn refuses(&self, class: Class, lot: impl FnOnce() -> u32) -> bool {
        let share = self.shares[class as usize];
        share > 0 && lot() < share
    }

    /// True if there is time to tell somebody that he is refused.
    pub(crate) fn may_answer(&mut self) -> bool {
        let may = self.answers > 0;
        self.answers = self.answers.saturating_sub(1);
        may
    }

    /// True while something may be refused.
    pub(crate) fn is_high(&self) -> bool {
        self.pressure > 0.0
    }
}

impl Class {
    const ALL: [Self; 4] = [Self::LogIn, Self::NewRegistration, Self::Refresh, Self::Call];

    /// The largest share of them that is refused. To read one for nothing takes some fortieth of a call, and a fifth of
    /// what a registration takes, and twice that where a full socket has long left the caches; if all were read, ten times as many
    /// registrations as a worker can serve would leave it no time to serve any. What is not read the system drops.
    fn most(self) -> f64 {
        match self {
            Self::LogIn => 1.0,
            Self::NewRegistration | Self::Refresh => 3.0 / 8.0,
            Self::Call => 15.0 / 16.0,
        }
    }

    /// How often they can be halved. Log-ins are all refused then.
    fn halvings(self) -> f64 {
        match self {
            Self::LogIn => 2.0,
            _ => -(1.0 - self.most()).log2(),
        }
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod simulation;
