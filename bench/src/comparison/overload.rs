//! What the edge still does when it is asked for more than it can do: its goodput at multiples of its capacity.
//!
//! One processor makes messages hardly faster than the edge handles them on another. So that ten times as many can be offered, the
//! edge is given a part of its processor alone.
//!
//! One edge goes through a round. Its capacity is found anew, in a closed loop, before and after each multiple of it is offered in an
//! open one, at random times; of the two the mean counts, since the machine does other things as well. Phones
//! send nothing again, so that what they ask for is what was meant; a unit counts if all of it went well, each answer
//! within [`PATIENCE`].

use std::fs;

use serde_json::{Value, json};

use super::figures::median;
use super::server::{Place, Running, Server, Setup, broken};
use super::{ComparisonError, DIGEST, say};

/// Milliseconds after which nobody waits any longer: T1, when phones begin to repeat themselves.
const PATIENCE: u32 = 500;

/// Seconds before anything counts: what is refused has to be found out first.
const WARM_UP: &str = "5";

/// Preparations of one measurement.
const TRIES: u32 = 3;

/// T1 is the usual one, and the table of transactions holds more than there are in a measurement, so that the processor is
/// what bounds the rate.
const SETUP: Setup = Setup { t1: 500, transactions_max: 2_097_152, in_memory: true, ..DIGEST };

/// What is asked for.
struct Load {
    name: &'static str,
    play: &'static [&'static str],
    /// Phones of one unit.
    phones: u32,
    /// See [`Setup`].
    slowed: u32,
    /// Units a second that no edge does, slowed so.
    capacity_max: f64,
    /// Units under way in the closed loop: they keep a worker busy, and wait for less than it takes as overload.
    in_flight: &'static str,
}

const LOADS: [Load; 2] = [
    Load {
        name: "calls, slowed to 1/4",
        play: &["call"],
        phones: 2,
        slowed: 4,
        capacity_max: 5_000.0,
        in_flight: "24",
    },
    Load {
        name: "REGISTER refreshes, slowed to 1/10",
        play: &["register", "--kind", "digest"],
        phones: 1,
        slowed: 10,
        capacity_max: 20_000.0,
        in_flight: "128",
    },
];

/// How long it is measured, and how often.
#[derive(Clone, Debug)]
pub struct Asked {
    /// As a load's name begins; all if there are none.
    pub only: Vec<String>,
    /// Of the capacity, each above 0.
    pub multiples: Vec<f64>,
    /// Times that all of it is measured.
    pub rounds: u32,
    /// Seconds of each measurement.
    pub seconds: u32,
}

/// One measurement.
struct Point {
    /// Units begun a second.
    offered: f64,
    /// Units that ended well a second.
    done: f64,
    /// Of the capacity before and after it.
    share: f64,
    /// 503, a second.
    refused: f64,
    /// How long those that ended well took, the median, in milliseconds.
    latency: f64,
}

/// Measures all loads.
///
/// # Errors
/// See [`ComparisonError`].
pub fn overload(place: &Place, asked: &Asked) -> Result<Value, ComparisonError> {
    fs::create_dir_all(&place.work).map_err(broken("the working folder"))?;
    let wanted =
        |load: &&Load| asked.only.is_empty() || asked.only.iter().any(|only| load.name.starts_with(only));
    let loads = LOADS.iter().filter(wanted).map(|load| load.measure(place, asked));
    let loads = loads.collect::<Result<Vec<_>, _>>()?;
    Ok(json!({ "loads": loads, "rounds": asked.rounds, "seconds": asked.seconds }))
}

impl Load {
    fn measure(&self, place: &Place, asked: &Asked) -> Result<Value, ComparisonError> {
        say(self.name);
        let setup = Setup { phones: self.phones_for(&asked.multiples), slowed: self.slowed, ..SETUP };
        let mut capacities = Vec::new();
        let mut points: Vec<Vec<Point>> = asked.multiples.iter().map(|_| Vec::new()).collect();
        for _ in 0..asked.rounds {
            let edge = place.start(Server::Hotdesk, setup)?;
            let play = |how: &[&str]| self.play(place, &edge, setup, asked.seconds, how);
            // What the system makes memory of for the first time costs more than anything after it.
            self.capacity(play)?;
            let mut before = self.capacity(play)?;
            capacities.push(before);
            for (multiple, points) in asked.multiples.iter().zip(&mut points) {
                let figures = play(&["--rate", &(multiple * before).round().to_string(), "--poisson"])?;
                let after = self.capacity(play)?;
                capacities.push(after);
                let capacity = f64::midpoint(before, std::mem::replace(&mut before, after));
                let seconds = number(&figures, "seconds");
                let point = Point {
                    offered: number(&figures, "begun") / seconds,
                    done: number(&figures, "rate"),
                    share: number(&figures, "rate") / capacity,
                    refused: number(&figures["wrong_by_reason"], "503") / seconds,
                    latency: number(&figures["latency_us"], "p50") / 1e3,
                };
                say(&format!(
                    "  offered {:.1} times as much: {:.2} of it is done, in {:.1} ms, by {:.3} of a processor; {:.0} a second get 503",
                    point.offered / capacity,
                    point.share,
                    point.latency,
                    number(&figures["server"], "share"),
                    point.refused
                ));
                points.push(point);
            }
        }
        let points = asked.multiples.iter().zip(&points).map(|(multiple, points)| {
            let of = |figure: fn(&Point) -> f64| points.iter().map(figure).collect::<Vec<_>>();
            let shares = of(|point| point.share);
            json!({
                "multiple": multiple, "offered": median(&of(|point| point.offered)),
                "done": median(&of(|point| point.done)), "refused": median(&of(|point| point.refused)),
                "latency_ms": median(&of(|point| point.latency)),
                "share": median(&shares), "shares": shares,
            })
        });
        Ok(json!({
            "name": self.name, "capacity": median(&capacities), "capacities": capacities,
            "points": points.collect::<Vec<_>>(),
        }))
    }

    /// A phone that gets no answer is not asked again before its patience is over.
    fn phones_for(&self, multiples: &[f64]) -> u32 {
        let multiple = multiples.iter().copied().fold(1.0, f64::max);
        let waiting = multiple * self.capacity_max * f64::from(PATIENCE * self.phones) / 1e3;
        waiting.max(10_000.0) as u32
    }

    /// Units done a second in a closed loop.
    fn capacity(
        &self,
        play: impl Fn(&[&str]) -> Result<Value, ComparisonError>,
    ) -> Result<f64, ComparisonError> {
        let figures = play(&["--in-flight", self.in_flight])?;
        let rate = number(&figures, "rate");
        say(&format!(
            "  capacity {rate:.0} a second, by {:.3} of a processor",
            number(&figures["server"], "share")
        ));
        if rate > self.capacity_max {
            let what = format!("{}: {rate:.0} a second are more than there are phones for", self.name);
            return Err(ComparisonError::Failed { what });
        }
        Ok(rate)
    }

    /// Once more where the phones could not all make ready, as on a machine that is busy elsewhere.
    fn play(
        &self,
        place: &Place,
        edge: &Running,
        setup: Setup,
        seconds: u32,
        how: &[&str],
    ) -> Result<Value, ComparisonError> {
        let (seconds, patience) = (seconds.to_string(), PATIENCE.to_string());
        let bounds = ["--seconds", &seconds, "--warm-up", WARM_UP, "--patience", &patience];
        let load = [self.play, how, &bounds].concat();
        for _ in 0..TRIES {
            let figures = place.load(edge, setup, &load)?.figures;
            if number(&figures, "begun") > 0.0 {
                return Ok(figures);
            }
        }
        Err(ComparisonError::Failed { what: format!("{}: the phones cannot make ready", self.name) })
    }
}

fn number(figures: &Value, name: &str) -> f64 {
    figures[name].as_f64().unwrap_or_default()
}
