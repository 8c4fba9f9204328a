//! SUBSCRIBE: which package, whose phone; and what came of what it wanted.

use std::sync::Arc;

use super::Rooms;
use super::calls::{refuse_extensions, table_full};
use super::credentials::authenticate;
use crate::context::{Answer, Owner, Work};
use crate::flow::Flow;
use crate::hotdesk::Place;
use crate::settings::{Account, Tenant};
use crate::subscription::{self, Subscribe};
use crate::transaction::Key;

impl Rooms {
    /// A SUBSCRIBE outside dialogs: the only subscription there is is a shared phone's, to its own guest key.
    pub(super) fn on_subscribe(
        &mut self,
        work: &mut Work<'_>,
        flow: &Flow,
        request: &sip::Message<'_>,
        headers: &sip::Mandatory<'_>,
        key: Key,
        tenant: &Arc<Tenant>,
    ) {
        if !is_for_guest_key(request) || tenant.seats.hoteling.is_none() {
            return refuse_package(work, flow, request, tenant);
        }
        let Some(account) = authenticate(work, flow, request, headers, tenant, false) else { return };
        let Account::Device(index) = account else {
            return work.answer(flow, request, Answer::new(403, "Only Shared Phones Have A Guest Key"));
        };
        // Requests within the dialog are known by it, and by no other name of the phone's.
        let Some((home, device)) =
            subscription::claimed_device(work.ctx, flow, headers).filter(|(home, claimed)| {
                home.id == tenant.id && claimed.name() == &*tenant.devices[index as usize].id
            })
        else {
            return work.answer(flow, request, Answer::new(403, "From Is Not Yours"));
        };
        let user = headers.request_uri.map(|uri| uri.user_unescaped()).unwrap_or_default();
        if !user.is_empty() && *user != *device.name().as_bytes() {
            return work.answer(flow, request, Answer::new(404, "Not Found"));
        }
        self.take_subscribe(work, flow, request, headers, key, &home, &device);
    }

    /// A SUBSCRIBE within a dialog. False: the dialog is none of the edge's own subscriptions.
    pub(super) fn takes_subscribe_within(
        &mut self,
        work: &mut Work<'_>,
        flow: &Flow,
        request: &sip::Message<'_>,
        headers: &sip::Mandatory<'_>,
        key: Key,
    ) -> bool {
        let Some((tenant, device)) = subscription::device_of_dialog(work.ctx, flow, headers) else {
            return false;
        };
        if !is_for_guest_key(request) {
            refuse_package(work, flow, request, &tenant);
            return true;
        }
        // What comes over the flow of a live binding is as good as its REGISTER.
        let user = device.name().as_bytes();
        if !work.ctx.tables.location.account_has_flow(&tenant.id, user, flow, work.now.mono) {
            let Some(account) = authenticate(work, flow, request, headers, &tenant, false) else {
                return true;
            };
            if tenant.credentials(account).0 != device.name() {
                work.answer(flow, request, Answer::new(403, "Not Your Dialog"));
                return true;
            }
        }
        self.take_subscribe(work, flow, request, headers, key, &tenant, &device);
        true
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the facts of one request, each found once on the way here"
    )]
    fn take_subscribe(
        &mut self,
        work: &mut Work<'_>,
        flow: &Flow,
        request: &sip::Message<'_>,
        headers: &sip::Mandatory<'_>,
        key: Key,
        tenant: &Tenant,
        device: &Place,
    ) {
        if request.has(sip::Name::Require) {
            return refuse_extensions(work, flow, request, sip::Name::Require);
        }
        let Some(policy) = tenant.seats.hoteling else {
            return refuse_package(work, flow, request, tenant);
        };
        let Ok(server) = work.transactions.begin_server(work.now.mono, key, flow, request, Owner::Nobody)
        else {
            return table_full(work, flow, request, false);
        };
        let subscribe = Subscribe { flow, request, headers, tenant, policy, device };
        self.hoteling.on_subscribe(work, server, &subscribe, &mut self.effects);
    }
}

fn is_for_guest_key(request: &sip::Message<'_>) -> bool {
    let event = request.event().ok().flatten();
    event.is_some_and(|event| event.package == subscription::PACKAGE.as_bytes())
}

/// 489 with the packages there are (RFC 6665 §8.3.2), if there are any.
fn refuse_package(work: &mut Work<'_>, flow: &Flow, request: &sip::Message<'_>, tenant: &Tenant) {
    let answer = match tenant.seats.hoteling {
        Some(_) => Answer::with(489, "Bad Event", sip::Name::AllowEvents, subscription::PACKAGE),
        None => Answer::new(489, "Bad Event"),
    };
    work.answer(flow, request, answer);
}
