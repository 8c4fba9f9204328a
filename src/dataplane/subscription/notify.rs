//! NOTIFYs within subscriptions: written, sent, and taken or not (RFC 6665 §4.2.2).

use std::time::Duration;

use super::dialog::{Dialog, Tag};
use crate::context::{Context, Owner, Work};
use crate::flow::Flow;
use crate::hotdesk::Place;
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
    tag: Tag,
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
        (dialog, last): (&Dialog, Flow),
        cseq: u32,
        state: State,
        (kind, body): (&str, &str),
    ) -> Option<()> {
        let flow = way(work.ctx, device, last, work.now)?;
        let sent = Sent { device: device.clone(), tag: dialog.tag };
        let Some(key) = self.notifies.insert(sent) else {
            work.ctx.counters.tables_full += 1;
            return Some(());
        };
        let (via, own_uri) = (work.ctx.via(&flow), work.ctx.own_uri(&flow, &dialog.target));
        let begun = work.transactions.begin_client(
            work.now.mono,
            flow,
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
        Some(())
    }

    /// The phone answered.
    pub(crate) fn on_response(&mut self, work: &mut Work<'_>, key: NotifyKey, response: &sip::Message<'_>) {
        match response.status() {
            Some(..200) | None => {}
            Some(200..300) => drop(self.notifies.remove(key)),
            // §4.2.2: 481, or whatever else it is not taken for: nobody is told in there any more.
            Some(_) => self.not_taken(work, key),
        }
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
        let Some(Sent { device, tag }) = self.notifies.remove(key) else { return };
        work.ctx.counters.notifies_failed += 1;
        work.ctx.tables.subscriptions.end(&device, &tag);
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
