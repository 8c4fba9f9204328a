//! Who may take a seat where, by the settings of today.

use std::sync::Arc;

use crate::effect::LogIn;
use crate::hotdesk::{Place, Seat, Surface};
use crate::refusal::Refusal;
use crate::settings::{Device, Extension, Settings, Tenant};

/// The device and, if there is one, the extension of a log-in, where the settings of today allow it.
pub(super) fn may_log_in<'s>(
    settings: &'s Settings,
    log_in: &LogIn,
) -> Result<(&'s Tenant, &'s Device, Option<&'s Extension>), Refusal> {
    let tenant = settings.tenant(log_in.device.tenant()).ok_or(Refusal::UnknownTenant)?;
    let device = tenant.device(log_in.device.name()).ok_or(Refusal::UnknownDevice)?;
    if !device.enabled {
        return Err(Refusal::DeviceDisabled);
    }
    match extension_of(settings, log_in) {
        // Whether an extension exists is told to nobody who has not proved to be it.
        Some(extension) if !extension.enabled && is_at_the_phone(log_in.surface) => {
            Ok((tenant, device, None))
        }
        Some(extension) if !extension.enabled => Err(Refusal::ExtensionDisabled),
        found => Ok((tenant, device, found)),
    }
}

/// The extension of a log-in, if it belongs to the customer of the device.
pub(super) fn extension_of<'s>(settings: &'s Settings, log_in: &LogIn) -> Option<&'s Extension> {
    let (_, extension) = at_home(settings, &log_in.device, &log_in.extension)?;
    Some(extension)
}

/// Where the person of a seat is at home, if he may begin a call at it. A seat whose extension was switched off, deleted or
/// given to another customer stands until its calls are over, and begins none.
pub(crate) fn home_of_speaker<'s>(settings: &'s Settings, seat: &Seat) -> Option<&'s Arc<Tenant>> {
    let (home, extension) = at_home(settings, &seat.device, &seat.extension)?;
    extension.enabled.then_some(home)
}

/// An extension and the tenant it is of, if that is of the customer of the device.
fn at_home<'s>(
    settings: &'s Settings,
    device: &Place,
    extension: &Place,
) -> Option<(&'s Arc<Tenant>, &'s Extension)> {
    let customer = &settings.tenant(device.tenant())?.customer;
    let home = settings.tenant(extension.tenant()).filter(|home| home.customer == *customer)?;
    Some((home, home.extension(extension.name())?))
}

/// Whether this extension of `home` may take a seat here at all. Only who has proved to be it is told.
pub(super) fn may_sit(
    tenant: &Tenant,
    device: &Device,
    home: &Tenant,
    extension: &Extension,
) -> Result<(), Refusal> {
    if !extension.may_hot_desk {
        return Err(Refusal::NotPermitted);
    }
    if device.protected || extension.protected {
        return Err(Refusal::Protected);
    }
    let visits = tenant.id != home.id;
    let may_visit = || tenant.seats.visitors && extension.may_visit.unwrap_or(home.seats.may_visit);
    if visits && !may_visit() {
        return Err(Refusal::NotPermittedHere);
    }
    let site_takes_all = tenant.site_of(device).is_none_or(|site| site.may_hot_desk);
    let anywhere = extension.sites.is_empty() && extension.devices.is_empty();
    // Its lists name places of its own tenant: who has one is no visitor.
    let is_listed = || {
        !visits
            && (device.site.is_some_and(|site| extension.sites.contains(&site))
                || extension.devices.contains(&device.id))
    };
    if site_takes_all && (anywhere || is_listed()) { Ok(()) } else { Err(Refusal::NotPermittedHere) }
}

/// True if the seat of an extension at a device must not begin or end but by the control API.
pub(super) fn is_protected(settings: &Settings, device: &Place, extension: &Place) -> bool {
    let at = settings.tenant(device.tenant()).and_then(|tenant| tenant.device(device.name()));
    let of = settings.tenant(extension.tenant()).and_then(|tenant| tenant.extension(extension.name()));
    at.is_some_and(|device| device.protected) || of.is_some_and(|extension| extension.protected)
}

/// True for what a person does who has proved nothing yet.
fn is_at_the_phone(surface: Surface) -> bool {
    matches!(surface, Surface::Dialled | Surface::Attendant | Surface::Hoteling)
}
