//! SRTP (RFC 3711) with the transforms that SDES names `AES_CM_128_HMAC_SHA1_80` and `_32` (RFC 4568 §6.2).
//!
//! One direction is one [`Context`]. Key derivation rate zero, no MKI, tags of ten or four octets.

use aes::Aes128;
use ctr::cipher::{InnerIvInit as _, KeyInit as _, StreamCipher as _};
use ctr::{Ctr128BE, CtrCore};
use dataplane::media::SrtpKey;
use hmac::{Hmac, Mac as _};
use sha1::Sha1;
use zeroize::Zeroizing;

use super::rtp::Header;

/// Packets that may arrive after a later one (RFC 3711 §3.3.2 asks for 64 at least).
const WINDOW: u64 = 64;

/// Sources a key is used with: a phone takes a new one after a hold, or never. All are remembered for as long as the
/// key is used, for what was said under one of them must not be said again.
const SOURCES_MAX: usize = 8;

/// Labels of derived keys (§4.3.2).
const LABEL_CIPHER: u8 = 0;
const LABEL_TAG: u8 = 1;
const LABEL_SALT: u8 = 2;

/// Session keys of one direction, and how far each source has come.
pub(super) struct Context {
    cipher: Aes128,
    salt: Zeroizing<[u8; 14]>,
    tag: Hmac<Sha1>,
    tag_octets: usize,
    sources: Vec<Source>,
}

/// How far a source has come.
#[derive(Debug)]
struct Source {
    ssrc: u32,
    /// The highest index: 65,536 times the count of wraps, and the sequence number (§3.3.1).
    highest: u64,
    /// Which of the indices up to `highest` were seen; the lowest bit is `highest` itself.
    seen: u64,
}

impl Context {
    pub(super) fn new(key: &SrtpKey) -> Self {
        let (master, master_salt) = key.reveal();
        let cipher = Aes128::new_from_slice(master).expect("a master key has 16 octets");
        let mut salt = Zeroizing::new([0; 14]);
        let mut keys = Zeroizing::new([0; 36]);
        let (for_cipher, for_tag) = keys.split_at_mut(16);
        derive(&cipher, master_salt, LABEL_CIPHER, for_cipher);
        derive(&cipher, master_salt, LABEL_TAG, for_tag);
        derive(&cipher, master_salt, LABEL_SALT, &mut *salt);
        Self {
            cipher: Aes128::new_from_slice(for_cipher).expect("a session key has 16 octets"),
            salt,
            tag: Hmac::new_from_slice(for_tag).expect("HMAC takes keys of any length"),
            tag_octets: if key.short_tag() { 4 } else { 10 },
            sources: Vec::new(),
        }
    }

    /// Encrypts the payload of an RTP packet in place and appends its tag. Sequence numbers rise by one.
    pub(super) fn protect(&mut self, packet: &mut Vec<u8>) {
        let Some(header) = Header::parse(packet) else { return };
        let index = match self.sources.first_mut() {
            Some(source) if source.ssrc == header.ssrc => {
                source.highest += u64::from(header.sequence.wrapping_sub(source.highest as u16));
                source.highest
            }
            _ => {
                let highest = u64::from(header.sequence);
                self.sources = vec![Source { ssrc: header.ssrc, highest, seen: 1 }];
                highest
            }
        };
        self.apply(header.ssrc, index, packet.get_mut(header.octets..).unwrap_or_default());
        let tag = self.authenticate(packet, index).finalize().into_bytes();
        packet.extend_from_slice(tag.get(..self.tag_octets).unwrap_or_default());
    }

    /// Verifies and decrypts a packet in place; its length without the tag. `None`: forged, replayed or too old, and
    /// nothing has changed.
    pub(super) fn unprotect(&mut self, packet: &mut [u8]) -> Option<usize> {
        let length = packet.len().checked_sub(self.tag_octets)?;
        let (message, tag) = packet.split_at_mut(length);
        let header = Header::parse(message)?;
        let known = self.sources.iter().position(|source| source.ssrc == header.ssrc);
        let index = match known.and_then(|at| self.sources.get(at)) {
            Some(source) => source.index_of(header.sequence)?,
            None if self.sources.len() < SOURCES_MAX => u64::from(header.sequence),
            None => return None,
        };
        self.authenticate(message, index).verify_truncated_left(tag).ok()?;
        match known.and_then(|at| self.sources.get_mut(at)) {
            Some(source) => source.take(index),
            None => self.sources.push(Source { ssrc: header.ssrc, highest: index, seen: 1 }),
        }
        self.apply(header.ssrc, index, message.get_mut(header.octets..).unwrap_or_default());
        Some(length)
    }

    /// AES in counter mode (§4.1.1).
    fn apply(&self, ssrc: u32, index: u64, payload: &mut [u8]) {
        let mut iv = [0; 16];
        let [head @ .., _, _] = &mut iv;
        *head = *self.salt;
        // The index has 48 bits, and the last 16 of the vector count blocks.
        let mask = (u128::from(ssrc) << 64) | (u128::from(index & 0xFFFF_FFFF_FFFF) << 16);
        let iv = (u128::from_be_bytes(iv) ^ mask).to_be_bytes();
        keystream(&self.cipher, iv, payload);
    }

    /// §4.2: over the packet and the count of wraps.
    fn authenticate(&self, packet: &[u8], index: u64) -> Hmac<Sha1> {
        let mut tag = self.tag.clone();
        tag.update(packet);
        tag.update(&((index >> 16) as u32).to_be_bytes());
        tag
    }
}

impl Source {
    /// The index that this sequence number most likely stands for (§3.3.1, appendix A); `None` if it was seen, or
    /// left the window.
    fn index_of(&self, sequence: u16) -> Option<u64> {
        // The one nearest to the highest.
        let ahead = i64::from(sequence.wrapping_sub(self.highest as u16) as i16);
        let index = self.highest.checked_add_signed(ahead)?;
        let behind = self.highest.saturating_sub(index);
        let replayed = index <= self.highest && (behind >= WINDOW || self.seen & (1 << behind) != 0);
        (!replayed).then_some(index)
    }

    fn take(&mut self, index: u64) {
        match index.checked_sub(self.highest) {
            Some(ahead) => {
                self.seen = if ahead < WINDOW { self.seen << ahead | 1 } else { 1 };
                self.highest = index;
            }
            None => self.seen |= 1 << (self.highest - index),
        }
    }
}

/// §4.3.1 with a key derivation rate of zero; fills `key`.
fn derive(master: &Aes128, master_salt: &[u8], label: u8, key: &mut [u8]) {
    let mut iv = [0; 16];
    for (octet, salt) in iv.iter_mut().zip(master_salt) {
        *octet = *salt;
    }
    // The label stands above an index of 48 bits, in a field of 14 octets.
    iv[7] ^= label;
    key.fill(0);
    keystream(master, iv, key);
}

fn keystream(cipher: &Aes128, iv: [u8; 16], octets: &mut [u8]) {
    let core = CtrCore::inner_iv_init(cipher.clone(), &iv.into());
    Ctr128BE::<Aes128>::from_core(core).apply_keystream(octets);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets<const N: usize>(hex: &str) -> [u8; N] {
        std::array::from_fn(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap())
    }

    fn key(short_tag: bool) -> SrtpKey {
        SrtpKey::new(octets("E1F97A0D3E018BE0D64FA32C06DE41390EC675AD498AFEEBB6960B3AABE6"), short_tag)
    }

    fn packet(ssrc: u32, sequence: u16, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x80, 0];
        packet.extend_from_slice(&sequence.to_be_bytes());
        packet.extend_from_slice(&[0, 0, 0, 1]);
        packet.extend_from_slice(&ssrc.to_be_bytes());
        packet.extend_from_slice(payload);
        packet
    }

    #[test]
    fn counter_mode_matches_appendix_b_2() {
        let cipher = Aes128::new(&octets::<16>("2B7E151628AED2A6ABF7158809CF4F3C").into());
        let mut stream = [0; 48];

        keystream(&cipher, octets("F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000"), &mut stream);

        let expected = "E03EAD0935C95E80E166B16DD92B4EB4D23513162B02D0F72A43A2FE4A5F97AB41E95B3BB0A2E8DD477901E4FCA894C0";
        assert_eq!(stream, octets(expected));
    }

    #[test]
    fn derived_keys_match_appendix_b_3() {
        let key = key(false);
        let (master, salt) = key.reveal();
        let master = Aes128::new_from_slice(master).unwrap();
        let (mut for_cipher, mut for_salt, mut for_tag) = ([0; 16], [0; 14], [0; 94]);

        derive(&master, salt, LABEL_CIPHER, &mut for_cipher);
        derive(&master, salt, LABEL_SALT, &mut for_salt);
        derive(&master, salt, LABEL_TAG, &mut for_tag);

        assert_eq!(for_cipher, octets("C61E7A93744F39EE10734AFE3FF7A087"));
        assert_eq!(for_salt, octets("30CBBC08863D8C85D49DB34A9AE1"));
        let tag_key = "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCEE049646C43D9327AD175578EF72270986371C10C9A369AC2F94A8C5FBCDDDC256D6E919A48B610EF17C2041E474035766B68642C59BBFC2F34DB60DBDFB2";
        assert_eq!(for_tag, octets::<94>(tag_key));
    }

    #[test]
    fn a_packet_matches_what_other_implementations_make_of_it() {
        // The packet of libsrtp's own validation, with the keys of appendix B.3.
        let mut packet = vec![0x80, 0x0F, 0x12, 0x34, 0xDE, 0xCA, 0xFB, 0xAD, 0xCA, 0xFE, 0xBA, 0xBE];
        packet.extend([0xAB; 16]);

        Context::new(&key(false)).protect(&mut packet);

        let expected = "800F1234DECAFBADCAFEBABE4E55DC4CE79978D88CA4D215949D2402B78D6ACC99EA179B8DBB";
        assert_eq!(packet, octets::<38>(expected));
    }

    #[test]
    fn what_was_protected_is_restored_through_every_wrap() {
        for (short_tag, packets, wraps) in [(false, 70_000, 2), (true, 100, 1)] {
            let (mut from, mut to) = (Context::new(&key(short_tag)), Context::new(&key(short_tag)));
            let mut sequence = u16::MAX - 2;
            for _ in 0..packets {
                let mut sent = packet(7, sequence, &sequence.to_be_bytes());
                from.protect(&mut sent);
                assert_eq!(sent.len(), 14 + if short_tag { 4 } else { 10 });

                let length = to.unprotect(&mut sent).unwrap();

                assert_eq!(sent[..length], packet(7, sequence, &sequence.to_be_bytes()));
                sequence = sequence.wrapping_add(1);
            }
            assert_eq!(to.sources[0].highest >> 16, wraps);
        }
    }

    /// Ten packets from 65,530 on, so they wrap.
    fn protected() -> Vec<Vec<u8>> {
        let mut from = Context::new(&key(false));
        let protect = |n: u16| {
            let mut packet = packet(7, 65_530_u16.wrapping_add(n), b"sound");
            from.protect(&mut packet);
            packet
        };
        (0..100).map(protect).collect()
    }

    #[test]
    fn late_packets_are_taken_once() {
        let packets = protected();
        let mut to = Context::new(&key(false));
        let mut take = |n: usize| to.unprotect(&mut packets[n].clone()).is_some();

        assert!(take(0));
        assert!(take(9), "after the wrap");
        assert!(take(3), "before the wrap");
        for n in [0, 3, 9] {
            assert!(!take(n), "{n} again");
        }
        assert!(take(80));
        assert!(take(17), "the last of the window");
        assert!(!take(16), "beyond the window");
    }

    #[test]
    fn what_is_forged_changes_nothing() {
        let packets = protected();
        let mut to = Context::new(&key(false));
        for at in 0..packets[5].len() {
            let mut forged = packets[5].clone();
            forged[at] ^= 1;
            assert_eq!(to.unprotect(&mut forged), None, "{at}");
            assert!(to.sources.is_empty());
        }
        for length in 0..packets[5].len() {
            assert_eq!(to.unprotect(&mut packets[5][..length].to_vec()), None, "{length}");
        }

        assert!(to.unprotect(&mut packets[5].clone()).is_some());
    }

    #[test]
    fn a_source_that_was_left_cannot_be_replayed() {
        let sources = SOURCES_MAX as u32;
        let packets: Vec<Vec<u8>> = (0..=sources)
            .map(|ssrc| {
                let mut packet = packet(ssrc, 1, b"key");
                Context::new(&key(false)).protect(&mut packet);
                packet
            })
            .collect();
        let mut to = Context::new(&key(false));
        let mut take = |packet: &Vec<u8>| to.unprotect(&mut packet.clone()).is_some();

        assert_eq!(packets.iter().filter(|packet| take(packet)).count(), SOURCES_MAX);
        assert_eq!(packets.iter().filter(|packet| take(packet)).count(), 0);
    }
}
