//! The proxy core (RFC 3261 §16): one entry a forwarded request, with a branch for each place it was sent to.
//!
//! ```text
//!            begin                    1xx ──► passed on (100 not)
//!  request ─────► group of branches ─ 2xx ──► passed on, the other branches cancelled
//!                  │  (highest q)     6xx ──► the other branches cancelled, passed on when all have ended
//!                  │                  3xx–5xx, silence, loss: the branch has ended
//!                  └─ all ended ──► next group, else the best answer, else 480
//!
//!  seats change while it rings: branches to the losing device are cancelled, the new seat gets one
//! ```

mod branch;
mod dialog;
mod emergency;
mod forward;
mod identity;
mod outcome;
mod outside;
mod peer;
mod pidf_lo;
mod plan;
mod response;
mod ringing;
mod route;
mod sips;
mod target;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use smallvec::SmallVec;

pub(crate) use emergency::{
    Emergency, EmergencyCaller, ForHelp, WARNING as EMERGENCY_WARNING, called_back, emergency_caller,
    failed as emergency_failed, forget_call_backs, of_call_back, of_routes, tenant_visited,
};
pub(crate) use identity::{From, addr, from_of, of_place, of_user};
pub(crate) use outside::{of_route, refused as refused_outside};
pub(crate) use pidf_lo::located;
pub(crate) use plan::{Plan, Sender};
pub(crate) use route::{InDialog, in_dialog, own_routes};
pub(crate) use sips::is_sips;
pub(crate) use target::{Target, of_contacts, of_device, of_extension, of_gruu};

use crate::context::{Answer, Context, Owner, Work};
use crate::effect::Effect;
use crate::flow::Flow;
use crate::hash::NameHasher;
use crate::hotdesk::Place;
use crate::now::Mono;
use crate::return_path::NONCE_LENGTH;
use crate::slots::{SlotKey, Slots};
use crate::transaction::{self, ClientId, ServerId};
use branch::{answer, help_failed, opens_dialog, outgoing, pass_on_best, start_branch, way};
use forward::{Original, Outgoing};
use response::Best;

/// Names a forwarded request of this worker.
pub(crate) type ProxyKey = SlotKey;

/// One forwarded request.
struct Call {
    server: ServerId,
    flow: Flow,
    invite: bool,
    bye: bool,
    dialog: u64,
    loop_hash: u32,
    /// Under which the facts of the dialog are sealed that it may open; `None`: it opens none.
    nonce: Option<[u8; NONCE_LENGTH]>,
    plan: Plan,
    original: Original,
    branches: SmallVec<[Branch; 2]>,
    best: Best,
    /// A 2xx was passed on.
    answered: bool,
    /// The caller, or a 6xx, wants no further branches.
    closed: bool,
    /// The caller hung up: whatever the branches say now, he gets 487.
    cancelled: bool,
}

struct Branch {
    /// Its transaction: where the target asked who the edge is, the last of several.
    client: ClientId,
    target: Target,
    /// As which attempt it went there last.
    attempt: u8,
    began: Mono,
    /// It went over a connection to a peer.
    streamed: bool,
    /// It has given its final answer or will give none that counts.
    ended: bool,
    /// Its device lost the seat: only a 200 that crossed counts.
    left: bool,
    /// Nothing more came over its connection.
    lost: bool,
}

/// The forwarded requests of one worker.
pub(crate) struct Proxy {
    calls: Slots<Call>,
    /// Ringing INVITEs by the extension they are for.
    ringing: HashMap<Place, SmallVec<[ProxyKey; 1]>, NameHasher>,
    /// Answered INVITEs: kept while a repeated 2xx may still come (RFC 6026 Timer M), then forgotten.
    lingering: VecDeque<(Mono, ProxyKey)>,
    /// Where a request is copied while its branches are written.
    scratch: Vec<u8>,
}

/// A hash that stands for a dialog in the count of a device's calls; the same after a restart.
pub(crate) fn dialog_hash(call_id: &[u8]) -> u64 {
    siphasher::sip::SipHasher13::new().hash(call_id)
}

impl Proxy {
    /// Has room for so many requests: more than there are transactions it cannot use.
    pub(crate) fn new(calls_max: usize) -> Self {
        Self {
            calls: Slots::new(calls_max),
            ringing: HashMap::default(),
            lingering: VecDeque::new(),
            scratch: Vec::new(),
        }
    }

    /// Forwards a request whose server transaction has begun. `request` is what that transaction keeps.
    pub(crate) fn begin(
        &mut self,
        work: &mut Work<'_>,
        server: ServerId,
        request: &sip::Message<'_>,
        headers: &sip::Mandatory<'_>,
        plan: Plan,
        effects: &mut Vec<Effect>,
    ) {
        let Some(flow) = work.transactions.flow(server) else { return };
        let invite = request.method() == Some(sip::Method::Invite);
        let ringing_for = plan
            .extension
            .as_ref()
            .filter(|_| invite && !plan.in_dialog)
            .map(|extension| Place::new(&plan.tenant.id, extension));
        let dialog = dialog_hash(headers.call_id);
        if let Err(refused) = outside::admit(work, &plan, dialog, &flow, headers.call_id) {
            return work.respond(server, request, refused);
        }
        let opens_dialog = !plan.in_dialog && opens_dialog(request);
        let call = Call {
            server,
            flow,
            invite,
            bye: request.method() == Some(sip::Method::Bye),
            dialog,
            loop_hash: transaction::loop_hash(request, headers),
            nonce: opens_dialog.then(|| work.ctx.random.bytes()),
            original: Original::of(headers, matches!(plan.from, From::Replaced { .. }), plan.to.is_some()),
            plan,
            branches: SmallVec::new(),
            best: Best::default(),
            answered: false,
            closed: false,
            cancelled: false,
        };
        let outside = call.plan.outside.then(|| Arc::clone(&call.plan.tenant));
        if self.calls.is_full() {
            if let Some(tenant) = outside {
                outside::over(work, &tenant, dialog);
            }
            emergency::failed(work, &call.plan, "unreachable", 500);
            work.ctx.counters.tables_full += 1;
            return work.respond(server, request, Answer::new(500, "Too Many Requests Under Way"));
        }
        // Only what is under way will be seen to end: until here no phone counts as being in a call.
        if invite
            && !call.plan.in_dialog
            && let Some(device) = &call.plan.sender.device
        {
            work.ctx.tables.call_began(device, dialog, work.now.mono, call.plan.emergency.is_some());
        }
        if let Some(Emergency::Call(help)) = &call.plan.emergency {
            emergency::began(work, help.call.clone(), flow);
        }
        let key = self.calls.insert(call).expect("the table is not full");
        work.transactions.set_owner(server, Owner::Proxy(key));
        if let Some(place) = ringing_for {
            self.ringing.entry(place).or_default().push(key);
        }
        self.next_group(work, key, request, headers, effects);
    }

    /// Sends the request to the most preferred places not tried yet; if there are none left, answers.
    fn next_group(
        &mut self,
        work: &mut Work<'_>,
        key: ProxyKey,
        request: &sip::Message<'_>,
        headers: &sip::Mandatory<'_>,
        effects: &mut Vec<Effect>,
    ) {
        loop {
            let Some(call) = self.calls.get_mut(key) else { return };
            let first_q = match call.plan.targets.first() {
                Some(target) if !call.closed => target.q,
                _ => break,
            };
            let group = call.plan.targets.iter().take_while(|target| target.q == first_q).count();
            let group: SmallVec<[Target; 4]> = call.plan.targets.drain(..group).collect();
            let mut sent = false;
            for target in group {
                sent |= start_branch(work, key, call, request, headers, target);
            }
            if sent {
                return;
            }
        }
        self.conclude(work, key, effects);
    }

    /// All branches have ended: the caller gets the best answer (§16.7 item 6).
    fn conclude(&mut self, work: &mut Work<'_>, key: ProxyKey, effects: &mut Vec<Effect>) {
        let Some(call) = self.calls.get(key) else { return };
        if !call.answered && !call.cancelled {
            help_failed(work, call);
        }
        if !call.answered && !pass_on_best(work, call) {
            let mut scratch = std::mem::take(&mut self.scratch);
            scratch.clear();
            scratch.extend_from_slice(work.transactions.request(call.server).unwrap_or_default());
            if let Ok(request) = sip::Message::parse(&scratch, &sip::Limits::default()) {
                answer(work, call, &request);
            }
            self.scratch = scratch;
        }
        let Some(call) = self.calls.remove(key) else { return };
        self.forget_ringing(&call, key);
        if !call.answered && call.plan.emergency.is_some() {
            emergency::over(work, call.dialog);
        }
        if !call.answered && call.plan.outside {
            outside::over(work, &call.plan.tenant, call.dialog);
        }
        if call.invite
            && !call.answered
            && !call.plan.in_dialog
            && let Some(device) = &call.plan.sender.device
            && work.ctx.tables.call_ended(device, call.dialog, work.now.mono)
        {
            effects.push(Effect::Idle(device.clone()));
        }
    }

    /// Runs `act` with the request as its server transaction keeps it. False: that has ended (its connection is
    /// gone), and nobody waits for an answer.
    fn with_request(
        &mut self,
        work: &mut Work<'_>,
        key: ProxyKey,
        act: impl FnOnce(&mut Self, &mut Work<'_>, &sip::Message<'_>, &sip::Mandatory<'_>),
    ) -> bool {
        let Some(call) = self.calls.get(key) else { return false };
        let mut octets = std::mem::take(&mut self.scratch);
        octets.clear();
        octets.extend_from_slice(work.transactions.request(call.server).unwrap_or_default());
        let request = sip::Message::parse(&octets, &sip::Limits::default());
        let headers = request.as_ref().ok().and_then(|request| request.validate().ok());
        let is_there = headers.is_some();
        if let (Ok(request), Some(headers)) = (&request, &headers) {
            act(self, work, request, headers);
        }
        if self.scratch.capacity() < octets.capacity() {
            self.scratch = octets;
        }
        is_there
    }

    /// Passes on the ACK of a 2xx: it has no transaction, and is never answered (§16.11).
    pub(crate) fn forward_ack(
        &self,
        work: &mut Work<'_>,
        flow: &Flow,
        ack: &sip::Message<'_>,
        headers: &sip::Mandatory<'_>,
        plan: &Plan,
    ) {
        let Some(target) = plan.targets.first() else { return };
        if !sips::may_go(work.ctx, plan, ack.request_uri(), target) {
            return;
        }
        let branch = transaction::branch::stateless(&work.ctx.tables.branch_key, ack, headers);
        work.ctx.counters.requests_forwarded += 1;
        let for_peer = peer::acknowledgement(work, plan, target, headers);
        let write = |ctx: &Context, by: &Flow, buffer: &mut Vec<u8>| {
            let common = outgoing(plan, *flow, target, ctx.via(by));
            Outgoing { for_peer: for_peer.as_ref(), ..common }.write(ack, headers, &branch, buffer);
        };
        let by = way(work, target, write);
        work.out.message(by, |buffer| write(work.ctx, &by, buffer));
    }

    /// Forgets answered requests whose last repeated 2xx has passed.
    pub(crate) fn handle_timeout(&mut self, now: Mono) {
        while let Some((until, key)) = self.lingering.front().copied()
            && until <= now
        {
            self.lingering.pop_front();
            self.calls.remove(key);
        }
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub(crate) fn next_timeout(&self) -> Option<Mono> {
        self.lingering.front().map(|(until, _)| *until)
    }
}
