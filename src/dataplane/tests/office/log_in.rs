//! Log-in and log-out by dialled string: who sits where, what calls show, who is told.

use dataplane::audit::Kind;
use dataplane::hotdesk::{Cause, Surface};
use dataplane::output::{Done, Report};
use dataplane::refusal::Refusal;
use dataplane::settings::{OnLimit, OnOccupied, Reload};
use dataplane::testing::{CallState, Manner, Office, pin_hash};

use crate::{SEED, last_answer, last_heard, log_in_by_order, seconds, three_desks};

#[test]
fn dialled_log_in_seats_the_person_and_the_edge_hangs_up() {
    let mut office = three_desks();

    let call = office.call("desk-1", "*11*1001*7738");

    assert_eq!(office.outcome(call), Some(200));
    assert_eq!(office.leg(call).state, CallState::Over);
    assert!(office.leg(call).ended_by_peer, "the edge sends the BYE after the ACK");
    let seat = office.seat_at("desk-1").expect("somebody sits there");
    assert_eq!((seat.extension.name(), seat.surface), ("1001", Surface::Dialled));
    let durable = office.store.seat_at("demo", "desk-1").map(|seat| seat.extension.name());
    assert_eq!(durable, Some("1001"), "a log-in that is confirmed would survive");
}

#[test]
fn calls_from_the_device_show_the_person_and_nothing_else_changes() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");
    office.log_in("1002", "desk-2");
    office["desk-1"].forget();

    let call = office.call("desk-1", "1002");

    let sent = office["desk-1"].last_sent("INVITE").to_owned();
    let invite = last_heard(&office, "desk-2", "INVITE");
    let from = invite.header("From").expect("a From");
    assert!(from.starts_with("\"John Smith\" <sip:1001@demo.hotdesk>;tag="), "{from}");
    let tag = |text: &str| text.rsplit("tag=").next().map(str::to_owned);
    let sent_line = |name: &str| sent.lines().find(|line| line.starts_with(name)).map(str::to_owned);
    assert_eq!(tag(from), tag(&sent_line("From").expect("a From")));
    assert_eq!(
        invite.header("Call-ID"),
        sent_line("Call-ID").as_deref().map(|line| &line["Call-ID: ".len()..])
    );
    assert_eq!(invite.header("To"), sent_line("To").as_deref().map(|line| &line["To: ".len()..]));
    let contact = sent_line("Contact").map(|line| line["Contact: ".len()..].to_owned());
    assert_eq!(invite.header("Contact").map(str::to_owned), contact, "Contact is left alone");

    let own = sent_line("From").expect("a From")["From: ".len()..].to_owned();
    for answer in office["desk-1"].responses_to("INVITE") {
        assert_eq!(answer.header("From"), Some(own.as_str()), "the phone finds its own From again");
    }
    assert_eq!(office.leg(call).state, CallState::Up);
}

#[test]
fn calls_to_the_person_ring_the_device() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");
    office.log_in("1002", "desk-2");
    office["desk-1"].manner = Manner::Rings;

    office.call("desk-2", "1001");

    assert_eq!(office["desk-1"].ringing(), 1);
    let invite = last_heard(&office, "desk-1", "INVITE");
    assert_eq!(
        invite.uri(),
        office["desk-1"].contact("desk-1"),
        "the Request-URI is the contact as registered"
    );
    assert!(invite.header("To").is_some_and(|to| to.contains("sip:1001@demo.hotdesk")));
}

#[test]
fn wrong_pin_is_403_and_three_of_them_lock_the_pair_but_nobody_else() {
    let mut office = three_desks();
    for _ in 0..3 {
        let call = office.call("desk-1", "*11*1001*0000");
        assert_eq!(office.outcome(call), Some(403));
    }

    assert_eq!(office.try_log_in("1001", "desk-1"), Some(603), "the right PIN comes too late");
    assert_eq!(office.try_log_in("1002", "desk-1"), Some(200), "another person at the same device");
    assert_eq!(office.try_log_in("1001", "desk-2"), Some(200), "the same person at another device");

    office.advance(seconds(31));
    assert_eq!(office.try_log_in("1001", "desk-1"), Some(200));
}

#[test]
fn unknown_extension_and_wrong_pin_are_not_told_apart() {
    let mut office = three_desks();

    let wrong = office.call("desk-1", "*11*1001*0000");
    let reason = last_answer(&office, "desk-1", "INVITE").text.lines().next().map(str::to_owned);
    let unknown = office.call("desk-1", "*11*4711*0000");

    assert_eq!(office.outcome(wrong), office.outcome(unknown));
    assert_eq!(last_answer(&office, "desk-1", "INVITE").text.lines().next().map(str::to_owned), reason);
}

#[test]
fn malformed_codes_are_refused() {
    let mut office = three_desks();

    for dialled in ["*11*", "*11**7738", "*11*1001*", "*11*1001*7738*9", "*12*1001*7738*9"] {
        let call = office.call("desk-1", dialled);
        assert_eq!(office.outcome(call), Some(403), "{dialled}");
    }
    assert_eq!(office.device_of("1001"), None);
}

#[test]
fn refusals_have_codes_that_phones_neither_retry_nor_fail_over_on() {
    let mut office = three_desks();
    office.pins.available = false;
    let unavailable = office.try_log_in("1001", "desk-1");
    office.pins.available = true;
    office.reconfigure(|blueprint| blueprint.seats().dial_pin = false);
    let forbidden = office.try_log_in("1001", "desk-1");

    assert_eq!((unavailable, forbidden), (Some(603), Some(403)));
}

#[test]
fn log_in_elsewhere_displaces_the_oldest_seat_and_its_phone_is_told() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");
    let before = office["desk-1"].reloads();

    office.log_in("1001", "desk-2");

    assert_eq!(office.devices_of("1001"), ["desk-2"]);
    assert_eq!(office["desk-1"].reloads(), before + 1);
    office.log_in("1003", "desk-3");
    office.call("desk-3", "1001");
    assert_eq!((office["desk-1"].up(), office["desk-2"].up()), (0, 1));
}

#[test]
fn extension_with_two_seats_rings_both_and_the_third_displaces_the_oldest() {
    let mut office = Office::with(SEED, |blueprint| blueprint.extension("1001").devices_max = 2);
    office.plug_in("desk-1").plug_in("desk-2").plug_in("desk-3").own_phone("soft-2", "1002");
    office.log_in("1001", "desk-1");
    office.log_in("1001", "desk-2");
    office["desk-1"].manner = Manner::Rings;
    office["desk-2"].manner = Manner::Rings;

    let call = office.call("soft-2", "1001");
    assert_eq!((office["desk-1"].ringing(), office["desk-2"].ringing()), (1, 1));
    office.hang_up(call);
    office.log_in("1001", "desk-3");

    assert_eq!(office.devices_of("1001"), ["desk-2", "desk-3"]);
}

#[test]
fn log_in_elsewhere_is_refused_where_the_tenant_says_so() {
    let mut office = Office::with(SEED, |blueprint| blueprint.seats().on_limit = OnLimit::Refuse);
    office.plug_in("desk-1").plug_in("desk-2");
    office.log_in("1001", "desk-1");

    assert_eq!(office.try_log_in("1001", "desk-2"), Some(403));
    assert_eq!(office.devices_of("1001"), ["desk-1"]);
}

#[test]
fn another_person_takes_the_device_over_without_a_log_out_between() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");

    office.log_in("1002", "desk-1");

    assert_eq!(office.device_of("1001"), None);
    assert_eq!(office.device_of("1002").as_deref(), Some("desk-1"));
}

#[test]
fn occupied_device_is_refused_where_the_tenant_says_so() {
    let mut office = Office::with(SEED, |blueprint| blueprint.seats().on_occupied = OnOccupied::Refuse);
    office.plug_in("desk-1");
    office.log_in("1001", "desk-1");

    assert_eq!(office.try_log_in("1002", "desk-1"), Some(403));
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
}

#[test]
fn log_out_by_code_ends_the_seat() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");

    assert_eq!(office.log_out("desk-1"), Some(200));

    assert_eq!(office.device_of("1001"), None);
    assert!(office.store.seat_at("demo", "desk-1").is_none());
    assert_eq!(office.log_out("desk-1"), Some(403), "nobody is left to log out");
}

#[test]
fn phone_that_was_dialled_from_is_told_once_and_after_its_call() {
    let mut office = three_desks();
    let after_its_bye = |office: &Office| {
        let bye = last_heard(office, "desk-1", "BYE");
        let notify = last_heard(office, "desk-1", "NOTIFY");
        (office["desk-1"].reloads(), notify.at >= bye.at)
    };

    office.log_in("1001", "desk-1");
    assert_eq!(after_its_bye(&office), (1, true), "log-in");
    office.log_in("1002", "desk-1");
    assert_eq!(after_its_bye(&office), (2, true), "switch");
    office.log_out("desk-1");
    assert_eq!(after_its_bye(&office), (3, true), "log-out");
}

#[test]
fn phone_that_may_not_be_told_is_not_told() {
    let mut office = Office::with(SEED, |blueprint| blueprint.device("desk-1").reload = Reload::None);
    office.plug_in("desk-1").plug_in("desk-2");
    office.log_in("1001", "desk-1");

    office.log_in("1001", "desk-2");

    assert_eq!(office["desk-1"].reloads(), 0);
    assert_eq!(office["desk-2"].reloads(), 1);
}

#[test]
fn phone_that_challenges_a_notify_gets_the_credentials_of_its_own_account() {
    let mut office = three_desks();
    office["desk-1"].notify_nonce = Some("dcd98b7102dd2f0e8b11d0f600bfb0c093".into());

    office.log_in("1001", "desk-1");

    let notifies =
        office["desk-1"].requests("NOTIFY").into_iter().map(|it| it.header("Authorization").is_some());
    assert_eq!(notifies.collect::<Vec<_>>(), [false, true]);
    assert_eq!(office.counters().notifies_failed, 0);
}

#[test]
fn log_in_twice_at_the_same_device_is_one_seat() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");
    let epoch = office.seat_at("desk-1").map(|seat| seat.epoch);

    office.log_in("1001", "desk-1");

    assert_eq!(office.seat_at("desk-1").map(|seat| seat.epoch), epoch);
}

#[test]
fn invite_without_sdp_gets_the_offer_in_the_200() {
    let mut office = three_desks();

    let call = office.call_with("desk-1", "*11*1001*7738", |invite| {
        invite.remove("Content-Type").body.clear();
    });

    assert_eq!(office.outcome(call), Some(200));
    let answer = last_answer(&office, "desk-1", "INVITE");
    assert!(answer.text.contains("m=audio"), "{}", answer.text);
}

#[test]
fn log_in_of_a_phone_that_fell_silent_stands_and_leaves_nothing_behind() {
    let mut office = three_desks();
    office.dial("desk-1", "*11*1001*7738");
    office.advance(std::time::Duration::from_millis(22));
    office.pull_plug("desk-1");

    office.advance(seconds(40));
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
    assert!(!office.is_quiet(), "64*T1 after the 200 a BYE goes out all the same (RFC 3261 §15)");
    office.advance(seconds(120));

    assert!(office.is_quiet());
}

#[test]
fn ordinary_phone_cannot_log_in() {
    let mut office = three_desks();
    office.own_phone("soft-1", "1001");

    let call = office.call("soft-1", "*11*1002*2468");

    assert_eq!(office.outcome(call), Some(403));
    assert_eq!(office.device_of("1002"), None);
}

#[test]
fn disabled_device_refuses_log_ins_and_whoever_sits_there_leaves() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");

    office.reconfigure(|blueprint| blueprint.device("desk-1").enabled = false);
    office.advance(seconds(2));

    assert_eq!(office.device_of("1001"), None);
    assert_eq!(office.try_log_in("1001", "desk-1"), Some(403));
}

#[test]
fn disabled_extension_leaves_its_seat_and_cannot_come_back() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");

    office.reconfigure(|blueprint| blueprint.extension("1001").enabled = false);
    office.advance(seconds(2));

    assert_eq!(office.device_of("1001"), None);
    assert_eq!(office.try_log_in("1001", "desk-1"), Some(403));
}

#[test]
fn that_an_extension_is_switched_off_is_told_to_operators_and_to_whoever_knows_its_pin() {
    let mut office = three_desks();
    office.reconfigure(|blueprint| blueprint.extension("1001").enabled = false);
    let right = office.log_in_string("1001");
    let mut answer_to = |dialled: &str| {
        office.call("desk-1", dialled);
        let answer = last_answer(&office, "desk-1", "INVITE");
        let said =
            answer.text.lines().filter(|line| line.starts_with("SIP/2.0") || line.starts_with("Reason"));
        said.map(str::to_owned).collect::<Vec<_>>()
    };

    assert_eq!(answer_to("*11*1001*0000"), answer_to("*11*1999*0000"), "as if there was none");
    assert_ne!(answer_to(&right), answer_to("*11*1001*0000"));
    assert_eq!(log_in_by_order(&mut office, "1001", "desk-1"), Err(Refusal::ExtensionDisabled));
}

#[test]
fn device_may_be_deleted_and_added_again_in_any_order_and_at_any_speed() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");
    let removed = |blueprint: &mut dataplane::testing::Blueprint| {
        let at = blueprint.tenants[0].devices.iter().position(|it| &*it.id == "desk-1").expect("it is there");
        blueprint.tenants[0].devices.remove(at)
    };

    let mut device = None;
    office.reconfigure(|blueprint| device = Some(removed(blueprint)));
    office.advance(seconds(2));
    assert_eq!(office.device_of("1001"), None);
    assert_eq!(office.register("desk-1"), Some(401), "it is nobody now, and no worse than that");
    office.reconfigure(|blueprint| blueprint.tenants[0].devices.extend(device.take()));
    assert_eq!(office.reboot("desk-1"), Some(200));
    office.log_in("1001", "desk-1");

    office.reconfigure(|blueprint| device = Some(removed(blueprint)));
    office.reconfigure(|blueprint| blueprint.tenants[0].devices.extend(device.take()));
    office.advance(seconds(2));
    assert_eq!(office.register("desk-1"), Some(200));
    office.log_in("1001", "desk-1");
}

#[test]
fn person_and_phone_may_be_set_up_in_any_order() {
    let mut office = Office::with(SEED, |blueprint| {
        blueprint.extension("1001").enabled = false;
        blueprint.device("desk-1").enabled = false;
    });
    office.plug_in("desk-1");
    assert_eq!(office.try_log_in("1001", "desk-1"), Some(403));

    office.reconfigure(|blueprint| blueprint.device("desk-1").enabled = true);
    assert_eq!(office.try_log_in("1001", "desk-1"), Some(403));
    office.reconfigure(|blueprint| blueprint.extension("1001").enabled = true);

    assert_eq!(office.try_log_in("1001", "desk-1"), Some(200));
}

#[test]
fn changed_pin_counts_at_once() {
    let mut office = three_desks();
    office.dial("desk-1", "*11*1001*7738");
    office.advance(std::time::Duration::from_millis(10));

    office.reconfigure(|blueprint| blueprint.extension("1001").pin = Some(pin_hash("9999")));

    let call = office.last_call("desk-1");
    assert_eq!(office.outcome(call), Some(603), "it changed while it was checked");
    let old = office.call("desk-1", "*11*1001*7738");
    assert_eq!(office.outcome(old), Some(403));
    assert_eq!(office.try_log_in("1001", "desk-1"), Some(200));
}

#[test]
fn administrator_logs_in_and_out_by_the_api() {
    let mut office = three_desks();

    let done = log_in_by_order(&mut office, "1001", "desk-1");
    assert!(matches!(done, Ok(Done::LoggedIn(seat)) if seat.surface == Surface::Api));
    assert_eq!(office["desk-1"].reloads(), 1);
    assert_eq!(log_in_by_order(&mut office, "1001", "desk-9"), Err(Refusal::UnknownDevice));

    let done = office.force_out("desk-1", false);
    assert!(matches!(done, Some(Ok(Done::LoggedOut(_)))));
    assert_eq!(office.device_of("1001"), None);
    assert_eq!(office.force_out("desk-1", false), Some(Err(Refusal::NobodySits)));
}

#[test]
fn forced_log_out_waits_for_the_call_and_a_new_log_in_voids_it() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");
    office.log_in("1002", "desk-2");
    let call = office.call("desk-1", "1002");

    assert!(matches!(office.force_out("desk-1", false), Some(Ok(Done::Deferred(_)))));
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
    office.hang_up(call);
    office.advance(seconds(2));
    assert_eq!(office.device_of("1001"), None);

    office.log_in("1001", "desk-1");
    let call = office.call("desk-2", "1001");
    office.force_out("desk-1", false);
    office.log_in("1003", "desk-1");
    office.hang_up(call);
    office.advance(seconds(2));
    assert_eq!(office.device_of("1003").as_deref(), Some("desk-1"), "the end was meant for another sitting");
}

#[test]
fn forced_log_out_at_once_does_not_wait() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");
    office.log_in("1002", "desk-2");
    let call = office.call("desk-1", "1002");

    assert!(matches!(office.force_out("desk-1", true), Some(Ok(Done::LoggedOut(_)))));

    assert_eq!(office.device_of("1001"), None);
    assert_eq!(office.leg(call).state, CallState::Up, "the call goes on");
}

#[test]
fn phone_is_not_told_to_reload_while_a_call_is_up() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");
    office.log_in("1002", "desk-2");
    let call = office.call("desk-1", "1002");
    let before = office["desk-1"].reloads();

    office.log_in("1001", "desk-3");
    office.advance(seconds(10));
    assert_eq!(office["desk-1"].reloads(), before);

    office.hang_up(call);
    office.advance(seconds(2));
    assert_eq!(office["desk-1"].reloads(), before + 1);
}

#[test]
fn neither_pins_nor_digest_answers_are_ever_printed() {
    let mut office = Office::with(SEED, |blueprint| {
        blueprint.extension("1001").pin = Some(pin_hash("kept-to-oneself"));
    });
    office.listen();
    office.plug_in("desk-1").plug_in("desk-2");
    office.native_log_in("desk-2", "1002");
    office.switch_account("desk-1", "desk-1");
    office.call("desk-1", "*11*1001*wrong-but-close");
    office.log_in("1001", "desk-1");
    office.log_out("desk-1");

    let overheard = office.overheard.take().expect("it listened");
    assert!(overheard.contains("VerifyPin") && overheard.contains("Save"), "there is something to hear");
    let mut secrets = vec!["kept-to-oneself".to_owned(), "wrong-but-close".into(), "$office$".into()];
    for phone in ["desk-1", "desk-2"] {
        secrets.extend(office[phone].responses.iter().cloned());
        secrets.push(dataplane::testing::password(phone));
    }
    for secret in secrets {
        assert!(!overheard.contains(&secret), "{secret} was printed");
    }
    assert!(!office.events(Kind::Refusal).is_empty());
}

#[test]
fn operator_reads_of_every_change_once() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");
    office.log_in("1001", "desk-2");
    office.log_out("desk-2");

    let changes: Vec<_> = office
        .reports
        .iter()
        .filter_map(|report| match report {
            Report::SeatsChanged(change) => Some((change.cause, change.ended.len(), change.begun.is_some())),
            _ => None,
        })
        .collect();
    assert_eq!(changes, [(Cause::LogIn, 0, true), (Cause::LogIn, 1, true), (Cause::LogOut, 1, false)]);
}
