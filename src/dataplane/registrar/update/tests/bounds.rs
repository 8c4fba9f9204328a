//! How much one REGISTER may bind, and what of it is written back.

use super::*;
use crate::location::{INSTANCE_LENGTH_MAX, URI_LENGTH_MAX};

/// A phone's contact, by the number of its port.
fn contact(port: u16) -> String {
    format!("Contact: <sip:1001@10.0.0.1:{port}>\r\n")
}

fn un_registered(port: u16) -> String {
    contact(port).replace("\r\n", ";expires=0\r\n")
}

#[test]
fn contacts_are_bounded() {
    let mut desk = Desk::ordinary();
    assert_eq!(desk.send("a", 1, &format!("{A}{B}")), granted(2, 0, 0));
    let third = "Contact: <sip:1001@10.0.0.3>\r\n";
    // The oldest that came from the same address makes room: phones come back under other ports.
    assert_eq!(desk.send("c", 1, third), granted(1, 0, 1));
    assert_eq!(desk.contacts().len(), 2);
    assert_eq!(desk.send("c", 2, third), granted(0, 1, 0));
    let elsewhere = std::mem::replace(
        &mut desk.flow,
        Flow::datagram(ListenerId(0), "203.0.113.99:5060".parse().unwrap()),
    );
    let fourth = "Contact: <sip:1001@10.0.0.4>\r\n";
    assert_eq!(desk.send("f", 1, fourth), refused(Refused::TooMany));
    // What it removes in the same request makes room.
    assert_eq!(
        desk.send("f", 2, &format!("{fourth}{}", third.replace("\r\n", ";expires=0\r\n"))),
        granted(1, 0, 1)
    );
    desk.flow = elsewhere;

    let thousand: String =
        (0..1000).map(|port| format!("Contact: <sip:a@10.0.0.1:{}>\r\n", port + 1)).collect();
    assert!(sip::Message::parse(&message("d", 1, &thousand), &sip::Limits::default()).is_err());
    let many = |count: u32| {
        let contacts = (0..count).map(|port| format!("<sip:a@10.0.0.1:{}>", port + 1));
        format!("Contact: {}\r\n", contacts.collect::<Vec<_>>().join(", "))
    };
    assert_eq!(desk.send("d", 1, &many(1000)), refused(Refused::TooMany));
    let mut device = Desk::new(Role::Device);
    assert_eq!(device.send("d", 1, &many(8)), granted(8, 0, 0));
    assert_eq!(device.send("e", 1, &many(9)), refused(Refused::TooMany));
    assert_eq!(device.send("e", 2, "Contact: <sip:1001@10.0.0.9>\r\n"), granted(1, 0, 1));
    assert_eq!(device.contacts().len(), 8);
}

#[test]
fn phone_that_is_refreshed_beside_a_new_one_counts_once() {
    let mut desk = Desk::ordinary();
    assert_eq!(desk.send("a", 1, &contact(1)), granted(1, 0, 0));

    assert_eq!(desk.send("a", 2, &format!("{}{}", contact(1), contact(2))), granted(1, 1, 0));
}

#[test]
fn contact_that_was_never_bound_takes_no_room_when_it_is_removed() {
    let mut desk = Desk::ordinary();
    assert_eq!(desk.send("a", 1, &contact(1)), granted(1, 0, 0));

    assert_eq!(desk.send("b", 1, &format!("{}{}", contact(2), un_registered(3))), granted(1, 0, 0));

    assert_eq!(desk.contacts().len(), 2);
}

#[test]
fn phones_of_before_a_lower_limit_stay_when_one_of_them_goes() {
    let mut desk = Desk::ordinary();
    desk.own_max.phones = 3;
    let three: String = (1..=3).map(contact).collect();
    assert_eq!(desk.send("a", 1, &three), granted(3, 0, 0));
    desk.own_max.phones = 1;

    assert_eq!(desk.send("a", 2, &un_registered(1)), granted(0, 0, 1));

    assert_eq!(desk.contacts().len(), 2);
}

#[test]
fn seat_and_ordinary_phones_share_the_room_of_the_record() {
    let mut desk = Desk::ordinary();
    desk.own_max.phones = 7;
    let seven: String = (1..=7).map(contact).collect();
    assert_eq!(desk.send("a", 1, &seven), granted(7, 0, 0));
    desk.role = Role::Holder(Holder { device: 1, epoch: 9 });
    assert_eq!(desk.send("b", 1, &contact(8)), granted(1, 0, 0));
    desk.flow = Flow::datagram(ListenerId(0), ([203, 0, 113, 6], 5060).into());

    assert_eq!(desk.send("c", 1, &contact(9)), refused(Refused::TooMany));

    assert_eq!(desk.contacts().len(), CONTACTS_PER_AOR_MAX);
}

#[test]
fn contact_elsewhere_is_none_also_beside_one_that_is_bound() {
    let mut desk = Desk::ordinary();
    assert_eq!(desk.send("a", 1, &contact(1)), granted(1, 0, 0));
    let elsewhere = "Contact: <sip:1001@198.51.100.1>\r\n";

    for lines in [elsewhere.into(), format!("{}{elsewhere}", contact(1))] {
        assert_eq!(desk.send("b", 1, &lines), refused(Refused::ForeignContact), "{lines}");
    }
}

#[test]
fn contact_as_long_as_one_may_be_is_bound() {
    let longest = format!("sip:{}@10.0.0.1", "x".repeat(URI_LENGTH_MAX - "sip:@10.0.0.1".len()));
    let mut desk = Desk::ordinary();

    assert_eq!(desk.send("a", 1, &format!("Contact: <{longest}>\r\n")), granted(1, 0, 0));

    assert_eq!(desk.uris(), [longest]);
}

#[test]
fn instance_that_cannot_be_written_back_is_none() {
    let longest = "x".repeat(INSTANCE_LENGTH_MAX);
    for (instance, is_one) in [
        (&*longest, true),
        (&*format!("{longest}x"), false),
        (r#"urn:\"x"#, false),
        (r"urn:\\x", false),
        ("urn:x y", false),
        ("urn:<x", false),
        ("urn:\u{e4}", false),
        ("\u{e4}urn:x", false),
    ] {
        let mut desk = Desk::ordinary();
        let lines = format!("Contact: <sip:1001@10.0.0.1>;+sip.instance=\"<{instance}>\"\r\n");

        assert_eq!(desk.send("a", 1, &lines), granted(1, 0, 0), "{instance}");

        assert_eq!(desk.answer()[0].contains("+sip.instance"), is_one, "{instance}");
    }
}

#[test]
fn phones_that_get_less_than_they_ask_for_get_no_less_than_the_shortest() {
    for (asked, least) in [(600, 540), (61, 60)] {
        let left = (0..100).map(|call| {
            let mut desk = Desk::ordinary();
            let registrar = RegistrarPolicy { expires_spread: 10, ..RegistrarPolicy::default() };
            desk.tenant = Tenant::new(TenantParts { id: "demo".into(), registrar, ..TenantParts::default() });
            desk.send(&format!("call-{call}"), 1, &format!("{}Expires: {asked}\r\n", contact(1)));
            desk.left()
        });
        let left: Vec<_> = left.collect();

        assert!(left.iter().all(|left| (least..=asked).contains(left)), "{left:?}");
        assert!(left.iter().any(|left| *left < asked), "{left:?}");
    }
}
