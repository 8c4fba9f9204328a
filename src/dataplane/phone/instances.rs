//! Phones that delete their own account before they register a person's (Snom's wizard): what they proved while
//! they were registered is remembered.

use dashmap::DashMap;

use crate::hotdesk::Place;
use crate::location::stable_hash;

/// `+sip.instance` values learned from authenticated REGISTERs of device accounts: the latest of each device, so
/// there are never more than there are devices.
#[derive(Debug, Default)]
pub(crate) struct Instances {
    of_device: DashMap<Place, u64>,
    devices: DashMap<u64, Place>,
}

impl Instances {
    /// Remembers that `device`, which has proved to be it, calls itself `instance`. An instance that another device
    /// has shown before changes hands: the proof is the newer one.
    pub(crate) fn learn(&self, device: &Place, instance: &[u8]) {
        let hash = stable_hash(&[device.tenant.as_bytes(), instance]);
        if self.of_device.get(device).is_some_and(|known| *known == hash) {
            return;
        }
        if let Some(old) = self.of_device.insert(device.clone(), hash) {
            self.devices.remove_if(&old, |_, owner| owner == device);
        }
        self.devices.insert(hash, device.clone());
    }

    /// The device of `tenant` that was the last to prove itself with `instance`.
    pub(crate) fn device_of(&self, tenant: &str, instance: &[u8]) -> Option<Place> {
        let device = self.devices.get(&stable_hash(&[tenant.as_bytes(), instance]))?;
        (&*device.tenant == tenant).then(|| device.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_leads_to_the_device_that_showed_it_last() {
        let instances = Instances::default();
        let (one, two) = (Place::new("demo", "desk-1"), Place::new("demo", "desk-2"));

        instances.learn(&one, b"urn:uuid:1");
        assert_eq!(instances.device_of("demo", b"urn:uuid:1"), Some(one.clone()));
        assert_eq!(instances.device_of("other", b"urn:uuid:1"), None);

        instances.learn(&two, b"urn:uuid:1");
        assert_eq!(instances.device_of("demo", b"urn:uuid:1"), Some(two.clone()));

        instances.learn(&one, b"urn:uuid:3");
        assert_eq!(instances.device_of("demo", b"urn:uuid:1"), Some(two));
        assert_eq!(instances.device_of("demo", b"urn:uuid:3"), Some(one));
    }
}
