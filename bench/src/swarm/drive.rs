//! The loop: begins units at their pace, takes in what comes, gives up what does not come.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;

use super::datagrams::Receiver;
use super::reading::{Heard, Start};
use super::stage::{Awaited, BRANCH, Next, Play, Stage, Time};
use crate::deadline;

/// Units begun before what came is looked at: half a batch of most servers.
const BEGUN_AT_ONCE: u32 = 32;

/// When units begin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pace {
    /// So many are under way all the time: the next begins when one has ended.
    Closed {
        /// How many.
        in_flight: u32,
    },
    /// They begin at their time, whatever has become of those before.
    Open {
        /// So many a second.
        rate: f64,
        /// At random (Poisson), and not evenly.
        poisson: bool,
        /// No more than these at once; what is due beyond waits, and its time counts.
        in_flight_max: u32,
    },
}

/// What ends a phase besides the play itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// After this long.
    pub(super) time: Duration,
    /// After so many units.
    pub(super) count: u64,
}

/// See the module.
pub(super) struct Driver {
    started: Instant,
    receiver: Receiver,
    epoll: Epoll,
    /// Never sleep: ask the sockets again and again.
    spin: bool,
    /// Time that passed with nothing to do.
    pub(super) idle: Duration,
    /// When the next unit is due, in an open loop.
    due: Time,
    random: u64,
}

/// Told each second.
pub(super) type Progress<'a> = dyn FnMut(&Stage) + 'a;

impl Driver {
    /// A driver of the stage's sockets.
    ///
    /// # Errors
    /// The system has no more descriptors.
    pub(super) fn new(stage: &Stage, spin: bool) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        for (socket, number) in stage.sockets().iter().zip(0..) {
            epoll.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, number))?;
        }
        let random = crate::random::number();
        let receiver = Receiver::new();
        Ok(Self { started: deadline::now(), receiver, epoll, spin, idle: Duration::ZERO, due: 0, random })
    }

    /// Nanoseconds since the driver was made.
    pub(super) fn clock(&self) -> Time {
        since(self.started)
    }

    /// Plays until a bound is met, or nothing is left to begin and nothing under way; says how many units it began.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn play(
        &mut self,
        play: &mut dyn Play,
        stage: &mut Stage,
        pace: Pace,
        bounds: Bounds,
        progress: &mut Progress<'_>,
    ) -> io::Result<u64> {
        stage.now = self.clock();
        let end = stage.now + nanoseconds(bounds.time);
        let mut next_second = stage.now + SECOND;
        let (mut begun, mut over) = (0, false);
        self.due = self.due.max(stage.now);
        while stage.now < end && !(over && stage.under_way == 0) {
            let turn = stage.now;
            let mut busy = false;
            for _ in 0..BEGUN_AT_ONCE {
                let due = match pace {
                    Pace::Closed { in_flight } if stage.under_way < in_flight => stage.now,
                    Pace::Open { in_flight_max, .. }
                        if self.due <= stage.now && stage.under_way < in_flight_max =>
                    {
                        self.due
                    }
                    _ => break,
                };
                over |= begun >= bounds.count;
                if over {
                    break;
                }
                match play.begin(stage, due) {
                    Next::Begun => begun += 1,
                    Next::Busy => break,
                    Next::Over => over = true,
                }
                busy = true;
                if let Pace::Open { rate, poisson, .. } = pace {
                    self.due += self.gap(rate, poisson);
                }
            }
            busy |= self.hear(play, stage)?;
            while let Some(awaited) = stage.given_up() {
                play.give_up(stage, awaited);
            }
            if stage.now >= next_second {
                progress(stage);
                next_second += SECOND;
            }
            if !busy {
                let due =
                    matches!(pace, Pace::Open { .. }).then_some(self.due).filter(|due| *due > stage.now);
                let wake = [Some(end), Some(next_second), stage.next_deadline(), due];
                self.rest(wake.into_iter().flatten().min().unwrap_or(end).saturating_sub(stage.now))?;
            }
            stage.now = self.clock();
            if !busy {
                self.idle += Duration::from_nanos(stage.now - turn);
            }
        }
        Ok(begun)
    }

    /// Lets what is under way come to its end.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn drain(&mut self, play: &mut dyn Play, stage: &mut Stage) -> io::Result<()> {
        let nothing_more = Bounds { time: Duration::from_secs(60), count: 0 };
        self.play(play, stage, Pace::Closed { in_flight: u32::MAX }, nothing_more, &mut |_| {}).map(drop)
    }

    /// Takes in a batch from each socket that has something; true if there was any.
    fn hear(&mut self, play: &mut dyn Play, stage: &mut Stage) -> io::Result<bool> {
        let mut ready = [EpollEvent::empty(); 64];
        let count = match self.epoll.wait(&mut ready, EpollTimeout::ZERO) {
            Err(nix::Error::EINTR) => 0,
            count => count?,
        };
        for event in &ready[..count] {
            let datagrams = self.receiver.receive(&stage.sockets()[event.data() as usize])?;
            stage.now = since(self.started);
            for (address, octets) in datagrams {
                tell(play, stage, address, octets);
            }
        }
        Ok(count > 0)
    }

    /// Waits until a datagram comes, at most this long.
    fn rest(&self, time: Time) -> io::Result<()> {
        if self.spin {
            std::hint::spin_loop();
            return Ok(());
        }
        let mut descriptors = [PollFd::new(self.epoll.0.as_fd(), PollFlags::POLLIN)];
        match ppoll(&mut descriptors, Some(TimeSpec::from_duration(Duration::from_nanos(time))), None) {
            Ok(_) | Err(nix::Error::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Nanoseconds from one unit to the next.
    fn gap(&mut self, rate: f64, poisson: bool) -> Time {
        let mean = 1e9 / rate;
        if !poisson {
            return mean as Time;
        }
        // SplitMix64 is random enough for when phones speak.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let uniform = (((mixed ^ (mixed >> 31)) >> 11) + 1) as f64 / (1u64 << 53) as f64;
        (mean * -uniform.ln()) as Time
    }
}

/// Tells `play` what came for a phone at `address`. What is no SIP message, and a response to nothing that a phone sent,
/// is a stray.
fn tell(play: &mut dyn Play, stage: &mut Stage, address: Ipv4Addr, octets: &[u8]) {
    let Some(heard) = Heard::read(octets) else {
        stage.tally.strays += 1;
        return;
    };
    match heard.start {
        Start::Request(method, _) => play.asked(stage, address, method, &heard),
        Start::Response(_) => match heard.ticket(BRANCH) {
            Some((party, serial)) => {
                play.answered(stage, Awaited { party, serial }, address, &heard, octets);
            }
            None => stage.tally.strays += 1,
        },
    }
}

const SECOND: Time = 1_000_000_000;

fn since(started: Instant) -> Time {
    nanoseconds(deadline::now() - started)
}

fn nanoseconds(duration: Duration) -> Time {
    u64::try_from(duration.as_nanos()).unwrap_or(Time::MAX / 2).min(Time::MAX / 2)
}
