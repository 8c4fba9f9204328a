//! SUBSCRIBE: what it must be like, and how it is answered.

use super::body::{CONTENT_TYPE, Malformed, OCTETS_MAX};
use super::dialog::Tag;
use crate::context::{Answer, Work};
use crate::effect::Asker;
use crate::flow::Flow;
use crate::hotdesk::Place;
use crate::settings::{HotelingPolicy, Tenant};
use crate::transaction::ServerId;

/// Shortest subscription, in seconds.
const EXPIRES_MIN: u32 = 60;
/// The same for Min-Expires.
const EXPIRES_MIN_TEXT: &str = "60";

/// A SUBSCRIBE of a device account that has been proved.
#[derive(Clone, Copy)]
pub(crate) struct Subscribe<'a> {
    pub(crate) flow: &'a Flow,
    pub(crate) request: &'a sip::Message<'a>,
    pub(crate) headers: &'a sip::Mandatory<'a>,
    pub(crate) tenant: &'a Tenant,
    pub(crate) policy: HotelingPolicy,
    pub(crate) device: &'a Place,
}

impl Subscribe<'_> {
    /// Who hears what becomes of its wish.
    pub(super) fn asker(&self) -> Asker {
        Asker::Hoteling { device: self.device.clone(), cseq: self.headers.cseq.number }
    }
}

/// The subscription has ended, or is another's.
pub(super) const NO_SUBSCRIPTION: Answer<'static> =
    Answer { code: 481, reason: "Subscription Does Not Exist", header: None };

/// Whether the phone takes what it would be told, and says what it wants in a way that can be read.
pub(super) fn acceptable(request: &sip::Message<'_>) -> Result<(), Answer<'static>> {
    // RFC 6665 §3.1.3: without Accept it takes what its package has.
    let takes = |value: &[u8]| {
        let kind = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        [CONTENT_TYPE, "application/*", "*/*"].iter().any(|taken| kind.eq_ignore_ascii_case(taken.as_bytes()))
    };
    if request.has(sip::Name::Accept) && !request.values(sip::Name::Accept).any(takes) {
        return Err(Answer::with(406, "Not Acceptable", sip::Name::Accept, CONTENT_TYPE));
    }
    if request.body().len() > OCTETS_MAX {
        return Err(Answer::new(413, "Request Entity Too Large"));
    }
    if !request.body().is_empty() && !request.header(sip::Name::ContentType).is_some_and(takes) {
        return Err(Answer::with(415, "Unsupported Media Type", sip::Name::Accept, CONTENT_TYPE));
    }
    Ok(())
}

/// The seconds a subscription gets that asks for so many (RFC 6665 §4.2.1.1).
pub(super) fn granted(asked: Option<u32>, policy: HotelingPolicy) -> Result<u32, Answer<'static>> {
    match asked.unwrap_or(policy.expires_max) {
        0 => Ok(0),
        1..EXPIRES_MIN => {
            Err(Answer::with(423, "Interval Too Brief", sip::Name::MinExpires, EXPIRES_MIN_TEXT))
        }
        asked => Ok(asked.min(policy.expires_max)),
    }
}

/// The 200 (RFC 6665 §4.2.1.1): it makes the dialog, or keeps it.
pub(super) fn accept(
    work: &mut Work<'_>,
    server: ServerId,
    subscribe: &Subscribe<'_>,
    expires: u32,
    tag: &Tag,
) {
    let Subscribe { flow, request, .. } = *subscribe;
    let contact = format!("<{}>", work.ctx.own_uri(flow));
    work.transactions.respond(work.now.mono, server, 200, work.out, |buffer| {
        let options =
            sip::ResponseOptions { source: Some(flow.remote), to_tag: Some(tag), record_route: true };
        sip::Compose::response(buffer, request, 200, "OK", &options)
            .header_decimal(sip::Name::Expires, expires.into())
            .header(sip::Name::Contact, contact.as_bytes())
            .finish();
    });
}

/// 400 with what is wrong.
pub(super) fn refuse_body(
    work: &mut Work<'_>,
    server: ServerId,
    request: &sip::Message<'_>,
    malformed: Malformed,
) {
    let warning = format!("399 hotdesk \"Body: {}\"", malformed.0);
    work.respond(server, request, Answer::with(400, "Bad Body", sip::Name::Warning, &warning));
}
