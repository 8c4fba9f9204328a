//! Calls by a route: where they go, and how many of them there may be.

use super::target::of_peers;
use super::{Plan, Sender, Target};
use crate::audit::{Event, Kind};
use crate::context::{Answer, Context, Work};
use crate::flow::Flow;
use crate::hotdesk::{OneTooMany, Origin, Place};
use crate::refusal::Refusal;
use crate::settings::{Route, Tenant};

/// The places of a route for `number`, to be tried one after the other.
pub(crate) fn of_route(ctx: &Context, route: &Route, number: &str) -> Vec<Target> {
    let mut targets = of_peers(ctx, route.peers.iter(), route.account.as_ref(), |host| {
        format!("sip:{number}@{host};user=phone")
    });
    targets.iter_mut().for_each(|target| target.fails_over_after = Some(route.no_answer));
    targets
}

/// True for an answer after which the next place is tried: the peer has failed, and has not said anything of the callee.
/// Silence and a lost way are no answers, and lead there anyway.
pub(super) fn fails_over(code: u16) -> bool {
    matches!(code, 408 | 430 | 500..=599)
}

/// Counts a call by a route, if there may be one more. It came over `flow` and is called `call_id`.
pub(super) fn admit(
    work: &mut Work<'_>,
    plan: &Plan,
    dialog: u64,
    flow: &Flow,
    call_id: &[u8],
) -> Result<(), Answer<'static>> {
    let phone = plan.sender.device.as_ref().or(plan.sender.account.as_ref());
    let Some(phone) = phone.filter(|_| plan.outside) else { return Ok(()) };
    let (tenant, call_max) = (&plan.tenant, work.ctx.settings.timers.call_max);
    let calls = &work.ctx.tables.outside_calls;
    let begun = calls.begin(&tenant.id, phone, dialog, &tenant.outside, work.now.mono, call_max);
    begun.map_err(|reason| match reason {
        OneTooMany::Limit => {
            let origin = Origin::of_request(flow.remote, call_id);
            refused(work, Refusal::CallLimit, tenant, &plan.sender, &origin);
            // Never 503, on which the phone would leave the edge.
            Answer::new(Refusal::CallLimit.sip_status(), Refusal::CallLimit.phrase())
        }
        OneTooMany::Merged => {
            work.ctx.counters.outside_calls_refused += 1;
            Answer::new(482, "Call Is Up Already")
        }
    })
}

/// A call by a route was refused: it is counted, and the audit trail hears of it.
pub(crate) fn refused(
    work: &mut Work<'_>,
    refusal: Refusal,
    tenant: &Tenant,
    sender: &Sender,
    origin: &Origin,
) {
    work.ctx.counters.outside_calls_refused += 1;
    let settings = &work.ctx.settings;
    let is_extension = |account: &&Place| {
        settings.tenant(account.tenant()).is_some_and(|home| home.extension(account.name()).is_some())
    };
    let mut event = Event::new(Kind::Refusal, refusal.code(), &tenant.id, work.now.wall).asked_by(origin);
    if let Some(device) = &sender.device {
        event = event.at_device(device, settings);
    }
    if let Some(extension) = sender.account.as_ref().filter(is_extension) {
        event = event.of_extension(extension);
    }
    work.out.event(event);
}

/// A dialog is no more; if it was a call by a route, there may be another.
pub(super) fn over(work: &Work<'_>, tenant: &Tenant, dialog: u64) {
    if !tenant.routes.is_empty() {
        work.ctx.tables.outside_calls.ended(&tenant.id, dialog);
    }
}
