//! The trail as a file of JSON lines. It is only ever appended to; who wants it shorter moves it away and reloads.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use super::follower::Follower;
use super::record::Record;
use super::{FILE_KEY, Progress, hook};
use crate::backend::store::{StoreHandle, Trail};

/// Between two tries of a file that cannot be written.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// Appends every record to the file at `path`, until it is dropped. Whoever did so before him ends his last write first:
/// `turn` is one for all of them.
pub(super) async fn append(
    path: PathBuf,
    turn: Arc<Mutex<()>>,
    trail: Arc<Trail>,
    store: StoreHandle,
    progress: Arc<Progress>,
) {
    let mut turn = turn.lock_owned().await;
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
            let (to, lines, opened) = (Arc::clone(&path), Arc::clone(&lines), file.take());
            let (store, progress, next) = (store.clone(), Arc::clone(&progress), follower.next());
            // A write that has begun ends though nobody waits for it any more: it has the turn, and says how far it came.
            let written = spawn_blocking(move || {
                let written = write(opened, &to, &lines);
                if written.is_ok() {
                    progress.next.store(next, Ordering::Relaxed);
                    store.keep_place(FILE_KEY, next);
                }
                (turn, written)
            });
            match written.await {
                Ok((back, Ok(still_open))) => {
                    (turn, file) = (back, Some(still_open));
                    break;
                }
                Ok((back, Err(error))) => {
                    turn = back;
                    if !std::mem::replace(&mut is_told, true) {
                        warn!(reason = %error, "the audit file {} cannot be written: tried again", path.display());
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
    }
}

/// Appends `lines`: all of them, or none if the file can be cut again.
fn write(file: Option<File>, path: &Path, lines: &[u8]) -> io::Result<File> {
    let mut file = match file {
        Some(file) => file,
        None => open(path)?,
    };
    let end = file.metadata()?.len();
    if let Err(error) = file.write_all(lines) {
        // What stays of a line in spite of it is ended when the file is opened again.
        let _ = file.set_len(end);
        return Err(error);
    }
    Ok(file)
}

/// Opens the file, or makes it, and its folder; others may not read what is made: it says who was where. A line that a
/// crash or a full disk tore is ended, so that the next stands by itself.
fn open(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    let about = file.metadata()?;
    if about.is_file() && about.len() > 0 {
        let mut last = [0];
        file.read_exact_at(&mut last, about.len() - 1)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_is_made_a_torn_line_is_ended_and_the_next_stands_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("not/there/audit.jsonl");
        drop(write(None, &path, b"{}\n").unwrap());
        fs::write(&path, b"{}\n{\"version\":1,").unwrap();

        let file = write(None, &path, b"{\"a\":1}\n").unwrap();
        write(Some(file), &path, b"{\"b\":2}\n").unwrap();

        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "{}\n{\"version\":1,\n{\"a\":1}\n{\"b\":2}\n");
    }
}
