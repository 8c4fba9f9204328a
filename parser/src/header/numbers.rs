//! Headers and parameters that are numbers: Max-Forwards, Expires, Min-Expires, Retry-After …

use crate::octets::{self, DIGIT};

/// Decimal digits, nothing else and at least one, as a number that `N` can hold.
pub(crate) fn decimal<N: TryFrom<u32>>(digits: &[u8]) -> Option<N> {
    if digits.is_empty() {
        return None;
    }
    let mut number = 0_u64;
    for &digit in digits {
        let value = digit.wrapping_sub(b'0');
        number = number * 10 + u64::from(value);
        // A step from below 2³² stays below 2⁶⁴.
        if value > 9 || number > u64::from(u32::MAX) {
            return None;
        }
    }
    N::try_from(number as u32).ok()
}

/// `delta-seconds`. What exceeds 32 bits is clamped to the greatest number (RFC 3261 §20.19 bounds it
/// there); what is no number is none.
pub(crate) fn seconds(value: &[u8]) -> Option<u32> {
    if !octets::all(value, DIGIT) {
        return None;
    }
    Some(decimal(value).unwrap_or(u32::MAX))
}

/// The number a value begins with, where a comment or parameters may follow (Retry-After, §20.33).
pub(crate) fn leading_seconds(value: &[u8]) -> Option<u32> {
    let end = value.iter().position(|octet| !octet.is_ascii_digit()).unwrap_or(value.len());
    let (digits, rest) = value.split_at(end);
    match octets::trim_start(rest).first() {
        None | Some(b'(' | b';') => seconds(digits),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_clamped_never_negative() {
        assert_eq!(seconds(b"3600"), Some(3600));
        assert_eq!(seconds(b"4294967296"), Some(u32::MAX));
        assert_eq!(seconds(b"99999999999999999999999999"), Some(u32::MAX));
        assert_eq!(seconds(b"-1"), None);
        assert_eq!(seconds(b"+1"), None);
        assert_eq!(seconds(b""), None);
        assert_eq!(decimal::<u8>(b"0255"), Some(255));
        assert_eq!(decimal::<u8>(b"256"), None);
        assert_eq!(leading_seconds(b"18000;duration=3600"), Some(18_000));
        assert_eq!(leading_seconds(b"120 (I'm in a meeting)"), Some(120));
        assert_eq!(leading_seconds(b"120s"), None);
    }
}
