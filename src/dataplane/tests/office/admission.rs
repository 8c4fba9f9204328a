//! What strangers may send before it is known who they are, and what nobody may be kept from by it.

use dataplane::output::Report;
use dataplane::settings::{AdmissionPolicy, Extension, Networks, Rate};
use dataplane::testing::{Blueprint, Office, password};

use crate::{SEED, gateway, seconds, three_desks};

/// So many questions to the edge itself, each another.
fn options(count: u32) -> impl Iterator<Item = Vec<u8>> {
    (0..count).map(|number| {
        format!(
            "OPTIONS sip:demo.hotdesk SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.66;branch=z9hG4bKf{number};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:x@demo.hotdesk>;tag=1\r\nTo: <sip:demo.hotdesk>\r\n\
             Call-ID: flood-{number}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        )
        .into_bytes()
    })
}

/// So many calls for help of nobody in particular, each another.
fn calls_for_help(count: u32) -> impl Iterator<Item = Vec<u8>> {
    (0..count).map(|number| {
        format!(
            "INVITE sip:112@demo.hotdesk SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.66;branch=z9hG4bKh{number};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:x@demo.hotdesk>;tag=1\r\nTo: <sip:112@demo.hotdesk>\r\n\
             Call-ID: help-{number}\r\nCSeq: 1 INVITE\r\nContact: <sip:x@192.0.2.66>\r\nContent-Length: 0\r\n\r\n"
        )
        .into_bytes()
    })
}

fn limits(blueprint: &mut Blueprint, source: u32, address: u32) {
    blueprint.admission = AdmissionPolicy {
        source: Rate::per_second(source),
        address: Rate::per_second(address),
        ..AdmissionPolicy::default()
    };
}

/// An office where one source may send 20 messages a second, with a way to the emergency service.
fn office_with_limits() -> Office {
    let mut office = Office::with(SEED, |blueprint| {
        limits(blueprint, 20, 100);
        blueprint.tenants[0].emergency.routes = vec![gateway("psap", 112)];
    });
    office.peer("psap", "198.51.100.112:5060").plug_in("desk-1").plug_in("desk-2");
    office
}

#[test]
fn flood_of_one_source_is_not_read_and_others_are_served() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");
    office.log_in("1002", "desk-2");
    office.peer("flooder", "198.51.100.66:5060");

    office.throw_all("flooder", options(10_000));

    let answered = office["flooder"].responses_to("OPTIONS").len();
    assert_eq!(answered, 2_501, "what five seconds may bring, at once");
    assert_eq!(office.counters().dropped_over_limit, 7_499);
    let call = office.call("desk-1", "1002");
    assert_eq!(office.outcome(call), Some(200));
    office.advance(seconds(6));
    office.throw_all("flooder", options(1));
    assert_eq!(office["flooder"].responses_to("OPTIONS").len(), answered + 1, "time pays");
}

#[test]
fn many_ports_of_a_stranger_are_one_address() {
    let mut office = Office::with(SEED, |blueprint| limits(blueprint, 20, 20));

    for port in 0..200 {
        let name = format!("port-{port}");
        office.peer(&name, &format!("198.51.100.66:{}", 20_000 + port));
        office.throw_all(&name, options(5));
    }

    let spent = office.clock().0 / 1_000_000_000;
    let read = office.counters().received - office.counters().dropped_over_limit;
    assert!((100..=110 + 20 * spent).contains(&read), "{read} in {spent} s");
}

#[test]
fn what_begins_as_a_part_of_a_call_is_limited_by_address_too() {
    let mut office = Office::with(SEED, |blueprint| limits(blueprint, 20, 20));

    for port in 0..200 {
        let name = format!("port-{port}");
        office.peer(&name, &format!("198.51.100.66:{}", 20_000 + port));
        office.throw_all(&name, (0..5).map(|_| b"BYE sip:x@demo.hotdesk SIP/2.0\r\n\r\n".to_vec()));
    }

    let spent = office.clock().0 / 1_000_000_000;
    let read = office.counters().received - office.counters().dropped_over_limit;
    assert!((200..=220 + 20 * spent).contains(&read), "{read} in {spent} s");
}

#[test]
fn phones_behind_one_address_all_come_back_after_a_power_cut() {
    const PHONES: u32 = 40;
    let mut office = Office::with(SEED, |blueprint| {
        limits(blueprint, 20, 15);
        for number in 0..PHONES {
            let number = format!("{}", 2000 + number);
            let secret = dataplane::auth::secret(&number, "demo.hotdesk", &password(&number));
            let extension =
                Extension { number: (&*number).into(), secret, own_phones_max: 2, ..Extension::default() };
            blueprint.tenants[0].extensions.push(extension);
        }
    });
    for phone in 0..PHONES {
        let name = format!("nat-{phone}");
        office.unbox(&name, &format!("{}", 2000 + phone));
        office.seen_at(&name, &format!("203.0.113.200:{}", 30_000 + phone));
        assert_eq!(office.register(&name), Some(200), "{name}");
    }

    // The NAT was without power as well: every phone is seen behind another port.
    for phone in 0..PHONES {
        let name = format!("nat-{phone}");
        office.seen_at(&name, &format!("203.0.113.200:{}", 40_000 + phone));
        assert_eq!(office.reboot(&name), Some(200), "{name}");
    }

    assert_eq!(office.counters().dropped_over_limit, 0);
}

#[test]
fn phone_that_floods_can_call_for_help_and_end_the_call() {
    let mut office = office_with_limits();
    office.throw_all("desk-1", options(1_000));

    let refused = office.call("desk-1", "*13");
    assert_eq!(office.outcome(refused), None, "it has sent too much");
    let help = office.call("desk-1", "sip:9-112@demo.hotdesk");

    assert_eq!(office.outcome(help), Some(200));
    office.hang_up(help);
    assert_eq!((office["desk-1"].up(), office["psap"].up()), (0, 0));
}

#[test]
fn flood_of_calls_for_help_is_not_read_and_keeps_nobody_else_from_help() {
    let mut office = office_with_limits();
    office.peer("flooder", "203.0.113.200:6666");
    // Nobody knows them: one far from the flood, one behind the same address, and there one that has registered.
    office.unbox("elsewhere", "1001").seen_at("elsewhere", "198.51.100.7:5060");
    office.unbox("beside", "1002").seen_at("beside", "203.0.113.200:5060");
    office.unbox("registered", "1003").seen_at("registered", "203.0.113.200:5062");
    assert_eq!(office.register("registered"), Some(200));

    office.throw_all("flooder", calls_for_help(5_000));

    let asked = office["flooder"].responses_to("INVITE").len() as u64;
    assert!((150..=250).contains(&asked), "{asked}: five seconds' worth, and as much again for help");
    assert_eq!(office.counters().dropped_over_limit, 5_000 - asked);
    assert_eq!(office.counters().emergency_dropped, 5_000 - asked);
    for phone in ["elsewhere", "beside", "registered", "desk-1"] {
        let help = office.call(phone, "112");
        assert_eq!(office.outcome(help), Some(200), "{phone}");
        office.hang_up(help);
    }
    office.advance(seconds(6));
    office.throw_all("flooder", calls_for_help(1));
    assert_eq!(office["flooder"].responses_to("INVITE").len() as u64, asked + 1, "time pays");
}

#[test]
fn flood_of_calls_for_help_from_many_ports_is_one_address_and_keeps_no_registered_phone_from_help() {
    let mut office = office_with_limits();
    office.unbox("registered", "1003").seen_at("registered", "203.0.113.200:5062");
    assert_eq!(office.register("registered"), Some(200));
    let before = office.counters();

    for port in 0..50 {
        let name = format!("port-{port}");
        office.peer(&name, &format!("203.0.113.200:{}", 20_000 + port));
        office.throw_all(&name, calls_for_help(200));
    }

    let after = office.counters();
    let read = after.received - before.received - (after.dropped_over_limit - before.dropped_over_limit);
    // An address has 100 a second here, and 20 for the phone behind it.
    let spent = office.clock().0 / 1_000_000_000 + 1;
    assert!((1_000..=2 * 120 * (5 + spent)).contains(&read), "{read} of 10,000 in {spent} s");
    let help = office.call("registered", "112");
    assert_eq!(office.outcome(help), Some(200));
}

#[test]
fn call_for_help_lifts_no_limit_of_what_is_said_to_belong_to_calls() {
    let mut office = office_with_limits();
    office.peer("flooder", "198.51.100.66:5060");
    office.throw_all("flooder", options(200));
    office.throw_all("flooder", calls_for_help(1));
    let before = office.counters();

    office.throw_all("flooder", (0..5_000).map(|_| b"BYE sip:x@demo.hotdesk SIP/2.0\r\n\r\n".to_vec()));

    let read = 5_000 - (office.counters().dropped_over_limit - before.dropped_over_limit);
    assert!((150..=250).contains(&read), "{read}: the reserve of five seconds, and as much again");
}

#[test]
fn connection_that_floods_with_calls_for_help_is_closed() {
    let mut office = office_with_limits();
    office.plug_in_stream("desk-3");
    let connection = office["desk-3"].connection();

    office.throw_all("desk-3", calls_for_help(1_000));

    assert_ne!(office["desk-3"].connection(), connection);
    office.seen_at("desk-3", "203.0.113.3:40000");
    let help = office.call("desk-3", "112");
    assert_eq!(office.outcome(help), Some(200), "over the next one");
}

#[test]
fn peer_of_the_operator_is_never_limited() {
    let mut office = office_with_limits();
    office.peer("monitor", "192.0.2.200:5060");
    office.reconfigure(|blueprint| {
        blueprint.admission.never_limited = vec!["192.0.2.192/28".parse().expect("a network")];
    });

    office.throw_all("psap", options(1_000));
    office.throw_all("monitor", options(1_000));

    assert_eq!(office["psap"].responses_to("OPTIONS").len(), 1_000);
    assert_eq!(office["monitor"].responses_to("OPTIONS").len(), 1_000);
}

#[test]
fn connection_over_its_limit_is_closed() {
    let mut office = Office::with(SEED, |blueprint| limits(blueprint, 20, 100));
    office.plug_in_stream("desk-3");
    let connection = office["desk-3"].connection();

    office.throw_all("desk-3", options(1_000));

    assert_ne!(office["desk-3"].connection(), connection);
}

/// So many connections over TLS are begun at once from where `name` is; how many are taken in.
fn taken_in(office: &mut Office, name: &str, begun: usize) -> usize {
    (0..begun).filter(|_| office.may_connect(name)).count()
}

/// The demo with somebody who speaks TLS at each of these addresses.
fn over_tls(addresses: &[(&str, &str)]) -> Office {
    let mut office = Office::new(SEED);
    for (name, address) in addresses {
        office.unbox(name, "1001").over_tls(name, "sip").seen_at(name, address);
    }
    office
}

#[test]
fn handshakes_of_a_stranger_are_limited_by_address_and_told_of_once() {
    let mut office = over_tls(&[
        ("stranger", "198.51.100.66:6000"),
        ("elsewhere", "198.51.100.7:6000"),
        ("six", "[2001:db8::1]:6000"),
        ("neighbour", "[2001:db8::2]:6000"),
    ]);
    office.plug_in_stream("desk-3").seen_at("desk-3", "198.51.100.66:7000");

    assert_eq!(taken_in(&mut office, "stranger", 1_000), 251, "five seconds' worth");
    assert_eq!(office.counters().handshakes_over_limit, 749);
    assert!(office.may_connect("desk-3"), "without TLS it costs next to nothing");
    assert!(office.may_connect("elsewhere"));
    assert_eq!(taken_in(&mut office, "six", 1_000), 251);
    assert!(!office.may_connect("neighbour"), "they are of one /64");
    office.advance(seconds(1));
    assert_eq!(taken_in(&mut office, "stranger", 1_000), 50, "time pays");

    let addresses = office.reports.iter().filter_map(|report| match report {
        Report::ManyHandshakes(address) => Some(address.to_string()),
        _ => None,
    });
    assert_eq!(addresses.collect::<Vec<_>>(), ["198.51.100.66", "2001:db8::1"]);
}

#[test]
fn office_of_which_nobody_is_known_yet_is_in_within_35_seconds() {
    let mut office = over_tls(&[("office", "198.51.100.66:6000")]);

    let (mut waiting, mut waited) = (2_000, 0);
    loop {
        waiting -= taken_in(&mut office, "office", waiting);
        if waiting == 0 {
            break;
        }
        office.advance(seconds(1));
        waited += 1;
    }

    assert!((30..=35).contains(&waited), "{waited} s");
}

#[test]
fn handshakes_of_an_address_grow_with_the_phones_behind_it() {
    let mut office = over_tls(&[("office", "203.0.113.200:6000")]);
    for number in 1..=3 {
        let name = format!("desk-{number}");
        office.plug_in_stream(&name).seen_at(&name, &format!("203.0.113.200:{}", 30_000 + number));
        assert_eq!(office.register(&name), Some(200));
    }
    office.own_phone("fourth", "1001").seen_at("fourth", "203.0.113.200:40000");
    assert_eq!(office.register("fourth"), Some(200));

    assert_eq!(taken_in(&mut office, "office", 1_000), 251 + 5, "five seconds' worth of one more a second");
}

#[test]
fn handshake_that_goes_on_with_a_session_of_before_costs_a_quarter() {
    let mut office = over_tls(&[("phone", "198.51.100.66:6000")]);

    for _ in 0..900 {
        assert!(office.may_connect("phone"));
        office.resume("phone");
    }

    assert_eq!(taken_in(&mut office, "phone", 1_000), 251 - 900 / 4);
}

#[test]
fn handshakes_of_a_network_that_is_never_limited_are_all_taken() {
    let mut office = over_tls(&[("monitor", "192.0.2.200:6000")]);
    office.reconfigure(|blueprint| {
        blueprint.admission.never_limited = vec!["192.0.2.192/28".parse().expect("a network")];
    });

    assert_eq!(taken_in(&mut office, "monitor", 1_000), 1_000);
}

#[test]
fn denied_network_of_a_listener_is_not_read() {
    let mut office = Office::with(SEED, |blueprint| {
        blueprint.networks =
            Networks { deny: vec!["198.51.100.0/24".parse().expect("a network")], ..Networks::default() };
    });
    office.peer("stranger", "198.51.100.66:5060").plug_in("desk-1");

    office.throw_all("stranger", options(3));

    assert!(office["stranger"].heard().is_empty());
    assert_eq!(office.counters().dropped_denied, 3);
}

#[test]
fn tenant_takes_phones_from_its_networks_alone_and_calls_for_help_from_anywhere() {
    let mut office = office_with_limits();
    office.plug_in("desk-3");
    office.reconfigure(|blueprint| {
        blueprint.tenants[0].networks =
            Networks { allow: vec!["10.0.0.0/8".parse().expect("a network")], ..Networks::default() };
    });

    assert_eq!(office.register("desk-3"), Some(403));
    let call = office.call("desk-3", "1001");
    assert_eq!(office.outcome(call), Some(403));
    let help = office.call("desk-3", "112");
    assert_eq!(office.outcome(help), Some(200));
    office.seen_at("desk-3", "10.2.0.9:5060");
    assert_eq!(office.register("desk-3"), Some(200));
}
