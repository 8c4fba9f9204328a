//! A wall clock that steps, as one does that was wrong and is set.

use bench::phone::{Message, Transport, connect, hang_up, parameter};

use super::call;
use crate::edge::{Edge, Plan, log_in_code, person};

const HOUR: i64 = 3600;
const YEAR: i64 = 365 * 24 * HOUR;

/// The seconds for which the contact in a 200 is bound.
fn bound_for(answer: &Message) -> u32 {
    parameter(answer.header("Contact").unwrap(), "expires").unwrap().parse().unwrap()
}

#[test]
fn an_hour_more_or_less_on_the_clock_ends_nothing_and_nothing_lives_for_ever() {
    let registration = "expires_default = \"900s\"\nexpires_max = \"900s\"";
    let mut edge = Edge::start(Plan { store: "embedded", plants: true, registration, ..Plan::default() });
    let mut caller = edge.taken_desk(Transport::Udp, 1);
    let mut callee = edge.taken_desk(Transport::Tcp, 2);
    let mut desk = edge.desk(Transport::Udp, 3);
    let mut softphone = edge.phone(Transport::Udp, person(4));
    assert_eq!(softphone.register(600).unwrap().status(), Some(200));

    let started = edge.metric("process_start_time_seconds");

    // Bindings of ten minutes, over steps of an hour.
    for step in [HOUR, -HOUR, 24 * HOUR, 0] {
        let (mut outgoing, _) = connect(&mut caller, &mut callee, "1002").unwrap();
        let stale = edge.metric("hotdesk_stale_nonces_total");
        edge.plant("wall-clock", &step.to_string());

        // The call of before is hung up, and the next reaches who registered before.
        assert_eq!(hang_up(&mut caller, &mut outgoing, &mut callee).unwrap().status(), Some(200), "{step} s");
        call(&mut caller, &mut softphone, "1004");
        // Whoever has a nonce is not asked anew, and is bound for as long as he wishes, or a little less.
        let refreshed = softphone.register(600).unwrap();
        assert!((300..=600).contains(&bound_for(&refreshed)), "{}", refreshed.text());
        assert_eq!(edge.metric("hotdesk_stale_nonces_total"), stale, "{step} s");
        assert_eq!(desk.dial_code(&log_in_code(3)).unwrap().status(), Some(200), "{step} s");
        assert_eq!(desk.dial_code("*12").unwrap().status(), Some(200), "{step} s");
        assert_eq!(edge.seats().len(), 2);
        assert_eq!(edge.metric("process_start_time_seconds"), started, "{step} s");
    }

    // What was stored comes back under a clock that is an hour behind, and for no longer than anybody is bound.
    edge.kill();
    edge.plant("wall-clock", &(-HOUR).to_string());
    edge.start_again();
    assert_eq!(edge.seats().len(), 2);
    call(&mut caller, &mut softphone, "1004");
    let query = softphone.draft_register(&person(4), 600).without("Contact").without("Expires");
    let bound = softphone.ask_as_itself(query).unwrap();
    assert!(bound_for(&bound) <= 900, "{}", bound.text());
}

#[test]
fn a_clock_that_is_years_ahead_takes_no_record_from_the_trail() {
    let mut edge = Edge::start(Plan { store: "embedded", plants: true, ..Plan::default() });
    edge.taken_desk(Transport::Udp, 1);

    // What is too old is looked for at the start, and the log-in that follows is written after that.
    edge.kill();
    edge.plant("wall-clock", &(10 * YEAR).to_string());
    edge.start_again();
    edge.taken_desk(Transport::Udp, 2);

    for extension in ["1001", "1002"] {
        let answer = edge.control.get(&format!("/v1/audit?extension={extension}")).unwrap();
        assert!(answer.body.contains("\"kind\":\"log-in\""), "{extension}: {}", answer.body);
    }
}
