//! The guest key: log-in and log-out, proofs of the PIN, and what they may not do.

use dataplane::audit::Kind;
use dataplane::settings::{HotelingPolicy, OnOccupied};
use dataplane::testing::{Draft, Heard, StoreMood};
use md5::{Digest as _, Md5};

use super::{GuestKey, guest_told, last_told, notifies, office, office_with, proved, refusals, set};
use crate::{gateway, last_answer, seconds};

#[test]
fn guest_key_logs_in_and_out() {
    let mut office = office();
    let mut key = GuestKey::subscribed(&mut office, "desk-1");

    key.log_in(&mut office, "1001", "7738");

    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
    let told = last_told(&office, "desk-1").text;
    assert!(told.contains("<guestAddress>1001</guestAddress><expires>43200</expires>"), "{told}");
    assert_eq!(key.subscribe(&mut office, &set("", "")), Some(200));
    assert_eq!(office.device_of("1001"), None);
    assert_eq!(guest_told(&office, "desk-1").as_deref(), Some(""));
    // The state, the challenge, in, out: no word twice.
    assert_eq!(notifies(&office, "desk-1").len(), 4);
    let cseqs =
        notifies(&office, "desk-1").into_iter().map(|notify| notify.header("CSeq").unwrap().to_owned());
    assert_eq!(cseqs.collect::<Vec<_>>(), ["1 NOTIFY", "2 NOTIFY", "3 NOTIFY", "4 NOTIFY"]);
}

#[test]
fn guest_is_told_how_long_the_seat_lasts() {
    let mut office = office_with(|blueprint| {
        blueprint.extension("1001").ends.absolute = Some(dataplane::settings::Limit::After(seconds(7200)));
    });
    let mut key = GuestKey::subscribed(&mut office, "desk-1");

    key.log_in(&mut office, "1001", "7738");

    let told = last_told(&office, "desk-1").text;
    assert!(told.contains("<expires>7199</expires>") || told.contains("<expires>7200</expires>"), "{told}");
    office.advance(seconds(7210));
    assert_eq!(office.device_of("1001"), None);
}

#[test]
fn wrong_pin_and_unknown_extension_are_told_alike() {
    let mut office = office();
    let mut keys = ["desk-1", "desk-2"].map(|phone| GuestKey::subscribed(&mut office, phone));

    keys[0].log_in(&mut office, "1001", "0000");
    keys[1].log_in(&mut office, "7777", "0000");

    let heard = |phone: &str| -> Vec<_> {
        let body = |notify: &&Heard| notify.text.split_once("\r\n\r\n").map(|(_, body)| body.len());
        notifies(&office, phone).iter().map(body).collect()
    };
    assert_eq!(heard("desk-1"), heard("desk-2"));
    assert_eq!(
        ["desk-1", "desk-2"].map(|phone| guest_told(&office, phone)),
        [Some(String::new()), Some(String::new())]
    );
    assert_eq!(refusals(&office), ["credentials", "unknown-extension"]);
}

#[test]
fn guessing_locks_and_the_right_pin_is_not_looked_at_then() {
    let mut office = office();
    let mut key = GuestKey::subscribed(&mut office, "desk-1");
    for pin in ["0001", "0002", "0003"] {
        key.log_in(&mut office, "1001", pin);
    }

    key.log_in(&mut office, "1001", "7738");

    assert_eq!(office.device_of("1001"), None);
    assert_eq!(refusals(&office)[3], "locked");
    assert_eq!(office.events(Kind::LockOut).len(), 1);
    office.advance(seconds(31));
    key.log_in(&mut office, "1001", "7738");
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
}

#[test]
fn proof_counts_once_in_its_own_dialog_and_for_two_minutes() {
    let mut office = office();
    let mut key = GuestKey::subscribed(&mut office, "desk-1");
    let mut other = GuestKey::subscribed(&mut office, "desk-2");

    let nonce = key.nonce(&mut office, "1001").unwrap();
    other.subscribe(&mut office, &proved("1001", &nonce, "7738"));
    assert_eq!(office.device_of("1001"), None, "a challenge of another phone's");
    key.subscribe(&mut office, &proved("1001", &nonce, "7738"));
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
    key.subscribe(&mut office, &set("", ""));
    key.subscribe(&mut office, &proved("1001", &nonce, "7738"));
    assert_eq!(office.device_of("1001"), None, "a challenge that was answered");
    let nonce = key.nonce(&mut office, "1001").unwrap();
    office.advance(seconds(121));
    key.subscribe(&mut office, &proved("1001", &nonce, "7738"));
    assert_eq!(office.device_of("1001"), None, "a challenge of long ago");
    let mut anew = GuestKey::subscribed(&mut office, "desk-1");
    let nonce = key.nonce(&mut office, "1001");
    anew.subscribe(&mut office, &proved("1001", &nonce.unwrap_or_default(), "7738"));
    assert_eq!(office.device_of("1001"), None, "a challenge of the dialog before");

    assert_eq!(refusals(&office), ["stale-proof"; 4]);
    assert_eq!(guest_told(&office, "desk-1").as_deref(), Some(""));
    assert_eq!(office.events(Kind::LockOut).len(), 0, "none of it was a wrong PIN");
}

#[test]
fn answer_never_waits_for_the_pin() {
    let mut office = office();
    let mut key = GuestKey::subscribed(&mut office, "desk-1");
    let nonce = key.nonce(&mut office, "1001").unwrap();

    key.subscribe(&mut office, &proved("1001", &nonce, "7738"));

    let answered = last_answer(&office, "desk-1", "SUBSCRIBE").at;
    let told = last_told(&office, "desk-1").at;
    assert!(told.since(answered) >= std::time::Duration::from_millis(20), "the PIN took that long");
}

#[test]
fn alias_and_its_number_are_the_same_guest() {
    let mut office = office_with(|blueprint| blueprint.extension("1001").aliases = vec!["9001".into()]);
    let mut key = GuestKey::subscribed(&mut office, "desk-1");

    key.log_in(&mut office, "9001", "7738");

    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
    assert_eq!(guest_told(&office, "desk-1").as_deref(), Some("1001"));
}

#[test]
fn malformed_wish_changes_nothing_and_says_why() {
    let mut office = office();
    let mut key = GuestKey::subscribed(&mut office, "desk-1");
    key.log_in(&mut office, "1001", "7738");
    let before = notifies(&office, "desk-1").len();
    let bomb = "<!DOCTYPE x [<!ENTITY a \"1\">]><SetHoteling><guestAddress>&a;</guestAddress></SetHoteling>";
    let no_response = "<authenticationData><nonce>n</nonce></authenticationData>";
    let bodies = ["1001", "<SetHoteling/>", bomb, &set("1001", no_response), &set(&"1".repeat(100), "")];

    for body in bodies {
        assert_eq!(key.subscribe(&mut office, body), Some(400), "{body}");
        assert!(last_answer(&office, "desk-1", "SUBSCRIBE").header("Warning").is_some());
    }
    assert_eq!(key.subscribe(&mut office, &" ".repeat(5000)), Some(413));
    let other = |it: &mut Draft| {
        it.set("Content-Type", "text/plain");
    };
    assert_eq!(key.subscribe_with(&mut office, &set("", ""), other), Some(415));
    assert_eq!(
        key.subscribe_with(&mut office, "", |it| {
            it.set("Accept", "text/plain");
        }),
        Some(406)
    );

    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
    assert_eq!(notifies(&office, "desk-1").len(), before);
    assert_eq!(refusals(&office), ["malformed"; 5]);
}

#[test]
fn occupied_phone_is_not_asked_for_and_keeps_its_guest() {
    for policy in [OnOccupied::Ask, OnOccupied::Refuse] {
        let mut office = office_with(|blueprint| blueprint.seats().on_occupied = policy);
        let mut key = GuestKey::subscribed(&mut office, "desk-1");
        key.log_in(&mut office, "1001", "7738");

        key.log_in(&mut office, "1002", "2468");

        assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"), "{policy:?}");
        assert_eq!(guest_told(&office, "desk-1").as_deref(), Some("1001"), "{policy:?}");
        assert_eq!(refusals(&office), ["device-occupied"], "{policy:?}");
    }
}

#[test]
fn log_out_takes_the_pin_where_it_takes_one_everywhere() {
    let mut office = office_with(|blueprint| blueprint.seats().logout_pin = true);
    let mut key = GuestKey::subscribed(&mut office, "desk-1");
    key.log_in(&mut office, "1001", "7738");

    let nonce = key.nonce(&mut office, "").unwrap();
    key.subscribe(&mut office, &proved("", &nonce, "0000"));
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
    let nonce = key.nonce(&mut office, "").unwrap();
    key.subscribe(&mut office, &proved("", &nonce, "7738"));

    assert_eq!(office.device_of("1001"), None);
    assert_eq!(guest_told(&office, "desk-1").as_deref(), Some(""));
}

#[test]
fn without_challenge_the_number_is_enough() {
    let mut office = office_with(|blueprint| {
        blueprint.seats().hoteling = Some(HotelingPolicy { challenge: false, ..HotelingPolicy::default() });
    });
    let mut key = GuestKey::subscribed(&mut office, "desk-1");

    key.subscribe(&mut office, &set("1001", ""));
    assert_eq!(guest_told(&office, "desk-1").as_deref(), Some("1001"));
    key.subscribe(&mut office, &set("1001", ""));
    assert_eq!(guest_told(&office, "desk-1").as_deref(), Some("1001"), "he sits there already");
    key.subscribe(&mut office, &set("7777", ""));

    assert_eq!(guest_told(&office, "desk-1").as_deref(), Some("1001"));
    assert_eq!(refusals(&office), ["unknown-extension"]);
}

#[test]
fn store_that_is_away_lets_nobody_in_and_everybody_out() {
    let mut office = office();
    let mut key = GuestKey::subscribed(&mut office, "desk-1");
    key.log_in(&mut office, "1001", "7738");
    office.store.mood = StoreMood::Fails;

    key.log_in(&mut office, "1002", "2468");
    assert_eq!(guest_told(&office, "desk-1").as_deref(), Some("1001"));
    assert_eq!(refusals(&office), ["store-unavailable"]);
    key.subscribe(&mut office, &set("", ""));

    assert_eq!(office.device_of("1001"), None);
    assert_eq!(guest_told(&office, "desk-1").as_deref(), Some(""));
}

#[test]
fn phone_in_an_emergency_call_keeps_its_guest() {
    let mut office = office_with(|blueprint| {
        blueprint.tenants[0].emergency.routes = vec![gateway("psap", 112)];
    });
    office.peer("psap", "198.51.100.112:5060");
    let mut key = GuestKey::subscribed(&mut office, "desk-1");
    key.log_in(&mut office, "1001", "7738");
    office.call("desk-1", "112");

    key.subscribe(&mut office, &set("", ""));

    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
    assert_eq!(guest_told(&office, "desk-1").as_deref(), Some("1001"));
    assert_eq!(refusals(&office), ["emergency-hold"]);
}

#[test]
fn nothing_that_is_printed_holds_a_proof() {
    let mut office = office();
    let mut key = GuestKey::subscribed(&mut office, "desk-1");
    office.listen();

    let nonce = key.nonce(&mut office, "1001").unwrap();
    key.subscribe(&mut office, &proved("1001", &nonce, "7738"));

    let digest = Md5::digest(format!("{nonce}:7738"));
    let response: String = digest.iter().map(|octet| format!("{octet:02x}")).collect();
    let printed = format!("{:?}{:?}", office.overheard, office.reports);
    assert!(printed.contains("VerifyPin") && printed.contains("1001"));
    assert!(!printed.contains(&response) && !printed.contains("7738"));
}
