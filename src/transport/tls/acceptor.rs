//! How TLS is spoken on a listener: which certificate is shown to whom, and which certificates of phones count.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;

use super::authorities::Authorities;
use super::certificate::Certificate;
use super::subject::{self, MacPattern};

/// What a peer may ask for as application protocol (RFC 7301): SIP under its registered name, and under the one some
/// have in its stead. Whoever asks for nothing is served; whoever asks for another protocol is not, so no browser can be
/// made to speak to the edge.
const PROTOCOLS: [&[u8]; 2] = [b"sip/2", b"sip"];

/// How TLS is spoken on a listener. A clone is the same one; two are equal if they were made of the same.
#[derive(Clone)]
pub struct Acceptor(Arc<Inner>);

struct Inner {
    config: Arc<ServerConfig>,
    makings: Makings,
}

#[derive(PartialEq, Eq)]
struct Makings {
    own: Certificate,
    named: Vec<Certificate>,
    clients: Option<Clients>,
}

/// Which certificates of phones count.
#[derive(Clone)]
pub struct Clients {
    authorities: Authorities,
    required: bool,
    patterns: Vec<MacPattern>,
    verifier: Arc<dyn ClientCertVerifier>,
}

impl Clients {
    /// Certificates of phones count that one of `authorities` vouches for; whoever has none is served unless one is
    /// `required`. `patterns` say where the MAC stands in it; the first that fits decides.
    pub fn new(authorities: Authorities, required: bool, patterns: Vec<MacPattern>) -> Self {
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(authorities.roots(), provider);
        let verifier = if required { verifier } else { verifier.allow_unauthenticated() };
        let verifier = verifier.build().expect("there is an authority, and no revocation list");
        Self { authorities, required, patterns, verifier }
    }
}

impl PartialEq for Clients {
    fn eq(&self, other: &Self) -> bool {
        (&self.authorities, self.required, &self.patterns)
            == (&other.authorities, other.required, &other.patterns)
    }
}

impl Eq for Clients {}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients")
            .field("authorities", &self.authorities)
            .field("required", &self.required)
            .field("patterns", &self.patterns)
            .finish_non_exhaustive()
    }
}

impl Acceptor {
    /// Shows `own` to whoever asks for no name, or for one that nobody has.
    pub fn new(own: Certificate, clients: Option<Clients>) -> Self {
        Self::make(Makings { own, named: Vec::new(), clients })
    }

    /// The same, and each of `named` is shown to whoever asks for one of its names (RFC 6066 §3).
    pub fn with_named(&self, named: Vec<Certificate>) -> Self {
        let Makings { own, clients, .. } = &self.0.makings;
        Self::make(Makings { own: own.clone(), named, clients: clients.clone() })
    }

    fn make(makings: Makings) -> Self {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder =
            builder.with_safe_default_protocol_versions().expect("ring has suites for each version");
        let builder = match &makings.clients {
            None => builder.with_no_client_auth(),
            Some(clients) => builder.with_client_cert_verifier(Arc::clone(&clients.verifier)),
        };
        let mut config = builder.with_cert_resolver(Arc::new(Shown::of(&makings)));
        // A session is resumed by a ticket that only the edge can open, under keys that change every six hours: a
        // hundred thousand phones that come back cost no table.
        config.ticketer = ring::Ticketer::new().expect("the operating system has random octets");
        config.session_storage = Arc::new(NoServerSessionStorage {});
        // A phone has one connection, and gets another ticket whenever it comes back with one.
        config.send_tls13_tickets = 1;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Self(Arc::new(Inner { config: Arc::new(config), makings }))
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.config)
    }

    /// The MAC that a phone's certificate names.
    pub(super) fn mac_of(&self, certificate: &CertificateDer<'_>) -> Option<[u8; 6]> {
        subject::mac_of(certificate, &self.0.makings.clients.as_ref()?.patterns)
    }
}

impl PartialEq for Acceptor {
    fn eq(&self, other: &Self) -> bool {
        self.0.makings == other.0.makings
    }
}

impl Eq for Acceptor {}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Makings { own, named, clients } = &self.0.makings;
        let mut shown = f.debug_struct("Acceptor");
        shown.field("own", own).field("named", named).field("clients", clients).finish_non_exhaustive()
    }
}

/// Which certificate is shown for which name.
#[derive(Debug)]
struct Shown {
    by_name: HashMap<Box<str>, Arc<CertifiedKey>>,
    own: Arc<CertifiedKey>,
}

impl Shown {
    fn of(makings: &Makings) -> Self {
        let by_name = makings
            .named
            .iter()
            .flat_map(|named| named.names().iter().map(|name| (name.clone(), named.key())))
            .collect();
        Self { by_name, own: makings.own.key() }
    }

    /// The certificate for `name`: of that very name, else of all names one label above it (RFC 6125 §6.4.3).
    fn for_name(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let name = name.to_ascii_lowercase();
        let any = || self.by_name.get(format!("*.{}", name.split_once('.')?.1).as_str());
        self.by_name.get(name.as_str()).or_else(any)
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.for_name(name));
        Some(Arc::clone(named.unwrap_or(&self.own)))
    }
}
