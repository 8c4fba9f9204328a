//! What may come in: who sends too much or from where nobody may is not read, keep-alives are answered, the unreadable is
//! dropped or refused, before any core sees it.

pub mod bans;
mod keep_alive;
mod load;
mod shed;
mod source;
mod suspicion;

use std::net::SocketAddr;

pub(crate) use keep_alive::answer_keep_alive;
pub(crate) use load::{Load, Waiting};
pub(crate) use shed::{refuse, refuse_code, sheds_log_in, tell_busy};
pub(crate) use source::Sources;
pub(crate) use suspicion::{is_attack, is_scanner, pardon};

use crate::context::{Answer, Context, Work};
use crate::flow::{Flow, ListenerId};
use crate::now::{Mono, Now};
use crate::output::{Outbox, Output, Report};
use crate::request_uri;
use crate::settings::Protocol;
use source::Standing;

/// What becomes of octets before they are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Read,
    /// There is too much to do.
    Refuse,
    /// Whoever sent them may not, or has sent too much. A connection is closed, since its phone would wait for an answer.
    Drop,
}

/// How many connections whoever connects from `remote` may have beyond those of any other: one for each phone behind its
/// address, which has for a while also the one it lost. `None`: none at all, since the listener takes nothing from there, or
/// the address is banned, or has begun too many TLS handshakes.
pub(crate) fn admit_connection(
    ctx: &mut Context,
    now: Mono,
    listener: ListenerId,
    remote: SocketAddr,
    out: &mut Outbox,
) -> Option<u32> {
    let Context { settings, tables, sources, counters, .. } = ctx;
    let address = remote.ip();
    let protocol = settings.listener(listener).filter(|it| it.networks.admit(address))?.protocol;
    if settings.is_never_limited(&Flow::datagram(listener, remote)) {
        return Some(u32::MAX);
    }
    if sources.is_banned(now, address) {
        return None;
    }
    let phones = tables.location.phones_behind(address);
    if protocol == Protocol::Tls && sources.charge_handshake(now, address, phones) == Standing::Over {
        counters.handshakes_over_limit += 1;
        if sources.begins_too_many(now, address) && sources.may_tell(now) {
            out.push(Output::Report(Report::ManyHandshakes(address)));
        }
        return None;
    }
    Some(phones)
}

/// Whether anything of what a source sends is read.
pub(crate) fn admit(work: &mut Work<'_>, flow: &Flow, bytes: &[u8]) -> Admission {
    let was_spared = work.ctx.load.has_spared(flow, bytes);
    // Line breaks ahead of a message are none of it (RFC 3261 §7.5), so it is known by what follows them.
    let bytes = bytes.trim_ascii_start();
    if !may_speak(work, flow, bytes) {
        return Admission::Drop;
    }
    if work.ctx.load.is_high() && shed::is_shed(work.ctx, work.now, flow, bytes, was_spared) {
        return Admission::Refuse;
    }
    Admission::Read
}

fn may_speak(work: &mut Work<'_>, flow: &Flow, bytes: &[u8]) -> bool {
    let ctx = &mut *work.ctx;
    ctx.counters.received += 1;
    let listener = ctx.settings.listener(flow.listener);
    if listener.is_some_and(|listener| !listener.networks.admit(flow.remote.ip())) {
        ctx.counters.dropped_denied += 1;
        return false;
    }
    let policy = &ctx.settings.admission;
    let standing = ctx.sources.charge(work.now.mono, flow, policy.source, policy.address);
    if standing == Standing::Within || may_go_on(ctx, work.now, flow, bytes) {
        return true;
    }
    ctx.counters.dropped_over_limit += 1;
    if let Some(connection) = flow.connection {
        work.out.push(Output::Close(connection));
    }
    false
}

/// Whether a source is listened to although it has sent what one phone may: a peer; one of many phones behind an address;
/// what belongs to a call; and a call for help, which no ban keeps out and nothing but so many of them from the same source.
#[cold]
fn may_go_on(ctx: &mut Context, now: Now, flow: &Flow, bytes: &[u8]) -> bool {
    if ctx.settings.is_never_limited(flow) {
        return true;
    }
    let Context { settings, tables, sources, .. } = ctx;
    let policy = &settings.admission;
    let rates = (policy.source, policy.address);
    let phones = || tables.location.phones_behind(flow.remote.ip());
    if sources.charge_again(now.mono, flow, rates, phones, policy.per_phone) == Standing::Within {
        return true;
    }
    let for_help = policy.address.plus(phones().saturating_mul(policy.per_phone));
    if is_within_call(bytes) {
        return sources.take_of_reserve(now.mono, flow, rates, for_help);
    }
    if !calls_for_help(ctx, flow, bytes) {
        return false;
    }
    let may = ctx.sources.call_for_help(now.mono, flow, for_help, ctx.settings.timers.call_max);
    ctx.counters.emergency_dropped += u64::from(!may);
    may
}

/// True for the answers and requests that go on with a call, by how they begin.
fn is_within_call(bytes: &[u8]) -> bool {
    const BEGINNINGS: [&[u8]; 5] = [b"SIP/2.0 ", b"ACK ", b"BYE ", b"CANCEL ", b"PRACK "];
    BEGINNINGS.iter().any(|beginning| bytes.starts_with(beginning))
}

/// True for an INVITE of which the Request-URI asks for help: nothing but its first line is looked at.
fn calls_for_help(ctx: &Context, flow: &Flow, bytes: &[u8]) -> bool {
    request_uri::of_invite(bytes).is_some_and(|uri| request_uri::asks_for_help(ctx, flow, &uri))
}

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
