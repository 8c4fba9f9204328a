//! How names of tenants, devices, extensions and domains are hashed, in tables that only the operator's names enter; and
//! what a phone sent where only that phone gains or loses by a collision, as in the loop hash of a branch (§16.6 item 8).

use std::hash::{BuildHasherDefault, Hasher};

/// Hashes names that the operator gave, which no peer can choose: what a peer looks up finds the operator's names alone
/// in its way. So it need not withstand anybody, and a fixed key keeps runs repeatable. A table whose keys a peer can add
/// wants SipHash under the boot key, as the location table has it.
pub(crate) type NameHasher = BuildHasherDefault<NameHash>;

/// Eight octets at a time are multiplied to 128 bits, of which both halves count. A name costs a fifth of what SipHash
/// would.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NameHash(u64);

impl NameHash {
    fn mix(&mut self, word: u64) {
        // Digits of π and of e: odd, and with ones and zeros well mixed. The first keeps a word of zeros from
        // leaving nothing.
        let product =
            u128::from(self.0 ^ word ^ 0x243f_6a88_85a3_08d3) * u128::from(0xb7e1_5162_8aed_2a6b_u64);
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
}

impl Hasher for NameHash {
    fn write(&mut self, octets: &[u8]) {
        let (words, rest) = octets.as_chunks();
        words.iter().for_each(|word| self.mix(u64::from_le_bytes(*word)));
        if !rest.is_empty() {
            self.mix(rest.iter().fold(0, |word, octet| word << 8 | u64::from(*octet)));
        }
    }

    fn write_u8(&mut self, octet: u8) {
        self.mix(octet.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.mix(number);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// For tables whose keys are hashes already.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are u64");
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::BuildHasher as _;

    use super::*;
    use crate::hotdesk::Place;

    #[test]
    fn names_in_a_row_spread_over_shards_and_tables() {
        let hash = |number| NameHasher::default().hash_one(Place::new("acme", &format!("desk-{number}")));
        let hashes: Vec<u64> = (0..10_000).map(hash).collect();

        // A table goes by the low bits and the top seven; rows of shards by some in the middle, or the low ones.
        for shift in [0, 6, 32, 57] {
            let mut fill = [0_u32; 64];
            hashes.iter().for_each(|hash| fill[(hash >> shift) as usize % 64] += 1);
            assert!(fill.iter().all(|count| (100..220).contains(count)), "{shift}: {fill:?}");
        }
        assert_eq!(hashes.iter().collect::<HashSet<_>>().len(), hashes.len());
    }

    #[test]
    fn what_belongs_to_tenant_and_name_is_told_apart() {
        let hash = |tenant, name| NameHasher::default().hash_one(Place::new(tenant, name));

        assert_ne!(hash("acme", "1001"), hash("acme1", "001"));
        assert_ne!(hash("", "acme"), hash("acme", ""));
        assert_eq!(hash("acme", "1001"), hash("acme", "1001"));
    }
}
