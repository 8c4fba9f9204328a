//! Does what a person gave prove that he knows a PIN in clear? Compared in constant time.

use dataplane::query::{Pin, Proof};
use md5::{Digest as _, Md5};
use subtle::ConstantTimeEq as _;

/// True if `proof` is of `pin`. An empty PIN is nobody's, whatever is given.
pub fn is_of(proof: &Proof, pin: &[u8]) -> bool {
    let matches = match proof {
        Proof::Clear(given) => equal(given.reveal(), pin),
        Proof::HotelingMd5 { nonce, response } => {
            let digest = Md5::new().chain_update(nonce).chain_update(b":").chain_update(pin).finalize();
            let mut digits = [0; 32];
            for (pair, octet) in digits.chunks_exact_mut(2).zip(digest) {
                for (digit, half) in pair.iter_mut().zip([octet >> 4, octet & 15]) {
                    *digit = b"0123456789abcdef"[usize::from(half)];
                }
            }
            digits.ct_eq(response).into()
        }
    };
    matches && !pin.is_empty()
}

/// Compares without telling by the time how long either is, or how much of it agrees.
fn equal(given: &[u8], pin: &[u8]) -> bool {
    let padded = |octets: &[u8]| {
        let mut padded = zeroize::Zeroizing::new([0; Pin::LENGTH_MAX]);
        padded.iter_mut().zip(octets).for_each(|(to, from)| *to = *from);
        padded
    };
    let (given_padded, pin_padded) = (padded(given), padded(pin));
    let same = given_padded.ct_eq(&*pin_padded) & given.len().ct_eq(&pin.len());
    bool::from(same) && pin.len() <= Pin::LENGTH_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clear(pin: &[u8]) -> Proof {
        Proof::Clear(Pin::new(pin))
    }

    #[test]
    fn a_pin_is_proved_by_itself_alone() {
        assert!(is_of(&clear(b"7738"), b"7738"));
        for other in [&b"7739"[..], b"773", b"77380", b"7738\0", b""] {
            assert!(!is_of(&clear(other), b"7738"), "{other:?}");
        }
        let (long, longer) = ([b'1'; Pin::LENGTH_MAX], [b'1'; Pin::LENGTH_MAX + 1]);
        assert!(is_of(&clear(&long), &long));
        assert!(!is_of(&clear(&longer), &long) && !is_of(&clear(&longer), &longer));
    }

    #[test]
    fn an_empty_pin_proves_nothing() {
        assert!(!is_of(&clear(b""), b""));
    }

    #[test]
    fn hoteling_proves_the_pin_under_its_nonce() {
        // printf 'n0nce:7738' | md5sum
        let response = *b"4150937d34d7eb2fef038a8facc01047";
        let proof = |nonce: &[u8], response| Proof::HotelingMd5 { nonce: nonce.into(), response };

        assert!(is_of(&proof(b"n0nce", response), b"7738"));
        assert!(!is_of(&proof(b"n0nce", response), b"7739"));
        assert!(!is_of(&proof(b"another", response), b"7738"));
    }
}
