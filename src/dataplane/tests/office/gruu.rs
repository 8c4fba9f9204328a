//! URIs that reach one phone of a person and no other (RFC 5627).

use dataplane::settings::HomePhones;
use dataplane::testing::{Manner, Office, tenant};

use crate::{SEED, last_answer, last_heard};

const INSTANCES: [(&str, &str); 2] = [
    ("soft-a", "urn:uuid:00000000-0000-1000-8000-000a95a0e128"),
    ("soft-b", "urn:uuid:00000000-0000-1000-8000-000a95a0e129"),
];

/// 1001 has `soft-a` and `soft-b`, which know their GRUUs; `caller` is of 1002.
fn office_with(change: impl FnOnce(&mut dataplane::testing::Blueprint)) -> Office {
    let mut office = Office::with(SEED, |blueprint| {
        blueprint.tenants[0].registrar.gruu = true;
        change(blueprint);
    });
    office.own_phone("caller", "1002");
    for (name, instance) in INSTANCES {
        office.unbox(name, "1001");
        office[name].show_instance(instance);
        assert_eq!(register(&mut office, name), Some(200));
    }
    office
}

fn register(office: &mut Office, name: &str) -> Option<u16> {
    office.register_with(name, |register| {
        register.add("Supported", "replaces, gruu");
    })
}

/// What the last 200 says of the phone's own contact: public and temporary.
fn gruus(office: &Office, name: &str) -> [String; 2] {
    let answer = last_answer(office, name, "REGISTER");
    let own = format!("<{}>", office[name].contact(office[name].account()));
    let line = answer.headers("Contact").into_iter().find(|line| line.starts_with(&own));
    let line = line.expect("its own contact").to_owned();
    ["pub-gruu", "temp-gruu"].map(|name| {
        let (_, value) = line.split_once(&format!(";{name}=\"")).expect("a GRUU");
        value.split('"').next().unwrap_or_default().to_owned()
    })
}

fn invites(office: &Office) -> [usize; 2] {
    INSTANCES.map(|(name, _)| office[name].requests("INVITE").len())
}

#[test]
fn gruu_reaches_its_phone_alone() {
    let mut office = office_with(|_| {});
    let [public, temporary] = gruus(&office, "soft-b");
    assert_eq!(public, format!("sip:1001@demo.hotdesk;gr={}", INSTANCES[1].1));
    assert!(temporary.ends_with("@demo.hotdesk;gr") && !temporary.contains("1001"), "{temporary}");

    for (number, gruu) in [&public, &temporary].into_iter().enumerate() {
        let call = office.call("caller", gruu);
        assert_eq!(office.outcome(call), Some(200), "{gruu}");
        assert_eq!(invites(&office), [0, number + 1], "{gruu}");
        assert_eq!(last_heard(&office, "soft-b", "INVITE").uri(), office["soft-b"].contact("1001"));
        office.hang_up(call);
        assert_eq!(office.ask("caller", "MESSAGE", gruu, |_| {}), Some(200));
    }
    assert!(office["soft-a"].requests("MESSAGE").is_empty());

    office.call("caller", "1001");
    assert_eq!(invites(&office), [1, 3], "the extension rings everywhere");
}

#[test]
fn gruu_of_a_phone_that_is_away_is_not_to_be_had_and_rings_nobody_else() {
    let mut office = office_with(|_| {});
    let [public, temporary] = gruus(&office, "soft-b");

    assert_eq!(office.unregister("soft-b"), Some(200));

    for (gruu, expected) in [(&public, 480), (&temporary, 404)] {
        let call = office.call("caller", gruu);
        assert_eq!(office.outcome(call), Some(expected), "{gruu}");
    }
    assert_eq!(invites(&office), [0, 0]);
}

#[test]
fn gruu_of_a_phone_whose_connection_is_gone_is_not_to_be_had() {
    let mut office = office_with(|_| {});
    office.unbox("soft-c", "1001").over_tls("soft-c", "sips");
    office["soft-c"].show_instance("urn:uuid:3");
    office.unregister("soft-a");
    assert_eq!(register(&mut office, "soft-c"), Some(200));
    let both = gruus(&office, "soft-c");
    assert!(both.iter().all(|gruu| gruu.starts_with("sips:")), "{both:?}");

    office.lose("soft-c");

    for gruu in both {
        let call = office.call("caller", &gruu.replace("sips:", "sip:"));
        assert_eq!(office.outcome(call), Some(480), "{gruu}");
    }
}

#[test]
fn temporary_gruus_are_good_as_long_as_the_phone_registers_under_one_call_id() {
    let mut office = office_with(|_| {});
    let [public, first] = gruus(&office, "soft-a");

    assert_eq!(register(&mut office, "soft-a"), Some(200));
    let [_, second] = gruus(&office, "soft-a");
    office.kill_and_restart();
    assert_ne!(first, second);
    for gruu in [&public, &first, &second] {
        let call = office.call("caller", gruu);
        assert_eq!(office.outcome(call), Some(200), "{gruu}");
        office.hang_up(call);
    }

    assert_eq!(office.reboot("soft-a"), Some(200));
    for (gruu, expected) in [(&public, 200), (&first, 404), (&second, 404)] {
        let call = office.call("caller", gruu);
        assert_eq!(office.outcome(call), Some(expected), "{gruu}");
        office.hang_up(call);
    }
}

#[test]
fn gruu_that_nobody_was_given_reaches_nobody() {
    let mut office = office_with(|blueprint| {
        let mut guests = tenant("guests", "guests.hotdesk");
        guests.registrar.gruu = true;
        blueprint.tenants.push(guests);
    });
    office.unbox("guest", "1003").in_domain("guest", "guests.hotdesk");
    office.register("guest");
    let [_, temporary] = gruus(&office, "soft-a");
    let token = temporary.trim_start_matches("sip:").split('@').next().unwrap().to_owned();
    let last = if token.ends_with('A') { "B" } else { "A" };
    let altered = format!("{}{last}", &token[..token.len() - 1]);
    let another = if token.starts_with('A') { "B" } else { "A" };
    let cases = [
        ("caller", format!("sip:{altered}@demo.hotdesk;gr"), 404),
        ("caller", format!("sip:{another}{}@demo.hotdesk;gr", &token[1..]), 404),
        ("caller", "sip:1001@demo.hotdesk;gr".into(), 404),
        ("soft-a", "sip:1002@demo.hotdesk;gr=".into(), 404),
        ("caller", format!("sip:{}@demo.hotdesk;gr", "A".repeat(600)), 404),
        ("caller", "sip:demo.hotdesk;gr".into(), 404),
        // That of another person's phone, and of another tenant's.
        ("caller", format!("sip:1003@demo.hotdesk;gr={}", INSTANCES[0].1), 480),
        ("caller", format!("sip:nobody@demo.hotdesk;gr={}", INSTANCES[0].1), 404),
        ("guest", format!("sip:{token}@guests.hotdesk;gr"), 404),
        ("guest", format!("sip:1001@guests.hotdesk;gr={}", INSTANCES[0].1), 480),
    ];

    for (caller, gruu, expected) in cases {
        let call = office.call(caller, &gruu);
        assert_eq!(office.outcome(call), Some(expected), "{gruu}");
    }
    assert_eq!(invites(&office), [0, 0]);
}

#[test]
fn instance_is_escaped_in_a_gruu_and_understood_in_any_spelling() {
    let mut office = office_with(|_| {});
    office.unregister("soft-b");
    office.unbox("soft-c", "1001");
    office["soft-c"].show_instance("urn:x:a;b=c%41");
    assert_eq!(register(&mut office, "soft-c"), Some(200));

    let [public, _] = gruus(&office, "soft-c");

    assert_eq!(public, "sip:1001@demo.hotdesk;gr=urn:x:a%3Bb%3Dc%2541");
    for gruu in [public.as_str(), "sip:1001@DEMO.hotdesk;gr=%75rn%3Ax:a%3bb%3dc%2541"] {
        let call = office.call("caller", gruu);
        assert_eq!(office.outcome(call), Some(200), "{gruu}");
        office.hang_up(call);
    }
}

#[test]
fn request_within_a_call_to_a_gruu_gets_to_the_contact_it_stands_for() {
    for kind in [0, 1] {
        let mut office = office_with(|_| {});
        let gruu = gruus(&office, "soft-a")[kind].clone();
        let call = office.call_with("soft-a", "1002", |invite| {
            invite.set("Contact", &format!("<{gruu}>"));
        });
        let there = office.last_call("caller");
        assert_eq!(office.leg(there).target, gruu);

        assert_eq!(office.ask_within(there, "INFO", |_| {}), Some(200));
        assert_eq!(last_heard(&office, "soft-a", "INFO").uri(), office["soft-a"].contact("1001"));
        assert_eq!(office.invite_again(there, |_| {}), Some(200));
        assert_eq!(last_heard(&office, "soft-a", "ACK").uri(), office["soft-a"].contact("1001"));
        office.hang_up(there);
        assert_eq!((office["soft-a"].up(), office.outcome(call)), (0, Some(200)));
        assert!(office["soft-b"].requests("INFO").is_empty());
    }
}

#[test]
fn call_to_a_gruu_follows_no_seat() {
    let mut office = office_with(|_| {});
    office.plug_in("desk-1");
    office["soft-a"].manner = Manner::Rings;
    let [public, _] = gruus(&office, "soft-a");
    office.call("caller", &public);

    office.log_in("1001", "desk-1");

    assert_eq!(office["soft-a"].ringing(), 1);
    assert_eq!(office["desk-1"].requests("INVITE").iter().filter(|it| it.status().is_none()).count(), 0);
}

#[test]
fn phone_that_does_not_ring_while_its_person_sits_elsewhere_does_not_by_its_gruu() {
    let mut office = office_with(|blueprint| blueprint.seats().home_phones = HomePhones::Base);
    office.plug_in("desk-1");
    let [public, temporary] = gruus(&office, "soft-a");

    office.log_in("1001", "desk-1");

    for gruu in [public, temporary] {
        let call = office.call("caller", &gruu);
        assert_eq!(office.outcome(call), Some(480), "{gruu}");
    }
}

#[test]
fn shared_phone_has_no_gruu_by_its_own_account_or_by_a_seat() {
    let mut office = office_with(|_| {});
    let instance = "urn:uuid:00000000-0000-1000-8000-001122334451";
    office.plug_in("desk-1");
    office["desk-1"].show_instance(instance);
    assert_eq!(register(&mut office, "desk-1"), Some(200));
    assert!(!last_answer(&office, "desk-1", "REGISTER").text.contains("gruu"));
    office.switch_account("desk-1", "1003");
    assert_eq!(register(&mut office, "desk-1"), Some(200));
    assert!(!last_answer(&office, "desk-1", "REGISTER").text.contains("gruu"));
    assert_eq!(office.device_of("1003").as_deref(), Some("desk-1"));

    for (gruu, expected) in [
        (format!("sip:desk-1@demo.hotdesk;gr={instance}"), 404),
        (format!("sip:1003@demo.hotdesk;gr={instance}"), 480),
    ] {
        let call = office.call("caller", &gruu);
        assert_eq!(office.outcome(call), Some(expected), "{gruu}");
    }
    let required = |register: &mut dataplane::testing::Draft| {
        register.add("Require", "gruu");
    };
    assert_eq!(office.register_with("desk-1", required), Some(420));
    office.switch_account("desk-1", "desk-1");
    assert_eq!(office.register_with("desk-1", required), Some(420));
    assert_eq!(office.register_with("soft-a", required), Some(200));
}

#[test]
fn tenant_without_gruus_gives_none_and_knows_none() {
    let mut office = office_with(|blueprint| blueprint.tenants[0].registrar.gruu = false);
    assert!(!last_answer(&office, "soft-a", "REGISTER").text.contains("gruu"));
    let required = office.register_with("soft-a", |register| {
        register.add("Require", "gruu");
    });
    assert_eq!(required, Some(420));

    office.call("caller", &format!("sip:1001@demo.hotdesk;gr={}", INSTANCES[0].1));

    assert_eq!(invites(&office), [1, 1], "a parameter like any other");
}

#[test]
fn only_who_knows_of_gruus_is_told_and_of_phones_with_an_instance() {
    let mut office = office_with(|_| {});
    assert_eq!(office.register("soft-a"), Some(200));
    assert!(!last_answer(&office, "soft-a", "REGISTER").text.contains("gruu"));

    assert_eq!(register(&mut office, "caller"), Some(200));
    assert!(!last_answer(&office, "caller", "REGISTER").text.contains("gruu"));
}
