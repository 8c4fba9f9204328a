//! `[[tenant]]`: its names, its policy and its sites. Accounts, emergency calls and clashes have their own files.

use std::collections::HashMap;
use std::time::Duration;

use dataplane::settings::{
    AttendantPolicy, Codes, CodesFrom, Ends, NativeIdentify, OnLimit, OnOccupied, RegistrarPolicy,
    SeatPolicy, Site, Tenant, TenantParts,
};
use ipnet::IpNet;

use super::account::{self, Seen};
use super::admission;
use super::attendant;
use super::clash;
use super::emergency::{self, Resolve};
use super::gaps;
use super::hoteling;
use super::keys::{self, nearest};
use super::name;
use super::pins::{self, PinFiles};
use super::reach;
use super::read::{Choice, Table, Text, choose};
use super::report::{Problem, Span};
use super::route;
use super::seats;
use super::secret::Secrets;
use super::server::Server;
use super::tls;
use super::trust;
use super::visitors;
use crate::backend::pin::desk::Plan;
use crate::transport::tls::Certificate;

/// Most tenants of one file.
const TENANTS_MAX: usize = 10_000;
/// Most domains of a tenant.
const DOMAINS_MAX: usize = 64;
/// Most sites of a tenant in the file.
const SITES_MAX: usize = 10_000;
/// Most networks of a site, or trusted by a tenant; all of them are compared with the source of an emergency call, or of
/// a REGISTER without credentials. What a listener or a tenant
/// allows or denies is compared with that of every message, or of every request that begins something.
const NETWORKS_MAX: usize = 64;
const DAY: Duration = Duration::from_secs(86_400);

/// A tenant as read, and what goes elsewhere.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) tenant: Tenant,
    /// Where its PINs are.
    pub(super) pins: Plan,
    /// What is shown to whoever asks for one of its names.
    pub(super) certificate: Option<Certificate>,
}

/// Reads every tenant.
pub(super) fn read(
    top: &Table<'_>,
    secrets: &Secrets<'_>,
    server: &Server,
    files: &PinFiles<'_>,
    resolve: Resolve<'_>,
) -> Vec<Read> {
    let tables = top.tables("tenant", &keys::TENANT, TENANTS_MAX);
    if tables.is_empty() && top.entry("tenant").is_none() {
        let problem = Problem::error("no [[tenant]]: there is nobody to serve");
        top.add(problem.help("add [[tenant]] with id = \"…\" and domains = [\"…\"]"));
    }
    let (mut ids, mut domains) = (Seen::default(), Seen::default());
    let (mut macs, mut names) = (Seen::default(), Seen::default());
    let mut tenants = Vec::with_capacity(tables.len());
    for table in &tables {
        let id = table.required("id", "add id = \"…\": a short name for logs and the control API");
        let id = id.and_then(|text| {
            let id = name::name(&text, table.findings())?;
            ids.once(&id, &text.span, table.findings(), || format!("two tenants are called {id}"));
            Some(id)
        });
        let own = tenant_domains(table, &mut domains);
        let parts = TenantParts { id: id.unwrap_or_default(), domains: own, ..TenantParts::default() };
        let certificate = tls::of_tenant(table, &mut names, secrets, server);
        let read = tenant(table, parts, secrets, server, files, resolve, &mut macs);
        tenants.push(Read { certificate, ..read });
    }
    trust::check(tables.iter().zip(tenants.iter().map(|read| &read.tenant)));
    clash::check_customers(tables.iter().zip(tenants.iter().map(|read| &read.tenant)), &server.keys);
    check_listeners(top, &ids);
    tenants
}

fn tenant(
    table: &Table<'_>,
    parts: TenantParts,
    secrets: &Secrets<'_>,
    server: &Server,
    files: &PinFiles<'_>,
    resolve: Resolve<'_>,
    macs: &mut Seen,
) -> Read {
    const REGISTRARS: [Choice<()>; 2] = [("embedded", Some(())), ("upstream", None)];

    table.choice("registrar", &REGISTRARS);
    let customer = table.text("customer").and_then(|text| name::name(&text, table.findings()));
    let codes = seats::codes(table, &keys::CODES).unwrap_or_default();
    let mut sites = sites(table, resolve);
    let lead_out = !sites.is_empty() && sites.iter().all(|(site, _)| !site.emergency_routes.is_empty());
    let emergency = emergency::read(table, &parts.id, secrets, resolve, lead_out);
    let mut accounts = account::Accounts::read(table, &parts, &sites, secrets, server, macs);
    route::check_numbers(table, &accounts.extensions);
    inherit_codes(&codes, &mut sites, &mut accounts);
    gaps::numbers_of_places(table, &sites, &accounts);
    clash::check(table, &codes, emergency.table.as_ref(), &sites, &accounts);
    emergency.check_told(|number| accounts.extensions.iter().any(|(known, _)| *known.number == *number));

    let seats_table = table.table("seats", &keys::SEATS);
    // Whoever says that tenants belong together lets their people visit one another.
    let visits = customer.is_some();
    let defaults = SeatPolicy { visitors: visits, may_visit: visits, ..SeatPolicy::default() };
    let mut seats = match &seats_table {
        Some(table) => policy(table, defaults),
        None => defaults,
    };
    seats.dial_pin = table.boolean("dial_pin").unwrap_or(seats.dial_pin);
    let attendant = table.table("attendant", &keys::ATTENDANT);
    let attendant = attendant.map_or_else(AttendantPolicy::default, |table| attendant::read(&table));
    let pins = pins::read(table, server, files, &accounts.extensions);
    gaps::of_accounts(table, &codes, &seats, &sites, &accounts, &pins);
    gaps::unknown_places(table, &emergency.emergency, &sites);
    gaps::uneven_pins(table, &server.keys, &accounts);
    if let (Some(table), Some(hoteling)) = (&seats_table, seats.hoteling) {
        hoteling::check(table, hoteling, &pins, server, &accounts.extensions);
    }
    let registrar = table
        .table("registration", &keys::REGISTRATION)
        .map_or_else(RegistrarPolicy::default, |table| registrar(&table));
    let (routes, places): (Vec<_>, Vec<_>) = route::routes(table, secrets, resolve).into_iter().unzip();
    let emergency_place = emergency.table.as_ref().map(|table| table.place("username"));
    let tenant = Tenant::new(TenantParts {
        customer: customer.unwrap_or_default(),
        codes,
        emergency: emergency.emergency,
        attendant,
        seats,
        base: reach::base(table),
        absent: reach::absent(table, &keys::ABSENT).unwrap_or_default(),
        routes,
        outside: route::outside(table),
        registrar,
        time_zone: seats::time_zone(table),
        trusted_networks: trust::networks(table),
        networks: admission::networks(table),
        sites: sites.into_iter().map(|(site, _)| site).collect(),
        devices: accounts.devices.into_iter().map(|(device, _)| device).collect(),
        extensions: accounts.extensions.into_iter().map(|(extension, _)| extension).collect(),
        ..parts
    });
    route::check_accounts(table, &tenant, &places, emergency_place.as_ref());
    gaps::redirects(table, &tenant);
    gaps::patterns(table, &tenant);
    gaps::languages(table, &server.media.prompts);
    Read { tenant, pins, certificate: None }
}

/// A code that a device does not have is its site's, and of a site the tenant's.
fn inherit_codes(codes: &Codes, sites: &mut [(Site, Span)], accounts: &mut account::Accounts) {
    for (site, _) in &mut *sites {
        site.codes = site.codes.as_ref().map(|own| own.or(codes));
    }
    for (device, _) in &mut accounts.devices {
        let site = device.site.and_then(|site| sites.get(site as usize));
        let base = site.and_then(|(site, _)| site.codes.as_ref()).unwrap_or(codes);
        device.codes = device.codes.as_ref().map(|own| own.or(base));
    }
}

fn tenant_domains(table: &Table<'_>, seen: &mut Seen) -> Vec<Box<str>> {
    const HELP: &str = "add domains = [\"acme.example\"]; the first one is the digest realm";

    let Some(texts) = table.texts("domains", DOMAINS_MAX) else {
        if table.entry("domains").is_none() {
            table.missing("domains", HELP);
        }
        return Vec::new();
    };
    if texts.is_empty() {
        table.add(
            Problem::error("a tenant has at least one domain").at(&table.place("domains"), "none").help(HELP),
        );
    }
    let mut domains = Vec::with_capacity(texts.len());
    for text in &texts {
        let Some(domain) = name::domain(text, table.findings()) else { continue };
        seen.once(&domain, &text.span, table.findings(), || format!("the domain {domain} is given twice"));
        domains.push(domain);
    }
    domains
}

/// A listener's tenant must exist.
fn check_listeners(top: &Table<'_>, ids: &Seen) {
    for text in top.quiet_texts_at(&["listen", "tenant"]) {
        if ids.contains(text.value) {
            continue;
        }
        let problem =
            Problem::error(format!("there is no tenant {}", text.value)).at(&text.span, "named here");
        let near = nearest(text.value, ids.names());
        top.add(match near {
            Some(near) => problem.help(format!("did you mean \"{near}\"?")),
            None => problem.help("it is the `id` of a [[tenant]] in this file"),
        });
    }
}

fn policy(table: &Table<'_>, defaults: SeatPolicy) -> SeatPolicy {
    const SWITCHES: [Choice<()>; 2] = [("rebind", Some(())), ("reprovision", None)];
    const IDENTIFY: [Choice<NativeIdentify>; 2] =
        [("flow", Some(NativeIdentify::Flow)), ("mac", Some(NativeIdentify::Mac))];
    const ON_LIMIT: [Choice<OnLimit>; 2] =
        [("displace", Some(OnLimit::Displace)), ("refuse", Some(OnLimit::Refuse))];
    const ON_OCCUPIED: [Choice<OnOccupied>; 3] = [
        ("take-over", Some(OnOccupied::TakeOver)),
        ("refuse", Some(OnOccupied::Refuse)),
        ("ask", Some(OnOccupied::Ask)),
    ];
    const CODES_FROM: [Choice<CodesFrom>; 2] =
        [("pool", Some(CodesFrom::Pool)), ("any", Some(CodesFrom::Any))];
    const GRACE_MAX: Duration = Duration::from_secs(600);
    const WARN_MAX: Duration = Duration::from_secs(3600);

    table.choice("switch", &SWITCHES);
    let ends = seats::ends(table);
    SeatPolicy {
        native: table.boolean("native").unwrap_or(defaults.native),
        native_identify: table.choice("native_identify", &IDENTIFY).unwrap_or(defaults.native_identify),
        native_silence: table.time("native_silence", Duration::ZERO..=DAY).unwrap_or(defaults.native_silence),
        native_logout_grace: table
            .time("native_logout_grace", Duration::ZERO..=GRACE_MAX)
            .unwrap_or(defaults.native_logout_grace),
        on_limit: table.choice("on_limit", &ON_LIMIT).unwrap_or(defaults.on_limit),
        on_occupied: table.choice("on_occupied", &ON_OCCUPIED).unwrap_or(defaults.on_occupied),
        logout_pin: table.boolean("logout_pin").unwrap_or(defaults.logout_pin),
        remember_last: table.boolean("remember_last").unwrap_or(defaults.remember_last),
        codes_from: table.choice("codes_from", &CODES_FROM).unwrap_or(defaults.codes_from),
        ends: Ends {
            idle: ends.idle.or(defaults.ends.idle),
            absolute: ends.absolute.or(defaults.ends.absolute),
            times: ends.times.or(defaults.ends.times.clone()),
        },
        warn_before: table.time("warn_before", Duration::ZERO..=WARN_MAX).unwrap_or(defaults.warn_before),
        home_phones: table.choice("home_phones", &seats::HOME_PHONES).unwrap_or(defaults.home_phones),
        hoteling: hoteling::read(table),
        visitors: table.boolean("visitors").unwrap_or(defaults.visitors),
        may_visit: table.boolean("may_visit").unwrap_or(defaults.may_visit),
        visitor_prefix: visitors::prefix(table),
        ..defaults
    }
}

fn registrar(table: &Table<'_>) -> RegistrarPolicy {
    #[derive(Clone, Copy, PartialEq)]
    enum Digest {
        Md5,
        Sha256,
    }
    const DIGESTS: [Choice<Digest>; 3] =
        [("MD5", Some(Digest::Md5)), ("SHA-256", Some(Digest::Sha256)), ("SHA-512-256", None)];

    let defaults = RegistrarPolicy::default();
    let seconds = |key, least, most, default| {
        let bounds = Duration::from_secs(least)..=Duration::from_secs(most);
        table.whole_seconds(key, bounds).unwrap_or(default)
    };
    // Above one hour 423 may not be answered (RFC 3261 §10.3 item 7).
    let expires_min = seconds("expires_min", 1, 3600, defaults.expires_min);
    let expires_default = seconds("expires_default", 1, 7 * 86_400, defaults.expires_default);
    let expires_max = seconds("expires_max", 1, 7 * 86_400, defaults.expires_max);
    if !(expires_min <= expires_default && expires_default <= expires_max) {
        let problem = Problem::error(format!(
            "expiries are not in order: at least {expires_min}s, by default {expires_default}s, at most {expires_max}s"
        ));
        let wrong = if expires_min > expires_default { "expires_min" } else { "expires_max" };
        table
            .add(problem.at(&table.place(wrong), "this").help("expires_min ≤ expires_default ≤ expires_max"));
    }
    let digests = table.texts("digest", DIGESTS.len()).map(|texts| {
        if texts.is_empty() {
            let problem = Problem::error("without a digest algorithm no phone can register");
            table.add(problem.at(&table.place("digest"), "empty").help("[\"MD5\"] for desk phones"));
        }
        texts.iter().filter_map(|text| choose(text, &DIGESTS, table.findings())).collect::<Vec<_>>()
    });
    let offers = |digest, default| digests.as_ref().map_or(default, |digests| digests.contains(&digest));
    RegistrarPolicy {
        expires_min,
        expires_default,
        expires_max,
        expires_spread: table.number("expires_spread", 0..=50).unwrap_or(defaults.expires_spread),
        digest_md5: offers(Digest::Md5, defaults.digest_md5),
        digest_sha256: offers(Digest::Sha256, defaults.digest_sha256),
        third_party_contacts: table.boolean("third_party_contacts").unwrap_or(defaults.third_party_contacts),
        gruu: table.boolean("gruu").unwrap_or(defaults.gruu),
    }
}

/// The sites with the place of their ids.
fn sites(tenant: &Table<'_>, resolve: Resolve<'_>) -> Vec<(Site, Span)> {
    let mut seen = Seen::default();
    let mut callers: HashMap<Box<str>, Span> = HashMap::new();
    let tables = tenant.tables("site", &keys::SITE, SITES_MAX);
    let mut sites = Vec::with_capacity(tables.len());
    for table in &tables {
        let findings = table.findings();
        let text = table.required("id", "add id = \"…\": devices name their site by it");
        let id = text.as_ref().and_then(|text| name::name(text, findings)).unwrap_or_default();
        let span = text.map_or_else(|| table.span.clone(), |text| text.span);
        seen.once(&id, &span, findings, || format!("two sites are called {id}"));
        let caller = table.text("emergency_caller").and_then(|text| {
            let caller = name::e164(&text, findings)?;
            if let Some(first) = callers.get(&caller) {
                let problem = Problem::warning(format!("two sites show the emergency caller {caller}"));
                let help = "a call-back cannot tell them apart, and may ring at both places";
                table.add(problem.at(first, "here").at(&text.span, "and here").help(help));
            } else {
                callers.insert(caller.clone(), text.span);
            }
            Some(caller)
        });
        let civic = table.table("civic", &keys::CIVIC);
        let own_route = table.text("emergency_route");
        let own_route = own_route.and_then(|text| emergency::route(&text, table, &id, resolve));
        let name = table.text("name").and_then(|text| name::label(&text, findings));
        let site = Site {
            name: name.unwrap_or_else(|| id.clone()),
            id,
            emergency_caller: caller,
            networks: networks(table, "networks"),
            language: attendant::language(table),
            emergency_routes: own_route.into_iter().collect(),
            civic: civic.map_or_else(Vec::new, |table| read_civic(&table)),
            may_hot_desk: table.boolean("may_hot_desk").unwrap_or(true),
            codes: seats::codes(table, &keys::SITE_CODES),
            ends: seats::ends(table),
            ends_forced: table.boolean("force").unwrap_or(false),
        };
        sites.push((site, span));
    }
    sites
}

/// The networks that `key` lists, without those that are none.
pub(super) fn networks(table: &Table<'_>, key: &str) -> Vec<IpNet> {
    let texts = table.texts(key, NETWORKS_MAX).unwrap_or_default();
    let network = |text: &Text<'_>| {
        let network: Option<IpNet> = text.value.parse().ok();
        match network {
            None => {
                let problem =
                    Problem::error(format!("\"{}\" is no network", text.value)).at(&text.span, "this");
                table.add(problem.help("such as \"10.2.0.0/16\" or \"2001:db8:2::/48\""));
            }
            Some(network) if network.addr() != network.network() => {
                let problem = Problem::error(format!("{network} has bits outside of its prefix"));
                table.add(
                    problem.at(&text.span, "this").help(format!("did you mean \"{}\"?", network.trunc())),
                );
            }
            Some(_) => {}
        }
        network
    };
    texts.iter().filter_map(network).collect()
}

/// A civic address (RFC 5139): its element names are those of the section, and stand in its order; a country has two capital
/// letters.
fn read_civic(civic: &Table<'_>) -> Vec<(Box<str>, Box<str>)> {
    let mut address = Vec::new();
    for (element, text) in civic.all_texts() {
        if let Some(label) = name::label(&text, civic.findings()) {
            address.push((Box::from(element), label));
        }
        if element == "country"
            && (text.value.len() != 2 || !text.value.bytes().all(|c| c.is_ascii_uppercase()))
        {
            let problem =
                Problem::error(format!("\"{}\" is no country code", text.value)).at(&text.span, "this");
            civic.add(problem.help("two capital letters of ISO 3166-1, such as \"US\""));
        }
    }
    if civic.entry("country").is_none() {
        civic.missing("country", "a civic address begins with its country (RFC 5139 §3.1)");
    }
    address.sort_by_key(|(element, _)| keys::CIVIC.keys.iter().position(|key| **key == **element));
    address
}
