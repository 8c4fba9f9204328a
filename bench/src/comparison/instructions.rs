//! Instructions a unit of work takes in user mode: by the processor's counter where it has one, else by callgrind.
//!
//! Two runs that differ in nothing but their length: start, registrations and end are in both, and the difference is
//! what the units take that one has more.

use std::fs;
use std::process::{Command, Stdio};

use super::ComparisonError;
use super::server::{Place, Server, Setup, broken};

/// Units of the short and of the long run.
const UNITS: [u64; 2] = [2_000, 10_000];

/// How instructions are counted here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counter {
    /// `perf stat -e instructions:u`
    Perf,
    /// `valgrind --tool=callgrind`
    Callgrind,
}

impl Counter {
    /// What this machine has; `None` if neither.
    pub(super) fn of_this_machine() -> Option<Self> {
        let runs = |program: &str, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().ok()?;
            output.status.success().then(|| String::from_utf8_lossy(&output.stderr).into_owned())
        };
        let counted = runs("perf", &["stat", "-x", ",", "-e", "instructions:u", "true"]);
        if counted.and_then(|text| perf_count(&text)).is_some() {
            return Some(Self::Perf);
        }
        runs("valgrind", &["--version"]).map(|_| Self::Callgrind)
    }

    /// What it is called in a table.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Perf => "perf",
            Self::Callgrind => "callgrind",
        }
    }
}

impl Place {
    /// Instructions that one unit of `load` takes.
    pub(super) fn instructions(
        &self,
        counter: Counter,
        server: Server,
        setup: Setup,
        load: &[&str],
    ) -> Result<f64, ComparisonError> {
        let setup = Setup { callgrind: counter == Counter::Callgrind, ..setup };
        let mut counts = [0; 2];
        for (count, units) in counts.iter_mut().zip(UNITS) {
            let units = units.to_string();
            let bounded = [
                "--count",
                &units,
                "--warm-up",
                "0",
                "--seconds",
                "900",
                "--in-flight",
                "32",
                "--patience",
                "60000",
            ];
            let load: Vec<&str> = load.iter().copied().chain(bounded).collect();
            self.forget_counts()?;
            let running = self.start(server, setup)?;
            let perf = (counter == Counter::Perf).then(|| self.perf(running.pid())).transpose()?;
            let played = self.load(&running, setup, &load)?;
            let done = played.figures["done"].as_u64().unwrap_or_default();
            if done.to_string() != units || played.figures["lost"] != 0 || played.figures["wrong"] != 0 {
                return Err(ComparisonError::Failed {
                    what: format!("{load:?} of {server:?}: {:#}", played.figures),
                });
            }
            running.end();
            *count = match perf {
                Some(perf) => {
                    let output = perf.wait_with_output().map_err(broken("perf"))?;
                    perf_count(&String::from_utf8_lossy(&output.stderr)).unwrap_or_default()
                }
                None => self.callgrind_count()?,
            };
        }
        Ok(counts[1].saturating_sub(counts[0]) as f64 / (UNITS[1] - UNITS[0]) as f64)
    }

    /// Counts a process and all it has made, until they end.
    fn perf(&self, pid: u32) -> Result<std::process::Child, ComparisonError> {
        let pids = crate::swarm::usage::family(pid).map_err(broken("the server's processes"))?;
        let pids = pids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let mut command = Command::new("perf");
        command.args(["stat", "-x", ",", "-e", "instructions:u", "-p", &pids]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(broken("perf"))
    }

    fn forget_counts(&self) -> Result<(), ComparisonError> {
        for path in self.counts()? {
            fs::remove_file(path).map_err(broken("old counts"))?;
        }
        Ok(())
    }

    /// The server's processes count each in a file of its own. All are added up: those that do not serve wait.
    fn callgrind_count(&self) -> Result<u64, ComparisonError> {
        let mut total = 0;
        for path in self.counts()? {
            let text = fs::read_to_string(path).map_err(broken("callgrind's counts"))?;
            total += callgrind_count(&text).unwrap_or_default();
        }
        if total == 0 {
            return Err(ComparisonError::Failed {
                what: format!("callgrind counted nothing\n{}", self.log()),
            });
        }
        Ok(total)
    }

    fn counts(&self) -> Result<Vec<std::path::PathBuf>, ComparisonError> {
        let entries = fs::read_dir(&self.work).map_err(broken("the working folder"))?;
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        Ok(paths
            .filter(|path| {
                path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("callgrind."))
            })
            .collect())
    }
}

/// The count of `perf stat -x ,`.
fn perf_count(text: &str) -> Option<u64> {
    text.lines().find(|line| line.contains("instructions:u"))?.split(',').next()?.parse().ok()
}

/// The sum of a callgrind file.
fn callgrind_count(text: &str) -> Option<u64> {
    let line = |name| text.lines().find_map(|line: &str| line.strip_prefix(name));
    line("totals:").or_else(|| line("summary:"))?.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_where_there_are_any() {
        assert_eq!(perf_count("123456,,instructions:u,100,100.00,,\n"), Some(123_456));
        assert_eq!(perf_count("<not supported>,,instructions:u,0,100.00,,\n"), None);
        assert_eq!(callgrind_count("version: 1\nsummary: 7\n\nfn=main\n1 2\n\ntotals: 42\n"), Some(42));
        assert_eq!(callgrind_count("version: 1\nsummary: 7\n"), Some(7));
        assert_eq!(callgrind_count(""), None);
    }
}
