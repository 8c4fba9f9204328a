//! Keys in a description (RFC 4568): `a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:` and 40 digits of base64.

use std::fmt::Write as _;

use zeroize::Zeroizing;

use crate::media::SrtpKey;

/// Octets of master key and master salt of both suites (RFC 4568 §6.2).
const OCTETS: usize = 30;

/// What is spoken, of the suites of RFC 4568 §6.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Suite {
    Sha1_80,
    Sha1_32,
}

impl Suite {
    fn name(self) -> &'static str {
        match self {
            Self::Sha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::Sha1_32 => "AES_CM_128_HMAC_SHA1_32",
        }
    }

    fn is_short(self) -> bool {
        self == Self::Sha1_32
    }
}

/// One line that can be taken.
#[derive(Debug)]
pub(in super::super) struct Crypto {
    /// Repeated in the answer: it says which line was taken (§5.1.2).
    tag: u32,
    pub(in super::super) suite: Suite,
    pub(in super::super) key: SrtpKey,
}

impl Crypto {
    /// Reads what stands behind `crypto:`. `None`: another suite, a key that is none, more than one key, a master key
    /// identifier (§6.1), or a session parameter, all of which change the packets (§6.3).
    pub(super) fn read(value: &str) -> Option<Self> {
        let mut words = value.split(' ').filter(|word| !word.is_empty());
        let tag = words.next().filter(|tag| tag.len() <= 9)?.parse().ok()?;
        let suite = match words.next()? {
            name if name.eq_ignore_ascii_case(Suite::Sha1_80.name()) => Suite::Sha1_80,
            name if name.eq_ignore_ascii_case(Suite::Sha1_32.name()) => Suite::Sha1_32,
            _ => return None,
        };
        let inline = words.next()?.strip_prefix("inline:")?;
        if words.next().is_some() || inline.contains(';') {
            return None;
        }
        let mut parts = inline.split('|');
        let digits = parts.next()?;
        // What follows is how long the key lasts, and calls to us end before that; `1:4` would name a key.
        if parts.any(|part| part.contains(':')) {
            return None;
        }
        Some(Self { tag, suite, key: SrtpKey::new(*decode(digits)?, suite.is_short()) })
    }

    /// A key of our own for the same suite.
    pub(in super::super) fn answer_with(&self, octets: [u8; OCTETS]) -> SrtpKey {
        SrtpKey::new(octets, self.suite.is_short())
    }

    /// The line of an answer with our `key`.
    pub(super) fn write(&self, key: &SrtpKey, text: &mut String) {
        let _ = write!(text, "a=crypto:{} {} inline:", self.tag, self.suite.name());
        let (master, salt) = key.reveal();
        let octets = Zeroizing::new([master, salt].concat());
        for [a, b, c] in octets.as_chunks::<3>().0 {
            let group = u32::from_be_bytes([0, *a, *b, *c]);
            for shift in [18, 12, 6, 0] {
                text.push(char::from(DIGITS[(group >> shift & 63) as usize]));
            }
        }
        text.push_str("\r\n");
    }
}

/// base64 (RFC 4648 §4).
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Thirty octets in forty digits; both are whole groups, so there is no padding.
fn decode(digits: &str) -> Option<Zeroizing<[u8; OCTETS]>> {
    let (fours, rest) = digits.as_bytes().as_chunks::<4>();
    if fours.len() * 3 != OCTETS || !rest.is_empty() {
        return None;
    }
    let mut octets = Zeroizing::new([0; OCTETS]);
    for (four, three) in fours.iter().zip(octets.as_chunks_mut::<3>().0) {
        let mut group = 0;
        for digit in four {
            group = group << 6 | DIGITS.iter().position(|known| known == digit)? as u32;
        }
        three.copy_from_slice(&group.to_be_bytes()[1..]);
    }
    Some(octets)
}
