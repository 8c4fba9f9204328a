//! What may come in: keep-alives are answered, the unreadable is dropped or refused, before any core sees it.

mod keep_alive;

pub(crate) use keep_alive::answer_keep_alive;

use crate::context::{Answer, Work};
use crate::flow::Flow;

/// Octets that are no whole message. What can be answered gets its refusal; errors of peers end here.
pub(crate) fn refuse_unreadable(work: &mut Work<'_>, flow: &Flow, bytes: &[u8], fault: sip::ErrorKind) {
    match sip::Message::salvage(bytes, &sip::Limits::default()) {
        Some(message) => refuse_malformed(work, flow, &message, fault),
        None => work.ctx.counters.dropped_unreadable += 1,
    }
}

/// A message whose mandatory headers are not in order. A request is answered, an ACK or a response dropped.
pub(crate) fn refuse_malformed(
    work: &mut Work<'_>,
    flow: &Flow,
    message: &sip::Message<'_>,
    fault: sip::ErrorKind,
) {
    if !message.is_request() {
        work.ctx.counters.responses_dropped += 1;
    } else if message.method() != Some(sip::Method::Ack) {
        work.ctx.counters.refused_malformed += 1;
        work.answer(flow, message, Answer::new(fault.status(), fault.reason()));
    }
}
