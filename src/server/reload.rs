//! Another configuration for a running edge: all of it or nothing. Calls, seats and registrations stay.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, PoisonError};

use dataplane::settings::{Extension, Tenant, TenantParts};
use tracing::{error, info, warn};

use super::handoff::Certain;
use super::{Edge, forget_pins};
use crate::backend::pin::desk::Plan;
use crate::config::{self, Loaded, Server};

/// Why a configuration cannot replace the one in force.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// It changes what is fixed at start. Nothing of it is used.
    #[error("needs a restart: {}", .keys.join("; "))]
    NeedsRestart {
        /// The keys that differ.
        keys: Vec<&'static str>,
    },
}

/// What a new configuration brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Tenants; one has changed where anything else than its devices and extensions has.
    pub tenants: Change,
    /// Devices of all tenants.
    pub devices: Change,
    /// Extensions of all tenants.
    pub extensions: Change,
    /// True if anything else differs: SIP timers, listeners, certificates, admission, tokens, the pepper, the order in
    /// which something stands.
    pub edge: bool,
}

/// How many of one kind came, went, or are not what they were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// New ones.
    pub added: usize,
    /// Gone.
    pub removed: usize,
    /// Others.
    pub changed: usize,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{} -{} ~{}", self.added, self.removed, self.changed)
    }
}

impl Edge {
    /// Puts `loaded` in force everywhere. What follows from it (seats that end, NOTIFYs) is worked off in bounded
    /// steps afterwards.
    ///
    /// # Errors
    /// [`ReloadError::NeedsRestart`]: then everything is as before.
    pub fn reload(&self, loaded: Loaded) -> Result<Changes, ReloadError> {
        // Two at a time would hand two generations to the workers in different orders.
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let before = Arc::clone(&self.server.borrow());
        let keys = before.changed_at_start_only(&loaded.server);
        if !keys.is_empty() {
            self.reloads.send_modify(|reloads| reloads.needing_restart += 1);
            return Err(ReloadError::NeedsRestart { keys });
        }
        let mut server = loaded.server.clone();
        server.keep_tickets(&before);
        let server = Arc::new(server);
        let new_plans = loaded.pins.clone();
        let previous = Arc::clone(&self.settings.borrow());
        let settings = Arc::new(loaded.settings(previous.generation + 1, &self.bound, Some(&previous)));
        let changes = changes(
            &InForce { server: &before, plans: &plans, tenants: &previous.tenants },
            &InForce { server: &server, plans: &new_plans, tenants: &settings.tenants },
        );
        *plans = new_plans;

        // PINs first: what a worker then asks under the settings of before is answered under these.
        forget_pins(&self.controls.store, self.pins.configure(&settings, &plans, server.keys.clone()));
        self.shell.media.use_prompts(Arc::clone(&server.media.prompts));
        self.controls.trail.configure(Arc::clone(&settings), server.audit.retention());
        self.controls.followers.configure(&server.audit, &self.controls.trail);
        self.server.send_replace(server);
        self.settings.send_replace(Arc::clone(&settings));
        // The first worker, which sees to the seats that end, hears of it last.
        for ring in self.shell.rings.iter().rev() {
            ring.deliver(Certain::Configured(Arc::clone(&settings)));
        }
        self.reloads.send_modify(|reloads| {
            reloads.applied += 1;
            reloads.applied_at = self.controls.clock.now().wall;
        });
        Ok(changes)
    }

    /// Loads the file at `path` and puts it in force, or says in the log why it cannot. Waits for files and DNS.
    pub fn reload_file(&self, path: &Path) {
        let loaded = match config::load(path) {
            Ok(loaded) => loaded,
            Err(report) => {
                self.reloads.send_modify(|reloads| reloads.mistaken += 1);
                for line in report.error_lines() {
                    error!(reason = %line, "configuration not reloaded");
                }
                return;
            }
        };
        for line in loaded.warnings.lines() {
            warn!(reason = %line, "configuration");
        }
        match self.reload(loaded) {
            Ok(Changes { tenants, devices, extensions, edge }) => {
                info!(%tenants, %devices, %extensions, edge, "configuration reloaded");
            }
            Err(error) => error!(reason = %error, "configuration not reloaded"),
        }
    }
}

/// All that a file said. What is derived from it, and what the system gave, is not in it.
#[derive(PartialEq)]
struct InForce<'a> {
    server: &'a Server,
    plans: &'a HashMap<Box<str>, Plan>,
    tenants: &'a [Arc<Tenant>],
}

impl<'a> InForce<'a> {
    fn by_id(&self) -> HashMap<&'a str, &'a Tenant> {
        self.tenants.iter().map(|tenant| (&*tenant.id, &**tenant)).collect()
    }
}

fn changes(before: &InForce<'_>, after: &InForce<'_>) -> Changes {
    let mut changes = Changes::default();
    let (known, new) = (before.by_id(), after.by_id());
    let is_same = |own: &Arc<Tenant>, other: &Arc<Tenant>| {
        before.plans.get(&own.id) == after.plans.get(&other.id) && is_same_policy(own, other)
    };
    count(&mut changes.tenants, before.tenants, after.tenants, |tenant| tenant.id.clone(), is_same);
    for tenant in before.tenants {
        let (devices, extensions) = match new.get(&*tenant.id) {
            Some(tenant) => (&tenant.devices[..], &tenant.extensions[..]),
            None => (&[][..], &[][..]),
        };
        count(&mut changes.devices, &tenant.devices, devices, |device| device.id.clone(), PartialEq::eq);
        let number = |extension: &Extension| extension.number.clone();
        count(&mut changes.extensions, &tenant.extensions, extensions, number, PartialEq::eq);
    }
    for tenant in after.tenants.iter().filter(|tenant| !known.contains_key(&*tenant.id)) {
        changes.devices.added += tenant.devices.len();
        changes.extensions.added += tenant.extensions.len();
    }
    // What nothing above has counted, such as another order, is a change too.
    changes.edge = before.server != after.server || (changes == Changes::default() && before != after);
    changes
}

/// True if nothing but devices and extensions differs.
fn is_same_policy(a: &Tenant, b: &Tenant) -> bool {
    // Every field is named, so that none which comes later is forgotten.
    let TenantParts {
        id: _,
        customer,
        domains,
        codes,
        emergency,
        attendant,
        seats,
        base,
        absent,
        routes,
        outside,
        registrar,
        time_zone,
        trusted_networks,
        networks,
        sites,
        devices: _,
        extensions: _,
    } = &**a;
    (customer, domains, codes, emergency, attendant)
        == (&b.customer, &b.domains, &b.codes, &b.emergency, &b.attendant)
        && (seats, base, absent, routes, outside) == (&b.seats, &b.base, &b.absent, &b.routes, &b.outside)
        && (registrar, time_zone, trusted_networks) == (&b.registrar, &b.time_zone, &b.trusted_networks)
        && (networks, sites) == (&b.networks, &b.sites)
}

fn count<T>(
    change: &mut Change,
    before: &[T],
    after: &[T],
    name: impl Fn(&T) -> Box<str>,
    is_same: impl Fn(&T, &T) -> bool,
) {
    let mut gone: HashMap<Box<str>, &T> = before.iter().map(|item| (name(item), item)).collect();
    for item in after {
        match gone.remove(&name(item)) {
            None => change.added += 1,
            Some(was) => change.changed += usize::from(!is_same(was, item)),
        }
    }
    change.removed += gone.len();
}
