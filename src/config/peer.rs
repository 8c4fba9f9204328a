//! `trust` of a route and of emergency calls: who the edge is at peers that ask.

use std::sync::Arc;

use dataplane::settings::PeerAccount;

use super::keys::Section;
use super::read::{Choice, Table, Text};
use super::report::Problem;
use super::secret::Secrets;

/// Longest user name and realm, in octets: they go along with every request.
const NAME_LENGTH_MAX: usize = 128;

/// The account of the edge at the peers of `table`; `password` is the section of its secret. `None`: they know the edge by
/// its address.
pub(super) fn account(
    table: &Table<'_>,
    password: &'static Section,
    secrets: &Secrets<'_>,
) -> Option<Arc<PeerAccount>> {
    const TRUSTS: [Choice<bool>; 2] = [("address", Some(false)), ("digest", Some(true))];

    let by_digest = match table.entry("trust") {
        Some(_) => table.choice("trust", &TRUSTS)?,
        None => false,
    };
    if !by_digest {
        for key in ["username", "password", "realm"] {
            if let Some((name, _)) = table.entry(key) {
                let problem = Problem::error(format!("`{key}` is for peers that ask for it"));
                table.add(problem.at(&name.span(), "nobody is told").help("trust = \"digest\""));
            }
        }
        return None;
    }
    let username = table.required("username", "add username = \"…\": who the edge is there");
    let secret = table.entry("password");
    if secret.is_none() {
        table.missing("password", "add password = { file = \"secrets/…\" }");
    }
    let password = secret.and_then(|(_, value)| secrets.password(value, password, table));
    let realm = table.text("realm").map(|text| between_quotes(&text, table));
    Some(Arc::new(PeerAccount {
        username: between_quotes(&username?, table)?,
        password: password?,
        realm: realm.unwrap_or_default(),
    }))
}

/// What can stand between quotes in a header as it is (RFC 3261 §25.1).
fn between_quotes(text: &Text<'_>, table: &Table<'_>) -> Option<Box<str>> {
    let is_plain = |character: char| !character.is_control() && !matches!(character, '"' | '\\');
    if (1..=NAME_LENGTH_MAX).contains(&text.value.len()) && text.value.chars().all(is_plain) {
        return Some(text.value.into());
    }
    let problem = Problem::error("no peer can be told this").at(&text.span, "this");
    let help = format!("1 to {NAME_LENGTH_MAX} octets without quotes, backslashes and control characters");
    table.add(problem.help(help));
    None
}
