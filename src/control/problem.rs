//! What the API says when a request came to nothing.

use std::borrow::Cow;

use axum::Json;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use dataplane::refusal::Refusal;
use serde::Serialize;

/// Why a request came to nothing.
#[derive(Debug, Serialize)]
pub(super) struct Problem {
    #[serde(skip)]
    status: StatusCode,
    /// For programs; stable.
    error: &'static str,
    /// For people.
    message: Cow<'static, str>,
    /// Where in the request it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
}

impl Problem {
    pub(super) fn new(
        status: StatusCode,
        error: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { status, error, message: message.into(), field: None }
    }

    pub(super) fn malformed(message: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Refusal::Malformed.code(), message)
    }

    /// Says which field of the request it is about.
    pub(super) fn at(self, field: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..self }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::Malformed => StatusCode::BAD_REQUEST,
            Refusal::UnknownTenant | Refusal::UnknownDevice => StatusCode::NOT_FOUND,
            // Trusted callers may know which extensions there are.
            Refusal::UnknownExtension => return unknown_extension(),
            Refusal::Busy
            | Refusal::SettingsChanged
            | Refusal::StoreUnavailable
            | Refusal::PinUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::CONFLICT,
        };
        Self::new(status, refusal.code(), refusal.phrase())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(&self)).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

pub(super) fn unknown_extension() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "unknown-extension", "Unknown extension")
}
