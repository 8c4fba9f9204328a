//! Who may speak to the edge, and how much before it is known who it is.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::{Settings, Tenant};
use crate::flow::Flow;

/// Networks that may speak and networks that may not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks {
    /// Who may; empty: everybody.
    pub allow: Vec<IpNet>,
    /// Who may not, even where `allow` has it.
    pub deny: Vec<IpNet>,
}

impl Networks {
    /// Whether what comes from `address` is listened to.
    pub fn admit(&self, address: IpAddr) -> bool {
        if self.allow.is_empty() && self.deny.is_empty() {
            return true;
        }
        let address = address.to_canonical();
        let holds = |network: &IpNet| network.contains(&address);
        !self.deny.iter().any(holds) && (self.allow.is_empty() || self.allow.iter().any(holds))
    }
}

/// So many messages a second, as the time that each takes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Nanoseconds a message.
    pub nanos: u32,
}

impl Rate {
    /// `messages` a second, at least one.
    pub const fn per_second(messages: u32) -> Self {
        Self { nanos: 1_000_000_000 / if messages == 0 { 1 } else { messages } }
    }

    /// How many a second.
    pub fn messages(self) -> u32 {
        1_000_000_000 / self.nanos.max(1)
    }

    /// This and `more` messages a second.
    pub(crate) fn plus(self, more: u32) -> Self {
        Self::per_second(self.messages().saturating_add(more))
    }
}

/// `[admission]`: limits of what one source may cost before it has proved who it is, and what becomes of
/// scanners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdmissionPolicy {
    /// What one address and port may send; a burst has five seconds' worth.
    pub source: Rate,
    /// What all ports of an address may send together that have not proved whose they are; likewise.
    pub address: Rate,
    /// Messages a second by which both grow for each live binding behind the address.
    pub per_phone: u32,
    /// Connections of one address on one worker, beside one for each live binding behind it.
    pub connections: u32,
    /// Networks that are never limited, slowed or banned. Peers of routes and emergency services are not either.
    pub never_limited: Vec<IpNet>,
    /// How the User-Agent of a scanner begins, in small letters.
    pub scanners: Vec<Box<str>>,
    /// Users that do not exist, asked for by one source within ten minutes, that make it a sweeper of extensions.
    pub unknown_users_max: u32,
    /// Wrong digest answers of one source within ten minutes that make it a guesser.
    pub wrong_digests_max: u32,
    /// For how long a scanner, sweeper or guesser is not listened to; zero: it is slowed and never banned.
    pub ban: Duration,
}

impl Default for AdmissionPolicy {
    fn default() -> Self {
        Self {
            source: Rate::per_second(500),
            address: Rate::per_second(2_000),
            per_phone: 20,
            connections: 1_024,
            never_limited: Vec::new(),
            scanners: SCANNERS.iter().map(|&name| name.into()).collect(),
            unknown_users_max: 20,
            wrong_digests_max: 30,
            ban: Duration::from_secs(600),
        }
    }
}

impl AdmissionPolicy {
    /// True if the operator has said that nothing is too much of `address`.
    pub(crate) fn never_limits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.never_limited.iter().any(|network| network.contains(&address))
    }

    /// True if a User-Agent is that of a known scanner.
    pub(crate) fn is_scanner(&self, user_agent: &[u8]) -> bool {
        self.scanners.iter().any(|scanner| {
            let scanner = scanner.as_bytes();
            user_agent.get(..scanner.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scanner))
        })
    }
}

impl Settings {
    /// True if whoever sends over `flow` is never limited: the operator said so, or sends calls there.
    pub fn is_never_limited(&self, flow: &Flow) -> bool {
        self.admission.never_limits(flow.remote.ip())
            || self.tenants_of_peer(flow).next().is_some()
            || self.tenants_of_emergency_service(flow.remote.ip()).next().is_some()
    }
}

impl Tenant {
    /// True if `address` is where the tenant says its phones are: in a network of a site, or a trusted one.
    pub fn owns(&self, address: IpAddr) -> bool {
        self.trusts(address) || self.site_of_address(address).is_some()
    }
}

/// Tools that look for open or weak servers and say so; those that monitoring uses as well are not among them.
const SCANNERS: [&str; 9] = [
    "friendly-scanner",
    "friendly-request",
    "sipvicious",
    "sipcli",
    "sundayddr",
    "sipscan",
    "sip-scan",
    "pplsip",
    "iwar",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_denied_is_denied_even_where_it_is_allowed() {
        let nets = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let address = |text: &str| text.parse().unwrap();
        let networks = Networks { allow: nets(&["10.0.0.0/8"]), deny: nets(&["10.66.0.0/16"]) };

        assert!(networks.admit(address("10.1.2.3")) && networks.admit(address("::ffff:10.1.2.3")));
        assert!(!networks.admit(address("10.66.2.3")));
        assert!(!networks.admit(address("192.0.2.1")));
        assert!(Networks::default().admit(address("192.0.2.1")));
    }

    #[test]
    fn scanners_are_known_by_how_their_name_begins() {
        let policy = AdmissionPolicy::default();

        assert!(policy.is_scanner(b"friendly-scanner") && policy.is_scanner(b"SIPVicious/0.3"));
        assert!(!policy.is_scanner(b"Yealink SIP-T46U 108.86.0.70") && !policy.is_scanner(b""));
    }
}
