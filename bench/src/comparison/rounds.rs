//! Rounds: the same load on one server and the other in turn (A B B A …), and what else ran meanwhile.

use std::fs;
use std::io;
use std::process::Stdio;
use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};
use serde_json::Value;

use super::ComparisonError;
use super::server::{Place, Running, Server, Setup, broken};
use crate::deadline::now;
use crate::swarm::usage::Usage;

/// Share of a processor that others may take of either of the two while a round is played.
const DISTURBANCE_MAX: f64 = 0.04;

/// How often a disturbed round is played again before it counts all the same.
const AGAIN_MAX: u32 = 2;

/// The phones' first address, and their port: not those of somebody else's swarm.
const PHONES_FROM: &str = "127.80.0.0:25060";

/// What swarm said of one round.
#[derive(Clone, Debug)]
pub(super) struct Played {
    /// Its JSON.
    pub(super) figures: Value,
    /// Share of a processor that others took, the more disturbed of the two.
    pub(super) disturbance: f64,
}

/// Rounds of one load.
#[derive(Clone, Debug, Default)]
pub(super) struct Rounds {
    /// Of hotdesk and Kamailio, in pairs.
    pub(super) pairs: Vec<(Value, Value)>,
    /// Rounds played again because they were disturbed.
    pub(super) again: u32,
    /// Rounds that were disturbed and count, because those after them were, too.
    pub(super) disturbed: u32,
}

impl Place {
    /// Plays one load on a server that is started for it.
    pub(super) fn play(
        &self,
        server: Server,
        setup: Setup,
        load: &[&str],
    ) -> Result<Played, ComparisonError> {
        let running = self.start(server, setup)?;
        let played = self.load(&running, setup, load);
        running.end();
        played
    }

    /// Plays one load on a server that runs.
    pub(super) fn load(
        &self,
        running: &Running,
        setup: Setup,
        load: &[&str],
    ) -> Result<Played, ComparisonError> {
        let file = self.work.join("figures.json");
        let mut command = self.pinned(self.swarm_cpu);
        command.arg(&self.swarm).args(load).arg("--edge").arg(self.listen.to_string());
        command.args([
            "--from",
            PHONES_FROM,
            "--quiet",
            "--wait",
            if setup.callgrind { "120" } else { "20" },
        ]);
        command.arg("--json").arg(&file).arg("--pid").arg(running.pid().to_string());
        if !load.contains(&"--phones") {
            command.arg("--phones").arg(setup.phones.to_string());
        }
        if !setup.callgrind {
            command.arg("--spin");
        }
        let _ = fs::remove_file(&file);
        let before = self.busy(running)?;
        let begun = now();
        let said = command.stdin(Stdio::null()).output().map_err(broken("swarm"))?;
        let elapsed = now() - begun;
        let after = self.busy(running)?;
        let figures = fs::read_to_string(&file).ok().and_then(|text| serde_json::from_str(&text).ok());
        let figures: Value = figures.ok_or_else(|| ComparisonError::Failed {
            what: format!(
                "swarm {}\n{}{}{}",
                load.join(" "),
                String::from_utf8_lossy(&said.stdout),
                String::from_utf8_lossy(&said.stderr),
                self.log()
            ),
        })?;
        // What is not the server's on its processor, and not swarm's on its own.
        let server = (after.server_cpu - before.server_cpu).saturating_sub(after.server - before.server);
        let swarm = (after.swarm_cpu - before.swarm_cpu).saturating_sub(after.children - before.children);
        let share = |time: Duration| time.as_secs_f64() / elapsed.as_secs_f64().max(f64::EPSILON);
        Ok(Played { figures, disturbance: share(server).max(share(swarm)) })
    }

    /// Plays a load on both servers in turn.
    pub(super) fn rounds(
        &self,
        setup: Setup,
        load: &[&str],
        pairs: u32,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Rounds, ComparisonError> {
        let mut rounds = Rounds::default();
        for pair in 0..pairs {
            let mut both = [Value::Null, Value::Null];
            let order = if pair % 2 == 0 { [0, 1] } else { [1, 0] };
            for server in order {
                let who = [Server::Hotdesk, Server::Kamailio][server];
                let mut tries = 0;
                let played = loop {
                    let played = self.play(who, setup, load)?;
                    if played.disturbance <= DISTURBANCE_MAX {
                        break played;
                    }
                    if tries == AGAIN_MAX {
                        rounds.disturbed += 1;
                        break played;
                    }
                    tries += 1;
                    rounds.again += 1;
                };
                progress(&format!(
                    "{who:?}: {:.0} a second, {:.1} us each, p99 {:.0} us, lost {}, wrong {}{}",
                    played.figures["rate"].as_f64().unwrap_or_default(),
                    played.figures["server"]["cpu_us_each"].as_f64().unwrap_or_default(),
                    played.figures["latency_us"]["p99"].as_f64().unwrap_or_default(),
                    played.figures["lost"],
                    played.figures["wrong"],
                    if played.disturbance > DISTURBANCE_MAX {
                        format!("; others took {:.0} % of a processor", 100.0 * played.disturbance)
                    } else {
                        String::new()
                    }
                ));
                both[server] = played.figures;
            }
            let [ours, theirs] = both;
            rounds.pairs.push((ours, theirs));
        }
        Ok(rounds)
    }

    fn busy(&self, running: &Running) -> Result<Busy, ComparisonError> {
        let stat = fs::read_to_string("/proc/stat").map_err(broken("/proc/stat"))?;
        let tick = Duration::from_secs(1) / ticks_a_second().map_err(broken("sysconf"))?;
        let of = |cpu| busy_ticks(&stat, cpu).map(|ticks| tick * ticks);
        let cpus = of(self.server_cpu).zip(of(self.swarm_cpu));
        let (server_cpu, swarm_cpu) = cpus.ok_or_else(|| ComparisonError::Failed {
            what: format!("there are no processors {} and {}", self.server_cpu, self.swarm_cpu),
        })?;
        let server = Usage::of(running.pid()).map_err(broken("the server's process"))?.total();
        Ok(Busy { server_cpu, swarm_cpu, server, children: Usage::of_children().total() })
    }
}

/// Processor time so far: of two processors, of the server, and of our children that have ended.
struct Busy {
    server_cpu: Duration,
    swarm_cpu: Duration,
    server: Duration,
    children: Duration,
}

fn ticks_a_second() -> io::Result<u32> {
    Ok(sysconf(SysconfVar::CLK_TCK)?.and_then(|ticks| u32::try_from(ticks).ok()).unwrap_or(100))
}

/// Ticks in which a processor was not idle (proc_stat(5): user, nice, system, irq, softirq and steal).
fn busy_ticks(stat: &str, cpu: u32) -> Option<u32> {
    let name = format!("cpu{cpu} ");
    let line = stat.lines().find_map(|line| line.strip_prefix(&name))?;
    let fields: Vec<u64> = line.split_ascii_whitespace().map_while(|field| field.parse().ok()).collect();
    let busy = [0, 1, 2, 5, 6, 7].into_iter().map(|field| fields.get(field)).sum::<Option<u64>>()?;
    u32::try_from(busy).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_is_not_busy() {
        let stat = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 1 2 3 400 500 6 7 8 0 0\ncpu1 1 1 1 1 1 1 1 1 0 0\n";

        assert_eq!(busy_ticks(stat, 0), Some(1 + 2 + 3 + 6 + 7 + 8));
        assert_eq!(busy_ticks(stat, 2), None);
    }
}
