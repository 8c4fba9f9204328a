//! Digest authentication (RFC 3261 §22, RFC 7616, RFC 8760): the challenge, the proof, and the answers the edge
//! itself gives: to a phone that challenges a NOTIFY, and to peers.
//!
//! What a proof is worth says the account's record, which knows what nonces and counts were used before
//! ([`Location::accept_nonce`](crate::location::Location::accept_nonce)).

mod answer;
mod digest;
mod nonce;

pub use answer::answer;
pub(crate) use answer::{Ask, Ha1};
pub(crate) use digest::RegistrarUris;
pub use digest::{Asked, Challenge, Refused, credentials_for, secret, verify};
pub use nonce::{LIFETIME, NONCE_LENGTH, Nonce, NonceId, NonceState, Nonces, Proof, SentTo};
