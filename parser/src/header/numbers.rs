//! Headers and parameters that are numbers: Max-Forwards, Expires, Min-Expires, Retry-After …

use crate::octets;

/// The number of decimal digits that `text` begins with, and the octets behind them; `None` without a digit. 2³²
/// stands for all that exceeds 32 bits.
#[inline]
pub(crate) fn leading_decimal(text: &[u8]) -> Option<(u64, &[u8])> {
    let (mut number, mut rest) = (0, text);
    while let [octet, after @ ..] = rest {
        let value = octet.wrapping_sub(b'0');
        if value > 9 {
            break;
        }
        number = (number * 10 + u64::from(value)).min(1 << 32);
        rest = after;
    }
    (rest.len() < text.len()).then_some((number, rest))
}

/// Decimal digits, nothing else and at least one, as a number that `N` can hold, of no more than 32 bits.
#[inline]
pub(crate) fn decimal<N: TryFrom<u64>>(digits: &[u8]) -> Option<N> {
    match leading_decimal(digits)? {
        (number, []) => N::try_from(number).ok(),
        _ => None,
    }
}

/// `delta-seconds`. What exceeds 32 bits is clamped to the greatest number (RFC 3261 §20.19 bounds it
/// there); what is no number is none.
pub(crate) fn seconds(value: &[u8]) -> Option<u32> {
    match leading_decimal(value)? {
        (number, []) => Some(clamped(number)),
        _ => None,
    }
}

/// The number a value begins with, where a comment or parameters may follow (Retry-After, §20.33).
pub(crate) fn leading_seconds(value: &[u8]) -> Option<u32> {
    let (number, rest) = leading_decimal(value)?;
    match octets::trim_start(rest) {
        [] | [b'(' | b';', ..] => Some(clamped(number)),
        _ => None,
    }
}

fn clamped(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
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
