//! Calls for help: before any seat, base state or PIN; number and place are the phone's (RULES §6).

use std::sync::Arc;

use super::Rooms;
use super::calls::can_come_back;
use super::credentials::{authenticate, prove};
use crate::audit::{Event, Kind};
use crate::context::{Answer, Work};
use crate::flow::Flow;
use crate::hotdesk::{self, Origin, Place};
use crate::output::{Output, Report};
use crate::proxy::{self, Plan, Target};
use crate::settings::Tenant;
use crate::transaction::Key;

/// True for `urn:service:sos` and its sub-services (RFC 5031 §4.2).
pub(super) fn is_service_sos(uri: &sip::Uri<'_>) -> bool {
    let opaque = uri.opaque().to_ascii_lowercase();
    uri.scheme == sip::Scheme::Urn && (opaque == b"service:sos" || opaque.starts_with(b"service:sos."))
}

/// The number that is dialled, or the whole service URN, where `uri` asks for help.
pub(super) fn number(tenant: &Tenant, uri: &sip::Uri<'_>) -> Option<String> {
    match hotdesk::emergency(&uri.user_unescaped(), &tenant.emergency) {
        None if is_service_sos(uri) => Some(String::from_utf8_lossy(uri.raw).into_owned()),
        number => number.map(str::to_owned),
    }
}

impl Rooms {
    /// An emergency call: before any seat, base state or PIN; its caller is the place (RULES §6).
    #[expect(
        clippy::too_many_arguments,
        reason = "the facts of one request, each found once on the way here"
    )]
    pub(super) fn on_emergency(
        &mut self,
        work: &mut Work<'_>,
        flow: &Flow,
        request: &sip::Message<'_>,
        headers: &sip::Mandatory<'_>,
        key: Key,
        tenant: &Arc<Tenant>,
        number: &str,
        own_routes: usize,
    ) {
        let from_user = headers.from_uri.user_unescaped();
        // Right credentials tell which phone it is; from a known place the call must not fail over wrong ones.
        let proved = prove(work, request, tenant).ok().map(|(account, _)| account);
        let mut caller = proxy::emergency_caller(work.ctx, tenant, flow, &from_user, proved, work.now);
        if !caller.known {
            let Some(account) = authenticate(work, flow, request, headers, tenant, true) else { return };
            caller = proxy::emergency_caller(work.ctx, tenant, flow, &from_user, Some(account), work.now);
        }
        work.ctx.counters.emergency_calls += 1;
        let account: Box<str> = caller.account.map_or("", |account| tenant.credentials(account).0).into();
        let targets = emergency_targets(work, tenant, number);
        let reason = if targets.is_empty() { "no-route" } else { "routed" };
        let origin = Origin::of_request(flow.remote, headers.call_id);
        let mut event = Event::new(Kind::EmergencyCall, reason, &tenant.id, work.now.wall)
            .asked_by(&origin)
            .with("number", number);
        event.site = caller.site.map(|site| (&*site.id).into());
        match (caller.device, caller.account) {
            (Some(device), _) => event.device = Some((&*device.id).into()),
            (None, Some(_)) => event.extension = Some((&*account).into()),
            (None, None) => {}
        }
        work.out.push(Output::Report(Report::Event(Box::new(event.into_owned()))));
        if targets.is_empty() {
            work.ctx.counters.emergency_unrouted += 1;
            let answer =
                Answer::with(500, "No Emergency Route", sip::Name::Warning, proxy::EMERGENCY_WARNING);
            return work.answer(flow, request, answer);
        }
        let shown = caller.site.and_then(|site| site.emergency_caller.as_deref());
        // A call for help is not refused for its From: the number of the place is asserted all the same.
        let replacing = shown.filter(|_| can_come_back(headers));
        let from = replacing.map_or(proxy::From::Kept, |shown| proxy::of_place(tenant, caller.device, shown));
        let plan = Plan {
            opener: (!account.is_empty()).then(|| account.clone()),
            opener_device: caller.device.map(|device| Place::new(&tenant.id, &device.id)),
            extension: None,
            targets,
            asserted: shown.map(|shown| proxy::addr("", shown, tenant.realm())),
            from,
            to: None,
            emergency: true,
            own_routes,
            in_dialog: false,
            tenant: Arc::clone(tenant),
        };
        self.forward(work, flow, request, headers, key, plan);
    }
}

/// Where an emergency call goes: every address of the route, one after the other.
fn emergency_targets(work: &Work<'_>, tenant: &Tenant, number: &str) -> Vec<Target> {
    let Some(route) = &tenant.emergency.route else { return Vec::new() };
    let uri = if number.starts_with("urn:") {
        number.to_owned()
    } else {
        let host = route.uri.strip_prefix("sip:").unwrap_or(&route.uri);
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        format!("sip:{number}@{host}")
    };
    route
        .addresses
        .iter()
        .zip((0..=1000_u16).rev())
        .filter_map(|(address, q)| {
            let listener = work.ctx.listener_for(address)?;
            Some(Target::peer(uri.as_bytes().into(), Flow::datagram(listener, *address), q))
        })
        .collect()
}
