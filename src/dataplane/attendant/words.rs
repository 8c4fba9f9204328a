//! What the attendant can say. Each name is a line of `configs/prompts/prompts.tsv`, and a file of every language.

use crate::media::{CLIPS_MAX, Clip};
use crate::refusal::Refusal;

/// Declares the clips once: the constants, and the list that a test holds against the sentences.
macro_rules! clips {
    ($($constant:ident $name:literal)*) => {
        $(pub(super) const $constant: Clip = Clip::Word($name);)*

        #[cfg(test)]
        const ALL: &[&str] = &[$($name),*];
    };
}

clips! {
    ALREADY_HERE "already-here"
    ANOTHER_CHANGE "another-change"
    ASK_TAKE_OVER "ask-take-over"
    DISABLED "disabled"
    EMERGENCY_HOLD "emergency-hold"
    ENTER_EXTENSION "enter-extension"
    ENTER_NEW_PIN "enter-new-pin"
    ENTER_PIN "enter-pin"
    FOR_EXTENSION "for-extension"
    GOODBYE "goodbye"
    HAS_ITS_PLACE "has-its-place"
    IN_USE "in-use"
    LOCKED "locked"
    LOGGED_IN "logged-in"
    LOGGED_OUT "logged-out"
    NEW_PIN_AGAIN "new-pin-again"
    NO_LOG_INS "no-log-ins"
    NOBODY "nobody"
    NOT_LOGGED_IN "not-logged-in"
    NOT_PERMITTED "not-permitted"
    NOTHING_HEARD "nothing-heard"
    OCCUPIED "occupied"
    ONLY_SHARED "only-shared"
    OR_STAR "or-star"
    PHONE_OFF "phone-off"
    PHONE_RELOADS "phone-reloads"
    PIN_CHANGED "pin-changed"
    PIN_DIFFERS "pin-differs"
    PIN_FIXED "pin-fixed"
    PIN_MUST_CHANGE "pin-must-change"
    PIN_TOO_SIMPLE "pin-too-simple"
    SITS_ELSEWHERE "sits-elsewhere"
    TOO_MANY "too-many"
    UNAVAILABLE "unavailable"
    WAS_ELSEWHERE "was-elsewhere"
    WAS_IN_USE "was-in-use"
    WRONG "wrong"
    YOU_ARE "you-are"
    YOUR_EXTENSION "your-extension"
}

/// What is said for a refusal: every reason is heard, but for those that would tell who is there and who is not.
pub(super) fn of_refusal(refusal: Refusal) -> Clip {
    match refusal {
        Refusal::Credentials | Refusal::UnknownExtension | Refusal::NoPin | Refusal::StaleProof => WRONG,
        Refusal::PinMustChange => PIN_MUST_CHANGE,
        Refusal::PinTooSimple => PIN_TOO_SIMPLE,
        Refusal::PinFixed => PIN_FIXED,
        Refusal::Locked => LOCKED,
        Refusal::DeviceDisabled => PHONE_OFF,
        Refusal::ExtensionDisabled => DISABLED,
        Refusal::SeatLimit => TOO_MANY,
        Refusal::DeviceOccupied => OCCUPIED,
        Refusal::NobodySits => NOBODY,
        Refusal::NotLoggedIn => NOT_LOGGED_IN,
        Refusal::NotASharedPhone => ONLY_SHARED,
        Refusal::EmergencyHold => EMERGENCY_HOLD,
        Refusal::NotPermitted => NO_LOG_INS,
        Refusal::NotPermittedHere => NOT_PERMITTED,
        Refusal::Protected => HAS_ITS_PLACE,
        Refusal::Busy | Refusal::SettingsChanged => ANOTHER_CHANGE,
        Refusal::Malformed
        | Refusal::UnknownTenant
        | Refusal::UnknownDevice
        | Refusal::NotLocked
        | Refusal::PinNotDialled
        | Refusal::StoreUnavailable
        | Refusal::PinUnavailable
        | Refusal::NoSound
        | Refusal::NumberBarred
        | Refusal::CallLimit
        | Refusal::Cancelled => UNAVAILABLE,
    }
}

/// An announcement as it is put together.
#[derive(Debug, Default)]
pub(super) struct Sentence(Vec<Clip>);

impl Sentence {
    pub(super) fn of(clips: &[Clip]) -> Self {
        Self(clips.to_vec())
    }

    pub(super) fn then(mut self, clip: Clip) -> Self {
        self.0.push(clip);
        self
    }

    /// The digits of a number, one by one; what is none, such as a letter of an extension, is not said.
    pub(super) fn number(mut self, number: &str) -> Self {
        let room = CLIPS_MAX.saturating_sub(self.0.len() + SENTENCE_REST);
        let digits = number.bytes().filter(|byte| byte.is_ascii_digit() || matches!(byte, b'*' | b'#'));
        self.0.extend(digits.take(room).map(Clip::Digit));
        self.0.push(PAUSE);
        self
    }

    /// This, and after it the other.
    pub(super) fn followed_by(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    pub(super) fn clips(self) -> Vec<Clip> {
        self.0
    }
}

/// What may follow a number within one announcement.
const SENTENCE_REST: usize = 12;

/// Between two sentences.
pub(super) const PAUSE: Clip = Clip::Pause(300);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Name and sentences of each line.
    fn sentences() -> Vec<Vec<&'static str>> {
        let table = include_str!("../../../configs/prompts/prompts.tsv");
        table.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect()).collect()
    }

    #[test]
    fn every_clip_is_a_line_of_the_table_with_a_sentence_in_each_language_and_there_is_no_other() {
        let sentences = sentences();
        let known: BTreeSet<_> = sentences.iter().map(|line| line[0].to_owned()).collect();

        let digits = (0..10).map(|digit| format!("digit-{digit}"));
        let named = ALL.iter().chain(&["star", "hash"]).map(|name| (*name).to_owned());
        assert_eq!(known, named.chain(digits).collect());
        for line in &sentences {
            assert!(line.len() == 3 && line.iter().all(|cell| !cell.trim().is_empty()), "{line:?}");
        }
    }

    #[test]
    fn every_refusal_is_said_in_a_sentence_of_its_own_unless_nothing_more_may_be_told() {
        let sentences = sentences();
        let said = |refusal| match of_refusal(refusal) {
            Clip::Word(name) => name,
            clip => panic!("{refusal:?} is {clip:?}"),
        };

        let mut alike = BTreeSet::new();
        for refusal in Refusal::ALL {
            let name = said(refusal);
            assert!(sentences.iter().any(|line| line[0] == name), "{refusal:?} says {name}");
            if name == said(Refusal::Cancelled) {
                alike.insert(refusal.code());
            }
        }
        // What the person cannot mend, and what is never said because nobody listens.
        let nothing_more = [
            "call-limit",
            "cancelled",
            "malformed",
            "no-sound",
            "not-locked",
            "number-barred",
            "pin-not-dialled",
            "pin-unavailable",
            "store-unavailable",
            "unknown-device",
            "unknown-tenant",
        ];
        assert_eq!(alike, BTreeSet::from(nothing_more));
    }

    #[test]
    fn longest_number_leaves_room_for_what_follows() {
        let clips = Sentence::of(&[LOGGED_IN]).number(&"7".repeat(200)).then(PHONE_RELOADS).clips();

        assert!(clips.len() <= CLIPS_MAX);
        assert_eq!(Sentence::default().number("a1b").clips(), [Clip::Digit(b'1'), PAUSE]);
    }
}
