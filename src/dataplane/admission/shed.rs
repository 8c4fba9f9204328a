//! Which message may be refused in an overload, by its first line and as little more as is needed, and how it is told.

use std::hash::Hasher as _;
use std::time::Duration;

use siphasher::sip::SipHasher13;

use super::load::Class;
use super::{calls_for_help, is_within_call};
use crate::context::{Answer, Context, Work};
use crate::flow::Flow;
use crate::now::{Mono, Now};
use crate::request_uri::{self, Code};

/// Seconds after which whoever is refused may come again: at random, so that not all of them do at once.
const RETRY_AFTER: std::ops::Range<u32> = 5..60;

/// True if this message is refused because of what there is to do.
pub(super) fn is_shed(ctx: &mut Context, now: Now, flow: &Flow, bytes: &[u8]) -> bool {
    let Some(class) = class_of(ctx, now, flow, bytes) else { return false };
    let lot = if class == Class::Call { lot_of_call(&ctx.tables.source_key, now.mono, bytes) } else { None };
    refuses(ctx, class, lot)
}

/// The same for all INVITEs of a call for half a minute: one that was let in and asked for its password is let in with it, and
/// of one that was not, no repetition is. After that the dice are thrown again.
fn lot_of_call(key: &[u8; 16], now: Mono, bytes: &[u8]) -> Option<u32> {
    const ERA: Duration = Duration::from_secs(30);
    let call_id = header(bytes, &[b"call-id", b"i"])?;
    let mut hasher = SipHasher13::new_with_key(key);
    hasher.write_u64(now.since(Mono::default()).as_secs() / ERA.as_secs());
    hasher.write(call_id);
    Some(hasher.finish() as u32)
}

fn refuses(ctx: &mut Context, class: Class, lot: Option<u32>) -> bool {
    let Context { load, random, counters, .. } = ctx;
    let is_refused = load.refuses(class, || lot.unwrap_or_else(|| u32::from_ne_bytes(random.bytes())));
    let count = match class {
        Class::LogIn => &mut counters.shed_log_ins,
        Class::NewRegistration => &mut counters.shed_registrations,
        Class::Refresh => &mut counters.shed_refreshes,
        Class::Call => &mut counters.shed_calls,
    };
    *count += u64::from(is_refused);
    is_refused
}

/// What may be refused of it; `None`: it belongs to a dialog or to a call for help, or is something else.
fn class_of(ctx: &Context, now: Now, flow: &Flow, bytes: &[u8]) -> Option<Class> {
    let shows_proof = || header(bytes, &[b"authorization", b"proxy-authorization"]).is_some();
    if bytes.starts_with(b"REGISTER ") {
        let is_begun = ctx.sources.is_proved(now.mono) || shows_proof();
        return Some(if is_begun { Class::Refresh } else { Class::NewRegistration });
    }
    let is_request = bytes.first().is_some_and(u8::is_ascii_uppercase);
    if !is_request || is_within_call(bytes) || header(bytes, &[b"to", b"t"]).is_some_and(is_tagged) {
        return None;
    }
    if bytes.starts_with(b"SUBSCRIBE ") {
        return Some(Class::LogIn);
    }
    let of_stranger = || (!shows_proof() && is_stranger(ctx, now, flow)).then_some(Class::LogIn);
    if !bytes.starts_with(b"INVITE ") {
        return of_stranger();
    }
    let is_of_service = ctx.settings.tenants_of_emergency_service(flow.remote.ip()).next().is_some();
    if is_of_service || calls_for_help(ctx, flow, bytes) {
        return None;
    }
    match request_uri::of_invite(bytes).and_then(|uri| request_uri::code(ctx, flow, &uri)) {
        // With the proof it may be refused as well, when that has been looked at.
        Some(Code::LogIn) => (!shows_proof()).then_some(Class::LogIn),
        Some(Code::Other) => of_stranger(),
        None => of_stranger().or(Some(Class::Call)),
    }
}

/// True for whoever would only be asked who he is: no peer, and no phone is registered where he is.
fn is_stranger(ctx: &Context, now: Now, flow: &Flow) -> bool {
    !ctx.sources.is_proved(now.mono)
        && ctx.tables.location.phones_behind(flow.remote.ip()) == 0
        && !ctx.settings.is_never_limited(flow)
}

/// True for a To that has a tag, with white space wherever it may be (RFC 3261 §25.1).
fn is_tagged(to: &[u8]) -> bool {
    to.split(|octet| *octet == b';').skip(1).any(|param| {
        let name = param.split(|octet| *octet == b'=').next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case(b"tag")
    })
}

/// The value of the first header with one of `names`, in small letters, with the lines it is folded over.
fn header<'b>(bytes: &'b [u8], names: &[&[u8]]) -> Option<&'b [u8]> {
    let mut rest = bytes;
    while let Some(end) = rest.iter().position(|octet| *octet == b'\n') {
        rest = &rest[end + 1..];
        if matches!(rest.first(), None | Some(b'\r' | b'\n')) {
            return None;
        }
        let colon = rest.iter().position(|octet| matches!(octet, b':' | b'\n'))?;
        let name = rest[..colon].trim_ascii_end();
        if names.iter().any(|known| name.eq_ignore_ascii_case(known)) {
            let value = &rest[colon..];
            let is_end = |pair: &[u8]| pair[0] == b'\n' && !matches!(pair[1], b' ' | b'\t');
            return Some(&value[..value.windows(2).position(is_end).unwrap_or(value.len())]);
        }
    }
    None
}

/// True if a log-in is refused now; the caller says so.
pub(crate) fn sheds_log_in(work: &mut Work<'_>) -> bool {
    refuses(work.ctx, Class::LogIn, None)
}

/// Tells the sender of a message that was refused, if there is time: most hear nothing and come again by themselves. On a
/// connection everybody is told, since there nothing is repeated.
pub(crate) fn refuse(work: &mut Work<'_>, flow: &Flow, bytes: &[u8]) {
    if !work.ctx.load.may_answer() && !flow.is_reliable() {
        work.ctx.counters.shed_untold += 1;
        return;
    }
    let Ok(message) = sip::Message::parse(bytes, &sip::Limits::default()) else { return };
    let Ok(headers) = message.validate() else { return };
    let code = headers.request_uri.and_then(|uri| request_uri::code(work.ctx, flow, &uri));
    if code.is_some() && message.method() == Some(sip::Method::Invite) {
        refuse_code(work, flow, &message);
    } else if message.is_request() {
        tell_busy(work, flow, &message);
    }
}

/// A code that was dialled is not served now. A phone that heard 503 would leave the edge for it.
pub(crate) fn refuse_code(work: &mut Work<'_>, flow: &Flow, request: &sip::Message<'_>) {
    work.answer(flow, request, Answer::new(603, "Too Busy Now, Try Again"));
}

/// 503, and when to come again. This is the one reason for a 503 of the edge's own but a full table.
pub(crate) fn tell_busy(work: &mut Work<'_>, flow: &Flow, request: &sip::Message<'_>) {
    let random = u32::from_ne_bytes(work.ctx.random.bytes());
    let seconds = RETRY_AFTER.start + random % (RETRY_AFTER.end - RETRY_AFTER.start);
    let seconds = seconds.to_string();
    work.answer(flow, request, Answer::with(503, "Overloaded", sip::Name::RetryAfter, &seconds));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tag_is_found_however_it_is_written() {
        for (to, expected) in [
            ("<sip:a@b>;tag=1", true),
            ("<sip:a@b> ;x=y; TAG = 1", true),
            ("<sip:a@b>\r\n ;\ttag=1", true),
            ("<sip:tag=1@b>", false),
            ("<sip:a@b>;tagged=1", false),
        ] {
            assert_eq!(is_tagged(to.as_bytes()), expected, "{to}");
        }
    }

    #[test]
    fn all_invites_of_a_call_draw_one_lot_until_the_next_dice() {
        const INVITE: &str =
            "INVITE sip:1003@demo SIP/2.0\r\nVia: x;branch=1\r\nCall-ID: one\r\nCSeq: 1 INVITE\r\n\r\n";
        let lot = |text: &str, second| lot_of_call(&[7; 16], Mono::from_seconds(second), text.as_bytes());
        let proved =
            INVITE.replace("CSeq: 1", "Proxy-Authorization: x\r\nCSeq: 2").replace("branch=1", "branch=2");

        assert_eq!(lot(&proved, 29), lot(INVITE, 0));
        assert_ne!(lot(INVITE, 30), lot(INVITE, 0));
        assert_ne!(lot(&INVITE.replace("one", "two"), 0), lot(INVITE, 0));
        assert_ne!(lot_of_call(&[8; 16], Mono::from_seconds(0), INVITE.as_bytes()), lot(INVITE, 0));
    }

    #[test]
    fn header_is_found_however_it_is_written() {
        let to = |text: &str| header(text.as_bytes(), &[b"to", b"t"]).map(<[u8]>::to_vec);
        for (head, found) in [
            ("INVITE x SIP/2.0\r\nTo: <sip:a@b>;tag=1\r\nFrom: x\r\n\r\n", Some(": <sip:a@b>;tag=1\r")),
            ("INVITE x SIP/2.0\nVia: y\nt :<sip:a@b>\n ;tag=1\nFrom: x\n\n", Some(":<sip:a@b>\n ;tag=1")),
            ("INVITE x SIP/2.0\r\nTop: 1\r\n\r\nTo: of a body\r\n", None),
            ("INVITE x SIP/2.0\r\nTo", None),
            ("", None),
        ] {
            assert_eq!(to(head).as_deref(), found.map(str::as_bytes), "{head}");
        }
    }
}
