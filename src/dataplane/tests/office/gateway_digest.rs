//! Gateways that ask who the edge is: challenges are answered, and the numbers of the dialog hold (RFC 3261 §22.2).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dataplane::settings::{LocationForm, Peer, PeerAccount, Route};
use dataplane::testing::{Blueprint, CallState, Door, Draft, Leg, Manner, Office, Quality};

use crate::{SEED, last_answer, last_heard, seconds};

const FIRST: &str = "198.51.100.1:5060";
const SECOND: &str = "198.51.100.2:5060";
const PSAP: &str = "198.51.100.112:5060";
const OUTSIDE: &str = "02125557000";

fn account(password: &str) -> Option<Arc<PeerAccount>> {
    let password = String::from(password).into();
    Some(Arc::new(PeerAccount { username: "acme".into(), password, realm: None }))
}

fn peer(uri: &str, address: &str) -> Peer {
    Peer { uri: uri.into(), addresses: vec![address.parse().expect("an address")] }
}

/// A route of two gateways, and the emergency route, all of which know the edge as `acme`. 1001 sits at desk-1.
fn office_with(change: impl FnOnce(&mut Blueprint)) -> Office {
    let mut office = Office::with(SEED, |blueprint| {
        blueprint.tenants[0].routes = vec![Route {
            prefix: "0".into(),
            peers: vec![peer("sip:first.example", FIRST), peer("sip:second.example", SECOND)],
            account: account("secret"),
            strip: 1,
            prepend: "+1".into(),
            caller: Some("+12125551000".into()),
            no_answer: seconds(4),
        }];
        let emergency = &mut blueprint.tenants[0].emergency;
        emergency.routes = vec![peer("sip:first.example", FIRST), peer("sip:psap.example", PSAP)];
        emergency.account = account("secret");
        blueprint.extension("1001").numbers = vec!["+12125551001".into()];
        blueprint.extension("1001").caller = Some("+12125551001".into());
        change(blueprint);
    });
    office.peer("first", FIRST).peer("second", SECOND).peer("psap", PSAP);
    for gateway in ["first", "second", "psap"] {
        office[gateway].door = Some(Door::new("acme", "secret"));
    }
    office.plug_in("desk-1").plug_in("desk-2");
    office.log_in("1001", "desk-1");
    office
}

fn office() -> Office {
    office_with(|_| {})
}

fn number(cseq: &str) -> u32 {
    cseq.split(' ').next().and_then(|number| number.parse().ok()).expect("a number")
}

/// What a gateway must find in every dialog: each request above all before (§12.2.2), but for ACK and CANCEL, which
/// have the number of their INVITE; and in those of the phone every answer with the number of its request.
fn assert_in_order(office: &Office, gateway: &str) {
    let mut last: BTreeMap<&str, u32> = BTreeMap::new();
    let mut invites: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for request in office[gateway].heard().iter().filter(|heard| heard.status().is_none()) {
        let call_id = request.header("Call-ID").expect("a Call-ID");
        let cseq = request.header("CSeq").map(number).expect("a CSeq");
        if matches!(request.method(), "ACK" | "CANCEL") {
            assert!(invites[call_id].contains(&cseq), "{}", request.text);
            continue;
        }
        assert!(last.insert(call_id, cseq) < Some(cseq), "{}", request.text);
        if request.method() == "INVITE" {
            invites.entry(call_id).or_default().push(cseq);
        }
    }
}

/// Requests of a method that a gateway heard, and how many of them brought credentials.
fn asked_and_answered(office: &Office, gateway: &str, method: &str) -> (usize, usize) {
    let requests = office[gateway].requests(method);
    let answered = requests.iter().filter(|request| request.header("Authorization").is_some());
    (requests.len(), answered.count())
}

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
fn answers_have_the_numbers_of_the_phones_requests() {
    let mut office = office();

    let call = office.call("desk-1", OUTSIDE);
    office.ask_within(call, "INFO", |_| {});
    office.hang_up(call);

    for method in ["INVITE", "INFO", "BYE"] {
        let sent = office["desk-1"].last_sent(method);
        let sent = sent.split("CSeq: ").nth(1).map(number).expect("a CSeq");
        let answer = last_answer(&office, "desk-1", method);
        assert_eq!(answer.header("CSeq"), Some(&*format!("{sent} {method}")), "{}", answer.text);
        assert!(number(last_heard(&office, "first", method).header("CSeq").expect("a CSeq")) > sent);
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
fn requests_within_the_dialog_are_challenged_and_answered_from_both_sides() {
    let mut office = office();
    office["first"].door.as_mut().expect("a door").uses_max = 1;
    let call = office.call("desk-1", OUTSIDE);
    let there = office.last_call("first");

    assert_eq!(office.invite_again(call, |_| {}), Some(200));
    assert_eq!(office.ask_within(call, "UPDATE", |_| {}), Some(200));
    assert_eq!(office.invite_again(there, |_| {}), Some(200));
    assert_eq!(office.invite_again(call, |_| {}), Some(200));
    let invite = last_heard(&office, "desk-1", "INVITE");
    assert_eq!(invite.header("CSeq"), Some("1 INVITE"), "the peer's own numbers pass as they are");
    office.advance(seconds(40));
    assert_eq!(office.leg(call).state, CallState::Up, "every 200 was acknowledged");
    office.hang_up(call);

    assert_eq!(office.leg(there).state, CallState::Over);
    assert_in_order(&office, "first");
    assert_eq!(asked_and_answered(&office, "first", "BYE"), (2, 2));
    assert_eq!(office["desk-1"].responses_to("BYE").len(), 1);
}

#[test]
fn call_of_a_peer_is_hung_up_by_a_bye_that_it_challenges() {
    let mut office = office();
    let call = office.call("first", "+12125551001");
    let there = office.last_call("desk-1");
    assert_eq!(office.outcome(call), Some(200));

    assert_eq!(office.invite_again(there, |_| {}), Some(200));
    office.hang_up(there);

    assert_eq!(office.leg(call).state, CallState::Over);
    assert_eq!(asked_and_answered(&office, "first", "INVITE"), (2, 1));
    assert_eq!(last_heard(&office, "first", "BYE").header("CSeq"), Some("8 BYE"), "4 · 2 + 0");
    assert_in_order(&office, "first");
}

#[test]
fn phone_with_high_numbers_can_call_and_be_called() {
    let mut office = office();
    for (first, expected) in [((1 << 29) + 5, "20 INVITE"), ((1 << 31) - 2, "536870904 INVITE")] {
        office["first"].forget();
        office["desk-1"].first_cseq = first;
        let call = office.call("desk-1", OUTSIDE);
        assert_eq!(office.outcome(call), Some(200));
        assert_eq!(office["first"].requests("INVITE")[0].header("CSeq"), Some(expected));
        office.hang_up(call);
        assert_eq!(office["first"].up(), 0);
        assert_in_order(&office, "first");
    }
}

/// Sends a PRACK for the 180 that a phone heard last, with its number.
fn acknowledge_ringing(office: &mut Office, call: Leg, invite: u32) -> Option<u16> {
    let ringing = last_answer(office, "desk-1", "INVITE");
    assert_eq!(ringing.status(), Some(180));
    let header = |name| ringing.header(name).expect("a 180 has it").to_owned();
    let (to, routes) = (header("To"), header("Record-Route"));
    office.ask_within(call, "PRACK", |prack| {
        prack.set("To", &to).add("Route", &routes).add("RAck", &format!("7 {invite} INVITE"));
    })
}

#[test]
fn prack_names_the_invite_by_its_number_at_the_peer() {
    let mut office = office();
    office["first"].manner = Manner::Rings;
    let call = office.call("desk-1", OUTSIDE);
    let sent = office["desk-1"].last_sent("INVITE").split("CSeq: ").nth(1).map(number).expect("a CSeq");

    assert_eq!(acknowledge_ringing(&mut office, call, sent), Some(200));

    let invite = last_heard(&office, "first", "INVITE").header("CSeq").map(number).expect("a CSeq");
    let prack = last_heard(&office, "first", "PRACK");
    assert_eq!(prack.header("RAck"), Some(&*format!("7 {invite} INVITE")));
    office.pick_up("first");
    office.settle();
    assert_eq!(office.outcome(call), Some(200));
    office.hang_up(call);
    assert_in_order(&office, "first");
}

#[test]
fn caller_who_gives_up_at_any_moment_leaves_nothing_behind() {
    for half_milliseconds in 1..24 {
        for manner in [Manner::Rings, Manner::Answers] {
            let mut office = office();
            office["first"].manner = manner;
            office["first"].door.as_mut().expect("a door").uses_max = 1;
            let call = office.dial("desk-1", OUTSIDE);

            office.advance(Duration::from_micros(500 * half_milliseconds));
            office.hang_up(call);
            office.advance(seconds(1));
            let outcome = office.outcome(call);
            // A 200 that has crossed the CANCEL stands, and is hung up as any call is.
            office.hang_up(call);

            let at = (half_milliseconds, manner);
            assert!(outcome == Some(487) || outcome == Some(200), "{at:?}: {outcome:?}");
            assert_eq!((office["first"].ringing(), office["first"].up()), (0, 0), "{at:?}");
            assert!(office["second"].heard().is_empty(), "{at:?}");
            assert_in_order(&office, "first");
            office.advance(seconds(64));
            assert!(office.is_quiet(), "{at:?}");
        }
    }
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
fn emergency_call_answers_challenges_and_goes_on_where_they_are_not_taken() {
    let mut office = office();
    let call = office.call("desk-1", "112");
    assert_eq!(office.outcome(call), Some(200));
    assert_eq!(asked_and_answered(&office, "first", "INVITE"), (2, 1));
    office.hang_up(call);
    assert_eq!(office["first"].up(), 0);
    assert_in_order(&office, "first");

    office["first"].door.as_mut().expect("a door").password = "another".into();
    let call = office.call("desk-1", "112");

    assert_eq!(office.outcome(call), Some(200));
    assert_eq!(office["psap"].up(), 1);
    assert_eq!(asked_and_answered(&office, "psap", "INVITE"), (2, 1));
    office.hang_up(call);
    assert_eq!(office["psap"].up(), 0);
    assert_eq!(office.counters().emergency_unrouted, 0);
}

#[test]
fn place_that_a_gateway_refuses_is_left_out_and_its_numbers_rise() {
    let mut office = office_with(|blueprint| {
        blueprint.tenants[0].emergency.location = LocationForm::PidfLo;
        blueprint.tenants[0].sites[0].civic = vec![("country".into(), "US".into())];
    });
    office["first"].manner = Manner::Refuses(415);

    let call = office.call("desk-1", "112");

    assert_eq!(office.outcome(call), Some(200));
    let invites = office["first"].requests("INVITE");
    let located: Vec<_> = invites.iter().map(|invite| invite.header("Geolocation").is_some()).collect();
    assert_eq!(located, [true, true, false], "asked, refused, and refused without the place");
    assert_in_order(&office, "first");
    assert_eq!(office["psap"].up(), 1);
}

#[test]
fn call_back_of_the_emergency_service_is_hung_up_by_a_bye_that_it_challenges() {
    let mut office = office();
    let call = office.call("desk-1", "112");
    office.hang_up(call);

    let call = office.call("psap", "+12125550100");
    assert_eq!(office.outcome(call), Some(200));
    let there = office.last_call("desk-1");
    office.hang_up(there);

    assert_eq!(office.leg(call).state, CallState::Over);
    assert_eq!(asked_and_answered(&office, "psap", "BYE"), (2, 1));
    assert_in_order(&office, "psap");
}

#[test]
fn gateway_that_falls_silent_behind_its_challenge_does_not_keep_an_emergency_call() {
    let mut office = office();
    office["first"].door.as_mut().expect("a door").silent_behind = true;
    let before = office.clock();

    let call = office.dial("desk-1", "112");
    while office.outcome(call).is_none() {
        office.advance(Duration::from_millis(100));
    }

    assert_eq!(office.outcome(call), Some(200));
    assert_eq!(office["psap"].up(), 1);
    assert!(office.clock().since(before) < seconds(5), "patience is for the gateway, not for each INVITE");
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
fn calls_get_through_a_wire_that_loses_one_in_ten() {
    for seed in 0..8 {
        let mut office = office_with(|blueprint| blueprint.seed = seed);
        office["first"].door.as_mut().expect("a door").uses_max = 2;
        office.quality = Quality::POOR;

        let call = office.call("desk-1", OUTSIDE);
        assert_eq!(office.outcome(call), Some(200), "seed {seed}");
        assert_eq!(office.invite_again(call, |_| {}), Some(200), "seed {seed}");
        office.hang_up(call);

        office.advance(seconds(40));
        assert_eq!((office["first"].up(), office["desk-1"].up()), (0, 0), "seed {seed}");
    }
}

#[test]
fn dialog_outlives_a_restart() {
    let mut office = office();
    let call = office.call("desk-1", OUTSIDE);
    let incoming = office.call("first", "+12125551001");
    let there = office.last_call("desk-1");

    office.kill_and_restart();
    assert_eq!(office.invite_again(call, |_| {}), Some(200));
    office.hang_up(call);
    office.hang_up(there);

    assert_eq!((office["first"].up(), office.leg(incoming).state), (0, CallState::Over));
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

#[test]
fn peers_without_an_account_get_every_call_as_before() {
    let mut office = office_with(|blueprint| blueprint.tenants[0].routes[0].account = None);
    office["first"].door = None;

    let call = office.call("desk-1", OUTSIDE);
    let sent = office["desk-1"].last_sent("INVITE").split("CSeq: ").nth(1).map(number).expect("a CSeq");

    assert_eq!(last_heard(&office, "first", "INVITE").header("CSeq"), Some(&*format!("{sent} INVITE")));
    office.hang_up(call);
    assert_eq!(last_heard(&office, "first", "BYE").header("CSeq"), Some(&*format!("{} BYE", sent + 1)));
}

/// The emergency service is known by its address alone, and may call back from another port.
#[test]
fn call_back_from_another_port_is_hung_up_by_a_bye_that_is_challenged() {
    let mut office = office();
    office.peer("psap-out", "198.51.100.112:40000");
    office["psap-out"].door = Some(Door::new("acme", "secret"));
    let call = office.call("desk-1", "112");
    office.hang_up(call);

    let call = office.call("psap-out", "+12125550100");
    assert_eq!(office.outcome(call), Some(200));
    let there = office.last_call("desk-1");
    office.hang_up(there);

    assert_eq!(office.leg(call).state, CallState::Over);
}

/// A tag that the far end never gave, in the To of a request within a call.
fn with_made_up_tag(draft: &mut Draft) {
    let to = draft.get("To").split(";tag=").next().expect("a To").to_owned();
    draft.set("To", &format!("{to};tag=made-up"));
}

/// An office whose people may call no number that begins with +1900.
fn office_that_bars() -> Office {
    office_with(|blueprint| blueprint.tenants[0].outside.barred = vec!["+1900".into()])
}

#[test]
fn barred_number_is_not_called_within_another_call_with_the_tag_of_that_call_or_another() {
    let mut office = office_that_bars();
    let call = office.call("desk-1", OUTSIDE);
    assert_eq!(office.outcome(call), Some(200));
    let barred = "sip:+19005551234@first.example";

    let with_its_tag = office.invite_again(call, |draft| draft.uri = barred.into());
    let with_another = office.invite_again(call, |draft| {
        draft.uri = barred.into();
        with_made_up_tag(draft);
    });

    assert_eq!((with_its_tag, with_another), (Some(403), Some(481)));
    assert!(!office["first"].requests("INVITE").iter().any(|it| it.uri().contains("+1900")));
    assert_eq!(office.invite_again(call, |_| {}), Some(200), "the call itself goes on");
}

#[test]
fn only_the_bye_that_ends_a_call_makes_room_for_another() {
    let mut office = office_with(|blueprint| blueprint.tenants[0].outside.phone_calls_max = 1);
    let first = office.call("desk-1", OUTSIDE);
    assert_eq!(office.outcome(first), Some(200));
    let refused = office.call("desk-1", OUTSIDE);
    assert_eq!(office.outcome(refused), Some(403), "the limit holds");

    assert_eq!(office.ask_within(first, "BYE", with_made_up_tag), Some(481));
    let refused = office.call("desk-1", OUTSIDE);
    assert_eq!(office.outcome(refused), Some(403), "the call is still up");

    office.hang_up(first);
    let second = office.call("desk-1", OUTSIDE);
    assert_eq!(office.outcome(second), Some(200));
}

#[test]
fn gateway_is_asked_by_no_refer_to_call_a_number_itself() {
    let mut office = office_that_bars();
    let call = office.call("desk-1", OUTSIDE);

    let answer = office.ask_within(call, "REFER", |draft| {
        draft.add("Refer-To", "<sip:+19005551234@first.example>");
    });

    assert_eq!(answer, Some(403));
    assert!(office["first"].requests("REFER").is_empty());
}

#[test]
fn route_of_a_call_that_is_over_calls_nobody_from_a_phone_at_which_nobody_sits() {
    let mut office = office();
    let call = office.call("desk-1", OUTSIDE);
    office.hang_up(call);
    assert_eq!(office.log_out("desk-1"), Some(200));
    office.advance(Duration::from_secs(600));
    let refused = office.call("desk-1", OUTSIDE);
    assert_eq!(office.outcome(refused), Some(403), "nobody sits there");
    office["first"].forget();

    let answer = office.invite_again(call, |draft| {
        draft.uri = "sip:+19005551234@first.example".into();
        with_made_up_tag(draft);
    });

    assert_eq!(answer, Some(481));
    assert!(office["first"].requests("INVITE").is_empty());
}

/// A phone that has proved nothing may call for help from inside a site, and nobody else by the route of that call.
#[test]
fn route_of_a_call_for_help_calls_nobody_else() {
    let mut office = office();
    office["first"].manner = Manner::Rings;
    office.unbox("inside", "1003").seen_at("inside", "10.2.7.7:5060");
    office["inside"].wrong_password = Some("none".into());
    let call = office.dial("inside", "112");
    office.settle();
    let ringing = last_answer(&office, "inside", "INVITE");
    let header = |name| ringing.header(name).expect("a 180 has it").to_owned();
    let (to, routes) = (header("To"), header("Record-Route"));
    office.hang_up(call);
    office.advance(seconds(60));
    office["first"].forget();

    let answer = office.invite_again(call, |draft| {
        draft.uri = "sip:+19005551234@first.example".into();
        draft.set("To", &to).set("Route", &routes);
        with_made_up_tag(draft);
    });

    assert_eq!(answer, Some(481));
    assert!(office["first"].requests("INVITE").is_empty());
}
