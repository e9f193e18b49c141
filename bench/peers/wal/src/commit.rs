//! commitlog: segments of messages with an index.

use std::hint::black_box;
use std::path::PathBuf;

use commitlog::message::{Message, MessageBuf, MessageSet};
use commitlog::{CommitLog, LogOptions, ReadLimit};

use crate::log::{Log, Outcome, Payloads, sync_files, timed};

/// A log with default settings. The buffer of the message is used again, so that no append allocates for it.
pub(crate) struct Commit {
    log: CommitLog,
    directory: PathBuf,
    message: MessageBuf,
    payloads: Payloads,
}

impl Commit {
    pub(crate) fn open(directory: PathBuf) -> Outcome<Self> {
        let log = CommitLog::new(LogOptions::new(&directory))?;
        Ok(Self { log, directory, message: MessageBuf::default(), payloads: Payloads::new() })
    }
}

impl Log for Commit {
    fn batch(&mut self, records: usize) -> Outcome<u64> {
        let Self { log, message, payloads, .. } = self;
        timed(records, || {
            message.clear();
            message
                .push(black_box(payloads.next()))
                .map_err(|error| format!("commitlog took no message: {error:?}"))?;
            log.append(message)?;
            Ok(())
        })
    }

    fn rest(&mut self) -> Outcome<()> {
        sync_files(&self.directory)
    }

    fn finish(self: Box<Self>) -> Outcome<()> {
        // Its first offset is 0.
        let messages = self.log.read(self.payloads.number() - 1, ReadLimit::default())?;
        let first = messages.iter().next();
        self.payloads.compare("commitlog", first.as_ref().map(Message::payload))
    }
}
