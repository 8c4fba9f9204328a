//! Extension and PIN are keyed in: what is asked, what counts, and by which keys.

use dataplane::hotdesk::Surface;
use dataplane::media::{Heard, Order};
use dataplane::testing::CallState;

use super::{info, said};
use crate::{last_answer, seconds, three_desks};

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
