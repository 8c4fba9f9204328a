//! `[admission]`, and who may speak: `allow` and `deny` of listeners and tenants.

use std::net::IpAddr;
use std::time::Duration;

use dataplane::settings::{AdmissionPolicy, Networks, Rate};

use super::keys;
use super::read::Table;
use super::report::Problem;
use super::tenant;

/// Scanners that a file may name.
const SCANNERS_MAX: usize = 64;
/// Octets of a scanner's name; fewer than three would fit phones.
const SCANNER_OCTETS: std::ops::RangeInclusive<usize> = 3..=64;
/// A day: addresses change hands.
const BAN_MAX: Duration = Duration::from_secs(86_400);
/// Most messages a second: one in a thousand nanoseconds is more than a worker can read.
const RATE_MAX: u32 = 1_000_000;

/// The whole table; what is wrong becomes a finding and its default stands.
pub(super) fn read(top: &Table<'_>) -> AdmissionPolicy {
    let defaults = AdmissionPolicy::default();
    let Some(table) = top.table("admission", &keys::ADMISSION) else { return defaults };
    let rate = |name, default| table.number(name, 1..=RATE_MAX).map_or(default, Rate::per_second);
    let (source, address) = (rate("source_rate", defaults.source), rate("address_rate", defaults.address));
    if source.messages() > address.messages() {
        let problem = Problem::warning("an address may send less than a single port of it");
        table.add(
            problem
                .at(&table.place("address_rate"), "`address_rate`")
                .at(&table.place("source_rate"), "`source_rate`"),
        );
    }
    let number = |name, bounds, default| table.number(name, bounds).unwrap_or(default);
    AdmissionPolicy {
        source,
        address,
        per_phone: number("phone_rate", 0..=1_000, defaults.per_phone),
        connections: number("connections_per_address", 1..=65_536, defaults.connections),
        never_limited: tenant::networks(&table, "never_limited"),
        scanners: scanners(&table).unwrap_or(defaults.scanners),
        unknown_users_max: number("unknown_users_max", 5..=40, defaults.unknown_users_max),
        wrong_digests_max: number("wrong_digests_max", 5..=1_000, defaults.wrong_digests_max),
        ban: table.time("ban", Duration::ZERO..=BAN_MAX).unwrap_or(defaults.ban),
    }
}

fn scanners(table: &Table<'_>) -> Option<Vec<Box<str>>> {
    let names = table.texts("scanners", SCANNERS_MAX)?;
    for name in names.iter().filter(|name| !SCANNER_OCTETS.contains(&name.value.len())) {
        let problem = Problem::error(format!("\"{}\" is no beginning of a User-Agent", name.value));
        table.add(problem.at(&name.span, "this").help("3 to 64 characters, such as \"friendly-scanner\""));
    }
    Some(names.iter().map(|name| name.value.to_ascii_lowercase().into()).collect())
}

/// `allow` and `deny` of a listener or a tenant.
pub(super) fn networks(table: &Table<'_>) -> Networks {
    let networks =
        Networks { allow: tenant::networks(table, "allow"), deny: tenant::networks(table, "deny") };
    let shut_out = |address: IpAddr| !networks.admit(address);
    let all = networks.allow.iter().all(|network| shut_out(network.addr()) && shut_out(network.broadcast()));
    if !networks.allow.is_empty() && all {
        let problem = Problem::error("nobody may speak here: what is allowed is denied as well");
        table.add(
            problem.at(&table.place("allow"), "allowed here").at(&table.place("deny"), "and denied here"),
        );
    }
    networks
}
