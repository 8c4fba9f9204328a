//! Hosts in URIs and Via headers (RFC 3261 §25.1 `host`, RFC 5118).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::error::{Parsed, fault};
use crate::header::numbers::leading_decimal;
use crate::octets::{self, HOST};
use nom::Parser;

/// A host: an address, or a name to be resolved.
///
/// Two hosts are equal when they are the same address, or the same name in any case. An IPv4 address and
/// the IPv6 address that maps it are different hosts here; the socket decides what they mean.
#[derive(Debug, Clone, Copy)]
pub enum Host<'a> {
    /// A dotted quad.
    Ipv4 {
        /// The address.
        addr: Ipv4Addr,
        /// As it was written.
        raw: &'a [u8],
    },
    /// An IPv6 reference.
    Ipv6 {
        /// The address.
        addr: Ipv6Addr,
        /// As it was written, brackets included.
        raw: &'a [u8],
    },
    /// A host name. Empty in a URI that has no host (`tel:`, `urn:`).
    Name(&'a [u8]),
}

impl<'a> Host<'a> {
    /// The host as it was written, brackets included.
    #[must_use]
    pub const fn raw(&self) -> &'a [u8] {
        match *self {
            Self::Ipv4 { raw, .. } | Self::Ipv6 { raw, .. } | Self::Name(raw) => raw,
        }
    }

    /// The address, unless it is a name.
    #[must_use]
    pub const fn ip(&self) -> Option<IpAddr> {
        match *self {
            Self::Ipv4 { addr, .. } => Some(IpAddr::V4(addr)),
            Self::Ipv6 { addr, .. } => Some(IpAddr::V6(addr)),
            Self::Name(_) => None,
        }
    }

    /// Reads a host with nothing around it; an IPv6 address may lack its brackets, as in `received`
    /// parameters (RFC 5118 §4.5).
    #[must_use]
    pub fn from_bytes(raw: &'a [u8]) -> Option<Self> {
        if let Ok((rest, host)) = host(raw)
            && rest.is_empty()
        {
            return Some(host);
        }
        ipv6(raw).map(|addr| Self::Ipv6 { addr, raw })
    }
}

impl PartialEq for Host<'_> {
    fn eq(&self, other: &Host<'_>) -> bool {
        match (self, other) {
            (Self::Ipv4 { addr: a, .. }, Host::Ipv4 { addr: b, .. }) => a == b,
            (Self::Ipv6 { addr: a, .. }, Host::Ipv6 { addr: b, .. }) => a == b,
            (Self::Name(a), Host::Name(b)) => a.eq_ignore_ascii_case(b),
            _ => false,
        }
    }
}

impl Eq for Host<'_> {}

/// `hostname / IPv4address / IPv6reference`
#[inline]
pub(crate) fn host(input: &[u8]) -> Parsed<'_, Host<'_>> {
    match input.first() {
        Some(b'[') => return ipv6_reference(input),
        Some(b'0'..=b'9') => {
            if let Some((addr, length)) = ipv4(input) {
                let (raw, rest) = input.split_at(length);
                return Ok((rest, Host::Ipv4 { addr, raw }));
            }
        }
        _ => {}
    }
    octets::run(HOST).map(Host::Name).parse(input)
}

fn ipv6_reference(input: &[u8]) -> Parsed<'_, Host<'_>> {
    let inside = &input[1..];
    let Some(end) = memchr::memchr(b']', &inside[..inside.len().min(IPV6_LENGTH_MAX)]) else {
        return fault(input);
    };
    let Some(addr) = ipv6(&inside[..end]) else { return fault(input) };
    let (raw, rest) = input.split_at(end + 2);
    Ok((rest, Host::Ipv6 { addr, raw }))
}

/// `host [ ":" port ]`. White space around the colon is allowed where the caller's grammar allows it (Via).
#[inline]
pub(crate) fn host_port(input: &[u8], blanks: bool) -> Parsed<'_, (Host<'_>, Option<u16>)> {
    let (rest, host) = host(input)?;
    let colon = if blanks { octets::trim_start(rest) } else { rest };
    let Some(after) = colon.strip_prefix(b":") else { return Ok((rest, (host, None))) };
    let after = if blanks { octets::trim_start(after) } else { after };
    let Some((port, rest)) = leading_decimal(after) else { return fault(after) };
    match u16::try_from(port) {
        Ok(port) => Ok((rest, (host, Some(port)))),
        Err(_) => fault(after),
    }
}

/// The IPv4 address that `input` begins with, and its length: `1*3DIGIT` four times, and then the host ends.
/// Leading zeros are decimal, as the grammar says.
fn ipv4(input: &[u8]) -> Option<(Ipv4Addr, usize)> {
    let mut address = [0; 4];
    let mut rest = input;
    for (number, part) in address.iter_mut().enumerate() {
        if number > 0 {
            rest = rest.strip_prefix(b".")?;
        }
        (*part, rest) = ipv4_part(rest)?;
    }
    let ends = rest.first().is_none_or(|&octet| !octets::is(octet, HOST));
    ends.then(|| (Ipv4Addr::from(address), input.len() - rest.len()))
}

/// One to three digits that say no more than 255, and what follows them.
#[inline(always)]
fn ipv4_part(text: &[u8]) -> Option<(u8, &[u8])> {
    let digit = |at: usize| text.get(at).map(|octet| octet.wrapping_sub(b'0')).filter(|&value| value <= 9);
    let first = digit(0)?;
    let Some(second) = digit(1) else { return Some((first, &text[1..])) };
    let Some(third) = digit(2) else { return Some((first * 10 + second, &text[2..])) };
    let value = u16::from(first) * 100 + u16::from(second * 10 + third);
    u8::try_from(value).ok().map(|value| (value, &text[3..]))
}

/// Eight groups, or six and a dotted quad, with room for the colon too many of RFC 5118 §4.10.
const IPV6_LENGTH_MAX: usize = 48;

fn ipv6(raw: &[u8]) -> Option<Ipv6Addr> {
    if raw.len() > IPV6_LENGTH_MAX {
        return None;
    }
    let raw = match raw {
        [b'[', inner @ .., b']'] => inner,
        _ => raw,
    };
    if let Ok(addr) = core::str::from_utf8(raw).ok()?.parse() {
        return Some(addr);
    }
    // The grammar of RFC 3261 could produce three colons before an IPv4 part (RFC 5118 §4.10).
    let colons = memchr::memmem::find(raw, b":::")?;
    let mut text = [0; IPV6_LENGTH_MAX];
    let length = raw.len() - 1;
    text[..colons].copy_from_slice(&raw[..colons]);
    text[colons..length].copy_from_slice(&raw[colons + 1..]);
    core::str::from_utf8(&text[..length]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_told_apart() {
        assert!(matches!(Host::from_bytes(b"192.0.2.1"), Some(Host::Ipv4 { .. })));
        assert!(matches!(Host::from_bytes(b"[2001:db8::1]"), Some(Host::Ipv6 { .. })));
        assert!(matches!(Host::from_bytes(b"2001:db8::9:255"), Some(Host::Ipv6 { .. })));
        assert!(matches!(Host::from_bytes(b"pbx_1.example.com"), Some(Host::Name(_))));
        for name in ["192.0.2.256", "192.0.2", "192.0.2.1.5", "192.0..1", "1.2.3.", "1234.0.0.1", "1.2.3.4a"]
        {
            assert!(matches!(Host::from_bytes(name.as_bytes()), Some(Host::Name(_))), "{name}");
        }
        assert_eq!(Host::from_bytes(b"010.0.2.255").and_then(|host| host.ip()), "10.0.2.255".parse().ok());
        assert!(Host::from_bytes(b"[2001:db8::1").is_none());
        assert!(Host::from_bytes(b"a b").is_none());
        assert!(Host::from_bytes(b"").is_none());
    }

    #[test]
    fn three_colons_are_read_as_two() {
        let three = Host::from_bytes(b"[2001:db8:::192.0.2.1]");

        assert_eq!(three, Host::from_bytes(b"[2001:db8::192.0.2.1]"));
        assert!(three.is_some());
    }

    #[test]
    fn names_are_equal_in_any_case() {
        assert_eq!(Host::from_bytes(b"Example.COM"), Host::from_bytes(b"example.com"));
        assert_ne!(Host::from_bytes(b"192.0.2.1"), Host::from_bytes(b"example.com"));
    }

    #[test]
    fn a_port_fits_sixteen_bits() {
        let port = |text| host_port(text, false).map(|(rest, (_, port))| (rest, port));

        assert_eq!(port(b"a:5060;x"), Ok((&b";x"[..], Some(5060))));
        assert_eq!(port(b"[2001:db8::10]:5070"), Ok((&b""[..], Some(5070))));
        assert!(port(b"a:65536").is_err());
        assert!(port(b"a:").is_err());
        assert!(port(b"a:+1").is_err());
    }
}
