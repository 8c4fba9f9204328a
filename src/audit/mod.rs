//! Who follows the audit trail: the file that every record is appended to, and servers that are told over HTTP.
//! `docs/audit.md` is the reference of what they read.
//!
//! ```text
//!  trail (store) ─► follower ─┬─► JSON lines in a file
//!                             └─► POST to a hook, again and again until it is taken, one after the other
//! ```
//!
//! All of it runs on one thread of its own, so neither a slow disk nor a slow server is felt by anybody else. How far a
//! follower has come is kept in the store: after a restart he goes on there.

mod file;
pub mod follower;
mod hook;
pub mod record;
mod tls;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};

use tokio::sync::{oneshot, watch};
use tokio::task::AbortHandle;
use tracing::error;

use crate::backend::store::{End, StoreHandle, Trail};
use crate::config::{self, Hook, Server};

/// What a follower of the trail has come to. Counts are since start.
#[derive(Debug, Default)]
pub struct Progress {
    /// The trail's end when he was configured: where he starts if he is new.
    configured: OnceLock<End>,
    /// The sequence number of the next event for him; 0 before he has looked.
    next: AtomicU64,
    /// How many events there had been before that one.
    ordinal: AtomicU64,
    delivered: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
    missed: AtomicU64,
}

/// What metrics say of one follower.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Records that were taken.
    pub delivered: u64,
    /// Tries that failed and are made again.
    pub failed: u64,
    /// Records that the server will never take.
    pub refused: u64,
    /// Records that were gone before they could be delivered.
    pub missed: u64,
    /// Events he has not looked at yet.
    pub waiting: u64,
}

/// All followers, by name; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Followers {
    known: Arc<Mutex<BTreeMap<Box<str>, Arc<Progress>>>>,
}

impl Followers {
    /// Whoever `audit` names and is new is told what happens from now on, however late he begins.
    pub fn configure(&self, audit: &config::Audit, trail: &Trail) {
        let hooks = audit.hooks.iter().map(|hook| hook_key(&hook.name));
        for key in hooks.chain(audit.file.iter().map(|_| FILE_KEY.into())) {
            self.of(&key).configured.get_or_init(|| trail.end());
        }
    }

    /// What metrics say of each hook that is configured now.
    pub fn figures(&self, hooks: &[Hook], trail: &Trail) -> Vec<(Box<str>, Figures)> {
        let end = trail.end().ordinal;
        let figures = hooks.iter().map(|hook| {
            let progress = self.of(&hook_key(&hook.name));
            let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            let figures = Figures {
                delivered: count(&progress.delivered),
                failed: count(&progress.failed),
                refused: count(&progress.refused),
                missed: count(&progress.missed),
                waiting: end.saturating_sub(count(&progress.ordinal)),
            };
            (hook.name.clone(), figures)
        });
        figures.collect()
    }

    /// The progress of the follower called `key`; names come from the configuration, which bounds them.
    fn of(&self, key: &str) -> Arc<Progress> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(key.into()).or_default())
    }
}

/// Under which name the place of a hook is kept.
fn hook_key(name: &str) -> Box<str> {
    format!("hook {name}").into()
}

/// Under which name the place of the file is kept.
const FILE_KEY: &str = "file";

/// The running thread.
pub struct Office {
    close: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Office {
    /// Starts whoever `server` names; a reload changes them.
    ///
    /// # Errors
    /// The system gives no thread or runtime.
    pub fn open(
        trail: Arc<Trail>,
        store: StoreHandle,
        followers: Followers,
        server: watch::Receiver<Arc<Server>>,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (close, closed) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name("audit".into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = attend(&trail, &store, &followers, server) => {}
                    // An error means that the edge itself is gone.
                    _ = closed => {}
                }
            });
            // A read of the file that is under way is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Self { close, thread })
    }

    /// Ends it at once. What was not delivered is after the next start.
    pub fn close(self) {
        // It fails only if the thread has ended.
        let _ = self.close.send(());
        if self.thread.join().is_err() {
            error!("the thread of the audit trail's followers panicked");
        }
    }
}

/// Keeps a task running for each follower that is configured.
async fn attend(
    trail: &Arc<Trail>,
    store: &StoreHandle,
    followers: &Followers,
    mut server: watch::Receiver<Arc<Server>>,
) {
    let mut hooks: HashMap<Box<str>, (Hook, AbortHandle)> = HashMap::new();
    let mut file: Option<AbortHandle> = None;
    let turn = Arc::default();
    loop {
        let audit = server.borrow_and_update().audit.clone();
        hooks.retain(|_, (hook, task)| {
            let stays = audit.hooks.contains(hook);
            if !stays {
                task.abort();
            }
            stays
        });
        for hook in audit.hooks {
            if !hooks.contains_key(&hook.name) {
                let progress = followers.of(&hook_key(&hook.name));
                let task = hook::deliver(hook.clone(), Arc::clone(trail), store.clone(), progress);
                hooks.insert(hook.name.clone(), (hook, tokio::spawn(task).abort_handle()));
            }
        }
        // It is opened anew at every reload: whoever rotates it moves it away and sends SIGHUP.
        if let Some(task) = file.take() {
            task.abort();
        }
        file = audit.file.map(|path| {
            let progress = followers.of(FILE_KEY);
            let task = file::append(path, Arc::clone(&turn), Arc::clone(trail), store.clone(), progress);
            tokio::spawn(task).abort_handle()
        });
        if server.changed().await.is_err() {
            return;
        }
    }
}
