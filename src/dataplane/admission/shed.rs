//! Which message may be refused in an overload, by its first line and as little more as is needed, and how it is told.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use siphasher::sip::SipHasher13;

use super::is_within_call;
use super::load::Class;
use crate::context::{Answer, Context, Work};
use crate::flow::Flow;
use crate::now::{Mono, Now};
use crate::request_uri::{self, Code, Wish};

/// Seconds after which whoever is refused may come again: at random, so that not all of them do at once.
const RETRY_AFTER: std::ops::Range<u32> = 5..60;

/// True if this message is refused because of what there is to do. All that it costs to refuse most of ten times what a worker can
/// serve is spent here, so nothing is looked at twice.
/// `was_spared`: it might have been left unread, and was not.
pub(super) fn is_shed(ctx: &mut Context, now: Now, flow: &Flow, bytes: &[u8], was_spared: bool) -> bool {
    // A method is any token (RFC 3261 §25.1).
    let may_be_request = bytes.first().is_some_and(u8::is_ascii_graphic);
    if !may_be_request || is_within_call(bytes) {
        return false;
    }
    let mut head = Head::of(bytes);
    match class_of(ctx, now, flow, bytes, &mut head) {
        None => false,
        // Whose call it is need not be known where it is refused whoever calls.
        Some(Class::Call) => {
            refuses_call(ctx, now, flow, &mut head)
                || is_of_stranger(ctx, now, flow, &mut head) && refuses(ctx, Class::LogIn)
        }
        Some(class) => refuses(ctx, class) || is_register(bytes) && !was_spared && refuses_unread(ctx, class),
    }
}

fn is_register(bytes: &[u8]) -> bool {
    bytes.starts_with(b"REGISTER ")
}

/// The same for all INVITEs of a call from one place for half a minute: one that was let in and asked for its password is let in with
/// it, and of one that was not, no repetition is. After that the dice are thrown again.
fn lot_of_call(key: &[u8; 16], now: Mono, remote: SocketAddr, call_id: &[u8]) -> u32 {
    const ERA: Duration = Duration::from_secs(30);
    let era = now.since(Mono::default()).as_secs() / ERA.as_secs();
    let address = match remote.ip() {
        IpAddr::V4(ip) => ip.to_bits().into(),
        IpAddr::V6(ip) => ip.to_bits(),
    };
    // Who does not know the key cannot tell what he turns in it.
    let key = u128::from_ne_bytes(*key)
        ^ address.rotate_left(64)
        ^ u128::from(era << 16 | u64::from(remote.port()));
    SipHasher13::new_with_key(&key.to_ne_bytes()).hash(call_id) as u32
}

fn refuses_call(ctx: &mut Context, now: Now, flow: &Flow, head: &mut Head<'_>) -> bool {
    let Context { load, random, tables, .. } = ctx;
    let is_refused = load.refuses(Class::Call, || match head.call_id() {
        Some(call_id) => lot_of_call(&tables.source_key, now.mono, flow.remote, call_id),
        None => u32::from_ne_bytes(random.bytes()),
    });
    count(ctx, Class::Call, is_refused)
}

fn refuses(ctx: &mut Context, class: Class) -> bool {
    let Context { load, random, .. } = ctx;
    let is_refused = load.refuses(class, || u32::from_ne_bytes(random.bytes()));
    count(ctx, class, is_refused)
}

/// The same for a REGISTER that came where none is left unread, as over a connection.
fn refuses_unread(ctx: &mut Context, class: Class) -> bool {
    let share = ctx.load.left_unread();
    let is_refused = share > 0 && u32::from_ne_bytes(ctx.random.bytes()) < share;
    count(ctx, class, is_refused)
}

fn count(ctx: &mut Context, class: Class, is_refused: bool) -> bool {
    let counters = &mut ctx.counters;
    let count = match class {
        Class::LogIn => &mut counters.shed_log_ins,
        Class::NewRegistration => &mut counters.shed_registrations,
        Class::Refresh => &mut counters.shed_refreshes,
        Class::Call => &mut counters.shed_calls,
    };
    *count += u64::from(is_refused);
    is_refused
}

/// What may be refused of it, a call whoever makes it; `None`: it belongs to a dialog or to a call for help, or is something else.
fn class_of(ctx: &Context, now: Now, flow: &Flow, bytes: &[u8], head: &mut Head<'_>) -> Option<Class> {
    if is_register(bytes) {
        let is_begun = ctx.sources.is_proved(now.mono) || head.shows_proof();
        return Some(if is_begun { Class::Refresh } else { Class::NewRegistration });
    }
    if head.to().is_some_and(is_tagged) {
        return None;
    }
    if bytes.starts_with(b"SUBSCRIBE ") {
        return Some(Class::LogIn);
    }
    let mut of_stranger = || is_of_stranger(ctx, now, flow, head).then_some(Class::LogIn);
    if !bytes.starts_with(b"INVITE ") {
        return of_stranger();
    }
    if ctx.settings.tenants_of_emergency_service(flow.remote.ip()).next().is_some() {
        return None;
    }
    let wish = || {
        let uri = request_uri::of_invite(bytes)?;
        Some(request_uri::wish(ctx, ctx.settings.tenant_of(&uri, flow)?, &uri))
    };
    let is_plain = request_uri::is_plain_number(&ctx.settings, bytes);
    match if is_plain { Some(Wish::Call) } else { wish() } {
        Some(Wish::Help) => None,
        // With the proof it may be refused as well, when that has been looked at.
        Some(Wish::Code(Code::LogIn)) => (!head.shows_proof()).then_some(Class::LogIn),
        Some(Wish::Code(Code::Other)) => of_stranger(),
        Some(Wish::Call) | None => Some(Class::Call),
    }
}

/// True for what whoever sent it would only be asked over who he is: he is no peer, no phone is registered where he is, and it shows
/// no proof.
fn is_of_stranger(ctx: &Context, now: Now, flow: &Flow, head: &mut Head<'_>) -> bool {
    !ctx.sources.is_proved(now.mono)
        && ctx.tables.location.phones_behind(flow.remote.ip()) == 0
        && !ctx.settings.is_never_limited(flow)
        && !head.shows_proof()
}

/// True for a To that has a tag, with white space wherever it may be (RFC 3261 §25.1).
fn is_tagged(to: &[u8]) -> bool {
    to.split(|octet| *octet == b';').skip(1).any(|param| {
        let name = param.split(|octet| *octet == b'=').next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case(b"tag")
    })
}

/// What the head of a message says of it before it is read: the first of each of these headers, as it stands there, with the
/// lines it is folded over. It is walked once, and no further than to what is asked for; most lines are passed over by their
/// first letter.
struct Head<'b> {
    /// Those that have not been looked at.
    lines: sip::HeaderLines<'b>,
    to: Option<&'b [u8]>,
    call_id: Option<&'b [u8]>,
    shows_proof: bool,
}

impl<'b> Head<'b> {
    fn of(bytes: &'b [u8]) -> Self {
        Self { lines: sip::HeaderLines::of(bytes), to: None, call_id: None, shows_proof: false }
    }

    fn to(&mut self) -> Option<&'b [u8]> {
        while self.to.is_none() && self.go_on() {}
        self.to
    }

    fn call_id(&mut self) -> Option<&'b [u8]> {
        while self.call_id.is_none() && self.go_on() {}
        self.call_id.map(<[u8]>::trim_ascii)
    }

    /// True if there are credentials, good or not.
    fn shows_proof(&mut self) -> bool {
        while !self.shows_proof && self.go_on() {}
        self.shows_proof
    }

    /// Looks at one more header. False: there is none.
    fn go_on(&mut self) -> bool {
        let Some(line) = self.lines.next() else { return false };
        let value = |names: [&str; 2]| names.into_iter().find_map(|name| value_of(line, name));
        match line[0].to_ascii_lowercase() {
            b't' => self.to = self.to.or_else(|| value(["to", "t"])),
            b'c' | b'i' => self.call_id = self.call_id.or_else(|| value(["call-id", "i"])),
            b'a' | b'p' => self.shows_proof |= value(["authorization", "proxy-authorization"]).is_some(),
            _ => {}
        }
        true
    }
}

/// What stands behind the colon of a header of this name.
fn value_of<'b>(header: &'b [u8], name: &str) -> Option<&'b [u8]> {
    let (written, rest) = header.split_at_checked(name.len())?;
    let value = rest.trim_ascii_start().strip_prefix(b":")?;
    written.eq_ignore_ascii_case(name.as_bytes()).then_some(value)
}

/// True if a log-in is refused now; the caller says so.
pub(crate) fn sheds_log_in(work: &mut Work<'_>) -> bool {
    refuses(work.ctx, Class::LogIn)
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
    let asks_for_code = headers.request_uri.is_some_and(|uri| {
        let home = work.ctx.settings.tenant_of(&uri, flow);
        home.is_some_and(|home| request_uri::code(home, &uri).is_some())
    });
    if asks_for_code && message.method() == Some(sip::Method::Invite) {
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
        let remote = SocketAddr::from(([192, 0, 2, 1], 5060));
        let lot = |call_id: &str, second| {
            lot_of_call(&[7; 16], Mono::from_seconds(second), remote, call_id.as_bytes())
        };

        assert_eq!(lot("one", 29), lot("one", 0));
        assert_ne!(lot("one", 30), lot("one", 0));
        assert_ne!(lot("two", 0), lot("one", 0));
        assert_ne!(lot_of_call(&[8; 16], Mono::from_seconds(0), remote, b"one"), lot("one", 0));
        for other in ["192.0.2.1:5061", "192.0.2.2:5060", "[2001:db8::1]:5060"] {
            let other = lot_of_call(&[7; 16], Mono::from_seconds(0), other.parse().unwrap(), b"one");
            assert_ne!(other, lot("one", 0), "a lot that was good for one is good for nobody else");
        }
    }

    #[test]
    fn headers_are_found_however_they_are_written() {
        for (message, to, call_id, proof) in [
            (
                "INVITE x SIP/2.0\r\nTo: <sip:a@b>;tag=1\r\nCall-ID: one\r\nAuthorization: Digest\r\n\r\n",
                Some(" <sip:a@b>;tag=1\r\n"),
                Some("one"),
                true,
            ),
            (
                "INVITE x SIP/2.0\r\nVia: y\r\nt :<sip:a@b>\r\n ;tag=1\r\nFrom: x\r\ni:\r\n\tone\r\nPROXY-Authorization:\r\n\r\n",
                Some("<sip:a@b>\r\n ;tag=1\r\n"),
                Some("one"),
                true,
            ),
            (
                "INVITE x SIP/2.0\r\nTo: 1\r\nto: 2\r\ni: one\r\nCall-ID: two\r\n",
                Some(" 1\r\n"),
                Some("one"),
                false,
            ),
            (
                "INVITE x SIP/2.0\r\nTop: 1\r\nAllow: Authorization:\r\n\r\nTo: of a body\r\ni: 1\r\nAuthorization: x",
                None,
                None,
                false,
            ),
            ("INVITE x SIP/2.0\r\nAuthorization: Digest\r\nTo: 1\r\n", Some(" 1\r\n"), None, true),
            ("INVITE x SIP/2.0\r\nTo", None, None, false),
            ("INVITE x SIP/2.0\r\nTo:\r\n", Some("\r\n"), None, false),
            ("INVITE x SIP/2.0\r\n", None, None, false),
            ("", None, None, false),
        ] {
            let mut head = Head::of(message.as_bytes());

            assert_eq!(head.to(), to.map(str::as_bytes), "{message}");
            assert_eq!(head.call_id(), call_id.map(str::as_bytes), "{message}");
            assert_eq!(head.shows_proof(), proof, "{message}");
        }
    }
}
