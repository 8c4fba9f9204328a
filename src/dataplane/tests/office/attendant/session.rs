//! The call itself: offers and answers, hold, timers, and every way it ends.

use std::time::Duration;

use dataplane::media::{Codec, Heard};
use dataplane::testing::{CallState, Leg, OFFER, Office};

use super::{said, without_offer};
use crate::{SEED, last_answer, seconds, three_desks};

#[test]
fn answer_takes_the_codec_and_the_number_of_the_keys_from_the_offer() {
    let mut office = three_desks();

    let call = office.talk("desk-1", "*11");

    let answer = last_answer(&office, "desk-1", "INVITE");
    assert_eq!(answer.header("Content-Type"), Some("application/sdp"));
    assert!(answer.text.contains("c=IN IP4 192.0.2.1\r\n"), "{}", answer.text);
    assert!(answer.text.contains("m=audio 40000 RTP/AVP 8 101\r\n"), "{}", answer.text);
    let connection = office.connection();
    assert_eq!((connection.codec, connection.events), (Codec::Pcma, Some(101)));
    assert_eq!(connection.remote, "192.168.1.7:11780".parse().unwrap());
    assert!(connection.sends && connection.srtp.is_none() && !connection.in_band);
    office.hang_up(call);
    assert_eq!(office.open_sessions(), 0);
}

#[test]
fn call_without_an_offer_gets_ours_and_answers_it_in_the_ack() {
    let mut office = three_desks();
    let leg = office.dial_with("desk-1", "*11", without_offer);
    office.answer_in_ack(leg, OFFER);

    office.settle();

    let ours = last_answer(&office, "desk-1", "INVITE");
    assert!(ours.text.contains("m=audio 40000 RTP/AVP 0 8 101\r\n"), "{}", ours.text);
    assert_eq!(office.connection().remote, "192.168.1.7:11780".parse().unwrap());
    assert_eq!(said(&office), "enter-extension");
}

#[test]
fn call_whose_ack_answers_nothing_ends() {
    let mut office = three_desks();

    let call = office.call_with("desk-1", "*11", without_offer);

    assert_eq!(office.outcome(call), Some(200));
    assert!(office.leg(call).ended_by_peer && office.announcements().is_empty());
    assert_eq!(office.open_sessions(), 0);
}

#[test]
fn offers_that_cannot_be_taken_are_refused_with_a_reason() {
    let mut office = three_desks();
    for (from, to, warning) in [
        ("RTP/AVP 9 8 0 101", "RTP/AVP 9 18", "305 192.0.2.1 \"Incompatible media format\""),
        ("RTP/AVP", "UDP/TLS/RTP/SAVPF", "302 192.0.2.1 \"Incompatible transport protocol\""),
        ("m=audio", "m=video", "304 192.0.2.1 \"Media type not available\""),
        (
            "IP4 192.168.1.7\r\nt=",
            "IP6 2001:db8::7\r\nt=",
            "301 192.0.2.1 \"Incompatible network address formats\"",
        ),
    ] {
        let call = office.talk_with("desk-1", "*11", |invite| invite.body = OFFER.replace(from, to));

        assert_eq!(office.outcome(call), Some(488));
        assert_eq!(last_answer(&office, "desk-1", "INVITE").header("Warning"), Some(warning));
    }
    let call =
        office.talk_with("desk-1", "*11", |invite| drop(invite.set("Content-Type", "text/plain").to_owned()));
    assert_eq!(office.outcome(call), Some(415));
    let call =
        office.talk_with("desk-1", "*11", |invite| drop(invite.add("Require", "timer, 100rel").to_owned()));
    assert_eq!(office.outcome(call), Some(420));
    assert_eq!(last_answer(&office, "desk-1", "INVITE").header("Unsupported"), Some("100rel"));
    assert!(office.media.is_empty() && office.is_quiet());
}

#[test]
fn encrypted_sound_is_taken_where_the_phone_offers_nothing_else() {
    let mut office = three_desks();
    let key = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
    let crypto = format!("RTP/SAVP 0 101\r\na=crypto:1 AES_CM_128_HMAC_SHA1_32 inline:{key}|2^20\r\n");
    let offer = OFFER.replace("RTP/AVP 9 8 0 101\r\n", &crypto);

    let call = office.talk_with("desk-1", "*11", |invite| invite.body = offer.clone());

    let answer = last_answer(&office, "desk-1", "INVITE").text;
    assert!(answer.contains("m=audio 40000 RTP/SAVP 0 101\r\n"), "{answer}");
    let ours = answer.split_once("a=crypto:1 AES_CM_128_HMAC_SHA1_32 inline:").expect("a key").1;
    let ours = ours.lines().next().unwrap().to_owned();
    assert!(ours.len() == 40 && ours != key);
    let keys = office.connection().srtp.clone().expect("keys of both directions");
    assert!(keys.0.short_tag() && keys.1.short_tag());
    assert_eq!(keys.1.reveal().0, b"YS___semctl () {");

    let again = office.invite_again(call, |invite| {
        invite.add("Content-Type", "application/sdp");
        invite.body = offer.replace("o=phone 1 1", "o=phone 1 2");
    });
    assert_eq!(again, Some(200));
    assert!(last_answer(&office, "desk-1", "INVITE").text.contains(&ours), "our key stays");
}

/// Puts the attendant on hold, or takes it back.
fn describe(office: &mut Office, leg: Leg, direction: &str) -> Option<u16> {
    let body = OFFER.replace("sendrecv", direction);
    office.invite_again(leg, |invite| {
        invite.add("Content-Type", "application/sdp");
        invite.body = body;
    })
}

fn version(text: &str) -> u32 {
    let origin = text.split_once("\r\no=").expect("an origin").1;
    origin.split(' ').nth(2).and_then(|version| version.parse().ok()).expect("a version")
}

#[test]
fn hold_stops_the_clock_and_resume_repeats_the_question() {
    let mut office = three_desks();
    let call = office.talk("desk-1", "*11*1001");
    let first = version(&last_answer(&office, "desk-1", "INVITE").text);
    office.listen_to_end();

    assert_eq!(describe(&mut office, call, "sendonly"), Some(200));
    let held = last_answer(&office, "desk-1", "INVITE").text;
    assert!(held.ends_with("a=recvonly\r\n") && version(&held) > first, "{held}");
    assert!(!office.connection().sends);
    office.advance(seconds(120));
    office.sound(Heard::Silent);
    assert_eq!(office.announcements(), ["enter-pin"]);
    assert_eq!(office.leg(call).state, CallState::Up);

    assert_eq!(describe(&mut office, call, "sendrecv"), Some(200));
    assert!(last_answer(&office, "desk-1", "INVITE").text.ends_with("a=sendrecv\r\n"));
    assert!(office.connection().sends);
    assert_eq!(office.announcements(), ["enter-pin", "enter-pin"]);
    office.press("7738#");
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
}

#[test]
fn call_left_on_hold_ends() {
    let mut office = three_desks();
    let call = office.talk("desk-1", "*11");
    describe(&mut office, call, "inactive");

    office.advance(seconds(301));

    assert!(office.leg(call).ended_by_peer && office.is_quiet());
}

#[test]
fn re_invite_that_cannot_be_taken_leaves_the_call_as_it_was() {
    let mut office = three_desks();
    let call = office.talk("desk-1", "*11*1001");

    let refused = office.invite_again(call, |invite| {
        invite.add("Content-Type", "application/sdp");
        invite.body = OFFER.replace("9 8 0 101", "18");
    });

    assert_eq!(refused, Some(488));
    office.press("7738#");
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
}

#[test]
fn re_invite_without_an_offer_gets_ours_and_another_waits_for_its_answer() {
    let mut office = three_desks();
    let call = office.talk("desk-1", "*11");
    office.answer_in_ack(call, &OFFER.replace("11780", "11790"));

    assert_eq!(office.invite_again(call, |_| {}), Some(200));

    assert_eq!(office.connection().remote.port(), 11790);
    let update = office.ask_within(call, "UPDATE", |update| {
        update.add("Content-Type", "application/sdp");
        update.body = OFFER.replace("11780", "11800");
    });
    assert_eq!(update, Some(200));
    assert_eq!(office.connection().remote.port(), 11800);
    assert!(last_answer(&office, "desk-1", "UPDATE").text.contains("m=audio 40000 RTP/AVP 8 101\r\n"));
}

#[test]
fn request_older_than_what_came_before_is_refused() {
    let mut office = three_desks();
    let call = office.talk("desk-1", "*11");
    let last = office["desk-1"].last_sent("ACK").to_owned();
    let cseq: u32 = last.split("CSeq: ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    let old = last
        .replace("ACK", "OPTIONS")
        .replace(&format!("CSeq: {cseq} OPTIONS"), &format!("CSeq: {} OPTIONS", cseq - 1));
    let old = old.replace("branch=z9hG4bK", "branch=z9hG4bKold");

    office.throw("desk-1", old.as_bytes());

    assert_eq!(last_answer(&office, "desk-1", "OPTIONS").status(), Some(500));
    assert_eq!(office.leg(call).state, CallState::Up);
}

#[test]
fn session_timer_is_the_phones_to_refresh_and_ends_the_call_when_it_does_not() {
    let mut office = Office::with(SEED, |blueprint| {
        blueprint.tenants[0].attendant.first_digit_timeout = Duration::from_secs(600);
    });
    office.plug_in("desk-1");
    let call = office.talk_with("desk-1", "*11", |invite| {
        invite.add("Supported", "timer").add("Session-Expires", "90");
    });
    let answer = last_answer(&office, "desk-1", "INVITE");
    assert_eq!(answer.header("Session-Expires"), Some("90;refresher=uac"));
    assert_eq!(answer.header("Require"), Some("timer"));

    office.advance(seconds(50));
    let refreshed = office.ask_within(call, "UPDATE", |update| {
        update.add("Supported", "timer").add("Session-Expires", "90;refresher=uac");
    });
    assert_eq!(refreshed, Some(200));
    office.advance(seconds(50));
    assert_eq!(office.leg(call).state, CallState::Up);
    office.advance(seconds(20));

    assert!(office.leg(call).ended_by_peer);
    let short = office.talk_with("desk-1", "*11", |invite| {
        invite.add("Supported", "timer").add("Session-Expires", "60");
    });
    assert_eq!(office.outcome(short), Some(422));
    assert_eq!(last_answer(&office, "desk-1", "INVITE").header("Min-SE"), Some("90"));
}

#[test]
fn cancel_before_the_answer_is_487_and_leaves_nothing() {
    let mut office = three_desks();
    let call = office.dial_with("desk-1", "*11", |invite| {
        invite.set("Content-Type", "application/sdp");
        invite.body = OFFER.into();
    });
    while office.media.is_empty() {
        office.advance(Duration::from_micros(100));
    }

    office.hang_up(call);

    assert_eq!(office.leg(call).state, CallState::Over);
    assert!(office.open_sessions() == 0 && office.is_quiet());
}

#[test]
fn hanging_up_in_the_middle_of_an_entry_leaves_nothing() {
    let mut office = three_desks();
    let call = office.talk("desk-1", "*11");
    office.press("1001#77");

    office.hang_up(call);
    office.advance(seconds(60));

    assert_eq!(office.device_of("1001"), None);
    assert!(office.open_sessions() == 0 && office.is_quiet());
    assert_eq!(office["desk-1"].reloads(), 0);
}

#[test]
fn hanging_up_while_the_pin_is_checked_changes_nothing() {
    let mut office = three_desks();
    let call = office.talk("desk-1", "*11*1001");
    office.press("7738");
    office.sound(Heard::Key(b'#'));
    let mut late = three_desks();
    let other = late.talk("desk-1", "*11*1001");
    late.store.mood = dataplane::testing::StoreMood::Holds;
    late.press("7738#");

    late.hang_up(other);
    assert_eq!(late.device_of("1001"), None, "the store has not answered");
    late.release_store();

    assert_eq!(late.device_of("1001").as_deref(), Some("desk-1"), "what the store had in hand stands");
    assert_eq!(late["desk-1"].reloads(), 1, "and the phone is told of it");
    assert!(late.is_quiet() && late.open_sessions() == 0);
    office.hang_up(call);
}

#[test]
fn lost_sound_ends_the_call() {
    for heard in [Heard::Failed, Heard::Silent] {
        let mut office = three_desks();
        let call = office.talk("desk-1", "*11");

        office.sound(heard);

        assert!(office.leg(call).ended_by_peer && office.is_quiet(), "{heard:?}");
    }
}

#[test]
fn sound_that_never_ends_keeps_no_call() {
    let mut office = three_desks();
    let call = office.talk("desk-1", "*13");
    office.press("1");
    office.advance(seconds(70));

    assert!(office.leg(call).ended_by_peer && office.is_quiet());
}

#[test]
fn one_phone_takes_the_sound_from_nobody_else() {
    let mut office = three_desks();
    let calls: Vec<_> = (0..4).map(|_| office.talk("desk-1", "*11")).collect();
    assert!(calls.iter().all(|call| office.outcome(*call) == Some(200)));

    for code in ["*11", "*11*1001*7738"] {
        let fifth = office.call("desk-1", code);
        assert_eq!(office.outcome(fifth), Some(603), "{code}");
    }
    assert_eq!((office.open_sessions(), office.counters().attendant_calls_refused), (4, 2));
    let elsewhere = office.talk("desk-2", "*11");
    assert_eq!(office.outcome(elsewhere), Some(200));

    office.hang_up(calls[0]);
    let again = office.talk("desk-1", "*11");
    assert_eq!(office.outcome(again), Some(200));
}
