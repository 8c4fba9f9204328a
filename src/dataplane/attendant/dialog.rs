//! The messages of a call: our 200 to an INVITE, our answer to an UPDATE, our BYE; and its session timer (RFC 4028).

use std::time::Duration;

use super::{ALLOW, Call, CallKey};
use crate::context::{Owner, Work};
use crate::now::Mono;
use crate::transaction::{ClientId, ServerId};

/// The least interval RFC 4028 §4 allows, seconds.
const INTERVAL_MIN: u32 = 90;

/// What both sides agreed on for the time between two refreshes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SessionTimer {
    /// Seconds.
    interval: u32,
    /// The phone refreshes. Where it wants us to, the call ends instead when its time is over: nobody needs the attendant
    /// for that long.
    by_caller: bool,
}

/// The interval of a request is below what RFC 4028 allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooShort;

impl SessionTimer {
    /// What a request with `Supported: timer` asks for; `None`: nothing, or its phone does not know of it (§9).
    pub(super) fn asked(request: &sip::Message<'_>) -> Result<Option<Self>, TooShort> {
        let Some(value) = request.header(sip::Name::SessionExpires) else { return Ok(None) };
        let mut parts = value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let interval = parts.next().and_then(|seconds| std::str::from_utf8(seconds).ok()?.parse().ok());
        let knows = |name| request.option_tags(name).has("timer");
        let Some(interval) = interval.filter(|_| knows(sip::Name::Supported) || knows(sip::Name::Require))
        else {
            return Ok(None);
        };
        if interval < INTERVAL_MIN {
            return Err(TooShort);
        }
        let by_us = parts.any(|param| param.eq_ignore_ascii_case(b"refresher=uas"));
        Ok(Some(Self { interval, by_caller: !by_us }))
    }

    /// When the call ends for want of a refresh: a little before the interval is over (§10).
    pub(super) fn ends_at(self, now: Mono) -> Mono {
        now + Duration::from_secs(u64::from(self.interval - (self.interval / 3).min(32)))
    }
}

/// The value of Min-SE in a 422 (RFC 4028 §5).
pub(super) const MIN_SE: &str = "90";

/// Takes an INVITE: 200 with `body`, sent again until the ACK comes.
pub(super) fn accept(
    work: &mut Work<'_>,
    call: &Call,
    server: ServerId,
    request: &sip::Message<'_>,
    body: &str,
    timer: Option<SessionTimer>,
) {
    let contact = format!("<{}>", work.ctx.own_uri(&call.flow, request.request_uri()));
    work.transactions.respond_reliably(work.now.mono, server, 200, work.out, |buffer| {
        write(buffer, call, request, &contact, Some(body), timer);
    });
}

/// Answers an UPDATE, with a description where it brought one.
pub(super) fn answer_update(
    work: &mut Work<'_>,
    call: &Call,
    server: ServerId,
    request: &sip::Message<'_>,
    body: Option<&str>,
    timer: Option<SessionTimer>,
) {
    let contact = format!("<{}>", work.ctx.own_uri(&call.flow, request.request_uri()));
    work.transactions.respond(work.now.mono, server, 200, work.out, |buffer| {
        write(buffer, call, request, &contact, body, timer);
    });
}

fn write(
    buffer: &mut Vec<u8>,
    call: &Call,
    request: &sip::Message<'_>,
    contact: &str,
    body: Option<&str>,
    timer: Option<SessionTimer>,
) {
    let source = Some(call.flow.remote);
    let options = sip::ResponseOptions { source, to_tag: Some(&call.tag), record_route: true };
    let mut compose = sip::Compose::response(buffer, request, 200, "OK", &options);
    compose.header(sip::Name::Contact, contact.as_bytes()).header(sip::Name::Allow, ALLOW.as_bytes());
    if let Some(SessionTimer { interval, by_caller }) = timer {
        let refresher = if by_caller { "uac" } else { "uas" };
        compose.header(sip::Name::Supported, b"timer").header(sip::Name::Require, b"timer");
        compose.header_fmt(sip::Name::SessionExpires, format_args!("{interval};refresher={refresher}"));
    }
    if let Some(body) = body {
        compose.body(b"application/sdp", body.as_bytes());
    }
    compose.finish();
}

/// Sends the BYE. The dialog's route set is what the INVITE recorded (§12.1.1); the flow is the INVITE's.
pub(super) fn hang_up(work: &mut Work<'_>, key: CallKey, call: &Call) -> Option<ClientId> {
    let invite = sip::Message::parse(&call.invite, &sip::Limits::default()).ok()?;
    let (from, to, call_id) = (invite.from().ok()?, invite.to().ok()?, invite.call_id().ok()?);
    let refreshed = call.talk.as_ref().and_then(|talk| talk.target());
    let target = match invite.contacts().next() {
        _ if refreshed.is_some() => refreshed.unwrap_or_default(),
        Some(Ok(sip::ContactValue::Contact(contact))) => contact.addr.uri_raw,
        _ => from.uri_raw,
    };
    let via = work.ctx.via(&call.flow);
    let mut local = to.addr_raw.to_vec();
    local.extend_from_slice(b";tag=");
    local.extend_from_slice(&call.tag);
    let begun = work.transactions.begin_client(
        work.now.mono,
        call.flow,
        false,
        Owner::Attendant(key),
        0,
        None,
        work.out,
        |buffer, branch| {
            let mut top = via.to_vec();
            top.extend_from_slice(b";branch=");
            top.extend_from_slice(branch);
            let mut compose = sip::Compose::request(buffer, "BYE", target);
            compose.header(sip::Name::Via, &top);
            for route in invite.values(sip::Name::RecordRoute) {
                compose.header(sip::Name::Route, route);
            }
            compose
                .header(sip::Name::MaxForwards, b"70")
                .header(sip::Name::From, &local)
                .header(sip::Name::To, from.raw)
                .header(sip::Name::CallId, call_id)
                .header(sip::Name::CSeq, b"1 BYE")
                .finish();
        },
    );
    begun.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(headers: &str) -> Result<Option<SessionTimer>, TooShort> {
        let text = format!(
            "INVITE sip:*11@demo SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@demo>;tag=1\r\n\
             To: <sip:*11@demo>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n{headers}Content-Length: 0\r\n\r\n"
        );
        SessionTimer::asked(&sip::Message::parse(text.as_bytes(), &sip::Limits::default()).unwrap())
    }

    #[test]
    fn session_timer_is_taken_from_phones_that_know_of_it() {
        let by_caller = Some(SessionTimer { interval: 1800, by_caller: true });

        assert_eq!(asked("Supported: timer\r\nSession-Expires: 1800\r\n"), Ok(by_caller));
        assert_eq!(asked("k: 100rel, timer\r\nx: 1800;refresher=uac\r\n"), Ok(by_caller));
        assert_eq!(
            asked("Supported: timer\r\nSession-Expires: 90;refresher=uas\r\n"),
            Ok(Some(SessionTimer { interval: 90, by_caller: false }))
        );
        for headers in ["", "Session-Expires: 1800\r\n", "Supported: timer\r\n", "k: timer\r\nx: soon\r\n"] {
            assert_eq!(asked(headers), Ok(None), "{headers}");
        }
        assert_eq!(asked("Supported: timer\r\nSession-Expires: 89\r\n"), Err(TooShort));
    }

    #[test]
    fn call_ends_a_little_before_its_interval() {
        let ends = |interval| SessionTimer { interval, by_caller: true }.ends_at(Mono::default());

        assert_eq!(ends(90), Mono::default() + Duration::from_secs(60));
        assert_eq!(ends(1800), Mono::default() + Duration::from_secs(1768));
    }
}
