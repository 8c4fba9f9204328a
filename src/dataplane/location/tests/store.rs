//! What the store hears of refreshes.

use super::*;

/// How many records the store is given by `now`.
fn written(location: &Location, upkeep: &mut Upkeep, now: Now) -> usize {
    let mut records = 0;
    location.write_behind(now, upkeep, usize::MAX, |_| records += 1);
    records
}

#[test]
fn the_store_hears_of_every_refresh_within_five_seconds() {
    let (location, mut upkeep) = (Location::new([1; 16]), upkeep());
    register(&location, &mut upkeep, "1001", START, binding("sip:a", udp(1), after(60).mono));

    for turn in (10..60).step_by(10) {
        let new = binding("sip:a", udp(1), after(turn + 60).mono);
        register(&location, &mut upkeep, "1001", after(turn), new);

        assert_eq!(written(&location, &mut upkeep, after(turn + 5)), 1, "{turn}");
    }
}

#[test]
fn a_refresh_is_written_behind_unless_bindings_come_or_go_with_it() {
    let (location, mut upkeep) = (Location::new([1; 16]), upkeep());
    let mut refresh = |now: Now, kept: &str| {
        location.update("t", b"1001", now.mono, &mut upkeep, |draft| {
            assert!(draft.refresh(0, binding("sip:a", udp(1), after(600).mono)));
            draft.retain(|binding| *binding.uri == *b"sip:a" || *binding.uri == *kept.as_bytes());
            // What comes to nothing takes nothing back.
            draft.retain(|_| true);
        });
        let five_later = Now { mono: now.mono + Duration::from_secs(5), ..now };
        written(&location, &mut upkeep, five_later)
    };
    let mut adding = Upkeep::new(WorkerId(1), true);
    register(&location, &mut adding, "1001", START, binding("sip:a", udp(1), after(600).mono));
    register(&location, &mut adding, "1001", START, binding("sip:b", udp(2), after(600).mono));

    assert_eq!(refresh(after(10), "sip:b"), 1);
    // Whoever removes a binding has the store keep the rest himself.
    assert_eq!(refresh(after(20), "sip:c"), 0);
}
