//! Whose phone sends a REGISTER for an extension: an ordinary one of the person's, or a shared desk phone whose
//! wizard wants in or out (RULES §2).

use super::request::Register;
use crate::context::Context;
use crate::hotdesk::Place;
use crate::location::{Holder, device_hash};
use crate::now::Now;
use crate::phone;
use crate::settings::{Extension, NativeIdentify, Tenant};

/// What a REGISTER for an extension is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Native {
    /// Of an ordinary phone.
    Ordinary,
    /// Of the device that holds the seat.
    Holder {
        /// It.
        device: Place,
        /// Its claim to the extension.
        holder: Holder,
        /// The seat was taken by such a REGISTER, so that its un-REGISTER ends it.
        taken_natively: bool,
    },
    /// Of a known device without the seat: a log-in, if its conditions are met.
    LogIn(Place),
    /// Of a known device without the seat, and it removes: 200, and nothing changes.
    Nothing(Place),
    /// Of a known device, and nothing proves who sits there: to be challenged.
    Unproved,
    /// Not allowed: 403 with this reason.
    Refused(&'static str),
}

/// What the request wants, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// To bind at least one contact.
    Bind,
    /// To remove all it names.
    Remove,
    /// To know what is bound.
    Ask,
}

/// What this REGISTER is, which without a proof is nothing that concerns a seat. Reading marks renews the silence they wait
/// for: every REGISTER that is refused for one counts.
pub(crate) fn meaning(
    ctx: &Context,
    tenant: &Tenant,
    extension: &Extension,
    register: &Register<'_>,
    certified: Option<[u8; 6]>,
    is_proved: bool,
    now: Now,
) -> Native {
    let wish = register.wish();
    let Some(device) = device_of(ctx, tenant, extension, register, certified, now) else {
        return match wish {
            Wish::Bind if extension.own_phones_max == 0 => {
                Native::Refused("No Ordinary Phones For This Extension")
            }
            _ => Native::Ordinary,
        };
    };
    if !is_proved {
        return Native::Unproved;
    }
    let place = Place::new(&tenant.id, &extension.number);
    let seat = ctx.tables.seats.seat_at(&tenant.customer, &device).filter(|seat| seat.extension == place);
    if let Some(seat) = seat {
        let holder = Holder { device: device_hash(device.tenant(), device.name()), epoch: seat.epoch };
        let taken_natively = seat.surface == crate::hotdesk::Surface::Native;
        return Native::Holder { device, holder, taken_natively };
    }
    // What a phone's wizard may do is up to where the phone stands.
    let here = ctx.settings.tenant(device.tenant()).map_or(&tenant.seats, |here| &here.seats);
    let silence = here.native_silence;
    match wish {
        Wish::Remove | Wish::Ask => Native::Nothing(device),
        Wish::Bind if !here.native => Native::Refused("Log In At This Phone First"),
        Wish::Bind if ctx.tables.marks.is_marked(&device, &place, now.mono, silence) => {
            Native::Refused("Logged Out Here")
        }
        Wish::Bind => Native::LogIn(device),
    }
}

/// The hot-desk device that sends this, in the order of what proves most: the one its certificate names, its own flow,
/// the extension's binding that it holds over this flow, an instance learned from its own REGISTERs, and only where the
/// tenant says so a MAC it claims from inside its site. A device of another tenant of the customer is known by its flow
/// alone.
fn device_of(
    ctx: &Context,
    tenant: &Tenant,
    extension: &Extension,
    register: &Register<'_>,
    certified: Option<[u8; 6]>,
    now: Now,
) -> Option<Place> {
    // Where the customer has no devices there is nothing to look up.
    if tenant.devices.is_empty() && !ctx.settings.has_devices(&tenant.customer) {
        return None;
    }
    if let Some(device) = certified.and_then(|mac| tenant.device_of_mac(mac)) {
        return Some(Place::new(&tenant.id, &device.id));
    }
    let flow = &register.flow;
    if let Some(device) = phone::device_of_flow(ctx, tenant, &extension.number, flow, now) {
        return Some(device);
    }
    let location = &ctx.tables.location;
    let here = |user: &str| tenant.device(user).map(|device| Place::new(&tenant.id, &device.id));
    let instance = register.instances().next();
    if let Some(aor) =
        instance.and_then(|instance| location.device_of_instance(&tenant.id, instance, now.mono))
    {
        return here(&aor.user);
    }
    if tenant.seats.native_identify != NativeIdentify::Mac {
        return None;
    }
    let mac = phone::claimed_mac(register.message)?;
    let device = tenant.device_of_mac(mac)?;
    let site = tenant.sites.get(device.site? as usize)?;
    let inside = site.networks.iter().any(|network| network.contains(&flow.remote.ip()));
    inside.then(|| Place::new(&tenant.id, &device.id))
}
