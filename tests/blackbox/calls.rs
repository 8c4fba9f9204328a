//! Calls between phones, over each transport and over both.

use bench::phone::{Transport, Wire, connect, display_name, exchange, hang_up, uri};

use crate::edge::{Edge, Plan, desk, person};

#[test]
fn two_phones_register_call_and_hang_up() {
    let edge = Edge::start(Plan::default());
    let mut caller = edge.taken_desk(Transport::Udp, 1);
    let mut callee = edge.taken_desk(Transport::Udp, 2);

    let (mut outgoing, incoming) = connect(&mut caller, &mut callee, "1002").unwrap();
    let bye = hang_up(&mut caller, &mut outgoing, &mut callee).unwrap();

    // It rings as the person, not as the desk, and at the contact the phone registered.
    let from = incoming.invite.header("From").unwrap();
    assert_eq!((display_name(from), uri(from)), ("Person 1", "sip:1001@demo.hotdesk"));
    assert_eq!(incoming.invite.uri(), callee.contact("desk-2"));
    assert_eq!((outgoing.status(), bye.status()), (200, Some(200)));
}

#[test]
fn the_callee_may_hang_up_too() {
    let edge = Edge::start(Plan::default());
    let mut caller = edge.taken_desk(Transport::Udp, 1);
    let mut callee = edge.taken_desk(Transport::Udp, 2);

    let (_outgoing, mut incoming) = connect(&mut caller, &mut callee, "1002").unwrap();
    let account = callee.account().clone();
    let sent = callee.send(&incoming.request("BYE"), &account, None).unwrap();
    let heard = caller.expect("BYE").unwrap();
    let answer = callee.final_answer(&sent).unwrap();

    assert_eq!(uri(heard.header("To").unwrap()), "sip:desk-1@demo.hotdesk");
    assert_eq!(answer.status(), Some(200));
}

#[test]
fn a_call_that_nobody_answers_is_given_up() {
    let edge = Edge::start(Plan::default());
    let mut caller = edge.taken_desk(Transport::Udp, 1);
    let mut callee = edge.taken_desk(Transport::Udp, 2);

    let mut outgoing = caller.dial("1002").unwrap();
    callee.rings().unwrap();
    assert_eq!(caller.ringback(&mut outgoing).unwrap().status(), Some(180));
    let cancelled = caller.cancel(&outgoing).unwrap();
    callee.expect("CANCEL").unwrap();
    let outcome = caller.outcome(&mut outgoing).unwrap();

    assert_eq!((cancelled.status(), outcome.status()), (Some(200), Some(487)));
}

#[test]
fn a_refusal_comes_back_as_it_is() {
    let edge = Edge::start(Plan::default());
    let mut caller = edge.taken_desk(Transport::Udp, 1);
    let mut callee = edge.taken_desk(Transport::Udp, 2);

    let mut outgoing = caller.dial("1002").unwrap();
    let mut incoming = callee.rings().unwrap();
    callee.give(&mut incoming, 486).unwrap();
    let outcome = caller.outcome(&mut outgoing).unwrap();
    callee.acknowledged(&incoming).unwrap();

    assert_eq!(outcome.status(), Some(486));
}

#[test]
fn a_call_to_a_tcp_phone_goes_down_its_connection() {
    let edge = Edge::start(Plan::default());
    let mut caller = edge.taken_desk(Transport::Tcp, 1);
    let mut callee = edge.phone(Transport::Tcp, desk(2));
    // Where nobody listens: only the connection can bring the call.
    let elsewhere = "<sip:desk-2@127.0.0.1:9;transport=tcp>";
    let draft = callee.draft_register(&desk(2), 600).replace("Contact", elsewhere);
    assert_eq!(callee.ask(&desk(2), draft).unwrap().status(), Some(200));
    assert_eq!(edge.control.log_in("demo", "desk-2", "1002").unwrap().status, 200);

    let (mut outgoing, incoming) = connect(&mut caller, &mut callee, "1002").unwrap();
    let bye = hang_up(&mut caller, &mut outgoing, &mut callee).unwrap();

    assert_eq!(incoming.invite.uri(), uri(elsewhere));
    assert_eq!(bye.status(), Some(200));
}

#[test]
fn a_call_from_udp_to_tcp_records_both_sides() {
    for (from, to) in [(Transport::Udp, Transport::Tcp), (Transport::Tcp, Transport::Udp)] {
        let edge = Edge::start(Plan::default());
        let mut caller = edge.taken_desk(from, 1);
        let mut callee = edge.taken_desk(to, 2);

        let (mut outgoing, mut incoming) = connect(&mut caller, &mut callee, "1002").unwrap();
        let info = exchange(&mut caller, &mut outgoing, &mut callee, "INFO").unwrap().status();
        let bye = exchange(&mut callee, &mut incoming, &mut caller, "BYE").unwrap().status();

        // Each side's next hop is the listener of its own transport (RFC 5658 §4).
        let near = edge.address(from).to_string();
        let far = edge.address(to).to_string();
        let [first, second] = outgoing.routes() else { panic!("{:?}", outgoing.routes()) };
        assert!(first.contains(&near) && second.contains(&far), "{first} {second}");
        let [first, second] = incoming.routes() else { panic!("{:?}", incoming.routes()) };
        assert!(first.contains(&far) && second.contains(&near), "{first} {second}");
        assert_eq!((info, bye), (Some(200), Some(200)));
    }
}

#[test]
fn a_connection_of_another_worker_is_reached() {
    let edge = Edge::start(Plan { workers: 4, ..Plan::default() });
    let mut caller = edge.taken_desk(Transport::Udp, 1);

    // Eight connections on four workers: some are not on the worker that has the caller's datagrams.
    for number in 2..=9 {
        let mut callee = edge.taken_desk(Transport::Tcp, number);
        let (mut outgoing, mut incoming) =
            connect(&mut caller, &mut callee, &format!("100{number}")).unwrap();
        let info = exchange(&mut caller, &mut outgoing, &mut callee, "INFO").unwrap().status();
        let bye = exchange(&mut callee, &mut incoming, &mut caller, "BYE").unwrap().status();
        assert_eq!((info, bye), (Some(200), Some(200)));
    }
}

#[test]
fn a_phone_whose_connection_is_gone_is_called_after_it_came_back() {
    let edge = Edge::start(Plan::default());
    let mut caller = edge.taken_desk(Transport::Udp, 1);
    drop(edge.taken_desk(Transport::Tcp, 2));

    let mut callee = edge.desk(Transport::Tcp, 2);
    let (outgoing, _) = connect(&mut caller, &mut callee, "1002").unwrap();

    assert_eq!(outgoing.status(), 200);
}

#[test]
fn a_phone_whose_connection_breaks_while_it_rings_rings_by_its_other_flow() {
    let edge = Edge::start(Plan { workers: 2, ..Plan::default() });
    let mut caller = edge.taken_desk(Transport::Udp, 1);
    let [mut first, mut second] = [(Transport::Tcp, 1), (Transport::Udp, 2)].map(|(transport, reg_id)| {
        let mut flow = edge.phone(transport, person(2));
        let contact = format!("<{}>;+sip.instance=\"<urn:uuid:1>\";reg-id={reg_id}", flow.contact("1002"));
        let draft = flow.draft_register(&person(2), 600).replace("Contact", &contact);
        let answer = flow.ask(&person(2), draft.with("Supported", "path, outbound")).unwrap();
        let seconds = if transport == Transport::Tcp { "120" } else { "30" };
        assert_eq!((answer.status(), answer.header("Flow-Timer")), (Some(200), Some(seconds)));
        flow
    });

    let mut outgoing = caller.dial("1002").unwrap();
    first.rings().unwrap();
    let spare = Wire::open(Transport::Udp, edge.address(Transport::Udp)).unwrap();
    std::mem::replace(first.wire(), spare).reset().unwrap();
    let mut incoming = second.rings().unwrap();
    second.pick_up(&mut incoming).unwrap();
    let outcome = caller.outcome(&mut outgoing).unwrap();
    let bye = hang_up(&mut caller, &mut outgoing, &mut second).unwrap();

    assert_eq!((outcome.status(), bye.status()), (Some(200), Some(200)));
}
