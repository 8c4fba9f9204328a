//! Where all questions about PINs are answered: the backends of each tenant in order, its fallback, then its master PINs.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use dataplane::hotdesk::Place;
use dataplane::query::{
    ChangedPin, FALLBACK_PIN, PinChange, PinChangeVerdict, PinReject, PinRequest, PinVerdict, Proof, Record,
};
use dataplane::settings::{Settings, StoredPin, Tenant};
use tracing::{debug, error};

use super::changed::{Changed, counts};
use super::fallback::FallbackPin;
use super::file::FilePins;
use super::key::Keys;
use super::rules::{self, PIN_DIGITS};
use super::stored;
use super::voicemail_conf::{VoicemailFile, VoicemailPins};
use super::{Finding, PinBackend};

/// What the operator wants of a tenant's PINs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Where they are looked for, in this order.
    pub backends: Vec<BackendPlan>,
    /// What opens an extension that none of them knows (SEC-4).
    pub fallback: Option<StoredPin>,
    /// PINs of operators that open every extension of the tenant.
    pub masters: Vec<Master>,
    /// Digits of a new PIN.
    pub length_min: usize,
}

/// One backend of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackendPlan {
    /// The configuration file itself.
    File,
    /// One context of a `voicemail.conf`.
    VoicemailConf {
        /// The file, shared by all tenants that name it.
        file: Arc<VoicemailFile>,
        /// The context.
        context: Box<str>,
    },
}

/// An operator's PIN (SEC-3).
#[derive(Clone, PartialEq, Eq)]
pub struct Master {
    /// Whose it is, for log and audit.
    pub operator: Arc<str>,
    /// Hashed.
    pub phc: Box<str>,
}

impl fmt::Debug for Master {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Master({}, …)", self.operator)
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            backends: vec![BackendPlan::File],
            fallback: None,
            masters: Vec::new(),
            length_min: *PIN_DIGITS.start(),
        }
    }
}

/// The PINs of one tenant under one generation of settings.
#[derive(Debug)]
pub struct TenantPins {
    tenant: Arc<Tenant>,
    backends: Vec<Arc<dyn PinBackend>>,
    fallback: Option<FallbackPin>,
    masters: Vec<Master>,
    length_min: usize,
}

impl TenantPins {
    /// Those that `plan` says.
    pub fn new(tenant: &Arc<Tenant>, plan: &Plan, keys: &Arc<Keys>, changed: &Arc<Changed>) -> Self {
        let backend = |plan: &BackendPlan| -> Arc<dyn PinBackend> {
            match plan {
                BackendPlan::VoicemailConf { file, context } => {
                    Arc::new(VoicemailPins::new(Arc::clone(file), context))
                }
                BackendPlan::File => {
                    Arc::new(FilePins::new(Arc::clone(tenant), Arc::clone(keys), Arc::clone(changed)))
                }
            }
        };
        let fallback = |pin: &StoredPin| {
            FallbackPin::new(Arc::clone(tenant), Arc::clone(keys), Arc::clone(changed), pin.clone())
        };
        Self {
            tenant: Arc::clone(tenant),
            backends: plan.backends.iter().map(backend).collect(),
            fallback: plan.fallback.as_ref().map(fallback),
            masters: plan.masters.clone(),
            length_min: plan.length_min,
        }
    }

    /// These, in place of those that a plan would name.
    pub fn over(tenant: &Arc<Tenant>, backends: Vec<Arc<dyn PinBackend>>) -> Self {
        let Plan { masters, length_min, .. } = Plan::default();
        Self { tenant: Arc::clone(tenant), backends, fallback: None, masters, length_min }
    }

    /// Asks the backends in order, the next only where the one before does not know the extension, and never after
    /// a wrong PIN; where none knows it, the fallback. Who said it; the last, if nobody knows the extension.
    fn ask(&self, extension: &str, proof: &Proof) -> Option<(&dyn PinBackend, Finding)> {
        let mut said = None;
        for backend in &self.backends {
            let finding = backend.verify(extension, proof);
            said = Some((&**backend, finding));
            if finding != Finding::Rejected(PinReject::UnknownExtension) {
                break;
            }
        }
        let is_proved =
            matches!(said, Some((_, Finding::Right | Finding::Rejected(PinReject::MustChange { .. }))));
        let Some(fallback) = self.fallback.as_ref().filter(|_| !is_proved) else { return said };
        // Tried for who has a PIN, too, so that it takes as long. A mailbox with an empty PIN is known: nothing opens it.
        let finding = fallback.verify(extension, proof);
        match said {
            None | Some((_, Finding::Rejected(PinReject::UnknownExtension))) => Some((fallback, finding)),
            said => said,
        }
    }

    fn verify(&self, extension: &str, proof: &Proof, keys: &Keys) -> (PinVerdict, &'static str) {
        let (name, finding) = match self.ask(extension, proof) {
            Some((backend, finding)) => (backend.name(), finding),
            None => ("none", Finding::Rejected(PinReject::UnknownExtension)),
        };
        let exists = self.tenant.extension(extension).is_some();
        match finding {
            Finding::Right if exists => return (PinVerdict::Accepted { operator: None }, name),
            Finding::Fallback if self.fallback.as_ref().is_some_and(FallbackPin::must_change) => {
                return (PinVerdict::Rejected(PinReject::MustChange { is_fallback: true }), name);
            }
            Finding::Fallback => {
                return (PinVerdict::Accepted { operator: Some(FALLBACK_PIN.into()) }, name);
            }
            Finding::Rejected(reject @ PinReject::MustChange { .. }) if exists => {
                return (PinVerdict::Rejected(reject), name);
            }
            Finding::Unavailable => return (PinVerdict::Unavailable, name),
            Finding::Right | Finding::Rejected(_) => {}
        }
        // Tried for an extension that does not exist, too, so that it takes as long.
        let operator = self.master(proof, keys).filter(|_| exists);
        let verdict = match (operator, finding) {
            (Some(operator), _) => return (PinVerdict::Accepted { operator: Some(operator) }, "master"),
            (None, _) if !exists => PinReject::UnknownExtension,
            // No backend knows a PIN of somebody who exists.
            (None, Finding::Rejected(PinReject::UnknownExtension)) => PinReject::NoPin,
            (None, Finding::Rejected(reject)) => reject,
            (None, Finding::Right | Finding::Fallback | Finding::Unavailable) => {
                unreachable!("each has returned")
            }
        };
        (PinVerdict::Rejected(verdict), name)
    }

    /// Whose master PIN it is. All are tried, whichever it is.
    fn master(&self, proof: &Proof, keys: &Keys) -> Option<Arc<str>> {
        // A guest key proves a PIN that is stored in clear; these never are.
        let Proof::Clear(_) = proof else { return None };
        self.masters.iter().fold(None, |found, master| match stored::is_proved(&master.phc, proof, keys) {
            Ok(true) => Some(Arc::clone(&master.operator)),
            Ok(false) => found,
            Err(error) => {
                error!(tenant = %self.tenant.id, reason = %error, "a master PIN cannot be used");
                found
            }
        })
    }
}

/// One generation.
#[derive(Debug, Default)]
struct Book {
    keys: Arc<Keys>,
    tenants: HashMap<Box<str>, TenantPins>,
    /// Those of all tenants, each once.
    files: Vec<Arc<VoicemailFile>>,
}

/// Answers all questions about PINs; shared by the threads that do.
#[derive(Debug, Default)]
pub struct PinDesk {
    changed: Arc<Changed>,
    book: RwLock<Arc<Book>>,
}

impl PinDesk {
    /// Knows nobody until it is [configured](Self::configure); `changed` are the PINs the store kept.
    pub fn new(changed: Changed) -> Self {
        Self { changed: Arc::new(changed), book: RwLock::default() }
    }

    /// Puts a generation in force: from now on nothing is verified against the one before. A tenant without a plan
    /// has that of an empty file. Returns what the store is to forget: PINs that were changed at a phone, and whose
    /// operator's PIN is another since.
    pub fn configure(&self, settings: &Settings, plans: &HashMap<Box<str>, Plan>, keys: Keys) -> Vec<Record> {
        let (keys, default) = (Arc::new(keys), Plan::default());
        let tenants = settings.tenants.iter().map(|tenant| {
            let plan = plans.get(&tenant.id).unwrap_or(&default);
            (tenant.id.clone(), TenantPins::new(tenant, plan, &keys, &self.changed))
        });
        let mut files: Vec<Arc<VoicemailFile>> = Vec::new();
        for backend in plans.values().flat_map(|plan| &plan.backends) {
            if let BackendPlan::VoicemailConf { file, .. } = backend
                && !files.iter().any(|known| Arc::ptr_eq(known, file))
            {
                self.book().files.iter().for_each(|before| file.inherit(before));
                files.push(Arc::clone(file));
            }
        }
        self.put(Book { tenants: tenants.collect(), keys, files });
        let gone = self.changed.retain(|extension, changed| {
            let tenant = settings.tenant(extension.tenant());
            let entry = tenant.and_then(|tenant| tenant.extension(extension.name()));
            entry.is_some_and(|extension| counts(changed, extension))
        });
        gone.into_iter().map(|extension| Record::Pin { extension, pin: None }).collect()
    }

    /// Has `tenants` alone, as they are.
    pub fn of(tenants: impl IntoIterator<Item = TenantPins>) -> Self {
        let desk = Self::default();
        let tenants = tenants.into_iter().map(|pins| (pins.tenant.id.clone(), pins)).collect();
        desk.put(Book { tenants, ..Book::default() });
        desk
    }

    /// Is this the PIN?
    pub fn verify(&self, request: &PinRequest) -> PinVerdict {
        let book = self.book();
        let PinRequest { extension, proof, device, surface, .. } = request;
        let (verdict, backend) = match book.tenants.get(extension.tenant()) {
            Some(pins) => pins.verify(extension.name(), proof, &book.keys),
            None => (PinVerdict::Rejected(PinReject::UnknownExtension), "none"),
        };
        // What was typed for an extension that does not exist may be a PIN.
        let typed = match verdict {
            PinVerdict::Rejected(PinReject::UnknownExtension) => "…",
            _ => extension.name(),
        };
        debug!(
            tenant = %extension.tenant(), extension = typed, device = %device.name(), ?surface, backend, ?verdict,
            "PIN checked"
        );
        verdict
    }

    /// May this be the PIN? What the store is to keep, and what is to be said when it is: it counts when it was
    /// [kept](Self::kept).
    ///
    /// # Errors
    /// Why not; nothing changes.
    pub fn change(
        &self,
        change: &PinChange,
        at: u64,
    ) -> Result<(ChangedPin, PinChangeVerdict), PinChangeVerdict> {
        let book = self.book();
        let PinChange { extension, old, new, .. } = change;
        let unknown = PinChangeVerdict::Rejected(PinReject::UnknownExtension);
        let pins = book.tenants.get(extension.tenant()).ok_or(unknown)?;
        let said = pins.ask(extension.name(), &Proof::Clear(old.clone()));
        let (backend, finding) = match said {
            _ if pins.tenant.extension(extension.name()).is_none() => return Err(unknown),
            None => return Err(unknown),
            Some((
                backend,
                finding @ (Finding::Right
                | Finding::Fallback
                | Finding::Rejected(PinReject::MustChange { .. })),
            )) => (backend, finding),
            Some((_, Finding::Rejected(PinReject::UnknownExtension))) => {
                return Err(PinChangeVerdict::Rejected(PinReject::NoPin));
            }
            Some((_, Finding::Rejected(reject))) => return Err(PinChangeVerdict::Rejected(reject)),
            Some((_, Finding::Unavailable)) => return Err(PinChangeVerdict::Unavailable),
        };
        if !backend.capabilities().change_pin {
            return Err(PinChangeVerdict::Fixed);
        }
        // The old one again would change nothing, and a first PIN is known to whoever set it.
        if old == new || rules::check(new.reveal(), extension.name(), pins.length_min).is_err() {
            return Err(PinChangeVerdict::TooSimple { is_fallback: finding == Finding::Fallback });
        }
        let changed = backend.change(extension.name(), new.reveal(), at)?;
        Ok((changed, PinChangeVerdict::Changed { was_fallback: finding == Finding::Fallback }))
    }

    /// The store has the new PIN of `extension`: the old one opens nothing any more.
    pub fn kept(&self, extension: Place, pin: ChangedPin) {
        self.changed.put(extension, pin);
    }

    /// Looks whether files have changed. For a thread that may wait for them, every
    /// [`LOOK_EVERY`](super::voicemail_conf::LOOK_EVERY).
    pub fn look(&self) {
        self.book().files.iter().for_each(|file| file.look());
    }

    /// Whose PIN was changed at a phone, and when, in milliseconds since 1970.
    pub fn changed(&self) -> Vec<(Place, u64)> {
        self.changed.list()
    }

    fn book(&self) -> Arc<Book> {
        Arc::clone(&self.book.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, book: Book) {
        *self.book.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(book);
    }
}

#[cfg(test)]
mod tests {
    use dataplane::query::Pin;
    use dataplane::settings::{Extension, StoredPin, TenantParts, Timers};

    use super::super::changed::fingerprint;
    use super::super::hash::hash_argon2id;
    use super::*;

    /// One tenant whose extension 1001 has the operator's PIN `phc`.
    fn settings(phc: &str) -> Settings {
        let pin = Some(StoredPin { phc: phc.into(), must_change: false });
        let john = Extension { number: "1001".into(), pin, ..Extension::default() };
        let parts = TenantParts { id: "demo".into(), extensions: vec![john], ..TenantParts::default() };
        Settings::new(1, "test", Vec::new(), vec![Arc::new(Tenant::new(parts))], Timers::default(), true)
    }

    fn is_right(desk: &PinDesk, extension: &Place, pin: &[u8]) -> bool {
        let request = PinRequest {
            extension: extension.clone(),
            device: Place::new("demo", "desk-1"),
            surface: dataplane::hotdesk::Surface::Dialled,
            proof: Proof::Clear(Pin::new(pin)),
            deadline: dataplane::now::Mono::default(),
        };
        matches!(desk.verify(&request), PinVerdict::Accepted { .. })
    }

    #[test]
    fn chosen_pin_goes_when_the_operators_is_another_and_the_store_hears_of_it() {
        let (john, at) = (Place::new("demo", "1001"), 1_700_000_000_000);
        let [first, second] = [b"7738", b"2468"].map(|pin| hash_argon2id(pin).unwrap());
        let desk = PinDesk::new(Changed::default());
        assert_eq!(desk.configure(&settings(&first), &HashMap::new(), Keys::default()), []);
        let chosen =
            ChangedPin { phc: hash_argon2id(b"9753").unwrap().into(), replaces: fingerprint(&first), at };
        desk.kept(john.clone(), chosen);
        assert_eq!(desk.configure(&settings(&first), &HashMap::new(), Keys::default()), []);
        assert!(is_right(&desk, &john, b"9753") && !is_right(&desk, &john, b"7738"));
        assert_eq!(desk.changed(), [(john.clone(), at)]);

        let forgotten = desk.configure(&settings(&second), &HashMap::new(), Keys::default());

        assert_eq!(forgotten, [Record::Pin { extension: john.clone(), pin: None }]);
        assert!(is_right(&desk, &john, b"2468") && !is_right(&desk, &john, b"9753"));
        assert_eq!(desk.changed(), []);
    }
}
