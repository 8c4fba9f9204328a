//! Contact (RFC 3261 §20.10, RFC 5626).

use crate::error::Parsed;
use crate::header::name_addr::{NameAddr, Reading};
use crate::header::numbers::seconds;
use crate::octets;

/// One value of a Contact header.
#[derive(Debug, Clone, Copy)]
pub enum ContactValue<'a> {
    /// `*`: all bindings; only with `Expires: 0` and alone (§10.2.2).
    Star,
    /// A contact.
    Contact(Contact<'a>),
}

/// A contact with the parameters a registrar and a proxy read.
#[derive(Debug, Clone, Copy)]
pub struct Contact<'a> {
    /// The address.
    pub addr: NameAddr<'a>,
    /// The preference in thousandths, 0 to 1,000. A malformed one is as none.
    pub q: Option<u16>,
    /// The expiry in seconds; what exceeds 32 bits is the greatest number of them, what is no number is none.
    pub expires: Option<u32>,
    /// `+sip.instance` without its quotes and angle brackets (RFC 5626 §4.1).
    pub instance: Option<&'a [u8]>,
    /// `reg-id` (RFC 5626 §4.2).
    pub reg_id: Option<u32>,
}

const INSTANCE: &[u8] = b"+sip.instance";

impl<'a> ContactValue<'a> {
    pub(crate) fn read(input: &'a [u8], reading: Reading) -> Parsed<'a, Self> {
        let input = octets::trim_start(input);
        if let Some(rest) = input.strip_prefix(b"*") {
            return Ok((rest, Self::Star));
        }
        let (mut q, mut expires, mut instance, mut reg_id) = (None, None, None, None);
        let (rest, addr) = NameAddr::read(input, reading, |name, value| {
            let is = |wanted| octets::is_word(name, wanted);
            let Some(value) = value else { return };
            match name.len() {
                1 if is(b"q") => q = q.or(thousandths(value)),
                7 if is(b"expires") => expires = expires.or(seconds(value)),
                6 if is(b"reg-id") => reg_id = reg_id.or(seconds(value)),
                13 if name == INSTANCE || name.eq_ignore_ascii_case(INSTANCE) => {
                    instance = instance.or(Some(without_brackets(value)))
                }
                _ => {}
            }
        })?;
        Ok((rest, Self::Contact(Contact { addr, q, expires, instance, reg_id })))
    }
}

fn without_brackets(value: &[u8]) -> &[u8] {
    match octets::unquote(value) {
        [b'<', inner @ .., b'>'] => inner,
        value => value,
    }
}

/// `qvalue`: 0 to 1 with up to three decimals.
fn thousandths(value: &[u8]) -> Option<u16> {
    let (whole, decimals) = match value {
        [whole, b'.', decimals @ ..] => (whole, decimals),
        [whole] => (whole, &b""[..]),
        _ => return None,
    };
    if decimals.len() > 3 || !decimals.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |at: usize| decimals.get(at).map_or(0, |digit| u16::from(digit - b'0'));
    let fraction = digit(0) * 100 + digit(1) * 10 + digit(2);
    match whole {
        b'0' => Some(fraction),
        b'1' if fraction == 0 => Some(1_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact(value: &str) -> Contact<'_> {
        match ContactValue::read(value.as_bytes(), Reading { list: true, strict: false }) {
            Ok((_, ContactValue::Contact(contact))) => contact,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_contact_of_a_phone_is_read() {
        let contact = contact(
            "<sip:desk-1@192.168.1.20:5062;transport=udp;line=x>;reg-id=1;q=0.7;+sip.instance=\"<urn:uuid:1>\";expires=3600",
        );

        assert_eq!(contact.addr.uri_raw, b"sip:desk-1@192.168.1.20:5062;transport=udp;line=x");
        assert_eq!(contact.q, Some(700));
        assert_eq!(contact.expires, Some(3600));
        assert_eq!(contact.instance, Some(&b"urn:uuid:1"[..]));
        assert_eq!(contact.reg_id, Some(1));
    }

    #[test]
    fn numbers_out_of_range_harm_nothing() {
        assert_eq!(contact("<sip:a@b>;expires=280297596632815").expires, Some(u32::MAX));
        assert_eq!(contact("<sip:a@b>;expires=-1").expires, None);
        assert_eq!(contact("<sip:a@b>;expires=soon").expires, None);
        assert_eq!(contact("<sip:a@b>;q=2").q, None);
        assert_eq!(contact("<sip:a@b>;q=1.000").q, Some(1_000));
        assert_eq!(contact("<sip:a@b>;q=0.33").q, Some(330));
        assert_eq!(contact("<sip:a@b>;q=0.3333").q, None);
    }

    #[test]
    fn a_star_is_no_address() {
        let read = ContactValue::read(b"*", Reading { list: true, strict: false });

        assert!(matches!(read, Ok((b"", ContactValue::Star))));
    }
}
