//! Certificates of one's own making: an authority, and whom it vouches for.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

const MADE_HERE: &str = "what is made here can be read here";

/// Somebody who vouches for others.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key, both as PEM.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate alone: phones know the authority.
    pub chain: String,
    /// Its key, PKCS #8.
    pub key: String,
}

impl Authority {
    /// An authority of that name.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("random octets are a key");
        let pem = params.self_signed(&key).expect(MADE_HERE).pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Its own certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for a host of these names, which may be addresses.
    pub fn host(&self, names: &[&str]) -> Issued {
        self.issue(host(names))
    }

    /// The same, and its time was over long ago.
    pub fn expired_host(&self, names: &[&str]) -> Issued {
        self.issue(expired(host(names)))
    }

    /// A certificate for a phone of that common name.
    pub fn phone(&self, common_name: &str) -> Issued {
        self.issue(phone(common_name))
    }

    /// The same, and its time was over long ago.
    pub fn expired_phone(&self, common_name: &str) -> Issued {
        self.issue(expired(phone(common_name)))
    }

    fn issue(&self, params: CertificateParams) -> Issued {
        let key = KeyPair::generate().expect("random octets are a key");
        let certificate = params.signed_by(&key, &self.issuer).expect(MADE_HERE);
        Issued { chain: certificate.pem(), key: key.serialize_pem() }
    }
}

/// What a phone goes by that believes one authority alone, given as PEM, and shows `own`, if anything.
pub fn phone_believing(authority: &str, own: Option<&Issued>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(der(authority)).expect(MADE_HERE);
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has suites for each version")
        .with_root_certificates(roots);
    match own {
        None => config.with_no_client_auth(),
        Some(own) => {
            let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).expect(MADE_HERE);
            config.with_client_auth_cert(vec![der(&own.chain)], key).expect(MADE_HERE)
        }
    }
}

/// What a server goes by that shows `own` to whoever asks.
pub fn host_showing(own: &Issued) -> ServerConfig {
    let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).expect(MADE_HERE);
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has suites for each version")
        .with_no_client_auth()
        .with_single_cert(vec![der(&own.chain)], key)
        .expect(MADE_HERE)
}

fn host(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.into()).collect();
    let mut params = CertificateParams::new(names).expect("names and addresses of hosts");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

fn phone(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn expired(mut params: CertificateParams) -> CertificateParams {
    params.not_before = date_time_ymd(2010, 1, 1);
    params.not_after = date_time_ymd(2020, 1, 1);
    params
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect(MADE_HERE)
}
