//! What one may dial in a tenant must mean one thing: codes, emergency numbers and extensions.

use super::account::Accounts;
use super::read::{Table, Text};
use super::report::Problem;

/// What a code is for.
const CODES: [&str; 4] = ["login", "logout", "toggle", "who"];

/// Reports every pair that clashes.
pub(super) fn check(
    tenant: &Table<'_>,
    codes: Option<&Table<'_>>,
    emergency: Option<&Table<'_>>,
    accounts: &Accounts,
) {
    let (numbers, prefixes) =
        (texts(emergency, "numbers"), emergency.map(|table| table.quiet_texts("prefixes")));
    // Absent are the prefixes that stand by default.
    let default = dataplane::settings::Emergency::default().prefixes;
    let prefixes: Vec<&str> = match &prefixes {
        Some(Some(texts)) => texts.iter().map(|text| text.value).collect(),
        _ => default.iter().map(|prefix| &**prefix).collect(),
    };
    let codes: Vec<Text<'_>> = CODES.into_iter().flat_map(|key| texts(codes, key)).collect();

    for (index, code) in codes.iter().enumerate() {
        let alike =
            |other: &&Text<'_>| other.value.starts_with(code.value) || code.value.starts_with(other.value);
        for other in codes[index + 1..].iter().filter(alike) {
            let problem = Problem::error(format!("{} and {} begin alike", code.value, other.value));
            let help = "a phone or an edge that reads digit by digit cannot tell them apart";
            tenant.add(problem.at(&code.span, "one code").at(&other.span, "another").help(help));
        }
    }
    for code in &codes {
        if let Some(number) =
            numbers.iter().find(|number| is_call_for_help(code.value, number.value, &prefixes))
        {
            let problem = Problem::error(format!("{} is an emergency call and a code", code.value));
            tenant.add(problem.at(&number.span, "emergency").at(&code.span, "code"));
        }
    }
    for (extension, span) in &accounts.extensions {
        if let Some(code) = codes.iter().find(|code| *code.value == *extension.number) {
            let problem = Problem::error(format!("{} is a code and an extension", code.value));
            tenant.add(problem.at(&code.span, "code").at(span, "extension"));
        }
        if let Some(number) =
            numbers.iter().find(|number| is_call_for_help(&extension.number, number.value, &prefixes))
        {
            let problem =
                Problem::error(format!("{} is an emergency call and an extension", extension.number));
            let help = "emergency numbers are recognised first, with separators and behind each of `prefixes`: \
                        this extension could never be called";
            tenant.add(problem.at(&number.span, "emergency").at(span, "extension").help(help));
        }
    }
}

fn texts<'a>(table: Option<&Table<'a>>, key: &str) -> Vec<Text<'a>> {
    table.and_then(|table| table.quiet_texts(key)).unwrap_or_default()
}

/// True if who dials `dialled` calls `number`: visual separators (RFC 3966 §5.1.1) and a prefix for an outside line
/// do not count.
fn is_call_for_help(dialled: &str, number: &str, prefixes: &[&str]) -> bool {
    let dialled: String = dialled.chars().filter(|c| !"-.()".contains(*c)).collect();
    let tail = dialled.strip_suffix(number);
    tail.is_some_and(|prefix| prefix.is_empty() || prefixes.contains(&prefix))
}
