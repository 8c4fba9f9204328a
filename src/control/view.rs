//! What the API shows of seats, as JSON.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use dataplane::admission::bans::Ban;
use dataplane::hotdesk::{Cause, Lock, NextEnd, Place, Seat, Surface};
use dataplane::settings::Settings;
use serde::Serialize;

use crate::instant;

/// Who sits where.
#[derive(Debug, Serialize)]
pub(super) struct SeatView<'a> {
    tenant: &'a str,
    device: &'a str,
    extension: &'a str,
    /// Where the person is at home, if elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    extension_tenant: Option<&'a str>,
    name: &'a str,
    since: String,
    surface: Surface,
    epoch: u64,
    /// Until when it was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    /// When it ends by itself as things stand, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_by: Option<Cause>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<SocketAddr>,
}

impl<'a> SeatView<'a> {
    /// `seat`, with the person's name out of `settings`, how it `ends` by itself and the device at `address`.
    pub(super) fn new(
        seat: &'a Seat,
        settings: &'a Settings,
        ends: Option<NextEnd>,
        address: Option<SocketAddr>,
    ) -> Self {
        let extension =
            settings.tenant(seat.extension.tenant()).and_then(|home| home.extension(seat.extension.name()));
        Self {
            tenant: seat.device.tenant(),
            device: seat.device.name(),
            extension: seat.extension.name(),
            extension_tenant: (seat.extension.tenant() != seat.device.tenant())
                .then_some(seat.extension.tenant()),
            name: extension.map_or("", |extension| &*extension.name),
            since: instant::text(seat.since),
            surface: seat.surface,
            epoch: seat.epoch,
            until: seat.until.map(instant::text),
            ends_at: ends.map(|end| instant::text(end.at)),
            ends_by: ends.map(|end| end.cause),
            address,
        }
    }
}

/// Whose PIN cannot be tried now.
#[derive(Debug, Serialize)]
pub(super) struct LockView<'a> {
    tenant: &'a str,
    extension: &'a str,
    /// It is locked at this shared phone.
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'a str>,
    /// Or at the ordinary phones of this extension; where both are missing, everywhere but where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    phones_of: Option<&'a str>,
    /// Of either, where it is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    device_tenant: Option<&'a str>,
    wrong: u32,
    retry_after_seconds: u64,
}

impl<'a> LockView<'a> {
    pub(super) fn new(lock: &'a Lock, settings: &Settings) -> Self {
        let tenant = lock.extension.tenant();
        let at = lock.device.as_ref();
        // No device is called as an extension of its tenant is.
        let is_phone =
            |at: &Place| settings.tenant(at.tenant()).is_some_and(|host| host.extension(at.name()).is_some());
        let (phones_of, device) = if at.is_some_and(is_phone) { (at, None) } else { (None, at) };
        Self {
            tenant,
            extension: lock.extension.name(),
            device: device.map(Place::name),
            phones_of: phones_of.map(Place::name),
            device_tenant: at.map(Place::tenant).filter(|other| *other != tenant),
            wrong: lock.wrong,
            // Whoever waits that long does not come too early.
            retry_after_seconds: lock.retry_after.as_millis().div_ceil(1000) as u64,
        }
    }
}

/// Who has a PIN of their own choosing.
#[derive(Debug, Serialize)]
pub(super) struct PinView<'a> {
    tenant: &'a str,
    extension: &'a str,
    since: String,
}

impl<'a> PinView<'a> {
    /// Of whom, and when it was chosen, in milliseconds since 1970-01-01 UTC.
    pub(super) fn new((extension, at): &'a (Place, u64)) -> Self {
        Self { tenant: extension.tenant(), extension: extension.name(), since: instant::text(*at) }
    }
}

/// Who is not listened to.
#[derive(Debug, Serialize)]
pub(super) struct BanView {
    address: IpAddr,
    /// Missing: all ports that have not proved whose they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    reason: &'static str,
    ends_in_seconds: u64,
}

impl BanView {
    pub(super) fn new(ban: &Ban, left: Duration) -> Self {
        let Ban { address, port, offence, .. } = *ban;
        Self {
            address,
            port,
            reason: offence.code(),
            ends_in_seconds: left.as_millis().div_ceil(1000) as u64,
        }
    }
}
