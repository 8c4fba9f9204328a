//! The files of the seat table themselves, with the locks of a scheduler that tries interleavings.
//!
//! Three threads log in, log out and look up at three devices, with a store that takes records in some order,
//! refuses some, and hears of ends later than they happen. At no interleaving may a look-up see what
//! [`Witness`] forbids, and when all is done the store has what the table has.
//!
//! `HOTDESK_MODEL_ITERATIONS` asks for more schedules than the few seconds' worth of an ordinary run.

use std::sync::Arc;

use dataplane::hotdesk::{Cause, Origin, Place, Seat, SeatChange, Surface};
use dataplane::now::{Mono, Now};
use dataplane::refusal::Refusal;
use dataplane::settings::{OnLimit, OnOccupied};
use shuttle::rand::{Rng as _, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::sync::{Mutex, mpsc};
use shuttle::{Config, Runner, thread};

use self::proposal::{End, LogIn, Proposal, Proposed};
use self::seat::Seats;
use crate::fold;

/// What the included files call a neighbour.
mod change {
    pub(super) use dataplane::hotdesk::{Cause, Origin, Seat, SeatChange, Surface};
}
mod place {
    pub(super) use dataplane::hotdesk::{Named, Place};
}
mod sync {
    pub(super) use shuttle::sync::RwLock;
}
/// Between the steps of a change the scheduler may let others run: if a lock did not hold them, they would see
/// half of it.
mod fault {
    pub(super) fn step() {
        shuttle::thread::yield_now();
    }
}
/// The order of a table decides nothing: any hasher will do.
mod hash {
    pub(super) type NameHasher = std::hash::BuildHasherDefault<std::hash::DefaultHasher>;
}
#[expect(unreachable_pub, reason = "public in the crate it is a part of")]
#[path = "../../hotdesk/ledger.rs"]
mod ledger;
#[expect(unreachable_pub, reason = "public in the crate it is a part of")]
#[path = "../../hotdesk/proposal.rs"]
mod proposal;
#[expect(dead_code, unreachable_pub, reason = "the model uses a part of what the crate uses")]
#[path = "../../hotdesk/seat.rs"]
mod seat;

/// How many schedules are tried.
fn iterations(usual: usize) -> usize {
    std::env::var("HOTDESK_MODEL_ITERATIONS").ok().and_then(|asked| asked.parse().ok()).unwrap_or(usual)
}

/// Tries schedules drawn at random, and as many with few, well-placed preemptions (PCT).
fn check(usual: usize, scenario: fn()) {
    let mut config = Config::default();
    // Frames of a debug build are large.
    config.stack_size = 1 << 18;
    Runner::new(RandomScheduler::new(iterations(usual)), config.clone()).run(scenario);
    Runner::new(PctScheduler::new(3, iterations(usual)), config).run(scenario);
}

const NOW: Now = Now { mono: Mono(60_000_000_000), wall: 0 };
/// Who has not settled since then what he proposed is taken to be gone.
const LONG_AGO: Now = Now { mono: Mono(0), wall: 0 };

const DEVICES: [&str; 3] = ["desk-1", "desk-2", "desk-3"];
/// Extensions and how many devices each may hold.
const EXTENSIONS: [(&str, u32); 2] = [("1001", 1), ("1002", 2)];

/// The table and a store: records in the order the store took them.
struct Edge {
    seats: Seats,
    store: Mutex<Vec<Arc<SeatChange>>>,
}

impl Edge {
    fn new() -> Arc<Self> {
        Arc::new(Self { seats: Seats::new(), store: Mutex::new(Vec::new()) })
    }

    fn write(&self, change: &Arc<SeatChange>) {
        self.store.lock().unwrap().push(change.clone());
    }

    /// Reserves a log-in; `None` if it is refused or already done.
    fn propose(&self, now: Now, device: &str, (extension, devices_max): (&str, u32)) -> Option<Proposal> {
        let request = LogIn {
            customer: "acme",
            device: &Place::new("acme", device),
            extension: &Place::new("acme", extension),
            devices_max,
            on_limit: OnLimit::Displace,
            on_occupied: OnOccupied::TakeOver,
            surface: Surface::Dialled,
            origin: &Origin::UNKNOWN,
            until: None,
        };
        match self.seats.propose_log_in(request, |_, _| Ok(()), now) {
            Ok(Proposed::Change(proposal)) => Some(proposal),
            Ok(Proposed::AlreadySits(seat)) => {
                assert_eq!((seat.device.name(), seat.extension.name()), (device, extension));
                None
            }
            Err(Refusal::Busy) => None,
            Err(refusal) => panic!("{refusal:?}"),
        }
    }

    fn log_in(&self, device: &str, extension: (&str, u32)) {
        if let Some(proposal) = self.propose(NOW, device, extension) {
            self.write(proposal.change());
            self.seats.commit(proposal).expect("nobody takes it over");
        }
    }

    /// Ends the seat at a device; the record is still to be written.
    fn log_out(&self, device: &str) -> Option<Arc<SeatChange>> {
        let end = End {
            customer: "acme",
            device: &Place::new("acme", device),
            only_epoch: None,
            cause: Cause::LogOut,
            surface: Surface::Dialled,
            origin: &Origin::UNKNOWN,
        };
        match self.seats.end_now(end, |_, _| Ok(()), NOW) {
            Ok(change) => Some(change),
            Err(Refusal::Busy | Refusal::NobodySits) => None,
            Err(refusal) => panic!("{refusal:?}"),
        }
    }

    /// All threads have ended: both directions agree, and so does the store.
    fn check_at_rest(&self) {
        let standing = self.seats.snapshot();
        assert_eq!(self.seats.len(), standing.len());
        let mut of_extensions = 0;
        for (extension, devices_max) in EXTENSIONS {
            let of_extension = self.seats.seats_of("acme", &("acme", extension));
            assert!(of_extension.len() <= devices_max as usize);
            for seat in &of_extension {
                assert_eq!(self.seats.seat_at("acme", &seat.device).as_ref(), Some(seat));
            }
            of_extensions += of_extension.len();
        }
        assert_eq!(of_extensions, standing.len());
        let kept = fold(self.store.lock().unwrap().iter().map(|record| &**record));
        let standing = standing.into_iter().map(|seat| (seat.device.clone(), Seat::clone(&seat)));
        assert_eq!(kept, standing.collect());
    }
}

/// One reader, and what it has seen so far.
#[derive(Default)]
struct Witness {
    /// The latest epoch seen at each device, or of a seat of an extension that may hold one alone.
    at_device: [u64; DEVICES.len()],
    of_single: u64,
}

impl Witness {
    fn look_at_device(&mut self, edge: &Edge, index: usize) {
        let Some(seat) = edge.seats.seat_at("acme", &("acme", DEVICES[index])) else { return };
        assert_eq!(seat.device.name(), DEVICES[index]);
        assert!(seat.epoch >= self.at_device[index], "an older seat came back: {seat:?}");
        self.at_device[index] = seat.epoch;
        if seat.extension.name() == EXTENSIONS[0].0 {
            assert!(seat.epoch >= self.of_single, "displaced, and still there after its successor: {seat:?}");
            self.of_single = seat.epoch;
        }
        let store = edge.store.lock().unwrap();
        assert!(
            store.iter().any(|record| record.begun.as_ref() == Some(&*seat)),
            "seen before durable: {seat:?}"
        );
    }

    fn look_at_extension(&mut self, edge: &Edge, index: usize) {
        let (extension, devices_max) = EXTENSIONS[index];
        let seats = edge.seats.seats_of("acme", &("acme", extension));
        assert!(seats.len() <= devices_max as usize, "beyond its limit: {seats:?}");
        for (place, seat) in seats.iter().enumerate() {
            assert_eq!(seat.extension.name(), extension);
            assert!(
                seats[..place].iter().all(|older| older.device != seat.device && older.epoch < seat.epoch)
            );
            let device = DEVICES.iter().position(|device| *device == seat.device.name()).unwrap();
            assert!(seat.epoch >= self.at_device[device], "the device has a newer seat than {seat:?}");
            self.at_device[device] = seat.epoch;
            if index == 0 {
                assert!(seat.epoch >= self.of_single, "displaced, and still listed: {seat:?}");
                self.of_single = seat.epoch;
            }
        }
    }
}

/// Whatever three threads do, in whatever order the store hears of it.
fn anything_goes() {
    let edge = Edge::new();
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let edge = edge.clone();
            thread::spawn(move || {
                let mut witness = Witness::default();
                let mut unwritten = Vec::new();
                for _ in 0..4 {
                    let mut random = thread_rng();
                    let (device, extension) =
                        (random.gen_range(0..DEVICES.len()), random.gen_range(0..EXTENSIONS.len()));
                    match random.gen_range(0..8) {
                        0..=2 => edge.log_in(DEVICES[device], EXTENSIONS[extension]),
                        3 => {
                            // The store refuses.
                            if let Some(proposal) = edge.propose(NOW, DEVICES[device], EXTENSIONS[extension])
                            {
                                edge.seats.abandon(proposal);
                            }
                        }
                        4 => unwritten.extend(edge.log_out(DEVICES[device])),
                        5 => unwritten.drain(..).for_each(|change| edge.write(&change)),
                        6 => witness.look_at_device(&edge, device),
                        _ => witness.look_at_extension(&edge, extension),
                    }
                }
                unwritten.iter().for_each(|change| edge.write(change));
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    edge.check_at_rest();
}

/// A person who moves, and moves, and is never nowhere and never at two devices (LOG-20, CAP-3).
fn moves() {
    let edge = Edge::new();
    edge.log_in(DEVICES[0], EXTENSIONS[0]);
    let movers = [1, 2].map(|device: usize| {
        let edge = edge.clone();
        thread::spawn(move || {
            edge.log_in(DEVICES[device], EXTENSIONS[0]);
            edge.log_in(DEVICES[0], EXTENSIONS[0]);
        })
    });
    let mut witness = Witness::default();
    for _ in 0..4 {
        assert_eq!(edge.seats.seats_of("acme", &("acme", EXTENSIONS[0].0)).len(), 1);
        witness.look_at_extension(&edge, 0);
        (0..DEVICES.len()).for_each(|device| witness.look_at_device(&edge, device));
    }
    movers.into_iter().for_each(|thread| thread.join().unwrap());
    edge.check_at_rest();
}

/// A worker dies with a change under way, before or after the store has it, or is only slow to see that the
/// store has it; another takes the change over while the rest go on.
fn worker_dies() {
    let edge = Edge::new();
    edge.log_in(DEVICES[0], EXTENSIONS[0]);
    let (silent, is_silent) = mpsc::channel();
    let lost = thread::spawn({
        let edge = edge.clone();
        move || {
            let proposal = edge.propose(LONG_AGO, DEVICES[1], EXTENSIONS[0]);
            let (has_written, lives) = (thread_rng().gen_range(0..2) == 1, thread_rng().gen_range(0..2) == 1);
            if let Some(proposal) = proposal.as_ref().filter(|_| has_written) {
                edge.write(proposal.change());
            }
            silent.send(()).unwrap();
            if let Some(proposal) = proposal.filter(|_| has_written && lives) {
                // Whether it has been taken over or not, somebody settles it.
                let _ = edge.seats.commit(proposal);
            }
        }
    });
    let other = thread::spawn({
        let edge = edge.clone();
        move || {
            edge.log_in(DEVICES[1], EXTENSIONS[1]);
            edge.log_in(DEVICES[2], EXTENSIONS[0]);
            if let Some(change) = edge.log_out(DEVICES[1]) {
                edge.write(&change);
            }
        }
    });
    let rescuer = thread::spawn({
        let edge = edge.clone();
        move || {
            is_silent.recv().unwrap();
            for proposal in edge.seats.overdue(NOW.mono, usize::MAX) {
                edge.write(proposal.change());
                edge.seats.commit(proposal).expect("it is in these hands");
            }
        }
    });
    for thread in [lost, other, rescuer] {
        thread.join().unwrap();
    }
    edge.check_at_rest();
    assert!(edge.seats.overdue(Mono(u64::MAX), 1).is_empty());
}

#[test]
fn no_look_up_at_any_interleaving_sees_half_a_change() {
    check(1_500, anything_goes);
}

#[test]
fn person_who_moves_is_somewhere_and_at_one_place_at_any_interleaving() {
    check(1_000, moves);
}

#[test]
fn change_of_a_worker_that_died_is_settled_once_and_as_the_store_has_it() {
    check(1_000, worker_dies);
}
