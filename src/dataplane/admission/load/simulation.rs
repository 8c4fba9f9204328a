//! A worker in simulated time that can do so much a second, with a socket, and with phones that ask for more: what is done of
//! it when [`Load`] decides. Everything it stands on is said here, and every run is the same.
//!
//! ```text
//!  phones, at random ──► socket, bounded, ─────► worker ──► 1 ms later the next message of the call comes
//!  (a Poisson process)   leaves some unread      refuses, or works for as long as the message costs
//! ```

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::*;
use crate::flow::ListenerId;
use crate::random::Random;

/// The usual one, in seconds: whoever has waited for so long in all repeats himself, and counts as lost.
const T1: f64 = 0.5;

/// Until whoever is at the other end says the next thing.
const ROUND_TRIP: f64 = 0.001;

/// A worker takes so many datagrams at once, and tells of how long the last of them waited where there are so many.
const BATCH: usize = 64;

const PHONE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5060);

/// Seconds between two settings of the pressure.
const TICK: f64 = 0.025;

/// Seconds before anything counts, and at the end.
const BEGIN: f64 = 2.0;
const END: f64 = 6.0;

/// Datagrams that a socket holds where it may be large, and where it may not: then nobody ever waits for as long as the goal.
const ROOMY: usize = 3_600;
const SMALL: usize = 100;

/// What phones do: messages one after the other.
#[derive(Clone, Copy)]
struct Play {
    class: Class,
    /// Of the time that all of it takes, what each message takes.
    costs: &'static [f64],
    /// So many of the first can be refused.
    refusable: usize,
    /// Of the same time, what it takes to read one for nothing.
    refusal: f64,
    /// Seconds that all of it takes the worker.
    takes: f64,
    /// Begun a second.
    rate: f64,
}

/// INVITE; 180 and 200; ACK and BYE; 200. To refuse one takes what it may where four fifths of the calls are to be served at ten times
/// as many, less than a fiftieth of a call; where it takes a twentieth, reading alone takes half of the worker.
const CALL: Play = Play {
    class: Class::Call,
    costs: &[0.35, 0.30, 0.25, 0.10],
    refusable: 1,
    refusal: 0.015,
    takes: 1.0 / 2_000.0,
    rate: 0.0,
};

/// Its first INVITE has no password and gets 407.
const ASKED_CALL: Play = Play { costs: &[0.08, 0.32, 0.28, 0.23, 0.09], refusable: 2, ..CALL };

const REFRESH: Play = Play {
    class: Class::Refresh,
    costs: &[1.0],
    refusable: 1,
    refusal: 0.2,
    takes: 1.0 / 10_000.0,
    rate: 0.0,
};

/// A message on its way or in the socket: when it comes, in nanoseconds, of which unit, and which of it.
type Message = (u64, usize, usize);

/// Something that a phone has begun.
struct Unit {
    play: usize,
    begun: f64,
    lot: u32,
}

struct Simulation<'a> {
    plays: &'a [Play],
    room: usize,
    random: Random,
    units: Vec<Unit>,
    /// When the next unit of each play begins.
    next: Vec<f64>,
    coming: BinaryHeap<Reverse<Message>>,
    socket: VecDeque<Message>,
    least: Option<f64>,
    /// The batch that was taken last was a whole one.
    has_more: bool,
    taken: u32,
    lost: u32,
}

impl Simulation<'_> {
    /// What was done well a second of each play. For `pause` seconds, halfway, the worker does nothing.
    fn run(plays: &[Play], room: usize, pause: f64) -> Vec<f64> {
        let mut simulation = Simulation {
            plays,
            room,
            random: Random::new([7; 32]),
            units: Vec::new(),
            next: vec![0.0; plays.len()],
            coming: BinaryHeap::new(),
            socket: VecDeque::new(),
            least: None,
            has_more: false,
            taken: 0,
            lost: 0,
        };
        let mut load = Load::default();
        let (mut done, mut left_of_batch) = (vec![0.0; plays.len()], 0);
        let (mut now, mut tick, mut pause) = (0.0, TICK, Some(pause));
        while now < END {
            if now > (BEGIN + END) / 2.0 {
                now += pause.take().unwrap_or_default();
            }
            simulation.arrive(now, load.left_unread());
            if now >= tick {
                simulation.tell(&mut load, now);
                tick = now + TICK;
            }
            if left_of_batch == 0 {
                left_of_batch = simulation.take_batch(now);
            }
            let Some((_, unit, step)) = simulation.socket.pop_front() else {
                now = simulation.next_arrival().min(tick);
                continue;
            };
            left_of_batch -= 1;
            simulation.taken += 1;
            let Unit { play: index, begun, lot } = simulation.units[unit];
            let play = &plays[index];
            if play.class != Class::Call {
                load.has_spared(&Flow::datagram(ListenerId(0), PHONE), b"REGISTER ");
            }
            if step < play.refusable && load.refuses(play.class, || lot) {
                now += play.refusal * play.takes;
                continue;
            }
            now += play.costs[step] * play.takes;
            if step + 1 < play.costs.len() {
                simulation.coming.push(Reverse((nanos(now + ROUND_TRIP), unit, step + 1)));
            } else if now - begun < T1 && now > BEGIN {
                done[index] += 1.0;
            }
        }
        done.into_iter().map(|done| done / (END - BEGIN)).collect()
    }

    /// What has come until now is in the socket, or lost, or of the share of REGISTER requests that is left unread.
    fn arrive(&mut self, now: f64, unread: u32) {
        for index in 0..self.plays.len() {
            while self.next[index] <= now {
                let lot = u32::from_ne_bytes(self.random.bytes());
                self.units.push(Unit { play: index, begun: self.next[index], lot });
                self.coming.push(Reverse((nanos(self.next[index]), self.units.len() - 1, 0)));
                let uniform = (f64::from(u32::from_ne_bytes(self.random.bytes())) + 1.0) / 2_f64.powi(32);
                self.next[index] -= uniform.ln() / self.plays[index].rate;
            }
        }
        while self.coming.peek().is_some_and(|Reverse((at, ..))| seconds(*at) <= now) {
            let Some(Reverse(message)) = self.coming.pop() else { return };
            let (_, unit, step) = message;
            let play = &self.plays[self.units[unit].play];
            let is_register = step < play.refusable && play.class != Class::Call;
            if is_register && u32::from_ne_bytes(self.random.bytes()) < unread {
                self.lost += 1;
                continue;
            }
            if self.socket.len() < self.room {
                self.socket.push_back(message);
            } else {
                self.lost += 1;
            }
        }
    }

    /// Says how many there are in it, maybe none.
    fn take_batch(&mut self, now: f64) -> usize {
        let last = self.socket.get(BATCH - 1);
        let waited = last.map_or(0.0, |(came, ..)| (now - seconds(*came)).max(0.001));
        self.has_more = last.is_some();
        self.least = Some(self.least.map_or(waited, |least| least.min(waited)));
        self.socket.len().min(BATCH)
    }

    fn next_arrival(&self) -> f64 {
        let coming = self.coming.peek().map_or(END, |Reverse((at, ..))| seconds(*at));
        self.next.iter().copied().fold(coming, f64::min)
    }

    fn tell(&mut self, load: &mut Load, now: f64) {
        if self.has_more && self.least.is_none() {
            return;
        }
        let waiting = Waiting {
            least: Duration::from_secs_f64(self.least.take().unwrap_or_default()),
            taken: std::mem::take(&mut self.taken),
            lost: std::mem::take(&mut self.lost),
            filters: true,
        };
        load.waited(Mono(nanos(now)), waiting, Duration::from_secs_f64(T1));
    }
}

fn nanos(time: f64) -> u64 {
    (time * 1e9).round() as u64
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

/// This many times what the worker could do of it alone.
fn times(multiple: f64, play: Play) -> Play {
    Play { rate: multiple / play.takes, ..play }
}

/// What is done of one play, as a share of what the worker can do of it.
fn share_done(multiple: f64, play: Play, room: usize) -> f64 {
    Simulation::run(&[times(multiple, play)], room, 0.0)[0] * play.takes
}

#[test]
fn four_fifths_of_the_calls_a_worker_can_serve_are_served_whatever_more_is_asked() {
    for room in [ROOMY, SMALL] {
        for multiple in [1.0, 2.0, 5.0, 10.0] {
            let share = share_done(multiple, CALL, room);

            assert!(share > 0.8, "{multiple} times as many, room for {room}: {share:.2}");
        }
    }
}

#[test]
fn a_call_that_was_asked_for_its_password_is_let_in_with_it() {
    for multiple in [2.0, 10.0] {
        // The first INVITE and the refusal of all others would be done in vain if the dice were thrown again.
        let share = share_done(multiple, ASKED_CALL, ROOMY);

        assert!(share > 0.8, "{multiple} times as many: {share:.2}");
    }
}

#[test]
fn a_worker_that_has_time_for_all_refuses_nobody() {
    for room in [ROOMY, SMALL] {
        let share = share_done(0.8, CALL, room);

        assert!((0.78..0.82).contains(&share), "{share:.3}");
    }
}

#[test]
fn four_fifths_of_the_refreshes_are_served_at_twice_as_many_and_at_ten_times() {
    for multiple in [2.0, 10.0] {
        let share = share_done(multiple, REFRESH, ROOMY);

        assert!(share > 0.8, "{multiple} times as many: {share:.2}");
    }
}

#[test]
fn a_worker_that_stood_still_makes_up_for_it_within_a_second() {
    for multiple in [2.0, 10.0] {
        let share = Simulation::run(&[times(multiple, REFRESH)], ROOMY, 0.3)[0] * REFRESH.takes;

        // Of four seconds it does nothing for 0.3.
        assert!(share > 0.68, "{multiple} times as many: {share:.2}");
    }
}

#[test]
fn calls_are_served_while_refreshes_are_what_is_too_much() {
    for (multiple, room) in [(1.0, ROOMY), (10.0, ROOMY), (10.0, SMALL)] {
        let asked = [times(0.2, CALL), times(multiple, REFRESH)];

        let done = Simulation::run(&asked, room, 0.0);

        // A socket without room loses datagrams by chance before anybody knows of it.
        let least = if room == SMALL { 0.12 } else { 0.18 };
        let (calls, refreshes) = (done[0] * CALL.takes, done[1] * REFRESH.takes);
        assert!(calls > least, "{multiple} times as many: {calls:.2} of what can be done in calls");
        assert!(calls + refreshes > 0.8, "{multiple} times as many: {calls:.2} and {refreshes:.2}");
    }
}
