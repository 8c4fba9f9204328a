//! PINs that can be opened again: sealed with AES-256-GCM-SIV (RFC 8452) under a key file.
//!
//! A phone's own guest key (hoteling) proves MD5(nonce:PIN), which nobody can check who has only a hash. So such PINs
//! are kept as `$aes256-gcm-siv$k=1$nonce$sealed`, both in base64 without padding. All are sealed to one length: how
//! many digits a PIN has is not to be seen.

use aes_gcm_siv::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm_siv::{Aes256GcmSiv, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::key::Key;

/// What a sealed PIN begins with.
pub const PREFIX: &str = "$aes256-gcm-siv$k=1$";
/// Octets that are sealed: the longest PIN an operator may set, and zeros after a shorter one.
const PADDED_OCTETS: usize = 16;
const NONCE_OCTETS: usize = 12;
/// Binds what is sealed to this use of the key.
const PURPOSE: &[u8] = b"hotdesk pin 1";

/// Why a PIN is not sealed, or what is sealed not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// It is empty, too long, or ends in a zero octet.
    #[error("a PIN that is sealed has 1 to {PADDED_OCTETS} octets")]
    Length,
    /// It is not what [`seal`] gives.
    #[error("not {PREFIX}nonce$sealed in base64 without padding")]
    Malformed,
    /// It was sealed under another key, or altered.
    #[error("it was sealed under another key")]
    Key,
    /// The operating system gave no random octets for the nonce.
    #[error("the operating system gives no random octets")]
    Random(#[source] getrandom::Error),
}

/// Seals `pin` under a fresh nonce.
pub fn seal(pin: &[u8], key: &Key) -> Result<String, SealError> {
    if pin.is_empty() || pin.len() > PADDED_OCTETS || pin.last() == Some(&0) {
        return Err(SealError::Length);
    }
    let mut padded = Zeroizing::new([0; PADDED_OCTETS]);
    padded[..pin.len()].copy_from_slice(pin);
    let mut nonce = [0; NONCE_OCTETS];
    getrandom::fill(&mut nonce).map_err(SealError::Random)?;
    let payload = Payload { msg: &*padded, aad: PURPOSE };
    let sealed = cipher(key).encrypt(&Nonce::from(nonce), payload).expect("sixteen octets are not too many");
    Ok(format!("{PREFIX}{}${}", STANDARD_NO_PAD.encode(nonce), STANDARD_NO_PAD.encode(sealed)))
}

/// The PIN in `sealed`.
pub fn open(sealed: &str, key: &Key) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let (nonce, sealed) = parts(sealed)?;
    let payload = Payload { msg: &sealed, aad: PURPOSE };
    let padded = cipher(key).decrypt(&Nonce::from(nonce), payload).map_err(|_| SealError::Key)?;
    let mut pin = Zeroizing::new(padded);
    let length = pin.iter().rposition(|octet| *octet != 0).map_or(0, |last| last + 1);
    pin.truncate(length);
    Ok(pin)
}

/// Nonce, and what is sealed with its tag.
fn parts(sealed: &str) -> Result<([u8; NONCE_OCTETS], Vec<u8>), SealError> {
    let fields = sealed.strip_prefix(PREFIX).and_then(|fields| fields.split_once('$'));
    let (nonce, sealed) = fields.ok_or(SealError::Malformed)?;
    let decode = |text: &str| STANDARD_NO_PAD.decode(text).map_err(|_| SealError::Malformed);
    let (nonce, sealed) = (decode(nonce)?, decode(sealed)?);
    if sealed.len() != PADDED_OCTETS + 16 {
        return Err(SealError::Malformed);
    }
    Ok((nonce.try_into().map_err(|_| SealError::Malformed)?, sealed))
}

/// The key file holds a line of text of any length from 32 octets on; its SHA-256 is the key of the cipher.
fn cipher(key: &Key) -> Aes256GcmSiv {
    let mut digest = Zeroizing::new([0; 32]);
    digest.copy_from_slice(&Sha256::digest(key.octets()));
    Aes256GcmSiv::new(&(*digest).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(octet: u8) -> Key {
        Key::new(&[octet; 32]).unwrap()
    }

    #[test]
    fn what_was_sealed_is_opened_under_its_key_alone() {
        let sealed = seal(b"7738", &key(b'a')).unwrap();

        assert_eq!(*open(&sealed, &key(b'a')).unwrap(), b"7738");
        assert!(matches!(open(&sealed, &key(b'b')), Err(SealError::Key)));
        let altered = sealed.replace(&sealed[PREFIX.len()..PREFIX.len() + 4], "AAAA");
        assert!(open(&altered, &key(b'a')).is_err());
    }

    #[test]
    fn sealed_pins_show_neither_their_length_nor_that_two_are_equal() {
        let sealed = [&b"7738"[..], b"7738", b"1234567890123456"].map(|pin| seal(pin, &key(b'a')).unwrap());

        assert_ne!(sealed[0], sealed[1]);
        assert_eq!(sealed[0].len(), sealed[2].len());
        assert_eq!(*open(&sealed[2], &key(b'a')).unwrap(), b"1234567890123456");
    }

    #[test]
    fn malformed_strings_and_pins_are_refused() {
        for text in ["", "7738", PREFIX, "$aes256-gcm-siv$k=1$AAAA$AAAA", "$aes256-gcm-siv$k=2$AAAA$AAAA"] {
            assert!(matches!(open(text, &key(b'a')), Err(SealError::Malformed)), "{text}");
        }
        for pin in [&b""[..], b"12345678901234567", b"77\0"] {
            assert!(matches!(seal(pin, &key(b'a')), Err(SealError::Length)), "{pin:?}");
        }
    }
}
