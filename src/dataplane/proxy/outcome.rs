//! What becomes of branches: an answer, silence, a lost connection, or a caller who hangs up first; and what follows for
//! the others.

use super::branch::{self, close, pass_on, refuses_place, start_branch};
use super::response::Best;
use super::{Emergency, Proxy, ProxyKey, dialog, outside, peer};
use crate::context::{Owner, Work};
use crate::effect::Effect;
use crate::flow::Flow;
use crate::hotdesk::Place;
use crate::transaction::{ClientId, Event};

impl Proxy {
    /// A response to one of our branches.
    #[expect(
        clippy::too_many_arguments,
        reason = "the facts of one response, each found once on the way here"
    )]
    pub(crate) fn on_response(
        &mut self,
        work: &mut Work<'_>,
        key: ProxyKey,
        client: ClientId,
        flow: &Flow,
        response: &sip::Message<'_>,
        headers: &sip::Mandatory<'_>,
        effects: &mut Vec<Effect>,
    ) {
        let code = response.status().unwrap_or(0);
        let Some(call) = self.calls.get_mut(key) else { return };
        let Some(index) = call.branches.iter().position(|branch| branch.client == client) else { return };
        match code {
            100 => return,
            101..=199 if call.answered || call.closed || call.branches[index].left => return,
            101..=199 => return pass_on(work, call, &call.branches[index], code, response, headers),
            200..=299 => {
                let repeated = call.branches[index].ended && call.answered;
                call.branches[index].ended = true;
                call.answered = true;
                dialog::session_refreshed(work, call, index, response, headers.cseq.method);
                peer::is_content(work, &call.branches[index].target, flow, response);
                pass_on(work, call, &call.branches[index], code, response, headers);
                if call.bye {
                    dialog::is_gone(work, call, effects);
                }
                if !repeated {
                    self.on_answered(work, key, effects);
                }
                return;
            }
            401 | 407 if self.is_asked_again(work, key, index, flow, response) => return,
            300..=699 => {}
            _ => return,
        }
        let Some(call) = self.calls.get_mut(key) else { return };
        if std::mem::replace(&mut call.branches[index].ended, true) {
            return;
        }
        if call.plan.in_dialog && matches!(code, 408 | 481) {
            // The far end knows no such call, so there is none (§12.2.1.2).
            dialog::is_gone(work, call, effects);
        }
        if self.fails_over(work, key, index, code) {
            return;
        }
        let Some(call) = self.calls.get_mut(key) else { return };
        if !call.branches[index].left && !call.cancelled {
            call.best.offer(code, response.bytes());
        }
        let of_route = call.branches[index].target.fails_over_after.is_some();
        if let Some(Emergency::Call(help)) = &call.plan.emergency {
            // §16.7 item 5 would end the search at a 6xx. Here the places are ways to one service, and a "decline" is that
            // of a gateway: the next one is tried. What is said of the place costs the place alone.
            let refused = &call.branches[index].target;
            if help.located.is_some() && !refused.unlocated && refuses_place(code) && !call.closed {
                let again = refused.unlocated();
                call.plan.targets.insert(0, again);
            }
        } else if (code >= 600 || of_route && !outside::fails_over(code)) && !call.branches[index].left {
            close(work, call);
        }
        self.branch_ended(work, key, index, effects);
    }

    /// The first 2xx: the other phones stop ringing (§16.7 item 10).
    fn on_answered(&mut self, work: &mut Work<'_>, key: ProxyKey, effects: &mut Vec<Effect>) {
        let Some(call) = self.calls.get_mut(key) else { return };
        close(work, call);
        if !call.invite {
            self.calls.remove(key);
            return;
        }
        // One that has ended was freed then, or answered too and is in the call.
        let losers = call.branches.iter().filter(|branch| !branch.ended);
        for device in losers.filter_map(|branch| branch.target.device.as_ref()) {
            dialog::freed(work, device, call.dialog, effects);
        }
        let until = work.now.mono + work.ctx.settings.timers.t1 * 64;
        self.lingering.push_back((until, key));
        if let Some(extension) = call.plan.extension.take() {
            let place = Place::new(&call.plan.tenant.id, &extension);
            self.no_longer_rings(place, key);
        }
    }

    /// A branch came to nothing by `code`: where it was the flow that failed, or nothing came back by it, the next flow of
    /// the same phone takes its place (RFC 5626 §7). False: there is none.
    fn fails_over(&mut self, work: &mut Work<'_>, key: ProxyKey, index: usize, code: u16) -> bool {
        let Some(call) = self.calls.get_mut(key) else { return false };
        let over = call.answered || call.closed || call.cancelled || call.branches[index].left;
        // What is no INVITE would come too late when nothing has come for so long (RFC 4320 §4.2).
        let is_flows = code == 430 || code == 408 && call.invite;
        let next = if is_flows && !over { call.branches[index].target.next_flow() } else { None };
        let Some(target) = next else { return false };
        let mut sent = false;
        self.with_request(work, key, |proxy, work, request, headers| {
            if let Some(call) = proxy.calls.get_mut(key) {
                sent = start_branch(work, key, call, request, headers, target);
            }
        });
        sent
    }

    /// The connection of a branch to a peer came to nothing before anything was heard on it: the request goes there again as a
    /// datagram (§18.1.1). False: it had none, or nobody waits for its answer any more.
    fn goes_as_datagram(&mut self, work: &mut Work<'_>, key: ProxyKey, client: ClientId) -> bool {
        let Some(call) = self.calls.get(key) else { return false };
        let index = call.branches.iter().position(|branch| branch.client == client && branch.streamed);
        let Some(index) = index else { return false };
        let branch = &call.branches[index];
        work.ctx.avoid_streams(work.now.mono, branch.target.flow);
        let is_over = call.answered || call.closed || branch.ended || branch.left;
        let attempt = branch.attempt;
        !is_over && self.send_again(work, key, index, attempt)
    }

    /// Sends the request of a branch once more, as this attempt. False: it could not be.
    pub(super) fn send_again(
        &mut self,
        work: &mut Work<'_>,
        key: ProxyKey,
        index: usize,
        attempt: u8,
    ) -> bool {
        let mut is_sent = false;
        self.with_request(work, key, |proxy, work, request, headers| {
            let Some(call) = proxy.calls.get_mut(key) else { return };
            is_sent = branch::send_again(work, key, call, index, attempt, request, headers);
        });
        is_sent
    }

    /// A branch gave its last word: the device is free of it; if it was the last, the next group or the answer follows.
    fn branch_ended(&mut self, work: &mut Work<'_>, key: ProxyKey, index: usize, effects: &mut Vec<Effect>) {
        let Some(call) = self.calls.get_mut(key) else { return };
        if call.invite
            && !call.plan.in_dialog
            && let Some(device) = &call.branches[index].target.device
        {
            dialog::freed(work, device, call.dialog, effects);
        }
        if call.answered || call.branches.iter().any(|branch| !branch.ended) {
            return;
        }
        let is_there = self.with_request(work, key, |proxy, work, request, headers| {
            proxy.next_group(work, key, request, headers, effects);
        });
        if !is_there {
            self.conclude(work, key, effects);
        }
    }

    /// The caller hung up before an answer (§16.10).
    pub(crate) fn cancel(&mut self, work: &mut Work<'_>, key: ProxyKey, effects: &mut Vec<Effect>) {
        let Some(call) = self.calls.get_mut(key) else { return };
        if call.answered || !call.invite {
            return;
        }
        close(work, call);
        call.cancelled = true;
        call.best = Best::default();
        call.best.offer(487, &[]);
        if call.branches.iter().all(|branch| branch.ended) {
            self.conclude(work, key, effects);
        }
    }

    /// A timer of a branch fired, or its connection went away.
    pub(crate) fn on_event(&mut self, work: &mut Work<'_>, event: &Event<Owner>, effects: &mut Vec<Effect>) {
        let (client, key, code) = match event {
            Event::ClientTimeout { client, owner: Owner::Proxy(key) } => (*client, *key, 408),
            Event::ClientLost { client, owner: Owner::Proxy(key), heard } => {
                if !heard && self.goes_as_datagram(work, *key, *client) {
                    return;
                }
                (*client, *key, 430)
            }
            Event::TimerC { client, owner: Owner::Proxy(_) } => {
                // §16.8: after a provisional answer the branch is cancelled and ends with its 487, or in silence.
                return work.transactions.cancel(work.now.mono, *client, work.out);
            }
            // Nobody is left to be told how it ends: the phones stop ringing.
            Event::ServerLost { owner: Owner::Proxy(key), .. } => return self.cancel(work, *key, effects),
            Event::NoAnswer { client, owner: Owner::Proxy(key) } => {
                work.ctx.counters.no_answer_from_phone += 1;
                work.transactions.cancel(work.now.mono, *client, work.out);
                (*client, *key, 408)
            }
            _ => return,
        };
        let Some(call) = self.calls.get_mut(key) else { return };
        let Some(index) = call.branches.iter().position(|branch| branch.client == client) else { return };
        if std::mem::replace(&mut call.branches[index].ended, true) {
            return;
        }
        call.branches[index].lost = matches!(event, Event::ClientLost { .. });
        if call.branches[index].streamed && code == 408 && !call.closed {
            // Whoever takes a connection and never says a word may be no SIP server, and one may be there for datagrams.
            let target = &call.branches[index].target;
            work.ctx.avoid_streams(work.now.mono, target.flow);
            if let Some(Emergency::Call(_)) = call.plan.emergency {
                // Or what stands before it takes them and passes nothing on. No help may hang on that, so when all other places
                // have been tried, this one is once more.
                let again = target.clone();
                call.plan.targets.push(again);
            }
        }
        if call.plan.in_dialog && (code == 408 || call.bye) {
            // §12.2.1.2, §15.1.1: neither does one that says nothing, or cannot be reached to be told of the end.
            dialog::is_gone(work, call, effects);
        }
        if self.fails_over(work, key, index, code) {
            return;
        }
        let Some(call) = self.calls.get_mut(key) else { return };
        if !call.branches[index].left && !call.cancelled {
            call.best.offer(code, &[]);
        }
        self.branch_ended(work, key, index, effects);
    }
}
