//! One place a request is sent to: the message that leaves, and what goes back to the caller.

use std::time::Duration;

use super::forward::{self, Outgoing, Recorded};
use super::{
    Branch, Call, EMERGENCY_WARNING, Emergency, From, Plan, ProxyKey, Target, emergency, peer, route, sips,
};
use crate::context::{Answer, Context, Owner, Work};
use crate::flow::Flow;
use crate::hotdesk::{Named, Place};
use crate::return_path::{DialogId, Identity, NONCE_LENGTH, Party, ReturnPath};
use crate::transaction::{self, ClientId};
use crate::upstream::Renumbered;

/// Branches of one request over all its groups and moves: eight seats or phones and as many again after a move.
/// It bounds what a fork loop can cost (RFC 5393).
const BRANCHES_MAX: usize = 16;

/// No further branches; those that stand are cancelled.
pub(super) fn close(work: &mut Work<'_>, call: &mut Call) {
    call.closed = true;
    call.plan.targets.clear();
    if !call.invite {
        return;
    }
    for branch in call.branches.iter().filter(|branch| !branch.ended) {
        work.transactions.cancel(work.now.mono, branch.client, work.out);
    }
}

/// Passes a provisional answer or a 2xx of a branch on to the caller. Where it makes a dialog, our Record-Route tells him of
/// that one alone.
pub(super) fn pass_on(
    work: &mut Work<'_>,
    call: &Call,
    branch: &Branch,
    code: u16,
    response: &sip::Message<'_>,
    headers: &sip::Mandatory<'_>,
) {
    let mut recorded = Recorded::default();
    if let (Some(nonce), Some(tag)) = (call.nonce, headers.to.tag()) {
        recorded.spans = route::recorded(work.ctx, response, nonce).collect();
        if !recorded.spans.is_empty() {
            recorded.sealed = seal(work, call, nonce, &branch.target, branch.attempt, headers, Some(tag));
        }
    }
    respond(work, call, code, response, headers, &recorded);
}

fn respond(
    work: &mut Work<'_>,
    call: &Call,
    code: u16,
    response: &sip::Message<'_>,
    headers: &sip::Mandatory<'_>,
    recorded: &Recorded<'_>,
) {
    work.ctx.counters.responses_forwarded += 1;
    work.transactions.respond(work.now.mono, call.server, code, work.out, |buffer| {
        forward::write_response(response, headers, &call.original, recorded, buffer);
    });
}

/// Answers with the best of what came. False: nothing came that the caller may see.
pub(super) fn pass_on_best(work: &mut Work<'_>, call: &Call) -> bool {
    let octets = call.best.octets();
    let response = octets.and_then(|octets| sip::Message::parse(octets, &sip::Limits::default()).ok());
    let Some(response) = response else { return false };
    let Ok(headers) = response.validate() else { return false };
    respond(work, call, call.best.code(), &response, &headers, &Recorded::default());
    true
}

/// A call for help came to nothing at every place it was sent to: the operator hears of it. Not so a call-back.
pub(super) fn help_failed(work: &mut Work<'_>, call: &Call) {
    let reason = if call.best.is_answer() { "refused" } else { "unreachable" };
    let code = if call.best.octets().is_some() { call.best.code() } else { own_code(call) };
    emergency::failed(work, &call.plan, reason, code);
}

/// The status of an answer in our own words. An emergency service that cannot be had is not a person who is not there now.
fn own_code(call: &Call) -> u16 {
    match (call.best.code(), &call.plan.emergency) {
        (480, Some(Emergency::Call(_))) => 500,
        (code, _) => code,
    }
}

/// True for an answer by which a gateway may mean the body with the place, or the header that points there: it takes one
/// body alone, or no such type, or none so large, or does not believe the place (RFC 6442 §4.2).
pub(super) fn refuses_place(code: u16) -> bool {
    matches!(code, 400 | 413 | 415 | 420 | 424 | 488 | 493 | 513 | 606)
}

/// Answers in our own words.
pub(super) fn answer(work: &mut Work<'_>, call: &Call, request: &sip::Message<'_>) {
    if call.best.is_silence() && !call.invite {
        // RFC 4320 §4.2: to a request that is no INVITE the answer would come too late to be heard.
        return;
    }
    let code = own_code(call);
    if let (500, Some(Emergency::Call(_))) = (code, &call.plan.emergency) {
        let answer =
            Answer::with(500, "Emergency Service Unreachable", sip::Name::Warning, EMERGENCY_WARNING);
        return work.respond(call.server, request, answer);
    }
    if call.best.asks_who_we_are() && call.branches.iter().any(|branch| branch.target.peer_account.is_some())
    {
        let answer = Answer::with(code, "Forbidden", sip::Name::Warning, peer::WARNING);
        return work.respond(call.server, request, answer);
    }
    if code == 480 && call.branches.is_empty() && sips::is_sips(request.request_uri()) {
        let answer = Answer::with(480, "Temporarily Unavailable", sip::Name::Warning, sips::NOT_ALLOWED);
        return work.respond(call.server, request, answer);
    }
    // Within a dialog it is not the person who cannot be had, but the phone that has not answered in time.
    let code = if call.plan.in_dialog && call.best.is_silence() { 408 } else { code };
    let reason = match code {
        403 => "Forbidden",
        408 => "Request Timeout",
        480 => "Temporarily Unavailable",
        487 => "Request Terminated",
        500 => "Server Internal Error",
        _ => "Not Answered",
    };
    work.respond(call.server, request, Answer::new(code, reason));
}

/// Sends the request to one place. False: it could not be, and the branch does not exist.
pub(super) fn start_branch(
    work: &mut Work<'_>,
    key: ProxyKey,
    call: &mut Call,
    request: &sip::Message<'_>,
    headers: &sip::Mandatory<'_>,
    mut target: Target,
) -> bool {
    if call.branches.len() >= BRANCHES_MAX {
        return false;
    }
    // A connection that has failed one contact leads to no other.
    let is_lost = |flow: Flow| {
        flow.connection.is_some()
            && call.branches.iter().any(|branch| branch.lost && branch.target.flow == flow)
    };
    while is_lost(target.flow) || !sips::may_go(work.ctx, &call.plan, request.request_uri(), &target) {
        let Some(next) = target.next_flow() else { return false };
        target = next;
    }
    let (attempt, no_answer) = (target.first_attempt(), patience(work, call, &target));
    let sent = send(work, key, call, request, headers, &target, attempt, no_answer);
    let Some((client, streamed)) = sent else { return false };
    let plan = &call.plan;
    if call.invite
        && !plan.in_dialog
        && let Some(device) = &target.device
    {
        work.ctx.tables.call_began(device, call.dialog, work.now.mono, plan.emergency.is_some());
    }
    let began = work.now.mono;
    call.branches.push(Branch {
        client,
        target,
        attempt,
        began,
        streamed,
        ended: false,
        left: false,
        lost: false,
    });
    true
}

/// Sends the request of a branch once more, as this attempt: with the answer to what its target has asked, or another way.
/// False: it could not be.
pub(super) fn send_again(
    work: &mut Work<'_>,
    key: ProxyKey,
    call: &mut Call,
    index: usize,
    attempt: u8,
    request: &sip::Message<'_>,
    headers: &sip::Mandatory<'_>,
) -> bool {
    let branch = &call.branches[index];
    // To ask who calls is no answer, nor is a connection that comes to nothing: what is left of the time in which one must
    // come is left to it, so that the next place is tried no later, but for one repetition.
    let left = |patience: Duration| patience.saturating_sub(work.now.mono.since(branch.began));
    let repeats = work.ctx.settings.timers.t1 * 2;
    let no_answer = patience(work, call, &branch.target).map(|patience| left(patience).max(repeats));
    let sent = send(work, key, call, request, headers, &branch.target, attempt, no_answer);
    let Some((client, streamed)) = sent else { return false };
    let branch = &mut call.branches[index];
    (branch.client, branch.attempt, branch.streamed) = (client, attempt, streamed);
    true
}

/// How long a place may say nothing at all: a phone is given up early, and so is a gateway that others may stand in for;
/// other peers have Timer B.
fn patience(work: &Work<'_>, call: &Call, target: &Target) -> Option<Duration> {
    let from_phone = work.ctx.settings.timers.no_answer_from_phone;
    match (&target.account, &call.plan.emergency) {
        _ if !call.invite || call.plan.in_dialog => None,
        (Some(_), _) | (None, Some(Emergency::CallBack)) => Some(from_phone / target.sharing),
        (None, Some(Emergency::Call(help))) => Some(help.no_answer),
        (None, None) => target.fails_over_after,
    }
}

/// Writes the request for a place and begins its transaction there; says whether it went over a connection to a peer.
#[expect(clippy::too_many_arguments, reason = "each says one thing about the request")]
fn send(
    work: &mut Work<'_>,
    key: ProxyKey,
    call: &Call,
    request: &sip::Message<'_>,
    headers: &sip::Mandatory<'_>,
    target: &Target,
    attempt: u8,
    no_answer: Option<Duration>,
) -> Option<(ClientId, bool)> {
    let (plan, uri) = (&call.plan, request.request_uri());
    let for_peer = peer::request(work, plan, target, attempt, request, headers);
    let sealed = match call.nonce {
        Some(nonce) => seal(work, call, nonce, target, attempt, headers, None),
        None => Vec::new(),
    };
    let contact = sips::contact(uri, target);
    let write = |ctx: &Context, flow: &Flow, branch: &[u8], buffer: &mut Vec<u8>| {
        // One Record-Route where both sides can use it, else one for each side (RFC 5658 §4). It says how the edge is to be
        // reached, whatever way this request takes.
        let sides = [ctx.own_uri(&call.flow, uri), ctx.own_uri(&target.flow, uri)];
        let record_route = match call.nonce {
            Some(_) if call.flow.listener == target.flow.listener => &sides[1..],
            Some(_) => &sides,
            None => &[],
        };
        let common = outgoing(plan, call.flow, target, ctx.via(flow));
        let outgoing = Outgoing {
            uri: common.uri.map(|_| &*contact),
            record_route,
            sealed: &sealed,
            for_peer: for_peer.as_ref(),
            ..common
        };
        outgoing.write(request, headers, branch, buffer);
    };
    let flow = way(work, target, |ctx, flow, buffer| {
        write(ctx, flow, &transaction::branch::UNKNOWN, buffer);
    });
    let begun = work.transactions.begin_client(
        work.now.mono,
        flow,
        call.invite,
        Owner::Proxy(key),
        call.loop_hash,
        no_answer,
        work.out,
        |buffer, branch| write(work.ctx, &flow, branch, buffer),
    );
    if begun.is_err() {
        work.ctx.counters.tables_full += 1;
    } else {
        work.ctx.counters.requests_forwarded += 1;
    }
    Some((begun.ok()?, flow != target.flow))
}

/// The way a request takes to `target`: to a phone always the flow of its binding. `write` writes it as it would go by a flow.
pub(super) fn way(
    work: &mut Work<'_>,
    target: &Target,
    write: impl Fn(&Context, &Flow, &mut Vec<u8>),
) -> Flow {
    if target.account.is_some() || target.flow.is_reliable() {
        return target.flow;
    }
    work.way_to_peer(target.flow, write)
}

/// What changes in a request on its way to `target`, but for Record-Route.
pub(super) fn outgoing<'a>(plan: &'a Plan, from: Flow, target: &'a Target, via: &'a [u8]) -> Outgoing<'a> {
    Outgoing {
        source: from.remote,
        uri: (!plan.in_dialog || plan.retargeted).then_some(&*target.uri),
        via,
        own_routes: plan.own_routes,
        record_route: &[],
        sealed: &[],
        from: match &plan.from {
            From::Replaced { addr, .. } => Some(addr),
            From::Kept | From::Anonymous => None,
        },
        to: plan.to.as_deref(),
        asserted: plan.asserted.as_deref(),
        add_privacy: plan.from == From::Anonymous,
        located: match &plan.emergency {
            Some(Emergency::Call(help)) if !target.unlocated => help.located.as_ref(),
            _ => None,
        },
        for_peer: None,
    }
}

/// True for methods that make a dialog, and so need to come by here again.
pub(super) fn opens_dialog(request: &sip::Message<'_>) -> bool {
    matches!(
        request.method(),
        Some(sip::Method::Invite | sip::Method::Subscribe | sip::Method::Refer | sip::Method::Notify)
    )
}

/// The sealed facts of the dialog that `target` may make of a request, or has made by a response with its tag. `message` is
/// that request or response.
fn seal(
    work: &Work<'_>,
    call: &Call,
    nonce: [u8; NONCE_LENGTH],
    target: &Target,
    attempt: u8,
    message: &sip::Mandatory<'_>,
    callee_tag: Option<&[u8]>,
) -> Vec<u8> {
    let plan = &call.plan;
    let original = call.original.from.as_deref().unwrap_or(message.from.addr_raw);
    let numbering = peer::opened_as(target, call.original.cseq, attempt);
    let path = ReturnPath {
        tenant: &plan.tenant.id,
        opener: party(plan.sender.account.as_ref(), plan.sender.device.as_ref(), call.flow.lasting()),
        callee: party(target.account.as_ref(), target.device.as_ref(), target.flow),
        identity: match &plan.from {
            From::Replaced { user, epoch, .. } => Some(Identity { extension: user, epoch: *epoch, original }),
            From::Kept | From::Anonymous => None,
        },
        renumbered: numbering
            .map(Renumbered::Opener)
            .or_else(|| peer::opened_by_peer(work.ctx, plan, &call.flow)),
    };
    let opener_tag = message.from.tag().unwrap_or_default();
    let dialog = DialogId { call_id: message.call_id, opener_tag, callee_tag };
    let mut sealed = Vec::with_capacity(256);
    path.seal(&work.ctx.keys, nonce, &dialog, &mut sealed);
    sealed
}

fn party<'p>(account: Option<&'p Place>, device: Option<&'p Place>, flow: Flow) -> Party<'p> {
    Party { account: account.map(Named::names), device: device.map(Named::names), flow }
}
