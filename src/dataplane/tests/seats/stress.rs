//! Real threads at one table for a second: what a model with two devices cannot show.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use dataplane::hotdesk::{Cause, End, LogIn, Origin, Place, Proposed, Seats, Surface};
use dataplane::now::Now;
use dataplane::refusal::Refusal;
use dataplane::settings::{OnLimit, OnOccupied};

use crate::fold;

const DEVICES: u64 = 12;
const EXTENSIONS: u64 = 8;
/// Extensions with an even number may sit at one device, the others at two.
fn devices_max(extension: u64) -> u32 {
    1 + (extension % 2) as u32
}

fn desk(number: u64) -> Place {
    Place::new("acme", &format!("desk-{number}"))
}

fn person(number: u64) -> Place {
    Place::new("acme", &number.to_string())
}

/// A generator of its own for every thread: SplitMix64.
fn draw(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) % below
}

/// Changes of one run, about a second's worth: enough for every pair of threads to meet on every lock many times.
const CHANGES: u64 = 20_000;

#[test]
fn threads_that_hammer_the_table_leave_it_as_the_store_has_it() {
    let seats = Seats::new();
    let (store, records) = mpsc::channel();
    let stop = AtomicBool::new(false);
    let (changes, look_ups) = (AtomicU64::new(0), AtomicU64::new(0));

    thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|seed| {
                let (store, seats, changes) = (store.clone(), &seats, &changes);
                scope.spawn(move || {
                    let mut random = seed;
                    while changes.load(Ordering::Relaxed) < CHANGES {
                        let (device, number) =
                            (desk(draw(&mut random, DEVICES)), draw(&mut random, EXTENSIONS));
                        let change = if draw(&mut random, 4) == 0 {
                            let end = End {
                                customer: "acme",
                                device: &device,
                                only_epoch: None,
                                cause: Cause::LogOut,
                                surface: Surface::Dialled,
                                origin: &Origin::UNKNOWN,
                            };
                            seats.end_now(end, |_, _| Ok(()), Now::default())
                        } else {
                            let request = LogIn {
                                customer: "acme",
                                device: &device,
                                extension: &person(number),
                                devices_max: devices_max(number),
                                on_limit: OnLimit::Displace,
                                on_occupied: OnOccupied::TakeOver,
                                surface: Surface::Dialled,
                                origin: &Origin::UNKNOWN,
                                until: None,
                            };
                            match seats.propose_log_in(request, |_, _| Ok(()), Now::default()) {
                                Ok(Proposed::Change(proposal)) if draw(&mut random, 8) == 0 => {
                                    seats.abandon(proposal);
                                    continue;
                                }
                                Ok(Proposed::Change(proposal)) => {
                                    store.send(proposal.change().clone()).unwrap();
                                    seats.commit(proposal).unwrap();
                                    changes.fetch_add(1, Ordering::Relaxed);
                                    continue;
                                }
                                Ok(Proposed::AlreadySits(_)) => continue,
                                Err(refusal) => Err(refusal),
                            }
                        };
                        match change {
                            Ok(change) => store.send(change).unwrap(),
                            Err(Refusal::Busy | Refusal::NobodySits) => continue,
                            Err(refusal) => panic!("{refusal:?}"),
                        }
                        changes.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        for seed in 100..102 {
            let (seats, stop, look_ups) = (&seats, &stop, &look_ups);
            scope.spawn(move || {
                let mut random = seed;
                while !stop.load(Ordering::Relaxed) {
                    let number = draw(&mut random, EXTENSIONS);
                    let of_extension = seats.seats_of("acme", &("acme", number.to_string().as_str()));
                    assert!(of_extension.len() <= devices_max(number) as usize, "{of_extension:?}");
                    assert!(of_extension.is_sorted_by_key(|seat| seat.epoch));
                    let device = desk(draw(&mut random, DEVICES));
                    if let Some(seat) = seats.seat_at("acme", &device) {
                        assert_eq!(seat.device, device);
                    }
                    look_ups.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let ended: Vec<_> = writers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        stop.store(true, Ordering::Relaxed);
        ended.into_iter().for_each(|writer| writer.expect("no writer panics"));
    });

    drop(store);
    let records: Vec<_> = records.iter().collect();
    assert_eq!(records.len() as u64, changes.load(Ordering::Relaxed));
    let kept = fold(records.iter().map(|record| &**record));
    let standing = seats.snapshot();
    assert_eq!(standing.len(), kept.len());
    for seat in standing {
        assert_eq!(kept.get(&seat.device), Some(&*seat));
        let of_extension = seats.seats_of("acme", &seat.extension);
        assert!(of_extension.contains(&seat), "{of_extension:?}");
    }
    assert!(look_ups.into_inner() > 100);
}
