//! What was stored comes back at start: the store is read on this thread while others put bindings into the tables.
//!
//! ```text
//!  store ─ some hundred bindings ──► queue ─► importers ─► location
//!        └ seats, marks, epochs ────────────────────────► seats      when all bindings are read
//! ```
//!
//! Nothing is answered before all of it is there: a phone whose binding has not been read yet would be unknown to
//! whoever calls it.

use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use dataplane::now::Now;
use dataplane::settings::Settings;
use dataplane::{Tables, Unplaced};
use tracing::{info, warn};

use super::StartError;
use super::clock::Clock;
use crate::backend::pin::changed::Changed;
use crate::backend::store::{BindingsRead, Secrets, StoreHandle, StoreKind, Trail};

/// Readings that wait for an importer: enough that neither side waits for the other's slowest, some megabytes.
const WAITING_MAX: usize = 16;

/// Opens the store and puts all that is in it into `tables`. What the dataplane does not need is returned: keys, and PINs
/// that were changed at a phone.
pub(super) fn open(
    kind: &StoreKind,
    tables: &Tables,
    settings: &Settings,
    trail: &Arc<Trail>,
    clock: Clock,
) -> Result<(StoreHandle, Secrets, Changed), StartError> {
    let now = clock.now();
    let (opened, unreadable) = thread::scope(|scope| {
        let (read, waiting) = sync_channel(WAITING_MAX);
        let waiting = Arc::new(Mutex::new(waiting));
        // As many as wait or are being read or imported.
        let (spend, spent) = channel();
        let importers = (0..importers())
            .map(|n| {
                let waiting = Arc::clone(&waiting);
                let spend = spend.clone();
                let import = move || import(&waiting, &spend, tables, settings, now);
                thread::Builder::new().name(format!("import-{n}")).spawn_scoped(scope, import)
            })
            .collect::<Result<Vec<_>, _>>()?;
        // From here on the importers alone hold it: if all were gone, nobody would wait for them.
        drop(waiting);
        let opened = StoreHandle::open(kind, Arc::clone(trail), |bindings| {
            // It fails only if all importers panicked, which the join tells.
            let _ = read.send(bindings);
            spent.try_recv().unwrap_or_default()
        });
        drop(read);
        let each =
            importers.into_iter().map(|importer| importer.join().expect("no stored octets cause a panic"));
        Ok::<_, StartError>((opened, each.sum::<usize>()))
    })?;
    let (store, mut restored, secrets) = opened?;
    let pins = std::mem::take(&mut restored.pins);
    let Unplaced { endings, .. } = tables.restore(restored, settings, now);
    if unreadable > 0 {
        warn!(unreadable, "stored bindings that cannot be read are left out");
    }
    for record in endings {
        store.write_behind(record);
    }
    let (bindings, seats) = (tables.location.census().bindings, tables.seats.len());
    let took_ms = clock.mono().since(now.mono).as_millis();
    info!(bindings, seats, took_ms, "what was stored is back");
    Ok((store, secrets, Changed::restored(pins)))
}

/// One processor reads, the others import.
fn importers() -> usize {
    thread::available_parallelism().map_or(1, |processors| processors.get().max(2) - 1)
}

/// Imports until nothing more is read, and gives the room back; says how many bindings could not be.
fn import(
    waiting: &Mutex<Receiver<BindingsRead>>,
    spend: &Sender<BindingsRead>,
    tables: &Tables,
    settings: &Settings,
    now: Now,
) -> usize {
    let mut unreadable = 0;
    loop {
        // The lock is held while waiting: the other importers queue behind it instead of at the channel.
        let read = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(mut bindings) = read else { return unreadable };
        unreadable += tables.restore_bindings(bindings.iter(), settings, now);
        bindings.clear();
        // Nobody wants it when all has been read.
        let _ = spend.send(bindings);
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::time::Duration;

    use dataplane::flow::WorkerId;
    use dataplane::location::{Binding, Upkeep};
    use dataplane::query::Record;
    use dataplane::settings::{Tenant, TenantParts, Timers};

    use super::*;

    fn settings() -> Settings {
        let demo = Tenant::new(TenantParts { id: "demo".into(), ..TenantParts::default() });
        Settings::new(1, "edge", Vec::new(), vec![Arc::new(demo)], Timers::default(), true)
    }

    /// What the store keeps of `user`, bound for a minute.
    fn bound(tables: &Tables, user: &str, now: Now) -> Record {
        let binding = Binding {
            uri: Cow::Owned(format!("sip:{user}@192.0.2.1").into_bytes()),
            instance: Cow::Borrowed(b""),
            reg_id: 0,
            q: 1000,
            expires_at: now.mono + Duration::from_secs(60),
            call_id: 1,
            cseq: 1,
            branch: 1,
            flow: None,
            holder: None,
        };
        let mut upkeep = Upkeep::new(WorkerId(0), false);
        let update = |draft: &mut dataplane::location::Draft<'_>| draft.add(binding);
        assert!(tables.location.update("demo", user.as_bytes(), now.mono, &mut upkeep, update));
        tables.location.snapshot("demo", user.as_bytes(), now)
    }

    #[test]
    fn all_that_was_stored_is_back_and_what_cannot_be_read_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let kind = StoreKind::Embedded { path: folder.path().join("hotdesk.db") };
        let (settings, clock) = (settings(), Clock::start());
        let tables = || Tables::new([7; 32]);
        let (store, ..) = open(&kind, &tables(), &settings, &Trail::of_nobody(), clock).unwrap();
        let before = tables();
        for user in 0..10_000 {
            store.write_behind(bound(&before, &user.to_string(), clock.now()));
        }
        store.write_behind(Record::Bindings { aor: "demo/odd".into(), record: Some([0xff; 9].into()) });
        store.flush_and_close();

        let after = tables();
        let (store, ..) = open(&kind, &after, &settings, &Trail::of_nobody(), clock).unwrap();

        assert_eq!(after.location.census(), before.location.census());
        assert_eq!(after.location.census().bindings, 10_000);
        let contacts = after.location.contacts("demo", b"9999", clock.now().mono);
        assert_eq!(contacts.len(), 1);
        store.flush_and_close();
    }
}
