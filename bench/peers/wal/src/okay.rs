//! okaywal: a log in front of a store, recycled at every checkpoint.

use std::hint::black_box;
use std::io::{self, Read};
use std::path::Path;

use okaywal::{LogPosition, LogVoid, WriteAheadLog};

use crate::log::{Log, Outcome, PAYLOAD_BYTES, Payloads, timed};

/// A log with default settings, whose checkpoints have nothing to do.
pub(crate) struct OkayWal {
    log: WriteAheadLog,
    payloads: Payloads,
}

impl OkayWal {
    pub(crate) fn open(directory: &Path) -> Outcome<Self> {
        Ok(Self { log: WriteAheadLog::recover(directory, LogVoid)?, payloads: Payloads::new() })
    }

    fn read(&self, position: LogPosition) -> io::Result<Vec<u8>> {
        let mut reader = self.log.read_at(position)?;
        let mut payload = vec![0; PAYLOAD_BYTES];
        reader.read_exact(&mut payload)?;
        if reader.crc_is_valid()? { Ok(payload) } else { Err(io::Error::other("its checksum is wrong")) }
    }

    /// Appends one more record and reads it back.
    fn reads_back(&mut self) -> Outcome<()> {
        let position = append(&self.log, self.payloads.next())?;
        self.payloads.compare("okaywal", Some(&self.read(position)?))
    }
}

/// Durable on return.
fn append(log: &WriteAheadLog, payload: &[u8]) -> io::Result<LogPosition> {
    let mut entry = log.begin_entry()?;
    let chunk = entry.write_chunk(payload)?;
    entry.commit()?;
    Ok(chunk.position)
}

impl Log for OkayWal {
    fn batch(&mut self, records: usize) -> Outcome<u64> {
        let Self { log, payloads } = self;
        timed(records, || {
            append(log, black_box(payloads.next()))?;
            Ok(())
        })
    }

    fn finish(mut self: Box<Self>) -> Outcome<()> {
        // A record that brings about a checkpoint is gone at once. The one after it is not.
        if self.reads_back().is_err() {
            self.reads_back()?;
        }
        Ok(self.log.shutdown()?)
    }
}
