//! Who vouches for certificates of others, out of a PEM file (RFC 7468).

use std::fmt;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject as _};

/// At least one authority. Two are equal if their certificates are.
#[derive(Clone)]
pub struct Authorities {
    certificates: Vec<CertificateDer<'static>>,
    roots: Arc<RootCertStore>,
}

/// Why a file names no authorities.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthoritiesError {
    /// It is not PEM.
    #[error("it is not PEM: {0}")]
    Pem(pem::Error),
    /// There is none in it.
    #[error("there is no certificate in it")]
    Empty,
    /// A certificate of an authority is none.
    #[error("certificate {number} is no authority's: {source}")]
    Unusable {
        /// Which of them, from 1.
        number: usize,
        /// Why.
        source: rustls::Error,
    },
}

impl Authorities {
    /// Reads a PEM file.
    ///
    /// # Errors
    /// See [`AuthoritiesError`].
    pub fn read(pem: &[u8]) -> Result<Self, AuthoritiesError> {
        let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
        let certificates = certificates.map_err(AuthoritiesError::Pem)?;
        let mut roots = RootCertStore::empty();
        for (number, certificate) in (1..).zip(&certificates) {
            let added = roots.add(certificate.clone());
            added.map_err(|source| AuthoritiesError::Unusable { number, source })?;
        }
        if roots.is_empty() {
            return Err(AuthoritiesError::Empty);
        }
        Ok(Self { certificates, roots: Arc::new(roots) })
    }

    /// They, for whoever checks a certificate; never empty.
    pub fn roots(&self) -> Arc<RootCertStore> {
        Arc::clone(&self.roots)
    }
}

impl PartialEq for Authorities {
    fn eq(&self, other: &Self) -> bool {
        self.certificates == other.certificates
    }
}

impl Eq for Authorities {}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authorities({})", self.certificates.len())
    }
}
