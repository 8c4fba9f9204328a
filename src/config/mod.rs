//! What the operator said: TOML in, [`Settings`] for the dataplane and a [`Server`] for the process out, or a report
//! that points into the file.
//!
//! The parsed file is walked as a tree whose every key and value knows its place. Reading goes on after an error, so
//! that one run shows them all; where anything is wrong, nothing of the file is used. What may stand in a file is in
//! [`keys`]; `docs/configuration.md` describes each key.
//!
//! Enters: the text, the folder it lies in, secrets in files beside it, addresses of the hosts it names.
//! Leaves: [`Loaded`], or a [`Report`]. Loading waits for files and DNS and belongs on no worker.

mod account;
mod admission;
mod attendant;
mod audit;
mod clash;
mod control;
mod duration;
mod emergency;
mod gaps;
mod hoteling;
pub mod keys;
mod media;
mod name;
mod peer;
mod pins;
mod reach;
mod read;
mod report;
mod route;
mod seats;
mod secret;
mod server;
mod tenant;
mod tls;
mod trust;
mod visitors;

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use dataplane::media::MediaAddress;
use dataplane::settings::{Listener, Settings, Tenant};
use toml::de::DeTable;
use zeroize::Zeroizing;

pub use audit::{Audit, HOOKS_MAX, Hook, HookSecret};
pub use control::{Control, TOKENS_MAX, Token};
pub use emergency::{Resolve, addresses_of};
pub use media::Media;
pub use report::Report;
pub use server::{LISTENERS_MAX, Listen, Log, LogFormat, LogLevel, Server, WORKERS_MAX};

use crate::backend::pin::desk::Plan;
use crate::backend::store::StoreKind;
use pins::PinFiles;
use read::Table;
use report::{Findings, Problem};
use secret::Secrets;
pub(crate) use secret::first_line;

/// Largest file. A tenant with 10,000 devices and extensions in TOML takes some 4 MB.
const FILE_OCTETS_MAX: u64 = 64 << 20;

/// A configuration file without errors.
#[derive(Debug)]
pub struct Loaded {
    /// What the process needs.
    pub server: Server,
    /// What deserves a second look.
    pub warnings: Report,
    /// Where the PINs of each tenant are, by its id.
    pub pins: HashMap<Box<str>, Plan>,
    tenants: Vec<tenant::Read>,
}

/// The text of a configuration and what surrounds it.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// What the report calls it: the path as the operator gave it.
    pub name: &'a str,
    /// The TOML.
    pub text: &'a str,
    /// The folder that its paths are relative to.
    pub base: &'a Path,
    /// True if others than its owner and group may read it.
    pub readable_by_others: bool,
    /// Finds the addresses of hosts.
    pub resolve: Resolve<'a>,
}

/// Loads the file at `path`; the error is a report with at least one error in it.
pub fn load(path: &Path) -> Result<Loaded, Report> {
    let name = path.display().to_string();
    let refuse = |fault: String| {
        let findings = Findings::default();
        findings.add(Problem::error(fault));
        findings.into_report(&name, "")
    };
    let mut octets = Zeroizing::new(Vec::new());
    let read = File::open(path).and_then(|file| {
        let mode = file.metadata()?.permissions().mode();
        file.take(FILE_OCTETS_MAX + 1).read_to_end(&mut octets)?;
        Ok(mode)
    });
    let mode = read.map_err(|error| refuse(format!("cannot be read: {error}")))?;
    if octets.len() as u64 > FILE_OCTETS_MAX {
        return Err(refuse("larger than 64 MiB".to_owned()));
    }
    let text = std::str::from_utf8(&octets).map_err(|error| {
        let line = 1 + octets[..error.valid_up_to()].iter().filter(|&&octet| octet == b'\n').count();
        refuse(format!("not UTF-8 in line {line}"))
    })?;
    let base = path.parent().unwrap_or(Path::new(""));
    parse(&Source { name: &name, text, base, readable_by_others: mode & 0o007 != 0, resolve: &addresses_of })
}

/// Loads a configuration that has been read already.
pub fn parse(source: &Source<'_>) -> Result<Loaded, Report> {
    let findings = Findings::default();
    let (root, errors) = DeTable::parse_recoverable(source.text);
    if !errors.is_empty() {
        // What the parser made of the rest is guesswork: complaints about it would lead astray.
        for error in &errors {
            let problem = Problem::error(format!("not TOML: {}", error.message()));
            findings.add(match error.span() {
                Some(span) => problem.at(&span, "here"),
                None => problem,
            });
        }
        return Err(findings.into_report(source.name, source.text));
    }
    let secrets = Secrets::new(source.base, &findings);
    let top = Table::open(&keys::TOP, 0..0, root.get_ref(), &findings);
    let mut server = server::read(&top, source.base, &secrets);
    let files = PinFiles::new(source.base);
    let tenants = tenant::read(&top, &secrets, &server, &files, source.resolve);
    server.show_named(tenants.iter().filter_map(|read| read.certificate.clone()).collect());
    let demonstration = server.listeners.iter().all(|listen| listen.address.ip().is_loopback());
    secrets.warn_if_readable(source.readable_by_others && !demonstration);

    let report = findings.into_report(source.name, source.text);
    if report.errors() > 0 {
        return Err(report);
    }
    let pins = tenants.iter().map(|read| (read.tenant.id.clone(), read.pins.clone())).collect();
    Ok(Loaded { server, warnings: report, pins, tenants })
}

impl Loaded {
    /// The tenants in file order.
    pub fn tenants(&self) -> impl Iterator<Item = &Tenant> {
        self.tenants.iter().map(|read| &read.tenant)
    }

    /// One generation of settings for the dataplane.
    ///
    /// `bound` are the addresses of the listeners in file order, with the ports the system gave. Emergency routes
    /// and people told whose host was not found this time keep the addresses that `previous` has for the same URI.
    ///
    /// # Panics
    /// If `bound` has another length than [`Server::listeners`].
    pub fn settings(self, generation: u64, bound: &[SocketAddr], previous: Option<&Settings>) -> Settings {
        assert_eq!(bound.len(), self.server.listeners.len(), "one bound address for each listener");
        let listeners = self.server.listeners.iter().zip(bound).map(|(listen, &local)| Listener {
            protocol: listen.protocol,
            local,
            advertise_host: listen.advertise_host.clone().unwrap_or_else(|| name::host_of(local.ip())),
            advertise_port: listen.advertise_port.unwrap_or(local.port()),
            tenant: listen.tenant.clone(),
            networks: listen.networks.clone(),
        });
        let tenants = self.tenants.into_iter().map(|read| {
            let mut tenant = read.tenant;
            keep_addresses(&mut tenant, previous);
            Arc::new(tenant)
        });
        let durable = matches!(self.server.store, StoreKind::Embedded { .. });
        let mut settings = Settings::new(
            generation,
            &self.server.name,
            listeners.collect(),
            tenants.collect(),
            self.server.timers,
            durable,
        );
        let Media { address, advertise, .. } = self.server.media;
        settings.admission = self.server.admission;
        settings.transactions_max = self.server.transactions_max;
        settings.media = MediaAddress { bind: address, advertise };
        settings
    }
}

/// Gives peers whose host was not found this time the addresses that the same tenant had for the same URI.
fn keep_addresses(tenant: &mut Tenant, previous: Option<&Settings>) {
    let Some(before) = previous.and_then(|previous| previous.tenant(&tenant.id)) else { return };
    let known: Vec<_> = before.peers().collect();
    for peer in tenant.peers_mut() {
        if peer.addresses.is_empty()
            && let Some(known) = known.iter().find(|known| known.uri == peer.uri)
        {
            peer.addresses.clone_from(&known.addresses);
        }
    }
}
