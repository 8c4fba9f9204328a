//! Emergency calls: decided before any seat logic. Number and place follow the phone, never the person.

use crate::context::Context;
use crate::flow::Flow;
use crate::now::Now;
use crate::phone;
use crate::settings::{Account, Device, Site, Tenant};

use super::route::account_of_flow;

/// The Warning of a call that could not be routed (RFC 3261 §20.43; 399 is "miscellaneous").
pub(crate) const WARNING: &str =
    "399 hotdesk \"No emergency route is configured or none of its addresses answers\"";

/// From which phone and place an emergency call comes, and whether that is beyond doubt.
pub(crate) struct EmergencyCaller<'a> {
    /// The account its flow has proved to be.
    pub(crate) account: Option<Account>,
    /// The hot-desk device, if it is one.
    pub(crate) device: Option<&'a Device>,
    /// The place.
    pub(crate) site: Option<&'a Site>,
    /// It comes over a flow with a live binding or from inside a site's networks: it is not challenged.
    pub(crate) known: bool,
}

/// Finds out who is calling. `proved` is the account of right credentials, where the request carried some.
pub(crate) fn emergency_caller<'a>(
    ctx: &Context,
    tenant: &'a Tenant,
    flow: &Flow,
    from_user: &[u8],
    proved: Option<Account>,
    now: Now,
) -> EmergencyCaller<'a> {
    let of_flow = account_of_flow(ctx, tenant, flow, from_user, now);
    let registered = of_flow.is_some();
    let account = of_flow.or(proved);
    let device = match account {
        Some(Account::Device(index)) => tenant.devices.get(index as usize),
        // A phone that holds the extension's account itself may still be a hot-desk device at a known place.
        Some(Account::Extension(index)) => {
            let extension = &tenant.extensions[index as usize].number;
            phone::device_of_flow(ctx, tenant, extension, flow, now)
                .and_then(|place| tenant.device(place.name()))
        }
        None => None,
    };
    let here = tenant.site_of_address(flow.remote.ip());
    let site = device
        .and_then(|device| device.site)
        .and_then(|index| tenant.sites.get(index as usize))
        .or(here)
        // A tenant with one site has but one place to send help to.
        .or_else(|| match &*tenant.sites {
            [only] => Some(only),
            _ => None,
        });
    EmergencyCaller { account, device, site, known: registered || here.is_some() }
}
