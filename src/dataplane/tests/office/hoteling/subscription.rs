//! The subscription behind the guest key: who has one, what it is told, and when it ends.

use dataplane::settings::HotelingPolicy;
use dataplane::testing::Office;

use super::{
    GuestKey, TYPE, guest_told, last_told, notifies, office, office_with, proved, refusals, set, state,
};
use crate::{SEED, last_answer, log_in_by_order, seconds};

#[test]
fn subscription_is_answered_with_who_sits_there() {
    let mut office = office();

    let mut key = GuestKey::subscribed(&mut office, "desk-1");

    let answer = last_answer(&office, "desk-1", "SUBSCRIBE");
    assert_eq!(answer.header("Expires"), Some("3600"));
    assert!(answer.header("Contact").is_some());
    let notify = last_told(&office, "desk-1");
    assert_eq!(notify.header("Event"), Some("x-broadworks-hoteling"));
    assert_eq!(notify.header("Content-Type"), Some(TYPE));
    assert_eq!(notify.header("Subscription-State"), Some("active;expires=3600"));
    assert_eq!(notify.header("Call-ID"), answer.header("Call-ID"));
    assert_eq!((notify.header("From"), notify.header("To")), (answer.header("To"), answer.header("From")));
    assert!(notify.text.contains("<HotelingEvent xmlns=\"http://schema.broadsoft.com/hoteling\">"));
    assert_eq!(guest_told(&office, "desk-1").as_deref(), Some(""));
    log_in_by_order(&mut office, "1001", "desk-1").expect("the seat");
    key.subscribe(&mut office, "");
    assert_eq!(guest_told(&office, "desk-1").as_deref(), Some("1001"));
}

#[test]
fn refresh_keeps_and_end_of_the_subscription_keeps_the_seat() {
    let mut office = office();
    let mut key = GuestKey::subscribed(&mut office, "desk-1");
    key.log_in(&mut office, "1001", "7738");
    office.advance(seconds(3000));

    key.subscribe(&mut office, "");
    office.advance(seconds(3000));
    assert_eq!(state(&office, "desk-1"), "active;expires=3600", "nothing new was told meanwhile");
    let outcome = key.subscribe_with(&mut office, &set("", ""), |subscribe| {
        subscribe.set("Expires", "0");
    });

    assert_eq!(outcome, Some(200));
    assert_eq!(last_answer(&office, "desk-1", "SUBSCRIBE").header("Expires"), Some("0"));
    assert_eq!(state(&office, "desk-1"), "terminated;reason=timeout");
    assert_eq!(guest_told(&office, "desk-1").as_deref(), Some("1001"));
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
    assert_eq!(key.subscribe(&mut office, ""), Some(481));
}

#[test]
fn subscription_that_nobody_renews_ends_with_a_word_and_the_seat_stays() {
    let mut office = office();
    let mut key = GuestKey::subscribed(&mut office, "desk-1");
    key.log_in(&mut office, "1001", "7738");

    office.advance(seconds(3602));

    assert_eq!(state(&office, "desk-1"), "terminated;reason=timeout");
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
    assert_eq!(key.subscribe(&mut office, ""), Some(481));
}

#[test]
fn fetch_tells_and_leaves_no_subscription_and_takes_none() {
    let mut office = office();
    let mut key = GuestKey::subscribed(&mut office, "desk-1");
    let mut fetch = GuestKey::of("desk-1");

    fetch.subscribe_with(&mut office, "", |subscribe| {
        subscribe.set("Expires", "0");
    });

    assert_eq!(state(&office, "desk-1"), "terminated;reason=timeout");
    assert_eq!(fetch.subscribe(&mut office, ""), Some(481));
    assert_eq!(key.subscribe(&mut office, ""), Some(200));
}

#[test]
fn interval_is_clamped_and_too_brief_a_one_refused() {
    let mut office = office();
    let mut asked = |expires: &str| {
        let mut key = GuestKey::of("desk-1");
        let status = key.subscribe_with(&mut office, "", |it| {
            it.set("Expires", expires);
        });
        let answer = last_answer(&office, "desk-1", "SUBSCRIBE");
        let header = |name| answer.header(name).map(ToOwned::to_owned);
        (status, header("Expires"), header("Min-Expires"))
    };

    assert_eq!(asked("86400"), (Some(200), Some("3600".into()), None));
    assert_eq!(asked("60"), (Some(200), Some("60".into()), None));
    assert_eq!(asked("59"), (Some(423), None, Some("60".into())));
}

#[test]
fn every_change_by_whomever_is_told() {
    let mut office = office();
    let _keys = ["desk-1", "desk-2"].map(|phone| GuestKey::subscribed(&mut office, phone));
    let told = |office: &Office| ["desk-1", "desk-2"].map(|phone| guest_told(office, phone).unwrap());

    log_in_by_order(&mut office, "1001", "desk-1").expect("the seat");
    assert_eq!(told(&office), ["1001", ""], "the control API");
    office.log_in("1001", "desk-2");
    assert_eq!(told(&office), ["", "1001"], "displaced by a code at another phone");
    office.log_in("1002", "desk-2");
    assert_eq!(told(&office), ["", "1002"], "taken over");
    office.force_out("desk-2", true);
    assert_eq!(told(&office), ["", ""], "forced");
    office.log_in("1003", "desk-1");
    office.reconfigure(|blueprint| blueprint.extension("1003").enabled = false);
    assert_eq!(told(&office), ["", ""], "switched off");
    assert_eq!(refusals(&office), [""; 0]);
}

#[test]
fn idle_end_is_told() {
    let mut office = office_with(|blueprint| {
        blueprint.seats().ends.idle = Some(dataplane::settings::Limit::After(seconds(600)));
    });
    let mut key = GuestKey::subscribed(&mut office, "desk-1");
    key.log_in(&mut office, "1001", "7738");

    office.advance(seconds(650));

    assert_eq!(office.device_of("1001"), None);
    assert_eq!(guest_told(&office, "desk-1").as_deref(), Some(""));
}

#[test]
fn only_a_shared_phone_that_proves_itself_has_a_guest_key() {
    let mut office = office();
    office.own_phone("soft-1", "1002").unbox("desk-3", "desk-3");

    let answer = |office: &mut Office, phone: &str, event: &str, target: &str| {
        office.ask(phone, "SUBSCRIBE", target, |it| {
            it.add("Event", event);
        })
    };
    assert_eq!(answer(&mut office, "soft-1", "x-broadworks-hoteling", "1002"), Some(403));
    assert_eq!(answer(&mut office, "desk-1", "x-broadworks-hoteling", "desk-2"), Some(404));
    assert_eq!(answer(&mut office, "desk-3", "x-broadworks-hoteling", "desk-3"), Some(480), "not registered");
    assert_eq!(answer(&mut office, "desk-1", "dialog", "desk-1"), Some(489));
    assert_eq!(
        last_answer(&office, "desk-1", "SUBSCRIBE").header("Allow-Events"),
        Some("x-broadworks-hoteling, message-summary")
    );
    let in_the_name_of_another = office.ask("desk-1", "SUBSCRIBE", "desk-2", |it| {
        it.set("From", "<sip:desk-2@demo.hotdesk>;tag=9").add("Event", "x-broadworks-hoteling");
    });
    assert_eq!(in_the_name_of_another, Some(403));
    office["desk-2"].wrong_password = Some("guessed".into());
    assert_eq!(answer(&mut office, "desk-2", "x-broadworks-hoteling", "desk-2"), Some(401));
    assert!(office["desk-2"].requests("NOTIFY").is_empty());
}

#[test]
fn stranger_gets_nothing_out_of_a_dialog_that_is_not_his() {
    let mut office = office();
    let mut key = GuestKey::subscribed(&mut office, "desk-1");
    key.log_in(&mut office, "1001", "7738");
    // Whoever has overheard the whole dialog speaks from elsewhere, with an account of his own or none.
    office.unbox("thief", "desk-2");

    key.phone = "thief".into();
    let outcome = key.subscribe_with(&mut office, &set("", ""), |it| it.uri = "sip:192.0.2.1".into());

    assert_eq!(outcome, Some(403));
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"));
}

#[test]
fn where_no_guest_key_is_served_there_is_no_such_package() {
    let mut office = Office::new(SEED);
    office.plug_in("desk-1");

    assert_eq!(GuestKey::of("desk-1").subscribe(&mut office, ""), Some(489));

    assert_eq!(last_answer(&office, "desk-1", "REGISTER").header("Allow-Events"), None);
}

#[test]
fn shared_phones_learn_of_the_package_when_they_register() {
    let mut office = office();
    office.own_phone("soft-1", "1002");

    let offered =
        |phone: &str| last_answer(&office, phone, "REGISTER").header("Allow-Events").map(ToOwned::to_owned);

    assert_eq!(offered("desk-1").as_deref(), Some("x-broadworks-hoteling, message-summary"));
    assert_eq!(offered("soft-1"), None);
}

#[test]
fn notify_that_is_not_taken_ends_the_subscription() {
    let mut office = office();
    let mut key = GuestKey::subscribed(&mut office, "desk-1");
    office["desk-1"].notify_refusal = Some((489, &[]));
    log_in_by_order(&mut office, "1001", "desk-1").expect("the seat");
    office["desk-1"].notify_refusal = None;
    assert_eq!(key.subscribe(&mut office, ""), Some(481), "refused");

    let mut key = GuestKey::subscribed(&mut office, "desk-1");
    office.pull_plug("desk-1");
    office.force_out("desk-1", true);
    office.advance(seconds(40));
    office.reboot("desk-1");
    assert_eq!(key.subscribe(&mut office, ""), Some(481), "never answered");
    assert_eq!(GuestKey::of("desk-1").subscribe(&mut office, ""), Some(200));
}

/// RULES §3, and RFC 6665 §4.2.2: a challenge is no failure of a NOTIFY that can answer it.
#[test]
fn phone_that_challenges_notifies_keeps_its_guest_key() {
    let mut office = office();
    office["desk-1"].notify_nonce = Some("who-are-you".into());
    let mut key = GuestKey::subscribed(&mut office, "desk-1");
    assert_eq!(key.subscribe(&mut office, ""), Some(200), "the subscription is still there");
    log_in_by_order(&mut office, "1001", "desk-1").expect("the seat");

    assert_eq!(guest_told(&office, "desk-1").as_deref(), Some("1001"));
    let told = notifies(&office, "desk-1").into_iter();
    let told = told.map(|it| (it.header("CSeq").unwrap(), it.header("Authorization").is_some()));
    let each_twice = ["1", "2", "3", "4", "5", "6"].map(|number| format!("{number} NOTIFY"));
    let is_proved = [false, true, false, true, false, true];
    assert!(told.eq(each_twice.iter().map(String::as_str).zip(is_proved)));
}

#[test]
fn challenge_of_a_notify_is_answered_once() {
    const CHALLENGE: &str = "Digest realm=\"demo.hotdesk\", nonce=\"another\", qop=\"auth\", algorithm=MD5";
    let mut office = office();
    let mut key = GuestKey::subscribed(&mut office, "desk-1");
    let before = notifies(&office, "desk-1").len();
    office["desk-1"].notify_refusal = Some((407, &[("Proxy-Authenticate", CHALLENGE)]));
    log_in_by_order(&mut office, "1001", "desk-1").expect("the seat");

    assert_eq!(notifies(&office, "desk-1").len(), before + 2);
    assert!(last_told(&office, "desk-1").header("Proxy-Authorization").is_some());
    assert_eq!(key.subscribe(&mut office, ""), Some(481));
}

#[test]
fn phone_that_is_busy_for_a_notify_keeps_its_guest_key() {
    let mut office = office();
    let mut key = GuestKey::subscribed(&mut office, "desk-1");
    office["desk-1"].notify_refusal = Some((480, &[("Retry-After", "5")]));
    log_in_by_order(&mut office, "1001", "desk-1").expect("the seat");
    office["desk-1"].notify_refusal = None;

    assert_eq!(key.subscribe(&mut office, ""), Some(200));
    assert_eq!(guest_told(&office, "desk-1").as_deref(), Some("1001"));

    office["desk-1"].notify_refusal = Some((481, &[("Retry-After", "5")]));
    office.force_out("desk-1", true);
    office["desk-1"].notify_refusal = None;
    assert_eq!(key.subscribe(&mut office, ""), Some(481), "it knows of none");
}

#[test]
fn subscription_ends_with_the_binding_the_device_and_the_edge() {
    let mut office = office();
    let mut key = GuestKey::subscribed(&mut office, "desk-1");
    office.unregister("desk-1");
    office.register("desk-1");
    assert_eq!(key.subscribe(&mut office, ""), Some(200), "it has come back before anything was to be told");
    office.unregister("desk-1");
    log_in_by_order(&mut office, "1001", "desk-1").expect("the seat");
    office.register("desk-1");
    assert_eq!(key.subscribe(&mut office, ""), Some(481));

    let mut key = GuestKey::subscribed(&mut office, "desk-1");
    office.reconfigure(|blueprint| blueprint.device("desk-1").enabled = false);
    office.advance(seconds(2));
    assert_eq!(state(&office, "desk-1"), "terminated;reason=noresource");
    office.reconfigure(|blueprint| blueprint.device("desk-1").enabled = true);
    assert_eq!(key.subscribe(&mut office, ""), Some(481));

    let mut key = GuestKey::subscribed(&mut office, "desk-2");
    office.kill_and_restart();
    assert_eq!(key.subscribe(&mut office, ""), Some(481));
    assert_eq!(GuestKey::of("desk-2").subscribe(&mut office, ""), Some(200));
}

#[test]
fn newest_subscription_of_a_phone_is_the_one() {
    let mut office = office();
    let mut old = GuestKey::subscribed(&mut office, "desk-1");
    let mut new = GuestKey::subscribed(&mut office, "desk-1");

    assert_eq!(old.subscribe(&mut office, ""), Some(481));
    assert_eq!(new.subscribe(&mut office, ""), Some(200));
    new.cseq -= 1;
    assert_eq!(new.subscribe(&mut office, &set("", "")), Some(500), "out of order");
}

#[test]
fn workers_share_subscriptions() {
    let mut office = Office::with(SEED, |blueprint| {
        blueprint.workers = 2;
        blueprint.seats().hoteling = Some(HotelingPolicy::default());
    });
    office.plug_in_stream("desk-1").plug_in("desk-2").plug_in("desk-3");
    let mut key = GuestKey::subscribed(&mut office, "desk-1");
    key.log_in(&mut office, "1001", "7738");
    assert_eq!(guest_told(&office, "desk-1").as_deref(), Some("1001"));

    office.at_worker("desk-2", 1);
    office.log_in("1001", "desk-2");

    assert_eq!(guest_told(&office, "desk-1").as_deref(), Some(""), "told by the other worker");
    assert_eq!(key.subscribe(&mut office, ""), Some(200), "and its answer found its way");
    let mut other = GuestKey::subscribed(&mut office, "desk-3");
    let nonce = other.nonce(&mut office, "1002").unwrap();
    office.at_worker("desk-3", 1);
    other.subscribe(&mut office, &proved("1002", &nonce, "2468"));
    assert_eq!(office.device_of("1002").as_deref(), Some("desk-3"), "a dialog that another worker began");
}
