//! The control API: what an operator asks over HTTP. Who sits where, log-ins and log-outs by hand, health,
//! metrics. `docs/control-api.md` is its reference.
//!
//! Enters: HTTP/1.1 requests, few and from people and programs the operator trusts. Leaves: JSON, commands to
//! a worker. Everything is bounded all the same: connections, their life, headers, bodies, the wait for a
//! worker.

mod access;
pub mod client;
mod problem;
mod routes;
#[cfg(test)]
mod tests;
mod trail;
mod view;

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use dataplane::admission::bans::Ban;
use dataplane::hotdesk::{Lock, NextEnd, Place, Seat};
use dataplane::input::Command;
use dataplane::output::Done;
use dataplane::refusal::Refusal;
use dataplane::settings::Settings;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use crate::backend::store::Trail;
use crate::server::controls::{Controls, Phase};
use crate::telemetry::metrics::Figures;

/// Connections at a time: a console, some scripts, a scraper or two. More wait in the listener's backlog.
const CONNECTIONS_MAX: usize = 64;

/// A client that has not sent a whole header by then is slow on purpose; also how long an idle connection
/// stays.
const HEADER_TIME_MAX: Duration = Duration::from_secs(10);

/// Octets of a request's header, and of what is read ahead of its body.
const HEADER_OCTETS_MAX: usize = 32 * 1024;

/// A connection ends after this, so that nobody who reads slowly holds one for ever; clients connect again.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(600);

/// How long a request under way may take when its connection's time is over: longer than a worker may.
const FINISH_TIME_MAX: Duration = Duration::from_secs(6);

/// After an accept that failed, most likely for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the API asks of a running edge. [`Controls`] is the edge; tests put a scripted one in its place.
pub trait Edge: Clone + Send + Sync + 'static {
    /// Whose bearer token this is.
    fn bearer(&self, presented: &[u8]) -> Option<Box<str>>;
    /// Has a worker do it for the operator called `by` and waits for the outcome.
    fn command(&self, by: Box<str>, command: Command) -> impl Future<Output = Result<Done, Refusal>> + Send;
    /// The settings in force.
    fn settings(&self) -> Arc<Settings>;
    /// Everybody who sits, in no order.
    fn seats(&self) -> Vec<Arc<Seat>>;
    /// Whose PIN cannot be tried now.
    fn locks(&self) -> Vec<Lock>;
    /// Whose PIN was chosen at a phone, and when, in milliseconds since 1970-01-01 UTC; by tenant and extension.
    fn pins(&self) -> Vec<(Place, u64)>;
    /// Who is not listened to, and for how long still.
    fn bans(&self) -> Vec<(Ban, Duration)>;
    /// Where the device's own account registered from last.
    fn address_of(&self, device: &Place) -> Option<SocketAddr>;
    /// How a seat that stands ends by itself as things are.
    fn next_end(&self, seat: &Seat) -> Option<NextEnd>;
    /// What the wall clock says, milliseconds since 1970-01-01 UTC.
    fn wall(&self) -> u64;
    /// False while the edge finishes what is under way before it ends.
    fn is_serving(&self) -> bool;
    /// All that is counted and measured.
    fn figures(&self) -> Figures;
    /// What happened.
    fn trail(&self) -> Arc<Trail>;
}

impl Edge for Controls {
    fn bearer(&self, presented: &[u8]) -> Option<Box<str>> {
        self.server.borrow().control.as_ref()?.bearer(presented).map(Into::into)
    }

    fn command(&self, by: Box<str>, command: Command) -> impl Future<Output = Result<Done, Refusal>> + Send {
        self.commands.command(by, command)
    }

    fn settings(&self) -> Arc<Settings> {
        self.settings.borrow().clone()
    }

    fn seats(&self) -> Vec<Arc<Seat>> {
        self.tables.seats.snapshot()
    }

    fn locks(&self) -> Vec<Lock> {
        self.tables.locks(&self.settings(), self.clock.now().mono)
    }

    fn pins(&self) -> Vec<(Place, u64)> {
        self.pins.changed()
    }

    fn bans(&self) -> Vec<(Ban, Duration)> {
        let now = self.clock.now().mono;
        let bans = self.tables.bans.list(now);
        bans.into_iter().map(|ban| (ban, ban.until.since(now))).collect()
    }

    fn address_of(&self, device: &Place) -> Option<SocketAddr> {
        let mut address = None;
        let now = self.clock.now().mono;
        self.tables.location.read(device.tenant(), device.name().as_bytes(), now, |binding| {
            address = binding.flow.map(|flow| flow.remote).or(address);
        });
        address
    }

    fn next_end(&self, seat: &Seat) -> Option<NextEnd> {
        self.tables.next_end(seat, &self.settings(), self.clock.now())
    }

    fn wall(&self) -> u64 {
        self.clock.now().wall
    }

    fn is_serving(&self) -> bool {
        *self.phase.borrow() == Phase::Serving
    }

    fn figures(&self) -> Figures {
        let counts = self.counts.snapshot();
        Figures {
            started_at: self.clock.started_at(),
            generation: self.settings.borrow().generation,
            reloads: *self.reloads.borrow(),
            dataplane: counts.dataplane,
            transport: counts.transport,
            connections: counts.connections,
            handoffs_dropped: counts.handoffs_dropped,
            panics: counts.panics,
            turns: counts.turns,
            location: self.tables.location.census(),
            store: self.store.health(),
            media: self.media.figures(),
            audit_records: self.trail.end().ordinal,
            hooks: self.followers.figures(&self.server.borrow().audit.hooks, &self.trail),
        }
    }

    fn trail(&self) -> Arc<Trail> {
        Arc::clone(&self.trail)
    }
}

/// Answers requests on `listener`, which must not block, until the future is dropped; connections end with
/// it.
///
/// # Errors
/// The runtime does not take the listener.
pub async fn serve(listener: std::net::TcpListener, edge: impl Edge) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let router = routes::router(edge);
    let mut conversations = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = conversations.join_next() => (),
            accepted = listener.accept(), if conversations.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => drop(conversations.spawn(converse(stream, router.clone()))),
                Err(error) => {
                    debug!(reason = %error, "a connection to the control API could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

/// Serves one connection until the client or its time ends it.
async fn converse(stream: TcpStream, router: Router) {
    let until = Instant::now() + CONNECTION_TIME_MAX;
    let router = router.layer(Extension(trail::Until(until)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME_MAX)
        .max_buf_size(HEADER_OCTETS_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    match timeout(CONNECTION_TIME_MAX, connection.as_mut()).await {
        Ok(Ok(())) => (),
        Ok(Err(error)) => debug!(reason = %error, "a connection to the control API broke"),
        Err(_) => {
            connection.as_mut().graceful_shutdown();
            // Late is as good as broken.
            let _ = timeout(FINISH_TIME_MAX, connection).await;
        }
    }
}
