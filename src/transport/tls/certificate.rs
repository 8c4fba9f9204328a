//! The edge's own certificates, out of PEM files (RFC 7468).

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_cert::der::{self, Decode as _};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// A certificate with those that vouch for it, the edge's own first; without its key.
#[derive(Clone, PartialEq, Eq)]
pub struct Chain {
    certificates: Vec<CertificateDer<'static>>,
    names: Box<[Box<str>]>,
    valid: Range<u64>,
}

/// A certificate and its key. Two are equal if their chains are.
#[derive(Clone)]
pub struct Certificate {
    chain: Chain,
    key: Arc<CertifiedKey>,
}

/// Why a file is no chain of certificates.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// It is not PEM.
    #[error("it is not PEM: {0}")]
    Pem(pem::Error),
    /// There is none in it.
    #[error("there is no certificate in it")]
    Empty,
    /// The first one cannot be read.
    #[error("its first certificate cannot be read: {0}")]
    Unreadable(der::Error),
}

/// Why a file is not the key of a chain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// It is not PEM.
    #[error("it is not PEM: {0}")]
    Pem(pem::Error),
    /// There is none in it; one that is encrypted is none.
    #[error("there is no private key in it that could be read without a password")]
    Empty,
    /// It is of another certificate.
    #[error("it is the key of another certificate")]
    OfAnother,
    /// It is of a kind that TLS has no use for.
    #[error("{0}")]
    Unusable(rustls::Error),
}

impl Chain {
    /// Reads a PEM file.
    ///
    /// # Errors
    /// See [`ChainError`].
    pub fn read(pem: &[u8]) -> Result<Self, ChainError> {
        let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
        let certificates = certificates.map_err(ChainError::Pem)?;
        let own = certificates.first().ok_or(ChainError::Empty)?;
        let own = x509_cert::Certificate::from_der(own).map_err(ChainError::Unreadable)?;
        let own = own.tbs_certificate();
        let alternatives = own.get_extension::<SubjectAltName>().map_err(ChainError::Unreadable)?;
        let names = alternatives.iter().flat_map(|(_, names)| &names.0).filter_map(|name| match name {
            GeneralName::DnsName(name) => Some(name.as_str().to_ascii_lowercase().into()),
            _ => None,
        });
        let names = names.collect();
        let validity = own.validity();
        let [from, until] = [validity.not_before, validity.not_after];
        let valid = from.to_unix_duration().as_secs()..until.to_unix_duration().as_secs();
        Ok(Self { certificates, names, valid })
    }

    /// When it is valid: seconds since 1970-01-01 UTC.
    pub fn valid(&self) -> Range<u64> {
        self.valid.clone()
    }

    /// The host names it is for, in small letters; one may begin with `*.`.
    pub fn names(&self) -> &[Box<str>] {
        &self.names
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain").field("names", &self.names).finish_non_exhaustive()
    }
}

impl Certificate {
    /// `chain` with its key, out of a PEM file: PKCS #8, SEC 1 or PKCS #1.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn new(chain: Chain, pem: &[u8]) -> Result<Self, KeyError> {
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
            pem::Error::NoItemsFound => KeyError::Empty,
            error => KeyError::Pem(error),
        })?;
        let certified = CertifiedKey::from_der(chain.certificates.clone(), key, &ring::default_provider());
        let key = certified.map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => KeyError::OfAnother,
            error => KeyError::Unusable(error),
        })?;
        Ok(Self { chain, key: Arc::new(key) })
    }

    /// See [`Chain::names`].
    pub fn names(&self) -> &[Box<str>] {
        self.chain.names()
    }

    pub(super) fn key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.key)
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.chain == other.chain
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.chain.fmt(f)
    }
}
