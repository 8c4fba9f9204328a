//! Message lamps of shared phones: nothing waits for a phone.

use dataplane::testing::{Draft, Office};

use crate::{last_answer, last_heard, three_desks};

/// A SUBSCRIBE of the phone for its own lamp, after `change`; the final answer.
fn subscribe(office: &mut Office, phone: &str, change: impl FnOnce(&mut Draft)) -> Option<u16> {
    office.ask(phone, "SUBSCRIBE", phone, |subscribe| {
        subscribe.add("Event", "message-summary").add("Expires", "86400");
        change(subscribe);
    })
}

#[test]
fn shared_phone_is_told_that_nothing_waits_for_it() {
    let mut office = three_desks();

    assert_eq!(subscribe(&mut office, "desk-1", |_| {}), Some(200));

    let answer = last_answer(&office, "desk-1", "SUBSCRIBE");
    let told = last_heard(&office, "desk-1", "NOTIFY");
    assert_eq!(answer.header("Expires"), Some("3600"));
    assert_eq!(told.header("Event"), Some("message-summary"));
    assert_eq!(told.header("Subscription-State"), Some("active;expires=3600"));
    assert_eq!(told.header("Content-Type"), Some("application/simple-message-summary"));
    assert_eq!(told.header("From"), answer.header("To"), "the NOTIFY is of the dialog");
    assert!(told.text.ends_with("\r\n\r\nMessages-Waiting: no\r\n"));
    assert!(office.is_quiet());
}

#[test]
fn it_is_told_so_again_with_every_refresh_and_at_the_end_whoever_sits_there() {
    let mut office = three_desks();
    subscribe(&mut office, "desk-1", |_| {});
    let first = last_answer(&office, "desk-1", "SUBSCRIBE");
    let dialog = ["Call-ID", "From", "To"].map(|name| first.header(name).unwrap_or_default().to_owned());
    let again = |office: &mut Office, cseq: &str, expires: &str| {
        subscribe(office, "desk-1", |it| {
            it.set("Call-ID", &dialog[0]).set("From", &dialog[1]).set("To", &dialog[2]);
            it.set("CSeq", cseq).set("Expires", expires);
        })
    };
    let told = |office: &Office| {
        let notify = last_heard(office, "desk-1", "NOTIFY");
        ["CSeq", "Subscription-State"].map(|name| notify.header(name).unwrap_or_default().to_owned())
    };
    office.log_in("1001", "desk-1");

    assert_eq!(again(&mut office, "70", "600"), Some(200));
    assert_eq!(told(&office), ["140 NOTIFY", "active;expires=600"]);
    assert_eq!(last_answer(&office, "desk-1", "SUBSCRIBE").header("To"), Some(&*dialog[2]));
    assert_eq!(again(&mut office, "71", "0"), Some(200));
    assert_eq!(told(&office), ["142 NOTIFY", "terminated;reason=timeout"]);
    office.kill_and_restart();
    assert_eq!(again(&mut office, "72", "600"), Some(481), "a phone subscribes anew after a restart");
}

#[test]
fn phone_that_challenges_is_told_all_the_same() {
    let mut office = three_desks();
    office["desk-1"].notify_nonce = Some("who-are-you".into());

    assert_eq!(subscribe(&mut office, "desk-1", |_| {}), Some(200));

    let told = office["desk-1"].requests("NOTIFY");
    let proved = told.iter().map(|notify| notify.header("Authorization").is_some());
    assert_eq!(proved.collect::<Vec<_>>(), [false, true]);
    assert!(told.iter().all(|notify| notify.text.ends_with("Messages-Waiting: no\r\n")));
}

#[test]
fn nobody_else_is_told_of_anything() {
    let mut office = three_desks();
    office.own_phone("soft-2", "1002").peer("stranger", "198.51.100.66:5060");

    assert_eq!(subscribe(&mut office, "soft-2", |it| it.uri = "sip:1002@demo.hotdesk".into()), Some(489));
    assert_eq!(subscribe(&mut office, "desk-1", |it| it.uri = "sip:desk-2@demo.hotdesk".into()), Some(404));
    assert_eq!(subscribe(&mut office, "stranger", |_| {}), Some(401));
    // A tag that the edge never gave opens nothing.
    let made_up = subscribe(&mut office, "desk-1", |it| {
        it.set("To", "<sip:desk-1@demo.hotdesk>;tag=0123456789abcdef");
    });
    assert_eq!(made_up, Some(481));
    assert!(["soft-2", "stranger"].iter().all(|phone| office[phone].requests("NOTIFY").is_empty()));
}
