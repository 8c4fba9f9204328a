//! Keys of a phone as tones in its sound (ITU-T Q.23, Q.24), for phones that know no telephone events.
//!
//! Sound is cut into blocks of 102 samples, and eight Goertzel filters tell how much of each tone is in one. A key is
//! told when two blocks in a row have the same pair, so a tone of 40 ms is always found: it fills two blocks wherever
//! they are cut. It may come again when two blocks in a row were without it.

/// Samples of a block, 12.75 ms: the filters are 78 Hz apart then, about as far as the tones.
const BLOCK: usize = 102;

const ROWS: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
const COLUMNS: [f32; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
const KEYS: [[u8; 4]; 4] = [*b"123A", *b"456B", *b"789C", *b"*0#D"];

/// Weakest tone, as the square of its amplitude: some −35 dBm0, where Q.24 asks for −29 at least.
const POWER_MIN: f32 = 350.0 * 350.0;
/// A column may be 8 dB weaker than its row (the line damps high tones more), or 4 dB stronger (Q.24, North America).
const COLUMN_WEAKER_MAX: f32 = 6.3;
const COLUMN_STRONGER_MAX: f32 = 2.5;
/// The next tone of the same group is weaker by 8 dB.
const APART_MIN: f32 = 6.3;
/// How much of all that is heard must be the two tones. Speech has its power elsewhere too.
const SHARE_MIN: f32 = 0.8;

/// Listens for tones.
#[derive(Debug)]
pub(super) struct Tones {
    filters: [Filter; 8],
    energy: f32,
    filled: usize,
    /// The pair of the last block.
    last: Option<u8>,
    /// The key that is held down.
    held: Option<u8>,
}

/// The second-order section of a Goertzel filter.
#[derive(Clone, Copy, Debug)]
struct Filter {
    coefficient: f32,
    s1: f32,
    s2: f32,
}

impl Filter {
    fn new(frequency: f32) -> Self {
        Self { coefficient: 2.0 * (std::f32::consts::TAU * frequency / 8_000.0).cos(), s1: 0.0, s2: 0.0 }
    }

    fn hear(&mut self, sample: f32) {
        let s0 = sample + self.coefficient * self.s1 - self.s2;
        (self.s2, self.s1) = (self.s1, s0);
    }

    /// The square of the tone's amplitude, and begins anew.
    fn power(&mut self) -> f32 {
        let power = self.s1 * self.s1 + self.s2 * self.s2 - self.coefficient * self.s1 * self.s2;
        (self.s1, self.s2) = (0.0, 0.0);
        power * (4.0 / (BLOCK * BLOCK) as f32)
    }
}

impl Tones {
    pub(super) fn new() -> Self {
        let [a, b, c, d] = ROWS.map(Filter::new);
        let [e, f, g, h] = COLUMNS.map(Filter::new);
        Self { filters: [a, b, c, d, e, f, g, h], energy: 0.0, filled: 0, last: None, held: None }
    }

    /// Hears `samples`; calls `told` for each key when it is certain.
    pub(super) fn hear(&mut self, samples: impl Iterator<Item = i16>, mut told: impl FnMut(u8)) {
        for sample in samples.map(f32::from) {
            self.energy += sample * sample;
            for filter in &mut self.filters {
                filter.hear(sample);
            }
            self.filled += 1;
            if self.filled == BLOCK {
                let pair = self.pair();
                if pair == self.last && pair != self.held {
                    self.held = pair;
                    if let Some(key) = pair {
                        told(key);
                    }
                }
                self.last = pair;
                (self.filled, self.energy) = (0, 0.0);
            }
        }
    }

    /// The pair of tones that a whole block consists of.
    fn pair(&mut self) -> Option<u8> {
        let powers = self.filters.each_mut().map(Filter::power);
        let (rows, columns) = powers.split_at(4);
        let ((row, row_power), (column, column_power)) = (strongest(rows)?, strongest(columns)?);
        let level = row_power.min(column_power) >= POWER_MIN;
        let twist =
            row_power <= column_power * COLUMN_WEAKER_MAX && column_power <= row_power * COLUMN_STRONGER_MAX;
        // A sine has half the square of its amplitude as its mean square.
        let all = self.energy * (2.0 / BLOCK as f32);
        let share = row_power + column_power >= all * SHARE_MIN;
        (level && twist && share).then_some(*KEYS.get(row)?.get(column)?)
    }
}

/// Which of a group stands out, and its power.
fn strongest(group: &[f32]) -> Option<(usize, f32)> {
    let (at, power) = group.iter().copied().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    let stands_out =
        group.iter().enumerate().all(|(other, weaker)| other == at || weaker * APART_MIN <= power);
    stands_out.then_some((at, power))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::g711;

    /// A tone or two, or silence, of so many milliseconds.
    fn tone(millis: usize, parts: &[(f32, f32)]) -> Vec<i16> {
        let sample = |n: usize| {
            let wave = |(frequency, amplitude): &(f32, f32)| {
                amplitude * (std::f32::consts::TAU * frequency * n as f32 / 8_000.0).sin()
            };
            parts.iter().map(wave).sum::<f32>() as i16
        };
        (0..millis * 8).map(sample).collect()
    }

    fn key(millis: usize, row: usize, column: usize) -> Vec<i16> {
        tone(millis, &[(ROWS[row], 6_000.0), (COLUMNS[column], 6_000.0)])
    }

    /// What is heard of this sound as a phone sends it, wherever blocks are cut.
    fn heard(sound: &[i16]) -> String {
        let hear = |before: usize| {
            let mut keys = String::new();
            let silence = std::iter::repeat_n(0, before);
            let sound = sound.iter().map(|sample| g711::MU[usize::from(g711::encode_mu(*sample))]);
            Tones::new().hear(silence.chain(sound), |key| keys.push(char::from(key)));
            keys
        };
        let keys = hear(0);
        for before in [1, 25, 51, 77, 101] {
            assert_eq!(hear(before), keys, "{before}");
        }
        keys
    }

    #[test]
    fn every_key_of_forty_milliseconds_is_heard_twice_if_pressed_twice() {
        for (row, keys) in KEYS.iter().enumerate() {
            for (column, name) in keys.iter().enumerate() {
                let mut sound = key(40, row, column);
                sound.extend(tone(40, &[]));
                sound.extend(key(40, row, column));

                assert_eq!(heard(&sound), String::from_utf8(vec![*name; 2]).unwrap());
            }
        }
    }

    #[test]
    fn a_key_held_down_is_one_and_a_pause_of_a_few_milliseconds_is_none() {
        let mut sound = key(500, 1, 1);
        sound.extend(tone(5, &[]));
        sound.extend(key(500, 1, 1));

        assert_eq!(heard(&sound), "5");
    }

    #[test]
    fn a_tone_too_short_is_none() {
        for millis in [5, 10, 12] {
            let mut sound = key(millis, 2, 2);
            sound.extend(tone(60, &[]));

            assert_eq!(heard(&sound), "", "{millis} ms");
        }
    }

    #[test]
    fn twist_is_heard_as_far_as_q_24_asks() {
        let pair = |row: f32, column: f32| {
            // Decibels below an amplitude of 8,000.
            let amplitude = |down: f32| 8_000.0 * 10_f32.powf(-down / 20.0);
            let mut sound = tone(60, &[(ROWS[0], amplitude(row)), (COLUMNS[0], amplitude(column))]);
            sound.extend(tone(40, &[]));
            heard(&sound)
        };

        for (row, column) in [(0.0, 7.0), (3.0, 0.0), (20.0, 20.0), (0.0, 0.0)] {
            assert_eq!(pair(row, column), "1", "{row} {column}");
        }
        for (row, column) in [(0.0, 11.0), (7.0, 0.0), (35.0, 35.0)] {
            assert_eq!(pair(row, column), "", "{row} {column}");
        }
    }

    #[test]
    fn tones_a_little_off_are_heard_and_further_off_are_not() {
        let pair = |by: f32| {
            let mut sound = tone(60, &[(770.0 * by, 6_000.0), (1_336.0 * by, 6_000.0)]);
            sound.extend(tone(40, &[]));
            heard(&sound)
        };

        for by in [0.985, 1.0, 1.015] {
            assert_eq!(pair(by), "5", "{by}");
        }
        for by in [0.94, 1.06] {
            assert_eq!(pair(by), "", "{by}");
        }
    }

    #[test]
    fn one_tone_three_tones_and_noise_are_none() {
        let mut noise = 1_u32;
        let noise = (0..80_000).map(|_| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (noise >> 16) as i16
        });

        assert_eq!(heard(&tone(200, &[(697.0, 8_000.0)])), "");
        assert_eq!(heard(&tone(200, &[(697.0, 6_000.0), (852.0, 6_000.0), (1_336.0, 6_000.0)])), "");
        assert_eq!(heard(&tone(200, &[(440.0, 6_000.0), (350.0, 6_000.0)])), "");
        assert_eq!(heard(&noise.collect::<Vec<_>>()), "");
    }
}
