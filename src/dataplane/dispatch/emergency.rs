//! Calls for help, and those that answer them: before any seat, base state or PIN; number and place are the phone's
//! (RULES §6).

use std::sync::Arc;

use smallvec::SmallVec;

use super::calls::can_come_back;
use super::credentials::{authenticate, prove};
use super::{Incoming, Rooms};
use crate::audit::{Event, Kind};
use crate::context::{Answer, Work};
use crate::flow::Flow;
use crate::hotdesk::{self, CalledForHelp, Caller, Origin, Place};
use crate::proxy::{self, Emergency, EmergencyCaller, ForHelp, Plan, Sender, Target};
use crate::request_uri;
use crate::settings::{Account, LocationForm, Tenant};

/// A call for help: who makes it, and from where.
struct Help<'a> {
    /// Of the Request-URI: the phone's account is of it, and so is the dialog.
    home: &'a Arc<Tenant>,
    /// Where the phone stands: number, routes and place are its.
    visited: &'a Tenant,
    /// Dialled, or a service URN.
    number: &'a str,
    caller: EmergencyCaller<'a>,
}

impl Rooms {
    /// Takes an INVITE that is a call for help. False: it is none.
    pub(super) fn takes_emergency(
        &mut self,
        work: &mut Work<'_>,
        incoming: &Incoming<'_>,
        home: &Arc<Tenant>,
    ) -> bool {
        let Incoming { flow, headers, .. } = *incoming;
        let uri = &headers.request_uri.expect("a request has a Request-URI");
        // No stranger's call is worth the search that is for no number of the kind.
        if !request_uri::may_be_for_help(work.ctx, home, uri) {
            return false;
        }
        let from_user = headers.from_uri.user_unescaped();
        let visited = proxy::tenant_visited(work.ctx, home, flow, &from_user, work.now);
        let asked = |tenant: &Tenant| request_uri::emergency_number(&tenant.emergency, uri);
        let Some(number) = asked(&visited).or_else(|| asked(home)) else { return false };
        self.on_emergency(work, incoming, home, &visited, &number);
        true
    }

    fn on_emergency(
        &mut self,
        work: &mut Work<'_>,
        incoming: &Incoming<'_>,
        home: &Arc<Tenant>,
        visited: &Arc<Tenant>,
        number: &str,
    ) {
        let Incoming { flow, request, headers, .. } = *incoming;
        let from_user = headers.from_uri.user_unescaped();
        // Right credentials tell which phone it is; from a known place the call must not fail over wrong ones.
        let proved = prove(work, flow, request, home).ok().map(|(account, _)| account);
        let mut caller = proxy::emergency_caller(work.ctx, home, visited, flow, &from_user, proved, work.now);
        if !caller.known {
            let Some(account) = authenticate(work, flow, request, headers, home, true) else { return };
            let proved = Some(account);
            caller = proxy::emergency_caller(work.ctx, home, visited, flow, &from_user, proved, work.now);
        }
        let help = Help { home, visited, number, caller };
        work.ctx.counters.emergency_calls += 1;
        let targets = proxy::of_routes(work.ctx, visited, help.caller.site, number);
        let event = event(work, flow, headers, &help, &targets);
        work.out.event(event.clone());
        if targets.is_empty() {
            work.ctx.counters.emergency_unrouted += 1;
            let answer =
                Answer::with(500, "No Emergency Route", sip::Name::Warning, proxy::EMERGENCY_WARNING);
            work.answer(flow, request, answer);
        } else {
            let shown = shown(&help);
            let call = called_for_help(work, incoming, &help, shown);
            let plan = plan(work, incoming, &help, call, shown, targets, event.clone());
            self.forward(work, incoming, plan);
        }
        // Whoever is told must not keep the call waiting.
        self.alarms.raise(work, visited, &event);
    }

    /// Takes an INVITE of the emergency service for a phone that called it. False: it is none.
    pub(super) fn takes_call_back(
        &mut self,
        work: &mut Work<'_>,
        incoming: &Incoming<'_>,
        called: &[u8],
    ) -> bool {
        let Incoming { flow, request, headers, .. } = *incoming;
        let tables = Arc::clone(&work.ctx.tables);
        if tables.call_backs.is_empty() {
            return false;
        }
        let settings = Arc::clone(&work.ctx.settings);
        // Behind one gateway may be several tenants. A domain of ours says whose customer's number is meant; without one
        // it is the number of any of them.
        let named = headers.request_uri.and_then(|uri| settings.tenant_of_domain(uri.host.raw()));
        let is_meant = |tenant: &&Arc<Tenant>| named.is_none_or(|named| named.customer == tenant.customer);
        // A call-back comes by the emergency routes, or through the world outside as any call does.
        let service = settings.tenants_of_emergency_service(flow.remote.ip()).filter(is_meant);
        let service: SmallVec<[&Arc<Tenant>; 4]> = service.collect();
        let peer: SmallVec<[&Arc<Tenant>; 4]> = settings.tenants_of_peer(flow).filter(is_meant).collect();
        if service.is_empty() && peer.is_empty() {
            return false;
        }
        let is_of = |tenants: &[&Arc<Tenant>], id: &str| tenants.iter().any(|tenant| *tenant.id == *id);
        let is_asked = |id: &str| is_of(&service, id) || is_of(&peer, id);
        let phones = tables.call_backs.of_number(called, work.now.mono, is_asked);
        // Over a route everybody calls: what comes there rings the phone, and holds nobody's seat.
        let of_service = |phone: &&hotdesk::CallBack| is_of(&service, phone.call.key.tenant());
        let first = phones.iter().find(of_service).or(phones.first());
        let Some(tenant) = first.and_then(|phone| settings.tenant(phone.call.key.tenant())) else {
            return false;
        };
        let targets = call_back_targets(work, &phones);
        if targets.is_empty() {
            return false;
        }
        for phone in &phones {
            called_back(work, flow, headers, phone, of_service(&phone));
        }
        let plan = Plan {
            emergency: is_of(&service, &tenant.id).then_some(Emergency::CallBack),
            ..Plan::new(tenant, targets, proxy::own_routes(work.ctx, request))
        };
        self.forward(work, incoming, plan);
        true
    }
}

/// Where a call rings that colleagues make to a number under which somebody of `tenant` called for help. It is a call as
/// any other: it holds nobody's seat, and the phone is remembered no longer for it.
pub(super) fn of_shown_number(work: &Work<'_>, tenant: &Tenant, called: &[u8]) -> Vec<Target> {
    let is_own = |other: &str| *other == *tenant.id;
    let phones = work.ctx.tables.call_backs.of_number(called, work.now.mono, is_own);
    call_back_targets(work, &phones)
}

/// The phones that called for help and showed the number that is called now.
fn call_back_targets(work: &Work<'_>, phones: &[hotdesk::CallBack]) -> Vec<Target> {
    let mut targets: Vec<Target> = Vec::new();
    for phone in phones {
        for target in proxy::of_call_back(work.ctx, phone, work.now) {
            if targets.iter().all(|known| known.flow != target.flow || known.uri != target.uri) {
                targets.push(target);
            }
        }
    }
    targets
}

/// A phone is called back. `by_service`: beyond doubt by the emergency service, and its time starts anew.
fn called_back(
    work: &mut Work<'_>,
    flow: &Flow,
    headers: &sip::Mandatory<'_>,
    phone: &hotdesk::CallBack,
    by_service: bool,
) {
    let call = &phone.call;
    let settings = Arc::clone(&work.ctx.settings);
    if by_service && let Some(tenant) = settings.tenant(call.key.tenant()) {
        proxy::called_back(work, tenant, &call.key);
    }
    let origin = Origin::of_request(flow.remote, headers.call_id);
    let mut event = Event::new(Kind::EmergencyCall, "called-back", call.key.tenant(), work.now.wall)
        .asked_by(&origin)
        .with("shown", &*call.number);
    match &call.caller {
        Caller::Device(device) => event = event.at_device(device, &settings),
        Caller::Extension(extension) => event = event.of_extension(extension),
        Caller::Unknown => {}
    }
    work.ctx.counters.emergency_call_backs += 1;
    work.out.event(event);
}

/// What the audit trail is told of a call for help, and whoever is to be told.
fn event(
    work: &Work<'_>,
    flow: &Flow,
    headers: &sip::Mandatory<'_>,
    help: &Help<'_>,
    targets: &[Target],
) -> Event<'static> {
    let Help { home, visited, number, caller } = help;
    let origin = Origin::of_request(flow.remote, headers.call_id);
    let reason = if targets.is_empty() { "no-route" } else { "routed" };
    let mut event = Event::new(Kind::EmergencyCall, reason, &visited.id, work.now.wall)
        .asked_by(&origin)
        .with("number", *number);
    if let Some(site) = caller.site {
        event.site = Some((&*site.id).into());
        event = event.with("site_name", &*site.name);
    }
    if let Some(shown) = shown(help) {
        event = event.with("shown", shown.to_owned());
    }
    if let Some(device) = caller.device {
        event.device = Some((&*device.id).into());
        event = event.with("device_name", &*device.name).with("room", &*device.room);
        let sitting = work.ctx.tables.seats.seat_at(&visited.customer, &(&*visited.id, &*device.id));
        if let Some(seat) = sitting {
            let person = work.ctx.settings.tenant(seat.extension.tenant());
            let person = person.and_then(|tenant| tenant.extension(seat.extension.name()));
            event = event.with("person", person.map_or("", |person| &*person.name).to_owned());
            event = event.of_extension(&seat.extension).into_owned();
        }
    } else if let Some(Account::Extension(index)) = caller.account {
        let extension = &home.extensions[index as usize];
        event.extension = Some((&*extension.number).into());
        event.extension_tenant = (home.id != visited.id).then(|| (&*home.id).into());
        event = event.with("person", &*extension.name);
    }
    event.into_owned()
}

/// The number a call for help shows, which is what the emergency service calls back: that of its site; without one the
/// name of the account the phone has proved to be. What a phone merely writes into From is nobody's number.
fn shown<'a>(help: &Help<'a>) -> Option<&'a str> {
    let Help { home, caller, .. } = help;
    let of_site = caller.site.and_then(|site| site.emergency_caller.as_deref());
    of_site.or_else(|| Some(home.credentials(caller.account?).0))
}

/// What is remembered of the phone, for a call-back to `shown`; without it only that it called.
fn called_for_help(
    work: &Work<'_>,
    incoming: &Incoming<'_>,
    help: &Help<'_>,
    shown: Option<&str>,
) -> CalledForHelp {
    let Incoming { flow, request, headers, .. } = *incoming;
    let Help { home, visited, caller, .. } = help;
    let who = match (caller.device, caller.account) {
        (Some(device), _) => Caller::Device(Place::new(&visited.id, &device.id)),
        (None, Some(account)) => Caller::Extension(Place::new(&home.id, home.credentials(account).0)),
        (None, None) => Caller::Unknown,
    };
    let dialog = proxy::dialog_hash(headers.call_id);
    let contact = request.contacts().find_map(Result::ok).and_then(|contact| match contact {
        sip::ContactValue::Contact(contact) => Some(contact.addr.uri_raw),
        sip::ContactValue::Star => None,
    });
    CalledForHelp {
        key: CalledForHelp::key_of(&visited.id, &who, flow.remote, dialog),
        caller: who,
        number: shown.unwrap_or_default().into(),
        contact: contact.unwrap_or_default().into(),
        listener: flow.listener.0,
        remote: flow.remote,
        dialog,
        began: work.now.wall,
        ended: None,
    }
}

/// Where a call for help goes and what it says.
fn plan(
    work: &mut Work<'_>,
    incoming: &Incoming<'_>,
    help: &Help<'_>,
    call: CalledForHelp,
    shown: Option<&str>,
    targets: Vec<Target>,
    event: Event<'static>,
) -> Plan {
    let Incoming { request, headers, .. } = *incoming;
    let Help { home, visited, caller, .. } = help;
    // A call for help is not refused for its From: the number to call back is asserted all the same.
    let replacing = shown.filter(|_| can_come_back(headers));
    let from = replacing.map_or(proxy::From::Kept, |shown| proxy::of_place(home, caller.device, shown));
    let emergency = &visited.emergency;
    let located = caller.site.filter(|_| emergency.location == LocationForm::PidfLo).and_then(|site| {
        let token = work.ctx.random.token::<24>();
        let token = std::str::from_utf8(&token).expect("a token is ASCII");
        proxy::located(request, site, caller.device, visited.realm(), token)
    });
    let own_routes = proxy::own_routes(work.ctx, request);
    Plan {
        sender: Sender {
            account: caller.account.map(|account| Place::new(&home.id, home.credentials(account).0)),
            device: caller.device.map(|device| Place::new(&visited.id, &device.id)),
        },
        asserted: shown.map(|shown| proxy::addr("", shown, home.realm())),
        from,
        emergency: Some(Emergency::Call(Box::new(ForHelp {
            no_answer: emergency.no_answer,
            located,
            event,
            call,
        }))),
        ..Plan::new(home, targets, own_routes)
    }
}
