//! What the tests of all files here use.

use std::net::SocketAddr;
use std::time::Duration;

use super::timer::{Fired, NEVER};
use crate::flow::{ConnectionId, Flow, ListenerId, WorkerId};
use crate::now::Mono;

pub(super) const MAC_KEY: [u8; 16] = [7; 16];

pub(super) fn at(milliseconds: u64) -> Mono {
    Mono::default() + Duration::from_millis(milliseconds)
}

pub(super) fn parse(octets: &[u8]) -> sip::Message<'_> {
    sip::Message::parse(octets, &sip::Limits::default()).unwrap()
}

pub(super) fn datagram() -> Flow {
    Flow::datagram(ListenerId(0), SocketAddr::from(([192, 0, 2, 7], 5060)))
}

pub(super) fn stream(slot: u32) -> Flow {
    let connection = Some(ConnectionId::new(WorkerId(0), 1, slot));
    Flow { listener: ListenerId(1), remote: SocketAddr::from(([192, 0, 2, 7], 40_000)), connection }
}

/// Lets a machine alone until nothing is due any more: what fired, and at which millisecond. Timer C, which
/// comes again for ever, ends it too.
pub(super) fn fired<M>(
    machine: &mut M,
    due: impl Fn(&M) -> Mono,
    mut on_time: impl FnMut(&mut M, Mono) -> Fired,
) -> Vec<(u64, Fired)> {
    let mut all = Vec::new();
    while due(machine) != NEVER {
        let now = due(machine);
        let fired = on_time(machine, now);
        all.push((now.0 / 1_000_000, fired));
        if fired == Fired::TimerC {
            break;
        }
    }
    all
}
