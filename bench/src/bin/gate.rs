//! What a change may not make worse: instructions an operation, and bytes a binding.
//!
//! ```text
//! gate             measures, prints each figure beside the one on record, fails if one has risen by more than 3 %
//! gate --record    measures, and puts the figures on record
//! ```
//!
//! The record is `bench/budget.json`. Instructions are counted by callgrind over a fixed run of `in-memory`; they repeat to
//! one part in a thousand, whatever else the machine does. Bytes are what `footprint` prints, the median of some runs. Time
//! is not judged here: it moves with the machine. Another compiler writes other instructions, so with one that the record
//! was not made by, the gate says what it sees and judges nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use bench::in_memory::Operation;
use serde_json::{Value, json};

/// A figure may rise by so much, in percent. Below lies what placement of code and data does by itself.
const RISE_MAX: f64 = 3.0;

/// Enough for the mean of an operation to repeat to one part in a thousand.
const TIMES: u64 = 1_000;
const DESKS: u64 = 1_000;

const BINDINGS: u32 = 100_000;
/// PSS moves by a hundredth from run to run; the median of three by less.
const FOOTPRINTS: usize = 3;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        [] => judge(),
        ["--record"] => record(),
        _ => Err("gate [--record]".to_owned()),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(reason) => {
            eprintln!("gate: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// By name, with its unit in it.
type Figures = BTreeMap<String, f64>;

fn judge() -> Result<bool, String> {
    let path = record_path();
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let record: Value =
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let compiler = compiler()?;
    let same_compiler = record["compiler"].as_str() == Some(&compiler);
    let before = record["figures"].as_object().ok_or("the record has no figures")?;
    let now = measure()?;

    let mut risen = 0;
    println!("{:<44} {:>10} {:>10} {:>8}", "", "on record", "now", "change");
    for (name, now) in &now {
        let Some(before) = before.get(name).and_then(Value::as_f64) else {
            return Err(format!("'{name}' is not on record: gate --record puts it there"));
        };
        let change = (now / before - 1.0) * 100.0;
        let verdict = if !same_compiler {
            ""
        } else if change >= RISE_MAX {
            "  RISEN"
        } else if change <= -RISE_MAX {
            "  fallen: gate --record keeps it so"
        } else {
            ""
        };
        risen += usize::from(same_compiler && change >= RISE_MAX);
        println!("{name:<44} {before:>10.0} {now:>10.0} {change:>+7.1} %{verdict}");
    }
    if !same_compiler {
        println!(
            "NOT JUDGED: the record was made with {}, this is {compiler}. gate --record makes one for it.",
            record["compiler"]
        );
    }
    if risen > 0 {
        println!(
            "{risen} risen by {RISE_MAX} % or more. Where it is worth it: gate --record, and say why in the commit."
        );
    }
    Ok(risen == 0)
}

fn record() -> Result<bool, String> {
    let record = json!({ "compiler": compiler()?, "figures": measure()? });
    let text = serde_json::to_string_pretty(&record).map_err(|error| error.to_string())?;
    let path = record_path();
    std::fs::write(&path, text + "\n").map_err(|error| format!("{}: {error}", path.display()))?;
    println!("{} written", path.display());
    Ok(true)
}

fn record_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("budget.json")
}

fn compiler() -> Result<String, String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output().map_err(|error| format!("rustc: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn measure() -> Result<Figures, String> {
    let mut figures = Figures::new();
    for operation in Operation::ALL {
        let name = operation.name();
        figures.insert(format!("instructions, {name}"), instructions(name)?);
    }
    for role in ["device", "extension"] {
        let mut runs = (0..FOOTPRINTS).map(|_| bytes(role)).collect::<Result<Vec<_>, _>>()?;
        runs.sort_by(f64::total_cmp);
        figures.insert(format!("bytes a binding, {role}, {BINDINGS} of them"), runs[FOOTPRINTS / 2]);
    }
    Ok(figures)
}

/// User instructions of the edge for one operation, the mean of a run of them.
fn instructions(operation: &str) -> Result<f64, String> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args(["--toggle-collect=*Edge::take*", "--toggle-collect=*Edge::tick*"])
        .arg(beside("in-memory")?)
        .args([operation, &TIMES.to_string(), &DESKS.to_string()])
        .output()
        .map_err(|error| format!("valgrind: {error} (Debian: apt-get install valgrind)"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let counted =
        said.lines().find_map(|line| line.split_once("Collected : ")).map(|(_, number)| number.trim());
    let counted = counted.and_then(|number| number.parse::<f64>().ok()).filter(|counted| *counted > 0.0);
    counted.map(|counted| counted / TIMES as f64).ok_or_else(|| format!("callgrind counted nothing:\n{said}"))
}

/// What a process grows by with each binding.
fn bytes(role: &str) -> Result<f64, String> {
    let program = beside("footprint")?;
    let output = Command::new(&program)
        .args([&BINDINGS.to_string(), role])
        .output()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said.lines().find(|line| line.starts_with("a binding")).unwrap_or_default();
    let bytes = line.split_whitespace().find_map(|word| word.parse().ok());
    bytes.ok_or_else(|| format!("footprint printed no bytes a binding:\n{said}"))
}

/// A program built together with this one.
fn beside(name: &str) -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let path = own.with_file_name(name);
    if path.exists() {
        Ok(path)
    } else {
        Err(format!("{} is not built: cargo build --release -p bench", path.display()))
    }
}
