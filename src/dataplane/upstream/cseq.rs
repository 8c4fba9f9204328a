//! The numbers of a dialog whose requests the edge may have to send more than once.
//!
//! A request that answers a challenge has a CSeq above that of the one it repeats (RFC 3261 §22.2), and the phone knows
//! nothing of it. So each number of the phone has four at the peer, of which gaps are left (§12.2.2 allows them):
//!
//! ```text
//! peer's = base + (phone's − first) · 4 + attempt    (mod 2³¹)      attempt = 0 … 3
//! ```
//!
//! Nothing is kept of it: `first`, `base` and the attempt of the INVITE ride in the dialog's Record-Route. Where the
//! phone opened the dialog, `first` is the number of its INVITE, and `base` lies so low that no dialog comes to 2³¹,
//! with whatever number the phone began. Where the peer opened it, nobody knows what the phone will begin with, so both
//! are 0: up to 2²⁹ the number is four times the phone's, and from there on it begins anew at each multiple of 2²⁹. That
//! fails only for a phone which steps over such a multiple within one dialog: if it begins anywhere below 2³¹ at random
//! and sends a hundred requests, once in seven million dialogs, which then cannot be hung up by its BYE. Remembering the
//! dialog instead would fail at every restart.

/// CSeq numbers are below it (§8.1.1.5).
const END: u32 = 1 << 31;

/// Numbers of the peer for one of the phone. A request is sent three times at most: the answer to a challenge may be
/// refused once more because its nonce is too old. A call for help may go there anew without its place.
const ATTEMPTS: u32 = 4;

/// The last of them.
pub(crate) const ATTEMPT_LAST: u8 = ATTEMPTS as u8 - 1;

/// How the numbers of one side of a dialog follow from those of its phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbering {
    base: u32,
    first: u32,
    attempt: u8,
}

/// Whose requests within a dialog have other numbers at the peer, which is the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renumbered {
    /// The opener's.
    Opener(Numbering),
    /// The callee's.
    Callee,
}

impl Numbering {
    /// Of a callee: the peer opened the dialog.
    pub const CALLEE: Self = Self { base: 0, first: 0, attempt: 0 };

    /// Octets of [`Self::to_octets`].
    pub(crate) const LENGTH: usize = 9;

    /// Of a phone that opens a dialog by an INVITE with the number `first`.
    pub fn of_opener(first: u32) -> Self {
        // Two INVITEs of one Call-ID that follow each other have different numbers, and above each are 2²⁸ to spare.
        Self { base: first % (END / 16) * ATTEMPTS, first, attempt: 0 }
    }

    /// The same where the INVITE that made the dialog went out as this attempt.
    pub fn opened_by(self, attempt: u8) -> Self {
        Self { attempt, ..self }
    }

    /// The peer's number of the phone's request `number`, sent as this attempt.
    pub fn at_peer(&self, number: u32, attempt: u8) -> u32 {
        let offset = number.wrapping_sub(self.first).wrapping_mul(ATTEMPTS);
        self.base.wrapping_add(offset).wrapping_add(u32::from(attempt)) % END
    }

    /// Which attempt of an INVITE made the dialog, if `number` is that of this INVITE; of others nothing is known, and
    /// most need but one.
    pub fn attempt_of(&self, number: u32) -> u8 {
        if number == self.first { self.attempt } else { 0 }
    }

    pub(crate) fn to_octets(self) -> [u8; Self::LENGTH] {
        let mut octets = [self.attempt; Self::LENGTH];
        octets[1..5].copy_from_slice(&self.base.to_be_bytes());
        octets[5..].copy_from_slice(&self.first.to_be_bytes());
        octets
    }

    fn of_octets(octets: &[u8]) -> Option<Self> {
        let (&[attempt], rest) = octets.split_first_chunk()?;
        let (base, rest) = rest.split_first_chunk()?;
        let (base, first) = (u32::from_be_bytes(*base), u32::from_be_bytes(rest.try_into().ok()?));
        Some(Self { base, first, attempt })
    }
}

impl Renumbered {
    /// What [`Self::read`] reads.
    pub(crate) fn write(&self) -> smallvec::SmallVec<[u8; Numbering::LENGTH]> {
        match self {
            Self::Opener(numbering) => numbering.to_octets().into_iter().collect(),
            Self::Callee => smallvec::SmallVec::new(),
        }
    }

    pub(crate) fn read(octets: &[u8]) -> Option<Self> {
        if octets.is_empty() { Some(Self::Callee) } else { Numbering::of_octets(octets).map(Self::Opener) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The phone's number and the attempt that a number at the peer stands for.
    fn of_peer(numbering: &Numbering, number: u32) -> (u32, u8) {
        let offset = number.wrapping_sub(numbering.base) % END;
        (numbering.first.wrapping_add(offset / ATTEMPTS), (offset % ATTEMPTS) as u8)
    }

    /// A dialog: the number its phone begins with, how far each request is ahead of the last, and how often it is sent.
    fn requests() -> impl Strategy<Value = Vec<(u32, u8)>> {
        proptest::collection::vec((1_u32..1000, 1_u8..=4), 1..100)
    }

    /// Every number of a dialog at the peer is above all before, and tells what it stands for.
    fn assert_told_apart(numbering: Numbering, first: u32, requests: &[(u32, u8)]) {
        let (mut number, mut last) = (first, None);
        for (ahead, attempts) in requests {
            for attempt in 0..*attempts {
                let there = numbering.at_peer(number, attempt);
                assert!(there < END && last < Some(there), "{last:?} then {there}");
                assert_eq!(of_peer(&numbering, there), (number, attempt));
                last = Some(there);
            }
            number += ahead;
        }
    }

    proptest! {
        #[test]
        fn numbers_of_a_dialog_that_a_phone_opened_rise_and_tell_what_they_stand_for(
            first in 0..END - 100_000,
            requests in requests(),
        ) {
            assert_told_apart(Numbering::of_opener(first), first, &requests);
        }

        #[test]
        fn numbers_of_a_dialog_that_the_peer_opened_do_so_too(first in 0_u32..(1 << 29) - 100_000, requests in requests()) {
            assert_told_apart(Numbering::CALLEE, first, &requests);
        }

        #[test]
        fn a_phone_that_begins_high_is_numbered_from_low(first in 0_u32..(1 << 29) - 100_000, above in 1_u32..4) {
            let high = first + (above << 29);

            prop_assert_eq!(Numbering::CALLEE.at_peer(high, 2), Numbering::CALLEE.at_peer(first, 2));
        }
    }

    #[test]
    fn what_was_written_is_read() {
        for renumbered in
            [Renumbered::Callee, Renumbered::Opener(Numbering::of_opener(u32::MAX / 2).opened_by(2))]
        {
            assert_eq!(Renumbered::read(&renumbered.write()), Some(renumbered));
        }
        assert_eq!(Renumbered::read(&[1; 8]), None);
        assert_eq!(Renumbered::read(&[1; 10]), None);
    }

    #[test]
    fn only_the_invite_that_made_the_dialog_has_its_attempt() {
        let numbering = Numbering::of_opener(17).opened_by(1);

        assert_eq!((numbering.attempt_of(17), numbering.attempt_of(18)), (1, 0));
        assert_eq!(numbering.at_peer(17, 1), 69);
        assert_eq!(numbering.at_peer(18, 0), 72);
    }
}
