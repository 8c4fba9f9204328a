//! `[tenant.emergency]`: which numbers are emergency calls, and where they go.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use dataplane::settings::{Emergency, Peer};

use super::keys;
use super::name;
use super::read::{Table, Text};
use super::report::Problem;

/// Most emergency numbers of a tenant.
const NUMBERS_MAX: usize = 32;
/// Most prefixes for an outside line.
const PREFIXES_MAX: usize = 8;
/// Most addresses of one host that are tried in turn; more would outlast the caller's patience.
const ADDRESSES_MAX: usize = 8;
/// Longest hold after an emergency call.
const HOLD_MAX: Duration = Duration::from_secs(86_400);

/// Finds the addresses of a host, as [`addresses_of`] does; tests bring their own.
pub type Resolve<'a> = &'a dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>>;

/// Asks the system (hosts file, DNS: A and AAAA) and waits for it, some seconds if need be.
pub fn addresses_of(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok((host, port).to_socket_addrs()?.collect())
}

/// What was read.
pub(super) struct Read<'a> {
    pub(super) emergency: Emergency,
    pub(super) table: Option<Table<'a>>,
    /// The route whose host was not found.
    pub(super) unresolved: Option<Box<str>>,
}

pub(super) fn read<'a>(tenant: &Table<'a>, id: &str, resolve: Resolve<'_>) -> Read<'a> {
    let mut emergency = Emergency::default();
    let id = if id.is_empty() { "this tenant" } else { id };
    let table = tenant.table("emergency", &keys::EMERGENCY);
    let Some(table) = table else {
        if tenant.entry("emergency").is_none() {
            let problem =
                Problem::warning(format!("{id} has no emergency numbers: nobody there can call for help"));
            let help = "emergency = { numbers = [\"112\"], route = \"sip:…\" }";
            tenant.add(problem.at(&tenant.span, "in this tenant").help(help));
        }
        return Read { emergency, table: None, unresolved: None };
    };
    let digits = |texts: Vec<Text<'_>>| -> Vec<Box<str>> {
        texts.iter().filter_map(|text| name::digits(text, table.findings())).collect()
    };
    match table.texts("numbers", NUMBERS_MAX) {
        Some(texts) => {
            if texts.is_empty() {
                let fault = format!("{id} has no emergency numbers: nobody there can call for help");
                table.add(Problem::warning(fault).at(&table.place("numbers"), "none"));
            }
            emergency.numbers = digits(texts);
        }
        None if table.entry("numbers").is_none() => {
            table.missing("numbers", "add numbers = [\"112\", \"911\"]")
        }
        None => {}
    }
    if let Some(texts) = table.texts("prefixes", PREFIXES_MAX) {
        emergency.prefixes = digits(texts);
    }
    emergency.hold = table.time("hold", Duration::ZERO..=HOLD_MAX).unwrap_or(emergency.hold);

    let mut unresolved = None;
    match table.text("route") {
        // Without numbers there is nothing to route; that has been said.
        None if table.entry("route").is_none() && !emergency.numbers.is_empty() => {
            let numbers = emergency.numbers.join(", ");
            let problem =
                Problem::warning(format!("emergency calls of {id} go nowhere: {numbers} will get 500"));
            let help = "add route = \"sip:HOST\": the gateway that takes emergency calls";
            tenant.add(problem.at(&table.place("numbers"), "no `route` beside them").help(help));
        }
        None => {}
        Some(text) => match route(&text, &table) {
            None => {}
            Some((host, port)) => match addresses(&host, port, resolve) {
                Ok(addresses) => emergency.route = Some(Peer { uri: text.value.into(), addresses }),
                Err(error) => {
                    let fault = format!("{host} was not found: emergency calls of {id} go nowhere");
                    let problem = Problem::warning(fault).at(&text.span, error.to_string());
                    let help = "a reload looks again, and keeps addresses that were found before; \
                                an address in place of the name needs no look-up";
                    table.add(problem.help(help));
                    unresolved = Some(text.value.into());
                }
            },
        },
    }
    Read { emergency, table: Some(table), unresolved }
}

/// The host and port of a route: `sip:host[:port]`, reached over UDP.
fn route(text: &Text<'_>, table: &Table<'_>) -> Option<(Box<str>, u16)> {
    let fault = |fault: &str, help: &str| {
        table.add(Problem::error(fault).at(&text.span, "this").help(help));
        None
    };
    let scheme_and_rest =
        text.value.split_once(':').map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest));
    let rest = match scheme_and_rest {
        Some((scheme, rest)) if scheme == "sip" => rest,
        Some((scheme, _)) if scheme == "sips" => {
            return fault(
                "sips: is not available in this version",
                "the route is reached over UDP: sip:host[:port]",
            );
        }
        _ => {
            return fault("the route is no SIP URI", "sip:host[:port], such as \"sip:psap-gateway.example\"");
        }
    };
    if rest.contains(';') || rest.contains('?') {
        let help = "sip:host[:port] and no more: the route is reached over UDP, other transports are not available \
                    in this version";
        return fault("the route has parameters", help);
    }
    if rest.contains('@') {
        return fault(
            "the route names a user",
            "sip:host[:port]: the user will be the number that was dialled",
        );
    }
    match name::host_and_port(rest) {
        // No SRV look-up (RFC 3263): without a port it is SIP's own.
        Some((host, port)) => Some((host, port.unwrap_or(5060))),
        None => fault("the route has no valid host", "sip:host[:port], such as \"sip:psap-gateway.example\""),
    }
}

fn addresses(host: &str, port: u16, resolve: Resolve<'_>) -> io::Result<Vec<SocketAddr>> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in resolve(host, port)? {
        if addresses.len() < ADDRESSES_MAX && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() { Err(io::Error::from(io::ErrorKind::NotFound)) } else { Ok(addresses) }
}
