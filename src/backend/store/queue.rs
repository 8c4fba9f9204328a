//! What waits for the store: saves in order, refreshes by address-of-record.
//!
//! ```text
//!  push ─────► saves (in order) ────────────┐
//!              a save takes the refresh     ├─► take ─► keeper
//!              of its own AOR out           │
//!  push_behind ► behind (the last of each) ─┘ once the oldest is BEHIND_DELAY old
//! ```
//!
//! So of one address-of-record a refresh that waits is always younger than every save that waits.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dataplane::query::{Record, SaveVerdict};

use super::{Entry, Health, Note};
use crate::wall_clock;

/// Saves that may wait: at 20,000 log-ins a second most of a second, far more than one commit takes. Beyond
/// it the store does not keep up and saying so at once is kinder than a time-out.
pub(super) const SAVES_MAX: usize = 16_384;

/// Changes that may be owed while the store is away: every seat of a large office ended by hand.
pub(super) const OWED_MAX: usize = 16_384;

/// Addresses-of-record whose refresh may wait: what 44,000 refreshes a second bring while the store is away for
/// six seconds; some 80 MB. Beyond it a refresh is dropped, so that binding comes back from a restart with an
/// earlier end.
const BEHIND_MAX: usize = 262_144;

/// A map with room for so many times what came is halved, each time: after a burst its room is given back in steps, and
/// never while the burst goes on.
const BEHIND_ROOM_UNUSED: usize = 16;

/// With so many waiting a group is not worth waiting for any longer: the commit is then some microseconds a record, and
/// twice as many would save little.
pub(super) const GROUP_WORTH: usize = 128;

/// Events for the trail that may wait: a quarter of a second of the most log-ins a second that any machine has shown.
pub(super) const NOTES_MAX: usize = 16_384;

/// With so many waiting no further refusal does: whoever makes refusals without end, which any peer can, leaves a quarter
/// of the room to log-ins and to calls for help.
const NOTES_MAX_FOR_REFUSALS: usize = NOTES_MAX / 4 * 3;

/// How long refreshes are collected, so that a burst of them is one group. The dataplane has kept them for up to
/// four seconds already, and a restore adds five.
const BEHIND_DELAY: Duration = Duration::from_millis(250);

/// Who is told what became of a save.
pub(super) type Done = Box<dyn FnOnce(SaveVerdict) + Send>;

/// The last refresh of each address-of-record, in the form of [`Record::Bindings`].
pub(super) type Behind = HashMap<Box<str>, Option<Box<[u8]>>>;

/// Where followers of the trail stand; one each, and the configuration bounds them.
pub(super) type Places = HashMap<Box<str>, u64>;

/// A save that waits. Whoever asked for it hears of it whatever happens: dropped unanswered, it failed.
pub(super) struct Save {
    pub(super) entry: Entry,
    pub(super) eventual: bool,
    done: Option<Done>,
}

impl Save {
    pub(super) fn answer(mut self, verdict: SaveVerdict) {
        if let Some(done) = self.done.take() {
            done(verdict);
        }
    }
}

impl Drop for Save {
    fn drop(&mut self) {
        if let Some(done) = self.done.take() {
            done(SaveVerdict::Failed);
        }
    }
}

/// What the keeper is to do next.
pub(super) struct Taken {
    pub(super) saves: Vec<Save>,
    pub(super) notes: Vec<Note>,
    pub(super) places: Places,
    /// No more will come.
    pub(super) closing: bool,
}

#[derive(Default)]
struct State {
    saves: Vec<Save>,
    /// Saves that must not be forgotten, here or at the keeper.
    owed: usize,
    behind: Behind,
    behind_since: Option<Instant>,
    notes: Vec<Note>,
    places: Places,
    /// Since when notes or places wait.
    notes_since: Option<Instant>,
    /// The keeper sleeps until so many saves wait.
    sleeps_until: Option<usize>,
    closed: bool,
    health: Health,
}

/// The queue before the store's thread.
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
}

impl Queue {
    pub(super) fn new() -> Self {
        let health = Health { reachable: true, ..Health::default() };
        Self { state: Mutex::new(State { health, ..State::default() }), wake: Condvar::new() }
    }

    // Every change of the state is complete before anything that may panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, entry: Entry, eventual: bool, done: Done) {
        let save = Save { entry, eventual, done: Some(done) };
        let mut state = self.lock();
        let full = if eventual { state.owed >= OWED_MAX } else { state.saves.len() >= SAVES_MAX };
        if full || state.closed {
            state.health.saves_failed += 1;
            drop(state);
            save.answer(SaveVerdict::Failed); // Outside the lock: `done` is not ours.
            return;
        }
        if let Entry::Record(record) = &save.entry
            && let Some(aor) = record.aor()
        {
            state.behind.remove(aor);
        }
        state.owed += usize::from(eventual);
        state.saves.push(save);
        if state.sleeps_until.is_some_and(|count| state.saves.len() >= count) {
            self.wake(state);
        }
    }

    pub(super) fn push_behind(&self, record: Record) {
        let (aor, bindings) = match record {
            Record::Bindings { aor, record } => (aor, record),
            // No two changes of seats are the same, so none takes the place of another.
            record @ (Record::Seats(_)
            | Record::LogIn { .. }
            | Record::Pin { .. }
            | Record::CalledForHelp { .. }
            | Record::OwedEnd { .. }) => {
                return self.push(Entry::Record(record), true, Box::new(|_| ()));
            }
        };
        let mut state = self.lock();
        if state.closed || state.behind.len() >= BEHIND_MAX && !state.behind.contains_key(&aor) {
            state.health.behind_dropped += 1;
            return;
        }
        state.behind.insert(aor, bindings);
        if state.behind_since.is_none() {
            state.behind_since = Some(now());
            self.wake(state);
        }
    }

    pub(super) fn push_note(&self, note: Note) {
        let mut state = self.lock();
        let room = if note.is_refusal() { NOTES_MAX_FOR_REFUSALS } else { NOTES_MAX };
        if state.closed || state.notes.len() >= room {
            state.health.notes_dropped += 1;
            return;
        }
        state.notes.push(note);
        self.wake_for_notes(state);
    }

    pub(super) fn push_place(&self, name: &str, next: u64) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        match state.places.get_mut(name) {
            Some(place) => *place = next,
            None => drop(state.places.insert(name.into(), next)),
        }
        self.wake_for_notes(state);
    }

    fn wake_for_notes(&self, mut state: MutexGuard<'_, State>) {
        if state.notes_since.is_none() {
            state.notes_since = Some(now());
            self.wake(state);
        }
    }

    fn wake(&self, mut state: MutexGuard<'_, State>) {
        if state.sleeps_until.take().is_some() {
            drop(state);
            self.wake.notify_one();
        }
    }

    /// Waits until a save is there and the keeper has rested until `rest` or a group is worth it, refreshes are due,
    /// `until` has come or the queue is closed; takes all saves, and the refreshes if they are due and `behind` is empty:
    /// then the two maps change places, so that the workers never wait for one that grows again.
    pub(super) fn take(&self, until: Option<Instant>, rest: Instant, behind: &mut Behind) -> Taken {
        let wants_behind = behind.is_empty();
        let mut state = self.lock();
        loop {
            let now = now();
            let due = state.behind_since.map(|since| since + BEHIND_DELAY).filter(|_| wants_behind);
            let behind_is_due = due.is_some_and(|due| due <= now) || wants_behind && state.closed;
            let notes_due = state.notes_since.map(|since| since + BEHIND_DELAY);
            let wanted = if rest <= now { 1 } else { GROUP_WORTH };
            if state.saves.len() >= wanted
                || behind_is_due
                || notes_due.is_some_and(|due| due <= now)
                || state.closed
                || until.is_some_and(|until| until <= now)
            {
                if behind_is_due {
                    swap(&mut state.behind, behind);
                    state.behind_since = None;
                }
                state.notes_since = None;
                return Taken {
                    saves: std::mem::take(&mut state.saves),
                    // They ride along with whatever is written now.
                    notes: std::mem::take(&mut state.notes),
                    places: std::mem::take(&mut state.places),
                    closing: state.closed,
                };
            }
            state.sleeps_until = Some(wanted);
            let rest = (rest > now).then_some(rest);
            state = match [due, notes_due, until, rest].into_iter().flatten().min() {
                Some(deadline) => {
                    let waited = self.wake.wait_timeout(state, deadline - now);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
            state.sleeps_until = None;
        }
    }

    /// Changes what [`Self::health`] says.
    pub(super) fn note(&self, change: impl FnOnce(&mut Health)) {
        change(&mut self.lock().health);
    }

    /// `count` saves that must not be forgotten are written.
    pub(super) fn settle(&self, count: usize) {
        self.lock().owed -= count;
    }

    pub(super) fn health(&self) -> Health {
        let state = self.lock();
        Health {
            reachable: state.health.reachable && !state.closed,
            waiting: state.saves.len(),
            owed: state.owed,
            behind: state.behind.len(),
            ..state.health.clone()
        }
    }

    /// Takes nothing more. What waits is still given out by [`Self::take`].
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        self.wake(state);
    }
}

/// Exchanges what waits for a map that has been emptied, with about as much room as that needed.
fn swap(waiting: &mut Behind, emptied: &mut Behind) {
    std::mem::swap(waiting, emptied);
    let room = waiting.capacity();
    if emptied.len() < room / BEHIND_ROOM_UNUSED {
        waiting.shrink_to(room / 2);
    }
}

/// The clock of the store's thread, for its own pauses alone; nothing stored is told by it.
#[expect(clippy::disallowed_methods, reason = "the store's thread is a drive loop of its own")]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// The wall clock in milliseconds since 1970-01-01 UTC, by which the trail grows old.
pub(super) fn wall() -> u64 {
    u64::try_from(wall_clock::since_1970().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use dataplane::audit::{Event, Kind};

    use super::*;

    /// Longer than any test.
    const LONG: Duration = Duration::from_secs(3600);

    fn save(queue: &Queue) {
        queue.push(
            Entry::Record(Record::Bindings { aor: "a".into(), record: None }),
            false,
            Box::new(|_| ()),
        );
    }

    /// How many saves a keeper takes that rests until then.
    fn taking(queue: &Arc<Queue>, rest: Instant) -> thread::JoinHandle<usize> {
        let queue = Arc::clone(queue);
        thread::spawn(move || queue.take(None, rest, &mut Behind::new()).saves.len())
    }

    #[test]
    fn a_keeper_that_has_rested_takes_the_first_save() {
        let queue = Arc::new(Queue::new());
        let taken = taking(&queue, now());

        save(&queue);

        assert_eq!(taken.join().unwrap(), 1);
    }

    #[test]
    fn one_that_rests_is_woken_by_a_group_that_is_worth_it() {
        let queue = Arc::new(Queue::new());
        let taken = taking(&queue, now() + LONG);

        (0..GROUP_WORTH).for_each(|_| save(&queue));

        assert_eq!(taken.join().unwrap(), GROUP_WORTH);
    }

    #[test]
    fn its_rest_ends_with_whatever_waits_then() {
        let queue = Arc::new(Queue::new());
        (0..3).for_each(|_| save(&queue));

        let taken = taking(&queue, now() + Duration::from_millis(20));

        assert_eq!(taken.join().unwrap(), 3);
    }

    #[test]
    fn refusals_without_end_leave_room_for_everything_else() {
        let queue = Queue::new();
        let note = |kind| Note::Event(Box::new(Event::new(kind, "routed", "demo", 1)));
        let others = [Kind::EmergencyCall, Kind::LockOut];
        let wait = |kind| {
            let waits = |note: &&Note| matches!(note, Note::Event(event) if event.kind == kind);
            queue.lock().notes.iter().filter(waits).count()
        };

        (0..2 * NOTES_MAX).for_each(|_| queue.push_note(note(Kind::Refusal)));
        (0..1_000).for_each(|number| queue.push_note(note(others[number % 2])));
        queue.push_note(note(Kind::Refusal));

        assert_eq!([Kind::Refusal, others[0], others[1]].map(wait), [NOTES_MAX_FOR_REFUSALS, 500, 500]);
        assert_eq!(queue.health().notes_dropped as usize, 2 * NOTES_MAX - NOTES_MAX_FOR_REFUSALS + 1);
        (0..2 * NOTES_MAX).for_each(|_| queue.push_note(note(Kind::LockOut)));
        assert_eq!(queue.lock().notes.len(), NOTES_MAX, "and that has a bound too");
    }

    #[test]
    fn refreshes_find_the_room_of_those_before_them_until_it_is_far_too_much() {
        let come = |count: u32| (0..count).map(|number| (number.to_string().into(), None));
        let (mut waiting, mut emptied): (Behind, Behind) = (come(10_000).collect(), Behind::new());
        swap(&mut waiting, &mut emptied);
        let room = emptied.capacity();
        emptied.clear();

        waiting.extend(come(1_000));
        swap(&mut waiting, &mut emptied);
        emptied.clear();
        assert_eq!(waiting.capacity(), room);
        for _ in 0..32 {
            waiting.extend(come(10));
            swap(&mut waiting, &mut emptied);
            emptied.clear();
        }

        assert!(waiting.capacity().max(emptied.capacity()) < 1_000);
    }

    #[test]
    fn closing_ends_its_rest() {
        let queue = Arc::new(Queue::new());
        let taken = taking(&queue, now() + LONG);

        queue.close();

        assert_eq!(taken.join().unwrap(), 0);
    }
}
