//! Lets a test kill a thread in the middle of a change of seats.

use std::cell::Cell;

thread_local! {
    /// The steps this thread still takes before it dies, once.
    static STEPS_LEFT: Cell<Option<u32>> = const { Cell::new(None) };
}

/// This thread dies at the step after `steps` more; `None`: it lives. Returns what was left of the last order.
pub(super) fn die_after(steps: Option<u32>) -> Option<u32> {
    STEPS_LEFT.replace(steps)
}

pub(super) fn step() {
    match STEPS_LEFT.get() {
        None => {}
        Some(0) => {
            STEPS_LEFT.set(None);
            panic!("a test lets this thread die here");
        }
        Some(left) => STEPS_LEFT.set(Some(left - 1)),
    }
}
