//! Processor time: the server's by /proc, our own by getrusage.

use std::fs;
use std::io;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use nix::unistd::{SysconfVar, sysconf};

/// Processes that are counted together: a server forks no more.
const PROCESSES_MAX: usize = 1024;

/// Processor time so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// In user mode.
    pub(crate) user: Duration,
    /// In the kernel.
    pub(crate) system: Duration,
}

impl Usage {
    /// Of a process with all its threads, and of its living descendants.
    ///
    /// The kernel tells it in ticks of 10 ms: a window of seconds is known to some tenths of a percent.
    ///
    /// # Errors
    /// There is no such process.
    pub(crate) fn of(pid: u32) -> io::Result<Self> {
        let mut total = ticks_of(pid)?;
        for child in &family(pid)?[1..] {
            // One that has just ended is not counted any more.
            let (user, system) = ticks_of(*child).unwrap_or_default();
            total = (total.0 + user, total.1 + system);
        }
        let a_second = sysconf(SysconfVar::CLK_TCK)?.unwrap_or(100) as f64;
        let time = |ticks: u64| Duration::from_secs_f64(ticks as f64 / a_second);
        Ok(Self { user: time(total.0), system: time(total.1) })
    }

    /// Of this process.
    pub(crate) fn own() -> Self {
        Self::told(UsageWho::RUSAGE_SELF)
    }

    /// Of the children of this process that have ended.
    pub(crate) fn of_children() -> Self {
        Self::told(UsageWho::RUSAGE_CHILDREN)
    }

    fn told(who: UsageWho) -> Self {
        let time = |value: nix::sys::time::TimeVal| {
            Duration::from_micros(u64::try_from(value.num_microseconds()).unwrap_or_default())
        };
        getrusage(who)
            .map(|usage| Self { user: time(usage.user_time()), system: time(usage.system_time()) })
            .unwrap_or_default()
    }

    /// What has been used since `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
        }
    }

    /// Both together.
    pub(crate) fn total(self) -> Duration {
        self.user + self.system
    }
}

/// A process and its living descendants.
///
/// # Errors
/// There are more than any server has.
pub(crate) fn family(pid: u32) -> io::Result<Vec<u32>> {
    let mut all = vec![pid];
    let mut next = 0;
    while let Some(pid) = all.get(next) {
        all.extend(children_of(*pid));
        next += 1;
        if all.len() > PROCESSES_MAX {
            return Err(io::Error::other("it has more than 1024 descendants"));
        }
    }
    Ok(all)
}

/// User and system time of a process, in ticks (proc_pid_stat(5), fields 14 and 15).
fn ticks_of(pid: u32) -> io::Result<(u64, u64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    ticks(&stat).ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat is not as it should be")))
}

fn ticks(stat: &str) -> Option<(u64, u64)> {
    // The name of the program, in parentheses, may have spaces and parentheses in it.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

fn children_of(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let children = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    children
        .flat_map(|pids| pids.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_read_behind_any_name() {
        let stat = "42 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 123 45 0 0 20 0 1 0 99";

        assert_eq!(ticks(stat), Some((123, 45)));
        assert_eq!(ticks("42 (a) S 1"), None);
    }

    #[test]
    fn a_process_and_its_children_are_found() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        assert!(children_of(std::process::id()).contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();

        assert!(Usage::of(std::process::id()).is_ok());
        assert!(Usage::of(0).is_err());
        assert!(Usage::own().total() > Duration::ZERO);
    }
}
