//! CSeq and RAck (RFC 3261 §20.16, RFC 3262 §7.2).

use crate::error::{ErrorKind, ParseError, Parsed, fault};
use crate::grammar::whole;
use crate::header::name::Name;
use crate::header::numbers::leading_decimal;
use crate::method::Method;
use crate::octets::{self, TOKEN};
use nom::Parser;

/// A CSeq value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CSeq<'a> {
    /// The sequence number. Liberally all 32 bits; RFC 3261 §8.1.1.5 sends less than 2³¹.
    pub number: u32,
    /// The method of the request.
    pub method: Method<'a>,
}

impl<'a> CSeq<'a> {
    /// Reads a CSeq value.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`], if it is none or the number exceeds 32 bits.
    pub fn parse(value: &'a [u8]) -> Result<Self, ParseError> {
        whole(value, ErrorKind::Malformed(Name::CSeq), Self::read)
    }

    fn read(input: &'a [u8]) -> Parsed<'a, Self> {
        let input = octets::trim_start(input);
        let Some((number, rest)) = leading_decimal(input) else { return fault(input) };
        let Ok(number) = u32::try_from(number) else { return fault(input) };
        let method = octets::trim_start(rest);
        if method.len() == rest.len() {
            return fault(rest);
        }
        let (rest, method) = octets::run(TOKEN).parse(method)?;
        Ok((rest, CSeq { number, method: Method::from_bytes(method) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_method() {
        assert_eq!(CSeq::parse(b"0009\r\n  INVITE"), Ok(CSeq { number: 9, method: Method::Invite }));
        assert_eq!(CSeq::parse(b"4294967295 BYE").map(|cseq| cseq.number), Ok(u32::MAX));
        for bad in
            ["4294967296 BYE", "36893488147419103232 REGISTER", "BYE 1", "1", "1BYE", "-1 BYE", "1 BYE x", ""]
        {
            assert!(CSeq::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
