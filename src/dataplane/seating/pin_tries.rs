//! PINs that were tried: what a right or a wrong one leads to, and operators who let one be tried again.

use crate::audit::{Event, Kind};
use crate::context::{Context, Work};
use crate::effect::{Effect, LogIn};
use crate::hotdesk::{Origin, Place, Surface};
use crate::output::Done;
use crate::query::PinReject;
use crate::refusal::Refusal;
use crate::tables::{self, Tables};

/// The PIN of a log-in was wrong: it is counted, may be locked, and people who look after it may be alarmed.
pub(super) fn wrong_pin(work: &mut Work<'_>, log_in: LogIn, reject: PinReject) -> Effect {
    let Context { counters, tables, settings, .. } = &mut *work.ctx;
    counters.pins_wrong += 1;
    let LogIn { device, extension, surface, origin, .. } = &log_in;
    let event = |reason| {
        let event = Event::new(Kind::LockOut, reason, device.tenant(), work.now.wall);
        event.by_way_of(*surface).asked_by(origin)
    };
    if let Some(locked) = tables.pins.wrong(device, extension, work.now.mono) {
        counters.pin_locks += 1;
        let seconds = locked.retry_after.as_secs().to_string();
        // At an ordinary phone `device` is the extension whose phone it is.
        let tenant = settings.tenant(device.tenant());
        let is_device = tenant.is_some_and(|tenant| tenant.device(device.name()).is_some());
        let event = event("pair").with("seconds", seconds);
        let event = if is_device { event.at_device(device, settings) } else { event };
        // What was typed and names nobody may be a PIN.
        let event = if reject == PinReject::UnknownExtension { event } else { event.of_extension(extension) };
        work.out.event(event);
    }
    let source = origin.source.map(|source| source.ip());
    let alarm = tables.pins.count(source, device.tenant(), work.now.mono);
    for (reason, wrong) in [("source-alarm", alarm.source), ("tenant-alarm", alarm.tenant)] {
        let Some(wrong) = wrong else { continue };
        counters.pin_alarms += 1;
        let event = event(reason).with("wrong_pins", wrong.to_string());
        work.out.event(event);
    }
    let refusal = match reject {
        PinReject::UnknownExtension => Refusal::UnknownExtension,
        PinReject::NoPin => Refusal::NoPin,
        PinReject::Wrong | PinReject::MustChange { .. } => Refusal::Credentials,
    };
    log_in.refused(refusal)
}

/// A PIN was right. One that others know, too, says nothing about the person: the device is none where he is known.
pub(super) fn was_right(tables: &Tables, log_in: &LogIn, is_own: bool) {
    let LogIn { device, extension, .. } = log_in;
    if is_own { tables.pins.right(device, extension) } else { tables.pins.void(device, extension) }
}

/// An operator lets an extension's PIN be tried again at `device`, or at every device and every ordinary phone of its
/// customer.
pub(crate) fn unlock(
    work: &mut Work<'_>,
    by: &str,
    extension: &Place,
    device: Option<&Place>,
) -> Result<Done, Refusal> {
    let Context { settings, tables: shared, .. } = &*work.ctx;
    let home = settings.tenant(extension.tenant()).ok_or(Refusal::UnknownTenant)?;
    home.extension(extension.name()).ok_or(Refusal::UnknownExtension)?;
    let origin = Origin::of_operator(by);
    let mut event = Event::new(Kind::Unlock, "operator", extension.tenant(), work.now.wall);
    if let Some(device) = device {
        let host = settings.tenant(device.tenant()).ok_or(Refusal::UnknownTenant)?;
        host.device(device.name()).ok_or(Refusal::UnknownDevice)?;
        if !shared.pins.unlock_at(device, extension) {
            return Err(Refusal::NotLocked);
        }
        event = event.at_device(device, settings);
    } else {
        let hosts = settings.tenants.iter().filter(|tenant| tenant.customer == home.customer);
        let places: Vec<_> = hosts.flat_map(|tenant| tables::places_of(tenant)).collect();
        shared.pins.unlock(&places, extension);
    }
    let event = event.of_extension(extension).by_way_of(Surface::Api).asked_by(&origin);
    work.out.event(event);
    Ok(Done::Unlocked)
}
