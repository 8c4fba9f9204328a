//! A PIN as it is stored, hashed or sealed: is a proof of it, which proofs can be, how a new one is stored likewise.

use dataplane::query::Proof;

use super::hash::{self, Algorithm, PinHashError};
use super::key::Keys;
use super::proof;
use super::seal::{self, SealError};

/// How a PIN is stored. To verify one takes the same time wherever this is equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As a hash.
    Hashed(Algorithm),
    /// Sealed: it can be had in clear.
    Sealed,
}

/// Why a stored PIN cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoredPinError {
    /// As a hash it cannot.
    #[error(transparent)]
    Hash(#[from] PinHashError),
    /// It cannot be opened, or nothing can be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// It is sealed, and there is no key.
    #[error("the PIN is sealed and its key is not configured")]
    SealKeyMissing,
    /// It is hashed, and the proof is of a PIN in clear.
    #[error("a hashed PIN cannot prove a guest key (hoteling)")]
    NotInClear,
}

/// What `phc` is; that [`is_proved`] will be able to use it is checked with `keys`.
pub fn form(phc: &str, keys: &Keys) -> Result<Form, StoredPinError> {
    if phc.starts_with(seal::PREFIX) {
        seal::open(phc, keys.seal.as_ref().ok_or(StoredPinError::SealKeyMissing)?)?;
        return Ok(Form::Sealed);
    }
    let algorithm = hash::algorithm(phc)?;
    if algorithm == Algorithm::HmacSha256 && keys.pepper.is_none() {
        return Err(PinHashError::PepperMissing.into());
    }
    Ok(Form::Hashed(algorithm))
}

/// True if `proof` is of the PIN in `phc`.
pub fn is_proved(phc: &str, proof: &Proof, keys: &Keys) -> Result<bool, StoredPinError> {
    if phc.starts_with(seal::PREFIX) {
        let pin = seal::open(phc, keys.seal.as_ref().ok_or(StoredPinError::SealKeyMissing)?)?;
        return Ok(proof::is_of(proof, &pin));
    }
    match proof {
        Proof::Clear(pin) => Ok(hash::verify(phc, pin.reveal(), keys.pepper.as_ref())?),
        Proof::HotelingMd5 { .. } => Err(StoredPinError::NotInClear),
    }
}

/// Stores `pin` in the form that `like` has.
pub fn store_like(like: &str, pin: &[u8], keys: &Keys) -> Result<String, StoredPinError> {
    match form(like, keys)? {
        Form::Sealed => Ok(seal::seal(pin, keys.seal.as_ref().ok_or(StoredPinError::SealKeyMissing)?)?),
        Form::Hashed(Algorithm::HmacSha256) => {
            Ok(hash::hash_hmac(pin, keys.pepper.as_ref().ok_or(PinHashError::PepperMissing)?)?)
        }
        Form::Hashed(Algorithm::Argon2id { .. }) => Ok(hash::hash_argon2id(pin)?),
    }
}

#[cfg(test)]
mod tests {
    use dataplane::query::Pin;

    use super::super::key::Key;
    use super::*;

    fn keys() -> Keys {
        Keys { pepper: Key::new(&[b'p'; 32]), seal: Key::new(&[b's'; 32]) }
    }

    fn clear(pin: &[u8]) -> Proof {
        Proof::Clear(Pin::new(pin))
    }

    #[test]
    fn a_pin_is_proved_in_every_form() {
        let (keyed, sealed) = (
            hash::hash_hmac(b"7738", &Key::new(&[b'p'; 32]).unwrap()).unwrap(),
            seal::seal(b"7738", &Key::new(&[b's'; 32]).unwrap()).unwrap(),
        );
        for phc in [&keyed, &sealed] {
            assert!(is_proved(phc, &clear(b"7738"), &keys()).unwrap());
            assert!(!is_proved(phc, &clear(b"7739"), &keys()).unwrap());
            let another = store_like(phc, b"2468", &keys()).unwrap();
            assert_eq!(form(&another, &keys()).unwrap(), form(phc, &keys()).unwrap());
            assert!(is_proved(&another, &clear(b"2468"), &keys()).unwrap());
            assert!(
                form(phc, &Keys::default()).is_err()
                    && is_proved(phc, &clear(b"7738"), &Keys::default()).is_err()
            );
        }
    }

    #[test]
    fn only_a_sealed_pin_proves_a_guest_key() {
        let hashed = hash::hash_hmac(b"7738", &Key::new(&[b'p'; 32]).unwrap()).unwrap();
        let sealed = seal::seal(b"7738", &Key::new(&[b's'; 32]).unwrap()).unwrap();
        let response = *b"4150937d34d7eb2fef038a8facc01047";
        let proof = Proof::HotelingMd5 { nonce: Box::from(&b"n0nce"[..]), response };

        assert!(is_proved(&sealed, &proof, &keys()).unwrap());
        assert!(matches!(is_proved(&hashed, &proof, &keys()), Err(StoredPinError::NotInClear)));
    }
}
