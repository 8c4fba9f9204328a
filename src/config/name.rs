//! The words of the file that end up in SIP messages, each with what it may be made of.

use std::net::{IpAddr, Ipv6Addr};

use super::read::Text;
use super::report::{Findings, Problem};

/// Longest id, user and number. Many phones hold 64 octets of user name and no more.
pub(super) const NAME_OCTETS_MAX: usize = 64;
/// Longest text that a display shows.
const LABEL_OCTETS_MAX: usize = 128;
/// Longest domain (RFC 1035 §2.3.4).
const DOMAIN_OCTETS_MAX: usize = 253;
/// Longest dialled code; it is typed by hand.
const CODE_OCTETS_MAX: usize = 16;

/// An id or a SIP user: letters, digits and `-_.~+`. All of them stand unescaped in a URI's user part (RFC 3261
/// §25.1) and none means anything in a path, a log line or a dialled string.
pub(super) fn name(text: &Text<'_>, findings: &Findings) -> Option<Box<str>> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.~+".contains(c);
    if let Some((at, c)) = text.value.char_indices().find(|&(_, c)| !allowed(c)) {
        let problem = Problem::error(format!("{c:?} is not possible in a name"));
        findings.add(
            problem
                .at(&text.part(at..at + c.len_utf8()), "this")
                .help("a name is made of letters A-Z a-z, digits and - _ . ~ +"),
        );
        return None;
    }
    let length = text.value.len();
    if !(1..=NAME_OCTETS_MAX).contains(&length) {
        let problem = Problem::error(format!("a name has 1 to {NAME_OCTETS_MAX} characters, not {length}"));
        findings.add(problem.at(&text.span, "this"));
        return None;
    }
    Some(text.value.into())
}

/// What a display shows: any text on one line.
pub(super) fn label(text: &Text<'_>, findings: &Findings) -> Option<Box<str>> {
    if text.value.len() > LABEL_OCTETS_MAX || text.value.chars().any(char::is_control) {
        let problem =
            Problem::error(format!("a display name is one line of at most {LABEL_OCTETS_MAX} octets"));
        findings.add(problem.at(&text.span, "this"));
        return None;
    }
    Some(text.value.into())
}

/// A domain or address of a tenant, in lower case.
pub(super) fn domain(text: &Text<'_>, findings: &Findings) -> Option<Box<str>> {
    if let Some(host) = host(text.value) {
        return Some(host);
    }
    let problem = Problem::error(format!("\"{}\" is no domain", text.value)).at(&text.span, "this");
    findings.add(problem.help("a domain has no scheme, user or port, such as \"acme.example\""));
    None
}

/// A host as it stands in a URI (RFC 3261 §25.1), in lower case; IPv6 in brackets.
pub(super) fn host(text: &str) -> Option<Box<str>> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(host_of(address));
    }
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return Some(host_of(inner.parse::<Ipv6Addr>().ok()?.into()));
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // The last label begins with a letter, else it would be read as an address.
    let top = text.rsplit('.').next().is_some_and(|top| top.starts_with(|c: char| c.is_ascii_alphabetic()));
    (text.len() <= DOMAIN_OCTETS_MAX && top && text.split('.').all(label))
        .then(|| text.to_ascii_lowercase().into())
}

/// An address as a host of a URI.
pub(super) fn host_of(address: IpAddr) -> Box<str> {
    match address {
        IpAddr::V4(address) => address.to_string().into(),
        IpAddr::V6(address) => format!("[{address}]").into(),
    }
}

/// Takes `host[:port]` apart.
pub(super) fn host_and_port(text: &str) -> Option<(Box<str>, Option<u16>)> {
    if let Some(host) = host(text) {
        return Some((host, None));
    }
    let (host_text, port) = text.rsplit_once(':')?;
    if !port.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    let port = port.parse().ok().filter(|&port| port != 0)?;
    // An IPv6 address with a port stands in brackets; without them the port could be its last group.
    (!host_text.contains(':') || host_text.starts_with('[')).then_some((host(host_text)?, Some(port)))
}

/// Something that is dialled: digits, `*` and `#`.
pub(super) fn code(text: &Text<'_>, findings: &Findings) -> Option<Box<str>> {
    dialled(text, findings, "0123456789*#", "digits, * and #")
}

/// Something that is dialled: digits only.
pub(super) fn digits(text: &Text<'_>, findings: &Findings) -> Option<Box<str>> {
    dialled(text, findings, "0123456789", "digits")
}

fn dialled(text: &Text<'_>, findings: &Findings, allowed: &str, of: &str) -> Option<Box<str>> {
    let length = text.value.len();
    if (1..=CODE_OCTETS_MAX).contains(&length) && text.value.chars().all(|c| allowed.contains(c)) {
        return Some(text.value.into());
    }
    let problem = Problem::error(format!("\"{}\" cannot be dialled", text.value)).at(&text.span, "this");
    findings.add(problem.help(format!("1 to {CODE_OCTETS_MAX} {of}")));
    None
}

/// A number as E.164 writes it: `+`, then at most 15 digits that do not begin with 0.
pub(super) fn e164(text: &Text<'_>, findings: &Findings) -> Option<Box<str>> {
    let is_e164 = text.value.strip_prefix('+').is_some_and(|digits| {
        (2..=15).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|d| d.is_ascii_digit())
    });
    if is_e164 {
        return Some(text.value.into());
    }
    let problem = Problem::error(format!("\"{}\" is no E.164 number", text.value)).at(&text.span, "this");
    findings.add(problem.help("+, the country code and the number, digits only, such as \"+12125550100\""));
    None
}

/// A MAC address in any spelling that people paste: `00:11:22:33:44:55`, `00-11-…`, `0011.2233.4455`, `001122334455`.
pub(super) fn mac(text: &Text<'_>, findings: &Findings) -> Option<[u8; 6]> {
    let mut mac = [0_u8; 6];
    let mut nibbles = 0;
    for (at, c) in text.value.char_indices() {
        match c.to_digit(16) {
            Some(nibble) => {
                if let Some(octet) = mac.get_mut(nibbles / 2) {
                    *octet = *octet << 4 | nibble as u8;
                }
                nibbles += 1;
            }
            None if matches!(c, ':' | '-' | '.') && nibbles % 2 == 0 => {}
            None => {
                let problem = Problem::error(format!("{c:?} is not possible in a MAC address"));
                let digits = "a MAC address has 12 hexadecimal digits, with or without : - . between them";
                findings.add(problem.at(&text.part(at..at + c.len_utf8()), "this").help(digits));
                return None;
            }
        }
    }
    if nibbles != 12 {
        let problem = Problem::error(format!("a MAC address has 12 hexadecimal digits, not {nibbles}"));
        findings
            .add(problem.at(&text.span, "this").help("such as \"00:11:22:33:44:55\" or \"001122334455\""));
        return None;
    }
    Some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Text<'_> {
        Text { value, span: 0..value.len() + 2 }
    }

    #[test]
    fn mac_has_one_canonical_form() {
        for spelling in
            ["00:11:22:aa:bb:cc", "00-11-22-AA-BB-CC", "0011.22aa.BBCC", "001122aabbcc", "00.11.22.aa.bb.cc"]
        {
            let findings = Findings::default();

            assert_eq!(
                mac(&text(spelling), &findings),
                Some([0, 0x11, 0x22, 0xaa, 0xbb, 0xcc]),
                "{spelling}"
            );
        }
    }

    #[test]
    fn what_is_no_mac_is_refused() {
        for spelling in
            ["", "0004f23ld871", "00:11:22:33:44", "00:11:22:33:44:55:66", "0:01:12:23:34:45", "00 11 22"]
        {
            let findings = Findings::default();

            assert_eq!(mac(&text(spelling), &findings), None, "{spelling}");
            assert_eq!(findings.into_report("", "").errors(), 1, "{spelling}");
        }
    }

    #[test]
    fn hosts_are_taken_apart() {
        for (written, host, port) in [
            ("203.0.113.7:5060", "203.0.113.7", Some(5060)),
            ("Edge.Example", "edge.example", None),
            ("[2001:db8::1]:5061", "[2001:db8::1]", Some(5061)),
            ("2001:DB8::1", "[2001:db8::1]", None),
        ] {
            assert_eq!(host_and_port(written), Some((host.into(), port)), "{written}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for written in [
            "",
            ":5060",
            "a:",
            "a:0",
            "a:65536",
            "a:+1",
            "2001:db8::1:99999",
            "-a.example",
            "a..b",
            "a b",
            "300.1.1.1",
        ] {
            assert_eq!(host_and_port(written), None, "{written}");
        }
    }
}
