//! What is wrong with a configuration file, pointed out in the file: all of it at once.
//!
//! Findings come in as [`Problem`]s while the file is read. Out goes a [`Report`], which a person reads
//! (underlined lines, colours on a terminal) and a log takes line by line. Secrets that stand in the file in
//! clear are starred out first, since a report ends up in logs and tickets.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::io::IsTerminal as _;
use std::ops::Range;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, Severity, SourceCode,
};

/// Problems that are drawn in full; a file with more is wrong as a whole, and the rest is only counted.
const DRAWN_MAX: usize = 100;
/// Columns of a drawing where no terminal says.
const WIDTH: usize = 110;

/// Octets of the file.
pub(super) type Span = Range<usize>;

/// One thing that is wrong, or that deserves a second look.
#[derive(Debug)]
pub(super) struct Problem {
    severity: Severity,
    message: String,
    labels: Vec<LabeledSpan>,
    help: Option<String>,
}

impl Problem {
    /// The file cannot be used because of it.
    pub(super) fn error(message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, message: message.into(), labels: Vec::new(), help: None }
    }

    /// The file can be used, but perhaps not as it was meant.
    pub(super) fn warning(message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(message) }
    }

    /// Underlines `span`; `text` says in few words what is there.
    pub(super) fn at(mut self, span: &Span, text: impl Into<String>) -> Self {
        self.labels.push(LabeledSpan::new(Some(text.into()), span.start, span.len()));
        self
    }

    /// What to do about it.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    fn offset(&self) -> usize {
        self.labels.iter().map(LabeledSpan::offset).min().unwrap_or(0)
    }
}

/// Where the parts of the loader put what they find. Shared, so that one pass can go on after an error.
#[derive(Debug, Default)]
pub(super) struct Findings(RefCell<Vec<Problem>>);

impl Findings {
    pub(super) fn add(&self, problem: Problem) {
        self.0.borrow_mut().push(problem);
    }

    /// All findings, in the order of the file.
    pub(super) fn into_report(self, name: &str, text: &str) -> Report {
        let mut problems = self.0.into_inner();
        problems.sort_by_key(Problem::offset);
        let line_ends = text.bytes().enumerate().filter(|(_, octet)| *octet == b'\n').map(|(at, _)| at);
        Report {
            line_ends: line_ends.collect(),
            source: NamedSource::new(name, star_out_secrets(text)).with_language("TOML"),
            problems,
        }
    }
}

/// The findings in one configuration file, errors and warnings.
///
/// Its `Display` is the drawing without colours.
pub struct Report {
    source: NamedSource<String>,
    /// Where its lines end.
    line_ends: Vec<usize>,
    problems: Vec<Problem>,
}

impl Report {
    /// How many findings forbid to use the file.
    pub fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    /// How many findings are warnings.
    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    /// True if nothing was found.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// The findings as a person reads them, drawn as wide as the terminal, with colours if standard error is one
    /// and `NO_COLOR` is not set.
    pub fn for_terminal(&self) -> String {
        let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let theme = if colours { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        self.drawn(&GraphicalReportHandler::new_themed(theme))
    }

    /// The findings as a log takes them: `file:line: message` each, and further lines behind it where it has more places
    /// than one.
    pub fn lines(&self) -> impl Iterator<Item = String> + '_ {
        self.problems.iter().map(|problem| self.line(problem))
    }

    /// The same of those alone that forbid to use the file.
    pub fn error_lines(&self) -> impl Iterator<Item = String> + '_ {
        let errors = self.problems.iter().filter(|problem| problem.severity == Severity::Error);
        errors.map(|problem| self.line(problem))
    }

    fn line(&self, problem: &Problem) -> String {
        let (name, message) = (self.source.name(), &problem.message);
        let line_of = |label: &LabeledSpan| 1 + self.line_ends.partition_point(|end| *end < label.offset());
        let lines: BTreeSet<_> = problem.labels.iter().map(line_of).collect();
        let mut lines = lines.into_iter().map(|line| line.to_string());
        let Some(first) = lines.next() else { return format!("{name}: {message}") };
        let others: Vec<_> = lines.collect();
        match &others[..] {
            [] => format!("{name}:{first}: {message}"),
            [other] => format!("{name}:{first}: {message} (and line {other})"),
            others => format!("{name}:{first}: {message} (and lines {})", others.join(", ")),
        }
    }

    fn count(&self, severity: Severity) -> usize {
        self.problems.iter().filter(|problem| problem.severity == severity).count()
    }

    fn drawn(&self, handler: &GraphicalReportHandler) -> String {
        let mut drawing = String::new();
        for problem in self.problems.iter().take(DRAWN_MAX) {
            let drawn = handler.render_report(&mut drawing, &Located { problem, source: &self.source });
            drawn.expect("writing to a String cannot fail and every label lies in the file");
            drawing.push('\n');
        }
        if let Some(more @ 1..) = self.problems.len().checked_sub(DRAWN_MAX) {
            drawing.push_str(&format!("… and {more} more\n"));
        }
        drawing
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor()).with_width(WIDTH);
        f.write_str(self.drawn(&handler).trim_end())
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Report {}

/// A problem together with the file it is in, as miette draws it.
struct Located<'a> {
    problem: &'a Problem,
    source: &'a NamedSource<String>,
}

impl fmt::Debug for Located<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.problem, f)
    }
}

impl fmt::Display for Located<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A drawing names the file above what it underlines, and only there.
        if self.problem.labels.is_empty() {
            write!(f, "{}: ", self.source.name())?;
        }
        f.write_str(&self.problem.message)
    }
}

impl std::error::Error for Located<'_> {}

impl Diagnostic for Located<'_> {
    fn severity(&self) -> Option<Severity> {
        Some(self.problem.severity)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let help = self.problem.help.as_deref()?;
        Some(Box::new(help))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        if self.problem.labels.is_empty() {
            return None;
        }
        Some(Box::new(self.problem.labels.iter().cloned()))
    }
}

/// The text with what follows `password =`, `pin =`, `token =`, `hash =` and `sealed =` in quotes replaced by stars, octet for
/// octet, so that spans keep their place. It works on lines and not on the parsed tree: a file that TOML cannot read
/// must not show its secrets either. The `pin` among codes is what people dial, and stays.
fn star_out_secrets(text: &str) -> String {
    const SECRETS: [&str; 5] = ["password", "pin", "token", "hash", "sealed"];

    let mut starred = String::with_capacity(text.len());
    let mut among_codes = false;
    for line in text.split_inclusive('\n') {
        if let Some(header) = line.trim_start().strip_prefix('[') {
            among_codes = header.split(']').next().is_some_and(is_codes);
        }
        let mut rest = line;
        'line: while !rest.is_empty() {
            for secret in SECRETS {
                let Some(after) = rest.strip_prefix(secret) else { continue };
                let before = &line[..line.len() - rest.len()];
                let is_code = secret == "pin" && (among_codes || ends_in_codes(before));
                if is_code {
                    continue;
                }
                let value = after.trim_start_matches(['"', '\'']).trim_start_matches([' ', '\t']);
                let Some(value) = value.strip_prefix('=').map(|value| value.trim_start_matches([' ', '\t']))
                else {
                    continue;
                };
                let Some(quote @ ('"' | '\'')) = value.chars().next() else { continue };
                let clear = value[1..].find([quote, '\n']).map_or(&value[1..], |end| &value[1..][..end]);
                starred.push_str(&rest[..rest.len() - value.len() + 1]);
                starred.extend(std::iter::repeat_n('*', clear.len()));
                rest = &value[1 + clear.len()..];
                continue 'line;
            }
            let step = rest.chars().next().map_or(rest.len(), char::len_utf8);
            starred.push_str(&rest[..step]);
            rest = &rest[step..];
        }
    }
    starred
}

/// True if `table`, its dotted name, is one of codes.
fn is_codes(table: &str) -> bool {
    table.rsplit('.').next().is_some_and(|name| name.trim() == "codes")
}

/// True if what follows `line` is a key of codes: `codes.` or `codes = { …`.
fn ends_in_codes(line: &str) -> bool {
    let inline = line.rsplit_once('{').filter(|(_, keys)| !keys.contains('}'));
    let table = match inline {
        Some((key, _)) => key.trim_end().strip_suffix('='),
        None => line.trim_end().strip_suffix('.'),
    };
    table.is_some_and(|table| {
        is_codes(table.trim_end().rsplit([' ', '\t', ',', '{']).next().unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_starred_out_in_place() {
        let text = "password = \"käse\"  # mine\ntokens = [{ name = \"a\", token = 'x y' }]\npin={hash=\"$argon2id$v\"}\n\
                    password = { file = \"secrets/a\" }\npassword = \"open";

        let starred = star_out_secrets(text);

        assert_eq!(
            starred,
            "password = \"*****\"  # mine\ntokens = [{ name = \"a\", token = '***' }]\npin={hash=\"***********\"}\n\
             password = { file = \"secrets/a\" }\npassword = \"****"
        );
        assert_eq!(starred.len(), text.len());
    }

    #[test]
    fn code_that_changes_a_pin_is_no_secret_and_a_pin_beside_it_is_one() {
        for shown in [
            "[tenant.codes]\nlogin = \"*11\"\npin = \"*14\"\n",
            "[ tenant . codes ] # of all\npin = \"14\"",
            "codes = { login = \"*11\", pin = \"*14\" }",
            "codes.pin = \"*14\"",
            "site = [{ id = \"a\", codes = { pin = \"*14\" } }]",
        ] {
            assert_eq!(star_out_secrets(shown), shown);
        }
        for (text, starred) in [
            ("codes = { pin = \"*14\" }\npin = \"14\"", "codes = { pin = \"*14\" }\npin = \"**\""),
            (
                "[tenant.codes]\n[[tenant.extension]\npin = \"1\"",
                "[tenant.codes]\n[[tenant.extension]\npin = \"*\"",
            ),
            ("a = { codes = {}, pin = \"14\" }", "a = { codes = {}, pin = \"**\" }"),
            ("{ codes = { pin = \"*1\" }, pin = \"14\" }", "{ codes = { pin = \"*1\" }, pin = \"**\" }"),
            ("barcodes = { pin = \"14\" }", "barcodes = { pin = \"**\" }"),
            ("[tenant.codes]\npassword = \"14\"", "[tenant.codes]\npassword = \"**\""),
        ] {
            assert_eq!(star_out_secrets(text), starred);
        }
    }

    #[test]
    fn report_is_in_the_order_of_the_file_and_counts() {
        let findings = Findings::default();
        findings.add(Problem::warning("second").at(&(8..9), "here"));
        findings.add(Problem::error("first").at(&(0..1), "there").help("do this"));

        let report = findings.into_report("a.toml", "a = 1\nb = 2\n");

        assert_eq!((report.errors(), report.warnings()), (1, 1));
        assert_eq!(report.lines().collect::<Vec<_>>(), ["a.toml:1: first", "a.toml:2: second"]);
        assert!(report.to_string().contains("help: do this"), "{report}");
    }

    #[test]
    fn every_line_of_a_finding_is_named() {
        let findings = Findings::default();
        let twice = Problem::error("twice").at(&(12..13), "here").at(&(0..1), "and here");
        findings.add(twice.at(&(4..5), "in the first line too"));
        findings.add(Problem::error("thrice").at(&(6..7), "a").at(&(12..13), "b").at(&(18..19), "c"));

        let report = findings.into_report("a.toml", "a = 1\nb = 2\nc = 3\nd = 4");

        let lines: Vec<_> = report.lines().collect();
        assert_eq!(lines, ["a.toml:1: twice (and line 3)", "a.toml:2: thrice (and lines 3, 4)"]);
    }
}
