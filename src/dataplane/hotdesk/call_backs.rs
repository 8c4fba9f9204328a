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
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const CALL_MAX: Duration = Duration::from_secs(4 * 3600);

    fn at(seconds: u32) -> Now {
        Now { mono: Mono::from_seconds(seconds), wall: 1_700_000_000_000 + u64::from(seconds) * 1000 }
    }

    fn flow() -> Flow {
        Flow::datagram(ListenerId(0), "203.0.113.9:5060".parse().unwrap())
    }

    fn call(device: &str, number: &str, dialog: u64, began: Now) -> CalledForHelp {
        let device = Place::new("acme", device);
        CalledForHelp {
            key: CalledForHelp::key_of("acme", &Caller::Device(device.clone()), flow().remote, dialog),
            caller: Caller::Device(device),
            number: number.into(),
            contact: (*b"sip:desk@192.168.1.9").into(),
            listener: 0,
            remote: flow().remote,
            dialog,
            began: began.wall,
            ended: None,
        }
    }

    fn ringing(calls: &CallBacks, number: &str, now: Now) -> Vec<String> {
        let found = calls.of_number(number.as_bytes(), now.mono, |tenant| tenant == "acme");
        let device = |found: &CallBack| found.call.device().map(|device| device.name().to_owned());
        found.iter().map(|found| device(found).expect("a device")).collect()
    }

    #[test]
    fn number_leads_to_its_phones_until_their_time_is_over() {
        let calls = CallBacks::new();
        assert!(calls.is_empty());
        calls.began(call("desk-2", "+12125550100", 2, at(0)), flow(), at(0).mono, CALL_MAX + HOUR);
        calls.began(call("desk-1", "+12125550100", 1, at(0)), flow(), at(0).mono, CALL_MAX + HOUR);
        calls.began(call("desk-3", "+12125550199", 3, at(0)), flow(), at(0).mono, CALL_MAX + HOUR);

        calls.ended(1, at(100), |_| HOUR).expect("it was up");
        assert_eq!(calls.ended(1, at(200), |_| HOUR), None, "its end is told once");

        assert_eq!(ringing(&calls, "+12125550100", at(100)), ["desk-1", "desk-2"]);
        assert_eq!(ringing(&calls, "+12125550100", at(100 + 3600)), ["desk-2"]);
        assert_eq!(calls.expire(at(100 + 3600).mono), [call("desk-1", "", 1, at(0)).key]);
        assert_eq!(calls.expire(at(10 * 3600).mono).len(), 2);
        assert!(calls.is_empty());
    }

    #[test]
    fn second_call_of_a_phone_takes_nothing_from_the_first() {
        let calls = CallBacks::new();
        calls.began(call("desk-1", "+12125550100", 1, at(0)), flow(), at(0).mono, CALL_MAX + HOUR);
        calls.began(call("desk-1", "+12125550199", 2, at(10)), flow(), at(10).mono, CALL_MAX + HOUR);
        assert!(calls.ended(2, at(20), |_| HOUR).is_some());

        assert_eq!(ringing(&calls, "+12125550100", at(3000)), ["desk-1"]);
        assert_eq!(ringing(&calls, "+12125550199", at(3000)), ["desk-1"]);
        assert_eq!(ringing(&calls, "+12125550100", at(2 * 3600)), ["desk-1"], "its call is up");
        assert!(calls.ended(1, at(2 * 3600), |_| HOUR).is_some(), "the end of the first is seen too");
    }

    #[test]
    fn phone_that_called_twice_rings_once_where_it_called_from_last() {
        let calls = CallBacks::new();
        let moved = SocketAddr::new(flow().remote.ip(), 5070);
        calls.began(call("desk-1", "+12125550100", 1, at(0)), flow(), at(0).mono, HOUR);
        let again = CalledForHelp { remote: moved, ..call("desk-1", "+12125550100", 2, at(9)) };
        calls.began(again, Flow::datagram(ListenerId(0), moved), at(9).mono, HOUR);

        let found = calls.of_number(b"+12125550100", at(10).mono, |_| true);

        assert_eq!(found.iter().map(|found| found.call.remote).collect::<Vec<_>>(), [moved]);
    }

    #[test]
    fn phones_behind_one_address_that_proved_nothing_are_told_apart() {
        let calls = CallBacks::new();
        let from = |port: u16| SocketAddr::new(flow().remote.ip(), port);
        let call = |port: u16, dialog| {
            let key = CalledForHelp::key_of("acme", &Caller::Unknown, from(port), dialog);
            CalledForHelp {
                key,
                caller: Caller::Unknown,
                remote: from(port),
                ..call("", "100", dialog, at(0))
            }
        };
        for (port, dialog) in [(5060, 1), (5061, 2), (5061, 3)] {
            calls.began(call(port, dialog), Flow::datagram(ListenerId(0), from(port)), at(0).mono, HOUR);
        }

        let found = calls.of_number(b"100", at(1).mono, |_| true);
        assert_eq!(found.iter().map(|found| found.call.remote.port()).collect::<Vec<_>>(), [5060, 5061]);

        for dialog in 4..10_000_u16 {
            calls.began(call(dialog, dialog.into()), flow(), at(1).mono, HOUR);
        }
        assert_eq!(calls.count.load(Ordering::Relaxed), CALLS_PER_ADDRESS_MAX);
    }

    #[test]
    fn phone_that_plays_pushes_out_its_own_calls_alone() {
        let calls = CallBacks::new();
        calls.began(call("desk-1", "+12125550100", 1, at(0)), flow(), at(0).mono, HOUR);
        for dialog in 0..5_000 {
            calls.began(call("desk-2", "+12125550199", dialog, at(1)), flow(), at(1).mono, HOUR);
        }

        assert_eq!(ringing(&calls, "+12125550100", at(2)), ["desk-1"]);
        assert_eq!(calls.count.load(Ordering::Relaxed), 1 + CALLS_PER_CALLER_MAX);
    }

    #[test]
    fn numbers_of_other_tenants_are_not_theirs_to_call() {
        let calls = CallBacks::new();
        calls.began(call("desk-1", "+12125550100", 1, at(0)), flow(), at(0).mono, HOUR);

        assert!(calls.of_number(b"+12125550100", at(1).mono, |tenant| tenant == "other").is_empty());
    }

    #[test]
    fn number_is_known_in_every_form_and_a_short_one_only_whole() {
        for called in
            ["+12125550100", "12125550100", "0012125550100", "2125550100", "+1-212-555-0100", "5550100"]
        {
            assert!(Called::new(called.as_bytes()).means("+12125550100"), "{called}");
        }
        for called in ["550100", "+12125550101", "0100", "", "boss", "+1212555010"] {
            assert!(!Called::new(called.as_bytes()).means("+12125550100"), "{called}");
        }
        assert!(Called::new(b"desk-1").means("desk-1"));
        assert!(!Called::new(b"").means(""), "a phone that showed no number is called by none");
        assert!(Called::new(b"100").means("100"));
        assert!(!Called::new(b"1000").means("100"));
    }

    #[test]
    fn restart_brings_back_what_is_left_of_the_time() {
        let restore = |call: &CalledForHelp, now: Now| {
            let calls = CallBacks::new();
            let resumed = calls.restore(
                call.clone(),
                Now { mono: Mono::default(), wall: now.wall },
                (HOUR, HOUR * 2),
                CALL_MAX,
                |_| true,
            );
            (resumed, calls)
        };
        let mut kept = call("desk-1", "+12125550100", 7, at(0));

        let (resumed, calls) = restore(&kept, at(60));
        assert_eq!(resumed, Some(Resumed::Up { dialog: 7 }));
        assert!(calls.ended(7, at(70), |_| HOUR).is_some());

        kept.ended = Some(at(100).wall);
        let (resumed, calls) = restore(&kept, at(700));
        assert_eq!(resumed, Some(Resumed::Ended(Duration::from_secs(600))));
        assert_eq!(ringing(&calls, "+12125550100", at(2999)), ["desk-1"]);
        assert!(ringing(&calls, "+12125550100", at(3000)).is_empty());

        let (resumed, calls) = restore(&kept, at(100 + 5400));
        assert_eq!(resumed, Some(Resumed::Ended(Duration::from_secs(5400))), "the seat is held longer here");
        assert!(calls.is_empty());
        assert_eq!(restore(&kept, at(100 + 7200)).0, None);

        kept.ended = None;
        assert_eq!(restore(&kept, at(6 * 3600)).0, None, "its end was never seen, and it is long ago");
        let set_back = Now { mono: Mono::default(), wall: 5 };
        assert!(restore(&kept, set_back).0.is_some(), "a clock set back releases nobody");
    }

    #[test]
    fn flood_of_calls_costs_a_bounded_table() {
        let calls = CallBacks::new();
        for n in 0..CALLS_MAX as u32 {
            let given =
                calls.began(call(&format!("desk-{n}"), "+12125550100", 1, at(n)), flow(), at(n).mono, HOUR);
            assert_eq!(given, None);
        }

        let given = calls.began(call("one-more", "+12125550100", 1, at(9_999)), flow(), at(9_999).mono, HOUR);

        assert_eq!(given, Some(call("desk-0", "", 1, at(0)).key), "the one whose time is over first");
    }

    proptest::proptest! {
        #[test]
        fn no_number_causes_a_panic(called: Vec<u8>, shown: String) {
            let _ = Called::new(&called).means(&shown);
        }
    }
}
