//! Counting what a journal holds.

use crate::directory::list_segments;
use crate::reader::{ReadError, Reader};
use std::collections::BTreeMap;
use std::path::Path;

/// What a journal holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalStatistics {
    /// Segment files, those prepared and not written yet included.
    pub segments: u64,
    /// Size of these files.
    pub file_bytes: u64,
    /// Records.
    pub records: u64,
    /// Bytes of their payloads.
    pub payload_bytes: u64,
    /// The first record.
    pub first: Option<RecordPoint>,
    /// The last record.
    pub last: Option<RecordPoint>,
    /// Records by kind.
    pub kinds: BTreeMap<u16, KindStatistics>,
}

/// Sequence and time of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordPoint {
    /// Its sequence.
    pub sequence: u64,
    /// Its time, nanoseconds since the Unix epoch.
    pub time_ns: u64,
}

/// Records of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindStatistics {
    /// How many.
    pub records: u64,
    /// Bytes of their payloads.
    pub payload_bytes: u64,
}

/// Reads the whole journal and counts. Takes no lock; on a journal that is being written it counts up to the
/// record last appended.
pub fn statistics(directory: impl AsRef<Path>) -> Result<JournalStatistics, ReadError> {
    let directory = directory.as_ref();
    let mut statistics = JournalStatistics::default();
    for (_, path) in list_segments(directory)? {
        statistics.segments += 1;
        // A file that has just been replaced by recovery counts as empty.
        statistics.file_bytes += std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    }
    let mut reader = Reader::open(directory)?;
    while let Some(record) = reader.next()? {
        let point = RecordPoint { sequence: record.sequence, time_ns: record.time_ns };
        let payload_bytes = record.payload.len() as u64;
        statistics.first.get_or_insert(point);
        statistics.last = Some(point);
        statistics.records += 1;
        statistics.payload_bytes += payload_bytes;
        let kind = statistics.kinds.entry(record.kind).or_default();
        kind.records += 1;
        kind.payload_bytes += payload_bytes;
    }
    Ok(statistics)
}
