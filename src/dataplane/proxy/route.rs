//! Requests within a dialog: whose are they, and where do they go. Nothing is remembered; the sealed parameter
//! of our Record-Route says it all (RFC 3261 §16.4, §16.12).

use std::sync::Arc;

use super::{From, Plan, Sender, Target, of_user, target};
use crate::context::Context;
use crate::flow::Flow;
use crate::gruu;
use crate::hotdesk::Place;
use crate::now::Now;
use crate::return_path::{self, Party};
use crate::settings::{Account, Tenant};
use crate::upstream::{Numbering, Renumbered};

/// What a request with a To tag is.
pub(crate) enum InDialog {
    /// It belongs to a dialog that went through here.
    Ours(Box<Plan>),
    /// It comes from somewhere else than either end of its dialog.
    Foreign,
    /// No dialog of ours.
    Unknown,
}

/// Route values on top that may be ours: one, two where the legs differ (RFC 5658), and the outbound proxy a phone may
/// put before them.
const OWN_ROUTES_MAX: usize = 3;

/// Record-Route values that one request gets: two where the legs differ (RFC 5658).
const RECORDED_MAX: usize = 2;

/// How many Route values on top name this edge, at most [`OWN_ROUTES_MAX`].
pub(crate) fn own_routes(ctx: &Context, request: &sip::Message<'_>) -> usize {
    own_params(ctx, request).count()
}

/// The sealed parameter, if there is one, of each Route value on top that names this edge.
fn own_params<'a>(ctx: &Context, request: &sip::Message<'a>) -> impl Iterator<Item = Option<&'a [u8]>> {
    request.values(sip::Name::Route).map_while(|route| own_param(ctx, route)).take(OWN_ROUTES_MAX)
}

/// Where in a response our Record-Route has what we sealed under `nonce`: one that came by here twice has others too.
pub(super) fn recorded<'a>(
    ctx: &Context,
    response: &sip::Message<'a>,
    nonce: [u8; return_path::NONCE_LENGTH],
) -> impl Iterator<Item = &'a [u8]> {
    let values = response.values(sip::Name::RecordRoute).filter_map(|route| own_param(ctx, route).flatten());
    values.filter(move |sealed| return_path::nonce_of(sealed) == Some(nonce)).take(RECORDED_MAX)
}

/// `None` if the route is not this edge; else its sealed parameter, if it has one.
fn own_param<'a>(ctx: &Context, route: &'a [u8]) -> Option<Option<&'a [u8]>> {
    // Nearly every route comes back as it was recorded.
    let recorded = ctx.settings.behind_own_uri(route).and_then(|behind| {
        let sealed = behind.strip_prefix(return_path::URI_PARAMS)?.strip_suffix(b">")?;
        let goes_on = sealed.iter().fold(false, |seen, octet| seen | matches!(octet, b';' | b'?' | b'>'));
        (!goes_on).then_some(sealed)
    });
    if recorded.is_some() {
        return Some(recorded);
    }
    let uri = sip::NameAddr::parse(route).ok()?.uri().ok()?;
    let is_own = ctx.settings.is_own_address(&uri);
    is_own.then(|| uri.params.get(return_path::PARAM).flatten())
}

/// Finds the dialog of a request by its topmost Route.
pub(crate) fn in_dialog(
    ctx: &Context,
    flow: &Flow,
    request: &sip::Message<'_>,
    headers: &sip::Mandatory<'_>,
    now: Now,
) -> InDialog {
    let sip::Mandatory { from, to, call_id, .. } = headers;
    let (mut own_routes, mut opened) = (0, None);
    for sealed in own_params(ctx, request) {
        own_routes += 1;
        opened = opened.or_else(|| return_path::open(&ctx.keys, sealed?, call_id));
    }
    let Some(opened) = opened else { return InDialog::Unknown };
    let Some(path) = opened.path() else { return InDialog::Unknown };
    let Some(tenant) = ctx.settings.tenant(path.tenant).cloned() else { return InDialog::Unknown };

    let by_opener = from.tag().is_some_and(|tag| opened.is_opener(tag));
    let by_callee = to.tag().is_some_and(|tag| opened.is_opener(tag));
    // The opener's copy names the far end's tag: by that of an early dialog, or of a call that is over, nothing new begins.
    let far_tag = if by_opener { to.tag() } else { from.tag() };
    if !opened.is_callee(far_tag.unwrap_or_default()).unwrap_or(!by_opener) {
        return InDialog::Unknown;
    }
    let (sender, receiver) = match (by_opener, by_callee) {
        (true, _) => (&path.opener, &path.callee),
        (false, true) => (&path.callee, &path.opener),
        (false, false) => return InDialog::Unknown,
    };
    if !speaks_for(ctx, sender, flow, now) {
        return InDialog::Foreign;
    }

    let uri = request.request_uri();
    let of_gruu = receiver.account.and_then(|account| of_gruu(ctx, account, receiver.flow, headers, now));
    let retargeted = of_gruu.is_some();
    let (uri, next) = match (&of_gruu, receiver.account) {
        (Some((uri, flow)), _) => (&**uri, *flow),
        (None, Some(account)) => (uri, target::current_flow(ctx, account, receiver.flow, uri, now)),
        (None, None) => (uri, receiver.flow),
    };

    // What was put into From at the start stays there; what the opener wrote is put back into the To it gets.
    // Each only if it is still what it was (RFC 4916 lets both change).
    let (mut from_out, mut to_out) = (From::Kept, None);
    if let Some(identity) = &path.identity {
        let shown = of_user(&tenant, identity.extension);
        if by_opener {
            if same_uri(from.addr_raw, identity.original) {
                from_out =
                    From::Replaced { user: identity.extension.into(), epoch: identity.epoch, addr: shown };
            }
        } else if same_uri(to.addr_raw, &shown) {
            to_out = Some(identity.original.to_vec());
        }
    }
    let numbering = match path.renumbered {
        Some(Renumbered::Opener(numbering)) if by_opener => Some(numbering),
        Some(Renumbered::Callee) if !by_opener => Some(Numbering::CALLEE),
        _ => None,
    };
    let (account, device) = places(ctx, sender);
    let sender = Sender { account, device };
    let (account, device) = places(ctx, receiver);
    let mut target = Target::party(account, device, uri, next);
    target.peer_account =
        numbering.and_then(|_| ctx.settings.peer_account(&tenant, next.remote)).map(Arc::clone);
    InDialog::Ours(Box::new(Plan {
        sender,
        from: from_out,
        to: to_out,
        in_dialog: true,
        retargeted,
        numbering,
        ..Plan::new(&tenant, vec![target], own_routes)
    }))
}

/// Where a request goes whose Request-URI is a GRUU of the receiver's account: to the contact of that phone which has the
/// flow of the dialog, else to one that can be reached.
fn of_gruu(
    ctx: &Context,
    (tenant, account): (&str, &str),
    last: Flow,
    headers: &sip::Mandatory<'_>,
    now: Now,
) -> Option<(Box<[u8]>, Flow)> {
    let tenant = ctx.settings.tenant(tenant)?;
    let phone = gruu::read(&ctx.keys, tenant, headers.request_uri.as_ref()?)??;
    if phone.user != account.as_bytes() {
        return None;
    }
    let contacts = target::contacts_of_gruu(ctx, tenant, &phone, now)?;
    let reached = contacts.into_iter().filter_map(|contact| Some((contact.uri, contact.flow?)));
    let mut reached: Vec<_> = reached.collect();
    let place = reached.iter().position(|(_, flow)| *flow == last).unwrap_or(0);
    (place < reached.len()).then(|| reached.swap_remove(place))
}

/// True if `flow` is that end of the dialog: the flow it had, or one its account is registered over now.
fn speaks_for(ctx: &Context, party: &Party<'_>, flow: &Flow, now: Now) -> bool {
    party.flow == flow.lasting()
        || party.account.is_some_and(|(tenant, account)| {
            ctx.tables.location.account_has_flow(tenant, account.as_bytes(), flow, now.mono)
        })
}

/// The account of one end of a dialog, and the device it is, if there still is such a device.
fn places(ctx: &Context, party: &Party<'_>) -> (Option<Place>, Option<Place>) {
    let place = |(tenant, name)| Place::new(tenant, name);
    let account = party.account.map(place);
    let is_there = |(tenant, name): &(&str, &str)| {
        ctx.settings.tenant(tenant).is_some_and(|it| it.device(name).is_some())
    };
    let device = party.device.filter(is_there).and_then(|device| match party.account {
        // Names that are shared are copied once.
        Some(own) if own == device => account.clone(),
        _ => Some(place(device)),
    });
    (account, device)
}

/// True if two `"Name" <uri>` name the same URI, octet for octet: what was put in is what must stand there.
fn same_uri(a: &[u8], b: &[u8]) -> bool {
    let uri = |addr| sip::NameAddr::parse(addr).map(|addr| addr.uri_raw);
    a == b || matches!((uri(a), uri(b)), (Ok(a), Ok(b)) if a == b)
}

/// The account a flow has proved to be by registering over it: of the user in From, or the device of that flow.
pub(super) fn account_of_flow(
    ctx: &Context,
    tenant: &Tenant,
    flow: &Flow,
    from_user: &[u8],
    now: Now,
) -> Option<Account> {
    if let Some(account) = tenant.account(from_user)
        && ctx.tables.location.account_has_flow(&tenant.id, from_user, flow, now.mono)
    {
        return Some(account);
    }
    let device = ctx.tables.location.device_of_flow(flow, now.mono)?;
    (*device.tenant == *tenant.id).then(|| tenant.account(device.user.as_bytes())).flatten()
}
