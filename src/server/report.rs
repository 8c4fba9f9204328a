//! What the dataplane wants an operator to read: one log line each, with fixed field names.

use dataplane::audit::{Event, Kind};
use dataplane::flow::WorkerId;
use dataplane::hotdesk::{Seat, SeatChange};
use dataplane::output::Report;
use tracing::{debug, error, info, warn};

/// Writes the line of `report`.
pub(super) fn write(worker: WorkerId, report: &Report) {
    match report {
        Report::SeatsChanged(change) => seats_changed(change),
        Report::Event(event) => happened(event),
        // Read by tools such as fail2ban: docs/operations.md has the expression for it.
        Report::Banned(ban, time) => {
            let (address, reason, seconds) = (ban.address, ban.offence.code(), time.as_secs());
            let over = if ban.connections { "connections" } else { "datagrams" };
            match ban.port {
                None => warn!(%address, reason, seconds, over, "banned address"),
                Some(port) => warn!(%address, port, reason, seconds, over, "banned port"),
            }
        }
        Report::Slowed(source, offence, time) => {
            let (address, port, reason, seconds) =
                (source.ip(), source.port(), offence.code(), time.as_secs());
            warn!(%address, port, reason, seconds, over = "datagrams", "slowed port");
        }
        Report::ManyHandshakes(address) => {
            warn!(%address, reason = "handshakes", over = "connections", "slowed address");
        }
        Report::NotDurable => warn!(worker = worker.0, "a change stands in memory and not in the store"),
        other => warn!(worker = worker.0, report = ?other, "report"),
    }
}

fn seats_changed(change: &SeatChange) {
    let (cause, surface, epoch) = (change.cause.code(), change.surface.code(), change.epoch);
    for Seat { device, extension, .. } in &change.ended {
        info!(
            tenant = %device.tenant(), device = %device.name(), extension = %extension.name(),
            cause, surface, epoch, "seat ended"
        );
    }
    if let Some(Seat { device, extension, .. }) = &change.begun {
        info!(
            tenant = %device.tenant(), device = %device.name(), extension = %extension.name(),
            cause, surface, epoch, "seat begun"
        );
    }
}

fn happened(event: &Event<'_>) {
    let Event { tenant, reason, .. } = event;
    // What an event does not have is left out of its line.
    let (device, extension) = (event.device.as_deref(), event.extension.as_deref());
    let detail = |name| event.details.iter().find(|(known, _)| known == name).map(|(_, value)| &**value);
    match event.kind {
        // A peer can cause it as often as it likes, so it is no line of its own above debug.
        Kind::Refusal => debug!(%tenant, device, extension, %reason, "refused"),
        Kind::EmergencyCall => {
            let site = event.site.as_deref();
            let (number, shown) = (detail("number"), detail("shown"));
            match &**reason {
                "routed" => info!(%tenant, device, extension, site, number, shown, "emergency call"),
                "ended" => info!(%tenant, device, extension, shown, "emergency call ended"),
                "called-back" => info!(%tenant, device, extension, shown, "emergency service calls back"),
                "not-notified" => {
                    error!(%tenant, told = detail("told"), "NOT TOLD of an emergency call");
                }
                _ => {
                    let status = detail("status");
                    error!(%tenant, device, extension, site, number, shown, %reason, status, "emergency call REACHED NOBODY");
                }
            }
        }
        Kind::Ending => {
            info!(%tenant, device, extension, %reason, seconds = detail("seconds"), "seat is about to end");
        }
        Kind::LockOut if &**reason == "pair" => warn!(%tenant, device, extension, "locked out"),
        Kind::LockOut => {
            let source = event.source.map(|source| source.ip().to_string());
            warn!(%tenant, source, %reason, wrong_pins = detail("wrong_pins"), "many wrong PINs");
        }
        kind => info!(%tenant, device, extension, %reason, "{}", kind.code()),
    }
}
