//! A phone's own guest key, on the running program: PINs sealed as the operator seals them.

use bench::phone::{Message, Phone, Transport};
use hotdesk::backend::pin::key::Key;
use hotdesk::backend::pin::seal;
use md5::{Digest as _, Md5};

use crate::edge::{Edge, PEOPLE, Plan, pin, pin_hash};

const TYPE: &str = "application/x-broadworks-hoteling+xml";
const SEAL_KEY: &str = "another key of more than sixteen octets";

/// An edge whose phones have guest keys.
fn edge_with_guest_keys() -> Edge {
    let mut edge = Edge::start(Plan { store: "embedded", ..Plan::default() });
    std::fs::write(edge.file().with_file_name("seal-key"), SEAL_KEY).unwrap();
    let key = Key::new(SEAL_KEY.as_bytes()).unwrap();
    edge.rewrite(|text| {
        let text = (1..=PEOPLE).fold(text, |text, number| {
            let sealed = seal::seal(pin(number).as_bytes(), &key).unwrap();
            text.replace(
                &format!("pin = {{ hash = \"{}\" }}", pin_hash(number)),
                &format!("pin = {{ sealed = \"{sealed}\" }}"),
            )
        });
        text.replace("[pins]\n", "[pins]\nseal_key = { file = \"seal-key\" }\n")
            .replace("[tenant.seats]\n", "[tenant.seats]\nhoteling = true\n")
            .replace("reload = \"check-sync\"", "reload = \"none\"")
    });
    edge.signal("HUP");
    edge.wait_for_log("configuration reloaded");
    edge
}

fn set(guest: &str, rest: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\r\n<SetHoteling xmlns=\"http://schema.broadsoft.com/hoteling\">\r\n\
         <guestAddress>{guest}</guestAddress>\r\n{rest}</SetHoteling>\r\n"
    )
}

/// Sends a SUBSCRIBE, within the dialog of `before` if there is one; its 200 and the NOTIFY that follows.
fn subscribe(phone: &mut Phone, before: Option<&Message>, body: &str) -> (Message, Message) {
    let account = phone.account().clone();
    let mut draft = phone.draft("SUBSCRIBE", &account.user);
    if let Some(ok) = before {
        for name in ["From", "To", "Call-ID"] {
            draft = draft.replace(name, ok.header(name).unwrap());
        }
        draft = draft.replace("CSeq", &format!("{} SUBSCRIBE", ok.cseq() + 1));
    }
    let draft = draft.with("Event", "x-broadworks-hoteling").with("Accept", TYPE).with("Expires", "3600");
    let draft = if body.is_empty() { draft } else { draft.with_body(TYPE, body) };
    let ok = phone.ask(&account, draft).unwrap();
    assert_eq!(ok.status(), Some(200), "{}", ok.text());
    let told = phone.expect("NOTIFY").unwrap();
    assert_eq!(told.header("Call-ID"), ok.header("Call-ID"));
    (ok, told)
}

#[test]
fn a_guest_key_logs_in_and_out_and_follows_every_change() {
    let mut edge = edge_with_guest_keys();
    let mut responses = Vec::new();
    for (transport, number) in [(Transport::Udp, 1), (Transport::Tcp, 2)] {
        let mut phone = edge.desk(transport, number);
        let (guest, desk) = (format!("100{number}"), format!("desk-{number}"));

        let (ok, told) = subscribe(&mut phone, None, "");
        assert!(told.body().contains("<guestAddress/>"), "{}", told.text());
        let (ok, told) = subscribe(&mut phone, Some(&ok), &set(&guest, ""));
        let (_, nonce) = told.body().split_once("<nonce>").unwrap();
        let (nonce, _) = nonce.split_once("</nonce>").unwrap();
        let digest = Md5::digest(format!("{nonce}:{}", pin(number)));
        let response: String = digest.iter().map(|octet| format!("{octet:02x}")).collect();
        responses.push(response.clone());
        let proof = format!(
            "<authenticationData><nonce>{nonce}</nonce><algorithm>MD5</algorithm><response>{response}</response>\
             </authenticationData>"
        );
        let (ok, told) = subscribe(&mut phone, Some(&ok), &set(&guest, &proof));

        assert!(told.body().contains(&format!("<guestAddress>{guest}</guestAddress>")), "{}", told.text());
        assert_eq!(edge.seats(), [(desk.clone(), guest.clone())]);
        assert_eq!(edge.control.seats().unwrap()[0].surface, "hoteling");
        assert_eq!(edge.control.log_out("demo", &desk).unwrap().status, 200);
        assert!(phone.expect("NOTIFY").unwrap().body().contains("<guestAddress/>"));
        assert_eq!(edge.control.log_in("demo", &desk, "1003").unwrap().status, 200);
        assert!(phone.expect("NOTIFY").unwrap().body().contains("<guestAddress>1003</guestAddress>"));
        let (_, told) = subscribe(&mut phone, Some(&ok), &set("", ""));
        assert!(told.body().contains("<guestAddress/>"));
        assert_eq!(edge.seats(), []);
    }
    // The log holds no PIN of any edge; nor what is made of one.
    let log = edge.whole_log();
    assert!(!responses.iter().any(|response| log.contains(response)), "{log}");
}
