//! Rows of the audit trail: what one commit adds to it, in the octets that the file keeps.
//!
//! ```text
//! row   = form:u8 count:u32 ordinal:u64 newest:u64 event*      numbers are little-endian
//! event = postcard of `dataplane::audit::Event`
//! ```
//!
//! The key of a row is the sequence number of its first event; the others follow by ones. `ordinal` is how many events
//! were written before the row since the file was made, `newest` the latest wall clock of any event up to and with the
//! row: what is too old or too much is found without looking into the row, and behind a row that is too old all are,
//! though what was written late stands between newer rows. Another set of fields gets another `form`.

use dataplane::audit::Event;

use super::format::FormError;

const FORM: u8 = 1;
const HEAD_OCTETS: usize = 1 + 4 + 8 + 8;

/// Some events of the trail, numbered without a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    first: u64,
    octets: Box<[u8]>,
}

impl Row {
    /// The row that the file keeps under `first`.
    pub(super) fn stored(first: u64, octets: &[u8]) -> Result<Self, FormError> {
        if octets.len() < HEAD_OCTETS {
            return Err(FormError::Length);
        }
        if octets[0] != FORM {
            return Err(FormError::Tag(octets[0]));
        }
        Ok(Self { first, octets: octets.into() })
    }

    /// The sequence number of its first event.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The sequence number behind its last event.
    pub fn end(&self) -> u64 {
        self.first + u64::from(u32::from_le_bytes(self.head::<1, 4>()))
    }

    /// How many events were written before it.
    pub fn ordinal(&self) -> u64 {
        u64::from_le_bytes(self.head::<5, 8>())
    }

    /// How many events were written up to and with it.
    pub fn ordinal_end(&self) -> u64 {
        self.ordinal() + (self.end() - self.first)
    }

    /// Wall clock of the newest event up to and with it, milliseconds since 1970-01-01 UTC.
    pub fn newest(&self) -> u64 {
        u64::from_le_bytes(self.head::<13, 8>())
    }

    /// Its events with their sequence numbers, oldest first. What cannot be read ends the row.
    pub fn events(&self) -> impl Iterator<Item = (u64, Event<'static>)> + use<'_> {
        let mut rest = &self.octets[HEAD_OCTETS..];
        (self.first..self.end()).map_while(move |sequence| {
            let (event, left) = postcard::take_from_bytes::<Event<'static>>(rest).ok()?;
            rest = left;
            Some((sequence, event))
        })
    }

    pub(super) fn octets(&self) -> &[u8] {
        &self.octets
    }

    fn head<const AT: usize, const LENGTH: usize>(&self) -> [u8; LENGTH] {
        *self.octets[AT..].first_chunk().expect("a row has a head")
    }
}

/// A row while it grows.
#[derive(Debug)]
pub(super) struct Draft {
    octets: Vec<u8>,
    count: u32,
    newest: u64,
}

impl Draft {
    /// Of the row behind one whose [`Row::newest`] is `newest`.
    pub(super) fn new(newest: u64) -> Self {
        Self { octets: vec![0; HEAD_OCTETS], count: 0, newest }
    }

    pub(super) fn push(&mut self, event: &Event<'_>) {
        let octets = std::mem::take(&mut self.octets);
        self.octets =
            postcard::to_extend(event, octets).expect("the lengths of all parts of an event are known");
        self.count += 1;
        self.newest = self.newest.max(event.at);
    }

    /// The row under these numbers; `None`: it has no event.
    pub(super) fn finish(mut self, first: u64, ordinal: u64) -> Option<Row> {
        if self.count == 0 {
            return None;
        }
        self.octets[0] = FORM;
        self.octets[1..5].copy_from_slice(&self.count.to_le_bytes());
        self.octets[5..13].copy_from_slice(&ordinal.to_le_bytes());
        self.octets[13..21].copy_from_slice(&self.newest.to_le_bytes());
        Some(Row { first, octets: self.octets.into() })
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use dataplane::audit::Kind;
    use dataplane::hotdesk::Surface;
    use proptest::prelude::*;

    use super::*;

    fn event(at: u64, reason: &str) -> Event<'_> {
        Event {
            device: Some("desk-1".into()),
            surface: Some(Surface::Dialled),
            source: Some("192.0.2.7:5060".parse().unwrap()),
            details: vec![("number".into(), "112".into())],
            ..Event::new(Kind::EmergencyCall, reason, "demo", at)
        }
    }

    /// Octets that the first version wrote: whoever changes what an event is gives rows another form.
    const FORM_1: &str = "01010000000000000000000000070000000000000006070464656d6f01066465736b2d3100000001\
        0006726f7574656400000100c0000207c4270001066e756d62657203313132";

    #[test]
    fn a_row_gives_back_its_events_and_their_numbers() {
        let mut draft = Draft::new(0);
        draft.push(&event(7, "routed"));
        draft.push(&event(9, "no-route"));

        let row = draft.finish(40, 3).unwrap();
        let row = Row::stored(40, row.octets()).unwrap();

        assert_eq!(
            (row.first(), row.end(), row.ordinal(), row.ordinal_end(), row.newest()),
            (40, 42, 3, 5, 9)
        );
        let events: Vec<_> = row.events().collect();
        assert_eq!(events, [(40, event(7, "routed")), (41, event(9, "no-route"))]);
    }

    #[test]
    fn rows_of_the_first_version_can_be_read() {
        let octets: Vec<u8> = FORM_1
            .as_bytes()
            .chunks_exact(2)
            .map(|digits| u8::from_str_radix(str::from_utf8(digits).unwrap(), 16).unwrap())
            .collect();
        let mut draft = Draft::new(0);
        draft.push(&event(7, "routed"));

        assert_eq!(draft.finish(1, 0).unwrap().octets(), octets);
    }

    #[test]
    fn a_row_is_as_new_as_whatever_came_before() {
        let mut draft = Draft::new(8);
        draft.push(&event(7, "routed"));
        assert_eq!(draft.finish(1, 0).unwrap().newest(), 8);

        let mut draft = Draft::new(8);
        draft.push(&event(9, "routed"));
        draft.push(&event(7, "routed"));
        assert_eq!(draft.finish(1, 0).unwrap().newest(), 9);
    }

    #[test]
    fn nothing_happened_is_no_row() {
        assert_eq!(Draft::new(0).finish(1, 1), None);
    }

    proptest! {
        #[test]
        fn whatever_stands_in_a_row_is_read_without_harm(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(row) = Row::stored(1, &octets) {
                let read = row.events().take(1_000).count();
                prop_assert!(read <= octets.len());
            }
        }
    }

    #[test]
    fn an_owned_event_is_the_same() {
        let owned: Event<'static> = event(1, "routed").into_owned();

        assert_eq!(owned, event(1, "routed"));
        assert!(matches!(owned.reason, Cow::Owned(_)));
    }
}
