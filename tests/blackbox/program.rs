//! The program: its commands, its signals, its restarts.

use std::fs;

use bench::phone::{Challenge, Transport, connect, hang_up};

use crate::edge::{Edge, Plan, desk, hotdesk, log_in_code, person, pin_hash};

#[test]
fn check_says_what_is_good() {
    let edge = Edge::start(Plan::default());
    let file = edge.file();

    let checked = hotdesk(&["check", file.to_str().unwrap()], "");

    let said = String::from_utf8(checked.stdout).unwrap();
    assert!(checked.status.success(), "{said}");
    assert!(said.contains("good") && said.contains("9 devices, 9 extensions"), "{said}");
    // A tenant without a route for emergency calls is worth a warning.
    assert!(String::from_utf8(checked.stderr).unwrap().contains("emergency"));
}

#[test]
fn check_shows_every_error_of_a_broken_file_at_once() {
    let edge = Edge::start(Plan::default());
    edge.rewrite(|text| {
        text.replace("workers = 2", "wrokers = 2")
            .replace("kind = \"memory\"", "kind = \"memroy\"")
            .replace("id = \"desk-2\"", "id = \"desk-1\"")
    });
    let file = edge.file();

    let checked = hotdesk(&["check", file.to_str().unwrap()], "");

    let said = String::from_utf8(checked.stdout).unwrap();
    let shown = String::from_utf8(checked.stderr).unwrap();
    assert_eq!(checked.status.code(), Some(1), "{said}");
    assert!(said.contains("refused, 3 errors"), "{said}");
    for word in ["wrokers", "memroy", "desk-1"] {
        assert!(shown.contains(word), "{word} in {shown}");
    }
    assert!(!shown.contains("-secret"), "{shown}");
}

#[test]
fn check_says_why_the_store_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("edge.toml");
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/configs/quickstart.toml"), &file).unwrap();
    fs::create_dir(dir.path().join("var")).unwrap();
    fs::write(dir.path().join("var/hotdesk.db"), "no database").unwrap();

    let checked = hotdesk(&["check", file.to_str().unwrap()], "");

    let said = String::from_utf8(checked.stdout).unwrap();
    assert!(said.contains("the store cannot be read: the database failed: "), "{said}");
}

#[test]
fn a_broken_or_missing_file_is_not_run() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("edge.toml");
    fs::write(&file, "[edge]\nname = 7\n").unwrap();

    for path in [file, dir.path().join("nothing.toml")] {
        let ran = hotdesk(&["run", path.to_str().unwrap()], "");
        assert_eq!(ran.status.code(), Some(1));
        assert!(!ran.stderr.is_empty());
    }
}

#[test]
fn a_second_edge_on_the_same_ports_does_not_start() {
    let mut edge = Edge::start(Plan::default());
    edge.pin_ports();

    let second = hotdesk(&["run", edge.file().to_str().unwrap()], "");

    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains(&edge.address(Transport::Udp).to_string()), "{said}");
}

#[test]
fn hash_pin_takes_a_pin_from_a_pipe() {
    let hashed = hotdesk(&["hash-pin"], "7738\n");
    let refused = hotdesk(&["hash-pin"], "seven\n");

    let hash = String::from_utf8(hashed.stdout).unwrap();
    assert!(hashed.status.success());
    assert!(hash.starts_with("$argon2id$v=19$"), "{hash}");
    assert!(hotdesk::backend::pin::hash::verify(hash.trim_end(), b"7738", None).unwrap());
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("digits") && !said.contains("seven"), "{said}");
}

#[test]
fn a_pin_hashed_under_a_new_pepper_counts_after_a_reload() {
    let mut edge = Edge::start(Plan::default());
    let mut phone = edge.desk(Transport::Udp, 1);
    let pepper = edge.file().with_file_name("new-pepper");
    let pepper = pepper.to_str().unwrap();

    let made = hotdesk(&["make-pepper", pepper], "");
    let again = hotdesk(&["make-pepper", pepper], "");
    let hashed = hotdesk(&["hash-pin", "--pepper", pepper], "7738\n");
    let hash = String::from_utf8(hashed.stdout).unwrap();
    edge.rewrite(|text| {
        text.replace("{ file = \"pepper\" }", "{ file = \"new-pepper\" }")
            .replace(pin_hash(1), hash.trim_end())
    });
    let checked = hotdesk(&["check", edge.file().to_str().unwrap()], "");
    edge.signal("HUP");
    edge.wait_for_log("configuration reloaded");

    assert!(made.status.success() && checked.status.success());
    assert_eq!(again.status.code(), Some(1));
    assert!(hash.starts_with("$hmac-sha256$k=1$"), "{hash}");
    assert_eq!(phone.dial_code(&log_in_code(1)).unwrap().status(), Some(403));
    assert_eq!(phone.dial_code("*11*1001*7738").unwrap().status(), Some(200));
}

#[test]
fn a_reload_applies_a_good_file_and_ends_no_call() {
    let mut edge = Edge::start(Plan::default());
    let mut caller = edge.taken_desk(Transport::Udp, 1);
    let mut callee = edge.taken_desk(Transport::Tcp, 2);
    let (mut outgoing, _incoming) = connect(&mut caller, &mut callee, "1002").unwrap();

    edge.rewrite(|text| text.replace("name = \"Person 2\"", "name = \"Somebody Else\""));
    edge.signal("HUP");
    edge.wait_for_log("configuration reloaded");

    let seats = edge.control.seats().unwrap();
    assert_eq!(seats.iter().map(|seat| &*seat.name).collect::<Vec<_>>(), ["Person 1", "Somebody Else"]);
    assert_eq!(hang_up(&mut caller, &mut outgoing, &mut callee).unwrap().status(), Some(200));
}

#[test]
fn a_reload_refuses_a_bad_file_whole() {
    let mut edge = Edge::start(Plan::default());
    let _phone = edge.taken_desk(Transport::Udp, 1);

    // One good change and one error; one good change and one that needs a new start.
    let errors =
        [("name = \"Person 2\"", "nmae = \"Person 2\""), ("kind = \"memory\"", "kind = \"embedded\"")];
    for (refused, error) in (1..).zip(errors) {
        edge.rewrite(|text| text.replace("Person 1", "Somebody Else").replace(error.0, error.1));
        edge.signal("HUP");
        edge.wait_for_log("configuration not reloaded");
        assert_eq!(edge.control.seats().unwrap()[0].name, "Person 1");
        assert_eq!(edge.metric("hotdesk_reloads_total"), f64::from(refused));
    }
}

#[test]
fn a_device_that_is_removed_loses_its_seat() {
    let mut edge = Edge::start(Plan::default());
    let mut phone = edge.taken_desk(Transport::Udp, 1);

    edge.rewrite(|text| text.replace("id = \"desk-1\"", "id = \"desk-0\""));
    edge.signal("HUP");
    edge.wait_for_log("configuration reloaded");
    edge.wait_for_everybody_gone();

    assert_eq!(phone.register(600).unwrap().status(), Some(401));
}

#[test]
fn a_terminated_edge_ends_in_order_and_comes_back_as_it_was() {
    let mut edge = Edge::start(Plan { store: "embedded", ..Plan::default() });
    let mut caller = edge.taken_desk(Transport::Udp, 1);
    let mut callee = edge.desk(Transport::Udp, 2);
    callee.dial_code(&log_in_code(2)).unwrap();
    let mut softphone = edge.phone(Transport::Udp, person(3));
    softphone.register(600).unwrap();

    edge.signal("TERM");
    assert!(edge.wait_for_end().success());
    edge.start_again();

    // Without a new registration: seats, bindings and the keys of calls are those of before.
    assert_eq!(edge.seats(), [("desk-1".into(), "1001".into()), ("desk-2".into(), "1002".into())]);
    let (mut call, _) = connect(&mut caller, &mut callee, "1002").unwrap();
    assert_eq!(hang_up(&mut caller, &mut call, &mut callee).unwrap().status(), Some(200));
    let (mut call, _) = connect(&mut caller, &mut softphone, "1003").unwrap();
    assert_eq!(hang_up(&mut caller, &mut call, &mut softphone).unwrap().status(), Some(200));
}

#[test]
fn a_call_outlives_a_restart() {
    let mut edge = Edge::start(Plan { store: "embedded", ..Plan::default() });
    let mut caller = edge.taken_desk(Transport::Udp, 1);
    let mut callee = edge.taken_desk(Transport::Udp, 2);
    let (mut outgoing, _incoming) = connect(&mut caller, &mut callee, "1002").unwrap();

    edge.kill();
    edge.start_again();

    assert_eq!(hang_up(&mut caller, &mut outgoing, &mut callee).unwrap().status(), Some(200));
}

#[test]
fn a_nonce_of_before_a_restart_is_stale_and_not_wrong() {
    let mut edge = Edge::start(Plan { store: "embedded", ..Plan::default() });
    let mut phone = edge.phone(Transport::Udp, desk(1));
    let first = phone.draft_register(&desk(1), 600);
    let sent = phone.send(&first, &desk(1), None).unwrap();
    let mut challenge = Challenge::read(&phone.final_answer(&sent).unwrap()).unwrap();

    edge.kill();
    edge.start_again();
    let again = phone.draft_register(&desk(1), 600);
    let sent = phone.send(&again, &desk(1), Some(&mut challenge)).unwrap();
    let answer = phone.final_answer(&sent).unwrap();

    assert_eq!(answer.status(), Some(401));
    assert!(answer.header("WWW-Authenticate").unwrap().contains("stale=true"), "{}", answer.text());
    assert_eq!(phone.register(600).unwrap().status(), Some(200));
}
