//! What the dataplane wants an operator to read: one log line each, with fixed field names.

use dataplane::flow::WorkerId;
use dataplane::hotdesk::{Seat, SeatChange};
use dataplane::output::Report;
use tracing::{debug, error, info, warn};

/// Writes the line of `report`.
pub(super) fn write(worker: WorkerId, report: &Report) {
    match report {
        Report::SeatsChanged(change) => seats_changed(change),
        Report::Refused { tenant, device, extension, refusal } => {
            // A peer can cause it as often as it likes, so it is no line of its own above debug.
            debug!(%tenant, %device, %extension, reason = refusal.code(), "log-in or log-out refused");
        }
        Report::Emergency { tenant, account, number, routed: true } => {
            info!(%tenant, %account, %number, "emergency call");
        }
        Report::Emergency { tenant, account, number, routed: false } => {
            error!(%tenant, %account, %number, "emergency call WITHOUT A ROUTE");
        }
        Report::NotDurable => warn!(worker = worker.0, "a change stands in memory and not in the store"),
        other => warn!(worker = worker.0, report = ?other, "report"),
    }
}

fn seats_changed(change: &SeatChange) {
    let (cause, surface, epoch) = (&change.cause, &change.surface, change.epoch);
    for Seat { device, extension, .. } in &change.ended {
        info!(
            tenant = %device.tenant(), device = %device.name(), extension = %extension.name(),
            ?cause, ?surface, epoch, "seat ended"
        );
    }
    if let Some(Seat { device, extension, .. }) = &change.begun {
        info!(
            tenant = %device.tenant(), device = %device.name(), extension = %extension.name(),
            ?cause, ?surface, epoch, "seat begun"
        );
    }
}
