//! base64url without padding (RFC 4648 §5): octets within tokens of SIP. It is written into and read from every
//! message of a call.

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// What [`VALUES`] says of an octet that is no digit: a bit above those of four digits.
const NO_DIGIT: u32 = 1 << 24;

/// What a digit is worth at each of the four places of a group.
static VALUES: [[u32; 256]; 4] = [values(18), values(12), values(6), values(0)];

const fn values(shift: u32) -> [u32; 256] {
    let mut values = [NO_DIGIT; 256];
    let mut value = 0;
    while value < DIGITS.len() {
        values[DIGITS[value] as usize] = (value as u32) << shift;
        value += 1;
    }
    values
}

/// Digits that so many octets take.
pub(crate) const fn length(octets: usize) -> usize {
    (octets * 4).div_ceil(3)
}

/// Octets in so many digits; `None` if no number of octets takes as many.
pub(crate) const fn octets_in(digits: usize) -> Option<usize> {
    if digits % 4 == 1 { None } else { Some(digits / 4 * 3 + digits % 4 * 3 / 4) }
}

/// Writes `octets` to `text`, which has their [`length`].
pub(crate) fn encode(octets: &[u8], text: &mut [u8]) {
    debug_assert_eq!(text.len(), length(octets.len()));
    let (threes, rest) = octets.as_chunks::<3>();
    let (fours, last) = text.as_chunks_mut::<4>();
    for ([a, b, c], four) in threes.iter().zip(fours) {
        *four = group([*a, *b, *c]);
    }
    if !rest.is_empty() {
        let mut padded = [0; 3];
        padded[..rest.len()].copy_from_slice(rest);
        last.copy_from_slice(&group(padded)[..last.len()]);
    }
}

fn group([a, b, c]: [u8; 3]) -> [u8; 4] {
    let word = u32::from_be_bytes([0, a, b, c]);
    [18, 12, 6, 0].map(|shift| DIGITS[(word >> shift & 63) as usize])
}

/// Reads `text` into `octets`. False, and anything in `octets`, unless it is what [`encode`] writes for so many octets:
/// digits alone, and no bits left over.
pub(crate) fn decode(text: &[u8], octets: &mut [u8]) -> bool {
    if text.len() != length(octets.len()) {
        return false;
    }
    let (fours, last) = text.as_chunks::<4>();
    let (threes, rest) = octets.as_chunks_mut::<3>();
    let mut seen = 0;
    let mut word_of = |[a, b, c, d]: [u8; 4]| {
        let [first, second, third, fourth] = &VALUES;
        let word =
            first[usize::from(a)] | second[usize::from(b)] | third[usize::from(c)] | fourth[usize::from(d)];
        seen |= word;
        word
    };
    for (four, three) in fours.iter().zip(threes) {
        let [_, word @ ..] = word_of(*four).to_be_bytes();
        *three = word;
    }
    let mut left_over = 0;
    if !last.is_empty() {
        let mut padded = [DIGITS[0]; 4];
        padded[..last.len()].copy_from_slice(last);
        let [_, word @ ..] = word_of(padded).to_be_bytes();
        rest.copy_from_slice(&word[..rest.len()]);
        left_over = word[rest.len()];
    }
    seen & NO_DIGIT == 0 && left_over == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(octets: &[u8]) -> String {
        let mut text = vec![0; length(octets.len())];
        encode(octets, &mut text);
        String::from_utf8(text).unwrap()
    }

    fn decoded(text: &str) -> Option<Vec<u8>> {
        let mut octets = vec![0; octets_in(text.len())?];
        decode(text.as_bytes(), &mut octets).then_some(octets)
    }

    #[test]
    fn examples_of_rfc_4648_are_written_and_read() {
        let examples = [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg"),
            ("fooba", "Zm9vYmE"),
            ("foobar", "Zm9vYmFy"),
        ];
        for (octets, text) in examples {
            assert_eq!(encoded(octets.as_bytes()), text);
            assert_eq!(decoded(text).as_deref(), Some(octets.as_bytes()));
        }
        assert_eq!(encoded(&[0xfb, 0xff, 0xfe]), "-__-");
    }

    #[test]
    fn every_octet_comes_back_at_every_place() {
        for length in 0..7 {
            for octet in 0..=255 {
                for at in 0..length {
                    let mut octets = vec![0x5a; length];
                    octets[at] = octet;
                    assert_eq!(decoded(&encoded(&octets)), Some(octets));
                }
            }
        }
    }

    #[test]
    fn what_nobody_writes_is_not_read() {
        for text in ["A", "AAAAA", "AB", "AAB", "A+AA", "AA/A", "AA==", "A A", "AAA\u{e9}", "AAA\0"] {
            assert_eq!(decoded(text), None, "{text:?}");
        }
    }
}
