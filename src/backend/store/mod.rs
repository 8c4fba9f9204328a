//! The store: what must outlive the process. Seats, bindings and keys enter as records; verdicts leave once a
//! record would survive `kill -9`, and everything comes back at the next start.
//!
//! ```text
//!  worker ── save ─────────┐                      ┌ verdict of each save
//!  worker ── write_behind ─┤► queue ─ group ─► keeper (one thread) ─► Store: memory │ embedded
//!  worker ── save_eventually                      └ housekeeping when it is quiet
//! ```
//!
//! One thread owns the store. Whatever waits when its last commit returns is the next group: one commit, one
//! wait for the disk, however many log-ins there are. When there are many it rests some milliseconds between groups, so
//! that they grow and leave the processor to the workers. Within the queue order is kept, and the store's order wins.

mod archive;
mod chosen;
#[cfg(test)]
mod disk;
mod embedded;
mod flood;
mod fold;
mod format;
mod keeper;
mod memory;
mod overlay;
mod queue;
mod row;
mod steady;
mod tables;
mod trail;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use dataplane::hotdesk::SeatChange;
use dataplane::query::{Record, Restored, SaveVerdict};

pub use chosen::{ChosenPins, chosen_pins};
pub use embedded::Embedded;
pub use memory::Memory;
pub use row::Row;
pub use trail::{End, Note, Retention, Trail};

use crate::durations::Durations;
use keeper::Keeper;
use queue::Queue;

/// Which store, as the operator said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// Nothing outlives the process.
    Memory,
    /// One file, made if it is not there; its folder too.
    Embedded {
        /// The file.
        path: PathBuf,
    },
}

/// Some of the stored bindings, by address-of-record, in the stored form of `location`. Each address-of-record comes
/// once. They lie one behind the other, and who has taken them may give their room back to be filled again: what is
/// allocated on one thread and freed on another is dear.
#[derive(Clone, Debug, Default)]
pub struct BindingsRead {
    aors: String,
    records: Vec<u8>,
    /// Where each address-of-record and its record end.
    ends: Vec<(usize, usize)>,
}

impl BindingsRead {
    fn push(&mut self, aor: &str, record: &[u8]) {
        self.aors.push_str(aor);
        self.records.extend_from_slice(record);
        self.ends.push((self.aors.len(), self.records.len()));
    }

    fn is_full(&self) -> bool {
        self.ends.len() >= BINDINGS_READ_MAX
    }

    /// Leaves nothing but the room.
    pub fn clear(&mut self) {
        self.aors.clear();
        self.records.clear();
        self.ends.clear();
    }

    /// Each address-of-record with its record.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let mut start = (0, 0);
        self.ends.iter().map(move |end| {
            let read = (&self.aors[start.0..end.0], &self.records[start.1..end.1]);
            start = *end;
            read
        })
    }
}

/// Bindings read before they are handed on: less than a millisecond of work.
const BINDINGS_READ_MAX: usize = 1_024;

/// What is written as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A change of seats or of bindings.
    Record(Record),
    /// All secrets, in place of those before.
    Secrets(Secrets),
    /// The next row of the audit trail.
    Trail(Arc<Row>),
    /// Where a follower of the trail stands: he has seen all events before `next`.
    Place {
        /// What he is called.
        name: Box<str>,
        /// The sequence number of the next event for him.
        next: u64,
    },
}

impl Entry {
    /// The change of seats it holds.
    fn change(&self) -> Option<&Arc<SeatChange>> {
        match self {
            Self::Record(Record::Seats(change) | Record::LogIn { change, .. }) => Some(change),
            _ => None,
        }
    }
}

/// What the edge makes for itself and must find again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secrets {
    /// Keys under which Record-Route parameters are sealed, the current one first. At most 256, one an id.
    pub routing_keys: Vec<RoutingKey>,
    /// The key under which temporary GRUUs are sealed, for good; `None` in a store of before there were any.
    pub gruu_key: Option<GruuKey>,
}

/// The key of temporary GRUUs. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct GruuKey(pub [u8; 32]);

impl fmt::Debug for GruuKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GruuKey")
    }
}

/// One key for Record-Route parameters. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct RoutingKey {
    /// Stands in front of what it sealed.
    pub id: u8,
    /// Wall clock of its making, milliseconds since 1970-01-01 UTC.
    pub made_at: u64,
    /// The key.
    pub key: [u8; 32],
}

impl fmt::Debug for RoutingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RoutingKey({} of {})", self.id, self.made_at)
    }
}

/// A place that keeps records. It is owned by one thread and may wait as long as it must.
pub trait Store: Send {
    /// Writes `group` in order, all of it or nothing. It survives `kill -9` and a power cut when this returns
    /// `Ok`.
    ///
    /// # Errors
    /// Nothing of the group is in the store, now or after a later [`Self::recover`]. No other call but
    /// `recover` is made until that succeeds.
    fn append(&mut self, group: &[&Entry]) -> Result<(), SaveError>;

    /// Makes the store usable again after an error, if it can be.
    ///
    /// # Errors
    /// It cannot, yet.
    fn recover(&mut self) -> Result<(), SaveError>;

    /// One bounded step of housekeeping. `quiet`: nobody waits and nobody did for a while. Returns true if
    /// another step should follow.
    ///
    /// # Errors
    /// The step came to nothing; nothing that was appended is lost.
    fn fold(&mut self, quiet: bool) -> Result<bool, SaveError> {
        let _ = quiet;
        Ok(false)
    }

    /// One bounded step of removing the oldest of the trail: what was last added to before `before`, in milliseconds
    /// since 1970-01-01 UTC, and what is more than `records_max`. Returns true if another step should follow.
    ///
    /// # Errors
    /// The step came to nothing; nothing that was appended is lost.
    fn trim_trail(&mut self, before: u64, records_max: u64) -> Result<bool, SaveError> {
        let _ = (before, records_max);
        Ok(false)
    }

    /// Records written and not yet folded.
    fn unfolded(&self) -> u64 {
        0
    }
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file or its folder cannot be made or opened.
    #[error("cannot open {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another process holds it.
    #[error("{} is in use: another edge runs on it", path.display())]
    InUse {
        /// Which.
        path: PathBuf,
    },
    /// It was written by a version that stores things another way.
    #[error("{} has format {found}, this version reads format {known}", path.display())]
    Format {
        /// Which.
        path: PathBuf,
        /// The format in the file.
        found: u32,
        /// The format of this version.
        known: u32,
    },
    /// It is no store, or it is damaged.
    #[error("{} cannot be read", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What was found.
        #[source]
        source: SaveError,
    },
    /// The operating system gives no thread.
    #[error("cannot start the store's thread")]
    Thread(#[source] std::io::Error),
}

/// Why a group could not be written or the store not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SaveError {
    /// The database says so.
    #[error("the database failed")]
    Database(#[source] Box<redb::Error>),
    /// The file cannot be used.
    #[error("the file failed")]
    File(#[from] std::io::Error),
    /// What is stored is not what this version writes.
    #[error("the stored form is not known")]
    Form(#[from] format::FormError),
    /// It failed before and has not recovered.
    #[error("the store is away")]
    Away,
}

/// How the store fares. Counts are since start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    /// False from a failure until the store can be used again.
    pub reachable: bool,
    /// Saves that wait for the next group.
    pub waiting: usize,
    /// Changes that stand in memory and not yet in the store.
    pub owed: usize,
    /// Refreshes not yet written.
    pub behind: usize,
    /// Records in the journal, not yet folded into the tables.
    pub unfolded: u64,
    /// Groups written.
    pub commits: u64,
    /// Records written.
    pub records: u64,
    /// Groups and housekeeping steps that failed.
    pub failures: u64,
    /// Saves answered with `Failed`, among them those that found the queue full.
    pub saves_failed: u64,
    /// Refreshes not kept because too many waited.
    pub behind_dropped: u64,
    /// How long commits took.
    pub commit_times: Durations,
    /// Events of the audit trail that were not kept because too many waited.
    pub notes_dropped: u64,
}

/// The way to the store for everybody else; cheap to clone, never waits for the disk.
#[derive(Clone)]
pub struct StoreHandle {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Arc<Queue>,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

impl StoreHandle {
    /// Opens the store, reads all that is in it and starts its thread. Bindings, of which there are many, go to `take`
    /// some hundred at a time while they are read, and [`Restored`] has none; it returns what is to be filled next, and
    /// empty. `trail` is told of every change. Waits for the disk: call it at start.
    ///
    /// # Errors
    /// See [`OpenError`]; each says which file it speaks of. What `take` was given until then is of no use.
    pub fn open(
        kind: &StoreKind,
        trail: Arc<Trail>,
        take: impl FnMut(BindingsRead) -> BindingsRead,
    ) -> Result<(Self, Restored, Secrets), OpenError> {
        match kind {
            StoreKind::Memory => {
                let handle = Self::over(Memory, trail).map_err(OpenError::Thread)?;
                Ok((handle, Restored::default(), Secrets::default()))
            }
            StoreKind::Embedded { path } => {
                let (store, restored, secrets) = Embedded::open(path, take)?;
                let damaged = |source| OpenError::Damaged { path: path.clone(), source };
                trail.attach(store.archive()).map_err(damaged)?;
                let handle = Self::over(store, trail).map_err(OpenError::Thread)?;
                Ok((handle, restored, secrets))
            }
        }
    }

    /// Starts the thread of a store that is open; `trail` is told of every change.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn over(store: impl Store + 'static, trail: Arc<Trail>) -> std::io::Result<Self> {
        let queue = Arc::new(Queue::new());
        let keeper = Keeper::new(Arc::clone(&queue), Box::new(store), trail);
        let thread = std::thread::Builder::new().name("store".into()).spawn(move || keeper.run())?;
        Ok(Self { shared: Arc::new(Shared { queue, keeper: Mutex::new(Some(thread)) }) })
    }

    /// Has `record` written with the next group. `done` is called exactly once: on the store's thread, or on
    /// this one before `save` returns if there is no room or the store is closed. It must not wait.
    pub fn save(&self, record: Record, done: impl FnOnce(SaveVerdict) + Send + 'static) {
        self.shared.queue.push(Entry::Record(record), false, Box::new(done));
    }

    /// The same for a change that stands whatever the store says: while the store is away the record is kept,
    /// ahead of all that comes later, and written when it returns; only then `done` says `Durable`. It says
    /// `Failed` if too many are owed already or the store is closed before it returned.
    pub fn save_eventually(&self, record: Record, done: impl FnOnce(SaveVerdict) + Send + 'static) {
        self.shared.queue.push(Entry::Record(record), true, Box::new(done));
    }

    /// Has `record` written within half a second or so; of several of one address-of-record the last alone. A
    /// later [`Self::save`] of the same address-of-record takes its place. Nobody hears of it. A change of seats
    /// is never dropped for another: it is kept as by [`Self::save_eventually`].
    pub fn write_behind(&self, record: Record) {
        self.shared.queue.push_behind(record);
    }

    /// Has the trail told of what no record of a change goes with. It is shown and written within a quarter of a second;
    /// nobody waits for it. Where too many wait it is dropped and counted.
    pub fn note(&self, note: Note) {
        self.shared.queue.push_note(note);
    }

    /// Has it written some time soon that the follower `name` of the trail has seen all before `next`.
    pub fn keep_place(&self, name: &str, next: u64) {
        self.shared.queue.push_place(name, next);
    }

    /// Has all secrets replaced. `done` as in [`Self::save`].
    pub fn put_secrets(&self, secrets: Secrets, done: impl FnOnce(SaveVerdict) + Send + 'static) {
        self.shared.queue.push(Entry::Secrets(secrets), false, Box::new(done));
    }

    /// How the store fares now.
    pub fn health(&self) -> Health {
        self.shared.queue.health()
    }

    /// Writes all that waits and closes the store; every clone of this handle is closed with it. Waits for
    /// the disk: call it when the workers have ended.
    pub fn flush_and_close(self) {
        self.shared.queue.close();
        let thread = self.shared.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the store's thread panicked");
        }
    }
}

impl fmt::Debug for StoreHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StoreHandle").field(&self.health()).finish()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The thread writes what waits and ends by itself: this may run on it, so it is not joined here.
        self.queue.close();
    }
}
