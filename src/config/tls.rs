//! TLS: the certificates of `[[listen]]` and `[[tenant]]`, and which certificates of phones count.

use std::ops::Range;
use std::time::Duration;

use dataplane::settings::Protocol;

use super::account::Seen;
use super::keys;
use super::read::{Choice, Table, Text};
use super::report::Problem;
use super::secret::Secrets;
use super::server::Server;
use crate::transport::tls::{Acceptor, Authorities, Certificate, Chain, Clients, MacPattern};

/// Patterns of one listener: the brands of one edge.
const PATTERNS_MAX: usize = 16;
/// Where most makers write the MAC.
const PATTERN: &str = "CN={mac}";
/// Before a certificate expires this long is enough to get another by hand.
const EXPIRES_SOON: Duration = Duration::from_secs(14 * 86_400);
const DAY: u64 = 86_400;

/// Whether phones show certificates.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Off,
    Optional,
    Required,
}

/// How a listener speaks TLS; `None` where it does not, or something of it is wrong.
pub(super) fn acceptor(listen: &Table<'_>, speaks_tls: bool, secrets: &Secrets<'_>) -> Option<Acceptor> {
    if !speaks_tls {
        for key in ["certificate", "client_certificates", "client_ca", "client_mac"] {
            if listen.entry(key).is_some() {
                let problem = Problem::error(format!("`{key}` is for a listener that speaks TLS"));
                listen.add(problem.at(&listen.place(key), "this").help("protocol = \"tls\""));
            }
        }
        return None;
    }
    if listen.entry("certificate").is_none() {
        listen
            .missing("certificate", "add certificate = { chain = \"tls/edge.pem\", key = \"tls/edge.key\" }");
    }
    let own = listen.table("certificate", &keys::LISTEN_CERTIFICATE);
    let own = own.and_then(|table| certificate(&table, secrets));
    let clients = clients(listen, secrets);
    Some(Acceptor::new(own?, clients?))
}

/// The certificate of a tenant: it is shown to whoever asks for one of its names. `names` are those of all tenants.
pub(super) fn of_tenant(
    tenant: &Table<'_>,
    names: &mut Seen,
    secrets: &Secrets<'_>,
    server: &Server,
) -> Option<Certificate> {
    let table = tenant.table("certificate", &keys::TENANT_CERTIFICATE)?;
    if server.listeners.iter().all(|listen| listen.protocol != Protocol::Tls) {
        let problem = Problem::warning("a certificate has no effect where no listener speaks TLS");
        table.add(problem.at(&table.span, "this").help("add [[listen]] with protocol = \"tls\""));
    }
    let certificate = certificate(&table, secrets)?;
    let place = table.place("chain");
    if certificate.names().is_empty() {
        let problem = Problem::error("the certificate names no host, so it would never be shown");
        let help = "phones ask by the name they were pointed at; it has to stand among the subject's alternative names";
        table.add(problem.at(&place, "this").help(help));
    }
    for name in certificate.names() {
        names.once(name, &place, table.findings(), || format!("two tenants have a certificate for {name}"));
    }
    Some(certificate)
}

/// Reads `chain` and `key`.
fn certificate(table: &Table<'_>, secrets: &Secrets<'_>) -> Option<Certificate> {
    let help = "name the PEM file: the edge's own certificate first, then those that vouch for it";
    let chain = table.required("chain", help).and_then(|text| {
        let octets = secrets.whole(&text, false)?;
        let chain = refused(&text, table, secrets, Chain::read(&octets))?;
        warn_of_expiry(&text, table, secrets, &chain.valid());
        Some(chain)
    });
    let key = table.required("key", "name the PEM file that holds the key");
    let key = key.and_then(|text| Some((secrets.whole(&text, true)?, text)));
    let (chain, (octets, text)) = (chain?, key?);
    refused(&text, table, secrets, Certificate::new(chain, &octets))
}

fn clients(listen: &Table<'_>, secrets: &Secrets<'_>) -> Option<Option<Clients>> {
    const SHOWN: [Choice<Shown>; 3] =
        [("off", Some(Shown::Off)), ("optional", Some(Shown::Optional)), ("required", Some(Shown::Required))];

    let shown = listen.choice("client_certificates", &SHOWN).unwrap_or(Shown::Off);
    if shown == Shown::Off {
        for key in ["client_ca", "client_mac"].into_iter().filter(|key| listen.entry(key).is_some()) {
            let problem =
                Problem::warning(format!("`{key}` has no effect where phones show no certificates"));
            let help = "add client_certificates = \"optional\" or \"required\"";
            listen.add(problem.at(&listen.place(key), "this").help(help));
        }
        return Some(None);
    }
    let patterns = patterns(listen);
    let text =
        listen.required("client_ca", "name the PEM file with the certificates of the makers' authorities")?;
    let authorities = authorities(&text, listen, secrets)?;
    Some(Some(Clients::new(authorities, shown == Shown::Required, patterns?)))
}

/// The authorities in the file that `text` of `table` names.
pub(super) fn authorities(text: &Text<'_>, table: &Table<'_>, secrets: &Secrets<'_>) -> Option<Authorities> {
    let octets = secrets.whole(text, false)?;
    refused(text, table, secrets, Authorities::read(&octets))
}

fn patterns(listen: &Table<'_>) -> Option<Vec<MacPattern>> {
    let Some(texts) = listen.texts("client_mac", PATTERNS_MAX) else {
        return Some(vec![PATTERN.parse().expect("the default is a pattern")]);
    };
    let pattern = |text: &Text<'_>| match text.value.parse() {
        Ok(pattern) => Some(pattern),
        Err(fault) => {
            let problem = Problem::error(format!("\"{}\" is no pattern: {fault}", text.value));
            listen.add(problem.at(&text.span, "this").help("such as \"CN={mac}\" or \"CN=*-SEP{mac}\""));
            None
        }
    };
    texts.iter().map(pattern).collect()
}

/// What a file came to, or a finding that says which file and why.
fn refused<T>(
    text: &Text<'_>,
    table: &Table<'_>,
    secrets: &Secrets<'_>,
    read: Result<T, impl std::error::Error>,
) -> Option<T> {
    read.map_err(|fault| {
        let shown = secrets.path(text);
        table.add(Problem::error(format!("{}: {fault}", shown.display())).at(&text.span, "named here"));
    })
    .ok()
}

fn warn_of_expiry(text: &Text<'_>, table: &Table<'_>, secrets: &Secrets<'_>, valid: &Range<u64>) {
    let now = crate::wall_clock::since_1970().as_secs();
    let fault = match valid.end.checked_sub(now) {
        _ if now < valid.start => "is not valid yet: phones refuse it".to_owned(),
        None | Some(0) => "has expired: phones refuse it".to_owned(),
        Some(left) if left < EXPIRES_SOON.as_secs() => format!("expires in {} days", left / DAY),
        Some(_) => return,
    };
    let problem = Problem::warning(format!("{} {fault}", secrets.path(text).display()));
    table.add(
        problem.at(&text.span, "named here").help("a reload takes in a new one, and no connection ends"),
    );
}
