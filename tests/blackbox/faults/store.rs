//! The store's disk: full, away, slow.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use bench::deadline::{Deadline, now};
use bench::phone::{Phone, Transport};
use rustix::process::Resource;
use serde_json::Value;

use crate::edge::{Edge, PATIENCE, Plan, log_in_code};

/// Log-ins until a full disk has no room left for one: those before fit into what the file has already.
const LOG_INS_MAX: usize = 2_000;

/// Has a program keep its files on a file system of its own, which nobody else sees.
const ON_A_SMALL_DISK: &[&str] = &[
    "unshare",
    "--mount",
    "--map-root-user",
    "sh",
    "-c",
    "var=\"${3%/*}/var\"; mkdir \"$var\" && mount -t tmpfs -o size=12m none \"$var\" && exec \"$@\"",
    "sh",
];

/// Between two people who move.
const BETWEEN_PEOPLE: Duration = Duration::from_millis(200);

fn durable() -> Plan {
    Plan { store: "embedded", more: "[audit]\nfile = \"var/audit.jsonl\"\n", ..Plan::default() }
}

/// An edge, two people at desks 1 and 2 who talk to one another, one at desk 3, and an empty desk 4.
struct Office {
    edge: Edge,
    caller: Phone,
    callee: Phone,
    leaving: Phone,
    empty: Phone,
}

impl Office {
    fn new(plan: Plan) -> Self {
        let edge = Edge::start(plan);
        let [caller, callee, leaving] = [1, 2, 3].map(|number| edge.taken_desk(Transport::Udp, number));
        let empty = edge.desk(Transport::Udp, 4);
        Self { edge, caller, callee, leaving, empty }
    }

    fn var(&self) -> PathBuf {
        self.edge.file().with_file_name("var")
    }

    fn call(&mut self) {
        super::call(&mut self.caller, &mut self.callee, "1002");
    }

    /// Person 4 sits down at the empty desk and leaves it, until that is refused: the store takes nothing any more.
    fn log_in_until_refused(&mut self) {
        for _ in 0..LOG_INS_MAX {
            let answer = self.empty.dial_code(&log_in_code(4)).unwrap();
            if answer.status() != Some(200) {
                assert_eq!((answer.status(), answer.reason()), (Some(603), "Log-in is not possible now"));
                return;
            }
            self.empty.dial_code("*12").unwrap();
            self.empty.take_unasked();
        }
        panic!("no log-in is refused");
    }

    /// The store takes no log-in: all else goes on.
    fn works_without_log_ins(&mut self) {
        self.log_in_until_refused();
        self.call();
        assert_eq!(self.callee.register(600).unwrap().status(), Some(200));
        assert_eq!(self.leaving.dial_code("*12").unwrap().status(), Some(200));
        assert!(!self.edge.seats().iter().any(|(device, _)| ["desk-3", "desk-4"].contains(&device.as_str())));
    }

    /// The store takes nothing at all.
    fn works_without_the_store(&mut self) {
        self.works_without_log_ins();

        assert_eq!(self.edge.metric("hotdesk_store_up"), 0.0);
        self.edge.wait_for_metric("hotdesk_not_durable_total", 1.0);
        // It is tried again and again, and said once.
        let failures = self.edge.metric("hotdesk_store_failures_total");
        self.edge.wait_for_metric("hotdesk_store_failures_total", failures + 2.0);
        let ready = self.edge.control.get("/ready").unwrap();
        assert_eq!((ready.status, ready.body.contains("\"away\"")), (200, true), "{}", ready.body);
        self.call();
    }

    /// The disk takes writes again, and all is as if it always had.
    fn is_whole_again(&mut self) {
        self.edge.wait_for_metric("hotdesk_store_up", 1.0);
        assert_eq!(self.empty.dial_code(&log_in_code(4)).unwrap().status(), Some(200));
        self.call();
        // Said at the first write after a while without failures; people go on moving.
        let patience = Deadline::after(PATIENCE);
        while !self.edge.has_logged("the store takes changes again") {
            assert!(patience.left().is_some(), "it is never said that the store is back");
            self.caller.dial_code("*12").unwrap();
            assert_eq!(self.caller.dial_code(&log_in_code(1)).unwrap().status(), Some(200));
            self.caller.listen(BETWEEN_PEOPLE).unwrap();
            self.caller.take_unasked();
        }
    }

    /// How often the log says that the store takes nothing.
    fn complaints(&self) -> usize {
        self.edge.log_so_far().matches("the store takes nothing").count()
    }

    /// What the store holds, shown by another process: nobody at desk 3, who left while the store took nothing.
    fn starts_again_as_it_was(mut self) {
        self.edge.start_again_under(&[]);
        let seats = [1, 2, 4].map(|number| (format!("desk-{number}"), format!("100{number}")));
        assert_eq!(self.edge.seats(), seats);
        self.call();
        // In the file that followers read, too: every line whole, and the log-out at desk 3 once.
        let patience = Deadline::after(PATIENCE);
        while self.leaving_in_audit_file() == 0 {
            assert!(patience.left().is_some(), "the log-out is not in the audit file");
        }
        assert_eq!(self.leaving_in_audit_file(), 1);
    }

    fn leaving_in_audit_file(&self) -> usize {
        let lines = fs::read_to_string(self.var().join("audit.jsonl")).unwrap();
        // What is being written has no end yet.
        let lines = lines.rsplit_once('\n').map_or("", |(whole, _)| whole).lines();
        let read = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("torn: {line}"));
        let records: Vec<Value> = lines.map(read).collect();
        let of_leaving = |record: &&Value| record["kind"] == "log-out" && record["device"] == "desk-3";
        records.iter().filter(of_leaving).count()
    }
}

#[test]
fn calls_and_seats_go_on_while_nothing_can_be_written_and_all_is_written_afterwards() {
    let mut office = Office::new(durable());

    // No file may have a single octet more: what a quota does, or a limit of the service manager.
    office.edge.limit(Resource::Fsize, Some(0));
    office.works_without_the_store();
    office.edge.limit(Resource::Fsize, None);
    office.is_whole_again();
    assert_eq!(office.complaints(), 1);

    office.edge.kill();
    office.starts_again_as_it_was();
}

#[test]
fn a_disk_that_is_full_costs_log_ins_alone_until_there_is_room() {
    // It takes root, or a system that lets its users have namespaces.
    let possible = Command::new(ON_A_SMALL_DISK[0]).args(&ON_A_SMALL_DISK[1..3]).arg("true").status();
    if !possible.is_ok_and(|status| status.success()) {
        return super::not_tested("a disk that is full: there are no mount namespaces here");
    }
    let mut office = Office::new(Plan { under: ON_A_SMALL_DISK, ..durable() });
    let seen_from_here = |path: PathBuf| {
        let root = PathBuf::from(format!("/proc/{}/root", office.edge.process()));
        root.join(path.strip_prefix("/").unwrap())
    };
    let disk = seen_from_here(office.var());

    let filler = disk.join("filler");
    let full = io::copy(&mut io::repeat(0), &mut File::create(&filler).unwrap()).unwrap_err();
    assert_eq!(full.kind(), io::ErrorKind::StorageFull);
    let full_since = now();
    // A small change may yet find room, so it is told apart by log-ins that do not.
    office.works_without_log_ins();
    office.log_in_until_refused();
    office.log_in_until_refused();
    let full_for = now() - full_since;
    fs::remove_file(filler).unwrap();
    office.is_whole_again();
    // Said once, unless the store took everything for a while in between.
    assert!(office.complaints() <= 1 + full_for.as_secs() as usize / 5, "{}", office.edge.log_so_far());

    // The disk goes with the process, so what is on it is brought away first, as `kill -9` would leave it.
    office.edge.signal("STOP");
    for name in ["hotdesk.db", "audit.jsonl"] {
        fs::copy(disk.join(name), office.var().join(name)).unwrap();
    }
    office.edge.kill();
    office.starts_again_as_it_was();
}

#[test]
fn a_disk_that_goes_away_is_waited_for_and_no_other_store_is_begun() {
    // An audit file would be begun anew, and its folder made for it.
    let mut office = Office::new(Plan { more: "", ..durable() });
    let (var, away) = (office.var(), office.var().with_extension("away"));

    fs::rename(&var, &away).unwrap();
    office.edge.limit(Resource::Fsize, Some(0));
    office.works_without_the_store();
    assert!(!var.exists());
    // Something is there, but not the volume: the folder it is mounted on.
    fs::create_dir(&var).unwrap();
    office.edge.limit(Resource::Fsize, None);
    let failures = office.edge.metric("hotdesk_store_failures_total");
    office.edge.wait_for_metric("hotdesk_store_failures_total", failures + 2.0);
    assert!(!var.join("hotdesk.db").exists());
    fs::remove_dir_all(&var).unwrap();
    fs::rename(&away, &var).unwrap();
    office.is_whole_again();
    assert_eq!(office.complaints(), 1);

    office.edge.kill();
    office.edge.start_again();
    assert_eq!(office.edge.seats().len(), 3);
    office.call();
}

#[cfg(feature = "planted-faults")]
#[test]
fn a_slow_disk_keeps_nobody_waiting_but_those_who_log_in() {
    let mut office = Office::new(Plan { plants: true, ..durable() });
    let mut other = office.edge.desk(Transport::Tcp, 5);

    office.edge.plant("store-slow", "4000");
    let mut log_in = office.empty.dial(&log_in_code(4)).unwrap();
    for _ in 0..5 {
        office.call();
        assert_eq!(office.callee.register(600).unwrap().status(), Some(200));
    }
    // Calls and refreshes are done, and the log-in is not: whoever asks before sees nobody there.
    assert_eq!(office.edge.seats().len(), 3);
    office.edge.mend("store-slow");
    let outcome = office.empty.outcome(&mut log_in).unwrap();
    let next = other.dial_code(&log_in_code(5)).unwrap();

    assert_eq!((outcome.status(), next.status()), (Some(200), Some(200)));
    assert!(office.edge.metric("hotdesk_store_commit_longest_seconds") >= 4.0);
    assert_eq!(office.edge.metric("hotdesk_store_up"), 1.0);
}
