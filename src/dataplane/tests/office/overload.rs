//! An edge with more to do than it can: what it refuses, in which order and how, and what it never does.

use std::collections::BTreeSet;
use std::time::Duration;

use dataplane::testing::{Manner, Office};

use crate::{SEED, gateway, last_answer, seconds};

/// As much is refused as can be.
const LONG: Duration = seconds(4);

/// And so it goes on.
const TICK: Duration = Duration::from_millis(50);

/// For `span` whatever comes has waited for a second, twice T1.
fn overload(office: &mut Office, span: Duration) {
    office.let_wait(seconds(1), span);
}

/// Ann at desk-1 and Max at desk-2, nobody at desk-3, and a way to the emergency service.
fn office() -> Office {
    let mut office = Office::with(SEED, |blueprint| {
        blueprint.tenants[0].emergency.routes = vec![gateway("psap", 112)];
    });
    office.peer("psap", "198.51.100.112:5060").plug_in("desk-1").plug_in("desk-2").plug_in("desk-3");
    office.log_in("1002", "desk-1");
    office.log_in("1003", "desk-2");
    office
}

#[test]
fn log_ins_are_refused_first_and_without_503() {
    let mut office = office();
    overload(&mut office, Duration::from_millis(500));

    assert_eq!(office.try_log_in("1001", "desk-3"), Some(603));
    assert_eq!(office["desk-3"].responses_to("INVITE").len(), 1, "it was not even asked who it is");
    let call = office.call("desk-1", "1003");
    assert_eq!(office.outcome(call), Some(200));
    office.hang_up(call);
    assert_eq!(office.log_out("desk-2"), Some(200), "whoever leaves makes room");
    assert!(office.counters().shed_log_ins > 0 && office.counters().shed_calls == 0);
}

#[test]
fn strangers_are_not_asked_who_they_are_while_phones_go_on() {
    let mut office = office();
    office.peer("stranger", "198.51.100.66:5060").unbox("soft-1", "1001");
    overload(&mut office, Duration::from_millis(500));
    let request = |method: &str, user: &str| {
        format!(
            "{method} sip:{user}@demo.hotdesk SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.66;branch=z9hG4bK{method}{user};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:1001@demo.hotdesk>;tag=1\r\nTo: <sip:{user}@demo.hotdesk>\r\n\
             Call-ID: {user}\r\nCSeq: 1 {method}\r\nContact: <sip:x@198.51.100.66>\r\nContent-Length: 0\r\n\r\n"
        )
    };

    for (method, user, answer) in [
        ("INVITE", "1002", 503),
        ("INVITE", "nobody", 503),
        ("INVITE", "*11*1001*7738", 603),
        ("INVITE", "*12", 603),
        ("INVITE", "*13", 603),
        ("MESSAGE", "1002", 503),
        ("OPTIONS", "1002", 503),
        ("options", "1002", 503),
    ] {
        office.throw("stranger", request(method, user).as_bytes());
        assert_eq!(last_answer(&office, "stranger", method).status(), Some(answer), "{method} {user}");
    }
    let call = office.call("desk-1", "1003");
    assert_eq!(office.outcome(call), Some(200));
    assert_eq!(office.ask("desk-1", "MESSAGE", "1001", |_| {}), Some(480), "it has been looked for");
    assert_eq!(office.log_out("desk-2"), Some(200));
    let help = office.call("soft-1", "112");
    assert_eq!(office.outcome(help), Some(200));
}

#[test]
fn nothing_of_a_dialog_and_no_call_for_help_is_refused() {
    let mut office = office();
    let call = office.call("desk-1", "1003");
    assert_eq!(office.outcome(call), Some(200));
    overload(&mut office, LONG);

    for number in 0..40 {
        overload(&mut office, TICK);
        assert_eq!(office.invite_again(call, |_| {}), Some(200), "{number}");
        let help = office.call("desk-3", "112");
        assert_eq!(office.outcome(help), Some(200), "{number}");
        office.hang_up(help);
    }
    office.hang_up(call);
    assert_eq!((office["desk-1"].up(), office["desk-2"].up(), office["psap"].up()), (0, 0, 0));
}

#[test]
fn full_table_has_room_for_what_ends_calls_and_for_help() {
    let mut office = office();
    office.make_room_for(4, 100);
    let call = office.call("desk-1", "1003");
    assert_eq!(office.outcome(call), Some(200));

    let second = office.call("desk-2", "1002");
    let third = office.call("desk-2", "1002");
    let log_in = office.try_log_in("1001", "desk-3");
    let help = office.call("desk-3", "112");
    office.hang_up(call);

    assert_eq!([second, third].map(|call| office.outcome(call)), [Some(200), Some(503)]);
    assert_eq!((log_in, office.outcome(help)), (Some(603), Some(200)));
    assert_eq!((office["desk-1"].up(), office["desk-2"].up()), (1, 1), "the BYE found room");
    assert_eq!(office.counters().tables_full, 1, "the third call");
}

#[test]
fn refused_call_is_told_when_to_come_again_and_not_all_at_once() {
    let mut office = office();
    office["desk-2"].manner = Manner::Refuses(486);
    overload(&mut office, LONG);

    let mut later = BTreeSet::new();
    let mut served = 0;
    for _ in 0..60 {
        overload(&mut office, TICK);
        let call = office.call("desk-1", "1003");
        match office.outcome(call) {
            Some(503) => {
                let answer = last_answer(&office, "desk-1", "INVITE");
                let seconds: u32 =
                    answer.header("Retry-After").expect("it says when").parse().expect("seconds");
                assert!((5..60).contains(&seconds));
                later.insert(seconds);
            }
            other => {
                assert_eq!(other, Some(486));
                served += 1;
            }
        }
    }

    assert!(later.len() > 15, "{later:?}");
    assert!((1..30).contains(&served), "some get through whatever happens: {served}");
}

#[test]
fn edge_that_has_caught_up_refuses_nobody() {
    let mut office = office();
    overload(&mut office, LONG);
    office.let_wait(Duration::ZERO, seconds(3));

    assert_eq!(office.try_log_in("1001", "desk-3"), Some(200));
    let call = office.call("desk-1", "1001");
    assert_eq!(office.outcome(call), Some(200));
    assert_eq!(office.counters().shed_calls, 0);
}

#[test]
fn phones_that_registered_together_do_not_come_back_together() {
    let mut office = Office::with(SEED, |blueprint| {
        blueprint.tenants[0].registrar.expires_spread = 10;
    });
    office.plug_in("desk-1").own_phone("soft-1", "1001").own_phone("soft-2", "1002");

    let mut granted = BTreeSet::new();
    for boot in 0..20 {
        for phone in ["desk-1", "soft-1", "soft-2"] {
            if boot > 0 {
                office.reboot(phone);
            }
            let contact =
                last_answer(&office, phone, "REGISTER").header("Contact").expect("bound").to_owned();
            let expires = contact.split("expires=").nth(1).expect("an expiry").split(';').next();
            granted.insert(expires.expect("an expiry").parse::<u32>().expect("seconds"));
        }
    }

    let (first, last) = (granted.first().expect("some"), granted.last().expect("some"));
    assert!(granted.len() > 20 && last - first > last / 15, "{granted:?}");
}
