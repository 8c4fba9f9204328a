//! Phones that delete their own account before they register a person's (Snom's wizard): what a device proved while
//! it was registered is remembered when its last binding goes.

use std::hash::BuildHasherDefault;

use dashmap::DashMap;

use super::stored::Aor;
use crate::hash::Identity;

/// Instances of device accounts that have no binding any more: the last of each device, so there are never more than
/// there are devices, and none of one that is registered.
#[derive(Debug, Default)]
pub(super) struct Departed {
    instances: DashMap<Aor, u64>,
    devices: DashMap<u64, Aor, BuildHasherDefault<Identity>>,
}

impl Departed {
    /// The last binding of `device` is gone, and it had an instance of this hash. One that another device has left
    /// before changes hands.
    pub(super) fn leave(&self, device: Aor, instance: u64) {
        if let Some(old) = self.instances.insert(device.clone(), instance) {
            self.devices.remove_if(&old, |_, owner| *owner == device);
        }
        self.devices.insert(instance, device);
    }

    /// The device is registered again.
    pub(super) fn come_back(&self, device: &Aor) {
        if let Some((_, instance)) = self.instances.remove(device) {
            self.devices.remove_if(&instance, |_, owner| owner == device);
        }
    }

    /// The device that was the last to leave with an instance of this hash.
    pub(super) fn device_of(&self, instance: u64) -> Option<Aor> {
        self.devices.get(&instance).map(|device| device.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_leads_to_the_device_that_left_with_it_last() {
        let departed = Departed::default();
        let device = |user: &str| Aor { tenant: "demo".into(), user: user.into() };

        departed.leave(device("desk-1"), 1);
        assert_eq!(departed.device_of(1), Some(device("desk-1")));

        departed.leave(device("desk-2"), 1);
        assert_eq!(departed.device_of(1), Some(device("desk-2")));

        departed.leave(device("desk-1"), 3);
        assert_eq!(departed.device_of(1), Some(device("desk-2")));
        assert_eq!(departed.device_of(3), Some(device("desk-1")));

        departed.come_back(&device("desk-1"));
        assert_eq!(departed.device_of(3), None);
        assert_eq!((departed.instances.len(), departed.devices.len()), (1, 1));
    }
}
