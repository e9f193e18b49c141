//! Append-only memory-mapped journal.
//!
//! Records are appended to preallocated, mapped segment files by one thread that never waits: the hot half,
//! [`Appender`]. The cold half, [`Flusher`], runs on three threads of its own: one makes records durable and moves
//! the watermark, one prepares the next segment and makes the pages ahead writable, one watches for a disk that does not
//! answer and for files that somebody shortens. [`Reader`] follows a
//! journal in any process while it is written. [`open`] recovers what a crash has left; [`verify`] and [`repair`]
//! deal with disks that have lost or changed something.
//!
//! The crate knows nothing of what the payloads mean. The bytes on disk and the decision table of recovery are
//! in `FORMAT.md`.
//!
//! ```
//! use tollgate_journal::{FlusherOptions, Reader, Room, Settings, open};
//!
//! # let temporary = tempfile::tempdir()?;
//! # let directory = temporary.path().join("journal");
//! let settings = Settings { segment_bytes: 1 << 20, reserve_bytes: 1 << 16, ..Settings::new(&directory) };
//! let opened = open(&settings, |record| println!("{} {:?}", record.sequence, record.payload))?;
//! let handle = opened.flusher.spawn(&FlusherOptions::default())?;
//! let mut appender = opened.appender;
//!
//! let message = b"buy 1";
//! let sequence = appender.append(Room::Ordinary, 1, 1_700_000_000_000_000_000, message.len(), |slot| {
//!     slot.copy_from_slice(message);
//!     message.len()
//! })?;
//! appender.publish();
//! assert_eq!(sequence, 1);
//!
//! let mut reader = Reader::open(&directory)?;
//! let record = reader.next()?.ok_or("the record was appended")?;
//! assert_eq!((record.sequence, record.kind, record.payload), (1, 1, &message[..]));
//! handle.stop()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is promised
//!
//! - An append allocates nothing, takes no lock and makes no system call. [`Appender::publish`] makes one, in the
//!   disk class, when the flusher sleeps.
//! - Going to the next segment is a swap of pointers. Page faults are taken ahead by the cold half; what remains
//!   is inherent in mapped files: a sync takes the write permission of the pages it writes, and an append that
//!   comes before the flusher has given it back pays for one fault.
//! - A full disk is not final: ordinary records are refused once only the reserve is left, others when their slice of
//!   it is used up (see [`Room`]), and all are taken again when there is space. See [`Condition`].
//! - A failed sync is final: the kernel may have dropped what it could not write. The watermark stays where it
//!   is, ordinary records are refused, and reserved ones survive a crash of the process at least.
//!
//! # Unsafe code
//!
//! Two small modules have it, each block with its reason: `map`, since a journal in mapped memory is bytes shared
//! between threads and processes, and `checksum`, for one processor instruction. The rest of the crate is safe.

mod append;
mod appender;
mod checksum;
mod directory;
mod error;
mod flusher;
mod format;
mod head;
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
mod watch;

pub use append::Append;
pub use appender::Appender;
pub use error::{AppendError, Damage, DamageReason, FileError, OpenError};
pub use flusher::{Flusher, FlusherHandle, FlusherOptions, StopError};
pub use format::{
    FORMAT_VERSION, HEADER_BYTES, HeaderFault, RECORD_ALIGNMENT, SEGMENT_BYTES_MAXIMUM,
    SEGMENT_BYTES_MINIMUM, segment_index, segment_name,
};
pub use head::{AcceptedLoss, HeadFault};
pub use open::{Cut, Opened, Recovery, Warning, open};
pub use reader::{ReadError, Reader};
pub use record::{Place, RECORD_HEADER_BYTES, Record, RecordFault};
pub use repair::{RepairError, RepairOptions, RepairReport, repair};
pub use settings::{Durability, ReserveSplit, Room, Settings, SettingsError};
pub use statistics::{JournalStatistics, KindStatistics, RecordPoint, statistics};
pub use status::{Condition, FlusherStatistics, Reason, Status, WatermarkWaker};
pub use verify::{Progress, TornTail, Verification, verify, verify_with_head};

#[doc(hidden)]
pub mod testing;
