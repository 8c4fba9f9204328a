//! Each path of the API: what it takes, what it does, what it says.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Extension, Query, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use dataplane::hotdesk::Seat;
use dataplane::input::Command;
use dataplane::output::Done;
use dataplane::refusal::Refusal;
use dataplane::settings::{Settings, TERM_MAX};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::info;

use super::Edge;
use super::access::{self, Bearer};
use super::problem::{Problem, unknown_extension};
use super::trail;
use super::view::{BanView, LockView, PinView, SeatView};
use crate::telemetry::metrics;

/// Octets of a request's body; the longest that means anything has some hundred.
const BODY_OCTETS_MAX: usize = 64 * 1024;

/// A worker that has not answered by then has other troubles.
const COMMAND_TIME_MAX: Duration = Duration::from_secs(5);

/// From a request's header to its answer; what is left above [`COMMAND_TIME_MAX`] is for the body to arrive.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(15);

/// The whole API over `edge`.
pub(super) fn router<E: Edge>(edge: E) -> Router {
    let trusted = Router::new()
        .route("/v1/seats", get(seats::<E>))
        .route("/v1/audit", get(trail::records::<E>))
        .route("/v1/audit/feed", get(trail::feed::<E>))
        .layer(Extension(Arc::new(Semaphore::new(trail::FEEDS_MAX))))
        .route("/v1/login", post(log_in::<E>))
        .route("/v1/logout", post(log_out::<E>))
        .route("/v1/locks", get(locks::<E>))
        .route("/v1/unlock", post(unlock::<E>))
        .route("/v1/pins", get(pins::<E>))
        .route("/v1/bans", get(bans::<E>))
        .route("/v1/pardon", post(pardon::<E>))
        .route_layer(middleware::from_fn_with_state(edge.clone(), access::require::<E>));
    Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready::<E>))
        .route("/metrics", get(measure::<E>))
        .merge(trusted)
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn(hurry))
        .layer(DefaultBodyLimit::max(BODY_OCTETS_MAX))
        .with_state(edge)
}

async fn unknown_path() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "unknown-path", "No such path")
}

async fn wrong_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "wrong-method", "This path takes another method, see Allow")
}

/// Ends a request that takes too long, most likely because its body does not arrive.
async fn hurry(request: Request, next: Next) -> Response {
    timeout(REQUEST_TIME_MAX, next.run(request)).await.unwrap_or_else(|_| {
        Problem::new(StatusCode::REQUEST_TIMEOUT, "slow", "The request did not arrive in time")
            .into_response()
    })
}

// --- What anybody may ask ---

#[derive(Serialize)]
struct Status {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<&'static str>,
}

/// The process is alive.
async fn health() -> Json<Status> {
    Json(Status { status: "ok", store: None })
}

/// The edge takes calls. A store that is away does not count: calls and seats go on without it.
async fn ready<E: Edge>(State(edge): State<E>) -> (StatusCode, Json<Status>) {
    let store = if edge.figures().store.reachable { "ok" } else { "away" };
    let (code, status) = if edge.is_serving() {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "draining")
    };
    (code, Json(Status { status, store: Some(store) }))
}

/// Prometheus text.
async fn measure<E: Edge>(State(edge): State<E>) -> Response {
    let page = metrics::page(&edge.figures(), &edge.settings(), &edge.seats());
    ([(CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE))], page).into_response()
}

// --- What a token opens ---

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    tenant: Option<Box<str>>,
}

/// The tenant that is asked for, if it is one alone.
fn tenant(
    which: Result<Query<Which>, QueryRejection>,
    settings: &Settings,
) -> Result<Option<Box<str>>, Problem> {
    let Query(Which { tenant }) = which.map_err(|rejection| Problem::malformed(rejection.body_text()))?;
    if tenant.as_deref().is_some_and(|tenant| settings.tenant(tenant).is_none()) {
        return Err(Refusal::UnknownTenant.into());
    }
    Ok(tenant)
}

/// Who sits where, by tenant and device.
async fn seats<E: Edge>(
    State(edge): State<E>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct Seats<'a> {
        seats: Vec<SeatView<'a>>,
    }

    let settings = edge.settings();
    let tenant = tenant(which, &settings)?;
    let mut seats = edge.seats();
    // Those of visitors are of interest to both tenants.
    let is_of =
        |seat: &Seat, tenant: &str| [&seat.device, &seat.extension].iter().any(|it| it.tenant() == tenant);
    seats.retain(|seat| tenant.as_ref().is_none_or(|tenant| is_of(seat, tenant)));
    seats.sort_unstable_by(|a, b| a.device.cmp(&b.device));
    let seats = seats
        .iter()
        .map(|seat| SeatView::new(seat, &settings, edge.next_end(seat), edge.address_of(&seat.device)))
        .collect();
    Ok(Json(Seats { seats }).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogIn {
    tenant: Box<str>,
    device: Box<str>,
    extension: Box<str>,
    /// Where the person is at home, if elsewhere.
    extension_tenant: Option<Box<str>>,
    #[serde(default)]
    force: bool,
    until: Option<Box<str>>,
    /// 0: for no particular time.
    minutes: Option<u32>,
}

impl LogIn {
    /// Until when the seat is to stand, wall clock in milliseconds.
    fn until(&self, now: u64) -> Result<Option<u64>, Problem> {
        let field = |field: &str, message: &str| Problem::malformed(message.to_owned()).at(field);
        let (at, until) = match (&self.until, self.minutes) {
            (Some(_), Some(_)) => return Err(field("until", "give `until` or `minutes`, not both")),
            (None, None | Some(0)) => return Ok(None),
            (None, Some(minutes)) => ("minutes", now + u64::from(minutes) * 60_000),
            (Some(text), None) => {
                let instant = text.parse().ok().map(jiff::Timestamp::as_millisecond);
                let instant = instant.and_then(|millis| u64::try_from(millis).ok());
                (
                    "until",
                    instant.ok_or_else(|| {
                        field("until", "an instant of RFC 3339, such as 2026-01-31T17:00:00Z")
                    })?,
                )
            }
        };
        let longest = now + u64::try_from(TERM_MAX.as_millis()).unwrap_or(u64::MAX);
        if (now + 1..=longest).contains(&until) {
            Ok(Some(until))
        } else {
            Err(field(at, "it lies in the past, or farther ahead than 366 days"))
        }
    }
}

/// Seats an extension at a device, whoever sat there and wherever else it sat, as the tenant's policy allows.
async fn log_in<E: Edge>(
    State(edge): State<E>,
    Extension(bearer): Extension<Bearer>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let wanted: LogIn = parse(body)?;
    let until = wanted.until(edge.wall())?;
    let LogIn { tenant, device, extension, extension_tenant, force, .. } = wanted;
    let settings = edge.settings();
    let known = settings.tenant(&tenant).ok_or(Refusal::UnknownTenant)?;
    known.device(&device).ok_or(Refusal::UnknownDevice)?;
    let home = match &extension_tenant {
        Some(home) => settings.tenant(home).ok_or(Refusal::UnknownTenant)?,
        None => known,
    };
    // Of another customer nobody may sit here, so that it might as well not exist.
    let home = Some(home).filter(|home| home.customer == known.customer);
    home.and_then(|home| home.extension(&extension)).ok_or_else(unknown_extension)?;
    info!(
        by = %bearer.0, %tenant, %device, %extension, extension_tenant, force, "log-in asked for at the control API"
    );
    let command = Command::LogIn { tenant, device, extension, extension_tenant, force, until };
    order(&edge, bearer.0, command).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogOut {
    tenant: Box<str>,
    /// One of the four.
    device: Option<Box<str>>,
    extension: Option<Box<str>>,
    site: Option<Box<str>>,
    #[serde(default)]
    all: bool,
    #[serde(default)]
    now: bool,
}

/// Ends the seat at a device, or all seats of an extension, a site or a tenant, at once or when their calls have ended.
async fn log_out<E: Edge>(
    State(edge): State<E>,
    Extension(bearer): Extension<Bearer>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let LogOut { tenant, device, extension, site, all, now } = parse(body)?;
    let settings = edge.settings();
    let known = settings.tenant(&tenant).ok_or(Refusal::UnknownTenant)?;
    let command = match (device, extension, site, all) {
        (Some(device), None, None, false) => {
            known.device(&device).ok_or(Refusal::UnknownDevice)?;
            info!(by = %bearer.0, %tenant, %device, now, "log-out asked for at the control API");
            Command::LogOut { tenant, device, now }
        }
        (None, Some(extension), None, false) => {
            known.extension(&extension).ok_or_else(unknown_extension)?;
            info!(by = %bearer.0, %tenant, %extension, now, "log-out of an extension asked for at the control API");
            Command::LogOutExtension { tenant, extension, now }
        }
        (None, None, Some(site), false) => {
            if !known.sites.iter().any(|it| it.id == site) {
                return Err(Problem::new(StatusCode::NOT_FOUND, "unknown-site", "Unknown site"));
            }
            info!(by = %bearer.0, %tenant, %site, now, "log-out of a site asked for at the control API");
            Command::LogOutAll { tenant, site: Some(site), now }
        }
        (None, None, None, true) => {
            info!(by = %bearer.0, %tenant, now, "log-out of a tenant asked for at the control API");
            Command::LogOutAll { tenant, site: None, now }
        }
        _ => {
            return Err(Problem::malformed(
                "give one of `device`, `extension`, `site` and `all`: true".to_owned(),
            ));
        }
    };
    order(&edge, bearer.0, command).await
}

/// Whose PIN cannot be tried now, and where.
async fn locks<E: Edge>(State(edge): State<E>) -> Response {
    #[derive(Serialize)]
    struct Locks<'a> {
        locks: Vec<LockView<'a>>,
    }

    let (locks, settings) = (edge.locks(), edge.settings());
    let locks = locks.iter().map(|lock| LockView::new(lock, &settings)).collect();
    Json(Locks { locks }).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unlock {
    tenant: Box<str>,
    extension: Box<str>,
    device: Option<Box<str>>,
    /// Of the device, where it is another.
    device_tenant: Option<Box<str>>,
}

/// Lets an extension's PIN be tried again everywhere, or at one device.
async fn unlock<E: Edge>(
    State(edge): State<E>,
    Extension(bearer): Extension<Bearer>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let Unlock { tenant, extension, device, device_tenant } = parse(body)?;
    if device_tenant.is_some() && device.is_none() {
        return Err(Problem::malformed("`device_tenant` is that of a `device`".to_owned()));
    }
    info!(by = %bearer.0, %tenant, %extension, device, device_tenant, "unlock asked for at the control API");
    order(&edge, bearer.0, Command::Unlock { tenant, extension, device, device_tenant }).await
}

/// Who has a PIN of their own choosing, by tenant and extension.
async fn pins<E: Edge>(
    State(edge): State<E>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct Pins<'a> {
        pins: Vec<PinView<'a>>,
    }

    let tenant = tenant(which, &edge.settings())?;
    let mut pins = edge.pins();
    pins.retain(|(extension, _)| tenant.as_ref().is_none_or(|tenant| extension.tenant() == &**tenant));
    Ok(Json(Pins { pins: pins.iter().map(PinView::new).collect() }).into_response())
}

/// Who is not listened to, why, and for how long.
async fn bans<E: Edge>(State(edge): State<E>) -> Response {
    #[derive(Serialize)]
    struct Bans {
        bans: Vec<BanView>,
    }

    Json(Bans { bans: edge.bans().into_iter().map(|(ban, left)| BanView::new(&ban, left)).collect() })
        .into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pardon {
    address: IpAddr,
    port: Option<u16>,
}

/// Listens again to somebody who was banned.
async fn pardon<E: Edge>(
    State(edge): State<E>,
    Extension(bearer): Extension<Bearer>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let Pardon { address, port } = parse(body)?;
    info!(by = %bearer.0, %address, port, "pardon asked for at the control API");
    order(&edge, bearer.0, Command::Pardon { address, port }).await
}

/// Reads a JSON body; the answer to a bad one says where it is bad.
fn parse<T: DeserializeOwned>(body: Result<Bytes, BytesRejection>) -> Result<T, Problem> {
    let body = body.map_err(|rejection| {
        let error =
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE { "too-large" } else { "malformed" };
        Problem::new(rejection.status(), error, rejection.body_text())
    })?;
    let mut json = serde_json::Deserializer::from_slice(&body);
    let parsed = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let problem = Problem::malformed(error.inner().to_string());
        match error.path().to_string() {
            path if path == "." => problem,
            path => problem.at(path),
        }
    })?;
    json.end().map_err(|error| Problem::malformed(error.to_string()))?;
    Ok(parsed)
}

/// Has `command` done for the operator called `by` and says what came of it.
async fn order(edge: &impl Edge, by: Box<str>, command: Command) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct Outcome<'a> {
        outcome: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        seat: Option<SeatView<'a>>,
    }
    #[derive(Serialize)]
    struct Ending {
        outcome: &'static str,
        seats: usize,
    }

    let done = timeout(COMMAND_TIME_MAX, edge.command(by, command)).await.map_err(|_| {
        let message = "No answer yet; whether it was done is unknown, asking again is safe";
        Problem::new(StatusCode::GATEWAY_TIMEOUT, "no-answer", message)
    })?;
    let (code, outcome, seat): (_, _, Option<Seat>) = match done? {
        Done::LoggedIn(seat) => (StatusCode::OK, "logged-in", Some(seat)),
        Done::LoggedOut(seat) => (StatusCode::OK, "logged-out", Some(seat)),
        Done::Deferred(seat) => (StatusCode::ACCEPTED, "deferred", Some(seat)),
        Done::Ending(seats) => {
            return Ok((StatusCode::ACCEPTED, Json(Ending { outcome: "ending", seats })).into_response());
        }
        Done::Unlocked => (StatusCode::OK, "unlocked", None),
        Done::Pardoned => (StatusCode::OK, "pardoned", None),
    };
    let settings = edge.settings();
    let seat = seat
        .as_ref()
        .map(|seat| SeatView::new(seat, &settings, edge.next_end(seat), edge.address_of(&seat.device)));
    Ok((code, Json(Outcome { outcome, seat })).into_response())
}
