//! Challenges of gateways: which are answered, with what, and which are not.

use std::sync::Arc;

use dataplane::settings::PeerAccount;
use dataplane::testing::{Door, Manner, Office};

use super::{OUTSIDE, account, asked_and_answered, assert_in_order, office, office_with};
use crate::{last_answer, last_heard, seconds};

fn let_in(office: &Office, gateway: &str) -> u32 {
    office[gateway].door.as_ref().expect("a door").let_in
}

#[test]
fn challenge_is_answered_and_the_phone_hears_nothing_of_it() {
    for (of_proxy, counts) in [(false, true), (true, true), (false, false)] {
        let mut office = office();
        let door = office["first"].door.as_mut().expect("a door");
        (door.of_proxy, door.counts) = (of_proxy, counts);

        let call = office.call("desk-1", OUTSIDE);

        assert_eq!(office.outcome(call), Some(200));
        assert_eq!(office["first"].requests("INVITE").len(), 2);
        assert_eq!(office["first"].requests("ACK").len(), 2, "of the challenge, and of the answer");
        let invite = last_heard(&office, "first", "INVITE");
        assert_eq!(invite.header("Max-Forwards"), Some("69"));
        assert_eq!(invite.header("P-Asserted-Identity"), Some("<sip:+12125551001@demo.hotdesk>"));
        for answer in office["desk-1"].responses_to("INVITE") {
            assert!(!answer.text.contains("pbx.example"), "{}", answer.text);
        }
        office.hang_up(call);
        assert_eq!(office["first"].up(), 0);
        assert_in_order(&office, "first");
        assert_eq!(office.counters().outside_calls, 1, "one call, however often it was sent");
        assert!(office["second"].heard().is_empty());
    }
}

#[test]
fn credentials_are_sent_ahead_from_the_second_request_on() {
    let mut office = office();
    let first = office.call("desk-1", OUTSIDE);
    office.hang_up(first);
    assert_eq!(asked_and_answered(&office, "first", "INVITE"), (2, 1));
    assert_eq!(asked_and_answered(&office, "first", "BYE"), (1, 1));

    let second = office.call("desk-1", OUTSIDE);

    assert_eq!(office.outcome(second), Some(200));
    assert_eq!(asked_and_answered(&office, "first", "INVITE"), (3, 2));
    let credentials = last_heard(&office, "first", "INVITE");
    assert!(credentials.header("Authorization").is_some_and(|it| it.contains("nc=00000003")));
    let ack = last_heard(&office, "first", "ACK");
    assert_eq!(ack.header("Authorization"), credentials.header("Authorization"), "§22.1");
    office.hang_up(second);
    assert_in_order(&office, "first");
}

#[test]
fn nonce_that_is_too_old_is_replaced_and_the_call_goes_on() {
    let mut office = office();
    office["first"].door.as_mut().expect("a door").uses_max = 1;

    for round in 0..3 {
        let call = office.call("desk-1", OUTSIDE);
        assert_eq!(office.outcome(call), Some(200), "{round}");
        assert_eq!(office.ask_within(call, "INFO", |_| {}), Some(200), "{round}");
        office.hang_up(call);
    }

    assert_in_order(&office, "first");
    assert_eq!(
        asked_and_answered(&office, "first", "INFO"),
        (6, 6),
        "each with the old nonce, then with the new"
    );
    assert_eq!(office["first"].up(), 0);
}

#[test]
fn next_nonce_of_a_peer_spares_its_challenge() {
    let mut office = office();
    let door = office["first"].door.as_mut().expect("a door");
    (door.uses_max, door.renews) = (1, true);
    let call = office.call("desk-1", OUTSIDE);
    // A 200 to an INVITE says nothing of it here, so the first of these is challenged.
    office.ask_within(call, "INFO", |_| {});
    office["first"].forget();

    for _ in 0..3 {
        assert_eq!(office.ask_within(call, "INFO", |_| {}), Some(200));
    }

    assert_eq!(asked_and_answered(&office, "first", "INFO"), (3, 3));
    assert!(last_answer(&office, "desk-1", "INFO").header("Authentication-Info").is_none());
}

#[test]
fn wrong_password_is_refused_to_the_phone_without_a_challenge() {
    let mut office = office_with(|blueprint| blueprint.tenants[0].routes[0].account = account("wrong"));

    let call = office.call("desk-1", OUTSIDE);

    assert_eq!(office.outcome(call), Some(403));
    assert_eq!(asked_and_answered(&office, "first", "INVITE"), (2, 1), "once is enough");
    let answer = last_answer(&office, "desk-1", "INVITE");
    assert!(
        answer.header("Warning").is_some_and(|warning| warning.starts_with("399 hotdesk")),
        "{}",
        answer.text
    );
    assert!(!answer.text.contains("Authenticate"), "{}", answer.text);
    let counters = office.counters();
    assert_eq!((counters.peer_challenges_answered, counters.peer_challenges_refused), (1, 1));
    assert!(office["second"].heard().is_empty(), "it has the same account");
    let again = office.call("desk-1", OUTSIDE);
    assert_eq!(office.outcome(again), Some(403), "and nothing counts as up");
}

#[test]
fn next_gateway_is_tried_no_later_for_a_challenge() {
    for (manner, outcome) in [(Manner::Refuses(503), 200), (Manner::Refuses(486), 486), (Manner::Silent, 200)]
    {
        let mut office = office();
        let warm_up = office.call("desk-1", OUTSIDE);
        office.hang_up(warm_up);
        office["first"].manner = manner;
        office["first"].door.as_mut().expect("a door").uses_max = 1;
        let before = office.clock();

        let call = office.call("desk-1", OUTSIDE);
        office.advance(seconds(5));

        assert_eq!(office.outcome(call), Some(outcome), "{manner:?}");
        assert!(office.clock().since(before) < seconds(6), "{manner:?}");
        if outcome == 200 {
            assert_eq!(asked_and_answered(&office, "second", "INVITE"), (2, 1), "{manner:?}");
            office.hang_up(call);
            assert_in_order(&office, "second");
        }
    }
}

#[test]
fn challenges_find_their_request_at_any_worker() {
    let mut office = office_with(|blueprint| blueprint.workers = 2);
    for (gateway, desk) in [(0, 1), (1, 0), (0, 0), (1, 1)] {
        office.at_worker("first", gateway).at_worker("desk-1", desk);
        let call = office.call("desk-1", OUTSIDE);
        assert_eq!(office.outcome(call), Some(200));
        // The phone's address has changed, or that of the NAT before it.
        office.at_worker("desk-1", 1 - desk);
        assert_eq!(office.invite_again(call, |_| {}), Some(200));
        office.hang_up(call);
        assert_eq!(office["first"].up(), 0);
    }

    assert_in_order(&office, "first");
}

#[test]
fn reload_forgets_what_was_asked_and_keeps_the_numbers() {
    let mut office = office();
    let call = office.call("desk-1", OUTSIDE);

    // The gateway asks no longer, or so the operator believes.
    office.reconfigure(|blueprint| {
        blueprint.tenants[0].routes[0].account = None;
        blueprint.tenants[0].emergency.account = None;
    });
    assert_eq!(office.ask_within(call, "INFO", |_| {}), Some(403));
    office["first"].door = None;
    office.hang_up(call);

    assert_eq!(office["first"].up(), 0);
    assert_in_order(&office, "first");
}

#[test]
fn challenge_of_another_realm_is_not_answered() {
    let mut office = office_with(|blueprint| {
        let account = PeerAccount {
            username: "acme".into(),
            password: String::from("secret").into(),
            realm: Some("pbx.example".into()),
        };
        blueprint.tenants[0].routes[0].account = Some(Arc::new(account));
    });
    office["first"].door.as_mut().expect("a door").realm = "behind.example".into();

    let call = office.call("desk-1", OUTSIDE);

    assert_eq!(office.outcome(call), Some(403));
    assert_eq!(asked_and_answered(&office, "first", "INVITE"), (1, 0));
}

#[test]
fn challenge_of_a_stranger_or_a_phone_is_not_answered() {
    let mut office = office();
    office.peer("stranger", "198.51.100.66:5060");
    office["first"].manner = Manner::Silent;
    let call = office.dial("desk-1", OUTSIDE);
    office.settle();
    let invite = last_heard(&office, "first", "INVITE");
    let header = |name| format!("{name}: {}\r\n", invite.headers(name).join(", "));
    let copied: String = ["Via", "From", "To", "Call-ID", "CSeq"].into_iter().map(header).collect();
    let challenge = "WWW-Authenticate: Digest realm=\"pbx.example\",nonce=\"x\",qop=\"auth\"";
    let response = format!("SIP/2.0 401 Unauthorized\r\n{copied}{challenge}\r\nContent-Length: 0\r\n\r\n");

    office.throw("stranger", response.as_bytes());

    assert_eq!(office.outcome(call), Some(403));
    assert_eq!(asked_and_answered(&office, "first", "INVITE"), (1, 0));
    assert!(office["stranger"].requests("INVITE").is_empty());

    office["desk-2"].door = Some(Door::new("acme", "secret"));
    office.log_in("1002", "desk-2");
    let call = office.call("desk-1", "1002");
    assert_eq!(office.outcome(call), Some(403));
    assert_eq!(asked_and_answered(&office, "desk-2", "INVITE"), (1, 0));
}

#[test]
fn no_password_and_no_answer_is_printed() {
    let mut office = office();
    office.listen();
    let call = office.call("desk-1", OUTSIDE);
    office.hang_up(call);
    let failed = office.call("desk-1", "112");
    office.hang_up(failed);

    let credentials = last_heard(&office, "first", "INVITE");
    let response = credentials.header("Authorization").and_then(|it| it.split("response=\"").nth(1));
    let response = response.and_then(|it| it.split('"').next()).expect("a response");
    let overheard = office.overheard.take().expect("it listened");
    let shown = format!("{overheard}{:?}{:?}", office.settings(), office.tables());
    assert!(!shown.contains("secret\"") && !shown.contains(response), "{shown}");
    assert!(let_in(&office, "first") > 0);
}
