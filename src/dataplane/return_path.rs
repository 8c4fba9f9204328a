//! What a dialog needs on its way back, sealed into a parameter of our Record-Route.
//!
//! Dialogs are not kept in memory: the callee's BYE comes from another address and reaches another worker,
//! maybe after a restart. All facts ride in the route set (RFC 3261 §12.1), where only the edge can read or
//! make them: XChaCha20-Poly1305 under a daily key, bound to the Call-ID and the opener's tag.

use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

use crate::flow::{ConnectionId, Flow, ListenerId};

/// Keys under which Record-Route parameters are sealed: the first seals, all open. One is made every day and
/// an old one is kept as long as a call may last.
#[derive(Clone)]
pub struct RoutingKeys {
    keys: Vec<(u8, XChaCha20Poly1305)>,
}

impl RoutingKeys {
    /// Takes (id, key) pairs, the current one first; at least one.
    pub fn new(keys: &[(u8, [u8; 32])]) -> Self {
        Self { keys: keys.iter().map(|(id, key)| (*id, XChaCha20Poly1305::new(key.into()))).collect() }
    }
}

impl std::fmt::Debug for RoutingKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|(id, _)| id)).finish()
    }
}
