//! What is refused when there is more to do than a worker can: so little and so late as possible, and in an order.
//!
//! A worker is overloaded when what comes has to wait, even where it waits least: a burst is over at some time, and in a
//! queue that is worked off there is always one who hardly had to wait (RFC 8289 §3.1). Who waits for too long begins to
//! repeat himself (T1), and so does the edge, so the goal is a small share of T1.
//!
//! ```text
//!  pressure   0 ──────── 1 ─────────── 1.5 ───────── 1.7 ───────────── 3.7 ────── 8.7
//!  refused      log-ins    new REGISTER   refreshes    REGISTER unread      calls
//! ```
//!
//! Pressure counts how often that was halved which is let in, of one class after the other, and before calls in half steps. It
//! follows how far the wait is from its goal and how it changes (RFC 8033 §4.2), or how much is lost where the queue is
//! full already. Because it is halvings, a step of it is the same share of what is done at twice what a worker can do and at
//! ten times. Nothing is refused of a dialog, and no call for help.
//!
//! To read a REGISTER for nothing takes a fifth of what it takes to serve it. So of many times as many as can be served most
//! are left to the system, which drops them unread, in no time of the worker and with nothing else: what a full socket drops may be
//! a BYE, or a call for help.

use std::time::Duration;

use crate::flow::Flow;
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
    /// Datagrams for which there was no room, or that were to be left unread: the system counts them as one.
    pub(crate) lost: u32,
    /// The system does leave them unread.
    pub(crate) filters: bool,
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

/// What the pressure grows by a second at twice the goal.
const PULL: f64 = 1.2;

/// A wait beyond so many times the goal, less one, counts as so many.
const FAR: f64 = 8.0;

/// Hardly any wait counts as so many times the goal that are missing: what is left unread is missed only when the queue before
/// it is done, and by then too much may be left. So a worker that has time takes everything again within three seconds.
const IDLE: f64 = -4.0;

/// What hardly any wait is, as a part of the goal.
const IDLE_OF_GOAL: u32 = 5;

/// So often in a row: a small socket is empty by chance now and then, and calls that were let in have yet to be answered.
const IDLE_TIMES: u8 = 12;

/// Whoever saw no REGISTER for so long has none left unread.
const NONE_COMES: Duration = Duration::from_secs(1);

/// A small socket that is empty now and then loses so large a part of what comes in bursts, and gives so much between two settings.
const LOST_OF_BURST: u32 = 16;
const BUSY: u32 = 64;

/// Whoever waits for less came to a socket that was empty.
const NO_WAIT: Duration = Duration::from_millis(1);

/// The pressure is set anew some forty times a second. Whoever is asked sooner or later than that is not believed
/// more.
const SPAN: std::ops::RangeInclusive<f64> = 0.005..=0.25;

/// Of so many datagrams that were taken one refusal is told. It costs as much as a registration, and its ACK has to be read; others
/// hear nothing and try again by themselves.
const TAKEN_FOR_AN_ANSWER: u32 = 512;

/// What is done about it, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measure {
    RefuseLogIns,
    RefuseNewRegistrations,
    RefuseRefreshes,
    /// Whose they are nobody knows before they are read.
    LeaveRegistersUnread,
    RefuseCalls,
}

/// What a worker refuses.
#[derive(Debug, Default)]
pub(crate) struct Load {
    /// Halvings.
    pressure: f64,
    /// What is refused by each measure, out of 2³².
    shares: [u32; Measure::ALL.len()],
    set_at: Mono,
    /// How long who came had waited, then.
    least: Duration,
    /// How often hardly anybody had to.
    idle: u8,
    /// It is too long since then.
    long_since: Option<Mono>,
    answers: u32,
    /// The share that was left unread before it was set last.
    left: f64,
    /// The system drops that share.
    filters: bool,
    /// REGISTER requests that it did not drop since then.
    registers: u32,
    /// When there was one of these last.
    register_at: Mono,
}

impl Load {
    /// Sets the pressure anew by how long who came had to wait since it was set last. Says how many were left unread.
    pub(crate) fn waited(&mut self, now: Mono, mut waiting: Waiting, t1: Duration) -> u32 {
        let unread = if self.filters { self.unread_of(now, waiting.lost) } else { 0 };
        self.filters = waiting.filters;
        waiting.lost -= unread;
        self.set(now, waiting, t1);
        unread
    }

    /// How many of those that were lost were to be left unread, by how many of their kind were not: as many as there can be by
    /// chance, or a worker that has time would go on refusing for losses that are none.
    fn unread_of(&mut self, now: Mono, lost: u32) -> u32 {
        let left = f64::from(self.left_unread()) / f64::from(u32::MAX);
        let share = std::mem::replace(&mut self.left, left).max(left);
        let registers = f64::from(std::mem::take(&mut self.registers));
        if registers > 0.0 {
            self.register_at = now;
        } else if now.since(self.register_at) > NONE_COMES {
            return 0;
        }
        lost.min(((registers.sqrt() + 2.0).powi(2) * share / (1.0 - share)).round() as u32)
    }

    fn set(&mut self, now: Mono, waiting: Waiting, t1: Duration) {
        let span = now.since(self.set_at).as_secs_f64().clamp(*SPAN.start(), *SPAN.end());
        (self.set_at, self.answers) = (now, (waiting.taken / TAKEN_FOR_AN_ANSWER).max(1));
        let goal = (t1 / GOAL_OF_T1).max(GOAL_MIN);
        let grown =
            waiting.least.as_secs_f64() - std::mem::replace(&mut self.least, waiting.least).as_secs_f64();
        // A socket that somebody found empty, or that gave little, had room: what it dropped was damaged on its way, which
        // anybody can see to.
        let is_burst = waiting.taken >= BUSY && waiting.lost >= waiting.taken / LOST_OF_BURST;
        let lost = if is_burst || waiting.least >= NO_WAIT { waiting.lost } else { 0 };
        // What is lost would have waited for longer than there is room for.
        let least = if lost > 0 { waiting.least.max(goal * 2) } else { waiting.least };
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
        let came = (1.0 + grown / span) * (taken + f64::from(lost)) / taken;
        self.idle = if least < goal / IDLE_OF_GOAL { self.idle.saturating_add(1) } else { 0 };
        let off = least.as_secs_f64() / goal.as_secs_f64() - 1.0;
        let off = if self.idle < IDLE_TIMES { off.min(FAR) } else { IDLE };
        self.pressure += GAIN * came.clamp(0.25, 16.0).log2() + PULL * span * off;
        self.share_out();
    }

    /// Says for each measure what the pressure means, and bounds it by what all of them can bear.
    fn share_out(&mut self) {
        let mut left = self.pressure.max(0.0);
        self.pressure = 0.0;
        for (measure, share) in Measure::ALL.into_iter().zip(&mut self.shares) {
            let taken = (left / measure.span()).min(1.0);
            let refused =
                if taken < 1.0 { 1.0 - (-taken * measure.halvings()).exp2() } else { measure.most() };
            *share = (refused * f64::from(u32::MAX)) as u32;
            self.pressure += taken * measure.span();
            left -= taken * measure.span();
        }
    }

    /// True if one of `class` is to be refused. `lot` is any number; who has the same is treated alike.
    pub(crate) fn refuses(&self, class: Class, lot: impl FnOnce() -> u32) -> bool {
        let share = self.shares[class.measure() as usize];
        share > 0 && lot() < share
    }

    /// True for octets that the system might have left unread, and did not.
    pub(crate) fn has_spared(&mut self, flow: &Flow, octets: &[u8]) -> bool {
        let is_spared = self.filters && !flow.is_reliable() && octets.starts_with(b"REGISTER ");
        self.registers += u32::from(is_spared);
        is_spared
    }

    /// The share of all REGISTER requests, out of 2³², that is to be dropped unread, or refused where none is. It goes by steps
    /// of a 64th, since the system takes its time for each.
    pub(crate) fn left_unread(&self) -> u32 {
        let share = self.shares[Measure::LeaveRegistersUnread as usize];
        share.saturating_add(1 << 25) & !(u32::MAX >> 6)
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
    fn measure(self) -> Measure {
        match self {
            Self::LogIn => Measure::RefuseLogIns,
            Self::NewRegistration => Measure::RefuseNewRegistrations,
            Self::Refresh => Measure::RefuseRefreshes,
            Self::Call => Measure::RefuseCalls,
        }
    }
}

impl Measure {
    const ALL: [Self; 5] = [
        Self::RefuseLogIns,
        Self::RefuseNewRegistrations,
        Self::RefuseRefreshes,
        Self::LeaveRegistersUnread,
        Self::RefuseCalls,
    ];

    /// The largest share that is refused. To read one for nothing takes some fiftieth of a call, and a fifth of
    /// what a registration takes: if all were read, ten times as many registrations as a worker can serve would leave it no
    /// time to serve any.
    fn most(self) -> f64 {
        match self {
            Self::RefuseLogIns => 1.0,
            Self::RefuseNewRegistrations => 1.0 / 2.0,
            Self::RefuseRefreshes => 1.0 / 4.0,
            Self::LeaveRegistersUnread => 15.0 / 16.0,
            Self::RefuseCalls => 31.0 / 32.0,
        }
    }

    /// How often they can be halved. Log-ins are all refused then.
    fn halvings(self) -> f64 {
        match self {
            Self::RefuseLogIns => 2.0,
            _ => -(1.0 - self.most()).log2(),
        }
    }

    /// What part of the pressure it takes. What stands before calls is passed twice as fast: where there are calls alone, it does
    /// nothing but let them wait.
    fn span(self) -> f64 {
        match self {
            Self::RefuseCalls => self.halvings(),
            _ => self.halvings() / 2.0,
        }
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod simulation;
