//! The attendant: what a person at a desk hears, presses and gets.

use std::time::Duration;

use dataplane::audit::Kind;
use dataplane::hotdesk::Surface;
use dataplane::media::{Codec, Heard, Order};
use dataplane::settings::{CodesFrom, OnOccupied, StoredPin};
use dataplane::testing::{CallState, Draft, Leg, OFFER, Office, pin_hash};

use crate::{SEED, last_answer, last_heard, seconds, three_desks};

/// What the person hears now.
fn said(office: &Office) -> String {
    office.said().0
}

fn info(office: &mut Office, leg: Leg, kind: &str, body: &str) -> Option<u16> {
    office.ask_within(leg, "INFO", |info| {
        info.add("Content-Type", kind);
        info.body = body.into();
    })
}

fn without_offer(invite: &mut Draft) {
    invite.remove("Content-Type").body.clear();
}

#[test]
fn person_logs_in_by_code_extension_and_pin_and_hears_what_happens() {
    let mut office = three_desks();
    let before = office["desk-1"].reloads();

    let call = office.talk("desk-1", "*11");
    assert_eq!(office.outcome(call), Some(200));
    assert_eq!(said(&office), "enter-extension");
    office.press("1001#");
    assert_eq!(said(&office), "enter-pin");
    office.press("7738#");

    let seat = office.seat_at("desk-1").expect("somebody sits there");
    assert_eq!((seat.extension.name(), seat.surface), ("1001", Surface::Attendant));
    assert_eq!(said(&office), "logged-in 1 0 0 1 phone-reloads goodbye");
    assert_eq!(office["desk-1"].reloads(), before, "the phone is not told while it is in the call");
    office.listen_to_end();
    office.settle();
    assert!(office.leg(call).ended_by_peer, "the edge hangs up when all is said");
    assert_eq!(office["desk-1"].reloads(), before + 1);
    assert_eq!(office.open_sessions(), 0);
    assert!(office.is_quiet());
}

#[test]
fn dialled_extension_is_asked_for_its_pin_alone() {
    let mut office = three_desks();

    office.talk("desk-1", "*11*1001");

    assert_eq!(office.announcements(), ["enter-pin"]);
    office.press("7738#");
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
}

#[test]
fn pin_counts_when_no_further_key_comes() {
    let mut office = three_desks();
    office.talk("desk-1", "*11*1001");
    office.listen_to_end();
    office.press("7738");

    office.advance(seconds(4));
    assert_eq!(office.device_of("1001"), None);
    office.advance(seconds(2));

    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
}

#[test]
fn whole_dialled_string_needs_no_sound() {
    let mut office = three_desks();
    office.sound_available = false;

    office.log_in("1001", "desk-1");
    assert_eq!(office.log_out("desk-1"), Some(200));
    let call = office.talk("desk-1", "*11");

    let opened = office.media.iter().filter(|(_, order)| matches!(order, Order::Open(_)));
    assert_eq!(opened.count(), 1, "only what has to be asked wants a socket");
    assert_eq!(office.outcome(call), Some(603), "and without one nothing can be asked");
    assert!(
        last_answer(&office, "desk-1", "INVITE").text.starts_with("SIP/2.0 603 Nothing can be asked now")
    );
    assert!(office.is_quiet());
}

#[test]
fn wrong_pin_and_unknown_extension_sound_alike_and_three_are_too_many() {
    let mut office = three_desks();
    let call = office.talk("desk-1", "*11");

    for extension in ["1001#", "4711#", "1001#"] {
        assert!(office.leg(call).state == CallState::Up);
        office.press(extension);
        assert_eq!(said(&office), "enter-pin");
        office.press("0000#");
    }

    let announcements = office.announcements();
    let after_pin: Vec<_> = announcements.iter().filter(|it| it.starts_with("wrong")).collect();
    assert_eq!(after_pin, ["wrong enter-extension", "wrong enter-extension", "wrong goodbye"]);
    office.listen_to_end();
    office.settle();
    assert!(office.leg(call).ended_by_peer);
    assert_eq!(office.device_of("1001"), None);
}

#[test]
fn person_who_says_nothing_is_asked_three_times_and_the_call_ends() {
    let mut office = three_desks();
    let call = office.talk("desk-1", "*11");

    office.advance(seconds(60));

    assert_eq!(
        office.announcements(),
        [
            "enter-extension",
            "nothing-heard enter-extension",
            "nothing-heard enter-extension",
            "nothing-heard goodbye"
        ]
    );
    assert!(office.leg(call).ended_by_peer && office.is_quiet());
}

#[test]
fn key_cuts_an_announcement_short() {
    let mut office = three_desks();
    office.talk("desk-1", "*11");

    office.press("1");

    assert!(matches!(office.media.last(), Some((_, Order::Stop))));
    office.press("001#7738#");
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
}

#[test]
fn keys_come_by_info_in_every_spelling() {
    let mut office = three_desks();
    let call = office.talk("desk-1", "*11");

    for body in ["Signal=1\r\nDuration=160\r\n", "signal = 0", "Signal=0\n", "Signal=1\r\n", "Signal=11\r\n"]
    {
        assert_eq!(info(&mut office, call, "application/dtmf-relay", body), Some(200), "{body:?}");
    }
    assert_eq!(said(&office), "enter-pin");
    for body in ["7", "7", "3", "8", "#"] {
        assert_eq!(info(&mut office, call, "application/dtmf", body), Some(200));
    }

    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
}

#[test]
fn info_of_no_use_is_answered_and_ends_nothing() {
    let mut office = three_desks();
    let call = office.talk("desk-1", "*11");

    assert_eq!(info(&mut office, call, "application/dtmf-relay", ""), Some(200));
    assert_eq!(info(&mut office, call, "application/dtmf-relay", "Signal=!\r\n"), Some(200));
    assert_eq!(info(&mut office, call, "application/dtmf-relay", "Signal=99\r\n"), Some(400));
    assert_eq!(info(&mut office, call, "application/media_control+xml", "<x/>"), Some(415));
    let package = office.ask_within(call, "INFO", |info| drop(info.add("Info-Package", "foo").to_owned()));

    assert_eq!(package, Some(469));
    assert_eq!(office.leg(call).state, CallState::Up);
}

#[test]
fn phone_that_sends_keys_both_ways_is_heard_once() {
    let mut office = three_desks();
    let call = office.talk("desk-1", "*11");

    for key in "1001#7738#".chars() {
        office.sound(Heard::Key(key as u8));
        let body = format!("Signal={key}\r\n");
        assert_eq!(info(&mut office, call, "application/dtmf-relay", &body), Some(200));
    }

    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
}

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
fn toggle_code_logs_in_where_nobody_sits_and_out_where_somebody_does() {
    let mut office = three_desks();

    office.talk("desk-1", "*10");
    office.press("1001#7738#");
    office.listen_to_end();
    office.settle();
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
    let call = office.talk("desk-1", "*10");

    assert_eq!(office.device_of("1001"), None);
    assert_eq!(said(&office), "logged-out phone-reloads goodbye");
    office.listen_to_end();
    office.settle();
    assert!(office.leg(call).ended_by_peer);
}

#[test]
fn who_sits_here_is_said_and_changes_nothing() {
    let mut office = three_desks();
    office.talk("desk-1", "*13");
    assert_eq!(said(&office), "nobody goodbye");
    office.log_in("1001", "desk-2");

    office.talk("desk-2", "*13");
    assert_eq!(said(&office), "you-are 1 0 0 1 goodbye");
    office.own_phone("soft-1", "1001");
    office.talk("soft-1", "*13");

    assert_eq!(said(&office), "your-extension 1 0 0 1 sits-elsewhere goodbye");
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-2"));
}

#[test]
fn log_out_asks_for_the_pin_where_the_tenant_says_so() {
    let mut office = Office::with(SEED, |blueprint| blueprint.seats().logout_pin = true);
    office.plug_in("desk-1");
    office.log_in("1001", "desk-1");

    office.talk("desk-1", "*12");
    assert_eq!(said(&office), "enter-pin");
    office.press("0000#");
    assert_eq!(said(&office), "wrong enter-pin", "whose PIN is wanted is known");
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
    office.press("7738#");

    assert_eq!(said(&office), "logged-out phone-reloads goodbye");
    assert_eq!(office.device_of("1001"), None);
}

#[test]
fn forgotten_seat_is_ended_from_any_phone_with_the_pin() {
    let mut office = three_desks();
    office.own_phone("soft-1", "1001");
    for (phone, code) in [("desk-2", "*12*1001"), ("soft-1", "*12"), ("soft-1", "*12*1001")] {
        office.log_in("1001", "desk-1");
        let before = office["desk-1"].reloads();

        let call = office.talk(phone, code);
        assert_eq!(said(&office), "enter-pin");
        office.press("7738#");

        assert_eq!(office.device_of("1001"), None, "{phone} {code}");
        assert_eq!(said(&office), "logged-out goodbye");
        assert_eq!(office["desk-1"].reloads(), before + 1, "the phone that lost it is told at once");
        office.hang_up(call);
    }
    office.log_in("1001", "desk-1");
    let whole = office.call("desk-2", "*12*1001*7738");
    assert_eq!((office.outcome(whole), office.device_of("1001")), (Some(200), None));
    let nowhere = office.call("desk-2", "*12*1001*7738");
    assert_eq!(office.outcome(nowhere), Some(403));
    let wrong = office.call("desk-2", "*12*1001*0000");
    assert_eq!(office.outcome(wrong), Some(403));
}

#[test]
fn ordinary_phone_takes_no_seat_whatever_it_dials() {
    for from in [CodesFrom::Pool, CodesFrom::Any] {
        let mut office = Office::with(SEED, |blueprint| blueprint.seats().codes_from = from);
        office.plug_in("desk-1").own_phone("soft-1", "1001");
        office.log_in("1001", "desk-1");

        for code in ["*11", "*11*1001", "*11*1001*7738"] {
            let call = office.talk("soft-1", code);
            assert_eq!(office.outcome(call), Some(403), "{code}");
        }
        let toggle = office.talk("soft-1", "*10");

        let expected = if from == CodesFrom::Any { 200 } else { 403 };
        assert_eq!(office.outcome(toggle), Some(expected));
        assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
    }
}

#[test]
fn device_in_use_is_taken_over_when_the_person_says_so() {
    let mut office = Office::with(SEED, |blueprint| blueprint.seats().on_occupied = OnOccupied::Ask);
    office.plug_in("desk-1");
    office.log_in("1002", "desk-1");

    assert_eq!(office.try_log_in("1001", "desk-1"), Some(403), "a dialled string cannot be asked");
    office.talk("desk-1", "*11*1001");
    office.press("7738#");
    assert_eq!(said(&office), "in-use 1 0 0 2 ask-take-over");
    assert_eq!(office.device_of("1002").as_deref(), Some("desk-1"));
    office.press("1");

    assert_eq!(said(&office), "logged-in 1 0 0 1 was-in-use 1 0 0 2 phone-reloads goodbye");
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
}

#[test]
fn person_hears_where_the_extension_was_until_now() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");

    office.talk("desk-2", "*11*1001");
    office.press("7738#");
    assert_eq!(said(&office), "logged-in 1 0 0 1 was-elsewhere phone-reloads goodbye");
    office.listen_to_end();
    office.settle();
    office.talk("desk-2", "*11*1001");
    office.press("7738#");

    assert_eq!(said(&office), "already-here 1 0 0 1 goodbye");
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-2"));
}

#[test]
fn seat_lost_while_in_the_menu_is_no_hindrance() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");
    let call = office.talk("desk-1", "*11");
    office.press("10");

    office.log_in("1001", "desk-2");
    assert_eq!(office.leg(call).state, CallState::Up);
    office.press("02#2468#");

    assert_eq!(office.device_of("1002").as_deref(), Some("desk-1"));
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-2"));
}

#[test]
fn language_is_the_places_until_the_person_is_known() {
    let mut office = Office::with(SEED, |blueprint| {
        blueprint.tenants[0].attendant.language = "fr".into();
        blueprint.tenants[0].sites[0].language = Some("de".into());
        blueprint.device("desk-2").site = None;
        blueprint.extension("1001").language = Some("en".into());
    });
    office.plug_in("desk-1").plug_in("desk-2");

    office.talk("desk-2", "*11");
    assert_eq!(office.said().1, "fr");
    office.talk("desk-1", "*11");
    office.press("1001#");
    assert_eq!(office.said(), ("enter-pin".into(), "de".into()), "whether it exists shows in nothing");
    office.press("7738#");

    assert_eq!(office.said().1, "en");
}

#[test]
fn call_to_the_attendant_is_nobodys_call() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");
    office.talk("desk-1", "*13");
    let before = office["desk-1"].reloads();

    office.force_out("desk-1", false);

    assert_eq!(office.seat_at("desk-1"), None, "nothing waits for it");
    assert_eq!(office["desk-1"].reloads(), before + 1);
}

#[test]
fn no_pin_shows_in_what_leaves_the_edge() {
    let mut office = three_desks();
    office.listen();
    office.talk("desk-1", "*11");
    office.press("1001#90817263#");
    office.press("1001#7738#");

    let overheard = office.overheard.clone().unwrap_or_default();

    for pin in ["7738", "90817263", "[55, 55, 51, 56]"] {
        assert!(!overheard.contains(pin), "{pin} shows in {overheard}");
    }
}

#[test]
fn wire_that_loses_and_doubles_logs_in_all_the_same() {
    let mut office = Office::with(SEED, |blueprint| {
        blueprint.quality = dataplane::testing::Quality { loss: 150, duplication: 100, ..blueprint.quality };
    });
    office.plug_in("desk-1");

    let call = office.talk("desk-1", "*11*1001");
    office.press("7738#");
    office.advance(seconds(60));

    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
    assert!(office.leg(call).ended_by_peer);
    let _ = last_heard(&office, "desk-1", "BYE");
}

#[test]
fn person_changes_the_pin_at_his_desk_and_the_old_one_opens_nothing() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");

    let call = office.talk("desk-1", "*14");
    assert_eq!(said(&office), "enter-pin", "whoever sits here is not asked who he is");
    office.press("0000#2580#2580#");
    assert_eq!(said(&office), "wrong enter-pin");
    office.press("7738#");
    office.press("2580#2580#");
    assert_eq!(said(&office), "pin-changed goodbye");
    office.listen_to_end();
    office.settle();

    assert!(office.leg(call).ended_by_peer && office.is_quiet());
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"), "no seat has changed");
    let told = office.events(Kind::PinChange);
    let told: Vec<_> =
        told.iter().map(|event| (event.device.as_deref(), event.extension.as_deref())).collect();
    assert_eq!(told, [(Some("desk-1"), Some("1001"))]);
    let old = office.call("desk-2", "*11*1001*7738");
    assert_eq!(office.outcome(old), Some(403));
    let new = office.call("desk-2", "*11*1001*2580");
    assert_eq!(office.outcome(new), Some(200));
}

#[test]
fn first_pin_is_replaced_at_the_log_in_that_gives_it() {
    let mut office = three_desks();
    office.reconfigure(|blueprint| {
        blueprint.extension("1001").pin = Some(StoredPin { must_change: true, ..pin_hash("7738") });
    });

    office.talk("desk-1", "*11");
    office.press("1001#");
    office.press("7738#");
    assert_eq!(said(&office), "pin-must-change enter-new-pin");
    assert_eq!(office.device_of("1001"), None);
    office.press("1001#");
    office.press("1001#");
    assert_eq!(said(&office), "pin-too-simple enter-new-pin");
    office.press("2580#");
    office.press("2580#");

    assert_eq!(said(&office), "pin-changed logged-in 1 0 0 1 phone-reloads goodbye");
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
}

#[test]
fn wrong_pins_given_for_another_count_towards_the_lock() {
    let mut office = three_desks();

    office.talk("desk-1", "*14*1001");
    for _ in 0..3 {
        office.press("0000#");
        office.press("2580#");
        office.press("2580#");
    }
    office.listen_to_end();
    office.settle();
    office.talk("desk-1", "*14*1001");
    office.press("7738#");
    office.press("2580#");
    office.press("2580#");

    assert_eq!(said(&office), "locked goodbye");
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
