//! A phone's own guest key: who it lets in and out, what the phone is told, and what nobody learns by it.

mod log_in;
mod subscription;

use dataplane::audit::Kind;
use dataplane::settings::HotelingPolicy;
use dataplane::testing::{Draft, Heard, Office};
use md5::{Digest as _, Md5};

use crate::{SEED, last_answer};

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
