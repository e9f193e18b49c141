//! Append-only memory-mapped journal.

mod appender;
mod checksum;
mod directory;
mod error;
mod flusher;
mod format;
mod map;
mod open;
mod prepare;
mod reader;
mod record;
mod repair;
mod scan;
mod segment;
mod settings;
mod statistics;
mod status;
mod storage;
mod survey;
mod verify;

pub use appender::Appender;
pub use error::{AppendError, Damage, DamageReason, FileError, OpenError};
pub use flusher::{Flusher, FlusherHandle, FlusherOptions, StopError};
pub use format::{
    FORMAT_VERSION, HEADER_BYTES, HeaderFault, RECORD_ALIGNMENT, SEGMENT_BYTES_MAXIMUM,
    SEGMENT_BYTES_MINIMUM, segment_index, segment_name,
};
pub use open::{Cut, Opened, Recovery, open};
pub use reader::{ReadError, Reader};
pub use record::{RECORD_HEADER_BYTES, Record, RecordFault};
pub use repair::{RepairError, RepairOptions, RepairReport, repair};
pub use settings::{Durability, Room, Settings, SettingsError};
pub use statistics::{JournalStatistics, KindStatistics, RecordPoint, statistics};
pub use status::{Condition, FlusherStatistics, Reason, Status, WatermarkWaker};
pub use verify::{Progress, TornTail, Verification, verify};

#[doc(hidden)]
pub mod testing;
