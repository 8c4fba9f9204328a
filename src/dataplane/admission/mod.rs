//! What may come in: keep-alives are answered, the unreadable is dropped or refused, before any core sees it.

mod keep_alive;

pub(crate) use keep_alive::answer_keep_alive;

use crate::context::{Answer, Work};
use crate::flow::Flow;

/// What is left of a datagram or frame after admission.
pub(crate) enum Admitted<'a> {
    /// A request or response that is whole and in order.
    Message(Box<sip::Message<'a>>),
    /// It has been answered, or deserves no answer.
    Done,
}

/// Reads the octets once. A request that is malformed but can be answered gets its 400 here; an ACK and whatever
/// cannot be answered are dropped: errors of peers end here.
pub(crate) fn admit<'a>(work: &mut Work<'_>, flow: &Flow, bytes: &'a [u8]) -> Admitted<'a> {
    let limits = sip::Limits::default();
    let (message, error) = match sip::Message::parse(bytes, &limits) {
        Ok(message) => match message.validate() {
            Ok(_) => return Admitted::Message(Box::new(message)),
            Err(error) => (message, error),
        },
        Err(error) => match sip::Message::salvage(bytes, &limits) {
            Some(message) => (message, error),
            None => {
                work.ctx.counters.dropped_unreadable += 1;
                return Admitted::Done;
            }
        },
    };
    if !message.is_request() {
        work.ctx.counters.responses_dropped += 1;
    } else if message.method() != Some(sip::Method::Ack) {
        work.ctx.counters.refused_malformed += 1;
        work.answer(flow, &message, Answer::new(error.kind.status(), error.kind.reason()));
    }
    Admitted::Done
}
