//! PINs that people chose at a phone. Each counts over the operator's until the operator's changes.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use dataplane::hotdesk::Place;
use dataplane::query::ChangedPin;
use dataplane::settings::Extension;
use sha2::{Digest as _, Sha256};

/// What a PIN that was chosen by somebody who had none replaces: no PIN of the operator's. So it stays when the fallback
/// becomes another.
pub const NO_PIN: &str = "";

/// Those of all tenants, as the store has them.
#[derive(Debug, Default)]
pub struct Changed(RwLock<HashMap<Place, ChangedPin>>);

impl Changed {
    /// Takes over what the store kept.
    pub fn restored(pins: Vec<(Place, ChangedPin)>) -> Self {
        Self(RwLock::new(pins.into_iter().collect()))
    }

    /// The PIN chosen for `extension`, if it is over the operator's PIN `phc`.
    pub fn over(&self, extension: &Place, phc: &str) -> Option<ChangedPin> {
        let pins = self.0.read().unwrap_or_else(PoisonError::into_inner);
        pins.get(extension).filter(|pin| pin.replaces == fingerprint(phc)).cloned()
    }

    /// The store has it.
    pub fn put(&self, extension: Place, pin: ChangedPin) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(extension, pin);
    }

    /// Forgets those for which `stays` is false, and returns whose they were.
    pub fn retain(&self, mut stays: impl FnMut(&Place, &ChangedPin) -> bool) -> Vec<Place> {
        let mut gone = Vec::new();
        self.0.write().unwrap_or_else(PoisonError::into_inner).retain(|extension, pin| {
            let stays = stays(extension, pin);
            if !stays {
                gone.push(extension.clone());
            }
            stays
        });
        gone
    }

    /// Whose PIN was changed, and when, by tenant and extension.
    pub fn list(&self) -> Vec<(Place, u64)> {
        let pins = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut list: Vec<_> = pins.iter().map(|(extension, pin)| (extension.clone(), pin.at)).collect();
        list.sort_unstable();
        list
    }
}

/// True if the PIN chosen for `extension` counts over what the operator gave it, of the settings of today.
pub fn counts(chosen: &ChangedPin, extension: &Extension) -> bool {
    chosen.replaces == fingerprint(extension.pin.as_ref().map_or(NO_PIN, |pin| &pin.phc))
}

/// Tells whether the operator's PIN is still the one that was replaced. Of a salted hash, so it says nothing of the PIN.
pub fn fingerprint(phc: &str) -> [u8; 16] {
    let mut fingerprint = [0; 16];
    fingerprint.copy_from_slice(&Sha256::digest(phc.as_bytes())[..16]);
    fingerprint
}

#[cfg(test)]
mod tests {
    use dataplane::settings::StoredPin;

    use super::*;

    #[test]
    fn chosen_pin_counts_until_the_operators_is_another_also_where_there_was_none() {
        let extension =
            |phc: Option<&str>| Extension { pin: phc.map(StoredPin::new), ..Extension::default() };
        let over = |phc: &str| ChangedPin { phc: "new".into(), replaces: fingerprint(phc), at: 1 };

        assert!(counts(&over("first"), &extension(Some("first"))));
        assert!(!counts(&over("first"), &extension(Some("second"))));
        assert!(!counts(&over("first"), &extension(None)));
        assert!(counts(&over(NO_PIN), &extension(None)), "chosen over the fallback");
        assert!(!counts(&over(NO_PIN), &extension(Some("first"))));
    }
}
