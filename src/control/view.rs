//! What the API shows: seats as JSON, instants as RFC 3339.

use std::net::SocketAddr;

use dataplane::hotdesk::{Seat, Surface};
use dataplane::settings::Settings;
use serde::Serialize;

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
            since: instant(seat.since),
            surface: seat.surface,
            epoch: seat.epoch,
            address,
        }
    }
}

/// `2026-01-31T08:15:00.250Z` (RFC 3339 §5.6) for milliseconds since 1970-01-01 UTC, in the proleptic
/// Gregorian calendar.
fn instant(millis: u64) -> String {
    let (seconds, millis) = (millis / 1000, millis % 1000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years that begin on 1 March end with the leap day, so every month has its length whatever the year.
    let days = days + 719_468; // From 0000-03-01.
    let (era, day) = (days / 146_097, days % 146_097); // The calendar repeats after 400 years.
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153; // 0: March; months in fives have 153 days.
    let day = day - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year + u64::from(month >= 10);
    let month = if month < 10 { month + 3 } else { month - 9 };
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_800, "2000-03-01T00:00:00.000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000Z"),
            (1_709_164_800, "2024-02-29T00:00:00.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799, "9999-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(instant(seconds * 1000), text);
        }
        assert_eq!(instant(1_769_847_300_250), "2026-01-31T08:15:00.250Z");
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut last = instant(0);
        for day in 1..200_000 {
            let next = instant(day * 86_400_000);
            assert!(last < next, "{last} {next}");
            last = next;
        }
    }
}
