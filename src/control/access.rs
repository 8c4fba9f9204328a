//! Who may use the API: bearer tokens (RFC 6750).

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::Edge;
use super::problem::Problem;

/// The name of the token a request came with, for the log.
#[derive(Clone, Debug)]
pub(super) struct Bearer(pub(super) Box<str>);

/// Lets a request with a known token through and answers 401 to any other.
pub(super) async fn require<E: Edge>(State(edge): State<E>, mut request: Request, next: Next) -> Response {
    let presented = presented(request.headers());
    match presented.and_then(|token| edge.bearer(token)) {
        Some(name) => {
            request.extensions_mut().insert(Bearer(name));
            next.run(request).await
        }
        None => refuse(presented.is_some()),
    }
}

/// The token of the one Authorization header; none if there are several, or another scheme.
fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (all.next()?.as_bytes(), all.next()) else { return None };
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

fn refuse(presented: bool) -> Response {
    let (message, challenge) = if presented {
        ("no such token", r#"Bearer realm="hotdesk", error="invalid_token""#)
    } else {
        ("send the header Authorization: Bearer TOKEN", r#"Bearer realm="hotdesk""#)
    };
    let problem = Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", message);
    ([(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))], problem).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(values: &[&str]) -> Option<Vec<u8>> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        presented(&headers).map(Into::into)
    }

    #[test]
    fn one_bearer_token_is_read_whatever_the_case_of_its_scheme() {
        assert_eq!(token(&["Bearer demo-token"]).as_deref(), Some(&b"demo-token"[..]));
        assert_eq!(token(&["bEaReR  demo-token "]).as_deref(), Some(&b"demo-token"[..]));
    }

    #[test]
    fn other_schemes_and_several_headers_count_as_none() {
        for values in [&[][..], &["Basic ZGVtbw=="], &["Bearer"], &["Bearerdemo"], &["Bearer a", "Bearer b"]]
        {
            assert_eq!(token(values), None, "{values:?}");
        }
    }
}
