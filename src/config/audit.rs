//! `[audit]` and `[[hook]]`: how long the audit trail is kept, and who is told of it.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dataplane::audit::Kind;
use hyper::Uri;
use rustls::pki_types::ServerName;
use zeroize::Zeroizing;

use super::keys;
use super::name;
use super::read::{Table, Text};
use super::report::{Problem, Span};
use super::secret::Secrets;
use super::tls;
use crate::backend::store::Retention;
use crate::transport::tls::Authorities;

/// Most hooks: each has a task and a connection of its own.
pub const HOOKS_MAX: usize = 16;

/// A quarter of a year: long enough for whoever asks after a bill.
const KEEP: Duration = Duration::from_secs(90 * 86_400);

/// Some 200 MB of the store's file.
const RECORDS_MAX: u32 = 1_000_000;

/// Shortest key of signatures, in octets: as for PIN hashes.
const SECRET_OCTETS_MIN: usize = 16;

/// What becomes of the audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Records are removed after this.
    pub keep: Duration,
    /// The oldest are removed beyond so many.
    pub records_max: u32,
    /// A file that every record is appended to.
    pub file: Option<PathBuf>,
    /// Who is told; at most [`HOOKS_MAX`].
    pub hooks: Vec<Hook>,
}

impl Audit {
    /// How much of it the store keeps.
    pub fn retention(&self) -> Retention {
        Retention { keep: self.keep, records_max: self.records_max.into() }
    }
}

/// A server that is told of records over HTTP.
#[derive(Clone, PartialEq, Eq)]
pub struct Hook {
    /// What metrics and logs call it; under this name it is kept what it has been told.
    pub name: Box<str>,
    /// Where to; `http` or `https`, with a host.
    pub url: Uri,
    /// Who vouches for the server's certificate; `None`: whoever the system believes.
    pub ca: Option<Authorities>,
    /// What it is told of; empty: everything.
    pub events: Vec<Kind>,
    /// The key that requests are signed with.
    pub secret: Option<HookSecret>,
}

/// The key that requests to a hook are signed with.
#[derive(Clone, PartialEq, Eq)]
pub struct HookSecret(Zeroizing<Vec<u8>>);

impl HookSecret {
    /// A key.
    pub fn new(octets: &[u8]) -> Self {
        Self(Zeroizing::new(octets.to_vec()))
    }

    /// The key.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }
}

impl Hook {
    /// The host of its URL, an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        host(&self.url)
    }
}

fn host(url: &Uri) -> &str {
    url.host().unwrap_or_default().trim_matches(['[', ']'])
}

impl fmt::Debug for Hook {
    // Its URL may hold a secret of the server it leads to.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook").field("name", &self.name).field("events", &self.events).finish_non_exhaustive()
    }
}

/// Reads both.
pub(super) fn read(top: &Table<'_>, base: &Path, secrets: &Secrets<'_>) -> Audit {
    const DAY: Duration = Duration::from_secs(86_400);

    let table = top.table("audit", &keys::AUDIT);
    let keep = table.as_ref().and_then(|table| table.time("keep", Duration::from_secs(3600)..=3653 * DAY));
    let records_max = table.as_ref().and_then(|table| table.number("records_max", 1_000..=100_000_000));
    let file = table.as_ref().and_then(|table| table.text("file")).and_then(|text| {
        if text.value.is_empty() {
            top.add(Problem::error("`file` is empty").at(&text.span, "this"));
            return None;
        }
        let path = base.join(text.value);
        if let Some(fault) = fault(&path) {
            top.add(Problem::error(fault).at(&text.span, "this").help("name a file: its folder is made"));
        }
        Some(path)
    });
    let mut names: HashMap<Box<str>, Span> = HashMap::new();
    let hooks = top.tables("hook", &keys::HOOK, HOOKS_MAX);
    let hooks = hooks.iter().filter_map(|table| {
        let (hook, span) = hook(table, secrets)?;
        if let Some(first) = names.insert(hook.name.clone(), span.clone()) {
            let problem = Problem::error(format!("two hooks are called {}", hook.name));
            table.add(problem.at(&first, "here").at(&span, "and here"));
        }
        Some(hook)
    });
    let hooks = hooks.collect();
    Audit { keep: keep.unwrap_or(KEEP), records_max: records_max.unwrap_or(RECORDS_MAX), file, hooks }
}

/// Why nothing can ever be appended to a file at `path`.
fn fault(path: &Path) -> Option<String> {
    if path.is_dir() {
        return Some(format!("{} is a folder", path.display()));
    }
    let there = path.ancestors().skip(1).find(|folder| folder.exists())?;
    (!there.is_dir()).then(|| format!("{} is no folder", there.display()))
}

fn hook(table: &Table<'_>, secrets: &Secrets<'_>) -> Option<(Hook, Span)> {
    let name = table.required("name", "add name = \"…\": metrics tell hooks apart by it");
    let name = name.and_then(|text| Some((name::name(&text, table.findings())?, text.span)));
    let url = url(table);
    let ca = match table.text("ca") {
        Some(text) => Some(authorities(&text, table, url.as_ref(), secrets)?),
        None => None,
    };
    let events = table.texts("events", Kind::ALL.len()).unwrap_or_default();
    let events = events.iter().filter_map(|text| {
        let kind = Kind::of_code(text.value);
        if kind.is_none() {
            let problem = Problem::error(format!("no record is of the kind \"{}\"", text.value));
            let nearest = keys::nearest(text.value, Kind::ALL.map(Kind::code));
            let help = match nearest {
                Some(code) => format!("did you mean \"{code}\"?"),
                None => format!("one of {}", Kind::ALL.map(Kind::code).join(", ")),
            };
            table.add(problem.at(&text.span, "this").help(help));
        }
        kind
    });
    let events = events.collect();
    let secret = match table.table("secret", &keys::HOOK_SECRET) {
        Some(secret) => Some(key(&secret, secrets)?),
        None => {
            if table.entry("secret").is_none() {
                let who = name.as_ref().map_or("a hook", |(name, _)| name);
                let problem = Problem::warning(format!("requests to {who} are not signed"));
                let help = "add secret = { file = \"…\" }: the server can then tell them from others";
                table.add(problem.at(&table.span, "this hook").help(help));
            }
            None
        }
    };
    let (name, span) = name?;
    Some((Hook { name, url: url?, ca, events, secret }, span))
}

fn url(table: &Table<'_>) -> Option<Uri> {
    let text = table.required("url", "add url = \"https://…\"")?;
    let refuse = |fault: &str, help: &str| {
        table.add(Problem::error(fault.to_owned()).at(&text.span, "this").help(help.to_owned()));
        None
    };
    let url: Option<Uri> = text.value.parse().ok();
    let Some(url) = url.filter(|url| url.authority().is_some()) else {
        return refuse("not a URL", "such as \"http://127.0.0.1:9000/hotdesk\"");
    };
    if url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return refuse("a user and a password in a URL are not sent", "requests are signed: see `secret`");
    }
    match url.scheme_str() {
        Some("http") => Some(url),
        Some("https") if ServerName::try_from(host(&url)).is_ok() => Some(url),
        Some("https") => refuse("no certificate can be for this host", "a host name, or an address"),
        _ => refuse("not an http URL", "such as \"http://127.0.0.1:9000/hotdesk\""),
    }
}

fn authorities(
    text: &Text<'_>,
    table: &Table<'_>,
    url: Option<&Uri>,
    secrets: &Secrets<'_>,
) -> Option<Authorities> {
    if url.is_some_and(|url| url.scheme_str() == Some("http")) {
        let problem = Problem::warning("`ca` has no effect without TLS").at(&text.span, "this");
        table.add(problem.help("url = \"https://…\""));
    }
    tls::authorities(text, table, secrets)
}

fn key(table: &Table<'_>, secrets: &Secrets<'_>) -> Option<HookSecret> {
    let line = secrets.file(table)?;
    if line.len() < SECRET_OCTETS_MIN {
        let problem = Problem::error(format!("a key of signatures has at least {SECRET_OCTETS_MIN} octets"));
        table.add(problem.at(&table.place("file"), "this one has fewer"));
        return None;
    }
    Some(HookSecret::new(line.as_bytes()))
}
