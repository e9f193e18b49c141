//! Watches what the other cold threads cannot see of themselves: a sync that does not return, and a segment that
//! somebody shortens or takes away while it is mapped. Its own thread, which asks the disk for nothing.

use crate::map::Mapping;
use crate::segment::Segment;
use crate::status::{Reason, Shared, lock};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Time between two looks.
const INTERVAL: Duration = Duration::from_millis(50);

/// The file behind a mapped segment, kept open to see what becomes of it.
#[derive(Debug)]
pub(crate) struct Backing {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
}

/// The thread's state.
pub(crate) struct Watch {
    shared: Arc<Shared>,
    sync_timeout: Duration,
    interval: Duration,
    /// When the sync began that was given up.
    given_up: Option<Instant>,
    /// Copy of the live list, kept to reuse its memory.
    segments: Vec<Arc<Segment>>,
}

impl Watch {
    pub(crate) fn new(shared: Arc<Shared>, sync_timeout: Duration) -> Self {
        let interval = INTERVAL.min(sync_timeout / 4).max(Duration::from_millis(1));
        Self { shared, sync_timeout, interval, given_up: None, segments: Vec::new() }
    }

    /// Until the flusher has ended.
    pub(crate) fn run(&mut self) {
        loop {
            self.look_at_sync();
            self.look_at_files();
            if self.shared.wait_for_flusher(self.interval) {
                return;
            }
        }
    }

    fn look_at_sync(&mut self) {
        let sync = &self.shared.sync;
        let Some(running) = sync.running() else {
            let since = self.given_up.filter(|_| sync.is_given_up());
            sync.publish(since.map_or(Duration::ZERO, |since| since.elapsed()));
            return;
        };
        sync.publish(running.elapsed);
        if running.elapsed >= self.sync_timeout && sync.give_up(&running) {
            self.given_up = Instant::now().checked_sub(running.elapsed);
            let statistics = &self.shared.statistics;
            statistics.sync_errors.fetch_add(1, Ordering::Relaxed);
            statistics.set_last_error(format!(
                "a sync has not returned for {:?}, the limit is {:?}: the disk does not answer",
                running.elapsed, self.sync_timeout
            ));
            self.shared.fail(Reason::SyncTimeout);
        }
    }

    fn look_at_files(&mut self) {
        self.segments.clear();
        self.segments.extend(lock(&self.shared.live).iter().map(Arc::clone));
        for segment in &self.segments {
            if let Some(backing) = &segment.backing
                && let Err((reason, problem)) = backing.examine(&segment.mapping)
            {
                let index = segment.header.index;
                self.shared.statistics.set_last_error(format!("segment {index} {problem}"));
                self.shared.fail(reason);
                if reason == Reason::SegmentTruncated
                    && let Err(error) = backing.regrow(&segment.mapping)
                {
                    let text = format!("segment {index} {problem}, and cannot be lengthened again: {error}");
                    self.shared.statistics.set_last_error(text);
                }
            }
        }
        self.segments.clear();
    }
}

impl Backing {
    fn examine(&self, mapping: &Mapping) -> Result<(), (Reason, String)> {
        // What cannot be examined now is examined at the next look.
        let Ok(metadata) = self.file.metadata() else { return Ok(()) };
        let expected = mapping.len() as u64;
        if metadata.len() < expected {
            let problem = format!(
                "was shortened from {expected} to {} bytes by somebody while it was in use; what was behind is gone",
                metadata.len()
            );
            return Err((Reason::SegmentTruncated, problem));
        }
        let is_there = match std::fs::symlink_metadata(&self.path) {
            Ok(named) => (named.dev(), named.ino()) == (metadata.dev(), metadata.ino()),
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        };
        if is_there {
            return Ok(());
        }
        let problem = format!("was removed, moved or replaced while it was in use ({})", self.path.display());
        Err((Reason::SegmentRemoved, problem))
    }

    /// A store behind the end of the file would end the process: the file gets its length again, though not its bytes.
    fn regrow(&self, mapping: &Mapping) -> io::Result<()> {
        let bytes = mapping.len() as u64;
        self.file.set_len(bytes)?;
        // Best effort: without it a store may still find the disk full.
        let _ = rustix::fs::fallocate(&self.file, rustix::fs::FallocateFlags::empty(), 0, bytes);
        Ok(())
    }
}
