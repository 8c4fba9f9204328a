//! What the audit trail is told: who did what where, by which way, with which outcome. `docs/audit.md` is the
//! reference of its JSON.
//!
//! Enters: changes of seats, refusals, emergency calls, whatever else an operator must be able to look up. Leaves:
//! one [`Event`] each, by [`Report::Event`](crate::output::Report::Event). A change of seats makes its events itself:
//! whoever keeps the change keeps them with it, in one write.

use std::borrow::Cow;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::hotdesk::{Cause, Origin, Place, Seat, SeatChange, Surface};
use crate::refusal::Refusal;
use crate::settings::Settings;

/// What happened. The store numbers them: new ones come at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A person took a seat.
    LogIn,
    /// The person at the device left.
    LogOut,
    /// A seat ended because of a log-in: its person's elsewhere, or another's at the device.
    Displacement,
    /// An operator ended a seat.
    Force,
    /// A seat ended without anybody asking: a time was over, or the configuration does not know it any more.
    AutomaticEnd,
    /// A log-in, a log-out or a call to the world outside was refused; nothing changed.
    Refusal,
    /// Somebody called for help.
    EmergencyCall,
    /// Too many wrong PINs: further ones are not looked at for a while.
    LockOut,
    /// A lock-out was lifted before its time.
    Unlock,
    /// A PIN was changed.
    PinChange,
    /// A seat is about to end by itself; somebody may still do something about it.
    Ending,
}

impl Kind {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 11] = [
        Self::LogIn,
        Self::LogOut,
        Self::Displacement,
        Self::Force,
        Self::AutomaticEnd,
        Self::Refusal,
        Self::EmergencyCall,
        Self::LockOut,
        Self::Unlock,
        Self::PinChange,
        Self::Ending,
    ];

    /// The stable code in JSON, in the configuration and in logs.
    pub fn code(self) -> &'static str {
        match self {
            Self::LogIn => "log-in",
            Self::LogOut => "log-out",
            Self::Displacement => "displacement",
            Self::Force => "force",
            Self::AutomaticEnd => "automatic-end",
            Self::Refusal => "refusal",
            Self::EmergencyCall => "emergency-call",
            Self::LockOut => "lock-out",
            Self::Unlock => "unlock",
            Self::PinChange => "pin-change",
            Self::Ending => "ending",
        }
    }

    /// The kind with this code.
    pub fn of_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

/// One thing that happened, as the trail keeps it. Never holds a PIN, a password or a digest answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event<'a> {
    /// What.
    pub kind: Kind,
    /// Wall clock, milliseconds since 1970-01-01 UTC.
    pub at: u64,
    /// Tenant id: the device's.
    pub tenant: Cow<'a, str>,
    /// Device id.
    pub device: Option<Cow<'a, str>>,
    /// Id of the site where the device stood.
    pub site: Option<Cow<'a, str>>,
    /// Extension. What was typed and names none is left out: it may have been a PIN.
    pub extension: Option<Cow<'a, str>>,
    /// The tenant the extension is at home in, if that is another.
    pub extension_tenant: Option<Cow<'a, str>>,
    /// By which way it was asked for.
    pub surface: Option<Surface>,
    /// Why, or with which outcome: a stable code, see `docs/audit.md`.
    pub reason: Cow<'a, str>,
    /// The epoch of the change of seats.
    pub epoch: Option<u64>,
    /// The operator behind it: the name of a token, or of a master PIN.
    pub by: Option<Cow<'a, str>>,
    /// Where the request came from.
    pub source: Option<SocketAddr>,
    /// Call-ID of the request.
    pub call_id: Option<Cow<'a, str>>,
    /// What only some kinds have, by name; each name is in `docs/audit.md`.
    pub details: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Event<'a> {
    /// An event of `tenant` of which nothing else is known.
    pub fn new(kind: Kind, reason: &'a str, tenant: &'a str, at: u64) -> Self {
        Self {
            kind,
            at,
            tenant: tenant.into(),
            device: None,
            site: None,
            extension: None,
            extension_tenant: None,
            surface: None,
            reason: reason.into(),
            epoch: None,
            by: None,
            source: None,
            call_id: None,
            details: Vec::new(),
        }
    }

    /// The seat will end at `ends_at` for this cause, wall clock in milliseconds; in a call the end waits for that of the call.
    pub fn of_ending(seat: &'a Seat, cause: Cause, ends_at: u64, at: u64, settings: &'a Settings) -> Self {
        let seconds = (ends_at.saturating_sub(at) + 500) / 1_000;
        Self {
            epoch: Some(seat.epoch),
            ..Self::new(Kind::Ending, cause.code(), seat.device.tenant(), at)
                .at_device(&seat.device, settings)
                .of_extension(&seat.extension)
                .by_way_of(Surface::Clock)
                .with("seconds", seconds.to_string())
        }
    }

    /// It happened at `device`, which stands where `settings` say. Its tenant is the event's.
    #[must_use]
    pub fn at_device(mut self, device: &'a Place, settings: &'a Settings) -> Self {
        let known = settings.tenant(device.tenant()).and_then(|tenant| {
            let device = tenant.device(device.name())?;
            tenant.sites.get(usize::try_from(device.site?).ok()?)
        });
        self.tenant = device.tenant().into();
        self.device = Some(device.name().into());
        self.site = known.map(|site| (&*site.id).into());
        self
    }

    /// It is about `extension`, which exists.
    #[must_use]
    pub fn of_extension(mut self, extension: &'a Place) -> Self {
        self.extension = Some(extension.name().into());
        self.extension_tenant = (*extension.tenant() != self.tenant).then(|| extension.tenant().into());
        self
    }

    /// It was asked for by this way.
    #[must_use]
    pub fn by_way_of(mut self, surface: Surface) -> Self {
        self.surface = Some(surface);
        self
    }

    /// These asked for it.
    #[must_use]
    pub fn asked_by(mut self, origin: &'a Origin) -> Self {
        self.by = origin.by.as_deref().map(Into::into);
        self.source = origin.source;
        self.call_id = origin.call_id.as_deref().map(Into::into);
        self
    }

    /// One thing more that only its kind has; what is empty is not known, and left out.
    #[must_use]
    pub fn with(mut self, name: &'a str, value: impl Into<Cow<'a, str>>) -> Self {
        let value = value.into();
        if !value.is_empty() {
            self.details.push((name.into(), value));
        }
        self
    }

    /// The same for longer than what it was made of.
    pub fn into_owned(self) -> Event<'static> {
        let own = |text: Cow<'_, str>| Cow::<'static, str>::Owned(text.into_owned());
        Event {
            kind: self.kind,
            at: self.at,
            tenant: own(self.tenant),
            device: self.device.map(own),
            site: self.site.map(own),
            extension: self.extension.map(own),
            extension_tenant: self.extension_tenant.map(own),
            surface: self.surface,
            reason: own(self.reason),
            epoch: self.epoch,
            by: self.by.map(own),
            source: self.source,
            call_id: self.call_id.map(own),
            details: self.details.into_iter().map(|(name, value)| (own(name), own(value))).collect(),
        }
    }
}

/// What came of a log-in or log-out that was refused. `extension` is what was typed: it is named where there is such an
/// extension.
pub fn of_refusal<'a>(
    refusal: Refusal,
    device: &'a Place,
    extension: Option<&'a Place>,
    surface: Surface,
    origin: &'a Origin,
    at: u64,
    settings: &'a Settings,
) -> Event<'a> {
    let is_known =
        |of: &&Place| settings.tenant(of.tenant()).is_some_and(|it| it.extension(of.name()).is_some());
    let event = Event::new(Kind::Refusal, refusal.code(), device.tenant(), at)
        .at_device(device, settings)
        .by_way_of(surface)
        .asked_by(origin);
    match extension.filter(is_known) {
        Some(extension) => event.of_extension(extension),
        None => event,
    }
}

/// The events of a change of seats: one for each seat that ends, then one for the seat that begins. Devices stand where
/// `settings` say.
pub fn of_change<'a>(
    change: &'a SeatChange,
    settings: &'a Settings,
) -> impl Iterator<Item = Event<'a>> + use<'a> {
    let about = move |kind, reason, seat: &'a Seat| Event {
        epoch: Some(change.epoch),
        ..Event::new(kind, reason, seat.device.tenant(), change.at)
            .at_device(&seat.device, settings)
            .of_extension(&seat.extension)
            .by_way_of(change.surface)
            .asked_by(&change.origin)
    };
    let ended = change.ended.iter().map(move |seat| {
        let kind = match change.cause {
            Cause::LogIn => Kind::Displacement,
            Cause::LogOut => Kind::LogOut,
            Cause::Forced => Kind::Force,
            _ => Kind::AutomaticEnd,
        };
        match &change.begun {
            Some(begun) if begun.device == seat.device => {
                let event = about(kind, "taken-over", seat).with("by_extension", begun.extension.name());
                with_tenant(event, "by_extension_tenant", begun.extension.tenant())
            }
            Some(begun) => {
                let event = about(kind, "moved", seat).with("to_device", begun.device.name());
                with_tenant(event, "to_device_tenant", begun.device.tenant())
            }
            None => about(kind, change.cause.code(), seat),
        }
    });
    ended.chain(change.begun.iter().map(move |seat| about(Kind::LogIn, change.cause.code(), seat)))
}

/// Beside a name its tenant, where that is not the event's.
fn with_tenant<'a>(event: Event<'a>, name: &'a str, tenant: &'a str) -> Event<'a> {
    if event.tenant == tenant { event } else { event.with(name, tenant) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_stored_names_and_lead_back() {
        for kind in Kind::ALL {
            assert_eq!(Kind::of_code(kind.code()), Some(kind));
        }
        assert_eq!(Kind::of_code("log_in"), None);
    }
}
