//! The backend `file`: PINs that stand in the configuration file, and those that people put over them at a phone.

use std::sync::Arc;

use dataplane::hotdesk::Place;
use dataplane::query::{ChangedPin, PinChangeVerdict, PinReject, Proof};
use dataplane::settings::Tenant;
use tracing::error;

use super::changed::{Changed, fingerprint};
use super::key::Keys;
use super::stored::{self, Form};
use super::{Capabilities, Finding, PinBackend};

/// The PINs of one tenant.
#[derive(Debug)]
pub struct FilePins {
    tenant: Arc<Tenant>,
    keys: Arc<Keys>,
    changed: Arc<Changed>,
    /// What an extension without a PIN is checked against: it takes as long as one that has one.
    decoy: Option<Arc<str>>,
    all_sealed: bool,
}

impl FilePins {
    /// Those in `tenant`, with `changed` over them.
    pub fn new(tenant: Arc<Tenant>, keys: Arc<Keys>, changed: Arc<Changed>) -> Self {
        let mut pins = tenant.extensions.iter().filter_map(|extension| extension.pin.as_ref());
        let decoy = pins.next().map(|pin| Arc::clone(&pin.phc));
        let pins = tenant.extensions.iter().filter_map(|extension| extension.pin.as_ref());
        let mut forms = pins.map(|pin| stored::form(&pin.phc, &keys).ok());
        let all_sealed = forms.all(|form| form == Some(Form::Sealed));
        Self { tenant, keys, changed, decoy, all_sealed }
    }

    /// The PIN that counts, and whether it has to be changed.
    fn pin_of(&self, extension: &str) -> Option<(Arc<str>, bool)> {
        let pin = self.tenant.extension(extension)?.pin.as_ref()?;
        let changed = self.changed.over(&Place::new(&self.tenant.id, extension), &pin.phc);
        Some(match changed {
            Some(changed) => (changed.phc.into(), false),
            None => (Arc::clone(&pin.phc), pin.must_change),
        })
    }
}

impl PinBackend for FilePins {
    fn name(&self) -> &'static str {
        "file"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { verify_clear: true, verify_hoteling: self.all_sealed, change_pin: true, watch: false }
    }

    fn verify(&self, extension: &str, proof: &Proof) -> Finding {
        let pin = self.pin_of(extension);
        let is_known = pin.is_some();
        let Some((phc, must_change)) = pin.or_else(|| Some((Arc::clone(self.decoy.as_ref()?), false))) else {
            return Finding::Rejected(PinReject::UnknownExtension);
        };
        match stored::is_proved(&phc, proof, &self.keys) {
            _ if !is_known => Finding::Rejected(PinReject::UnknownExtension),
            Ok(true) if must_change => Finding::Rejected(PinReject::MustChange { is_fallback: false }),
            Ok(true) => Finding::Right,
            Ok(false) => Finding::Rejected(PinReject::Wrong),
            Err(error) => {
                // The configuration was checked for it: the operator must hear.
                error!(tenant = %self.tenant.id, %extension, reason = %error, "a stored PIN cannot be used");
                Finding::Unavailable
            }
        }
    }

    fn change(&self, extension: &str, pin: &[u8], at: u64) -> Result<ChangedPin, PinChangeVerdict> {
        let entry = self.tenant.extension(extension).and_then(|extension| extension.pin.as_ref());
        let replaced = &entry.ok_or(PinChangeVerdict::Fixed)?.phc;
        let phc = stored::store_like(replaced, pin, &self.keys).map_err(|error| {
            error!(tenant = %self.tenant.id, %extension, reason = %error, "a new PIN cannot be stored");
            PinChangeVerdict::Unavailable
        })?;
        Ok(ChangedPin { phc: phc.into(), replaces: fingerprint(replaced), at })
    }
}
