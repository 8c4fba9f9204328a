//! MAC addresses, as phones and their makers write them.

/// Twelve hexadecimal digits, plain or with one and the same `:` or `-` between the pairs, and nothing else.
pub fn read(word: &[u8]) -> Option<[u8; 6]> {
    let mut digits = [0_u8; 12];
    match word.len() {
        12 => digits.copy_from_slice(word),
        17 => {
            let separator = word[2];
            if !matches!(separator, b':' | b'-') {
                return None;
            }
            for (pair, out) in word.chunks(3).zip(digits.chunks_exact_mut(2)) {
                out.copy_from_slice(&pair[..2]);
                if pair.get(2).is_some_and(|byte| *byte != separator) {
                    return None;
                }
            }
        }
        _ => return None,
    }
    let mut mac = [0; 6];
    for (pair, out) in digits.chunks_exact(2).zip(&mut mac) {
        let digit = |byte: u8| char::from(byte).to_digit(16);
        *out = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
    }
    Some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_write_a_mac_is_read_and_nothing_else() {
        let mac = Some([0x00, 0x15, 0x65, 0xf4, 0x29, 0xa4]);

        for word in ["001565f429a4", "00:15:65:F4:29:A4", "00-15-65-f4-29-a4"] {
            assert_eq!(read(word.as_bytes()), mac, "{word}");
        }
        for word in
            ["", "001565f429a", "00:15-65:f4:29:a4", "00:15:65:f4:29:a", "0015:65f4:29a4", "001565f429ag"]
        {
            assert_eq!(read(word.as_bytes()), None, "{word}");
        }
    }
}
