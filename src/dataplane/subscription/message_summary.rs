//! The `message-summary` package (RFC 3842) for a shared phone's own account: nothing ever waits for a phone, so it is told
//! "no", and its lamp of before goes out.
//!
//! Nothing is kept. The tag of the dialog is made under a key of what else names the dialog, and the CSeq of a NOTIFY of that
//! of the SUBSCRIBE that it answers: both grow. After a restart a phone hears 481 and subscribes anew (RFC 6665 §4.1.2.2).

use std::hash::Hasher as _;
use std::sync::Arc;
use std::time::Duration;

use siphasher::sip::SipHasher13;

use super::dialog::{Dialog, Tag};
use super::notify::{EventNotifier, State, way};
use super::request::{NOT_REGISTERED, Subscribe, accept, acceptable, granted};
use crate::context::{Context, Work};
use crate::hex;
use crate::hotdesk::Place;
use crate::print::TAG_LENGTH;
use crate::transaction::ServerId;

/// The event package.
pub(crate) const PACKAGE: &str = "message-summary";

const CONTENT_TYPE: &str = "application/simple-message-summary";

/// Longest subscription, in seconds: what RFC 3842 §3.4 would give by itself.
const EXPIRES_MAX: u32 = 3600;

impl EventNotifier {
    /// Takes such a SUBSCRIBE in its server transaction.
    pub(crate) fn on_message_summary(
        &mut self,
        work: &mut Work<'_>,
        server: ServerId,
        subscribe: &Subscribe<'_>,
    ) {
        let Subscribe { flow, request, headers, device, .. } = *subscribe;
        let granted =
            acceptable(request, CONTENT_TYPE).and_then(|()| granted(request.expires(), EXPIRES_MAX));
        let expires = match granted {
            Ok(expires) => expires,
            Err(answer) => return work.respond(server, request, answer),
        };
        if way(work.ctx, device, *flow, work.now).is_none() {
            return work.respond(server, request, NOT_REGISTERED);
        }
        let tag = tag_of(work.ctx, device, headers);
        let dialog = match Dialog::of(request, headers, tag) {
            Ok(dialog) => Arc::new(dialog),
            Err(answer) => return work.respond(server, request, answer),
        };
        accept(work, server, subscribe, expires, &tag);
        let state = match expires {
            0 => State::TimedOut,
            expires => State::Active(Duration::from_secs(expires.into())),
        };
        let body = (CONTENT_TYPE, "Messages-Waiting: no\r\n".to_owned());
        // Two for each SUBSCRIBE: the second answers a challenge. All are below 2³¹ (RFC 3261 §8.1.1.5).
        let cseq = headers.cseq.number % (1 << 30) * 2;
        self.notify(work, device, (dialog, *flow), cseq, state, body);
    }
}

/// True if a request within a dialog belongs to such a subscription of `device`.
pub(crate) fn is_dialog_of(ctx: &Context, device: &Place, headers: &sip::Mandatory<'_>) -> bool {
    headers.to.tag() == Some(&tag_of(ctx, device, headers))
}

/// The tag the edge gives to the dialog that these headers name.
fn tag_of(ctx: &Context, device: &Place, headers: &sip::Mandatory<'_>) -> Tag {
    let mut hasher = SipHasher13::new_with_key(&ctx.tables.branch_key);
    let remote_tag = headers.from.tag().unwrap_or_default();
    for part in [PACKAGE.as_bytes(), device.tenant().as_bytes(), device.name().as_bytes(), remote_tag] {
        hasher.write_usize(part.len());
        hasher.write(part);
    }
    hasher.write(headers.call_id);
    let mut tag = [0; TAG_LENGTH];
    hex::write(&hasher.finish().to_be_bytes(), &mut tag);
    tag
}
