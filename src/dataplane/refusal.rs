//! Why a log-in, a log-out or a call by a route is refused: one set of reasons for SIP, the control API and logs (CAP-28).

use std::fmt;

/// Why nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// The dialled string is not `CODE*extension*PIN`.
    Malformed,
    /// No such tenant.
    UnknownTenant,
    /// No such device.
    UnknownDevice,
    /// The PIN is wrong.
    Credentials,
    /// No such extension: the person hears what he hears after a wrong PIN.
    UnknownExtension,
    /// The extension has no PIN: likewise.
    NoPin,
    /// The PIN is right, and has to be changed before it opens anything.
    PinMustChange,
    /// The new PIN is too short or too easily guessed.
    PinTooSimple,
    /// The PIN is not changed from a phone.
    PinFixed,
    /// The proof is of a challenge that was answered before, is too old, or was not the phone's.
    StaleProof,
    /// Too many wrong PINs; wait.
    Locked,
    /// The tenant forbids PINs in dialled strings (SEC-9).
    PinNotDialled,
    /// The device is switched off for log-ins (DEV-3).
    DeviceDisabled,
    /// The extension is switched off.
    ExtensionDisabled,
    /// The extension may take no seat (USR-1).
    NotPermitted,
    /// The extension may take no seat at this device, or nobody may at its site.
    NotPermittedHere,
    /// The device or the extension, or one that would have to give way, is never moved (USR-3).
    Protected,
    /// The extension sits at as many devices as it may.
    SeatLimit,
    /// Somebody else sits at the device.
    DeviceOccupied,
    /// Nobody sits at the device.
    NobodySits,
    /// An operator unlocks where no wrong PIN counts.
    NotLocked,
    /// An emergency call is up at a device concerned, or was a short while ago.
    EmergencyHold,
    /// Another change of the same device or extension is under way.
    Busy,
    /// The store cannot keep it now.
    StoreUnavailable,
    /// The PIN cannot be checked now.
    PinUnavailable,
    /// The settings changed while the PIN was checked.
    SettingsChanged,
    /// The caller hung up before it was done.
    Cancelled,
    /// The extension sits nowhere.
    NotLoggedIn,
    /// The phone is nobody's to share: nobody logs in there (Q5).
    NotASharedPhone,
    /// No sound can be played or heard now: what has to be asked cannot be.
    NoSound,
    /// The number may not be called.
    NumberBarred,
    /// The phone or its tenant has as many calls outside as it may.
    CallLimit,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 32] = [
        Self::Malformed,
        Self::UnknownTenant,
        Self::UnknownDevice,
        Self::Credentials,
        Self::UnknownExtension,
        Self::NoPin,
        Self::PinMustChange,
        Self::PinTooSimple,
        Self::PinFixed,
        Self::StaleProof,
        Self::Locked,
        Self::PinNotDialled,
        Self::DeviceDisabled,
        Self::ExtensionDisabled,
        Self::NotPermitted,
        Self::NotPermittedHere,
        Self::Protected,
        Self::SeatLimit,
        Self::DeviceOccupied,
        Self::NobodySits,
        Self::NotLocked,
        Self::EmergencyHold,
        Self::Busy,
        Self::StoreUnavailable,
        Self::PinUnavailable,
        Self::SettingsChanged,
        Self::Cancelled,
        Self::NotLoggedIn,
        Self::NotASharedPhone,
        Self::NoSound,
        Self::NumberBarred,
        Self::CallLimit,
    ];

    /// The stable code in JSON and logs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownTenant => "unknown-tenant",
            Self::UnknownDevice => "unknown-device",
            Self::Credentials => "credentials",
            Self::UnknownExtension => "unknown-extension",
            Self::NoPin => "no-pin",
            Self::PinMustChange => "pin-must-change",
            Self::PinTooSimple => "pin-too-simple",
            Self::PinFixed => "pin-fixed",
            Self::StaleProof => "stale-proof",
            Self::Locked => "locked",
            Self::PinNotDialled => "pin-not-dialled",
            Self::DeviceDisabled => "device-disabled",
            Self::ExtensionDisabled => "extension-disabled",
            Self::NotPermitted => "not-permitted",
            Self::NotPermittedHere => "not-permitted-here",
            Self::Protected => "protected",
            Self::SeatLimit => "seat-limit",
            Self::DeviceOccupied => "device-occupied",
            Self::NobodySits => "nobody-sits",
            Self::NotLocked => "not-locked",
            Self::EmergencyHold => "emergency-hold",
            Self::Busy => "busy",
            Self::StoreUnavailable => "store-unavailable",
            Self::PinUnavailable => "pin-unavailable",
            Self::SettingsChanged => "settings-changed",
            Self::Cancelled => "cancelled",
            Self::NotLoggedIn => "not-logged-in",
            Self::NotASharedPhone => "not-a-shared-phone",
            Self::NoSound => "no-sound",
            Self::NumberBarred => "number-barred",
            Self::CallLimit => "call-limit",
        }
    }

    /// The reason phrase a phone may display, and the `error` of the control API.
    pub fn phrase(self) -> &'static str {
        match self {
            Self::Malformed => "Dial code, extension and PIN with stars between",
            Self::UnknownTenant => "Unknown tenant",
            Self::UnknownDevice => "Unknown device",
            // Whether an extension exists, or has a PIN, is told to nobody who has not proved to be it.
            Self::Credentials | Self::UnknownExtension | Self::NoPin => "Extension or PIN is wrong",
            Self::PinMustChange => "Choose a new PIN first",
            Self::PinTooSimple => "This PIN is too easy to guess",
            Self::PinFixed => "The PIN is not changed here",
            Self::StaleProof => "The proof is out of date, try again",
            Self::Locked => "Too many wrong PINs, wait",
            Self::PinNotDialled => "The PIN may not be dialled here",
            Self::DeviceDisabled => "This phone takes no log-ins",
            Self::ExtensionDisabled => "This extension is switched off",
            Self::NotPermitted => "This extension may not log in",
            Self::NotPermittedHere => "This extension may not log in here",
            Self::Protected => "This phone or extension is not moved",
            Self::SeatLimit => "Logged in elsewhere",
            Self::DeviceOccupied => "This phone is in use",
            Self::NobodySits => "Nobody is logged in here",
            Self::NotLocked => "Not locked there",
            Self::EmergencyHold => "Held for an emergency call",
            Self::Busy => "Another log-in is under way, try again",
            Self::StoreUnavailable => "Log-in is not possible now",
            Self::PinUnavailable => "PIN cannot be checked now",
            Self::SettingsChanged => "Settings changed, try again",
            Self::Cancelled => "Cancelled",
            Self::NotLoggedIn => "This extension is logged in nowhere",
            Self::NotASharedPhone => "Only shared phones log in",
            Self::NoSound => "Nothing can be asked now, dial it all",
            Self::NumberBarred => "This number may not be called",
            Self::CallLimit => "Too many calls, try again later",
        }
    }

    /// The final answer to a dialled log-in: never 401, 407, 408, 480, 486 or 503, which phones retry, forward
    /// or fail over on. 603 where trying again later may help, 403 where it will not.
    pub fn sip_status(self) -> u16 {
        match self {
            Self::Locked
            | Self::Busy
            | Self::StoreUnavailable
            | Self::PinUnavailable
            | Self::SettingsChanged
            | Self::NoSound
            | Self::EmergencyHold => 603,
            Self::Cancelled => 487,
            _ => 403,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.phrase())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_has_a_code_of_its_own() {
        let codes: BTreeSet<_> = Refusal::ALL.into_iter().map(Refusal::code).collect();

        assert_eq!(codes.len(), Refusal::ALL.len());
    }
}
