//! Visitors: people of one tenant at the devices of another of the same customer (LOG-26). Where they sit, codes, place and
//! emergency calls are the visited tenant's; number, dial plan, routes and limits stay those of their own.

mod calls;
mod ends;
mod log_in;

use dataplane::audit::Kind;
use dataplane::hotdesk::{Cause, Surface};
use dataplane::output::Report;
use dataplane::testing::{Blueprint, Office, pin_hash, tenant};

use crate::SEED;

/// What a visitor dials whose number is another's here: `7` is the prefix of his tenant.
const LOG_IN: &str = "*11*71001*4321";

/// Two tenants of one customer, `demo` where the desks stand and `west` where the visitors are at home, and one of another
/// customer. Everybody has a 1001.
fn plan(blueprint: &mut Blueprint) {
    let mut west = tenant("west", "west.hotdesk");
    west.seats.visitor_prefix = "7".into();
    west.sites[0].networks.clear();
    let people = [("Wanda West", "4321"), ("Wim West", "5432"), ("Willa West", "6543")];
    for (extension, (name, pin)) in west.extensions.iter_mut().zip(people) {
        (extension.name, extension.pin) = (name.into(), Some(pin_hash(pin)));
    }
    // The only 2003 of the customer.
    let mut willa = west.extensions[2].clone();
    (willa.number, willa.aliases) = ("2003".into(), vec!["2099".into()]);
    west.extensions.push(willa);
    blueprint.tenants.push(west);
    for tenant in &mut blueprint.tenants {
        tenant.customer = "acme".into();
        (tenant.seats.visitors, tenant.seats.may_visit) = (true, true);
    }
    let mut other = tenant("other", "other.hotdesk");
    other.extensions[0].pin = Some(pin_hash("1212"));
    other.extensions[0].aliases = vec!["5005".into()];
    (other.seats.visitors, other.seats.may_visit) = (true, true);
    blueprint.tenants.push(other);
}

/// The desks of `demo`, phones of 1002 in both tenants, and a desk of `west`.
fn office_that(change: impl FnOnce(&mut Blueprint)) -> Office {
    let mut office = Office::with(SEED, |blueprint| {
        plan(blueprint);
        change(blueprint);
    });
    office.plug_in("desk-1").plug_in("desk-2").own_phone("soft-2", "1002");
    for (phone, account) in [("west-desk", "desk-1"), ("west-2", "1002")] {
        office.unbox(phone, account).in_domain(phone, "west.hotdesk");
        assert_eq!(office.register(phone), Some(200), "{phone}");
    }
    office
}

fn office() -> Office {
    office_that(|_| {})
}

fn dial(office: &mut Office, phone: &str, string: &str) -> Option<u16> {
    let call = office.call(phone, string);
    office.outcome(call)
}

/// 1001 of `west` sits at desk-1 of `demo`.
fn visited() -> Office {
    let mut office = office();
    assert_eq!(dial(&mut office, "desk-1", LOG_IN), Some(200));
    office
}

/// Tenant and number of who sits at a desk of `demo`.
fn who_at(office: &Office, device: &str) -> Option<(String, String)> {
    let seat = office.seat_at(device)?;
    Some((seat.extension.tenant().to_owned(), seat.extension.name().to_owned()))
}

fn wanda() -> Option<(String, String)> {
    Some(("west".to_owned(), "1001".to_owned()))
}

/// Where 1001 of `west` sits: tenant and device.
fn places_of_wanda(office: &Office) -> Vec<(String, String)> {
    let seats = office.tables().seats.seats_of("acme", &("west", "1001"));
    seats.iter().map(|seat| (seat.device.tenant().to_owned(), seat.device.name().to_owned())).collect()
}

/// The code of the last refusal.
fn last_refusal(office: &Office) -> String {
    let refused = office.events(Kind::Refusal);
    refused.last().map(|event| event.reason.to_string()).unwrap_or_default()
}

fn last_end(office: &Office) -> Option<(Cause, Surface)> {
    office.reports.iter().rev().find_map(|report| match report {
        Report::SeatsChanged(change) if change.begun.is_none() => Some((change.cause, change.surface)),
        _ => None,
    })
}

/// The wizard of desk-1 of `demo` puts in 1001 of `west`; the final answer.
fn visit_natively(office: &mut Office) -> Option<u16> {
    office.in_domain("desk-1", "west.hotdesk").native_log_in("desk-1", "1001")
}
