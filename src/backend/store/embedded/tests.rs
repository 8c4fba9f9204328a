//! The file, on a disk that breaks when a test says so.

use std::collections::BTreeMap;
use std::sync::Arc;

use dataplane::audit::{Event, Kind};
use dataplane::hotdesk::{
    CalledForHelp, Caller, Cause, DeferredEnd, Origin, Place, Seat, SeatChange, Surface,
};
use dataplane::query::{ChangedPin, Record};
use redb::TableDefinition;

use super::super::RoutingKey;
use super::super::disk::Disk;
use super::*;

mod properties;

impl fmt::Debug for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse => f.write_str("in use"),
            Self::Format(format) => write!(f, "format {format}"),
            Self::Other(error) => error.fmt(f),
        }
    }
}

fn open(disk: &Disk) -> (Embedded, Restored, Secrets) {
    let disk = disk.clone();
    let mut bindings = Vec::new();
    let reopen = Box::new(move || database(disk.clone()));
    let (store, restored, secrets) = Embedded::over(reopen, |read| keep(read, &mut bindings)).unwrap();
    (store, Restored { bindings, ..restored }, secrets)
}

fn open_file(path: &Path) -> Result<(Embedded, Restored, Secrets), OpenError> {
    let mut bindings = Vec::new();
    let (store, restored, secrets) = Embedded::open(path, |read| keep(read, &mut bindings))?;
    Ok((store, Restored { bindings, ..restored }, secrets))
}

fn keep(mut read: BindingsRead, kept: &mut Vec<(Box<str>, Box<[u8]>)>) -> BindingsRead {
    kept.extend(read.iter().map(|(aor, record)| (aor.into(), record.into())));
    read.clear();
    read
}

fn append(store: &mut Embedded, group: &[Entry]) -> Result<(), SaveError> {
    store.append(&group.iter().collect::<Vec<_>>())
}

fn fold_whole(store: &mut Embedded) {
    while store.fold_step().unwrap() {}
}

fn bindings(aor: &str, record: Option<&[u8]>) -> Entry {
    Entry::Record(Record::Bindings { aor: aor.into(), record: record.map(Into::into) })
}

fn seat(device: &str, extension: &str, epoch: u64) -> Seat {
    Seat {
        device: Place::new("demo", device),
        extension: Place::new("demo", extension),
        epoch,
        since: epoch * 1000,
        surface: Surface::Dialled,
        until: None,
    }
}

/// What ought to be in the store.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    seats: BTreeMap<Place, Seat>,
    owed_ends: BTreeMap<Place, DeferredEnd>,
    marks: BTreeMap<Place, Place>,
    epoch: u64,
    bindings: BTreeMap<Box<str>, Box<[u8]>>,
    pins: BTreeMap<Place, ChangedPin>,
    secrets: Secrets,
}

impl Model {
    /// `extension` logs in at `device` and nowhere else; `None`: an administrator ends the seat there.
    fn change(&mut self, device: &str, extension: Option<&str>) -> Entry {
        let cause = if extension.is_some() { Cause::LogIn } else { Cause::Forced };
        self.make(device, extension, cause, Surface::Api)
    }

    fn un_register(&mut self, device: &str) -> Entry {
        self.make(device, None, Cause::LogOut, Surface::Native)
    }

    fn make(&mut self, device: &str, extension: Option<&str>, cause: Cause, surface: Surface) -> Entry {
        self.epoch += 1;
        let device = Place::new("demo", device);
        let loses =
            |_: &Place, seat: &mut Seat| seat.device == device || Some(seat.extension.name()) == extension;
        let ended: Vec<_> = self.seats.extract_if(.., loses).map(|(_, seat)| seat).collect();
        for seat in &ended {
            self.owed_ends.remove(&seat.device);
        }
        if let Some(extension) = extension {
            self.marks.remove(&device);
            self.seats.insert(device.clone(), seat(device.name(), extension, self.epoch));
        }
        if cause != Cause::LogOut {
            self.marks.extend(ended.iter().map(|seat| (seat.device.clone(), seat.extension.clone())));
        } else if !ended.is_empty() {
            self.marks.remove(&device);
        }
        Entry::Record(Record::Seats(Arc::new(SeatChange {
            customer: "demo".into(),
            epoch: self.epoch,
            ended,
            begun: extension.map(|_| self.seats[&device].clone()),
            cause,
            surface,
            at: self.epoch,
            origin: Origin::UNKNOWN,
        })))
    }

    /// The seat at `device` is to end, if there is one.
    fn owe(&mut self, device: &str) -> Entry {
        let device = Place::new("demo", device);
        let epoch = self.seats.get(&device).map(|seat| seat.epoch);
        let end = DeferredEnd {
            customer: "demo".into(),
            epoch: epoch.unwrap_or_default(),
            cause: Cause::Forced,
            surface: Surface::Api,
            origin: Origin::of_operator("console"),
        };
        if epoch.is_some() {
            self.owed_ends.insert(device.clone(), end.clone());
        }
        Entry::Record(Record::OwedEnd { device, end })
    }

    fn bind(&mut self, aor: &str, record: Option<&[u8]>) -> Entry {
        match record {
            Some(record) => drop(self.bindings.insert(aor.into(), record.into())),
            None => drop(self.bindings.remove(aor)),
        }
        bindings(aor, record)
    }

    /// `extension` has a PIN chosen at `at`; `None`: the operator's again.
    fn pin(&mut self, extension: &str, at: Option<u64>) -> Entry {
        let extension = Place::new("demo", extension);
        let pin = at.map(|at| ChangedPin { phc: "$x$".into(), replaces: [7; 16], at });
        match pin.clone() {
            Some(pin) => drop(self.pins.insert(extension.clone(), pin)),
            None => drop(self.pins.remove(&extension)),
        }
        Entry::Record(Record::Pin { extension, pin })
    }

    fn key(&mut self, id: u8) -> Entry {
        self.secrets.routing_keys.insert(0, RoutingKey { id, made_at: 1, key: [id; 32] });
        self.secrets.routing_keys.truncate(3);
        Entry::Secrets(self.secrets.clone())
    }

    fn restored(restored: Restored, secrets: Secrets) -> Self {
        assert!(restored.epochs.len() <= 1);
        let rows = (restored.seats.len(), restored.marks.len(), restored.bindings.len(), restored.pins.len());
        let model = Self {
            owed_ends: restored.owed_ends.into_iter().collect(),
            seats: restored.seats.into_iter().map(|seat| (seat.device.clone(), seat)).collect(),
            marks: restored.marks.into_iter().collect(),
            epoch: restored.epochs.first().map_or(0, |(_, epoch)| *epoch),
            bindings: restored.bindings.into_iter().collect(),
            pins: restored.pins.into_iter().collect(),
            secrets,
        };
        assert_eq!(
            (model.seats.len(), model.marks.len(), model.bindings.len(), model.pins.len()),
            rows,
            "nothing comes back twice"
        );
        model
    }
}

fn found(disk: &Disk) -> Model {
    let (_, restored, secrets) = open(disk);
    Model::restored(restored, secrets)
}

#[test]
fn a_file_opened_again_holds_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("var/hotdesk.db");
    let mut model = Model::default();
    let group = [model.change("desk-1", Some("1001")), model.bind("demo/1001", Some(b"b")), model.key(1)];

    let (mut store, restored, _) = open_file(&path).unwrap();
    append(&mut store, &group).unwrap();
    drop(store);
    let (_, again, secrets) = open_file(&path).unwrap();

    assert_eq!(Model::restored(restored, Secrets::default()), Model::default());
    assert_eq!(Model::restored(again, secrets), model);
}

#[test]
fn a_file_of_before_marks_were_kept_is_read_and_keeps_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hotdesk.db");
    let mut model = Model::default();
    let (mut store, ..) = open_file(&path).unwrap();
    append(&mut store, &[model.change("desk-1", Some("1001"))]).unwrap();
    store
        .attempt(|_, database| {
            let transaction = database.begin_write()?;
            transaction.delete_table(MARKS)?;
            transaction.open_table(META)?.insert(FORMAT_KEY, &1_u32.to_le_bytes()[..])?;
            Ok(transaction.commit()?)
        })
        .unwrap();
    drop(store);

    let (mut store, restored, secrets) = open_file(&path).unwrap();
    assert_eq!(Model::restored(restored, secrets), model);
    append(&mut store, &[model.change("desk-1", None)]).unwrap();
    fold_whole(&mut store);
    drop(store);

    let (_, again, secrets) = open_file(&path).unwrap();
    assert_eq!(model.marks[&Place::new("demo", "desk-1")], Place::new("demo", "1001"));
    assert_eq!(Model::restored(again, secrets), model);
}

#[test]
fn emergency_call_is_kept_and_forgotten_also_in_a_file_of_before_they_were_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hotdesk.db");
    let device = Place::new("demo", "desk-1");
    let call = CalledForHelp {
        key: device.clone(),
        caller: Caller::Device(device.clone()),
        number: "+12125550100".into(),
        contact: (*b"sip:desk-1@192.0.2.7").into(),
        listener: 0,
        remote: "192.0.2.7:5060".parse().unwrap(),
        dialog: 1,
        began: 1_700_000_000_000,
        ended: None,
    };
    let called = |call: Option<CalledForHelp>| {
        [Entry::Record(Record::CalledForHelp { key: device.clone(), call: call.map(Arc::new) })]
    };
    let (mut store, ..) = open_file(&path).unwrap();
    store
        .attempt(|_, database| {
            let transaction = database.begin_write()?;
            transaction.delete_table(CALLED_FOR_HELP)?;
            Ok(transaction.commit()?)
        })
        .unwrap();
    drop(store);

    for folds in [false, true] {
        for written in [Some(call.clone()), Some(CalledForHelp { ended: Some(9), ..call.clone() }), None] {
            let (mut store, ..) = open_file(&path).unwrap();
            append(&mut store, &called(written.clone())).unwrap();
            if folds {
                fold_whole(&mut store);
            }
            drop(store);

            let (_, restored, _) = open_file(&path).unwrap();
            assert_eq!(restored.called_for_help, Vec::from_iter(written), "folds: {folds}");
        }
    }
}

#[cfg(unix)]
#[test]
fn only_its_user_may_read_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hotdesk.db");

    drop(open_file(&path).unwrap());

    let mode = std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_file_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hotdesk.db");
    let _first = open_file(&path).unwrap();

    let second = open_file(&path);

    assert!(matches!(second, Err(OpenError::InUse { .. })));
}

#[test]
fn what_is_no_store_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, b"Dear diary, ".repeat(1000)).unwrap();

    let opened = open_file(&path);

    assert!(matches!(opened, Err(OpenError::Damaged { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), b"Dear diary, ".repeat(1000));
}

#[test]
fn a_folder_in_place_of_the_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();

    let opened = open_file(folder.path());

    assert!(matches!(opened, Err(OpenError::File { .. })));
}

#[test]
fn a_database_of_another_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    let other = Database::create(&path).unwrap();
    let transaction = other.begin_write().unwrap();
    transaction.open_table(TableDefinition::<u64, u64>::new("cats")).unwrap();
    transaction.commit().unwrap();
    drop(other);

    let opened = open_file(&path);

    assert!(matches!(opened, Err(OpenError::Damaged { source: SaveError::Form(FormError::Foreign), .. })));
}

#[test]
fn a_file_of_before_is_given_todays_format_once_it_was_read_well() {
    let disk = Disk::default();
    let (mut store, ..) = open(&disk);
    let act = |store: &mut Embedded, row: Option<&[u8]>| {
        let write = |_: &mut Embedded, database: &Database| {
            let transaction = database.begin_write()?;
            transaction.open_table(META)?.insert(FORMAT_KEY, &1_u32.to_le_bytes()[..])?;
            match row {
                Some(row) => drop(transaction.open_table(JOURNAL)?.insert(0, row)?),
                None => drop(transaction.open_table(JOURNAL)?.remove(0)?),
            }
            Ok(transaction.commit()?)
        };
        store.attempt(write).unwrap();
    };
    let format = |disk: &Disk| prepare(&database(disk.after_kill()).unwrap()).unwrap();
    act(&mut store, Some(b"damaged"));
    drop(store);

    let again = disk.clone();
    let opened = Embedded::over(Box::new(move || database(again.clone())), |read| read);
    assert!(opened.is_err());
    assert_eq!(format(&disk), 1);

    let disk = Disk::default();
    let (mut store, ..) = open(&disk);
    act(&mut store, None);
    drop(store);
    open(&disk);
    assert_eq!(format(&disk), FORMAT);
}

#[test]
fn a_later_format_is_refused_by_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hotdesk.db");
    let (mut store, ..) = open_file(&path).unwrap();
    store
        .attempt(|_, database| {
            let transaction = database.begin_write()?;
            transaction.open_table(META)?.insert(FORMAT_KEY, &(FORMAT + 1).to_le_bytes()[..])?;
            Ok(transaction.commit()?)
        })
        .unwrap();
    drop(store);

    let opened = open_file(&path).map(drop).unwrap_err();

    assert!(matches!(opened, OpenError::Format { found: 6, known: 5, .. }));
    assert!(opened.to_string().ends_with("hotdesk.db has format 6, this version reads format 5"));
}

#[test]
fn an_acknowledged_group_is_there_after_kill_9_and_after_a_power_cut() {
    let disk = Disk::default();
    let (mut store, ..) = open(&disk);
    let mut model = Model::default();

    for round in 0..20 {
        let group = [
            model.change("desk-1", Some(["1001", "1002"][round % 2])),
            model.bind(&format!("demo/{round}"), Some(&[round as u8; 300])),
        ];
        append(&mut store, &group).unwrap();

        assert_eq!(found(&disk.after_kill()), model);
        assert_eq!(found(&disk.after_power_cut(round as u64)), model);
    }
}

#[test]
fn a_group_is_one_wait_for_the_disk() {
    let disk = Disk::default();
    let (mut store, ..) = open(&disk);
    let group: Vec<_> = (0..1000).map(|n| bindings(&format!("demo/{n}"), Some(&[0; 100]))).collect();
    let before = disk.syncs();

    append(&mut store, &group).unwrap();

    assert_eq!(disk.syncs() - before, 1);
}

#[test]
fn a_group_larger_than_a_row_is_kept_whole() {
    let disk = Disk::default();
    let (mut store, ..) = open(&disk);
    let mut model = Model::default();
    let group: Vec<_> = (0..5000).map(|n| model.bind(&format!("demo/{n}"), Some(&[n as u8; 1000]))).collect();

    append(&mut store, &group).unwrap();

    assert_eq!(found(&disk.after_kill()), model);
    assert_eq!(open(&disk.after_kill()).0.unfolded(), 5000);
}

#[test]
fn what_failed_for_want_of_room_is_not_there_when_room_returns() {
    let disk = Disk::default();
    let (mut store, ..) = open(&disk);
    let mut model = Model::default();
    let kept = [model.change("desk-1", Some("1001"))];
    append(&mut store, &kept).unwrap();
    let refused = [bindings("demo/large", Some(&vec![1; 8 << 20]))];

    disk.leave_room(Some(0));
    let full = append(&mut store, &refused);
    let away = append(&mut store, &kept);
    disk.leave_room(None);
    store.recover().unwrap();
    let more = [model.change("desk-2", Some("1002"))];
    append(&mut store, &more).unwrap();

    assert!(matches!(full, Err(SaveError::File(error)) if error.kind() == io::ErrorKind::StorageFull));
    assert!(matches!(away, Err(SaveError::Away)));
    assert_eq!(found(&disk.after_kill()), model);
}

/// A row of the trail with one event.
fn event_row(first: u64, ordinal: u64) -> Arc<super::super::row::Row> {
    let mut draft = super::super::row::Draft::new(0);
    draft.push(&Event::new(Kind::Refusal, "credentials", "demo", 7));
    Arc::new(draft.finish(first, ordinal).unwrap())
}

#[test]
fn a_commit_that_failed_at_the_last_moment_does_not_come_back() {
    let disk = Disk::default();
    let (mut store, ..) = open(&disk);
    let mut model = Model::default();
    let kept = event_row(5, 0);
    append(&mut store, &[model.bind("demo/1001", Some(b"kept")), Entry::Trail(Arc::clone(&kept))]).unwrap();
    // As after a sync that reported an error though all of it was written: the row is in the file, and
    // its group was refused.
    let refused = Entry::Trail(event_row(6, 1));
    append(&mut store, &[bindings("demo/1001", Some(b"refused")), refused]).unwrap();
    store.next_row -= 1;
    store.trail_end -= 1;

    store.recover().unwrap();

    assert_eq!(store.unfolded(), 1);
    assert_eq!(store.archive().from(0, u64::MAX, 1 << 20).unwrap(), [kept]);
    assert_eq!(found(&disk.after_kill()), model);
}

#[test]
fn a_short_journal_is_left_alone_and_a_long_one_folded() {
    let disk = Disk::default();
    let (mut store, ..) = open(&disk);
    let mut model = Model::default();
    append(&mut store, &[model.bind("demo/0", Some(b"0"))]).unwrap();

    assert!(!store.fold(true).unwrap());
    let group: Vec<_> =
        (0..JOURNAL_WORTH_FOLDING).map(|n| model.bind(&format!("demo/{}", n % 100), Some(b"1"))).collect();
    append(&mut store, &group).unwrap();
    assert!(!store.fold(false).unwrap());
    while store.fold(true).unwrap() {}

    assert_eq!(store.unfolded(), 0);
    assert_eq!(found(&disk.after_kill()), model);
}

#[test]
fn a_quiet_store_folds_a_journal_of_more_than_one_pass() {
    let disk = Disk::default();
    let (mut store, ..) = open(&disk);
    let keys = 2 * JOURNAL_WORTH_FOLDING;
    let group: Vec<_> = (0..keys).map(|n| bindings(&format!("demo/{n}"), Some(b"1"))).collect();
    append(&mut store, &group).unwrap();

    while store.fold(true).unwrap() {}

    assert!(store.unfolded() < JOURNAL_WORTH_FOLDING, "{}", store.unfolded());
}
