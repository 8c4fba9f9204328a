//! Keeps one phone from filling the trail with refusals, which would push out what is worth keeping.
//!
//! ```text
//!  refusal ─┬─ among the first of its minute ──► written
//!           └─ one more ─► counted ── the minute is over ──► one record: the last of them, with how many there were
//! ```
//!
//! Only refusals, which a peer can cause as often as it likes; whatever else happened is written each time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use dataplane::audit::{Event, Kind};

use super::Note;

/// Refusals of one phone that are written each for itself: nobody who mistypes makes as many within a minute.
const EACH_MAX: u32 = 20;

/// How long they are counted together.
const MINUTE: Duration = Duration::from_secs(60);

/// Phones counted at a time, some 2 MB; those beyond count as one.
const PHONES_MAX: usize = 4_096;

/// The detail that says how many refusals a record stands for beside its own.
const MORE: &str = "more";

/// Whose refusals are counted together: tenant and device, else tenant and address.
type Phone = (Box<str>, Option<Box<str>>, Option<IpAddr>);

/// The refusals of the last minute.
#[derive(Debug, Default)]
pub(super) struct Flood {
    phones: HashMap<Phone, Minute>,
}

#[derive(Debug)]
struct Minute {
    over_at: Instant,
    written: u32,
    /// The last that was not written, and how many there were before it.
    held: Option<(Box<Event<'static>>, u64)>,
}

impl Flood {
    /// What is written of `notes` at `now`: all but refusals beyond the bound, then what was held back of minutes that are
    /// over.
    pub(super) fn pass(&mut self, notes: Vec<Note>, now: Instant) -> Vec<Note> {
        let mut passed = Vec::with_capacity(notes.len());
        for note in notes {
            match note {
                Note::Event(event) if event.kind == Kind::Refusal => passed.extend(self.refusal(event, now)),
                note => passed.push(note),
            }
        }
        passed.extend(self.end(|minute| minute.over_at <= now));
        passed
    }

    /// All that was held back: nothing comes any more.
    pub(super) fn rest(&mut self) -> Vec<Note> {
        self.end(|_| true)
    }

    /// When the next minute is over of which something was held back.
    pub(super) fn next(&self) -> Option<Instant> {
        let held = self.phones.values().filter(|minute| minute.held.is_some());
        held.map(|minute| minute.over_at).min()
    }

    fn refusal(&mut self, event: Box<Event<'static>>, now: Instant) -> Option<Note> {
        let of_address = if event.device.is_none() { event.source.map(|source| source.ip()) } else { None };
        let mut phone: Phone = ((*event.tenant).into(), event.device.as_deref().map(Into::into), of_address);
        if self.phones.len() >= PHONES_MAX && !self.phones.contains_key(&phone) {
            phone = Phone::default();
        }
        let minute = self.phones.entry(phone);
        let minute = minute.or_insert(Minute { over_at: now + MINUTE, written: 0, held: None });
        if minute.written < EACH_MAX {
            minute.written += 1;
            return Some(Note::Event(event));
        }
        let before = minute.held.take().map_or(0, |(_, before)| before + 1);
        minute.held = Some((event, before));
        None
    }

    fn end(&mut self, is_over: impl Fn(&Minute) -> bool) -> Vec<Note> {
        let over = self.phones.extract_if(|_, minute| is_over(minute));
        let held = over.filter_map(|(_, minute)| minute.held);
        let mut held: Vec<_> = held.collect();
        held.sort_by_key(|(event, _)| event.at);
        let note = |(event, before): (Box<Event<'static>>, u64)| {
            Note::Event(Box::new(if before == 0 { *event } else { event.with(MORE, before.to_string()) }))
        };
        held.into_iter().map(note).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(device: &str, at: u64) -> Note {
        let event = Event::new(Kind::Refusal, "credentials", "demo", at);
        Note::Event(Box::new(Event { device: Some(device.to_owned().into()), ..event }))
    }

    fn instant() -> Instant {
        super::super::queue::now()
    }

    /// Instant and count of each.
    fn told(notes: &[Note]) -> Vec<(u64, Option<&str>)> {
        let told = notes.iter().map(|note| match note {
            Note::Event(event) => (event.at, event.details.first().map(|(_, more)| &**more)),
            Note::Change(_) => panic!("there are no changes"),
        });
        told.collect()
    }

    #[test]
    fn refusals_beyond_the_bound_are_one_record_that_says_how_many() {
        let (mut flood, start) = (Flood::default(), instant());
        let notes = (0..1_000).map(|at| refusal("desk-1", at)).collect();

        let passed = flood.pass(notes, start);
        assert_eq!(passed.len(), EACH_MAX as usize);
        assert_eq!(flood.next(), Some(start + MINUTE));
        assert!(flood.pass(Vec::new(), start + MINUTE / 2).is_empty());

        let late = flood.pass(vec![refusal("desk-2", 1_000)], start + MINUTE);
        assert_eq!(told(&late), [(1_000, None), (999, Some("979"))]);
        assert_eq!((flood.next(), flood.phones.len()), (None, 1));
        assert_eq!(flood.pass(vec![refusal("desk-1", 1_001)], start + MINUTE).len(), 1, "it starts anew");
    }

    #[test]
    fn nothing_but_refusals_is_ever_held_back_and_no_phone_counts_for_another() {
        let (mut flood, start) = (Flood::default(), instant());
        let help = || Note::Event(Box::new(Event::new(Kind::EmergencyCall, "routed", "demo", 1)));
        flood.pass((0..100).map(|at| refusal("desk-1", at)).collect(), start);

        let calls = (0..1_000).map(|_| help()).chain([refusal("desk-2", 2)]).collect();
        assert_eq!(flood.pass(calls, start).len(), 1_001);
    }

    #[test]
    fn phones_beyond_the_room_count_as_one_and_what_is_left_comes_at_the_end() {
        let (mut flood, start) = (Flood::default(), instant());
        let notes = (0..10_000).map(|n| refusal(&format!("desk-{n}"), n)).collect();

        let passed = flood.pass(notes, start);

        assert_eq!(passed.len(), PHONES_MAX + EACH_MAX as usize);
        assert_eq!(flood.phones.len(), PHONES_MAX + 1);
        let rest = 10_000 - PHONES_MAX as u64 - u64::from(EACH_MAX) - 1;
        assert_eq!(told(&flood.rest()), [(9_999, Some(&*rest.to_string()))]);
        assert!(flood.rest().is_empty());
    }
}
