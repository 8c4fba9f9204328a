//! What is remembered of dialogs, which are not kept themselves: the calls at each device, those by routes, and how long
//! they last without a word.

use std::time::Duration;

use super::{Call, emergency, outside};
use crate::context::Work;
use crate::effect::Effect;
use crate::hotdesk::Place;

/// The far end has taken a BYE, or knows of no such dialog: the devices at both ends are free of it. A call by a route has a
/// peer at one end.
pub(super) fn is_gone(work: &mut Work<'_>, call: &Call, effects: &mut Vec<Effect>) {
    let plan = &call.plan;
    let to = call.branches.iter().map(|branch| &branch.target);
    if plan.sender.account.is_none() || to.clone().any(|target| target.account.is_none()) {
        outside::over(work, &plan.tenant, call.dialog);
    }
    let far = to.filter_map(|target| target.device.as_ref());
    for device in plan.sender.device.iter().chain(far) {
        freed(work, device, call.dialog, effects);
    }
    emergency::over(work, call.dialog);
}

/// A call is no more at a device; if it was the last one, what waited for that may happen.
pub(super) fn freed(work: &mut Work<'_>, device: &Place, dialog: u64, effects: &mut Vec<Effect>) {
    if work.ctx.tables.call_ended(device, dialog, work.now.mono) {
        effects.push(Effect::Idle(device.clone()));
    }
}

/// A 2xx to INVITE or UPDATE says anew how long the session lasts without a word, or that it has no timer
/// (RFC 4028 §7.2, §8.1).
pub(super) fn session_refreshed(
    work: &mut Work<'_>,
    call: &Call,
    index: usize,
    response: &sip::Message<'_>,
    method: sip::Method<'_>,
) {
    if !matches!(method, sip::Method::Invite | sip::Method::Update) {
        return;
    }
    // A refresh that is lost is sent again for as long as Timer B or F runs.
    let grace = work.ctx.settings.timers.t1 * 64;
    let expires = session_interval(response).map(|interval| work.now.mono + interval + grace);
    if let Some(device) = &call.plan.sender.device {
        work.ctx.tables.calls.refreshed(device, call.dialog, expires);
    }
    if !call.plan.tenant.routes.is_empty() {
        let over_at = expires.unwrap_or(work.now.mono + work.ctx.settings.timers.call_max);
        work.ctx.tables.outside_calls.refreshed(&call.plan.tenant.id, call.dialog, over_at);
    }
    if let Some(device) = &call.branches[index].target.device {
        work.ctx.tables.calls.refreshed(device, call.dialog, expires);
    }
}

/// The interval of Session-Expires; a malformed one is none.
fn session_interval(response: &sip::Message<'_>) -> Option<Duration> {
    let value = response.header(sip::Name::SessionExpires)?;
    let digits = value.split(|byte| matches!(byte, b';' | b' ' | b'\t')).next()?;
    let seconds: u32 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(Duration::from_secs(u64::from(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_interval_is_read_with_and_without_a_refresher() {
        let interval = |header: &str| {
            let text = format!(
                "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@a>;tag=1\r\nTo: <sip:b@b>;tag=2\r\n\
                 Call-ID: x\r\nCSeq: 1 INVITE\r\n{header}Content-Length: 0\r\n\r\n"
            );
            session_interval(&sip::Message::parse(text.as_bytes(), &sip::Limits::default()).expect("good"))
        };

        assert_eq!(interval("Session-Expires: 1800;refresher=uac\r\n"), Some(Duration::from_secs(1800)));
        assert_eq!(interval("x: 90\r\n"), Some(Duration::from_secs(90)));
        for header in ["", "Session-Expires: soon\r\n", "Session-Expires: -1\r\n", "x: 99999999999\r\n"] {
            assert_eq!(interval(header), None, "{header}");
        }
    }
}
