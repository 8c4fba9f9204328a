//! Requests for extensions and codes: what each is, who may send it, where it goes. Emergency calls have their own file.

use std::sync::Arc;

use super::credentials::authenticate;
use super::emergency;
use super::goal::{self, Goal, NoGoal};
use super::{Incoming, Rooms};
use crate::attendant::Caller;
use crate::context::{Answer, Owner, Work};
use crate::flow::Flow;
use crate::gruu;
use crate::hotdesk::{self, Dialled, Origin, Place};
use crate::phone;
use crate::proxy::{self, InDialog, Plan, Sender};
use crate::refusal::Refusal;
use crate::request_uri;
use crate::return_path::ORIGINAL_LENGTH_MAX;
use crate::seating;
use crate::settings::{Account, Device, Extension, HomePhones, Tenant};
use crate::transaction;

/// The methods the edge takes outside dialogs (RFC 3261 §20.5).
pub(super) const ALLOW: &str =
    "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, MESSAGE, INFO, REFER, NOTIFY, UPDATE, PRACK, SUBSCRIBE";

/// Who has proved to send a request outside a dialog.
struct Opener {
    tenant: Arc<Tenant>,
    account: Account,
    /// What the account is called.
    place: Place,
    /// The shared phone it comes from, if it is one: of another tenant where somebody visits that.
    device: Option<Place>,
}

impl Rooms {
    pub(super) fn on_new_request(&mut self, work: &mut Work<'_>, incoming: &Incoming<'_>) {
        let Incoming { flow, request, headers, .. } = *incoming;
        if let Some(answer) = refused_by_proxy_rules(work, request, headers) {
            return work.answer(flow, request, answer);
        }
        let uri = headers.request_uri.expect("a request has a Request-URI");
        // Its first hop has given away already what the scheme was to keep (RFC 3261 §26.2.2).
        let in_clear = (uri.scheme == sip::Scheme::Sips && !work.ctx.is_secure(flow))
            .then(|| Answer::new(403, "SIPS Over TLS Only"));
        if headers.to.tag().is_some() {
            // A phone may answer a call to `sip:` with a `sips:` contact: the scheme it was called by stands in our Route. And
            // any call can be hung up.
            let route = request.routes().next().and_then(Result::ok);
            let is_bound = request.method() != Some(sip::Method::Bye)
                && route.is_some_and(|route| proxy::is_sips(route.uri_raw));
            return match in_clear.filter(|_| is_bound) {
                Some(answer) => work.answer(flow, request, answer),
                None => self.on_in_dialog_request(work, incoming),
            };
        }
        if !matches!(uri.scheme, sip::Scheme::Sip | sip::Scheme::Sips | sip::Scheme::Tel)
            && !request_uri::is_service_sos(&uri)
        {
            return work.answer(flow, request, Answer::new(416, "Unsupported URI Scheme"));
        }
        let own_routes = proxy::own_routes(work.ctx, request);
        // Of `tel:` it is the number, without `phone-context` and other parameters (RFC 3966 §5.1).
        let user = uri.user_unescaped();
        let invite = request.method() == Some(sip::Method::Invite);
        // The emergency service may know us by a name of its own, and so may a peer.
        if invite
            && (self.takes_call_back(work, incoming, &user) || self.takes_call_of_peer(work, incoming, &user))
        {
            return;
        }
        let Some(tenant) = work.ctx.tenant_of(&uri, flow) else {
            return work.answer(flow, request, Answer::new(403, "Unknown Domain"));
        };

        if invite && self.takes_emergency(work, incoming, &tenant) {
            return;
        }
        if let Some(answer) = in_clear {
            return work.answer(flow, request, answer);
        }
        if !tenant.networks.admit(flow.remote.ip()) {
            return work.answer(flow, request, Answer::new(403, "Not From Here"));
        }
        if refuse_extensions(work, flow, request, sip::Name::ProxyRequire, &[]) {
            return;
        }
        if request.routes().count() > own_routes {
            // §16.3, and no open relay: what is to go through others is not carried.
            return work.answer(flow, request, Answer::new(403, "Relaying Denied"));
        }
        match request.method() {
            Some(sip::Method::Subscribe) => {
                return self.on_subscribe(work, incoming, &tenant);
            }
            Some(sip::Method::Bye | sip::Method::Update | sip::Method::Prack | sip::Method::Notify) => {
                return work.answer(flow, request, Answer::new(481, "Call/Transaction Does Not Exist"));
            }
            Some(
                sip::Method::Invite
                | sip::Method::Message
                | sip::Method::Info
                | sip::Method::Options
                | sip::Method::Refer,
            ) => {}
            // Nobody here knows what it asks for (§21.5.2); the rest is known, and not to be had here.
            Some(sip::Method::Other(_)) => {
                return work.answer(flow, request, Answer::new(501, "Not Implemented"));
            }
            _ => {
                let answer = Answer::with(405, "Method Not Allowed", sip::Name::Allow, ALLOW);
                return work.answer(flow, request, answer);
            }
        }
        let read = |here: &Tenant, device: Option<&Device>| match invite {
            true => hotdesk::dialled(&user, here.codes_at(device)),
            false => Dialled::NotACode,
        };
        // Who it is shows only now; until then From says which codes are meant, and with that how it is challenged.
        let from = headers.from_uri.user_unescaped();
        let claimed = str::from_utf8(&from).ok().and_then(|id| tenant.device(id));
        let is_code = read(&tenant, claimed) != Dialled::NotACode;
        let Some(account) = authenticate(work, flow, request, headers, &tenant, !is_code) else { return };
        let name = tenant.credentials(account).0;
        let place = Place::new(&tenant.id, name);
        let device = match account {
            Account::Device(_) => Some(place.clone()),
            Account::Extension(_) => phone::device_of_flow(work.ctx, &tenant, name, flow, work.now),
        };
        // A visitor dials the codes of where he is, also with an account of where he is at home.
        let visited = device.as_ref().filter(|device| *device.tenant() != *tenant.id);
        let visited = visited.and_then(|device| work.ctx.settings.tenant(device.tenant()));
        let here = Arc::clone(visited.unwrap_or(&tenant));
        let dialled = read(&here, device.as_ref().and_then(|device| here.device(device.name())));
        if dialled == Dialled::NotACode {
            let opener = Opener { tenant, account, place, device };
            self.on_call(work, incoming, opener, &user, own_routes);
        } else {
            let caller = device.map_or(Caller::Extension(place), Caller::Device);
            self.on_code(work, incoming, &here, caller, dialled);
        }
    }

    fn on_in_dialog_request(&mut self, work: &mut Work<'_>, incoming: &Incoming<'_>) {
        let Incoming { flow, request, headers, key } = *incoming;
        if let Some(call) = self.attendant.call_of(headers) {
            let Ok(server) = work.transactions.begin_server(work.now.mono, key, flow, request, Owner::Nobody)
            else {
                return table_full(work, flow, request, false);
            };
            return self.attendant.on_request(work, call, server, request, &mut self.effects);
        }
        if request.method() == Some(sip::Method::Subscribe) && self.takes_subscribe_within(work, incoming) {
            return;
        }
        match proxy::in_dialog(work.ctx, flow, request, headers, work.now) {
            InDialog::Ours(plan) => {
                if let Some(answer) = refused_at_peer(work, incoming, &plan) {
                    return work.answer(flow, request, answer);
                }
                self.forward(work, incoming, *plan);
            }
            InDialog::Foreign => work.answer(flow, request, Answer::new(403, "Not Your Dialog")),
            InDialog::Unknown => {
                work.answer(flow, request, Answer::new(481, "Call/Transaction Does Not Exist"));
            }
        }
    }

    /// A request of an authenticated account for an extension.
    fn on_call(
        &mut self,
        work: &mut Work<'_>,
        incoming: &Incoming<'_>,
        opener: Opener,
        user: &[u8],
        own_routes: usize,
    ) {
        let Incoming { flow, request, headers, .. } = *incoming;
        let Opener { tenant, account, place, device } = opener;
        if matches!(account, Account::Extension(index) if !tenant.extensions[index as usize].enabled) {
            return work.answer(flow, request, Answer::new(403, "Switched Off"));
        }
        let seat = match account {
            Account::Device(_) => work.ctx.tables.seats.seat_at(&tenant.customer, &place),
            Account::Extension(_) => None,
        };
        if let Account::Extension(index) = account
            && let Err(reason) = may_speak(work, &tenant, &tenant.extensions[index as usize], device.as_ref())
        {
            return work.answer(flow, request, Answer::new(403, reason));
        }
        // Dial plan, routes, limits and domain are those of where the person is at home.
        let home = match &seat {
            Some(seat) => seating::home_of_speaker(&work.ctx.settings, seat).cloned(),
            None => Some(Arc::clone(&tenant)),
        };
        let Some(home) = home else {
            return work.answer(flow, request, Answer::new(403, "Nobody Is Logged In Here"));
        };
        let sitting =
            seat.as_ref().and_then(|seat| Some((home.extension(seat.extension.name())?, seat.epoch)));
        let base = || match account {
            Account::Device(index) => tenant.base_extension(&tenant.devices[index as usize]),
            Account::Extension(_) => None,
        };
        let sitting = sitting.or_else(|| base().filter(|base| base.enabled).map(|base| (base, 0)));
        let invite = request.method() == Some(sip::Method::Invite);
        if matches!(account, Account::Device(_))
            && sitting.is_none()
            && !(invite && tenant.base.lets_call(user))
        {
            // Base state: codes and emergency numbers were served before; nothing else is (BASE-2), but for what the tenant
            // lets everybody call (BASE-4).
            return work.answer(flow, request, Answer::new(403, "Nobody Is Logged In Here"));
        }
        let Ok(from) = proxy::from_of(work.ctx, &tenant, &home, account, sitting, &headers.from_uri) else {
            return work.answer(flow, request, Answer::new(403, "From Is Not Yours"));
        };
        let uri = headers.request_uri.as_ref().expect("a request has a Request-URI");
        let found = match gruu::read(&work.ctx.keys, &home, uri) {
            Some(phone) => goal::of_gruu(work.ctx, &home, phone.as_ref(), work.now),
            None => goal::find(work.ctx, &home, user, invite, work.now),
        };
        let sender = Sender { account: Some(place), device };
        let goal = match found {
            goal @ (Err(NoGoal::Unknown | NoGoal::Barred) | Ok(Goal::Outside(..))) if invite => {
                // A phone that called for help can be called by the number it showed, whatever way leads outside.
                let targets = emergency::of_shown_number(work, &home, user);
                if targets.is_empty() { goal } else { Ok(Goal::CallBack(targets)) }
            }
            goal => goal,
        };
        let goal = match goal {
            Ok(goal) => goal,
            Err(no_goal) => {
                if matches!(no_goal, NoGoal::Barred) {
                    let origin = Origin::of_request(flow.remote, headers.call_id);
                    proxy::refused_outside(work, Refusal::NumberBarred, &home, &sender, &origin);
                }
                return refuse_goal(work, flow, request, &home, &no_goal);
            }
        };
        let (mut extension, mut asserted, mut from) = (None, None, from);
        let (outside, targets) = match goal {
            Goal::Extension(callee, targets) => {
                extension = Some(callee.number.clone());
                (false, targets)
            }
            Goal::CallBack(targets) | Goal::Phone(targets) => (false, targets),
            Goal::Outside(route, targets) => {
                let person = match account {
                    Account::Extension(index) => tenant.extensions.get(index as usize),
                    Account::Device(_) => sitting.map(|(person, _)| person),
                };
                (from, asserted) = goal::shown_outside(&home, route, person, from);
                (true, targets)
            }
        };
        if matches!(from, proxy::From::Replaced { .. }) && !can_come_back(headers) {
            return work.answer(flow, request, Answer::new(513, "From Too Long"));
        }
        let plan =
            Plan { sender, outside, extension, from, asserted, ..Plan::new(&home, targets, own_routes) };
        work.ctx.counters.invites += u64::from(invite);
        work.ctx.counters.outside_calls += u64::from(plan.outside);
        self.forward(work, incoming, plan);
    }

    /// A call from an address that a route leads to: it rings extensions by the numbers they have outside, and goes on to
    /// nobody else. False: it is none.
    fn takes_call_of_peer(&mut self, work: &mut Work<'_>, incoming: &Incoming<'_>, user: &[u8]) -> bool {
        let Incoming { flow, request, .. } = *incoming;
        if work.ctx.settings.tenants_of_peer(flow).next().is_none() {
            return false;
        }
        let settings = Arc::clone(&work.ctx.settings);
        let own_routes = proxy::own_routes(work.ctx, request);
        if refuse_extensions(work, flow, request, sip::Name::ProxyRequire, &[]) {
            return true;
        }
        if request.routes().count() > own_routes {
            work.answer(flow, request, Answer::new(403, "Relaying Denied"));
            return true;
        }
        let (tenant, callee, targets) = match goal::of_peer(work.ctx, &settings, flow, user, work.now) {
            Some((tenant, Ok(Goal::Extension(callee, targets)))) => (tenant, callee, targets),
            Some((tenant, Err(no_goal))) => {
                refuse_goal(work, flow, request, tenant, &no_goal);
                return true;
            }
            Some((_, Ok(Goal::Outside(..) | Goal::CallBack(_) | Goal::Phone(_)))) | None => {
                work.answer(flow, request, Answer::new(404, "Not Found"));
                return true;
            }
        };
        let plan = Plan { extension: Some(callee.number.clone()), ..Plan::new(tenant, targets, own_routes) };
        work.ctx.counters.invites += 1;
        self.forward(work, incoming, plan);
        true
    }

    /// Begins the server transaction and forwards.
    pub(super) fn forward(&mut self, work: &mut Work<'_>, incoming: &Incoming<'_>, plan: Plan) {
        let Incoming { flow, request, headers, key } = *incoming;
        let is_new = !plan.in_dialog && plan.emergency.is_none();
        let room = if is_new { work.transactions.room_for_new() } else { Ok(()) };
        let begin = |()| work.transactions.begin_server(work.now.mono, key, flow, request, Owner::Nobody);
        let Ok(server) = room.and_then(begin) else {
            proxy::emergency_failed(work, &plan, "unreachable", 500);
            return table_full(work, flow, request, plan.emergency.is_some());
        };
        if request.method() == Some(sip::Method::Invite) {
            work.respond(server, request, Answer::new(100, "Trying"));
        }
        let mut effects = std::mem::take(&mut self.effects);
        self.proxy.begin(work, server, request, headers, plan, &mut effects);
        self.effects = effects;
    }
}

/// What a phone may not ask of a peer within a call: what it might not call, and to call somebody itself, which nobody would
/// count.
fn refused_at_peer(work: &mut Work<'_>, incoming: &Incoming<'_>, plan: &Plan) -> Option<Answer<'static>> {
    let Incoming { flow, request, headers, .. } = *incoming;
    if plan.sender.account.is_none() || plan.targets.iter().all(|target| target.account.is_some()) {
        return None;
    }
    match request.method()? {
        sip::Method::Refer => Some(Answer::new(403, "No REFER To Gateways")),
        sip::Method::Invite => {
            let user = headers.request_uri.as_ref()?.user_unescaped();
            goal::is_barred(&plan.tenant, &user).then(|| {
                let origin = Origin::of_request(flow.remote, headers.call_id);
                let barred = Refusal::NumberBarred;
                proxy::refused_outside(work, barred, &plan.tenant, &plan.sender, &origin);
                Answer::new(barred.sip_status(), barred.phrase())
            })
        }
        _ => None,
    }
}

/// Says why a call goes nowhere, and where else to try.
fn refuse_goal(
    work: &mut Work<'_>,
    flow: &Flow,
    request: &sip::Message<'_>,
    tenant: &Tenant,
    no_goal: &NoGoal<'_>,
) {
    let invite = request.method() == Some(sip::Method::Invite);
    let instead = match no_goal {
        NoGoal::Absent(callee) => goal::instead(tenant, callee, invite),
        NoGoal::Unknown | NoGoal::Gone | NoGoal::Barred => None,
    };
    work.answer(flow, request, goal::answer(no_goal, instead.as_deref()));
}

/// True if From can be replaced and put back within the dialog, for which it is kept in a Record-Route.
pub(super) fn can_come_back(headers: &sip::Mandatory<'_>) -> bool {
    headers.from.addr_raw.len() <= ORIGINAL_LENGTH_MAX
}

/// Whether a phone with an extension's own account may call as it: a desk phone while it holds the seat, so that no
/// loser calls as the person it lost, and any other only where the extension may have ordinary phones.
fn may_speak(
    work: &Work<'_>,
    tenant: &Tenant,
    extension: &Extension,
    device: Option<&Place>,
) -> Result<(), &'static str> {
    match device {
        Some(device) => {
            let seat = work.ctx.tables.seats.seat_at(&tenant.customer, device);
            let place = Place::new(&tenant.id, &extension.number);
            if seat.is_some_and(|seat| seat.extension == place) { Ok(()) } else { Err("Logged Out Here") }
        }
        None if extension.own_phones_max == 0 => Err("No Ordinary Phones For This Extension"),
        None if tenant.home_phones(extension) == HomePhones::Base && sits(work, tenant, extension) => {
            Err("Logged In At A Shared Phone")
        }
        None => Ok(()),
    }
}

fn sits(work: &Work<'_>, tenant: &Tenant, extension: &Extension) -> bool {
    let seats = work.ctx.tables.seats.seats_of(&tenant.customer, &(&*tenant.id, &*extension.number));
    !seats.is_empty()
}

/// What every proxy must refuse (RFC 3261 §16.3): too many hops, and a request that has been here before and
/// has not changed since.
fn refused_by_proxy_rules(
    work: &Work<'_>,
    request: &sip::Message<'_>,
    headers: &sip::Mandatory<'_>,
) -> Option<Answer<'static>> {
    if headers.max_forwards == Some(0) {
        return Some(Answer::new(483, "Too Many Hops"));
    }
    let loops = |branch: Option<&[u8]>| {
        branch
            .and_then(|branch| transaction::branch::decode(branch, &work.ctx.tables.branch_key))
            .is_some_and(|branch| branch.loop_hash == transaction::loop_hash(request, headers))
    };
    let top = headers.via;
    // What comes from a phone has one Via, and that one has been read.
    let is_alone = request.headers(sip::Name::Via).map(<[u8]>::len).eq([top.raw.len()]);
    let loops = loops(top.branch)
        || (!is_alone && request.vias().skip(1).map_while(Result::ok).any(|via| loops(via.branch)));
    loops.then_some(Answer::new(482, "Loop Detected"))
}

/// 420 with every option tag of `header` that is not `known` where it stands (§16.3 item 5, §8.2.2.3). False: there is
/// none.
pub(crate) fn refuse_extensions(
    work: &mut Work<'_>,
    flow: &Flow,
    request: &sip::Message<'_>,
    header: sip::Name,
    known: &[&str],
) -> bool {
    if !request.has(header) {
        return false;
    }
    let is_known = |tag: &[u8]| known.iter().any(|known| tag.eq_ignore_ascii_case(known.as_bytes()));
    let tags: Vec<_> = request.option_tags(header).filter(|tag| !is_known(tag)).collect();
    if tags.is_empty() {
        return false;
    }
    let tags = tags.join(&b", "[..]);
    let tags = String::from_utf8_lossy(&tags);
    work.answer(flow, request, Answer::with(420, "Bad Extension", sip::Name::Unsupported, &tags));
    true
}

pub(super) fn table_full(work: &mut Work<'_>, flow: &Flow, request: &sip::Message<'_>, emergency: bool) {
    work.ctx.counters.tables_full += 1;
    let answer = if emergency {
        // On 503 a phone leaves the edge for a while, and its next emergency call with it.
        Answer::new(500, "Too Many Transactions")
    } else {
        Answer::with(503, "Too Many Transactions", sip::Name::RetryAfter, "10")
    };
    work.answer(flow, request, answer);
}
