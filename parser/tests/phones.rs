//! What desk phones and their peers send day by day (`phones/*.sip`).

use sip::{ContactValue, Limits, Message, Method, Name};

use crate::samples::messages;

fn message(name: &str) -> Vec<u8> {
    messages().into_iter().find(|(other, _)| other == name).expect("the message is there").1
}

#[test]
fn all_are_read_to_the_letter() {
    let messages = messages();
    assert_eq!(messages.len(), 8);
    for (name, bytes) in messages {
        assert!((500..=1_300).contains(&bytes.len()), "{name} has {} octets", bytes.len());

        let message = Message::parse(&bytes, &Limits::strict()).expect("good");

        message.validate().expect("good");
        assert_eq!(message.bytes().len(), bytes.len(), "{name}");
        for name in [Name::Authorization, Name::ProxyAuthorization] {
            assert!(message.credentials(name).all(|credentials| credentials.is_ok()));
        }
    }
}

#[test]
fn a_registration_is_read() {
    let bytes = message("register-snom");
    let message = Message::parse(&bytes, &Limits::default()).expect("good");
    let contact = match message.contacts().next() {
        Some(Ok(ContactValue::Contact(contact))) => contact,
        other => panic!("{other:?}"),
    };
    let credentials = message.credentials(Name::Authorization).next().expect("there").expect("good");

    assert_eq!(message.method(), Some(Method::Register));
    assert_eq!(contact.instance, Some(&b"urn:uuid:6b1f2d0e-5c7a-4f0f-9b52-000413922d24"[..]));
    assert_eq!((contact.q, contact.reg_id, contact.expires), (Some(1_000), Some(1), None));
    assert_eq!(message.expires(), Some(3600));
    assert_eq!(credentials.username(), Some(&b"desk-1"[..]));
    assert_eq!(credentials.nc(), Some(42));
    assert!(message.option_tags(Name::Supported).has("outbound"));
    assert_eq!(message.option_tags(Name::Supported).count(), 3);
}

#[test]
fn a_subscription_and_its_notification_are_read() {
    let (subscribe, notify) = (message("subscribe-polycom"), message("notify-message-summary"));
    let subscribe = Message::parse(&subscribe, &Limits::default()).expect("good");
    let notify = Message::parse(&notify, &Limits::default()).expect("good");
    let state = notify.subscription_state().expect("good").expect("there");

    assert_eq!(subscribe.event().expect("good").expect("there").package, b"message-summary");
    assert_eq!((state.state, state.expires), (&b"active"[..], Some(3412)));
    assert!(notify.body().starts_with(b"Messages-Waiting: yes\r\n"));
}
