//! Octets in hexadecimal, as digests, nonce counts and tags are written.

/// Writes `octets` in lower case to `digits`, which is twice as long. Octets come in fours.
pub(crate) fn write(octets: &[u8], digits: &mut [u8]) {
    debug_assert!(octets.len().is_multiple_of(4) && digits.len() == octets.len() * 2);
    let (fours, _) = octets.as_chunks();
    let (eights, _) = digits.as_chunks_mut();
    for (four, eight) in fours.iter().zip(eights) {
        *eight = eight_digits(*four);
    }
}

/// All eight at once, each in its octet of a word.
fn eight_digits(octets: [u8; 4]) -> [u8; 8] {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let mut digits = u64::from(u32::from_be_bytes(octets));
    for (shift, half) in [(16, 0x0000_ffff_0000_ffff), (8, 0x00ff_00ff_00ff_00ff), (4, EACH * 0x0f)] {
        digits = (digits | digits << shift) & half;
    }
    // Six more than a digit above nine reaches the fifth bit.
    let letters = (digits + EACH * 6) >> 4 & EACH;
    (digits + EACH * u64::from(b'0') + letters * u64::from(b'a' - b'0' - 10)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_are_written_as_two_digits_each() {
        let octets: Vec<u8> = (0..=255).collect();
        let mut digits = [0; 512];

        write(&octets, &mut digits);

        let expected: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!(digits, *expected.as_bytes());
    }
}
