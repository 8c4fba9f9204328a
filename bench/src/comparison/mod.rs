//! Hotdesk against Kamailio on this machine: the same phones, the same messages, one processor each, in turn.
//!
//! Options come in; a table goes to the terminal and JSON into a file. `bench/compare-kamailio` installs and builds
//! what it needs and calls it.

mod figures;
mod instructions;
mod overload;
mod rounds;
mod server;
mod slowed;

use std::fs;
use std::io;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::control::Control;
use figures::{Figure, Wanted, median};
use instructions::Counter;
pub use overload::{Asked, overload};
use rounds::Rounds;
pub use server::{Place, Run, free_addresses};
use server::{Server, Setup};

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
pub enum ComparisonError {
    /// A program, a file, or /proc.
    #[error("{what}")]
    System {
        /// What was wanted.
        what: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A run ended without figures.
    #[error("this failed: {what}")]
    Failed {
        /// Which, and what it said.
        what: String,
    },
}

/// What is measured, and how long.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Targets, `T4` for example; all if there are none.
    pub only: Vec<String>,
    /// Rounds of each server under each load.
    pub rounds: u32,
    /// How long each is measured, in seconds.
    pub seconds: u32,
    /// Bindings whose memory is measured.
    pub bindings: u32,
    /// The latency curve, too.
    pub curve: bool,
    /// Where figures are written.
    pub json: PathBuf,
}

/// Phones of the loads: as many as a large site has.
const PHONES: u32 = 2_000;

/// Desks that swap seats.
const DESKS: u32 = 4_000;

/// Transactions of calls stay for five seconds, as Kamailio's do (wt_timer).
const T1: u32 = 78;

const PLAIN: Setup = Setup {
    digest: false,
    desks: false,
    in_memory: false,
    phones: PHONES,
    t1: T1,
    transactions_max: 65_536,
    slowed: 1,
    callgrind: false,
};
const DIGEST: Setup = Setup { digest: true, ..PLAIN };

/// Rates of the latency curve, REGISTERs a second.
const CURVE: [u32; 12] =
    [2_000, 5_000, 10_000, 15_000, 20_000, 25_000, 30_000, 40_000, 50_000, 60_000, 80_000, 100_000];

/// One comparison under way.
struct Comparison<'a> {
    place: &'a Place,
    wish: &'a Wish,
    figures: Vec<Figure>,
    again: u32,
    disturbed: u32,
    played: u32,
}

/// Compares, and returns the table.
///
/// # Errors
/// See [`ComparisonError`].
pub fn compare(place: &Place, wish: &Wish) -> Result<String, ComparisonError> {
    fs::create_dir_all(&place.work).map_err(server::broken("the working folder"))?;
    let mut comparison = Comparison { place, wish, figures: Vec::new(), again: 0, disturbed: 0, played: 0 };
    comparison.instructions()?;
    comparison.full_load()?;
    comparison.paced()?;
    comparison.memory()?;
    comparison.swaps()?;
    let curve = if wish.curve { comparison.curve()? } else { Value::Null };
    comparison.finish(&curve)
}

impl Comparison<'_> {
    fn wants(&self, targets: &[&str]) -> bool {
        self.wish.only.is_empty() || self.wish.only.iter().any(|wanted| targets.contains(&&**wanted))
    }

    /// T4 and T10.
    fn instructions(&mut self) -> Result<(), ComparisonError> {
        if !self.wants(&["T4", "T10"]) {
            return Ok(());
        }
        let Some(counter) = Counter::of_this_machine() else {
            say("neither perf counts instructions here nor is there valgrind: no T4, no T10");
            return Ok(());
        };
        let t4 = Wanted::AtMost(0.35, 0.20);
        for (target, label, setup, load, wanted) in [
            (
                "T4",
                "instructions a REGISTER refresh, digest",
                DIGEST,
                &["register", "--kind", "digest"][..],
                t4,
            ),
            (
                "T4",
                "instructions a REGISTER refresh, no digest",
                PLAIN,
                &["register", "--kind", "refresh"],
                t4,
            ),
            ("T10", "instructions a call, digest on INVITE", DIGEST, &["call"], Wanted::AtMost(0.50, 0.25)),
        ] {
            if !self.wants(&[target]) {
                continue;
            }
            say(label);
            // 64 phones: what they prepare is the same in both runs, and slow under callgrind.
            let setup = Setup { phones: 64, ..setup };
            let ours = self.place.instructions(counter, Server::Hotdesk, setup, load)?;
            let theirs = self.place.instructions(counter, Server::Kamailio, setup, load)?;
            say(&format!("  {ours:.0} / {theirs:.0}"));
            let of = format!("{ours:.0} / {theirs:.0}, user mode, {}", counter.name());
            self.ratio(target, label.into(), vec![ours / theirs], wanted, of);
        }
        Ok(())
    }

    /// T5 and T6, and the time of a call.
    fn full_load(&mut self) -> Result<(), ComparisonError> {
        let seconds = self.wish.seconds.to_string();
        let cpu = |figures: &Value| figures["server"]["cpu_us_each"].as_f64();
        let rate = |figures: &Value| figures["rate"].as_f64();
        for (what, setup, kind) in [
            ("REGISTER refresh, digest", DIGEST, "digest"),
            ("REGISTER refresh, no digest", PLAIN, "refresh"),
        ] {
            if self.wants(&["T5", "T6"]) {
                say(&format!("{what}, full load"));
                let load = ["register", "--kind", kind, "--in-flight", "256", "--seconds", &seconds];
                let rounds = self.rounds(setup, &load)?;
                let wanted = Wanted::AtMost(0.50, 0.32);
                self.of_rounds("T5", format!("CPU time a {what}"), &rounds, cpu, Some(wanted), "us");
                let wanted = Wanted::AtLeast(2.0, 3.0);
                self.of_rounds("T6", format!("{what}, a second"), &rounds, rate, Some(wanted), "/s");
            }
        }
        if self.wants(&["T10"]) {
            // A worker's table of transactions bounds the rate before its processor does.
            say("1,500 calls a second");
            let load = ["call", "--rate", "1500", "--poisson", "--seconds", &seconds];
            let rounds = self.rounds(DIGEST, &load)?;
            self.of_rounds("", "CPU time a call, digest on INVITE".into(), &rounds, cpu, None, "us");
        }
        Ok(())
    }

    /// T11.
    fn paced(&mut self) -> Result<(), ComparisonError> {
        if !self.wants(&["T11"]) {
            return Ok(());
        }
        say("10,000 REGISTER/s paced");
        let seconds = self.wish.seconds.to_string();
        let load = ["register", "--kind", "digest", "--rate", "10000", "--poisson", "--seconds", &seconds];
        let rounds = self.rounds(DIGEST, &load)?;
        let lost = |figures: &Value| Some((figures["lost"].as_u64()? + figures["wrong"].as_u64()?) as f64);
        let lost: Vec<f64> = rounds.pairs.iter().filter_map(|(ours, _)| lost(ours)).collect();
        self.figures.push(Figure {
            target: "T11",
            label: "lost or wrong of 10,000 REGISTER/s paced".into(),
            values: lost,
            wanted: Some(Wanted::AtMost(0.0, 0.0)),
            of: "ours".into(),
        });
        for (name, wanted) in [("p50", Wanted::AtMost(1.0, 0.7)), ("p99", Wanted::AtMost(1.0, 0.5))] {
            let quantile = |figures: &Value| figures["latency_us"][name].as_f64();
            self.of_rounds(
                "T11",
                format!("{name} of 10,000 REGISTER/s paced"),
                &rounds,
                quantile,
                Some(wanted),
                "us",
            );
        }
        Ok(())
    }

    /// T7, and the same of Kamailio: what the second half of the bindings adds, since starting leaves memory behind
    /// that the first half uses again.
    fn memory(&mut self) -> Result<(), ComparisonError> {
        if !self.wants(&["T7"]) {
            return Ok(());
        }
        let bindings = self.wish.bindings;
        say(&format!("memory of {bindings} bindings"));
        let setup = Setup { phones: bindings, ..DIGEST };
        let mut each = Vec::new();
        for server in [Server::Hotdesk, Server::Kamailio] {
            let running = self.place.start(server, setup)?;
            let mut seen = [0, 0];
            for (memory, phones) in seen.iter_mut().zip([bindings / 2, bindings]) {
                let phones = phones.to_string();
                let load = [
                    "register",
                    "--kind",
                    "digest",
                    "--phones",
                    &phones,
                    "--seconds",
                    "1",
                    "--warm-up",
                    "0",
                    "--count",
                    "1",
                ];
                self.place.load(&running, setup, &load)?;
                *memory = running.memory()?;
            }
            running.end();
            each.push(seen[1].saturating_sub(seen[0]) as f64 / f64::from(bindings - bindings / 2));
        }
        self.figures.push(Figure {
            target: "T7",
            label: format!("octets a binding, the whole process, {bindings} bindings"),
            values: vec![each[0]],
            wanted: Some(Wanted::AtMost(500.0, 350.0)),
            of: format!("{:.0} / {:.0}, growth of PSS", each[0], each[1]),
        });
        Ok(())
    }

    /// T8 and T9.
    fn swaps(&mut self) -> Result<(), ComparisonError> {
        if !self.wants(&["T8", "T9"]) {
            return Ok(());
        }
        say("seat swaps by REGISTER");
        let seconds = self.wish.seconds.to_string();
        let load = ["swap", "--by", "register", "--in-flight", "512", "--seconds", &seconds];
        let (mut memory, mut shares, mut commits) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.wish.rounds {
            let mut rates = Vec::new();
            for in_memory in [true, false] {
                let setup = Setup { desks: true, in_memory, phones: DESKS, ..DIGEST };
                let running = self.place.start(Server::Hotdesk, setup)?;
                let played = self.place.load(&running, setup, &load)?;
                if !in_memory {
                    commits.extend(commit_p50(self.place));
                }
                running.end();
                say(&format!(
                    "  {:.0} a second, lost {}",
                    played.figures["rate"].as_f64().unwrap_or_default(),
                    played.figures["lost"]
                ));
                rates.push(played.figures["rate"].as_f64().unwrap_or_default());
                self.played += 1;
            }
            memory.push(rates[0]);
            shares.push(rates[1] / rates[0]);
        }
        let label = "seat swaps a second by REGISTER, store memory".into();
        let wanted = Some(Wanted::AtLeast(20_000.0, 40_000.0));
        self.figures.push(Figure {
            target: "T8",
            label,
            values: memory,
            wanted,
            of: "four datagrams each".into(),
        });
        let of = format!("commit p50 {:.2} ms", median(&commits) * 1e3);
        let label = "swaps with store embedded / memory".into();
        let wanted = Some(Wanted::AtLeast(0.6, 0.9));
        self.figures.push(Figure { target: "T9", label, values: shares, wanted, of });
        Ok(())
    }

    /// Latency at one rate after the other, until a server answers less than nine of ten.
    fn curve(&mut self) -> Result<Value, ComparisonError> {
        let mut servers = Vec::new();
        for server in [Server::Hotdesk, Server::Kamailio] {
            say(&format!("latency of {server:?} up to overload"));
            let mut points = Vec::new();
            for rate in CURVE {
                let rate_text = rate.to_string();
                let load = [
                    "register",
                    "--kind",
                    "digest",
                    "--rate",
                    &rate_text,
                    "--poisson",
                    "--seconds",
                    "4",
                    "--patience",
                    "500",
                ];
                let played = self.place.play(server, DIGEST, &load)?.figures;
                let answered = played["rate"].as_f64().unwrap_or_default();
                points.push(json!({
                    "offered": rate, "answered": answered,
                    "p50_us": played["latency_us"]["p50"], "p99_us": played["latency_us"]["p99"],
                }));
                if answered < 0.9 * f64::from(rate) {
                    break;
                }
            }
            let name = if server == Server::Hotdesk { "Hotdesk" } else { "Kamailio" };
            servers.push(json!({ "name": name, "points": points }));
        }
        Ok(Value::Array(servers))
    }

    fn rounds(&mut self, setup: Setup, load: &[&str]) -> Result<Rounds, ComparisonError> {
        let rounds =
            self.place.rounds(setup, load, self.wish.rounds, &mut |line| say(&format!("  {line}")))?;
        self.again += rounds.again;
        self.disturbed += rounds.disturbed;
        self.played += 2 * self.wish.rounds;
        Ok(rounds)
    }

    fn of_rounds(
        &mut self,
        target: &'static str,
        label: String,
        rounds: &Rounds,
        figure: impl Fn(&Value) -> Option<f64>,
        wanted: Option<Wanted>,
        unit: &str,
    ) {
        let pairs: Vec<(f64, f64)> =
            rounds.pairs.iter().filter_map(|(ours, theirs)| figure(ours).zip(figure(theirs))).collect();
        let (ours, theirs): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
        let values = pairs.iter().map(|(ours, theirs)| ours / theirs).collect();
        let of = format!("{:.1} / {:.1} {unit}", median(&ours), median(&theirs));
        self.figures.push(Figure { target, label, values, wanted, of });
    }

    fn ratio(&mut self, target: &'static str, label: String, values: Vec<f64>, wanted: Wanted, of: String) {
        self.figures.push(Figure { target, label, values, wanted: Some(wanted), of });
    }

    fn finish(self, curve: &Value) -> Result<String, ComparisonError> {
        let figures: Vec<Value> = self.figures.iter().map(Figure::json).collect();
        let all = json!({
            "ratios": figures, "servers": curve, "rounds": self.wish.rounds, "seconds": self.wish.seconds,
            "runs": self.played, "repeated": self.again, "disturbed": self.disturbed,
        });
        if let Some(folder) = self.wish.json.parent() {
            fs::create_dir_all(folder).map_err(server::broken("the folder of --json"))?;
        }
        fs::write(&self.wish.json, format!("{all:#}\n")).map_err(server::broken("--json"))?;
        let mut table = String::from(
            "\n     ours / theirs                                           median  spread            required / goal    verdict   of\n",
        );
        for figure in &self.figures {
            table += &format!("{figure}\n");
        }
        table += &format!(
            "{} rounds of each, {} s; {} played again because others took more than 4 % of a processor, {} counted all the same\n",
            self.wish.rounds, self.wish.seconds, self.again, self.disturbed
        );
        Ok(table)
    }
}

/// The median time that the store of the running hotdesk took for a commit, in seconds.
fn commit_p50(place: &Place) -> Option<f64> {
    let control = Control::new(place.control, "swarm-token");
    let page = control.get("/metrics").ok()?.body;
    bucket_median(&page, "hotdesk_store_commit_seconds")
}

/// The upper bound of the bucket with the median of a histogram in Prometheus' format.
fn bucket_median(page: &str, name: &str) -> Option<f64> {
    let prefix = format!("{name}_bucket{{le=\"");
    let buckets = page.lines().filter_map(|line| {
        let (bound, count) = line.strip_prefix(&prefix)?.split_once("\"} ")?;
        Some((bound.parse::<f64>().unwrap_or(f64::INFINITY), count.parse::<f64>().ok()?))
    });
    let buckets: Vec<(f64, f64)> = buckets.collect();
    let all = buckets.last()?.1;
    buckets.iter().find(|(_, count)| *count >= all / 2.0).map(|(bound, _)| *bound)
}

fn say(what: &str) {
    eprintln!("compare: {what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_a_histogram_is_in_its_bucket() {
        let page = "# TYPE x histogram\nx_bucket{le=\"0.001\"} 10\nx_bucket{le=\"0.002\"} 60\nx_bucket{le=\"+Inf\"} 100\n\
                    x_sum 1\nx_count 100\n";

        assert_eq!(bucket_median(page, "x"), Some(0.002));
        assert_eq!(bucket_median(page, "y"), None);
    }
}
