//! Tells from sound which clips it is made of.
//!
//! Where silence ends, every clip is laid over the sound and followed as far as it goes; the one that goes furthest was
//! said. So whatever is no clip is noticed, and so is a clip that was cut off.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path;

use super::wav;

/// Samples below it are silence.
const QUIET: i16 = 250;

/// Sound is compared in blocks of 25 ms.
const BLOCK: usize = 200;

/// So much of a clip must be there to be told from others.
const FIRST: usize = 4 * BLOCK;

/// Correlation from which on two blocks are the same: G.711 changes a sample by a thirtieth.
const SAME: f64 = 0.9;

/// How far the beginning of sound and that of a clip may be apart, in samples.
const SLACK: isize = 40;

/// A jitter buffer may have dropped or repeated so many frames of 20 ms at once.
const FRAMES_SHIFTED_MAX: isize = 3;
const FRAME: isize = 160;

/// A pause after which something new begins: 30 ms.
const PAUSE: usize = 240;

/// Knows clips by their sound.
#[derive(Clone, Debug)]
pub struct Ear {
    clips: Vec<Clip>,
}

#[derive(Clone, Debug)]
struct Clip {
    name: String,
    samples: Vec<i16>,
    /// The first sample that is to be heard.
    onset: usize,
}

/// One thing that was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The name of the clip; `None`: it was none of them.
    pub clip: Option<String>,
    /// To its end.
    pub is_whole: bool,
}

/// Things that were said, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Speech(Vec<Said>);

impl fmt::Display for Speech {
    /// Names with blanks between; digits as digits, `…` after what was cut off, `?` for what is no clip.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, said) in self.0.iter().enumerate() {
            let name = said.clip.as_deref().unwrap_or("?");
            let blank = if n == 0 { "" } else { " " };
            let rest = if said.is_whole || said.clip.is_none() { "" } else { "…" };
            write!(f, "{blank}{}{rest}", name.strip_prefix("digit-").unwrap_or(name))?;
        }
        Ok(())
    }
}

impl Ear {
    /// Knows the clips of a folder, `NAME.wav` each.
    ///
    /// # Errors
    /// It cannot be read, or something in it is no recording.
    pub fn knowing(folder: &Path) -> io::Result<Self> {
        let mut clips = Vec::new();
        for entry in folder.read_dir()? {
            let path = entry?.path();
            let samples = wav::samples(&std::fs::read(&path)?)?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let onset = samples.iter().position(is_loud).unwrap_or_default();
            clips.push(Clip { name, samples, onset });
        }
        Ok(Self { clips })
    }

    /// All that is said in a recording that is over.
    pub fn understand(&self, samples: &[i16]) -> Speech {
        let mut hearing = Hearing::default();
        hearing.push(samples.iter().copied());
        hearing.understand(self, true);
        hearing.said
    }

    /// The clip that begins at `onset`, and where of the sound it ends.
    fn best(&self, sound: &[i16], onset: usize) -> Option<(&Clip, Followed)> {
        let followed = self.clips.iter().filter_map(|clip| Some((clip, clip.follow(sound, onset)?)));
        followed.max_by_key(|(_, followed)| (followed.matched, followed.end == End::Whole))
    }
}

/// How far a clip is the same as sound.
#[derive(Clone, Copy, Debug)]
struct Followed {
    /// Samples of the clip.
    matched: usize,
    /// Where of the sound that is.
    at: usize,
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Whole,
    CutOff,
    /// There is no more sound.
    Unknown,
}

impl Clip {
    fn follow(&self, sound: &[i16], onset: usize) -> Option<Followed> {
        let heard = self.samples.get(self.onset..)?;
        let first = &heard[..heard.len().min(BLOCK)];
        let starts = (-SLACK..=SLACK).filter_map(|shift| onset.checked_add_signed(shift));
        let likeness = |start| Some((start, correlation(first, sound.get(range(start, first.len()))?)));
        let (start, likeness) =
            starts.filter_map(likeness).max_by(|(_, one), (_, other)| one.total_cmp(other))?;
        if likeness < SAME {
            return None;
        }
        let mut matched = self.onset + first.len();
        let mut at = start + first.len();
        while matched < self.samples.len() {
            let block = &self.samples[matched..self.samples.len().min(matched + BLOCK)];
            let next = &self.samples[matched + block.len()..self.samples.len().min(matched + 2 * BLOCK)];
            let end = if let Some(start) = found(block, sound, at) {
                start + block.len()
            // A frame that was dropped or repeated spoils the block it falls into.
            } else if let Some(start) = found(next, sound, at + block.len()).filter(|_| next.len() == BLOCK) {
                start
            } else {
                let end = if at + 2 * BLOCK > sound.len() { End::Unknown } else { End::CutOff };
                let is_enough = matched >= self.onset + FIRST;
                return is_enough.then_some(Followed { matched, at, end });
            };
            matched += block.len();
            at = end;
        }
        Some(Followed { matched, at, end: End::Whole })
    }
}

/// Where `block` is in `sound`: at `at`, or some frames from there.
fn found(block: &[i16], sound: &[i16], at: usize) -> Option<usize> {
    let shifts = (0..=FRAMES_SHIFTED_MAX).flat_map(|frames| [frames * FRAME, -frames * FRAME]);
    shifts.filter_map(|shift| at.checked_add_signed(shift)).find(|start| {
        sound.get(range(*start, block.len())).is_some_and(|there| {
            // Little can be told from what is hardly heard.
            let is_quiet = !block.iter().any(is_loud);
            let loudest = there.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or_default();
            if is_quiet { loudest < 2 * QUIET.unsigned_abs() } else { correlation(block, there) >= SAME }
        })
    })
}

fn range(start: usize, length: usize) -> Range<usize> {
    start..start + length
}

fn is_loud(sample: &i16) -> bool {
    sample.unsigned_abs() >= QUIET.unsigned_abs()
}

/// 1 for the same, whatever the loudness; 0 for what has nothing in common.
fn correlation(one: &[i16], other: &[i16]) -> f64 {
    let (mut both, mut first, mut second) = (0.0, 0.0, 0.0);
    for (one, other) in one.iter().zip(other) {
        let (one, other) = (f64::from(*one), f64::from(*other));
        both += one * other;
        first += one * one;
        second += other * other;
    }
    if first == 0.0 || second == 0.0 { 0.0 } else { both / (first * second).sqrt() }
}

/// Sound as it comes in, and what is understood of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Hearing {
    samples: Vec<i16>,
    /// Up to here it is understood.
    understood: usize,
    /// So many were there when it was tried.
    looked_at: usize,
    said: Speech,
}

impl Hearing {
    pub(super) fn push(&mut self, samples: impl IntoIterator<Item = i16>) {
        self.samples.extend(samples);
    }

    /// Samples that came since [`Self::understand`].
    pub(super) fn news(&self) -> usize {
        self.samples.len() - self.looked_at
    }

    pub(super) fn said(&self) -> &Speech {
        &self.said
    }

    /// Understands what can be understood by now; all, if no more will come.
    pub(super) fn understand(&mut self, ear: &Ear, is_over: bool) {
        self.looked_at = self.samples.len();
        while let Some(onset) = self.samples[self.understood..].iter().position(is_loud) {
            let onset = self.understood + onset;
            if !is_over && self.samples.len() < onset + FIRST + SLACK.unsigned_abs() {
                return;
            }
            let (clip, at, is_whole) = match ear.best(&self.samples, onset) {
                Some((_, Followed { end: End::Unknown, .. })) if !is_over => return,
                Some((clip, followed)) => (Some(clip.name.clone()), followed.at, followed.end == End::Whole),
                None => (None, onset, false),
            };
            let end = if is_whole { Some(at) } else { self.pause_after(at) };
            let Some(end) = end.or_else(|| is_over.then_some(self.samples.len())) else { return };
            self.understood = end;
            self.said.0.push(Said { clip, is_whole });
        }
        // Silence is looked at once.
        self.understood = self.samples.len();
    }

    /// Where the first pause after `at` begins.
    fn pause_after(&self, at: usize) -> Option<usize> {
        let quiet = |samples: &[i16]| !samples.iter().any(is_loud);
        self.samples.get(at..)?.windows(PAUSE).position(quiet).map(|from| at + from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ear() -> Ear {
        Ear::knowing(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/prompts/en")).unwrap()
    }

    fn clip<'a>(ear: &'a Ear, name: &str) -> &'a [i16] {
        &ear.clips.iter().find(|clip| clip.name == name).unwrap().samples
    }

    #[test]
    fn clips_are_told_in_their_order() {
        let ear = ear();
        let names =
            ["enter-extension", "wrong", "digit-1", "digit-0", "digit-0", "digit-1", "enter-pin", "goodbye"];
        let mut sound = vec![0; 1_234];
        for name in names {
            // Half as loud, and a pause.
            sound.extend(clip(&ear, name).iter().map(|sample| sample / 2));
            sound.extend([0; 80]);
        }

        assert_eq!(ear.understand(&sound).to_string(), "enter-extension wrong 1 0 0 1 enter-pin goodbye");
    }

    #[test]
    fn what_is_cut_off_and_what_is_no_clip_shows() {
        let ear = ear();
        let whole = clip(&ear, "enter-extension");
        let mut sound = whole[..whole.len() / 2].to_vec();
        sound.extend([0; 2_000]);
        sound.extend((0..4_000).map(|n: i16| if n % 20 < 10 { 3_000 } else { -3_000 }));
        sound.extend([0; 2_000]);
        sound.extend(clip(&ear, "goodbye"));

        assert_eq!(ear.understand(&sound).to_string(), "enter-extension… ? goodbye");
    }

    #[test]
    fn every_clip_is_told_from_every_other() {
        let ear = ear();
        for known in &ear.clips {
            let expected = known.name.strip_prefix("digit-").unwrap_or(&known.name);

            assert_eq!(ear.understand(&known.samples).to_string(), expected);
        }
    }

    #[test]
    fn frames_that_a_jitter_buffer_dropped_are_forgiven() {
        let ear = ear();
        let mut sound = clip(&ear, "enter-extension").to_vec();
        sound.drain(3_200..3_360);

        assert_eq!(ear.understand(&sound).to_string(), "enter-extension");
    }
}
