//! PINs that people chose at a phone. Each counts over the operator's until the operator's changes.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use dataplane::hotdesk::Place;
use dataplane::query::ChangedPin;
use sha2::{Digest as _, Sha256};

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

/// Tells whether the operator's PIN is still the one that was replaced. Of a salted hash, so it says nothing of the PIN.
pub fn fingerprint(phc: &str) -> [u8; 16] {
    let mut fingerprint = [0; 16];
    fingerprint.copy_from_slice(&Sha256::digest(phc.as_bytes())[..16]);
    fingerprint
}
