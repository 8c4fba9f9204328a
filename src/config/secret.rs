//! Secrets of the file: given in clear for a demonstration, else in a file of their own.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::DeValue;
use zeroize::Zeroizing;

use super::keys::Section;
use super::read::{Table, Text};
use super::report::{Findings, Problem, Span};

/// Longest secret, in a file or out of it.
const SECRET_OCTETS_MAX: usize = 1024;

/// Longest file that is read whole: all authorities that browsers know take a quarter of it.
const WHOLE_OCTETS_MAX: u64 = 1 << 20;

/// Where secrets come from, and which stand in clear.
pub(super) struct Secrets<'a> {
    /// The folder of the configuration file; paths are relative to it.
    base: &'a Path,
    findings: &'a Findings,
    in_clear: RefCell<Vec<Span>>,
}

impl<'a> Secrets<'a> {
    pub(super) fn new(base: &'a Path, findings: &'a Findings) -> Self {
        Self { base, findings, in_clear: RefCell::default() }
    }

    /// A password: a text, or `{ file = … }`.
    pub(super) fn password<'t>(
        &self,
        value: &'t Spanned<DeValue<'t>>,
        section: &'static Section,
        table: &Table<'t>,
    ) -> Option<Zeroizing<String>> {
        if let DeValue::Table(_) = value.get_ref() {
            return self.file(&Table::of(section, value, table.findings())?);
        }
        self.clear(&table.text_in(value)?)
    }

    /// A secret that stands in the configuration itself.
    pub(super) fn clear(&self, text: &Text<'_>) -> Option<Zeroizing<String>> {
        self.in_clear.borrow_mut().push(text.span.clone());
        if let Some(fault) = fault(text.value) {
            self.findings.add(Problem::error(format!("the secret {fault}")).at(&text.span, "this"));
            return None;
        }
        Some(Zeroizing::new(text.value.to_owned()))
    }

    /// The first line of the file that the key `file` of `table` names.
    pub(super) fn file(&self, table: &Table<'_>) -> Option<Zeroizing<String>> {
        let text = table.required("file", "name the file that holds the secret: { file = \"secrets/…\" }")?;
        let path = self.path(&text);
        let (line, mode) = self.found(&text, &path, first_line(&path))?;
        self.warn_of_readers(&text, &path, mode);
        if let Some(fault) = fault(&line) {
            let problem = Problem::error(format!("the first line of {} {fault}", path.display()));
            self.findings.add(problem.at(&text.span, "named here"));
            return None;
        }
        Some(line)
    }

    /// The file that `text` names.
    pub(super) fn path(&self, text: &Text<'_>) -> PathBuf {
        self.base.join(text.value)
    }

    /// All of the file that `text` names, up to 1 MiB; others should not read it if it `is_secret`.
    pub(super) fn whole(&self, text: &Text<'_>, is_secret: bool) -> Option<Zeroizing<Vec<u8>>> {
        let path = self.path(text);
        let read = File::open(&path).and_then(|file| {
            let mode = file.metadata()?.permissions().mode();
            let mut octets = Zeroizing::new(Vec::new());
            file.take(WHOLE_OCTETS_MAX + 1).read_to_end(&mut octets)?;
            Ok((octets, mode))
        });
        let (octets, mode) = self.found(text, &path, read)?;
        if is_secret {
            self.warn_of_readers(text, &path, mode);
        }
        if octets.len() as u64 > WHOLE_OCTETS_MAX {
            let problem = Problem::error(format!("{} is larger than 1 MiB", path.display()));
            self.findings.add(problem.at(&text.span, "named here"));
            return None;
        }
        Some(octets)
    }

    /// What was read of a file, or a finding.
    fn found<T>(&self, text: &Text<'_>, path: &Path, read: io::Result<T>) -> Option<T> {
        read.map_err(|error| {
            let problem = Problem::error(format!("{} cannot be read: {error}", path.display()));
            let problem = problem.at(&text.span, "named here");
            self.findings.add(problem.help("a path is relative to the folder of the configuration file"));
        })
        .ok()
    }

    fn warn_of_readers(&self, text: &Text<'_>, path: &Path, mode: u32) {
        if mode & 0o007 != 0 {
            let fault = format!("{} is a secret that everybody on this machine may read", path.display());
            let problem = Problem::warning(fault).at(&text.span, "named here");
            self.findings.add(problem.help("chmod o= the file"));
        }
    }

    /// Warns if others may read the file and it holds secrets.
    pub(super) fn warn_if_readable(&self, readable_by_others: bool) {
        let in_clear = self.in_clear.borrow();
        let Some(first) = in_clear.first().filter(|_| readable_by_others) else { return };
        let problem =
            Problem::warning("secrets stand in clear in a file that everybody on this machine may read");
        let label =
            if in_clear.len() == 1 { "this".into() } else { format!("this and {} more", in_clear.len() - 1) };
        let help = "chmod o= the file, or put each secret in a file of its own: { file = \"secrets/…\" }";
        self.findings.add(problem.at(first, label).help(help));
    }
}

/// The first line of a file that holds a secret, and the file's mode. Of a longer file only as much is read as shows
/// that the line is too long.
pub(crate) fn first_line(path: &Path) -> io::Result<(Zeroizing<String>, u32)> {
    let file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode();
    let mut content = Zeroizing::new(Vec::with_capacity(SECRET_OCTETS_MAX + 1));
    file.take(SECRET_OCTETS_MAX as u64 + 1).read_to_end(&mut content)?;
    let line = content.split(|&octet| octet == b'\n').next().unwrap_or_default();
    let line = std::str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line))
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok((Zeroizing::new(line.to_owned()), mode))
}

fn fault(secret: &str) -> Option<&'static str> {
    match secret {
        "" => Some("is empty"),
        _ if secret.len() > SECRET_OCTETS_MAX => Some("is longer than 1024 octets"),
        _ if secret.chars().any(char::is_control) => Some("has control characters"),
        _ => None,
    }
}
