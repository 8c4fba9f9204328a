//! What a worker keeps of the location table's upkeep: a wheel of one-second slots for what will expire, and a
//! queue of what the store has yet to hear.
//!
//! A refresh touches neither: the wheel's entry fires at the old time, reads the record again and goes back on the
//! wheel; the queue holds a record once until it has been written.

use std::collections::VecDeque;

use smallvec::SmallVec;

use super::binding::seconds_up;
use super::draft::Armed;
use super::wheel::Wheel;
use super::{Location, record, stored};
use crate::flow::WorkerId;
use crate::now::{Mono, Now};
use crate::query::Record;

/// Whole seconds from a refresh to its way to the store. Counted from the second's start, so at most five in all.
const WRITE_BEHIND: u32 = 4;

/// A worker's share of the upkeep. If it is lost with its worker, [`Location::adopt`] makes
/// it anew.
#[derive(Debug)]
pub struct Upkeep {
    worker: WorkerId,
    write_behind: bool,
    wheel: Wheel,
    /// Keys of records and the second each was put here. A record is here once, or twice if a worker was lost.
    lagging: VecDeque<(u64, u32)>,
    /// Bindings that were found expired while something else was done.
    pub(super) expired: usize,
    /// Where records are encoded.
    pub(super) scratch: Vec<u8>,
}

impl Upkeep {
    /// Nothing to do yet. Without `write_behind` refreshes are not queued for a store.
    pub fn new(worker: WorkerId, write_behind: bool) -> Self {
        Self {
            worker,
            write_behind,
            wheel: Wheel::new(),
            lagging: VecDeque::new(),
            expired: 0,
            scratch: Vec::new(),
        }
    }

    /// When [`Location::expire`] or
    /// [`Location::write_behind`] have something to do.
    pub fn next_due(&self) -> Option<Mono> {
        let written = self.lagging.front().map(|(_, since)| since + WRITE_BEHIND);
        let due = [self.wheel.next(), written].into_iter().flatten().min();
        due.map(Mono::from_seconds)
    }

    /// Puts the record at `key`, due at `due`, on the wheel unless its entry there will do; returns its entry.
    pub(super) fn arm(&mut self, key: u64, armed: Option<Armed>, due: Mono, now: Mono) -> Armed {
        /// An entry that fires this much late changes nothing, since readers look at the expiry itself. So an entry
        /// is made beside an older one only for a gain, and a record has at most SPAN / LATE of them.
        const LATE: u32 = 30;
        /// An entry this much overdue belonged to a worker that was lost.
        const LOST: u32 = 60;
        let second = seconds_up(due);
        let now = now.seconds();
        match armed {
            Some(armed)
                if armed.second <= second.saturating_add(LATE) && now < armed.second.saturating_add(LOST) =>
            {
                armed
            }
            _ => Armed { worker: self.worker, second: self.wheel.insert(key, second, now) },
        }
    }

    /// Queues the record at `key` for the store unless it is queued; returns since when it is.
    pub(super) fn lag(&mut self, key: u64, since: u32, now: Mono) -> u32 {
        /// An entry this old belonged to a worker that was lost.
        const LOST: u32 = 60;
        let now = now.seconds().max(1);
        if !self.write_behind || since != 0 && now < since.saturating_add(LOST) {
            return since;
        }
        self.lagging.push_back((key, now));
        now
    }

    /// The next record the store should hear of by now.
    fn next_lagging(&mut self, now: Mono) -> Option<(u64, u32)> {
        self.lagging.pop_front_if(|(_, since)| *since + WRITE_BEHIND <= now.seconds())
    }
}

impl Location {
    /// Works off what is due, at most `limit` records, and tells `removed` what is left of each that lost a binding.
    /// Returns how many bindings expired, also those found by other changes since the last call.
    pub fn expire(
        &self,
        now: Now,
        upkeep: &mut Upkeep,
        limit: usize,
        mut removed: impl FnMut(Record),
    ) -> usize {
        for _ in 0..limit {
            let Some((key, second)) = upkeep.wheel.pop(now.mono) else { break };
            let entry = Some(Armed { worker: upkeep.worker, second });
            for aor in self.aors_at(key, |record| record::armed(record) == entry) {
                let user = aor.user.as_bytes();
                let lost = self.update_at(key, &aor.tenant, user, now.mono, Some(upkeep), |draft| {
                    if draft.armed == entry {
                        draft.armed = None;
                    }
                    // The store hears of it from here.
                    std::mem::take(&mut draft.behind)
                });
                if lost {
                    removed(self.snapshot(&aor.tenant, user, now));
                }
            }
        }
        std::mem::take(&mut upkeep.expired)
    }

    /// Gives the store what it has not heard for up to five seconds, at most `limit` records.
    pub fn write_behind(&self, now: Now, upkeep: &mut Upkeep, limit: usize, mut write: impl FnMut(Record)) {
        for _ in 0..limit {
            let Some((key, since)) = upkeep.next_lagging(now.mono) else { break };
            let mut records = SmallVec::<[Record; 1]>::new();
            if let Some(mut bucket) = self.records.get_mut(&key) {
                let lagging: SmallVec<[_; 1]> = record::records(&bucket)
                    .filter(|range| record::lagging_since(&bucket[range.clone()]) == since)
                    .collect();
                for range in lagging {
                    record::set_told(&mut bucket[range.clone()]);
                    let record = &bucket[range];
                    let stored = stored::write(&record::decode(record, now.mono), now);
                    records.push(Record::Bindings { aor: super::aor_of(record).key(), record: stored });
                }
            }
            records.into_iter().for_each(&mut write);
        }
    }

    /// Puts on the wheel of `upkeep` what is on none: after a start, with `share` (*k*, *n*) every *n*th key; after a
    /// worker was lost, what was on its wheel too, if the new one has its number. Locks a shard at a time.
    pub fn adopt(&self, now: Mono, upkeep: &mut Upkeep, share: (u64, u64)) {
        let (turn, workers) = share;
        let is_ours = |key: u64, record: &[u8], worker| match record::armed(record) {
            Some(armed) => armed.worker == worker,
            None => key % workers.max(1) == turn,
        };
        for mut entry in self.records.iter_mut() {
            let key = *entry.key();
            let bucket = entry.value_mut();
            let ranges: SmallVec<[_; 1]> = record::records(bucket).collect();
            for range in ranges {
                let record = &mut bucket[range];
                if is_ours(key, record, upkeep.worker) {
                    let due = record::decode(record, now).due().unwrap_or(now);
                    record::set_armed(record, upkeep.arm(key, None, due, now));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(second: u32) -> Mono {
        Mono::from_seconds(second)
    }

    #[test]
    fn a_refresh_leaves_the_entry_and_an_earlier_end_moves_it() {
        let mut upkeep = Upkeep::new(WorkerId(3), true);
        let first = upkeep.arm(9, None, second(600), second(0));

        assert_eq!(first, Armed { worker: WorkerId(3), second: 600 });
        assert_eq!(upkeep.arm(9, Some(first), second(900), second(300)), first);
        assert_eq!(upkeep.arm(9, Some(first), second(590), second(300)), first);
        assert_eq!(upkeep.arm(9, Some(first), second(400), second(300)).second, 400);
    }

    #[test]
    fn the_entry_of_a_lost_worker_is_made_anew() {
        let mut upkeep = Upkeep::new(WorkerId(1), true);
        let lost = Armed { worker: WorkerId(0), second: 100 };

        assert_eq!(upkeep.arm(9, Some(lost), second(2000), second(150)), lost);
        assert_eq!(upkeep.arm(9, Some(lost), second(2000), second(160)).worker, WorkerId(1));
    }

    #[test]
    fn a_record_waits_for_the_store_once_and_five_seconds_at_most() {
        let mut upkeep = Upkeep::new(WorkerId(0), true);
        let since = upkeep.lag(9, 0, Mono(10_900_000_000));

        assert_eq!(since, 10);
        assert_eq!(upkeep.lag(9, since, second(12)), since);
        assert_eq!(upkeep.next_due(), Some(second(14)));
        assert_eq!(upkeep.next_lagging(second(13)), None);
        assert_eq!(upkeep.next_lagging(second(14)), Some((9, 10)));
        assert_eq!(upkeep.next_lagging(second(99)), None);
    }
}
