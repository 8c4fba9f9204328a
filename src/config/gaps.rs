//! What is allowed and leaves somebody unable to do something, or not as it was meant: all of it warnings.

use std::collections::HashSet;

use dataplane::settings::{Codes, Emergency, LocationForm, Pattern, SeatPolicy, Site, Tenant, number};

use super::account;
use super::name;
use super::pins;
use super::read::{Table, Text};
use super::report::{Problem, Span};
use crate::backend::pin::desk::Plan;
use crate::backend::pin::key::Keys;
use crate::backend::pin::stored;
use crate::media::{FALLBACK, Prompts};

/// Where calls carry their place, a site without an address has none to carry.
pub(super) fn unknown_places(tenant: &Table<'_>, emergency: &Emergency, sites: &[(Site, Span)]) {
    let unknown =
        sites.iter().filter(|(site, _)| emergency.location == LocationForm::PidfLo && site.civic.is_empty());
    warn_of(
        tenant,
        unknown.map(|(site, span)| (&*site.id, span)),
        |who| format!("no civic address: emergency calls from {who} carry no location"),
        "[tenant.site.civic] with country = \"…\" and the other elements of the address",
    );
}

/// Warns of what is allowed and leaves somebody unable to do something. One warning for all of a kind.
pub(super) fn of_accounts(
    tenant: &Table<'_>,
    codes: &Codes,
    seats: &SeatPolicy,
    sites: &[(Site, Span)],
    accounts: &account::Accounts,
    pins: &Plan,
) {
    let dialled = !codes.login.is_empty() && seats.dial_pin && !accounts.devices.is_empty();
    let without_pin =
        accounts.extensions.iter().filter(|(extension, _)| dialled && !pins::has_pin(pins, extension));
    warn_of(
        tenant,
        without_pin.map(|(extension, span)| (&*extension.number, span)),
        |who| format!("no PIN: {who} cannot log in by dialling"),
        "pin = { hash = \"…\" }, from: hotdesk hash-pin",
    );
    warn_of(
        tenant,
        pins::unused(pins, &accounts.extensions),
        |who| format!("the PIN of {who} in this file counts for nothing"),
        "add a backend with kind = \"file\" to [tenant.pins]",
    );
    let nowhere = accounts.devices.iter().filter(|(device, _)| device.site.is_none());
    warn_of(
        tenant,
        nowhere.map(|(device, span)| (&*device.id, span)),
        |who| format!("no site: emergency calls from {who} show no place"),
        "site = \"…\", the id of a [[tenant.site]]",
    );
    let silent = sites.iter().filter(|(site, _)| site.emergency_caller.is_none());
    warn_of(
        tenant,
        silent.map(|(site, span)| (&*site.id, span)),
        |who| format!("no emergency caller: call-backs do not reach {who}"),
        "emergency_caller = \"+…\"",
    );
}

/// Warns of places whose calls for help show the number of a person.
pub(super) fn numbers_of_places(tenant: &Table<'_>, sites: &[(Site, Span)], accounts: &account::Accounts) {
    for (site, place) in sites {
        let Some(shown) = &site.emergency_caller else { continue };
        // A peer may leave the plus away: with and without it, it is one number.
        let is_shown = |number: &str| number.trim_start_matches('+') == shown.trim_start_matches('+');
        let owner =
            accounts.extensions.iter().find(|(owner, _)| owner.numbers.iter().any(|number| is_shown(number)));
        if let Some((extension, span)) = owner {
            let fault =
                format!("emergency calls from {} show {shown}, a number of {}", site.id, extension.number);
            let problem = Problem::warning(fault).at(place, "this site").at(span, "this extension");
            tenant.add(
                problem.help("give the place a number of its own: a call-back is for whoever stands there"),
            );
        }
    }
}

/// Warns of PIN hashes that do not all take the same time. An extension that does not exist is checked against the
/// first hash of the tenant: whoever is refused faster or slower than that has found one that does.
pub(super) fn uneven_pins(tenant: &Table<'_>, keys: &Keys, accounts: &account::Accounts) {
    let mut pins = accounts.extensions.iter().filter_map(|(extension, span)| {
        // A hash that cannot be used has been reported.
        let form = stored::form(&extension.pin.as_ref()?.phc, keys).ok()?;
        Some((form, &*extension.number, span))
    });
    let Some((first, ..)) = pins.next() else { return };
    warn_of(
        tenant,
        pins.filter(|(form, ..)| *form != first).map(|(_, number, span)| (number, span)),
        |who| {
            format!(
                "PINs are stored in more than one way: the time a wrong one takes tells that {who} exists"
            )
        },
        "hash all PINs of a tenant alike",
    );
}

/// Warns of places that callers are sent to and that a phone of the tenant does not reach.
pub(super) fn redirects(table: &Table<'_>, tenant: &Tenant) {
    let mut texts = table.quiet_texts_at(&["absent", "redirect"]);
    texts.extend(table.quiet_texts_at(&["extension", "absent", "redirect"]));
    texts.retain(|text| !is_reached(tenant, text.value));
    warn_of_texts(
        table,
        &texts,
        |who| format!("nothing leads to {who}: phones that are sent there do not get through"),
        "add a [[tenant.route]] whose `prefix` it begins with, and see that [tenant.outside] does not bar it",
    );
}

/// True if `place`, a number or a URI, is elsewhere or can be called from within the tenant.
fn is_reached(tenant: &Tenant, place: &str) -> bool {
    let user = match place.strip_prefix("sip:").and_then(|rest| rest.split_once('@')) {
        Some((user, host)) => {
            let host = name::host_and_port(host).map(|(host, _)| host);
            if host.is_none_or(|host| !tenant.domains.contains(&host)) {
                return true;
            }
            user
        }
        None => place,
    };
    let called = number(user.as_bytes()).and_then(|number| {
        let called = tenant.route(&number)?.rewritten(&number)?;
        (!tenant.outside.bars(&number) && !tenant.outside.bars(&called)).then_some(called)
    });
    called.is_some()
        || tenant.extension(user).is_some()
        || tenant.extension_of_number(user.as_bytes()).is_some()
}

/// Warns of patterns that nothing fits.
pub(super) fn patterns(table: &Table<'_>, tenant: &Tenant) {
    let mut texts = table.quiet_texts_at(&["base", "may_call"]);
    // What is no pattern at all has been reported.
    let is_vain = |pattern: Pattern| !pattern.is_of_numbers();
    texts.retain(|text| {
        Pattern::new(text.value).is_some_and(is_vain) && tenant.extension(text.value).is_none()
    });
    warn_of_texts(
        table,
        &texts,
        |who| format!("nothing that can be called fits {who}"),
        "digits without separators, a small `x` for any of them, `.` at the end for any more; or an extension",
    );
}

/// Warns of languages that nothing is said in.
pub(super) fn languages(table: &Table<'_>, prompts: &Prompts) {
    let holders = ["attendant", "site", "extension"];
    let mut texts: Vec<_> =
        holders.iter().flat_map(|holder| table.quiet_texts_at(&[holder, "language"])).collect();
    texts.retain(|text| !prompts.speaks(text.value));
    let known: Vec<_> = prompts.languages().collect();
    warn_of_texts(
        table,
        &texts,
        |who| format!("there are no prompts in {who}: \"{FALLBACK}\" is spoken"),
        &format!("there are {}; a folder of `prompts` in [media] adds a language", known.join(", ")),
    );
}

/// One warning for all of these texts, each once; as [`warn_of`].
fn warn_of_texts(table: &Table<'_>, texts: &[Text<'_>], fault: impl FnOnce(&str) -> String, help: &str) {
    let mut seen = HashSet::new();
    let texts = texts.iter().filter(|text| seen.insert(text.value));
    warn_of(table, texts.map(|text| (text.value, &text.span)), fault, help);
}

/// One warning for all of a kind: `fault` says who, the first ones are underlined.
fn warn_of<'s>(
    tenant: &Table<'_>,
    cases: impl Iterator<Item = (&'s str, &'s Span)>,
    fault: impl FnOnce(&str) -> String,
    help: &str,
) {
    const SHOWN_MAX: usize = 3;

    // A name that is missing has been reported.
    let cases: Vec<_> = cases.filter(|(name, _)| !name.is_empty()).collect();
    let Some((first, _)) = cases.first() else { return };
    let who = match cases.len() - 1 {
        0 => (*first).to_owned(),
        more => format!("{first} (and {more} more)"),
    };
    let shown = cases.iter().take(SHOWN_MAX);
    let problem = shown.fold(Problem::warning(fault(&who)), |problem, (_, span)| problem.at(span, "this"));
    tenant.add(problem.help(help));
}
