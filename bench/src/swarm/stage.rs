//! What a play stands on: the phones' sockets, the clock, who waits for an answer, and the tally.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};

use nix::sys::socket::SockaddrIn;

use super::datagrams;
use super::reading::Heard;
use super::roster::{Roster, Source, write_host, write_source};
use super::tally::Tally;
use super::template::{Gap, write_decimal, write_hex};

/// What every branch of ours begins with (RFC 3261 §8.1.1.7); party and serial number follow, and what no other run has.
pub(super) const BRANCH: &[u8] = b"z9hG4bKsw";

/// Nanoseconds since the run began.
pub(super) type Time = u64;

/// What phones do over and over. One unit of it is what is counted and timed.
pub(super) trait Play {
    /// Begins one unit that was due then.
    fn begin(&mut self, stage: &mut Stage, due: Time) -> Next;

    /// A response came for a phone at `address`: `octets`, as `heard`. By its branch it is an answer to `awaited`,
    /// which may be over.
    fn answered(
        &mut self,
        stage: &mut Stage,
        awaited: Awaited,
        address: Ipv4Addr,
        heard: &Heard<'_>,
        octets: &[u8],
    );

    /// A request came for a phone at `address`. Phones that only register are not asked for anything.
    fn asked(&mut self, stage: &mut Stage, _address: Ipv4Addr, _method: &[u8], _heard: &Heard<'_>) {
        stage.tally.strays += 1;
    }

    /// Nobody has answered `awaited`, if it is still waited for.
    fn give_up(&mut self, stage: &mut Stage, awaited: Awaited);
}

/// What became of [`Play::begin`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A unit is under way.
    Begun,
    /// All phones are busy.
    Busy,
    /// Nothing is left to begin.
    Over,
}

/// A message that wants an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Awaited {
    /// Whose: the number of a phone, or of what else a play counts by.
    pub(super) party: u32,
    /// Which of the party's messages.
    pub(super) serial: u32,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Stage {
    /// The phones.
    pub(super) roster: Roster,
    /// What was counted.
    pub(super) tally: Tally,
    /// When the batch came that is worked on.
    pub(super) now: Time,
    /// Units begun and not ended.
    pub(super) under_way: u32,
    /// Goes into branches, Call-IDs and tags: a phone that starts anew has new ones (RFC 3261 §8.1.1.7, §10.2.4).
    pub(super) boot: u32,
    sockets: Vec<UdpSocket>,
    edge: SockaddrIn,
    patience: Time,
    /// When each is given up, in order: all have the same patience.
    awaited: VecDeque<(Time, Awaited)>,
    message: Vec<u8>,
}

impl Stage {
    /// Binds the sockets of the phones.
    ///
    /// # Errors
    /// A port is taken, or the system has no more sockets.
    pub(super) fn new(roster: Roster, edge: SocketAddrV4, patience: Time, boot: u32) -> io::Result<Self> {
        let sockets = roster.ports().map(datagrams::bind).collect::<io::Result<_>>()?;
        Ok(Self {
            roster,
            tally: Tally::default(),
            now: 0,
            under_way: 0,
            boot,
            sockets,
            edge: edge.into(),
            patience,
            awaited: VecDeque::new(),
            message: Vec::new(),
        })
    }

    /// The phones' sockets, one a port.
    pub(super) fn sockets(&self) -> &[UdpSocket] {
        &self.sockets
    }

    /// Sends what a phone writes. What the kernel does not take is lost, and missed by whoever awaits the answer.
    pub(super) fn send(&mut self, phone: u32, write: impl FnOnce(&Roster, Source, &mut Vec<u8>)) {
        let source = self.roster.source(phone);
        self.message.clear();
        write(&self.roster, source, &mut self.message);
        let _ = datagrams::send(&self.sockets[source.socket], *source.address.ip(), self.edge, &self.message);
    }

    /// A unit has begun.
    pub(super) fn begin(&mut self) {
        self.under_way += 1;
    }

    /// A unit that was due then has ended well. It was answered at `answered`, whatever had to be done after that.
    pub(super) fn finish(&mut self, due: Time, answered: Time) {
        self.under_way -= 1;
        self.tally.latency.record(answered.saturating_sub(due));
    }

    /// A unit has ended without an answer.
    pub(super) fn lose(&mut self) {
        self.under_way -= 1;
        self.tally.lost += 1;
    }

    /// A unit has ended with a wrong message.
    pub(super) fn fail(&mut self, reason: &'static str, message: &[u8]) {
        self.under_way -= 1;
        self.tally.wrong(reason, message);
    }

    /// An answer is waited for from now on.
    pub(super) fn wait_for(&mut self, awaited: Awaited) {
        self.awaited.push_back((self.now + self.patience, awaited));
    }

    /// The next answer that nobody waits for any longer.
    pub(super) fn given_up(&mut self) -> Option<Awaited> {
        let (deadline, awaited) = *self.awaited.front()?;
        (deadline <= self.now).then(|| {
            self.awaited.pop_front();
            awaited
        })
    }

    /// When [`Self::given_up`] has something.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.awaited.front().map(|(deadline, _)| *deadline)
    }
}

/// Writes the gaps that follow from who sends and what it counts.
pub(super) fn fill(gap: Gap, out: &mut Vec<u8>, source: Source, boot: u32, awaited: Awaited) {
    match gap {
        Gap::Source => write_source(out, source.address),
        Gap::Host => write_host(out, *source.address.ip()),
        Gap::Branch => {
            out.extend_from_slice(BRANCH);
            write_hex(out, awaited.party.into(), 8);
            write_hex(out, awaited.serial.into(), 8);
            write_hex(out, boot.into(), 8);
        }
        Gap::Cseq => write_decimal(out, awaited.serial),
        Gap::CallId | Gap::Tag => {
            write_hex(out, awaited.party.into(), 8);
            write_hex(out, boot.into(), 8);
        }
        _ => unreachable!("what else a template has is written by its play"),
    }
}
