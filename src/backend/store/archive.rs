//! The tables of the audit trail, and the way to them for whoever follows it while the store's thread writes.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use redb::{
    Database, ReadTransaction, ReadableDatabase as _, ReadableTable as _, TableDefinition, WriteTransaction,
};

use super::row::Row;
use super::{Entry, SaveError};

/// Sequence number of a row's first event to the row.
const TRAIL: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("trail");
/// Where each follower of the trail stands. At most as many rows as there ever were followers.
const PLACES: TableDefinition<'_, &str, u64> = TableDefinition::new("places");

/// The name of one of the tables: where it is, all are.
pub(super) const TABLE: &str = "places";

/// Rows removed in one step: as many as a minute of groups a quarter of a second apart makes, some milliseconds of work.
const TRIM_ROWS_MAX: usize = 256;

/// Makes the tables.
pub(super) fn make(transaction: &WriteTransaction) -> Result<(), SaveError> {
    transaction.open_table(TRAIL)?;
    transaction.open_table(PLACES)?;
    Ok(())
}

/// Writes what `group` has for the trail.
pub(super) fn append(transaction: &WriteTransaction, group: &[&Entry]) -> Result<(), SaveError> {
    let mut trail = None;
    for entry in group {
        match entry {
            Entry::Trail(row) => {
                let table = match &mut trail {
                    Some(table) => table,
                    None => trail.insert(transaction.open_table(TRAIL)?),
                };
                table.insert(row.first(), row.octets())?;
            }
            Entry::Place { name, next } => drop(transaction.open_table(PLACES)?.insert(&**name, next)?),
            Entry::Record(_) | Entry::Secrets(_) => {}
        }
    }
    Ok(())
}

/// The number behind the last row; 0: there is none.
pub(super) fn end(transaction: &ReadTransaction) -> Result<u64, SaveError> {
    let table = transaction.open_table(TRAIL)?;
    let last = table.last()?;
    last.map_or(Ok(0), |(first, octets)| Ok(Row::stored(first.value(), octets.value())?.end()))
}

/// Removes the rows from `end` on.
pub(super) fn cut(transaction: &WriteTransaction, end: u64) -> Result<(), SaveError> {
    Ok(transaction.open_table(TRAIL)?.retain_in(end.., |_, _| false)?)
}

/// Removes the oldest rows: those whose last event was before `before`, and what is more than `records_max`. True if
/// there is more to remove.
pub(super) fn trim(database: &Database, before: u64, records_max: u64) -> Result<bool, SaveError> {
    let transaction = database.begin_write()?;
    let mut removed = 0;
    {
        let mut table = transaction.open_table(TRAIL)?;
        let end = match table.last()? {
            Some((first, octets)) => Row::stored(first.value(), octets.value())?.ordinal_end(),
            None => 0,
        };
        while removed < TRIM_ROWS_MAX {
            let goes = match table.first()? {
                Some((first, octets)) => {
                    let row = Row::stored(first.value(), octets.value())?;
                    row.newest() < before || end.saturating_sub(row.ordinal()) > records_max
                }
                None => false,
            };
            if !goes {
                break;
            }
            table.pop_first()?;
            removed += 1;
        }
    }
    if removed == 0 {
        transaction.abort()?;
    } else {
        transaction.commit()?;
    }
    Ok(removed == TRIM_ROWS_MAX)
}

/// The stored trail as followers read it; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Archive {
    /// Gone while the store is away.
    database: Arc<Mutex<Weak<Database>>>,
}

impl Archive {
    /// From now on it reads `database`.
    pub(super) fn open(&self, database: &Arc<Database>) {
        *self.database.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(database);
    }

    /// The last row.
    pub(super) fn last(&self) -> Result<Option<Row>, SaveError> {
        self.read(|transaction| {
            let table = transaction.open_table(TRAIL)?;
            let row = table.last()?;
            row.map(|(first, octets)| Ok(Row::stored(first.value(), octets.value())?)).transpose()
        })
    }

    /// Rows with the events from `next` on that begin before `until`, oldest first, about `octets_max` of them.
    pub(super) fn from(&self, next: u64, until: u64, octets_max: usize) -> Result<Vec<Arc<Row>>, SaveError> {
        self.read(|transaction| {
            let table = transaction.open_table(TRAIL)?;
            // The row that `next` is in, if it is in one, begins at or before it.
            let start =
                table.range(..=next)?.next_back().transpose()?.map_or(next, |(first, _)| first.value());
            let (mut rows, mut octets) = (Vec::new(), 0);
            for row in table.range(start..until.max(start))? {
                let (first, stored) = row?;
                let row = Row::stored(first.value(), stored.value())?;
                if row.end() > next {
                    octets += row.octets().len();
                    rows.push(Arc::new(row));
                }
                if octets >= octets_max {
                    break;
                }
            }
            Ok(rows)
        })
    }

    /// Gives the rows before `end` to `look`, newest first, until it wants no more.
    pub(super) fn before(&self, end: u64, mut look: impl FnMut(&Row) -> bool) -> Result<(), SaveError> {
        self.read(|transaction| {
            for row in transaction.open_table(TRAIL)?.range(..end)?.rev() {
                let (first, octets) = row?;
                if !look(&Row::stored(first.value(), octets.value())?) {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Where the follower called `name` stood.
    pub(super) fn place(&self, name: &str) -> Result<Option<u64>, SaveError> {
        self.read(|transaction| Ok(transaction.open_table(PLACES)?.get(name)?.map(|next| next.value())))
    }

    fn read<R>(&self, look: impl FnOnce(&ReadTransaction) -> Result<R, SaveError>) -> Result<R, SaveError> {
        let database = self.database.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        let database = database.ok_or(SaveError::Away)?;
        look(&database.begin_read()?)
    }
}
