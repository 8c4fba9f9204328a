//! Where a call goes: to an extension, by its number or by one that is known outside, or by a route; and what is refused
//! on the way there.

use std::sync::Arc;

use crate::context::{Answer, Context};
use crate::flow::Flow;
use crate::gruu;
use crate::now::Now;
use crate::proxy::{self, From, Target};
use crate::refusal::Refusal;
use crate::settings::{Account, Extension, Route, Settings, Tenant, number};

/// Where a call goes.
pub(super) enum Goal<'t> {
    /// What rings for an extension.
    Extension(&'t Extension, Vec<Target>),
    /// One phone, named by its GRUU.
    Phone(Vec<Target>),
    /// The phones that called for help and showed this number.
    CallBack(Vec<Target>),
    /// The places of a route, the first one first.
    Outside(&'t Route, Vec<Target>),
}

/// Why it goes nowhere.
pub(super) enum NoGoal<'t> {
    /// Nobody has this number, and no route leads there.
    Unknown,
    /// The extension rings nowhere.
    Absent(&'t Extension),
    /// The phone that a GRUU names is not to be had.
    Gone,
    /// The tenant has barred the number.
    Barred,
}

/// Finds what rings when `user`, an unescaped user part, is called from within the tenant. `invite`: only calls go by
/// routes.
pub(super) fn find<'t>(
    ctx: &Context,
    tenant: &'t Tenant,
    user: &[u8],
    invite: bool,
    now: Now,
) -> Result<Goal<'t>, NoGoal<'t>> {
    match tenant.account(user) {
        Some(Account::Extension(index)) => {
            extension(ctx, tenant, &tenant.extensions[index as usize], invite, now)
        }
        // A device account is never callable (RULES §2), and looks like no account at all.
        Some(Account::Device(_)) => Err(NoGoal::Unknown),
        None => match tenant.extension_of_number(user) {
            Some(callee) => extension(ctx, tenant, callee, invite, now),
            None if invite => outside(ctx, tenant, user),
            None => Err(NoGoal::Unknown),
        },
    }
}

/// Finds the phone that a GRUU of the tenant names, as [`gruu::read`] reads it. A device account has none (RULES §4), and looks
/// like no account at all.
pub(super) fn of_gruu<'t>(
    ctx: &Context,
    tenant: &'t Tenant,
    phone: Option<&gruu::Phone>,
    now: Now,
) -> Result<Goal<'t>, NoGoal<'t>> {
    let phone = phone.ok_or(NoGoal::Unknown)?;
    let Some(Account::Extension(index)) = tenant.account(&phone.user) else { return Err(NoGoal::Unknown) };
    let extension = &tenant.extensions[index as usize];
    let mut targets = proxy::of_gruu(ctx, tenant, &extension.number, phone, now).ok_or(NoGoal::Unknown)?;
    targets.retain(|_| extension.enabled);
    if targets.is_empty() { Err(NoGoal::Gone) } else { Ok(Goal::Phone(targets)) }
}

/// Whose number `user` is of the tenants whose route leads to the sender, and what rings for it: extensions by the numbers
/// they have outside, and nothing else.
pub(super) fn of_peer<'s>(
    ctx: &Context,
    settings: &'s Settings,
    flow: &Flow,
    user: &[u8],
    now: Now,
) -> Option<(&'s Arc<Tenant>, Result<Goal<'s>, NoGoal<'s>>)> {
    let mut called =
        settings.tenants_of_peer(flow).filter_map(|tenant| Some((tenant, tenant.extension_of_number(user)?)));
    let (tenant, callee) = called.next()?;
    Some((tenant, extension(ctx, tenant, callee, true, now)))
}

fn extension<'t>(
    ctx: &Context,
    tenant: &Tenant,
    callee: &'t Extension,
    invite: bool,
    now: Now,
) -> Result<Goal<'t>, NoGoal<'t>> {
    let rings = callee.enabled.then(|| proxy::of_extension(ctx, tenant, &callee.number, now));
    let mut targets = rings.unwrap_or_default();
    if targets.is_empty() && invite && callee.enabled {
        targets = of_last_desk(ctx, tenant, callee, now);
    }
    if targets.is_empty() { Err(NoGoal::Absent(callee)) } else { Ok(Goal::Extension(callee, targets)) }
}

/// The desk that an extension has left, as long as it is kept and nobody sits there (CAP-23).
fn of_last_desk(ctx: &Context, tenant: &Tenant, callee: &Extension, now: Now) -> Vec<Target> {
    let desk = tenant.absent(callee).last_desk().and_then(|_| {
        let desk = ctx.tables.kept_desks.desk_of(&(&*tenant.id, &*callee.number), now.mono)?;
        let host = ctx.settings.tenant(desk.tenant()).filter(|host| host.customer == tenant.customer)?;
        let is_free = ctx.tables.seats.seat_at(&host.customer, &desk).is_none();
        (is_free && host.device(desk.name())?.enabled).then_some(desk)
    });
    desk.map_or_else(Vec::new, |desk| proxy::of_device(ctx, &desk, now))
}

fn outside<'t>(ctx: &Context, tenant: &'t Tenant, user: &[u8]) -> Result<Goal<'t>, NoGoal<'t>> {
    let dialled = number(user).ok_or(NoGoal::Unknown)?;
    let route = tenant.route(&dialled).ok_or(NoGoal::Unknown)?;
    let called = route.rewritten(&dialled).ok_or(NoGoal::Unknown)?;
    if tenant.outside.bars(&dialled) || tenant.outside.bars(&called) {
        return Err(NoGoal::Barred);
    }
    Ok(Goal::Outside(route, proxy::of_route(ctx, route, &called)))
}

/// True if the tenant has barred the number that `user` is.
pub(super) fn is_barred(tenant: &Tenant, user: &[u8]) -> bool {
    number(user).is_some_and(|dialled| {
        let called = tenant.route(&dialled).and_then(|route| route.rewritten(&dialled));
        tenant.outside.bars(&dialled) || called.is_some_and(|called| tenant.outside.bars(&called))
    })
}

/// What From says to the peer of a route, and the number that is asserted to it. Whoever wants to stay unknown is unknown
/// to the callee and not to the peer (RFC 3325 §7).
pub(super) fn shown_outside(
    tenant: &Tenant,
    route: &Route,
    person: Option<&Extension>,
    from: From,
) -> (From, Option<Vec<u8>>) {
    let own = person.and_then(|person| person.caller.as_deref());
    let Some(caller) = own.or(route.caller.as_deref()) else {
        return (from, person.map(|person| proxy::addr("", &person.number, tenant.realm())));
    };
    let asserted = proxy::addr("", caller, tenant.realm());
    let from = match from {
        From::Anonymous => From::Anonymous,
        From::Kept => From::Replaced { user: caller.into(), epoch: 0, addr: proxy::of_user(tenant, caller) },
        From::Replaced { epoch, .. } => {
            From::Replaced { user: caller.into(), epoch, addr: proxy::of_user(tenant, caller) }
        }
    };
    (from, Some(asserted))
}

/// Where a caller may try instead, as Contact of a 302.
pub(super) fn instead(tenant: &Tenant, callee: &Extension, invite: bool) -> Option<String> {
    tenant.absent(callee).contact(tenant.realm()).filter(|_| invite && callee.enabled)
}

/// What a caller hears of [`NoGoal`]; `instead` is what [`instead`] says of an extension that is absent (BASE-6, BASE-7).
pub(super) fn answer<'a>(no_goal: &NoGoal<'_>, instead: Option<&'a str>) -> Answer<'a> {
    match (no_goal, instead) {
        (NoGoal::Unknown, _) => Answer::new(404, "Not Found"),
        (NoGoal::Barred, _) => refused(Refusal::NumberBarred),
        (NoGoal::Absent(_), Some(contact)) => {
            Answer::with(302, "Moved Temporarily", sip::Name::Contact, contact)
        }
        (NoGoal::Absent(_), None) | (NoGoal::Gone, _) => Answer::new(480, "Temporarily Unavailable"),
    }
}

fn refused(refusal: Refusal) -> Answer<'static> {
    Answer::new(refusal.sip_status(), refusal.phrase())
}
