//! Event and Subscription-State (RFC 6665 §8.2).

use crate::error::{ErrorKind, ParseError, Parsed};
use crate::grammar::whole;
use crate::header::name::Name;
use crate::header::numbers::seconds;
use crate::octets::{self, TOKEN};
use crate::params::{Params, params};
use nom::Parser;

/// An Event value.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// The event package with its templates, `message-summary`, `presence.winfo`. Case matters.
    pub package: &'a [u8],
    /// The subscription's id, if it has one.
    pub id: Option<&'a [u8]>,
    /// All parameters.
    pub params: Params<'a>,
}

/// A Subscription-State value.
#[derive(Debug, Clone, Copy)]
pub struct SubscriptionState<'a> {
    /// `active`, `pending`, `terminated` or another token; compare it in any case.
    pub state: &'a [u8],
    /// Why it ended.
    pub reason: Option<&'a [u8]>,
    /// Seconds left.
    pub expires: Option<u32>,
    /// Seconds to wait before subscribing anew.
    pub retry_after: Option<u32>,
    /// All parameters.
    pub params: Params<'a>,
}

impl<'a> Event<'a> {
    /// Reads an Event value.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`], where the grammar fails.
    pub fn parse(value: &'a [u8]) -> Result<Self, ParseError> {
        let (package, params) = whole(value, ErrorKind::Malformed(Name::Event), token_and_params)?;
        Ok(Event { package, id: params.get("id").flatten(), params })
    }
}

impl<'a> SubscriptionState<'a> {
    /// Reads a Subscription-State value.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`], where the grammar fails.
    pub fn parse(value: &'a [u8]) -> Result<Self, ParseError> {
        let (state, params) = whole(value, ErrorKind::Malformed(Name::SubscriptionState), token_and_params)?;
        let number = |name| params.get(name).flatten().and_then(seconds);
        Ok(SubscriptionState {
            state,
            reason: params.get("reason").flatten(),
            expires: number("expires"),
            retry_after: number("retry-after"),
            params,
        })
    }
}

fn token_and_params(input: &[u8]) -> Parsed<'_, (&[u8], Params<'_>)> {
    let (rest, token) = octets::run(TOKEN).parse(octets::trim_start(input))?;
    let (rest, params) = params(rest, |_, _| {})?;
    Ok((rest, (token, params)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_and_its_id() {
        let event = Event::parse(b"dialog;sla; id = 7").expect("good");

        assert_eq!(event.package, b"dialog");
        assert_eq!(event.id, Some(&b"7"[..]));
        assert!(Event::parse(b"").is_err());
        assert!(Event::parse(b"a b").is_err());
    }

    #[test]
    fn a_state_says_why_and_how_long() {
        let state = SubscriptionState::parse(b"terminated;reason=noresource;retry-after=5").expect("good");

        assert_eq!(state.state, b"terminated");
        assert_eq!(state.reason, Some(&b"noresource"[..]));
        assert_eq!(state.retry_after, Some(5));
        assert_eq!(state.expires, None);
    }
}
