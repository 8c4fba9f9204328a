//! Tenants whose people visit one another: what a visitor types must mean one person, wherever he types it.

use dataplane::settings::Tenant;

use super::keys;
use super::name;
use super::read::{Table, Text};
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
    let place = |table: &Table<'_>, prefix: &str| table.place_of(&["seats", "visitor_prefix"], prefix);
    let typed: Vec<_> = tenants.iter().map(|(table, _)| typed_in(table)).collect();
    for (index, (table, home)) in tenants.iter().enumerate() {
        let prefix = &*home.seats.visitor_prefix;
        if prefix.is_empty() {
            continue;
        }
        for typed in &typed {
            let Some(clash) = typed.iter().find(|typed| typed.value.starts_with(prefix)) else { continue };
            let fault = format!("{} begins with {prefix}, which visitors type first", clash.value);
            let problem = Problem::error(fault).at(&place(table, prefix), "typed first");
            let help = "choose a visitor_prefix that no number, alias or code of the customer begins with";
            table.add(problem.at(&clash.span, "begins with it").help(help));
        }
        for (other_table, other) in &tenants[..index] {
            let others = &*other.seats.visitor_prefix;
            if !others.is_empty() && (prefix.starts_with(others) || others.starts_with(prefix)) {
                let problem =
                    Problem::error(format!("the visitor prefixes {others} and {prefix} begin alike"));
                table.add(
                    problem.at(&place(other_table, others), "here").at(&place(table, prefix), "and here"),
                );
            }
        }
    }
    warn_of_uneven_pins(tenants, keys);
}

/// What is typed or dialled in a tenant and means somebody or something there.
fn typed_in<'a>(tenant: &Table<'a>) -> Vec<Text<'a>> {
    let holders: [&[&str]; 3] = [&["codes"], &["site", "codes"], &["device", "codes"]];
    let codes =
        holders.iter().flat_map(|holder| keys::CODES.keys.iter().map(|code| [*holder, &[*code]].concat()));
    let names = [vec!["extension", "number"], vec!["extension", "aliases"]];
    names.into_iter().chain(codes).flat_map(|path| tenant.quiet_texts_at(&path)).collect()
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
