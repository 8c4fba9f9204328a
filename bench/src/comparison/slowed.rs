//! A server that gets a part of its processor alone, so that one generator is many times as fast as it: a control group with a
//! quota of processor time.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Microseconds of processor time in each period: the least that Linux grants, so that the rests between are short.
const QUOTA: u32 = 1_000;

/// A control group. It ends with its value, once nobody is in it.
#[derive(Debug)]
pub(super) struct Slowed {
    folder: PathBuf,
}

impl Slowed {
    /// Whoever is in it runs for one millisecond of each `nth`. It takes privilege.
    pub(super) fn to(nth: u32) -> io::Result<Self> {
        let first = Path::new("/sys/fs/cgroup/cpu");
        let is_first = first.join("cpu.cfs_quota_us").exists();
        let parent = if is_first { first } else { Path::new("/sys/fs/cgroup") };
        let group = Self { folder: parent.join(format!("hotdesk-bench-{}", std::process::id())) };
        fs::create_dir_all(&group.folder)?;
        let (quota, period) = (QUOTA.to_string(), (QUOTA * nth).to_string());
        if is_first {
            fs::write(group.folder.join("cpu.cfs_period_us"), period)?;
            fs::write(group.folder.join("cpu.cfs_quota_us"), quota)?;
        } else {
            fs::write(group.folder.join("cpu.max"), format!("{quota} {period}"))?;
        }
        Ok(group)
    }

    /// What `command` is told to run enters the group first.
    pub(super) fn enter(&self, command: &mut Command) {
        const ENTER: &str = "echo $$ > \"$0\"; exec \"$@\"";
        command.args(["sh", "-c", ENTER]).arg(self.folder.join("cgroup.procs"));
    }
}

impl Drop for Slowed {
    fn drop(&mut self) {
        // Somebody may still be in it; an empty group costs nothing.
        let _ = fs::remove_dir(&self.folder);
    }
}
