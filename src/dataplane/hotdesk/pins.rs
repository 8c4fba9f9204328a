//! How often a PIN may be tried: so that nobody guesses one, and nobody locks the director out from the lobby.
//!
//! Locked is the pair (device, extension). An extension tried from many devices, and a device where many
//! extensions are tried, are only slowed down. A try is charged when it begins and given back when the PIN was
//! right or could not be checked: so a hundred tries at once are no more than three.
//!
//! Extensions are kept as keyed hashes, for what is dialled in place of one may be a PIN.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::Duration;

use siphasher::sip::SipHasher13;
use smallvec::SmallVec;

use super::place::Place;
use crate::hash::NameHasher;
use crate::now::Mono;
use crate::sharded::Sharded;

/// Wrong PINs of a pair before it is locked.
const TRIES_FREE: u32 = 3;
/// How long it is locked then; each further wrong PIN doubles it.
const LOCK_FIRST: Duration = Duration::from_secs(30);
/// Longest lock, and longest delay of a device.
const LOCK_MAX: Duration = Duration::from_secs(15 * 60);
/// A pair without a wrong PIN for this long, its lock over, starts anew.
const MEMORY: Duration = Duration::from_secs(3600);

/// Different extensions with wrong PINs at one device within [`MEMORY`] before it is slowed down. People who
/// mistype and then succeed do not count.
const EXTENSIONS_FREE: usize = 5;
/// Pairs kept a device. The device is slowed down long before: sixteen take over an hour.
const PAIRS_PER_DEVICE_MAX: usize = 16;

/// Wrong PINs of an extension, from all devices together, before it is slowed down.
const EXTENSION_TRIES_FREE: u32 = 10;
/// One of them is forgiven in this time: ten an hour.
const EXTENSION_FORGIVES: Duration = Duration::from_secs(360);
/// Longest delay of an extension: long for a guesser, bearable for its owner at a device he has never used.
const EXTENSION_DELAY_MAX: Duration = Duration::from_secs(5 * 60);
/// The delay does not grow beyond this many tries, so that it is gone two hours after an attack.
const EXTENSION_TRIES_MAX: u32 = EXTENSION_TRIES_FREE + 8;
/// Devices remembered where an extension succeeded, never slowed down for it: a desk or two, a meeting room.
const DEVICES_KNOWN_MAX: usize = 4;
/// 131,072 extensions in 64 shards, some 12 MB: every extension of a large customer, and what is made up.
const EXTENSIONS_PER_SHARD_MAX: usize = 2048;

/// First delay of a device or an extension; each further wrong PIN doubles it.
const DELAY_FIRST: Duration = Duration::from_secs(2);

/// Wrong PINs within [`ALARM_WINDOW`] from one source address that an operator should hear of: a floor behind one
/// address mistypes less.
const SOURCE_ALARM: u32 = 20;
/// The same of one tenant.
const TENANT_ALARM: u32 = 100;
/// How long wrong PINs are counted together, and how often an alarm is raised at most.
const ALARM_WINDOW: Duration = Duration::from_secs(600);
/// Addresses and tenants counted at a time in one of 64 shards; what comes beyond is not counted until one is over.
const TALLIES_PER_SHARD_MAX: usize = 256;

/// Wrong PINs that an operator should hear of. Nothing is refused because of them: behind one address may sit a whole
/// building.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Alarm {
    /// So many from one source address.
    pub source: Option<u32>,
    /// So many in one tenant.
    pub tenant: Option<u32>,
}

/// What cannot be tried now, or not at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Where: a device, or the extension whose ordinary phones they are; `None`: wherever the extension is not known.
    pub device: Option<Place>,
    /// Whose PIN.
    pub extension: Place,
    /// Wrong PINs that count against it.
    pub wrong: u32,
    /// When it may be tried again, if nobody tries before.
    pub retry_after: Duration,
}

/// No PIN may be tried now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Locked {
    /// When it may be tried again, if nobody tries before.
    pub retry_after: Duration,
}

/// The wrong PINs of all devices and extensions.
///
/// Devices are those that proved who they are, so there are at most as many as are configured; each has room of
/// its own for its pairs, so a flood from one device never unlocks a pair of another.
#[derive(Debug)]
pub struct Pins {
    devices: Sharded<Devices, BootKey>,
    extensions: Sharded<Extensions, BootKey>,
    tallies: Sharded<Tallies, BootKey>,
}

/// By the keyed hash of an address or a tenant.
type Tallies = HashMap<u64, Tally, NameHasher>;

/// Wrong PINs of a stretch of time.
#[derive(Debug)]
struct Tally {
    since: Mono,
    wrong: u32,
}

/// Keyed by a hash under the boot key: how that is hashed again does not matter.
type Devices = HashMap<u64, Device, NameHasher>;
/// Likewise.
type Extensions = HashMap<u64, Extension, NameHasher>;

/// Hashes what peers choose, under a key that no peer knows.
#[derive(Clone, Copy)]
struct BootKey([u8; 16]);

impl BuildHasher for BootKey {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_key(&self.0)
    }
}

impl std::fmt::Debug for BootKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BootKey(…)")
    }
}

#[derive(Debug, Default)]
struct Device {
    pairs: SmallVec<[Pair; 2]>,
    last: Mono,
}

#[derive(Clone, Copy, Debug)]
struct Pair {
    extension: u64,
    wrong: u32,
    locked_until: Mono,
    last: Mono,
}

#[derive(Debug, Default)]
struct Extension {
    wrong: u32,
    /// Since when `wrong` has had its value, for forgiving.
    since: Mono,
    last: Mono,
    /// Devices where it succeeded, the latest last.
    known: SmallVec<[u64; DEVICES_KNOWN_MAX]>,
}

impl Pins {
    /// Nothing was tried. The key must be random and new at every start.
    pub fn new(key: [u8; 16]) -> Self {
        let key = BootKey(key);
        Self { devices: Sharded::new(key), extensions: Sharded::new(key), tallies: Sharded::new(key) }
    }

    /// Begins a try: it is charged as if the PIN were wrong. To be followed by `right`, `wrong` or `void`; one
    /// that is followed by nothing counts as wrong.
    ///
    /// # Errors
    /// The pair is locked, or the device or the extension is slowed down: the PIN must not be looked at, and
    /// nothing is charged.
    pub fn attempt(&self, device: &Place, extension: &Place, now: Mono) -> Result<(), Locked> {
        let (at, of) = self.keys(device, extension);
        let is_known =
            self.extensions.with(&of, |shard| shard.get(&of).is_some_and(|of| of.known.contains(&at)));
        self.devices.with(&at, |shard| shard.entry(at).or_default().attempt(of, is_known, now))?;
        let charged = self.extensions.with(&of, |shard| {
            make_room(shard, of, now);
            shard.entry(of).or_default().attempt(at, now)
        });
        if charged.is_err() {
            self.devices.with(&at, |shard| give_back(shard, at, of));
        }
        charged
    }

    /// The PIN was wrong: where this locks the pair, the lock runs from now and is returned.
    pub fn wrong(&self, device: &Place, extension: &Place, now: Mono) -> Option<Locked> {
        let (at, of) = self.keys(device, extension);
        self.devices.with(&at, |shard| {
            let device = shard.get_mut(&at)?;
            device.last = now;
            let pair = device.pair(of)?;
            pair.charge(now);
            passed(pair.locked_until, now).err()
        })
    }

    /// Counts a wrong PIN from `source` in `tenant`. An alarm is raised once in ten minutes.
    pub fn count(&self, source: Option<IpAddr>, tenant: &str, now: Mono) -> Alarm {
        let tally = |key: u64, most: u32| {
            self.tallies.with(&key, |shard| {
                if shard.len() >= TALLIES_PER_SHARD_MAX && !shard.contains_key(&key) {
                    shard.retain(|_, tally| now.since(tally.since) < ALARM_WINDOW);
                    if shard.len() >= TALLIES_PER_SHARD_MAX {
                        return None;
                    }
                }
                let tally = shard.entry(key).or_insert(Tally { since: now, wrong: 0 });
                if now.since(tally.since) >= ALARM_WINDOW {
                    *tally = Tally { since: now, wrong: 0 };
                }
                tally.wrong = tally.wrong.saturating_add(1);
                (tally.wrong == most).then_some(most)
            })
        };
        let hasher = self.tallies.hasher();
        Alarm {
            source: source.and_then(|source| tally(hasher.hash_one(source.to_canonical()), SOURCE_ALARM)),
            tenant: tally(hasher.hash_one(tenant), TENANT_ALARM),
        }
    }

    /// The PIN was right: the pair starts anew, and the extension is not slowed down at this device any more.
    pub fn right(&self, device: &Place, extension: &Place) {
        let (at, of) = self.keys(device, extension);
        self.devices.with(&at, |shard| forget_pair(shard, at, of));
        self.extensions.with(&of, |shard| {
            let Some(extension) = shard.get_mut(&of) else { return };
            extension.wrong = extension.wrong.saturating_sub(1);
            extension.known.retain(|known| *known != at);
            if extension.known.len() >= DEVICES_KNOWN_MAX {
                extension.known.remove(0);
            }
            extension.known.push(at);
        });
    }

    /// Nobody could tell whether the PIN was right: the try is given back.
    pub fn void(&self, device: &Place, extension: &Place) {
        let (at, of) = self.keys(device, extension);
        self.devices.with(&at, |shard| give_back(shard, at, of));
        self.extensions.with(&of, |shard| {
            if let Some(extension) = shard.get_mut(&of) {
                extension.wrong = extension.wrong.saturating_sub(1);
            }
        });
    }

    /// An administrator lets this extension try again at every one of `devices`, and everywhere without delay.
    pub fn unlock<'p>(&self, devices: impl IntoIterator<Item = &'p Place>, extension: &Place) {
        let of = self.key(extension);
        for device in devices {
            let at = self.key(device);
            self.devices.with(&at, |shard| forget_pair(shard, at, of));
        }
        self.extensions.with(&of, |shard| {
            if let Some(extension) = shard.get_mut(&of) {
                extension.wrong = 0;
            }
        });
    }

    /// An administrator lets this extension try again at this device. A delay that it has everywhere stays. False: no wrong
    /// PIN counts there.
    pub fn unlock_at(&self, device: &Place, extension: &Place) -> bool {
        let (at, of) = self.keys(device, extension);
        self.devices.with(&at, |shard| forget_pair(shard, at, of))
    }

    /// Which of `extensions` are locked at one of `devices`, or slowed down everywhere, by device and extension. What
    /// was dialled and is none of these is not told: it may be a PIN.
    pub fn locks(&self, devices: &[Place], extensions: &[Place], now: Mono) -> Vec<Lock> {
        let names: HashMap<u64, &Place, NameHasher> =
            extensions.iter().map(|extension| (self.key(extension), extension)).collect();
        let mut locks = Vec::new();
        for (of, extension) in &names {
            let slowed = self.extensions.with(of, |shard| {
                let slowed = shard.get_mut(of)?;
                slowed.forgive(now);
                Some((slowed.wrong, passed(slowed.next()?, now).err()?))
            });
            let lock = |(wrong, Locked { retry_after }): (u32, Locked)| Lock {
                device: None,
                extension: (*extension).clone(),
                wrong,
                retry_after,
            };
            locks.extend(slowed.map(lock));
        }
        for device in devices {
            let at = self.key(device);
            let pairs: SmallVec<[Pair; 2]> =
                self.devices.with(&at, |shard| shard.get(&at).map(|it| it.pairs.clone())).unwrap_or_default();
            locks.extend(pairs.iter().filter_map(|pair| {
                let Locked { retry_after } = passed(pair.locked_until, now).err()?;
                let extension = (*names.get(&pair.extension)?).clone();
                Some(Lock { device: Some(device.clone()), extension, wrong: pair.wrong, retry_after })
            }));
        }
        locks.sort_unstable_by(|a, b| (&a.device, &a.extension).cmp(&(&b.device, &b.extension)));
        locks
    }

    fn key(&self, place: &Place) -> u64 {
        // By the names themselves: what is dialled may be no name of the operator's.
        self.devices.hasher().hash_one((place.tenant(), place.name()))
    }

    fn keys(&self, device: &Place, extension: &Place) -> (u64, u64) {
        (self.key(device), self.key(extension))
    }
}

/// `first`, doubled `times` times, at most `max`.
fn doubled(first: Duration, times: u32, max: Duration) -> Duration {
    first.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX)).min(max)
}

/// Refuses while `until` lies ahead.
fn passed(until: Mono, now: Mono) -> Result<(), Locked> {
    if now < until { Err(Locked { retry_after: until.since(now) }) } else { Ok(()) }
}

/// False: nothing was known of it.
fn forget_pair(devices: &mut Devices, at: u64, of: u64) -> bool {
    let Some(device) = devices.get_mut(&at) else { return false };
    let before = device.pairs.len();
    device.pairs.retain(|pair| pair.extension != of);
    let was_known = device.pairs.len() < before;
    if device.pairs.is_empty() {
        devices.remove(&at);
    }
    was_known
}

fn give_back(devices: &mut Devices, at: u64, of: u64) {
    let Some(pair) = devices.get_mut(&at).and_then(|device| device.pair(of)) else { return };
    pair.wrong -= 1;
    // A try is let in only when the last lock is over.
    pair.locked_until = Mono::default();
    if pair.wrong == 0 {
        forget_pair(devices, at, of);
    }
}

/// Makes room for more extensions by forgetting an eighth, those worth least: first whom nobody ever proved to be
/// and who is not slowed down (made-up ones never are more), then those with the fewest wrong PINs; of equals the
/// oldest.
fn make_room(extensions: &mut Extensions, of: u64, now: Mono) {
    if extensions.len() < EXTENSIONS_PER_SHARD_MAX || extensions.contains_key(&of) {
        return;
    }
    let worth = |extension: &mut Extension| {
        extension.forgive(now);
        let matters = extension.wrong > EXTENSION_TRIES_FREE || !extension.known.is_empty();
        (matters, extension.wrong, extension.last)
    };
    let mut by_worth: Vec<_> =
        extensions.iter_mut().map(|(key, extension)| (worth(extension), *key)).collect();
    let (least, _, _) = by_worth.select_nth_unstable(EXTENSIONS_PER_SHARD_MAX / 8);
    for (_, key) in least {
        extensions.remove(key);
    }
}

impl Device {
    fn pair(&mut self, extension: u64) -> Option<&mut Pair> {
        self.pairs.iter_mut().find(|pair| pair.extension == extension)
    }

    fn attempt(&mut self, extension: u64, is_known: bool, now: Mono) -> Result<(), Locked> {
        self.pairs.retain(|pair| now < pair.last.max(pair.locked_until) + MEMORY);
        if let Some(pair) = self.pair(extension) {
            passed(pair.locked_until, now)?;
        }
        let others = self.pairs.iter().filter(|pair| pair.extension != extension).count();
        if others >= EXTENSIONS_FREE && !is_known {
            let delay = doubled(DELAY_FIRST, (others - EXTENSIONS_FREE) as u32, LOCK_MAX);
            passed(self.last + delay, now)?;
        }
        if self.pair(extension).is_none() {
            self.make_room(now)?;
            self.pairs.push(Pair { extension, wrong: 0, locked_until: Mono::default(), last: now });
        }
        self.last = now;
        if let Some(pair) = self.pair(extension) {
            pair.wrong = pair.wrong.saturating_add(1);
            pair.charge(now);
        }
        Ok(())
    }

    /// The oldest pair that is not locked gives way; where all are locked, so is the device for new ones.
    fn make_room(&mut self, now: Mono) -> Result<(), Locked> {
        if self.pairs.len() < PAIRS_PER_DEVICE_MAX {
            return Ok(());
        }
        let open = self.pairs.iter().enumerate().filter(|(_, pair)| pair.locked_until <= now);
        match open.min_by_key(|(_, pair)| pair.last).map(|(place, _)| place) {
            Some(place) => {
                self.pairs.remove(place);
                Ok(())
            }
            None => passed(self.pairs.iter().map(|pair| pair.locked_until).min().unwrap_or_default(), now),
        }
    }
}

impl Pair {
    fn charge(&mut self, now: Mono) {
        self.last = now;
        if let Some(beyond) = self.wrong.checked_sub(TRIES_FREE) {
            self.locked_until = now + doubled(LOCK_FIRST, beyond, LOCK_MAX);
        }
    }
}

impl Extension {
    /// When it may be tried next where it is not known; `None`: at any time.
    fn next(&self) -> Option<Mono> {
        let beyond = self.wrong.checked_sub(EXTENSION_TRIES_FREE)?;
        Some(self.last + doubled(DELAY_FIRST, beyond, EXTENSION_DELAY_MAX))
    }

    fn forgive(&mut self, now: Mono) {
        let forgiven = now.since(self.since).as_secs() / EXTENSION_FORGIVES.as_secs();
        let forgiven = u32::try_from(forgiven).unwrap_or(u32::MAX);
        self.wrong = self.wrong.saturating_sub(forgiven);
        self.since = if self.wrong == 0 { now } else { self.since + EXTENSION_FORGIVES * forgiven };
    }

    fn attempt(&mut self, device: u64, now: Mono) -> Result<(), Locked> {
        self.forgive(now);
        if let Some(next) = self.next()
            && !self.known.contains(&device)
        {
            passed(next, now)?;
        }
        self.wrong = (self.wrong + 1).min(EXTENSION_TRIES_MAX);
        self.last = now;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
