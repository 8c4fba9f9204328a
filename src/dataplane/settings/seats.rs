//! What may happen to a tenant's seats.

use std::time::Duration;

use super::{CodesFrom, Ends, Limit};

/// What happens when an extension at its limit of seats logs in once more (LOG-18).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnLimit {
    /// Its oldest seat ends.
    #[default]
    Displace,
    /// The log-in is refused.
    Refuse,
}

/// What happens when the device is in use by another (LOG-17).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnOccupied {
    /// The other is put out.
    #[default]
    TakeOver,
    /// The log-in is refused.
    Refuse,
    /// The attendant asks whoever logs in; on every other surface the log-in is refused unless it is forced.
    Ask,
}

/// What the ordinary phones of an extension do while it sits at a device of the pool (CAP-34). Emergency calls are
/// never concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HomePhones {
    /// They ring along.
    #[default]
    Ring,
    /// They do not ring, and may call.
    Silent,
    /// They do not ring and may not call, as a device where nobody sits.
    Base,
}

/// How the guest keys of a tenant's phones log in and out (LOG-12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HotelingPolicy {
    /// The longest subscription in seconds, and what one gets that asks for no time.
    pub expires_max: u32,
    /// The phone proves the PIN; else whoever stands at it is whoever he says.
    pub challenge: bool,
}

impl Default for HotelingPolicy {
    fn default() -> Self {
        Self { expires_max: 3600, challenge: true }
    }
}

/// By what a native REGISTER is tied to a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NativeIdentify {
    /// The flow of a live authenticated binding of the device, or an instance learned from one.
    #[default]
    Flow,
    /// Also a MAC header or User-Agent, from inside the networks of the device's site.
    Mac,
}

/// What may happen to a tenant's seats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeatPolicy {
    /// A phone's own wizard may log in.
    pub native: bool,
    /// By what such a REGISTER is tied to a device.
    pub native_identify: NativeIdentify,
    /// How long a device that lost a native seat must keep still before its REGISTER counts as a new log-in.
    pub native_silence: Duration,
    /// How long an un-REGISTER waits for a REGISTER that takes it back, for brands that un-REGISTER at boot.
    pub native_logout_grace: Duration,
    /// LOG-18.
    pub on_limit: OnLimit,
    /// LOG-17.
    pub on_occupied: OnOccupied,
    /// SEC-9: the PIN may stand in the dialled string.
    pub dial_pin: bool,
    /// OUT-17: a log-out at the phone needs the PIN of whoever sits there.
    pub logout_pin: bool,
    /// LOG-15: who logged in last at a phone is asked there for the PIN alone.
    pub remember_last: bool,
    /// Q5.
    pub codes_from: CodesFrom,
    /// When seats end by themselves, where neither device, extension nor site says it.
    pub ends: Ends,
    /// How long before such an end it is told.
    pub warn_before: Duration,
    /// What ordinary phones do meanwhile, where the extension does not say it.
    pub home_phones: HomePhones,
    /// Guest keys are served; `None`: they are not.
    pub hoteling: Option<HotelingPolicy>,
    /// LOG-26: people of other tenants of the customer may log in at its devices.
    pub visitors: bool,
    /// LOG-26: its people may log in at devices of other tenants of the customer, where the extension does not say it.
    pub may_visit: bool,
    /// What its people type in front of their numbers there. Empty: nothing, so that only numbers which are known once
    /// among the tenants of the customer can be typed.
    pub visitor_prefix: Box<str>,
}

impl Default for SeatPolicy {
    fn default() -> Self {
        Self {
            native: false,
            native_identify: NativeIdentify::default(),
            native_silence: Duration::from_secs(15 * 60),
            native_logout_grace: Duration::ZERO,
            on_limit: OnLimit::default(),
            on_occupied: OnOccupied::default(),
            dial_pin: true,
            logout_pin: false,
            remember_last: false,
            codes_from: CodesFrom::default(),
            ends: Ends { idle: Some(Limit::Never), absolute: Some(Limit::Never), times: Some(Vec::new()) },
            warn_before: Duration::from_secs(5 * 60),
            home_phones: HomePhones::default(),
            hoteling: None,
            visitors: false,
            may_visit: false,
            visitor_prefix: Box::default(),
        }
    }
}
