//! Desks that are kept for who has left them: for a while calls for that extension ring there still (CAP-23).
//!
//! ```text
//!          keep                     sat_down: another at the desk, or the person anywhere
//!  left ─────────► kept ──────────────────────────────────────────────────────────────────► over
//!                    └── its time is over
//! ```
//!
//! Every worker hears of a change of seats at a time of its own and asks here which calls are to stop ringing: so what is over
//! is marked and not removed, and all are told the same. An end may be told after the log-in that followed it, and keeps
//! nothing then.

use std::collections::HashMap;

use super::change::Seat;
use super::place::{Named, Place};
use crate::hash::NameHasher;
use crate::now::Mono;
use crate::sharded::Sharded;

/// One desk an extension and one extension a desk at most: as many as are configured.
#[derive(Debug)]
pub struct KeptDesks {
    /// For whom each desk is kept.
    devices: Sharded<Kept>,
    /// Which desk is kept for each extension.
    extensions: Sharded<Kept>,
}

type Kept = HashMap<Place, Side, NameHasher>;

/// What is known of one desk or extension.
#[derive(Debug, Default)]
struct Side {
    tie: Option<Tie>,
    /// Epoch of the seat that began here last; 0: of none. Every seat before it is over.
    begun: u64,
}

/// The other side of a seat that has ended.
#[derive(Debug)]
struct Tie {
    other: Place,
    epoch: u64,
    until: Mono,
}

impl Side {
    /// The tie, unless somebody has sat down since.
    fn standing(&self) -> Option<&Tie> {
        self.tie.as_ref().filter(|tie| tie.epoch >= self.begun)
    }
}

impl Default for KeptDesks {
    fn default() -> Self {
        Self::new()
    }
}

impl KeptDesks {
    /// None is kept.
    pub fn new() -> Self {
        Self { devices: Sharded::new(NameHasher::default()), extensions: Sharded::new(NameHasher::default()) }
    }

    /// A seat has ended and nobody has taken its place: its desk is kept until then.
    pub fn keep(&self, seat: &Seat, until: Mono) {
        let keep = |kept: &mut Kept, place: &Place, other: &Place| {
            let side = kept.entry(place.clone()).or_default();
            if side.tie.as_ref().is_none_or(|tie| tie.epoch <= seat.epoch) {
                side.tie = Some(Tie { other: other.clone(), epoch: seat.epoch, until });
            }
        };
        self.devices.with(&seat.device, |kept| keep(kept, &seat.device, &seat.extension));
        self.extensions.with(&seat.extension, |kept| keep(kept, &seat.extension, &seat.device));
    }

    /// The desk that is kept for an extension.
    pub fn desk_of(&self, extension: &dyn Named, now: Mono) -> Option<Place> {
        let stands = |side: &Side| {
            let tie = side.standing().filter(|tie| now < tie.until)?;
            Some((tie.other.clone(), tie.epoch))
        };
        let (desk, epoch) = self.extensions.with(extension, |kept| kept.get(extension).and_then(stands))?;
        let is_kept = |kept: &mut Kept| kept.get(&desk).and_then(stands).is_some_and(|tie| tie.1 == epoch);
        self.devices.with(&desk, is_kept).then_some(desk)
    }

    /// A seat has begun: its desk is kept for nobody any more, and no desk for its extension. For whom it was, and which.
    pub fn sat_down(&self, seat: &Seat) -> (Option<Place>, Option<Place>) {
        let end = |kept: &mut Kept, place: &Place| {
            let side = kept.entry(place.clone()).or_default();
            side.begun = side.begun.max(seat.epoch);
            let tie = side.tie.as_ref().filter(|tie| tie.epoch < seat.epoch)?;
            Some(tie.other.clone())
        };
        let person = self.devices.with(&seat.device, |kept| end(kept, &seat.device));
        let desk = self.extensions.with(&seat.extension, |kept| end(kept, &seat.extension));
        (person, desk)
    }

    /// Forgets what is over, and all desks and extensions for which `exists` is false.
    pub fn retain(&self, exists: impl Fn(&Place) -> bool) {
        for side in [&self.devices, &self.extensions] {
            side.each(|kept| {
                kept.retain(|place, _| exists(place));
                for side in kept.values_mut() {
                    if !side.standing().is_some_and(|tie| exists(&tie.other)) {
                        side.tie = None;
                    }
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hotdesk::Surface;

    fn until() -> Mono {
        Mono::from_seconds(600)
    }

    fn seat(device: &str, extension: &str, epoch: u64) -> Seat {
        Seat {
            device: Place::new("acme", device),
            extension: Place::new("acme", extension),
            epoch,
            since: 0,
            surface: Surface::Dialled,
            until: None,
        }
    }

    fn desk_of(kept: &KeptDesks, extension: &str, seconds: u32) -> Option<String> {
        let desk = kept.desk_of(&("acme", extension), Mono::from_seconds(seconds))?;
        Some(desk.name().to_owned())
    }

    #[test]
    fn desk_is_kept_until_its_time_is_over() {
        let kept = KeptDesks::new();
        kept.keep(&seat("desk-1", "1001", 1), until());

        assert_eq!(desk_of(&kept, "1001", 599).as_deref(), Some("desk-1"));
        assert_eq!(desk_of(&kept, "1001", 600), None);
        assert_eq!(desk_of(&kept, "1002", 0), None);
    }

    #[test]
    fn desk_is_kept_for_nobody_once_somebody_sat_there_and_every_worker_is_told() {
        let kept = KeptDesks::new();
        kept.keep(&seat("desk-1", "1001", 1), until());

        for _ in 0..2 {
            let (person, desk) = kept.sat_down(&seat("desk-1", "1002", 2));
            assert_eq!((person.as_ref().map(Place::name), desk), (Some("1001"), None));
        }

        assert_eq!(desk_of(&kept, "1001", 1), None);
        kept.keep(&seat("desk-1", "1002", 2), until());
        assert_eq!(kept.sat_down(&seat("desk-1", "1002", 2)), (None, None));
        assert_eq!(desk_of(&kept, "1002", 1).as_deref(), Some("desk-1"), "news of before end nothing");
        assert_eq!(desk_of(&kept, "1001", 1), None);
    }

    #[test]
    fn no_desk_is_kept_for_who_sits_elsewhere() {
        let kept = KeptDesks::new();
        kept.keep(&seat("desk-1", "1001", 1), until());

        let (person, desk) = kept.sat_down(&seat("desk-2", "1001", 2));

        assert_eq!((person, desk.as_ref().map(Place::name)), (None, Some("desk-1")));
        assert_eq!(desk_of(&kept, "1001", 1), None);
    }

    #[test]
    fn what_is_over_or_gone_is_forgotten() {
        let kept = KeptDesks::new();
        kept.keep(&seat("desk-1", "1001", 1), until());
        kept.keep(&seat("desk-2", "1002", 2), until());
        kept.sat_down(&seat("desk-2", "1002", 3));

        kept.retain(|place| place.name() != "1001");

        let mut left = 0;
        for side in [&kept.devices, &kept.extensions] {
            side.each(|kept| left += kept.values().filter(|side| side.tie.is_some()).count());
        }
        assert_eq!(left, 0);
        kept.extensions.each(|kept| assert!(kept.keys().all(|place| place.name() != "1001")));
    }

    #[test]
    fn desk_is_not_kept_by_an_end_that_is_told_after_the_next_log_in() {
        let kept = KeptDesks::new();
        // 1001 leaves by one worker, 1002 sits down by another, which is told first.
        kept.sat_down(&seat("desk-1", "1002", 2));
        kept.keep(&seat("desk-1", "1001", 1), until());
        assert_eq!(desk_of(&kept, "1001", 1), None, "somebody has sat there since");

        kept.keep(&seat("desk-2", "1003", 3), until());
        kept.sat_down(&seat("desk-2", "1004", 5));
        kept.keep(&seat("desk-2", "1003", 4), until());
        assert_eq!(desk_of(&kept, "1003", 1), None, "nor after one of before");
    }
}
