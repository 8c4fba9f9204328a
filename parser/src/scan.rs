//! The line scan: where the lines of a head end. Sixty-four octets are looked at in one step.
//!
//! A step yields two masks, one bit an octet: where the CRs and where the LFs are. A line end is an LF whose
//! predecessor is a CR; any other LF or CR is a bare one. So one pass finds the lines and proves that none
//! hides inside another.

/// Octets looked at in one step: as many as a mask has bits.
const BLOCK: usize = u64::BITS as usize;

/// What stands at a position the scan stops at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Break {
    /// The first octet after a CRLF.
    Line(usize),
    /// A CR without LF or an LF without CR, at this octet or the one before it.
    Bare(usize),
}

/// Walks over the line ends of a head.
pub(crate) struct Breaks<'a> {
    octets: &'a [u8],
    /// Where the block lies that the masks speak of.
    base: usize,
    /// Octets of the block that are LF, or ought to be because a CR precedes them; not yet reported.
    stops: u64,
    /// Those of `stops` that break the rule.
    bare: u64,
    /// The block before ended in a CR.
    carry: u64,
}

impl<'a> Breaks<'a> {
    pub(crate) fn new(octets: &'a [u8]) -> Self {
        let mut breaks = Self { octets, base: 0, stops: 0, bare: 0, carry: 0 };
        breaks.load();
        breaks
    }

    /// The next line end, or `None` when there is none before the end of the octets.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Option<Break> {
        while self.stops == 0 {
            self.base += BLOCK;
            if self.base >= self.octets.len() {
                return None;
            }
            self.load();
        }
        let bit = self.stops & self.stops.wrapping_neg();
        self.stops ^= bit;
        let at = self.base + bit.trailing_zeros() as usize;
        if self.bare & bit != 0 {
            return Some(Break::Bare(at));
        }
        Some(Break::Line(at + 1))
    }

    #[inline(always)]
    fn load(&mut self) {
        let left = &self.octets[self.base..];
        match left.first_chunk::<BLOCK>() {
            Some(block) => self.judge(masks(block)),
            None => {
                // The last octets, filled up with what is no line break. Nothing is said of the filling.
                let mut block = [0; BLOCK];
                block[..left.len()].copy_from_slice(left);
                self.judge(masks(&block));
                self.stops &= (1 << left.len()) - 1;
            }
        }
    }

    #[inline(always)]
    fn judge(&mut self, (cr, lf): (u64, u64)) {
        let due = (cr << 1) | self.carry;
        self.carry = cr >> (BLOCK - 1);
        self.stops = lf | due;
        self.bare = lf ^ due;
    }
}

/// Where CR and where LF stand in `block`, the first octet in the lowest bit.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[expect(unsafe_code, reason = "vector instructions are worth it here: the scan is most of the first stage")]
fn masks(block: &[u8; BLOCK]) -> (u64, u64) {
    // SAFETY: the only demand of `sse2_masks` is a processor with SSE2, and every x86-64 has it.
    unsafe { sse2_masks(block) }
}

/// Needs SSE2 and nothing else: the load is built from two words, so no pointer is involved, and the compiler
/// makes one instruction of it.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
#[inline]
fn sse2_masks(block: &[u8; BLOCK]) -> (u64, u64) {
    use core::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi8};

    let word = |at: usize| {
        i64::from_le_bytes(block[at..at + 8].try_into().expect("a block has eight words of eight octets"))
    };
    let (cr, lf) = (_mm_set1_epi8(b'\r' as i8), _mm_set1_epi8(b'\n' as i8));
    let mut found = (0, 0);
    for at in (0..BLOCK).step_by(16) {
        let octets = _mm_set_epi64x(word(at + 8), word(at));
        found.0 |= u64::from(_mm_movemask_epi8(_mm_cmpeq_epi8(octets, cr)) as u32) << at;
        found.1 |= u64::from(_mm_movemask_epi8(_mm_cmpeq_epi8(octets, lf)) as u32) << at;
    }
    found
}

/// The same for every other machine.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn masks(block: &[u8; BLOCK]) -> (u64, u64) {
    portable_masks(block)
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn portable_masks(block: &[u8; BLOCK]) -> (u64, u64) {
    let mut found = (0, 0);
    for (at, &octet) in block.iter().enumerate() {
        found.0 |= u64::from(octet == b'\r') << at;
        found.1 |= u64::from(octet == b'\n') << at;
    }
    found
}

/// Where the colon after a header name stands, looked for from `from` to `end`.
#[inline(always)]
pub(crate) fn colon(octets: &[u8], from: usize, end: usize) -> Option<usize> {
    // All names but a few long ones show their colon here.
    let mut at = from;
    if let Some(window) = octets[from..].first_chunk::<WINDOW>() {
        let found = from + colon_in(window).trailing_zeros() as usize;
        at = from + WINDOW;
        if found < at {
            return (found < end).then_some(found);
        }
    }
    memchr::memchr(b':', octets.get(at..end)?).map(|found| at + found)
}

/// Octets in which the colon is looked for in one step.
const WINDOW: usize = 16;

/// Where the colons stand in `window`, the first octet in the lowest bit.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[expect(unsafe_code, reason = "a header name is found in a few instructions instead of a few an octet")]
fn colon_in(window: &[u8; WINDOW]) -> u32 {
    #[target_feature(enable = "sse2")]
    #[inline]
    fn sse2_colon_in(window: &[u8; WINDOW]) -> u32 {
        use core::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi8};

        let [low, high] = [0, 8].map(|at| {
            i64::from_le_bytes(window[at..at + 8].try_into().expect("a window has two words of eight octets"))
        });
        _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_set_epi64x(high, low), _mm_set1_epi8(b':' as i8))) as u32
    }
    // SAFETY: as for `masks`, every x86-64 has SSE2.
    unsafe { sse2_colon_in(window) }
}

/// The same for every other machine.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn colon_in(window: &[u8; WINDOW]) -> u32 {
    window.iter().enumerate().fold(0, |found, (at, &octet)| found | u32::from(octet == b':') << at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(octets: &[u8]) -> Vec<Break> {
        let mut breaks = Breaks::new(octets);
        core::iter::from_fn(|| breaks.next()).collect()
    }

    /// The definition, octet by octet. A CR that is the last octet of all says nothing yet.
    fn by_definition(octets: &[u8]) -> Vec<Break> {
        let mut found = Vec::new();
        for at in 0..octets.len() {
            let after_cr = at > 0 && octets[at - 1] == b'\r';
            match (after_cr, octets[at] == b'\n') {
                (true, true) => found.push(Break::Line(at + 1)),
                (false, false) => {}
                _ => found.push(Break::Bare(at)),
            }
        }
        found
    }

    #[test]
    fn lines_and_bare_breaks_are_told_apart() {
        assert_eq!(all(b"a\r\nb\r\n\r\n"), [Break::Line(3), Break::Line(6), Break::Line(8)]);
        assert_eq!(all(b"a\nb"), [Break::Bare(1)]);
        assert_eq!(all(b"a\rb"), [Break::Bare(2)]);
        assert_eq!(all(b""), []);
    }

    #[test]
    fn the_colon_is_found_wherever_it_stands() {
        for length in 0..40 {
            for at in 0..length {
                let mut line = vec![b'x'; length];
                line[at] = b':';
                line.extend_from_slice(b"\r\n:");

                assert_eq!(colon(&line, 0, length), Some(at));
                assert_eq!(colon(&line, 0, at), None);
                assert_eq!(colon(&line, at + 1, length), None);
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

            prop_assert_eq!(masks(&octets), portable_masks(&octets));
        }
    }
}
