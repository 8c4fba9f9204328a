//! G.711 (ITU-T G.711): a sample of 16 bits in eight, as µ-law or A-law.

/// µ-law for silence.
pub const SILENCE_MU: u8 = encode_mu(0);
/// A-law for silence.
pub const SILENCE_A: u8 = encode_a(0);

/// What every octet of µ-law stands for.
pub static MU: [i16; 256] = table(false);
/// What every octet of A-law stands for.
pub static A: [i16; 256] = table(true);

/// Added to the magnitude, so that every segment begins at a power of two.
const BIAS: i32 = 0x84;

/// One sample as µ-law.
pub const fn encode_mu(sample: i16) -> u8 {
    const MAGNITUDE_MAX: i32 = 0x7FFF - BIAS;
    let sample = sample as i32;
    let magnitude = if sample < 0 { -sample } else { sample };
    let biased = if magnitude > MAGNITUDE_MAX { MAGNITUDE_MAX } else { magnitude } + BIAS;
    // The highest set bit is the seventh (segment 0) to the fourteenth (segment 7).
    let segment = 24 - biased.leading_zeros();
    let step = (biased >> (segment + 3)) & 0x0F;
    let sign = if sample < 0 { 0x80 } else { 0 };
    !(sign | ((segment as u8) << 4) | step as u8)
}

/// One sample as A-law.
pub const fn encode_a(sample: i16) -> u8 {
    // A negative sample is mirrored by complement, so that −1 shares the step of 0.
    let (sign, magnitude) = if sample < 0 { (0, !sample) } else { (0x80, sample) };
    // Eleven bits of it count: 32 steps in a line, then six segments of sixteen, each twice as coarse as the last.
    let magnitude = (magnitude as u32) >> 4;
    let (segment, step) = if magnitude < 16 {
        (0, magnitude)
    } else {
        let segment = 28 - magnitude.leading_zeros();
        (segment, (magnitude >> (segment - 1)) & 0x0F)
    };
    (sign | ((segment as u8) << 4) | step as u8) ^ 0x55
}

const fn decode_mu(octet: u8) -> i16 {
    let octet = !octet;
    let step = ((octet & 0x0F) as i32) << 3;
    let magnitude = ((step + BIAS) << ((octet >> 4) & 0x07)) - BIAS;
    (if octet & 0x80 == 0 { magnitude } else { -magnitude }) as i16
}

const fn decode_a(octet: u8) -> i16 {
    let octet = octet ^ 0x55;
    let segment = (octet >> 4) & 0x07;
    // The middle of the step.
    let step = (((octet & 0x0F) as i32) << 4) + 8;
    let magnitude = if segment == 0 { step } else { (step + 0x100) << (segment - 1) };
    (if octet & 0x80 == 0 { -magnitude } else { magnitude }) as i16
}

const fn table(a_law: bool) -> [i16; 256] {
    let mut table = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        table[octet] = if a_law { decode_a(octet as u8) } else { decode_mu(octet as u8) };
        octet += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_samples_have_their_octets() {
        for (sample, mu, a) in [
            (0, 0xFF, 0xD5),
            (8, 0xFE, 0xD5),
            (1_000, 0xCE, 0xFA),
            (-1_000, 0x4E, 0x7A),
            (i16::MAX, 0x80, 0xAA),
            (i16::MIN, 0x00, 0x2A),
            (-1, 0x7F, 0x55),
        ] {
            assert_eq!((encode_mu(sample), encode_a(sample)), (mu, a), "{sample}");
        }
        assert_eq!((MU[0x80], MU[0x00], MU[0xFF]), (32_124, -32_124, 0));
        assert_eq!((A[0xAA], A[0x2A], A[0xD5], A[0x55]), (32_256, -32_256, 8, -8));
    }

    #[test]
    fn every_octet_comes_back_from_its_sample() {
        for octet in 0..=u8::MAX {
            // µ-law has two zeros, and a sample of zero is the positive one.
            let mu = if octet == 0x7F { 0xFF } else { octet };
            assert_eq!(encode_mu(MU[usize::from(octet)]), mu);
            assert_eq!(encode_a(A[usize::from(octet)]), octet);
        }
    }

    #[test]
    fn no_sample_is_further_off_than_half_a_step() {
        for sample in i16::MIN..=i16::MAX {
            let loss = |table: &[i16; 256], octet: u8| {
                (i32::from(table[usize::from(octet)]) - i32::from(sample)).abs()
            };
            // A segment is 16 steps: half of one is less than 1/32 of the magnitude, and at most 8 near zero.
            let bound = 8 + i32::from(sample).abs() / 32;

            assert!(loss(&A, encode_a(sample)) <= bound, "{sample}");
            // Clipped above 32,635.
            assert!(loss(&MU, encode_mu(sample)) <= bound.max(644), "{sample}");
        }
    }
}
