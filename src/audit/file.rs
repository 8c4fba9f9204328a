//! The trail as a file of JSON lines. It is only ever appended to; who wants it shorter moves it away and reloads.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tracing::{info, warn};

use super::follower::Follower;
use super::record::Record;
use super::{FILE_KEY, Progress, hook};
use crate::backend::store::{StoreHandle, Trail};

/// Between two tries of a file that cannot be written.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// Appends every record to the file at `path`, until it is dropped.
pub(super) async fn append(path: PathBuf, trail: Arc<Trail>, store: StoreHandle, progress: Arc<Progress>) {
    let next = hook::start(&trail, FILE_KEY, &progress).await;
    let mut follower = Follower::new(trail, next);
    let path: Arc<Path> = path.into();
    let mut file: Option<File> = None;
    let mut is_told = false;
    while let Some(read) = follower.read().await {
        let mut lines = Vec::new();
        for (sequence, event) in read.rows.iter().flat_map(|row| row.events()) {
            if sequence >= read.from {
                lines.extend(Record::new(sequence, &event).json());
                lines.push(b'\n');
            }
        }
        let lines: Arc<[u8]> = lines.into();
        loop {
            let (path, lines, opened) = (Arc::clone(&path), Arc::clone(&lines), file.take());
            let written = spawn_blocking(move || write(opened, &path, &lines)).await;
            match written {
                Ok(Ok(still_open)) => {
                    file = Some(still_open);
                    break;
                }
                Ok(Err(error)) => {
                    if !std::mem::replace(&mut is_told, true) {
                        warn!(reason = %error, "the audit file cannot be written: tried again");
                    }
                    tokio::time::sleep(RETRY_DELAY).await;
                }
                // The runtime ends.
                Err(_) => return,
            }
        }
        if std::mem::take(&mut is_told) {
            info!("the audit file is written again");
        }
        progress.next.store(follower.next(), Ordering::Relaxed);
        store.keep_place(FILE_KEY, follower.next());
    }
}

/// Appends `lines`; others may not read the file: it says who was where.
fn write(file: Option<File>, path: &Path, lines: &[u8]) -> io::Result<File> {
    let mut file = match file {
        Some(file) => file,
        None => OpenOptions::new().append(true).create(true).mode(0o600).open(path)?,
    };
    file.write_all(lines)?;
    Ok(file)
}
