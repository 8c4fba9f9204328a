//! The dialog of a subscription (RFC 6665 §4.4.1): what the requests within it are made of, and which belong to it.

use std::sync::Arc;

use crate::context::{Answer, Context};
use crate::flow::Flow;
use crate::hotdesk::Place;
use crate::print::TAG_LENGTH;
use crate::settings::Tenant;

/// The tag the edge gives.
pub(super) type Tag = [u8; TAG_LENGTH];

/// Octets of a dialog that are kept. Phones need some 400.
const OCTETS_MAX: usize = 4096;

/// What the requests within a subscription's dialog are made of (RFC 3261 §12.1.1), as the phone wrote it.
#[derive(Debug)]
pub(super) struct Dialog {
    pub(super) call_id: Box<[u8]>,
    /// The tag the edge gave.
    pub(super) tag: Tag,
    /// From of its NOTIFYs, without the tag.
    pub(super) local: Box<[u8]>,
    /// To of its NOTIFYs.
    pub(super) remote: Box<[u8]>,
    /// The phone's tag.
    pub(super) remote_tag: Box<[u8]>,
    /// Their Request-URI.
    pub(super) target: Box<[u8]>,
    /// Their Routes, as listed in one value; empty without.
    pub(super) routes: Box<[u8]>,
    /// Their Event, with the id it was asked for with.
    pub(super) event: Box<[u8]>,
}

impl Dialog {
    /// The dialog that a SUBSCRIBE and its 200 with this tag make.
    pub(super) fn of(
        request: &sip::Message<'_>,
        headers: &sip::Mandatory<'_>,
        tag: Tag,
    ) -> Result<Self, Answer<'static>> {
        let routes = request.values(sip::Name::RecordRoute).collect::<Vec<_>>().join(&b", "[..]);
        Self::with(request, headers, tag, routes.into())
    }

    /// The same after another SUBSCRIBE: it may have another contact, and never another route (§12.2).
    pub(super) fn renewed(
        &self,
        request: &sip::Message<'_>,
        headers: &sip::Mandatory<'_>,
    ) -> Result<Self, Answer<'static>> {
        Self::with(request, headers, self.tag, self.routes.clone())
    }

    fn with(
        request: &sip::Message<'_>,
        headers: &sip::Mandatory<'_>,
        tag: Tag,
        routes: Box<[u8]>,
    ) -> Result<Self, Answer<'static>> {
        let Some(Ok(sip::ContactValue::Contact(contact))) = request.contacts().next() else {
            return Err(Answer::new(400, "Bad Contact"));
        };
        let Ok(Some(asked)) = request.event() else {
            return Err(Answer::new(489, "Bad Event"));
        };
        let event = match asked.id {
            Some(id) => [asked.package, b";id=", id].concat(),
            None => asked.package.to_vec(),
        };
        let dialog = Self {
            call_id: headers.call_id.into(),
            tag,
            local: headers.to.addr_raw.into(),
            remote: headers.from.raw.into(),
            remote_tag: headers.from.tag().unwrap_or_default().into(),
            target: contact.addr.uri_raw.into(),
            routes,
            event: event.into(),
        };
        let parts = [&dialog.call_id, &dialog.local, &dialog.remote, &dialog.target, &dialog.routes];
        let octets = parts.map(|part| part.len()).iter().sum::<usize>() + dialog.event.len();
        if octets > OCTETS_MAX { Err(Answer::new(513, "Message Too Large")) } else { Ok(dialog) }
    }

    /// True if a request of the phone belongs to it (RFC 3261 §12.2.2).
    pub(super) fn is_of(&self, headers: &sip::Mandatory<'_>) -> bool {
        *self.call_id == *headers.call_id
            && headers.to.tag() == Some(&self.tag)
            && headers.from.tag().unwrap_or_default() == &*self.remote_tag
    }
}

/// True if a request within a dialog belongs to the subscription of `device` to its guest key.
pub(crate) fn is_hoteling_of(ctx: &Context, device: &Place, headers: &sip::Mandatory<'_>) -> bool {
    let subscriptions = &ctx.tables.subscriptions;
    !subscriptions.is_empty()
        && subscriptions.update(device, |subscription| subscription.dialog.is_of(headers)) == Some(true)
}

/// The device that From names, and its tenant.
pub(crate) fn claimed_device(
    ctx: &Context,
    flow: &Flow,
    headers: &sip::Mandatory<'_>,
) -> Option<(Arc<Tenant>, Place)> {
    let tenant = ctx.tenant_of(&headers.from_uri, flow)?;
    let user = headers.from_uri.user_unescaped();
    let device = tenant.device(str::from_utf8(&user).ok()?)?;
    let place = Place::new(&tenant.id, &device.id);
    Some((tenant, place))
}
