//! What a person dials to log in and out, and how the attendant talks to him.

use std::time::Duration;

/// What a person dials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Codes {
    /// Log-in: `LOGIN*extension*PIN` in one string, such as `*11*1001*7738`. Empty: none.
    pub login: Box<str>,
    /// Log-out. Empty: none.
    pub logout: Box<str>,
    /// Log-out where somebody sits, log-in where nobody does. Empty: none.
    pub toggle: Box<str>,
    /// Who is logged in here? Empty: none.
    pub who: Box<str>,
    /// Another PIN. Empty: none.
    pub pin: Box<str>,
}

impl Codes {
    /// All of them.
    pub(super) fn dialled(&self) -> impl Iterator<Item = Box<[u8]>> {
        [&self.login, &self.logout, &self.toggle, &self.who, &self.pin]
            .map(|code| code.as_bytes().into())
            .into_iter()
    }
}

/// How the attendant talks to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttendantPolicy {
    /// The folder of prompts where neither the extension nor the site has a language of its own.
    pub language: Box<str>,
    /// How long the first key is waited for.
    pub first_digit_timeout: Duration,
    /// How long another key is waited for, before what was keyed in counts as the whole.
    pub digit_timeout: Duration,
    /// Wrong or missing entries of one call; at least 1.
    pub tries: u8,
    /// Listen for tones in the sound itself.
    pub in_band: bool,
}

impl Default for AttendantPolicy {
    fn default() -> Self {
        Self {
            language: "en".into(),
            first_digit_timeout: Duration::from_secs(10),
            digit_timeout: Duration::from_secs(5),
            tries: 3,
            in_band: false,
        }
    }
}

/// Which phones a code may be dialled from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CodesFrom {
    /// The shared phones. From an extension's own phone, only what ends its seats and what asks where they are.
    #[default]
    Pool,
    /// From an extension's own phone also the toggle code and another PIN. It takes no seat all the same.
    Any,
}

impl Codes {
    /// These, and where one is missing that of `base`.
    #[must_use]
    pub fn or(&self, base: &Self) -> Self {
        let or = |own: &str, base: &str| if own.is_empty() { base.into() } else { own.into() };
        Self {
            login: or(&self.login, &base.login),
            logout: or(&self.logout, &base.logout),
            toggle: or(&self.toggle, &base.toggle),
            who: or(&self.who, &base.who),
            pin: or(&self.pin, &base.pin),
        }
    }
}
