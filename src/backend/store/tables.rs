//! The tables of the store's file.

use dataplane::hotdesk::Place;
use redb::{ReadableTable, TableDefinition};

use super::overlay::DeviceState;
use super::{SaveError, format};

pub(super) const JOURNAL: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("journal");
pub(super) const SEATS: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("seats");
/// Device to extension: the last seat that ended there by anything but the phone's own un-REGISTER. At most a
/// row for each device that ever had a seat.
pub(super) const MARKS: TableDefinition<'_, (&str, &str), (&str, &str)> = TableDefinition::new("marks");
pub(super) const EPOCHS: TableDefinition<'_, &str, u64> = TableDefinition::new("epochs");
pub(super) const BINDINGS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("bindings");
/// Extension to the PIN that was chosen for it at a phone.
pub(super) const PINS: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("pins");
/// Phone to its last emergency call. A row goes when that is long enough ago.
pub(super) const CALLED_FOR_HELP: TableDefinition<'_, (&str, &str), &[u8]> =
    TableDefinition::new("called_for_help");
pub(super) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

/// The row of [`META`] with the format, a u32.
pub(super) const FORMAT_KEY: &str = "format";
/// The row of [`META`] with the secrets.
pub(super) const SECRETS_KEY: &str = "secrets";

/// What the tables keep of `device`.
pub(super) fn kept_of(
    device: &Place,
    seats: &impl ReadableTable<(&'static str, &'static str), &'static [u8]>,
    marks: &impl ReadableTable<(&'static str, &'static str), (&'static str, &'static str)>,
) -> Result<DeviceState, SaveError> {
    let key = (device.tenant(), device.name());
    let (seat, owed) = match seats.get(key)? {
        Some(octets) => {
            let (seat, owed) = format::decode_seat(octets.value())?;
            (Some(seat), owed)
        }
        None => (None, None),
    };
    Ok(DeviceState { seat, owed, mark: marks.get(key)?.map(|mark| place(mark.value())) })
}

/// A key of one of the tables.
pub(super) fn place((tenant, name): (&str, &str)) -> Place {
    Place::new(tenant, name)
}
