//! Lets a test kill a thread in the middle of a change of seats, and the tests that do.

use std::cell::Cell;

thread_local! {
    /// The steps this thread still takes before it dies, once.
    static STEPS_LEFT: Cell<Option<u32>> = const { Cell::new(None) };
}

/// Between two steps of a change: the thread dies here if this is its step.
pub(super) fn step() {
    match STEPS_LEFT.get() {
        None => {}
        Some(0) => {
            STEPS_LEFT.set(None);
            panic!("a test lets this thread die here");
        }
        Some(left) => STEPS_LEFT.set(Some(left - 1)),
    }
}

/// Does `work` in a thread of its own that dies after so many steps. False if it lived.
fn dies_after(steps: u32, work: impl FnOnce() + Send) -> bool {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            STEPS_LEFT.set(Some(steps));
            work();
            STEPS_LEFT.set(None);
        });
        thread.join().is_err()
    })
}

mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::{Cause, End, LogIn, Origin, Place, Proposal, Proposed, Seat, Seats, Surface};
    use super::dies_after;
    use crate::now::{Mono, Now};
    use crate::refusal::Refusal;
    use crate::settings::{OnLimit, OnOccupied};

    const NOW: Now = Now { mono: Mono(0), wall: 1_700_000_000_000 };

    fn propose(seats: &Seats, device: &str, extension: &str) -> Result<Proposed, Refusal> {
        let request = LogIn {
            customer: "acme",
            device: &Place::new("acme", device),
            extension: &Place::new("acme", extension),
            devices_max: 1,
            on_limit: OnLimit::Displace,
            on_occupied: OnOccupied::TakeOver,
            surface: Surface::Dialled,
            origin: &Origin::UNKNOWN,
            until: None,
        };
        seats.propose_log_in(request, |_, _| Ok(()), NOW)
    }

    fn proposed(seats: &Seats, device: &str, extension: &str) -> Proposal {
        match propose(seats, device, extension) {
            Ok(Proposed::Change(proposal)) => proposal,
            other => panic!("{extension} sits down at {device}: {other:?}"),
        }
    }

    /// 1001 sits at desk-1, 1002 at desk-2.
    fn office() -> Seats {
        let seats = Seats::new();
        for (device, extension) in [("desk-1", "1001"), ("desk-2", "1002")] {
            seats.commit(proposed(&seats, device, extension)).unwrap();
        }
        seats
    }

    /// Who sits where, in order; both directions agree and the count is right.
    fn seated(seats: &Seats) -> Vec<(String, String)> {
        let standing = seats.snapshot();
        let mut seated = Vec::new();
        for seat in &standing {
            let Seat { device, extension, .. } = &**seat;
            let of_extension = seats.seats_of("acme", extension);
            assert_eq!(of_extension.as_slice(), std::slice::from_ref(seat), "of {extension:?}");
            assert_eq!(seats.seat_at("acme", device).as_ref(), Some(seat));
            seated.push((device.name().to_string(), extension.name().to_string()));
        }
        for extension in ["1001", "1002"] {
            let listed = standing.iter().filter(|seat| seat.extension.name() == extension).count();
            assert_eq!(seats.seats_of("acme", &("acme", extension)).len(), listed, "of {extension}");
        }
        assert_eq!(seats.len(), standing.len());
        seated.sort();
        seated
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(device, extension)| (device.to_string(), extension.to_string())).collect()
    }

    /// The table works on: what is left on its way can be settled, and everybody can log in.
    fn works_on(seats: &Seats) {
        for left in seats.overdue(NOW.mono + Duration::from_secs(30), usize::MAX) {
            seats.commit(left).unwrap();
        }
        for (device, extension) in [("desk-1", "1002"), ("desk-2", "1001"), ("desk-1", "1001")] {
            if let Proposed::Change(proposal) = propose(seats, device, extension).unwrap() {
                seats.commit(proposal).unwrap();
            }
        }
        assert_eq!(seated(seats), pairs(&[("desk-1", "1001")]));
    }

    /// Kills `work` after every possible number of steps and gives each table that is left to `check`.
    fn at_every_step(work: impl Fn(&Seats) + Sync, check: impl Fn(&Seats)) {
        for steps in 0.. {
            let seats = office();
            let died = dies_after(steps, || work(&seats));
            if !died {
                assert!(steps > 0, "nothing was in the way");
                return;
            }
            check(&seats);
            works_on(&seats);
        }
    }

    #[test]
    fn death_in_a_proposal_changes_no_seat() {
        at_every_step(
            |seats| drop(propose(seats, "desk-2", "1001")),
            |seats| assert_eq!(seated(seats), pairs(&[("desk-1", "1001"), ("desk-2", "1002")])),
        );
    }

    #[test]
    fn death_in_the_question_whether_a_device_may_change_changes_nothing() {
        let seats = office();
        let desk = Place::new("acme", "desk-1");
        let end = End {
            customer: "acme",
            device: &desk,
            only_epoch: None,
            cause: Cause::LogOut,
            surface: Surface::Dialled,
            origin: &Origin::UNKNOWN,
        };

        let died = dies_after(0, || {
            drop(seats.end_now(end, |_, _| panic!("a test lets this thread die here"), NOW))
        });

        assert!(died);
        assert_eq!(seated(&seats), pairs(&[("desk-1", "1001"), ("desk-2", "1002")]));
        works_on(&seats);
    }

    #[test]
    fn death_in_a_commit_leaves_the_whole_change() {
        at_every_step(
            |seats| drop(seats.commit(proposed_before(seats, "desk-2", "1001"))),
            |seats| assert_eq!(seated(seats), pairs(&[("desk-2", "1001")])),
        );
    }

    #[test]
    fn death_in_taking_a_proposal_back_leaves_its_devices_free() {
        at_every_step(
            |seats| seats.abandon(proposed_before(seats, "desk-2", "1001")),
            |seats| {
                assert_eq!(seated(seats), pairs(&[("desk-1", "1001"), ("desk-2", "1002")]));
                seats.abandon(proposed(seats, "desk-1", "1002"));
            },
        );
    }

    #[test]
    fn death_in_an_end_leaves_it_whole_or_undone() {
        let desk = Place::new("acme", "desk-1");
        let end = || End {
            customer: "acme",
            device: &desk,
            only_epoch: None,
            cause: Cause::Forced,
            surface: Surface::Api,
            origin: &Origin::UNKNOWN,
        };
        at_every_step(
            |seats| drop(seats.end_now(end(), |_, _| Ok(()), NOW)),
            |seats| {
                let (before, after) =
                    (pairs(&[("desk-1", "1001"), ("desk-2", "1002")]), pairs(&[("desk-2", "1002")]));
                let seated = seated(seats);
                assert!(seated == before || seated == after, "{seated:?}");
            },
        );
    }

    #[test]
    fn death_while_mending_leaves_the_rest_to_the_next() {
        at_every_step(
            |seats| {
                let proposal = proposed_before(seats, "desk-2", "1001");
                assert!(dies_after(2, || drop(seats.commit(proposal))));
                drop(seats.seat_at("acme", &("acme", "desk-1")));
            },
            |seats| assert_eq!(seated(seats), pairs(&[("desk-2", "1001")])),
        );
    }

    /// A proposal whose own steps do not count.
    fn proposed_before(seats: &Seats, device: &str, extension: &str) -> Proposal {
        let steps = super::STEPS_LEFT.take();
        let proposal = proposed(seats, device, extension);
        super::STEPS_LEFT.set(steps);
        proposal
    }

    #[test]
    fn changes_that_were_on_their_way_stay_reserved_when_another_thread_dies() {
        let seats = Arc::new(office());
        let on_its_way = proposed(&seats, "desk-3", "1003");
        assert!(dies_after(1, || drop(propose(&seats, "desk-2", "1001"))));

        assert!(matches!(propose(&seats, "desk-3", "1001"), Err(Refusal::Busy)));
        seats.commit(on_its_way).unwrap();
        assert!(seats.seat_at("acme", &("acme", "desk-3")).is_some());
    }
}
