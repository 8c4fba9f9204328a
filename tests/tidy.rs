//! The laws of the house that no compiler keeps: who may import whom, which rooms may not be, what no source may say.

#![expect(clippy::unwrap_used, reason = "a law that cannot be read is a law that is broken")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below `dir` with one of these endings, build products and stores apart.
fn files(dir: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).unwrap().map(Result::unwrap) {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if path.is_dir() {
                if !matches!(name.as_str(), "target" | ".git" | "var" | "corpus" | "artifacts") {
                    open.push(path);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A file's code without its unit tests and comments.
fn code(path: &Path) -> String {
    let text = text(path);
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

fn assert_none(offences: &[String], law: &str) {
    assert!(offences.is_empty(), "{law}\n{}", offences.join("\n"));
}

#[test]
fn the_dataplane_and_the_parser_depend_on_no_socket_runtime_or_file() {
    for manifest in ["parser/Cargo.toml", "src/dataplane/Cargo.toml"] {
        let text = text(&root().join(manifest));
        let dependencies =
            text.split("[dependencies]").nth(1).unwrap_or_default().split("\n[").next().unwrap_or_default();
        for forbidden in ["tokio", "quinn", "rustls", "socket2", "libc", "mio", "redb", "axum"] {
            let named = dependencies.lines().any(|line| line.starts_with(forbidden));
            assert!(!named, "{manifest} depends on {forbidden}");
        }
    }
    let mut offences = Vec::new();
    for room in ["parser/src", "src/dataplane"] {
        for path in files(&root().join(room), &[".rs"]) {
            // What is compiled for tests alone may use threads.
            let named = shown(&path);
            if named.contains("/tests") || named.ends_with("/fault.rs") || named.contains("/testing/") {
                continue;
            }
            for word in [
                "std::fs",
                "std::net::UdpSocket",
                "std::net::Tcp",
                "std::thread",
                "std::env",
                "Instant::now",
                "SystemTime",
            ] {
                if code(&path).contains(word) {
                    offences.push(format!("{}: {word}", shown(&path)));
                }
            }
        }
    }
    assert_none(&offences, "what decides does no I/O and reads no clock");
}

#[test]
fn cores_never_import_each_other() {
    let mut offences = Vec::new();
    let cores = ["registrar", "proxy", "attendant", "subscription"];
    for core in cores {
        let dir = root().join("src/dataplane").join(core);
        if !dir.is_dir() {
            continue;
        }
        for path in files(&dir, &[".rs"]) {
            for other in cores.iter().filter(|other| **other != core) {
                if code(&path).contains(&format!("crate::{other}")) {
                    offences.push(format!("{} imports {other}", shown(&path)));
                }
            }
        }
    }
    for path in files(&root().join("src/dataplane"), &[".rs"]) {
        if !shown(&path).contains("/dispatch/") && code(&path).contains("crate::dispatch") {
            offences.push(format!("{} asks dispatch", shown(&path)));
        }
    }
    assert_none(&offences, "dispatch carries effects from one core to another, and stands above them all");
}

#[test]
fn tables_know_no_sip_message() {
    let mut offences = Vec::new();
    for table in ["location", "hotdesk"] {
        for path in files(&root().join("src/dataplane").join(table), &[".rs"]) {
            let code = code(&path);
            let knows = code.match_indices("sip::").any(|(at, _)| {
                !code[..at].ends_with(|before: char| before == ':' || before.is_alphanumeric())
            });
            if knows {
                offences.push(shown(&path));
            }
        }
    }
    for path in files(&root().join("src/dataplane/location"), &[".rs"]) {
        if code(&path).contains("crate::hotdesk") {
            offences.push(format!("{} knows of seats", shown(&path)));
        }
    }
    assert_none(&offences, "location and hotdesk know no SIP message, location no seat");
}

#[test]
fn shells_keep_to_their_order() {
    // Left may import right, never the other way round.
    let order = ["server", "control", "telemetry", "audit", "config", "media", "backend", "transport"];
    let below = |room: &str| order.iter().position(|known| *known == room).unwrap();
    let mut offences = Vec::new();
    for room in order {
        for path in files(&root().join("src").join(room), &[".rs"]) {
            for other in order.iter().filter(|other| below(other) < below(room)) {
                // Controls is the one door of the server that the control plane is handed.
                let text = code(&path).replace("crate::server::controls", "");
                if text.contains(&format!("crate::{other}")) {
                    offences.push(format!("{} imports {other}", shown(&path)));
                }
            }
        }
    }
    assert_none(
        &offences,
        "main → server → control → telemetry → audit → config → media → backend · transport → dataplane → sip",
    );
}

#[test]
fn no_room_is_called_nothing() {
    let refused: BTreeSet<&str> = [
        "core", "common", "shared", "util", "utils", "types", "traits", "models", "handlers", "manager",
        "engine", "helpers", "misc",
    ]
    .into();
    let mut offences = Vec::new();
    for room in ["src", "parser", "bench", "tests", "fuzz"] {
        if !root().join(room).is_dir() {
            continue;
        }
        for path in files(&root().join(room), &[".rs"]) {
            let named = path.strip_prefix(root()).unwrap().with_extension("");
            if named.components().any(|part| refused.contains(&*part.as_os_str().to_string_lossy())) {
                offences.push(shown(&path));
            }
        }
    }
    assert_none(&offences, "each of these is a name for not having decided");
}

#[test]
fn nothing_is_unfinished_switched_off_or_from_elsewhere() {
    // Put together here, so that this file does not offend against itself.
    let words = [
        ["to", "do!("].concat(),
        ["unimple", "mented!("].concat(),
        ["FIX", "ME"].concat(),
        ["#[ig", "nore"].concat(),
        ["#[al", "low("].concat(),
        ["#![al", "low("].concat(),
        ["/wo", "rk/"].concat(),
        ["/ho", "me/"].concat(),
        ["/ro", "ot/"].concat(),
    ];
    let mut offences = Vec::new();
    for path in files(&root(), &[".rs", ".toml", ".md", ".sh", ".xml", ".yml"]) {
        let text = text(&path);
        for (number, line) in text.lines().enumerate() {
            for word in words.iter().filter(|word| line.contains(word.as_str())) {
                offences.push(format!("{}:{}: {word}", shown(&path), number + 1));
            }
        }
    }
    assert_none(&offences, "finished, switched on, and at home on any machine");
}

#[test]
fn tests_wait_for_events_not_for_time() {
    let words = [["thread::", "sleep"].concat(), ["time::", "sleep"].concat()];
    let mut offences = Vec::new();
    for dir in ["tests", "parser/tests", "src/dataplane/tests"] {
        for path in files(&root().join(dir), &[".rs"]) {
            if words.iter().any(|word| text(&path).contains(word.as_str())) {
                offences.push(shown(&path));
            }
        }
    }
    assert_none(&offences, "a test waits for the event, with a deadline");
}

#[test]
fn faults_are_planted_in_no_default_build() {
    let manifest = text(&root().join("Cargo.toml"));
    let features = manifest.split("[features]").nth(1).unwrap_or_default().split("\n[").next().unwrap();
    assert!(features.contains("\nplanted-faults = []"), "tests plant faults by that feature");
    assert!(!features.lines().any(|line| line.starts_with("default")), "nothing is built in by default");
}

#[test]
fn unsafe_stands_alone() {
    let mut places = Vec::new();
    for dir in ["src", "parser/src", "bench"] {
        for path in files(&root().join(dir), &[".rs"]) {
            let code = code(&path);
            if code.contains("unsafe {") || code.contains("unsafe fn") || code.contains("unsafe impl") {
                places.push(shown(&path));
            }
        }
    }
    let expected = ["src/transport/udp.rs", "parser/src/scan.rs"];
    let unexpected: Vec<_> =
        places.iter().filter(|place| !expected.contains(&place.as_str())).cloned().collect();
    assert_none(&unexpected, "unsafe code has two files: the batched datagrams and the parser's line scan");
}

#[test]
fn no_file_is_two_files() {
    /// Lines before a file's unit tests. Above some 400 a file is usually two; this is where it surely is.
    const LINES_MAX: usize = 600;
    let mut offences = Vec::new();
    for dir in ["src", "parser/src", "bench"] {
        for path in files(&root().join(dir), &[".rs"]) {
            if shown(&path).contains("/tests") {
                continue;
            }
            let lines =
                text(&path).split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().lines().count();
            if lines > LINES_MAX {
                offences.push(format!("{} has {lines} lines", shown(&path)));
            }
        }
    }
    assert_none(&offences, "a file this long is two files");
}

#[test]
fn every_claim_of_conformance_names_a_file_and_a_test_that_exist() {
    let page = text(&root().join("docs/rfc.md"));
    let mut rows = 0;
    let mut offences = Vec::new();
    for line in page.lines().filter(|line| line.starts_with("| ") && line.contains('`')) {
        rows += 1;
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [_, _, places, tests, ..] = cells[..] else {
            offences.push(format!("not four cells: {line}"));
            continue;
        };
        for place in quoted(places) {
            if !root().join(place).exists() {
                offences.push(format!("no such file: {place}"));
            }
        }
        offences.extend(missing(tests));
    }
    assert!(rows > 20, "docs/rfc.md claims only {rows} sections");
    assert_none(&offences, "docs/rfc.md: section | what | `file` | `test file::test name`");
}

#[test]
fn every_promise_of_security_names_a_test_that_exists() {
    let page = text(&root().join("docs/security.md"));
    let tables = page.split("\n## ").filter(|part| part.lines().any(|line| line.ends_with("| test |")));
    let rows =
        tables.flat_map(str::lines).filter(|line| line.starts_with("| ") && !line.ends_with("| test |"));
    let (mut shown, mut offences) = (0, Vec::new());
    for row in rows {
        let tests = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default().trim();
        shown += usize::from(tests.contains("::"));
        // What is not shown yet is said in words, and stands among what is open.
        if !tests.contains("::") && !tests.starts_with("open:") {
            offences.push(format!("neither a test nor open: {row}"));
        }
        offences.extend(missing(tests));
    }
    assert!(shown > 60, "docs/security.md shows only {shown} promises");
    assert_none(&offences, "docs/security.md: … | `test file::test name`, or open: why");
}

#[test]
fn ways_through_the_source_lead_along_functions_that_exist() {
    let page = text(&root().join("docs/architecture.md"));
    let steps: Vec<_> = page.lines().filter(|line| line.contains("`src/") && line.contains("::")).collect();
    assert!(steps.len() > 10, "docs/architecture.md leads through the source");
    let is_step = |name: &&str| name.starts_with("src/") && name.contains("::");
    let named = steps.iter().flat_map(|line| quoted(line)).filter(is_step);
    let offences: Vec<_> = named.flat_map(|name| missing(&format!("`{name}`"))).collect();
    assert_none(&offences, "docs/architecture.md: `file::function`");
}

/// Which of the tests or functions that a cell names as `file::name` are not there.
fn missing(cell: &str) -> Vec<String> {
    let is_missing = |test: &&str| {
        let (file, name) = test.split_once("::").unwrap_or((test, ""));
        let path = root().join(file);
        !(path.is_file() && text(&path).contains(&format!("fn {name}(")))
    };
    quoted(cell).filter(is_missing).map(|test| format!("not there: {test}")).collect()
}

fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}
