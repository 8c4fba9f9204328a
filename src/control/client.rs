//! The other end of the API: one request of the command line to a running edge.

use std::io;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use hyper::client::conn::http1::handshake;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use zeroize::Zeroizing;

/// From the first octet to the last: an edge answers within five seconds.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(10);

/// Octets of an answer to a command.
const ANSWER_OCTETS_MAX: usize = 64 << 10;

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// The URL leads nowhere.
    #[error("{0} is no http URL of a host, such as http://127.0.0.1:8060")]
    Url(Box<str>),
    /// Nobody is there.
    #[error("no edge at {url}")]
    NoEdge {
        /// As it was given.
        url: Box<str>,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The request or its answer was not whole.
    #[error("the edge at {url} does not answer as one does")]
    Http {
        /// As it was given.
        url: Box<str>,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It says no.
    #[error("{message} ({error})")]
    Refused {
        /// The stable code.
        error: Box<str>,
        /// The same for people.
        message: Box<str>,
    },
}

/// The API of the edge at `url`, for the holder of `token`.
#[derive(Debug)]
pub struct Client {
    url: Box<str>,
    host: Box<str>,
    port: u16,
    token: Zeroizing<String>,
}

impl Client {
    /// Takes an `http` URL; what stands behind its host and port is left out.
    ///
    /// # Errors
    /// [`AskError::Url`].
    pub fn new(url: &str, token: Zeroizing<String>) -> Result<Self, AskError> {
        let parsed = url.parse::<Uri>().ok().filter(|parsed| parsed.scheme_str() == Some("http"));
        let host = parsed.as_ref().and_then(Uri::host).filter(|host| !host.is_empty());
        let port = parsed.as_ref().and_then(Uri::port_u16).unwrap_or(80);
        let host = host.ok_or_else(|| AskError::Url(url.into()))?;
        Ok(Self { url: url.into(), host: host.into(), port, token })
    }

    /// Sends `body` to `path` and gives the answer of an edge that did what it says.
    ///
    /// # Errors
    /// See [`AskError`].
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, AskError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|source| self.no_edge(source))?;
        let (status, answer) = runtime.block_on(async {
            let exchange = self.exchange(path, body.to_string());
            timeout(REQUEST_TIME_MAX, exchange)
                .await
                .map_err(|_| self.no_edge(io::ErrorKind::TimedOut.into()))?
        })?;
        if status.is_success() {
            return serde_json::from_slice(&answer).map_err(|source| self.http(source));
        }
        #[derive(Deserialize)]
        struct Problem {
            error: Box<str>,
            message: Box<str>,
        }
        let Problem { error, message } =
            serde_json::from_slice(&answer).map_err(|_| self.http(format!("status {}", status.as_u16())))?;
        Err(AskError::Refused { error, message })
    }

    async fn exchange(&self, path: &str, body: String) -> Result<(StatusCode, Vec<u8>), AskError> {
        let host = self.host.trim_matches(['[', ']']);
        let stream = TcpStream::connect((host, self.port)).await.map_err(|source| self.no_edge(source))?;
        let (mut sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(|source| self.http(source))?;
        // It ends with its sender; what went wrong with it the request says.
        tokio::spawn(async move { drop(connection.await) });
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(HOST, format!("{}:{}", self.host, self.port))
            .header(AUTHORIZATION, format!("Bearer {}", *self.token))
            .header(CONTENT_TYPE, "application/json")
            .body(Body::from(body));
        let request = request.map_err(|source| self.http(source))?;
        let response = sender.send_request(request).await.map_err(|source| self.http(source))?;
        let status = response.status();
        let answer = to_bytes(Body::new(response.into_body()), ANSWER_OCTETS_MAX).await;
        Ok((status, answer.map_err(|source| self.http(source))?.into()))
    }

    fn no_edge(&self, source: io::Error) -> AskError {
        AskError::NoEdge { url: self.url.clone(), source }
    }

    fn http(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> AskError {
        AskError::Http { url: self.url.clone(), source: source.into() }
    }
}
