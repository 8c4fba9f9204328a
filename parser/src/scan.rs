//! The line scan: where the lines of a head end. Sixty-four octets are looked at in one step.
//!
//! A step yields a mask, one bit an octet, of those that *may* be a line break: one comparison finds CR and LF
//! together with a few control characters that headers hardly ever hold. Each candidate is then looked at. So
//! one pass finds the lines and proves that none hides inside another.

use crate::header::name::WINDOW;

/// Octets looked at in one step: as many as a mask has bits.
const BLOCK: usize = u64::BITS as usize;

/// What stands at a position the scan stops at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Break {
    /// The first octet after a CRLF.
    Line(usize),
    /// A CR without LF, or an LF without CR.
    Bare(usize),
}

/// Walks over the line ends of a head.
pub(crate) struct Breaks<'a> {
    octets: &'a [u8],
    /// Where the block lies that the mask speaks of.
    base: usize,
    /// Candidates in the block, not yet looked at.
    candidates: u64,
    /// The octet after the last line end.
    line_start: usize,
}

impl<'a> Breaks<'a> {
    /// The line ends from the line on that begins at `start`.
    #[inline(always)]
    pub(crate) fn new(octets: &'a [u8], start: usize) -> Self {
        Self { octets, base: start, candidates: candidates_at(octets, start), line_start: start }
    }

    /// The next line end, or `None` when there is none before the end of the octets. A CR that is the last
    /// octet of all is none yet.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Option<Break> {
        loop {
            while self.candidates == 0 {
                self.base += BLOCK;
                if self.base >= self.octets.len() {
                    return None;
                }
                self.candidates = candidates_at(self.octets, self.base);
            }
            let at = self.base + self.candidates.trailing_zeros() as usize;
            self.candidates &= self.candidates - 1;
            let here = &self.octets[at..];
            if here.first_chunk() == Some(b"\r\n") {
                // The LF is the next candidate, or the first of the next block.
                self.candidates &= self.candidates.wrapping_sub(1);
                self.line_start = at + 2;
                return Some(Break::Line(at + 2));
            }
            match here {
                // The LF of a line end whose CR was the last octet of the block before.
                [b'\n', ..] if at + 1 == self.line_start => {}
                [b'\n', ..] | [b'\r', _, ..] => return Some(Break::Bare(at)),
                _ => {}
            }
        }
    }
}

/// The candidates in the block at `base`.
#[inline(always)]
fn candidates_at(octets: &[u8], base: usize) -> u64 {
    match octets[base..].first_chunk::<BLOCK>() {
        Some(block) => candidates(block),
        None => candidates_in_rest(&octets[base..]),
    }
}

/// The same for the last octets: filled up with what is no candidate.
#[inline(never)]
fn candidates_in_rest(rest: &[u8]) -> u64 {
    let mut block = [0; BLOCK];
    block[..rest.len()].copy_from_slice(rest);
    candidates(&block)
}

/// Where the octets from 0x08 to 0x0F stand in `block`, the first octet in the lowest bit.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[expect(unsafe_code, reason = "vector instructions are worth it here: the scan is much of the first stage")]
fn candidates(block: &[u8; BLOCK]) -> u64 {
    // SAFETY: the only demand of `sse2_candidates` is a processor with SSE2, and every x86-64 has it.
    unsafe { sse2_candidates(block) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
#[inline]
#[expect(unsafe_code, reason = "a vector is loaded through a pointer")]
fn sse2_candidates(block: &[u8; BLOCK]) -> u64 {
    use core::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
    };

    let (lanes, _) = block.as_chunks::<16>();
    let mut found = 0;
    for (at, lane) in lanes.iter().enumerate() {
        // SAFETY: `lane` is sixteen readable octets, and this load asks for no alignment.
        let octets = unsafe { _mm_loadu_si128(lane.as_ptr().cast()) };
        let matches = _mm_cmpeq_epi8(_mm_or_si128(octets, _mm_set1_epi8(0x07)), _mm_set1_epi8(0x0f));
        found |= u64::from(_mm_movemask_epi8(matches) as u32) << (at * 16);
    }
    found
}

/// The same for every other machine.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn candidates(block: &[u8; BLOCK]) -> u64 {
    portable_candidates(block)
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn portable_candidates(block: &[u8; BLOCK]) -> u64 {
    block.iter().enumerate().fold(0, |found, (at, &octet)| found | u64::from(octet | 0x07 == 0x0f) << at)
}

/// The octets that `text` begins with, zeros behind its end.
#[inline(always)]
pub(crate) fn window_of(text: &[u8]) -> [u8; WINDOW] {
    #[inline(never)]
    fn filled_up(text: &[u8]) -> [u8; WINDOW] {
        let mut window = [0; WINDOW];
        window[..text.len()].copy_from_slice(text);
        window
    }
    text.first_chunk().copied().unwrap_or_else(|| filled_up(text))
}

/// Where the first of these octets stands in `window`; its length if there is none of them.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[expect(unsafe_code, reason = "a name is found in a few instructions instead of a few an octet")]
pub(crate) fn first_of<const N: usize>(wanted: [u8; N], window: &[u8; WINDOW]) -> usize {
    #[target_feature(enable = "sse2")]
    #[inline]
    fn sse2_places_of<const N: usize>(wanted: [u8; N], window: &[u8; WINDOW]) -> u32 {
        use core::arch::x86_64::{
            _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
            _mm_setzero_si128,
        };

        // SAFETY: `window` is sixteen readable octets, and this load asks for no alignment.
        let octets = unsafe { _mm_loadu_si128(window.as_ptr().cast()) };
        let found = wanted.iter().fold(_mm_setzero_si128(), |found, &octet| {
            _mm_or_si128(found, _mm_cmpeq_epi8(octets, _mm_set1_epi8(octet as i8)))
        });
        _mm_movemask_epi8(found) as u32
    }
    // SAFETY: as for `candidates`, every x86-64 has SSE2.
    let places = unsafe { sse2_places_of(wanted, window) };
    // The bit behind the last octet ends the search.
    (places | 1 << WINDOW).trailing_zeros() as usize
}

/// The same for every other machine.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub(crate) fn first_of<const N: usize>(wanted: [u8; N], window: &[u8; WINDOW]) -> usize {
    portable_first_of(wanted, window)
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn portable_first_of<const N: usize>(wanted: [u8; N], window: &[u8; WINDOW]) -> usize {
    window.iter().position(|octet| wanted.contains(octet)).unwrap_or(WINDOW)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(octets: &[u8]) -> Vec<Break> {
        let mut breaks = Breaks::new(octets, 0);
        core::iter::from_fn(|| breaks.next()).collect()
    }

    /// The definition, octet by octet: a CRLF ends a line, any other CR or LF is bare. A CR that is the last
    /// octet of all says nothing yet.
    fn by_definition(octets: &[u8]) -> Vec<Break> {
        let (mut found, mut at) = (Vec::new(), 0);
        while at < octets.len() {
            match octets[at..] {
                [b'\r', b'\n', ..] => {
                    at += 1;
                    found.push(Break::Line(at + 1));
                }
                [b'\n', ..] | [b'\r', _, ..] => found.push(Break::Bare(at)),
                _ => {}
            }
            at += 1;
        }
        found
    }

    #[test]
    fn lines_and_bare_breaks_are_told_apart() {
        assert_eq!(all(b"a\r\nb\r\n\r\n"), [Break::Line(3), Break::Line(6), Break::Line(8)]);
        assert_eq!(all(b"a\nb"), [Break::Bare(1)]);
        assert_eq!(all(b"a\rb"), [Break::Bare(1)]);
        assert_eq!(all(b"\n\r\r\n\n\t\r"), [Break::Bare(0), Break::Bare(1), Break::Line(4), Break::Bare(4)]);
        assert_eq!(all(b""), []);
    }

    #[test]
    fn the_first_colon_is_found_wherever_it_stands() {
        assert_eq!(first_of([b':'], &[b'x'; WINDOW]), WINDOW);
        for at in 0..WINDOW {
            let mut window = [b'x'; WINDOW];
            window[at..].fill(b':');

            assert_eq!(first_of([b':'], &window), at);
            assert_eq!(portable_first_of([b':'], &window), at);
        }
    }

    /// The scan loads through pointers: valgrind tells if one leads out of what it was given.
    #[test]
    fn the_scan_reads_nothing_that_was_not_given() {
        let tests = std::env::current_exe().expect("a test knows its own file");
        let run = std::process::Command::new("valgrind")
            .args(["--quiet", "--error-exitcode=1"])
            .arg(tests)
            .args(["scan::tests", "--skip", "reads_nothing"])
            .env("PROPTEST_CASES", "64")
            .output();
        match run {
            Ok(run) => assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr)),
            Err(error) => {
                assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "valgrind: {error}");
                eprintln!("SKIPPED, AND SO NOT TESTED: the line scan under valgrind: {error}");
            }
        }
    }

    proptest! {
        #[test]
        fn the_scan_follows_its_definition(
            octets in prop::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'x'), any::<u8>()], 0..300),
        ) {
            prop_assert_eq!(all(&octets), by_definition(&octets));
        }

        #[test]
        fn the_masks_of_all_machines_agree(block in prop::array::uniform32(any::<u16>())) {
            let mut octets = [0; BLOCK];
            for (pair, word) in octets.chunks_exact_mut(2).zip(block) {
                // Many line breaks, so that each bit is exercised.
                pair.copy_from_slice(&[[b'\r', b'\n', word as u8, b'x'][(word >> 8) as usize % 4], (word >> 4) as u8]);
            }

            prop_assert_eq!(candidates(&octets), portable_candidates(&octets));
        }
    }
}
