//! When each call is due: one queue for all calls of a worker.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::CallKey;
use crate::now::Mono;

/// A queue of reminders. A call that is due later than it was reminds itself again when the old time comes, so each key
/// that is pressed costs no entry, and a call has about one.
#[derive(Debug, Default)]
pub(super) struct Due {
    queue: BinaryHeap<Reverse<(Mono, CallKey)>>,
}

/// The reminder of one call.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reminder {
    due: Mono,
    /// The earliest entry of the queue; `None`: there is none.
    armed: Option<Mono>,
}

impl Due {
    /// The call is due at `at`, and no longer when it was.
    pub(super) fn remind(&mut self, key: CallKey, reminder: &mut Reminder, at: Mono) {
        reminder.due = at;
        if reminder.armed.is_none_or(|armed| at < armed) {
            reminder.armed = Some(at);
            self.queue.push(Reverse((at, key)));
        }
    }

    pub(super) fn next(&self) -> Option<Mono> {
        self.queue.peek().map(|Reverse((at, _))| *at)
    }

    /// The next call whose entry has come.
    pub(super) fn pop(&mut self, now: Mono) -> Option<CallKey> {
        if self.next()? > now {
            return None;
        }
        self.queue.pop().map(|Reverse((_, key))| key)
    }

    /// An entry of this call came: true if the call is due, else it will be reminded.
    pub(super) fn is_due(&mut self, key: CallKey, reminder: &mut Reminder, now: Mono) -> bool {
        if reminder.armed.is_some_and(|armed| armed <= now) {
            reminder.armed = None;
        }
        if reminder.due <= now {
            return true;
        }
        let at = reminder.due;
        self.remind(key, reminder, at);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_is_due_when_it_was_last_told_and_costs_one_entry() {
        let (mut due, mut reminder, key) = (Due::default(), Reminder::default(), crate::slots::SlotKey(3));
        for at in 10..1_000 {
            due.remind(key, &mut reminder, Mono(at));
        }

        assert_eq!(due.queue.len(), 1);
        assert_eq!(due.pop(Mono(9)), None);
        assert_eq!(due.pop(Mono(10)), Some(key));
        assert!(!due.is_due(key, &mut reminder, Mono(10)));
        assert_eq!(due.next(), Some(Mono(999)));
        assert_eq!(due.pop(Mono(999)), Some(key));
        assert!(due.is_due(key, &mut reminder, Mono(999)));
        assert_eq!(due.next(), None);
    }

    #[test]
    fn call_that_is_due_earlier_is_reminded_earlier() {
        let (mut due, mut reminder, key) = (Due::default(), Reminder::default(), crate::slots::SlotKey(3));
        due.remind(key, &mut reminder, Mono(100));
        due.remind(key, &mut reminder, Mono(50));

        assert_eq!(due.pop(Mono(60)), Some(key));
        assert!(due.is_due(key, &mut reminder, Mono(60)));
    }
}
