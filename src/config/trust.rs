//! `trusted_networks`: whose REGISTERs are believed, and that no network is trusted by two customers.

use dataplane::settings::Tenant;
use ipnet::IpNet;

use super::read::Table;
use super::report::Problem;
use super::tenant;

/// The networks whose REGISTERs are believed, with a warning of those that are nobody's own.
pub(super) fn networks(table: &Table<'_>) -> Vec<IpNet> {
    let networks = tenant::networks(table, "trusted_networks");
    if let Some(network) = networks.iter().find(|network| !is_private(network)) {
        let problem = Problem::warning(format!("{network} is no private network"));
        table.add(problem.at(&table.place("trusted_networks"), "trusted").help(
            "who can send from there, or write such an address into a datagram, registers as any phone",
        ));
    }
    networks
}

/// Whether all of `network` is private, unique local, shared (RFC 6598), link-local or loopback.
fn is_private(network: &IpNet) -> bool {
    const PRIVATE: [&str; 9] = [
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "169.254.0.0/16",
        "127.0.0.0/8",
        "fc00::/7",
        "fe80::/10",
        "::1/128",
    ];
    let within = |private: &str| private.parse::<IpNet>().is_ok_and(|private| private.contains(network));
    PRIVATE.into_iter().any(within)
}

/// Reports networks that tenants of two customers trust: the domain of To chooses the tenant, so that the phones of one
/// would be believed as extensions of the other.
pub(super) fn check<'a, 't: 'a>(tenants: impl Iterator<Item = (&'a Table<'t>, &'a Tenant)>) {
    let of_tenant = |(table, tenant): (&'a Table<'t>, &'a Tenant)| {
        tenant.trusted_networks.iter().map(move |network| (*network, &*tenant.customer, table))
    };
    let mut trusted: Vec<_> = tenants.flat_map(of_tenant).collect();
    // Of two prefixes one holds the other or they have nothing in common; the greater one stands first.
    trusted.sort_by_key(|(network, ..)| (network.network(), network.prefix_len()));
    let mut around: Vec<(IpNet, &str, &Table<'_>)> = Vec::new();
    for (network, customer, table) in trusted {
        while around.last().is_some_and(|(outer, ..)| !outer.contains(&network)) {
            around.pop();
        }
        // All around it are one customer's.
        match around.last() {
            Some((_, other, first)) if *other != customer => {
                let problem = Problem::error(format!("two customers trust {network}"));
                let help = "the phones of one could register as extensions of the other; tenants of one customer \
                            have the same `customer`";
                table.add(
                    problem
                        .at(&first.place("trusted_networks"), "trusted here")
                        .at(&table.place("trusted_networks"), "and here")
                        .help(help),
                );
            }
            _ => around.push((network, customer, table)),
        }
    }
}
