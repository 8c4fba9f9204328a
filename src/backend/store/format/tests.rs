//! What is written is read, and what each format has written is read by every later version.

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
    let whole = Record::LogIn { change: Arc::clone(change), aor: Box::clone(&aor), record: record.clone() };

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
