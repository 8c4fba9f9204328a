//! PIN hashes as PHC strings: made by `hotdesk hash-pin`, verified at log-in, checked when a file is loaded.
//!
//! Two forms are understood, salt and digest in base64 without padding:
//!
//! | form | digest |
//! |---|---|
//! | `$argon2id$v=19$m=19456,t=2,p=1$salt$digest` | Argon2id (RFC 9106) of the PIN |
//! | `$hmac-sha256$k=1$salt$digest` | HMAC-SHA-256 (RFC 2104) keyed with the pepper, of salt and PIN |
//!
//! A PIN has few digits, so a hash alone slows a thief of the file down and does not stop him: at 20 ms a try, four
//! digits are found in minutes. The keyed form is worth nothing to a thief who has not also got the pepper, which
//! lies in a file of its own, and costs a log-in microseconds. Against guesses at a phone neither helps: the
//! dataplane counts those.

use argon2::{Algorithm as Variant, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::key::Key;

/// Memory of a new Argon2id hash in KiB, with [`PASSES`] the smallest pair OWASP recommends for one lane.
const MEMORY_KIB: u32 = 19 * 1024;
/// Passes of a new Argon2id hash.
const PASSES: u32 = 2;
/// Most memory in KiB that a stored hash may ask for: every thread that verifies PINs may hold as much.
const MEMORY_KIB_MAX: u32 = 64 * 1024;
/// Most passes that a stored hash may ask for; with [`MEMORY_KIB_MAX`] some 300 ms a try.
const PASSES_MAX: u32 = 8;
/// Most lanes that a stored hash may ask for.
const LANES_MAX: u32 = 4;
/// Octets of salt in a new hash (RFC 9106 §3.1 recommends 16).
const SALT_OCTETS: usize = 16;
/// Longest salt of a stored hash.
const SALT_OCTETS_MAX: usize = 64;
/// Octets of every digest.
const DIGEST_OCTETS: usize = 32;
/// Longest PHC string; the largest that the limits above allow is shorter.
const PHC_OCTETS_MAX: usize = 256;

/// How a PIN hash is computed. Two that are equal take the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Algorithm {
    /// `$argon2id$`: needs nothing but the PIN.
    Argon2id {
        /// KiB of memory.
        memory: u32,
        /// How often all of it is gone over.
        passes: u32,
        /// Parts of it that are independent of each other.
        lanes: u32,
    },
    /// `$hmac-sha256$`: needs the pepper.
    HmacSha256,
}

/// Why a PIN could not be hashed or compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PinHashError {
    /// It does not begin with an identifier this version knows.
    #[error("not a PHC string that begins with $argon2id$ or $hmac-sha256$")]
    UnknownAlgorithm,
    /// A field is missing, superfluous or unreadable.
    #[error("the PHC string is malformed: {0}")]
    Malformed(&'static str),
    /// The parameters lie outside of what a log-in may cost.
    #[error("the cost is out of bounds: at most m={MEMORY_KIB_MAX}, t={PASSES_MAX}, p={LANES_MAX}")]
    Cost,
    /// A keyed hash, and no pepper or another key than number 1.
    #[error("the hash is keyed and its pepper is not configured")]
    PepperMissing,
    /// Argon2 found no memory.
    #[error("Argon2 failed")]
    Argon2(#[source] argon2::Error),
    /// The operating system gave no random octets for the salt.
    #[error("the operating system gives no random octets")]
    Random(#[source] getrandom::Error),
}

/// Hashes `pin` with Argon2id under a fresh salt.
pub fn hash_argon2id(pin: &[u8]) -> Result<String, PinHashError> {
    let salt = fresh_salt()?;
    let params = Params::new(MEMORY_KIB, PASSES, 1, Some(DIGEST_OCTETS)).map_err(PinHashError::Argon2)?;
    let digest = argon2id(params, &salt, pin)?;
    let (salt, digest) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(digest));
    Ok(format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p=1${salt}${digest}"))
}

/// Hashes `pin` with HMAC-SHA-256 under `pepper` and a fresh salt.
pub fn hash_hmac(pin: &[u8], pepper: &Key) -> Result<String, PinHashError> {
    let salt = fresh_salt()?;
    let digest = hmac_sha256(pepper.octets(), &salt, pin);
    let (salt, digest) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(digest));
    Ok(format!("$hmac-sha256$k=1${salt}${digest}"))
}

/// True if `pin` is the one `hash` was made of. The digests are compared in constant time; how long the rest
/// takes depends on the parameters in `hash` alone.
pub fn verify(hash: &str, pin: &[u8], pepper: Option<&Key>) -> Result<bool, PinHashError> {
    let stored = Phc::parse(hash)?;
    let digest = match stored.scheme {
        Scheme::Argon2id(params) => argon2id(params, &stored.salt, pin)?,
        Scheme::HmacSha256 => {
            let pepper = pepper.ok_or(PinHashError::PepperMissing)?;
            hmac_sha256(pepper.octets(), &stored.salt, pin)
        }
    };
    Ok(digest.ct_eq(&stored.digest).into())
}

/// Checks that [`verify`] will be able to use `hash`, and says what it needs.
pub fn algorithm(hash: &str) -> Result<Algorithm, PinHashError> {
    Ok(match Phc::parse(hash)?.scheme {
        Scheme::Argon2id(params) => {
            Algorithm::Argon2id { memory: params.m_cost(), passes: params.t_cost(), lanes: params.p_cost() }
        }
        Scheme::HmacSha256 => Algorithm::HmacSha256,
    })
}

/// A PHC string taken apart.
struct Phc {
    scheme: Scheme,
    salt: Vec<u8>,
    digest: [u8; DIGEST_OCTETS],
}

enum Scheme {
    Argon2id(Params),
    HmacSha256,
}

impl Phc {
    fn parse(hash: &str) -> Result<Self, PinHashError> {
        use PinHashError::Malformed;

        if hash.len() > PHC_OCTETS_MAX {
            return Err(Malformed("too long"));
        }
        let mut fields = hash.split('$');
        if fields.next() != Some("") {
            return Err(PinHashError::UnknownAlgorithm);
        }
        let scheme = match fields.next() {
            Some("argon2id") => {
                if fields.next() != Some("v=19") {
                    return Err(Malformed("v=19 must follow $argon2id$"));
                }
                Scheme::Argon2id(argon2_params(fields.next().ok_or(Malformed("no parameters"))?)?)
            }
            Some("hmac-sha256") => match fields.next() {
                Some("k=1") => Scheme::HmacSha256,
                _ => return Err(Malformed("k=1 must follow $hmac-sha256$")),
            },
            _ => return Err(PinHashError::UnknownAlgorithm),
        };
        let salt = fields.next().ok_or(Malformed("no salt"))?;
        let salt =
            STANDARD_NO_PAD.decode(salt).map_err(|_| Malformed("the salt is not base64 without padding"))?;
        if !(argon2::MIN_SALT_LEN..=SALT_OCTETS_MAX).contains(&salt.len()) {
            return Err(Malformed("the salt has not 8 to 64 octets"));
        }
        let digest = fields.next().ok_or(Malformed("no digest"))?;
        let digest = STANDARD_NO_PAD
            .decode(digest)
            .map_err(|_| Malformed("the digest is not base64 without padding"))?;
        let digest = digest.try_into().map_err(|_| Malformed("the digest has not 32 octets"))?;
        if fields.next().is_some() {
            return Err(Malformed("something follows the digest"));
        }
        Ok(Self { scheme, salt, digest })
    }
}

/// Reads `m=…,t=…,p=…`, in the order the PHC form of Argon2 prescribes.
fn argon2_params(field: &str) -> Result<Params, PinHashError> {
    let mut numbers = [0_u32; 3];
    let mut given = field.split(',');
    for (number, name) in numbers.iter_mut().zip(["m=", "t=", "p="]) {
        *number = given
            .next()
            .and_then(|parameter| parameter.strip_prefix(name)?.parse().ok())
            .ok_or(PinHashError::Malformed("the parameters of Argon2id are m=…,t=…,p=…"))?;
    }
    if given.next().is_some() {
        return Err(PinHashError::Malformed("the parameters of Argon2id are m=…,t=…,p=… and no more"));
    }
    let [memory, passes, lanes] = numbers;
    if memory > MEMORY_KIB_MAX || passes > PASSES_MAX || lanes > LANES_MAX {
        return Err(PinHashError::Cost);
    }
    Params::new(memory, passes, lanes, Some(DIGEST_OCTETS)).map_err(|_| PinHashError::Cost)
}

fn argon2id(params: Params, salt: &[u8], pin: &[u8]) -> Result<[u8; DIGEST_OCTETS], PinHashError> {
    let mut digest = [0; DIGEST_OCTETS];
    Argon2::new(Variant::Argon2id, Version::V0x13, params)
        .hash_password_into(pin, salt, &mut digest)
        .map_err(PinHashError::Argon2)?;
    Ok(digest)
}

fn hmac_sha256(pepper: &[u8], salt: &[u8], pin: &[u8]) -> [u8; DIGEST_OCTETS] {
    let mut mac = Hmac::<Sha256>::new_from_slice(pepper).expect("HMAC takes a key of any length");
    mac.update(salt);
    mac.update(pin);
    mac.finalize().into_bytes().into()
}

fn fresh_salt() -> Result<[u8; SALT_OCTETS], PinHashError> {
    let mut salt = [0; SALT_OCTETS];
    getrandom::fill(&mut salt).map_err(PinHashError::Random)?;
    Ok(salt)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pepper() -> Key {
        Key::new(b"0123456789abcdef0123456789abcdef").unwrap()
    }

    #[test]
    fn argon2id_hash_is_of_its_pin_alone() {
        let hash = hash_argon2id(b"7738").unwrap();

        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(verify(&hash, b"7738", None).unwrap());
        assert!(!verify(&hash, b"7739", None).unwrap());
        let cost = Algorithm::Argon2id { memory: MEMORY_KIB, passes: PASSES, lanes: 1 };
        assert_eq!(algorithm(&hash).unwrap(), cost);
    }

    #[test]
    fn argon2id_agrees_with_the_reference_implementation() {
        // What `echo -n 7738 | argon2 somesalt -id -t 2 -k 64 -p 1 -l 32 -e` prints.
        let hash = "$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQ$YfEHzMkdKdzgQr2M+KZdvnh2m3w9vSw2zROjiY70IxI";

        assert!(verify(hash, b"7738", None).unwrap());
    }

    #[test]
    fn keyed_hash_is_hmac_of_salt_and_pin() {
        // Made with Python: hmac.digest(pepper, b"somesalt7738", "sha256").
        let hash = "$hmac-sha256$k=1$c29tZXNhbHQ$ieqrv1SWRBrA6hSo/8m0oj3ik6w48QlmIvp713Vh0Cs";

        assert!(verify(hash, b"7738", Some(&pepper())).unwrap());
    }

    #[test]
    fn keyed_hash_needs_its_pepper() {
        let hash = hash_hmac(b"2468", &pepper()).unwrap();

        assert!(hash.starts_with("$hmac-sha256$k=1$"), "{hash}");
        assert!(verify(&hash, b"2468", Some(&pepper())).unwrap());
        assert!(!verify(&hash, b"2467", Some(&pepper())).unwrap());
        assert!(
            !verify(&hash, b"2468", Some(&Key::new(b"another pepper of as many octets").unwrap())).unwrap()
        );
        assert!(matches!(verify(&hash, b"2468", None), Err(PinHashError::PepperMissing)));
        assert!(Key::new(&pepper().octets()[1..]).is_none(), "shorter keys than the digest weaken HMAC");
    }

    #[test]
    fn two_hashes_of_one_pin_differ() {
        assert_ne!(hash_hmac(b"1357", &pepper()).unwrap(), hash_hmac(b"1357", &pepper()).unwrap());
    }

    #[test]
    fn malformed_strings_are_refused() {
        let digest = "A".repeat(43);
        for hash in [
            "",
            "7738",
            "$2b$12$abc",
            "$argon2i$v=19$m=64,t=2,p=1$c29tZXNhbHQ$x",
            "$argon2id$m=64,t=2,p=1$c29tZXNhbHQ$x",
            "$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQ",
            "$hmac-sha256$k=2$c29tZXNhbHQ$x",
            &format!("$hmac-sha256$k=1$c2FsdA${digest}"),
            &format!("$hmac-sha256$k=1$c29tZXNhbHQ${digest}$"),
            &format!("$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ${digest}"),
            &format!("$argon2id$v=19$m=64,t=2,p=9$c29tZXNhbHQ${digest}"),
            &format!("$argon2id$v=19$t=2,m=64,p=1$c29tZXNhbHQ${digest}"),
        ] {
            assert!(algorithm(hash).is_err(), "{hash}");
            assert!(verify(hash, b"7738", Some(&pepper())).is_err(), "{hash}");
        }
    }
}
