//! What the tables of tenant, site, device and extension say about seats alike: when they end by themselves, and what is
//! dialled for them.

use std::time::Duration;

use dataplane::settings::{Codes, Ends, HomePhones, Limit, TERM_MAX, TimeOfDay, TimeZone};

use super::keys::Section;
use super::name;
use super::read::{Choice, Table};
use super::report::Problem;

/// Most times of day of one list: one an hour.
const TIMES_MAX: usize = 24;

/// Below a minute people would be logged out while they pick up the phone.
const TERM_MIN: Duration = Duration::from_secs(60);

/// What [`HomePhones`] is called in the file.
pub(super) const HOME_PHONES: [Choice<HomePhones>; 3] = [
    ("ring", Some(HomePhones::Ring)),
    ("silent", Some(HomePhones::Silent)),
    ("base", Some(HomePhones::Base)),
];

/// `idle_timeout`, `absolute_timeout` and `logout_at` of a table.
pub(super) fn ends(table: &Table<'_>) -> Ends {
    Ends {
        idle: limit(table, "idle_timeout"),
        absolute: limit(table, "absolute_timeout"),
        times: times(table),
    }
}

/// A time, or `"never"`.
fn limit(table: &Table<'_>, key: &str) -> Option<Limit> {
    let (_, value) = table.entry(key)?;
    if value.get_ref().as_str() == Some("never") {
        return Some(Limit::Never);
    }
    table.time(key, TERM_MIN..=TERM_MAX).map(Limit::After)
}

fn times(table: &Table<'_>) -> Option<Vec<TimeOfDay>> {
    let texts = table.texts("logout_at", TIMES_MAX)?;
    let time = |text: &super::read::Text<'_>| {
        let time = TimeOfDay::parse(text.value);
        if time.is_none() {
            let problem = Problem::error(format!("\"{}\" is no time of day", text.value));
            table.add(problem.at(&text.span, "this").help("hours and minutes, such as \"18:00\""));
        }
        time
    };
    Some(texts.iter().filter_map(time).collect())
}

/// `codes` of a table; a code that is not given is empty.
pub(super) fn codes(table: &Table<'_>, section: &'static Section) -> Option<Codes> {
    let table = table.table("codes", section)?;
    let code = |key| table.text(key).and_then(|text| name::code(&text, table.findings())).unwrap_or_default();
    Some(Codes {
        login: code("login"),
        logout: code("logout"),
        toggle: code("toggle"),
        who: code("who"),
        pin: code("pin"),
    })
}

/// `time_zone` of a tenant.
pub(super) fn time_zone(tenant: &Table<'_>) -> TimeZone {
    let Some(text) = tenant.text("time_zone") else { return TimeZone::default() };
    match jiff::tz::TimeZone::get(text.value) {
        Ok(zone) => zone.into(),
        Err(_) => {
            let problem = Problem::error(format!("there is no time zone {}", text.value));
            let help =
                "a name of the IANA time zone database, such as \"Europe/Berlin\" or \"America/New_York\"";
            tenant.add(problem.at(&text.span, "this").help(help));
            TimeZone::default()
        }
    }
}
