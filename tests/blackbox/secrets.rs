//! What must not be written is not written: PINs, passwords, answers to digests, keys.
//!
//! The log of every edge of these tests is looked through for what all of them share, when it ends. The test here is of an
//! edge on which everything happens that a secret has a part in.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bench::certificates::{Authority, phone_believing};
use bench::control::Control;
use bench::deadline::Deadline;
use bench::phone::{Account, Direction, Message, Phone, Transport};
use hotdesk::backend::pin::hash;
use hotdesk::backend::pin::key::Key;
use hotdesk::backend::store::Embedded;
use md5::{Digest as _, Md5};

use crate::attendant::{ANNOUNCED, press, talk};
use crate::audit::{any_port, hook_server};
use crate::edge::{DOMAIN, Edge, PATIENCE, PEOPLE, PEPPER, Plan, desk, log_in_code, person, pin, pin_hash};

/// What every edge of these tests was given to keep.
fn shared() -> Vec<String> {
    let mut secrets = vec![PEPPER.to_owned(), "test-token".into()];
    for number in 1..=PEOPLE {
        secrets.extend([
            pin(number),
            pin_hash(number).into(),
            desk(number).password,
            person(number).password,
        ]);
    }
    secrets
}

/// Panics if `text` has anything in it that every edge was given to keep, or an answer to a challenge.
pub(crate) fn assert_none_in(text: &str) {
    for secret in shared().iter().map(String::as_str).chain(["response=\""]) {
        assert!(!text.contains(secret), "{secret} was written:\n{}", lines_with(secret, text));
    }
}

fn lines_with(secret: &str, text: &str) -> String {
    text.lines().filter(|line| line.contains(secret)).collect::<Vec<_>>().join("\n")
}

/// Answers to challenges, as phones gave them.
type Answers = Arc<Mutex<Vec<String>>>;

/// Has the answers of `phone` to challenges collected.
fn overhear(phone: &mut Phone, answers: &Answers) {
    let answers = Arc::clone(answers);
    phone.observe(Box::new(move |direction, message: &Message| {
        if direction == Direction::Sent {
            let credentials = ["Authorization", "Proxy-Authorization"].map(|name| message.header(name));
            let given = credentials.into_iter().flatten().filter_map(|header| {
                let (_, rest) = header.split_once("response=\"")?;
                rest.split('"').next()
            });
            answers.lock().unwrap().extend(given.map(str::to_owned));
        }
    }));
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// A PIN that opens every extension.
const MASTER_PIN: &str = "81726354";
/// What somebody chooses at a phone.
const CHOSEN_PIN: &str = "61524378";
/// What people type that is not their PIN, though perhaps that of something else.
const WRONG_PINS: [&str; 3] = ["90817263", "90817264", "90817265"];
const WRONG_PASSWORD: &str = "a-password-of-somewhere-else";
const HOOK_SECRET: &str = "a secret that the hook and the edge share";

/// An edge that says as much as it can, and has every kind of secret.
fn plan(authority: &Authority, hook: &str) -> Plan {
    let pepper = Key::new(PEPPER.as_bytes()).unwrap();
    let master = hash::hash_hmac(MASTER_PIN.as_bytes(), &pepper).unwrap();
    let more = format!(
        "[[tenant.pins.master]]\nname = \"night\"\nhash = \"{master}\"\n\n[log]\nlevel = \"trace\"\nformat = \"json\"\n\n\
         [audit]\nfile = \"audit.jsonl\"\n\n[[hook]]\nname = \"test\"\nurl = \"http://{hook}/\"\nsecret = {{ file = \"hook\" }}\n"
    );
    let plan = Plan { store: "embedded", plants: true, more: more.leak(), ..Plan::default() };
    let mut plan = plan.with_tls(&authority.host(&["edge.example"]), "");
    plan.files.push(("hook", HOOK_SECRET.into()));
    plan
}

/// The keys that the store in `file` holds, as they might be printed.
fn routing_keys(file: &Path) -> Vec<String> {
    let (_, _, secrets) = Embedded::open(file, |read| read).unwrap();
    assert!(!secrets.routing_keys.is_empty());
    let printed = |key: [u8; 32]| [hex(&key), format!("{key:?}"), STANDARD_NO_PAD.encode(key)];
    secrets.routing_keys.iter().flat_map(|key| printed(key.key)).collect()
}

/// Panics over messages with a PIN and an answer in them, in the dataplane and outside of it.
#[cfg(feature = "planted-faults")]
fn panic_over_secrets(edge: &Edge, phone: &mut Phone) {
    use bench::phone::Challenge;

    for fault in ["dataplane-panics", "worker-panics"] {
        let panics = edge.metric("hotdesk_worker_panics_total");
        edge.plant(fault, "deadly-subject");
        let (invite, account) = (phone.draft("INVITE", &log_in_code(1)), desk(1));
        let asked = phone.send(&invite, &account, None).unwrap();
        let mut challenge = Challenge::read(&phone.final_answer(&asked).unwrap()).unwrap();
        let deadly = invite.with("Subject", "deadly-subject");
        phone.send(&deadly, &account, Some(&mut challenge)).unwrap();
        edge.wait_for_metric("hotdesk_worker_panics_total", panics + 1.0);
        edge.mend(fault);
    }
}

#[test]
fn whatever_happens_no_secret_is_written() {
    let authority = Authority::new("us");
    let (hook, told) = hook_server(any_port());
    let plan = plan(&authority, &hook.to_string());
    let tls_key = plan.files.iter().find(|(name, _)| *name == "edge.key").unwrap().1.clone();
    let mut edge = Edge::start(plan);
    let answers = Answers::default();
    let overheard = |mut phone: Phone| {
        overhear(&mut phone, &answers);
        assert_eq!(phone.register(600).unwrap().status(), Some(200));
        phone
    };
    let mut dialling = overheard(edge.phone(Transport::Udp, desk(1)));
    let mut native = overheard(edge.phone(Transport::Tcp, desk(2)));
    let tls = Arc::new(phone_believing(authority.pem(), None));
    let mut private = overheard(Phone::over(edge.wire("edge.example", &tls).unwrap(), desk(3)).unwrap());

    // Log-ins by every way, with what is right, what is wrong, and what is in the wrong place.
    for code in [
        log_in_code(1),
        format!("*11*1001*{}", WRONG_PINS[0]),
        format!("*11*{}*1001", WRONG_PINS[1]),
        format!("*11*1001{}", WRONG_PINS[2]),
        format!("*19*1001*{}", pin(1)),
        pin(1),
        format!("*11*1001*{MASTER_PIN}"),
        format!("*12*1001*{}", pin(1)),
        format!("*14*1001*{}", pin(1)),
    ] {
        let mut call = dialling.dial(&code).unwrap();
        dialling.outcome(&mut call).unwrap();
    }
    private.dial_code(&log_in_code(3)).unwrap();
    assert_eq!(native.register_as(&person(2), 600).unwrap().status(), Some(200));
    let mistyped = Account { password: WRONG_PASSWORD.into(), ..person(4) };
    assert_ne!(native.register_as(&mistyped, 600).unwrap().status(), Some(200));
    let mut menu = overheard(edge.phone(Transport::Udp, desk(5)));
    let (mut call, _line) = talk(&mut menu, "*14*1005", false);
    press(&mut menu, &mut call, &format!("{}#{CHOSEN_PIN}#{CHOSEN_PIN}#", pin(5)));
    menu.set_patience(ANNOUNCED);
    menu.expect("BYE").unwrap();
    assert_eq!(menu.dial_code(&format!("*11*1005*{CHOSEN_PIN}")).unwrap().status(), Some(200));

    // The control API, with its token and with others.
    assert_eq!(edge.control.log_in("demo", "desk-6", "1006").unwrap().status, 200);
    assert_eq!(Control::new(edge.control_address(), WRONG_PASSWORD).get("/v1/seats").unwrap().status, 401);
    // A file that is refused, with the secrets beside the mistake.
    edge.rewrite(|text| text.replace("own_phones_max = 2", "own_phnes_max = 2"));
    edge.signal("HUP");
    edge.wait_for_log("configuration not reloaded");

    #[cfg(feature = "planted-faults")]
    panic_over_secrets(&edge, &mut dialling);

    // All that leaves the edge but by SIP.
    let mut out = String::new();
    for path in ["/metrics", "/ready", "/v1/seats", "/v1/audit?limit=1000", "/v1/locks", "/v1/pins"] {
        out += &edge.control.get(path).unwrap().body;
    }
    let deadline = Deadline::after(PATIENCE);
    while !out.contains("\"surface\":\"native\"") || !out.contains("POST /") {
        out += &told.recv_timeout(deadline.left().expect("the hook is told")).unwrap();
    }
    edge.signal("TERM");
    edge.wait_for_end();
    let log = edge.log_so_far();
    assert!(log.contains("\"level\":\"DEBUG\""), "{log}");
    #[cfg(feature = "planted-faults")]
    assert_eq!(log.matches("\"message\":\"panic\"").count(), 2, "{log}");
    out += &log;
    out += &fs::read_to_string(edge.file().with_file_name("audit.jsonl")).unwrap();

    assert_none_in(&out);
    let mut secrets: Vec<_> = [MASTER_PIN, CHOSEN_PIN, WRONG_PASSWORD, HOOK_SECRET].map(String::from).into();
    secrets.extend(WRONG_PINS.map(String::from));
    let answers = answers.lock().unwrap();
    assert!(answers.len() > 10, "{answers:?}");
    secrets.extend(answers.iter().cloned());
    for Account { user, password, .. } in (1..=PEOPLE).flat_map(|number| [desk(number), person(number)]) {
        secrets.push(hex(&Md5::digest(format!("{user}:{DOMAIN}:{password}"))));
    }
    secrets.extend(tls_key.lines().filter(|line| !line.starts_with("-----")).map(String::from));
    secrets.extend(routing_keys(&edge.file().with_file_name("var").join("hotdesk.db")));
    for secret in secrets {
        assert!(!out.contains(&secret), "{secret} was written:\n{}", lines_with(&secret, &out));
    }
}
