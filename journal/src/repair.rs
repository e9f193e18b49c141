//! The way forward when a journal is damaged where a crash cannot have damaged it.

use crate::directory::{DirectoryLock, aside_path, create, list_segments, open_regular};
use crate::error::{Damage, FileError, OpenError};
use crate::format::{DurableHint, HINT_BYTES, HINT_OFFSETS};
use crate::head::{self, AcceptedLoss, FoundHead, Head, HeadFiles};
use crate::prepare::now_ns;
use crate::storage::{FileSystem, Storage};
use crate::survey::{Found, survey};
use crate::verify::{is_whole_segment, verify};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// How to repair.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepairOptions {
    /// Only report what would be done.
    pub dry_run: bool,
    /// Also accept a loss that left no trace (see [`DamageReason::is_loss`](crate::DamageReason::is_loss)): from then on
    /// what is there counts as the journal. Otherwise such a loss is only reported.
    pub accept_loss: bool,
    /// The journal's head outside of its directory, as in [`Settings::head_file`](crate::Settings::head_file).
    pub head_file: Option<PathBuf>,
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
    /// Records are gone without a trace: nothing but accepting it helps, and it was accepted only if that was asked for.
    pub needs_acceptance: bool,
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
pub fn repair(directory: impl AsRef<Path>, options: &RepairOptions) -> Result<RepairReport, RepairError> {
    let directory = directory.as_ref();
    if options.accept_loss && !options.dry_run {
        // Where the whole directory is gone, an empty one takes its place.
        create(&FileSystem, directory)?;
    }
    let _lock = DirectoryLock::take(directory)?;
    let places = head::places(directory, options.head_file.as_deref());
    let heads = head::read_all(&places).map_err(OpenError::from)?;
    let mut report = RepairReport {
        damage: None,
        kept_last_sequence: 0,
        kept_records: 0,
        dropped_records: 0,
        set_aside: Vec::new(),
        needs_acceptance: false,
        dry_run: options.dry_run,
    };
    let walked = survey(directory, &heads, &mut |record| {
        report.kept_records += 1;
        report.kept_last_sequence = record.sequence;
    });
    let damage = match walked {
        Ok(_) => return Ok(report),
        Err(OpenError::Damaged(damage)) => damage,
        Err(error) => return Err(error.into()),
    };
    if damage.reason.is_loss() {
        report.damage = Some(damage);
        report.needs_acceptance = !options.accept_loss;
        if options.accept_loss && !options.dry_run {
            accept(directory, &places, &heads, &report)?;
        }
        return Ok(report);
    }
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
        accept(directory, &places, &heads, &report)?;
    }
    Ok(report)
}

/// Notes in the heads that what is left counts as the journal, for the next start to record, and that it opens so.
fn accept(
    directory: &Path,
    places: &[PathBuf],
    heads: &[FoundHead],
    report: &RepairReport,
) -> Result<(), RepairError> {
    let mut identity = None;
    for (index, path) in list_segments(directory)? {
        identity = identity.or(Found::load(index, path)?.header.ok().map(|header| header.identity));
    }
    let expected = heads.first().map(|found| found.head.identity);
    let identity = match identity.or(expected) {
        Some(identity) => identity,
        None => head::random_identity()?,
    };
    let last = heads.iter().map(|found| found.head.sequence).max().unwrap_or(0);
    let loss = AcceptedLoss {
        expected_identity: expected.unwrap_or(identity),
        lost_sequence: last.max(report.kept_last_sequence + report.dropped_records),
        kept_sequence: report.kept_last_sequence,
        accepted_ns: now_ns(),
    };
    let head = Head { identity, sequence: report.kept_last_sequence, accepted: Some(loss) };
    let (_, failed) = HeadFiles::create(&FileSystem, places, head);
    if let Some((path, source)) = failed.into_iter().next() {
        return Err(FileError { operation: "write", path, source }.into());
    }
    confirm(directory, places)
}

fn copy(from: &Path, to: &Path) -> Result<(), FileError> {
    let copied = open_regular(from).and_then(|mut from| {
        let mut copy = FileSystem.create(to)?;
        io::copy(&mut from, &mut copy)?;
        copy.sync_all()
    });
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

fn confirm(directory: &Path, places: &[PathBuf]) -> Result<(), RepairError> {
    let heads = head::read_all(places).map_err(OpenError::from)?;
    match survey(directory, &heads, &mut |_| {}) {
        Ok(_) => Ok(()),
        Err(OpenError::Damaged(damage)) => Err(RepairError::StillDamaged(damage)),
        Err(error) => Err(error.into()),
    }
}
