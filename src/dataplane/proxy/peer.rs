//! Requests to a peer that asks who the edge is: other numbers, and credentials (RFC 3261 §22.2, §22.3).

use super::{Branch, Plan, Proxy, ProxyKey, Target};
use crate::context::{Context, Work};
use crate::flow::Flow;
use crate::upstream::{ATTEMPT_LAST, Attempt, Credentials, InviteTo, Numbering, Renumbered};

/// The Warning of a request that a peer refused because it does not know the edge, or whose challenge the edge cannot
/// answer.
pub(super) const WARNING: &str = "399 hotdesk \"The gateway does not take the credentials of the edge\"";

/// What is different in a request on its way to such a peer.
pub(crate) struct ForPeer {
    cseq: Vec<u8>,
    rack: Option<Vec<u8>>,
    credentials: Option<Credentials>,
}

impl ForPeer {
    pub(super) fn write<'e>(&'e self, rewrite: &mut sip::Rewrite<'e, '_>) {
        rewrite.set(sip::Name::CSeq, &self.cseq);
        if let Some(rack) = &self.rack {
            rewrite.set(sip::Name::RAck, rack);
        }
        if let Some(credentials) = &self.credentials {
            rewrite.append(credentials.name, &credentials.value);
        }
    }
}

/// A CSeq.
pub(super) fn cseq(number: u32, method: sip::Method<'_>) -> Vec<u8> {
    [number.to_string().as_bytes(), b" ", method.as_bytes()].concat()
}

/// What a request is at its target as this attempt, if that asks who the edge is; with credentials if it has asked before.
pub(super) fn request(
    work: &mut Work<'_>,
    plan: &Plan,
    target: &Target,
    attempt: u8,
    request: &sip::Message<'_>,
    headers: &sip::Mandatory<'_>,
) -> Option<ForPeer> {
    let numbering = match plan.in_dialog {
        true => plan.numbering?,
        false => opened_as(target, headers.cseq.number, attempt)?,
    };
    let (method, number) = (headers.cseq.method, headers.cseq.number);
    let uri = if plan.in_dialog { request.request_uri() } else { &*target.uri };
    let credentials = target.peer_account.as_ref().and_then(|account| {
        let asked = (method.as_bytes(), uri);
        work.ctx.challenges.credentials(account, target.flow.remote, asked, &mut work.ctx.random)
    });
    if method == sip::Method::Invite {
        let sent = Attempt { number: attempt, credentials: credentials.clone() };
        work.ctx.tables.attempts.sent(work.now.mono, &invite_to(target, headers, number), sent);
    }
    Some(ForPeer {
        cseq: cseq(numbering.at_peer(number, attempt), method),
        rack: rack(work, target, &numbering, request, headers),
        credentials,
    })
}

/// The numbers of a dialog at a target that asks who the edge is, opened there as this attempt of the request `first`.
pub(super) fn opened_as(target: &Target, first: u32, attempt: u8) -> Option<Numbering> {
    target.peer_account.as_ref().map(|_| Numbering::of_opener(first).opened_by(attempt))
}

/// The same for the ACK of a 2xx, which has number and credentials of its INVITE (§13.2.2.4).
pub(super) fn acknowledgement(
    work: &Work<'_>,
    plan: &Plan,
    target: &Target,
    headers: &sip::Mandatory<'_>,
) -> Option<ForPeer> {
    let numbering = plan.numbering?;
    let number = headers.cseq.number;
    let (attempt, credentials) = attempt_of(work, target, &numbering, headers, number);
    let cseq = cseq(numbering.at_peer(number, attempt), sip::Method::Ack);
    Some(ForPeer { cseq, rack: None, credentials })
}

/// RAck of a PRACK names the INVITE by its number (RFC 3262 §7.2).
fn rack(
    work: &Work<'_>,
    target: &Target,
    numbering: &Numbering,
    request: &sip::Message<'_>,
    headers: &sip::Mandatory<'_>,
) -> Option<Vec<u8>> {
    let value = request.header(sip::Name::RAck)?;
    let value = value.trim_ascii_start();
    let (response, invite) = value.split_at(value.iter().position(u8::is_ascii_whitespace)?);
    let invite = sip::CSeq::parse(invite).ok()?;
    let (attempt, _) = attempt_of(work, target, numbering, headers, invite.number);
    let invite = cseq(numbering.at_peer(invite.number, attempt), invite.method);
    Some([response, b" ", &invite].concat())
}

/// As which attempt the phone's INVITE `number` went out that another request of the phone speaks of, and with what.
fn attempt_of(
    work: &Work<'_>,
    target: &Target,
    numbering: &Numbering,
    headers: &sip::Mandatory<'_>,
    number: u32,
) -> (u8, Option<Credentials>) {
    match work.ctx.tables.attempts.of(&invite_to(target, headers, number)) {
        Some(Attempt { number, credentials }) => (number, credentials),
        None => (numbering.attempt_of(number), None),
    }
}

fn invite_to<'a>(target: &Target, headers: &sip::Mandatory<'a>, cseq: u32) -> InviteTo<'a> {
    let from_tag = headers.from.tag().unwrap_or_default();
    InviteTo { peer: target.flow.remote, call_id: headers.call_id, from_tag, cseq }
}

impl Proxy {
    /// A branch was asked who the edge is, and the request goes there again with the answer (§22.2). False: it is not,
    /// and that was the last word.
    pub(super) fn is_asked_again(
        &mut self,
        work: &mut Work<'_>,
        key: ProxyKey,
        index: usize,
        flow: &Flow,
        response: &sip::Message<'_>,
    ) -> bool {
        let Some(call) = self.calls.get(key) else { return false };
        let branch = &call.branches[index];
        let is_over = call.answered || call.closed || branch.ended || branch.left;
        if is_over || !may_answer(work, branch, flow, response) {
            return false;
        }
        let attempt = branch.attempt + 1;
        self.send_again(work, key, index, attempt)
    }
}

/// True if a 401 or 407 of a branch will be answered: it is of the peer itself, for the realm of our account there, and the
/// request is not one that had the answer already, unless only the nonce was too old (RFC 7616 §3.3).
fn may_answer(work: &mut Work<'_>, branch: &Branch, flow: &Flow, response: &sip::Message<'_>) -> bool {
    let Some(account) = &branch.target.peer_account else { return false };
    let answerable = is_of(&branch.target, flow)
        .then(|| work.ctx.challenges.ask(account, branch.target.flow.remote, response))
        .flatten();
    let may = match (branch.attempt - branch.target.first_attempt(), answerable) {
        // What was sent along at first was for an older challenge, if anything was.
        (0, Some(_)) => true,
        (1, Some(answerable)) => answerable.stale && branch.attempt < ATTEMPT_LAST,
        _ => false,
    };
    let counters = &mut work.ctx.counters;
    counters.peer_challenges_answered += u64::from(may);
    counters.peer_challenges_refused += u64::from(!may);
    may
}

/// A peer has taken a request. It may want another nonce from now on.
pub(super) fn is_content(work: &mut Work<'_>, target: &Target, flow: &Flow, response: &sip::Message<'_>) {
    if let Some(account) = &target.peer_account
        && is_of(target, flow)
    {
        work.ctx.challenges.renew(account, target.flow.remote, response);
    }
}

/// True if a response comes from where its request went.
fn is_of(target: &Target, flow: &Flow) -> bool {
    let (asked, answers) = (target.flow.remote, flow.remote);
    asked.port() == answers.port() && asked.ip().to_canonical() == answers.ip().to_canonical()
}

/// What a dialog is that a peer which asks has opened: there the numbers of the phone's requests are others.
pub(super) fn opened_by_peer(ctx: &Context, plan: &Plan, from: &Flow) -> Option<Renumbered> {
    let is_peer = plan.sender.account.is_none() && from.lasting().connection.is_none();
    let account = is_peer.then(|| ctx.settings.peer_account(&plan.tenant, from.remote)).flatten();
    account.map(|_| Renumbered::Callee)
}
