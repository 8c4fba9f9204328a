//! Requests that come in.

use super::*;

const INVITE: &str = "z9hG4bKinvite";

fn elsewhere(address: [u8; 4], port: u16) -> Flow {
    Flow::datagram(ListenerId(0), SocketAddr::from((address, port)))
}

#[test]
fn a_retransmitted_invite_gets_the_last_answer_again() {
    let mut layer = Layer::new();
    let invite = request("INVITE", INVITE, "");
    let server = layer.begin(datagram(), &invite, 1);
    assert_eq!(layer.receive(datagram(), &invite), Reception::Absorbed);
    assert_eq!(layer.sent_words(), [""; 0], "there is no answer yet");

    for code in [100, 180, 486] {
        layer.respond(server, code);
        assert_eq!(layer.receive(datagram(), &invite), Reception::Absorbed);
        assert_eq!(layer.sent_words(), [format!("SIP/2.0 {code} Answer"), format!("SIP/2.0 {code} Answer")]);
    }

    assert_eq!(layer.transactions.take_counts(), Counts { absorbed: 4, resent: 0 });
}

#[test]
fn a_replayed_answer_goes_where_the_first_request_came_from() {
    let mut layer = Layer::new();
    let bye = request("BYE", "z9hG4bKbye", ";tag=t");
    let server = layer.begin(datagram(), &bye, 1);
    layer.respond(server, 200);
    layer.sent();

    assert_eq!(layer.receive(elsewhere([203, 0, 113, 1], 5060), &bye), Reception::Absorbed);

    let flows: Vec<_> = layer.out.messages().map(|(flow, _)| flow).collect();
    assert_eq!(flows, [datagram()]);
}

#[test]
fn a_request_is_new_again_once_its_transaction_has_ended() {
    let mut layer = Layer::new();
    let bye = request("BYE", "z9hG4bKbye", ";tag=t");
    let server = layer.begin(datagram(), &bye, 1);
    layer.respond(server, 481);

    layer.advance(31_999);
    assert_eq!(layer.receive(datagram(), &bye), Reception::Absorbed);
    layer.advance(1);

    assert!(matches!(layer.receive(datagram(), &bye), Reception::New(_)));
    assert_eq!(layer.transactions.request(server), None);
    assert_eq!(layer.transactions.flow(server), None);
    assert_eq!(layer.transactions.len(), 0);
    assert_eq!(layer.events(), []);
}

#[test]
fn the_request_and_its_owner_can_be_asked_for() {
    let mut layer = Layer::new();
    let invite = request("INVITE", INVITE, "");
    let server = layer.begin(datagram(), &invite, 1);

    layer.transactions.set_owner(server, 2);

    assert_eq!(layer.transactions.request(server), Some(invite.as_bytes()));
    assert_eq!(layer.transactions.flow(server), Some(datagram()));
    assert_eq!(layer.transactions.server_owner(server), Some(2));
    assert!(!layer.transactions.has_final(server));
    layer.respond(server, 486);
    assert!(layer.transactions.has_final(server));
}

#[test]
fn the_ack_of_a_refusal_ends_its_repetition() {
    let mut layer = Layer::new();
    let server = layer.begin(datagram(), &request("INVITE", INVITE, ""), 1);
    layer.respond(server, 486);
    layer.advance(600);
    assert_eq!(layer.sent_words(), ["SIP/2.0 486 Answer"; 2], "once, and once by timer G");

    let ack = request("ACK", INVITE, ";tag=ours");
    assert_eq!(layer.receive(datagram(), &ack), Reception::Absorbed);
    assert_eq!(layer.receive(datagram(), &ack), Reception::Absorbed, "timer I");
    assert_eq!(layer.receive(datagram(), &request("INVITE", INVITE, "")), Reception::Absorbed, "a late copy");
    layer.advance(5050);

    assert_eq!(layer.sent_words(), [""; 0]);
    assert_eq!(layer.events(), []);
    assert_eq!(layer.transactions.len(), 0);
}

#[test]
fn a_refusal_never_acknowledged_is_told() {
    let mut layer = Layer::new();
    let server = layer.begin(stream(1), &request("INVITE", INVITE, ""), 5);
    layer.respond(server, 486);

    layer.advance(32_000);

    assert_eq!(layer.sent().len(), 1);
    assert_eq!(layer.events(), [Event::ServerTimeout { server, owner: 5 }]);
}

#[test]
fn no_ack_is_ever_answered() {
    let mut layer = Layer::new();
    assert_eq!(layer.receive(datagram(), &request("ACK", "z9hG4bKstray", ";tag=x")), Reception::NoMatch);

    let server = layer.begin(datagram(), &request("INVITE", INVITE, ""), 1);
    let early = request("ACK", INVITE, ";tag=early");
    assert_eq!(layer.receive(datagram(), &early), Reception::Absorbed, "nothing to acknowledge");
    layer.respond(server, 486);
    layer.sent();
    // With the cookie the branch alone decides (§17.2.3).
    assert_eq!(layer.receive(datagram(), &request("ACK", INVITE, ";tag=wrong")), Reception::Absorbed);

    assert_eq!(layer.sent_words(), [""; 0]);
}

#[test]
fn without_the_cookie_an_ack_must_have_the_tag_of_the_answer() {
    let mut layer = Layer::new();
    let server = layer.begin(datagram(), &request("INVITE", "old", ""), 1);
    layer.respond(server, 486);

    assert_eq!(layer.receive(datagram(), &request("ACK", "old", ";tag=wrong")), Reception::NoMatch);
    assert_eq!(layer.receive(datagram(), &request("ACK", "old", "")), Reception::NoMatch);
    layer.advance(600);
    assert_eq!(layer.sent().len(), 2, "it is still repeated");

    assert_eq!(layer.receive(datagram(), &request("ACK", "old", ";tag=ours")), Reception::Absorbed);
    layer.advance(5000);
    assert_eq!(layer.sent().len(), 0);
}

#[test]
fn a_cancel_finds_the_invite_of_the_same_host() {
    let mut layer = Layer::new();
    let server = layer.begin(datagram(), &request("INVITE", INVITE, ""), 1);
    let cancel = request("CANCEL", INVITE, "");

    assert_eq!(layer.receive(datagram(), &cancel), Reception::Cancels(Some(server)));
    assert_eq!(layer.receive(elsewhere([192, 0, 2, 7], 9999), &cancel), Reception::Cancels(Some(server)));

    assert_eq!(layer.receive(elsewhere([203, 0, 113, 1], 5060), &cancel), Reception::Cancels(None));
    let unknown = request("CANCEL", "z9hG4bKunknown", "");
    assert_eq!(layer.receive(datagram(), &unknown), Reception::Cancels(None));
    let bye = request("BYE", "z9hG4bKbye", ";tag=t");
    layer.begin(datagram(), &bye, 2);
    let cancel_of_bye = request("CANCEL", "z9hG4bKbye", ";tag=t");
    assert_eq!(layer.receive(datagram(), &cancel_of_bye), Reception::Cancels(None));
}

#[test]
fn a_forwarded_2xx_passes_each_time_and_its_ack_is_for_the_core() {
    let mut layer = Layer::new();
    let invite = request("INVITE", INVITE, "");
    let server = layer.begin(datagram(), &invite, 1);

    layer.respond(server, 200);
    layer.advance(500);
    layer.respond(server, 200);
    assert_eq!(layer.receive(datagram(), &invite), Reception::Absorbed);

    assert_eq!(layer.sent_words(), ["SIP/2.0 200 Answer"; 2], "the callee repeats it, not the layer");
    assert_eq!(layer.receive(datagram(), &request("ACK", INVITE, ";tag=ours")), Reception::AckToCore(server));
    assert_eq!(layer.receive(datagram(), &request("ACK", "z9hG4bKack", ";tag=ours")), Reception::NoMatch);
    layer.advance(32_000);
    assert_eq!(layer.transactions.len(), 0);
    assert_eq!(layer.events(), []);
}

#[test]
fn our_own_2xx_is_repeated_until_the_core_sees_the_ack() {
    let mut layer = Layer::new();
    let server = layer.begin(stream(1), &request("INVITE", INVITE, ""), 1);

    layer.respond_reliably(server);
    layer.advance(1500);
    assert_eq!(layer.sent_words(), ["SIP/2.0 200 Ours"; 3]);
    layer.transactions.acknowledged(server);
    layer.advance(40_000);

    assert_eq!(layer.sent_words(), [""; 0]);
    assert_eq!(layer.events(), []);
    assert_eq!(layer.transactions.take_counts().resent, 2);
}

#[test]
fn our_own_2xx_without_an_ack_is_told() {
    let mut layer = Layer::new();
    let server = layer.begin(datagram(), &request("INVITE", INVITE, ""), 8);

    layer.respond_reliably(server);
    layer.advance(32_000);

    assert_eq!(layer.sent().len(), 11);
    assert_eq!(layer.events(), [Event::ServerTimeout { server, owner: 8 }]);
}

#[test]
fn an_answer_too_many_is_not_sent() {
    let mut layer = Layer::new();
    let server = layer.begin(datagram(), &request("INVITE", INVITE, ""), 1);
    layer.respond(server, 487);

    layer.respond(server, 200);
    layer.respond(server, 486);

    assert_eq!(layer.sent_words(), ["SIP/2.0 487 Answer"]);
}

#[test]
fn a_full_table_takes_nobody_until_one_has_ended() {
    let mut layer = Layer::bounded(Bounds { servers_max: 1, clients_max: 0 });
    let first = layer.begin(stream(1), &request("BYE", "z9hG4bK1", ";tag=t"), 1);
    let text = request("BYE", "z9hG4bK2", ";tag=t");
    let Reception::New(key) = layer.receive(stream(1), &text) else { panic!("it is new") };

    let refused = layer.transactions.begin_server(layer.now, key, &stream(1), &parse(text.as_bytes()), 2);
    assert_eq!(refused, Err(Full));
    layer.respond(first, 200);
    layer.advance(0);

    layer.begin(stream(1), &text, 2);
}

#[test]
fn a_lost_connection_tells_whose_answers_can_reach_nobody() {
    let mut layer = Layer::new();
    let ringing = layer.begin(stream(1), &request("INVITE", "z9hG4bK1", ""), 1);
    layer.respond(ringing, 180);
    let refused = layer.begin(stream(1), &request("INVITE", "z9hG4bK2", ""), 2);
    layer.respond(refused, 486);
    let other = layer.begin(stream(2), &request("INVITE", "z9hG4bK3", ""), 3);
    let answered = layer.begin(stream(1), &request("INVITE", "z9hG4bK4", ""), 4);
    layer.respond_reliably(answered);

    layer.transactions.lost(&stream(1), &mut layer.events);

    assert_eq!(
        layer.events(),
        [Event::ServerLost { server: answered, owner: 4 }, Event::ServerLost { server: ringing, owner: 1 }]
    );
    assert_eq!(layer.transactions.len(), 1);
    assert!(layer.transactions.request(other).is_some());
    assert!(matches!(layer.receive(stream(4), &request("INVITE", "z9hG4bK1", "")), Reception::New(_)));
}
