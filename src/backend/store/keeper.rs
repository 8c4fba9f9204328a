//! The store's thread: takes what waits, writes it as one group, tells everybody, tidies when it is quiet.
//!
//! ```text
//!             ┌────────── group written ──────────┐
//!             ▼                                   │
//!   take ─► reachable ─── append fails ──► away ──┘ recover works, at most once a RETRY_DELAY
//!             │   ▲                         │
//!             └ fold, one step at a time    └ saves fail at once, what is owed is kept in order
//! ```

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dataplane::query::{Record, SaveVerdict};
use tracing::{error, info, warn};

use super::flood::Flood;
use super::queue::{Behind, Places, Queue, Save, now, wall};
use super::steady::SteadyClock;
use super::{Entry, Note, Retention, Row, SaveError, Store, Trail};
use crate::reasons;

/// Between two tries of a store that is away.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// A store that has not failed for so long is said to be back. A full disk has room for a small change now and then, and
/// none for the next.
const BACK_AFTER: Duration = Duration::from_secs(5);

/// After a failed housekeeping step; until then the journal grows.
const FOLD_RETRY_DELAY: Duration = Duration::from_secs(30);

/// Nobody saved for so long: housekeeping will hardly be noticed.
const QUIET_AFTER: Duration = Duration::from_millis(250);

/// Refreshes that ride along in one group: some milliseconds, so that a log-in never waits for all of them.
const BEHIND_GROUP_MAX: usize = 1_024;

/// How often the trail is looked at for what is too old.
const TRIM_EVERY: Duration = Duration::from_secs(600);

/// Between two steps of trimming while there is more to remove: faster than any office adds.
const TRIM_STEP_DELAY: Duration = Duration::from_millis(50);

/// Rows of the trail kept for a store that is away, newest dropped: some minutes of refusals in groups of a quarter of
/// a second, at most 8 MiB.
const UNWRITTEN_MAX: usize = 1_024;
const UNWRITTEN_OCTETS_MAX: usize = 8 << 20;

/// A store with groups of at least so many is busy, and rests between them: where a commit costs as much processor time
/// as a dozen log-ins, groups of a dozen would have half of a processor that the workers need. Whoever logs in alone never
/// waits for it.
const GROUP_BUSY: usize = 4;

/// How long a busy store rests, in commits: so it works a fifth of the time.
const REST: u32 = 4;

/// It rests no longer than nobody notices.
const REST_MAX: Duration = Duration::from_millis(4);

/// The store's thread.
pub(super) struct Keeper {
    queue: Arc<Queue>,
    store: Box<dyn Store>,
    /// Not written yet and never to be forgotten; older than all that is in the queue.
    owed: VecDeque<Save>,
    /// Refreshes taken from the queue, older than all that is in it.
    behind: Behind,
    /// When to try again.
    away: Option<Instant>,
    /// When a write failed last, if the operator knows and has not heard since that the store is back. A full disk lets the
    /// file be opened again and again; it is said once.
    told: Option<Instant>,
    saved_at: Instant,
    /// Until when a group is collected.
    rest_until: Instant,
    fold_from: Instant,
    fold_wanted: bool,
    trail: Arc<Trail>,
    flood: Flood,
    /// Rows of the trail that everybody has seen and the store has not; none is older.
    unwritten: VecDeque<Arc<Row>>,
    /// Where followers stand, not yet written.
    places: Places,
    trim_at: Instant,
    /// Says what is too old.
    clock: SteadyClock,
}

impl Keeper {
    pub(super) fn new(queue: Arc<Queue>, store: Box<dyn Store>, trail: Arc<Trail>) -> Self {
        let unfolded = store.unfolded();
        queue.note(|health| health.unfolded = unfolded);
        Self {
            queue,
            store,
            owed: VecDeque::new(),
            behind: Behind::new(),
            away: None,
            told: None,
            saved_at: now(),
            rest_until: now(),
            fold_from: now(),
            fold_wanted: unfolded > 0,
            trail,
            flood: Flood::default(),
            unwritten: VecDeque::new(),
            places: Places::new(),
            trim_at: now(),
            clock: SteadyClock::new(now(), wall()),
        }
    }

    pub(super) fn run(mut self) {
        loop {
            let had_behind = !self.behind.is_empty();
            let taken = self.queue.take(self.wake_at(), self.rest_until, &mut self.behind);
            // What has just been taken is younger than every save.
            for save in taken.saves.iter().filter(|_| had_behind) {
                if let Entry::Record(record) = &save.entry
                    && let Some(aor) = record.aor()
                {
                    self.behind.remove(aor);
                }
            }
            let saved = !taken.saves.is_empty();
            let mut notes = self.flood.pass(taken.notes, now());
            if taken.closing {
                notes.extend(self.flood.rest());
            }
            self.places.extend(taken.places);
            let nothing = !saved && notes.is_empty() && self.places.is_empty() && self.unwritten.is_empty();
            if taken.closing && nothing && self.owed.is_empty() && self.behind.is_empty() {
                return;
            }
            self.write(taken.saves, &notes, taken.closing);
            if taken.closing && self.away.is_some() {
                return;
            }
            if saved {
                self.saved_at = now();
            }
            if self.away.is_none() && !taken.closing {
                self.fold();
                self.trim();
            }
        }
    }

    /// When there is something to do though nothing comes.
    fn wake_at(&self) -> Option<Instant> {
        if let Some(retry_at) = self.away {
            return Some(retry_at);
        }
        if !self.behind.is_empty() {
            return Some(self.rest_until);
        }
        let fold_at = self.fold_wanted.then(|| self.fold_from.max(self.saved_at + QUIET_AFTER));
        [Some(self.trim_at), fold_at, self.flood.next()].into_iter().flatten().min()
    }

    /// Writes what is owed, `saves`, some of the refreshes and what they and `notes` bring to the trail as one group.
    fn write(&mut self, saves: Vec<Save>, notes: &[Note], closing: bool) {
        if let Some(retry_at) = self.away {
            if now() < retry_at && !closing {
                self.show_unwritten(notes);
                return self.put_off(saves.into());
            }
            if let Err(error) = self.store.recover() {
                self.fail(&error);
                self.show_unwritten(notes);
                return self.put_off(saves.into());
            }
        }
        let mut group = std::mem::take(&mut self.owed);
        group.extend(saves);
        let riders: Vec<_> = self.behind.extract_if(|_, _| true).take(BEHIND_GROUP_MAX).collect();
        let riders: Vec<_> =
            riders.into_iter().map(|(aor, record)| Entry::Record(Record::Bindings { aor, record })).collect();
        let count = group.len() + riders.len();
        let row = self.trail.row(group.iter().filter_map(|save| save.entry.change()), notes);
        let places = self.places.iter().map(|(name, next)| Entry::Place { name: name.clone(), next: *next });
        let rows = self.unwritten.iter().chain(&row).map(|row| Entry::Trail(Arc::clone(row)));
        let told: Vec<_> = rows.chain(places).collect();
        let entries: Vec<&Entry> = group.iter().map(|save| &save.entry).chain(&riders).chain(&told).collect();
        if entries.is_empty() {
            return self.reach();
        }
        let start = now();
        let result = self.store.append(&entries);
        let end = now();
        let took = end - start;
        self.rest_until = end + rest_after(count, took);
        match result {
            Ok(()) => {
                self.queue.settle(group.iter().filter(|save| save.eventual).count());
                let unfolded = self.store.unfolded();
                self.queue.note(|health| {
                    health.commits += 1;
                    health.records += count as u64;
                    health.unfolded = unfolded;
                    health.commit_times.observe(took);
                });
                self.reach();
                if self.told.take_if(|failed| end >= *failed + BACK_AFTER).is_some() {
                    info!("the store takes changes again");
                }
                self.fold_wanted |= count > 0;
                self.unwritten.clear();
                self.places.clear();
                if let Some(row) = row {
                    self.trail.show(row);
                }
                for save in group {
                    save.answer(SaveVerdict::Durable);
                }
            }
            Err(error) => {
                self.fail(&error);
                // What the changes bring is shown when they are written, if they are.
                self.show_unwritten(notes);
                self.put_off(group);
                for rider in riders {
                    if let Entry::Record(Record::Bindings { aor, record }) = rider {
                        self.behind.insert(aor, record);
                    }
                }
            }
        }
    }

    /// Shows what happened though the store cannot keep it yet.
    fn show_unwritten(&mut self, notes: &[Note]) {
        let Some(row) = self.trail.row(std::iter::empty(), notes) else { return };
        let octets: usize = self.unwritten.iter().map(|row| row.octets().len()).sum();
        if self.unwritten.len() < UNWRITTEN_MAX && octets < UNWRITTEN_OCTETS_MAX {
            self.unwritten.push_back(Arc::clone(&row));
        } else {
            self.queue.note(|health| health.notes_dropped += row.end() - row.first());
        }
        self.trail.show(row);
    }

    /// One step of removing what is too old, if there is time for it.
    fn trim(&mut self) {
        if now() < self.trim_at {
            return;
        }
        let Retention { keep, records_max } = self.trail.retention();
        let keep = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX);
        let too_old = self.clock.believed(now(), wall()).map_or(0, |wall| wall.saturating_sub(keep));
        match self.store.trim_trail(too_old, records_max) {
            Ok(more) => self.trim_at = now() + if more { TRIM_STEP_DELAY } else { TRIM_EVERY },
            Err(error) => {
                self.trim_at = now() + FOLD_RETRY_DELAY;
                warn!(reason = %reasons::of(&error), "the audit trail cannot be trimmed and grows until it can");
                if let Err(error) = self.store.recover() {
                    self.fail(&error);
                } else {
                    self.queue.note(|health| health.failures += 1);
                }
            }
        }
    }

    /// Keeps what must be kept, in order, and fails the rest.
    fn put_off(&mut self, saves: VecDeque<Save>) {
        let (owed, failed): (Vec<_>, Vec<_>) = saves.into_iter().partition(|save| save.eventual);
        self.owed.extend(owed);
        self.queue.note(|health| health.saves_failed += failed.len() as u64);
        for save in failed {
            save.answer(SaveVerdict::Failed);
        }
    }

    fn fail(&mut self, error: &SaveError) {
        self.away = Some(now() + RETRY_DELAY);
        self.queue.note(|health| {
            health.reachable = false;
            health.failures += 1;
        });
        if self.told.replace(now()).is_none() {
            error!(
                reason = %reasons::of(error),
                "the store takes nothing: calls and seats go on from memory, new log-ins are refused"
            );
        }
    }

    fn reach(&mut self) {
        if self.away.take().is_some() {
            self.queue.note(|health| health.reachable = true);
        }
    }

    /// One step of housekeeping, if there is time for it.
    fn fold(&mut self) {
        let now = now();
        if !self.fold_wanted || now < self.fold_from {
            return;
        }
        let quiet = now >= self.saved_at + QUIET_AFTER && self.behind.is_empty();
        match self.store.fold(quiet) {
            Ok(more) => {
                // A busy store is asked again after its next group; a quiet one that wants no more, not at
                // all.
                self.fold_wanted = more || !quiet;
                if quiet && more {
                    self.fold_from = now;
                }
                let unfolded = self.store.unfolded();
                self.queue.note(|health| health.unfolded = unfolded);
            }
            Err(error) => {
                self.fold_from = now + FOLD_RETRY_DELAY;
                warn!(reason = %reasons::of(&error), "the journal cannot be folded and grows until it can");
                if let Err(error) = self.store.recover() {
                    self.fail(&error);
                } else {
                    self.queue.note(|health| health.failures += 1);
                }
            }
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // Also on the way out of a panic: nobody may wait for a thread that is gone.
        self.queue.close();
        if std::thread::panicking() {
            self.queue.note(|health| {
                health.reachable = false;
                health.failures += 1;
            });
            error!("the store's thread panicked: new log-ins are refused until the edge is started again");
        }
        drop(self.queue.take(None, now(), &mut self.behind).saves);
    }
}

/// How long the store rests after a group of `count` that `took` so long.
fn rest_after(count: usize, took: Duration) -> Duration {
    if count < GROUP_BUSY { Duration::ZERO } else { (took * REST).min(REST_MAX) }
}

#[cfg(test)]
mod tests;
