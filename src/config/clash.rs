//! What one may dial in a tenant must mean one thing: codes, emergency numbers and extensions.

use std::collections::HashMap;

use dataplane::settings::{Codes, Site, Tenant};

use super::account::Accounts;
use super::read::{Table, Text};
use super::report::{Problem, Span};
use super::visitors;
use crate::backend::pin::key::Keys;

/// Reports every pair that clashes.
pub(super) fn check(
    tenant: &Table<'_>,
    codes: &Codes,
    emergency: Option<&Table<'_>>,
    sites: &[(Site, Span)],
    accounts: &Accounts,
) {
    let (numbers, prefixes) =
        (texts(emergency, "numbers"), emergency.map(|table| table.quiet_texts("prefixes")));
    // Absent are the prefixes that stand by default.
    let default = dataplane::settings::Emergency::default().prefixes;
    let prefixes: Vec<&str> = match &prefixes {
        Some(Some(texts)) => texts.iter().map(|text| text.value).collect(),
        _ => default.iter().map(|prefix| &**prefix).collect(),
    };
    let call_for_help =
        |dialled: &str| numbers.iter().find(|number| is_call_for_help(dialled, number.value, &prefixes));
    // What somebody types or dials who means an extension, and where it stands.
    let mut names: HashMap<&str, &Span> = HashMap::new();
    for (extension, span) in &accounts.extensions {
        names.insert(&extension.number, span);
        if let Some(number) = call_for_help(&extension.number) {
            let problem =
                Problem::error(format!("{} is an emergency call and an extension", extension.number));
            let help = "emergency numbers are recognised first, with separators and behind each of `prefixes`: \
                        this extension could never be called";
            tenant.add(problem.at(&number.span, "emergency").at(span, "extension").help(help));
        }
    }
    for (extension, span) in &accounts.extensions {
        for alias in &extension.aliases {
            if let Some(first) = names.insert(alias, span) {
                let problem = Problem::error(format!("{alias} names two extensions, or one twice"));
                tenant.add(problem.at(first, "here").at(span, "and here"));
            }
            if let Some(number) = call_for_help(alias) {
                let problem = Problem::error(format!("{alias} is an emergency call and an alias"));
                tenant.add(problem.at(&number.span, "emergency").at(span, "alias"));
            }
        }
    }
    let of_tenant = tenant.entry("codes").map(|(_, value)| (codes, value.span()));
    let of_sites = sites.iter().filter_map(|(site, span)| Some((site.codes.as_ref()?, span.clone())));
    let of_devices =
        accounts.devices.iter().filter_map(|(device, span)| Some((device.codes.as_ref()?, span.clone())));
    for (codes, place) in of_tenant.into_iter().chain(of_sites).chain(of_devices) {
        let Codes { login, logout, toggle, who, pin } = codes;
        let codes: Vec<&str> = [login, logout, toggle, who, pin]
            .into_iter()
            .map(|code| &**code)
            .filter(|code| !code.is_empty())
            .collect();
        for (index, code) in codes.iter().enumerate() {
            for other in codes[index + 1..].iter().filter(|it| it.starts_with(code) || code.starts_with(**it))
            {
                let problem = Problem::error(format!("{code} and {other} begin alike"));
                let help = "a phone or an edge that reads digit by digit cannot tell them apart";
                tenant.add(problem.at(&place, "codes").help(help));
            }
            if let Some(number) = call_for_help(code) {
                let problem = Problem::error(format!("{code} is an emergency call and a code"));
                tenant.add(problem.at(&number.span, "emergency").at(&place, "code"));
            }
            if let Some(span) = names.get(code) {
                let problem = Problem::error(format!("{code} is a code and an extension"));
                tenant.add(problem.at(&place, "code").at(span, "extension"));
            }
        }
    }
}

/// Reports every alias that is a number or an alias of another tenant of the same customer (USR-7), and what else their
/// visitors could not tell apart.
pub(super) fn check_customers<'t, 'f: 't>(
    tenants: impl Iterator<Item = (&'t Table<'f>, &'t Tenant)>,
    keys: &Keys,
) {
    let mut customers: HashMap<&str, Vec<(&Table<'_>, &Tenant)>> = HashMap::new();
    for (table, tenant) in tenants {
        customers.entry(&tenant.customer).or_default().push((table, tenant));
    }
    for tenants in customers.into_values().filter(|tenants| tenants.len() > 1) {
        visitors::check(&tenants, keys);
        // The first tenant that has an alias, and where.
        let mut aliases: HashMap<&str, (&str, Span)> = HashMap::new();
        for (table, tenant) in &tenants {
            for alias in table.quiet_texts_at(&["extension", "aliases"]) {
                let name = alias.value;
                let others = tenants.iter().filter(|(_, other)| other.id != tenant.id);
                let of_number = others
                    .filter(|(_, other)| other.extension(name).is_some())
                    .map(|(other, _)| other.place_of(&["extension", "number"], name));
                let of_alias = aliases.get(name).filter(|(other, _)| **other != *tenant.id);
                if let Some(place) = of_number.chain(of_alias.map(|(_, place)| place.clone())).next() {
                    let problem =
                        Problem::error(format!("{name} names somebody in two tenants of one customer"));
                    table.add(problem.at(&place, "here").at(&alias.span, "and as an alias here"));
                }
                aliases.entry(name).or_insert((&tenant.id, alias.span));
            }
        }
    }
}

fn texts<'a>(table: Option<&Table<'a>>, key: &str) -> Vec<Text<'a>> {
    table.and_then(|table| table.quiet_texts(key)).unwrap_or_default()
}

/// True if who dials `dialled` calls `number`: visual separators (RFC 3966 §5.1.1) and a prefix for an outside line
/// do not count.
fn is_call_for_help(dialled: &str, number: &str, prefixes: &[&str]) -> bool {
    let dialled: String = dialled.chars().filter(|c| !"-.()".contains(*c)).collect();
    let tail = dialled.strip_suffix(number);
    tail.is_some_and(|prefix| prefix.is_empty() || prefixes.contains(&prefix))
}
