//! The control API, health and metrics over HTTP.

use bench::phone::Transport;
use serde_json::Value;

use crate::edge::{Edge, Plan};

#[test]
fn seats_are_shown_to_those_with_a_token_only() {
    let edge = Edge::start(Plan::default());
    let strangers = edge.control.without_token();

    let answers = [
        strangers.get("/v1/seats").unwrap(),
        strangers.log_in("demo", "desk-1", "1001").unwrap(),
        strangers.log_out("demo", "desk-1").unwrap(),
    ];

    for answer in answers {
        assert_eq!(answer.status, 401, "{}", answer.body);
        assert!(answer.head.to_lowercase().contains("www-authenticate: bearer"), "{}", answer.head);
    }
    let own = edge.control.get("/v1/seats").unwrap();
    assert_eq!((own.status, &*own.body), (200, r#"{"seats":[]}"#));
}

#[test]
fn people_are_logged_in_and_out_from_outside() {
    let edge = Edge::start(Plan::default());
    let mut phone = edge.desk(Transport::Udp, 1);

    let logged_in = edge.control.log_in("demo", "desk-1", "1001").unwrap();
    let seats = edge.control.seats().unwrap();
    phone.expect("NOTIFY").unwrap();
    let logged_out = edge.control.log_out("demo", "desk-1").unwrap();
    phone.expect("NOTIFY").unwrap();

    assert_eq!((logged_in.status, logged_out.status), (200, 200));
    let body: Value = serde_json::from_str(&logged_in.body).unwrap();
    assert_eq!((&body["outcome"], &body["seat"]["extension"]), (&"logged-in".into(), &"1001".into()));
    assert_eq!((&*seats[0].device, &*seats[0].name, &*seats[0].surface), ("desk-1", "Person 1", "api"));
    assert_eq!(edge.seats(), []);
}

#[test]
fn a_request_that_cannot_be_done_says_why() {
    let edge = Edge::start(Plan::default());

    for (path, body, status, said) in [
        ("/v1/login", r#"{"tenant":"demo","device":"desk-1""#, 400, "EOF"),
        ("/v1/login", r#"{"tenant":"demo","device":"desk-1"}"#, 400, "missing field `extension`"),
        ("/v1/login", r#"{"tenant":"demo","device":1,"extension":"1001"}"#, 400, "\"field\":\"device\""),
        ("/v1/login", r#"{"tenant":"demo","device":"desk-1","extension":"1001","pin":"1"}"#, 400, "pin"),
        ("/v1/login", r#"{"tenant":"none","device":"desk-1","extension":"1001"}"#, 404, "unknown-tenant"),
        ("/v1/login", r#"{"tenant":"demo","device":"desk-0","extension":"1001"}"#, 404, "unknown-device"),
        ("/v1/login", r#"{"tenant":"demo","device":"desk-1","extension":"1000"}"#, 404, "unknown-extension"),
        ("/v1/logout", r#"{"tenant":"demo","device":"desk-1"}"#, 409, "nobody-sits"),
        ("/v1/nothing", "{}", 404, "unknown-path"),
        ("/v1/seats", "{}", 405, "wrong-method"),
    ] {
        let answer = edge.control.post(path, body).unwrap();
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
        assert!(answer.body.contains(said), "{body}: {}", answer.body);
        assert!(serde_json::from_str::<Value>(&answer.body).is_ok(), "{}", answer.body);
    }
    assert_eq!(edge.seats(), []);
}

#[test]
fn health_readiness_and_metrics_need_no_token() {
    let edge = Edge::start(Plan::default());
    let _phone = edge.taken_desk(Transport::Tcp, 1);
    let anybody = edge.control.without_token();

    let health = anybody.get("/health").unwrap();
    let ready = anybody.get("/ready").unwrap();

    assert_eq!((health.status, ready.status), (200, 200));
    assert!(ready.body.contains("\"ready\""), "{}", ready.body);
    for (metric, least) in [
        ("hotdesk_received_total", 2.0),
        ("hotdesk_registers_total", 2.0),
        ("hotdesk_challenges_total", 1.0),
        ("hotdesk_bindings_added_total", 1.0),
        ("hotdesk_log_ins_total", 1.0),
        ("hotdesk_notifies_sent_total", 1.0),
        ("hotdesk_seats", 1.0),
        ("hotdesk_bindings", 1.0),
        ("hotdesk_connections", 1.0),
        ("hotdesk_store_up", 1.0),
    ] {
        edge.wait_for_metric(metric, least);
    }
}
