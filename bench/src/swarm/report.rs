//! What a run has measured, for people and for programs.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::options::Load;
use super::tally::Tally;
use super::usage::Usage;

/// The figures of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was played.
    pub name: String,
    /// With which options.
    pub load: Load,
    /// How long it was measured.
    pub time: Duration,
    /// Units begun within that time.
    pub begun: u64,
    /// Units that ended well within it.
    pub done: u64,
    /// Everything that was counted, with what ended later.
    pub(super) tally: Tally,
    /// Processor time of the server.
    pub(super) server: Option<Usage>,
    /// Our own processor time.
    pub(super) own: Usage,
    /// Time in which we had nothing to do.
    pub idle: Duration,
    /// From the start of this program to the server's first answer.
    pub first_answer: Duration,
    /// Units done to prepare the phones, and the time it took.
    pub prepared: Option<(u64, Duration)>,
}

/// Quantiles that are shown: name in JSON, name for people, and value.
const QUANTILES: [(&str, &str, f64); 4] =
    [("p50", "p50", 0.5), ("p90", "p90", 0.9), ("p99", "p99", 0.99), ("p999", "p99.9", 0.999)];

impl Report {
    /// True if every answer came and was right.
    pub fn is_clean(&self) -> bool {
        self.tally.is_clean()
    }

    /// Units a second.
    pub fn rate(&self) -> f64 {
        self.done as f64 / self.time.as_secs_f64().max(f64::EPSILON)
    }

    /// For programs. Times are in microseconds unless their name says otherwise; shares are of one processor.
    pub fn json(&self) -> Value {
        let latency = &self.tally.latency;
        let mut times = json!({ "mean": micros(latency.mean()), "max": micros(latency.max()) });
        for (name, _, quantile) in QUANTILES {
            times[name] = micros(latency.quantile(quantile)).into();
        }
        let wrong = self.tally.wrong.iter().map(|(reason, wrong)| ((*reason).into(), json!(wrong.count)));
        json!({
            "play": self.name,
            "edge": self.load.edge.to_string(),
            "phones": self.load.phones,
            "addresses": self.load.addresses(),
            "ports": self.load.ports,
            "in_flight": if self.load.rate.is_none() { json!(self.load.in_flight) } else { Value::Null },
            "rate_wanted": self.load.rate,
            "seconds": self.time.as_secs_f64(),
            "begun": self.begun,
            "done": self.done,
            "rate": self.rate(),
            "lost": self.tally.lost,
            "wrong": self.tally.wrong_count(),
            "wrong_by_reason": wrong.collect::<serde_json::Map<_, _>>(),
            "challenged_again": self.tally.challenged_again,
            "notifies": self.tally.notifies,
            "strays": self.tally.strays,
            "latency_us": times,
            "server": self.server.map(|usage| self.usage(usage)),
            "swarm": self.usage(self.own),
            "swarm_idle": self.idle.as_secs_f64() / self.time.as_secs_f64().max(f64::EPSILON),
            "first_answer_ms": self.first_answer.as_secs_f64() * 1e3,
            "prepared": self.prepared.map(|(done, time)| json!({ "done": done, "seconds": time.as_secs_f64() })),
        })
    }

    fn usage(&self, usage: Usage) -> Value {
        let each = |time: Duration| time.as_secs_f64() * 1e6 / self.done.max(1) as f64;
        json!({
            "cpu_us_each": each(usage.total()),
            "user_us_each": each(usage.user),
            "system_us_each": each(usage.system),
            "share": usage.total().as_secs_f64() / self.time.as_secs_f64().max(f64::EPSILON),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tally, latency) = (&self.tally, &self.tally.latency);
        writeln!(
            out,
            "{}: {:.0} a second, {} in {:.1} s; lost {}, wrong {}",
            self.name,
            self.rate(),
            self.done,
            self.time.as_secs_f64(),
            tally.lost,
            tally.wrong_count()
        )?;
        write!(out, "  latency  ")?;
        for (_, name, quantile) in QUANTILES {
            write!(out, "{name} {}  ", shown(latency.quantile(quantile)))?;
        }
        writeln!(out, "max {}", shown(latency.max()))?;
        if let Some(server) = self.server {
            self.show(out, "server", server)?;
            writeln!(out)?;
        }
        self.show(out, "swarm ", self.own)?;
        writeln!(
            out,
            "; {:.0} % of the time idle",
            100.0 * self.idle.as_secs_f64() / self.time.as_secs_f64()
        )?;
        if tally.notifies + tally.challenged_again + tally.strays > 0 {
            writeln!(
                out,
                "  NOTIFYs answered {}, challenged again {}, not waited for {}",
                tally.notifies, tally.challenged_again, tally.strays
            )?;
        }
        for (reason, wrong) in &tally.wrong {
            writeln!(out, "  wrong: {reason}, {} times; the first:", wrong.count)?;
            for line in wrong.example.lines().take_while(|line| !line.is_empty()) {
                writeln!(out, "    {line}")?;
            }
        }
        Ok(())
    }
}

impl Report {
    fn show(&self, out: &mut fmt::Formatter<'_>, who: &str, usage: Usage) -> fmt::Result {
        let each = |time: Duration| time.as_secs_f64() * 1e6 / self.done.max(1) as f64;
        write!(
            out,
            "  {who}   {:.1} us each: user {:.1}, system {:.1}; {:.0} % of a processor",
            each(usage.total()),
            each(usage.user),
            each(usage.system),
            100.0 * usage.total().as_secs_f64() / self.time.as_secs_f64().max(f64::EPSILON)
        )
    }
}

fn micros(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e3
}

fn shown(nanoseconds: u64) -> String {
    match nanoseconds {
        0..1_000_000 => format!("{:.0} us", micros(nanoseconds)),
        1_000_000..1_000_000_000 => format!("{:.1} ms", nanoseconds as f64 / 1e6),
        _ => format!("{:.2} s", nanoseconds as f64 / 1e9),
    }
}
