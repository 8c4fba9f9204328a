//! Via (RFC 3261 §20.42, RFC 3581).

use core::net::{IpAddr, SocketAddr};
use std::io::Write;

use crate::error::{ErrorKind, ParseError, Parsed, fault};
use crate::grammar::whole;
use crate::header::numbers::decimal;
use crate::host::{Host, host_port};
use crate::octets::{self, TOKEN, push_decimal};
use crate::params::{Params, params};
use nom::Parser;

/// One Via value.
#[derive(Debug, Clone, Copy)]
pub struct Via<'a> {
    /// `UDP`, `TCP`, `TLS`, `WS` …, as written.
    pub transport: &'a [u8],
    /// The host of sent-by.
    pub host: Host<'a>,
    /// The port of sent-by, if one is written.
    pub port: Option<u16>,
    /// The transaction id.
    pub branch: Option<&'a [u8]>,
    /// `Some(None)`: the sender asks for it; `Some(Some(port))`: it is filled in.
    pub rport: Option<Option<u16>>,
    /// All parameters.
    pub params: Params<'a>,
    /// The whole value.
    pub raw: &'a [u8],
    claims: Claims<'a>,
}

/// The parameters that say where a response should go: `received`, `rport`, `maddr`.
#[derive(Debug, Clone, Copy)]
enum Claims<'a> {
    None,
    /// `rport` without a value and no other, as phones write it.
    Asks(&'a [u8]),
    Several,
}

/// The cookie of a branch that RFC 3261 made (§8.1.1.7).
const COOKIE: &[u8] = b"z9hG4bK";

impl<'a> Via<'a> {
    /// Reads one Via value.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`], where the grammar fails.
    pub fn parse(value: &'a [u8]) -> Result<Self, ParseError> {
        whole(value, ErrorKind::Malformed(crate::Name::Via), Self::read)
    }

    #[inline]
    pub(crate) fn read(input: &'a [u8]) -> Parsed<'a, Self> {
        let input = octets::trim_start(input);
        let rest = match input.strip_prefix(b"SIP/2.0/") {
            Some(rest) => octets::trim_start(rest),
            None => sent_protocol(input)?.0,
        };
        let (rest, transport) = octets::run(TOKEN).parse(rest)?;
        let (sent_by, ()) = octets::lws(rest)?;
        if sent_by.len() == rest.len() {
            return fault(rest);
        }
        let (rest, (host, port)) = host_port(sent_by, true)?;
        let mut via = Via {
            transport,
            host,
            port,
            branch: None,
            rport: None,
            params: Params::default(),
            raw: b"",
            claims: Claims::None,
        };
        let (rest, params) = params(rest, |name, value| via.note(name, value))?;
        via.params = params;
        via.raw = &input[..input.len() - rest.len()];
        Ok((rest, via))
    }

    /// Keeps the parameters that have a field; of a repeated one the first counts.
    fn note(&mut self, name: &'a [u8], value: Option<&'a [u8]>) {
        let is = |wanted| octets::is_word(name, wanted);
        match name.len() {
            6 if is(b"branch") => self.branch = self.branch.or(value),
            5 if is(b"rport") => {
                self.claims = match (self.claims, value) {
                    (Claims::None, None) => Claims::Asks(name),
                    _ => Claims::Several,
                };
                self.rport = self.rport.or(Some(value.and_then(decimal)));
            }
            8 if is(b"received") => self.claims = Claims::Several,
            5 if is(b"maddr") => self.claims = Claims::Several,
            _ => {}
        }
    }

    /// Whether the branch was made by an element of RFC 3261 and tells a transaction (§17.2.3).
    #[must_use]
    pub fn has_cookie(&self) -> bool {
        self.branch.is_some_and(|branch| branch.len() > COOKIE.len() && branch.starts_with(COOKIE))
    }

    /// The address the request is said to have come from.
    #[must_use]
    pub fn received(&self) -> Option<&'a [u8]> {
        self.params.get("received")?
    }

    /// Where a response is said to belong. Never a reason to send something there.
    #[must_use]
    pub fn maddr(&self) -> Option<&'a [u8]> {
        self.params.get("maddr")?
    }

    /// The multicast scope.
    #[must_use]
    pub fn ttl(&self) -> Option<u8> {
        decimal(self.params.get("ttl")??)
    }

    /// The address in `received`, with or without brackets (RFC 5118 §4.5).
    #[must_use]
    pub fn received_ip(&self) -> Option<IpAddr> {
        Host::from_bytes(self.received()?)?.ip()
    }

    /// Appends this value as the hop that took the request from `source` has to write it: `received` is the
    /// source's address where it differs from sent-by or the sender asked for `rport`, and `rport` the
    /// source's port if asked for (RFC 3261 §18.2.1, RFC 3581 §4).
    ///
    /// Whatever the request claimed in `received`, `rport` or `maddr` is left out, so that a response can
    /// never be aimed at a third party.
    pub fn write_received(&self, source: SocketAddr, out: &mut Vec<u8>) {
        self.received_from(source).write(out);
    }

    pub(crate) fn received_from(&self, source: SocketAddr) -> Received<'a> {
        let sent_by = &self.raw[..self.raw.len() - self.params.raw().len()];
        let address = source.ip().to_canonical();
        let is_known = self.rport.is_none() && self.host.ip().map(|ip| ip.to_canonical()) == Some(address);
        Received {
            sent_by: octets::trim_end(sent_by),
            address: (!is_known).then_some(address),
            port: self.rport.is_some().then_some(source.port()),
            params: self.params,
            claims: self.claims,
        }
    }
}

/// A Via as the hop that took the request has to write it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Received<'a> {
    sent_by: &'a [u8],
    address: Option<IpAddr>,
    port: Option<u16>,
    /// As they came, claims included.
    params: Params<'a>,
    claims: Claims<'a>,
}

impl Received<'_> {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        octets::push_value(out, self.sent_by);
        if let Some(address) = self.address {
            out.extend_from_slice(b";received=");
            put_address(out, address);
        }
        if let Some(port) = self.port {
            out.extend_from_slice(b";rport=");
            push_decimal(out, u64::from(port));
        }
        // The rest is copied as it stands.
        let params = self.params.raw();
        let (before, after) = match self.claims {
            Claims::None => (params, &b""[..]),
            Claims::Asks(name) => {
                let at = octets::offset_in(params, name).expect("a parameter is a part of all");
                let semicolon = params[..at].iter().rposition(|&octet| octet == b';').unwrap_or(at);
                (&params[..semicolon], &params[at + name.len()..])
            }
            Claims::Several => return self.put_unclaimed(out),
        };
        octets::push_value(out, before);
        octets::push_value(out, after);
    }

    fn put_unclaimed(&self, out: &mut Vec<u8>) {
        for (name, value) in self.params.iter() {
            if is_claim(name) {
                continue;
            }
            out.push(b';');
            out.extend_from_slice(name);
            if let Some(value) = value {
                out.push(b'=');
                octets::push_value(out, value);
            }
        }
    }
}

/// `protocol-name SLASH protocol-version SLASH`, with white space or in letters that few would write.
fn sent_protocol(input: &[u8]) -> Parsed<'_, ()> {
    let slash = octets::separator(b'/');
    let (rest, protocol) = octets::run(TOKEN).parse(input)?;
    if !protocol.eq_ignore_ascii_case(b"SIP") {
        return fault(input);
    }
    let (rest, ()) = slash(rest)?;
    let (rest, _version) = octets::run(TOKEN).parse(rest)?;
    slash(rest)
}

/// Whether a parameter tells where a response should go.
fn is_claim(name: &[u8]) -> bool {
    match name.len() {
        8 => name.eq_ignore_ascii_case(b"received"),
        5 => name.eq_ignore_ascii_case(b"rport") || name.eq_ignore_ascii_case(b"maddr"),
        _ => false,
    }
}

/// Writes an address as `received` takes it: IPv6 without brackets (RFC 3261 §25.1 `via-received`).
fn put_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            // Four times three digits and a dot, the last of which is left out.
            let mut text = [b'.'; 16];
            let mut end = 0;
            for octet in address.octets() {
                let (hundreds, tens, ones) = (octet / 100, octet / 10 % 10, octet % 10);
                if octet >= 100 {
                    text[end] = b'0' + hundreds;
                    end += 1;
                }
                if octet >= 10 {
                    text[end] = b'0' + tens;
                    end += 1;
                }
                text[end] = b'0' + ones;
                end += 2;
            }
            out.extend_from_slice(&text[..end - 1]);
        }
        IpAddr::V6(address) => {
            // Eight groups of four digits and seven colons, or a dotted quad for the last two groups.
            let mut text = [0; 48];
            let mut cursor = std::io::Cursor::new(&mut text[..]);
            write!(cursor, "{address}").expect("an IPv6 address has at most 45 octets");
            let length = cursor.position() as usize;
            out.extend_from_slice(&text[..length]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_via_of_a_phone_is_read() {
        let via = Via::parse(b"SIP/2.0/UDP 192.168.1.20:5062;branch=z9hG4bK-x1;rport;Received=192.0.2.7")
            .expect("good");

        assert_eq!(via.transport, b"UDP");
        assert_eq!(via.host.raw(), b"192.168.1.20");
        assert_eq!(via.port, Some(5062));
        assert_eq!(via.branch, Some(&b"z9hG4bK-x1"[..]));
        assert!(via.has_cookie());
        assert_eq!(via.rport, Some(None));
        assert_eq!(via.received_ip(), "192.0.2.7".parse().ok());
    }

    #[test]
    fn white_space_may_stand_everywhere() {
        let via = Via::parse(
            b"SIP  / 2.0\r\n /TCP     spindle.example.com : 5060  ;\r\n  branch  =   z9hG4bK9ikj8",
        )
        .expect("good");

        assert_eq!(via.host.raw(), b"spindle.example.com");
        assert_eq!(via.port, Some(5060));
        assert_eq!(via.branch, Some(&b"z9hG4bK9ikj8"[..]));
    }

    #[test]
    fn a_via_that_is_none_is_refused() {
        for value in [
            "",
            "SIP/2.0/UDP",
            "SIP/2.0/UDP ",
            "SIP/2.0 host",
            "SIP/2.0/UDPhost;branch=x",
            "SIP/2.0/UDP 192.0.2.15;;,;,,",
            "SIP/2.0/UDP host:",
            "SIP/2.0/UDP host:70000",
            "SIP/2.0/UDP host;branch=",
            "SIP/2.0/UDP host extra",
            "HTTP/1.1/TCP host",
            "SIP/2.0/UDP a, SIP/2.0/UDP b",
        ] {
            assert!(Via::parse(value.as_bytes()).is_err(), "{value}");
        }
    }

    #[test]
    fn the_real_source_replaces_what_the_request_claims() {
        let written = |value: &str, source: &str| {
            let mut out = Vec::new();
            let via = Via::parse(value.as_bytes()).expect("good");
            via.write_received(source.parse().expect("an address"), &mut out);
            String::from_utf8(out).expect("text")
        };

        assert_eq!(
            written(
                "SIP/2.0/UDP 10.0.0.1:5060;rport=9;received=203.0.113.1;maddr=203.0.113.1;branch=z9hG4bK1;x",
                "192.0.2.1:4711"
            ),
            "SIP/2.0/UDP 10.0.0.1:5060;received=192.0.2.1;rport=4711;branch=z9hG4bK1;x"
        );
        assert_eq!(
            written("SIP/2.0/TCP 192.0.2.1 ;branch=a", "192.0.2.1:4711"),
            "SIP/2.0/TCP 192.0.2.1;branch=a"
        );
        assert_eq!(
            written("SIP/2.0/UDP pc.example.com;branch=a", "[2001:db8::1]:5060"),
            "SIP/2.0/UDP pc.example.com;received=2001:db8::1;branch=a"
        );
        assert_eq!(
            written("SIP/2.0/UDP 192.0.2.1;branch=a", "[::ffff:192.0.2.1]:5060"),
            "SIP/2.0/UDP 192.0.2.1;branch=a"
        );
    }
}
