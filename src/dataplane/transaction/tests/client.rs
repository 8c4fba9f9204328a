//! Requests we send.

use super::*;

fn delivered(client: ClientId, owner: u32) -> Response<u32> {
    Response::Deliver { client, owner }
}

#[test]
fn a_response_finds_its_request_by_our_branch() {
    let mut layer = Layer::new();
    let (first, first_sent) = layer.send(datagram(), "BYE", 1, None);
    let (second, second_sent) = layer.send(stream(1), "OPTIONS", 2, None);

    assert_eq!(layer.receive_response(&response(&second_sent, 200)), delivered(second, 2));
    assert_eq!(layer.receive_response(&response(&first_sent, 404)), delivered(first, 1));

    assert_eq!(layer.sent_words(), [""; 0]);
}

#[test]
fn a_request_is_over_with_its_final_response_and_a_repeated_one_is_stray() {
    for flow in [datagram(), stream(1)] {
        let mut layer = Layer::new();
        let (client, sent) = layer.send(flow, "NOTIFY", 1, None);

        assert_eq!(layer.receive_response(&response(&sent, 401)), delivered(client, 1));
        assert_eq!(layer.transactions.len(), 0);

        assert_eq!(layer.receive_response(&response(&sent, 401)), Response::Stray);
        layer.advance(40_000);
        assert_eq!(layer.sent_words(), [""; 0]);
        assert_eq!(layer.events(), []);
    }
}

#[test]
fn a_forged_branch_is_stray() {
    let mut layer = Layer::new();
    let (_, sent) = layer.send(datagram(), "INVITE", 1, None);
    let genuine = response(&sent, 486);
    let start = genuine.find("z9hG4bK").unwrap();

    for at in start..start + 35 {
        let mut forged = genuine.clone().into_bytes();
        forged[at] = if forged[at] == b'x' { b'y' } else { b'x' };
        let forged = String::from_utf8(forged).unwrap();
        assert_eq!(layer.receive_response(&forged), Response::Stray, "{forged}");
    }
    let branchless = genuine.replace(";branch=", ";b=");
    assert_eq!(layer.receive_response(&branchless), Response::Stray);

    assert_eq!(layer.sent_words(), [""; 0], "nothing is acknowledged");
}

#[test]
fn a_response_to_another_method_is_stray() {
    let mut layer = Layer::new();
    let (_, invite) = layer.send(datagram(), "INVITE", 1, None);
    let (_, bye) = layer.send(datagram(), "BYE", 2, None);

    assert_eq!(layer.receive_response(&response(&invite, 200).replace("1 INVITE", "1 BYE")), Response::Stray);
    assert_eq!(layer.receive_response(&response(&bye, 200).replace("1 BYE", "1 INVITE")), Response::Stray);
    assert_eq!(layer.receive_response(&response(&bye, 200).replace("1 BYE", "1 CANCEL")), Response::Stray);
}

#[test]
fn a_response_to_a_request_that_has_ended_is_stray_though_its_slot_has_another() {
    let mut layer = Layer::new();
    let (_, old) = layer.send(stream(1), "BYE", 1, None);
    layer.receive_response(&response(&old, 200));
    let (_, new) = layer.send(stream(1), "BYE", 2, None);
    assert_ne!(old, new);

    assert_eq!(layer.receive_response(&response(&old, 200)), Response::Stray);
}

#[test]
fn a_response_for_another_worker_names_it() {
    let mut layer = Layer::new();
    let mut other = Transactions::<u32>::new(WorkerId(9), Timers::default(), MAC_KEY, Bounds::each(65_536));
    let (_, sent) = layer.send(datagram(), "INVITE", 1, None);

    let answer = response(&sent, 180);
    let answer = parse(answer.as_bytes());
    let verdict = other.receive_response(layer.now, &answer, &answer.validate().unwrap(), &mut layer.out);

    assert_eq!(verdict, Response::Foreign(WorkerId(3)));
}

#[test]
fn a_refused_invite_is_acknowledged_here_each_time() {
    let mut layer = Layer::new();
    let (client, sent) = layer.send(datagram(), "INVITE", 1, None);
    let refusal = response(&sent, 486);

    assert_eq!(layer.receive_response(&refusal), delivered(client, 1));
    assert_eq!(layer.receive_response(&refusal), Response::Absorbed);

    let acks = layer.sent();
    assert_eq!(acks.len(), 2);
    let ack = parse(acks[0].as_bytes());
    assert_eq!(ack.method(), Some(sip::Method::Ack));
    assert_eq!(ack.top_via().unwrap().branch, parse(sent.as_bytes()).top_via().unwrap().branch);
    assert_eq!(ack.to().unwrap().tag(), Some(&b"far"[..]));
    layer.advance(32_000);
    assert_eq!(layer.receive_response(&refusal), Response::Stray);
    assert_eq!(layer.transactions.len(), 0);
}

#[test]
fn a_repeated_2xx_is_delivered_each_time_and_not_acknowledged_here() {
    let mut layer = Layer::new();
    let (client, sent) = layer.send(datagram(), "INVITE", 1, None);
    let answer = response(&sent, 200);

    assert_eq!(layer.receive_response(&response(&sent, 180)), delivered(client, 1));
    assert_eq!(layer.receive_response(&answer), delivered(client, 1));
    layer.advance(500);
    assert_eq!(layer.receive_response(&answer), delivered(client, 1));
    let fork = answer.replace("tag=far", "tag=farther");
    assert_eq!(layer.receive_response(&fork), delivered(client, 1));
    assert_eq!(layer.receive_response(&response(&sent, 486)), Response::Absorbed);

    assert_eq!(layer.sent_words(), [""; 0]);
    layer.advance(31_500);
    assert_eq!(layer.receive_response(&answer), Response::Stray, "timer M");
    assert_eq!(layer.events(), []);
}

#[test]
fn a_cancel_is_held_until_the_phone_says_something_then_repeated_until_answered() {
    let mut layer = Layer::new();
    let (client, sent) = layer.send(datagram(), "INVITE", 1, None);

    layer.cancel(client);
    layer.cancel(client);
    assert_eq!(layer.sent_words(), [""; 0]);
    layer.advance(500);
    assert_eq!(layer.sent_words(), ["INVITE"]);

    assert_eq!(layer.receive_response(&response(&sent, 180)), delivered(client, 1));
    let cancel = layer.sent().pop().unwrap();
    assert!(cancel.starts_with("CANCEL "));
    layer.advance(1500);
    assert_eq!(layer.sent_words(), ["CANCEL"; 2]);

    assert_eq!(layer.receive_response(&response(&cancel, 200)), Response::Absorbed);
    layer.advance(10_000);
    assert_eq!(layer.sent_words(), [""; 0]);
    assert_eq!(layer.receive_response(&response(&sent, 487)), delivered(client, 1));
    assert_eq!(layer.sent_words(), ["ACK"]);
    assert_eq!(layer.receive_response(&response(&cancel, 200)), Response::Absorbed);
}

#[test]
fn what_is_sent_again_is_counted() {
    let mut layer = Layer::new();
    let (client, sent) = layer.send(datagram(), "INVITE", 1, None);

    layer.advance(500);
    assert_eq!(layer.transactions.take_counts().resent, 1, "the INVITE");
    layer.receive_response(&response(&sent, 180));
    layer.cancel(client);
    layer.advance(1500);

    assert_eq!(layer.transactions.take_counts().resent, 2, "the CANCEL");
}

#[test]
fn a_200_that_crosses_the_cancel_wins() {
    let mut layer = Layer::new();
    let (client, sent) = layer.send(datagram(), "INVITE", 1, None);
    layer.receive_response(&response(&sent, 180));
    layer.cancel(client);
    let cancel = layer.sent().pop().unwrap();

    assert_eq!(layer.receive_response(&response(&sent, 200)), delivered(client, 1));
    layer.advance(4000);
    assert_eq!(layer.receive_response(&response(&cancel, 481)), Response::Absorbed);
    layer.cancel(client);
    layer.advance(28_000);

    assert_eq!(layer.sent_words(), [""; 0], "the CANCEL has no more to do");
    assert_eq!(layer.events(), []);
}

#[test]
fn a_cancelled_invite_that_brings_nothing_is_given_up() {
    let mut layer = Layer::new();
    let (client, sent) = layer.send(stream(1), "INVITE", 4, None);
    layer.receive_response(&response(&sent, 180));
    layer.advance(1000);

    layer.cancel(client);
    layer.advance(31_999);
    assert_eq!(layer.events(), []);
    layer.advance(1);

    assert_eq!(layer.events(), [Event::ClientTimeout { client, owner: 4 }]);
    assert_eq!(layer.transactions.len(), 0);
}

#[test]
fn only_an_invite_can_be_cancelled() {
    let mut layer = Layer::new();
    let (client, sent) = layer.send(datagram(), "OPTIONS", 1, None);
    layer.receive_response(&response(&sent, 100));

    layer.cancel(client);

    assert_eq!(layer.sent_words(), [""; 0]);
}

#[test]
fn silence_is_told_first_and_the_end_later_in_the_order_of_time() {
    let mut layer = Layer::new();
    let (phone, _) = layer.send(datagram(), "INVITE", 1, Some(8000));
    layer.advance(1000);
    let (peer, _) = layer.send(stream(1), "INVITE", 2, None);
    layer.advance(1000);
    let (notify, _) = layer.send(datagram(), "NOTIFY", 3, None);

    layer.advance(40_000);

    assert_eq!(
        layer.events(),
        [
            Event::NoAnswer { client: phone, owner: 1 },
            Event::ClientTimeout { client: phone, owner: 1 },
            Event::ClientTimeout { client: peer, owner: 2 },
            Event::ClientTimeout { client: notify, owner: 3 },
        ]
    );
    assert_eq!(layer.sent().len(), 4 + 10, "the last four of timer A, all of E");
    assert_eq!(layer.transactions.len(), 0);
}

#[test]
fn endless_ringing_is_told_until_it_is_cancelled() {
    let mut layer = Layer::new();
    let (client, sent) = layer.send(datagram(), "INVITE", 1, Some(8000));
    layer.receive_response(&response(&sent, 180));
    layer.advance(150_000);
    layer.receive_response(&response(&sent, 180));

    layer.advance(199_900);
    assert_eq!(layer.events(), []);
    layer.advance(200);
    assert_eq!(layer.events(), [Event::TimerC { client, owner: 1 }]);
    layer.cancel(client);
    layer.advance(32_100);

    assert_eq!(layer.events(), [Event::ClientTimeout { client, owner: 1 }]);
}

#[test]
fn a_lost_connection_fails_what_waits_on_it_at_once() {
    let mut layer = Layer::new();
    let (ringing, sent) = layer.send(stream(1), "INVITE", 1, None);
    layer.receive_response(&response(&sent, 180));
    let (_, sent) = layer.send(stream(1), "INVITE", 2, None);
    layer.receive_response(&response(&sent, 200));
    layer.send(stream(2), "INVITE", 3, None);
    layer.send(datagram(), "INVITE", 4, None);

    layer.transactions.lost(&stream(1), &mut layer.events);
    layer.transactions.lost(&datagram(), &mut layer.events);

    assert_eq!(layer.events(), [Event::ClientLost { client: ringing, heard: true, owner: 1 }]);
    assert_eq!(layer.transactions.len(), 2);
}

#[test]
fn what_waits_for_a_far_end_that_has_finished_fails_and_what_it_asked_is_still_answered() {
    let mut layer = Layer::new();
    let asked = layer.begin(stream(1), &request("INVITE", "z9hG4bK1", ""), 1);
    let (ringing, _) = layer.send(stream(1), "INVITE", 2, None);
    layer.send(stream(2), "INVITE", 3, None);
    layer.sent();

    layer.transactions.finished(&stream(1), &mut layer.events);
    layer.respond(asked, 486);

    assert_eq!(layer.events(), [Event::ClientLost { client: ringing, heard: false, owner: 2 }]);
    assert_eq!(layer.sent_words(), ["SIP/2.0 486 Answer"]);
}

#[test]
fn a_full_table_sends_nothing() {
    let mut layer = Layer::bounded(Bounds { servers_max: 0, clients_max: 0 });

    let begun =
        layer.transactions.begin_client(layer.now, datagram(), true, 1, 0, None, &mut layer.out, |_, _| {
            panic!("not to be written")
        });

    assert_eq!(begun, Err(Full));
    assert_eq!(layer.sent_words(), [""; 0]);
}

#[test]
fn new_timers_are_for_what_begins_after_them() {
    let mut layer = Layer::new();
    let (old, _) = layer.send(stream(1), "BYE", 1, None);

    let timers = Timers { t1: Duration::from_millis(100), ..Timers::default() };
    layer.transactions.configure(layer.now, timers);
    let (new, _) = layer.send(stream(1), "BYE", 2, None);

    layer.advance(6400);
    assert_eq!(layer.events(), [Event::ClientTimeout { client: new, owner: 2 }]);
    layer.advance(25_700);
    assert_eq!(layer.events(), [Event::ClientTimeout { client: old, owner: 1 }]);
}
