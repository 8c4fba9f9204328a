//! Folding the journal into the tables, in steps so short that a log-in which waits for one is not felt.
//!
//! ```text
//!   gather: rows ► overlay  ──►  write: overlay ► tables, in order of keys  ──►  trim: rows
//! ```
//!
//! Each step is one commit. A crash between steps leaves tables that are ahead of the journal for some keys,
//! which the next start does not mind (see `overlay`).

use std::time::{Duration, Instant};

use redb::{Database, ReadableDatabase as _, ReadableTable as _};

use super::SaveError;
use super::format;
use super::overlay::Overlay;
use super::queue::now;
use super::tables::{
    BINDINGS, CALLED_FOR_HELP, EPOCHS, JOURNAL, MARKS, META, PINS, SEATS, SECRETS_KEY, kept_of,
};

/// A step ends here; its commit takes about as long again.
const STEP_TIME_MAX: Duration = Duration::from_millis(4);

/// Keys that one pass holds: some 45 MB while it lasts.
const PASS_KEYS_MAX: usize = 131_072;

/// The clock is asked once in so many keys or rows.
const CLOCK_EVERY: usize = 16;

/// How far a pass has come.
pub(super) enum Progress {
    /// Another step is needed.
    Going,
    /// So many records left the journal.
    Done { records: u64 },
}

/// One run over the head of the journal.
#[derive(Debug)]
pub(super) struct Pass {
    overlay: Overlay,
    stage: Stage,
    /// The first row that is not gathered.
    next_row: u64,
    /// No row from here on, so that a pass has an end whatever is appended.
    end: u64,
    records: u64,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Gather,
    Write,
    Trim,
}

impl Pass {
    /// A pass over all rows before `end`, or as many as memory has room for.
    pub(super) fn new(end: u64) -> Self {
        Self { overlay: Overlay::default(), stage: Stage::Gather, next_row: 0, end, records: 0 }
    }

    /// One step. After an error the pass is worth nothing and is dropped.
    pub(super) fn step(&mut self, database: &Database) -> Result<Progress, SaveError> {
        let until = now() + STEP_TIME_MAX;
        match self.stage {
            Stage::Gather => self.gather(database, until)?,
            Stage::Write => self.write(database, until)?,
            Stage::Trim => {
                if self.trim(database, until)? {
                    return Ok(Progress::Done { records: self.records });
                }
            }
        }
        Ok(Progress::Going)
    }

    fn gather(&mut self, database: &Database, until: Instant) -> Result<(), SaveError> {
        let transaction = database.begin_read()?;
        let (seats, marks) = (transaction.open_table(SEATS)?, transaction.open_table(MARKS)?);
        for row in transaction.open_table(JOURNAL)?.range(self.next_row..self.end)? {
            if self.overlay.len() >= PASS_KEYS_MAX {
                break;
            }
            let (number, row) = row?;
            for entry in format::entries(row.value())? {
                self.overlay.lay(entry?, |device| kept_of(device, &seats, &marks))?;
                self.records += 1;
            }
            self.next_row = number.value() + 1;
            if now() >= until {
                return Ok(());
            }
        }
        self.stage = Stage::Write;
        Ok(())
    }

    fn write(&mut self, database: &Database, until: Instant) -> Result<(), SaveError> {
        let transaction = database.begin_write()?;
        let finished = {
            let mut seats = transaction.open_table(SEATS)?;
            let mut marks = transaction.open_table(MARKS)?;
            let mut bindings = transaction.open_table(BINDINGS)?;
            let mut pins = transaction.open_table(PINS)?;
            let mut called_for_help = transaction.open_table(CALLED_FOR_HELP)?;
            let mut written = 0_usize;
            loop {
                if let Some((device, state)) = self.overlay.devices.pop_first() {
                    let key = (device.tenant(), device.name());
                    match state.seat {
                        Some(seat) => {
                            seats.insert(key, &format::encode_seat(&seat, state.owed.as_ref())?[..])?;
                        }
                        None => drop(seats.remove(key)?),
                    }
                    match state.mark {
                        Some(mark) => drop(marks.insert(key, (mark.tenant(), mark.name()))?),
                        None => drop(marks.remove(key)?),
                    }
                } else if let Some((aor, record)) = self.overlay.bindings.pop_first() {
                    match record {
                        Some(record) => drop(bindings.insert(&*aor, &*record)?),
                        None => drop(bindings.remove(&*aor)?),
                    }
                } else if let Some((extension, pin)) = self.overlay.pins.pop_first() {
                    let key = (extension.tenant(), extension.name());
                    match pin {
                        Some(pin) => drop(pins.insert(key, &format::encode_pin(&pin)?[..])?),
                        None => drop(pins.remove(key)?),
                    }
                } else if let Some((key, call)) = self.overlay.called_for_help.pop_first() {
                    let key = (key.tenant(), key.name());
                    match call {
                        Some(call) => {
                            called_for_help.insert(key, &format::encode_call_for_help(&call)?[..])?;
                        }
                        None => drop(called_for_help.remove(key)?),
                    }
                } else {
                    break true;
                }
                written += 1;
                if written.is_multiple_of(CLOCK_EVERY) && now() >= until {
                    break false;
                }
            }
        };
        if finished {
            let mut epochs = transaction.open_table(EPOCHS)?;
            for (customer, epoch) in std::mem::take(&mut self.overlay.epochs) {
                let last = epochs.get(&*customer)?.map_or(0, |last| last.value());
                epochs.insert(&*customer, epoch.max(last))?;
            }
            if let Some(secrets) = self.overlay.secrets.take() {
                transaction.open_table(META)?.insert(SECRETS_KEY, &format::encode_secrets(&secrets)[..])?;
            }
            self.stage = Stage::Trim;
        }
        transaction.commit()?;
        Ok(())
    }

    /// True when no row is left that was gathered.
    fn trim(&mut self, database: &Database, until: Instant) -> Result<bool, SaveError> {
        let transaction = database.begin_write()?;
        let finished = {
            let mut journal = transaction.open_table(JOURNAL)?;
            let mut trimmed = 0_usize;
            loop {
                match journal.first()? {
                    Some((number, _)) if number.value() < self.next_row => (),
                    _ => break true,
                }
                journal.pop_first()?;
                trimmed += 1;
                if trimmed.is_multiple_of(CLOCK_EVERY) && now() >= until {
                    break false;
                }
            }
        };
        transaction.commit()?;
        Ok(finished)
    }
}
