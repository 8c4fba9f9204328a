//! Whom the attendant asks for the PIN alone: who logged in last at the phone, where the tenant lets it be known (LOG-15).

use super::may_sit;
use crate::context::{Context, Work};
use crate::hotdesk::{Place, Seat, Surface};
use crate::settings::{Settings, Tenant};

/// A seat has begun, or stood when the edge started or was configured.
pub(crate) fn remember(ctx: &Context, seat: &Seat) {
    if may_be_told(&ctx.settings, seat) {
        ctx.tables.last_seats.remember(seat);
    }
}

/// Settings are new: who may not be told of any more is forgotten, and stays so when they are changed back.
pub(crate) fn forget_some(ctx: &Context) {
    ctx.tables.last_seats.retain(|seat| may_be_told(&ctx.settings, seat));
}

/// Who logged in last at this device, and may do so again. Nobody while somebody sits there: whoever comes then is most
/// likely another.
pub(crate) fn last_user(work: &Work<'_>, tenant: &Tenant, device: &Place) -> Option<Place> {
    let Context { tables, settings, .. } = &*work.ctx;
    if !tenant.seats.remember_last || tables.seats.seat_at(&tenant.customer, device).is_some() {
        return None;
    }
    let seat = tables.last_seats.of(device).filter(|seat| may_be_told(settings, seat))?;
    Some(seat.extension)
}

/// True if whoever picks up the phone may hear who had this seat: the person took it there in person, and may take it again.
/// Of a visitor both tenants must allow it.
fn may_be_told(settings: &Settings, seat: &Seat) -> bool {
    let host = settings.tenant(seat.device.tenant());
    let home = settings.tenant(seat.extension.tenant());
    let (Some(host), Some(home)) = (host, home) else { return false };
    let device = host.device(seat.device.name()).filter(|device| device.enabled);
    let extension = home.extension(seat.extension.name()).filter(|extension| extension.enabled);
    let (Some(device), Some(extension)) = (device, extension) else { return false };
    host.seats.remember_last
        && home.seats.remember_last
        && host.customer == home.customer
        && seat.surface != Surface::Api
        && may_sit(host, device, home, extension).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Blueprint, tenant};

    #[test]
    fn visitor_is_told_of_only_where_both_tenants_of_one_customer_want_it() {
        let told = |customer: &str, host: bool, home: bool| {
            let mut blueprint = Blueprint::demo(1);
            blueprint.seats().remember_last = host;
            blueprint.seats().visitors = true;
            let mut branch = tenant("branch", "branch.hotdesk");
            (branch.customer, branch.seats.remember_last) = (customer.into(), home);
            branch.seats.may_visit = true;
            blueprint.tenants.push(branch);
            let seat = Seat {
                device: Place::new("demo", "desk-1"),
                extension: Place::new("branch", "1001"),
                epoch: 1,
                since: 0,
                surface: Surface::Native,
                until: None,
            };
            may_be_told(&blueprint.settings(1), &seat)
        };

        assert!(told("demo", true, true));
        assert!(!told("demo", true, false) && !told("demo", false, true));
        assert!(!told("branch", true, true));
    }
}
