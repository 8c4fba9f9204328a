//! The whole of hot desking in an office in memory, with a clock of its own: what people and operators were promised,
//! one test a promise.

mod admission;
mod attendant;
mod audit;
mod base_state;
mod calls;
mod counters;
mod emergency;
mod ends;
mod gateway_digest;
mod gruu;
mod half_closed;
mod hostile;
mod hoteling;
mod last_desk;
mod last_user;
mod log_in;
mod long_requests;
mod losers;
mod message_summary;
mod moves;
mod native;
mod outbound;
mod overload;
mod pins;
mod policies;
mod registrations;
mod routes;
mod scanners;
mod session_timers;
mod sips;
mod store;
mod strangers;
mod surfaces;
mod trusted;
mod visitors;
mod workers;

use std::time::Duration;

use dataplane::input::Command;
use dataplane::output::Done;
use dataplane::refusal::Refusal;
use dataplane::settings::Peer;
use dataplane::testing::{Heard, Office};

/// Any number will do; a failing run is repeated with the same one.
const SEED: u64 = 2543;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// An office with all three devices on their desks.
fn three_desks() -> Office {
    let mut office = Office::new(SEED);
    office.plug_in("desk-1").plug_in("desk-2").plug_in("desk-3");
    office
}

/// The last request of a method a phone heard.
fn last_heard(office: &Office, phone: &str, method: &str) -> Heard {
    (*office[phone].requests(method).last().expect("it heard such a request")).clone()
}

/// The last response to a method a phone heard.
fn last_answer(office: &Office, phone: &str, method: &str) -> Heard {
    (*office[phone].responses_to(method).last().expect("it heard such a response")).clone()
}

/// A gateway whose host is called so, at the last octet of its address.
fn gateway(name: &str, octet: u8) -> Peer {
    let address = format!("198.51.100.{octet}:5060").parse().expect("an address");
    Peer { uri: format!("sip:{name}.example").into(), addresses: vec![address] }
}

/// An operator seats `extension` at `device`.
fn log_in_by_order(office: &mut Office, extension: &str, device: &str) -> Result<Done, Refusal> {
    let command = Command::LogIn {
        tenant: "demo".into(),
        device: device.into(),
        extension: extension.into(),
        extension_tenant: None,
        force: false,
        until: None,
    };
    office.command(command).expect("there is an answer")
}
