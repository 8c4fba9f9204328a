//! RTP headers (RFC 3550 §5.1): those that come are taken for hostile, those that leave are twelve octets.

use std::ops::Range;

/// Octets of a header without contributing sources and extension.
pub(super) const HEADER_OCTETS: usize = 12;

/// Samples of a frame: 20 ms of 8 kHz, what every phone takes (RFC 3551 §4.2).
pub(super) const FRAME_SAMPLES: usize = 160;

/// Version 2 in the first two bits.
const VERSION: u8 = 0x80;
const MARKER: u8 = 0x80;

/// What the header of a received packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) marker: bool,
    pub(super) payload_type: u8,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) ssrc: u32,
    /// Octets before the payload.
    pub(super) octets: usize,
    padded: bool,
}

impl Header {
    /// `None`: no RTP, or cut off.
    pub(super) fn parse(packet: &[u8]) -> Option<Self> {
        let fixed: &[u8; HEADER_OCTETS] = packet.first_chunk()?;
        let [first, second, s0, s1, t0, t1, t2, t3, ssrc @ ..] = *fixed;
        if first & 0xC0 != VERSION {
            return None;
        }
        let mut octets = HEADER_OCTETS + 4 * usize::from(first & 0x0F);
        if first & 0x10 != 0 {
            // The extension's length is in words, its own header not among them (§5.3.1).
            let &[.., l0, l1] = packet.get(octets..)?.first_chunk::<4>()?;
            octets += 4 + 4 * usize::from(u16::from_be_bytes([l0, l1]));
        }
        (octets <= packet.len()).then_some(Self {
            marker: second & MARKER != 0,
            payload_type: second & !MARKER,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes(ssrc),
            octets,
            padded: first & 0x20 != 0,
        })
    }

    /// Where the payload of this packet lies, its padding left off; `None` if the padding is longer than what there
    /// is. An encrypted packet must be decrypted first.
    pub(super) fn payload(&self, packet: &[u8]) -> Option<Range<usize>> {
        let padding = if self.padded { usize::from(*packet.last()?) } else { 0 };
        if self.padded && padding == 0 {
            return None;
        }
        let end = packet.len().checked_sub(padding)?;
        (self.octets <= end).then_some(self.octets..end)
    }
}

/// What leaves: numbers frames and dates them.
#[derive(Debug)]
pub(super) struct Numbering {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    /// The next packet follows on nothing: its receiver may set its clock anew (RFC 3551 §4.1).
    fresh: bool,
}

impl Numbering {
    /// `random` keeps the start unpredictable (RFC 3550 §5.1).
    pub(super) fn new(random: [u8; 10]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j] = random;
        Self {
            ssrc: u32::from_be_bytes([a, b, c, d]),
            timestamp: u32::from_be_bytes([e, f, g, h]),
            // In the lower half: a first packet lost just before a wrap would cost SRTP its count of wraps
            // (RFC 3711 §3.3.1).
            sequence: u16::from_be_bytes([i, j]) >> 1,
            fresh: true,
        }
    }

    /// Writes the header of the next frame.
    pub(super) fn write(&mut self, payload_type: u8, packet: &mut Vec<u8>) {
        let marker = if self.fresh { MARKER } else { 0 };
        packet.extend_from_slice(&[VERSION, marker | payload_type]);
        packet.extend_from_slice(&self.sequence.to_be_bytes());
        packet.extend_from_slice(&self.timestamp.to_be_bytes());
        packet.extend_from_slice(&self.ssrc.to_be_bytes());
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(FRAME_SAMPLES as u32);
        self.fresh = false;
    }

    /// Time passes for `frames` frames that are not sent.
    pub(super) fn skip(&mut self, frames: u32) {
        self.timestamp = self.timestamp.wrapping_add(frames.wrapping_mul(FRAME_SAMPLES as u32));
        self.fresh = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with one contributing source, an extension of one word, and padding.
    const FULL: [u8; 29] = [
        0xB1, 0x88, 0x12, 0x34, 0, 0, 1, 0, 0xAA, 0xBB, 0xCC, 0xDD, 9, 9, 9, 9, 0xBE, 0xDE, 0, 1, 1, 2, 3, 4,
        7, 8, 0, 0, 3,
    ];

    #[test]
    fn sources_extension_and_padding_are_no_payload() {
        let header = Header::parse(&FULL).unwrap();

        assert_eq!((header.marker, header.payload_type, header.sequence), (true, 8, 0x1234));
        assert_eq!((header.timestamp, header.ssrc), (256, 0xAABB_CCDD));
        assert_eq!(&FULL[header.payload(&FULL).unwrap()], [7, 8]);
    }

    #[test]
    fn what_is_cut_off_or_no_rtp_is_none() {
        for length in 0..24 {
            assert_eq!(Header::parse(&FULL[..length]), None, "{length}");
        }
        for first in [0x00, 0x40, 0xC0] {
            let mut packet = FULL;
            packet[0] = first;
            assert_eq!(Header::parse(&packet), None, "{first}");
        }
        for padding in [0, 6, 255] {
            let mut packet = FULL;
            packet[28] = padding;
            assert_eq!(Header::parse(&packet).unwrap().payload(&packet), None, "{padding}");
        }
    }

    fn written(numbering: &mut Numbering) -> Header {
        let mut packet = Vec::new();
        numbering.write(8, &mut packet);
        Header::parse(&packet).unwrap()
    }

    #[test]
    fn frames_are_numbered_through_every_wrap() {
        let mut numbering = Numbering { ssrc: 7, sequence: u16::MAX, timestamp: u32::MAX, fresh: true };

        let (first, second) = (written(&mut numbering), written(&mut numbering));

        assert_eq!((first.sequence, first.timestamp, first.ssrc), (u16::MAX, u32::MAX, 7));
        assert_eq!((second.sequence, second.timestamp, second.payload_type), (0, 159, 8));
    }

    #[test]
    fn what_follows_a_gap_is_marked_and_dated_by_the_clock() {
        let mut numbering = Numbering::new([0; 10]);
        let before = [written(&mut numbering), written(&mut numbering)];

        numbering.skip(3);
        let after = written(&mut numbering);

        assert_eq!(before.map(|header| header.marker), [true, false]);
        assert_eq!((after.marker, after.sequence, after.timestamp), (true, 2, 5 * 160));
    }
}
