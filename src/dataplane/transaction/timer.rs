//! When a transaction wants to be looked at again: one FIFO per duration, and nothing is ever searched.
//!
//! A machine knows its own deadlines; what lies here is a *reminder* to ask it. A reminder goes to the back of
//! the FIFO with the longest duration that does not overshoot, so each FIFO is in order by itself and the next
//! reminder of all is the earliest of a dozen fronts. Nothing is cancelled: a machine whose deadline moved, or
//! whose slot has another owner by now, is asked too early, has nothing to do, and is reminded again. A slot
//! that will be asked in time anyway gets no second reminder, which bounds the FIFOs by the slots.

use std::collections::VecDeque;
use std::time::Duration;

use crate::now::Mono;
use crate::settings::Timers;
use crate::slots::SlotKey;

/// The deadline of a timer that does not run.
pub(super) const NEVER: Mono = Mono(u64::MAX);

/// Timers B, F, H, J, L and M, and how long a CANCEL is given to bring an answer (RFC 3261 Table 4, §9.1;
/// RFC 6026 §8.4).
pub(super) fn lifetime(timers: &Timers) -> Duration {
    timers.t1 * 64
}

/// What a deadline that has come asks of the layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fired {
    /// No deadline has come.
    Nothing,
    /// Send the last message again (timers A, E, G).
    Resend,
    /// Nobody said anything for as long as the core wanted to wait.
    NoAnswer,
    /// An INVITE has rung for too long (timer C).
    TimerC,
    /// The peer did not do its part in time (timers B, F, H); the transaction has ended.
    TimedOut,
    /// The transaction has ended as it should (timers D, I, J, L, M).
    Ended,
}

/// The reminders of one table of slots.
#[derive(Debug)]
pub(super) struct Reminders {
    /// Shortest duration first; the first is zero.
    queues: Vec<Queue>,
    /// By slot: who had it last, and its earliest reminder.
    slots: Vec<(SlotKey, Mono)>,
}

#[derive(Debug)]
struct Queue {
    duration: Duration,
    /// Due when, and which slot.
    waiting: VecDeque<(Mono, u32)>,
}

impl Reminders {
    pub(super) fn new(timers: &Timers) -> Self {
        Self { queues: queues(timers), slots: Vec::new() }
    }

    /// Makes sure that `key` comes up at `due`, at most T1/16 after it. `now` must not run backwards.
    pub(super) fn remind(&mut self, now: Mono, key: SlotKey, due: Mono) {
        if due == NEVER {
            return;
        }
        let slot = key.0 as u32; // A key is generation and slot.
        if self.slots.len() <= slot as usize {
            self.slots.resize(slot as usize + 1, (key, NEVER));
        }
        let (owner, earliest) = &mut self.slots[slot as usize];
        *owner = key;
        if *earliest <= due {
            return;
        }
        let remaining = due.since(now);
        let longest = self.queues.partition_point(|queue| queue.duration <= remaining) - 1;
        // What is not due yet may not go to the front again at once.
        let chosen = if remaining.is_zero() { 0 } else { longest.max(1) };
        let queue = &mut self.queues[chosen];
        let at = now + queue.duration;
        // A slot that is asked soon enough anyway needs no second reminder, not even if that is a little late.
        if *earliest > at {
            *earliest = at;
            queue.waiting.push_back((at, slot));
        }
    }

    /// Takes out one slot to be asked, by the key of its last owner.
    pub(super) fn pop(&mut self, now: Mono) -> Option<SlotKey> {
        let (at, chosen) = self.earliest()?;
        if at > now {
            return None;
        }
        let (at, slot) = self.queues[chosen].waiting.pop_front()?;
        let (owner, earliest) = &mut self.slots[slot as usize];
        if *earliest == at {
            *earliest = NEVER;
        }
        Some(*owner)
    }

    /// When the next slot is to be asked.
    pub(super) fn next(&self) -> Option<Mono> {
        self.earliest().map(|(at, _)| at)
    }

    /// Takes over new durations; running reminders keep their instants, to the next FIFO's step.
    pub(super) fn configure(&mut self, now: Mono, timers: &Timers) {
        self.queues = queues(timers);
        for slot in 0..self.slots.len() {
            let (owner, due) = self.slots[slot];
            self.slots[slot].1 = NEVER;
            self.remind(now, owner, due);
        }
    }

    fn earliest(&self) -> Option<(Mono, usize)> {
        let fronts = self.queues.iter().enumerate();
        fronts.filter_map(|(at, queue)| queue.waiting.front().map(|(due, _)| (*due, at))).min()
    }
}

/// The durations that occur: T1·2ⁿ up to 64·T1, T2, T4, the patience with a silent phone, timer C. What is left
/// over after one of them is waited for in ever shorter steps down to T1/16.
fn queues(timers: &Timers) -> Vec<Queue> {
    /// So that a T1 of zero is no busy loop.
    const STEP_MIN: Duration = Duration::from_millis(1);
    let mut durations: Vec<Duration> = (0..=10).map(|doubled| timers.t1 * (1 << doubled) / 16).collect();
    durations.extend([timers.t2, timers.t4, timers.no_answer_from_phone, timers.timer_c]);
    for duration in &mut durations {
        *duration = (*duration).max(STEP_MIN);
    }
    durations.push(Duration::ZERO);
    durations.sort_unstable();
    durations.dedup();
    durations.into_iter().map(|duration| Queue { duration, waiting: VecDeque::new() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slots::Slots;

    fn at(milliseconds: u64) -> Mono {
        Mono(milliseconds * 1_000_000)
    }

    fn keys<const N: usize>() -> [SlotKey; N] {
        let mut slots = Slots::new(N);
        [(); N].map(|()| slots.insert(()).unwrap())
    }

    #[test]
    fn slots_come_up_in_the_order_of_their_deadlines() {
        let mut reminders = Reminders::new(&Timers::default());
        let [a, b, c, d] = keys();
        reminders.remind(at(0), a, at(32_000));
        reminders.remind(at(0), b, at(500));
        reminders.remind(at(0), c, at(4_000));
        reminders.remind(at(10), d, at(510));

        let order: Vec<_> = std::iter::from_fn(|| reminders.pop(at(40_000))).collect();

        assert_eq!(order, [b, d, c, a]);
        assert_eq!(reminders.next(), None);
    }

    #[test]
    fn nothing_comes_up_before_its_time() {
        let mut reminders = Reminders::new(&Timers::default());
        let [a] = keys();
        reminders.remind(at(0), a, at(500));

        assert_eq!(reminders.next(), Some(at(500)));
        assert_eq!(reminders.pop(at(499)), None);
        assert_eq!(reminders.pop(at(500)), Some(a));
    }

    #[test]
    fn an_odd_deadline_is_reached_in_steps_and_at_most_a_sixteenth_of_t1_late() {
        for odd in [1, 33, 499, 777, 8_123, 170_001, 199_999, 500_000] {
            let mut reminders = Reminders::new(&Timers::default());
            let [a] = keys();
            reminders.remind(at(0), a, at(odd));

            let mut now = at(0);
            let mut steps = 0;
            while now < at(odd) {
                now = reminders.next().unwrap();
                assert_eq!(reminders.pop(now), Some(a));
                reminders.remind(now, a, at(odd));
                steps += 1;
            }

            assert!(now.since(at(odd)) <= Duration::from_millis(500) / 16, "{odd} ms came up at {now:?}");
            assert!(steps <= 14, "{odd} ms took {steps} steps");
        }
    }

    #[test]
    fn a_slot_that_is_asked_in_time_anyway_gets_no_second_reminder() {
        let mut reminders = Reminders::new(&Timers::default());
        let [a] = keys();
        for _ in 0..1000 {
            reminders.remind(at(0), a, at(32_000));
            reminders.remind(at(0), a, at(200_000));
        }

        assert_eq!(reminders.queues.iter().map(|queue| queue.waiting.len()).sum::<usize>(), 1);
    }

    #[test]
    fn new_durations_keep_what_is_pending() {
        let mut reminders = Reminders::new(&Timers::default());
        let [a, b] = keys();
        reminders.remind(at(0), a, at(500));
        reminders.remind(at(0), b, at(200_000));

        let timers = Timers { t1: Duration::from_millis(100), ..Timers::default() };
        reminders.configure(at(100), &timers);

        assert_eq!(reminders.pop(at(500)), Some(a));
        assert!(reminders.next().unwrap() <= at(200_000));
    }
}
