//! `[tenant.emergency]`: which numbers are emergency calls, and where they go.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use dataplane::settings::{Emergency, LocationForm, Peer, Told};

use super::keys;
use super::name;
use super::read::{Choice, Table, Text};
use super::report::Problem;
use super::secret::Secrets;

/// Most emergency numbers of a tenant.
const NUMBERS_MAX: usize = 32;
/// Most prefixes for an outside line.
const PREFIXES_MAX: usize = 8;
/// Most `routes`. With `route`, that of a site and the addresses of each they are not many more than a request may have
/// branches.
const ROUTES_MAX: usize = 4;
/// Most addresses of one host that are tried in turn; more would outlast the caller's patience.
const ADDRESSES_MAX: usize = 4;
/// Most people told of an emergency call.
const NOTIFIED_MAX: usize = 16;
/// Longest hold after an emergency call, and longest time of a call-back.
const HOLD_MAX: Duration = Duration::from_secs(86_400);
/// Within these an address of the route is given up: a retransmission at least, and no longer than Timer B.
const NO_ANSWER_MIN: Duration = Duration::from_secs(1);
const NO_ANSWER_MAX: Duration = Duration::from_secs(32);

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
    /// Extensions of the tenant that are told, to be looked up when its extensions are known.
    told: Vec<Text<'a>>,
}

/// Reads the table. `sites_lead_out`: there are sites, and each has a route of its own.
pub(super) fn read<'a>(
    tenant: &Table<'a>,
    id: &str,
    secrets: &Secrets<'_>,
    resolve: Resolve<'_>,
    sites_lead_out: bool,
) -> Read<'a> {
    const LOCATIONS: [Choice<LocationForm>; 2] =
        [("none", Some(LocationForm::None)), ("pidf-lo", Some(LocationForm::PidfLo))];

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
        return Read { emergency, table: None, told: Vec::new() };
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
    emergency.no_answer =
        table.time("no_answer", NO_ANSWER_MIN..=NO_ANSWER_MAX).unwrap_or(emergency.no_answer);
    emergency.hold = table.time("hold", Duration::ZERO..=HOLD_MAX).unwrap_or(emergency.hold);
    // Whoever is held where he called from is to be reached there.
    emergency.call_back = table.time("call_back", Duration::ZERO..=HOLD_MAX).unwrap_or(emergency.hold);
    emergency.location = table.choice("location", &LOCATIONS).unwrap_or(emergency.location);

    let first = table.text("route");
    let others = table.texts("routes", ROUTES_MAX).unwrap_or_default();
    let is_given = table.entry("route").is_some() || !others.is_empty();
    // Without numbers there is nothing to route; that has been said.
    if !is_given && !emergency.numbers.is_empty() && !sites_lead_out {
        let numbers = emergency.numbers.join(", ");
        let problem = Problem::warning(format!("emergency calls of {id} go nowhere: {numbers} will get 500"));
        let help = "add route = \"sip:HOST\": the gateway that takes emergency calls";
        table.add(problem.at(&table.place("numbers"), "no `route` beside them").help(help));
    }
    let routes = first.iter().chain(&others);
    emergency.account = super::peer::account(&table, &keys::EMERGENCY_PASSWORD, secrets);
    emergency.routes = routes.filter_map(|text| route(text, &table, id, resolve)).collect();

    let (mut told, mut notify) = (Vec::new(), Vec::new());
    for text in table.texts("notify", NOTIFIED_MAX).unwrap_or_default() {
        if text.value.contains(':') {
            notify.extend(notified(&text, &table, resolve).map(Told::Peer));
        } else {
            notify.push(Told::Extension(text.value.into()));
            told.push(text);
        }
    }
    emergency.notify = notify;
    Read { emergency, table: Some(table), told }
}

impl Read<'_> {
    /// Whoever is told by his number must have one.
    pub(super) fn check_told(&self, is_extension: impl Fn(&str) -> bool) {
        let Some(table) = &self.table else { return };
        for text in self.told.iter().filter(|text| !is_extension(text.value)) {
            let problem = Problem::error(format!("there is no extension {}", text.value));
            let help =
                "`notify` has extensions of this tenant and SIP URIs, such as \"sip:security@192.0.2.7\"";
            table.add(problem.at(&text.span, "named here").help(help));
        }
    }
}

/// A route with the addresses of its host, none if it was not found: until a reload finds it, the next one is taken.
pub(super) fn route(text: &Text<'_>, table: &Table<'_>, whose: &str, resolve: Resolve<'_>) -> Option<Peer> {
    let (host, port) = host_of_route(text, table)?;
    let consequence = format!("emergency calls of {whose} do not go there");
    Some(peer(text, table, (&host, port), &consequence, resolve))
}

/// Somebody who is told, by a URI with a user.
fn notified(text: &Text<'_>, table: &Table<'_>, resolve: Resolve<'_>) -> Option<Peer> {
    let parts = text.value.strip_prefix("sip:").and_then(|rest| rest.split_once('@'));
    let host = parts.and_then(|(user, host)| {
        let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,/".contains(&octet);
        (!user.is_empty() && user.bytes().all(plain)).then(|| name::host_and_port(host)).flatten()
    });
    let Some((host, port)) = host else {
        let problem = Problem::error(format!("\"{}\" cannot be told", text.value)).at(&text.span, "this");
        table.add(
            problem.help("an extension of this tenant, or sip:user@host[:port]; it is reached over UDP"),
        );
        return None;
    };
    Some(peer(text, table, (&host, port.unwrap_or(5060)), "nobody there hears of emergency calls", resolve))
}

/// A peer with the addresses of its host, none if it was not found, of which `consequence` is a warning.
pub(super) fn peer(
    text: &Text<'_>,
    table: &Table<'_>,
    (host, port): (&str, u16),
    consequence: &str,
    resolve: Resolve<'_>,
) -> Peer {
    let addresses = addresses(host, port, resolve).unwrap_or_else(|error| {
        let problem = Problem::warning(format!("{host} was not found: {consequence}"));
        let help = "a reload looks again, and keeps addresses that were found before; \
                    an address in place of the name needs no look-up";
        table.add(problem.at(&text.span, error.to_string()).help(help));
        Vec::new()
    });
    Peer { uri: text.value.into(), addresses }
}

/// The host and port of a route: `sip:host[:port]`, perhaps with `;transport=udp`. Without, a request too long for a datagram
/// may go there over TCP.
pub(super) fn host_of_route(text: &Text<'_>, table: &Table<'_>) -> Option<(Box<str>, u16)> {
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
                "the route is reached over UDP, and over TCP where a request is too long for a datagram: sip:host[:port]",
            );
        }
        _ => {
            return fault("the route is no SIP URI", "sip:host[:port], such as \"sip:psap-gateway.example\"");
        }
    };
    let (rest, params) = rest.split_once(';').unwrap_or((rest, "transport=udp"));
    if rest.contains('?') || !params.eq_ignore_ascii_case("transport=udp") {
        let help = "sip:host[:port], which is reached over UDP, and over TCP where a request is too long for a datagram; \
                    ;transport=udp keeps it to UDP, others are not available in this version";
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
