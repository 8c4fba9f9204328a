//! The audit trail over HTTP: what happened, newest first, and what happens, as it does.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use dataplane::audit::{Event, Kind};
use hyper::body::Frame;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until, timeout};

use super::Edge;
use super::problem::Problem;
use crate::audit::follower::Follower;
use crate::audit::record::{Record, VERSION};
use crate::backend::store::Trail;
use crate::instant;

/// Records of one answer, if the client does not say.
const LIMIT: u32 = 100;

/// Records of one answer at most: half a megabyte.
const LIMIT_MAX: u32 = 1_000;

/// Records looked at for one answer: a fifth of a second of reading. Who wants more asks on from `next`.
const LOOKED_AT_MAX: usize = 200_000;

/// Feeds at a time: some consoles and collectors, and most connections are left to other requests.
pub(super) const FEEDS_MAX: usize = 16;

/// An empty line shows that a feed lives, and finds out that its client does not.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// A client that has not taken what it was given by then is cut off; it may come back with `after`.
const STALL_MAX: Duration = Duration::from_secs(30);

/// When the connection of a request will be closed whatever happens: a feed ends before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Until(pub(super) Instant);

/// What is wanted of the trail.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    tenant: Option<Box<str>>,
    device: Option<Box<str>>,
    extension: Option<Box<str>>,
    kind: Option<Kind>,
    since: Option<Box<str>>,
    before: Option<u64>,
    limit: Option<u32>,
}

impl Wanted {
    fn takes(&self, event: &Event<'_>) -> bool {
        let is = |wanted: &Option<Box<str>>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        // Of a visitor the person's tenant is another than the device's.
        let (stands, at_home) = (&*event.tenant, event.extension_tenant.as_deref().unwrap_or(&event.tenant));
        let is_of_tenant = match (&self.device, &self.extension) {
            (Some(_), _) => is(&self.tenant, Some(stands)),
            (None, Some(_)) => is(&self.tenant, Some(at_home)),
            (None, None) => is(&self.tenant, Some(stands)) || is(&self.tenant, Some(at_home)),
        };
        is_of_tenant
            && is(&self.device, event.device.as_deref())
            && is(&self.extension, event.extension.as_deref())
            && self.kind.is_none_or(|kind| kind == event.kind)
    }
}

/// What happened, newest first.
pub(super) async fn records<E: Edge>(
    State(edge): State<E>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Problem> {
    #[derive(serde::Serialize)]
    struct Page {
        records: Vec<Box<RawValue>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        next: Option<u64>,
    }

    let Query(wanted) = wanted.map_err(|rejection| Problem::malformed(rejection.body_text()))?;
    let since = wanted.since.as_deref().map_or(Some(0), instant::parse);
    let since =
        since.ok_or_else(|| Problem::malformed("since: an instant such as 2026-01-31T08:15:00Z".into()))?;
    let limit = wanted.limit.unwrap_or(LIMIT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(Problem::malformed(format!("limit: 1 to {LIMIT_MAX}")));
    }
    let trail = edge.trail();
    let found = spawn_blocking(move || find(&trail, &wanted, since, limit as usize)).await;
    let (found, next) = found.ok().flatten().ok_or_else(|| {
        let message = "The audit trail cannot be read now";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store-unavailable", message)
    })?;
    let records = found
        .into_iter()
        .filter_map(|json| RawValue::from_string(String::from_utf8(json).ok()?).ok())
        .collect();
    Ok(axum::Json(Page { records, next }).into_response())
}

/// The newest `limit` that are wanted, and before which to look on if there may be more. `None`: the file cannot be read.
fn find(trail: &Trail, wanted: &Wanted, since: u64, limit: usize) -> Option<(Vec<Vec<u8>>, Option<u64>)> {
    let before = wanted.before.unwrap_or(u64::MAX);
    let (mut found, mut looked_at, mut next) = (Vec::new(), 0, None);
    let read = trail.before(before, |row| {
        if row.newest() < since {
            return false;
        }
        let events: Vec<_> = row.events().collect();
        for (sequence, event) in events.iter().rev().filter(|(sequence, _)| *sequence < before) {
            if found.len() == limit || looked_at == LOOKED_AT_MAX {
                next = Some(sequence + 1);
                return false;
            }
            looked_at += 1;
            if event.at >= since && wanted.takes(event) {
                found.push(Record::new(*sequence, event).json());
            }
        }
        true
    });
    read.ok().map(|()| (found, next))
}

/// From where on a feed is wanted, and of what.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct From {
    after: Option<u64>,
    tenant: Option<Box<str>>,
    kind: Option<Kind>,
}

/// What happens, as JSON lines.
pub(super) async fn feed<E: Edge>(
    State(edge): State<E>,
    Extension(Until(until)): Extension<Until>,
    Extension(places): Extension<Arc<Semaphore>>,
    from: Result<Query<From>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(from) = from.map_err(|rejection| Problem::malformed(rejection.body_text()))?;
    let place = places.try_acquire_owned().map_err(|_| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "As many feeds as there may be are open")
    })?;
    let trail = edge.trail();
    let next = from.after.map_or_else(|| trail.end().next, |after| after.saturating_add(1));
    let wanted = Wanted { tenant: from.tenant, kind: from.kind, ..Wanted::default() };
    // One piece on its way and room for the last line.
    let (sender, lines) = channel(2);
    tokio::spawn(follow(Follower::new(trail, next), wanted, until, sender, place));
    let lines = ([(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"))], Body::new(Lines(lines)));
    Ok(lines.into_response())
}

/// Gives `sender` what is wanted until the client goes or has to.
async fn follow(
    mut follower: Follower,
    wanted: Wanted,
    until: Instant,
    sender: Sender<Bytes>,
    _place: OwnedSemaphorePermit,
) {
    let end = loop {
        let given = follower.next();
        let piece = tokio::select! {
            read = timeout(HEARTBEAT, follower.read()) => match read {
                Ok(Some(read)) if read.missed > 0 => break ("behind", given),
                Ok(Some(read)) => {
                    let mut piece = Vec::new();
                    for (sequence, event) in read.rows.iter().flat_map(|row| row.events()) {
                        if sequence >= read.from && wanted.takes(&event) {
                            piece.extend(Record::new(sequence, &event).json());
                            piece.push(b'\n');
                        }
                    }
                    if piece.is_empty() {
                        continue;
                    }
                    piece
                }
                Ok(None) => break ("stopping", given),
                Err(_) => b"\n".to_vec(),
            },
            () = sleep_until(until) => break ("time", given),
            () = sender.closed() => return,
        };
        // The piece before must have been taken, so that there is room for a last line whatever happens.
        match timeout(STALL_MAX, sender.reserve_many(2)).await {
            Ok(Ok(mut permits)) => {
                if let Some(permit) = permits.next() {
                    permit.send(piece.into());
                }
            }
            Ok(Err(_)) => return,
            Err(_) => break ("slow", given),
        }
    };
    let (why, next) = end;
    let after = next.saturating_sub(1);
    let line = format!("{{\"version\":{VERSION},\"end\":\"{why}\",\"after\":{after}}}\n");
    // A client that is gone needs no word.
    let _ = sender.try_send(line.into());
}

/// The body of a feed.
struct Lines(Receiver<Bytes>);

impl hyper::body::Body for Lines {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visit_is_found_by_the_tenant_of_the_device_and_by_that_of_the_person() {
        let visit = Event {
            device: Some("desk-1".into()),
            extension: Some("1001".into()),
            extension_tenant: Some("demo".into()),
            ..Event::new(Kind::LogIn, "log-in", "annex", 0)
        };
        let is_found = |tenant: &str, device: Option<&str>, extension: Option<&str>| {
            let wanted = Wanted {
                tenant: Some(tenant.into()),
                device: device.map(Into::into),
                extension: extension.map(Into::into),
                ..Wanted::default()
            };
            wanted.takes(&visit)
        };

        assert!(is_found("annex", None, None) && is_found("demo", None, None));
        assert!(!is_found("another", None, None));
        // What is asked for is the device of one tenant, or the extension of one.
        assert!(is_found("annex", Some("desk-1"), None) && !is_found("demo", Some("desk-1"), None));
        assert!(is_found("demo", None, Some("1001")) && !is_found("annex", None, Some("1001")));
        assert!(is_found("annex", Some("desk-1"), Some("1001")));
    }
}
