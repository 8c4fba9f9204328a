//! The load generator against an edge: every kind of load, a few hundred units each, none lost and none wrong.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;

use bench::swarm::options::{Command, Options};
use bench::swarm::{Report, call, configuration, register, swap};
use clap::Parser as _;

use crate::edge::{Started, run};

/// Phones of each load. Two hundred units are several for each of them.
const PHONES: &str = "60";

fn options(words: &str) -> Command {
    Options::parse_from(["swarm"].into_iter().chain(words.split_whitespace())).command
}

/// An edge with the accounts that swarm expects of it.
fn edge(dir: &Path, words: &str) -> Started {
    let words = format!(
        "configuration --phones {PHONES} --desks --listen 127.0.0.1:0 --control 127.0.0.1:0 --path store.db {words}"
    );
    let Command::Configuration(wanted) = options(&words) else { unreachable!("it was asked for") };
    let mut text = Vec::new();
    configuration::write(&wanted, &mut text).unwrap();
    let file = dir.join("swarm.toml");
    fs::write(&file, text).unwrap();
    run(&file)
}

fn play(edge: &Started, words: &str) -> Report {
    let SocketAddr::V4(_) = edge.bound.0[0] else { unreachable!("it listens on IPv4") };
    // Phones have a port that nobody else has at this moment.
    let port = UdpSocket::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port();
    let bounds = "--quiet --warm-up 0 --seconds 30 --patience 10000 --in-flight 16";
    let words =
        format!("{words} --edge {} --from 127.40.0.0:{port} --phones {PHONES} {bounds}", edge.bound.0[0]);
    let report = match options(&words) {
        Command::Register(wanted) => register(&wanted),
        Command::Swap(wanted) => swap(&wanted),
        Command::Call(wanted) => call(&wanted),
        Command::Configuration(_) => unreachable!("that is no load"),
    };
    report.unwrap()
}

fn assert_clean(report: &Report, units: u64) {
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.done, units, "{report}");
}

#[test]
fn swarm_finds_nothing_lost_or_wrong_with_phones_that_prove_who_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let edge = edge(dir.path(), "--store embedded");

    assert_clean(&play(&edge, "register --kind new --leave"), 60);
    assert_clean(&play(&edge, "register --kind digest --count 200 --ports 3"), 200);
    assert_clean(&play(&edge, "register --kind challenge --count 200 --rate 2000 --poisson"), 200);
    assert_clean(&play(&edge, "register --kind new --ports 2 --addresses 5"), 60);
    assert_clean(&play(&edge, "call --count 100"), 100);
}

#[test]
fn swarm_finds_nothing_lost_or_wrong_with_people_who_change_desks() {
    let dir = tempfile::tempdir().unwrap();
    let edge = edge(dir.path(), "--store memory");

    assert_clean(&play(&edge, "swap --by register --count 200"), 200);
    assert_clean(&play(&edge, "swap --by dialling --count 100"), 100);
}

#[test]
fn swarm_finds_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let edge = edge(dir.path(), "--store memory --trusted");
    assert_clean(&play(&edge, "register --kind refresh --count 200 --leave"), 200);

    let report = play(&edge, "register --expect-all --trusted");

    assert!(!report.is_clean() && report.done == 0, "{report}");
    assert!(report.to_string().contains("its own contact is missing, 60 times"), "{report}");
}
