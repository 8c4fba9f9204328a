//! Which message may be refused in an overload, by its first line and as little more as is needed, and how it is told.

use std::hash::Hasher as _;
use std::time::Duration;

use memchr::memchr_iter;
use siphasher::sip::SipHasher13;

use super::is_within_call;
use super::load::Class;
use crate::context::{Answer, Context, Work};
use crate::flow::Flow;
use crate::now::{Mono, Now};
use crate::request_uri::{self, Code};

/// Seconds after which whoever is refused may come again: at random, so that not all of them do at once.
const RETRY_AFTER: std::ops::Range<u32> = 5..60;

const REGISTER: &[u8] = b"REGISTER ";

/// True if this message is refused because of what there is to do. All that it costs to refuse most of ten times what a worker can
/// serve is spent here, so nothing is looked at twice.
pub(super) fn is_shed(ctx: &mut Context, now: Now, flow: &Flow, bytes: &[u8]) -> bool {
    let is_request = bytes.first().is_some_and(u8::is_ascii_uppercase);
    if !is_request || is_within_call(bytes) {
        return false;
    }
    // What decides over a REGISTER is its sender, or its credentials.
    let head = if bytes.starts_with(REGISTER) { Head::default() } else { Head::of(bytes) };
    let Some(class) = class_of(ctx, now, flow, bytes, head.to) else { return false };
    let call_id = head.call_id.filter(|_| class == Class::Call);
    let lot = call_id.map(|call_id| lot_of_call(&ctx.tables.source_key, now.mono, call_id));
    refuses(ctx, class, lot)
}

/// The same for all INVITEs of a call for half a minute: one that was let in and asked for its password is let in with it, and
/// of one that was not, no repetition is. After that the dice are thrown again.
fn lot_of_call(key: &[u8; 16], now: Mono, call_id: &[u8]) -> u32 {
    const ERA: Duration = Duration::from_secs(30);
    let mut hasher = SipHasher13::new_with_key(key);
    hasher.write_u64(now.since(Mono::default()).as_secs() / ERA.as_secs());
    hasher.write(call_id);
    hasher.finish() as u32
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
fn class_of(ctx: &Context, now: Now, flow: &Flow, bytes: &[u8], to: Option<&[u8]>) -> Option<Class> {
    if bytes.starts_with(REGISTER) {
        let is_begun = ctx.sources.is_proved(now.mono) || shows_proof(bytes);
        return Some(if is_begun { Class::Refresh } else { Class::NewRegistration });
    }
    if to.is_some_and(is_tagged) {
        return None;
    }
    if bytes.starts_with(b"SUBSCRIBE ") {
        return Some(Class::LogIn);
    }
    let of_stranger = || (is_stranger(ctx, now, flow) && !shows_proof(bytes)).then_some(Class::LogIn);
    if !bytes.starts_with(b"INVITE ") {
        return of_stranger();
    }
    let is_of_service = ctx.settings.tenants_of_emergency_service(flow.remote.ip()).next().is_some();
    let uri = request_uri::of_invite(bytes);
    if is_of_service || uri.as_ref().is_some_and(|uri| request_uri::asks_for_help(ctx, flow, uri)) {
        return None;
    }
    match uri.and_then(|uri| request_uri::code(ctx, flow, &uri)) {
        // With the proof it may be refused as well, when that has been looked at.
        Some(Code::LogIn) => (!shows_proof(bytes)).then_some(Class::LogIn),
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

/// What the head of a message says of it before it is read: the first of each of these headers, as it stands there.
#[derive(Debug, Default, PartialEq, Eq)]
struct Head<'b> {
    to: Option<&'b [u8]>,
    call_id: Option<&'b [u8]>,
}

impl<'b> Head<'b> {
    /// Looks no further than to the second of them.
    fn of(bytes: &'b [u8]) -> Self {
        let mut head = Self::default();
        for (name, value) in headers_beginning_with(bytes, b"tci") {
            if is_name(name, b"to", b"t") {
                head.to.get_or_insert(value);
            } else if is_name(name, b"call-id", b"i") {
                head.call_id.get_or_insert(value.trim_ascii());
            }
            if head.to.is_some() && head.call_id.is_some() {
                break;
            }
        }
        head
    }
}

/// True if there are credentials, good or not.
fn shows_proof(bytes: &[u8]) -> bool {
    headers_beginning_with(bytes, b"ap")
        .any(|(name, _)| is_name(name, b"authorization", b"proxy-authorization"))
}

fn is_name(name: &[u8], one: &[u8], other: &[u8]) -> bool {
    name.eq_ignore_ascii_case(one) || name.eq_ignore_ascii_case(other)
}

/// Name and value of each header whose name begins with one of `letters`, the value as it stands there with the lines it is folded
/// over. Most lines are passed over by their first letter.
fn headers_beginning_with<'b>(bytes: &'b [u8], letters: &[u8]) -> impl Iterator<Item = (&'b [u8], &'b [u8])> {
    let mut starts = memchr_iter(b'\n', bytes).map(|end| end + 1);
    let mut next = starts.next();
    std::iter::from_fn(move || {
        while let Some(start) = next {
            let first = bytes.get(start).map(u8::to_ascii_lowercase)?;
            if matches!(first, b'\r' | b'\n') {
                return None;
            }
            next = starts.next();
            if !letters.contains(&first) {
                continue;
            }
            let mut end = next.unwrap_or(bytes.len());
            let Some(colon) = bytes[start..end].iter().position(|octet| *octet == b':') else { continue };
            while matches!(bytes.get(end), Some(b' ' | b'\t')) {
                next = starts.next();
                end = next.unwrap_or(bytes.len());
            }
            return Some((bytes[start..start + colon].trim_ascii_end(), &bytes[start + colon + 1..end]));
        }
        None
    })
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
        let lot =
            |call_id: &str, second| lot_of_call(&[7; 16], Mono::from_seconds(second), call_id.as_bytes());

        assert_eq!(lot("one", 29), lot("one", 0));
        assert_ne!(lot("one", 30), lot("one", 0));
        assert_ne!(lot("two", 0), lot("one", 0));
        assert_ne!(lot_of_call(&[8; 16], Mono::from_seconds(0), b"one"), lot("one", 0));
    }

    #[test]
    fn headers_are_found_however_they_are_written() {
        let found = |to: &'static str, call_id: &'static str| Head {
            to: (!to.is_empty()).then_some(to.as_bytes()),
            call_id: (!call_id.is_empty()).then_some(call_id.as_bytes()),
        };
        for (message, head, proof) in [
            (
                "INVITE x SIP/2.0\r\nTo: <sip:a@b>;tag=1\r\nCall-ID: one\r\nAuthorization: Digest\r\n\r\n",
                found(" <sip:a@b>;tag=1\r\n", "one"),
                true,
            ),
            (
                "INVITE x SIP/2.0\nVia: y\nt :<sip:a@b>\n ;tag=1\nFrom: x\ni:\n\tone\nPROXY-Authorization:\n\n",
                found("<sip:a@b>\n ;tag=1\n", "one"),
                true,
            ),
            (
                "INVITE x SIP/2.0\r\nTo: 1\r\nto: 2\r\ni: one\r\nCall-ID: two\r\n",
                found(" 1\r\n", "one"),
                false,
            ),
            (
                "INVITE x SIP/2.0\r\nTop: 1\r\n\r\nTo: of a body\r\ni: 1\r\nAuthorization: x",
                found("", ""),
                false,
            ),
            ("INVITE x SIP/2.0\r\nTo", found("", ""), false),
            ("INVITE x SIP/2.0\r\nTo:", Head { to: Some(b""), ..Head::default() }, false),
            ("INVITE x SIP/2.0\r\nTo: 1\r\n", found(" 1\r\n", ""), false),
            ("INVITE x SIP/2.0\r\n", found("", ""), false),
            ("", found("", ""), false),
        ] {
            assert_eq!(Head::of(message.as_bytes()), head, "{message}");
            assert_eq!(shows_proof(message.as_bytes()), proof, "{message}");
        }
    }
}
