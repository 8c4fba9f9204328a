//! What is asked without a token, and what is no question at all.

use std::io::{Read as _, Write as _};
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::StatusCode;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde_json::json;

use super::super::routes;
use super::{Running, Scripted, TOKEN, log_in_of};

#[test]
fn health_and_readiness_need_no_token() {
    let edge = Scripted { store_is_reachable: false, ..Scripted::new() };
    let api = Running::new(edge.clone());

    let health = api.ask("GET", "/health", "", "");
    let ready = api.ask("GET", "/ready", "", "");
    edge.is_serving.store(false, Ordering::Relaxed);
    let draining = api.ask("GET", "/ready", "", "");

    assert_eq!((health.code, health.json()), (200, json!({ "status": "ok" })));
    assert_eq!((ready.code, ready.json()), (200, json!({ "status": "ready", "store": "away" })));
    assert_eq!((draining.code, draining.json()["status"].as_str()), (503, Some("draining")));
}

#[test]
fn metrics_need_no_token() {
    let api = Running::new(Scripted::new());

    let metrics = api.ask("GET", "/metrics", "", "");

    assert_eq!(metrics.code, 200);
    assert!(metrics.head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"));
    assert!(metrics.body.contains("\nhotdesk_seats{tenant=\"demo\"} 0\n"));
}

#[test]
fn everything_else_needs_a_token() {
    let edge = Scripted::new();
    let api = Running::new(edge.clone());
    let body = log_in_of("desk-1", "1001").to_string();

    for (method, path) in [
        ("GET", "/v1/seats"),
        ("POST", "/v1/login"),
        ("POST", "/v1/logout"),
        ("GET", "/v1/locks"),
        ("POST", "/v1/unlock"),
    ] {
        let none = api.ask(method, path, "", &body);
        let wrong = api.ask(method, path, "Authorization: Bearer demo-tokem\r\n", &body);

        assert_eq!((none.code, none.error().as_str()), (401, "unauthorized"));
        assert!(none.head.contains("www-authenticate: bearer realm=\"hotdesk\""), "{}", none.head);
        assert_eq!((wrong.code, wrong.error().as_str()), (401, "unauthorized"));
        assert!(wrong.head.contains("error=\"invalid_token\""), "{}", wrong.head);
    }
    assert!(edge.asked().is_empty());
}

#[test]
fn a_bad_body_is_told_where_it_is_bad() {
    let edge = Scripted::new();
    let api = Running::new(edge.clone());

    for (body, field, part) in [
        ("", None, "EOF"),
        ("tenant=demo", None, "expected"),
        ("[]", None, "struct LogIn"),
        (r#"{"tenant":"demo","device":"desk-1"}"#, None, "missing field `extension`"),
        (r#"{"tenant":"demo","device":7,"extension":"1001"}"#, Some("device"), "expected a string"),
        (
            r#"{"tenant":"demo","device":"desk-1","extension":"1001","pin":"1"}"#,
            Some("pin"),
            "unknown field `pin`",
        ),
        (r#"{"tenant":"demo","device":"desk-1","extension":"1001"} {}"#, None, "trailing"),
    ] {
        let answer = api.ask("POST", "/v1/login", TOKEN, body);

        assert_eq!((answer.code, answer.error().as_str()), (400, "malformed"), "{body}");
        assert_eq!(answer.json()["field"].as_str(), field, "{body}");
        assert!(answer.json()["message"].as_str().unwrap().contains(part), "{body}: {}", answer.body);
    }
    assert!(edge.asked().is_empty());
}

#[test]
fn a_body_without_end_is_refused() {
    let api = Running::new(Scripted::new());

    let answer = api.ask("POST", "/v1/login", TOKEN, &" ".repeat(65 * 1024));

    assert_eq!((answer.code, answer.error().as_str()), (413, "too-large"));
}

#[test]
fn a_wrong_path_or_method_is_told_so() {
    let api = Running::new(Scripted::new());

    let path = api.get("/v1/seat");
    let method = api.get("/v1/login");

    assert_eq!((path.code, path.error().as_str()), (404, "unknown-path"));
    assert_eq!((method.code, method.error().as_str()), (405, "wrong-method"));
    assert!(method.head.contains("allow: post"), "{}", method.head);
}

#[test]
fn a_connection_serves_one_request_after_another() {
    let api = Running::new(Scripted::new());
    let mut stream = api.connect();

    for _ in 0..3 {
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: edge\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"{\"status\":\"ok\"}") {
            let mut octets = [0; 1024];
            let count = stream.read(&mut octets).unwrap();
            assert_ne!(count, 0);
            answer.extend(&octets[..count]);
        }
    }
}

#[test]
fn what_is_no_http_ends_its_connection_alone() {
    let api = Running::new(Scripted::new());
    let mut stream = api.connect();

    stream.write_all(b"\x16\x03\x01\x00\xff garbage\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);

    assert_eq!(api.get("/health").code, 200);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_does_not_answer_is_not_waited_for() {
    let service = TowerToHyperService::new(routes::router(Scripted::new()));
    let request = axum::http::Request::post("/v1/login")
        .header("Authorization", "Bearer demo-token")
        .body(Body::from(log_in_of("desk-1", "1001").to_string()))
        .unwrap();

    let answer = service.call(request).await.unwrap();

    assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
}
