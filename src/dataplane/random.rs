//! Randomness as the dataplane gets it: one ChaCha stream a worker, seeded by the operating system in
//! production and by a number in tests.

use chacha20::ChaCha8Rng;
use chacha20::rand_core::{Rng as _, SeedableRng as _};

/// The octets of tags and Call-IDs: all are `token` characters (RFC 3261 §25.1), and 64 of them waste no bit.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A worker's source of randomness.
pub(crate) struct Random(ChaCha8Rng);

impl Random {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self(ChaCha8Rng::from_seed(seed))
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// `N` characters of 6 random bits each.
    pub(crate) fn token<const N: usize>(&mut self) -> [u8; N] {
        self.bytes::<N>().map(|byte| ALPHABET[usize::from(byte & 63)])
    }
}

impl std::fmt::Debug for Random {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Random(…)")
    }
}
