//! Phones that keep several flows to the edge (RFC 5626): each is a binding, all are one phone.

use std::time::Duration;

use dataplane::testing::{CallState, Manner, Office};

use crate::{SEED, last_answer, last_heard, seconds, three_desks};

const INSTANCE: &str = "urn:uuid:00000000-0000-1000-8000-000a95a0e128";

/// A phone of 1001 with a flow over TLS (`flow-1`) and one over UDP (`flow-2`), and `caller`, of 1002.
pub(crate) fn two_flows() -> Office {
    let mut office = Office::new(SEED);
    office
        .unbox("flow-1", "1001")
        .over_tls("flow-1", "sip")
        .unbox("flow-2", "1001")
        .own_phone("caller", "1002");
    for (name, reg_id) in [("flow-1", 1), ("flow-2", 2)] {
        office[name].show_flow(INSTANCE, reg_id);
        assert_eq!(office.register(name), Some(200));
    }
    office
}

fn invites(office: &Office) -> [usize; 2] {
    ["flow-1", "flow-2"].map(|name| office[name].requests("INVITE").len())
}

#[test]
fn each_flow_is_a_binding_and_the_phone_is_told_how_often_to_keep_it_alive() {
    let mut office = two_flows();

    for (name, reg_id, seconds) in [("flow-1", 1, "120"), ("flow-2", 2, "30")] {
        for time in ["new", "refreshed"] {
            let answer = last_answer(&office, name, "REGISTER");
            assert_eq!(answer.header("Require"), Some("outbound"), "{name} {time}");
            assert_eq!(answer.header("Flow-Timer"), Some(seconds), "{name} {time}");
            let own =
                answer.headers("Contact").into_iter().filter(|it| it.contains(&office[name].contact("1001")));
            let own: Vec<_> = own.collect();
            assert!(matches!(own[..], [it] if it.ends_with(&format!(";reg-id={reg_id}"))), "{own:?}");
            assert_eq!(office.register(name), Some(200));
        }
    }
    assert_eq!(office.tables().location.census().bindings, 2 + 1);

    office.call("caller", "1001");

    assert_eq!(invites(&office), [1, 0], "one phone rings once");
}

#[test]
fn flow_that_breaks_while_it_rings_gives_way_to_the_next_and_the_caller_hears_nothing_of_it() {
    let mut office = two_flows();
    office["flow-1"].manner = Manner::Rings;
    let call = office.call("caller", "1001");

    office.lose("flow-1");

    assert_eq!(office.outcome(call), Some(200));
    assert_eq!(office["flow-2"].up(), 1);
    assert!(office.leg(call).statuses.iter().all(|status| *status <= 200), "{:?}", office.leg(call).statuses);
    let again = office.call("caller", "1001");
    assert_eq!(office.outcome(again), Some(200), "the flow that is left");
}

#[test]
fn flow_on_which_nothing_is_heard_or_that_is_said_to_have_failed_gives_way_to_the_next() {
    for failed in [430, 408] {
        let mut office = two_flows();
        office["flow-1"].manner = Manner::Refuses(failed);
        let call = office.call("caller", "1001");
        assert_eq!(office.outcome(call), Some(200), "{failed}");
        assert_eq!(invites(&office), [1, 1]);
    }

    let mut office = two_flows();
    office["flow-1"].manner = Manner::Silent;
    let call = office.call("caller", "1001");
    assert_eq!(invites(&office), [1, 0], "one flow at a time");
    office.advance(seconds(9));
    assert_eq!(office.outcome(call), Some(200));
    assert_eq!(invites(&office), [1, 1]);
}

/// A phone of 1001 with eight flows, of which the first say nothing, and `caller`, of 1002; how long a call takes, and how it ends.
fn call_of_eight_flows(silent: usize) -> (Duration, Option<u16>) {
    let mut office = Office::with(SEED, |blueprint| blueprint.extension("1001").devices_max = 0);
    office.own_phone("caller", "1002");
    let names: Vec<_> = (1..=8).map(|reg_id| format!("flow-{reg_id}")).collect();
    for (name, reg_id) in names.iter().zip(1..) {
        office.unbox(name, "1001");
        office[&**name].show_flow(INSTANCE, reg_id);
        assert_eq!(office.register(name), Some(200), "{name}");
    }
    for name in &names[..silent] {
        office[&**name].manner = Manner::Silent;
    }
    let began = office.clock();
    let call = office.call("caller", "1001");
    while office.outcome(call).is_none() {
        office.advance(Duration::from_millis(100));
    }
    assert!(names.iter().all(|name| !office[&**name].requests("INVITE").is_empty()), "each has its turn");
    (office.clock().since(began), office.outcome(call))
}

#[test]
fn caller_of_a_silent_phone_waits_for_all_its_flows_no_longer_than_for_two_phones() {
    let (waited, outcome) = call_of_eight_flows(8);
    assert_eq!(outcome, Some(480));
    assert!((seconds(15)..seconds(17)).contains(&waited), "{waited:?}");

    let (waited, outcome) = call_of_eight_flows(7);
    assert_eq!(outcome, Some(200), "by the last");
    assert!((seconds(14)..seconds(16)).contains(&waited), "{waited:?}");
}

#[test]
fn caller_of_a_phone_whose_flows_have_all_failed_hears_that_nobody_can_be_had() {
    let mut office = two_flows();
    office["flow-1"].manner = Manner::Refuses(430);
    office["flow-2"].manner = Manner::Refuses(430);

    let call = office.call("caller", "1001");

    assert_eq!(office.outcome(call), Some(480));
    assert_eq!(invites(&office), [1, 1]);
}

#[test]
fn phone_that_has_answered_by_one_flow_is_not_asked_by_another() {
    let mut office = two_flows();
    office["flow-1"].manner = Manner::Refuses(486);

    let call = office.call("caller", "1001");

    assert_eq!(office.outcome(call), Some(486));
    assert_eq!(invites(&office), [1, 0]);
}

#[test]
fn caller_who_hangs_up_ends_the_search() {
    let mut office = two_flows();
    office["flow-1"].manner = Manner::Rings;
    let call = office.call("caller", "1001");

    office.pull_plug("flow-1");
    office.hang_up(call);
    office.lose("flow-1");

    assert_eq!(office.outcome(call), Some(487));
    assert_eq!(invites(&office), [1, 0]);
}

#[test]
fn message_goes_by_the_next_flow_only_where_one_is_known_to_have_failed() {
    let mut office = two_flows();
    office.pull_plug("flow-1");
    assert_eq!(office.ask("caller", "MESSAGE", "1001", |_| {}), None);

    office.lose("flow-1");

    assert_eq!(last_answer(&office, "caller", "MESSAGE").status(), Some(200));
    assert_eq!(office["flow-2"].requests("MESSAGE").len(), 1);

    let mut office = two_flows();
    office.pull_plug("flow-1");
    office.ask("caller", "MESSAGE", "1001", |_| {});
    office.advance(seconds(40));
    assert_eq!(office["flow-2"].requests("MESSAGE").len(), 0, "nobody waits for it any more (RFC 4320 §4.2)");
}

#[test]
fn request_within_a_call_whose_flow_is_gone_goes_by_another_of_that_phone() {
    let mut office = two_flows();
    // Another phone of the person, so that it is not the only one there.
    office.own_phone("other", "1001");
    office["other"].manner = Manner::Silent;
    let call = office.call("caller", "1001");
    assert_eq!(office["flow-1"].up(), 1);

    office.lose("flow-1");
    office.ask_within(call, "INFO", |_| {});

    assert_eq!(office["flow-2"].requests("INFO").len(), 1);
    assert_eq!(office["other"].requests("INFO").len(), 0);
}

#[test]
fn contact_that_wants_the_flow_of_its_dialog_gets_it() {
    let mut office = two_flows();
    office["flow-2"].manner = Manner::Rings;
    let contact = format!("<{};ob>", office["flow-2"].contact("1001"));

    let call = office.call_with("flow-2", "1002", |invite| {
        invite.set("Contact", &contact);
    });
    let there = office.last_call("caller");
    office.ask_within(there, "INFO", |_| {});

    assert_eq!(office.leg(call).state, CallState::Up);
    let info = last_heard(&office, "flow-2", "INFO");
    assert_eq!(format!("<{}>", info.uri()), contact, "as the phone gave it");
    assert_eq!(office["flow-1"].requests("INFO").len(), 0);
}

#[test]
fn several_flows_are_one_phone_of_those_that_an_extension_may_have() {
    let mut office = Office::with(SEED, |blueprint| blueprint.extension("1001").own_phones_max = 1);
    for (name, reg_id) in [("flow-1", 1), ("flow-2", 2), ("flow-3", 3)] {
        office.unbox(name, "1001");
        office[name].show_flow(INSTANCE, reg_id);
        assert_eq!(office.register(name), Some(200), "{name}");
    }

    office.unbox("other", "1001");

    assert_eq!(office.register("other"), Some(403));
    assert_eq!(office.tables().location.census().bindings, 3);
}

#[test]
fn flow_of_the_same_number_of_another_phone_or_person_is_another() {
    let mut office = two_flows();
    for (name, user, instance) in [("other", "1001", "urn:uuid:2"), ("third", "1003", INSTANCE)] {
        office.unbox(name, user);
        office[name].show_flow(instance, 1);
        assert_eq!(office.register(name), Some(200));
    }

    assert_eq!(office.tables().location.census().bindings, 2 + 1 + 2);
    office.call("caller", "1001");
    assert_eq!(invites(&office), [1, 0]);
    let rung = ["other", "third"].map(|name| office[name].requests("INVITE").len());
    assert_eq!(rung, [1, 0], "all phones of the person, and those alone");
}

#[test]
fn flow_of_a_phone_that_comes_back_elsewhere_takes_the_place_of_what_it_was() {
    let mut office = two_flows();

    office.seen_at("flow-2", "203.0.113.99:40000");
    assert_eq!(office.reboot("flow-2"), Some(200));

    assert_eq!(office.tables().location.census().bindings, 2 + 1);
    assert_eq!(office.unregister("flow-1"), Some(200));
    assert_eq!(office.tables().location.census().bindings, 1 + 1);
    let call = office.call("caller", "1001");
    assert_eq!(office.outcome(call), Some(200));
    assert_eq!(invites(&office), [0, 1]);
}

#[test]
fn reg_id_counts_with_an_instance_and_a_phone_that_knows_of_flows() {
    let mut office = Office::new(SEED);
    office.unbox("soft-1", "1001");
    let contact = office["soft-1"].contact("1001");
    let instance = format!("+sip.instance=\"<{INSTANCE}>\"");
    let cases = [
        ("no instance", "Supported: outbound", format!("<{contact}>;reg-id=1")),
        ("not supported", "Supported: path", format!("<{contact}>;{instance};reg-id=1")),
        ("no such number", "Supported: outbound", format!("<{contact}>;{instance};reg-id=0")),
        ("too great a number", "Supported: outbound", format!("<{contact}>;{instance};reg-id=2147483648")),
    ];

    for (case, header, contact) in cases {
        let (name, value) = header.split_once(": ").unwrap();
        let outcome = office.register_with("soft-1", |register| {
            register.add(name, value).set("Contact", &contact);
        });
        assert_eq!(outcome, Some(200), "{case}");
        let answer = last_answer(&office, "soft-1", "REGISTER");
        assert_eq!((answer.header("Require"), answer.header("Flow-Timer")), (None, None), "{case}");
        assert!(!answer.text.contains("reg-id"), "{case}: {}", answer.text);
    }
    assert_eq!(office.tables().location.census().bindings, 1);
}

#[test]
fn flow_is_registered_alone_and_from_the_first_hop() {
    let mut office = Office::new(SEED);
    office.unbox("soft-1", "1001");
    office["soft-1"].show_flow(INSTANCE, 1);

    let through_a_proxy = office.register_with("soft-1", |register| {
        register.add("Via", "SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bKphone");
    });
    let with_another = office.register_with("soft-1", |register| {
        register.add("Contact", "<sip:1001@192.168.1.77>");
    });
    assert_eq!([through_a_proxy, with_another], [Some(439), Some(400)]);
    assert_eq!(office.tables().location.census().bindings, 0);

    let old = office.register_with("soft-1", |register| {
        register.add("Contact", "<sip:1001@192.168.1.77>;expires=0");
    });
    assert_eq!(old, Some(200), "one may be taken back with it");
}

#[test]
fn flows_are_known_after_a_restart() {
    let mut office = two_flows();

    office.kill_and_restart();
    assert_eq!(office.tables().location.census().bindings, 2 + 1);

    let call = office.call("caller", "1001");
    assert_eq!(office.outcome(call), Some(200), "the connection is gone, the addresses are not");
    assert_eq!(invites(&office), [0, 1]);
    office.hang_up(call);
    assert_eq!(office.register("flow-1"), Some(200));
    assert_eq!(office.tables().location.census().bindings, 2 + 1);
    office.call("caller", "1001");
    assert_eq!(invites(&office), [1, 1]);
}

/// `desk-1` with two flows of its own account, known by name as `desk-1` and `desk-1b`.
fn desk_with_two_flows() -> Office {
    let mut office = three_desks();
    office.unbox("desk-1b", "desk-1").own_phone("caller", "1003");
    for (name, reg_id) in [("desk-1", 1), ("desk-1b", 2)] {
        office[name].show_flow(INSTANCE, reg_id);
        assert_eq!(office.register(name), Some(200));
    }
    // What it registered before it knew of flows.
    office.advance(seconds(700));
    office
}

#[test]
fn seat_is_the_devices_whatever_flow_it_was_taken_by() {
    let mut office = desk_with_two_flows();

    let dialled = office.log_in_string("1001");
    let log_in = office.call("desk-1b", &dialled);

    assert_eq!(office.outcome(log_in), Some(200));
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
    let call = office.call("caller", "1001");
    assert_eq!(office.outcome(call), Some(200));
    let rung = ["desk-1", "desk-1b"].map(|name| office[name].requests("INVITE").len());
    assert_eq!(rung, [1, 0], "one phone rings once");
    office.hang_up(call);

    let before = ["desk-1", "desk-1b"].map(|name| office[name].reloads()).iter().sum::<usize>();
    office.log_in("1001", "desk-2");
    let after = ["desk-1", "desk-1b"].map(|name| office[name].reloads()).iter().sum::<usize>();

    assert_eq!(after - before, 1, "one phone is told once");
    let moved = office.call("caller", "1001");
    assert_eq!(office.outcome(moved), Some(200));
    assert_eq!(office["desk-2"].up(), 1);
    assert_eq!(["desk-1", "desk-1b"].map(|name| office[name].up()), [0, 0]);
}

#[test]
fn native_seat_lasts_as_long_as_a_flow_of_its_phone_and_no_flow_brings_it_back() {
    let mut office = desk_with_two_flows();
    assert_eq!(office.native_log_in("desk-1", "1001"), Some(200));
    assert_eq!(office.native_log_in("desk-1b", "1001"), Some(200));
    let epoch = office.seat_at("desk-1").map(|seat| seat.epoch);
    office.call("caller", "1001");
    let rung = ["desk-1", "desk-1b"].map(|name| office[name].requests("INVITE").len());
    assert_eq!(rung, [1, 0]);

    assert_eq!(office.unregister("desk-1b"), Some(200));
    assert_eq!(office.seat_at("desk-1").map(|seat| seat.epoch), epoch, "the other flow holds it");
    assert_eq!(office.register("desk-1b"), Some(200));

    office.log_in("1001", "desk-2");

    for name in ["desk-1", "desk-1b"] {
        assert_eq!(office.register(name), Some(403), "{name}");
    }
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-2"));
}

#[test]
fn native_seat_ends_with_the_last_flow_of_its_phone() {
    let mut office = desk_with_two_flows();
    office.native_log_in("desk-1", "1001");
    office.native_log_in("desk-1b", "1001");

    assert_eq!(office.unregister("desk-1"), Some(200));
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
    assert_eq!(office.unregister("desk-1b"), Some(200));

    assert_eq!(office.device_of("1001"), None);
}

#[test]
fn flows_of_an_ordinary_phone_leave_room_for_the_seat() {
    let mut office = two_flows();
    for reg_id in 3..=8 {
        let name = format!("flow-{reg_id}");
        office.unbox(&name, "1001");
        office[&*name].show_flow(INSTANCE, reg_id);
        let expected = if reg_id < 8 { 200 } else { 403 };
        assert_eq!(office.register(&name), Some(expected), "{reg_id}");
    }
}
