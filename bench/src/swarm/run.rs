//! One run: wait for the server, prepare the phones, warm up, measure, let everything end, leave.

use std::fmt;
use std::io;
use std::time::Duration;

use super::drive::{Bounds, Driver, Pace};
use super::knock::Knocking;
use super::options::Load;
use super::report::Report;
use super::roster::Roster;
use super::stage::{Play, Stage};
use super::usage::Usage;

/// How long phones may take to make ready: a million at 2,000 a second.
const PREPARATION_MAX: Duration = Duration::from_secs(600);

/// How often a server that is starting is asked whether it answers, a second.
const KNOCKS: f64 = 200.0;

/// Phones that make ready at once, whatever is measured later.
const PREPARING_AT_ONCE: u32 = 64;

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Sockets, or /proc.
    #[error("{what}")]
    System {
        /// What was wanted.
        what: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Nothing answers there.
    #[error("nothing at {0} answers an OPTIONS")]
    NoServer(std::net::SocketAddrV4),
}

/// A run under way.
pub(super) struct Run<'a> {
    load: &'a Load,
    /// What plays stand on.
    pub(super) stage: Stage,
    driver: Driver,
    first_answer: Duration,
    prepared: Option<(u64, Duration)>,
}

impl<'a> Run<'a> {
    /// Opens the phones' sockets and waits until the server answers.
    ///
    /// # Errors
    /// See [`RunError`].
    pub(super) fn start(load: &'a Load) -> Result<Self, RunError> {
        let roster = Roster::new(load.phones, load.from, load.addresses(), load.ports);
        let patience = u64::from(load.patience) * 1_000_000;
        let boot = crate::random::number() as u32;
        let mut stage =
            Stage::new(roster, load.edge, patience, boot).map_err(system("the phones' sockets"))?;
        let mut driver = Driver::new(&stage, load.spin).map_err(system("the phones' sockets"))?;
        let mut knocking = Knocking::new();
        let pace = Pace::Open { rate: KNOCKS, poisson: false, in_flight_max: 1 };
        let bounds = Bounds { time: Duration::from_secs(load.wait.max(1).into()), count: u64::MAX };
        driver
            .play(&mut knocking, &mut stage, pace, bounds, &mut |_| {})
            .map_err(system("the phones' sockets"))?;
        if !knocking.is_answered() {
            return Err(RunError::NoServer(load.edge));
        }
        let first_answer = Duration::from_nanos(stage.now);
        Ok(Self { load, stage, driver, first_answer, prepared: None })
    }

    /// Plays what must be done before or after, once for every phone; false if something went wrong with it, which the
    /// tally of the stage has.
    ///
    /// # Errors
    /// See [`RunError`].
    pub(super) fn prepare(&mut self, play: &mut dyn Play, what: &str) -> Result<bool, RunError> {
        self.say(format_args!("{what}"));
        let begun = self.driver.clock();
        let pace = Pace::Closed { in_flight: PREPARING_AT_ONCE };
        let bounds = Bounds { time: PREPARATION_MAX, count: u64::MAX };
        let quiet = self.load.quiet;
        let mut seconds = 0;
        self.driver
            .play(play, &mut self.stage, pace, bounds, &mut |stage| {
                seconds += 1;
                if !quiet {
                    eprintln!("{seconds:>5} s  {:>9} done", stage.tally.latency.count());
                }
            })
            .map_err(system("the phones' sockets"))?;
        let spent = Duration::from_nanos(self.driver.clock() - begun);
        let is_clean = self.stage.tally.is_clean();
        if is_clean {
            self.prepared = Some((self.stage.tally.latency.count(), spent));
            self.stage.tally = super::tally::Tally::default();
        }
        Ok(is_clean)
    }

    /// Warms up, measures, and lets what is under way come to its end. `once`: without warming up, until the play is over.
    ///
    /// # Errors
    /// See [`RunError`].
    pub(super) fn measure(
        &mut self,
        play: &mut dyn Play,
        name: &str,
        once: bool,
    ) -> Result<Report, RunError> {
        let load = self.load;
        let pace = match load.rate {
            Some(rate) => {
                Pace::Open { rate, poisson: load.poisson, in_flight_max: load.in_flight.max(OPEN_MAX) }
            }
            None => Pace::Closed { in_flight: load.in_flight },
        };
        let broken = system("the phones' sockets");
        if !once && load.warm_up > 0 {
            self.say(format_args!("warming up for {} s", load.warm_up));
            let bounds = Bounds { time: Duration::from_secs(load.warm_up.into()), count: load.count };
            self.driver.play(play, &mut self.stage, pace, bounds, &mut |_| {}).map_err(&broken)?;
            self.stage.tally.begin_window();
        }
        let before = self.snapshot()?;
        let begun = self.driver.clock();
        let bounds = Bounds { time: Duration::from_secs(load.seconds.into()), count: load.count };
        let mut shown = Shown { quiet: load.quiet, ..Shown::default() };
        let begun_units = self
            .driver
            .play(play, &mut self.stage, pace, bounds, &mut |stage| shown.second(stage))
            .map_err(&broken)?;
        let time = Duration::from_nanos(self.driver.clock() - begun);
        let after = self.snapshot()?;
        let in_time = self.stage.tally.latency.count();
        self.driver.drain(play, &mut self.stage).map_err(&broken)?;
        Ok(Report {
            name: name.into(),
            load: load.clone(),
            time,
            begun: begun_units,
            done: in_time,
            tally: std::mem::take(&mut self.stage.tally),
            server: before.server.zip(after.server).map(|(before, after)| after.since(before)),
            own: after.own.since(before.own),
            idle: after.idle - before.idle,
            first_answer: self.first_answer,
            prepared: self.prepared,
        })
    }

    /// The figures of a run that went no further than its preparation.
    pub(super) fn unprepared(&mut self, name: &str) -> Report {
        Report {
            name: name.into(),
            load: self.load.clone(),
            time: Duration::from_nanos(self.driver.clock()),
            begun: 0,
            done: self.stage.tally.latency.count(),
            tally: std::mem::take(&mut self.stage.tally),
            server: None,
            own: Usage::own(),
            idle: self.driver.idle,
            first_answer: self.first_answer,
            prepared: None,
        }
    }

    fn snapshot(&self) -> Result<Snapshot, RunError> {
        let server = self.load.pid.map(Usage::of).transpose().map_err(system("the process of --pid"))?;
        Ok(Snapshot { server, own: Usage::own(), idle: self.driver.idle })
    }

    fn say(&self, what: fmt::Arguments<'_>) {
        if !self.load.quiet {
            eprintln!("swarm: {what}");
        }
    }
}

/// Units at once in an open loop: two seconds of patience at 100,000 a second are 200,000.
const OPEN_MAX: u32 = 200_000;

struct Snapshot {
    server: Option<Usage>,
    own: Usage,
    idle: Duration,
}

/// What the last line of progress said.
#[derive(Default)]
struct Shown {
    quiet: bool,
    seconds: u32,
    done: u64,
}

impl Shown {
    fn second(&mut self, stage: &Stage) {
        self.seconds += 1;
        let done = stage.tally.latency.count();
        if !self.quiet {
            eprintln!(
                "{:>5} s  {:>9}/s  under way {:>6}  p99 {:>9.3} ms  lost {}  wrong {}",
                self.seconds,
                done - self.done,
                stage.under_way,
                stage.tally.latency.quantile(0.99) as f64 / 1e6,
                stage.tally.lost,
                stage.tally.wrong_count()
            );
        }
        self.done = done;
    }
}

fn system(what: &'static str) -> impl Fn(io::Error) -> RunError {
    move |source| RunError::System { what, source }
}
