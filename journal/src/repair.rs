//! The way forward when a journal is damaged where a crash cannot have damaged it.

use crate::directory::{DirectoryLock, aside_path, list_segments};
use crate::error::{Damage, FileError, OpenError};
use crate::format::{DurableHint, HINT_BYTES, HINT_OFFSETS};
use crate::storage::{FileSystem, Storage};
use crate::survey::{Found, survey};
use crate::verify::{is_whole_segment, verify};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// How to repair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RepairOptions {
    /// Only report what would be done.
    pub dry_run: bool,
}

/// What a repair did, or would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepairReport {
    /// The first damage; `None` when there was nothing to repair.
    pub damage: Option<Damage>,
    /// Last sequence the journal keeps; 0 when it keeps none and starts anew.
    pub kept_last_sequence: u64,
    /// Records the journal keeps.
    pub kept_records: u64,
    /// Intact records after the damage: no longer part of the journal, still in the files set aside.
    pub dropped_records: u64,
    /// Files set aside, each with its new name. The segment with the damage is copied, later ones are renamed.
    pub set_aside: Vec<(PathBuf, PathBuf)>,
    /// Nothing was changed.
    pub dry_run: bool,
}

/// Why a repair was not done or did not help.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// The journal is in use, of a newer version, or the file system refused something.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The journal is still damaged after the repair; this is a defect.
    #[error("the repair did not help: {0}")]
    StillDamaged(Damage),
}

impl From<FileError> for RepairError {
    fn from(error: FileError) -> Self {
        Self::Open(error.into())
    }
}

/// Keeps the records before the first damage and sets everything after it aside, so that the journal opens
/// again. Nothing is deleted: files are copied or renamed to `<name>.damaged-<n>`. Refused while a writer holds
/// the directory.
pub fn repair(directory: impl AsRef<Path>, options: RepairOptions) -> Result<RepairReport, RepairError> {
    let directory = directory.as_ref();
    let _lock = DirectoryLock::take(directory)?;
    let mut report = RepairReport {
        damage: None,
        kept_last_sequence: 0,
        kept_records: 0,
        dropped_records: 0,
        set_aside: Vec::new(),
        dry_run: options.dry_run,
    };
    let walked = survey(directory, &mut |record| {
        report.kept_records += 1;
        report.kept_last_sequence = record.sequence;
    });
    let damage = match walked {
        Ok(_) => return Ok(report),
        Err(OpenError::Damaged(damage)) => damage,
        Err(error) => return Err(error.into()),
    };
    report.dropped_records = verify(directory, |_| {})?.records.saturating_sub(report.kept_records);

    let whole = is_whole_segment(&damage);
    let mut files = list_segments(directory)?;
    files.retain(|(index, _)| *index >= damage.segment);
    // From the last to the first: interrupted at any point, the directory is repaired by running again.
    for (index, path) in files.into_iter().rev() {
        let aside = aside_path(&path, "damaged");
        report.set_aside.push((path.clone(), aside.clone()));
        if options.dry_run {
            continue;
        }
        if index == damage.segment && !whole {
            copy(&path, &aside)?;
            truncate_records(index, &path, damage.offset, report.kept_last_sequence)?;
        } else {
            std::fs::rename(&path, &aside).map_err(FileError::new("rename", &path))?;
        }
    }
    report.damage = Some(damage);
    if !options.dry_run {
        FileSystem.sync_directory(directory).map_err(FileError::new("sync", directory))?;
        confirm(directory)?;
    }
    Ok(report)
}

fn copy(from: &Path, to: &Path) -> Result<(), FileError> {
    let copied = std::fs::copy(from, to).and_then(|_| File::open(to)?.sync_all());
    copied.map_err(FileError::new("copy the damaged segment to", to))
}

/// Zeroes the records from `offset` on and notes that the segment is durable up to there.
fn truncate_records(index: u64, path: &Path, offset: u64, last_sequence: u64) -> Result<(), FileError> {
    let Ok(header) = Found::load(index, path.to_owned())?.header else { return Ok(()) };
    let hint = DurableHint { bytes: offset, sequence: last_sequence }.encode(header.seed());
    let truncate = || {
        let file = FileSystem.open(path)?;
        FileSystem.fill(&file, path, offset..header.segment_bytes)?;
        file.write_all_at(&hint, HINT_OFFSETS[0] as u64)?;
        file.write_all_at(&[0; HINT_BYTES], HINT_OFFSETS[1] as u64)?;
        file.sync_all()
    };
    truncate().map_err(FileError::new("zero the damaged part of", path))
}

fn confirm(directory: &Path) -> Result<(), RepairError> {
    match survey(directory, &mut |_| {}) {
        Ok(_) => Ok(()),
        Err(OpenError::Damaged(damage)) => Err(RepairError::StillDamaged(damage)),
        Err(error) => Err(error.into()),
    }
}
