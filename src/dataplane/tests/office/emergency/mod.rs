//! Emergency calls: before any seat, any base state, any PIN; number and place are the phone's (RULES §6).

mod call_back;
mod caller;
mod hold;
mod routes;

use dataplane::audit::Kind;
use dataplane::settings::LocationForm;
use dataplane::testing::{Office, tenant};

use crate::{SEED, gateway};

/// An office with a gateway to the emergency service.
fn office_with_a_route() -> Office {
    let mut office = Office::with(SEED, |blueprint| {
        blueprint.tenants[0].emergency.routes = vec![gateway("psap", 112)];
    });
    office
        .peer("psap", "198.51.100.112:5060")
        .plug_in("desk-1")
        .plug_in("desk-2")
        .own_phone("soft-2", "1002");
    office
}

/// An office with two gateways, whose calls carry their place, and a tenant of the same customer elsewhere.
fn office_with_two_routes() -> Office {
    let mut office = Office::with(SEED, |blueprint| {
        let here = &mut blueprint.tenants[0];
        here.emergency.routes = vec![gateway("psap", 112), gateway("psap-2", 113)];
        here.emergency.location = LocationForm::PidfLo;
        let civic = [("country", "US"), ("RD", "46th"), ("HNO", "1633")];
        here.sites[0].civic = civic.map(|(name, text)| (name.into(), text.into())).to_vec();
        let mut branch = tenant("branch", "branch.hotdesk");
        branch.sites.clear();
        branch.devices.clear();
        branch.emergency.numbers = vec!["999".into()];
        branch.emergency.routes = vec![gateway("far", 200)];
        blueprint.tenants.push(branch);
        for tenant in &mut blueprint.tenants {
            tenant.customer = "acme".into();
        }
    });
    office
        .peer("psap", "198.51.100.112:5060")
        .peer("psap-2", "198.51.100.113:5060")
        .plug_in("desk-1")
        .plug_in("desk-2")
        .own_phone("soft-2", "1002");
    office
}

/// The reasons of all events of emergency calls, in order.
fn reasons(office: &Office) -> Vec<&str> {
    office.events(Kind::EmergencyCall).iter().map(|event| &*event.reason).collect()
}
