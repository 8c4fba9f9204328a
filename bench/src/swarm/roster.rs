//! Who the phones are: accounts and addresses by number. The same number is the same phone in every run.

use std::net::{Ipv4Addr, SocketAddrV4};

use super::template::write_decimal;
use crate::in_memory::{DOMAIN, Role};

/// Accounts of one kind in one tenant: a configuration takes no more (docs/configuration.md).
pub(super) const ACCOUNTS_PER_TENANT_MAX: u32 = 100_000;

/// The phones of a run.
#[derive(Clone, Debug)]
pub(super) struct Roster {
    phones: u32,
    first: SocketAddrV4,
    addresses: u32,
    ports: u16,
    /// Of the tenants, in their order.
    domains: Vec<String>,
}

/// Where a phone sends from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// Its socket: there is one for each port.
    pub(super) socket: usize,
    /// Its address and port.
    pub(super) address: SocketAddrV4,
}

impl Roster {
    /// Phones number 0 to `phones` - 1, dealt over ports and addresses from `first` on. Where there are more phones
    /// than both allow, several share them, as behind a NAT.
    pub(super) fn new(phones: u32, first: SocketAddrV4, addresses: u32, ports: u16) -> Self {
        let domains = (0..phones.div_ceil(ACCOUNTS_PER_TENANT_MAX)).map(domain).collect();
        Self { phones, first, addresses, ports, domains }
    }

    /// How many phones there are.
    pub(super) fn phones(&self) -> u32 {
        self.phones
    }

    /// The ports, in the order of their sockets.
    pub(super) fn ports(&self) -> impl Iterator<Item = u16> {
        (0..self.ports).map(|port| self.first.port() + port)
    }

    /// Where a phone sends from.
    pub(super) fn source(&self, phone: u32) -> Source {
        let socket = (phone % u32::from(self.ports)) as u16;
        let address = (phone / u32::from(self.ports)) % self.addresses;
        let ip = Ipv4Addr::from_bits(self.first.ip().to_bits() + address);
        Source { socket: usize::from(socket), address: SocketAddrV4::new(ip, self.first.port() + socket) }
    }

    /// The domain of the account with this number, which is its realm, too.
    pub(super) fn domain(&self, number: u32) -> &str {
        &self.domains[(number / ACCOUNTS_PER_TENANT_MAX) as usize]
    }
}

/// The domain of a tenant.
pub(super) fn domain(tenant: u32) -> String {
    match tenant {
        0 => DOMAIN.into(),
        _ => format!("tenant-{tenant}.{DOMAIN}"),
    }
}

/// Writes the user of the phone's account as `role`: what [`Role::user`] returns, without a `String`.
pub(super) fn write_user(out: &mut Vec<u8>, role: Role, phone: u32) {
    match role {
        Role::Device => {
            out.extend_from_slice(b"desk-");
            let digits = phone.checked_ilog10().map_or(1, |log| log as usize + 1);
            out.extend_from_slice(&b"000000"[digits.min(7) - 1..]);
            write_decimal(out, phone);
        }
        Role::Extension(number) => write_decimal(out, 1_000_000 + number),
    }
}

/// The phone whose device account, or else whose extension, has this user: the other way of [`write_user`].
pub(super) fn read_user(user: &[u8]) -> Option<u32> {
    let (digits, first) = user.strip_prefix(b"desk-").map_or((user, 1_000_000), |digits| (digits, 0));
    str::from_utf8(digits).ok()?.parse::<u32>().ok()?.checked_sub(first)
}

/// Writes an address and port.
pub(super) fn write_source(out: &mut Vec<u8>, source: SocketAddrV4) {
    write_host(out, *source.ip());
    out.push(b':');
    write_decimal(out, source.port().into());
}

/// Writes an address.
pub(super) fn write_host(out: &mut Vec<u8>, host: Ipv4Addr) {
    for (place, octet) in host.octets().into_iter().enumerate() {
        if place > 0 {
            out.push(b'.');
        }
        write_decimal(out, octet.into());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn phones_have_addresses_of_their_own_as_long_as_there_are_enough() {
        let first = "127.16.0.0:20000".parse().unwrap();
        let roster = Roster::new(1_000, first, 250, 4);

        let sources: HashSet<_> = (0..1_000).map(|phone| roster.source(phone).address).collect();

        assert_eq!(sources.len(), 1_000);
        assert!(sources.contains(&"127.16.0.249:20003".parse().unwrap()));
        let crowded = Roster::new(1_000, first, 1, 1);
        assert_eq!(crowded.source(0), crowded.source(999));
    }

    #[test]
    fn users_are_written_as_in_configurations() {
        for phone in [0, 9, 10, 12_345, 999_999, 1_000_000, 9_999_999] {
            for role in [Role::Device, Role::Extension(phone)] {
                let mut out = Vec::new();
                write_user(&mut out, role, phone);
                assert_eq!(read_user(&out), Some(phone));
                assert_eq!(String::from_utf8(out).unwrap(), role.user(phone));
            }
        }
    }

    #[test]
    fn accounts_beyond_one_tenant_are_in_the_next() {
        let roster = Roster::new(100_001, "127.16.0.0:20000".parse().unwrap(), 100_001, 1);

        assert_eq!(roster.domain(99_999), DOMAIN);
        assert_eq!(roster.domain(100_000), "tenant-1.demo.hotdesk");
    }
}
