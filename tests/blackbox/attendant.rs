//! The attendant as the person at a phone has it: by the sound that comes, and the keys that go.

use std::path::Path;

use bench::phone::{Call, Phone, Transport};
use bench::sound::{Ear, Line};

use crate::edge::{Edge, PATIENCE, Plan, log_in_code, pin};

/// Longest that anything is said, and as much again.
pub(crate) const ANNOUNCED: std::time::Duration = PATIENCE.saturating_mul(3);

fn ear() -> Ear {
    Ear::knowing(&Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/prompts/en")).unwrap()
}

/// Calls a code, and has the attendant on the line.
pub(crate) fn talk(phone: &mut Phone, code: &str, events: bool) -> (Call, Line) {
    let mut line = Line::open(phone.address().ip()).unwrap();
    let invite = phone.draft("INVITE", code).with_body("application/sdp", &line.offer(events));
    let mut call = phone.dial_with(invite).unwrap();
    let answer = phone.outcome(&mut call).unwrap();
    assert_eq!(answer.status(), Some(200), "{}", answer.text());
    line.connect(&answer).unwrap();
    (call, line)
}

/// Presses keys by SIP INFO.
pub(crate) fn press(phone: &mut Phone, call: &mut Call, keys: &str) {
    let account = phone.account().clone();
    for key in keys.chars() {
        let body = format!("Signal={key}\r\nDuration=160\r\n");
        let info = call.request("INFO").with_body("application/dtmf-relay", &body);
        let sent = phone.send(&info, &account, None).unwrap();
        assert_eq!(phone.final_answer(&sent).unwrap().status(), Some(200));
    }
}

#[test]
fn a_person_logs_in_by_keys_in_the_sound_and_hears_the_right_prompts() {
    let (edge, ear) = (Edge::start(Plan::default()), ear());
    let mut phone = edge.desk(Transport::Udp, 1);

    let (_, mut line) = talk(&mut phone, "*11", true);
    line.listen(&ear, ANNOUNCED, |said| said == "enter-extension").unwrap();
    line.press("1001#").unwrap();
    line.listen(&ear, ANNOUNCED, |said| said.ends_with("enter-pin")).unwrap();
    line.press(&format!("{}#", pin(1))).unwrap();
    line.listen(&ear, ANNOUNCED, |said| said.ends_with("goodbye")).unwrap();
    phone.expect("BYE").unwrap();

    let said = line.all(&ear).unwrap();
    assert_eq!(said, "enter-extension enter-pin logged-in 1 0 0 1 phone-reloads goodbye");
    assert_eq!(edge.seats(), [("desk-1".into(), "1001".into())]);
    // The phone reloads when its call is over.
    phone.expect("NOTIFY").unwrap();
}

#[test]
fn a_person_logs_in_by_keys_in_info_after_a_wrong_pin() {
    let (edge, ear) = (Edge::start(Plan::default()), ear());
    let mut phone = edge.desk(Transport::Udp, 1);

    let (mut call, mut line) = talk(&mut phone, "*11", false);
    line.listen(&ear, ANNOUNCED, |said| said == "enter-extension").unwrap();
    press(&mut phone, &mut call, "1001#");
    line.listen(&ear, ANNOUNCED, |said| said.ends_with("enter-pin")).unwrap();
    press(&mut phone, &mut call, "9999#");
    line.listen(&ear, ANNOUNCED, |said| said.ends_with("wrong enter-extension")).unwrap();
    assert_eq!(edge.seats(), []);
    press(&mut phone, &mut call, "1001#");
    line.listen(&ear, ANNOUNCED, |said| said.ends_with("enter-pin")).unwrap();
    press(&mut phone, &mut call, &format!("{}#", pin(1)));
    line.listen(&ear, ANNOUNCED, |said| said.ends_with("goodbye")).unwrap();
    phone.expect("BYE").unwrap();

    assert_eq!(
        line.all(&ear).unwrap(),
        "enter-extension enter-pin wrong enter-extension enter-pin logged-in 1 0 0 1 phone-reloads goodbye"
    );
    assert_eq!(edge.seats(), [("desk-1".into(), "1001".into())]);
}

#[test]
fn a_pin_that_was_changed_at_a_phone_outlives_a_power_cut() {
    let (mut edge, ear) = (Edge::start(Plan { store: "embedded", ..Plan::default() }), ear());
    let mut phone = edge.desk(Transport::Udp, 1);

    let (_, mut line) = talk(&mut phone, "*14*1001", true);
    for (question, keys) in [("enter-pin", &*pin(1)), ("enter-new-pin", "2580"), ("new-pin-again", "2580")] {
        line.listen(&ear, ANNOUNCED, |said| said.ends_with(question)).unwrap();
        line.press(&format!("{keys}#")).unwrap();
    }
    line.listen(&ear, ANNOUNCED, |said| said.ends_with("goodbye")).unwrap();
    phone.expect("BYE").unwrap();
    edge.kill();
    edge.start_again();

    assert_eq!(line.all(&ear).unwrap(), "enter-pin enter-new-pin new-pin-again pin-changed goodbye");
    assert_eq!(phone.dial_code(&log_in_code(1)).unwrap().status(), Some(403));
    assert_eq!(phone.dial_code("*11*1001*2580").unwrap().status(), Some(200));
    assert_eq!(edge.seats(), [("desk-1".into(), "1001".into())]);
}
