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
use std::sync::Arc;

use dataplane::query::Restored;
use redb::backends::FileBackend;
use redb::{
    Database, DatabaseError, ReadTransaction, ReadableDatabase as _, ReadableTable, StorageError,
    TableHandle as _,
};

use super::archive::{self, Archive};
use super::fold::{Pass, Progress};
use super::format::{self, FORMAT, FORMAT_OLDEST, FormError, Row};
use super::overlay::Overlay;
use super::tables::{
    BINDINGS, CALLED_FOR_HELP, EPOCHS, FORMAT_KEY, JOURNAL, MARKS, META, PINS, SEATS, SECRETS_KEY, kept_of,
    place,
};
use super::{BindingsRead, Entry, OpenError, SaveError, Secrets, Store};

/// Pages kept in memory, of which half may be waiting to be written: the journal's end, and the upper levels of tables
/// with a million bindings, some 3 MB, while they are written. The system caches the file as well.
const CACHE_OCTETS: usize = 4 << 20;

/// A journal of so many records is folded whoever waits: at 300 octets each it is 160 MB of file and a third
/// of a second at start. Longer is cheaper, because of one address-of-record the last refresh alone is
/// folded.
const JOURNAL_LONG: u64 = 524_288;

/// In quiet times a journal is folded from this length on.
const JOURNAL_WORTH_FOLDING: u64 = JOURNAL_LONG / 4;

type Reopen = Box<dyn Fn() -> Result<Database, DatabaseError> + Send>;

/// A store in a file.
pub struct Embedded {
    reopen: Reopen,
    /// `None` after a failure, until it has recovered.
    database: Option<Arc<Database>>,
    archive: Archive,
    /// The number of the next row of the journal. Rows from here on belong to groups that failed.
    next_row: u64,
    /// The number behind the last row of the trail. Rows from here on belong to groups that failed.
    trail_end: u64,
    unfolded: u64,
    pass: Option<Pass>,
}

impl Embedded {
    /// Opens the file at `path` and reads all of it; makes it, and its folder, if it is not there. Only the
    /// user of this process may read it: it holds keys. Bindings go to `take` while they are read; it returns
    /// what is to be filled next, and empty.
    ///
    /// # Errors
    /// See [`OpenError`]; what `take` was given until then is of no use.
    pub fn open(
        path: &Path,
        take: impl FnMut(BindingsRead) -> BindingsRead,
    ) -> Result<(Self, Restored, Secrets), OpenError> {
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

    fn over(
        reopen: Reopen,
        take: impl FnMut(BindingsRead) -> BindingsRead,
    ) -> Result<(Self, Restored, Secrets), StartError> {
        let database = reopen().map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => StartError::InUse,
            error => SaveError::from(error).into(),
        })?;
        let format = prepare(&database)?;
        if !(FORMAT_OLDEST..=FORMAT).contains(&format) {
            return Err(StartError::Format(format));
        }
        let transaction = database.begin_read().map_err(SaveError::from)?;
        let (restored, secrets, journal) = restore(&transaction, take)?;
        let trail_end = archive::end(&transaction)?;
        drop(transaction);
        if format < FORMAT {
            stamp(&database)?;
        }
        let database = Arc::new(database);
        let archive = Archive::default();
        archive.open(&database);
        let store = Self {
            reopen,
            database: Some(database),
            archive,
            next_row: journal.next_row,
            trail_end,
            unfolded: journal.records,
            pass: None,
        };
        Ok((store, restored, secrets))
    }

    /// What followers of the trail may read.
    pub(super) fn archive(&self) -> Archive {
        self.archive.clone()
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
            archive::append(&transaction, group)?;
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
            #[cfg(feature = "planted-faults")]
            crate::planted::slow_commit();
            transaction.commit()?;
            this.next_row = next_row;
            for entry in group {
                if let Entry::Trail(row) = entry {
                    this.trail_end = this.trail_end.max(row.end());
                }
            }
            this.unfolded += records;
            Ok(())
        })
    }

    fn recover(&mut self) -> Result<(), SaveError> {
        self.database = None;
        self.pass = None;
        let database = Arc::new((self.reopen)()?);
        let transaction = database.begin_write()?;
        {
            let mut journal = transaction.open_table(JOURNAL)?;
            // A commit that reported an error may be in the file all the same. Its group was told that it
            // failed, so it must not come back, nor its events; those that were shown are written again.
            journal.retain_in(self.next_row.., |_, _| false)?;
            archive::cut(&transaction, self.trail_end)?;
            self.unfolded = 0;
            for row in journal.iter()? {
                self.unfolded += u64::from(format::count_of(row?.1.value())?);
            }
        }
        transaction.commit()?;
        self.archive.open(&database);
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
                // One pass need not have been all of it.
                return Ok(self.unfolded >= due);
            }
        }
        Ok(true)
    }

    fn unfolded(&self) -> u64 {
        self.unfolded
    }

    fn trim_trail(&mut self, before: u64, records_max: u64) -> Result<bool, SaveError> {
        self.attempt(|_, database| archive::trim(database, before, records_max))
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
        archive::make(&transaction)?;
        transaction.open_table(CALLED_FOR_HELP)?;
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
    // The first files of format 1 had no marks, later ones no PINs, no trail or no emergency calls; to one that has none
    // they are the same.
    let tables: Vec<_> = transaction.list_tables()?.collect();
    let has = |name| tables.iter().any(|table| table.name() == name);
    let known = [MARKS.name(), PINS.name(), archive::TABLE, CALLED_FOR_HELP.name()];
    if (FORMAT_OLDEST..FORMAT).contains(&format) || (format == FORMAT && !known.into_iter().all(has)) {
        transaction.open_table(MARKS)?;
        transaction.open_table(PINS)?;
        archive::make(&transaction)?;
        transaction.open_table(CALLED_FOR_HELP)?;
        transaction.commit()?;
    }
    Ok(format)
}

/// Gives a file that was read well the format of today: what is added from now on an older version could not read.
fn stamp(database: &Database) -> Result<(), SaveError> {
    let transaction = database.begin_write()?;
    transaction.open_table(META)?.insert(FORMAT_KEY, &FORMAT.to_le_bytes()[..])?;
    Ok(transaction.commit()?)
}

/// What the journal of an opened file held.
struct JournalEnd {
    next_row: u64,
    records: u64,
}

/// Reads the tables with the journal over them; bindings go to `take`.
fn restore(
    transaction: &ReadTransaction,
    mut take: impl FnMut(BindingsRead) -> BindingsRead,
) -> Result<(Restored, Secrets, JournalEnd), SaveError> {
    let (seats, marks) = (transaction.open_table(SEATS)?, transaction.open_table(MARKS)?);
    let mut overlay = Overlay::default();
    let mut end = JournalEnd { next_row: 0, records: 0 };
    for row in transaction.open_table(JOURNAL)?.iter()? {
        let (number, row) = row?;
        for entry in format::entries(row.value())? {
            overlay.lay(entry?, |device| kept_of(device, &seats, &marks))?;
            end.records += 1;
        }
        end.next_row = number.value() + 1;
    }
    let mut restored = Restored::default();
    for row in seats.iter()? {
        let (seat, owed) = format::decode_seat(row?.1.value())?;
        if !overlay.devices.contains_key(&seat.device) {
            restored.owed_ends.extend(owed.map(|end| (seat.device.clone(), end)));
            restored.seats.push(seat);
        }
    }
    for row in marks.iter()? {
        let (device, mark) = row?;
        let (device, mark) = (place(device.value()), place(mark.value()));
        if !overlay.devices.contains_key(&device) {
            restored.marks.push((device, mark));
        }
    }
    for (device, state) in overlay.devices {
        restored.seats.extend(state.seat);
        restored.owed_ends.extend(state.owed.map(|end| (device.clone(), end)));
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
    for row in transaction.open_table(CALLED_FOR_HELP)?.iter()? {
        let (phone, call) = row?;
        if !overlay.called_for_help.contains_key(&place(phone.value())) {
            restored.called_for_help.push(format::decode_call_for_help(call.value())?);
        }
    }
    let called = overlay.called_for_help.into_values().flatten();
    restored.called_for_help.extend(called.map(Arc::unwrap_or_clone));
    for row in transaction.open_table(EPOCHS)?.iter()? {
        let (customer, epoch) = row?;
        let last = overlay.epochs.entry(customer.value().into()).or_default();
        *last = epoch.value().max(*last);
    }
    restored.epochs.extend(overlay.epochs);
    // Both are sorted: a million bindings are read in one go, without a look-up for each.
    let mut above = overlay.bindings.into_iter().peekable();
    let mut read = BindingsRead::default();
    let mut push = |aor: &str, record: Option<&[u8]>| {
        let Some(record) = record else { return };
        read.push(aor, record);
        if read.is_full() {
            read = take(std::mem::take(&mut read));
        }
    };
    for row in transaction.open_table(BINDINGS)?.iter()? {
        let (aor, record) = row?;
        let aor = aor.value();
        while let Some((aor, record)) = above.next_if(|(above, _)| **above < *aor) {
            push(&aor, record.as_deref());
        }
        match above.next_if(|(above, _)| **above == *aor) {
            Some((aor, record)) => push(&aor, record.as_deref()),
            None => push(aor, Some(record.value())),
        }
    }
    above.for_each(|(aor, record)| push(&aor, record.as_deref()));
    take(read);
    let secrets = match (overlay.secrets, transaction.open_table(META)?.get(SECRETS_KEY)?) {
        (Some(secrets), _) => secrets,
        (None, Some(octets)) => format::decode_secrets(octets.value())?,
        (None, None) => Secrets::default(),
    };
    Ok((restored, secrets, end))
}

#[cfg(test)]
mod tests;
