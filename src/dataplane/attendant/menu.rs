//! What is asked, in which order, and what follows from each key: a machine without sound, time or network.
//!
//! ```text
//!            ┌───────────────────────── wrong, while tries are left ◄──────────────────────────┐
//!            ▼                                                                                  │
//!  start ─► Extension ─ # ─► Pin ─ # ─► Deciding ─ refused ──────────────────────────────────────┤
//!    │        ▲     * at once │            │  └── in use, and the policy is to ask ─► TakeOver    └─► over
//!    │        └───────────────┘            └─ granted ─► over          1 ─► Deciding ◄──┘ other keys ─► over
//! ```
//!
//! A PIN that must change, and who called for it, lead on from the PIN:
//!
//! ```text
//!  Pin ─ # (for a change) ──────────► NewPin ─ # ─► NewPinAgain ─ # ─► Deciding ─ changed ─► over, or what was asked for
//!  Deciding ─ PIN must change ─────────► ▲ ◄─ other than before ┘          │                  is asked for again
//!                                        └──────────── too simple ◄────────┘
//! ```
//!
//! In every entry `#` ends it, silence ends it if there is something and costs a try if there is not, `*` starts it
//! again. Digits are kept in memory that is wiped, and appear nowhere.

use zeroize::Zeroizing;

use super::words::{self, PAUSE, Sentence};
use crate::media::Clip;
use crate::query::Pin;
use crate::refusal::Refusal;

/// What the person dialled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    LogIn,
    /// End the seats of an extension; without one, the seat at this phone.
    LogOut,
    ChangePin,
}

/// What is known before anything is asked.
#[derive(Default)]
pub(super) struct Known {
    /// The extension: it was dialled, or it sits here, or the phone is its own.
    pub(super) extension: Option<Box<str>>,
    /// Who sat here last and may log in again by the PIN alone (LOG-15).
    pub(super) last: Option<Box<str>>,
    /// Nothing has to be proved.
    pub(super) needs_no_pin: bool,
}

/// What is to happen next.
#[derive(Debug)]
pub(super) enum Step {
    /// Say this, then wait for keys.
    Say(Vec<Clip>),
    /// Wait for more keys of an entry that has begun.
    Listen,
    /// Nothing: something is being decided, or said for the last time.
    Wait,
    /// Say this and hang up.
    Leave(Vec<Clip>),
    /// This change is asked for.
    Act(Act),
}

/// A change that was asked for.
pub(super) enum Act {
    LogIn { extension: Box<str>, pin: Pin, force: bool },
    LogOut { extension: Option<Box<str>>, pin: Option<Pin> },
    ChangePin { extension: Box<str>, old: Pin, new: Pin },
}

impl Act {
    /// Whose seats it is about, as keyed in or known.
    pub(super) fn extension(&self) -> Option<&str> {
        match self {
            Self::LogIn { extension, .. }
            | Self::LogOut { extension: Some(extension), .. }
            | Self::ChangePin { extension, .. } => Some(extension),
            Self::LogOut { extension: None, .. } => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Extension,
    Pin,
    NewPin,
    NewPinAgain,
    Deciding,
    TakeOver,
    Over,
}

/// One conversation.
pub(super) struct Menu {
    goal: Goal,
    stage: Stage,
    extension: Option<Box<str>>,
    /// The extension is not to be asked for: `*` at the PIN leads nowhere, nor does a wrong one.
    is_given: bool,
    entry: Entry,
    tries_left: u8,
    /// The PIN in force, as long as it may be needed again.
    pin: Option<Pin>,
    /// The one that is to be in force.
    new: Option<Pin>,
    /// A new one is in force since this call.
    has_changed: bool,
}

impl Menu {
    /// Begins a conversation of at most `tries` wrong or missing entries.
    pub(super) fn start(goal: Goal, known: Known, tries: u8) -> (Self, Step) {
        let mut menu = Self {
            goal,
            stage: Stage::Extension,
            is_given: known.extension.is_some(),
            extension: known.extension,
            entry: Entry::new(),
            tries_left: tries,
            pin: None,
            new: None,
            has_changed: false,
        };
        let step = if known.needs_no_pin {
            menu.stage = Stage::Deciding;
            Step::Act(Act::LogOut { extension: menu.extension.clone(), pin: None })
        } else if let Some(last) = known.last.filter(|_| !menu.is_given) {
            let sentence = Sentence::of(&[words::FOR_EXTENSION]).number(&last);
            menu.extension = Some(last);
            menu.ask(Stage::Pin, sentence.then(words::OR_STAR).then(PAUSE))
        } else if menu.is_given {
            menu.ask(Stage::Pin, Sentence::default())
        } else {
            menu.ask(Stage::Extension, Sentence::default())
        };
        (menu, step)
    }

    /// True if whoever it was thought to be is another.
    pub(super) fn asks_for_extension(&self) -> bool {
        self.stage == Stage::Extension
    }

    /// Says what is asked for at the stage the conversation has reached, again.
    pub(super) fn repeat(&mut self) -> Step {
        match self.stage {
            Stage::Deciding | Stage::Over => Step::Wait,
            stage => self.ask(stage, Sentence::default()),
        }
    }

    /// A key was pressed.
    pub(super) fn key(&mut self, key: u8) -> Step {
        match (self.stage, key) {
            (Stage::Deciding | Stage::Over, _) => Step::Wait,
            (Stage::TakeOver, b'1') => match (self.extension.clone(), self.pin.take()) {
                (Some(extension), Some(pin)) => self.act(Act::LogIn { extension, pin, force: true }),
                _ => self.leave(Sentence::default()),
            },
            (Stage::TakeOver, _) => self.leave(Sentence::default()),
            (_, b'#') => self.end_entry(),
            (Stage::Pin, b'*') if self.entry.is_empty() && !self.is_given => {
                self.extension = None;
                self.ask(Stage::Extension, Sentence::default())
            }
            (stage, b'*') => self.ask(stage, Sentence::default()),
            (_, b'0'..=b'9') => {
                self.entry.push(key);
                Step::Listen
            }
            _ => Step::Listen,
        }
    }

    /// No key came for as long as was waited.
    pub(super) fn silence(&mut self) -> Step {
        match self.stage {
            Stage::Deciding | Stage::Over => Step::Wait,
            Stage::TakeOver => self.leave(Sentence::default()),
            _ => self.end_entry(),
        }
    }

    /// The change stands.
    pub(super) fn granted(&mut self, sentence: Sentence) -> Step {
        if self.has_changed {
            return self.leave(Sentence::of(&[words::PIN_CHANGED, PAUSE]).followed_by(sentence));
        }
        self.leave(sentence)
    }

    /// The new PIN counts: what it was chosen for goes on with it.
    pub(super) fn pin_changed(&mut self) -> Step {
        self.has_changed = true;
        match (self.new.take(), self.extension.clone()) {
            (Some(pin), Some(extension)) if self.goal != Goal::ChangePin => self.prove(extension, pin),
            _ => self.leave(Sentence::of(&[words::PIN_CHANGED])),
        }
    }

    /// The change is refused. `occupant` sits here, and the policy is to ask whether to take over.
    pub(super) fn refused(&mut self, refusal: Refusal, occupant: Option<&str>) -> Step {
        match refusal {
            Refusal::DeviceOccupied if self.pin.is_some() && occupant.is_some() => {
                let sentence = Sentence::of(&[words::IN_USE]).number(occupant.unwrap_or_default());
                self.ask(Stage::TakeOver, sentence)
            }
            Refusal::PinMustChange if self.pin.is_some() => {
                self.ask(Stage::NewPin, Sentence::of(&[words::PIN_MUST_CHANGE, PAUSE]))
            }
            Refusal::PinTooSimple if self.new.is_some() => {
                self.try_from(Stage::NewPin, Sentence::of(&[words::PIN_TOO_SIMPLE]))
            }
            // Never told apart to whoever has proved nothing.
            Refusal::Credentials | Refusal::UnknownExtension | Refusal::NoPin => {
                self.try_again(Sentence::of(&[words::WRONG]))
            }
            refusal => self.leave(Sentence::of(&[words::of_refusal(refusal)])),
        }
    }

    fn end_entry(&mut self) -> Step {
        if self.entry.is_empty() {
            return self.try_again(Sentence::of(&[words::NOTHING_HEARD]));
        }
        if self.entry.is_too_long() {
            return self.try_again(Sentence::of(&[words::WRONG]));
        }
        match self.stage {
            Stage::Extension => {
                self.extension = Some(self.entry.take_text());
                self.ask(Stage::Pin, Sentence::default())
            }
            Stage::Pin => {
                let (pin, Some(extension)) = (self.entry.take_pin(), self.extension.clone()) else {
                    return self.leave(Sentence::default());
                };
                self.prove(extension, pin)
            }
            Stage::NewPin => {
                self.new = Some(self.entry.take_pin());
                self.ask(Stage::NewPinAgain, Sentence::default())
            }
            Stage::NewPinAgain => {
                let again = self.entry.take_pin();
                match (self.extension.clone(), self.pin.clone(), self.new.clone()) {
                    (_, _, Some(new)) if new != again => {
                        self.try_from(Stage::NewPin, Sentence::of(&[words::PIN_DIFFERS]))
                    }
                    (Some(extension), Some(old), Some(new)) => {
                        self.act(Act::ChangePin { extension, old, new })
                    }
                    _ => self.leave(Sentence::default()),
                }
            }
            Stage::Deciding | Stage::TakeOver | Stage::Over => Step::Wait,
        }
    }

    /// There is a PIN: what was called for may be done.
    fn prove(&mut self, extension: Box<str>, pin: Pin) -> Step {
        self.pin = Some(pin.clone());
        match self.goal {
            Goal::LogIn => self.act(Act::LogIn { extension, pin, force: false }),
            Goal::LogOut => self.act(Act::LogOut { extension: Some(extension), pin: Some(pin) }),
            Goal::ChangePin => self.ask(Stage::NewPin, Sentence::default()),
        }
    }

    /// A try is used up: from the beginning, as either of both may have been wrong, or over.
    fn try_again(&mut self, sentence: Sentence) -> Step {
        let stage = match self.stage {
            Stage::NewPin | Stage::NewPinAgain => Stage::NewPin,
            _ if self.is_given => Stage::Pin,
            Stage::Pin if self.entry.is_empty() => Stage::Pin,
            _ => Stage::Extension,
        };
        self.try_from(stage, sentence)
    }

    fn try_from(&mut self, stage: Stage, sentence: Sentence) -> Step {
        self.tries_left = self.tries_left.saturating_sub(1);
        if self.tries_left == 0 {
            return self.leave(sentence);
        }
        self.ask(stage, sentence.then(PAUSE))
    }

    fn ask(&mut self, stage: Stage, sentence: Sentence) -> Step {
        self.entry.clear();
        self.stage = stage;
        let question = match stage {
            Stage::Extension => words::ENTER_EXTENSION,
            Stage::Pin => words::ENTER_PIN,
            Stage::NewPin => words::ENTER_NEW_PIN,
            Stage::NewPinAgain => words::NEW_PIN_AGAIN,
            Stage::TakeOver => words::ASK_TAKE_OVER,
            Stage::Deciding | Stage::Over => return Step::Wait,
        };
        Step::Say(sentence.then(question).clips())
    }

    fn act(&mut self, act: Act) -> Step {
        self.stage = Stage::Deciding;
        Step::Act(act)
    }

    fn leave(&mut self, sentence: Sentence) -> Step {
        self.stage = Stage::Over;
        self.entry.clear();
        (self.pin, self.new) = (None, None);
        Step::Leave(sentence.then(PAUSE).then(words::GOODBYE).clips())
    }
}

/// Digits as they are keyed in.
struct Entry {
    digits: Zeroizing<Vec<u8>>,
    is_too_long: bool,
}

impl Entry {
    fn new() -> Self {
        // All the room it will ever need, so that no copy is left behind where it grew.
        Self { digits: Zeroizing::new(Vec::with_capacity(Pin::LENGTH_MAX)), is_too_long: false }
    }

    fn push(&mut self, digit: u8) {
        if self.digits.len() < Pin::LENGTH_MAX {
            self.digits.push(digit);
        } else {
            self.is_too_long = true;
        }
    }

    fn is_empty(&self) -> bool {
        self.digits.is_empty()
    }

    fn is_too_long(&self) -> bool {
        self.is_too_long
    }

    fn clear(&mut self) {
        self.digits.fill(0);
        self.digits.clear();
        self.is_too_long = false;
    }

    fn take_pin(&mut self) -> Pin {
        let pin = Pin::new(&self.digits);
        self.clear();
        pin
    }

    fn take_text(&mut self) -> Box<str> {
        let text = String::from_utf8_lossy(&self.digits).into();
        self.clear();
        text
    }
}

// Where somebody keys in a PIN when asked for the extension, the extension is the PIN: it is shown nowhere.

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { extension, last, needs_no_pin } = self;
        f.debug_struct("Known")
            .field("extension", &extension.as_ref().map(|_| format_args!("…")))
            .field("last", &last.as_ref().map(|_| format_args!("…")))
            .field("needs_no_pin", needs_no_pin)
            .finish()
    }
}

impl std::fmt::Debug for Act {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::LogIn { force, .. } => write!(f, "LogIn(…, PIN, force: {force})"),
            Self::LogOut { extension, pin } => {
                let extension = extension.as_ref().map_or("", |_| "…");
                write!(f, "LogOut({extension}{})", pin.as_ref().map_or("", |_| ", PIN"))
            }
            Self::ChangePin { .. } => f.write_str("ChangePin(…, PIN, PIN)"),
        }
    }
}

impl std::fmt::Debug for Menu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Menu")
            .field("goal", &self.goal)
            .field("stage", &self.stage)
            .field("tries_left", &self.tries_left)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entry(…)")
    }
}

#[cfg(test)]
mod tests;
