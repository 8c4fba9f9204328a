//! How the edge speaks TLS to a server that it tells (RFC 8446, RFC 5246): whom it believes, and that the server is who
//! it was taken for.

use std::io;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::transport::tls::Authorities;

/// Why a server is not spoken to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum ConnectError {
    /// There is nobody whom the system believes.
    #[error("the system knows no authority: {0}")]
    Nobody(String),
    /// The handshake came to nothing; the certificate, if it was for that, says why.
    #[error(transparent)]
    Handshake(#[from] io::Error),
}

/// TLS over `stream`, with a server whose certificate is for `host` and which one of `authorities` vouches for;
/// `None`: one of those that the system believes at this moment.
pub(super) async fn connect(
    stream: TcpStream,
    host: &str,
    authorities: Option<&Authorities>,
) -> Result<TlsStream<TcpStream>, ConnectError> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let roots = match authorities {
        Some(authorities) => authorities.roots(),
        // It reads files.
        None => spawn_blocking(system_roots).await.map_err(io::Error::other)??,
    };
    Ok(TlsConnector::from(Arc::new(config(roots))).connect(name, stream).await?)
}

/// The one way in which the edge is a client of TLS. A connection is kept for as long as it is good, so none is resumed.
fn config(roots: Arc<RootCertStore>) -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().expect("ring has suites for each version");
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    // Else a server may take HTTP/2 for granted (RFC 7301).
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

/// Whom the system believes. What of it cannot be read is left out, as long as there is something.
fn system_roots() -> Result<Arc<RootCertStore>, ConnectError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let faults: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
        return Err(ConnectError::Nobody(faults.join(", ")));
    }
    Ok(Arc::new(roots))
}
