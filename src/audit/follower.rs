//! Somebody who reads the trail from some place on, and waits at its end for more.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tracing::debug;

use crate::backend::store::{Row, Trail};

/// Between two tries of a file that cannot be read.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Reads the trail.
#[derive(Debug)]
pub struct Follower {
    trail: Arc<Trail>,
    news: watch::Receiver<u64>,
    next: u64,
    /// How many events there had been before the next one, once it is known.
    ordinal: Option<u64>,
}

/// Some rows, and what was lost before them.
#[derive(Debug)]
pub struct Read {
    /// Rows, oldest first, at least one. The first may begin before the follower's place.
    pub rows: Vec<Arc<Row>>,
    /// The place: events before it were read earlier.
    pub from: u64,
    /// Events before these rows that are not kept any more, as far as it is known.
    pub missed: u64,
}

impl Follower {
    /// Starts with the event `next`.
    pub fn new(trail: Arc<Trail>, next: u64) -> Self {
        Self { news: trail.news(), trail, next, ordinal: None }
    }

    /// The place behind all that was read.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Waits until there is something to read. `None`: there will never be, the edge has ended.
    pub async fn read(&mut self) -> Option<Read> {
        loop {
            let end = *self.news.borrow_and_update();
            if self.next < end {
                match self.rows().await {
                    Some(rows) if !rows.is_empty() => return Some(self.take(rows)),
                    Some(_) => self.next = end,
                    None => {
                        tokio::time::sleep(RETRY_DELAY).await;
                        continue;
                    }
                }
            }
            self.news.changed().await.ok()?;
        }
    }

    async fn rows(&self) -> Option<Vec<Arc<Row>>> {
        if let Some(rows) = self.trail.from_memory(self.next) {
            return Some(rows);
        }
        let (trail, next) = (Arc::clone(&self.trail), self.next);
        match spawn_blocking(move || trail.from(next)).await {
            Ok(Ok(rows)) => Some(rows),
            Ok(Err(error)) => {
                debug!(reason = %error, "the audit trail cannot be read");
                None
            }
            // The runtime ends.
            Err(_) => None,
        }
    }

    fn take(&mut self, rows: Vec<Arc<Row>>) -> Read {
        let from = self.next;
        let first = rows.first().filter(|row| row.first() > from);
        let missed = first.zip(self.ordinal).map_or(0, |(row, seen)| row.ordinal().saturating_sub(seen));
        if let Some(last) = rows.last() {
            self.next = last.end();
            self.ordinal = Some(last.ordinal_end());
        }
        Read { rows, from, missed }
    }
}
