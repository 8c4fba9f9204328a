//! A refresh never creates a seat: what a phone that lost its native seat may not register for a while.
//!
//! A phone that logged in by its own wizard keeps refreshing its REGISTER after the seat has ended elsewhere.
//! Such a REGISTER looks like a new log-in, so the seat leaves a mark (device, extension) behind, and while it
//! stands, that extension is refused from that device.

use std::collections::HashMap;
use std::time::Duration;

use smallvec::SmallVec;

use super::place::Place;
use crate::hash::NameHasher;
use crate::now::Mono;
use crate::sharded::Sharded;

/// People who lost a seat at one device within `native_silence` while its phone went on registering for them.
/// A phone holds one native account at a time; a few more are left by people in a row. The oldest gives way.
const MARKS_PER_DEVICE_MAX: usize = 4;

/// A shard is searched for marks whose silence is over when it has grown to this many devices, then to twice
/// what is left.
const SWEEP_MIN: usize = 64;

/// The marks of all devices.
#[derive(Debug)]
pub struct Marks {
    devices: Sharded<Shard>,
}

#[derive(Debug)]
struct Shard {
    marks: HashMap<Place, SmallVec<[Mark; 1]>, NameHasher>,
    sweep_at: usize,
}

#[derive(Debug)]
struct Mark {
    extension: Place,
    /// When the silence is over, if it is not broken.
    until: Mono,
}

impl Default for Shard {
    fn default() -> Self {
        Self { marks: HashMap::default(), sweep_at: SWEEP_MIN }
    }
}

impl Default for Marks {
    fn default() -> Self {
        Self::new()
    }
}

impl Marks {
    /// No marks.
    pub fn new() -> Self {
        Self { devices: Sharded::new(NameHasher::default()) }
    }

    /// A seat of `extension` at `device` ended by anything but the phone's own un-REGISTER. The mark goes when
    /// the phone has kept still for `native_silence`.
    pub fn mark(&self, device: &Place, extension: &Place, now: Mono, native_silence: Duration) {
        self.devices.with(device, |shard| {
            shard.sweep(now);
            let marks = shard.marks.entry(device.clone()).or_default();
            marks.retain(|mark| mark.extension != *extension && now < mark.until);
            if marks.len() >= MARKS_PER_DEVICE_MAX {
                marks.remove(0);
            }
            marks.push(Mark { extension: extension.clone(), until: now + native_silence });
        });
    }

    /// A REGISTER of `extension` came from `device`: true if it is to be refused. It breaks the silence, which
    /// starts anew; marks of other extensions at the device go.
    pub fn is_marked(&self, device: &Place, extension: &Place, now: Mono, native_silence: Duration) -> bool {
        self.devices.with(device, |shard| {
            let Some(marks) = shard.marks.get_mut(device) else { return false };
            marks.retain(|mark| mark.extension == *extension && now < mark.until);
            match marks.first_mut() {
                Some(mark) => {
                    mark.until = now + native_silence;
                    true
                }
                None => {
                    shard.marks.remove(device);
                    false
                }
            }
        })
    }

    /// The phone took its REGISTER of `extension` back: the next one is a log-in.
    pub fn unregistered(&self, device: &Place, extension: &Place) {
        self.devices.with(device, |shard| {
            let Some(marks) = shard.marks.get_mut(device) else { return };
            marks.retain(|mark| mark.extension != *extension);
            if marks.is_empty() {
                shard.marks.remove(device);
            }
        });
    }

    /// Somebody logged in at the device by another surface: its marks go.
    pub fn logged_in(&self, device: &Place) {
        self.devices.with(device, |shard| shard.marks.remove(device));
    }
}

impl Shard {
    fn sweep(&mut self, now: Mono) {
        if self.marks.len() < self.sweep_at {
            return;
        }
        self.marks.retain(|_, marks| {
            marks.retain(|mark| now < mark.until);
            !marks.is_empty()
        });
        self.sweep_at = SWEEP_MIN.max(self.marks.len() * 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE: Duration = Duration::from_secs(900);

    fn desk() -> Place {
        Place::new("acme", "desk-1")
    }

    fn john() -> Place {
        Place::new("acme", "1001")
    }

    fn ann() -> Place {
        Place::new("acme", "1002")
    }

    fn at(seconds: u32) -> Mono {
        Mono::from_seconds(seconds)
    }

    fn is_marked(marks: &Marks, extension: &Place, now: u32) -> bool {
        marks.is_marked(&desk(), extension, at(now), SILENCE)
    }

    #[test]
    fn refresh_is_refused_as_long_as_the_phone_keeps_refreshing() {
        let marks = Marks::new();
        marks.mark(&desk(), &john(), at(0), SILENCE);

        for minute in 1..120 {
            assert!(is_marked(&marks, &john(), minute * 60));
        }
    }

    #[test]
    fn mark_goes_after_silence() {
        let marks = Marks::new();
        marks.mark(&desk(), &john(), at(0), SILENCE);

        assert!(is_marked(&marks, &john(), 899));
        assert!(!is_marked(&marks, &john(), 899 + 900));
        assert!(!is_marked(&marks, &john(), 899 + 901));
    }

    #[test]
    fn mark_goes_with_the_phones_own_unregister() {
        let marks = Marks::new();
        marks.mark(&desk(), &john(), at(0), SILENCE);

        marks.unregistered(&desk(), &ann());
        assert!(is_marked(&marks, &john(), 1));
        marks.unregistered(&desk(), &john());
        assert!(!is_marked(&marks, &john(), 2));
    }

    #[test]
    fn mark_goes_with_a_register_for_another_extension() {
        let marks = Marks::new();
        marks.mark(&desk(), &john(), at(0), SILENCE);

        assert!(!is_marked(&marks, &ann(), 1));
        assert!(!is_marked(&marks, &john(), 2));
    }

    #[test]
    fn mark_goes_with_a_log_in_by_another_surface() {
        let marks = Marks::new();
        marks.mark(&desk(), &john(), at(0), SILENCE);

        marks.logged_in(&desk());

        assert!(!is_marked(&marks, &john(), 1));
    }

    #[test]
    fn mark_is_of_one_device_alone() {
        let marks = Marks::new();
        marks.mark(&desk(), &john(), at(0), SILENCE);

        assert!(!marks.is_marked(&Place::new("acme", "desk-2"), &john(), at(1), SILENCE));
        assert!(is_marked(&marks, &john(), 1));
    }

    #[test]
    fn everybody_who_was_put_out_is_marked_however_often_another_was() {
        for (extension, others) in [(john(), ann()), (ann(), john())] {
            let marks = Marks::new();
            marks.mark(&desk(), &extension, at(0), SILENCE);
            for second in 1..100 {
                marks.mark(&desk(), &others, at(second), SILENCE);
            }

            assert!(is_marked(&marks, &extension, 100));
        }
    }

    #[test]
    fn marks_of_phones_that_fell_silent_do_not_pile_up() {
        let marks = Marks::new();
        marks.mark(&Place::new("acme", "lobby"), &john(), at(0), SILENCE);
        for device in 0..100_000_u32 {
            let device = Place::new("acme", &format!("desk-{device}"));
            marks.mark(&device, &john(), at(0), Duration::ZERO);
        }

        let mut left = 0;
        marks.devices.each(|shard| left += shard.marks.len());

        assert!(left <= 64 * SWEEP_MIN, "{left} devices are marked");
        assert!(marks.is_marked(&Place::new("acme", "lobby"), &john(), at(1), SILENCE), "it refreshes still");
    }
}
