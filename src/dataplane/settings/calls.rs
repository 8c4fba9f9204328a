//! What may be called from a phone at which nobody sits, and what callers of somebody who is nowhere are told.

use std::time::Duration;

use super::numbers::Pattern;

/// What a phone may do at which nobody sits, beside codes and emergency calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BasePolicy {
    /// Numbers that may be called from it (BASE-4).
    pub may_call: Vec<Pattern>,
}

impl BasePolicy {
    /// True if `user`, an unescaped user part, may be called from it.
    pub fn lets_call(&self, user: &[u8]) -> bool {
        self.may_call.iter().any(|pattern| pattern.fits(user))
    }
}

/// What the caller of an extension is told that is to be had nowhere (BASE-6, BASE-7).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Absent {
    /// 480: whoever called decides what follows, such as voicemail.
    #[default]
    Unavailable,
    /// 302 to this URI or number (`+` and digits), which the caller's own phone or gateway then calls.
    Redirect(Box<str>),
    /// For a while after a log-out the desk that was left rings (CAP-23); then, and where it cannot, 302 to this, or 480.
    LastDesk {
        /// How long.
        keep: Duration,
        /// As in [`Self::Redirect`].
        redirect: Option<Box<str>>,
    },
}

impl Absent {
    /// What Contact of a 302 says; `domain` is that of numbers. `None`: it is no 302.
    pub fn contact(&self, domain: &str) -> Option<String> {
        let instead = match self {
            Self::Unavailable => None,
            Self::Redirect(uri) => Some(uri),
            Self::LastDesk { redirect, .. } => redirect.as_ref(),
        }?;
        Some(match instead.strip_prefix("sip:") {
            Some(_) => format!("<{instead}>"),
            None => format!("<sip:{instead}@{domain};user=phone>"),
        })
    }

    /// How long the desk that was left rings.
    pub fn last_desk(&self) -> Option<Duration> {
        match self {
            Self::LastDesk { keep, .. } => Some(*keep),
            Self::Unavailable | Self::Redirect(_) => None,
        }
    }
}
