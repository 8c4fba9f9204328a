//! `[media]`: what the attendant's sound needs.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

use super::keys;
use super::name;
use super::read::{Table, Text};
use super::report::Problem;
use crate::media::{Prompts, Setup, even, names};
use crate::transport::Dscp;

/// Lowest port of sound: those below are other services'.
const PORT_MIN: u16 = 1_024;
/// Ports of sound where the file says nothing: below those that systems give out on their own (RFC 6335 §6 has 49152,
/// Linux 32768).
const PORTS: RangeInclusive<u16> = 20_000..=29_999;
/// Sessions where the file says nothing: every desk of two large towers at once.
const SESSIONS_MAX: usize = 2_000;

/// The attendant's sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// What is fixed at start.
    pub setup: Setup,
    /// What sound is bound to where a listener is of the same family; `None`: what the listener is bound to.
    pub address: Option<IpAddr>,
    /// What phones are told; IPv6 in brackets. `None`: `address`, else what the listener advertises.
    pub advertise: Option<Box<str>>,
    /// What can be said.
    pub prompts: Arc<Prompts>,
}

impl Default for Media {
    fn default() -> Self {
        Self {
            setup: Setup { ports: PORTS, sessions_max: SESSIONS_MAX, dscp: Dscp::EF },
            address: None,
            advertise: None,
            prompts: Prompts::shipped(),
        }
    }
}

/// Reads it; what is wrong becomes a finding and its default stands.
pub(super) fn read(top: &Table<'_>, base: &Path) -> Media {
    let mut media = Media::default();
    let Some(table) = top.table("media", &keys::MEDIA) else { return media };
    let setup = &mut media.setup;
    if let Some(ports) = table.text("ports").and_then(|text| ports(&text, &table)) {
        setup.ports = ports;
    }
    let dscp = table.number("dscp", 0..=u32::from(Dscp::MAX));
    if let Some(dscp) = dscp.and_then(|code_point| Dscp::new(u8::try_from(code_point).ok()?)) {
        setup.dscp = dscp;
    }
    let room = even(&setup.ports).count();
    match table.number("sessions_max", 1..=u32::from(u16::MAX / 2)) {
        Some(sessions) if sessions as usize > room => {
            let problem = Problem::error(format!("{sessions} sessions need as many even ports"));
            let problem = problem.at(&table.place("sessions_max"), "this many");
            let ports = table.entry("ports").map(|_| table.place("ports"));
            table.add(match ports {
                Some(ports) => problem.at(&ports, format!("{room} even ports")),
                None => problem.help(format!("`ports` has {room} of them unless the file says otherwise")),
            });
        }
        Some(sessions) => setup.sessions_max = sessions as usize,
        None if setup.sessions_max > room => {
            setup.sessions_max = room;
            let problem = Problem::warning(format!("{room} calls to the attendant at a time, and no more"));
            let problem = problem.at(&table.place("ports"), format!("{room} even ports"));
            table.add(
                problem
                    .help(format!("sessions_max = {room} says that this is meant; else give it more ports")),
            );
        }
        None => {}
    }
    addresses(&table, &mut media);
    if let Some(folder) = table.text("prompts") {
        media.prompts = prompts(&folder, &table, base);
    }
    media
}

fn ports(text: &Text<'_>, table: &Table<'_>) -> Option<RangeInclusive<u16>> {
    let ports = text.value.split_once('-').and_then(|(first, last)| {
        let ports = first.trim().parse().ok()?..=last.trim().parse().ok()?;
        (*ports.start() >= PORT_MIN && even(&ports).next().is_some()).then_some(ports)
    });
    if ports.is_none() {
        let problem = Problem::error(format!("\"{}\" is no range of ports", text.value));
        let help = format!("such as \"20000-29999\": from {PORT_MIN} to 65535, with at least one even port");
        table.add(problem.at(&text.span, "this").help(help));
    }
    ports
}

fn addresses(table: &Table<'_>, media: &mut Media) {
    if let Some(text) = table.text("address") {
        media.address = text.value.parse().ok();
        if media.address.is_none() {
            let problem = Problem::error(format!("\"{}\" is no address", text.value)).at(&text.span, "this");
            table.add(problem.help("an IPv4 or IPv6 address without a port"));
        }
    }
    if let Some(text) = table.text("advertise") {
        media.advertise = name::host(text.value);
        if media.advertise.is_none() {
            let problem = Problem::error(format!("\"{}\" is no host", text.value)).at(&text.span, "this");
            table.add(problem.help("an address or a name without a port; IPv6 in brackets"));
        }
    } else if let Some(address) = media.address.filter(IpAddr::is_unspecified) {
        let problem = Problem::error(format!("phones cannot be told to send sound to {address}"));
        let help = "add advertise = \"…\": the address under which phones reach this machine";
        table.add(problem.at(&table.place("address"), "any address of this machine").help(help));
    }
}

fn prompts(folder: &Text<'_>, table: &Table<'_>, base: &Path) -> Arc<Prompts> {
    let read = Prompts::with_folder(&base.join(folder.value));
    for error in &read.errors {
        table.add(Problem::error(error.to_string()).at(&folder.span, "in this folder"));
    }
    for (language, missing) in &read.missing {
        let number = missing.len();
        let message =
            format!("{language} lacks {number} of {} prompts: {}", names().count(), missing.join(", "));
        let help = "what is shipped is said instead, in English where there is no other";
        table.add(Problem::warning(message).at(&folder.span, "in this folder").help(help));
    }
    Arc::new(read.prompts)
}
