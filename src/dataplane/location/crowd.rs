//! How many live bindings there are behind an address: what admission lets it send before it is known who sends.
//!
//! Nothing is kept by address. Each falls by a keyed hash on one of so many counts, and those that fall on the same are
//! taken for one: an address is never given less than it has, and seldom more.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use siphasher::sip::SipHasher13;

use super::Location;
use super::binding::Binding;
use crate::flow::{Flow, network_of};

/// Counts, in 256 kB: of an edge with 10,000 phones each at its own address, one stranger in seven shares one of theirs.
const COUNTS: usize = 1 << 16;

/// Live bindings by address.
#[derive(Debug)]
pub(super) struct Crowds {
    counts: Box<[AtomicU32]>,
}

impl Default for Crowds {
    fn default() -> Self {
        Self { counts: (0..COUNTS).map(|_| AtomicU32::new(0)).collect() }
    }
}

impl Crowds {
    fn count(&self, hasher: &SipHasher13, address: IpAddr) -> &AtomicU32 {
        let hash = hasher.hash(&network_of(address).to_be_bytes());
        &self.counts[hash as usize % COUNTS]
    }

    /// The bindings of a record were `before` and are `after`.
    pub(super) fn change<'r>(
        &self,
        hasher: &SipHasher13,
        before: impl Iterator<Item = Binding<'r>>,
        after: &[Binding<'_>],
    ) {
        let at = |flow: Flow| self.count(hasher, flow.remote.ip());
        for flow in after.iter().filter_map(|binding| binding.flow) {
            at(flow).fetch_add(1, Relaxed);
        }
        for flow in before.filter_map(|binding| binding.flow) {
            at(flow).fetch_sub(1, Relaxed);
        }
    }
}

impl Location {
    /// How many live bindings there are behind `address`, for IPv6 behind its /64; hardly ever more than there are, and
    /// never fewer.
    pub fn phones_behind(&self, address: IpAddr) -> u32 {
        self.crowds.count(&self.hasher, address).load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::flow::{ListenerId, WorkerId};
    use crate::location::Upkeep;
    use crate::now::{Mono, Now};

    fn binding(flow: Flow, expires_at: Mono) -> Binding<'static> {
        let uri = b"sip:1001@192.0.2.9".as_slice().into();
        let instance = b"".as_slice().into();
        Binding {
            uri,
            instance,
            reg_id: 0,
            q: 1000,
            expires_at,
            call_id: 1,
            cseq: 1,
            branch: 1,
            flow: Some(flow),
            holder: None,
        }
    }

    #[test]
    fn bindings_count_for_the_address_they_came_from_while_they_live() {
        let location = Location::new([7; 16]);
        let mut upkeep = Upkeep::new(WorkerId(0), false);
        let flow = |port| Flow::datagram(ListenerId(0), ([198, 51, 100, 7], port).into());
        let (nat, now) = (IpAddr::from([198, 51, 100, 7]), Mono::from_seconds(1));
        let hour = now + Duration::from_secs(3600);

        for user in ["1001", "1002"] {
            location.update("demo", user.as_bytes(), now, &mut upkeep, |draft| {
                assert!(draft.add(binding(flow(5060), hour)));
            });
        }
        assert_eq!(location.phones_behind(nat), 2);

        location.update("demo", b"1001", now, &mut upkeep, |draft| {
            assert!(draft.refresh(0, binding(flow(5062), hour)));
        });
        assert_eq!(location.phones_behind(nat), 2, "another port is the same address");

        location.retain("demo", b"1002", now, &mut upkeep, |_| false);
        assert_eq!(location.phones_behind(nat), 1);

        let later = Now { mono: hour + Duration::from_secs(2), wall: 0 };
        location.expire(later, &mut upkeep, 16, |_| {});
        assert_eq!(location.phones_behind(nat), 0);
    }
}
