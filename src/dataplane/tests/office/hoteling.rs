//! A phone's own guest key: who it lets in and out, what the phone is told, and what nobody learns by it.

use dataplane::audit::Kind;
use dataplane::input::Command;
use dataplane::settings::{HotelingPolicy, OnOccupied, Peer};
use dataplane::testing::{Draft, Heard, Office, StoreMood};
use md5::{Digest as _, Md5};

use crate::{SEED, last_answer, seconds};

const TYPE: &str = "application/x-broadworks-hoteling+xml";

/// The guest key of a phone, with the dialog of its subscription.
pub(crate) struct GuestKey {
    phone: String,
    /// Call-ID, From and To, once there is one.
    dialog: Option<[String; 3]>,
    cseq: u32,
}

impl GuestKey {
    pub(crate) fn of(phone: &str) -> Self {
        Self { phone: phone.into(), dialog: None, cseq: 1 }
    }

    /// The same with a subscription.
    fn subscribed(office: &mut Office, phone: &str) -> Self {
        let mut key = Self::of(phone);
        assert_eq!(key.subscribe(office, ""), Some(200), "{phone} subscribes");
        key
    }

    /// A SUBSCRIBE with this body, within the dialog if there is one; its final answer.
    fn subscribe(&mut self, office: &mut Office, body: &str) -> Option<u16> {
        self.subscribe_with(office, body, |_| {})
    }

    /// The same after `change`.
    fn subscribe_with(
        &mut self,
        office: &mut Office,
        body: &str,
        change: impl FnOnce(&mut Draft),
    ) -> Option<u16> {
        let target = self.phone.clone();
        let outcome = office.ask(&self.phone, "SUBSCRIBE", &target, |subscribe| {
            subscribe.add("Event", "x-broadworks-hoteling").add("Accept", TYPE).add("Expires", "3600");
            if let Some([call_id, from, to]) = &self.dialog {
                let cseq = self.cseq.to_string();
                subscribe.set("Call-ID", call_id).set("From", from).set("To", to).set("CSeq", &cseq);
            }
            if !body.is_empty() {
                subscribe.add("Content-Type", TYPE);
                subscribe.body = body.into();
            }
            change(subscribe);
        });
        let answer = last_answer(office, &self.phone, "SUBSCRIBE");
        let header = |name| answer.header(name).unwrap_or_default().to_owned();
        // A challenge was answered by another SUBSCRIBE.
        self.cseq = header("CSeq").split(' ').next().and_then(|cseq| cseq.parse().ok()).unwrap_or(0) + 1;
        if outcome == Some(200) {
            self.dialog = Some(["Call-ID", "From", "To"].map(header));
        }
        outcome
    }

    /// Asks for a challenge; its nonce, if there is one.
    fn nonce(&mut self, office: &mut Office, guest: &str) -> Option<String> {
        self.subscribe(office, &set(guest, ""));
        let told = &notifies(office, &self.phone).last()?.text;
        Some(told.split_once("<nonce>")?.1.split_once("</nonce>")?.0.to_owned())
    }

    /// The whole of a log-in: the person types his number and his PIN.
    pub(crate) fn press(mut self, office: &mut Office, guest: &str, pin: &str) {
        match self.nonce(office, guest) {
            Some(nonce) => drop(self.subscribe(office, &proved(guest, &nonce, pin))),
            // It hears no more than that, and nor does who types.
            None => office.settle(),
        }
    }

    /// The same in a subscription that stays.
    fn log_in(&mut self, office: &mut Office, guest: &str, pin: &str) {
        let nonce = self.nonce(office, guest).expect("it is challenged");
        assert_eq!(self.subscribe(office, &proved(guest, &nonce, pin)), Some(200));
    }

    /// Whoever sits there goes.
    pub(crate) fn leave(mut self, office: &mut Office) {
        self.subscribe(office, &set("", ""));
    }
}

fn set(guest: &str, rest: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\n\
         <SetHoteling xmlns=\"http://schema.broadsoft.com/hoteling\">\n\
         <guestAddress>{guest}</guestAddress>{rest}\n</SetHoteling>"
    )
}

fn proved(guest: &str, nonce: &str, pin: &str) -> String {
    let digest = Md5::digest(format!("{nonce}:{pin}"));
    let response: String = digest.iter().map(|octet| format!("{octet:02x}")).collect();
    set(
        guest,
        &format!(
            "<authenticationData><nonce>{nonce}</nonce><algorithm>MD5</algorithm>\
             <response>{response}</response></authenticationData>"
        ),
    )
}

fn office() -> Office {
    office_with(|_| {})
}

fn office_with(change: impl FnOnce(&mut dataplane::testing::Blueprint)) -> Office {
    let mut office = Office::with(SEED, |blueprint| {
        blueprint.seats().hoteling = Some(HotelingPolicy::default());
        change(blueprint);
    });
    office.plug_in("desk-1").plug_in("desk-2");
    office
}

/// What the phone was told last of who sits there: his number, `Some("")` for nobody; `None`: something else.
fn guest_told(office: &Office, phone: &str) -> Option<String> {
    let body = last_told(office, phone).text;
    if body.contains("<guestAddress/>") {
        return Some(String::new());
    }
    Some(body.split_once("<guestAddress>")?.1.split_once("</guestAddress>")?.0.to_owned())
}

/// NOTIFYs of subscriptions that a phone heard.
fn notifies<'o>(office: &'o Office, phone: &str) -> Vec<&'o Heard> {
    let mut heard = office[phone].requests("NOTIFY");
    heard.retain(|notify| notify.header("Event").is_some_and(|event| event.starts_with("x-broadworks")));
    heard
}

/// The last of them.
fn last_told(office: &Office, phone: &str) -> Heard {
    (*notifies(office, phone).last().expect("it was told something")).clone()
}

fn state(office: &Office, phone: &str) -> String {
    last_told(office, phone).header("Subscription-State").unwrap_or_default().to_owned()
}

/// Reasons of the refusals in the audit trail.
fn refusals(office: &Office) -> Vec<String> {
    office.events(Kind::Refusal).into_iter().map(|event| event.reason.to_string()).collect()
}

fn log_in_by_api(office: &mut Office, extension: &str, device: &str) {
    let (device, extension) = (device.into(), extension.into());
    let command = Command::LogIn {
        tenant: "demo".into(),
        device,
        extension,
        extension_tenant: None,
        force: false,
        until: None,
    };
    office.command(command).expect("it is answered").expect("it is done");
}

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
    log_in_by_api(&mut office, "1001", "desk-1");
    key.subscribe(&mut office, "");
    assert_eq!(guest_told(&office, "desk-1").as_deref(), Some("1001"));
}

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

    log_in_by_api(&mut office, "1001", "desk-1");
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
        let addresses = vec!["198.51.100.112:5060".parse().expect("an address")];
        blueprint.tenants[0].emergency.routes = vec![Peer { uri: "sip:psap.example".into(), addresses }];
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
fn notify_that_is_not_taken_ends_the_subscription() {
    let mut office = office();
    let mut key = GuestKey::subscribed(&mut office, "desk-1");
    office["desk-1"].notify_refusal = Some((489, &[]));
    log_in_by_api(&mut office, "1001", "desk-1");
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
    log_in_by_api(&mut office, "1001", "desk-1");

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
    log_in_by_api(&mut office, "1001", "desk-1");

    assert_eq!(notifies(&office, "desk-1").len(), before + 2);
    assert!(last_told(&office, "desk-1").header("Proxy-Authorization").is_some());
    assert_eq!(key.subscribe(&mut office, ""), Some(481));
}

#[test]
fn phone_that_is_busy_for_a_notify_keeps_its_guest_key() {
    let mut office = office();
    let mut key = GuestKey::subscribed(&mut office, "desk-1");
    office["desk-1"].notify_refusal = Some((480, &[("Retry-After", "5")]));
    log_in_by_api(&mut office, "1001", "desk-1");
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
    log_in_by_api(&mut office, "1001", "desk-1");
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
