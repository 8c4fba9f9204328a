//! What an account is proved with, as the settings hold it: never in clear, never printed.

use std::fmt;
use std::sync::Arc;

/// A digest secret: H(user:realm:password) for each algorithm (RFC 7616 §3.4.2); the password is not kept.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SipSecret {
    /// MD5, 32 lower-case hex digits.
    pub ha1_md5: Option<[u8; 32]>,
    /// SHA-256, 64 lower-case hex digits.
    pub ha1_sha256: Option<[u8; 64]>,
}

impl fmt::Debug for SipSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SipSecret(…)")
    }
}

/// A PIN as the operator stored it: a hash (`$argon2id$…`, `$hmac-sha256$…`) or sealed (`$aes256-gcm-siv$…`). What is
/// in it is the business of PIN backends.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredPin {
    /// A PHC string.
    pub phc: Arc<str>,
    /// It opens nothing but the way to another one.
    pub must_change: bool,
}

impl StoredPin {
    /// A PIN that is good for log-ins.
    pub fn new(phc: impl Into<Arc<str>>) -> Self {
        Self { phc: phc.into(), must_change: false }
    }
}

impl fmt::Debug for StoredPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoredPin(…)")
    }
}
