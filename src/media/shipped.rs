//! The prompts in the binary, so that an edge speaks without a folder of prompts. `scripts/prompts` makes the files.

/// Clips of a language: name and WAV file.
type Clips = &'static [(&'static str, &'static [u8])];

macro_rules! shipped {
    ($($name:literal)*) => {
        /// By language.
        pub(super) const SHIPPED: [(&str, Clips); 2] = [
            ("en", &[$(($name, include_bytes!(concat!("../../configs/prompts/en/", $name, ".wav"))),)*]),
            ("de", &[$(($name, include_bytes!(concat!("../../configs/prompts/de/", $name, ".wav"))),)*]),
        ];
    };
}

shipped! {
    "enter-extension"
    "enter-pin"
    "enter-new-pin"
    "new-pin-again"
    "pin-changed"
    "pin-differs"
    "logged-in"
    "logged-out"
    "you-are"
    "nobody"
    "already-here"
    "in-use"
    "ask-take-over"
    "phone-reloads"
    "wrong"
    "locked"
    "no-log-ins"
    "has-its-place"
    "not-permitted"
    "disabled"
    "too-many"
    "unavailable"
    "emergency-hold"
    "another-change"
    "for-extension"
    "not-logged-in"
    "nothing-heard"
    "occupied"
    "only-shared"
    "or-star"
    "phone-off"
    "pin-fixed"
    "pin-must-change"
    "pin-too-simple"
    "sits-elsewhere"
    "was-elsewhere"
    "was-in-use"
    "your-extension"
    "goodbye"
    "digit-0"
    "digit-1"
    "digit-2"
    "digit-3"
    "digit-4"
    "digit-5"
    "digit-6"
    "digit-7"
    "digit-8"
    "digit-9"
    "star"
    "hash"
}
