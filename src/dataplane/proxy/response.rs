//! Which of several answers the caller gets (RFC 3261 §16.7 items 5 to 7).

/// The best final answer so far of all branches.
#[derive(Debug, Default)]
pub(crate) struct Best {
    code: u16,
    /// The answer as it came; empty where nobody sent one: the edge then writes its own.
    octets: Box<[u8]>,
}

impl Best {
    /// Takes one more final answer into account.
    pub(crate) fn offer(&mut self, code: u16, octets: &[u8]) {
        if self.code == 0 || rank(code) < rank(self.code) {
            *self = Self { code, octets: octets.into() };
        }
    }

    /// The status the caller is to see: phones' failures that concern only the edge do not reach him.
    pub(crate) fn code(&self) -> u16 {
        match self.code {
            // Nobody there, nobody answered, or a flow that died (RFC 5626 §4.3): the person is not to be had now.
            0 | 408 | 430 => 480,
            // §16.7 item 6: a 503 would make the caller's phone leave the edge.
            503 => 500,
            // A phone has no business asking a caller for the phone's own secret.
            401 | 407 => 403,
            code => code,
        }
    }

    /// True if somebody answered, whether or not the caller may see it.
    pub(crate) fn is_answer(&self) -> bool {
        !self.octets.is_empty()
    }

    /// True if all that came was that nothing came: timers B and F.
    pub(crate) fn is_silence(&self) -> bool {
        self.code == 408 && self.octets.is_empty()
    }

    /// True if the best that came was a question who asks.
    pub(crate) fn asks_who_we_are(&self) -> bool {
        matches!(self.code, 401 | 407)
    }

    /// The answer to pass on; `None`: write one of our own with [`Self::code`].
    pub(crate) fn octets(&self) -> Option<&[u8]> {
        (self.code() == self.code && !self.octets.is_empty()).then_some(&*self.octets)
    }
}

/// Lower is better. A 6xx ends the search; then the lowest class; within 4xx what the caller can mend comes first.
fn rank(code: u16) -> (u16, u16) {
    let class = code / 100;
    let within = match code {
        415 | 420 | 484 => 0,
        // The weakest words: they say nothing about the person.
        408 | 430 | 480 => 2,
        _ => 1,
    };
    (if class == 6 { 0 } else { class }, within)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best_of(codes: &[u16]) -> u16 {
        let mut best = Best::default();
        for code in codes {
            best.offer(*code, b"SIP/2.0 ...");
        }
        best.code()
    }

    #[test]
    fn a_decline_everywhere_wins_then_the_lowest_class_then_what_can_be_mended() {
        assert_eq!(best_of(&[486, 603, 302]), 603);
        assert_eq!(best_of(&[500, 486]), 486);
        assert_eq!(best_of(&[486, 302]), 302);
        assert_eq!(best_of(&[486, 415]), 415);
        assert_eq!(best_of(&[408, 486]), 486);
        assert_eq!(best_of(&[486, 486]), 486);
    }

    #[test]
    fn what_concerns_only_the_edge_stays_inside() {
        assert_eq!(best_of(&[]), 480);
        assert_eq!(best_of(&[408]), 480);
        assert_eq!(best_of(&[430]), 480);
        assert_eq!(best_of(&[503]), 500);
        assert_eq!(best_of(&[401]), 403);
    }

    #[test]
    fn an_answer_whose_code_changes_is_written_anew() {
        let mut best = Best::default();
        best.offer(486, b"busy");
        assert_eq!(best.octets(), Some(&b"busy"[..]));

        let mut best = Best::default();
        best.offer(503, b"overloaded");
        assert_eq!(best.octets(), None);
    }
}
