//! `[tenant.base]` and `absent`: what an empty phone may call, and what callers of somebody who is nowhere are told.

use std::ops::RangeInclusive;
use std::time::Duration;

use dataplane::settings::{Absent, BasePolicy, Pattern};

use super::keys::{self, Section};
use super::name;
use super::read::{Choice, Table, Text, choose};
use super::report::Problem;

/// Most entries of a list of numbers; each is compared with what an empty phone dials.
const PATTERNS_MAX: usize = 256;
/// How long a desk may be kept: for a call, and until the next morning.
const LAST_DESK: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(86_400);

/// What a phone may do at which nobody sits.
pub(super) fn base(tenant: &Table<'_>) -> BasePolicy {
    let Some(table) = tenant.table("base", &keys::BASE) else { return BasePolicy::default() };
    let pattern = |text: &Text<'_>| {
        let pattern = Pattern::new(text.value);
        if pattern.is_none() {
            let problem = Problem::error(format!("\"{}\" is no number", text.value)).at(&text.span, "this");
            table.add(problem.help(
                "a number or extension, `x` for any digit, `.` at the end for any more: \"2xx\", \"00.\"",
            ));
        }
        pattern
    };
    let texts = table.texts("may_call", PATTERNS_MAX).unwrap_or_default();
    BasePolicy { may_call: texts.iter().filter_map(pattern).collect() }
}

/// What callers are told of a tenant, or of an extension; `None`: nothing is said of it.
pub(super) fn absent(table: &Table<'_>, section: &'static Section) -> Option<Absent> {
    const WORDS: [Choice<()>; 1] = [("unavailable", Some(()))];

    let (_, value) = table.entry("absent")?;
    if value.get_ref().is_str() {
        return choose(&table.text("absent")?, &WORDS, table.findings()).map(|()| Absent::Unavailable);
    }
    let table = table.table("absent", section)?;
    let keep = table.time("last_desk", LAST_DESK);
    if table.entry("last_desk").is_none() {
        let help = "a number or a URI, such as \"+12125551001\" or \"sip:1000@acme.example\"";
        table.required("redirect", help)?;
    }
    let redirect = table.text("redirect").and_then(|text| redirect(&text, &table));
    match keep {
        Some(keep) => Some(Absent::LastDesk { keep, redirect }),
        None => redirect.map(Absent::Redirect),
    }
}

/// Where callers are sent.
fn redirect(text: &Text<'_>, table: &Table<'_>) -> Option<Box<str>> {
    if text.value.starts_with('+') {
        return name::e164(text, table.findings());
    }
    if is_plain_uri(text.value) {
        return Some(text.value.into());
    }
    let problem = Problem::error(format!("nobody can be sent to \"{}\"", text.value)).at(&text.span, "this");
    table.add(problem.help("+ and digits, or sip:user@host[:port] without parameters"));
    None
}

/// `sip:user@host[:port]`, of which no part needs an escape (RFC 3261 §25.1).
fn is_plain_uri(text: &str) -> bool {
    let parts = text.strip_prefix("sip:").and_then(|rest| rest.split_once('@'));
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.!~*'()&=+$,/".contains(c);
    parts.is_some_and(|(user, host)| {
        !user.is_empty() && user.chars().all(plain) && name::host_and_port(host).is_some()
    })
}
