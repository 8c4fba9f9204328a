//! Session timers of calls between phones (RFC 4028): theirs to agree on. The edge passes them on and adds none.

use dataplane::testing::{Draft, Heard, Manner, Office};

use crate::{SEED, last_answer, last_heard};

fn two_phones() -> Office {
    let mut office = Office::new(SEED);
    office.own_phone("soft-1", "1001").own_phone("soft-2", "1002");
    office
}

/// All that a message says of its session's timer.
fn timer(message: &Heard) -> [Vec<String>; 3] {
    ["Session-Expires", "Min-SE", "Supported"]
        .map(|name| message.headers(name).into_iter().map(str::to_owned).collect())
}

fn timed(request: &mut Draft) {
    request
        .add("Supported", "replaces, timer")
        .add("Session-Expires", "1800;refresher=uac")
        .add("Min-SE", "120");
}

#[test]
fn session_timer_is_passed_on_as_it_is_and_none_is_added() {
    let mut office = two_phones();

    let call = office.call_with("soft-1", "1002", timed);

    assert_eq!(office.outcome(call), Some(200));
    let asked =
        [vec!["1800;refresher=uac".to_owned()], vec!["120".to_owned()], vec!["replaces, timer".to_owned()]];
    assert_eq!(timer(&last_heard(&office, "soft-2", "INVITE")), asked);
    let granted = last_answer(&office, "soft-1", "INVITE");
    assert_eq!(granted.headers("Session-Expires").len(), 1, "as the phone wrote it: {}", granted.text);
    office.hang_up(call);

    let without = office.call("soft-1", "1002");
    assert_eq!(office.outcome(without), Some(200));
    for message in [last_heard(&office, "soft-2", "INVITE"), last_answer(&office, "soft-1", "INVITE")] {
        assert_eq!(timer(&message), [vec![], vec![], vec![]] as [Vec<String>; 3], "{}", message.text);
    }
}

#[test]
fn interval_that_is_too_short_for_the_callee_is_the_callers_to_raise() {
    let mut office = two_phones();
    office["soft-2"].manner = Manner::Refuses(422);

    let call = office.call_with("soft-1", "1002", |invite| {
        invite.add("Supported", "timer").add("Session-Expires", "90");
    });

    assert_eq!(office.outcome(call), Some(422));
    assert_eq!(last_answer(&office, "soft-1", "INVITE").header("Min-SE"), Some("1800"));
    office["soft-2"].manner = Manner::Answers;
    let again = office.call_with("soft-1", "1002", |invite| {
        invite.add("Supported", "timer").add("Session-Expires", "1800").add("Min-SE", "1800");
    });
    assert_eq!(office.outcome(again), Some(200));
    assert_eq!(last_heard(&office, "soft-2", "INVITE").header("Min-SE"), Some("1800"));
}

#[test]
fn session_is_refreshed_by_either_side_and_either_way() {
    let mut office = two_phones();
    let call = office.call_with("soft-1", "1002", timed);
    let there = office.last_call("soft-2");

    for (leg, asker, other) in [(call, "soft-1", "soft-2"), (there, "soft-2", "soft-1")] {
        assert_eq!(office.ask_within(leg, "UPDATE", timed), Some(200), "{asker}");
        assert_eq!(office.invite_again(leg, timed), Some(200), "{asker}");
        for method in ["UPDATE", "INVITE"] {
            let heard = last_heard(&office, other, method);
            let [expires, least, _] = timer(&heard);
            assert_eq!((expires, least), (vec!["1800;refresher=uac".into()], vec!["120".into()]), "{method}");
            assert!(last_answer(&office, asker, method).header("Session-Expires").is_some(), "{method}");
        }
    }
}
