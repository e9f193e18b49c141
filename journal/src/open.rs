//! Opening a journal: recovery by the decision table, then the two halves.

use crate::appender::{Appender, AppenderStart};
use crate::directory::{DirectoryLock, aside_path, create, list_unfinished, open_regular, open_to_others};
use crate::error::{FileError, OpenError};
use crate::flusher::Flusher;
use crate::format::{DurableHint, HEADER_BYTES, Opening, PAGE_BYTES};
use crate::head::{self, AcceptedLoss, Head, HeadFiles};
use crate::prepare::{AHEAD_BYTES, Maker, Preparer, RETIRED_CAPACITY};
use crate::record::{Record, RecordFault};
use crate::scan::Ending;
use crate::segment::Segment;
use crate::settings::{Durability, Settings};
use crate::status::{Shared, lock};
use crate::storage::{FileSystem, Storage};
use crate::survey::{Active, Found, Survey, survey};
use crate::watch::{Backing, Watch};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// An open journal.
pub struct Opened {
    /// The hot half.
    pub appender: Appender,
    /// The cold half; spawn it at once.
    pub flusher: Flusher,
    /// What was found.
    pub recovery: Recovery,
}

/// What recovery found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Records visited.
    pub records: u64,
    /// Segments that hold them.
    pub segments: u64,
    /// Sequence of the first record the journal holds, or will hold next.
    pub first_sequence: u64,
    /// Sequence of the last record; `first_sequence - 1` when there is none.
    pub last_sequence: u64,
    /// The torn tail that was cut.
    pub cut: Option<Cut>,
    /// Files removed because their preparation had not finished or they did not fit; none held a record.
    pub discarded: Vec<PathBuf>,
    /// A loss that was accepted since the journal was last open. Let the first record appended state it: once a record
    /// after the loss is on disk it is not given here again.
    pub accepted_loss: Option<AcceptedLoss>,
    /// What the operator should know though the journal opens.
    pub warnings: Vec<Warning>,
}

/// Something about a journal that an operator should mend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// Others than the owner can get at the files.
    #[error(
        "journal directory {} has mode {mode:04o}, which lets others in: it holds every order; chmod 0700 {}",
        .directory.display(), .directory.display()
    )]
    OpenToOthers {
        /// The directory.
        directory: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A head could not be written, so that some losses would not be noticed at the next start.
    #[error("cannot write {}: {problem}; a loss of the journal may not be noticed at the next start", .path.display())]
    NoHead {
        /// The head's file.
        path: PathBuf,
        /// The system's answer.
        problem: String,
    },
}

/// Bytes cut from the end of the last segment: an append or a batch that the crash interrupted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Index of the segment.
    pub segment: u64,
    /// Offset of the first byte cut.
    pub offset: u64,
    /// How many were cut.
    pub bytes: u64,
    /// File the bytes were saved to.
    pub saved_to: PathBuf,
    /// What was wrong with them.
    pub fault: RecordFault,
}

/// Opens the journal: takes the lock of the directory, recovers by the decision table of `FORMAT.md`, and calls
/// `visit` for every record in order. When it fails nothing in the directory has been changed, apart from a
/// torn tail that may already have been cut; whatever `visit` has built must then be dropped.
pub fn open(settings: &Settings, visit: impl FnMut(Record<'_>)) -> Result<Opened, OpenError> {
    open_with(settings, Arc::new(FileSystem), visit)
}

/// [`open`] over another file system; see [`testing`](crate::testing).
pub fn open_with(
    settings: &Settings,
    storage: Arc<dyn Storage>,
    mut visit: impl FnMut(Record<'_>),
) -> Result<Opened, OpenError> {
    settings.validate()?;
    let directory = &settings.directory;
    let mut recovery = Recovery { first_sequence: 1, ..Recovery::default() };
    let mut maker = Maker {
        storage,
        directory: directory.clone(),
        durability: settings.durability,
        segment_bytes: settings.segment_bytes,
        identity: [0; 16],
    };
    if settings.durability == Durability::None {
        let current = fresh(&maker, 1, 1, 0)?;
        return Ok(assemble(settings, maker, current, None, None, recovery));
    }

    create(&*maker.storage, directory)?;
    let lock = DirectoryLock::take(directory)?;
    let places = head::places(directory, settings.head_file.as_deref());
    let heads = head::read_all(&places)?;
    let survey = survey(directory, &heads, &mut visit)?;
    for path in list_unfinished(directory)? {
        discard(&*maker.storage, path, &mut recovery)?;
    }
    // That of the head when nothing was ever durable: a crash before the new head is written changes nothing then.
    maker.identity = match survey.identity.or(heads.first().map(|found| found.head.identity)) {
        Some(identity) => identity,
        None => head::random_identity()?,
    };
    let (current, next) = resume(&maker, survey, &mut recovery)?;
    recovery.accepted_loss = heads.iter().find_map(|found| found.head.accepted);
    if let Some(mode) = open_to_others(directory)? {
        recovery.warnings.push(Warning::OpenToOthers { directory: directory.clone(), mode });
    }
    let head = Head {
        identity: maker.identity,
        sequence: current.next_sequence - 1,
        accepted: recovery.accepted_loss,
    };
    let (head_files, failed) = HeadFiles::create(&*maker.storage, &places, head);
    for (path, error) in failed {
        recovery.warnings.push(Warning::NoHead { path, problem: error.to_string() });
    }
    Ok(assemble(settings, maker, current, next, Some((lock, head_files)), recovery))
}

/// The segment to append to, and what the next record continues.
struct Current {
    segment: Segment,
    next_sequence: u64,
    previous: u32,
}

/// Makes a new segment and enters it.
fn fresh(maker: &Maker, index: u64, sequence: u64, previous: u32) -> Result<Current, OpenError> {
    let segment =
        maker.make(index).map_err(FileError::new("prepare a journal segment in", &maker.directory))?;
    segment.enter(Opening { first_sequence: sequence, previous_checksum: previous });
    Ok(Current { segment, next_sequence: sequence, previous })
}

/// Carries out what the survey decided.
fn resume(
    maker: &Maker,
    survey: Survey,
    recovery: &mut Recovery,
) -> Result<(Current, Option<Segment>), OpenError> {
    let storage = &*maker.storage;
    let Survey { mut found, active, records, first_sequence, .. } = survey;
    let Some(active) = active else {
        // The new first segment takes the place of one that is there, so that a crash never leaves none.
        for unused in found.drain(1.min(found.len())..).rev() {
            discard(storage, unused.path, recovery)?;
        }
        let first = fresh(maker, 1, 1, 0)?;
        recovery.discarded.extend(found.pop().map(|replaced| replaced.path));
        return Ok((first, None));
    };
    let spare = found.split_off(active.position + 1);
    recovery.records = records;
    recovery.segments = found.len() as u64;
    recovery.first_sequence = first_sequence.unwrap_or(1);
    recovery.last_sequence = active.cursor.sequence - 1;

    sync_earlier(storage, &found[..active.position])?;
    let last = found.pop().unwrap_or_else(|| unreachable!("the active segment was found"));
    let resumed = reopen(maker, &last, &active, recovery)?;
    let must_follow = active.ending == Ending::Closed;
    let mut spare = adopt(maker, spare, last.index + 1, must_follow, recovery)?;
    if !must_follow {
        return Ok((resumed, spare));
    }
    let (sequence, previous) = (active.cursor.sequence, active.cursor.previous);
    let current = match spare.take() {
        Some(segment) => {
            segment.enter(Opening { first_sequence: sequence, previous_checksum: previous });
            Current { segment, next_sequence: sequence, previous }
        }
        None => fresh(maker, last.index + 1, sequence, previous)?,
    };
    Ok((current, None))
}

/// Makes the closed segments durable that a crash left in the page cache.
fn sync_earlier(storage: &dyn Storage, earlier: &[Found]) -> Result<(), OpenError> {
    for found in earlier {
        let Ok(header) = found.header else { continue };
        let end = crate::scan::last_nonzero_end(found.bytes(), HEADER_BYTES) as u64;
        if found.hint(&header).bytes < end {
            let file = open_regular(&found.path).map_err(FileError::new("open", &found.path))?;
            storage.sync_file(&file).map_err(FileError::new("sync", &found.path))?;
        }
    }
    Ok(())
}

/// Opens the last segment for writing, cuts its torn tail, and makes what is left durable.
fn reopen(
    maker: &Maker,
    found: &Found,
    active: &Active,
    recovery: &mut Recovery,
) -> Result<Current, OpenError> {
    let storage = &*maker.storage;
    let path = &found.path;
    let end = active.cursor.position;
    let size = active.header.segment_bytes;
    if let Ending::Torn { fault, until } = active.ending {
        recovery.cut = Some(save_tail(maker, found, end, until, fault)?);
    }
    let file = storage.open(path).map_err(FileError::new("open for writing", path))?;
    let file_bytes = found.bytes().len() as u64;
    if file_bytes < size {
        storage.fill(&file, path, file_bytes..size).map_err(FileError::new("fill", path))?;
        storage.sync_file(&file).map_err(FileError::new("sync", path))?;
    }
    let mapping = storage.map(&file, size as usize).map_err(FileError::new("map", path))?;
    let mut synced_to = end;
    if let Ending::Torn { until, .. } = active.ending {
        mapping.zero_from(end);
        synced_to = until;
    }
    let backing = Some(Backing { file, path: path.clone() });
    let segment = Segment::new(active.header, mapping, backing, end as u64);
    let sync = |range| storage.sync_range(&segment.mapping, range).map_err(FileError::new("sync", path));
    sync(0..synced_to)?;
    segment.write_hint(DurableHint { bytes: end as u64, sequence: active.cursor.sequence - 1 }, 0);
    sync(0..HEADER_BYTES)?;
    segment.synced.store(end as u64, Ordering::Relaxed);
    let start = end / PAGE_BYTES * PAGE_BYTES;
    // Best effort: where pages cannot be touched now, the appender takes the fault.
    let _ = storage.populate(&segment.mapping, start..start + AHEAD_BYTES);
    segment.touched.store((start + AHEAD_BYTES).min(size as usize) as u64, Ordering::Relaxed);
    Ok(Current { segment, next_sequence: active.cursor.sequence, previous: active.cursor.previous })
}

fn save_tail(
    maker: &Maker,
    found: &Found,
    from: usize,
    until: usize,
    fault: RecordFault,
) -> Result<Cut, OpenError> {
    let saved_to = aside_path(&found.path, "torn");
    let save = || -> std::io::Result<()> {
        let mut file = maker.storage.create(&saved_to)?;
        file.write_all(&found.bytes()[from..until])?;
        maker.storage.sync_file(&file)?;
        maker.storage.sync_directory(&maker.directory)
    };
    save().map_err(FileError::new("save the torn tail to", &saved_to))?;
    let (offset, bytes) = (from as u64, (until - from) as u64);
    Ok(Cut { segment: found.index, offset, bytes, saved_to, fault })
}

/// Takes over the segment prepared before the crash, if it is as a new one would be; removes the others. With
/// `must_follow` one that is not is left for a new one to take its place: a crash must not leave none.
fn adopt(
    maker: &Maker,
    spare: Vec<Found>,
    index: u64,
    must_follow: bool,
    recovery: &mut Recovery,
) -> Result<Option<Segment>, OpenError> {
    let mut adopted = None;
    // From the last to the first, so that a crash in between leaves no gap.
    for found in spare.into_iter().rev() {
        let fits = found.header.is_ok_and(|header| {
            header.index == index
                && header.identity == maker.identity
                && header.segment_bytes == maker.segment_bytes
                && header.segment_bytes == found.bytes().len() as u64
        });
        match found.header {
            Ok(header) if fits => {
                let path = &found.path;
                let open = || {
                    let file = maker.storage.open(path)?;
                    let mapping = maker.storage.map(&file, header.segment_bytes as usize)?;
                    Ok((file, mapping))
                };
                let (file, mapping) = open().map_err(FileError::new("map", path))?;
                let backing = Some(Backing { file, path: path.clone() });
                let segment = Segment::new(header, mapping, backing, HEADER_BYTES as u64);
                segment.leave();
                adopted = Some(segment);
            }
            // The new one is renamed over it.
            _ if must_follow && found.index == index => recovery.discarded.push(found.path),
            _ => discard(&*maker.storage, found.path, recovery)?,
        }
    }
    Ok(adopted)
}

fn discard(storage: &dyn Storage, path: PathBuf, recovery: &mut Recovery) -> Result<(), OpenError> {
    storage.remove(&path).map_err(FileError::new("remove the unused", &path))?;
    recovery.discarded.push(path);
    Ok(())
}

fn assemble(
    settings: &Settings,
    maker: Maker,
    current: Current,
    next: Option<Segment>,
    held: Option<(DirectoryLock, HeadFiles)>,
    recovery: Recovery,
) -> Opened {
    let Current { segment, next_sequence, previous } = current;
    let (directory, head) = held.unzip();
    let shared = Arc::new(Shared::new(settings.durability, next_sequence - 1, directory, head));
    let (prepared, prepared_ring) = rtrb::RingBuffer::new(1);
    let (retired, retired_ring) = rtrb::RingBuffer::new(RETIRED_CAPACITY);
    let segment = Arc::new(segment);
    lock(&shared.live).push_back(Arc::clone(&segment));
    let storage = Arc::clone(&maker.storage);
    let mut preparer = Preparer {
        next_index: segment.header.index + 1,
        maker,
        prepared,
        shared: Arc::clone(&shared),
        retry_at: None,
        last_seen: (0, 0),
        head_written: (Instant::now(), 0),
    };
    if let Some(next) = next {
        preparer.next_index += 1;
        preparer.hand_over(Arc::new(next));
    }
    let appender = Appender::new(AppenderStart {
        segment,
        prepared: prepared_ring,
        retired,
        shared: Arc::clone(&shared),
        next_sequence,
        previous,
        records: recovery.records,
        kept_from: settings.kept_from(),
        largest_bytes: settings.largest_record_bytes() - crate::record::RECORD_HEADER_BYTES,
    });
    let flush_interval = settings.flush_interval;
    let watch = Watch::new(Arc::clone(&shared), settings.sync_timeout);
    let flusher = Flusher { shared, storage, retired: retired_ring, preparer, watch, flush_interval };
    Opened { appender, flusher, recovery }
}
