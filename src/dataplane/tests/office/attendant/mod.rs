//! The attendant: what a person at a desk hears, presses and gets.

mod entry;
mod menu;
mod session;

use dataplane::testing::{Draft, Leg, Office};

/// What the person hears now.
fn said(office: &Office) -> String {
    office.said().0
}

fn info(office: &mut Office, leg: Leg, kind: &str, body: &str) -> Option<u16> {
    office.ask_within(leg, "INFO", |info| {
        info.add("Content-Type", kind);
        info.body = body.into();
    })
}

fn without_offer(invite: &mut Draft) {
    invite.remove("Content-Type").body.clear();
}
