//! `[[tenant.route]]` and `[tenant.outside]`: where numbers go that are no extension's, and how much may be called.

use std::time::Duration;

use dataplane::settings::{Extension, OutsidePolicy, Peer, Route, Tenant};

use super::account::Seen;
use super::emergency::{self, Resolve};
use super::keys;
use super::name;
use super::peer;
use super::read::{Table, Text};
use super::report::{Problem, Span};
use super::secret::Secrets;

/// Most routes of a tenant; each is compared with every number that is no extension's.
const ROUTES_MAX: usize = 64;
/// Most peers of a route: with four addresses each as many places as a request may have branches.
const PEERS_MAX: usize = 4;
/// Most addresses of one peer.
const ADDRESSES_MAX: usize = 4;
/// Most prefixes that are barred.
const BARRED_MAX: usize = 256;
/// Most numbers of an extension.
const NUMBERS_MAX: usize = 16;
/// Longest prefix, and longest text that is put before a number.
const PREFIX_LENGTH_MAX: usize = 16;
/// Most calls that are counted for a tenant.
const CALLS_MAX: u32 = 100_000;

/// The routes of a tenant, each with its place.
pub(super) fn routes(tenant: &Table<'_>, secrets: &Secrets<'_>, resolve: Resolve<'_>) -> Vec<(Route, Span)> {
    let mut prefixes = Seen::default();
    let mut any = None::<Span>;
    let mut routes = Vec::new();
    for table in tenant.tables("route", &keys::ROUTE, ROUTES_MAX) {
        let route = route(&table, secrets, resolve);
        let span = table.place("prefix");
        let fault = || format!("two routes are for what begins with \"{}\"", route.prefix);
        match &any {
            Some(first) if route.prefix.is_empty() => {
                let problem = Problem::error("two routes are for all numbers").at(first, "here");
                table.add(problem.at(&span, "and here").help("list further peers in `peers` of the first"));
            }
            None if route.prefix.is_empty() => any = Some(span),
            _ => prefixes.once(&route.prefix, &span, table.findings(), fault),
        }
        routes.push((route, table.place("peers")));
    }
    routes
}

/// Reports accounts of which another is at the same address: what is sent within a call goes to an address, and nothing there
/// says by which route the call went. `places` are those of the routes, `emergency` that of the account for emergency calls.
pub(super) fn check_accounts(table: &Table<'_>, tenant: &Tenant, places: &[Span], emergency: Option<&Span>) {
    let of_routes = tenant.routes.iter().zip(places).filter_map(|(route, place)| {
        Some((route.account.as_ref()?, place, route.addresses().copied().collect::<Vec<_>>()))
    });
    let of_emergency = tenant.emergency.account.as_ref().zip(emergency);
    let of_emergency =
        of_emergency.map(|(account, place)| (account, place, tenant.emergency_services().copied().collect()));
    let holders: Vec<_> = of_routes.chain(of_emergency).collect();
    for (index, (account, place, addresses)) in holders.iter().enumerate() {
        let clash =
            holders[..index].iter().filter(|(other, ..)| other != account).find_map(|(_, first, known)| {
                let address = known.iter().find(|known| addresses.contains(known))?;
                Some((first, address))
            });
        let Some((first, address)) = clash else { continue };
        let problem =
            Problem::error(format!("the edge has two accounts at {address}")).at(first, "one leads there");
        let help =
            "give one of them another address: a call is hung up at an address, whichever route it went";
        table.add(problem.at(place, "and another").help(help));
    }
}

fn route(table: &Table<'_>, secrets: &Secrets<'_>, resolve: Resolve<'_>) -> Route {
    const PATIENCE: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(32);

    let prefix = table.text("prefix").and_then(|text| beginning(&text, table)).unwrap_or_default();
    let peers = table.texts("peers", PEERS_MAX);
    match &peers {
        None if table.entry("peers").is_none() => {
            table.missing("peers", "add peers = [\"sip:HOST\"]: the gateways that take the calls, in order");
        }
        Some(texts) if texts.is_empty() => {
            table.add(Problem::error("a route leads somewhere").at(&table.place("peers"), "nowhere"));
        }
        _ => {}
    }
    let peers = peers.unwrap_or_default();
    let strip = table.number("strip", 0..=PREFIX_LENGTH_MAX as u32).unwrap_or(0);
    Route {
        prefix,
        peers: peers.iter().filter_map(|text| peer(text, table, resolve)).collect(),
        account: peer::account(table, &keys::ROUTE_PASSWORD, secrets),
        strip: strip as u8,
        prepend: table.text("prepend").and_then(|text| beginning(&text, table)).unwrap_or_default(),
        caller: table.text("caller").and_then(|text| name::e164(&text, table.findings())),
        no_answer: table.time("no_answer", PATIENCE).unwrap_or(Duration::from_secs(4)),
    }
}

/// A peer, with the first addresses of its host.
fn peer(text: &Text<'_>, table: &Table<'_>, resolve: Resolve<'_>) -> Option<Peer> {
    let (host, port) = emergency::host_of_route(text, table)?;
    let consequence = "no call goes there and none comes from there";
    let mut peer = emergency::peer(text, table, (&host, port), consequence, resolve);
    peer.addresses.truncate(ADDRESSES_MAX);
    Some(peer)
}

/// How numbers begin: digits, perhaps after a `+`.
fn beginning(text: &Text<'_>, table: &Table<'_>) -> Option<Box<str>> {
    let digits = text.value.strip_prefix('+').unwrap_or(text.value);
    if text.value.len() <= PREFIX_LENGTH_MAX && digits.bytes().all(|octet| octet.is_ascii_digit()) {
        return Some(text.value.into());
    }
    let problem = Problem::error(format!("no number begins with \"{}\"", text.value)).at(&text.span, "this");
    table.add(problem.help(format!("at most {PREFIX_LENGTH_MAX} characters: digits, perhaps after a +")));
    None
}

/// How much may be called by the routes.
pub(super) fn outside(tenant: &Table<'_>) -> OutsidePolicy {
    let defaults = OutsidePolicy::default();
    let Some(table) = tenant.table("outside", &keys::OUTSIDE) else { return defaults };
    let barred = table.texts("barred", BARRED_MAX).unwrap_or_default();
    let barred = barred.iter().filter_map(|text| {
        if text.value.is_empty() {
            let problem = Problem::error("this bars every number").at(&text.span, "empty");
            table.add(problem.help("without a [[tenant.route]] nobody calls outside"));
        }
        beginning(text, &table)
    });
    let number = |key, default| table.number(key, 0..=CALLS_MAX).unwrap_or(default);
    OutsidePolicy {
        phone_calls_max: number("phone_calls_max", defaults.phone_calls_max),
        phone_calls_a_minute_max: number("phone_calls_a_minute_max", defaults.phone_calls_a_minute_max),
        calls_max: number("calls_max", defaults.calls_max),
        calls_a_minute_max: number("calls_a_minute_max", defaults.calls_a_minute_max),
        barred: barred.collect(),
    }
}

/// The numbers that an extension has outside.
pub(super) fn numbers(extension: &Table<'_>, seen: &mut Seen) -> Vec<Box<str>> {
    let texts = extension.texts("numbers", NUMBERS_MAX).unwrap_or_default();
    let number = |text: &Text<'_>| {
        let number = beginning(text, extension)?;
        let digits = number.trim_start_matches('+');
        if digits.is_empty() {
            extension.add(Problem::error("this is no number").at(&text.span, "empty"));
            return None;
        }
        // A peer may leave the plus away: with and without it, it is one number.
        seen.once(digits, &text.span, extension.findings(), || {
            format!("two extensions have the number {number}")
        });
        Some(number)
    };
    texts.iter().filter_map(number).collect()
}

/// Reports numbers outside that are extensions of their own: whoever dials one within the tenant calls that.
pub(super) fn check_numbers(tenant: &Table<'_>, extensions: &[(Extension, Span)]) {
    let owned: std::collections::HashMap<&str, &Span> =
        extensions.iter().map(|(extension, span)| (&*extension.number, span)).collect();
    for (extension, span) in extensions {
        let others = extension.numbers.iter().filter(|number| ***number != *extension.number);
        for number in others.filter(|number| owned.contains_key(&***number)) {
            let fault = format!("{number} is an extension, and a number of {}", extension.number);
            let problem = Problem::error(fault).at(owned[&**number], "extension");
            tenant.add(problem.at(span, "has it as one of its `numbers`"));
        }
    }
}
