//! How much a source may send before anything of it is read: by its address and port, and by its address.
//!
//! Each has a *debt*: the time until which what it has sent is paid off. A message adds to it, time pays it, and above
//! [`BURST`] nothing more is taken. So a limit is one number, one that has paid everything is like one that was never
//! seen, and whoever is to be slowed or shut out for a while only gets more debt.
//!
//! What comes in datagrams is counted apart from what comes over connections: anybody can write an address into a datagram,
//! and must not use up with it what a phone there may send over its connection.
//!
//! TLS handshakes are counted likewise, by address alone: each costs the worker far more than a message does, and none has
//! proved anything when it begins.
//!
//! The tables belong to one worker and never grow. The kernel brings all datagrams of an address and port to the same
//! worker, so what is counted by source is counted exactly. An address has its budget on each worker: it is the worker
//! that is to be protected. What the workers must agree on is only how many phones are behind an address, and that the
//! location service knows.
//!
//! ```text
//!             within its debt                within its debt
//!  source ───────────────────► proved? ─no─► address ────────► read
//!    │ above                     └─yes──────────────────────►  │ above
//!    └────► a phone among many? in a dialog? a call for help? ◄┘ else dropped
//! ```

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use siphasher::sip::SipHasher13;

use super::bans::Ban;
use crate::flow::{Flow, network_of};
use crate::now::Mono;
use crate::settings::{AdmissionPolicy, Rate};

/// Debt that a source may have and still be listened to: five seconds' worth of messages may come at once.
pub(crate) const BURST: Duration = Duration::from_secs(5);

/// Beyond it, what belongs to a call under way is taken for as much again, so that a source which sends too much can end
/// its calls.
const RESERVE: Duration = Duration::from_secs(5);

/// What a source may send for help beyond its limit, and then within the calls that makes: some three calls a second, of
/// which each is asked for its password. All of an address together may send as much for help as of anything else.
const FOR_HELP: Rate = Rate::per_second(20);

/// What a failure costs: a source that fails all the time is down to four tries a second.
const FAILURE: Duration = Duration::from_millis(250);

/// Sources of one worker that are remembered, in 8 MiB: of 65,000 phones that it serves hardly any is pushed out of its row by others,
/// after which it would count as a stranger. Who is pushed out starts without debt, so it is the one with the least of it.
const SOURCES_MAX: usize = 131_072;

/// Addresses likewise, in 256 KiB by their messages and in as much by their handshakes.
const ADDRESSES_MAX: usize = 4_096;

/// Places where one key may lie.
const WAYS: usize = 4;

/// TLS handshakes that an address may begin: 250 at once, and 2,000 phones that nobody knows yet within 35 s. A worker does
/// some hundreds a second with the dearest key in use, RSA, and thousands with P-256.
const HANDSHAKES: Rate = Rate::per_second(50);

/// Phones behind an address for each of which it may begin one handshake a second more: five seconds' worth are then enough
/// for all of them at once, and some twice.
const PHONES_PER_HANDSHAKE: u32 = 4;

/// Bans of a worker that people and other workers are told of.
const BANS_TOLD: Rate = Rate::per_second(20);

/// What a source has failed at is forgotten after so long.
const WINDOW: u32 = 600;

/// Whether the next message of a source may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Within,
    /// It has sent too much.
    Over,
}

/// What a source did that no honest phone does often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault<'a> {
    /// It named itself a scanner.
    Scanner,
    /// It asked for a user that does not exist.
    UnknownUser(&'a [u8]),
    /// Its digest answer was wrong; by a hash of the request, since repetitions do not count.
    WrongDigest(u32),
}

/// The sources of one worker.
pub(crate) struct Sources {
    hasher: SipHasher13,
    sources: Table,
    addresses: Table,
    /// Addresses again, by the TLS handshakes they begin.
    handshakes: Table,
    /// Who sent the message that is being served; nobody while something else is.
    current: Option<usize>,
    /// What the bans that were told of have cost.
    told: Entry,
}

/// What is remembered of a source or an address, in a cache line of its own.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Entry {
    /// Whose it is: a hash; 0: nobody's.
    key: u64,
    /// When it has paid.
    paid: u64,
    /// When it has paid for what it sent for help beyond that.
    paid_for_help: u64,
    /// One bit for each unknown user it asked for, by their hash.
    unknown_users: u64,
    /// Second until which it counts as proved.
    proved_until: u32,
    /// Second until which what belongs to calls is taken from it as a call for help is: it has made one.
    helps_until: u32,
    /// Second until which each message costs it what a failure does; of handshakes: until which it is known to begin too many.
    slow_until: u32,
    /// Nanoseconds a message costs it; 0: what the settings say.
    cost: u32,
    /// Of the last wrong digest.
    print: u32,
    /// Ten minutes to which the faults belong.
    window: u16,
    wrong_digests: u16,
}

impl Sources {
    /// Nobody was seen. `key` must be random and new at every start: without it nobody knows whose places are near.
    pub(crate) fn new(key: [u8; 16]) -> Self {
        Self {
            hasher: SipHasher13::new_with_key(&key),
            sources: Table::new(SOURCES_MAX),
            addresses: Table::new(ADDRESSES_MAX),
            handshakes: Table::new(ADDRESSES_MAX),
            current: None,
            told: Entry::default(),
        }
    }

    /// Charges a source for a message, and its address too unless the source has proved whose it is.
    pub(crate) fn charge(
        &mut self,
        now: Mono,
        flow: &Flow,
        source_rate: Rate,
        address_rate: Rate,
    ) -> Standing {
        let key = self.address_key(flow.remote.ip(), flow.is_reliable());
        let place = self.sources.place(source_key(key, flow.remote), now);
        self.current = Some(place);
        let source = &mut self.sources.0[place];
        if source.charge(now, source_rate) == Standing::Over {
            return Standing::Over;
        }
        if source.is_proved(now) {
            return Standing::Within;
        }
        let address = self.addresses.place(key, now);
        self.addresses.0[address].charge(now, address_rate)
    }

    /// The same for a source that was over, by the rates of an address with `phones` live bindings behind it.
    pub(crate) fn charge_again(
        &mut self,
        now: Mono,
        flow: &Flow,
        (source_rate, address_rate): (Rate, Rate),
        phones: impl Fn() -> u32,
        per_phone: u32,
    ) -> Standing {
        let Some(source) = self.current() else { return Standing::Over };
        let is_proved = source.is_proved(now);
        if source.is_over(now) {
            source.slow_no_longer(now.seconds());
            // A port is one phone, unless what has proved itself there is a gateway for many.
            if !is_proved || !source.look_again(now, source_rate, || phones().saturating_mul(per_phone)) {
                return Standing::Over;
            }
            return source.charge(now, source_rate);
        }
        let key = self.address_key(flow.remote.ip(), flow.is_reliable());
        let place = self.addresses.place(key, now);
        let address = &mut self.addresses.0[place];
        if address.look_again(now, address_rate, || phones().saturating_mul(per_phone)) {
            return address.charge(now, address_rate);
        }
        Standing::Over
    }

    /// True if the current source may send what belongs to a call, though it, or its address, has sent too much else. A
    /// source that has not proved whose it is takes of the reserve of its address as well.
    pub(crate) fn take_of_reserve(
        &mut self,
        now: Mono,
        flow: &Flow,
        rates: (Rate, Rate),
        for_help: Rate,
    ) -> bool {
        let Some(source) = self.current() else { return false };
        let (is_proved, has_called) = (source.is_proved(now), source.helps_until > now.seconds());
        let is_in_reserve = source.take_of_reserve(now, rates.0)
            && (is_proved || self.address(now, flow).take_of_reserve(now, rates.1));
        is_in_reserve || has_called && self.take_for_help(now, flow, for_help)
    }

    /// True if the current source, or its address, may call for help though it has sent too much else, or is banned; then what
    /// belongs to the call is taken too while it may last. What it owes stays, or such a call would lift every ban.
    /// `for_help` is what all of the address may send that have not proved whose they are.
    pub(crate) fn call_for_help(
        &mut self,
        now: Mono,
        flow: &Flow,
        for_help: Rate,
        call_max: Duration,
    ) -> bool {
        let may = self.take_for_help(now, flow, for_help);
        if may && let Some(source) = self.current() {
            source.helps_until = (now + call_max).seconds();
        }
        may
    }

    fn take_for_help(&mut self, now: Mono, flow: &Flow, for_help: Rate) -> bool {
        let Some(source) = self.current() else { return false };
        let is_proved = source.is_proved(now);
        source.take_for_help(now, FOR_HELP)
            && (is_proved || self.address(now, flow).take_for_help(now, for_help))
    }

    /// Charges an address for a TLS handshake that it wants to begin, by the rate of one with so many `phones` behind it.
    pub(crate) fn charge_handshake(&mut self, now: Mono, ip: IpAddr, phones: u32) -> Standing {
        let address = self.handshakes_of(now, ip);
        let standing = address.charge(now, HANDSHAKES);
        if standing == Standing::Over && address.look_again(now, HANDSHAKES, || phones / PHONES_PER_HANDSHAKE)
        {
            return address.charge(now, HANDSHAKES);
        }
        standing
    }

    /// A handshake of this address went on with a session of before, which takes no signature: it costs a quarter.
    pub(crate) fn resumed(&mut self, now: Mono, ip: IpAddr) {
        let address = self.handshakes_of(now, ip);
        address.paid = address.paid.saturating_sub(u64::from(address.cost_by(HANDSHAKES)) / 4 * 3);
    }

    /// This address has begun too many handshakes. False: it had within the last ten minutes.
    pub(crate) fn begins_too_many(&mut self, now: Mono, ip: IpAddr) -> bool {
        let address = self.handshakes_of(now, ip);
        let is_news = address.slow_until <= now.seconds();
        address.slow_until = now.seconds().saturating_add(WINDOW);
        is_news
    }

    /// The current source has proved whose it is, for so many seconds.
    pub(crate) fn proved(&mut self, now: Mono, seconds: u32) {
        if let Some(source) = self.current() {
            source.proved_until = now.seconds().saturating_add(seconds);
            source.slow_no_longer(u32::MAX);
        }
    }

    /// True if the current source has proved whose it is.
    pub(crate) fn is_proved(&self, now: Mono) -> bool {
        self.current.is_some_and(|place| self.sources.0[place].is_proved(now))
    }

    /// The message of the current source has been served.
    pub(crate) fn done(&mut self) {
        self.current = None;
    }

    fn current(&mut self) -> Option<&mut Entry> {
        self.current.map(|place| &mut self.sources.0[place])
    }

    /// Notes a fault of the current source, which pays for most. True if it was one too many: of the source, or of its whole
    /// address where `of_address`.
    pub(crate) fn fault(
        &mut self,
        now: Mono,
        flow: &Flow,
        fault: Fault<'_>,
        of_address: bool,
        policy: &AdmissionPolicy,
    ) -> bool {
        let hash = match fault {
            Fault::UnknownUser(user) => self.hasher.hash(user),
            Fault::Scanner | Fault::WrongDigest(_) => 0,
        };
        let Some(source) = self.current() else { return false };
        // Short of a ban nothing tells a user that does not exist from one that does.
        if !matches!(fault, Fault::UnknownUser(_)) && !source.is_over(now) {
            source.owe(now, FAILURE);
        }
        if !of_address {
            return source.fault(now, fault, hash, policy);
        }
        self.address(now, flow).fault(now, fault, hash, policy)
    }

    /// The current source is listened to slowly for a while, unless it proves whose it is. False: it was before.
    pub(crate) fn slow(&mut self, now: Mono, until: Mono) -> bool {
        let Some(source) = self.current() else { return false };
        let is_news = source.slow_until <= now.seconds();
        (source.slow_until, source.cost) = (until.seconds(), FAILURE.as_nanos() as u32);
        is_news
    }

    /// Nothing more is taken from who is banned. False: he was before.
    pub(crate) fn ban(&mut self, now: Mono, ban: &Ban) -> bool {
        // A reserve is for those who are limited.
        let paid = ban.until + BURST + RESERVE;
        let mut is_news = false;
        for is_stream in [false, true].into_iter().filter(|is_stream| !is_stream || ban.connections) {
            let entry = self.entry_of(now, (ban.address, is_stream), ban.port);
            is_news |= !entry.is_banned(now);
            entry.paid = entry.paid.max(paid.0);
        }
        is_news
    }

    /// Whether one more ban can be told of: whoever writes many addresses into his datagrams must fill no log.
    pub(crate) fn may_tell(&mut self, now: Mono) -> bool {
        self.told.charge(now, BANS_TOLD) == Standing::Within
    }

    /// Forgets what a source, or an address, owes and has failed at.
    pub(crate) fn pardon(&mut self, now: Mono, ip: IpAddr, port: Option<u16>) {
        for is_stream in [false, true] {
            let entry = self.entry_of(now, (ip, is_stream), port);
            *entry = Entry { key: entry.key, proved_until: entry.proved_until, ..Entry::default() };
        }
    }

    /// True if no connection of this address is listened to that has not proved whose it is.
    pub(crate) fn is_banned(&mut self, now: Mono, ip: IpAddr) -> bool {
        self.entry_of(now, (ip, true), None).is_banned(now)
    }

    fn handshakes_of(&mut self, now: Mono, ip: IpAddr) -> &mut Entry {
        let place = self.handshakes.place(self.address_key(ip, true), now);
        &mut self.handshakes.0[place]
    }

    fn address(&mut self, now: Mono, flow: &Flow) -> &mut Entry {
        self.entry_of(now, (flow.remote.ip(), flow.is_reliable()), None)
    }

    fn entry_of(&mut self, now: Mono, (ip, is_stream): (IpAddr, bool), port: Option<u16>) -> &mut Entry {
        let key = self.address_key(ip, is_stream);
        let (table, key) = match port {
            Some(port) => (&mut self.sources, source_key(key, SocketAddr::new(ip, port))),
            None => (&mut self.addresses, key),
        };
        let place = table.place(key, now);
        &mut table.0[place]
    }

    /// Datagrams and connections of an address have each a key of their own.
    fn address_key(&self, ip: IpAddr, is_stream: bool) -> u64 {
        self.hasher.hash(&network_of(ip).to_be_bytes()).max(2) & !1 | u64::from(is_stream)
    }
}

/// The key of a source whose address has `address_key`. That one cannot be guessed, so neither can it be chosen where among
/// the others of its network a source lies.
fn source_key(address_key: u64, remote: SocketAddr) -> u64 {
    let host = match remote.ip() {
        IpAddr::V4(_) => 0,
        IpAddr::V6(ip) => ip.to_bits() as u64,
    };
    // Odd, with ones and zeros well mixed: the digits of e.
    let mix = |word: u64| {
        let product = u128::from(word) * u128::from(0xb7e1_5162_8aed_2a6b_u64);
        (product >> 64) as u64 ^ product as u64
    };
    mix(mix(address_key ^ host) ^ address_key ^ u64::from(remote.port())).max(1)
}

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sources(…)")
    }
}

impl Entry {
    fn debt(&self, now: Mono) -> Duration {
        Mono(self.paid).since(now)
    }

    fn is_proved(&self, now: Mono) -> bool {
        self.proved_until > now.seconds()
    }

    fn is_over(&self, now: Mono) -> bool {
        self.debt(now) > BURST
    }

    fn is_banned(&self, now: Mono) -> bool {
        self.debt(now) > BURST + RESERVE
    }

    /// If it was to be slow until `second` at most, it is no longer.
    fn slow_no_longer(&mut self, second: u32) {
        if self.slow_until != 0 && self.slow_until <= second {
            (self.slow_until, self.cost) = (0, 0);
        }
    }

    fn cost_by(&self, rate: Rate) -> u32 {
        if self.cost == 0 { rate.nanos } else { self.cost }
    }

    fn owe(&mut self, now: Mono, time: Duration) {
        self.paid = (Mono(self.paid.max(now.0)) + time).0;
    }

    fn charge(&mut self, now: Mono, rate: Rate) -> Standing {
        let paid = self.paid.max(now.0);
        if paid - now.0 > BURST.as_nanos() as u64 {
            return Standing::Over;
        }
        self.paid = paid + u64::from(self.cost_by(rate));
        Standing::Within
    }

    fn take_for_help(&mut self, now: Mono, rate: Rate) -> bool {
        let paid = self.paid_for_help.max(now.0);
        let may = paid - now.0 <= BURST.as_nanos() as u64;
        if may {
            self.paid_for_help = paid + u64::from(rate.nanos);
        }
        may
    }

    fn take_of_reserve(&mut self, now: Mono, rate: Rate) -> bool {
        let may = !self.is_banned(now);
        if may {
            self.owe(now, Duration::from_nanos(self.cost_by(rate).into()));
        }
        may
    }

    /// Looks up what a message costs now that there may be more phones. True if it has become less: what is owed has, too.
    fn look_again(&mut self, now: Mono, rate: Rate, more: impl FnOnce() -> u32) -> bool {
        let before = self.cost_by(rate);
        let cost = rate.plus(more()).nanos.max(1);
        self.cost = cost;
        if cost >= before || self.is_banned(now) {
            return false;
        }
        let debt = self.debt(now).as_nanos() as u64 / u64::from(before) * u64::from(cost);
        self.paid = now.0 + debt;
        true
    }

    /// `hash` is that of the user.
    fn fault(&mut self, now: Mono, fault: Fault<'_>, hash: u64, policy: &AdmissionPolicy) -> bool {
        let window = (now.seconds() / WINDOW) as u16;
        if self.window != window {
            (self.window, self.unknown_users, self.wrong_digests) = (window, 0, 0);
        }
        match fault {
            Fault::Scanner => true,
            Fault::UnknownUser(_) => {
                self.unknown_users |= 1 << (hash % 64);
                self.unknown_users.count_ones() >= policy.unknown_users_max
            }
            Fault::WrongDigest(print) => {
                if self.print != print {
                    self.print = print;
                    self.wrong_digests = self.wrong_digests.saturating_add(1);
                }
                u32::from(self.wrong_digests) >= policy.wrong_digests_max
            }
        }
    }
}

/// Entries by hash, in rows of [`WAYS`]; the one with the least debt makes room.
struct Table(Box<[Entry]>);

impl Table {
    /// `length` is a power of two.
    fn new(length: usize) -> Self {
        debug_assert!(length.is_power_of_two() && length >= WAYS);
        Self(vec![Entry::default(); length].into())
    }

    /// Where the entry of `key` lies; it is made if there is none.
    fn place(&mut self, key: u64, now: Mono) -> usize {
        let ways = self.ways(key);
        let found = ways.clone().find(|place| self.0[*place].key == key);
        found.unwrap_or_else(|| self.make_room(ways, key, now))
    }

    /// The places where it may lie. Most lie in the first, so that one line of the cache is looked at.
    fn ways(&self, key: u64) -> impl Iterator<Item = usize> + Clone + use<> {
        let (start, first) = (key as usize & (self.0.len() - WAYS), (key >> 32) as usize);
        (0..WAYS).map(move |way| start + (first + way) % WAYS)
    }

    #[cold]
    fn make_room(&mut self, ways: impl Iterator<Item = usize>, key: u64, now: Mono) -> usize {
        // Whoever sends too much stays, and of the others whoever has proved whose he is: small debts are made by the
        // thousand by who writes made-up addresses into his datagrams.
        let rank = |entry: &Entry| (entry.is_over(now), entry.is_proved(now), entry.paid);
        let least = ways.min_by_key(|place| rank(&self.0[*place])).expect("a row has ways");
        self.0[least] = Entry { key, ..Entry::default() };
        least
    }
}

#[cfg(test)]
mod tests;
