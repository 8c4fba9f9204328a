//! A look at the PINs that people chose, for somebody who has no edge running: the file is read and stays as it is.

use std::collections::BTreeMap;
use std::io;

use dataplane::hotdesk::Place;
use dataplane::query::{ChangedPin, Record};
use redb::{DatabaseError, ReadOnlyDatabase, ReadableDatabase as _, StorageError, TableError};

use super::tables::{JOURNAL, PINS};
use super::{Entry, SaveError, StoreKind, format};

/// What a look into the store found.
#[derive(Debug)]
pub enum ChosenPins {
    /// These, by tenant and extension; none where nothing is stored yet.
    Read(Vec<(Place, ChangedPin)>),
    /// An edge has it open.
    InUse,
    /// It cannot be read as it is. After a crash it can, once an edge has opened it.
    Unreadable(SaveError),
}

/// Which PINs were chosen at phones.
pub fn chosen_pins(kind: &StoreKind) -> ChosenPins {
    let StoreKind::Embedded { path } = kind else { return ChosenPins::Read(Vec::new()) };
    match ReadOnlyDatabase::open(path) {
        Ok(database) => read(&database).map_or_else(ChosenPins::Unreadable, ChosenPins::Read),
        Err(DatabaseError::DatabaseAlreadyOpen) => ChosenPins::InUse,
        Err(DatabaseError::Storage(StorageError::Io(error))) if error.kind() == io::ErrorKind::NotFound => {
            ChosenPins::Read(Vec::new())
        }
        Err(error) => ChosenPins::Unreadable(error.into()),
    }
}

fn read(database: &ReadOnlyDatabase) -> Result<Vec<(Place, ChangedPin)>, SaveError> {
    let transaction = database.begin_read()?;
    let mut pins = BTreeMap::new();
    match transaction.open_table(PINS) {
        Ok(table) => {
            for row in table.range::<(&str, &str)>(..)? {
                let (extension, pin) = row?;
                let (tenant, name) = extension.value();
                pins.insert(Place::new(tenant, name), format::decode_pin(pin.value())?);
            }
        }
        // Of before there were any.
        Err(TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(error.into()),
    }
    for row in transaction.open_table(JOURNAL)?.range::<u64>(..)? {
        for entry in format::entries(row?.1.value())? {
            match entry? {
                Entry::Record(Record::Pin { extension, pin: Some(pin) }) => drop(pins.insert(extension, pin)),
                Entry::Record(Record::Pin { extension, pin: None }) => drop(pins.remove(&extension)),
                _ => {}
            }
        }
    }
    Ok(pins.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use dataplane::query::SaveVerdict;

    use super::super::{StoreHandle, Trail};
    use super::*;

    fn pin(at: u64) -> ChangedPin {
        ChangedPin { phc: "$x$".into(), replaces: [7; 16], at }
    }

    #[test]
    fn pins_are_read_without_an_edge_and_left_alone_while_one_runs() {
        let folder = tempfile::tempdir().unwrap();
        let kind = StoreKind::Embedded { path: folder.path().join("hotdesk.db") };
        assert!(matches!(chosen_pins(&kind), ChosenPins::Read(pins) if pins.is_empty()));
        let (store, ..) = StoreHandle::open(&kind, Trail::of_nobody(), |read| read).unwrap();
        let (john, ann) = (Place::new("demo", "1001"), Place::new("demo", "1002"));
        for (extension, pin) in [(&john, Some(pin(1))), (&ann, Some(pin(2))), (&john, None)] {
            let (done, saved) = mpsc::channel();
            let record = Record::Pin { extension: extension.clone(), pin };
            store.save(record, move |verdict| done.send(verdict).unwrap());
            assert_eq!(saved.recv().unwrap(), SaveVerdict::Durable);
        }
        assert!(matches!(chosen_pins(&kind), ChosenPins::InUse));
        store.flush_and_close();

        let ChosenPins::Read(pins) = chosen_pins(&kind) else { panic!("nobody has it open") };

        assert_eq!(pins, [(ann, pin(2))]);
    }
}
