//! Keys of PINs, each in a file of its own: the pepper of keyed hashes, and the key of sealed PINs.

use std::fmt::{self, Write as _};
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Random octets of a new key: as many as HMAC-SHA-256 can make use of (RFC 2104 §3). They are written as
/// hexadecimal digits, so that the file is text as every other secret.
const RANDOM_OCTETS: usize = 32;

/// A key: the first line of its file. Wiped when dropped and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Zeroizing<Vec<u8>>);

impl Key {
    /// Shortest key: shorter ones than the digest weaken HMAC (RFC 2104 §3).
    pub const OCTETS_MIN: usize = 32;

    /// `None`: `octets` are too few.
    pub fn new(octets: &[u8]) -> Option<Self> {
        (octets.len() >= Self::OCTETS_MIN).then(|| Self(Zeroizing::new(octets.to_vec())))
    }

    /// The key.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// The keys of an edge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// Of hashes of the form `$hmac-sha256$`.
    pub pepper: Option<Key>,
    /// Of PINs of the form `$aes256-gcm-siv$`.
    pub seal: Option<Key>,
}

/// Why there is no new key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MakeKeyError {
    /// A key that is overwritten leaves every PIN under it without one.
    #[error("{} exists, and may be the key of PINs in use", path.display())]
    Exists {
        /// As it was given.
        path: PathBuf,
    },
    /// The file cannot be made or written.
    #[error("{} cannot be written", path.display())]
    Write {
        /// As it was given.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The operating system gave no random octets.
    #[error("the operating system gives no random octets")]
    Random(#[source] getrandom::Error),
}

/// Writes a fresh key to a new file at `path` that its owner alone may read, and returns when it is on the disk.
pub fn make(path: &Path) -> Result<(), MakeKeyError> {
    let mut octets = Zeroizing::new([0; RANDOM_OCTETS]);
    getrandom::fill(&mut *octets).map_err(MakeKeyError::Random)?;
    let mut line = Zeroizing::new(String::with_capacity(2 * RANDOM_OCTETS + 1));
    for octet in octets.iter() {
        write!(line, "{octet:02x}").expect("a String takes whatever is written");
    }
    line.push('\n');

    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = made.and_then(|mut file| {
        file.write_all(line.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => MakeKeyError::Exists { path: path.into() },
        _ => MakeKeyError::Write { path: path.into(), source },
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn key_is_for_its_owner_alone_and_never_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a", "b"].map(|name| folder.path().join(name));

        paths.iter().for_each(|path| make(path).unwrap());

        let made = paths.each_ref().map(|path| fs::read_to_string(path).unwrap());
        assert_ne!(made[0], made[1]);
        assert!(made[0].trim_end().len() >= Key::OCTETS_MIN && made[0].ends_with('\n'), "{}", made[0]);
        assert_eq!(fs::metadata(&paths[0]).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn key_in_use_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pepper");
        make(&path).unwrap();
        let before = fs::read(&path).unwrap();

        let again = make(&path);

        assert!(matches!(again, Err(MakeKeyError::Exists { .. })), "{again:?}");
        assert_eq!(fs::read(&path).unwrap(), before);
    }
}
