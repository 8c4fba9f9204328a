//! One PIN for all who have none (SEC-4): asked last, where no backend knows the extension. Whoever chooses a PIN of his own
//! at a phone has that one from then on.

use std::sync::Arc;

use dataplane::hotdesk::Place;
use dataplane::query::{ChangedPin, PinChangeVerdict, PinReject, Proof};
use dataplane::settings::{StoredPin, Tenant};
use tracing::error;

use super::changed::{Changed, NO_PIN, fingerprint};
use super::key::Keys;
use super::stored;
use super::{Capabilities, Finding, PinBackend};

/// The fallback of one tenant.
#[derive(Debug)]
pub struct FallbackPin {
    tenant: Arc<Tenant>,
    keys: Arc<Keys>,
    changed: Arc<Changed>,
    pin: StoredPin,
}

impl FallbackPin {
    /// `pin` for all of `tenant`, with `changed` over it.
    pub fn new(tenant: Arc<Tenant>, keys: Arc<Keys>, changed: Arc<Changed>, pin: StoredPin) -> Self {
        Self { tenant, keys, changed, pin }
    }

    /// True if it is good for nothing but choosing another.
    pub fn must_change(&self) -> bool {
        self.pin.must_change
    }
}

impl PinBackend for FallbackPin {
    fn name(&self) -> &'static str {
        "fallback"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { verify_clear: true, verify_hoteling: false, change_pin: true, watch: false }
    }

    fn verify(&self, extension: &str, proof: &Proof) -> Finding {
        const UNKNOWN: Finding = Finding::Rejected(PinReject::UnknownExtension);

        // A guest key proves a PIN that is known in clear, and a fallback never is.
        let Proof::Clear(_) = proof else { return UNKNOWN };
        let chosen = self.changed.over(&Place::new(&self.tenant.id, extension), NO_PIN);
        let phc = chosen.as_ref().map_or(&*self.pin.phc, |chosen| &chosen.phc);
        match stored::is_proved(phc, proof, &self.keys) {
            _ if self.tenant.extension(extension).is_none() => UNKNOWN,
            Ok(true) if chosen.is_some() => Finding::Right,
            Ok(true) => Finding::Fallback,
            Ok(false) => Finding::Rejected(PinReject::Wrong),
            Err(error) => {
                error!(tenant = %self.tenant.id, %extension, reason = %error, "the fallback PIN cannot be used");
                Finding::Unavailable
            }
        }
    }

    fn change(&self, _: &str, pin: &[u8], at: u64) -> Result<ChangedPin, PinChangeVerdict> {
        let phc = stored::store_like(&self.pin.phc, pin, &self.keys).map_err(|error| {
            error!(tenant = %self.tenant.id, reason = %error, "a new PIN cannot be stored");
            PinChangeVerdict::Unavailable
        })?;
        Ok(ChangedPin { phc: phc.into(), replaces: fingerprint(NO_PIN), at })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use dataplane::hotdesk::Surface;
    use dataplane::now::Mono;
    use dataplane::query::{FALLBACK_PIN, Pin, PinChange, PinRequest, PinVerdict, Record};
    use dataplane::settings::{Extension, Settings, TenantParts, Timers};

    use super::super::desk::{BackendPlan, Master, PinDesk, Plan};
    use super::super::hash;
    use super::super::key::Key;
    use super::super::voicemail_conf::VoicemailFile;
    use super::*;

    fn pepper() -> Key {
        Key::new(&[b'p'; 32]).unwrap()
    }

    fn stored(pin: &[u8]) -> StoredPin {
        StoredPin::new(hash::hash_hmac(pin, &pepper()).unwrap())
    }

    /// 1001 has a PIN in the file, 1002 a mailbox with one, 1003 a mailbox with an empty one, 1004 and 1005 nothing.
    struct House {
        desk: PinDesk,
        plan: Plan,
        extensions: Vec<Extension>,
        _folder: tempfile::TempDir,
    }

    impl House {
        fn new(must_change: bool) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("voicemail.conf");
            std::fs::write(&path, "[default]\n1002 => 2468\n1003 => ,Nobody\n").unwrap();
            let (file, _) = VoicemailFile::open(&path, folder.path());
            let voicemail = BackendPlan::VoicemailConf { file: Arc::new(file), context: "default".into() };
            let plan = Plan {
                backends: vec![BackendPlan::File, voicemail],
                fallback: Some(StoredPin { must_change, ..stored(b"8080") }),
                masters: vec![Master { operator: "night".into(), phc: stored(b"86420").phc.as_ref().into() }],
                ..Plan::default()
            };
            let extension = |number: &str| Extension { number: number.into(), ..Extension::default() };
            let mut extensions: Vec<_> = ["1001", "1002", "1003", "1004", "1005"].map(extension).into();
            extensions[0].pin = Some(stored(b"7738"));
            let house = Self { desk: PinDesk::default(), plan, extensions, _folder: folder };
            house.configure();
            house
        }

        fn configure(&self) -> Vec<Record> {
            let extensions = self.extensions.clone();
            let parts = TenantParts { id: "demo".into(), extensions, ..TenantParts::default() };
            let tenants = vec![Arc::new(Tenant::new(parts))];
            let settings = Settings::new(1, "edge", Vec::new(), tenants, Timers::default(), true);
            let plans = HashMap::from([("demo".into(), self.plan.clone())]);
            self.desk.configure(&settings, &plans, Keys { pepper: Some(pepper()), seal: None })
        }

        fn verify(&self, extension: &str, proof: Proof) -> PinVerdict {
            self.desk.verify(&PinRequest {
                extension: Place::new("demo", extension),
                proof,
                device: Place::new("demo", "desk-1"),
                surface: Surface::Attendant,
                deadline: Mono::default(),
            })
        }

        fn dial(&self, extension: &str, pin: &str) -> PinVerdict {
            self.verify(extension, Proof::Clear(Pin::new(pin.as_bytes())))
        }

        fn change(
            &self,
            extension: &str,
            old: &str,
            new: &str,
        ) -> Result<PinChangeVerdict, PinChangeVerdict> {
            let change = PinChange {
                extension: Place::new("demo", extension),
                old: Pin::new(old.as_bytes()),
                new: Pin::new(new.as_bytes()),
                device: Place::new("demo", "desk-1"),
                surface: Surface::Attendant,
                deadline: Mono::default(),
            };
            let (pin, verdict) = self.desk.change(&change, 7)?;
            self.desk.kept(change.extension, pin);
            Ok(verdict)
        }
    }

    const OWN: PinVerdict = PinVerdict::Accepted { operator: None };
    const WRONG: PinVerdict = PinVerdict::Rejected(PinReject::Wrong);

    fn by(who: &str) -> PinVerdict {
        PinVerdict::Accepted { operator: Some(who.into()) }
    }

    #[test]
    fn fallback_opens_whom_no_backend_knows_and_is_named() {
        let house = House::new(false);

        assert_eq!(house.dial("1004", "8080"), by(FALLBACK_PIN));
        assert_eq!(house.dial("1004", "8081"), WRONG);
        assert_eq!(house.dial("1004", ""), WRONG);
        assert_eq!(house.dial("1001", "8080"), WRONG, "1001 has a PIN");
        assert_eq!(house.dial("1002", "8080"), WRONG, "1002 has one in a mailbox");
        assert_eq!(
            house.dial("1003", "8080"),
            PinVerdict::Rejected(PinReject::NoPin),
            "its mailbox is known"
        );
        assert_eq!(house.dial("4711", "8080"), PinVerdict::Rejected(PinReject::UnknownExtension));
        for (extension, pin) in [("1001", "7738"), ("1002", "2468")] {
            assert_eq!(house.dial(extension, pin), OWN);
        }
        assert_eq!(house.dial("1004", "86420"), by("night"));
    }

    #[test]
    fn no_guest_key_is_proved_by_the_fallback() {
        let house = House::new(false);
        let proof = Proof::HotelingMd5 { nonce: Box::from(&b"n0nce"[..]), response: [b'0'; 32] };

        assert_ne!(house.verify("1004", proof), by(FALLBACK_PIN));
    }

    #[test]
    fn fallback_that_must_change_opens_nothing_until_a_pin_is_chosen() {
        let house = House::new(true);
        assert_eq!(
            house.dial("1004", "8080"),
            PinVerdict::Rejected(PinReject::MustChange { is_fallback: true })
        );

        let changed = house.change("1004", "8080", "1357");

        assert_eq!(changed, Ok(PinChangeVerdict::Changed { was_fallback: true }));
        assert_eq!((house.dial("1004", "1357"), house.dial("1004", "8080")), (OWN, WRONG));
        assert_eq!(
            house.dial("1005", "8080"),
            PinVerdict::Rejected(PinReject::MustChange { is_fallback: true }),
            "1005 has chosen none"
        );
        assert_eq!(
            house.change("1004", "1357", "2579"),
            Ok(PinChangeVerdict::Changed { was_fallback: false })
        );
        assert_eq!(
            house.change("4711", "8080", "1357"),
            Err(PinChangeVerdict::Rejected(PinReject::UnknownExtension))
        );
    }

    #[test]
    fn chosen_pin_outlives_the_fallback_until_the_operator_gives_the_extension_one() {
        let mut house = House::new(true);
        house.change("1004", "8080", "1357").unwrap();

        house.plan.fallback = Some(stored(b"9090"));
        assert_eq!(house.configure(), []);
        assert_eq!((house.dial("1004", "1357"), house.dial("1005", "9090")), (OWN, by(FALLBACK_PIN)));

        let fallback = house.plan.fallback.take();
        assert_eq!(house.configure(), []);
        assert_eq!(house.dial("1004", "1357"), PinVerdict::Rejected(PinReject::NoPin));

        house.plan.fallback = fallback;
        house.extensions[3].pin = Some(stored(b"4680"));
        let extension = Place::new("demo", "1004");
        assert_eq!(house.configure(), [Record::Pin { extension, pin: None }]);
        assert_eq!((house.dial("1004", "1357"), house.dial("1004", "4680")), (WRONG, OWN));
    }
}
