//! The store in one file of its own: redb, as a journal with tables behind it.
//!
//! ```text
//!            append                                 fold, when it is quiet or the journal long
//!  group ───────────► journal: number → one group ═══════════════════════► seats, marks, epochs, bindings, meta
//!          one commit          │                    sorted, some ms a step       │
//!                              └─────────────── start: tables, journal over them ┴──► Restored
//! ```
//!
//! A row of the journal goes to the end of the file's youngest page, so a commit writes a handful of pages
//! however many log-ins it holds; a write by key would touch a page each. One row holds the whole group: half
//! the work of a row for each record.

use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::path::Path;

use dataplane::hotdesk::{Place, Seat};
use dataplane::query::Restored;
use redb::backends::FileBackend;
use redb::{
    Database, DatabaseError, ReadTransaction, ReadableDatabase as _, ReadableTable, StorageError,
    TableDefinition, TableHandle as _,
};

use super::fold::{Pass, Progress};
use super::format::{self, FORMAT, FormError, Row};
use super::overlay::Overlay;
use super::{BindingsRead, Entry, OpenError, SaveError, Secrets, Store};

pub(super) const JOURNAL: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("journal");
pub(super) const SEATS: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("seats");
/// Device to extension: the last seat that ended there by anything but the phone's own un-REGISTER. At most a
/// row for each device that ever had a seat.
pub(super) const MARKS: TableDefinition<'_, (&str, &str), (&str, &str)> = TableDefinition::new("marks");
pub(super) const EPOCHS: TableDefinition<'_, &str, u64> = TableDefinition::new("epochs");
pub(super) const BINDINGS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("bindings");
/// Extension to the PIN that was chosen for it at a phone.
pub(super) const PINS: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("pins");
pub(super) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

/// The row of [`META`] with the format, a u32.
const FORMAT_KEY: &str = "format";
/// The row of [`META`] with the secrets.
pub(super) const SECRETS_KEY: &str = "secrets";

/// Pages kept in memory, of which half may be waiting to be written: the journal's end, and the upper levels of tables
/// with a million bindings, some 3 MB, while they are written. The system caches the file as well.
const CACHE_OCTETS: usize = 4 << 20;

/// A journal of so many records is folded whoever waits: at 300 octets each it is 160 MB of file and a third
/// of a second at start. Longer is cheaper, because of one address-of-record the last refresh alone is
/// folded.
const JOURNAL_LONG: u64 = 524_288;

/// In quiet times a journal is folded from this length on.
const JOURNAL_WORTH_FOLDING: u64 = JOURNAL_LONG / 4;

/// Bindings read before they are handed on: some milliseconds of work.
const BINDINGS_READ_MAX: usize = 4_096;

type Reopen = Box<dyn Fn() -> Result<Database, DatabaseError> + Send>;

/// A store in a file.
pub struct Embedded {
    reopen: Reopen,
    /// `None` after a failure, until it has recovered.
    database: Option<Database>,
    /// The number of the next row of the journal. Rows from here on belong to groups that failed.
    next_row: u64,
    unfolded: u64,
    pass: Option<Pass>,
}

impl Embedded {
    /// Opens the file at `path` and reads all of it; makes it, and its folder, if it is not there. Only the
    /// user of this process may read it: it holds keys. Bindings go to `take` while they are read.
    ///
    /// # Errors
    /// See [`OpenError`]; what `take` was given until then is of no use.
    pub fn open(path: &Path, take: impl FnMut(BindingsRead)) -> Result<(Self, Restored, Secrets), OpenError> {
        let file_error = |source| OpenError::File { path: path.to_owned(), source };
        make_file(path).map_err(file_error)?;
        let owned = path.to_owned();
        let reopen = Box::new(move || {
            database(FileBackend::new(OpenOptions::new().read(true).write(true).open(&owned)?)?)
        });
        Self::over(reopen, take).map_err(|error| match error {
            StartError::InUse => OpenError::InUse { path: path.to_owned() },
            StartError::Format(found) => OpenError::Format { path: path.to_owned(), found, known: FORMAT },
            StartError::Other(SaveError::File(source)) => file_error(source),
            StartError::Other(source) => OpenError::Damaged { path: path.to_owned(), source },
        })
    }

    fn over(reopen: Reopen, take: impl FnMut(BindingsRead)) -> Result<(Self, Restored, Secrets), StartError> {
        let database = reopen().map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => StartError::InUse,
            error => SaveError::from(error).into(),
        })?;
        match prepare(&database)? {
            FORMAT => (),
            found => return Err(StartError::Format(found)),
        }
        let transaction = database.begin_read().map_err(SaveError::from)?;
        let (restored, secrets, journal) = restore(&transaction, take)?;
        drop(transaction);
        let store = Self {
            reopen,
            database: Some(database),
            next_row: journal.next_row,
            unfolded: journal.records,
            pass: None,
        };
        Ok((store, restored, secrets))
    }

    /// Runs `act` on the database; after an error only [`Store::recover`] can go on, because redb refuses all
    /// work after a failed write and what the file holds must be looked at.
    fn attempt<T>(
        &mut self,
        act: impl FnOnce(&mut Self, &Database) -> Result<T, SaveError>,
    ) -> Result<T, SaveError> {
        let database = self.database.take().ok_or(SaveError::Away)?;
        let result = act(self, &database)?;
        self.database = Some(database);
        Ok(result)
    }
}

impl Store for Embedded {
    fn append(&mut self, group: &[&Entry]) -> Result<(), SaveError> {
        self.attempt(|this, database| {
            let mut next_row = this.next_row;
            let mut records = 0;
            let transaction = database.begin_write()?;
            {
                let mut journal = transaction.open_table(JOURNAL)?;
                let mut row = Row::new();
                for entry in group {
                    row.push(entry)?;
                    if row.is_full() {
                        journal.insert(next_row, row.octets())?;
                        next_row += 1;
                        records += u64::from(row.count());
                        row = Row::new();
                    }
                }
                if !row.is_empty() {
                    journal.insert(next_row, row.octets())?;
                    next_row += 1;
                    records += u64::from(row.count());
                }
            }
            transaction.commit()?;
            this.next_row = next_row;
            this.unfolded += records;
            Ok(())
        })
    }

    fn recover(&mut self) -> Result<(), SaveError> {
        self.database = None;
        self.pass = None;
        let database = (self.reopen)()?;
        let transaction = database.begin_write()?;
        {
            let mut journal = transaction.open_table(JOURNAL)?;
            // A commit that reported an error may be in the file all the same. Its group was told that it
            // failed, so it must not come back.
            journal.retain_in(self.next_row.., |_, _| false)?;
            self.unfolded = 0;
            for row in journal.iter()? {
                self.unfolded += u64::from(format::count_of(row?.1.value())?);
            }
        }
        transaction.commit()?;
        self.database = Some(database);
        Ok(())
    }

    fn fold(&mut self, quiet: bool) -> Result<bool, SaveError> {
        let due = if quiet { JOURNAL_WORTH_FOLDING } else { JOURNAL_LONG };
        if self.pass.is_none() && self.unfolded < due {
            return Ok(false);
        }
        // The longer the journal, the more of the time goes into folding it: so it finds its length.
        let steps = 1 + self.unfolded / JOURNAL_LONG / 2;
        for _ in 0..steps {
            if !self.fold_step()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn unfolded(&self) -> u64 {
        self.unfolded
    }
}

impl Embedded {
    /// One step of the pass that is under way, or the first of a new one. False if it was the pass's last.
    fn fold_step(&mut self) -> Result<bool, SaveError> {
        let mut pass = self.pass.take().unwrap_or_else(|| Pass::new(self.next_row));
        match self.attempt(|_, database| pass.step(database))? {
            Progress::Going => self.pass = Some(pass),
            Progress::Done { records } => self.unfolded = self.unfolded.saturating_sub(records),
        }
        Ok(self.pass.is_some())
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded")
            .field("next_row", &self.next_row)
            .field("unfolded", &self.unfolded)
            .finish()
    }
}

/// Why a store could not start.
enum StartError {
    InUse,
    Format(u32),
    Other(SaveError),
}

impl From<SaveError> for StartError {
    fn from(error: SaveError) -> Self {
        Self::Other(error)
    }
}

impl From<redb::Error> for SaveError {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::Io(error) if error.kind() != io::ErrorKind::InvalidData => Self::File(error),
            error => Self::Database(Box::new(error)),
        }
    }
}

macro_rules! save_error_from {
    ($($error:ty),*) => {
        $(impl From<$error> for SaveError {
            fn from(error: $error) -> Self {
                redb::Error::from(error).into()
            }
        })*
    };
}

save_error_from!(StorageError, redb::TransactionError, redb::TableError, redb::CommitError, DatabaseError);

/// Opens or makes the database in `backend`.
fn database(backend: impl redb::StorageBackend) -> Result<Database, DatabaseError> {
    Database::builder()
        .set_cache_size(CACHE_OCTETS)
        .set_repair_callback(|session| {
            tracing::debug!(progress = session.progress(), "the store was not closed and is checked");
        })
        .create_with_backend(backend)
}

/// Makes the file and its folder if they are not there, for this user alone, and has the folder remember it.
fn make_file(path: &Path) -> io::Result<()> {
    if path.try_exists()? {
        return Ok(());
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder)?;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.sync_all()?;
    #[cfg(unix)]
    std::fs::File::open(folder)?.sync_all()?;
    Ok(())
}

/// Makes the tables of a new file; makes sure that an old one is ours. Returns its format.
fn prepare(database: &Database) -> Result<u32, SaveError> {
    let transaction = database.begin_write()?;
    if transaction.list_tables()?.next().is_none() {
        transaction.open_table(META)?.insert(FORMAT_KEY, &FORMAT.to_le_bytes()[..])?;
        transaction.open_table(JOURNAL)?;
        transaction.open_table(SEATS)?;
        transaction.open_table(MARKS)?;
        transaction.open_table(EPOCHS)?;
        transaction.open_table(BINDINGS)?;
        transaction.open_table(PINS)?;
        transaction.commit()?;
        return Ok(FORMAT);
    }
    if !transaction.list_tables()?.any(|table| table.name() == META.name()) {
        return Err(FormError::Foreign.into());
    }
    let format = {
        let meta = transaction.open_table(META)?;
        let format = meta.get(FORMAT_KEY)?.ok_or(FormError::Foreign)?;
        u32::from_le_bytes(*format.value().first_chunk().ok_or(FormError::Length)?)
    };
    // The first files of format 1 had no marks, and later ones no PINs; to one that has none they are the same.
    let tables: Vec<_> = transaction.list_tables()?.collect();
    let has = |name| tables.iter().any(|table| table.name() == name);
    if format == FORMAT && !(has(MARKS.name()) && has(PINS.name())) {
        transaction.open_table(MARKS)?;
        transaction.open_table(PINS)?;
        transaction.commit()?;
    }
    Ok(format)
}

/// What the journal of an opened file held.
struct JournalEnd {
    next_row: u64,
    records: u64,
}

/// Reads the tables with the journal over them; bindings go to `take`.
fn restore(
    transaction: &ReadTransaction,
    mut take: impl FnMut(BindingsRead),
) -> Result<(Restored, Secrets, JournalEnd), SaveError> {
    let seats = transaction.open_table(SEATS)?;
    let mut overlay = Overlay::default();
    let mut end = JournalEnd { next_row: 0, records: 0 };
    for row in transaction.open_table(JOURNAL)?.iter()? {
        let (number, row) = row?;
        for entry in format::entries(row.value())? {
            overlay.lay(entry?, |device| seat_at(&seats, device))?;
            end.records += 1;
        }
        end.next_row = number.value() + 1;
    }
    let mut restored = Restored::default();
    for row in seats.iter()? {
        let seat = format::decode_seat(row?.1.value())?;
        if !overlay.devices.contains_key(&seat.device) {
            restored.seats.push(seat);
        }
    }
    for row in transaction.open_table(MARKS)?.iter()? {
        let (device, mark) = row?;
        let (device, mark) = (place(device.value()), place(mark.value()));
        if !overlay.devices.contains_key(&device) {
            restored.marks.push((device, mark));
        }
    }
    for (device, state) in overlay.devices {
        restored.seats.extend(state.seat);
        restored.marks.extend(state.mark.map(|mark| (device, mark)));
    }
    for row in transaction.open_table(PINS)?.iter()? {
        let (extension, pin) = row?;
        let extension = place(extension.value());
        if !overlay.pins.contains_key(&extension) {
            restored.pins.push((extension, format::decode_pin(pin.value())?));
        }
    }
    let changed = overlay.pins.into_iter().filter_map(|(extension, pin)| Some((extension, pin?)));
    restored.pins.extend(changed);
    for row in transaction.open_table(EPOCHS)?.iter()? {
        let (customer, epoch) = row?;
        let last = overlay.epochs.entry(customer.value().into()).or_default();
        *last = epoch.value().max(*last);
    }
    restored.epochs.extend(overlay.epochs);
    // Both are sorted: a million bindings are read in one go, without a look-up for each.
    let mut above = overlay.bindings.into_iter().peekable();
    let mut read = BindingsRead::with_capacity(BINDINGS_READ_MAX);
    let mut push = |(aor, record): (Box<str>, Option<Box<[u8]>>)| {
        read.extend(record.map(|record| (aor, record)));
        if read.len() == BINDINGS_READ_MAX {
            take(std::mem::replace(&mut read, BindingsRead::with_capacity(BINDINGS_READ_MAX)));
        }
    };
    for row in transaction.open_table(BINDINGS)?.iter()? {
        let (aor, record) = row?;
        let aor = aor.value();
        while let Some(entry) = above.next_if(|(above, _)| **above < *aor) {
            push(entry);
        }
        match above.next_if(|(above, _)| **above == *aor) {
            Some(entry) => push(entry),
            None => push((aor.into(), Some(record.value().into()))),
        }
    }
    above.for_each(push);
    take(read);
    let secrets = match (overlay.secrets, transaction.open_table(META)?.get(SECRETS_KEY)?) {
        (Some(secrets), _) => secrets,
        (None, Some(octets)) => format::decode_secrets(octets.value())?,
        (None, None) => Secrets::default(),
    };
    Ok((restored, secrets, end))
}

fn place((tenant, name): (&str, &str)) -> Place {
    Place::new(tenant, name)
}

/// Who sits at `device` according to the table.
pub(super) fn seat_at(
    seats: &impl ReadableTable<(&'static str, &'static str), &'static [u8]>,
    device: &Place,
) -> Result<Option<Seat>, SaveError> {
    match seats.get((device.tenant(), device.name()))? {
        Some(octets) => Ok(Some(format::decode_seat(octets.value())?)),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use dataplane::hotdesk::{Cause, Origin, SeatChange, Surface};
    use dataplane::query::Record;
    use proptest::prelude::*;

    use super::super::RoutingKey;
    use super::super::disk::Disk;
    use super::*;

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
        let mut read = BindingsRead::new();
        let reopen = Box::new(move || database(disk.clone()));
        let (store, restored, secrets) = Embedded::over(reopen, |bindings| read.extend(bindings)).unwrap();
        (store, Restored { bindings: read, ..restored }, secrets)
    }

    fn open_file(path: &Path) -> Result<(Embedded, Restored, Secrets), OpenError> {
        let mut read = BindingsRead::new();
        let (store, restored, secrets) = Embedded::open(path, |bindings| read.extend(bindings))?;
        Ok((store, Restored { bindings: read, ..restored }, secrets))
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
        }
    }

    /// What ought to be in the store.
    #[derive(Clone, Debug, Default, PartialEq)]
    struct Model {
        seats: BTreeMap<Place, Seat>,
        marks: BTreeMap<Place, Place>,
        epoch: u64,
        bindings: BTreeMap<Box<str>, Box<[u8]>>,
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
            let loses = |_: &Place, seat: &mut Seat| {
                seat.device == device || Some(seat.extension.name()) == extension
            };
            let ended: Vec<_> = self.seats.extract_if(.., loses).map(|(_, seat)| seat).collect();
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

        fn bind(&mut self, aor: &str, record: Option<&[u8]>) -> Entry {
            match record {
                Some(record) => drop(self.bindings.insert(aor.into(), record.into())),
                None => drop(self.bindings.remove(aor)),
            }
            bindings(aor, record)
        }

        fn key(&mut self, id: u8) -> Entry {
            self.secrets.routing_keys.insert(0, RoutingKey { id, made_at: 1, key: [id; 32] });
            self.secrets.routing_keys.truncate(3);
            Entry::Secrets(self.secrets.clone())
        }

        fn restored(restored: Restored, secrets: Secrets) -> Self {
            assert!(restored.epochs.len() <= 1);
            let rows = (restored.seats.len(), restored.marks.len(), restored.bindings.len());
            let model = Self {
                seats: restored.seats.into_iter().map(|seat| (seat.device.clone(), seat)).collect(),
                marks: restored.marks.into_iter().collect(),
                epoch: restored.epochs.first().map_or(0, |(_, epoch)| *epoch),
                bindings: restored.bindings.into_iter().collect(),
                secrets,
            };
            assert_eq!(
                (model.seats.len(), model.marks.len(), model.bindings.len()),
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

        assert!(matches!(
            opened,
            Err(OpenError::Damaged { source: SaveError::Form(FormError::Foreign), .. })
        ));
    }

    #[test]
    fn a_later_format_is_refused_by_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hotdesk.db");
        let (mut store, ..) = open_file(&path).unwrap();
        store
            .attempt(|_, database| {
                let transaction = database.begin_write()?;
                transaction.open_table(META)?.insert(FORMAT_KEY, &2_u32.to_le_bytes()[..])?;
                Ok(transaction.commit()?)
            })
            .unwrap();
        drop(store);

        let opened = open_file(&path).map(drop).unwrap_err();

        assert!(matches!(opened, OpenError::Format { found: 2, known: 1, .. }));
        assert!(opened.to_string().ends_with("hotdesk.db has format 2, this version reads format 1"));
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
        let group: Vec<_> =
            (0..5000).map(|n| model.bind(&format!("demo/{n}"), Some(&[n as u8; 1000]))).collect();

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

    #[test]
    fn a_commit_that_failed_at_the_last_moment_does_not_come_back() {
        let disk = Disk::default();
        let (mut store, ..) = open(&disk);
        let mut model = Model::default();
        append(&mut store, &[model.bind("demo/1001", Some(b"kept"))]).unwrap();
        // As after a sync that reported an error though all of it was written: the row is in the file, and
        // its group was refused.
        append(&mut store, &[bindings("demo/1001", Some(b"refused"))]).unwrap();
        store.next_row -= 1;

        store.recover().unwrap();

        assert_eq!(store.unfolded(), 1);
        assert_eq!(found(&disk.after_kill()), model);
    }

    #[test]
    fn a_short_journal_is_left_alone_and_a_long_one_folded() {
        let disk = Disk::default();
        let (mut store, ..) = open(&disk);
        let mut model = Model::default();
        append(&mut store, &[model.bind("demo/0", Some(b"0"))]).unwrap();

        assert!(!store.fold(true).unwrap());
        let group: Vec<_> = (0..JOURNAL_WORTH_FOLDING)
            .map(|n| model.bind(&format!("demo/{}", n % 100), Some(b"1")))
            .collect();
        append(&mut store, &group).unwrap();
        assert!(!store.fold(false).unwrap());
        while store.fold(true).unwrap() {}

        assert_eq!(store.unfolded(), 0);
        assert_eq!(found(&disk.after_kill()), model);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Append(Vec<Act>),
        Fold,
        FoldWhole,
        Reopen,
        Kill,
        PowerCut(u64),
        Break { act: Act, wait_for_room: bool },
    }

    #[derive(Clone, Debug)]
    enum Act {
        LogIn(u8, u8),
        End(u8),
        UnRegister(u8),
        Bind(u8, Vec<u8>),
        Unbind(u8),
        Key(u8),
    }

    impl Act {
        fn entry(&self, model: &mut Model) -> Entry {
            match self {
                Self::LogIn(device, extension) => {
                    model.change(&format!("desk-{device}"), Some(&format!("100{extension}")))
                }
                Self::End(device) => model.change(&format!("desk-{device}"), None),
                Self::UnRegister(device) => model.un_register(&format!("desk-{device}")),
                Self::Bind(aor, record) => model.bind(&format!("demo/{aor}"), Some(record)),
                Self::Unbind(aor) => model.bind(&format!("demo/{aor}"), None),
                Self::Key(id) => model.key(*id),
            }
        }
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            (0..6_u8, 0..6_u8).prop_map(|(device, extension)| Act::LogIn(device, extension)),
            (0..6_u8).prop_map(Act::End),
            (0..6_u8).prop_map(Act::UnRegister),
            (0..12_u8, prop::collection::vec(any::<u8>(), 0..600))
                .prop_map(|(aor, record)| Act::Bind(aor, record)),
            (0..12_u8).prop_map(Act::Unbind),
            any::<u8>().prop_map(Act::Key),
        ]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => prop::collection::vec(act(), 1..8).prop_map(Step::Append),
            6 => Just(Step::Fold),
            1 => Just(Step::FoldWhole),
            1 => Just(Step::Reopen),
            1 => Just(Step::Kill),
            2 => any::<u64>().prop_map(Step::PowerCut),
            1 => (act(), any::<bool>()).prop_map(|(act, wait_for_room)| Step::Break { act, wait_for_room }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        /// Whatever happens in whatever order, the store holds what it acknowledged and nothing else.
        #[test]
        fn the_store_agrees_with_a_model(steps in prop::collection::vec(step(), 1..40)) {
            let mut disk = Disk::default();
            let mut model = Model::default();
            let (mut store, ..) = open(&disk);
            for step in steps {
                match step {
                    Step::Append(acts) => {
                        let group: Vec<_> = acts.iter().map(|act| act.entry(&mut model)).collect();
                        append(&mut store, &group).unwrap();
                    }
                    Step::Fold => drop(store.fold_step().unwrap()),
                    Step::FoldWhole => fold_whole(&mut store),
                    Step::Reopen => {
                        drop(store);
                        store = open(&disk).0;
                    }
                    Step::Kill => {
                        disk = disk.after_kill();
                        store = open(&disk).0;
                    }
                    Step::PowerCut(seed) => {
                        disk = disk.after_power_cut(seed);
                        store = open(&disk).0;
                    }
                    Step::Break { act, wait_for_room } => {
                        let entry = act.entry(&mut model.clone());
                        disk.set_broken(true);
                        append(&mut store, &[entry]).unwrap_err();
                        if wait_for_room {
                            store.recover().unwrap_err();
                        }
                        disk.set_broken(false);
                        store.recover().unwrap();
                    }
                }
                prop_assert_eq!(&found(&disk.after_kill()), &model);
            }
        }
    }
}
