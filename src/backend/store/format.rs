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
//! Format 4 brought tag 8; in the table the same `DeferredEnd` follows the seat that is to end.
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
mod tests {
    use dataplane::hotdesk::{Caller, Cause, Origin, Place, Surface};

    use super::*;

    /// What format 1 could say.
    fn samples() -> Vec<Entry> {
        let seat = |device, extension, epoch| Seat {
            device: Place::new("demo", device),
            extension: Place::new("demo", extension),
            epoch,
            since: 1_700_000_000_000,
            surface: Surface::Dialled,
            until: None,
        };
        let change = |cause, surface| {
            let ended = vec![seat("desk-1", "1001", 3), seat("desk-2", "1002", 7)];
            let begun = (cause == Cause::LogIn).then(|| seat("desk-2", "1001", 8));
            let change = SeatChange {
                customer: "demo".into(),
                epoch: 8,
                ended,
                begun,
                cause,
                surface,
                at: 1_700_000_000_001,
                origin: Origin::UNKNOWN,
            };
            Entry::Record(Record::Seats(Arc::new(change)))
        };
        vec![
            change(Cause::LogIn, Surface::Dialled),
            change(Cause::LogOut, Surface::Native),
            change(Cause::Forced, Surface::Api),
            change(Cause::Removed, Surface::Configuration),
            Entry::Record(Record::Bindings { aor: "demo/1001".into(), record: Some([1, 2, 3].into()) }),
            Entry::Record(Record::Bindings { aor: "demo/1001".into(), record: None }),
            Entry::Secrets(Secrets {
                routing_keys: vec![RoutingKey { id: 5, made_at: 9, key: [7; 32] }],
                gruu_key: None,
            }),
        ]
    }

    fn row_of(entries: &[Entry]) -> Vec<u8> {
        let mut row = Row::new();
        for entry in entries {
            row.push(entry).unwrap();
        }
        row.octets().to_vec()
    }

    #[test]
    fn what_was_written_is_read() {
        let row = row_of(&samples());

        let read: Result<Vec<_>, _> = entries(&row).unwrap().collect();

        assert_eq!(read.unwrap(), samples());
        assert_eq!(count_of(&row).unwrap(), 7);
    }

    /// What format 2 can say beyond that.
    fn samples_of_2() -> Vec<Entry> {
        let seat = Seat {
            device: Place::new("demo", "desk-1"),
            extension: Place::new("guests", "1001"),
            epoch: 9,
            since: 1_700_000_000_000,
            surface: Surface::Api,
            until: Some(1_700_000_360_000),
        };
        let change = |ended: &[Seat], begun, cause, surface| {
            let ended = ended.to_vec();
            let at = 1_700_000_000_001;
            let change = SeatChange {
                customer: "demo".into(),
                epoch: 9,
                ended,
                begun,
                cause,
                surface,
                at,
                origin: Origin::UNKNOWN,
            };
            Entry::Record(Record::Seats(Arc::new(change)))
        };
        let mut samples = vec![change(&[], Some(seat.clone()), Cause::LogIn, Surface::Api)];
        let causes = [Cause::Idle, Cause::Absolute, Cause::TimeOfDay, Cause::Booking];
        samples.extend(causes.map(|cause| change(std::slice::from_ref(&seat), None, cause, Surface::Clock)));
        samples
    }

    #[test]
    fn format_1_is_read_by_every_later_version() {
        let row: Vec<u8> = FORMAT_1.as_bytes().chunks(2).map(hex).collect();

        let read: Result<Vec<_>, _> = entries(&row).unwrap().collect();

        assert_eq!(read.unwrap(), samples());
    }

    #[test]
    fn format_2_is_read_by_every_later_version() {
        let row: Vec<u8> = FORMAT_2.as_bytes().chunks(2).map(hex).collect();

        let read: Result<Vec<_>, _> = entries(&row).unwrap().collect();

        assert_eq!(read.unwrap(), samples_of_2());
        assert_eq!(row_of(&samples_of_2()), row, "a new form needs a new number");
    }

    /// What format 3 can say beyond that: a guest key seats somebody.
    fn samples_of_3() -> Vec<Entry> {
        let Entry::Record(Record::Seats(change)) = &samples_of_2()[0] else { unreachable!("it is a change") };
        let surface = Surface::Hoteling;
        let begun = change.begun.clone().map(|seat| Seat { surface, ..seat });
        let change = SeatChange { begun, surface, ..(**change).clone() };
        vec![Entry::Record(Record::Seats(Arc::new(change)))]
    }

    #[test]
    fn format_3_is_read_by_every_later_version() {
        let row: Vec<u8> = FORMAT_3.as_bytes().chunks(2).map(hex).collect();

        let read: Result<Vec<_>, _> = entries(&row).unwrap().collect();

        assert_eq!(read.unwrap(), samples_of_3());
        assert_eq!(row_of(&samples_of_3()), row, "a new form needs a new number");
    }

    /// What format 4 can say beyond that.
    fn sample_of_4() -> (DeferredEnd, Entry) {
        let end = DeferredEnd {
            customer: "demo".into(),
            epoch: 9,
            cause: Cause::Forced,
            surface: Surface::Api,
            origin: Origin::of_operator("console"),
        };
        let record = Record::OwedEnd { device: Place::new("demo", "desk-1"), end: end.clone() };
        (end, Entry::Record(record))
    }

    #[test]
    fn format_4_is_read_by_every_later_version() {
        let row: Vec<u8> = FORMAT_4.as_bytes().chunks(2).map(hex).collect();
        let samples = [sample_of_4().1];

        let read: Result<Vec<_>, _> = entries(&row).unwrap().collect();

        assert_eq!(read.unwrap(), samples);
        assert_eq!(row_of(&samples), row, "a new form needs a new number");
    }

    #[test]
    fn format_5_has_the_key_of_gruus_behind_the_others() {
        let secrets = Secrets {
            routing_keys: vec![RoutingKey { id: 5, made_at: 9, key: [7; 32] }],
            gruu_key: Some(GruuKey([8; 32])),
        };

        let octets = encode_secrets(&secrets);

        let expected = [&[5][..], &9_u64.to_le_bytes(), &[7; 32], &[8; 32]].concat();
        assert_eq!(octets, expected, "a new form needs a new number");
        assert_eq!(decode_secrets(&octets).unwrap(), secrets);
        assert!(decode_secrets(&octets[..octets.len() - 1]).is_err());
    }

    /// A PIN that somebody chose, and that the operator's counts again.
    fn samples_of_pins() -> Vec<Entry> {
        let chosen = ChangedPin { phc: "$x$".into(), replaces: [7; 16], at: 1_700_000_000_000 };
        let pin = |pin| Entry::Record(Record::Pin { extension: Place::new("demo", "1001"), pin });
        vec![pin(Some(chosen)), pin(None)]
    }

    #[test]
    fn pins_are_written_as_format_2_has_them() {
        let row: Vec<u8> = FORMAT_2_PINS.as_bytes().chunks(2).map(hex).collect();

        assert_eq!(row_of(&samples_of_pins()), row, "a new form needs a new number");
        let read: Result<Vec<_>, _> = entries(&row).unwrap().collect();

        assert_eq!(read.unwrap(), samples_of_pins());
    }

    #[test]
    fn a_row_of_the_table_of_seats_is_read_with_and_without_an_end() {
        let Entry::Record(Record::Seats(change)) = &samples_of_2()[0] else { unreachable!("it is a change") };
        let seat = change.begun.clone().unwrap();
        let row = encode_seat(&seat, None).unwrap();

        assert_eq!(decode_seat(&row).unwrap(), (seat.clone(), None));
        // The octets of `Some` and its instant are the last.
        let cut = row.len() - 1 - 6;
        assert_eq!(decode_seat(&row[..cut]).unwrap(), (Seat { until: None, ..seat }, None));
        assert!(decode_seat(&row[..row.len() - 1]).is_err());
    }

    #[test]
    fn a_row_of_the_table_of_seats_has_the_end_that_waits() {
        let Entry::Record(Record::Seats(change)) = &samples_of_2()[0] else { unreachable!("it is a change") };
        let (seat, end) = (change.begun.clone().unwrap(), sample_of_4().0);

        for seat in [Seat { until: None, ..seat.clone() }, seat] {
            let row = encode_seat(&seat, Some(&end)).unwrap();

            assert_eq!(decode_seat(&row).unwrap(), (seat, Some(end.clone())));
            assert!(decode_seat(&row[..row.len() - 1]).is_err());
        }
    }

    // One end: device, customer, epoch, cause 2, surface 2, the operator, no source, no Call-ID.
    const FORMAT_4: &str = "\
        01000000081f0000000464656d6f066465736b2d310464656d6f0902020107636f6e736f6c650000";

    // One change: customer, epoch, nobody ended, the seat that began (surface 6, an end), cause, surface 6, instant.
    const FORMAT_3: &str = "\
        0100000007370000000464656d6f0900010464656d6f066465736b2d310667756573747304313030310980d095ffbc31\
        0601c0ccabffbc31000681d095ffbc31";

    const FORMAT_2_PINS: &str = "\
        0200000005250000000464656d6f043130303101032478240707070707070707070707070707070780d095ffbc31050b\
        0000000464656d6f043130303100";

    const FORMAT_2: &str = "\
        0500000007370000000464656d6f0900010464656d6f066465736b2d310667756573747304313030310980d095ffbc31\
        0201c0ccabffbc31000281d095ffbc3107370000000464656d6f09010464656d6f066465736b2d310667756573747304\
        313030310980d095ffbc310201c0ccabffbc3100040581d095ffbc3107370000000464656d6f09010464656d6f066465\
        736b2d310667756573747304313030310980d095ffbc310201c0ccabffbc3100050581d095ffbc310737000000046465\
        6d6f09010464656d6f066465736b2d310667756573747304313030310980d095ffbc310201c0ccabffbc3100060581d0\
        95ffbc3107370000000464656d6f09010464656d6f066465736b2d310667756573747304313030310980d095ffbc3102\
        01c0ccabffbc3100070581d095ffbc31";

    const FORMAT_1: &str = "\
        07000000016a0000000464656d6f08020464656d6f066465736b2d310464656d6f04313030310380d095ffbc31000464\
        656d6f066465736b2d320464656d6f04313030320780d095ffbc3100010464656d6f066465736b2d320464656d6f0431\
        3030310880d095ffbc3100000081d095ffbc31014c0000000464656d6f08020464656d6f066465736b2d310464656d6f\
        04313030310380d095ffbc31000464656d6f066465736b2d320464656d6f04313030320780d095ffbc310000010181d0\
        95ffbc31014c0000000464656d6f08020464656d6f066465736b2d310464656d6f04313030310380d095ffbc31000464\
        656d6f066465736b2d320464656d6f04313030320780d095ffbc310000020281d095ffbc31014c0000000464656d6f08\
        020464656d6f066465736b2d310464656d6f04313030310380d095ffbc31000464656d6f066465736b2d320464656d6f\
        04313030320780d095ffbc310000030381d095ffbc3102100000000900000064656d6f2f313030310102030309000000\
        64656d6f2f31303031042900000005090000000000000007070707070707070707070707070707070707070707070707\
        07070707070707";

    fn hex(digits: &[u8]) -> u8 {
        u8::from_str_radix(str::from_utf8(digits).unwrap(), 16).unwrap()
    }

    #[test]
    fn emergency_call_is_read_as_it_was_written_and_so_is_its_oblivion() {
        let device = Place::new("demo", "desk-1");
        let call = CalledForHelp {
            key: device.clone(),
            caller: Caller::Device(device.clone()),
            number: "+12125550100".into(),
            contact: (*b"sip:desk-1@192.0.2.7").into(),
            listener: 0,
            remote: "[2001:db8::7]:5060".parse().unwrap(),
            dialog: 9,
            began: 1_700_000_000_000,
            ended: Some(1_700_000_000_001),
        };
        let entries_of = |call| [Entry::Record(Record::CalledForHelp { key: device.clone(), call })];
        for written in [entries_of(Some(Arc::new(call.clone()))), entries_of(None)] {
            let read: Result<Vec<_>, _> = entries(&row_of(&written)).unwrap().collect();

            assert_eq!(read.unwrap(), written);
        }
        assert_eq!(decode_call_for_help(&encode_call_for_help(&call).unwrap()).unwrap(), call);
    }

    #[test]
    fn a_log_in_and_its_bindings_are_two_entries_of_one_row() {
        let [Entry::Record(Record::Seats(change)), ..] = &samples()[..] else {
            unreachable!("a change is first")
        };
        let (aor, record) = (Box::from("demo/1001"), Some([1, 2, 3].into()));
        let whole =
            Record::LogIn { change: Arc::clone(change), aor: Box::clone(&aor), record: record.clone() };

        let row = row_of(&[Entry::Record(whole)]);

        let halves = [Record::Seats(Arc::clone(change)), Record::Bindings { aor, record }].map(Entry::Record);
        let read: Result<Vec<_>, _> = entries(&row).unwrap().collect();
        assert_eq!(read.unwrap(), halves);
    }

    #[test]
    fn a_cut_row_is_an_error_at_every_length() {
        let row = row_of(&samples());

        for length in 0..row.len() {
            let read: Result<Vec<_>, _> = entries(&row[..length]).and_then(Iterator::collect);

            assert!(read.is_err(), "{length}");
        }
    }

    #[test]
    fn a_row_with_more_than_its_entries_is_an_error() {
        let mut row = row_of(&samples());
        row.push(0);

        let read: Result<Vec<_>, _> = entries(&row).unwrap().collect();

        assert!(matches!(read, Err(FormError::Length)));
    }

    #[test]
    fn an_entry_of_a_later_version_is_an_error() {
        let row = [1, 0, 0, 0, 99, 0, 0, 0, 0];

        let read: Result<Vec<_>, _> = entries(&row).unwrap().collect();

        assert!(matches!(read, Err(FormError::Tag(99))));
    }
}
