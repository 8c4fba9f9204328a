//! What stands for a request and its retransmissions.

use std::net::IpAddr;

use siphasher::sip::SipHasher13;

use crate::hex;

/// Octets of a tag made from a [`Print`].
pub(crate) const TAG_LENGTH: usize = 16;

/// A hash of what a retransmission has in common with the request it repeats: Call-ID, CSeq and topmost branch
/// (RFC 3261 §17.2.3). The same after a restart; whoever makes two of his own requests collide disturbs only himself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Print {
    /// Of the Call-ID alone.
    pub(crate) call_id: u64,
    /// Of all three.
    pub(crate) request: u64,
}

impl Print {
    /// Of a request that has passed admission.
    pub(crate) fn of(headers: &sip::Mandatory<'_>) -> Self {
        Self::new(headers.call_id, headers.cseq.number, headers.via.branch)
    }

    /// Of any request: what cannot be read in it counts as not there.
    pub(crate) fn of_message(request: &sip::Message<'_>) -> Self {
        let call_id = request.call_id().unwrap_or_default();
        let cseq = request.cseq().map_or(0, |cseq| cseq.number);
        Self::new(call_id, cseq, request.top_via().ok().and_then(|via| via.branch))
    }

    fn new(call_id: &[u8], cseq: u32, branch: Option<&[u8]>) -> Self {
        let call_id = chain(0, 0, call_id);
        Self { call_id, request: chain(call_id, cseq.into(), branch.unwrap_or_default()) }
    }

    /// Tells apart what is sent under one Call-ID, CSeq and branch: the same from the same address, asking for the
    /// same.
    pub(crate) fn with_content(self, request: &sip::Message<'_>, source: IpAddr) -> u32 {
        let value = |name| request.header(name).unwrap_or_default();
        let expires = chain(self.request, address(source), value(sip::Name::Expires));
        chain(expires, 0, value(sip::Name::Contact)) as u32
    }

    /// Tells apart what is sent under one Call-ID, CSeq and branch with other credentials.
    pub(crate) fn with_credentials(self, request: &sip::Message<'_>) -> u32 {
        let all = |name| request.headers(name);
        let both = all(sip::Name::Authorization).chain(all(sip::Name::ProxyAuthorization));
        both.fold(self.request, |hash, value| chain(hash, 0, value)) as u32
    }

    /// A To tag that every retransmission gets again (§8.2.7), and that nobody foresees without the key.
    pub(crate) fn tag(self, key: &[u8; 16]) -> [u8; TAG_LENGTH] {
        let hash = SipHasher13::new_with_key(key).hash(&self.request.to_le_bytes());
        let mut tag = [0; TAG_LENGTH];
        hex::write(&hash.to_be_bytes(), &mut tag);
        tag
    }
}

/// A hash of `text` and of two numbers before it. It withstands accidents and no attacker, and need not: whoever knows
/// another's request can send the very same octets, and has no use for others with the same hash.
///
/// Eight octets at a time are multiplied to 128 bits, of which both halves count: a fifth of what SipHash costs.
fn chain(before: u64, number: u64, text: &[u8]) -> u64 {
    /// Digits of π and of e: odd, and with ones and zeros well mixed.
    const FACTORS: [u64; 2] = [0x243f_6a88_85a3_08d3, 0xb7e1_5162_8aed_2a6b];
    let mix = |hash: u64, word: u64| {
        let product = u128::from(hash ^ word) * u128::from(FACTORS[1]);
        (product >> 64) as u64 ^ product as u64
    };
    let (words, rest) = text.as_chunks();
    let hash = mix(mix(before ^ FACTORS[0], number), text.len() as u64 ^ FACTORS[0]);
    let hash = words.iter().fold(hash, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    // What is left over stands in the last eight octets, together with some that have been mixed in.
    let last = text.last_chunk().copied().unwrap_or_else(|| {
        let mut padded = [0; 8];
        padded[..rest.len()].copy_from_slice(rest);
        padded
    });
    mix(hash, u64::from_le_bytes(last))
}

fn address(ip: IpAddr) -> u64 {
    match ip {
        IpAddr::V4(ip) => ip.to_bits().into(),
        IpAddr::V6(ip) => (ip.to_bits() >> 64) as u64 ^ ip.to_bits() as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn print_of(call_id: &str, cseq: u32, branch: &str) -> Print {
        Print::new(call_id.as_bytes(), cseq, Some(branch.as_bytes()))
    }

    #[test]
    fn a_request_is_told_from_others_by_each_of_its_three() {
        let print = print_of("a", 1, "z9hG4bK1");

        assert_eq!(print, print_of("a", 1, "z9hG4bK1"));
        for other in
            [print_of("b", 1, "z9hG4bK1"), print_of("a", 2, "z9hG4bK1"), print_of("a", 1, "z9hG4bK2")]
        {
            assert_ne!(print.request, other.request);
            assert_ne!(print.tag(&[7; 16]), other.tag(&[7; 16]));
        }
        assert_ne!(print.tag(&[7; 16]), print.tag(&[8; 16]));
    }

    #[test]
    fn contents_and_sources_are_told_apart() {
        let content = |lines: &str, source| {
            let text = format!("REGISTER sip:a SIP/2.0\r\n{lines}\r\n");
            let request = sip::Message::parse(text.as_bytes(), &sip::Limits::default()).unwrap();
            print_of("a", 1, "z9hG4bK1").with_content(&request, source)
        };
        let lines = "Contact: <sip:a@b>\r\nExpires: 60\r\n";

        assert_eq!(content(lines, PHONE), content(lines, PHONE));
        assert_ne!(content(lines, PHONE), content("Contact: <sip:a@c>\r\nExpires: 60\r\n", PHONE));
        assert_ne!(content(lines, PHONE), content("Contact: <sip:a@b>\r\nExpires: 0\r\n", PHONE));
        assert_ne!(content(lines, PHONE), content(lines, "2001:db8::1".parse().unwrap()));
    }
}
