//! One change of one record: taken apart, changed, put back, with the indexes, the counts and the upkeep that follow.

use std::sync::atomic::Ordering::Relaxed;

use dashmap::mapref::entry::Entry;
use smallvec::SmallVec;

use super::draft::Draft;
use super::expiry::Upkeep;
use super::stored::Aor;
use super::{Location, is_name, record};
use crate::flow::Flow;
use crate::now::Mono;

/// Octets of most records with one binding or two: room to write one in.
const RECORD_LENGTH_TYPICAL: usize = 512;

impl Location {
    /// [`Self::update`] at a given key; without `upkeep` the record is put on no wheel and not queued for the store.
    pub(super) fn update_at<R>(
        &self,
        key: u64,
        tenant: &str,
        user: &[u8],
        now: Mono,
        upkeep: Option<&mut Upkeep>,
        change: impl FnOnce(&mut Draft<'_>) -> R,
    ) -> R {
        let mut entry = self.records.entry(key);
        let bucket: &[u8] = match &entry {
            Entry::Occupied(entry) => entry.get(),
            Entry::Vacant(_) => &[],
        };
        let range = record::find(bucket, tenant, user);
        let old = range.clone().map_or(&[][..], |range| &bucket[range]);
        let before = if old.is_empty() { 0 } else { usize::from(old[3]) };
        let mut draft = if old.is_empty() { Draft::empty(now) } else { record::decode(old, now) };
        let expired = draft.expire();

        let result = change(&mut draft);

        let after = draft.bindings().len();
        if old.is_empty() && (!is_name(tenant, user) || draft.due().is_none()) {
            return result;
        }
        if draft.moved && (draft.is_indexed() || !old.is_empty() && record::is_indexed(old)) {
            self.reindex(key, (tenant, user), old, &draft, now);
        }
        if draft.moved {
            let was = (!old.is_empty()).then(|| record::bindings(old)).into_iter().flatten();
            self.crowds.change(&self.hasher, was, draft.bindings());
        }
        self.count(before, after);
        let mut local = Vec::new();
        let scratch = match upkeep {
            Some(upkeep) => {
                upkeep.expired += expired;
                if draft.behind && !draft.rebuilt {
                    draft.lagging_since = upkeep.lag(key, draft.lagging_since, now);
                }
                if let Some(due) = draft.due() {
                    draft.armed = Some(upkeep.arm(key, draft.armed, due, now));
                }
                &mut upkeep.scratch
            }
            None => &mut local,
        };
        scratch.clear();
        if draft.due().is_some() {
            record::encode(&draft, tenant, user, scratch);
        }
        drop(draft);
        match (&mut entry, range) {
            (Entry::Occupied(entry), Some(range)) if range.len() == scratch.len() => {
                entry.get_mut()[range].copy_from_slice(scratch);
            }
            (Entry::Occupied(_), range) => {
                let Entry::Occupied(mut entry) = entry else { unreachable!("matched") };
                let bucket = entry.get();
                let range = range.unwrap_or(bucket.len()..bucket.len());
                let rebuilt = [&bucket[..range.start], scratch, &bucket[range.end..]].concat();
                if rebuilt.is_empty() {
                    entry.remove();
                } else {
                    entry.insert(rebuilt.into());
                }
            }
            (Entry::Vacant(_), _) => {
                let Entry::Vacant(entry) = entry else { unreachable!("matched") };
                entry.insert(scratch.as_slice().into());
            }
        }
        result
    }

    /// Puts a whole record where there is none, on no wheel and not queued for the store: as [`Self::update_at`] would,
    /// but with bindings that borrow from elsewhere, and written once. False, and nothing is done, if the place is taken
    /// or there is nothing in `draft`.
    pub(super) fn insert_at(
        &self,
        key: u64,
        tenant: &str,
        user: &[u8],
        now: Mono,
        draft: &Draft<'_>,
    ) -> bool {
        let live = draft.bindings().len();
        let Entry::Vacant(entry) = self.records.entry(key) else { return false };
        if live == 0 {
            return false;
        }
        if draft.is_indexed() {
            self.reindex(key, (tenant, user), &[], draft, now);
        }
        self.crowds.change(&self.hasher, std::iter::empty(), draft.bindings());
        self.count(0, live);
        let mut record = Vec::with_capacity(RECORD_LENGTH_TYPICAL);
        record::encode(draft, tenant, user, &mut record);
        entry.insert(record.as_slice().into());
        true
    }

    /// Makes the indexes tell of `draft` instead of `old`.
    fn reindex(&self, key: u64, (tenant, user): (&str, &[u8]), old: &[u8], draft: &Draft<'_>, now: Mono) {
        let before = if old.is_empty() { Draft::empty(now) } else { record::decode(old, now) };
        let flows = |draft: &Draft<'_>| -> SmallVec<[Flow; 2]> {
            let device = draft.device_account;
            let flows = draft.bindings().iter().filter_map(|binding| binding.flow);
            flows.filter(|flow| device || flow.is_reliable()).collect()
        };
        let (gone, come) = (flows(&before), flows(draft));
        gone.iter()
            .filter(|flow| !come.contains(flow))
            .for_each(|flow| self.flows.remove(self.flow_hash(flow), key));
        come.iter()
            .filter(|flow| !gone.contains(flow))
            .for_each(|flow| self.flows.insert(self.flow_hash(flow), key));

        let instances = |draft: &Draft<'_>| -> SmallVec<[u64; 2]> {
            let known = draft
                .bindings()
                .iter()
                .filter(|binding| draft.device_account && !binding.instance.is_empty());
            known.map(|binding| self.instance_hash(tenant, &binding.instance)).collect()
        };
        let (gone, come) = (instances(&before), instances(draft));
        gone.iter().filter(|hash| !come.contains(hash)).for_each(|hash| self.instances.remove(*hash, key));
        come.iter().filter(|hash| !gone.contains(hash)).for_each(|hash| self.instances.insert(*hash, key));
        let aor = || Aor { tenant: tenant.into(), user: String::from_utf8_lossy(user).into() };
        match (gone.last(), come.last()) {
            (Some(hash), None) => self.departed.leave(aor(), *hash),
            (None, Some(_)) => self.departed.come_back(&aor()),
            _ => {}
        }
    }

    fn count(&self, before: usize, after: usize) {
        if after > before {
            self.bindings.fetch_add(after - before, Relaxed);
        } else if before > after {
            self.bindings.fetch_sub(before - after, Relaxed);
        }
        if before == 0 && after > 0 {
            self.aors.fetch_add(1, Relaxed);
        } else if before > 0 && after == 0 {
            self.aors.fetch_sub(1, Relaxed);
        }
    }
}
