//! One server that is told of records over HTTP.
//!
//! ```text
//!  record ─► wanted? ─► POST ─┬─ 2xx ──────────────► next record
//!                             ├─ 400, 413, 422 ────► never taken: counted, next record
//!                             └─ anything else ────► wait, twice as long each time ─► the same again
//! ```
//!
//! One record at a time and in order; a record that was taken may come again after a crash, with the same sequence
//! number.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use dataplane::audit::Event;
use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use sha2::Sha256;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use super::follower::Follower;
use super::record::Record;
use super::{Progress, hook_key, tls};
use crate::backend::store::{End, SaveError, StoreHandle, Trail};
use crate::config::{Hook, HookSecret};

/// For a connection to come up, with its TLS.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

/// From a request to the status of its answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// For the rest of an answer once its status is known.
const BODY_TIME_MAX: Duration = Duration::from_secs(1);

/// Octets of an answer that are read, and thrown away, so that the connection can be used again.
const ANSWER_OCTETS_MAX: usize = 64 << 10;

/// Before the second try, and between two tries to learn a place.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Between two tries at most: a server that is back is told soon enough.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(300);

/// What became of one try.
#[derive(Debug)]
enum Outcome {
    Taken,
    /// The server understood it and will never take it.
    Refused(StatusCode),
    Failed(String),
}

/// Where the follower kept under `key` starts: where he stood, or with what happens from now on. While the store
/// cannot say where he stood it waits: a guess would overwrite his place. What waits for him is counted from the start of
/// the edge meanwhile.
pub(super) async fn start(trail: &Arc<Trail>, key: &str, progress: &Progress) -> u64 {
    let end = *progress.configured.get_or_init(|| trail.end());
    let known = progress.next.load(Ordering::Relaxed);
    if known != 0 {
        return known;
    }
    progress.ordinal.store(end.ordinal, Ordering::Relaxed);
    let place = loop {
        let (trail, key): (_, Box<str>) = (Arc::clone(trail), key.into());
        match spawn_blocking(move || place(&trail, &key, end)).await {
            Ok(Ok(place)) => break place,
            Ok(Err(error)) => debug!(reason = %error, "the place of a follower cannot be read"),
            // The runtime ends.
            Err(_) => {}
        }
        sleep(RETRY_DELAY).await;
    };
    progress.ordinal.store(place.ordinal, Ordering::Relaxed);
    progress.next.store(place.next, Ordering::Relaxed);
    place.next
}

/// Where the follower kept under `key` stood; `end` if he is new.
fn place(trail: &Trail, key: &str, end: End) -> Result<End, SaveError> {
    let Some(next) = trail.place(key)? else { return Ok(end) };
    // A row that begins behind the place shows that what was between is not kept: he does not wait for it.
    let ordinal = trail.from(next)?.first().map(|row| row.ordinal() + next.saturating_sub(row.first()));
    Ok(End { next, ordinal: ordinal.unwrap_or(end.ordinal) })
}

/// Delivers what `hook` wants to know, until it is dropped.
pub(super) async fn deliver(hook: Hook, trail: Arc<Trail>, store: StoreHandle, progress: Arc<Progress>) {
    let key = hook_key(&hook.name);
    let next = start(&trail, &key, &progress).await;
    store.keep_place(&key, next);
    let mut follower = Follower::new(trail, next);
    let mut line = Line { hook, connection: None };
    while let Some(read) = follower.read().await {
        progress.missed.fetch_add(read.missed, Ordering::Relaxed);
        if read.missed > 0 {
            warn!(hook = %line.hook.name, missed = read.missed, "records were gone before the hook took them");
        }
        for row in &read.rows {
            for ((sequence, event), ordinal) in row.events().zip(row.ordinal()..) {
                if sequence < read.from {
                    continue;
                }
                if line.hook.events.is_empty() || line.hook.events.contains(&event.kind) {
                    tell(&mut line, sequence, &event, &progress).await;
                    store.keep_place(&key, sequence + 1);
                }
                progress.next.store(sequence + 1, Ordering::Relaxed);
                progress.ordinal.store(ordinal + 1, Ordering::Relaxed);
            }
        }
    }
}

/// Tells one record until it is taken or will never be.
async fn tell(line: &mut Line, sequence: u64, event: &Event<'_>, progress: &Progress) {
    let count = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
    let body = Record::new(sequence, event).json();
    let mut delay = RETRY_DELAY;
    loop {
        match line.post(sequence, event, body.clone()).await {
            Outcome::Taken => {
                count(&progress.delivered);
                if delay > RETRY_DELAY {
                    info!(hook = %line.hook.name, "the hook takes records again");
                }
                return;
            }
            Outcome::Refused(status) => {
                count(&progress.refused);
                warn!(hook = %line.hook.name, sequence, status = status.as_u16(), "the hook refuses a record for good");
                return;
            }
            Outcome::Failed(reason) => {
                count(&progress.failed);
                if delay == RETRY_DELAY {
                    warn!(hook = %line.hook.name, sequence, %reason, "the hook does not take a record: tried again");
                }
                sleep(delay).await;
                delay = (delay * 2).min(RETRY_DELAY_MAX);
            }
        }
    }
}

/// The way to the server.
struct Line {
    hook: Hook,
    connection: Option<SendRequest<Body>>,
}

impl Line {
    /// One try.
    async fn post(&mut self, sequence: u64, event: &Event<'_>, body: Vec<u8>) -> Outcome {
        let request = match self.request(sequence, event, body) {
            Ok(request) => request,
            Err(error) => return Outcome::Failed(error.to_string()),
        };
        match timeout(CONNECT_TIME_MAX + ANSWER_TIME_MAX + BODY_TIME_MAX, self.exchange(request)).await {
            Ok(Ok(status)) if status.is_success() => Outcome::Taken,
            Ok(Ok(
                status @ (StatusCode::BAD_REQUEST
                | StatusCode::PAYLOAD_TOO_LARGE
                | StatusCode::UNPROCESSABLE_ENTITY),
            )) => Outcome::Refused(status),
            // A redirection is not followed: who is told is what the operator wrote.
            Ok(Ok(status)) => Outcome::Failed(format!("status {}", status.as_u16())),
            Ok(Err(reason)) => {
                self.connection = None;
                Outcome::Failed(reason)
            }
            Err(_) => {
                self.connection = None;
                Outcome::Failed("no answer in time".into())
            }
        }
    }

    fn request(
        &self,
        sequence: u64,
        event: &Event<'_>,
        body: Vec<u8>,
    ) -> Result<Request<Body>, hyper::http::Error> {
        let url = &self.hook.url;
        let target = url.path_and_query().map_or("/", |target| target.as_str());
        let authority = url.authority().map_or("", |authority| authority.as_str());
        let timestamp = wall_seconds();
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(target)
            .header(HOST, authority)
            .header(USER_AGENT, concat!("hotdesk/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, "application/json")
            .header("Hotdesk-Sequence", sequence)
            .header("Hotdesk-Kind", event.kind.code())
            .header("Hotdesk-Timestamp", timestamp);
        if let Some(secret) = &self.hook.secret {
            request = request.header("Hotdesk-Signature", signature(secret, timestamp, &body));
        }
        request.body(Body::from(body))
    }

    /// Sends it over the connection of before, or over a new one.
    async fn exchange(&mut self, request: Request<Body>) -> Result<StatusCode, String> {
        let mut sender = match self.connection.take() {
            // A server may have closed it meanwhile.
            Some(sender) if !sender.is_closed() => sender,
            _ => self.connect().await?,
        };
        sender.ready().await.map_err(|error| error.to_string())?;
        let response = timeout(ANSWER_TIME_MAX, sender.send_request(request));
        let response = response.await.map_err(|_| "no answer in time")?.map_err(|error| error.to_string())?;
        let status = response.status();
        // The status is the answer. What follows it only decides whether the connection can be used again.
        let rest = to_bytes(Body::new(response.into_body()), ANSWER_OCTETS_MAX);
        if let Ok(Ok(_)) = timeout(BODY_TIME_MAX, rest).await {
            self.connection = Some(sender);
        }
        Ok(status)
    }

    async fn connect(&self) -> Result<SendRequest<Body>, String> {
        timeout(CONNECT_TIME_MAX, self.connected()).await.map_err(|_| "no connection in time")?
    }

    async fn connected(&self) -> Result<SendRequest<Body>, String> {
        let url = &self.hook.url;
        let is_secure = url.scheme_str() == Some("https");
        let host = self.hook.host();
        let port = url.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        let stream = TcpStream::connect((host, port)).await.map_err(|error| error.to_string())?;
        if is_secure {
            let stream = tls::connect(stream, host, self.hook.ca.as_ref()).await;
            speak(stream.map_err(|error| format!("TLS: {error}"))?).await
        } else {
            speak(stream).await
        }
    }
}

/// HTTP over a connection that is up.
async fn speak(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<SendRequest<Body>, String> {
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    // It ends with its sender; what went wrong with it the request says.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

/// `v1=` and the HMAC-SHA-256 of `timestamp.body` in hexadecimal digits.
fn signature(secret: &HookSecret, timestamp: u64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.octets()).expect("HMAC takes keys of any length");
    mac.update(timestamp.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    let mut text = String::from("v1=");
    for octet in mac.finalize().into_bytes() {
        text.push_str(&format!("{octet:02x}"));
    }
    text
}

/// When a request is signed: not when it happened, so that a server may refuse what is old.
fn wall_seconds() -> u64 {
    crate::wall_clock::since_1970().as_secs()
}

#[cfg(test)]
mod tests {
    use bench::certificates::{Authority, Issued, host_showing};
    use dataplane::audit::Kind;
    use hyper::Uri;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::time::Instant;
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::backend::store::{Note, StoreKind};
    use crate::transport::tls::Authorities;

    /// Longer than anything here takes; only a test that fails waits for it.
    const DEADLINE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_follower_far_behind_waits_for_all_that_he_has_not_seen() {
        let folder = tempfile::tempdir().unwrap();
        let kind = StoreKind::Embedded { path: folder.path().join("hotdesk.db") };
        let trail = Trail::of_nobody();
        let (store, ..) = StoreHandle::open(&kind, Arc::clone(&trail), |read| read).unwrap();
        let from = trail.end().next;
        for _ in 0..5 {
            store.note(Note::Event(Box::new(Event::new(Kind::Refusal, "credentials", "demo", 7))));
        }
        let mut news = trail.news();
        timeout(DEADLINE, news.wait_for(|next| *next >= from + 5)).await.unwrap().unwrap();
        store.keep_place("hook pager", from + 2);
        store.flush_and_close();
        let trail = Trail::of_nobody();
        let (_store, ..) = StoreHandle::open(&kind, Arc::clone(&trail), |read| read).unwrap();
        let (kept, new) = (Progress::default(), Progress::default());

        assert_eq!(start(&trail, "hook pager", &kept).await, from + 2);
        assert_eq!(start(&trail, "hook other", &new).await, trail.end().next);

        let waiting = |progress: &Progress| trail.end().ordinal - progress.ordinal.load(Ordering::Relaxed);
        assert_eq!((waiting(&kept), waiting(&new)), (3, 0));
    }

    #[tokio::test]
    async fn an_answer_that_never_ends_counts_by_its_status() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut octets = [0; 2048];
            let _ = stream.read(&mut octets).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n").await.unwrap();
            // Until the connection is given up.
            while stream.read(&mut octets).await.is_ok_and(|count| count > 0) {}
        });
        let mut line = line(url, None);

        let outcome = post(&mut line).await;

        assert!(matches!(outcome, Outcome::Taken), "{outcome:?}");
        assert!(line.connection.is_none());
        timeout(DEADLINE, server).await.expect("the connection is closed").unwrap();
    }

    #[tokio::test]
    async fn a_server_is_told_over_tls_if_its_certificate_is_believed_and_its_own() {
        let (ours, another) = (Authority::new("ours"), Authority::new("another"));

        let told = post_over_tls(&ours.host(&["127.0.0.1"]), Some(&ours)).await;
        let misnamed = post_over_tls(&ours.host(&["pager.example"]), Some(&ours)).await;
        let expired = post_over_tls(&ours.expired_host(&["127.0.0.1"]), Some(&ours)).await;
        let unknown = post_over_tls(&another.host(&["127.0.0.1"]), Some(&ours)).await;
        let of_nobody = post_over_tls(&ours.host(&["127.0.0.1"]), None).await;

        assert!(matches!(told, Outcome::Taken), "{told:?}");
        for (outcome, reason) in [
            (misnamed, "certificate not valid for name \"127.0.0.1\""),
            (expired, "certificate expired"),
            (unknown, "UnknownIssuer"),
            (of_nobody, "TLS: "),
        ] {
            let Outcome::Failed(said) = outcome else { panic!("{reason}: {outcome:?}") };
            assert!(said.starts_with("TLS: ") && said.contains(reason), "{said}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_handshake_that_never_ends_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let start = Instant::now();

        let outcome = post(&mut line(url, Some(&Authority::new("ours")))).await;

        assert!(
            matches!(&outcome, Outcome::Failed(reason) if reason == "no connection in time"),
            "{outcome:?}"
        );
        assert_eq!(start.elapsed().as_secs(), CONNECT_TIME_MAX.as_secs());
    }

    /// What becomes of a record for a server that shows `own`.
    async fn post_over_tls(own: &Issued, believed: Option<&Authority>) -> Outcome {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(host_showing(own)));
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            // Where the certificate is not believed there is nothing to read.
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let mut octets = [0; 2048];
            if stream.read(&mut octets).await.is_ok_and(|count| count > 0) {
                stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            }
        });
        let outcome = post(&mut line(url, believed)).await;
        timeout(DEADLINE, server).await.expect("the connection is closed").unwrap();
        outcome
    }

    fn line(url: Uri, believed: Option<&Authority>) -> Line {
        let ca = believed.map(|authority| Authorities::read(authority.pem().as_bytes()).unwrap());
        let hook = Hook { name: "pager".into(), url, ca, events: Vec::new(), secret: None };
        Line { hook, connection: None }
    }

    async fn post(line: &mut Line) -> Outcome {
        let event = Event::new(Kind::Refusal, "credentials", "demo", 7);
        line.post(1, &event, b"{}".to_vec()).await
    }

    #[test]
    fn a_signature_is_that_of_the_documentation() {
        let secret = HookSecret::new(b"a key of more than sixteen octets");

        let signed = signature(&secret, 1_769_847_300, br#"{"version":1}"#);

        // From: printf '1769847300.{"version":1}' | openssl dgst -sha256 -hmac 'a key of more than sixteen octets'
        assert_eq!(signed, "v1=bd9f8ced361f14616575c50991807888d278e38f4aa699f1f514f62cfac38252");
    }
}
