//! Guest keys in `[tenant.seats]`: how long their subscriptions are, and whether the tenant's PINs can be proved by them.

use std::time::Duration;

use dataplane::settings::{Extension, HotelingPolicy, Protocol};

use super::read::Table;
use super::report::{Problem, Span};
use super::server::Server;
use crate::backend::pin::desk::{BackendPlan, Plan};
use crate::backend::pin::key::Keys;
use crate::backend::pin::stored::{self, Form};

/// Most places of one problem that are underlined.
const SHOWN_MAX: usize = 3;

/// `hoteling`, `hoteling_expires` and `hoteling_challenge` of a table; `None`: there are no guest keys.
pub(super) fn read(seats: &Table<'_>) -> Option<HotelingPolicy> {
    const EXPIRES_MIN: Duration = Duration::from_secs(60);
    const EXPIRES_MAX: Duration = Duration::from_secs(86_400);

    let defaults = HotelingPolicy::default();
    let policy = HotelingPolicy {
        expires_max: seats
            .whole_seconds("hoteling_expires", EXPIRES_MIN..=EXPIRES_MAX)
            .unwrap_or(defaults.expires_max),
        challenge: seats.boolean("hoteling_challenge").unwrap_or(defaults.challenge),
    };
    seats.boolean("hoteling").unwrap_or(false).then_some(policy)
}

/// Refuses PINs that no guest key can prove, and warns of what the operator takes upon himself.
pub(super) fn check(
    seats: &Table<'_>,
    policy: HotelingPolicy,
    pins: &Plan,
    server: &Server,
    extensions: &[(Extension, Span)],
) {
    if !policy.challenge {
        let problem = Problem::warning(
            "guest keys take no PIN: whoever stands at a phone logs in as anybody, and logs anybody out there",
        );
        seats.add(problem.at(&seats.place("hoteling_challenge"), "this").help("hoteling_challenge = true"));
        return;
    }
    if server.listeners.iter().any(|listen| listen.protocol != Protocol::Tls) {
        let problem = Problem::warning(
            "guest keys cross the network unencrypted: one log-in that is overheard tells its PIN at once",
        );
        let help = "only where nobody else is in the phones' network, or where phones reach listeners that speak TLS";
        seats.add(problem.at(&seats.place("hoteling"), "switched on here").help(help));
    }
    if pins.fallback.is_some() {
        let problem = Problem::warning("whoever has no PIN but the fallback cannot log in by a guest key");
        seats.add(problem.at(&seats.place("hoteling"), "switched on here").help("pin = { sealed = \"…\" }"));
    }
    if pins.backends.iter().any(|backend| matches!(backend, BackendPlan::File)) {
        refuse_hashed(seats, &server.keys, extensions);
    }
}

/// A guest key proves MD5(nonce:PIN), which nobody can check who has only a hash.
fn refuse_hashed(seats: &Table<'_>, keys: &Keys, extensions: &[(Extension, Span)]) {
    // A PIN that cannot be read has been reported.
    let form = |extension: &Extension| stored::form(&extension.pin.as_ref()?.phc, keys).ok();
    let hashed = extensions.iter().filter(|(extension, _)| matches!(form(extension), Some(Form::Hashed(_))));
    let hashed: Vec<_> = hashed.collect();
    let Some((first, _)) = hashed.first() else { return };
    let who = match hashed.len() - 1 {
        0 => format!("{} is hashed", first.number),
        more => format!("{} (and {more} more) is hashed", first.number),
    };
    let fault = format!("the PIN of {who}: with the backend `file` no guest key can prove it");
    let problem = Problem::error(fault).at(&seats.place("hoteling"), "guest keys are switched on here");
    let shown = hashed.iter().take(SHOWN_MAX);
    let problem = shown.fold(problem, |problem, (_, span)| problem.at(span, "this"));
    seats.add(problem.help("pin = { sealed = \"…\" }, from: hotdesk seal-pin; or hoteling = false"));
}
