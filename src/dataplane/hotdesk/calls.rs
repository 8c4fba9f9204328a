//! Which calls are up at each device, for all workers: what waits for a call's end asks here, and so does
//! whoever wants to change a seat while an emergency call is up.
//!
//! Dialogs are not kept (their facts ride in Record-Route), so a call here is only a hash and its beginning.
//! After a restart a device counts as idle.

use std::collections::HashMap;
use std::time::Duration;

use smallvec::SmallVec;

use super::place::{Named, Place};
use crate::hash::NameHasher;
use crate::now::Mono;
use crate::sharded::Sharded;

/// A desk phone holds a handful of calls; a busy reception desk a dozen. Beyond, the oldest ordinary call is
/// forgotten, so a phone that never ends its calls costs no more than this.
const CALLS_PER_DEVICE_MAX: usize = 16;

/// The calls at all devices. Entries exist for devices that had a call: at most as many as are configured.
#[derive(Debug)]
pub struct Calls {
    devices: Sharded<HashMap<Place, AtDevice, NameHasher>>,
}

#[derive(Debug, Default)]
struct AtDevice {
    /// Oldest first.
    calls: SmallVec<[Call; 2]>,
    /// When the last emergency call ended.
    emergency_ended: Option<Mono>,
    /// Until when an emergency call of before a restart holds the device.
    held_until: Option<Mono>,
}

#[derive(Clone, Copy, Debug)]
struct Call {
    id: u64,
    began: Mono,
    emergency: bool,
    /// When its session timer runs out, if it has one (RFC 4028).
    expires: Option<Mono>,
}

impl Call {
    /// From when on it is over although nobody said so.
    fn over_at(&self, call_max: Duration) -> Mono {
        let longest = self.began + call_max;
        self.expires.map_or(longest, |expires| expires.min(longest))
    }
}

impl Default for Calls {
    fn default() -> Self {
        Self::new()
    }
}

impl Calls {
    /// Every device is idle.
    pub fn new() -> Self {
        Self { devices: Sharded::new(NameHasher::default()) }
    }

    /// A call to or from a device began. `call` stands for the dialog; saying it twice changes nothing.
    pub fn began(&self, device: &dyn Named, call: u64, now: Mono, emergency: bool) {
        self.devices.with(device, |devices| match devices.get_mut(device) {
            Some(at) => at.began(call, now, emergency),
            None => {
                let (tenant, name) = device.names();
                devices.entry(Place::new(tenant, name)).or_default().began(call, now, emergency);
            }
        });
    }

    /// The session timer of a call was started anew, or taken away. A call that is not known stays so.
    pub fn refreshed(&self, device: &dyn Named, call: u64, expires: Option<Mono>) {
        self.devices.with(device, |devices| {
            let calls = devices.get_mut(device).map(|at| at.calls.iter_mut());
            if let Some(known) = calls.and_then(|mut calls| calls.find(|known| known.id == call)) {
                known.expires = expires;
            }
        });
    }

    /// A call ended. True if it was the last one at the device, so that what waited for that may happen now.
    pub fn ended(&self, device: &dyn Named, call: u64, now: Mono) -> bool {
        self.devices.with(device, |devices| {
            let Some(at) = devices.get_mut(device) else { return false };
            let Some(place) = at.calls.iter().position(|known| known.id == call) else { return false };
            if at.calls.remove(place).emergency {
                at.emergency_ended = Some(now);
            }
            let idle = at.calls.is_empty();
            if idle && !at.may_be_held() {
                devices.remove(device);
            }
            idle
        })
    }

    /// An emergency call of before a restart holds the device until then.
    pub fn hold(&self, device: &Place, until: Mono) {
        self.devices.with(device, |devices| {
            let at = devices.entry(device.clone()).or_default();
            at.held_until = at.held_until.max(Some(until));
        });
    }

    /// True if no call is up at the device. A call older than `call_max` is one whose end was not seen.
    pub fn is_idle(&self, device: &dyn Named, now: Mono, call_max: Duration) -> bool {
        self.devices.with(device, |devices| {
            let Some(at) = devices.get_mut(device) else { return true };
            at.forget(now, call_max);
            let idle = at.calls.is_empty();
            if idle && !at.may_be_held() {
                devices.remove(device);
            }
            idle
        })
    }

    /// True while the device is in an emergency call, and for `hold` after its end: no seat at it may begin or
    /// end. An emergency call older than `call_max` counts as ended then.
    pub fn emergency_hold(&self, device: &dyn Named, now: Mono, hold: Duration, call_max: Duration) -> bool {
        self.devices.with(device, |devices| {
            let Some(at) = devices.get_mut(device) else { return false };
            at.forget(now, call_max);
            if at.calls.iter().any(|call| call.emergency) {
                return true;
            }
            let held = at.emergency_ended.is_some_and(|ended| now.since(ended) < hold)
                || at.held_until.is_some_and(|until| now < until);
            if !held && at.calls.is_empty() {
                devices.remove(device);
            }
            held
        })
    }

    /// Until when an emergency call that has ended holds the device, if nobody calls for help again.
    pub fn held_until(&self, device: &dyn Named, hold: Duration) -> Option<Mono> {
        self.devices.with(device, |devices| {
            let at = devices.get(device)?;
            at.emergency_ended.map(|ended| ended + hold).max(at.held_until)
        })
    }
}

impl AtDevice {
    /// False: no emergency call is remembered here.
    fn may_be_held(&self) -> bool {
        self.emergency_ended.is_some() || self.held_until.is_some()
    }

    fn began(&mut self, id: u64, now: Mono, emergency: bool) {
        if let Some(known) = self.calls.iter_mut().find(|known| known.id == id) {
            known.emergency |= emergency;
            return;
        }
        if self.calls.len() >= CALLS_PER_DEVICE_MAX {
            match self.calls.iter().position(|call| !call.emergency) {
                Some(oldest) => {
                    self.calls.remove(oldest);
                }
                // Nothing but emergency calls: the device is held anyway, and one more would change nothing.
                None => return,
            }
        }
        self.calls.push(Call { id, began: now, emergency, expires: None });
    }

    fn forget(&mut self, now: Mono, call_max: Duration) {
        let ended = &mut self.emergency_ended;
        self.calls.retain(|call| {
            let over_at = call.over_at(call_max);
            let up = now < over_at;
            if !up && call.emergency {
                *ended = (*ended).max(Some(over_at));
            }
            up
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL_MAX: Duration = Duration::from_secs(4 * 3600);
    const HOLD: Duration = Duration::from_secs(3600);

    #[test]
    fn call_whose_session_timer_ran_out_is_over() {
        let calls = Calls::new();
        calls.began(&desk(), 1, at(0), false);

        calls.refreshed(&desk(), 1, Some(at(1800)));
        calls.refreshed(&desk(), 2, Some(at(1)));
        assert!(!calls.is_idle(&desk(), at(1799), CALL_MAX));

        calls.refreshed(&desk(), 1, Some(at(2700)));
        assert!(!calls.is_idle(&desk(), at(2699), CALL_MAX));
        assert!(calls.is_idle(&desk(), at(2700), CALL_MAX));
    }

    fn desk() -> Place {
        Place::new("acme", "desk-1")
    }

    fn at(seconds: u32) -> Mono {
        Mono::from_seconds(seconds)
    }

    #[test]
    fn device_is_idle_again_with_the_end_of_its_last_call() {
        let calls = Calls::new();
        calls.began(&desk(), 1, at(0), false);
        calls.began(&desk(), 2, at(1), false);
        calls.began(&desk(), 2, at(1), false);

        assert!(!calls.ended(&desk(), 1, at(2)));
        assert!(!calls.is_idle(&desk(), at(2), CALL_MAX));
        assert!(calls.ended(&desk(), 2, at(3)));
        assert!(calls.is_idle(&desk(), at(3), CALL_MAX));
    }

    #[test]
    fn end_of_an_unknown_call_makes_no_device_idle() {
        let calls = Calls::new();

        assert!(!calls.ended(&desk(), 1, at(0)));
        calls.began(&desk(), 1, at(0), false);
        assert!(!calls.ended(&desk(), 2, at(0)));
        assert!(!calls.ended(&Place::new("other", "desk-1"), 1, at(0)));
    }

    #[test]
    fn call_whose_end_was_not_seen_is_forgotten() {
        let calls = Calls::new();
        calls.began(&desk(), 1, at(0), false);

        assert!(!calls.is_idle(&desk(), at(4 * 3600 - 1), CALL_MAX));
        assert!(calls.is_idle(&desk(), at(4 * 3600), CALL_MAX));
    }

    #[test]
    fn emergency_call_holds_the_device_while_it_is_up_and_after_it() {
        let calls = Calls::new();
        calls.began(&desk(), 1, at(0), false);
        calls.began(&desk(), 2, at(10), true);

        assert!(calls.emergency_hold(&desk(), at(11), HOLD, CALL_MAX));
        calls.ended(&desk(), 2, at(100));
        calls.ended(&desk(), 1, at(101));
        assert!(calls.is_idle(&desk(), at(102), CALL_MAX));
        assert!(calls.emergency_hold(&desk(), at(100 + 3599), HOLD, CALL_MAX));
        assert!(!calls.emergency_hold(&desk(), at(100 + 3600), HOLD, CALL_MAX));
    }

    #[test]
    fn call_that_was_once_told_to_be_an_emergency_call_is_one() {
        for told in [[false, true], [true, false]] {
            let calls = Calls::new();
            for emergency in told {
                calls.began(&desk(), 1, at(0), emergency);
            }

            assert!(calls.emergency_hold(&desk(), at(1), HOLD, CALL_MAX), "{told:?}");
        }
    }

    #[test]
    fn emergency_call_without_an_end_holds_for_call_max_and_the_hold() {
        let calls = Calls::new();
        calls.began(&desk(), 1, at(0), true);

        assert!(calls.emergency_hold(&desk(), at(5 * 3600 - 1), HOLD, CALL_MAX));
        assert!(!calls.emergency_hold(&desk(), at(5 * 3600), HOLD, CALL_MAX));
    }

    #[test]
    fn hold_of_before_a_restart_lasts_as_long_as_it_was_to() {
        let calls = Calls::new();
        calls.hold(&desk(), at(1800));
        calls.hold(&desk(), at(60));
        calls.began(&desk(), 1, at(1), false);
        calls.ended(&desk(), 1, at(2));

        assert!(calls.is_idle(&desk(), at(3), CALL_MAX));
        assert!(calls.emergency_hold(&desk(), at(1799), HOLD, CALL_MAX));
        assert!(!calls.emergency_hold(&desk(), at(1800), HOLD, CALL_MAX));
    }

    #[test]
    fn flood_of_calls_at_a_device_never_pushes_out_its_emergency_call() {
        let calls = Calls::new();
        calls.began(&desk(), 0, at(0), true);
        for call in 1..1_000 {
            calls.began(&desk(), call, at(1), false);
        }

        assert!(calls.emergency_hold(&desk(), at(2), Duration::ZERO, CALL_MAX));
        let up = (0..1_000).filter(|call| calls.ended(&desk(), *call, at(3)) || *call == 0).count();
        assert_eq!(up, 2, "the emergency call, and the one whose end left the device idle");
    }
}
