//! What the octets in the file mean. [`FORMAT`] names all of it: rows, tables, and the stored form of a
//! binding that `location` gives.
//!
//! A journal row is one group, or a piece of a large one, written and read whole:
//!
//! ```text
//! row   = count:u32 entry*            numbers are little-endian
//! entry = tag:u8 length:u32 payload
//! tag 1   a change of seats, format 1 postcard of SeatChange without `until` in its seats
//! tag 2   bindings of one AOR         aor-length:u32 aor record
//! tag 3   an AOR without bindings     aor
//! tag 4   all secrets                 as `encode_secrets` has it
//! tag 5   a PIN changed at a phone    postcard of (extension, Option<ChangedPin>)
//! tag 6   a call for help             postcard of (key, Option<CalledForHelp>)
//! tag 7   a change of seats           postcard of SeatChange
//! tag 8   an end that waits           postcard of (device, DeferredEnd)
//! ```
//!
//! Format 2 brought `until`, the last field of a seat: rows of format 1 are read as they are, and a row of the table of
//! seats that ends before it has none. Format 3 brought the surface `hoteling`, of which an older version knows nothing.
//! Format 4 brought tag 8; in the table the same `DeferredEnd` follows the seat that is to end. Format 5 brought the reg-id
//! of bindings, the key of temporary GRUUs behind the others, and the cause `pin-changed`.
//!
//! A log-in with its bindings is two entries of one row, 7 then 2 or 3.
//!
//! Postcard numbers the variants of an enum: those of `Surface` and `Cause` are only ever added at the end. A
//! test holds octets written by each format against it.

use std::sync::Arc;

use dataplane::hotdesk::{CalledForHelp, Cause, DeferredEnd, Origin, Place, Seat, SeatChange, Surface};
use dataplane::query::{ChangedPin, Record};
use serde::Deserialize;

use super::{Entry, GruuKey, RoutingKey, Secrets};

/// The format this version writes.
pub(super) const FORMAT: u32 = 5;

/// The oldest format this version reads.
pub(super) const FORMAT_OLDEST: u32 = 1;

const SEATS_1: u8 = 1;
const BINDINGS: u8 = 2;
const NO_BINDINGS: u8 = 3;
const SECRETS: u8 = 4;
const PIN: u8 = 5;
const CALLED_FOR_HELP: u8 = 6;
const SEATS: u8 = 7;
const OWED_END: u8 = 8;

/// A seat as format 1 has it.
#[derive(Deserialize)]
struct Seat1 {
    device: Place,
    extension: Place,
    epoch: u64,
    since: u64,
    surface: Surface,
}

impl Seat1 {
    fn until(self, until: Option<u64>) -> Seat {
        let Self { device, extension, epoch, since, surface } = self;
        Seat { device, extension, epoch, since, surface, until }
    }
}

/// A change of seats as format 1 has it.
#[derive(Deserialize)]
struct SeatChange1 {
    customer: Box<str>,
    epoch: u64,
    ended: Vec<Seat1>,
    begun: Option<Seat1>,
    cause: Cause,
    surface: Surface,
    at: u64,
}

impl From<SeatChange1> for SeatChange {
    fn from(change: SeatChange1) -> Self {
        let SeatChange1 { customer, epoch, ended, begun, cause, surface, at } = change;
        let ended = ended.into_iter().map(|seat| seat.until(None)).collect();
        let begun = begun.map(|seat| seat.until(None));
        Self { customer, epoch, ended, begun, cause, surface, at, origin: Origin::UNKNOWN }
    }
}

/// Why stored octets mean nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormError {
    /// They end too early, or too late.
    #[error("a stored row is cut or too long")]
    Length,
    /// No entry has this tag.
    #[error("a stored entry has the unknown tag {0}")]
    Tag(u8),
    /// A name is no text.
    #[error("a stored name is no UTF-8")]
    Name(#[from] std::str::Utf8Error),
    /// A seat, a change of seats, a PIN or an emergency call cannot be read.
    #[error("a stored seat, PIN or emergency call cannot be read")]
    Seat(#[from] postcard::Error),
    /// The database belongs to another program.
    #[error("the file is a database of another program")]
    Foreign,
}

/// One row of the journal while it grows.
#[derive(Debug)]
pub(super) struct Row {
    octets: Vec<u8>,
    count: u32,
}

impl Row {
    /// A row that is not the last of its group holds about this much: large enough that a row costs nothing,
    /// small enough to be read into memory at once.
    const OCTETS_FULL: usize = 1 << 20;

    pub(super) fn new() -> Self {
        Self { octets: vec![0; 4], count: 0 }
    }

    /// True once the next entry belongs into another row.
    pub(super) fn is_full(&self) -> bool {
        self.octets.len() >= Self::OCTETS_FULL
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn push(&mut self, entry: &Entry) -> Result<(), FormError> {
        match entry {
            Entry::Record(Record::Seats(change)) => self.push_change(change),
            Entry::Record(Record::Bindings { aor, record }) => self.push_bindings(aor, record.as_deref()),
            Entry::Record(Record::LogIn { change, aor, record }) => {
                self.push_change(change)?;
                self.push_bindings(aor, record.as_deref())
            }
            Entry::Record(Record::Pin { extension, pin }) => self.put(PIN, |octets| {
                *octets = postcard::to_extend(&(extension, pin), std::mem::take(octets))?;
                Ok(())
            }),
            Entry::Record(Record::CalledForHelp { key, call }) => self.put(CALLED_FOR_HELP, |octets| {
                *octets = postcard::to_extend(&(key, call.as_deref()), std::mem::take(octets))?;
                Ok(())
            }),
            Entry::Record(Record::OwedEnd { device, end }) => self.put(OWED_END, |octets| {
                *octets = postcard::to_extend(&(device, end), std::mem::take(octets))?;
                Ok(())
            }),
            Entry::Secrets(secrets) => self.put(SECRETS, |octets| {
                octets.extend(encode_secrets(secrets));
                Ok(())
            }),
            // They have tables of their own.
            Entry::Trail(_) | Entry::Place { .. } => Ok(()),
        }
    }

    fn push_change(&mut self, change: &SeatChange) -> Result<(), FormError> {
        self.put(SEATS, |octets| {
            *octets = postcard::to_extend(change, std::mem::take(octets))?;
            Ok(())
        })
    }

    fn push_bindings(&mut self, aor: &str, record: Option<&[u8]>) -> Result<(), FormError> {
        self.put(if record.is_some() { BINDINGS } else { NO_BINDINGS }, |octets| {
            if record.is_some() {
                octets.extend(u32::try_from(aor.len()).map_err(|_| FormError::Length)?.to_le_bytes());
            }
            octets.extend_from_slice(aor.as_bytes());
            octets.extend_from_slice(record.unwrap_or_default());
            Ok(())
        })
    }

    /// Adds one entry whose payload `write` appends.
    fn put(
        &mut self,
        tag: u8,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), FormError>,
    ) -> Result<(), FormError> {
        let start = self.octets.len();
        self.octets.extend([0; 5]);
        write(&mut self.octets)?;
        let length = u32::try_from(self.octets.len() - start - 5).map_err(|_| FormError::Length)?;
        self.octets[start] = tag;
        self.octets[start + 1..start + 5].copy_from_slice(&length.to_le_bytes());
        self.count += 1;
        self.octets[..4].copy_from_slice(&self.count.to_le_bytes());
        Ok(())
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn octets(&self) -> &[u8] {
        &self.octets
    }
}

/// How many entries a row holds.
pub(super) fn count_of(row: &[u8]) -> Result<u32, FormError> {
    Ok(u32::from_le_bytes(*row.first_chunk().ok_or(FormError::Length)?))
}

/// The entries of a row in order. After an error come no more.
pub(super) fn entries(row: &[u8]) -> Result<impl Iterator<Item = Result<Entry, FormError>>, FormError> {
    let mut left = count_of(row)?;
    let mut rest = &row[4..];
    Ok(std::iter::from_fn(move || {
        if left == 0 {
            return (!std::mem::take(&mut rest).is_empty()).then_some(Err(FormError::Length));
        }
        left -= 1;
        let entry = entry(&mut rest);
        if entry.is_err() {
            (left, rest) = (0, &[]);
        }
        Some(entry)
    }))
}

fn entry(rest: &mut &[u8]) -> Result<Entry, FormError> {
    let tag = *rest.split_off_first().ok_or(FormError::Length)?;
    let length = number(rest)?;
    let mut payload = rest.split_off(..length).ok_or(FormError::Length)?;
    Ok(match tag {
        SEATS => Entry::Record(Record::Seats(Arc::new(postcard::from_bytes(payload)?))),
        SEATS_1 => {
            let change: SeatChange1 = postcard::from_bytes(payload)?;
            Entry::Record(Record::Seats(Arc::new(change.into())))
        }
        BINDINGS => {
            let length = number(&mut payload)?;
            let aor = payload.split_off(..length).ok_or(FormError::Length)?;
            Entry::Record(Record::Bindings { aor: str::from_utf8(aor)?.into(), record: Some(payload.into()) })
        }
        NO_BINDINGS => Entry::Record(Record::Bindings { aor: str::from_utf8(payload)?.into(), record: None }),
        SECRETS => Entry::Secrets(decode_secrets(payload)?),
        PIN => {
            let (extension, pin) = postcard::from_bytes(payload)?;
            Entry::Record(Record::Pin { extension, pin })
        }
        CALLED_FOR_HELP => {
            let (key, call): (_, Option<CalledForHelp>) = postcard::from_bytes(payload)?;
            Entry::Record(Record::CalledForHelp { key, call: call.map(Arc::new) })
        }
        OWED_END => {
            let (device, end) = postcard::from_bytes(payload)?;
            Entry::Record(Record::OwedEnd { device, end })
        }
        tag => return Err(FormError::Tag(tag)),
    })
}

fn number(rest: &mut &[u8]) -> Result<usize, FormError> {
    let octets = rest.split_off(..4).and_then(|octets| octets.first_chunk()).ok_or(FormError::Length)?;
    Ok(u32::from_le_bytes(*octets) as usize)
}

/// A row of the table of seats: a seat, and how it is to end, if it is.
pub(super) fn encode_seat(seat: &Seat, owed: Option<&DeferredEnd>) -> Result<Vec<u8>, FormError> {
    let octets = postcard::to_allocvec(seat)?;
    Ok(match owed {
        Some(end) => postcard::to_extend(end, octets)?,
        None => octets,
    })
}

pub(super) fn decode_seat(octets: &[u8]) -> Result<(Seat, Option<DeferredEnd>), FormError> {
    let (seat, rest) = postcard::take_from_bytes::<Seat1>(octets)?;
    if rest.is_empty() {
        return Ok((seat.until(None), None));
    }
    let (until, rest) = postcard::take_from_bytes(rest)?;
    let owed = if rest.is_empty() { None } else { Some(postcard::from_bytes(rest)?) };
    Ok((seat.until(until), owed))
}

/// A row of the table of PINs.
pub(super) fn encode_pin(pin: &ChangedPin) -> Result<Vec<u8>, FormError> {
    Ok(postcard::to_allocvec(pin)?)
}

pub(super) fn decode_pin(octets: &[u8]) -> Result<ChangedPin, FormError> {
    Ok(postcard::from_bytes(octets)?)
}

/// A row of the table of phones that called for help.
pub(super) fn encode_call_for_help(call: &CalledForHelp) -> Result<Vec<u8>, FormError> {
    Ok(postcard::to_allocvec(call)?)
}

pub(super) fn decode_call_for_help(octets: &[u8]) -> Result<CalledForHelp, FormError> {
    Ok(postcard::from_bytes(octets)?)
}

/// `(id:u8 made_at:u64 key:32)*`, the current one first; from format 5 on the key of GRUUs behind them.
pub(super) fn encode_secrets(secrets: &Secrets) -> Vec<u8> {
    let mut octets = Vec::with_capacity(secrets.routing_keys.len() * 41);
    for RoutingKey { id, made_at, key } in &secrets.routing_keys {
        octets.push(*id);
        octets.extend(made_at.to_le_bytes());
        octets.extend(key);
    }
    octets.extend(secrets.gruu_key.iter().flat_map(|key| key.0));
    octets
}

pub(super) fn decode_secrets(octets: &[u8]) -> Result<Secrets, FormError> {
    let (keys, rest) = octets.as_chunks::<41>();
    let gruu_key = match rest {
        [] => None,
        rest => Some(GruuKey(*rest.as_array().ok_or(FormError::Length)?)),
    };
    let routing_keys = keys.iter().map(|octets| {
        let (made_at, key) = octets[1..].split_first_chunk().ok_or(FormError::Length)?;
        Ok(RoutingKey {
            id: octets[0],
            made_at: u64::from_le_bytes(*made_at),
            key: *key.first_chunk().ok_or(FormError::Length)?,
        })
    });
    Ok(Secrets { routing_keys: routing_keys.collect::<Result<_, FormError>>()?, gruu_key })
}

#[cfg(test)]
mod tests;
