//! Nonces made without state: when it was made, a number, and a keyed code over both. Nothing is kept until a
//! right answer came, so challenging costs no memory.
//!
//! A nonce is 18 octets, written as 24 characters of base64url: when it was made (since start), a random number, and
//! 80 bits of SipHash-2-4-128 over the two, and over the address it was sent to, under a key drawn at start. With a nonce of
//! this length what a phone hashes fits into two blocks of MD5 instead of three, where its `cnonce` is short. After a restart
//! the key is another one and all nonces of before are [`NonceState::Foreign`].
//!
//! So whoever answers a nonce hears what is sent to the address he writes into his datagrams: nobody makes wrong answers in
//! the name of somebody else, and none that was overheard is good from elsewhere.

use std::net::IpAddr;
use std::time::Duration;

use siphasher::sip128::SipHasher24;
use subtle::ConstantTimeEq as _;

use crate::base64url;
use crate::flow::network_of;
use crate::now::Mono;

/// How long a nonce is good for. Phones refresh every few minutes with the nonce they have; an hour spares them a
/// challenge at most refreshes, and bounds how long a record must remember which counts were used.
pub const LIFETIME: Duration = Duration::from_secs(3600);

/// Characters of a nonce.
pub const NONCE_LENGTH: usize = 24;

/// A nonce as it stands in a challenge.
pub type Nonce = [u8; NONCE_LENGTH];

/// How finely a nonce says when in its second it was made.
const FRACTION_BITS: u32 = 20;

/// What tells nonces of one moment apart.
const RANDOM_BITS: u32 = 32 - FRACTION_BITS;

/// Octets of a nonce before base64url: number and code.
const RAW_LENGTH: usize = 8 + CODE_LENGTH;

/// Octets of the code. Whoever guesses one has still to prove the secret, and may try each guess once.
const CODE_LENGTH: usize = 10;

/// The number in a nonce: when it was made, as seconds (upper half) and 20 bits of their fraction, and 12 random bits.
/// Later nonces have higher numbers, down to a microsecond: an account that is challenged for every call has many in
/// one second, and forgets the oldest of them first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NonceId(pub u64);

impl NonceId {
    /// When it was made.
    pub fn made(self) -> Mono {
        Mono::from_seconds((self.0 >> 32) as u32)
    }

    /// From when on it is good no longer.
    pub fn expires(self) -> Mono {
        self.made() + LIFETIME
    }
}

/// What a right answer to a challenge proves, and what must not be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The nonce.
    pub nonce: NonceId,
    /// The nonce count; `None`: an answer without `qop`, good once (RFC 7616 §3.4.6 has no such, RFC 2069 had).
    pub count: Option<u32>,
}

/// What a nonce is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonceState {
    /// We made it and it is good.
    Valid(NonceId),
    /// We made it and it is too old.
    Stale,
    /// We did not make it, or before the last start, or for another address.
    Foreign,
}

/// Makes and knows nonces. One key for all workers.
pub struct Nonces {
    key: [u8; 16],
}

impl Nonces {
    /// Takes a key that must be random and new at every start.
    pub fn new(key: [u8; 16]) -> Self {
        Self { key }
    }

    /// A nonce made `now` for whoever is at `address`, for IPv6 in its /64; `random` tells it from most others of the same
    /// microsecond. Should two be alike, the phone that comes second is asked once more.
    pub fn make(&self, now: Mono, random: [u8; 4], address: IpAddr) -> Nonce {
        let fraction = ((now.0 % 1_000_000_000) << FRACTION_BITS) / 1_000_000_000;
        let random = u64::from(u32::from_be_bytes(random)) & ((1 << RANDOM_BITS) - 1);
        let id = u64::from(now.seconds()) << 32 | fraction << RANDOM_BITS | random;
        let mut raw = [0; RAW_LENGTH];
        raw[..8].copy_from_slice(&id.to_be_bytes());
        raw[8..].copy_from_slice(&self.code(id, address));
        let mut text = [0; NONCE_LENGTH];
        base64url::encode(&raw, &mut text);
        text
    }

    /// What `nonce`, from `address`, is to us `now`. Takes the same time for any code.
    pub fn verify(&self, nonce: &[u8], address: IpAddr, now: Mono) -> NonceState {
        let mut raw = [0; RAW_LENGTH];
        if !base64url::decode(nonce, &mut raw) {
            return NonceState::Foreign;
        }
        let (id, code) = raw.split_at(8);
        let id = u64::from_be_bytes(id.try_into().expect("split at eight"));
        // One word is compared faster than ten octets.
        let word = |code: &[u8]| {
            let mut word = [0; 16];
            word[..CODE_LENGTH].copy_from_slice(code);
            u128::from_ne_bytes(word)
        };
        if !bool::from(word(&self.code(id, address)).ct_eq(&word(code))) {
            return NonceState::Foreign;
        }
        let id = NonceId(id);
        if now < id.expires() { NonceState::Valid(id) } else { NonceState::Stale }
    }

    fn code(&self, id: u64, address: IpAddr) -> [u8; CODE_LENGTH] {
        let facts = u128::from(network_of(address)) << 64 | u128::from(id);
        let hash = SipHasher24::new_with_key(&self.key).hash(&facts.to_le_bytes()).as_bytes();
        *hash.first_chunk().expect("a code is shorter than the hash")
    }
}

impl std::fmt::Debug for Nonces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Nonces(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const NOON: Mono = Mono(1_000_000_000_000);
    const PHONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn a_nonce_is_known_until_its_hour_is_over() {
        let nonces = Nonces::new([7; 16]);
        let nonce = nonces.make(NOON, [1, 2, 3, 4], PHONE);

        let NonceState::Valid(id) = nonces.verify(&nonce, PHONE, NOON) else { panic!("it is ours") };

        assert_eq!(id.made(), NOON);
        let last = Mono((NOON + LIFETIME).0 - 1);
        assert_eq!(nonces.verify(&nonce, PHONE, last), NonceState::Valid(id));
        assert_eq!(nonces.verify(&nonce, PHONE, NOON + LIFETIME), NonceState::Stale);
    }

    #[test]
    fn nonces_of_another_key_or_with_a_changed_octet_are_foreign() {
        let nonces = Nonces::new([7; 16]);
        let nonce = nonces.make(NOON, [0; 4], PHONE);

        assert_eq!(Nonces::new([8; 16]).verify(&nonce, PHONE, NOON), NonceState::Foreign);
        for at in 0..NONCE_LENGTH {
            let mut changed = nonce;
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(nonces.verify(&changed, PHONE, NOON), NonceState::Foreign, "{at}");
        }
        for nonsense in [&b""[..], b"abc", &nonce[..23], &[b'A'; 25], &[b'!'; 24], &[0xff; 24]] {
            assert_eq!(nonces.verify(nonsense, PHONE, NOON), NonceState::Foreign);
        }
    }

    #[test]
    fn a_nonce_is_good_where_it_was_sent_to_and_nowhere_else() {
        let nonces = Nonces::new([7; 16]);
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let nonce = nonces.make(NOON, [0; 4], address("2001:db8:0:1::1"));

        assert!(matches!(nonces.verify(&nonce, address("2001:db8:0:1::2"), NOON), NonceState::Valid(_)));
        for elsewhere in ["2001:db8:0:2::1", "192.0.2.1"] {
            assert_eq!(nonces.verify(&nonce, address(elsewhere), NOON), NonceState::Foreign);
        }
        let nonce = nonces.make(NOON, [0; 4], PHONE);
        assert_eq!(nonces.verify(&nonce, address("192.0.2.2"), NOON), NonceState::Foreign);
    }

    #[test]
    fn later_nonces_have_higher_numbers() {
        let nonces = Nonces::new([7; 16]);
        let id = |now, random| match nonces.verify(&nonces.make(now, random, PHONE), PHONE, now) {
            NonceState::Valid(id) => id,
            other => panic!("{other:?}"),
        };

        let moments = [0, 1, 2, 999, 500_000, 999_999, 1_000_000].map(Duration::from_micros);
        for (earlier, later) in moments.iter().zip(&moments[1..]) {
            assert!(id(NOON + *earlier, [255; 4]) < id(NOON + *later, [0; 4]), "{earlier:?} {later:?}");
        }
    }

    #[test]
    fn as_many_nonces_of_one_moment_differ_as_their_random_bits_can_tell_apart() {
        let nonces = Nonces::new([7; 16]);

        let made: HashSet<Nonce> = (0..4096_u32).map(|n| nonces.make(NOON, n.to_be_bytes(), PHONE)).collect();

        assert_eq!(made.len(), 4096);
    }

    #[test]
    fn a_nonce_is_a_quoted_string_without_escapes() {
        let nonce = Nonces::new([7; 16]).make(NOON, [255; 4], PHONE);

        assert!(nonce.iter().all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(octet)));
    }
}
