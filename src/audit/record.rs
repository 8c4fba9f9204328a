//! A record of the audit trail as everybody outside reads it: one JSON object, described in `docs/audit.md`.

use std::net::SocketAddr;

use dataplane::audit::{Event, Kind};
use dataplane::hotdesk::Surface;
use serde::{Serialize, Serializer};

use crate::instant;

/// The version of the format. Fields and kinds may be added to it; another meaning is another version.
pub const VERSION: u8 = 1;

/// One record. Fields without a value are left out.
#[derive(Debug, Serialize)]
pub struct Record<'a> {
    version: u8,
    sequence: u64,
    at: String,
    kind: Kind,
    tenant: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    site: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extension: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extension_tenant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    surface: Option<Surface>,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Details::is_empty")]
    details: Details<'a>,
}

impl<'a> Record<'a> {
    /// The record of `event`, which has this number.
    pub fn new(sequence: u64, event: &'a Event<'_>) -> Self {
        Self {
            version: VERSION,
            sequence,
            at: instant::text(event.at),
            kind: event.kind,
            tenant: &event.tenant,
            device: event.device.as_deref(),
            site: event.site.as_deref(),
            extension: event.extension.as_deref(),
            extension_tenant: event.extension_tenant.as_deref(),
            surface: event.surface,
            reason: &event.reason,
            epoch: event.epoch,
            by: event.by.as_deref(),
            source: event.source,
            call_id: event.call_id.as_deref(),
            details: Details(event),
        }
    }

    /// As JSON without white space.
    pub fn json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers are JSON")
    }
}

/// What only some kinds have, as one object.
#[derive(Debug)]
struct Details<'a>(&'a Event<'a>);

impl Details<'_> {
    fn is_empty(&self) -> bool {
        self.0.details.is_empty()
    }
}

impl Serialize for Details<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.details.iter().map(|(name, value)| (&**name, &**value)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dataplane::audit::of_change;
    use dataplane::hotdesk::{Cause, Origin, Place, Seat, SeatChange};
    use dataplane::settings::{Settings, Timers};

    use super::*;

    #[test]
    fn a_move_is_a_displacement_and_a_log_in() {
        let seat = |device, epoch| Seat {
            device: Place::new("demo", device),
            extension: Place::new("demo", "1001"),
            epoch,
            since: 0,
            surface: Surface::Native,
            until: None,
        };
        let change = SeatChange {
            customer: "demo".into(),
            epoch: 8,
            ended: vec![seat("desk-1", 3)],
            begun: Some(seat("desk-2", 8)),
            cause: Cause::LogIn,
            surface: Surface::Dialled,
            at: 1_769_847_300_250,
            origin: Origin::of_request("192.0.2.12:5060".parse().unwrap(), b"a84b4c76e66710"),
        };
        let settings = Arc::new(Settings::new(1, "test", Vec::new(), Vec::new(), Timers::default(), true));

        let events: Vec<_> = of_change(&change, &settings).collect();
        let records: Vec<_> = events
            .iter()
            .zip(41..)
            .map(|(event, sequence)| String::from_utf8(Record::new(sequence, event).json()).unwrap())
            .collect();

        assert_eq!(
            records,
            [
                r#"{"version":1,"sequence":41,"at":"2026-01-31T08:15:00.250Z","kind":"displacement","tenant":"demo","device":"desk-1","extension":"1001","surface":"dialled","reason":"moved","epoch":8,"source":"192.0.2.12:5060","call_id":"a84b4c76e66710","details":{"to_device":"desk-2"}}"#,
                r#"{"version":1,"sequence":42,"at":"2026-01-31T08:15:00.250Z","kind":"log-in","tenant":"demo","device":"desk-2","extension":"1001","surface":"dialled","reason":"log-in","epoch":8,"source":"192.0.2.12:5060","call_id":"a84b4c76e66710"}"#,
            ]
        );
    }
}
