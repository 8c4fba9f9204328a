//! PINs: who has which, whether one is right, what a new one may be.
//!
//! ```text
//!  question ─► threads of its own ─► PinDesk ─► the tenant's backends in order: file, voicemail_conf
//!                                       │            the next only where the one before does not know the extension
//!                                       ├─► the fallback, where none does
//!                                       ├─► an operator's master PINs
//!                                       └─► verdict, or a changed PIN for the store
//! ```
//!
//! A [`PinBackend`] says what it can do, so that a tenant whose phones need more is refused when the file is checked,
//! and not at the first log-in. Verifying may cost tens of milliseconds of a core, never a wait for the network.

pub mod changed;
pub mod desk;
pub mod fallback;
pub mod file;
pub mod hash;
pub mod key;
pub mod proof;
pub mod rules;
pub mod seal;
pub mod stored;
pub mod voicemail_conf;

use std::fmt::Debug;

use dataplane::query::{ChangedPin, PinChangeVerdict, PinReject, Proof};

/// A place where PINs are kept, as one tenant sees it.
pub trait PinBackend: Debug + Send + Sync {
    /// As the configuration calls it.
    fn name(&self) -> &'static str;

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// Is this the PIN of `extension`? Whether the extension is known makes no difference to how long it takes.
    fn verify(&self, extension: &str, proof: &Proof) -> Finding;

    /// What the store is to keep so that `pin` is from now on the PIN of `extension`, which this backend has found to be
    /// who it says. `at` is the wall clock in milliseconds since 1970.
    ///
    /// # Errors
    /// [`PinChangeVerdict::Fixed`] where nobody changes a PIN through this backend; [`PinChangeVerdict::Unavailable`].
    fn change(&self, extension: &str, pin: &[u8], at: u64) -> Result<ChangedPin, PinChangeVerdict>;
}

/// What a backend can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// It tells whether a PIN given in clear is right.
    pub verify_clear: bool,
    /// It tells whether MD5(nonce:PIN) is right, which takes PINs in clear.
    pub verify_hoteling: bool,
    /// A PIN can be changed from a phone.
    pub change_pin: bool,
    /// It follows changes without a reload.
    pub watch: bool,
}

/// What a backend found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It is the one.
    Right,
    /// It is the one that opens everybody who has none.
    Fallback,
    /// It is not, or good for nothing but choosing another. With [`PinReject::UnknownExtension`] the next backend is
    /// asked.
    Rejected(PinReject),
    /// It cannot tell.
    Unavailable,
}
