//! `[tenant.attendant]`: how the attendant talks to people, and the languages of places and persons.

use std::time::Duration;

use dataplane::settings::AttendantPolicy;

use super::read::Table;
use super::report::Problem;

/// A person who waits longer has put the handset beside the phone.
const WAIT_MAX: Duration = Duration::from_secs(60);

pub(super) fn read(table: &Table<'_>) -> AttendantPolicy {
    let defaults = AttendantPolicy::default();
    let wait = |key, default| table.time(key, Duration::from_secs(1)..=WAIT_MAX).unwrap_or(default);
    AttendantPolicy {
        language: language(table).unwrap_or(defaults.language),
        first_digit_timeout: wait("first_digit_timeout", defaults.first_digit_timeout),
        digit_timeout: wait("digit_timeout", defaults.digit_timeout),
        tries: table.number("tries", 1..=10).map_or(defaults.tries, |tries| tries as u8),
        in_band: table.boolean("in_band").unwrap_or(defaults.in_band),
    }
}

/// The `language` of a table: the name of a folder of prompts, as RFC 5646 writes languages.
pub(super) fn language(table: &Table<'_>) -> Option<Box<str>> {
    let text = table.text("language")?;
    let is_tag = text.value.split('-').enumerate().all(|(at, part)| {
        let length = if at == 0 { 2..=3 } else { 2..=8 };
        length.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    if is_tag && text.value.starts_with(|first: char| first.is_ascii_lowercase()) {
        return Some(text.value.into());
    }
    let problem = Problem::error(format!("\"{}\" is no language", text.value)).at(&text.span, "this");
    table.add(problem.help("such as \"en\" or \"de\": the folder of its prompts"));
    None
}
