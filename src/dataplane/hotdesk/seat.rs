//! The seat table: who sits where, for all workers at once.
//!
//! A look-up takes one read lock, a change one write lock, of the shard its customer hashes to. All tenants
//! that may visit one another are in one shard, so every look-up, at any interleaving, sees a change whole or
//! not at all. A change that must survive `kill -9` goes in two steps, and nobody waits under a lock:
//!
//! ```text
//! propose_log_in ─► Proposal ─► store ─► commit   visible to every look-up from here on
//!   reserves its devices            └──► abandon  nothing happened
//!   and extensions
//! ```
//!
//! The tests of `tests/seats` include this file, `ledger.rs` and `proposal.rs` with other locks.

use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Duration;

use super::change::{Seat, SeatChange};
use super::hash::NameHasher;
use super::ledger::{Ledger, Plan, SeatsOfExtension};
use super::place::{Named, Place};
use super::proposal::{End, LogIn, Proposal, Proposed, Settled};
use super::sync::RwLock;
use crate::now::{Mono, Now};
use crate::refusal::Refusal;

/// Enough that two busy customers seldom share a lock; a lock of its own for every customer would be a table
/// to lock.
const SHARDS: usize = 64;

/// Longer than any store takes to answer, or a person to wait.
const LEASE: Duration = Duration::from_secs(30);

/// A shard fills cache lines of its own, so that locking one does not slow its neighbour down.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(RwLock<Ledger>);

/// All seats of all customers.
#[derive(Debug)]
pub struct Seats {
    shards: Box<[Shard]>,
}

impl Default for Seats {
    fn default() -> Self {
        Self::new()
    }
}

impl Seats {
    /// A table where nobody sits.
    pub fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Shard::default()).collect() }
    }

    /// The seat at a device.
    pub fn seat_at(&self, customer: &str, device: &dyn Named) -> Option<Arc<Seat>> {
        read(self.shard(customer), |ledger| ledger.seat_at(device).cloned())
    }

    /// The seats an extension holds, oldest first.
    pub fn seats_of(&self, customer: &str, extension: &dyn Named) -> SeatsOfExtension {
        read(self.shard(customer), |ledger| ledger.seats_of(extension).iter().cloned().collect())
    }

    /// Decides what a log-in changes and reserves the devices and extensions it touches: the device, the
    /// extension, where the extension is displaced, who is put out.
    ///
    /// `may_change` is asked for every one of these devices, and whose seat there would end, if anybody's, under the
    /// lock: it says whether a seat at it may begin or end now (no emergency call, nobody protected), and must not come
    /// back to this table.
    ///
    /// # Errors
    /// `Busy` where another change has reserved any of them; `DeviceOccupied` and `SeatLimit` where the policy
    /// refuses; what `may_change` says. Nothing has changed then.
    pub fn propose_log_in(
        &self,
        request: LogIn<'_>,
        may_change: impl Fn(&Place, Option<&Place>) -> Result<(), Refusal>,
        now: Now,
    ) -> Result<Proposed, Refusal> {
        write(self.shard(request.customer), |ledger| {
            Ok(match ledger.plan_log_in(&request, may_change)? {
                Plan::AlreadySits(seat) => Proposed::AlreadySits(seat),
                Plan::Sit(ended) => Proposed::Change(ledger.hold_log_in(&request, ended, now)),
            })
        })
    }

    /// Reserves what the end of the seat at a device touches, for an end that is to be durable before it is
    /// seen. `may_change` as with [`Seats::propose_log_in`].
    ///
    /// # Errors
    /// `NobodySits` also where another sitting than the one asked for stands; `Busy`; what `may_change` says.
    pub fn propose_end(
        &self,
        request: End<'_>,
        may_change: impl Fn(&Place, Option<&Place>) -> Result<(), Refusal>,
        now: Now,
    ) -> Result<Proposal, Refusal> {
        write(self.shard(request.customer), |ledger| {
            let seat = ledger.plan_end(&request, may_change)?;
            Ok(ledger.hold_end(&request, seat, now))
        })
    }

    /// Ends the seat at a device at once, with the store away too: its record is still to be written.
    /// `may_change` as with [`Seats::propose_log_in`].
    ///
    /// # Errors
    /// As [`Seats::propose_end`]. After `Busy` it may be tried again as soon as the change under way is settled.
    pub fn end_now(
        &self,
        request: End<'_>,
        may_change: impl Fn(&Place, Option<&Place>) -> Result<(), Refusal>,
        now: Now,
    ) -> Result<Arc<SeatChange>, Refusal> {
        write(self.shard(request.customer), |ledger| {
            let seat = ledger.plan_end(&request, may_change)?;
            let held = ledger.hold_end(&request, seat, now);
            Ok(ledger.apply(&held).expect("it was reserved under this lock"))
        })
    }

    /// Makes a change visible, whole, once the store has it. Its devices and extensions are free again.
    ///
    /// # Errors
    /// It took longer than 30 s and another has taken it over, or has settled it; nothing changes.
    pub fn commit(&self, proposal: Proposal) -> Result<Arc<SeatChange>, Settled> {
        write(self.shard(&proposal.change.customer), |ledger| ledger.apply(&proposal)).ok_or(Settled)
    }

    /// Takes a change back that the store does not have and will not have. Its devices and extensions are free
    /// again.
    ///
    /// A change that was taken over stays reserved: what became of its first writing is not known, so it comes
    /// back by [`Seats::overdue`] until a writing of it succeeds.
    pub fn abandon(&self, proposal: Proposal) {
        write(self.shard(&proposal.change.customer), |ledger| ledger.release(&proposal));
    }

    /// At most `max` changes that nobody settled for 30 s, because whoever proposed them is gone: the store may
    /// have them or not. Whoever takes one over writes it once more, which does no harm, and settles it.
    pub fn overdue(&self, now: Mono, max: usize) -> Vec<Proposal> {
        let mut overdue = Vec::new();
        for shard in &self.shards {
            if overdue.len() >= max {
                break;
            }
            if read(&shard.0, Ledger::has_pending) {
                overdue.extend(write(&shard.0, |ledger| ledger.overdue(now, LEASE, max - overdue.len())));
            }
        }
        overdue
    }

    /// Puts back what the store kept: seats, and the last epoch of each customer. `customer_of` names the
    /// customer of a tenant.
    ///
    /// Returned are the seats that cannot stand any more: of a tenant that is gone, of two tenants that are no
    /// longer one customer's, or at a device that is taken.
    pub fn restore<'a>(
        &self,
        seats: Vec<Seat>,
        epochs: &[(Box<str>, u64)],
        customer_of: impl Fn(&str) -> Option<&'a str>,
    ) -> Vec<Seat> {
        for (customer, epoch) in epochs {
            write(self.shard(customer), |ledger| ledger.raise_epoch(customer, *epoch));
        }
        let mut refused = Vec::new();
        for seat in seats {
            let customer = customer_of(seat.device.tenant())
                .filter(|customer| customer_of(seat.extension.tenant()) == Some(*customer));
            match customer {
                Some(customer) => {
                    let taken = write(self.shard(customer), |ledger| ledger.restore(customer, seat));
                    refused.extend(taken);
                }
                None => refused.push(seat),
            }
        }
        refused
    }

    /// Every seat, shard after shard: each shard as it was at one instant, no order between seats.
    pub fn snapshot(&self) -> Vec<Arc<Seat>> {
        let mut seats = Vec::new();
        for shard in &self.shards {
            read(&shard.0, |ledger| seats.extend(ledger.seats().cloned()));
        }
        seats
    }

    /// The seats of a customer, and of those that share its shard, as they are at one instant, in no order.
    pub fn in_shard_of(&self, customer: &str) -> Vec<Arc<Seat>> {
        read(self.shard(customer), |ledger| ledger.seats().cloned().collect())
    }

    /// How many seats stand.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| read(&shard.0, Ledger::len)).sum()
    }

    /// True if nobody sits anywhere.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, customer: &str) -> &RwLock<Ledger> {
        let hash = NameHasher::default().hash_one(customer);
        // The table of customers within a shard goes by the low bits.
        &self.shards[(hash >> 32) as usize % SHARDS].0
    }
}

/// Looks at a shard that is whole.
fn read<R>(shard: &RwLock<Ledger>, look: impl FnOnce(&Ledger) -> R) -> R {
    match shard.read() {
        Ok(ledger) => look(&ledger),
        Err(poisoned) => {
            drop(poisoned);
            write(shard, |ledger| look(ledger))
        }
    }
}

/// Changes a shard that is whole: where a thread died in the middle of a change, it is mended first.
fn write<R>(shard: &RwLock<Ledger>, change: impl FnOnce(&mut Ledger) -> R) -> R {
    let mut ledger = shard.write().unwrap_or_else(|poisoned| {
        let mut ledger = poisoned.into_inner();
        ledger.mend();
        shard.clear_poison();
        ledger
    });
    change(&mut ledger)
}
