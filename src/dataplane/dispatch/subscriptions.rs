//! SUBSCRIBE: which package, whose phone; and what came of what it wanted.

use std::sync::Arc;

use super::calls::{refuse_extensions, table_full};
use super::credentials::authenticate;
use super::{Incoming, Rooms};
use crate::context::{Answer, Owner, Work};
use crate::flow::Flow;
use crate::hotdesk::Place;
use crate::settings::{Account, HotelingPolicy, Tenant};
use crate::subscription::{self, Subscribe};

/// The packages there are, each for a shared phone's own account alone.
#[derive(Clone, Copy)]
enum Package {
    GuestKey(HotelingPolicy),
    MessageSummary,
}

impl Rooms {
    /// A SUBSCRIBE outside dialogs: shared phones subscribe to what concerns themselves.
    pub(super) fn on_subscribe(
        &mut self,
        work: &mut Work<'_>,
        incoming: &Incoming<'_>,
        tenant: &Arc<Tenant>,
    ) {
        let Incoming { flow, request, headers, .. } = *incoming;
        let Some(package) = package(request, tenant) else {
            return refuse_package(work, flow, request, tenant);
        };
        let Some(account) = authenticate(work, flow, request, headers, tenant, false) else { return };
        let Account::Device(index) = account else {
            return match package {
                Package::GuestKey(_) => {
                    work.answer(flow, request, Answer::new(403, "Only Shared Phones Have A Guest Key"));
                }
                // Nobody here knows what waits for a person.
                Package::MessageSummary => work.answer(flow, request, Answer::new(489, "Bad Event")),
            };
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
        self.take_subscribe(work, incoming, &home, &device, package);
    }

    /// A SUBSCRIBE within a dialog. False: the dialog is none of the edge's own subscriptions.
    pub(super) fn takes_subscribe_within(&mut self, work: &mut Work<'_>, incoming: &Incoming<'_>) -> bool {
        let Incoming { flow, request, headers, .. } = *incoming;
        let Some((tenant, device)) = subscription::claimed_device(work.ctx, flow, headers) else {
            return false;
        };
        let is_of_guest_key = subscription::is_hoteling_of(work.ctx, &device, headers);
        if !is_of_guest_key && !subscription::is_message_summary_of(work.ctx, &device, headers) {
            return false;
        }
        let package = package(request, &tenant);
        let Some(package) =
            package.filter(|package| matches!(package, Package::GuestKey(_)) == is_of_guest_key)
        else {
            refuse_package(work, flow, request, &tenant);
            return true;
        };
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
        self.take_subscribe(work, incoming, &tenant, &device, package);
        true
    }

    fn take_subscribe(
        &mut self,
        work: &mut Work<'_>,
        incoming: &Incoming<'_>,
        tenant: &Tenant,
        device: &Place,
        package: Package,
    ) {
        let Incoming { flow, request, headers, key } = *incoming;
        if refuse_extensions(work, flow, request, sip::Name::Require, &[]) {
            return;
        }
        let room = work.transactions.room_for_new();
        let begin = |()| work.transactions.begin_server(work.now.mono, key, flow, request, Owner::Nobody);
        let Ok(server) = room.and_then(begin) else {
            return table_full(work, flow, request, false);
        };
        let subscribe = Subscribe { flow, request, headers, tenant, device };
        match package {
            Package::GuestKey(policy) => {
                self.subscriptions.on_subscribe(work, server, &subscribe, policy, &mut self.effects);
            }
            Package::MessageSummary => self.subscriptions.on_message_summary(work, server, &subscribe),
        }
    }
}

/// The package a SUBSCRIBE is for, if the tenant has it.
fn package(request: &sip::Message<'_>, tenant: &Tenant) -> Option<Package> {
    let package = request.event().ok().flatten()?.package;
    if package == subscription::MESSAGE_SUMMARY.as_bytes() {
        return Some(Package::MessageSummary);
    }
    let policy = tenant.seats.hoteling?;
    (package == subscription::HOTELING.as_bytes()).then_some(Package::GuestKey(policy))
}

/// 489 with the packages there are (RFC 6665 §8.3.2).
fn refuse_package(work: &mut Work<'_>, flow: &Flow, request: &sip::Message<'_>, tenant: &Tenant) {
    let packages = match tenant.seats.hoteling {
        Some(_) => subscription::PACKAGES,
        None => subscription::MESSAGE_SUMMARY,
    };
    work.answer(flow, request, Answer::with(489, "Bad Event", sip::Name::AllowEvents, packages));
}
