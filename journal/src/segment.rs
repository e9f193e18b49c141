//! A segment in use: its mapping and how far it is written and synced.

use crate::format::{
    DurableHint, FIXED_BYTES, HEADER_BYTES, HINT_OFFSETS, Header, OPENING_BYTES, OPENING_OFFSET, Opening,
    segment_name, u64_at,
};
use crate::map::Mapping;
use crate::record::RECORD_HEADER_BYTES;
use crate::storage::Storage;
use crate::watch::Backing;
use crossbeam_utils::CachePadded;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Suffix of a segment that is still being prepared; such a file holds nothing and is removed at open.
pub(crate) const PREPARING_SUFFIX: &str = ".preparing";

/// Shared by the appender (which writes it), the preparer and the flusher.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) header: Header,
    pub(crate) seed: u32,
    pub(crate) mapping: Mapping,
    /// `None` without a file.
    pub(crate) backing: Option<Backing>,
    /// Written by the appender: end of the last committed record.
    pub(crate) used: CachePadded<AtomicU64>,
    /// Written by the appender: it has left the segment, `used` is final.
    pub(crate) closed: AtomicBool,
    /// Written by the flusher: bytes known to be on disk.
    pub(crate) synced: AtomicU64,
    /// Written by the preparer: pages below this have been made writable.
    pub(crate) touched: AtomicU64,
}

impl Segment {
    pub(crate) fn new(header: Header, mapping: Mapping, backing: Option<Backing>, used: u64) -> Self {
        Self {
            seed: header.seed(),
            header,
            mapping,
            backing,
            used: CachePadded::new(AtomicU64::new(used)),
            closed: AtomicBool::new(false),
            synced: AtomicU64::new(0),
            touched: AtomicU64::new(0),
        }
    }

    /// End of the room for records: the closing record always fits behind it.
    pub(crate) fn capacity(&self) -> usize {
        self.mapping.len() - RECORD_HEADER_BYTES
    }

    /// Enters the segment: from here on its records count. Called by the appender, on the hot thread.
    pub(crate) fn enter(&self, opening: Opening) {
        let bytes: [u8; OPENING_BYTES] = opening.encode(self.seed);
        self.mapping.store_u64(OPENING_OFFSET + 8, u64_at(&bytes, 8));
        self.mapping.store_u64(OPENING_OFFSET, u64_at(&bytes, 0));
    }

    /// Forgets that the segment was entered. Recovery does this with a segment entered but never written.
    pub(crate) fn leave(&self) {
        self.mapping.store_u64(OPENING_OFFSET, 0);
        self.mapping.store_u64(OPENING_OFFSET + 8, 0);
    }

    /// Notes in the header how far the segment is durable, alternating between two slots so that a crash in
    /// the middle leaves one intact.
    pub(crate) fn write_hint(&self, hint: DurableHint, slot: usize) {
        let bytes = hint.encode(self.seed);
        for word in (0..bytes.len()).step_by(8) {
            self.mapping.store_u64(HINT_OFFSETS[slot] + word, u64_at(&bytes, word));
        }
    }
}

/// Creates and fills the file of a new segment under a temporary name, makes it durable, gives it its name,
/// and maps it. On failure nothing is left behind.
pub(crate) fn prepare(
    storage: &dyn Storage,
    directory: &Path,
    header: Header,
    populate_bytes: usize,
) -> io::Result<Segment> {
    let path = directory.join(segment_name(header.index));
    let temporary = preparing_path(&path);
    let prepared = prepare_file(storage, &temporary, &header).and_then(|file| {
        let mapping = storage.map(&file, header.segment_bytes as usize)?;
        storage.populate(&mapping, 0..populate_bytes)?;
        storage.rename(&temporary, &path)?;
        storage.sync_directory(directory)?;
        Ok((file, mapping))
    });
    match prepared {
        Ok((file, mapping)) => {
            let backing = Some(Backing { file, path });
            let segment = Segment::new(header, mapping, backing, HEADER_BYTES as u64);
            segment.touched.store(populate_bytes.min(segment.mapping.len()) as u64, Ordering::Relaxed);
            Ok(segment)
        }
        Err(error) => {
            // Gives the space back; the file may not exist, and the next open removes it otherwise.
            let _ = storage.remove(&temporary);
            Err(error)
        }
    }
}

fn prepare_file(storage: &dyn Storage, temporary: &Path, header: &Header) -> io::Result<File> {
    // Left over when an earlier attempt failed and could not be cleaned up.
    if let Err(error) = storage.remove(temporary)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let file = storage.create(temporary)?;
    storage.fill(&file, temporary, 0..header.segment_bytes)?;
    let fixed: [u8; FIXED_BYTES] = header.encode();
    storage.write_at(&file, &fixed, 0)?;
    storage.sync_file(&file)?;
    Ok(file)
}

/// A segment without a file.
pub(crate) fn prepare_anonymous(header: Header) -> io::Result<Segment> {
    let mapping = Mapping::anonymous(header.segment_bytes as usize)?;
    mapping.populate(0..mapping.len())?;
    let segment = Segment::new(header, mapping, None, HEADER_BYTES as u64);
    segment.touched.store(header.segment_bytes, Ordering::Relaxed);
    Ok(segment)
}

pub(crate) fn preparing_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(PREPARING_SUFFIX);
    PathBuf::from(name)
}
