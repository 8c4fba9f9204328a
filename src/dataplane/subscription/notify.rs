//! NOTIFYs within subscriptions: written, sent, and taken or not (RFC 6665 §4.2.2).

use std::sync::Arc;
use std::time::Duration;

use super::dialog::Dialog;
use crate::context::{Context, Owner, Work};
use crate::flow::Flow;
use crate::hotdesk::Place;
use crate::notifier;
use crate::now::Now;
use crate::slots::{SlotKey, Slots};
use crate::transaction::Event;

/// Names a NOTIFY of this worker.
pub(crate) type NotifyKey = SlotKey;

/// NOTIFYs under way at a time and worker, as many as the notifier may have. One more is not sent, and the phone learns
/// with its next refresh what it missed.
const NOTIFIES_MAX: usize = 16_384;

/// A NOTIFY that has no answer yet.
#[derive(Debug)]
struct Sent {
    device: Place,
    dialog: Arc<Dialog>,
    flow: Flow,
    cseq: u32,
    state: State,
    /// Content type and body.
    content: (&'static str, Box<str>),
    /// It has answered a challenge, and will not answer another.
    is_proved: bool,
}

/// What a NOTIFY says of its subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It goes on for so long.
    Active(Duration),
    /// It was not refreshed, or its phone ended it.
    TimedOut,
    /// There is nothing to subscribe to any more.
    NoResource,
}

/// The packages of one worker: the NOTIFYs it has sent. The subscriptions are all workers'.
#[derive(Debug)]
pub(crate) struct EventNotifier {
    notifies: Slots<Sent>,
}

impl EventNotifier {
    pub(crate) fn new() -> Self {
        Self { notifies: Slots::new(NOTIFIES_MAX) }
    }

    /// Sends a NOTIFY down the way the phone registered by. `None`: there is none, and nothing was sent.
    pub(super) fn notify(
        &mut self,
        work: &mut Work<'_>,
        device: &Place,
        (dialog, last): (Arc<Dialog>, Flow),
        cseq: u32,
        state: State,
        (kind, body): (&'static str, String),
    ) -> Option<()> {
        let flow = way(work.ctx, device, last, work.now)?;
        let content = (kind, body.into());
        let sent = Sent { device: device.clone(), dialog, flow, cseq, state, content, is_proved: false };
        match self.notifies.insert(sent) {
            Some(key) => self.send(work, key, None),
            None => work.ctx.counters.tables_full += 1,
        }
        Some(())
    }

    fn send(&mut self, work: &mut Work<'_>, key: NotifyKey, credentials: Option<(sip::Name, &[u8])>) {
        let Some(sent) = self.notifies.get(key) else { return };
        let Sent { dialog, flow, cseq, state, content: (kind, body), .. } = sent;
        let (via, own_uri) = (work.ctx.via(flow), work.ctx.own_uri(flow, &dialog.target));
        let begun = work.transactions.begin_client(
            work.now.mono,
            *flow,
            false,
            Owner::Subscription(key),
            0,
            None,
            work.out,
            |buffer, branch| {
                let mut compose = sip::Compose::request(buffer, "NOTIFY", &dialog.target);
                compose.header_parts(sip::Name::Via, &[via, b";branch=", branch]);
                if !dialog.routes.is_empty() {
                    compose.header(sip::Name::Route, &dialog.routes);
                }
                compose
                    .header(sip::Name::MaxForwards, b"70")
                    .header_parts(sip::Name::From, &[&dialog.local, b";tag=", &dialog.tag])
                    .header(sip::Name::To, &dialog.remote)
                    .header(sip::Name::CallId, &dialog.call_id)
                    .header_fmt(sip::Name::CSeq, format_args!("{cseq} NOTIFY"))
                    .header_parts(sip::Name::Contact, &[b"<", own_uri.as_bytes(), b">"])
                    .header(sip::Name::Event, &dialog.event);
                if let Some((name, value)) = credentials {
                    compose.header(name, value);
                }
                match state {
                    State::Active(left) => {
                        let seconds = left.as_secs();
                        compose.header_fmt(
                            sip::Name::SubscriptionState,
                            format_args!("active;expires={seconds}"),
                        )
                    }
                    State::TimedOut => {
                        compose.header(sip::Name::SubscriptionState, b"terminated;reason=timeout")
                    }
                    State::NoResource => {
                        compose.header(sip::Name::SubscriptionState, b"terminated;reason=noresource")
                    }
                };
                compose.body(kind.as_bytes(), body.as_bytes()).finish();
            },
        );
        if begun.is_ok() {
            work.ctx.counters.notifies_sent += 1;
        } else {
            work.ctx.counters.tables_full += 1;
            self.notifies.remove(key);
        }
    }

    /// The phone answered.
    pub(crate) fn on_response(&mut self, work: &mut Work<'_>, key: NotifyKey, response: &sip::Message<'_>) {
        match response.status() {
            Some(..200) | None => {}
            Some(200..300) => drop(self.notifies.remove(key)),
            Some(401 | 407) => self.on_challenge(work, key, response),
            // §4.2.2: no failure; its next refresh is answered with what it misses. Where it knows no subscription, there is none.
            Some(code) if code != 481 && response.has(sip::Name::RetryAfter) => {
                work.ctx.counters.notifies_failed += 1;
                self.notifies.remove(key);
            }
            // §4.2.2: 481, or whatever else it is not taken for: nobody is told in there any more.
            Some(_) => self.not_taken(work, key),
        }
    }

    /// Answers a challenge, once, as the account of the device: that is who is registered where it was sent.
    fn on_challenge(&mut self, work: &mut Work<'_>, key: NotifyKey, response: &sip::Message<'_>) {
        let Some(sent) = self.notifies.get_mut(key) else { return };
        let tenant = work.ctx.settings.tenant(sent.device.tenant()).filter(|_| !sent.is_proved).cloned();
        let credentials = tenant.and_then(|tenant| {
            notifier::credentials(work, &tenant, sent.device.name(), &sent.dialog.target, response)
        });
        let Some((name, value)) = credentials else { return self.not_taken(work, key) };
        // It takes the next CSeq. One that was sent since says more, and what this says must not come after it.
        let is_last = work.ctx.tables.subscriptions.update(&sent.device, |subscription| {
            let is_its = subscription.dialog.tag == sent.dialog.tag;
            let is_last = !is_its || subscription.said == sent.cseq;
            subscription.said += u32::from(is_its && is_last);
            is_last
        });
        if is_last == Some(false) {
            self.notifies.remove(key);
            return;
        }
        sent.cseq += 1;
        sent.is_proved = true;
        self.send(work, key, Some((name, &value)));
    }

    /// The phone said nothing, or its connection is gone.
    pub(crate) fn on_event(&mut self, work: &mut Work<'_>, event: &Event<Owner>) {
        if let Event::ClientTimeout { owner: Owner::Subscription(key), .. }
        | Event::ClientLost { owner: Owner::Subscription(key), .. } = event
        {
            self.not_taken(work, *key);
        }
    }

    fn not_taken(&mut self, work: &mut Work<'_>, key: NotifyKey) {
        let Some(Sent { device, dialog, .. }) = self.notifies.remove(key) else { return };
        work.ctx.counters.notifies_failed += 1;
        work.ctx.tables.subscriptions.end(&device, &dialog.tag);
    }
}

/// The way to a phone now: the flow it spoke over last if its device account is registered over that, else the one it
/// registered over last. `None`: it is registered over none.
pub(super) fn way(ctx: &Context, device: &Place, last: Flow, now: Now) -> Option<Flow> {
    let mut way = None;
    ctx.tables.location.read(device.tenant(), device.name().as_bytes(), now.mono, |binding| {
        if way != Some(last) {
            way = binding.flow.or(way);
        }
    });
    way
}
