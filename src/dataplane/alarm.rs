//! Tells people of an emergency call in the moment it is made (EMG-5): a MESSAGE (RFC 3428) to each of those the tenant
//! names, with what they need to go there.
//!
//! ```text
//!  raise ─► MESSAGE ─ 2xx ──► told
//!              └─ refusal, silence, loss ─► the next address of the same URI, if there is one ─► the operator reads of it
//! ```

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::audit::{Event, Kind};
use crate::context::{Owner, Work};
use crate::flow::Flow;
use crate::proxy::{self, Target};
use crate::settings::{Tenant, Told};
use crate::slots::{SlotKey, Slots};
use crate::transaction;

/// Names a MESSAGE of this worker.
pub(crate) type AlarmKey = SlotKey;

/// MESSAGEs under way at a time and worker: a phone that plays with 112 for the 32 s of Timer F, a dozen people told of
/// each call.
const MESSAGES_MAX: usize = 4_096;

/// Longest text: a MESSAGE must fit into a datagram (RFC 3428 §8).
const TEXT_MAX: usize = 800;

struct Message {
    tenant: Arc<Tenant>,
    text: Arc<str>,
    /// The URI or number that was configured.
    told: Box<str>,
    /// Where it is sent now, then those to be tried next.
    targets: VecDeque<Target>,
    call_id: [u8; 24],
    tag: [u8; 12],
}

/// MESSAGEs of one worker.
pub(crate) struct Alarms {
    messages: Slots<Message>,
}

impl Alarms {
    pub(crate) fn new() -> Self {
        Self { messages: Slots::new(MESSAGES_MAX) }
    }

    /// Tells everybody whom `tenant` names of the emergency call that `event` speaks of.
    pub(crate) fn raise(&mut self, work: &mut Work<'_>, tenant: &Arc<Tenant>, event: &Event<'_>) {
        if tenant.emergency.notify.is_empty() {
            return;
        }
        let text: Arc<str> = text(event).into();
        for told in &tenant.emergency.notify {
            match told {
                Told::Extension(number) => {
                    let targets = proxy::of_extension(work.ctx, tenant, number, work.now);
                    if targets.is_empty() {
                        not_told(work, tenant, number);
                    }
                    for target in targets {
                        self.add(work, tenant, number, &text, [target].into());
                    }
                }
                Told::Peer(peer) => {
                    let uri = peer.uri.as_bytes();
                    let targets = peer.addresses.iter().filter_map(|address| {
                        let flow = Flow::datagram(work.ctx.listener_for(address)?, *address);
                        Some(Target::peer(uri.into(), flow, 0))
                    });
                    let targets = targets.collect();
                    self.add(work, tenant, &peer.uri, &text, targets);
                }
            }
        }
    }

    fn add(
        &mut self,
        work: &mut Work<'_>,
        tenant: &Arc<Tenant>,
        told: &str,
        text: &Arc<str>,
        targets: VecDeque<Target>,
    ) {
        let message = Message {
            tenant: Arc::clone(tenant),
            text: Arc::clone(text),
            told: told.into(),
            targets,
            call_id: work.ctx.random.token(),
            tag: work.ctx.random.token(),
        };
        match self.messages.insert(message) {
            Some(key) => self.send(work, key),
            None => {
                work.ctx.counters.tables_full += 1;
                not_told(work, tenant, told);
            }
        }
    }

    /// Sends it to the first target that takes it.
    fn send(&mut self, work: &mut Work<'_>, key: AlarmKey) {
        while let Some(message) = self.messages.get_mut(key) {
            let Some(target) = message.targets.pop_front() else {
                let message = self.messages.remove(key).expect("it was there just now");
                return not_told(work, &message.tenant, &message.told);
            };
            let via = work.ctx.via(&target.flow);
            let realm = message.tenant.realm().as_bytes();
            let begun = work.transactions.begin_client(
                work.now.mono,
                target.flow,
                false,
                Owner::Alarm(key),
                0,
                None,
                work.out,
                |buffer, branch| {
                    sip::Compose::request(buffer, "MESSAGE", &target.uri)
                        .header_parts(sip::Name::Via, &[via, b";branch=", branch])
                        .header(sip::Name::MaxForwards, b"70")
                        .header_parts(
                            sip::Name::From,
                            &[b"\"Emergency call\" <sip:emergency@", realm, b">;tag=", &message.tag],
                        )
                        .header_parts(sip::Name::To, &[b"<", &target.uri, b">"])
                        .header(sip::Name::CallId, &message.call_id)
                        .header(sip::Name::CSeq, b"1 MESSAGE")
                        .header(sip::Name::Priority, b"emergency")
                        .body(b"text/plain;charset=UTF-8", message.text.as_bytes())
                        .finish();
                },
            );
            if begun.is_ok() {
                work.ctx.counters.emergency_notices_sent += 1;
                return;
            }
            work.ctx.counters.tables_full += 1;
        }
    }

    /// Somebody answered.
    pub(crate) fn on_response(&mut self, work: &mut Work<'_>, key: AlarmKey, response: &sip::Message<'_>) {
        match response.status().unwrap_or(0) {
            0..=199 => {}
            200..=299 => drop(self.messages.remove(key)),
            _ => self.send(work, key),
        }
    }

    /// Nobody answered, or the connection is gone.
    pub(crate) fn on_event(&mut self, work: &mut Work<'_>, event: &transaction::Event<Owner>) {
        if let transaction::Event::ClientTimeout { owner: Owner::Alarm(key), .. }
        | transaction::Event::ClientLost { owner: Owner::Alarm(key), .. } = event
        {
            self.send(work, *key);
        }
    }
}

/// Somebody was to be told and could not be.
fn not_told(work: &mut Work<'_>, tenant: &Tenant, told: &str) {
    work.ctx.counters.emergency_notices_failed += 1;
    let event = Event::new(Kind::EmergencyCall, "not-notified", &tenant.id, work.now.wall).with("told", told);
    work.out.event(event);
}

/// What people read: that there was a call, from where, and where to call back.
fn text(event: &Event<'_>) -> String {
    let detail =
        |name: &str| event.details.iter().find(|(known, _)| known == name).map(|(_, value)| &**value);
    let mut text = format!("Emergency call to {}\r\n", detail("number").unwrap_or("an emergency number"));
    if event.reason != "routed" {
        text.push_str("NOT CONNECTED: no way to the emergency service is configured\r\n");
    }
    let mut line = |label: &str, name: Option<&str>, id: Option<&str>| {
        let Some(first) = name.or(id) else { return };
        write!(text, "{label}: {first}").expect("a string takes all");
        if let (Some(_), Some(id)) = (name, id) {
            write!(text, " ({id})").expect("a string takes all");
        }
        text.push_str("\r\n");
    };
    line("Phone", detail("device_name"), event.device.as_deref());
    line("Room", detail("room"), None);
    line("Site", detail("site_name"), event.site.as_deref());
    line("Number shown", detail("shown"), None);
    line("Person", detail("person"), event.extension.as_deref());
    if event.device.is_none() {
        let address = event.source.map(|source| source.ip().to_string());
        line("Seen at", address.as_deref(), None);
    }
    let end = text.floor_char_boundary(TEXT_MAX);
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_says_what_is_known_and_nothing_else() {
        let bare = Event::new(Kind::EmergencyCall, "no-route", "demo", 0).with("number", "112");
        assert_eq!(
            text(&bare),
            "Emergency call to 112\r\nNOT CONNECTED: no way to the emergency service is configured\r\n"
        );

        let mut whole = Event::new(Kind::EmergencyCall, "routed", "demo", 0)
            .with("number", "112")
            .with("room", "Desk 1")
            .with("site_name", "Headquarters")
            .with("shown", "+12125550100")
            .with("device_name", "Open Desk 1")
            .with("person", "John Smith");
        (whole.device, whole.site, whole.extension) =
            (Some("desk-1".into()), Some("hq".into()), Some("1001".into()));
        assert_eq!(
            text(&whole),
            "Emergency call to 112\r\nPhone: Open Desk 1 (desk-1)\r\nRoom: Desk 1\r\nSite: Headquarters (hq)\r\n\
             Number shown: +12125550100\r\nPerson: John Smith (1001)\r\n"
        );
    }

    #[test]
    fn text_fits_into_a_datagram() {
        let long = Event::new(Kind::EmergencyCall, "routed", "demo", 0).with("room", "ä".repeat(4_000));

        assert!(text(&long).len() <= TEXT_MAX);
    }
}
