//! Log-in by the phone's own wizard: it registers the person's account.

use bench::phone::Transport;

use crate::edge::{Edge, Plan, desk, person};

#[test]
fn a_wizard_logs_in_and_out_by_register() {
    let edge = Edge::start(Plan::default());
    let mut phone = edge.desk(Transport::Udp, 1);

    let logged_in = phone.register_as(&person(1), 600).unwrap();
    let while_in = edge.control.seats().unwrap();
    let logged_out = phone.register_as(&person(1), 0).unwrap();
    let while_out = edge.control.seats().unwrap();

    assert_eq!((logged_in.status(), logged_out.status()), (Some(200), Some(200)));
    let while_in: Vec<_> =
        while_in.iter().map(|seat| (&*seat.device, &*seat.extension, &*seat.surface)).collect();
    assert_eq!(while_in, [("desk-1", "1001", "native")]);
    assert_eq!(while_out, []);
}

#[test]
fn a_phone_that_lost_its_seat_does_not_take_it_back_by_a_refresh() {
    let edge = Edge::start(Plan::default());
    let mut loser = edge.desk(Transport::Udp, 1);
    let mut winner = edge.desk(Transport::Tcp, 2);
    loser.register_as(&person(1), 600).unwrap();
    winner.register_as(&person(1), 600).unwrap();

    let refresh = loser.register_as(&person(1), 600).unwrap();
    let while_marked = edge.seats();
    let unregistered = loser.register_as(&person(1), 0).unwrap();
    let back = loser.register_as(&person(1), 600).unwrap();

    assert_eq!(refresh.status(), Some(403));
    assert_eq!(while_marked, [("desk-2".into(), "1001".into())]);
    assert_eq!((unregistered.status(), back.status()), (Some(200), Some(200)));
    assert_eq!(edge.seats(), [("desk-1".into(), "1001".into())]);
}

#[test]
fn an_ordinary_phone_rings_beside_the_seat_and_takes_none() {
    let edge = Edge::start(Plan::default());
    let mut caller = edge.taken_desk(Transport::Udp, 2);
    let mut seat = edge.taken_desk(Transport::Udp, 1);
    let mut softphone = edge.phone(Transport::Tcp, person(1));
    assert_eq!(softphone.register(600).unwrap().status(), Some(200));
    assert_eq!(edge.seats().len(), 2);

    let mut outgoing = caller.dial("1001").unwrap();
    let _at_the_desk = seat.rings().unwrap();
    let mut at_home = softphone.rings().unwrap();
    softphone.pick_up(&mut at_home).unwrap();
    let outcome = caller.outcome(&mut outgoing).unwrap();
    softphone.acknowledged(&at_home).unwrap();

    // The seat's branch is cancelled.
    seat.expect("CANCEL").unwrap();
    assert_eq!(outcome.status(), Some(200));
}

#[test]
fn a_register_for_another_account_is_refused() {
    let edge = Edge::start(Plan::default());
    let mut phone = edge.desk(Transport::Udp, 1);

    let foreign = phone.draft_register(&desk(1), 600).replace("To", "<sip:desk-2@demo.hotdesk>");

    assert_eq!(phone.ask(&desk(1), foreign).unwrap().status(), Some(403));
}
