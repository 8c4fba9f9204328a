//! Reading the parsed file: typed values with their place in the text. What is missing, misspelt, of the wrong
//! kind or out of bounds becomes a finding, and reading goes on.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::duration;
use super::keys::{SECTIONS, Section, nearest};
use super::report::{Findings, Problem, Span};

type Key<'a> = &'a Spanned<DeString<'a>>;

/// One table of the file, its keys known to be those of its section.
#[derive(Clone)]
pub(super) struct Table<'a> {
    pub(super) section: &'static Section,
    /// Its header, or the whole of an inline table.
    pub(super) span: Span,
    table: &'a DeTable<'a>,
    findings: &'a Findings,
}

/// A text with its place.
#[derive(Clone, Debug)]
pub(super) struct Text<'a> {
    pub(super) value: &'a str,
    /// With its quotes.
    pub(super) span: Span,
}

impl Text<'_> {
    /// The place of some octets of the value; of all of it where escapes or long quotes hide them.
    pub(super) fn part(&self, octets: std::ops::Range<usize>) -> Span {
        if self.span.len() == self.value.len() + 2 {
            self.span.start + 1 + octets.start..self.span.start + 1 + octets.end
        } else {
            self.span.clone()
        }
    }
}

/// One choice of a key: how it is written and what it means; `None` is known, and not available in this version.
pub(super) type Choice<T> = (&'static str, Option<T>);

impl<'a> Table<'a> {
    /// Opens a table and reports every key of it that is unknown.
    pub(super) fn open(
        section: &'static Section,
        span: Span,
        table: &'a DeTable<'a>,
        findings: &'a Findings,
    ) -> Self {
        for key in table.keys() {
            if !section.keys.contains(&key.get_ref().as_ref()) {
                findings.add(unknown_key(section, key.get_ref(), &key.span()));
            }
        }
        Self { section, span, table, findings }
    }

    /// The table in `value`, if it is one.
    pub(super) fn of(
        section: &'static Section,
        value: &'a Spanned<DeValue<'a>>,
        findings: &'a Findings,
    ) -> Option<Self> {
        match value.get_ref() {
            DeValue::Table(table) => Some(Self::open(section, value.span(), table, findings)),
            other => {
                findings.add(wrong_kind("a table", other, &value.span()));
                None
            }
        }
    }

    /// Reports a problem.
    pub(super) fn add(&self, problem: Problem) {
        self.findings.add(problem);
    }

    /// All findings, for a reader of a part.
    pub(super) fn findings(&self) -> &'a Findings {
        self.findings
    }

    /// The key and value of `name`, of whatever kind.
    pub(super) fn entry(&self, name: &str) -> Option<(Key<'a>, &'a Spanned<DeValue<'a>>)> {
        debug_assert!(self.section.keys.contains(&name), "{name} is no key of {}", self.section.header());
        self.table.iter().find(|(key, _)| key.get_ref() == name)
    }

    /// The entries of a table whose values are all texts.
    pub(super) fn all_texts(&self) -> Vec<(&'a str, Text<'a>)> {
        let entries = self.table.iter();
        entries.filter_map(|(key, value)| Some((key.get_ref().as_ref(), self.text_in(value)?))).collect()
    }

    /// Where `name` stands, else where it would have to.
    pub(super) fn place(&self, name: &str) -> Span {
        self.entry(name).map_or_else(|| self.span.clone(), |(_, value)| value.span())
    }

    /// Reports that `name` is missing.
    pub(super) fn missing(&self, name: &str, help: &str) {
        let message = format!("`{name}` is missing in {}", self.section.header());
        self.add(Problem::error(message).at(&self.span, "in this table").help(help));
    }

    pub(super) fn text(&self, name: &str) -> Option<Text<'a>> {
        self.text_in(self.entry(name)?.1)
    }

    /// A text that must be there.
    pub(super) fn required(&self, name: &str, help: &str) -> Option<Text<'a>> {
        if self.entry(name).is_none() {
            self.missing(name, help);
        }
        self.text(name)
    }

    pub(super) fn text_in(&self, value: &'a Spanned<DeValue<'a>>) -> Option<Text<'a>> {
        match value.get_ref() {
            DeValue::String(text) => Some(Text { value: text, span: value.span() }),
            other => {
                self.add(wrong_kind("a text in quotes", other, &value.span()));
                None
            }
        }
    }

    /// A list of texts, at most `max`; `None` if the key is absent.
    pub(super) fn texts(&self, name: &str, max: usize) -> Option<Vec<Text<'a>>> {
        let (_, value) = self.entry(name)?;
        let DeValue::Array(array) = value.get_ref() else {
            let kind = "a list of texts, such as [\"…\"]";
            self.add(wrong_kind(kind, value.get_ref(), &value.span()));
            return None;
        };
        if array.len() > max {
            let message = format!("`{name}` has {} entries, at most {max} are possible", array.len());
            self.add(Problem::error(message).at(&value.span(), "too many"));
        }
        Some(array.iter().filter_map(|value| self.text_in(value)).collect())
    }

    /// The texts of `name`, one or a list, without a word about what is wrong with it: somebody else reports that.
    pub(super) fn quiet_texts(&self, name: &str) -> Option<Vec<Text<'a>>> {
        self.entry(name)?;
        Some(self.quiet_texts_at(&[name]))
    }

    /// The texts at the end of `path`, in every table of the lists on the way, likewise.
    pub(super) fn quiet_texts_at(&self, path: &[&str]) -> Vec<Text<'a>> {
        let mut texts = Vec::new();
        texts_below(self.table, path, &mut texts);
        texts
    }

    /// Where `value` stands among the texts at the end of `path`; the table itself if it does not.
    pub(super) fn place_of(&self, path: &[&str], value: &str) -> Span {
        let text = self.quiet_texts_at(path).into_iter().find(|text| text.value == value);
        text.map_or_else(|| self.span.clone(), |text| text.span)
    }

    pub(super) fn boolean(&self, name: &str) -> Option<bool> {
        let (_, value) = self.entry(name)?;
        match value.get_ref() {
            DeValue::Boolean(boolean) => Some(*boolean),
            other => {
                self.add(wrong_kind("true or false", other, &value.span()));
                None
            }
        }
    }

    pub(super) fn number(&self, name: &str, bounds: RangeInclusive<u32>) -> Option<u32> {
        let (_, value) = self.entry(name)?;
        let DeValue::Integer(integer) = value.get_ref() else {
            self.add(wrong_kind("a number", value.get_ref(), &value.span()));
            return None;
        };
        let number = i64::from_str_radix(integer.as_str(), integer.radix()).ok();
        let number =
            number.and_then(|number| u32::try_from(number).ok()).filter(|number| bounds.contains(number));
        if number.is_none() {
            self.add(out_of_bounds(name, &value.span(), bounds.start(), bounds.end()));
        }
        number
    }

    /// A time such as `"500ms"`.
    pub(super) fn time(&self, name: &str, bounds: RangeInclusive<Duration>) -> Option<Duration> {
        let text = self.time_text(name)?;
        let Some(time) = duration::parse(text.value) else {
            let problem = Problem::error(format!("`{}` is not a time", text.value)).at(&text.span, "this");
            self.add(
                problem.help("a whole number and a unit: ms, s, m, h or d, such as \"500ms\" or \"4h\""),
            );
            return None;
        };
        if !bounds.contains(&time) {
            let (least, most) = (duration::text(*bounds.start()), duration::text(*bounds.end()));
            self.add(out_of_bounds(name, &text.span, &least, &most));
            return None;
        }
        Some(time)
    }

    /// The same where the wire counts in whole seconds, as an expiry does (RFC 3261 §20.19).
    pub(super) fn whole_seconds(&self, name: &str, bounds: RangeInclusive<Duration>) -> Option<u32> {
        let time = self.time(name, bounds)?;
        if time.subsec_nanos() != 0 {
            let problem = Problem::error(format!("`{name}` is {time:?}, and an expiry has whole seconds"));
            self.add(problem.at(&self.place(name), "this"));
        }
        u32::try_from(time.as_secs()).ok()
    }

    fn time_text(&self, name: &str) -> Option<Text<'a>> {
        let (_, value) = self.entry(name)?;
        if let DeValue::Integer(integer) = value.get_ref() {
            let problem = Problem::error(format!("`{name}` has no unit")).at(&value.span(), "a bare number");
            self.add(
                problem.help(format!(
                    "a time is written with its unit, such as \"{integer}ms\" or \"{integer}s\""
                )),
            );
            return None;
        }
        self.text_in(value)
    }

    /// One of several words.
    pub(super) fn choice<T: Copy>(&self, name: &str, choices: &[Choice<T>]) -> Option<T> {
        choose(&self.text(name)?, choices, self.findings)
    }

    /// The table `name` of this one.
    pub(super) fn table(&self, name: &str, section: &'static Section) -> Option<Self> {
        let (key, value) = self.entry(name)?;
        if let DeValue::Array(_) = value.get_ref() {
            let problem = Problem::error(format!("{} may stand only once", section.header()));
            self.add(problem.at(&key.span(), "a list of tables").help("write it with single brackets"));
            return None;
        }
        Self::of(section, value, self.findings)
    }

    /// The tables of the list `name`, at most `max`.
    pub(super) fn tables(&self, name: &str, section: &'static Section, max: usize) -> Vec<Self> {
        let Some((key, value)) = self.entry(name) else { return Vec::new() };
        let DeValue::Array(array) = value.get_ref() else {
            let problem =
                Problem::error(format!("`{name}` is a list of tables")).at(&key.span(), "this is not");
            self.add(problem.help(format!("write {}", section.header())));
            return Vec::new();
        };
        if array.len() > max {
            let message = format!("{} {} tables, at most {max} are possible", array.len(), section.header());
            self.add(Problem::error(message).at(&key.span(), "the first of them"));
        }
        array.iter().filter_map(|value| Self::of(section, value, self.findings)).collect()
    }
}

fn texts_below<'a>(table: &'a DeTable<'a>, path: &[&str], texts: &mut Vec<Text<'a>>) {
    let Some((name, rest)) = path.split_first() else { return };
    let Some((_, value)) = table.iter().find(|(key, _)| key.get_ref() == name) else { return };
    let values = value.get_ref().as_array().map_or(std::slice::from_ref(value), |array| &array[..]);
    for value in values {
        match value.get_ref() {
            DeValue::Table(table) => texts_below(table, rest, texts),
            DeValue::String(text) if rest.is_empty() => texts.push(Text { value: text, span: value.span() }),
            _ => {}
        }
    }
}

/// The meaning of `text`, one of `choices`.
pub(super) fn choose<T: Copy>(text: &Text<'_>, choices: &[Choice<T>], findings: &Findings) -> Option<T> {
    match choices.iter().find(|(word, _)| *word == text.value) {
        Some((_, Some(meaning))) => Some(*meaning),
        Some((word, None)) => {
            let problem = Problem::error(format!("\"{word}\" is not available in this version"));
            findings.add(problem.at(&text.span, "this").help(format!("choose {}", words(choices))));
            None
        }
        None => {
            let problem =
                Problem::error(format!("\"{}\" is not possible here", text.value)).at(&text.span, "this");
            let near = nearest(
                text.value,
                choices.iter().filter(|choice| choice.1.is_some()).map(|choice| choice.0),
            );
            findings.add(problem.help(match near {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("choose {}", words(choices)),
            }));
            None
        }
    }
}

fn words<T>(choices: &[Choice<T>]) -> String {
    let words: Vec<_> = choices
        .iter()
        .filter(|choice| choice.1.is_some())
        .map(|choice| format!("\"{}\"", choice.0))
        .collect();
    words.join(" or ")
}

fn unknown_key(section: &Section, key: &str, span: &Span) -> Problem {
    let problem =
        Problem::error(format!("unknown key `{key}`")).at(span, format!("not in {}", section.header()));
    if let Some(near) = nearest(key, section.keys.iter().copied()) {
        return problem.help(format!("did you mean `{near}`?"));
    }
    let elsewhere: Vec<_> =
        SECTIONS.iter().filter(|other| other.keys.contains(&key)).map(|other| other.header()).collect();
    if !elsewhere.is_empty() {
        return problem.help(format!("`{key}` belongs in {}", elsewhere.join(" or ")));
    }
    problem.help(format!("known here: {}", section.keys.join(", ")))
}

fn wrong_kind(wanted: &str, found: &DeValue<'_>, span: &Span) -> Problem {
    let found = match found {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    Problem::error(format!("expected {wanted}, found {found}")).at(span, found)
}

fn out_of_bounds(name: &str, span: &Span, least: &impl Display, most: &impl Display) -> Problem {
    let problem = Problem::error(format!("`{name}` is out of bounds")).at(span, "this");
    problem.help(format!("from {least} to {most}"))
}
