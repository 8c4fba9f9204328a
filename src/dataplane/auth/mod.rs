//! Digest authentication (RFC 3261 §22, RFC 7616, RFC 8760): challenges, their proof, and the answers the edge
//! itself gives when a phone challenges a NOTIFY.

mod nonce;

pub use nonce::{LIFETIME, NONCE_LENGTH, Nonce, NonceId, NonceState, Nonces, Proof};
