//! Who is not listened to for a while, for people to see and to lift. What keeps them out is the debt that each worker
//! notes for itself; nothing here is looked at for a message.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::now::Mono;

/// Bans that are remembered. Of more, those that end first are not shown any longer.
const BANS_MAX: usize = 4_096;

/// Why somebody is not listened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offence {
    /// It named itself a scanner.
    Scanner,
    /// It asked for too many users that do not exist.
    Sweep,
    /// Too many of its digest answers were wrong.
    Guesses,
}

impl Offence {
    /// The stable code in JSON and logs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Scanner => "scanner",
            Self::Sweep => "sweep",
            Self::Guesses => "guesses",
        }
    }
}

/// Somebody who is not listened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ban {
    /// His address; of an IPv6 network, one of its.
    pub address: IpAddr,
    /// `None`: all its ports that have not proved whose they are. Else there are phones behind the address, and this one
    /// alone is meant.
    pub port: Option<u16>,
    /// Its connections too, since it spoke over one. Else its datagrams alone.
    pub connections: bool,
    /// Why.
    pub offence: Offence,
    /// Until when.
    pub until: Mono,
}

/// All bans.
#[derive(Debug, Default)]
pub struct Bans(Mutex<Banned>);

/// By whom they are.
type Banned = BTreeMap<(IpAddr, Option<u16>), Ban>;

impl Bans {
    /// Those that last, by address.
    pub fn list(&self, now: Mono) -> Vec<Ban> {
        self.lock().values().filter(|ban| ban.until > now).copied().collect()
    }

    pub(super) fn insert(&self, ban: Ban) {
        let mut bans = self.lock();
        // Those that are over end first.
        if bans.len() >= BANS_MAX
            && let Some(first) = bans.iter().min_by_key(|(_, ban)| ban.until).map(|(who, _)| *who)
        {
            bans.remove(&first);
        }
        bans.insert((ban.address, ban.port), ban);
    }

    pub(super) fn remove(&self, address: IpAddr, port: Option<u16>) {
        self.lock().remove(&(address, port));
    }

    fn lock(&self) -> MutexGuard<'_, Banned> {
        // An entry is whole or not there.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bans_are_shown_while_they_last_and_the_first_to_end_makes_room() {
        let bans = Bans::default();
        let ban = |number: u32, second| Ban {
            address: IpAddr::from(number.to_be_bytes()),
            port: None,
            connections: false,
            offence: Offence::Sweep,
            until: Mono::from_seconds(second),
        };
        for number in 0..=BANS_MAX as u32 {
            bans.insert(ban(number, 100 + number));
        }

        let all = bans.list(Mono::from_seconds(99));
        assert_eq!((all.len(), all[0]), (BANS_MAX, ban(1, 101)));
        assert_eq!(bans.list(Mono::from_seconds(101)).len(), BANS_MAX - 1);
        bans.remove(ban(2, 102).address, None);
        assert_eq!(bans.list(Mono::from_seconds(101))[0], ban(3, 103));
    }
}
