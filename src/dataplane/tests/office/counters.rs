//! Counters say how often something has happened, and nothing else counts.

use dataplane::testing::Office;

use crate::{SEED, gateway, three_desks};

#[test]
fn registrations_are_counted() {
    let mut office = Office::new(SEED);
    office.unbox("soft-1", "1001");
    office["soft-1"].wrong_password = Some("guess".into());
    assert_eq!(office.register("soft-1"), Some(401));
    office["soft-1"].wrong_password = None;

    assert_eq!(office.register("soft-1"), Some(200));
    assert_eq!(office.register("soft-1"), Some(200));
    assert_eq!(office.unregister("soft-1"), Some(200));

    let it = office.counters();
    assert_eq!(it.registers, office["soft-1"].responses_to("REGISTER").len() as u64);
    assert_eq!(it.digests_refused, 2, "the phone tried twice");
    assert_eq!((it.bindings_added, it.registers_refreshed, it.bindings_removed), (1, 1, 1));
}

#[test]
fn bindings_that_go_with_their_seat_are_counted() {
    let mut office = three_desks();
    office.native_log_in("desk-1", "1001");

    office.log_in("1001", "desk-2");

    assert_eq!(office.counters().bindings_removed, 1);
}

#[test]
fn seats_and_pins_are_counted() {
    let mut office = three_desks();
    office.pins.master = Some(("night-desk", "86420"));
    office.log_in("1001", "desk-1");
    office.log_in("1001", "desk-2");
    assert_eq!(office.log_out("desk-2"), Some(200));
    let master = office.call("desk-1", "*11*1002*86420");
    assert_eq!(office.outcome(master), Some(200));
    for _ in 0..3 {
        office.call("desk-3", "*11*1003*0000");
    }

    let it = office.counters();
    assert_eq!((it.log_ins, it.displacements, it.log_outs), (3, 1, 1));
    assert_eq!((it.master_pins_used, it.log_ins_refused, it.pins_wrong, it.pin_locks), (1, 3, 3, 1));
}

#[test]
fn calls_are_counted_from_inside_and_outside() {
    let mut office = Office::with(SEED, |blueprint| {
        let route = dataplane::settings::Route {
            prefix: "0".into(),
            peers: vec![gateway("carrier", 1)],
            account: None,
            strip: 1,
            prepend: "+1".into(),
            caller: None,
            no_answer: crate::seconds(4),
        };
        blueprint.tenants[0].routes = vec![route];
        blueprint.extension("1001").numbers = vec!["+12125551001".into()];
    });
    office.peer("carrier", "198.51.100.1:5060").own_phone("soft-1", "1001").own_phone("soft-2", "1002");

    let inside = office.call("soft-2", "1001");
    assert_eq!((office.outcome(inside), office.counters().invites), (Some(200), 1));
    let from_outside = office.call("carrier", "+12125551001");
    assert_eq!((office.outcome(from_outside), office.counters().invites), (Some(200), 2));
}

#[test]
fn what_is_for_nobody_is_counted() {
    let mut office = three_desks();
    let answer = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKnobodys\r\nFrom: <sip:a@b>;tag=1\r\n\
                  To: <sip:c@d>;tag=2\r\nCall-ID: nobodys\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n";

    office.throw("desk-1", answer.as_bytes());
    office.throw("desk-1", b"hello, world\r\n\r\n");

    let it = office.counters();
    assert_eq!((it.responses_dropped, it.dropped_unreadable), (1, 1));
}
