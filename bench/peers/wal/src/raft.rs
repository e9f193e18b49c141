//! raft-engine: the log of `TiKV`'s Raft groups.

use std::hint::black_box;
use std::path::PathBuf;

use protobuf::well_known_types::BytesValue;
use raft_engine::{Config, Engine, LogBatch, MessageExt};

use crate::log::{Log, Outcome, Payloads, number_of, sync_files, timed};

/// The one Raft group.
const GROUP: u64 = 1;

/// Entries are messages of one field of bytes.
struct Entries;

impl MessageExt for Entries {
    type Entry = BytesValue;

    fn index(entry: &BytesValue) -> u64 {
        number_of(&entry.value)
    }
}

/// An engine with default settings. Entry and batch are used again, so that no append allocates for them.
pub(crate) struct RaftEngine {
    engine: Engine,
    sync: bool,
    directory: PathBuf,
    entry: [BytesValue; 1],
    batch: LogBatch,
    payloads: Payloads,
}

impl RaftEngine {
    /// With `sync`, `fdatasync` follows every write.
    pub(crate) fn open(directory: PathBuf, sync: bool) -> Outcome<Self> {
        let config = Config { dir: directory.display().to_string(), ..Config::default() };
        Ok(Self {
            engine: Engine::open(config)?,
            sync,
            directory,
            entry: [BytesValue::new()],
            batch: LogBatch::default(),
            payloads: Payloads::new(),
        })
    }
}

impl Log for RaftEngine {
    fn batch(&mut self, records: usize) -> Outcome<u64> {
        let Self { engine, entry, batch, payloads, .. } = self;
        timed(records, || {
            entry[0].value.clear();
            entry[0].value.extend_from_slice(black_box(payloads.next()));
            batch.add_entries::<Entries>(GROUP, entry)?;
            engine.write(batch, self.sync)?;
            Ok(())
        })
    }

    /// Its index of entries in memory is emptied but for the last, as whoever applies a Raft log does.
    fn rest(&mut self) -> Outcome<()> {
        self.engine.compact_to(GROUP, self.payloads.number());
        sync_files(&self.directory)
    }

    fn finish(self: Box<Self>) -> Outcome<()> {
        let entry = self.engine.get_entry::<Entries>(GROUP, self.payloads.number())?;
        self.payloads.compare("raft-engine", entry.as_ref().map(|entry| entry.value.as_slice()))
    }
}
