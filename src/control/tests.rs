//! The API over real sockets, in front of an edge that says what the test wants.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use dataplane::admission::bans::{Ban, Offence};
use dataplane::hotdesk::{Cause, Lock, NextEnd, Place, Seat, Surface};
use dataplane::input::Command;
use dataplane::now::Mono;
use dataplane::output::Done;
use dataplane::refusal::Refusal;
use dataplane::settings::{Device, Extension, Settings, Tenant, TenantParts, Timers};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::client::{AskError, Client};
use super::{Edge, routes, serve};
use crate::backend::store::{Health, Trail};
use crate::telemetry::metrics::Figures;

/// Longer than anything here takes; only a test that fails waits for it.
const DEADLINE: Duration = Duration::from_secs(20);

const TOKEN: &str = "Authorization: Bearer demo-token\r\n";

/// An edge that does what the test says.
#[derive(Clone)]
struct Scripted {
    settings: Arc<Settings>,
    seats: Vec<Arc<Seat>>,
    /// `None`: a worker that never answers.
    outcome: Option<Result<Done, Refusal>>,
    asked: Arc<Mutex<Vec<Command>>>,
    is_serving: Arc<AtomicBool>,
    store_is_reachable: bool,
    trail: Arc<Trail>,
}

impl Scripted {
    fn new() -> Self {
        let tenants = [("demo", &["desk-1", "desk-2"][..]), ("annex", &["lobby"]), ("other", &[])];
        let tenants = tenants.map(|(id, devices)| Arc::new(tenant(id, devices))).to_vec();
        Self {
            settings: Arc::new(Settings::new(1, "edge-1", Vec::new(), tenants, Timers::default(), true)),
            seats: Vec::new(),
            outcome: None,
            asked: Arc::default(),
            is_serving: Arc::new(AtomicBool::new(true)),
            store_is_reachable: true,
            trail: Trail::of_nobody(),
        }
    }

    fn that_answers(outcome: Result<Done, Refusal>) -> Self {
        Self { outcome: Some(outcome), ..Self::new() }
    }

    fn asked(&self) -> Vec<Command> {
        self.asked.lock().unwrap().clone()
    }
}

impl Edge for Scripted {
    fn bearer(&self, presented: &[u8]) -> Option<Box<str>> {
        (presented == b"demo-token").then(|| "demo".into())
    }

    async fn command(&self, _: Box<str>, command: Command) -> Result<Done, Refusal> {
        self.asked.lock().unwrap().push(command);
        match self.outcome.clone() {
            Some(outcome) => outcome,
            None => std::future::pending().await,
        }
    }

    fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings)
    }

    fn seats(&self) -> Vec<Arc<Seat>> {
        self.seats.clone()
    }

    fn locks(&self) -> Vec<Lock> {
        let lock = |device: Option<Place>| Lock {
            device,
            extension: Place::new("demo", "1001"),
            wrong: 4,
            retry_after: Duration::from_millis(29_001),
        };
        let at = |tenant, name| lock(Some(Place::new(tenant, name)));
        vec![lock(None), at("demo", "desk-1"), at("demo", "1002"), at("annex", "1001")]
    }

    fn pins(&self) -> Vec<(Place, u64)> {
        [("annex", "1001"), ("demo", "1002")].map(|(tenant, name)| (Place::new(tenant, name), NOW)).to_vec()
    }

    fn bans(&self) -> Vec<(Ban, Duration)> {
        let ban = |port| Ban {
            address: [198, 51, 100, 66].into(),
            port,
            offence: Offence::Sweep,
            until: Mono::from_seconds(600),
        };
        vec![(ban(None), Duration::from_millis(599_001)), (ban(Some(5062)), Duration::from_secs(9))]
    }

    fn address_of(&self, device: &Place) -> Option<SocketAddr> {
        (device.name() == "desk-1").then(|| "192.0.2.7:5060".parse().unwrap())
    }

    fn next_end(&self, seat: &Seat) -> Option<NextEnd> {
        (seat.device.name() == "lobby").then_some(NextEnd { at: NOW, cause: Cause::TimeOfDay })
    }

    fn wall(&self) -> u64 {
        NOW
    }

    fn is_serving(&self) -> bool {
        self.is_serving.load(Ordering::Relaxed)
    }

    fn figures(&self) -> Figures {
        Figures {
            store: Health { reachable: self.store_is_reachable, ..Health::default() },
            ..Figures::default()
        }
    }

    fn trail(&self) -> Arc<Trail> {
        Arc::clone(&self.trail)
    }
}

/// 2026-01-31T09:00:00Z.
const NOW: u64 = 1_769_850_000_000;

fn tenant(id: &str, devices: &[&str]) -> Tenant {
    let device = |id: &&str| Device { id: (*id).into(), name: (*id).into(), ..Device::default() };
    let extension = |number: &str, name: &str| Extension {
        number: number.into(),
        name: name.into(),
        ..Extension::default()
    };
    Tenant::new(TenantParts {
        id: id.into(),
        customer: if id == "other" { "other" } else { "acme" }.into(),
        domains: vec![format!("{id}.example").into()],
        devices: devices.iter().map(device).collect(),
        extensions: vec![extension("1001", "John Smith"), extension("1002", "Ann Lee")],
        ..TenantParts::default()
    })
}

fn seat(tenant: &str, device: &str, extension: &str) -> Seat {
    Seat {
        device: Place::new(tenant, device),
        extension: Place::new("demo", extension),
        epoch: 7,
        since: 1_769_847_300_250,
        surface: Surface::Dialled,
        until: None,
    }
}

/// The API on a port of its own, until dropped.
struct Running {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn new(edge: Scripted) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    ended = serve(listener, edge) => ended.unwrap(),
                    _ = stopped => (),
                }
            });
        });
        Self { address, stop: Some(stop), thread: Some(thread) }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    /// One request on a connection of its own.
    fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let mut stream = self.connect();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: edge\r\nConnection: close\r\nContent-Length: {length}\r\n"
        );
        // The edge may answer and close before it has read all of a request it refuses.
        let _ = stream.write_all(format!("{head}{headers}\r\n{body}").as_bytes());
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text);
        Answer::read(&String::from_utf8(text).unwrap())
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, TOKEN, "")
    }

    fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask("POST", path, TOKEN, &body.to_string())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking());
    }
}

#[derive(Debug)]
struct Answer {
    code: u16,
    head: String,
    body: String,
}

impl Answer {
    fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let code = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { code, head: head.to_ascii_lowercase(), body: body.into() }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn error(&self) -> String {
        self.json()["error"].as_str().unwrap().into()
    }
}

fn log_in_of(device: &str, extension: &str) -> Value {
    json!({ "tenant": "demo", "device": device, "extension": extension })
}

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

    let unlock = |device| Command::Unlock { tenant: "demo".into(), extension: "1001".into(), device };
    assert_eq!(edge.asked(), [unlock(None), unlock(Some("desk-1".into()))]);
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
