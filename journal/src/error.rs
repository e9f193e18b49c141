//! What can go wrong with a journal as a whole.

use crate::format::HeaderFault;
use crate::head::{HeadError, HeadFault};
use crate::record::RecordFault;
use crate::settings::SettingsError;
use std::io;
use std::path::{Path, PathBuf};

/// A place where the journal is not what it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Index of the segment.
    pub segment: u64,
    /// Offset in the segment file.
    pub offset: u64,
    /// The segment file.
    pub path: PathBuf,
    /// What is wrong there.
    pub reason: DamageReason,
    /// Offset of the next intact record in the same segment, if there is one.
    pub next_valid: Option<u64>,
}

/// Kinds of damage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DamageReason {
    /// The segment header cannot be used.
    #[error("{0}")]
    Header(HeaderFault),
    /// A record is not what is expected there.
    #[error("{0}")]
    Record(RecordFault),
    /// A record that was known to be on disk is damaged or gone.
    #[error("{fault}, though the first {durable_bytes} bytes of the segment were durable")]
    Durable {
        /// What is wrong with the record.
        fault: RecordFault,
        /// Bytes of the segment known to have been on disk.
        durable_bytes: u64,
    },
    /// The segment file does not exist, though later ones do, or the segment before it was closed to go on in it.
    #[error("the segment file is missing")]
    Missing,
    /// The segment does not continue the one before it.
    #[error("the segment starts at sequence {found}, expected {expected}")]
    Gap {
        /// First sequence of the segment.
        found: u64,
        /// Sequence after the last record of the segment before.
        expected: u64,
    },
    /// The segment continues other records than those of the segment before it.
    #[error("the segment does not follow the last record of the segment before it (checksums differ)")]
    Chain,
    /// Records stand in a segment that was never entered.
    #[error("the segment holds bytes, but its first sequence is not set")]
    NotEntered,
    /// Records are gone that had reached the disk.
    #[error(
        "the journal ends with sequence {kept}, but {} says that records up to {durable} had reached the disk; \
         records after {kept} are gone",
        .head.display()
    )]
    Lost {
        /// Last sequence that is still there; 0 for none.
        kept: u64,
        /// Last sequence that the head says was durable.
        durable: u64,
        /// The head's file.
        head: PathBuf,
    },
    /// There is no journal where there was one.
    #[error(
        "no segment is here, but {} says that there was a journal, on disk up to sequence {durable}",
        .head.display()
    )]
    Gone {
        /// Last sequence that the head says was durable.
        durable: u64,
        /// The head's file.
        head: PathBuf,
    },
    /// The segments are those of another journal.
    #[error("this is not the journal that was here: its identity is {}, {} expects {}", hex(.found), .head.display(), hex(.expected))]
    OtherJournal {
        /// Identity of the segments.
        found: [u8; 16],
        /// Identity in the head.
        expected: [u8; 16],
        /// The head's file.
        head: PathBuf,
    },
}

impl DamageReason {
    /// Whether records are gone without a trace in what is left, so that only accepting it helps.
    pub fn is_loss(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::Gone { .. } | Self::OtherJournal { .. })
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What to do about damage that stops a start.
fn way_forward(damage: &Damage) -> &'static str {
    if damage.reason.is_loss() {
        "put the right journal back, from a copy or where it was moved to; only if it is lost for good, compare with the \
         venues' own lists of orders and positions, then accept the loss with `tollgate journal repair --accept-loss`"
    } else {
        "run `tollgate journal verify` for the whole extent and `tollgate journal repair` to keep the records before it"
    }
}

impl std::fmt::Display for Damage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { segment, offset, path, reason, .. } = self;
        write!(
            formatter,
            "journal is damaged in segment {segment} at offset {offset} ({}): {reason}",
            path.display()
        )?;
        if let Some(next) = self.next_valid {
            write!(formatter, "; the next intact record is at offset {next}")?;
        }
        Ok(())
    }
}

/// Why a journal could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The settings are not valid.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Another process, or another journal of this one, writes to the directory.
    #[error("journal directory {} is in use by another process; stop it, or use another directory", .directory.display())]
    Locked {
        /// The directory.
        directory: PathBuf,
    },
    /// The journal is damaged where a crash cannot have damaged it.
    #[error("{0}; {advice}", advice = way_forward(.0))]
    Damaged(Damage),
    /// The head of the journal cannot be used, so that it is not known whether something is missing.
    #[error(
        "{} cannot be used: {fault}; run `tollgate journal verify`, and if the journal is what it should be, remove that \
         file",
        .path.display()
    )]
    Head {
        /// The head's file.
        path: PathBuf,
        /// What is wrong with it.
        fault: HeadFault,
    },
    /// The journal was written by a newer release.
    #[error("{} has format version {version}, this release reads {supported}; use a newer release", .path.display())]
    NewerVersion {
        /// The segment file.
        path: PathBuf,
        /// Version found.
        version: u32,
        /// Newest version this release reads.
        supported: u32,
    },
    /// The file system refused something.
    #[error(transparent)]
    Io(#[from] FileError),
}

impl From<HeadError> for OpenError {
    fn from(error: HeadError) -> Self {
        match error {
            HeadError::Io(error) => error.into(),
            HeadError::Fault { path, fault } => Self::Head { path, fault },
        }
    }
}

/// A file system call that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}: {source}", .path.display())]
pub struct FileError {
    /// What was being done, as in "cannot … the file".
    pub operation: &'static str,
    /// The file or directory.
    pub path: PathBuf,
    /// The system's answer.
    pub source: io::Error,
}

impl FileError {
    pub(crate) fn new(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { operation, path, source }
    }
}

/// Why a record was not appended. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Only the reserve is left, since no next segment is ready: it could not be prepared, or not fast enough.
    #[error(
        "journal is full but for its reserve and no next segment is ready; its status says why (disk full?)"
    )]
    Full,
    /// Even the record's part of the reserve is used up.
    #[error(
        "journal is full, this record's part of the reserve included, and no next segment is ready; its status says why \
         (disk full?)"
    )]
    ReserveFull,
    /// The journal can no longer become durable; only reserved records are taken.
    #[error("journal has failed and takes only reserved records; restart once the disk is healthy")]
    Failed,
    /// No segment could hold the record.
    #[error("record is larger than a segment can hold beside its reserve")]
    TooLarge,
}
