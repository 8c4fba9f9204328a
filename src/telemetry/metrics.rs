//! Metrics in the text format of Prometheus, version 0.0.4.
//!
//! Workers count in plain numbers and a scrape adds them up, so there is no registry: a page is written from
//! the figures as they are. Written by hand, because the format is forty lines and the encoders at hand keep
//! registries of their own behind locks.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::sync::Arc;

use dataplane::counters::Counters;
use dataplane::hotdesk::Seat;
use dataplane::location::Census;
use dataplane::settings::Settings;

use crate::audit;
use crate::backend::store::Health;
use crate::durations::Durations;
use crate::{media, transport};

/// The type of a page.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All that is counted and measured at one moment.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// When the edge started, milliseconds since 1970-01-01 UTC.
    pub started_at: u64,
    /// The generation of the settings in force.
    pub generation: u64,
    /// What has come of reloads.
    pub reloads: Reloads,
    /// What the dataplanes of all workers count.
    pub dataplane: Counters,
    /// What the sockets of all workers count.
    pub transport: transport::Counters,
    /// Connections of phones that are open.
    pub connections: u64,
    /// What one worker could not hand to another because the way was full.
    pub handoffs_dropped: u64,
    /// Panics of workers.
    pub panics: u64,
    /// How long the workers' batches took.
    pub turns: Durations,
    /// How much the location service holds.
    pub location: Census,
    /// How the store fares.
    pub store: Health,
    /// The attendant's sound.
    pub media: media::Figures,
    /// Events of the audit trail since its file was made.
    pub audit_records: u64,
    /// What each hook has come to, by name.
    pub hooks: Vec<(Box<str>, audit::Figures)>,
}

/// What has come of reloads since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reloads {
    /// Those whose file is in force, or was until the next.
    pub applied: u64,
    /// Those of a file with a mistake, or that could not be read.
    pub mistaken: u64,
    /// Those that would have changed what is fixed at start.
    pub needing_restart: u64,
    /// When what is in force was put there, by a reload or at start: milliseconds since 1970-01-01 UTC.
    pub applied_at: u64,
}

/// One page. Seats are told by tenant, those of `settings` also where nobody sits.
pub fn page(figures: &Figures, settings: &Settings, seats: &[Arc<Seat>]) -> String {
    let mut page = Page::default();
    page.head("hotdesk_build_info", "The version that runs.", "gauge");
    page.sample("hotdesk_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    let seconds = |millis| millis as f64 / 1000.0;
    let started = seconds(figures.started_at);
    page.gauge("process_start_time_seconds", "When the edge started, in seconds since 1970.", started);
    page.gauge("hotdesk_settings_generation", "Rises with every reload that is applied.", figures.generation);
    let Reloads { applied, mistaken, needing_restart, applied_at } = figures.reloads;
    page.head("hotdesk_reloads_total", "Reloads of the configuration, by what has come of them.", "counter");
    for (outcome, count) in [("applied", applied), ("mistake", mistaken), ("needs-restart", needing_restart)]
    {
        page.sample("hotdesk_reloads_total", &[("outcome", outcome)], count);
    }
    page.gauge(
        "hotdesk_last_reload_success_timestamp_seconds",
        "When the configuration in force was applied, by a reload or at start, in seconds since 1970.",
        seconds(applied_at),
    );

    let mut by_tenant: BTreeMap<&str, u64> = settings.tenants.iter().map(|tenant| (&*tenant.id, 0)).collect();
    for seat in seats {
        *by_tenant.entry(seat.device.tenant()).or_default() += 1;
    }
    page.head("hotdesk_seats", "Devices somebody sits at.", "gauge");
    for (tenant, seats) in by_tenant {
        page.sample("hotdesk_seats", &[("tenant", tenant)], seats);
    }
    page.gauge("hotdesk_addresses_of_record", "Addresses-of-record with a binding.", figures.location.aors);
    page.gauge("hotdesk_bindings", "Bindings.", figures.location.bindings);
    page.gauge("hotdesk_connections", "Connections of phones that are open.", figures.connections);

    for (name, help, count) in figures.dataplane.each() {
        page.counter(&format!("hotdesk_{name}_total"), help, count);
    }
    for (name, help, count) in figures.transport.each() {
        page.counter(&format!("hotdesk_transport_{name}_total"), help, count);
    }
    page.gauge("hotdesk_media_sessions", "Sessions of sound that are open.", figures.media.sessions);
    for (name, help, count) in figures.media.counters.each() {
        page.counter(&format!("hotdesk_media_{name}_total"), help, count);
    }
    page.counter(
        "hotdesk_handoffs_dropped_total",
        "Messages that could not be handed to their worker because the way was full.",
        figures.handoffs_dropped,
    );
    page.counter(
        "hotdesk_audit_records_total",
        "Records of the audit trail since its file was made.",
        figures.audit_records,
    );
    page.counter(
        "hotdesk_audit_dropped_total",
        "Records that were not kept because too many waited.",
        figures.store.notes_dropped,
    );
    page.hooks(&figures.hooks);
    page.counter("hotdesk_worker_panics_total", "Panics of workers; each was replaced.", figures.panics);
    let help = "How long workers took for a batch, from receiving it to having sent the answers.";
    page.durations("hotdesk_worker_turn", help, &figures.turns);
    page.store(&figures.store);
    page.text
}

/// A page while it is written.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn head(&mut self, name: &str, help: &str, kind: &str) {
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            self.write(format_args!("{}{label}=\"", if index == 0 { '{' } else { ',' }));
            for character in text.chars() {
                match character {
                    '\\' => self.text.push_str(r"\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    other => self.text.push(other),
                }
            }
            self.text.push('"');
        }
        self.text.push_str(if labels.is_empty() { "" } else { "}" });
        self.write(format_args!(" {value}\n"));
    }

    fn counter(&mut self, name: &str, help: &str, count: u64) {
        self.head(name, help, "counter");
        self.sample(name, &[], count);
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, help, "gauge");
        self.sample(name, &[], value);
    }

    fn hooks(&mut self, hooks: &[(Box<str>, audit::Figures)]) {
        type Take = fn(&audit::Figures) -> u64;
        let counts: [(&str, &str, &str, Take); 5] = [
            ("delivered_total", "Records that the hook took.", "counter", |hook| hook.delivered),
            ("failed_total", "Tries that failed and are made again.", "counter", |hook| hook.failed),
            ("refused_total", "Records that the hook will never take.", "counter", |hook| hook.refused),
            ("missed_total", "Records gone before the hook took them.", "counter", |hook| hook.missed),
            ("waiting", "Records that the hook has not been shown.", "gauge", |hook| hook.waiting),
        ];
        if hooks.is_empty() {
            return;
        }
        for (name, help, kind, take) in counts {
            let name = format!("hotdesk_hook_{name}");
            self.head(&name, help, kind);
            for (hook, figures) in hooks {
                self.sample(&name, &[("hook", hook)], take(figures));
            }
        }
    }

    fn store(&mut self, store: &Health) {
        self.gauge(
            "hotdesk_store_up",
            "1 while the store takes changes, 0 while it is away.",
            u8::from(store.reachable),
        );
        self.gauge("hotdesk_store_waiting", "Saves that wait for the next commit.", store.waiting);
        self.gauge(
            "hotdesk_store_owed",
            "Changes that stand in memory and not yet in the store.",
            store.owed,
        );
        self.gauge("hotdesk_store_behind", "Refreshes not yet written.", store.behind);
        self.gauge("hotdesk_store_journal_records", "Records not yet folded into tables.", store.unfolded);
        self.counter("hotdesk_store_records_total", "Records written.", store.records);
        self.counter("hotdesk_store_failures_total", "Commits and housekeeping that failed.", store.failures);
        self.counter("hotdesk_store_saves_failed_total", "Saves that failed.", store.saves_failed);
        self.counter(
            "hotdesk_store_refreshes_dropped_total",
            "Refreshes not kept because too many waited.",
            store.behind_dropped,
        );
        self.durations("hotdesk_store_commit", "How long commits took.", &store.commit_times);
    }

    /// A histogram `what_seconds`, and a gauge `what_longest_seconds`, which no bucket tells.
    fn durations(&mut self, what: &str, help: &str, durations: &Durations) {
        let name = format!("{what}_seconds");
        self.head(&name, help, "histogram");
        let mut below = 0;
        for (bound, count) in Durations::BOUNDS.iter().zip(durations.counts) {
            below += count;
            self.sample(&format!("{name}_bucket"), &[("le", &bound.as_secs_f64().to_string())], below);
        }
        self.sample(&format!("{name}_bucket"), &[("le", "+Inf")], durations.count());
        self.sample(&format!("{name}_sum"), &[], durations.sum.as_secs_f64());
        self.sample(&format!("{name}_count"), &[], durations.count());
        let help = format!("{help} The longest since start.");
        self.gauge(&format!("{what}_longest_seconds"), &help, durations.longest.as_secs_f64());
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        self.text.write_fmt(text).expect("a String takes everything");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use dataplane::hotdesk::{Place, Surface};
    use dataplane::settings::{Tenant, TenantParts, Timers};

    use super::*;

    fn settings(tenants: &[&str]) -> Settings {
        let tenant =
            |id: &&str| Arc::new(Tenant::new(TenantParts { id: (*id).into(), ..TenantParts::default() }));
        Settings::new(3, "edge-1", Vec::new(), tenants.iter().map(tenant).collect(), Timers::default(), true)
    }

    fn seat(tenant: &str, device: &str) -> Arc<Seat> {
        Arc::new(Seat {
            device: Place::new(tenant, device),
            extension: Place::new(tenant, "1001"),
            epoch: 1,
            since: 0,
            surface: Surface::Api,
            until: None,
        })
    }

    #[test]
    fn seats_are_counted_by_tenant_also_where_nobody_sits() {
        let seats = [seat("demo", "desk-1"), seat("demo", "desk-2"), seat("gone", "desk-1")];

        let page = page(&Figures::default(), &settings(&["demo", "empty"]), &seats);

        for line in ["{tenant=\"demo\"} 2", "{tenant=\"empty\"} 0", "{tenant=\"gone\"} 1"] {
            assert!(page.contains(&format!("\nhotdesk_seats{line}\n")), "{page}");
        }
    }

    #[test]
    fn reloads_are_counted_by_what_has_come_of_them() {
        let reloads = Reloads { applied: 3, mistaken: 2, needing_restart: 1, applied_at: 1_769_847_300_500 };

        let page = page(&Figures { reloads, ..Figures::default() }, &settings(&[]), &[]);

        for line in ["applied\"} 3", "mistake\"} 2", "needs-restart\"} 1"] {
            assert!(page.contains(&format!("\nhotdesk_reloads_total{{outcome=\"{line}\n")), "{page}");
        }
        assert!(page.contains("\nhotdesk_last_reload_success_timestamp_seconds 1769847300.5\n"), "{page}");
    }

    #[test]
    fn a_label_cannot_break_out_of_its_line() {
        let page = page(&Figures::default(), &settings(&["a\"} 1\nb\\"]), &[]);

        assert!(page.contains("\nhotdesk_seats{tenant=\"a\\\"} 1\\nb\\\\\"} 0\n"), "{page}");
    }

    #[test]
    fn a_histogram_adds_up_from_bound_to_bound() {
        let mut commit_times = Durations::default();
        for millis in [0, 1, 1, 3_000] {
            commit_times.observe(Duration::from_millis(millis));
        }
        let store = Health { commit_times, ..Health::default() };

        let page = page(&Figures { store, ..Figures::default() }, &settings(&[]), &[]);

        for line in [
            "seconds_bucket{le=\"0.0001\"} 1",
            "seconds_bucket{le=\"0.001\"} 3",
            "seconds_bucket{le=\"2\"} 3",
            "seconds_bucket{le=\"+Inf\"} 4",
            "seconds_sum 3.002",
            "seconds_count 4",
            "longest_seconds 3",
        ] {
            assert!(page.contains(&format!("\nhotdesk_store_commit_{line}\n")), "{line}\n{page}");
        }
    }

    #[test]
    fn every_line_is_a_sample_of_a_family_that_was_announced_once() {
        let figures = Figures { started_at: 1_769_847_300_250, ..Figures::default() };

        let page = page(&figures, &settings(&["demo"]), &[seat("demo", "desk-1")]);

        let mut families = HashSet::new();
        let mut family = "";
        for line in page.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                family = rest.split(' ').next().unwrap();
                assert!(families.insert(family), "{family} twice");
                assert_eq!(family.ends_with("_total"), rest.ends_with(" counter"), "{line}");
            } else if !line.starts_with("# HELP ") {
                let (sample, value) = line.rsplit_once(' ').unwrap();
                assert!(sample.starts_with(family), "{line} under {family}");
                value.parse::<f64>().unwrap();
            }
        }
        assert!(page.contains("\nprocess_start_time_seconds 1769847300.25\n"), "{page}");
        assert!(families.len() > 40);
    }
}
