//! Which nonce counts an account has used: four nonces, each with a window of 64 counts (RFC 7616 §3.4.6).
//!
//! A nonce comes in with its first right answer. When a fifth comes the oldest goes, and from then on whatever is
//! not newer than it is [`NonceUse::Stale`]: what was forgotten cannot be replayed.

use smallvec::SmallVec;

use crate::auth::{NonceId, Proof};
use crate::now::Mono;

/// Nonces an account has in use at a time: a phone and a softphone or two, and one more at the change of nonces.
pub const NONCES_PER_AOR_MAX: usize = 4;

/// Counts that may be out of order: requests of one phone over several workers.
const WINDOW: u32 = 64;

/// What a proof is to an account that remembers its nonces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonceUse {
    /// Never used before.
    Fresh,
    /// Used before, by the request with the same print: a retransmission.
    Repeated,
    /// Used before.
    Replayed,
    /// Too old to be remembered: nobody can tell. Give a new nonce.
    Stale,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) nonce: NonceId,
    /// Highest count used.
    pub(super) highest: u32,
    /// Bit *i*: count `highest - i` was used.
    pub(super) seen: u64,
    /// Of the request that last used it.
    pub(super) print: u32,
}

/// The nonces of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Windows {
    pub(super) slots: SmallVec<[Slot; NONCES_PER_AOR_MAX]>,
    /// The newest nonce that was put out.
    pub(super) floor: u64,
}

impl Windows {
    /// What `proof` would be, used by a request with this `print`.
    pub(super) fn judge(&self, proof: Proof, print: u32) -> NonceUse {
        let Some(slot) = self.slots.iter().find(|slot| slot.nonce == proof.nonce) else {
            let oldest_of_all = self.slots.len() == NONCES_PER_AOR_MAX
                && self.slots.iter().all(|slot| slot.nonce > proof.nonce);
            return match proof.count {
                _ if proof.nonce.0 <= self.floor || oldest_of_all => NonceUse::Stale,
                // Counts begin at 1 (RFC 7616 §3.4).
                Some(0) => NonceUse::Replayed,
                _ => NonceUse::Fresh,
            };
        };
        let used = match proof.count {
            None | Some(0) => true,
            Some(count) if count > slot.highest => false,
            Some(count) => {
                let behind = slot.highest - count;
                behind >= WINDOW || slot.seen >> behind & 1 == 1
            }
        };
        match used {
            false => NonceUse::Fresh,
            true if slot.print == print => NonceUse::Repeated,
            true => NonceUse::Replayed,
        }
    }

    /// Marks `proof` as used by the request with this `print`, if it was fresh.
    pub(super) fn spend(&mut self, proof: Proof, print: u32, now: Mono) {
        if self.judge(proof, print) != NonceUse::Fresh {
            return;
        }
        // Without a count the nonce is spent whole: every count is.
        let count = proof.count.unwrap_or(u32::MAX);
        match self.slots.iter_mut().find(|slot| slot.nonce == proof.nonce) {
            Some(slot) if count > slot.highest => {
                slot.seen = slot.seen.checked_shl(count - slot.highest).unwrap_or(0) | 1;
                slot.highest = count;
                slot.print = print;
            }
            Some(slot) => {
                slot.seen |= 1 << (slot.highest - count);
                slot.print = print;
            }
            None => {
                let slot = Slot { nonce: proof.nonce, highest: count, seen: 1, print };
                let slot = if proof.count.is_none() { Slot { seen: u64::MAX, ..slot } } else { slot };
                self.insert(slot, now);
            }
        }
    }

    fn insert(&mut self, slot: Slot, now: Mono) {
        let full = self.slots.len() == NONCES_PER_AOR_MAX;
        match self.slots.iter_mut().min_by_key(|slot| slot.nonce) {
            Some(oldest) if full || oldest.nonce.expires() <= now => {
                self.floor = self.floor.max(oldest.nonce.0);
                *oldest = slot;
            }
            _ => self.slots.push(slot),
        }
    }

    /// When the last of them is good no longer; `None` if there is none.
    pub(super) fn expires(&self) -> Option<Mono> {
        self.slots.iter().map(|slot| slot.nonce.expires()).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Mono = Mono(1_000_000_000);

    fn proof(nonce: u64, count: u32) -> Proof {
        Proof { nonce: NonceId(nonce), count: Some(count) }
    }

    fn spend(windows: &mut Windows, proof: Proof) -> NonceUse {
        let verdict = windows.judge(proof, 1);
        windows.spend(proof, 1, NOW);
        verdict
    }

    #[test]
    fn each_count_is_good_once_in_any_order_within_the_window() {
        let mut windows = Windows::default();

        for count in [1, 2, 5, 4, 3, 67] {
            assert_eq!(windows.judge(proof(9, count), 1), NonceUse::Fresh, "{count}");
            windows.spend(proof(9, count), 1, NOW);
            assert_eq!(windows.judge(proof(9, count), 2), NonceUse::Replayed, "{count}");
        }
        // 67 leaves 4 to 66 in the window, of which 4 and 5 are used.
        assert_eq!(windows.judge(proof(9, 3), 2), NonceUse::Replayed);
        assert_eq!(windows.judge(proof(9, 4), 2), NonceUse::Replayed);
        assert_eq!(windows.judge(proof(9, 6), 2), NonceUse::Fresh);
        for nonce in [9, 10] {
            assert_eq!(windows.judge(proof(nonce, 0), 2), NonceUse::Replayed, "counts begin at 1");
        }
    }

    #[test]
    fn the_largest_count_ends_a_nonce() {
        let mut windows = Windows::default();

        assert_eq!(spend(&mut windows, proof(9, 1)), NonceUse::Fresh);
        assert_eq!(spend(&mut windows, proof(9, u32::MAX)), NonceUse::Fresh);
        assert_eq!(windows.judge(proof(9, 2), 2), NonceUse::Replayed);
        assert_eq!(windows.judge(proof(9, u32::MAX), 2), NonceUse::Replayed);
    }

    #[test]
    fn without_a_count_a_nonce_is_good_once() {
        let mut windows = Windows::default();
        let once = Proof { nonce: NonceId(9), count: None };

        assert_eq!(spend(&mut windows, once), NonceUse::Fresh);

        assert_eq!(windows.judge(once, 1), NonceUse::Repeated);
        assert_eq!(windows.judge(once, 2), NonceUse::Replayed);
        assert_eq!(windows.judge(proof(9, 1), 2), NonceUse::Replayed);
        assert_eq!(windows.judge(proof(9, u32::MAX - 1), 2), NonceUse::Replayed);
    }

    #[test]
    fn a_fifth_nonce_puts_out_the_oldest_and_it_never_comes_back() {
        let mut windows = Windows::default();
        for nonce in [40, 20, 30, 10] {
            assert_eq!(spend(&mut windows, proof(nonce, 1)), NonceUse::Fresh);
        }

        assert_eq!(spend(&mut windows, proof(50, 1)), NonceUse::Fresh);

        assert_eq!(windows.judge(proof(10, 2), 1), NonceUse::Stale);
        assert_eq!(windows.judge(proof(10, 1), 1), NonceUse::Stale);
        // Made before the oldest that is kept: it would be put out at once.
        assert_eq!(windows.judge(proof(15, 1), 1), NonceUse::Stale);
        assert_eq!(windows.judge(proof(25, 1), 1), NonceUse::Fresh);
        assert_eq!(windows.slots.len(), NONCES_PER_AOR_MAX);
    }

    #[test]
    fn a_repetition_is_known_by_its_print() {
        let mut windows = Windows::default();
        windows.spend(proof(9, 1), 77, NOW);

        assert_eq!(windows.judge(proof(9, 1), 77), NonceUse::Repeated);
        assert_eq!(windows.judge(proof(9, 1), 78), NonceUse::Replayed);
        assert_eq!(windows.judge(proof(9, 2), 77), NonceUse::Fresh);
    }

    #[test]
    fn a_nonce_that_is_over_makes_room_and_does_not_come_back() {
        let mut windows = Windows::default();
        windows.spend(proof(10 << 32, 1), 1, NOW);
        windows.spend(proof(20 << 32, 1), 1, NOW);

        windows.spend(proof(3000 << 32, 1), 1, NonceId(10 << 32).expires());

        assert_eq!(windows.slots.len(), 2);
        assert_eq!(windows.expires(), Some(NonceId(3000 << 32).expires()));
        assert_eq!(windows.judge(proof(10 << 32, 2), 1), NonceUse::Stale);
    }
}
