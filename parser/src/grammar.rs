//! Running a grammar over the value of a header, and what is left behind it.

use crate::error::{ErrorKind, ParseError, Parsed};
use crate::octets::trim_start;

/// Runs `grammar` over the whole of `value`; surrounding white space may remain, anything else is a fault.
#[inline]
pub(crate) fn whole<'a, T>(
    value: &'a [u8],
    kind: ErrorKind,
    grammar: impl FnOnce(&'a [u8]) -> Parsed<'a, T>,
) -> Result<T, ParseError> {
    let at = |left: usize| ParseError::new(kind, value.len() - left);
    match grammar(value) {
        Ok((rest, parsed)) => {
            let rest = trim_start(rest);
            if rest.is_empty() { Ok(parsed) } else { Err(at(rest.len())) }
        }
        Err(nom::Err::Error(fault) | nom::Err::Failure(fault)) => Err(at(fault.left)),
        Err(nom::Err::Incomplete(_)) => unreachable!("no streaming grammar is used"),
    }
}

/// The same for the first value of a list: a comma and others may follow it.
#[inline]
pub(crate) fn first_of_list<'a, T>(
    line: &'a [u8],
    kind: ErrorKind,
    grammar: impl FnOnce(&'a [u8]) -> Parsed<'a, T>,
) -> Result<T, ParseError> {
    whole(line, kind, |line| {
        let (rest, parsed) = grammar(line)?;
        match trim_start(rest) {
            [b',', ..] => Ok((b"", parsed)),
            _ => Ok((rest, parsed)),
        }
    })
}
