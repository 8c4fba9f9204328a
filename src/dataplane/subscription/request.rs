//! SUBSCRIBE: what it must be like, and how it is answered.

use super::body::{Malformed, OCTETS_MAX};
use super::dialog::Tag;
use crate::context::{Answer, Work};
use crate::effect::Asker;
use crate::flow::Flow;
use crate::hotdesk::Place;
use crate::settings::Tenant;
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
    pub(crate) device: &'a Place,
}

impl Subscribe<'_> {
    /// Who hears what becomes of its wish.
    pub(super) fn asker(&self) -> Asker {
        Asker::Hoteling { device: self.device.clone(), cseq: self.headers.cseq.number }
    }
}

/// No way leads to the phone.
pub(super) const NOT_REGISTERED: Answer<'static> =
    Answer { code: 480, reason: "Register First", header: Some((sip::Name::RetryAfter, "5")) };

/// The subscription has ended, or is another's.
pub(super) const NO_SUBSCRIPTION: Answer<'static> =
    Answer { code: 481, reason: "Subscription Does Not Exist", header: None };

/// Whether the phone takes what it would be told, a body of `kind`, and says what it wants in a way that can be read.
pub(super) fn acceptable(request: &sip::Message<'_>, kind: &'static str) -> Result<(), Answer<'static>> {
    // RFC 6665 §3.1.3: without Accept it takes what its package has.
    let takes = |value: &[u8]| {
        let value = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        [kind, "application/*", "*/*"].iter().any(|taken| value.eq_ignore_ascii_case(taken.as_bytes()))
    };
    if request.has(sip::Name::Accept) && !request.values(sip::Name::Accept).any(takes) {
        return Err(Answer::with(406, "Not Acceptable", sip::Name::Accept, kind));
    }
    if request.body().len() > OCTETS_MAX {
        return Err(Answer::new(413, "Request Entity Too Large"));
    }
    if !request.body().is_empty() && !request.header(sip::Name::ContentType).is_some_and(takes) {
        return Err(Answer::with(415, "Unsupported Media Type", sip::Name::Accept, kind));
    }
    Ok(())
}

/// The seconds a subscription gets that asks for so many, of at most `expires_max` (RFC 6665 §4.2.1.1).
pub(super) fn granted(asked: Option<u32>, expires_max: u32) -> Result<u32, Answer<'static>> {
    match asked.unwrap_or(expires_max) {
        0 => Ok(0),
        1..EXPIRES_MIN => {
            Err(Answer::with(423, "Interval Too Brief", sip::Name::MinExpires, EXPIRES_MIN_TEXT))
        }
        asked => Ok(asked.min(expires_max)),
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
    let contact = format!("<{}>", work.ctx.own_uri(flow, request.request_uri()));
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
