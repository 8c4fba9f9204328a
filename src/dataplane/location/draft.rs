//! One address-of-record taken apart, to be changed under the lock of its shard and put together again.

use std::time::Duration;

use smallvec::SmallVec;

use super::binding::{Binding, INSTANCE_LENGTH_MAX, URI_LENGTH_MAX};
use super::window::{NonceUse, Windows};
use crate::auth::Proof;
use crate::flow::{Flow, WorkerId};
use crate::now::Mono;

/// Contacts of one address-of-record. A desk phone registers one contact per transport; eight leaves room for a
/// softphone or two.
pub const CONTACTS_PER_AOR_MAX: usize = 8;

/// The one live entry of a record on a wheel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Armed {
    pub(super) worker: WorkerId,
    pub(super) second: u32,
}

/// One address-of-record while it is changed. What is done to it counts when the change returns; if it panics,
/// nothing was done.
#[derive(Debug)]
pub struct Draft<'r> {
    pub(super) bindings: SmallVec<[Binding<'r>; 2]>,
    pub(super) windows: Windows,
    pub(super) device_account: bool,
    pub(super) armed: Option<Armed>,
    pub(super) lagging_since: u32,
    /// Bindings were refreshed or expired: the store may hear of it later.
    pub(super) behind: bool,
    /// Bindings came or went by the caller's will: he sees to the store.
    pub(super) rebuilt: bool,
    /// A flow, an instance, or whose account it is changed: what the indexes know of it may be wrong.
    pub(super) moved: bool,
    now: Mono,
}

impl<'r> Draft<'r> {
    pub(super) fn empty(now: Mono) -> Self {
        Self {
            bindings: SmallVec::new(),
            windows: Windows::default(),
            device_account: false,
            armed: None,
            lagging_since: 0,
            behind: false,
            rebuilt: false,
            moved: false,
            now,
        }
    }

    /// The live bindings, at most [`CONTACTS_PER_AOR_MAX`], oldest first.
    pub fn bindings(&self) -> &[Binding<'r>] {
        &self.bindings
    }

    /// Adds a binding. False, and nothing is added, if there is no room or a text in it is too long.
    pub fn add(&mut self, binding: Binding<'r>) -> bool {
        let fits = self.bindings.len() < CONTACTS_PER_AOR_MAX && is_keepable(&binding);
        if fits {
            self.bindings.push(binding);
            self.rebuilt = true;
            self.moved = true;
        }
        fits
    }

    /// Puts `binding` in the place of the one at `index`. False, and nothing changes, if there is none or a text is
    /// too long.
    pub fn refresh(&mut self, index: usize, binding: Binding<'r>) -> bool {
        let Some(place) = self.bindings.get_mut(index).filter(|_| is_keepable(&binding)) else {
            return false;
        };
        self.moved |= place.flow != binding.flow || place.instance != binding.instance;
        *place = binding;
        self.behind = true;
        true
    }

    /// Removes the bindings that `keep` does not want; returns how many.
    pub fn retain(&mut self, mut keep: impl FnMut(&Binding<'r>) -> bool) -> usize {
        let before = self.bindings.len();
        self.bindings.retain(|binding| keep(binding));
        let removed = before - self.bindings.len();
        self.rebuilt |= removed > 0;
        self.moved |= removed > 0;
        removed
    }

    /// Says whether it is the account of a hot-desk device: its flows and instances are then learned.
    pub fn set_device_account(&mut self, device_account: bool) {
        self.moved |= self.device_account != device_account;
        self.device_account = device_account;
    }

    /// What `proof` would be, used by a request with this `print`. Changes nothing.
    pub fn judge_nonce(&self, proof: Proof, print: u32) -> NonceUse {
        self.windows.judge(proof, print)
    }

    /// Marks `proof` as used by the request with this `print`, if it was fresh.
    pub fn spend_nonce(&mut self, proof: Proof, print: u32) {
        self.windows.spend(proof, print, self.now);
    }

    /// True if an index may know it: a device account, or something over a stream.
    pub(super) fn is_indexed(&self) -> bool {
        self.device_account
            || self.bindings.iter().any(|binding| binding.flow.is_some_and(|flow| flow.is_reliable()))
    }

    /// Takes the flow from every binding over `flow`; returns how many.
    pub(super) fn lose(&mut self, flow: &Flow) -> usize {
        let lost = self.bindings.iter_mut().filter(|binding| binding.flow.as_ref() == Some(flow));
        let lost = lost.map(|binding| binding.flow = None).count();
        self.moved |= lost > 0;
        lost
    }

    /// Drops what has expired; returns how many.
    pub(super) fn expire(&mut self) -> usize {
        let before = self.bindings.len();
        let now = self.now;
        self.bindings.retain(|binding| binding.expires_at > now);
        let expired = before - self.bindings.len();
        self.behind |= expired > 0;
        self.moved |= expired > 0;
        expired
    }

    /// When the next thing in it ends: the first binding, or without any the nonces. `None`: it is over.
    pub(super) fn due(&self) -> Option<Mono> {
        /// Workers read the clock at their own times: a nonce is remembered this much longer than it is good.
        const CLOCK_SKEW: Duration = Duration::from_secs(10);
        let first = self.bindings.iter().map(|binding| binding.expires_at).min();
        first.or_else(|| Some(self.windows.expires()? + CLOCK_SKEW).filter(|end| *end > self.now))
    }
}

fn is_keepable(binding: &Binding<'_>) -> bool {
    binding.uri.len() <= URI_LENGTH_MAX && binding.instance.len() <= INSTANCE_LENGTH_MAX
}
