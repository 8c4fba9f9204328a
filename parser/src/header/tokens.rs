//! Lists of tokens: Require, Supported, Allow, Allow-Events … (RFC 3261 §20.32, §20.37).

use crate::list::Values;

/// The tokens of a header, across its lines and commas. Empty elements are passed over: `Supported:` with
/// nothing behind it is an empty list (RFC 3261 §20.37).
#[derive(Debug, Clone)]
pub struct Tokens<'m, 'a>(pub(crate) Values<'m, 'a>);

impl<'a> Iterator for Tokens<'_, 'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.0.find(|value| !value.is_empty())
    }
}

impl Tokens<'_, '_> {
    /// Whether the list has this token, in any case. Reads on from where the iterator stands.
    #[must_use]
    pub fn has(mut self, token: &str) -> bool {
        self.any(|other| other.eq_ignore_ascii_case(token.as_bytes()))
    }
}
