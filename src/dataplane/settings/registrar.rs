//! What the embedded registrar grants.

/// What the embedded registrar grants (RFC 3261 §10.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrarPolicy {
    /// Shortest expiry in seconds; below it 423.
    pub expires_min: u32,
    /// Expiry in seconds where the phone names none.
    pub expires_default: u32,
    /// Longest expiry in seconds; above it this is granted.
    pub expires_max: u32,
    /// By how much an expiry is cut at most, in hundredths: each phone's by another share of it, so that phones which
    /// registered together do not all come back together.
    pub expires_spread: u32,
    /// Offer digest MD5.
    pub digest_md5: bool,
    /// Offer digest SHA-256 (RFC 8760), before MD5 where both are on.
    pub digest_sha256: bool,
    /// A contact may point elsewhere than to the flow it was registered over.
    pub third_party_contacts: bool,
    /// Ordinary phones that ask for it are given URIs that reach them alone (RFC 5627).
    pub gruu: bool,
}

impl Default for RegistrarPolicy {
    fn default() -> Self {
        Self {
            expires_min: 60,
            expires_default: 600,
            expires_max: 7200,
            expires_spread: 10,
            digest_md5: true,
            digest_sha256: false,
            third_party_contacts: false,
            gruu: false,
        }
    }
}
