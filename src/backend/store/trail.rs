//! The audit trail: every event gets its number here, is kept with the change that caused it, and is shown to whoever
//! follows.
//!
//! ```text
//!  keeper ── changes of a group, notes ──► row ──► the file, in the same commit
//!                                           └────► ring of the newest rows ──► followers: feed, file, hooks
//!                                                  who has fallen behind reads the file
//! ```
//!
//! An event of a change of seats is shown when the change is durable. Any other is shown at once, with the store away
//! too, and written when it is back: help must come whatever the disk does.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use dataplane::audit::{self, Event, Kind};
use dataplane::hotdesk::SeatChange;
use dataplane::settings::Settings;
#[cfg(test)]
use dataplane::settings::Timers;
use tokio::sync::watch;

use super::SaveError;
use super::archive::Archive;
use super::row::{Draft, Row};

/// Octets of rows kept in memory: some 20,000 events, a shift change of a large office. Whoever follows and is further
/// behind reads the file; with the store `memory` he misses them.
const RING_OCTETS_MAX: usize = 4 << 20;

/// Octets given to a follower at a time, unless one row alone has more.
const READ_OCTETS_MAX: usize = 256 << 10;

/// How long and how much of the trail is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Events are removed after this.
    pub keep: Duration,
    /// The oldest are removed beyond so many.
    pub records_max: u64,
}

/// Something for the trail.
#[derive(Clone, Debug)]
pub enum Note {
    /// A change of seats that no record goes to the store for.
    Change(Arc<SeatChange>),
    /// Anything else.
    Event(Box<Event<'static>>),
}

impl Note {
    /// True of what any peer can cause as often as it likes.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Event(event) if event.kind == Kind::Refusal)
    }
}

/// The trail of one edge.
pub struct Trail {
    state: Mutex<State>,
    /// The number the next event will have.
    news: watch::Sender<u64>,
    archive: OnceLock<Archive>,
}

struct State {
    settings: Arc<Settings>,
    retention: Retention,
    ring: VecDeque<Arc<Row>>,
    ring_octets: usize,
    next: u64,
    ordinal: u64,
    /// [`Row::newest`] of the last row.
    newest: u64,
    /// Wall clock of the start, milliseconds.
    started: u64,
}

/// Where a follower stands, and what the trail has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The sequence number of the next event.
    pub next: u64,
    /// How many events there were.
    pub ordinal: u64,
}

impl Trail {
    /// An empty trail at the wall clock `now`, in milliseconds. Devices stand where `settings` say.
    ///
    /// Sequence numbers start at the microseconds of the clock, so that those of another run are others, whatever was
    /// kept of it: a number names one event for ever.
    pub fn new(settings: Arc<Settings>, retention: Retention, now: u64) -> Self {
        let next = now.saturating_mul(1000).max(1);
        let ring = VecDeque::new();
        let state =
            State { settings, retention, ring, ring_octets: 0, next, ordinal: 0, newest: 0, started: now };
        Self { state: Mutex::new(state), news: watch::Sender::new(next), archive: OnceLock::new() }
    }

    /// What the operator says from now on.
    pub fn configure(&self, settings: Arc<Settings>, retention: Retention) {
        let mut state = self.lock();
        state.settings = settings;
        state.retention = retention;
    }

    /// Where it ends now.
    pub fn end(&self) -> End {
        let state = self.lock();
        End { next: state.next, ordinal: state.ordinal }
    }

    /// Tells whenever there is more; the value is [`End::next`].
    pub fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// Rows with the events from `next` on, oldest first: as many as are good to read at a time, none if there is none yet.
    /// The first may begin before `next`; one that begins after it shows that what was between is not kept. Reads the
    /// file where memory does not reach: it may wait for the disk.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn from(&self, next: u64) -> Result<Vec<Arc<Row>>, SaveError> {
        let (recent, is_whole) = self.recent(next);
        match self.archive.get().filter(|_| !is_whole) {
            Some(archive) => {
                let until = recent.first().map_or(u64::MAX, |row| row.first());
                let old = archive.from(next, until, READ_OCTETS_MAX)?;
                Ok(if old.is_empty() { recent } else { old })
            }
            None => Ok(recent),
        }
    }

    /// The same out of memory alone; `None`: the file is to be asked.
    pub fn from_memory(&self, next: u64) -> Option<Vec<Arc<Row>>> {
        let (recent, is_whole) = self.recent(next);
        (is_whole || self.archive.get().is_none()).then_some(recent)
    }

    fn recent(&self, next: u64) -> (Vec<Arc<Row>>, bool) {
        let state = self.lock();
        let is_whole = next >= state.ring.front().map_or(state.next, |row| row.first());
        let from = state.ring.partition_point(|row| row.end() <= next);
        let mut octets = 0;
        let rows = state.ring.range(from..).take_while(|row| {
            let before = octets;
            octets += row.octets().len();
            before < READ_OCTETS_MAX
        });
        (rows.cloned().collect(), is_whole)
    }

    /// Gives the rows before `end` to `look`, newest first, until it wants no more or there is none. Waits for the
    /// disk.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn before(&self, end: u64, mut look: impl FnMut(&Row) -> bool) -> Result<(), SaveError> {
        let recent: Vec<_> = {
            let state = self.lock();
            state.ring.iter().rev().filter(|row| row.first() < end).cloned().collect()
        };
        let mut end = end;
        for row in recent {
            end = row.first();
            if !look(&row) {
                return Ok(());
            }
        }
        self.archive.get().map_or(Ok(()), |archive| archive.before(end, look))
    }

    /// Where the follower called `name` stood when that was last written.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn place(&self, name: &str) -> Result<Option<u64>, SaveError> {
        self.archive.get().map_or(Ok(None), |archive| archive.place(name))
    }

    /// The trail goes on behind what is in the file.
    pub(super) fn attach(&self, archive: Archive) -> Result<(), SaveError> {
        if let Some(last) = archive.last()? {
            let mut state = self.lock();
            state.next = state.next.max(last.end());
            state.ordinal = last.ordinal_end();
            // A clock that was once far ahead does not count for ever.
            state.newest = last.newest().min(state.started);
            self.news.send_replace(state.next);
        }
        // A trail is attached once, before anybody has it.
        let _ = self.archive.set(archive);
        Ok(())
    }

    pub(super) fn retention(&self) -> Retention {
        self.lock().retention
    }

    /// The next row: events of `changes`, then `notes`. Nothing of it is seen before [`Self::show`], and only the keeper
    /// calls either.
    pub(super) fn row<'a>(
        &self,
        changes: impl Iterator<Item = &'a Arc<SeatChange>>,
        notes: &[Note],
    ) -> Option<Arc<Row>> {
        let (settings, next, ordinal, newest) = {
            let state = self.lock();
            (Arc::clone(&state.settings), state.next, state.ordinal, state.newest)
        };
        let mut draft = Draft::new(newest);
        for change in changes {
            audit::of_change(change, &settings).for_each(|event| draft.push(&event));
        }
        for note in notes {
            match note {
                Note::Change(change) => {
                    audit::of_change(change, &settings).for_each(|event| draft.push(&event));
                }
                Note::Event(event) => draft.push(event),
            }
        }
        draft.finish(next, ordinal).map(Arc::new)
    }

    /// Everybody may see this row now.
    pub(super) fn show(&self, row: Arc<Row>) {
        let next = row.end();
        {
            let mut state = self.lock();
            state.next = next;
            state.ordinal = row.ordinal_end();
            state.newest = row.newest();
            state.ring_octets += row.octets().len();
            state.ring.push_back(row);
            while state.ring_octets > RING_OCTETS_MAX
                && state.ring.len() > 1
                && let Some(old) = state.ring.pop_front()
            {
                state.ring_octets -= old.octets().len();
            }
        }
        self.news.send_replace(next);
    }

    // Every change of the state is complete before anything that may panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl Trail {
    /// One of an edge without tenants.
    pub(crate) fn of_nobody() -> Arc<Self> {
        let settings = Settings::new(1, "test", Vec::new(), Vec::new(), Timers::default(), false);
        let retention = Retention { keep: Duration::MAX, records_max: u64::MAX };
        Arc::new(Self::new(Arc::new(settings), retention, 1))
    }
}

impl std::fmt::Debug for Trail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Trail").field(&self.end()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use dataplane::hotdesk::{Cause, Origin, Place, Seat, Surface};
    use dataplane::query::{Record, SaveVerdict};
    use tempfile::TempDir;

    use super::super::{StoreHandle, StoreKind};
    use super::*;

    /// Longer than anything here takes; only a test that fails waits for it.
    const DEADLINE: Duration = Duration::from_secs(20);

    fn note(reason: &'static str) -> Note {
        Note::Event(Box::new(Event::new(Kind::Refusal, reason, "demo", 7)))
    }

    fn log_in(epoch: u64) -> Record {
        let seat = Seat {
            device: Place::new("demo", "desk-1"),
            extension: Place::new("demo", "1001"),
            epoch,
            since: 9,
            surface: Surface::Api,
            until: None,
        };
        Record::Seats(Arc::new(SeatChange {
            customer: "demo".into(),
            epoch,
            ended: Vec::new(),
            begun: Some(seat),
            cause: Cause::LogIn,
            surface: Surface::Api,
            at: 9,
            origin: Origin::of_operator("console"),
        }))
    }

    fn save(store: &StoreHandle, record: Record) {
        let (done, saved) = mpsc::channel();
        store.save(record, move |verdict| done.send(verdict).unwrap());
        assert_eq!(saved.recv_timeout(DEADLINE), Ok(SaveVerdict::Durable));
    }

    /// Waits until the trail has `count` events more than at `from`, and gives their numbers and reasons.
    fn events(trail: &Trail, from: u64, count: usize) -> Vec<(u64, String)> {
        let mut news = trail.news();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let enough = news.wait_for(|next| *next >= from + count as u64);
            tokio::time::timeout(DEADLINE, enough).await.expect("they come").unwrap();
        });
        reasons(&trail.from(from).unwrap(), from)
    }

    fn reasons(rows: &[Arc<Row>], from: u64) -> Vec<(u64, String)> {
        let events = rows.iter().flat_map(|row| row.events()).filter(|(sequence, _)| *sequence >= from);
        events.map(|(sequence, event)| (sequence, event.reason.into_owned())).collect()
    }

    fn embedded(folder: &TempDir) -> (StoreHandle, Arc<Trail>) {
        let trail = Trail::of_nobody();
        let kind = StoreKind::Embedded { path: folder.path().join("hotdesk.db") };
        let (store, ..) = StoreHandle::open(&kind, Arc::clone(&trail), |read| read).unwrap();
        (store, trail)
    }

    #[test]
    fn a_change_and_its_event_are_durable_together() {
        let folder = tempfile::tempdir().unwrap();
        let (store, trail) = embedded(&folder);
        let from = trail.end().next;

        save(&store, log_in(1));

        // Nothing is written after the answer: the event was in the same commit.
        assert_eq!(events(&trail, from, 1), [(from, "log-in".into())]);
        assert_eq!(store.health().commits, 1);
    }

    #[test]
    fn what_was_kept_is_there_after_a_restart_and_numbers_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let (store, trail) = embedded(&folder);
        let from = trail.end().next;
        save(&store, log_in(1));
        store.note(note("credentials"));
        events(&trail, from, 2);
        store.keep_place("hook pager", from + 1);
        store.flush_and_close();

        let (store, trail) = embedded(&folder);

        assert_eq!(trail.end().ordinal, 2);
        assert!(trail.end().next >= from + 2);
        assert_eq!(trail.place("hook pager").unwrap(), Some(from + 1));
        assert_eq!(trail.place("hook other").unwrap(), None);
        let kept = reasons(&trail.from(from + 1).unwrap(), from + 1);
        assert_eq!(kept, [(from + 1, "credentials".into())]);
        save(&store, log_in(2));
        let mut newest_first = Vec::new();
        let look = |row: &Row| {
            newest_first.extend(row.events().map(|(sequence, _)| sequence));
            true
        };
        trail.before(u64::MAX, look).unwrap();
        assert_eq!(newest_first.len(), 3);
        assert!(newest_first.is_sorted_by(|a, b| a > b), "{newest_first:?}");
    }

    #[test]
    fn what_is_too_much_or_too_old_goes_and_the_rest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hotdesk.db");
        let (mut store, ..) = super::super::Embedded::open(&path, |read| read).unwrap();
        let archive = store.archive();
        let append = |store: &mut super::super::Embedded, at: u64, ordinal: u64| {
            let mut draft = Draft::new(0);
            draft.push(&Event::new(Kind::Refusal, "credentials", "demo", at));
            let row = Arc::new(draft.finish(100 + ordinal, ordinal).unwrap());
            super::super::Store::append(store, &[&super::super::Entry::Trail(row)]).unwrap();
        };
        (0..10).for_each(|n| append(&mut store, 1_000 + n, n));
        let first = |archive: &Archive| archive.from(0, u64::MAX, 1).unwrap()[0].first();

        let more = super::super::Store::trim_trail(&mut store, 1_003, 1_000).unwrap();
        assert_eq!((more, first(&archive)), (false, 103));

        super::super::Store::trim_trail(&mut store, 0, 4).unwrap();
        assert_eq!(first(&archive), 106);
    }

    #[test]
    fn memory_alone_shows_changes_and_notes_in_order() {
        let trail = Trail::of_nobody();
        let (store, ..) = StoreHandle::open(&StoreKind::Memory, Arc::clone(&trail), |read| read).unwrap();
        let from = trail.end().next;
        let Record::Seats(change) = log_in(1) else { unreachable!("it is a change") };

        store.note(note("credentials"));
        store.note(Note::Change(change));
        store.note(note("locked"));

        let seen = events(&trail, from, 3);
        assert_eq!(
            seen,
            [(from, "credentials".into()), (from + 1, "log-in".into()), (from + 2, "locked".into())]
        );
    }

    #[test]
    fn what_is_written_late_hides_nothing_that_is_newer() {
        let trail = Trail::of_nobody();
        for at in [1_000, 10, 20] {
            let note = Note::Event(Box::new(Event::new(Kind::Refusal, "credentials", "demo", at)));
            trail.show(trail.row([].into_iter(), &[note]).unwrap());
        }

        let mut newest = Vec::new();
        trail
            .before(u64::MAX, |row| {
                newest.push(row.newest());
                true
            })
            .unwrap();

        assert_eq!(newest, [1_000; 3]);
    }

    #[test]
    fn more_notes_than_can_wait_are_counted() {
        let trail = Trail::of_nobody();
        let (store, ..) = StoreHandle::open(&StoreKind::Memory, Arc::clone(&trail), |read| read).unwrap();
        let (given, next) = (super::super::queue::NOTES_MAX as u64 * 3, trail.end().next);

        // Refusals would be counted together.
        let unlock = || Note::Event(Box::new(Event::new(Kind::Unlock, "operator", "demo", 7)));
        (0..given).for_each(|_| store.note(unlock()));
        let handle = store.clone();
        store.flush_and_close();

        let shown = trail.end().next - next;
        assert_eq!(shown + handle.health().notes_dropped, given);
    }
}
