//! Tenants whose people visit one another: what a visitor types must mean one person, wherever he types it.

use dataplane::settings::{Codes, Tenant};

use super::name;
use super::read::Table;
use super::report::Problem;
use crate::backend::pin::key::Keys;
use crate::backend::pin::stored;

/// Most tenants of a customer that visit one another: who is typed at one is looked for in all of them.
const TENANTS_MAX: usize = 256;

/// `visitor_prefix` of `[tenant.seats]`; an empty one is none.
pub(super) fn prefix(seats: &Table<'_>) -> Box<str> {
    let text = seats.text("visitor_prefix").filter(|text| !text.value.is_empty());
    text.and_then(|text| name::digits(&text, seats.findings())).unwrap_or_default()
}

/// Reports what visitors among the tenants of one customer could not tell apart.
pub(super) fn check(tenants: &[(&Table<'_>, &Tenant)], keys: &Keys) {
    if !tenants.iter().any(|(_, tenant)| tenant.seats.visitors) {
        return;
    }
    if let Some((table, tenant)) = tenants.get(TENANTS_MAX) {
        let problem = Problem::error(format!(
            "more than {TENANTS_MAX} tenants of {} visit one another",
            tenant.customer
        ));
        let help = "divide them among several customers, or set visitors = false in [tenant.seats] of each";
        table.add(problem.at(&table.span, "this is one too many").help(help));
        return;
    }
    for (index, (table, home)) in tenants.iter().enumerate() {
        let prefix = &*home.seats.visitor_prefix;
        if prefix.is_empty() {
            continue;
        }
        for (other_table, other) in tenants {
            let Some(clash) = typed_in(other).find(|typed| typed.starts_with(prefix)) else { continue };
            let problem = Problem::error(format!("{clash} begins with {prefix}, which visitors type first"));
            let help = "choose a visitor_prefix that no number, alias or code of the customer begins with";
            table.add(
                problem
                    .at(&table.span, "prefix of this tenant")
                    .at(&other_table.span, "dialled here")
                    .help(help),
            );
        }
        for (other_table, other) in &tenants[..index] {
            let others = &*other.seats.visitor_prefix;
            if !others.is_empty() && (prefix.starts_with(others) || others.starts_with(prefix)) {
                let problem =
                    Problem::error(format!("the visitor prefixes {others} and {prefix} begin alike"));
                table.add(problem.at(&other_table.span, "here").at(&table.span, "and here"));
            }
        }
    }
    warn_of_uneven_pins(tenants, keys);
}

/// What is typed or dialled in a tenant and means somebody or something there.
fn typed_in(tenant: &Tenant) -> impl Iterator<Item = &str> {
    let of_extensions =
        tenant.extensions.iter().flat_map(|it| std::iter::once(&it.number).chain(&it.aliases));
    let of_sites = tenant.sites.iter().filter_map(|site| site.codes.as_ref());
    let of_devices = tenant.devices.iter().filter_map(|device| device.codes.as_ref());
    let codes = std::iter::once(&tenant.codes).chain(of_sites).chain(of_devices);
    let codes = codes.flat_map(|Codes { login, logout, toggle, who, pin }| [login, logout, toggle, who, pin]);
    of_extensions.chain(codes).map(|text| &**text)
}

/// Warns of PINs that are stored otherwise than those of another tenant: the time a wrong one takes tells where an
/// extension is at home.
fn warn_of_uneven_pins(tenants: &[(&Table<'_>, &Tenant)], keys: &Keys) {
    let form = |tenant: &Tenant| {
        let pin = tenant.extensions.iter().find_map(|extension| extension.pin.as_ref())?;
        // A hash that cannot be used has been reported.
        stored::form(&pin.phc, keys).ok()
    };
    let mut forms = tenants.iter().filter_map(|(table, tenant)| Some((table, form(tenant)?)));
    let Some((first, usual)) = forms.next() else { return };
    if let Some((other, _)) = forms.find(|(_, form)| *form != usual) {
        let problem = Problem::warning("two tenants that visit one another store PINs in different ways");
        let help =
            "the time a wrong PIN takes tells whose extension was typed: hash all PINs of a customer alike";
        other.add(problem.at(&first.span, "one way").at(&other.span, "another").help(help));
    }
}
