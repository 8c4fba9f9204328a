//! Emergency calls: decided before any seat logic. Number and place follow the phone, never the person.

use std::sync::Arc;
use std::time::Duration;

use super::pidf_lo::Located;
use super::route::account_of_flow;
use super::target::of_peers;
use super::{Plan, Target, of_contacts, of_device};
use crate::audit::{Event, Kind};
use crate::context::{Context, Work};
use crate::flow::Flow;
use crate::hotdesk::{CallBack, CalledForHelp, Caller, Place};
use crate::location::device_hash;
use crate::now::Now;
use crate::output::Output;
use crate::phone;
use crate::query::Record;
use crate::settings::{Account, Device, Site, Tenant};

/// The Warning of a call that could not be routed (RFC 3261 §20.43; 399 is "miscellaneous").
pub(crate) const WARNING: &str =
    "399 hotdesk \"No emergency route is configured or none of its addresses answers\"";

/// What makes a call one of an emergency.
pub(crate) enum Emergency {
    /// To the emergency service.
    Call(Box<ForHelp>),
    /// From it, to a phone that called for help.
    CallBack,
}

/// What a call for help has that others have not.
pub(crate) struct ForHelp {
    /// A place of the route that has not said a word for so long is passed over.
    pub(crate) no_answer: Duration,
    /// The place of the phone, where the INVITE carries it.
    pub(crate) located: Option<Located>,
    /// The call, as the audit trail was told of it.
    pub(crate) event: Event<'static>,
    /// What is remembered for a call-back as soon as the call is under way.
    pub(crate) call: CalledForHelp,
}

/// From which phone and place an emergency call comes, and whether that is beyond doubt.
pub(crate) struct EmergencyCaller<'a> {
    /// The account its flow has proved to be, at home in the tenant that was called.
    pub(crate) account: Option<Account>,
    /// The hot-desk device, if it is one, of the tenant where the phone stands.
    pub(crate) device: Option<&'a Device>,
    /// The place.
    pub(crate) site: Option<&'a Site>,
    /// It comes over a flow with a live binding or from inside a site's networks: it is not challenged.
    pub(crate) known: bool,
}

/// The tenant in whose rooms a phone stands that says it is `from_user`: that of `home`, or of its customer another one
/// whose device it is or inside whose sites it is seen. A visitor's call for help leaves from where he is (EMG-8).
pub(crate) fn tenant_visited(
    ctx: &Context,
    home: &Arc<Tenant>,
    flow: &Flow,
    from_user: &[u8],
    now: Now,
) -> Arc<Tenant> {
    let address = flow.remote.ip();
    let user = std::str::from_utf8(from_user).unwrap_or_default();
    let of_device = phone::device_of_flow(ctx, home, user, flow, now);
    let visited = match &of_device {
        Some(device) => ctx.settings.tenant(device.tenant()),
        None if home.site_of_address(address).is_some() => None,
        None => {
            ctx.settings.tenants_of_customer(home).find(|tenant| tenant.site_of_address(address).is_some())
        }
    };
    Arc::clone(visited.filter(|tenant| tenant.customer == home.customer).unwrap_or(home))
}

/// Finds out who is calling. `visited` is where the phone stands; `proved` is the account of right credentials of
/// `home`, where the request carried some.
pub(crate) fn emergency_caller<'a>(
    ctx: &Context,
    home: &Tenant,
    visited: &'a Tenant,
    flow: &Flow,
    from_user: &[u8],
    proved: Option<Account>,
    now: Now,
) -> EmergencyCaller<'a> {
    let of_flow = account_of_flow(ctx, home, flow, from_user, now);
    let registered = of_flow.is_some();
    let account = of_flow.or(proved);
    let device = match account {
        Some(Account::Device(index)) if home.id == visited.id => visited.devices.get(index as usize),
        // Seen in the rooms of another tenant, it is none of the devices there.
        Some(Account::Device(_)) => None,
        // A phone that holds the extension's account itself may still be a hot-desk device at a known place.
        Some(Account::Extension(index)) => {
            let extension = &home.extensions[index as usize].number;
            let here = phone::device_of_flow(ctx, home, extension, flow, now);
            let here = here.filter(|place| *place.tenant() == *visited.id);
            here.and_then(|place| visited.device(place.name()))
        }
        None => None,
    };
    let here = visited.site_of_address(flow.remote.ip());
    let site = device
        .and_then(|device| device.site)
        .and_then(|index| visited.sites.get(index as usize))
        .or(here)
        // A tenant with one site has but one place to send help to.
        .or_else(|| match &*visited.sites {
            [only] => Some(only),
            _ => None,
        });
    EmergencyCaller { account, device, site, known: registered || here.is_some() }
}

/// Where an emergency call goes: the routes of its site, then those of the tenant, and of each all addresses, one after
/// the other.
pub(crate) fn of_routes(ctx: &Context, tenant: &Tenant, site: Option<&Site>, number: &str) -> Vec<Target> {
    let of_site = site.map_or(&[][..], |site| &site.emergency_routes);
    let peers = of_site.iter().chain(&tenant.emergency.routes);
    of_peers(ctx, peers, tenant.emergency.account.as_ref(), |host| {
        if number.starts_with("urn:") { number.to_owned() } else { format!("sip:{number}@{host}") }
    })
}

/// Where a call-back rings: the phone that called, whoever sits there now and whether or not anybody does.
pub(crate) fn of_call_back(ctx: &Context, call_back: &CallBack, now: Now) -> Vec<Target> {
    let CallBack { call, flow } = call_back;
    let mut targets = match &call.caller {
        Caller::Device(device) => of_phone_at(ctx, device, &call.contact, now),
        Caller::Extension(extension) => of_ordinary_phone(ctx, extension, call, now),
        Caller::Unknown => Vec::new(),
    };
    if targets.is_empty()
        && let Some(flow) = flow
    {
        // It has not registered, or not again since: the way its call came is the last one known.
        targets.push(Target::party(None, call.device().cloned(), &call.contact, *flow));
    }
    // Those who are to ring together have one preference.
    targets.iter_mut().for_each(|target| target.q = 1000);
    targets
}

/// The way to a device: by the account it called with, if that is registered there still, else by its own, else by that
/// which somebody has put into it.
fn of_phone_at(ctx: &Context, device: &Place, contact: &[u8], now: Now) -> Vec<Target> {
    let own = of_device(ctx, device, now);
    let put_in = of_account_put_in(ctx, device, now);
    let called_with = own.iter().chain(&put_in).filter(|target| *target.uri == *contact);
    let called_with: Vec<_> = called_with.cloned().collect();
    match (called_with.is_empty(), own.is_empty()) {
        (false, _) => called_with,
        (true, false) => own,
        (true, true) => put_in,
    }
}

/// What a device has registered for the extension that sits there.
fn of_account_put_in(ctx: &Context, device: &Place, now: Now) -> Vec<Target> {
    let tenant = ctx.settings.tenant(device.tenant());
    let seat = tenant.and_then(|tenant| ctx.tables.seats.seat_at(&tenant.customer, device));
    let Some(seat) = seat else { return Vec::new() };
    let hash = device_hash(device.tenant(), device.name());
    let contacts =
        ctx.tables.location.contacts(seat.extension.tenant(), seat.extension.name().as_bytes(), now.mono);
    let held = contacts.iter().filter(|contact| contact.holder.is_some_and(|holder| holder.device == hash));
    of_contacts(held, &seat.extension, Some(device))
}

/// The phone of an extension that called, known by where it is seen; if it is not seen there any more, all of them.
fn of_ordinary_phone(ctx: &Context, extension: &Place, call: &CalledForHelp, now: Now) -> Vec<Target> {
    let contacts = ctx.tables.location.contacts(extension.tenant(), extension.name().as_bytes(), now.mono);
    let own = contacts.iter().filter(|contact| contact.holder.is_none());
    let all = of_contacts(own, extension, None);
    let same: Vec<_> = all.iter().filter(|target| target.is_seen_at(call.remote)).cloned().collect();
    if same.is_empty() { all } else { same }
}

/// A call for help has begun: its phone can be called back from now on, also after a restart.
pub(super) fn began(work: &mut Work<'_>, call: CalledForHelp, flow: Flow) {
    let settings = &work.ctx.settings;
    let call_back = settings.tenant(call.key.tenant()).map(|tenant| tenant.emergency.call_back);
    let longest = settings.timers.call_max + call_back.unwrap_or_default();
    let record = Record::CalledForHelp { key: call.key.clone(), call: Some(Arc::new(call.clone())) };
    let given_up = work.ctx.tables.call_backs.began(call, flow, work.now.mono, longest);
    store(work, record);
    if let Some(key) = given_up {
        store(work, Record::CalledForHelp { key, call: None });
    }
}

/// A call for help reached nobody: `reason` and `status` are for the audit trail.
pub(crate) fn failed(work: &mut Work<'_>, plan: &Plan, reason: &'static str, status: u16) {
    let Some(Emergency::Call(help)) = &plan.emergency else { return };
    work.ctx.counters.emergency_unrouted += 1;
    let mut event = help.event.clone();
    event.at = work.now.wall;
    event.reason = reason.into();
    work.out.event(event.with("status", status.to_string()));
}

/// A dialog is over. If it was that of a call for help, its phone is held, and can be called back, from now on for as long
/// as the tenant says.
pub(crate) fn over(work: &mut Work<'_>, dialog: u64) {
    let tables = Arc::clone(&work.ctx.tables);
    if tables.call_backs.is_empty() {
        return;
    }
    let settings = Arc::clone(&work.ctx.settings);
    let keep =
        |tenant: &str| settings.tenant(tenant).map_or(Duration::ZERO, |tenant| tenant.emergency.call_back);
    let Some(call) = tables.call_backs.ended(dialog, work.now, keep) else { return };
    // A phone that holds a person's account is not told by that account to be the device it is.
    if let Some(device) = call.device() {
        tables.calls.ended(device, dialog, work.now.mono);
    }
    let lasted = (work.now.wall.saturating_sub(call.began) / 1000).to_string();
    let mut event = Event::new(Kind::EmergencyCall, "ended", call.key.tenant(), work.now.wall)
        .with("shown", &*call.number)
        .with("seconds", lasted);
    match &call.caller {
        Caller::Device(device) => event = event.at_device(device, &settings),
        Caller::Extension(extension) => event = event.of_extension(extension),
        Caller::Unknown => {}
    }
    work.out.event(event);
    store(work, Record::CalledForHelp { key: call.key.clone(), call: Some(Arc::new(call)) });
}

/// A phone is called back: from now on it is remembered for as long as after its own call.
pub(crate) fn called_back(work: &mut Work<'_>, tenant: &Tenant, key: &Place) {
    let called = work.ctx.tables.call_backs.called_back(key, work.now, tenant.emergency.call_back);
    if let Some(call) = called {
        store(work, Record::CalledForHelp { key: key.clone(), call: Some(Arc::new(call)) });
    }
}

/// Forgets calls for help whose time is over.
pub(crate) fn forget_call_backs(work: &mut Work<'_>) {
    for key in work.ctx.tables.call_backs.expire(work.now.mono) {
        store(work, Record::CalledForHelp { key, call: None });
    }
}

fn store(work: &mut Work<'_>, record: Record) {
    if work.ctx.settings.durable {
        work.out.push(Output::WriteBehind(record));
    }
}
