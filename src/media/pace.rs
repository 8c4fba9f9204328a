//! When each session's next frame is due: one clock for all, sessions spread over the 20 ms.

use super::rtp::FRAME_SAMPLES;

/// Milliseconds from frame to frame.
pub(super) const FRAME_MILLIS: u64 = FRAME_SAMPLES as u64 / 8;

/// Frames sent at once to a session that is behind; a phone holds as many back anyway. What is older is skipped: a burst
/// would be thrown away by the phone, and would make others late.
const CATCH_UP_MAX: u64 = 2;

/// Which sessions have their turn at which of twenty milliseconds.
#[derive(Debug, Default)]
pub(super) struct Wheel {
    /// Sessions, by the remainder of their time.
    phases: [Vec<usize>; FRAME_MILLIS as usize],
    /// The first millisecond that had no turn yet.
    next: u64,
}

impl Wheel {
    /// Gives `session` a place where the fewest are; says when its first frame is due.
    pub(super) fn join(&mut self, session: usize, now: u64) -> u64 {
        let candidates = now + 1..=now + FRAME_MILLIS;
        let due = candidates.min_by_key(|due| self.phase(*due).len()).unwrap_or(now);
        self.phase(due).push(session);
        due
    }

    /// `due` is any time the session had or has.
    pub(super) fn leave(&mut self, session: usize, due: u64) {
        self.phase(due).retain(|other| *other != session);
    }

    /// Whose time has come since the last call: each once, however long that is ago.
    pub(super) fn turn(&mut self, now: u64) -> impl Iterator<Item = usize> + '_ {
        let first = self.next;
        self.next = self.next.max(now + 1);
        let passed = (self.next - first).min(FRAME_MILLIS);
        (first..first + passed)
            .filter_map(|at| self.phases.get((at % FRAME_MILLIS) as usize))
            .flatten()
            .copied()
    }

    fn phase(&mut self, time: u64) -> &mut Vec<usize> {
        &mut self.phases[(time % FRAME_MILLIS) as usize]
    }
}

/// What a session whose turn it is owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owed {
    /// Frames whose time is long over.
    pub(super) skipped: u64,
    /// Frames to be sent now.
    pub(super) frames: u64,
    /// How many of these should have left 20 ms ago or earlier.
    pub(super) late: u64,
    /// When the next one is due.
    pub(super) due: u64,
}

impl Owed {
    /// At `now`, by a session whose frame was due at `due`.
    pub(super) fn at(now: u64, due: u64) -> Self {
        let Some(behind) = now.checked_sub(due) else { return Self { skipped: 0, frames: 0, late: 0, due } };
        let all = 1 + behind / FRAME_MILLIS;
        let frames = all.min(CATCH_UP_MAX);
        Self { skipped: all - frames, frames, late: frames - 1, due: due + all * FRAME_MILLIS }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sessions on a clock of our own.
    struct Paced {
        wheel: Wheel,
        due: Vec<u64>,
        sent: Vec<u64>,
        skipped: u64,
        late: u64,
    }

    impl Paced {
        fn new(sessions: usize, now: u64) -> Self {
            let mut wheel = Wheel::default();
            let due = (0..sessions).map(|session| wheel.join(session, now)).collect();
            Self { wheel, due, sent: vec![0; sessions], skipped: 0, late: 0 }
        }

        /// Says how many frames leave.
        fn turn(&mut self, now: u64) -> u64 {
            let mut frames = 0;
            for session in self.wheel.turn(now) {
                let owed = Owed::at(now, self.due[session]);
                self.due[session] = owed.due;
                self.sent[session] += owed.frames;
                self.skipped += owed.skipped;
                self.late += owed.late;
                frames += owed.frames;
            }
            frames
        }
    }

    #[test]
    fn every_session_sends_fifty_frames_a_second_and_each_millisecond_as_many() {
        let mut paced = Paced::new(1_000, 5_003);

        let turns: Vec<u64> = (5_004..15_004).map(|now| paced.turn(now)).collect();

        assert!(turns.iter().all(|frames| *frames == 50));
        assert!(paced.sent.iter().all(|frames| *frames == 500));
        assert_eq!((paced.late, paced.skipped), (0, 0));
    }

    #[test]
    fn a_turn_that_comes_late_leaves_nobody_out() {
        let mut paced = Paced::new(100, 0);
        // Turns every 1 to 19 ms.
        let mut now = 0;
        while now < 10_000 {
            now += 1 + now * 7 % 19;
            paced.turn(now);
        }

        assert!(paced.sent.iter().all(|frames| (499..=501).contains(frames)), "{:?}", paced.sent);
        assert_eq!(paced.skipped, 0);
    }

    #[test]
    fn after_a_stall_nobody_is_sent_a_burst() {
        let mut paced = Paced::new(1_000, 0);
        for now in 1..=100 {
            paced.turn(now);
        }

        let after = paced.turn(1_100);
        let then: Vec<u64> = (1_101..1_201).map(|now| paced.turn(now)).collect();

        assert_eq!(after, 2 * 1_000);
        assert_eq!((paced.skipped, paced.late), (48 * 1_000, 1_000));
        assert!(then.iter().all(|frames| *frames == 50), "the pace is as before");
        assert!(paced.sent.iter().all(|frames| *frames == 5 + 2 + 5));
    }

    #[test]
    fn who_leaves_makes_room() {
        let mut paced = Paced::new(40, 0);
        let due = paced.due[7];

        paced.wheel.leave(7, due + 20);

        assert_eq!(paced.wheel.join(99, 0) % 20, due % 20);
        assert!(
            !(1..=20).flat_map(|now| paced.wheel.turn(now).collect::<Vec<_>>()).any(|session| session == 7)
        );
    }

    #[test]
    fn a_clock_that_stands_owes_nothing() {
        let mut paced = Paced::new(20, 50);

        assert_eq!(paced.turn(60), 10);
        assert_eq!(paced.turn(60), 0);
        assert_eq!(Owed::at(60, 61).frames, 0);
    }
}
