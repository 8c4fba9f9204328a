//! The store's thread, over a store that does what a test says.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard};

use super::super::queue::SAVES_MAX;
use super::super::{Health, Memory, Secrets, StoreHandle};
use super::*;

/// Longer than anything here takes; only a test that fails waits for it.
const DEADLINE: Duration = Duration::from_secs(20);

/// A store that does what the test says.
#[derive(Clone, Default)]
struct Scripted {
    script: Arc<Mutex<Script>>,
}

#[derive(Default)]
struct Script {
    written: Vec<Entry>,
    is_broken: bool,
    panics: bool,
    /// Is told of each group before it is written.
    begun: Option<Sender<usize>>,
    /// Each group waits for one of these.
    permits: Option<Receiver<()>>,
}

impl Scripted {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    /// Has every group announced, and wait for a permit.
    fn step_by_step(&self) -> (Receiver<usize>, Sender<()>) {
        let (begun, announced) = channel();
        let (permit, permits) = channel();
        let mut script = self.script();
        (script.begun, script.permits) = (Some(begun), Some(permits));
        (announced, permit)
    }
}

impl Store for Scripted {
    fn append(&mut self, group: &[&Entry]) -> Result<(), SaveError> {
        let (begun, permits) = {
            let mut script = self.script();
            (script.begun.clone(), script.permits.take())
        };
        if let Some(begun) = begun {
            begun.send(group.len()).unwrap();
        }
        if let Some(permits) = permits {
            permits.recv_timeout(DEADLINE).unwrap();
            self.script().permits = Some(permits);
        }
        if self.script().panics {
            panic!("as the test wants it");
        }
        if self.script().is_broken {
            return Err(SaveError::Away);
        }
        self.script().written.extend(group.iter().map(|entry| (*entry).clone()));
        Ok(())
    }

    fn recover(&mut self) -> Result<(), SaveError> {
        if self.script().is_broken { Err(SaveError::Away) } else { Ok(()) }
    }
}

fn bindings(aor: &str, octet: u8) -> Record {
    Record::Bindings { aor: aor.into(), record: Some([octet].into()) }
}

fn entry(aor: &str, octet: u8) -> Entry {
    Entry::Record(bindings(aor, octet))
}

/// Saves and gives the way to the verdict.
fn save(store: &StoreHandle, record: Record) -> Receiver<SaveVerdict> {
    let (tell, told) = channel();
    store.save(record, move |verdict| tell.send(verdict).unwrap());
    told
}

fn save_eventually(store: &StoreHandle, record: Record) -> Receiver<SaveVerdict> {
    let (tell, told) = channel();
    store.save_eventually(record, move |verdict| tell.send(verdict).unwrap());
    told
}

fn verdict(told: &Receiver<SaveVerdict>) -> SaveVerdict {
    told.recv_timeout(DEADLINE).unwrap()
}

#[test]
fn whatever_waited_is_one_group() {
    let scripted = Scripted::default();
    let (announced, permit) = scripted.step_by_step();
    let store = StoreHandle::over(scripted.clone(), Trail::of_nobody()).unwrap();

    let first = save(&store, bindings("demo/first", 0));
    assert_eq!(announced.recv_timeout(DEADLINE), Ok(1));
    let others: Vec<_> = (0..1000).map(|n| save(&store, bindings(&format!("demo/{n}"), 0))).collect();
    permit.send(()).unwrap();
    assert_eq!(announced.recv_timeout(DEADLINE), Ok(1000));
    permit.send(()).unwrap();

    assert_eq!(verdict(&first), SaveVerdict::Durable);
    assert!(others.iter().all(|told| verdict(told) == SaveVerdict::Durable));
    let Health { reachable, commits, records, commit_times, .. } = store.health();
    assert_eq!((reachable, commits, records), (true, 2, 1001));
    assert_eq!(commit_times.count(), 2);
}

#[test]
fn a_busy_store_rests_a_little_and_one_that_is_not_does_not() {
    let commit = Duration::from_micros(500);

    assert_eq!(rest_after(GROUP_BUSY - 1, commit), Duration::ZERO);
    assert_eq!(rest_after(GROUP_BUSY, commit), Duration::from_millis(2));
    assert_eq!(rest_after(1000, Duration::from_secs(3)), REST_MAX);
}

#[test]
fn saves_that_find_no_room_fail_at_once() {
    let scripted = Scripted::default();
    let (announced, permit) = scripted.step_by_step();
    let store = StoreHandle::over(scripted.clone(), Trail::of_nobody()).unwrap();
    let _first = save(&store, bindings("demo/first", 0));
    announced.recv_timeout(DEADLINE).unwrap();
    let waiting: Vec<_> = (0..SAVES_MAX).map(|_| save(&store, bindings("demo/1001", 0))).collect();

    let refused = save(&store, bindings("demo/1001", 0));

    assert_eq!(refused.try_recv(), Ok(SaveVerdict::Failed));
    assert_eq!(store.health().saves_failed, 1);
    permit.send(()).unwrap();
    permit.send(()).unwrap();
    assert_eq!(verdict(&waiting[SAVES_MAX - 1]), SaveVerdict::Durable);
}

#[test]
fn while_the_store_is_away_saves_fail_and_what_is_owed_comes_first_when_it_returns() {
    let scripted = Scripted::default();
    scripted.script().is_broken = true;
    let store = StoreHandle::over(scripted.clone(), Trail::of_nobody()).unwrap();

    let owed = [
        save_eventually(&store, bindings("demo/1001", 1)),
        save_eventually(&store, bindings("demo/1001", 2)),
    ];
    let refused = save(&store, bindings("demo/1001", 3));
    assert_eq!(verdict(&refused), SaveVerdict::Failed);
    assert_eq!((store.health().reachable, store.health().owed), (false, 2));
    scripted.script().is_broken = false;
    assert!(owed.iter().all(|told| verdict(told) == SaveVerdict::Durable));
    let later = save(&store, bindings("demo/1001", 4));

    assert_eq!(verdict(&later), SaveVerdict::Durable);
    assert_eq!(scripted.script().written, [1, 2, 4].map(|octet| entry("demo/1001", octet)));
    assert_eq!((store.health().reachable, store.health().owed), (true, 0));
}

#[test]
fn closing_tries_once_more_and_then_says_what_is_lost() {
    let scripted = Scripted::default();
    scripted.script().is_broken = true;
    let store = StoreHandle::over(scripted.clone(), Trail::of_nobody()).unwrap();
    let lost = save_eventually(&store, bindings("demo/1001", 1));

    store.flush_and_close();

    assert_eq!(verdict(&lost), SaveVerdict::Failed);
}

#[test]
fn closing_writes_what_waits_and_then_nothing_more_is_taken() {
    let scripted = Scripted::default();
    let store = StoreHandle::over(scripted.clone(), Trail::of_nobody()).unwrap();
    let clone = store.clone();
    store.write_behind(bindings("demo/1001", 1));

    store.flush_and_close();

    assert_eq!(scripted.script().written, [entry("demo/1001", 1)]);
    assert_eq!(save(&clone, bindings("demo/1001", 2)).try_recv(), Ok(SaveVerdict::Failed));
    assert!(!clone.health().reachable);
}

#[test]
fn of_refreshes_of_one_address_of_record_the_last_is_written() {
    let scripted = Scripted::default();
    let store = StoreHandle::over(scripted.clone(), Trail::of_nobody()).unwrap();

    for octet in 0..100 {
        store.write_behind(bindings("demo/1001", octet));
    }
    store.flush_and_close();

    assert_eq!(scripted.script().written, [entry("demo/1001", 99)]);
}

#[test]
fn a_save_takes_the_place_of_refreshes_before_it_and_none_after_it() {
    let scripted = Scripted::default();
    let store = StoreHandle::over(scripted.clone(), Trail::of_nobody()).unwrap();

    store.write_behind(bindings("demo/1001", 1));
    let saved = save(&store, bindings("demo/1001", 2));
    assert_eq!(verdict(&saved), SaveVerdict::Durable);
    store.write_behind(bindings("demo/1001", 3));
    store.flush_and_close();

    assert_eq!(scripted.script().written, [2, 3].map(|octet| entry("demo/1001", octet)));
}

#[test]
fn refreshes_are_written_though_nobody_saves() {
    let scripted = Scripted::default();
    let (announced, permit) = scripted.step_by_step();
    let store = StoreHandle::over(scripted.clone(), Trail::of_nobody()).unwrap();

    for n in 0..=BEHIND_GROUP_MAX {
        store.write_behind(bindings(&format!("demo/{n}"), 1));
    }

    permit.send(()).unwrap();
    permit.send(()).unwrap();
    assert_eq!(announced.recv_timeout(DEADLINE), Ok(BEHIND_GROUP_MAX));
    assert_eq!(announced.recv_timeout(DEADLINE), Ok(1));
}

#[test]
fn closing_in_the_middle_of_refreshes_writes_them_all() {
    let scripted = Scripted::default();
    let (announced, permit) = scripted.step_by_step();
    let store = StoreHandle::over(scripted.clone(), Trail::of_nobody()).unwrap();
    for n in 0..=BEHIND_GROUP_MAX {
        store.write_behind(bindings(&format!("demo/{n}"), 1));
    }
    assert_eq!(announced.recv_timeout(DEADLINE), Ok(BEHIND_GROUP_MAX));

    store.write_behind(bindings("demo/late", 1));
    (0..3).for_each(|_| permit.send(()).unwrap());
    store.flush_and_close();

    assert_eq!(scripted.script().written.len(), BEHIND_GROUP_MAX + 2);
}

#[test]
fn refreshes_wait_for_a_store_that_is_away() {
    let scripted = Scripted::default();
    scripted.script().is_broken = true;
    let store = StoreHandle::over(scripted.clone(), Trail::of_nobody()).unwrap();
    let refused = save(&store, bindings("demo/1002", 1));
    assert_eq!(verdict(&refused), SaveVerdict::Failed);
    store.write_behind(bindings("demo/1001", 1));

    scripted.script().is_broken = false;
    store.flush_and_close();

    assert_eq!(scripted.script().written, [entry("demo/1001", 1)]);
}

#[test]
fn nobody_waits_for_a_thread_that_panicked() {
    let scripted = Scripted::default();
    scripted.script().panics = true;
    let store = StoreHandle::over(scripted, Trail::of_nobody()).unwrap();

    let first = save(&store, bindings("demo/1001", 1));

    assert_eq!(verdict(&first), SaveVerdict::Failed);
    store.clone().flush_and_close();
    // Nor does anybody believe that it is well.
    assert!(!store.health().reachable);
}

#[test]
fn secrets_are_saved_like_records() {
    let scripted = Scripted::default();
    let store = StoreHandle::over(scripted.clone(), Trail::of_nobody()).unwrap();
    let (tell, told) = channel();

    store.put_secrets(Secrets::default(), move |verdict| tell.send(verdict).unwrap());

    assert_eq!(verdict(&told), SaveVerdict::Durable);
    assert_eq!(scripted.script().written, [Entry::Secrets(Secrets::default())]);
}

#[test]
fn the_memory_store_takes_everything() {
    let store = StoreHandle::over(Memory, Trail::of_nobody()).unwrap();

    let saved = save(&store, bindings("demo/1001", 1));

    assert_eq!(verdict(&saved), SaveVerdict::Durable);
}

#[test]
fn events_are_shown_while_the_store_is_away_and_written_when_it_is_back() {
    let scripted = Scripted::default();
    let trail = Trail::of_nobody();
    let store = StoreHandle::over(scripted.clone(), Arc::clone(&trail)).unwrap();
    scripted.script().is_broken = true;
    let from = trail.end().next;

    let event = dataplane::audit::Event::new(dataplane::audit::Kind::EmergencyCall, "routed", "demo", 1);
    store.note(Note::Event(Box::new(event)));

    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut news = trail.news();
    let shown = news.wait_for(|next| *next > from);
    runtime
        .block_on(async { tokio::time::timeout(DEADLINE, shown).await.expect("it is shown").map(drop) })
        .unwrap();
    assert!(scripted.script().written.is_empty());
    scripted.script().is_broken = false;
    store.flush_and_close();
    assert!(matches!(&scripted.script().written[..], [Entry::Trail(row)] if row.first() == from));
    assert_eq!(trail.end().next, from + 1, "it is not shown again");
}
