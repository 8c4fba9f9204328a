//! `[[tenant.device]]` and `[[tenant.extension]]`: who has a SIP account.

use std::collections::HashMap;

use dataplane::location::CONTACTS_PER_AOR_MAX;
use dataplane::settings::{Device, Extension, Reload, SipSecret, Site, StoredPin, TenantParts};

use super::attendant;
use super::keys::{self, Section, nearest};
use super::name;
use super::reach;
use super::read::{Choice, Table, Text};
use super::report::{Findings, Problem, Span};
use super::route;
use super::seats;
use super::secret::Secrets;
use super::server::Server;
use crate::backend::pin::hash::PinHashError;
use crate::backend::pin::stored::{self, Form, StoredPinError};

/// Most devices, and most extensions, of one tenant in the file; a site with more keeps them in the store.
const ACCOUNTS_MAX: usize = 100_000;
/// Most sites, and devices, that an extension is kept to.
const LISTED_MAX: usize = 1_000;
/// Most other names of an extension.
const ALIASES_MAX: usize = 16;
/// Contacts of one extension: those of devices that registered it, and of its ordinary phones.
const CONTACTS_MAX: u32 = CONTACTS_PER_AOR_MAX as u32;

/// What has been named so far, and where.
#[derive(Debug, Default)]
pub(super) struct Seen(HashMap<Box<str>, Span>);

impl Seen {
    /// Notes `name`, or reports that it stands a second time.
    pub(super) fn once(
        &mut self,
        name: &str,
        span: &Span,
        findings: &Findings,
        fault: impl FnOnce() -> String,
    ) {
        if let Some(first) = self.0.get(name) {
            findings.add(Problem::error(fault()).at(first, "here").at(span, "and here"));
        } else if !name.is_empty() {
            self.0.insert(name.into(), span.clone());
        }
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|name| &**name)
    }
}

/// A tenant's accounts, each with the place of its name.
#[derive(Debug)]
pub(super) struct Accounts {
    pub(super) devices: Vec<(Device, Span)>,
    pub(super) extensions: Vec<(Extension, Span)>,
}

impl Accounts {
    pub(super) fn read(
        tenant: &Table<'_>,
        parts: &TenantParts,
        sites: &[(Site, Span)],
        secrets: &Secrets<'_>,
        server: &Server,
        macs: &mut Seen,
    ) -> Self {
        let mut names = Seen::default();
        let realm = parts.domains.first().map_or("", |domain| domain);
        let places: HashMap<&str, u32> =
            sites.iter().zip(0..).map(|((site, _), index)| (&*site.id, index)).collect();
        let devices = tenant.tables("device", &keys::DEVICE, ACCOUNTS_MAX);
        let devices = devices.iter().map(|table| {
            let (device, span) = device(table, realm, &places, secrets, macs);
            names.once(&device.id, &span, table.findings(), || {
                format!("two devices are called {}", device.id)
            });
            (device, span)
        });
        let devices: Vec<_> = devices.collect();
        let ids: HashMap<&str, Box<str>> =
            devices.iter().map(|(device, _)| (&*device.id, device.id.clone())).collect();
        let (mut numbers, mut outside) = (Seen::default(), Seen::default());
        let extensions = tenant.tables("extension", &keys::EXTENSION, ACCOUNTS_MAX);
        let extensions = extensions.iter().map(|table| {
            let (extension, span) = extension(table, realm, (&places, &ids), secrets, server, &mut outside);
            let number = &extension.number;
            numbers.once(number, &span, table.findings(), || format!("two extensions are numbered {number}"));
            names.once(number, &span, table.findings(), || format!("{number} is a device and an extension"));
            (extension, span)
        });
        let extensions = extensions.collect();
        drop(ids);
        for (device, span) in &devices {
            let base = device.base_extension.as_deref();
            if let Some(base) = base.filter(|base| !numbers.contains(base)) {
                let problem =
                    Problem::error(format!("there is no extension {base}")).at(span, "its base extension");
                tenant.add(problem.help("it is the `number` of a [[tenant.extension]] of the same tenant"));
            }
        }
        Self { devices, extensions }
    }
}

fn device(
    table: &Table<'_>,
    realm: &str,
    sites: &HashMap<&str, u32>,
    secrets: &Secrets<'_>,
    macs: &mut Seen,
) -> (Device, Span) {
    const RELOADS: [Choice<Reload>; 2] =
        [("none", Some(Reload::None)), ("check-sync", Some(Reload::CheckSync))];

    let findings = table.findings();
    let (id, span) = account_name(table, "id", "add id = \"…\": the SIP user of the device's own account");
    let label = |key| table.text(key).and_then(|text| name::label(&text, findings));
    let mac = table.text("mac").and_then(|text| {
        let mac = name::mac(&text, findings)?;
        let canonical = mac.map(|octet| format!("{octet:02x}")).join(":");
        macs.once(&canonical, &text.span, findings, || {
            format!("two devices have the MAC address {canonical}")
        });
        Some(mac)
    });
    let site = table.text("site").and_then(|text| {
        let site = sites.get(text.value).copied();
        if site.is_none() {
            let problem =
                Problem::error(format!("there is no site {}", text.value)).at(&text.span, "named here");
            table.add(match nearest(text.value, sites.keys().copied()) {
                Some(near) => problem.help(format!("did you mean \"{near}\"?")),
                None => problem.help("it is the `id` of a [[tenant.site]] of the same tenant"),
            });
        }
        site
    });
    label("model");
    if table.entry("password").is_none() {
        table.missing("password", "without it the device cannot register; \"…\" or { file = \"secrets/…\" }");
    }
    let device = Device {
        mac,
        name: label("name").unwrap_or_else(|| id.clone()),
        site,
        room: label("room").unwrap_or_default(),
        reload: table.choice("reload", &RELOADS).unwrap_or_default(),
        enabled: table.boolean("enabled").unwrap_or(true),
        protected: table.boolean("protected").unwrap_or(false),
        codes: seats::codes(table, &keys::DEVICE_CODES),
        base_extension: table.text("base_extension").map(|text| text.value.into()),
        ends: seats::ends(table),
        secret: secret(table, &keys::DEVICE_PASSWORD, &id, realm, secrets).unwrap_or_default(),
        id,
    };
    (device, span)
}

fn extension(
    table: &Table<'_>,
    realm: &str,
    (places, devices): (&HashMap<&str, u32>, &HashMap<&str, Box<str>>),
    secrets: &Secrets<'_>,
    server: &Server,
    outside: &mut Seen,
) -> (Extension, Span) {
    let findings = table.findings();
    let aliases = table.texts("aliases", ALIASES_MAX).unwrap_or_default();
    let (number, span) = account_name(table, "number", "add number = \"…\": what others dial");
    let own_phones_max = table.number("own_phones_max", 0..=CONTACTS_MAX - 1).unwrap_or(0);
    let devices_max = table.number("devices_max", 1..=CONTACTS_MAX).unwrap_or(1);
    if devices_max + own_phones_max > CONTACTS_MAX {
        let problem =
            Problem::error(format!("{number} could ring at {} places", devices_max + own_phones_max));
        let problem = problem.at(&table.place("own_phones_max"), "beside its devices");
        table
            .add(problem.help(format!("devices_max and own_phones_max together are at most {CONTACTS_MAX}")));
    }
    if own_phones_max > 0 && table.entry("password").is_none() {
        let problem = Problem::error(format!("ordinary phones of {number} cannot register: no password"));
        let help =
            "add password = \"…\" or { file = \"secrets/…\" }, or allow no phones with own_phones_max = 0";
        table.add(problem.at(&table.place("own_phones_max"), "allowed here").help(help));
    }
    let extension = Extension {
        name: table.text("name").and_then(|text| name::label(&text, findings)).unwrap_or_default(),
        pin: pin(table, server),
        secret: secret(table, &keys::EXTENSION_PASSWORD, &number, realm, secrets).unwrap_or_default(),
        devices_max,
        own_phones_max,
        enabled: table.boolean("enabled").unwrap_or(true),
        language: attendant::language(table),
        aliases: aliases.iter().filter_map(|text| name::name(text, findings)).collect(),
        may_hot_desk: table.boolean("may_hot_desk").unwrap_or(true),
        sites: named(table, "sites", places),
        devices: named(table, "devices", devices),
        may_visit: table.boolean("may_visit"),
        protected: table.boolean("protected").unwrap_or(false),
        ends: seats::ends(table),
        home_phones: table.choice("home_phones", &seats::HOME_PHONES),
        numbers: route::numbers(table, outside),
        caller: table.text("caller").and_then(|text| name::e164(&text, findings)),
        absent: reach::absent(table, &keys::EXTENSION_ABSENT),
        number,
    };
    (extension, span)
}

/// What `key` lists, by the table of what there is.
fn named<T: Clone>(table: &Table<'_>, key: &str, known: &HashMap<&str, T>) -> Vec<T> {
    let texts = table.texts(key, LISTED_MAX).unwrap_or_default();
    let find = |text: &Text<'_>| {
        let found = known.get(text.value).cloned();
        if found.is_none() {
            let problem = Problem::error(format!("`{key}`: there is no {}", text.value));
            let problem = problem.at(&text.span, "named here");
            table.add(match nearest(text.value, known.keys().copied()) {
                Some(near) => problem.help(format!("did you mean \"{near}\"?")),
                None => problem.help("an `id` of the same tenant"),
            });
        }
        found
    };
    texts.iter().filter_map(find).collect()
}

/// The SIP user of an account and its place; empty where it is missing or impossible.
fn account_name(table: &Table<'_>, key: &str, help: &str) -> (Box<str>, Span) {
    let text = table.required(key, help);
    let name = text.as_ref().and_then(|text| name::name(text, table.findings())).unwrap_or_default();
    (name, text.map_or_else(|| table.span.clone(), |text| text.span))
}

fn secret(
    table: &Table<'_>,
    section: &'static Section,
    user: &str,
    realm: &str,
    secrets: &Secrets<'_>,
) -> Option<SipSecret> {
    let (_, value) = table.entry("password")?;
    let password = secrets.password(value, section, table)?;
    Some(dataplane::auth::secret(user, realm, &password))
}

fn pin(extension: &Table<'_>, server: &Server) -> Option<StoredPin> {
    const HELP: &str = "pin = { hash = \"…\" }, from: hotdesk hash-pin";

    let (_, value) = extension.entry("pin")?;
    if value.get_ref().as_str().is_some() {
        let problem = Problem::error("a PIN does not stand in the file in clear").at(&value.span(), "this");
        extension.add(problem.help(HELP));
        return None;
    }
    let table = extension.table("pin", &keys::PIN)?;
    let must_change = table.boolean("must_change").unwrap_or(false);
    let phc = match (table.entry("hash"), table.entry("sealed")) {
        (Some(_), None) => stored(&table.text("hash")?, false, &table, server),
        (None, Some(_)) => stored(&table.text("sealed")?, true, &table, server),
        (None, None) => {
            table.missing("hash", HELP);
            None
        }
        (Some(_), Some((key, _))) => {
            let problem = Problem::error("a PIN is hashed or sealed").at(&key.span(), "and not both");
            table.add(problem.help("`sealed` where phones log in by their own guest key, else `hash`"));
            None
        }
    };
    Some(StoredPin { must_change, ..StoredPin::new(phc?) })
}

/// A PIN that is hashed or sealed, if it can be used.
pub(super) fn stored<'t>(
    text: &Text<'t>,
    is_sealed: bool,
    table: &Table<'_>,
    server: &Server,
) -> Option<&'t str> {
    let (what, make) =
        if is_sealed { ("sealed PIN", "hotdesk seal-pin") } else { ("PIN hash", "hotdesk hash-pin") };
    let error = match stored::form(text.value, &server.keys) {
        Ok(form) if (form == Form::Sealed) == is_sealed => return Some(text.value),
        Ok(_) => {
            let problem = Problem::error(format!("this is no {what}")).at(&text.span, "this");
            table.add(problem.help(format!("make one with: {make}")));
            return None;
        }
        Err(error) => error,
    };
    table.add(match error {
        StoredPinError::Hash(PinHashError::PepperMissing) => {
            let problem = Problem::error("this PIN hash is keyed, and there is no usable pepper");
            let help = "add [pins] with pepper = { file = \"…\" }: the file that was given to hotdesk hash-pin --pepper";
            problem.at(&text.span, "$hmac-sha256$").help(help)
        }
        StoredPinError::SealKeyMissing => {
            let problem = Problem::error("this PIN is sealed, and there is no usable key");
            let help = "add [pins] with seal_key = { file = \"…\" }: the file that was given to hotdesk seal-pin";
            problem.at(&text.span, "this").help(help)
        }
        error => {
            let problem = Problem::error(format!("this {what} cannot be used: {error}"));
            problem.at(&text.span, "this").help(format!("make one with: {make}"))
        }
    });
    None
}
