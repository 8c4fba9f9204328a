//! Which phones have called for help, and by which number the emergency service knows them: whoever calls that number a
//! while later reaches that phone, whatever has become of its seat (RULES §6).
//!
//! ```text
//!  began ─► up ── ended, or nobody saw it end ─► call-back rings ── its time is over ─► forgotten
//! ```
//!
//! Each change is a record for the store, written behind: a call for help waits for nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::place::Place;
use crate::flow::{Flow, ListenerId};
use crate::now::{Mono, Now};

/// Calls that are remembered at a time. A carrier with a million phones sees some ten emergency calls a minute; more
/// than this within an hour is a phone that plays, and the one whose time is over first gives way.
const CALLS_MAX: usize = 4_096;

/// Calls of one device, or of one extension's phones: as many as a device is counted in at a time.
const CALLS_PER_CALLER_MAX: usize = 16;

/// Calls of one address whose phones have proved nothing: a floor of them behind one NAT.
const CALLS_PER_ADDRESS_MAX: usize = 64;

/// Fewer digits than this are compared whole: an extension must not be taken for the end of somebody's number.
const NATIONAL_DIGITS_MIN: usize = 7;

/// A call for help and the phone it came from, as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalledForHelp {
    /// The tenant where the phone stands, and what tells this call from others there ([`Self::key_of`]).
    pub key: Place,
    /// Whose account it is, as far as that is known.
    pub caller: Caller,
    /// The number the emergency service was shown; empty where none is known to be the phone's, and nobody can call it.
    pub number: Box<str>,
    /// The Contact of its INVITE.
    pub contact: Box<[u8]>,
    /// The listener it called through.
    pub listener: u8,
    /// Where it was seen.
    pub remote: SocketAddr,
    /// Stands for its dialog.
    pub dialog: u64,
    /// Wall clock of its beginning, milliseconds since 1970-01-01 UTC.
    pub began: u64,
    /// And of its end; `None`: it is up, or nobody saw it end.
    pub ended: Option<u64>,
}

/// Who called for help.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Caller {
    /// A shared desk phone.
    Device(Place),
    /// An ordinary phone of an extension.
    Extension(Place),
    /// A phone that has not proved to be anything, from inside a site.
    Unknown,
}

impl CalledForHelp {
    /// How a call is told from others out of `tenant`: by its phone, which is a device by its name and any other by its
    /// account, if it has one, and its address; and by its dialog, since a phone may call twice.
    pub fn key_of(tenant: &str, caller: &Caller, remote: SocketAddr, dialog: u64) -> Place {
        let name = match caller {
            Caller::Device(device) => format!("{} {dialog:016x}", device.name()),
            Caller::Extension(extension) => {
                format!("{} {} {remote} {dialog:016x}", extension.tenant(), extension.name())
            }
            Caller::Unknown => format!(" {remote} {dialog:016x}"),
        };
        Place::new(tenant, &name)
    }

    /// True if both came from one phone.
    fn is_of_phone_of(&self, other: &Self) -> bool {
        self.is_of_caller_of(other) && (self.device().is_some() || self.remote == other.remote)
    }

    /// True if both count against one bound.
    fn is_of_caller_of(&self, other: &Self) -> bool {
        self.caller == other.caller
            && (self.caller != Caller::Unknown
                || (self.key.tenant() == other.key.tenant() && self.remote.ip() == other.remote.ip()))
    }

    /// The device it is, if it is one.
    pub fn device(&self) -> Option<&Place> {
        match &self.caller {
            Caller::Device(device) => Some(device),
            Caller::Extension(_) | Caller::Unknown => None,
        }
    }

    /// When it was last known to be in that call: its end; while it is up, now, but no later than `call_max` after its
    /// beginning.
    fn last_heard(&self, now: u64, call_max: Duration) -> u64 {
        self.ended.unwrap_or_else(|| now.min(self.began.saturating_add(milliseconds(call_max))))
    }
}

/// A phone that a call-back is to ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallBack {
    /// The call it answers.
    pub call: CalledForHelp,
    /// The way that call came. Over a connection it may be gone.
    pub flow: Option<Flow>,
}

/// What the phone of a restored call is to be held for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resumed {
    /// Its call may still be up.
    Up {
        /// Stands for the dialog.
        dialog: u64,
    },
    /// Its call ended so long ago.
    Ended(Duration),
}

#[derive(Debug)]
struct Entry {
    call: CalledForHelp,
    flow: Option<Flow>,
    until: Mono,
}

/// The calls for help. One lock: emergency calls are rare, and whoever makes no such call asks
/// [`Self::is_empty`] alone.
#[derive(Debug, Default)]
pub struct CallBacks {
    calls: Mutex<BTreeMap<Place, Entry>>,
    count: AtomicUsize,
}

impl CallBacks {
    /// Nobody has called.
    pub fn new() -> Self {
        Self::default()
    }

    /// True if no call-back is expected anywhere; no lock.
    pub fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// A call for help began over `flow`. It is remembered for `longest`, unless its end is told before. Gives the key of the
    /// call that had to give way, if there is no room.
    pub fn began(&self, call: CalledForHelp, flow: Flow, now: Mono, longest: Duration) -> Option<Place> {
        let mut calls = self.lock();
        let of_caller_max = match call.caller {
            Caller::Unknown => CALLS_PER_ADDRESS_MAX,
            Caller::Device(_) | Caller::Extension(_) => CALLS_PER_CALLER_MAX,
        };
        let of_caller = || calls.iter().filter(|(_, entry)| entry.call.is_of_caller_of(&call));
        let gives_way = if calls.contains_key(&call.key) {
            None
        } else if of_caller().count() >= of_caller_max {
            first_over(of_caller())
        } else if calls.len() >= CALLS_MAX {
            first_over(calls.iter())
        } else {
            None
        };
        if let Some(key) = &gives_way {
            calls.remove(key);
        }
        calls.insert(call.key.clone(), Entry { flow: Some(flow), until: now + longest, call });
        self.recount(&calls);
        gives_way
    }

    /// The call of this dialog is over: from now on it is remembered for what `call_back` says of its tenant. Gives what is
    /// to be stored; `None`: it was no call for help, or its end was told before.
    pub fn ended(
        &self,
        dialog: u64,
        now: Now,
        call_back: impl FnOnce(&str) -> Duration,
    ) -> Option<CalledForHelp> {
        let mut calls = self.lock();
        let entry =
            calls.values_mut().find(|entry| entry.call.dialog == dialog && entry.call.ended.is_none())?;
        entry.call.ended = Some(now.wall);
        entry.until = now.mono + call_back(entry.call.key.tenant());
        Some(entry.call.clone())
    }

    /// The emergency service answers the call of `key`: its time starts anew.
    pub fn called_back(&self, key: &Place, now: Now, call_back: Duration) -> Option<CalledForHelp> {
        let mut calls = self.lock();
        let entry = calls.get_mut(key)?;
        entry.until = entry.until.max(now.mono + call_back);
        if entry.call.ended.is_some() {
            entry.call.ended = Some(now.wall);
        }
        Some(entry.call.clone())
    }

    /// The phones that showed `number`, of the tenants `is_asked` takes: those that showed it as it is written, and only if
    /// there are none those that showed it in another of its forms. Each is there once, with the last of those calls.
    pub fn of_number(&self, number: &[u8], now: Mono, is_asked: impl Fn(&str) -> bool) -> Vec<CallBack> {
        if self.is_empty() {
            return Vec::new();
        }
        let called = Called::new(number);
        let calls = self.lock();
        let asked = || {
            let alive = calls.values().filter(|entry| now < entry.until);
            alive.filter(|entry| is_asked(entry.call.key.tenant()))
        };
        let call_back = |entry: &Entry| CallBack { call: entry.call.clone(), flow: entry.flow };
        let mut found: Vec<CallBack> =
            asked().filter(|entry| called.is_exactly(&entry.call.number)).map(call_back).collect();
        if found.is_empty() {
            found = asked().filter(|entry| called.means(&entry.call.number)).map(call_back).collect();
        }
        found.sort_by_key(|found| std::cmp::Reverse(found.call.began));
        let mut phones: Vec<CallBack> = Vec::new();
        for found in found {
            if phones.iter().all(|known| !known.call.is_of_phone_of(&found.call)) {
                phones.push(found);
            }
        }
        phones.sort_by(|a, b| a.call.key.cmp(&b.call.key));
        phones
    }

    /// Forgets calls whose time is over; the store is to forget those of these keys too.
    pub fn expire(&self, now: Mono) -> Vec<Place> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut calls = self.lock();
        let over = calls.extract_if(.., |_, entry| entry.until <= now).map(|(key, _)| key).collect();
        self.recount(&calls);
        over
    }

    /// Takes back what the store kept of one call. `call_back` and `hold` are how long its tenant remembers such a phone
    /// and holds its seat. `None`: all of that is over; the store is to forget it.
    pub fn restore(
        &self,
        call: CalledForHelp,
        now: Now,
        times: (Duration, Duration),
        call_max: Duration,
        is_datagram: impl Fn(ListenerId) -> bool,
    ) -> Option<Resumed> {
        let (call_back, hold) = times;
        // A wall clock that was set back makes no age negative.
        let age = Duration::from_millis(now.wall.saturating_sub(call.last_heard(now.wall, call_max)));
        let is_up = call.ended.is_none() && age.is_zero();
        let left = call_back.saturating_sub(age);
        if !is_up && left.is_zero() && age >= hold {
            return None;
        }
        let resumed = if is_up { Resumed::Up { dialog: call.dialog } } else { Resumed::Ended(age) };
        if is_up || !left.is_zero() {
            let listener = ListenerId(call.listener);
            let flow = is_datagram(listener).then(|| Flow::datagram(listener, call.remote));
            let left = if is_up { call_max + call_back } else { left };
            let mut calls = self.lock();
            calls.insert(call.key.clone(), Entry { flow, until: now.mono + left, call });
            self.recount(&calls);
        }
        Some(resumed)
    }

    fn recount(&self, calls: &BTreeMap<Place, Entry>) {
        self.count.store(calls.len(), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Place, Entry>> {
        // Every entry is put in whole.
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The key of that call whose time is over first.
fn first_over<'a>(calls: impl Iterator<Item = (&'a Place, &'a Entry)>) -> Option<Place> {
    calls.min_by_key(|(_, entry)| entry.until).map(|(key, _)| key.clone())
}

fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// A number that is called, for comparison with those that were shown.
struct Called<'a> {
    written: &'a [u8],
    significant: Option<Vec<u8>>,
}

impl<'a> Called<'a> {
    fn new(written: &'a [u8]) -> Self {
        Self { written, significant: significant(written) }
    }

    /// True for the same text. A phone that showed no number is called by none.
    fn is_exactly(&self, shown: &str) -> bool {
        !shown.is_empty() && self.written == shown.as_bytes()
    }

    /// True if whoever calls it means `shown`: the same text, or the same number in another of its forms, such as
    /// `+1 212 555 0100` for `2125550100`, `0012125550100` or `12125550100`.
    fn means(&self, shown: &str) -> bool {
        if self.is_exactly(shown) {
            return true;
        }
        let (Some(called), Some(shown)) = (&self.significant, significant(shown.as_bytes())) else {
            return false;
        };
        let (longer, shorter) = if called.len() >= shown.len() { (called, &shown) } else { (&shown, called) };
        shorter.len() >= NATIONAL_DIGITS_MIN && longer.ends_with(shorter)
    }
}

/// The digits of a number without separators, `+` and leading zeros; `None` if it is none.
fn significant(number: &[u8]) -> Option<Vec<u8>> {
    /// E.164 has fifteen digits at most; an international prefix may stand before them.
    const DIGITS_MAX: usize = 24;
    let mut digits = Vec::new();
    for (at, octet) in number.iter().enumerate() {
        match octet {
            b'0'..=b'9' if digits.len() < DIGITS_MAX => digits.push(*octet),
            b'+' if at == 0 => {}
            b'-' | b'.' | b'(' | b')' | b' ' => {}
            _ => return None,
        }
    }
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    Some(digits.split_off(zeros))
}

#[cfg(test)]
mod tests;
