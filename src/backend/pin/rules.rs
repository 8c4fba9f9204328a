//! What a new PIN must be. Ten thousand PINs are few, and people choose a hundred of them: those are left out, so that
//! three tries before a lock stay worth little.

use std::ops::RangeInclusive;

/// Digits of a PIN: fewer are guessed in an afternoon, more are not remembered.
pub const PIN_DIGITS: RangeInclusive<usize> = 4..=16;

/// Why a PIN may not be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Weakness {
    /// Something in it is no digit.
    #[error("a PIN is digits and nothing else")]
    NotDigits,
    /// It is too short or too long.
    #[error("a PIN has so many digits")]
    Length,
    /// It is the number of its extension, or the number read backwards.
    #[error("a PIN is not the number of its extension")]
    IsExtension,
    /// One digit over and over.
    #[error("a PIN is not one digit over and over")]
    OneDigit,
    /// Digits in a row, up or down: 1234, 8765, 7890.
    #[error("a PIN is not a row of digits")]
    Row,
}

/// Checks a PIN that a person wishes for `extension`; it has at least `length_min` digits.
pub fn check(pin: &[u8], extension: &str, length_min: usize) -> Result<(), Weakness> {
    if !pin.iter().all(u8::is_ascii_digit) {
        return Err(Weakness::NotDigits);
    }
    if !(length_min.max(*PIN_DIGITS.start())..=*PIN_DIGITS.end()).contains(&pin.len()) {
        return Err(Weakness::Length);
    }
    if pin == extension.as_bytes() || pin.iter().rev().eq(extension.as_bytes()) {
        return Err(Weakness::IsExtension);
    }
    // Of each digit to the next, where 0 follows 9 as on a keypad.
    let steps = |step: u8| pin.windows(2).all(|pair| (pair[0] - b'0' + step) % 10 == pair[1] - b'0');
    match () {
        () if steps(0) => Err(Weakness::OneDigit),
        () if steps(1) || steps(9) => Err(Weakness::Row),
        () => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_everybody_tries_first_is_no_new_pin() {
        for (pin, weakness) in [
            ("1234", Weakness::Row),
            ("7890", Weakness::Row),
            ("4321", Weakness::Row),
            ("0000", Weakness::OneDigit),
            ("777777", Weakness::OneDigit),
            ("1001", Weakness::IsExtension),
            ("77a8", Weakness::NotDigits),
            ("", Weakness::Length),
            ("773", Weakness::Length),
            ("12345678901234567", Weakness::Length),
        ] {
            assert_eq!(check(pin.as_bytes(), "1001", 4), Err(weakness), "{pin}");
        }
        assert_eq!(check(b"5102", "2015", 4), Err(Weakness::IsExtension));
        assert_eq!(check(b"7738", "1001", 6), Err(Weakness::Length));
    }

    #[test]
    fn other_pins_are_good() {
        for pin in ["7738", "1235", "1122", "9902", "123457", "1234567890123456"] {
            let expected = if pin.len() == 16 { Err(Weakness::Row) } else { Ok(()) };
            assert_eq!(check(pin.as_bytes(), "1001", 4), expected, "{pin}");
        }
    }
}
