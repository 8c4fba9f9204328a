//! What the API shows of seats, as JSON.

use std::net::SocketAddr;

use dataplane::hotdesk::{Seat, Surface};
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
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<SocketAddr>,
}

impl<'a> SeatView<'a> {
    /// `seat`, with the person's name out of `settings` and the device at `address`.
    pub(super) fn new(seat: &'a Seat, settings: &'a Settings, address: Option<SocketAddr>) -> Self {
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
            address,
        }
    }
}
