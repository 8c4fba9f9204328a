//! The PIN backends of the office: they know the PINs of the settings, and what an operator or a person made of them.

use std::collections::HashMap;
use std::sync::Arc;

use md5::{Digest as _, Md5};

use crate::hex;
use crate::hotdesk::Place;
use crate::query::{PinChange, PinChangeVerdict, PinReject, PinRequest, PinVerdict, Proof};
use crate::settings::{Settings, StoredPin};
use crate::testing::pin_hash;

/// What answers questions about PINs.
#[derive(Debug)]
pub struct Pins {
    /// False: no PIN can be checked.
    pub available: bool,
    /// An operator's name and the PIN that opens every extension.
    pub master: Option<(&'static str, &'static str)>,
    /// The PIN with which who has none may choose one.
    pub fallback: Option<&'static str>,
    changed: HashMap<Place, StoredPin>,
}

impl Default for Pins {
    fn default() -> Self {
        Self { available: true, master: None, fallback: None, changed: HashMap::new() }
    }
}

impl Pins {
    pub(super) fn verify(&self, request: &PinRequest, settings: &Settings) -> PinVerdict {
        let PinRequest { extension, proof, .. } = request;
        if !self.available {
            return PinVerdict::Unavailable;
        }
        let tenant = settings.tenant(extension.tenant());
        let Some(entry) = tenant.and_then(|tenant| tenant.extension(extension.name())) else {
            return PinVerdict::Rejected(PinReject::UnknownExtension);
        };
        let pin = self.changed.get(extension).or(entry.pin.as_ref());
        if pin.is_none() && self.fallback.is_some_and(|fallback| proves(proof, fallback)) {
            return PinVerdict::Rejected(PinReject::MustChange { is_fallback: true });
        }
        if pin.is_some_and(|pin| proves(proof, pin.phc.trim_start_matches("$office$"))) {
            return match pin.is_some_and(|pin| pin.must_change) {
                true => PinVerdict::Rejected(PinReject::MustChange { is_fallback: false }),
                false => PinVerdict::Accepted { operator: None },
            };
        }
        match self.master.filter(|(_, master)| proves(proof, master)) {
            Some((operator, _)) => PinVerdict::Accepted { operator: Some(Arc::from(operator)) },
            None => PinVerdict::Rejected(if pin.is_some() { PinReject::Wrong } else { PinReject::NoPin }),
        }
    }

    pub(super) fn change(&mut self, change: &PinChange, settings: &Settings) -> PinChangeVerdict {
        let PinChange { extension, old, new, device, surface, deadline } = change.clone();
        let proof = Proof::Clear(old);
        let request = PinRequest { extension: extension.clone(), proof, device, surface, deadline };
        let is_fallback = match self.verify(&request, settings) {
            PinVerdict::Accepted { operator: None } => false,
            PinVerdict::Rejected(PinReject::MustChange { is_fallback }) => is_fallback,
            PinVerdict::Rejected(reject) => return PinChangeVerdict::Rejected(reject),
            PinVerdict::Accepted { operator: Some(_) } => {
                return PinChangeVerdict::Rejected(PinReject::Wrong);
            }
            PinVerdict::Unavailable => return PinChangeVerdict::Unavailable,
        };
        let new = String::from_utf8_lossy(new.reveal()).into_owned();
        if new.len() < 4 || new == extension.name() {
            return PinChangeVerdict::TooSimple { is_fallback };
        }
        self.changed.insert(extension, pin_hash(&new));
        PinChangeVerdict::Changed { was_fallback: is_fallback }
    }
}

fn proves(proof: &Proof, pin: &str) -> bool {
    match proof {
        Proof::Clear(given) => given.reveal() == pin.as_bytes(),
        Proof::HotelingMd5 { nonce, response } => {
            let digest = Md5::new().chain_update(nonce).chain_update(":").chain_update(pin).finalize();
            let mut digits = [0; 32];
            hex::write(&digest, &mut digits);
            digits == *response
        }
    }
}
