//! Locks and bans, the PINs that people chose, and the command line that asks for them.

use std::net::{SocketAddr, TcpListener};

use dataplane::input::Command;
use dataplane::output::Done;
use dataplane::refusal::Refusal;
use serde_json::json;

use super::super::client::{AskError, Client};
use super::{Running, Scripted};

#[test]
fn bans_are_listed_and_lifted() {
    let edge = Scripted::that_answers(Ok(Done::Pardoned));
    let api = Running::new(edge.clone());

    let answer = api.get("/v1/bans");
    let address = json!({ "address": "198.51.100.66", "reason": "sweep", "ends_in_seconds": 600 });
    let port = json!({ "address": "198.51.100.66", "port": 5062, "reason": "sweep", "ends_in_seconds": 9 });
    assert_eq!((answer.code, answer.json()), (200, json!({ "bans": [address, port] })));

    let answer = api.post("/v1/pardon", &json!({ "address": "198.51.100.66", "port": 5062 }));
    assert_eq!((answer.code, answer.json()), (200, json!({ "outcome": "pardoned" })));
    assert_eq!(edge.asked(), [Command::Pardon { address: [198, 51, 100, 66].into(), port: Some(5062) }]);
}

#[test]
fn locks_are_listed() {
    let api = Running::new(Scripted::new());

    let answer = api.get("/v1/locks");

    let everywhere = json!({ "tenant": "demo", "extension": "1001", "wrong": 4, "retry_after_seconds": 30 });
    let at_desk = json!({
        "tenant": "demo", "extension": "1001", "device": "desk-1", "wrong": 4, "retry_after_seconds": 30,
    });
    let at_phone = json!({
        "tenant": "demo", "extension": "1001", "phones_of": "1002", "wrong": 4, "retry_after_seconds": 30,
    });
    let at_guests = json!({
        "tenant": "demo", "extension": "1001", "phones_of": "1001", "device_tenant": "annex", "wrong": 4,
        "retry_after_seconds": 30,
    });
    let locks = json!({ "locks": [everywhere, at_desk, at_phone, at_guests] });
    assert_eq!((answer.code, answer.json()), (200, locks));
}

#[test]
fn command_line_asks_as_the_holder_of_a_token_and_hears_why_not() {
    let api = Running::new(Scripted::that_answers(Ok(Done::Unlocked)));
    let no = Running::new(Scripted::that_answers(Err(Refusal::UnknownExtension)));
    let ask = |address: SocketAddr, token: &str| {
        let client = Client::new(&format!("http://{address}"), token.to_owned().into()).unwrap();
        client.post("/v1/unlock", &json!({ "tenant": "demo", "extension": "1001" }))
    };
    let refused = |answer| match answer {
        Err(AskError::Refused { error, .. }) => error,
        other => panic!("{other:?}"),
    };

    assert_eq!(ask(api.address, "demo-token").unwrap(), json!({ "outcome": "unlocked" }));
    assert_eq!(&*refused(ask(api.address, "another")), "unauthorized");
    assert_eq!(&*refused(ask(no.address, "demo-token")), "unknown-extension");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(matches!(ask(closed, "demo-token"), Err(AskError::NoEdge { .. })));
    for url in ["https://127.0.0.1:8060", "127.0.0.1:8060", "http://", ""] {
        assert!(matches!(Client::new(url, String::new().into()), Err(AskError::Url(_))), "{url}");
    }
}

#[test]
fn pins_that_people_chose_are_listed_without_what_they_are() {
    let api = Running::new(Scripted::new());

    let (all, of_one) = (api.get("/v1/pins"), api.get("/v1/pins?tenant=demo"));

    let pin = |tenant, extension| json!({ "tenant": tenant, "extension": extension, "since": "2026-01-31T09:00:00.000Z" });
    let (guest, ann) = (pin("annex", "1001"), pin("demo", "1002"));
    assert_eq!((all.code, all.json()), (200, json!({ "pins": [guest, ann] })));
    assert_eq!((of_one.code, of_one.json()), (200, json!({ "pins": [ann] })));
    assert_eq!(api.get("/v1/pins?tenant=acme").error(), "unknown-tenant");
}

#[test]
fn an_extension_is_unlocked() {
    let edge = Scripted::that_answers(Ok(Done::Unlocked));
    let api = Running::new(edge.clone());

    let answer = api.post("/v1/unlock", &json!({ "tenant": "demo", "extension": "1001" }));

    assert_eq!((answer.code, answer.json()), (200, json!({ "outcome": "unlocked" })));
    api.post("/v1/unlock", &json!({ "tenant": "demo", "extension": "1001", "device": "desk-1" }));

    let at_visited = json!({
        "tenant": "demo", "extension": "1001", "device": "desk-1", "device_tenant": "annex",
    });
    api.post("/v1/unlock", &at_visited);
    let nowhere = json!({ "tenant": "demo", "extension": "1001", "device_tenant": "annex" });
    assert_eq!(api.post("/v1/unlock", &nowhere).error(), "malformed");

    let unlock = |device: Option<&str>, device_tenant: Option<&str>| Command::Unlock {
        tenant: "demo".into(),
        extension: "1001".into(),
        device: device.map(Into::into),
        device_tenant: device_tenant.map(Into::into),
    };
    let asked = [unlock(None, None), unlock(Some("desk-1"), None), unlock(Some("desk-1"), Some("annex"))];
    assert_eq!(edge.asked(), asked);
}

#[test]
fn what_is_not_locked_is_not_said_to_be_unlocked() {
    let api = Running::new(Scripted::that_answers(Err(Refusal::NotLocked)));

    let answer =
        api.post("/v1/unlock", &json!({ "tenant": "demo", "extension": "1001", "device": "desk-1" }));

    assert_eq!((answer.code, answer.error().as_str()), (409, "not-locked"));
}
