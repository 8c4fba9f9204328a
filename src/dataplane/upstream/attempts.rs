//! How INVITEs went out to peers that ask, for the requests that speak of them: the ACK of a 2xx has their CSeq and their
//! credentials (RFC 3261 §13.2.2.4), a PRACK has their CSeq in RAck (RFC 3262 §7.2).
//!
//! All workers share it, since a phone's ACK may reach another one than its INVITE did. What made the dialog rides in its
//! Record-Route as well: where this is gone, after a restart, only the ACK of an INVITE within the dialog that was
//! challenged just before does not find its way.

use std::collections::HashMap;
use std::hash::Hasher as _;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use siphasher::sip::SipHasher13;

use super::challenge::Credentials;
use crate::now::Mono;

/// How long one is known at least: longer than anybody lets a phone ring.
const LIFETIME: Duration = Duration::from_secs(300);
/// INVITEs in so much time, at most: 100 calls a second by such peers. With 400 octets each they take 25 MB.
const INVITES_MAX: usize = 65_536;

/// How an INVITE went out.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) number: u8,
    pub(crate) credentials: Option<Credentials>,
}

/// How INVITEs went out to peers that ask. Two generations: when the younger is full or old enough it becomes the older.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    generations: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    began: Mono,
    younger: HashMap<u64, Attempt>,
    older: HashMap<u64, Attempt>,
}

/// An INVITE of a phone to a peer: its Call-ID, the tag in From, and the phone's number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InviteTo<'a> {
    pub(crate) peer: SocketAddr,
    pub(crate) call_id: &'a [u8],
    pub(crate) from_tag: &'a [u8],
    pub(crate) cseq: u32,
}

impl InviteTo<'_> {
    fn key(&self) -> u64 {
        let mut hasher = SipHasher13::new();
        std::hash::Hash::hash(&(self.peer, self.call_id, self.from_tag, self.cseq), &mut hasher);
        hasher.finish()
    }
}

impl Attempts {
    /// The INVITE goes out in this way now.
    pub(crate) fn sent(&self, now: Mono, invite: &InviteTo<'_>, attempt: Attempt) {
        self.with(|known| {
            if known.younger.len() >= INVITES_MAX / 2 || now.since(known.began) >= LIFETIME {
                known.older = std::mem::take(&mut known.younger);
                known.began = now;
            }
            known.younger.insert(invite.key(), attempt);
        });
    }

    /// How the INVITE went out last.
    pub(crate) fn of(&self, invite: &InviteTo<'_>) -> Option<Attempt> {
        let key = invite.key();
        self.with(|known| known.younger.get(&key).or_else(|| known.older.get(&key)).cloned())
    }

    fn with<R>(&self, work: impl FnOnce(&mut Generations) -> R) -> R {
        // A thread that died in here left at worst one INVITE unknown.
        let mut known = self.generations.lock().unwrap_or_else(|poisoned| {
            self.generations.clear_poison();
            PoisonError::into_inner(poisoned)
        });
        work(&mut known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite(cseq: u32) -> InviteTo<'static> {
        let peer = "192.0.2.9:5060".parse().unwrap();
        InviteTo { peer, call_id: b"call", from_tag: b"tag", cseq }
    }

    fn attempt(number: u8) -> Attempt {
        Attempt { number, credentials: None }
    }

    #[test]
    fn last_attempt_is_known_by_dialog_number_and_peer() {
        let attempts = Attempts::default();
        attempts.sent(Mono(0), &invite(1), attempt(0));
        attempts.sent(Mono(1), &invite(1), attempt(1));

        assert_eq!(attempts.of(&invite(1)).map(|it| it.number), Some(1));
        assert!(attempts.of(&invite(2)).is_none());
        let other = InviteTo { peer: "192.0.2.8:5060".parse().unwrap(), ..invite(1) };
        assert!(attempts.of(&other).is_none());
        assert!(attempts.of(&InviteTo { from_tag: b"other", ..invite(1) }).is_none());
    }

    #[test]
    fn one_invite_makes_no_other_unknown() {
        let attempts = Attempts::default();

        for cseq in 0..1_000 {
            attempts.sent(Mono(0), &invite(cseq), attempt(1));
        }

        assert!((0..1_000).all(|cseq| attempts.of(&invite(cseq)).is_some()));
    }

    #[test]
    fn an_invite_is_known_for_its_time_and_not_for_ever() {
        let attempts = Attempts::default();
        let at = |spans: u32| Mono(0) + LIFETIME * spans;
        attempts.sent(at(1), &invite(1), attempt(1));

        attempts.sent(at(2), &invite(2), attempt(0));
        assert!(attempts.of(&invite(1)).is_some());
        attempts.sent(at(3), &invite(3), attempt(0));
        assert!(attempts.of(&invite(1)).is_none());
    }

    #[test]
    fn they_are_bounded() {
        let attempts = Attempts::default();

        for cseq in 0..3 * INVITES_MAX as u32 {
            attempts.sent(Mono(0), &invite(cseq), attempt(0));
        }

        attempts.with(|known| assert!(known.younger.len() + known.older.len() <= INVITES_MAX));
        assert!(attempts.of(&invite(3 * INVITES_MAX as u32 - 1)).is_some());
    }
}
