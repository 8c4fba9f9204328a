//! INVITEs that ring for an extension: when seats change, they go to where it sits now (RULES §1).

use std::collections::hash_map::Entry;

use smallvec::SmallVec;

use super::branch::start_branch;
use super::target::of_extension;
use super::{Call, Proxy, ProxyKey, Target};
use crate::context::Work;
use crate::effect::Effect;
use crate::hotdesk::{Place, SeatChange};

impl Proxy {
    /// Seats changed: unanswered branches to a device that lost the seat are cancelled, and the INVITE goes to
    /// where the extension sits now (RULES §1).
    pub(crate) fn on_seats_changed(
        &mut self,
        work: &mut Work<'_>,
        change: &SeatChange,
        effects: &mut Vec<Effect>,
    ) {
        let begun = change.begun.as_ref();
        // A desk that was kept for somebody rings for nobody else, nor for who sits elsewhere now.
        let (person, desk) = begun.map_or((None, None), |seat| work.ctx.tables.kept_desks.sat_down(seat));
        let desk = desk.filter(|desk| begun.is_some_and(|seat| seat.device != *desk));
        let mut places: SmallVec<[&Place; 3]> = change.ended.iter().map(|seat| &seat.extension).collect();
        places.extend(begun.map(|seat| &seat.extension));
        places.dedup();
        places.extend(person.as_ref().filter(|person| !places.contains(person)));
        for place in places {
            let Some(keys) = self.ringing.get(place).cloned() else { continue };
            for key in keys {
                self.follow(work, key, place, change, desk.as_ref(), effects);
            }
        }
    }

    /// `kept` is the desk that was kept for whoever sits down elsewhere.
    fn follow(
        &mut self,
        work: &mut Work<'_>,
        key: ProxyKey,
        extension: &Place,
        change: &SeatChange,
        kept: Option<&Place>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(call) = self.calls.get_mut(key) else { return };
        if call.answered || call.closed {
            return;
        }
        let lost = |device: &Place| {
            change.ended.iter().any(|seat| seat.extension == *extension && seat.device == *device)
                || change.begun.as_ref().is_some_and(|seat| match seat.extension == *extension {
                    true => kept == Some(device),
                    false => seat.device == *device,
                })
        };
        call.plan.targets.retain(|target| !target.device.as_ref().is_some_and(lost));
        for branch in &mut call.branches {
            if branch.target.device.as_ref().is_some_and(lost) {
                branch.left = true;
                if !branch.ended {
                    work.transactions.cancel(work.now.mono, branch.client, work.out);
                }
            }
        }
        let gained =
            change.begun.as_ref().filter(|seat| seat.extension == *extension).map(|seat| &seat.device);
        if let Some(device) = gained {
            let now = work.now;
            // Another worker's change may be heard of after a call has begun that knew of it: no phone rings twice.
            let rung = call.branches.iter().filter(|branch| !branch.left).map(|branch| &branch.target);
            let is_known = |target: &Target| {
                let mut known = rung.clone().chain(&call.plan.targets);
                known.any(|known| known.flow == target.flow && known.uri == target.uri)
            };
            let fresh: Vec<Target> = of_extension(work.ctx, &call.plan.tenant, extension.name(), now)
                .into_iter()
                .filter(|target| target.device.as_ref() == Some(device) && !is_known(target))
                .collect();
            self.with_request(work, key, |proxy, work, request, headers| {
                let Some(call) = proxy.calls.get_mut(key) else { return };
                for target in fresh {
                    start_branch(work, key, call, request, headers, target);
                }
            });
        }
        let Some(call) = self.calls.get(key) else { return };
        // A loser that is still on its way out may have answered already; its last word is waited for.
        if call.plan.targets.is_empty() && call.branches.iter().all(|branch| branch.ended) {
            self.conclude(work, key, effects);
        }
    }

    pub(super) fn forget_ringing(&mut self, call: &Call, key: ProxyKey) {
        if let Some(extension) = &call.plan.extension {
            self.no_longer_rings(Place::new(&call.plan.tenant.id, extension), key);
        }
    }

    pub(super) fn no_longer_rings(&mut self, extension: Place, key: ProxyKey) {
        if let Entry::Occupied(mut keys) = self.ringing.entry(extension) {
            keys.get_mut().retain(|known| *known != key);
            if keys.get().is_empty() {
                keys.remove();
            }
        }
    }
}
