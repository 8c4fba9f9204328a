//! Seats: listed, taken and ended.

use std::sync::Arc;

use dataplane::input::Command;
use dataplane::output::Done;
use dataplane::refusal::Refusal;
use serde_json::json;

use super::{NOW, Running, Scripted, log_in_of, seat};

#[test]
fn seats_are_listed_by_tenant_and_device() {
    let seats =
        [seat("demo", "desk-2", "1002"), seat("annex", "lobby", "1001"), seat("demo", "desk-1", "1001")];
    let api = Running::new(Scripted { seats: seats.map(Arc::new).into(), ..Scripted::new() });

    let all = api.get("/v1/seats");
    let of_one = api.get("/v1/seats?tenant=demo");

    let john = json!({
        "tenant": "demo", "device": "desk-1", "extension": "1001", "name": "John Smith",
        "since": "2026-01-31T08:15:00.250Z", "surface": "dialled", "epoch": 7, "address": "192.0.2.7:5060",
    });
    let ann = json!({
        "tenant": "demo", "device": "desk-2", "extension": "1002", "name": "Ann Lee",
        "since": "2026-01-31T08:15:00.250Z", "surface": "dialled", "epoch": 7,
    });
    let guest = json!({
        "tenant": "annex", "device": "lobby", "extension": "1001", "extension_tenant": "demo",
        "name": "John Smith", "since": "2026-01-31T08:15:00.250Z", "surface": "dialled", "epoch": 7,
        "ends_at": "2026-01-31T09:00:00.000Z", "ends_by": "time-of-day",
    });
    assert_eq!((all.code, all.json()), (200, json!({ "seats": [guest, john, ann] })));
    // A visit concerns both tenants.
    assert_eq!((of_one.code, of_one.json()), (200, json!({ "seats": [guest, john, ann] })));
    assert_eq!(api.get("/v1/seats?tenant=annex").json(), json!({ "seats": [guest] }));
}

#[test]
fn a_question_for_seats_that_makes_no_sense_is_refused() {
    let api = Running::new(Scripted::new());

    let unknown = api.get("/v1/seats?tenant=acme");
    let misspelt = api.get("/v1/seats?tennant=demo");

    assert_eq!((unknown.code, unknown.error().as_str()), (404, "unknown-tenant"));
    assert_eq!((misspelt.code, misspelt.error().as_str()), (400, "malformed"));
    assert!(misspelt.body.contains("tennant"), "{}", misspelt.body);
}

#[test]
fn a_log_in_is_done_and_shown() {
    let edge = Scripted::that_answers(Ok(Done::LoggedIn(seat("demo", "desk-1", "1001"))));
    let api = Running::new(edge.clone());

    let answer = api.post("/v1/login", &log_in_of("desk-1", "1001"));

    assert_eq!(answer.code, 200);
    assert_eq!(answer.json()["outcome"], "logged-in");
    assert_eq!(answer.json()["seat"]["name"], "John Smith");
    let command = Command::LogIn {
        tenant: "demo".into(),
        device: "desk-1".into(),
        extension: "1001".into(),
        extension_tenant: None,
        force: false,
        until: None,
    };
    assert_eq!(edge.asked(), [command]);
}

#[test]
fn a_visitor_is_named_with_his_tenant_and_logged_out_by_his_own() {
    let seats = Scripted::that_answers(Ok(Done::LoggedIn(seat("annex", "lobby", "1001"))));
    let api = Running::new(seats.clone());
    let log_in = |home: &str| json!({ "tenant": "annex", "device": "lobby", "extension": "1001", "extension_tenant": home });

    assert_eq!(api.post("/v1/login", &log_in("demo")).code, 200);
    for (home, error) in [("other", "unknown-extension"), ("nowhere", "unknown-tenant")] {
        let answer = api.post("/v1/login", &log_in(home));
        assert_eq!((answer.code, answer.error().as_str()), (404, error), "{home}");
    }
    let command = Command::LogIn {
        tenant: "annex".into(),
        device: "lobby".into(),
        extension: "1001".into(),
        extension_tenant: Some("demo".into()),
        force: false,
        until: None,
    };
    assert_eq!(seats.asked(), [command]);

    let seats = Scripted::that_answers(Ok(Done::Ending(1)));
    let api = Running::new(seats.clone());
    let answer = api.post("/v1/logout", &json!({ "tenant": "demo", "extension": "1001", "now": true }));
    assert_eq!((answer.code, answer.json()), (202, json!({ "outcome": "ending", "seats": 1 })));
    let unknown = api.post("/v1/logout", &json!({ "tenant": "demo", "extension": "4711" }));
    assert_eq!((unknown.code, unknown.error().as_str()), (404, "unknown-extension"));
    let command = Command::LogOutExtension { tenant: "demo".into(), extension: "1001".into(), now: true };
    assert_eq!(seats.asked(), [command]);
}

#[test]
fn a_booking_is_until_an_instant_or_for_minutes() {
    for (more, until) in [
        (json!({ "until": "2026-01-31T10:30:00+01:00" }), Ok(Some(NOW + 30 * 60_000))),
        (json!({ "minutes": 480 }), Ok(Some(NOW + 480 * 60_000))),
        (json!({ "minutes": 0 }), Ok(None)),
        (json!({ "until": "2026-01-31T09:00:00Z" }), Err("until")),
        (json!({ "until": "tomorrow" }), Err("until")),
        (json!({ "minutes": 1, "until": "2026-01-31T10:30:00Z" }), Err("until")),
        (json!({ "minutes": 4_000_000 }), Err("minutes")),
    ] {
        let edge = Scripted::that_answers(Ok(Done::LoggedIn(seat("demo", "desk-1", "1001"))));
        let api = Running::new(edge.clone());
        let mut body = log_in_of("desk-1", "1001");
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());

        let answer = api.post("/v1/login", &body);

        match until {
            Ok(expected) => {
                let asked = edge.asked();
                assert!(
                    matches!(asked[..], [Command::LogIn { until, .. }] if until == expected),
                    "{more}: {asked:?}"
                );
            }
            Err(field) => {
                assert_eq!((answer.code, answer.json()["field"].as_str()), (400, Some(field)), "{more}");
            }
        }
    }
}

#[test]
fn all_seats_of_a_site_or_a_tenant_are_ended_by_one_order() {
    for (body, code) in [
        (json!({ "tenant": "demo", "all": true }), 202),
        (json!({ "tenant": "demo", "site": "hq" }), 404),
        (json!({ "tenant": "demo", "site": "hq", "all": true }), 400),
        (json!({ "tenant": "demo" }), 400),
    ] {
        let edge = Scripted::that_answers(Ok(Done::Ending(3)));
        let api = Running::new(edge.clone());

        let answer = api.post("/v1/logout", &body);

        assert_eq!(answer.code, code, "{body}");
        if code == 202 {
            assert_eq!(answer.json(), json!({ "outcome": "ending", "seats": 3 }));
            let all = Command::LogOutAll { tenant: "demo".into(), site: None, now: false };
            assert_eq!(edge.asked(), [all]);
        }
    }
}

#[test]
fn a_log_out_waits_for_calls_unless_told_not_to() {
    for (body, now) in [
        (json!({ "tenant": "demo", "device": "desk-1" }), false),
        (json!({ "tenant": "demo", "device": "desk-1", "now": true }), true),
    ] {
        let seat = seat("demo", "desk-1", "1001");
        let done = if now { Done::LoggedOut(seat) } else { Done::Deferred(seat) };
        let edge = Scripted::that_answers(Ok(done));
        let api = Running::new(edge.clone());

        let answer = api.post("/v1/logout", &body);

        let expected = if now { (200, "logged-out") } else { (202, "deferred") };
        assert_eq!((answer.code, answer.json()["outcome"].as_str().unwrap()), expected);
        assert_eq!(edge.asked(), [Command::LogOut { tenant: "demo".into(), device: "desk-1".into(), now }]);
    }
}

#[test]
fn what_is_not_configured_is_not_found() {
    let edge = Scripted::new();
    let api = Running::new(edge.clone());

    for (path, body, error) in [
        ("/v1/login", json!({ "tenant": "acme", "device": "desk-1", "extension": "1001" }), "unknown-tenant"),
        ("/v1/login", log_in_of("desk-9", "1001"), "unknown-device"),
        ("/v1/login", log_in_of("desk-1", "9999"), "unknown-extension"),
        ("/v1/logout", json!({ "tenant": "acme", "device": "desk-1" }), "unknown-tenant"),
        ("/v1/logout", json!({ "tenant": "demo", "device": "desk-9" }), "unknown-device"),
    ] {
        let answer = api.post(path, &body);

        assert_eq!((answer.code, answer.error().as_str()), (404, error));
    }
    assert!(edge.asked().is_empty());
}

#[test]
fn refusals_have_a_status_that_tells_what_to_do() {
    for (refusal, code, error) in [
        (Refusal::SeatLimit, 409, "seat-limit"),
        (Refusal::DeviceOccupied, 409, "device-occupied"),
        (Refusal::DeviceDisabled, 409, "device-disabled"),
        (Refusal::ExtensionDisabled, 409, "extension-disabled"),
        (Refusal::EmergencyHold, 409, "emergency-hold"),
        (Refusal::NobodySits, 409, "nobody-sits"),
        (Refusal::UnknownExtension, 404, "unknown-extension"),
        (Refusal::UnknownDevice, 404, "unknown-device"),
        (Refusal::StoreUnavailable, 503, "store-unavailable"),
        (Refusal::Busy, 503, "busy"),
        (Refusal::SettingsChanged, 503, "settings-changed"),
    ] {
        let api = Running::new(Scripted::that_answers(Err(refusal)));

        let answer = api.post("/v1/login", &log_in_of("desk-1", "1001"));

        assert_eq!((answer.code, answer.error().as_str()), (code, error));
        assert_eq!(answer.head.contains("retry-after: 1"), code == 503, "{refusal:?}");
    }
}
