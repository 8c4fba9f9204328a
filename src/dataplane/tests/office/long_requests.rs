//! Requests to gateways that are too long for a datagram: they go over TCP where that can be had (RFC 3261 §18.1.1).

use std::sync::Arc;
use std::time::Duration;

use dataplane::settings::{Peer, PeerAccount, Route};
use dataplane::testing::{Blueprint, CallState, Door, Draft, Heard, Leg, Listening, Manner, Office};

use crate::{SEED, gateway, last_answer, last_heard, seconds};

const OUTSIDE: &str = "02125557000";

/// A route of two gateways and an emergency route, all of which take connections; 1001 sits at desk-1.
fn office_with(change: impl FnOnce(&mut Blueprint)) -> Office {
    let mut office = Office::with(SEED, |blueprint| {
        blueprint.tenants[0].routes = vec![Route {
            prefix: "0".into(),
            peers: vec![gateway("first", 1), gateway("second", 2)],
            account: None,
            strip: 1,
            prepend: "+1".into(),
            caller: Some("+12125551000".into()),
            no_answer: seconds(4),
        }];
        blueprint.tenants[0].emergency.routes = vec![gateway("psap", 112)];
        blueprint.extension("1001").numbers = vec!["+12125551001".into()];
        change(blueprint);
    });
    office.peer("first", "198.51.100.1:5060").peer("second", "198.51.100.2:5060");
    office.peer("psap", "198.51.100.112:5060");
    for gateway in ["first", "second", "psap"] {
        office[gateway].listening = Listening::Takes;
    }
    office.plug_in("desk-1").plug_in("desk-2");
    office.log_in("1001", "desk-1");
    office
}

fn office() -> Office {
    office_with(|_| {})
}

/// Adds so many octets to the body.
fn longer_by(octets: usize) -> impl FnOnce(&mut Draft) {
    move |request| request.body += &"a".repeat(octets)
}

fn long_call(office: &mut Office, number: &str) -> Leg {
    office.call_with("desk-1", number, longer_by(1_300))
}

fn came_by_tcp(request: &Heard) -> bool {
    let via = request.header("Via").expect("a Via");
    assert!(via.starts_with("SIP/2.0/TCP 192.0.2.1:5060;") || via.starts_with("SIP/2.0/UDP 192.0.2.1:5060;"));
    via.starts_with("SIP/2.0/TCP ")
}

/// How each request of a method came to a gateway.
fn ways(office: &Office, gateway: &str, method: &str) -> Vec<&'static str> {
    let way = |request: &&Heard| if came_by_tcp(request) { "TCP" } else { "UDP" };
    office[gateway].requests(method).iter().map(way).collect()
}

#[test]
fn each_request_of_a_call_goes_by_its_own_length_and_all_long_ones_by_one_connection() {
    let mut office = office();

    let call = long_call(&mut office, OUTSIDE);
    let there = office.last_call("first");
    assert_eq!(office.outcome(call), Some(200));
    assert_eq!(office.ask_within(call, "INFO", longer_by(1_300)), Some(200));
    assert_eq!(office.ask_within(call, "INFO", |_| {}), Some(200));
    assert_eq!(office.invite_again(call, longer_by(1_300)), Some(200));
    assert_eq!(office.invite_again(there, longer_by(1_300)), Some(200), "to a phone by its flow");
    office.hang_up(call);
    let short = office.call("desk-1", OUTSIDE);
    office.hang_up(short);

    assert_eq!(ways(&office, "first", "INVITE"), ["TCP", "TCP", "UDP"]);
    assert_eq!(ways(&office, "first", "ACK"), ["UDP", "UDP", "UDP"]);
    assert_eq!(ways(&office, "first", "INFO"), ["TCP", "UDP"]);
    assert_eq!(ways(&office, "first", "BYE"), ["UDP", "UDP"]);
    assert_eq!(office["first"].up(), 0);
    assert_eq!(office.streams_to("first").len(), 1);
    assert_eq!(office.counters().requests_over_streams, 3);
    assert_eq!(office["desk-1"].responses_to("INFO").len(), 2, "no answer comes twice");
}

#[test]
fn dialog_does_not_hang_on_the_connection_that_made_it() {
    let mut office = office();
    let call = long_call(&mut office, OUTSIDE);
    let there = office.last_call("first");
    let recorded = last_heard(&office, "first", "INVITE");
    let recorded = recorded.header("Record-Route").expect("a Record-Route");
    assert!(!recorded.contains("transport="), "{recorded}");

    office.close_streams("first");
    assert_eq!(office.ask_within(there, "INFO", |_| {}), Some(200));
    assert_eq!(office.ask_within(call, "INFO", longer_by(1_300)), Some(200));

    assert_eq!(ways(&office, "first", "INFO"), ["TCP"], "by a new one");
    office.hang_up(there);
    assert_eq!(office.leg(call).state, CallState::Over);
}

#[test]
fn datagrams_have_thirteen_hundred_octets_at_most() {
    let mut office = office();
    let short = office.call("desk-1", OUTSIDE);
    office.hang_up(short);
    let more = 1_300 - last_heard(&office, "first", "INVITE").text.len();
    office["first"].forget();

    for more in more - 2..more + 2 {
        let call = office.call_with("desk-1", OUTSIDE, longer_by(more));
        office.hang_up(call);
    }

    let invites = office["first"].requests("INVITE");
    for invite in &invites {
        assert_eq!(came_by_tcp(invite), invite.text.len() > 1_300, "{}", invite.text);
    }
    let by_tcp = invites.iter().filter(|invite| came_by_tcp(invite)).count();
    assert!((1..4).contains(&by_tcp), "{by_tcp} of four");
}

#[test]
fn refused_connection_is_no_refused_call_and_is_not_tried_again_for_a_while() {
    let mut office = office();
    office["first"].listening = Listening::Refuses;

    for _ in 0..2 {
        let call = long_call(&mut office, OUTSIDE);
        assert_eq!(office.outcome(call), Some(200));
        office.hang_up(call);
    }

    assert_eq!(ways(&office, "first", "INVITE"), ["UDP", "UDP"]);
    assert_eq!(ways(&office, "first", "BYE").len(), 2);
    let answers = office["desk-1"].responses_to("INVITE");
    assert_eq!(answers.iter().filter(|answer| answer.status() == Some(200)).count(), 3, "with the log-in's");
    assert!(office["second"].heard().is_empty());
    let counters = office.counters();
    assert_eq!((counters.requests_over_streams, counters.streams_avoided), (1, 1));
    assert_eq!(counters.outside_calls, 2, "a call is one call");

    office["first"].listening = Listening::Takes;
    office.advance(seconds(600));
    let call = long_call(&mut office, OUTSIDE);
    assert_eq!(office.outcome(call), Some(200));
    assert_eq!(ways(&office, "first", "INVITE"), ["UDP", "UDP", "TCP"]);
}

#[test]
fn reload_has_a_peer_tried_again() {
    let mut office = office();
    office["first"].listening = Listening::Refuses;
    let call = long_call(&mut office, OUTSIDE);
    office.hang_up(call);
    office["first"].listening = Listening::Takes;

    office.reconfigure(|_| {});
    let call = long_call(&mut office, OUTSIDE);

    assert_eq!(office.outcome(call), Some(200));
    assert_eq!(ways(&office, "first", "INVITE"), ["UDP", "TCP"]);
}

#[test]
fn connection_that_nobody_answers_costs_a_moment() {
    for (number, gateway) in [(OUTSIDE, "first"), ("112", "psap")] {
        let mut office = office();
        office[gateway].listening = Listening::Ignores;
        let before = office.clock();

        let call = long_call(&mut office, number);
        office.advance(seconds(1));

        assert_eq!(office.outcome(call), Some(200), "{number}");
        let invite = last_heard(&office, gateway, "INVITE");
        assert!(!came_by_tcp(&invite));
        assert!(invite.at.since(before) < Duration::from_millis(600), "{:?}", invite.at.since(before));
    }
}

#[test]
fn call_for_help_goes_by_its_length_too() {
    let mut office = office();

    let call = long_call(&mut office, "112");

    assert_eq!(office.outcome(call), Some(200));
    assert_eq!(ways(&office, "psap", "INVITE"), ["TCP"]);
}

#[test]
fn peer_whose_uri_says_udp_is_sent_datagrams_alone() {
    let mut office = office_with(|blueprint| {
        let first = gateway("first", 1);
        let uri = format!("{};transport=udp", first.uri).into();
        blueprint.tenants[0].routes[0].peers[0] = Peer { uri, ..first };
        // The same address without: within a dialog the address is all that is known.
        blueprint.tenants[0].emergency.routes = vec![gateway("first", 1)];
    });

    let call = long_call(&mut office, OUTSIDE);

    assert_eq!(office.outcome(call), Some(200));
    assert_eq!(ways(&office, "first", "INVITE"), ["UDP"]);
    assert_eq!(last_heard(&office, "first", "INVITE").uri(), "sip:+12125557000@first.example;user=phone");
    assert_eq!(office.counters().requests_over_streams, 0);
}

#[test]
fn phone_is_sent_requests_of_any_length_down_its_flow() {
    let mut office = office();
    office.own_phone("soft", "1002");
    for phone in ["soft", "desk-1"] {
        office[phone].listening = Listening::Takes;
    }

    let call = long_call(&mut office, "1002");
    assert_eq!(office.outcome(call), Some(200));
    let there = office.last_call("soft");
    assert_eq!(office.ask_within(there, "INFO", longer_by(1_300)), Some(200));

    let sent =
        [("soft", "INVITE"), ("desk-1", "INFO")].map(|(phone, method)| last_heard(&office, phone, method));
    assert!(sent.iter().all(|request| request.text.len() > 1_300 && !came_by_tcp(request)));
    assert_eq!(office.counters().requests_over_streams, 0);
}

#[test]
fn cancel_and_the_ack_of_a_refusal_go_the_way_of_their_invite() {
    let mut office = office();
    office["first"].manner = Manner::Rings;

    let call = long_call(&mut office, OUTSIDE);
    office.hang_up(call);
    assert_eq!(office.outcome(call), Some(487));
    office["first"].manner = Manner::Refuses(486);
    let call = long_call(&mut office, OUTSIDE);
    assert_eq!(office.outcome(call), Some(486));

    assert_eq!(ways(&office, "first", "CANCEL"), ["TCP"]);
    assert_eq!(ways(&office, "first", "ACK"), ["TCP", "TCP"]);
}

#[test]
fn call_given_up_while_its_connection_opens_is_sent_nowhere() {
    let mut office = office();
    office["first"].listening = Listening::Ignores;

    let call = long_call(&mut office, OUTSIDE);
    office.hang_up(call);
    office.advance(seconds(40));

    assert_eq!(office.outcome(call), Some(487));
    assert!(office["first"].heard().is_empty() && office["second"].heard().is_empty());
}

#[test]
fn request_whose_connection_breaks_before_any_answer_comes_as_a_datagram() {
    let mut office = office();
    office["first"].manner = Manner::Silent;
    let call = long_call(&mut office, OUTSIDE);
    assert_eq!(ways(&office, "first", "INVITE"), ["TCP"]);
    office["first"].manner = Manner::Answers;

    office.close_streams("first");

    assert_eq!(office.outcome(call), Some(200));
    assert_eq!(ways(&office, "first", "INVITE"), ["TCP", "UDP"]);
    assert!(office["second"].heard().is_empty());
}

#[test]
fn call_whose_connection_breaks_while_it_rings_goes_to_the_next_peer() {
    let mut office = office();
    office["first"].manner = Manner::Rings;
    let call = long_call(&mut office, OUTSIDE);

    office.close_streams("first");

    assert_eq!(office.outcome(call), Some(200));
    assert_eq!(ways(&office, "first", "INVITE"), ["TCP"]);
    assert_eq!(ways(&office, "second", "INVITE"), ["TCP"]);
}

#[test]
fn fallback_leaves_the_next_peer_its_time() {
    let mut office = office();
    office["first"].listening = Listening::Ignores;
    office["first"].manner = Manner::Silent;
    let before = office.clock();

    let call = long_call(&mut office, OUTSIDE);
    office.advance(seconds(5));

    assert_eq!(office.outcome(call), Some(200));
    assert!(ways(&office, "first", "INVITE").iter().all(|way| *way == "UDP"));
    let second = last_heard(&office, "second", "INVITE");
    assert!(second.at.since(before) < Duration::from_millis(4_100), "{:?}", second.at.since(before));
}

#[test]
fn peer_that_takes_connections_and_says_nothing_is_sent_datagrams_next_time() {
    let mut office = office();
    office["first"].manner = Manner::Silent;
    let call = long_call(&mut office, OUTSIDE);
    office.advance(seconds(5));
    assert_eq!(office.outcome(call), Some(200), "by the second");
    office.hang_up(call);
    office["first"].manner = Manner::Answers;

    let call = long_call(&mut office, OUTSIDE);

    assert_eq!(office.outcome(call), Some(200));
    assert_eq!(ways(&office, "first", "INVITE"), ["TCP", "UDP"]);
}

#[test]
fn call_for_help_that_a_connection_swallows_comes_as_a_datagram_after_all_other_places() {
    let mut office = office_with(|blueprint| {
        blueprint.tenants[0].emergency.routes.push(gateway("other-psap", 113));
    });
    office.peer("other-psap", "198.51.100.113:5060");
    office["psap"].listening = Listening::Swallows;
    office["other-psap"].manner = Manner::Refuses(503);

    let call = long_call(&mut office, "112");
    office.advance(seconds(5));

    assert_eq!(office.outcome(call), Some(200));
    assert_eq!(ways(&office, "other-psap", "INVITE").len(), 1);
    assert_eq!(ways(&office, "psap", "INVITE"), ["UDP"]);
}

#[test]
fn what_a_peer_asks_down_the_connection_is_its_own() {
    let mut office = office();
    let call = long_call(&mut office, OUTSIDE);
    let there = office.last_call("first");
    office["first"].asks_by_stream = true;

    assert_eq!(office.ask_within(there, "INFO", |_| {}), Some(200));
    office.hang_up(there);
    assert_eq!(office.leg(call).state, CallState::Over);

    let call = office.call("first", "+12125551001");
    let there = office.last_call("desk-1");
    assert_eq!(office.outcome(call), Some(200));
    office.close_streams("first");
    office.hang_up(there);
    assert_eq!(office.leg(call).state, CallState::Over, "the call outlives the connection it came by");
}

#[test]
fn password_that_makes_a_request_too_long_sends_it_over_tcp() {
    let password = String::from("secret").into();
    let account = Arc::new(PeerAccount { username: "acme".into(), password, realm: None });
    let mut office = office_with(|blueprint| blueprint.tenants[0].routes[0].account = Some(account));
    office["first"].door = Some(Door::new("acme", "secret"));
    let short = office.call("desk-1", OUTSIDE);
    office.hang_up(short);
    let more = 1_250 - office["first"].requests("INVITE")[0].text.len();
    office["first"].forget();
    office.reconfigure(|_| {});

    let call = office.call_with("desk-1", OUTSIDE, longer_by(more));

    assert_eq!(office.outcome(call), Some(200));
    assert_eq!(ways(&office, "first", "INVITE"), ["UDP", "TCP"]);
    assert_eq!(ways(&office, "first", "ACK"), ["UDP", "UDP"]);
    office.hang_up(call);
    assert_eq!(last_answer(&office, "desk-1", "BYE").status(), Some(200));
}

#[test]
fn long_acknowledgement_arrives_whether_or_not_there_is_tcp() {
    for (listening, way) in [(Listening::Takes, "TCP"), (Listening::Refuses, "UDP")] {
        let mut office = office();
        office["first"].listening = listening;

        let call = office.dial_with("desk-1", OUTSIDE, |invite| invite.body.clear());
        office.answer_in_ack(call, &"a".repeat(1_300));
        office.advance(seconds(2));

        assert_eq!(office.outcome(call), Some(200));
        assert_eq!(ways(&office, "first", "ACK"), [way]);
    }
}

#[test]
fn each_worker_has_a_connection_of_its_own_and_hears_its_answers_there() {
    let mut office = office_with(|blueprint| blueprint.workers = 2);
    office.log_in("1002", "desk-2");

    let before = office.counters().handed_over;

    for phone in ["desk-1", "desk-2"] {
        let call = office.call_with(phone, OUTSIDE, longer_by(1_300));
        assert_eq!(office.outcome(call), Some(200), "{phone}");
    }

    let streams = office.streams_to("first");
    let workers: Vec<_> = streams.iter().filter_map(|flow| Some(flow.connection?.worker().0)).collect();
    assert_eq!(workers.len(), 2, "{workers:?}");
    assert_eq!(office.counters().handed_over, before);
}
