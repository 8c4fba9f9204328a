//! `[tenant.base]` and `absent`: what an empty phone may call, and what callers of somebody who is nowhere are told.

use dataplane::settings::{Absent, BasePolicy, Pattern};

use super::keys::{self, Section};
use super::name;
use super::read::{Choice, Table, Text, choose};
use super::report::Problem;

/// Most entries of a list of numbers; each is compared with what an empty phone dials.
const PATTERNS_MAX: usize = 256;

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
    let text = table
        .required("redirect", "a number or a URI, such as \"+12125551001\" or \"sip:1000@acme.example\"")?;
    if text.value.starts_with('+') {
        return name::e164(&text, table.findings()).map(Absent::Redirect);
    }
    if is_plain_uri(text.value) {
        return Some(Absent::Redirect(text.value.into()));
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
