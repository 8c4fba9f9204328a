//! Nonces made without state: when it was made, a number, where it was sent to, and a keyed code over all. Nothing is kept
//! until a right answer came, so challenging costs no memory.
//!
//! A nonce is 18 octets, written as 24 characters of base64url: when it was made (since start), a random number, 16 bits of
//! a hash of each of two addresses, and 48 bits of SipHash-2-4 over all that, under a key drawn at start. With a nonce of this
//! length what a phone hashes fits into two blocks of MD5 instead of three, where its `cnonce` is short. After a restart the
//! key is another one and all nonces of before are [`NonceState::Foreign`].
//!
//! A nonce is good from the address it was sent to. So whoever answers it hears what is sent to the address he writes into his
//! datagrams: nobody makes wrong answers in the name of somebody else, and none that was overheard is good from elsewhere.
//!
//! But a phone may have two ways out, and its messages take turns between them. Whoever answers a nonce from elsewhere gets
//! one that is good from there and from where the other was sent to: he who has it has heard both.

use std::net::IpAddr;
use std::time::Duration;

use siphasher::sip::{SipHasher13, SipHasher24};
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

/// Octets of number and two addresses.
const FACTS_LENGTH: usize = 8 + 2 + 2;

/// Octets of a nonce before base64url: facts and code.
const RAW_LENGTH: usize = FACTS_LENGTH + 6;

/// Bits of the hash that are not in the code. Whoever guesses the others has still to prove the secret, and may try each guess
/// once.
const CODE_SHIFT: u32 = 16;

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

/// Where a nonce was sent to: of a hash of the address so much that a wrong one passes once in 65,536 times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentTo(u16);

/// What a nonce is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonceState {
    /// We made it and it is good.
    Valid(NonceId),
    /// We made it and it is too old.
    Stale,
    /// We made it, it is not too old, and it was sent to another address: there last.
    Elsewhere(SentTo),
    /// We did not make it, or before the last start.
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

    /// A nonce made `now` for whoever is at `address`, for IPv6 in its /64, and has answered from there what was sent
    /// `elsewhere`; `random` tells it from most others of the same microsecond. Should two be alike, the phone that comes second
    /// is asked once more.
    pub fn make(&self, now: Mono, random: [u8; 4], address: IpAddr, elsewhere: Option<SentTo>) -> Nonce {
        let fraction = ((now.0 % 1_000_000_000) << FRACTION_BITS) / 1_000_000_000;
        let random = u64::from(u32::from_be_bytes(random)) & ((1 << RANDOM_BITS) - 1);
        let id = u64::from(now.seconds()) << 32 | fraction << RANDOM_BITS | random;
        let mut raw = [0; RAW_LENGTH];
        let here = self.sent_to(address);
        raw[..8].copy_from_slice(&id.to_be_bytes());
        raw[8..10].copy_from_slice(&here.0.to_be_bytes());
        raw[10..FACTS_LENGTH].copy_from_slice(&elsewhere.unwrap_or(here).0.to_be_bytes());
        let (facts, code) = raw.split_first_chunk_mut::<FACTS_LENGTH>().expect("facts are shorter");
        code.copy_from_slice(&self.code(facts).to_be_bytes()[2..]);
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
        let (facts, code) = raw.split_first_chunk::<FACTS_LENGTH>().expect("facts are shorter");
        let mut word = [0; 8];
        word[2..].copy_from_slice(code);
        if !bool::from(self.code(facts).ct_eq(&u64::from_be_bytes(word))) {
            return NonceState::Foreign;
        }
        let (id, sent_to) = facts.split_at(8);
        let id = NonceId(u64::from_be_bytes(id.try_into().expect("split at eight")));
        let sent_to = [0, 2].map(|at| SentTo(u16::from_be_bytes([sent_to[at], sent_to[at + 1]])));
        if now >= id.expires() {
            NonceState::Stale
        } else if sent_to.contains(&self.sent_to(address)) {
            NonceState::Valid(id)
        } else {
            NonceState::Elsewhere(sent_to[0])
        }
    }

    fn sent_to(&self, address: IpAddr) -> SentTo {
        let hash = SipHasher13::new_with_key(&self.key).hash(&network_of(address).to_le_bytes());
        SentTo(hash as u16)
    }

    fn code(&self, facts: &[u8; FACTS_LENGTH]) -> u64 {
        SipHasher24::new_with_key(&self.key).hash(facts) >> CODE_SHIFT
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
        let nonce = nonces.make(NOON, [1, 2, 3, 4], PHONE, None);

        let NonceState::Valid(id) = nonces.verify(&nonce, PHONE, NOON) else { panic!("it is ours") };

        assert_eq!(id.made(), NOON);
        let last = Mono((NOON + LIFETIME).0 - 1);
        assert_eq!(nonces.verify(&nonce, PHONE, last), NonceState::Valid(id));
        assert_eq!(nonces.verify(&nonce, PHONE, NOON + LIFETIME), NonceState::Stale);
    }

    #[test]
    fn nonces_of_another_key_or_with_a_changed_octet_are_foreign() {
        let nonces = Nonces::new([7; 16]);
        let nonce = nonces.make(NOON, [0; 4], PHONE, None);

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
        let nonce = nonces.make(NOON, [0; 4], address("2001:db8:0:1::1"), None);

        assert!(matches!(nonces.verify(&nonce, address("2001:db8:0:1::2"), NOON), NonceState::Valid(_)));
        for elsewhere in ["2001:db8:0:2::1", "192.0.2.1"] {
            let state = nonces.verify(&nonce, address(elsewhere), NOON);
            assert!(matches!(state, NonceState::Elsewhere(_)), "{elsewhere}: {state:?}");
        }
    }

    #[test]
    fn whoever_has_heard_two_addresses_gets_a_nonce_that_is_good_from_both_and_from_no_third() {
        let nonces = Nonces::new([7; 16]);
        let [first, second, third] = [1, 2, 3].map(|host| IpAddr::from([192, 0, 2, host]));
        let is_good = |nonce: &Nonce, from| matches!(nonces.verify(nonce, from, NOON), NonceState::Valid(_));
        let next = |nonce: &Nonce, from| match nonces.verify(nonce, from, NOON) {
            NonceState::Elsewhere(elsewhere) => nonces.make(NOON, [0; 4], from, Some(elsewhere)),
            other => panic!("{other:?}"),
        };

        let nonce = nonces.make(NOON, [0; 4], first, None);
        let nonce = next(&nonce, second);
        assert_eq!([first, second, third].map(|from| is_good(&nonce, from)), [true, true, false]);
        let nonce = next(&nonce, third);
        assert_eq!([first, second, third].map(|from| is_good(&nonce, from)), [false, true, true]);

        let too_late = NOON + LIFETIME;
        assert_eq!(nonces.verify(&nonce, first, too_late), NonceState::Stale);
    }

    #[test]
    fn later_nonces_have_higher_numbers() {
        let nonces = Nonces::new([7; 16]);
        let id = |now, random| match nonces.verify(&nonces.make(now, random, PHONE, None), PHONE, now) {
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

        let made: HashSet<Nonce> =
            (0..4096_u32).map(|n| nonces.make(NOON, n.to_be_bytes(), PHONE, None)).collect();

        assert_eq!(made.len(), 4096);
    }

    #[test]
    fn a_nonce_is_a_quoted_string_without_escapes() {
        let nonce = Nonces::new([7; 16]).make(NOON, [255; 4], PHONE, None);

        assert!(nonce.iter().all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(octet)));
    }
}
