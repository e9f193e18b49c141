//! Following a journal, also while it is written, in any process.

use crate::directory::{list_segments, open_regular};
use crate::error::{Damage, DamageReason, FileError};
use crate::format::{
    FORMAT_VERSION, HEADER_BYTES, Header, HeaderFault, OPENING_OFFSET, Opening, RECORD_ALIGNMENT,
    segment_name,
};
use crate::map::Mapping;
use crate::record::{Place, RECORD_HEADER_BYTES, Record, RecordFault, check_length, decode, padded};
use crate::scan::{Cursor, Ending, Step, is_zero_from, judge_last};
use memmap2::Advice;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Reads records in order and follows a live writer.
///
/// Opening takes no lock and changes nothing. Records are seen as soon as they are appended, whatever their
/// durability.
#[derive(Debug)]
pub struct Reader {
    directory: PathBuf,
    segment: Option<ReadSegment>,
    /// Records below this are passed over.
    wanted: u64,
    records_read: u64,
}

/// Why a record could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The journal is damaged at the reader's position; it stays there.
    #[error("{0}; run `tollgate journal verify` for the whole extent")]
    Damaged(Damage),
    /// The journal was written by a newer release.
    #[error("{} has format version {version}, this release reads {FORMAT_VERSION}; use a newer release", .path.display())]
    NewerVersion {
        /// The segment file.
        path: PathBuf,
        /// Version found.
        version: u32,
    },
    /// The sequence is older than everything the journal still holds.
    #[error("sequence {sequence} is no longer in the journal, its first record is {first}")]
    Gone {
        /// Sequence asked for.
        sequence: u64,
        /// First sequence in the journal.
        first: u64,
    },
    /// The file system refused something.
    #[error(transparent)]
    Io(#[from] FileError),
}

#[derive(Debug)]
struct ReadSegment {
    index: u64,
    path: PathBuf,
    mapping: Mapping,
    /// Size of the file when it is whole.
    segment_bytes: u64,
    cursor: Cursor,
    /// The closing record has been read.
    closed: bool,
    /// Offset of a torn tail, found when following a journal that was not recovered yet.
    torn_at: Option<usize>,
}

/// What one step of a reader found: the offset and length of a record, or nothing for now.
type Located = Option<(usize, crate::record::Decoded)>;

impl Reader {
    /// Opens the journal in a directory at its first record. The directory may still be empty.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self, ReadError> {
        let mut reader = Self { directory: directory.into(), segment: None, wanted: 0, records_read: 0 };
        reader.enter_first()?;
        Ok(reader)
    }

    /// Opens the journal behind a record that was read before: nothing but that record is read again. Where it is no
    /// longer, the record after it is searched for.
    pub fn open_after(directory: impl Into<PathBuf>, place: Place) -> Result<Self, ReadError> {
        let Place { segment, offset, sequence } = place;
        let directory = directory.into();
        let path = directory.join(segment_name(segment));
        let mut reader = Self { directory, segment: None, wanted: sequence + 1, records_read: 0 };
        reader.segment =
            ReadSegment::open(segment, path)?.and_then(|found| found.at(offset as usize, sequence));
        if reader.segment.is_none() {
            reader.seek(sequence + 1)?;
        }
        Ok(reader)
    }

    /// How many records it has read, those passed over included.
    pub fn records_read(&self) -> u64 {
        self.records_read
    }

    /// Goes to a sequence: the next record read has it, or the one after it if that is not written yet. A
    /// sequence of 0 is the first record the journal holds.
    pub fn seek(&mut self, sequence: u64) -> Result<(), ReadError> {
        self.wanted = sequence;
        self.segment = None;
        let mut chosen = None;
        for (index, path) in list_segments(&self.directory)? {
            match ReadSegment::open(index, path)? {
                Some(segment) if segment.cursor.sequence > sequence && chosen.is_some() => break,
                Some(segment) => chosen = Some(segment),
                None => {}
            }
        }
        if let Some(segment) = &chosen
            && sequence != 0
            && segment.cursor.sequence > sequence
        {
            return Err(ReadError::Gone { sequence, first: segment.cursor.sequence });
        }
        self.segment = chosen;
        Ok(())
    }

    /// The next record; `None` when the reader has caught up. Call it again later: it goes on with what has
    /// been appended since, across segments.
    // The name follows what it does; an iterator cannot lend from itself.
    #[expect(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Record<'_>>, ReadError> {
        let located = self.locate()?;
        let (Some((offset, decoded)), Some(segment)) = (located, &self.segment) else { return Ok(None) };
        Ok(Some(Record {
            sequence: decoded.fields.sequence,
            time_ns: decoded.fields.time_ns,
            kind: decoded.fields.kind,
            payload: segment.mapping.bytes(offset + RECORD_HEADER_BYTES..offset + decoded.length),
            segment: segment.index,
            offset: offset as u64,
        }))
    }

    fn locate(&mut self) -> Result<Located, ReadError> {
        loop {
            let Some(segment) = &mut self.segment else {
                self.enter_first()?;
                if self.segment.is_none() {
                    return Ok(None);
                }
                continue;
            };
            if segment.closed {
                if !self.enter_next()? {
                    return Ok(None);
                }
                continue;
            }
            let offset = segment.cursor.position;
            let step = segment.step()?;
            self.records_read += u64::from(matches!(step, Step::Record(_)));
            match step {
                Step::Record(decoded) if decoded.fields.sequence < self.wanted => {}
                Step::Record(decoded) => return Ok(Some((offset, decoded))),
                Step::End => segment.closed = true,
                Step::Blank if segment.map_rest()? => {}
                Step::Blank | Step::Fault(_) => return Ok(None),
            }
        }
    }

    fn enter_first(&mut self) -> Result<(), ReadError> {
        if let Some((index, path)) = list_segments(&self.directory)?.into_iter().next() {
            self.segment = ReadSegment::open(index, path)?;
        }
        Ok(())
    }

    /// Goes to the segment after a closed one, when the writer has entered it.
    fn enter_next(&mut self) -> Result<bool, ReadError> {
        let Some(before) = &self.segment else { return Ok(false) };
        let index = before.index + 1;
        let path = self.directory.join(segment_name(index));
        let Some(next) = ReadSegment::open(index, path)? else { return Ok(false) };
        let (found, expected) = (next.cursor.sequence, before.cursor.sequence);
        if found != expected {
            return Err(next.damaged(OPENING_OFFSET, DamageReason::Gap { found, expected }));
        }
        if next.cursor.previous != before.cursor.previous {
            return Err(next.damaged(OPENING_OFFSET, DamageReason::Chain));
        }
        self.segment = Some(next);
        Ok(true)
    }
}

impl ReadSegment {
    /// `None` when the segment does not exist or was not entered yet.
    fn open(index: u64, path: PathBuf) -> Result<Option<Self>, ReadError> {
        let file = match open_regular(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(FileError::new("open", &path)(error).into()),
        };
        let file_bytes = file.metadata().map_err(FileError::new("examine", &path))?.len();
        let header = read_header(&file, &path, file_bytes, index)?;
        let bytes = header.segment_bytes.min(file_bytes) as usize;
        let mapping = Self::map(&file, &path, bytes)?;
        // The first word is stored last, so the rest stands once it is seen.
        if mapping.load_u64(OPENING_OFFSET) == 0 {
            return Ok(None);
        }
        let opening = match Opening::decode(mapping.bytes(0..HEADER_BYTES), header.seed()) {
            Ok(Some(opening)) => opening,
            Ok(None) => return Ok(None),
            // Recovery takes it for one that was never entered, and enters it anew.
            Err(_) if is_zero_from(mapping.bytes(0..bytes), HEADER_BYTES) => return Ok(None),
            Err(fault) => return Err(header_damage(index, &path, OPENING_OFFSET, fault)),
        };
        let cursor = Cursor::start(opening.first_sequence, opening.previous_checksum, header.seed());
        let segment_bytes = header.segment_bytes;
        Ok(Some(Self { index, path, mapping, segment_bytes, cursor, closed: false, torn_at: None }))
    }

    /// At the record known to stand at `offset`; `None` when it does not.
    fn at(mut self, offset: usize, sequence: u64) -> Option<Self> {
        let is_inside = offset >= HEADER_BYTES
            && offset.is_multiple_of(RECORD_ALIGNMENT)
            && offset + RECORD_HEADER_BYTES <= self.mapping.len();
        if !is_inside || sequence < self.cursor.sequence || self.mapping.load_u32(offset) == 0 {
            return None;
        }
        // The record itself says what it continues; its checksum and sequence are looked at as those of any.
        let previous = crate::format::u32_at(self.mapping.bytes(offset..offset + RECORD_HEADER_BYTES), 8);
        self.cursor = Cursor { position: offset, sequence, previous, seed: self.cursor.seed };
        Some(self)
    }

    /// A file that a crash has cut short is filled up by recovery: maps it again once that has happened.
    fn map_rest(&mut self) -> Result<bool, FileError> {
        if self.mapping.len() as u64 >= self.segment_bytes {
            return Ok(false);
        }
        let file = open_regular(&self.path).map_err(FileError::new("open", &self.path))?;
        let file_bytes = file.metadata().map_err(FileError::new("examine", &self.path))?.len();
        if file_bytes < self.segment_bytes {
            return Ok(false);
        }
        self.mapping = Self::map(&file, &self.path, self.segment_bytes as usize)?;
        Ok(true)
    }

    /// Read-ahead would bring large folios into the page cache, which the writer's syncs then write whole; a
    /// segment that is no longer written may have it.
    fn map(file: &File, path: &Path, bytes: usize) -> Result<Mapping, FileError> {
        let is_last = segment_after(path).is_none_or(|next| !next.exists());
        let advice = if is_last { Advice::Random } else { Advice::Sequential };
        Mapping::read_only(file, bytes, advice).map_err(FileError::new("map", path))
    }

    /// Reads what stands at the cursor. `Fault` stands for a torn tail, which the writer will cut.
    fn step(&mut self) -> Result<Step, ReadError> {
        let offset = self.cursor.position;
        let limit = self.mapping.len() - offset;
        if limit < RECORD_HEADER_BYTES {
            return Ok(Step::Blank);
        }
        let length = self.mapping.load_u32(offset);
        if length == 0 {
            self.torn_at = None;
            return Ok(Step::Blank);
        }
        let decoded = check_length(length, limit).and_then(|length| {
            decode(self.mapping.bytes(offset..offset + padded(length)), length, self.cursor.seed)
        });
        let step = match decoded {
            Ok(decoded) => self.cursor.accept(&decoded),
            Err(fault) => Step::Fault(fault),
        };
        match step {
            Step::Fault(fault) => self.judge_fault(offset, fault),
            step => Ok(step),
        }
    }

    /// A record that fails is a torn tail left by a crash, or damage; the decision table knows.
    fn judge_fault(&mut self, offset: usize, fault: RecordFault) -> Result<Step, ReadError> {
        if self.torn_at == Some(offset) {
            return Ok(Step::Fault(fault));
        }
        let bytes = self.mapping.bytes(0..self.mapping.len());
        let hint = crate::format::DurableHint::decode(bytes, self.cursor.seed);
        match judge_last(bytes, &self.cursor, Step::Fault(fault), hint.bytes) {
            Ending::Torn { .. } => {
                self.torn_at = Some(offset);
                Ok(Step::Fault(fault))
            }
            _ => Err(self.damaged(offset, DamageReason::Record(fault))),
        }
    }

    fn damaged(&self, offset: usize, reason: DamageReason) -> ReadError {
        let (segment, path) = (self.index, self.path.clone());
        ReadError::Damaged(Damage { segment, offset: offset as u64, path, reason, next_valid: None })
    }
}

fn segment_after(path: &Path) -> Option<PathBuf> {
    let index = crate::format::segment_index(path.file_name()?.to_str()?)?;
    Some(path.with_file_name(segment_name(index + 1)))
}

/// Reads the immutable part of the header through the file, not the mapping: the file may be short.
fn read_header(file: &File, path: &Path, file_bytes: u64, index: u64) -> Result<Header, ReadError> {
    use std::os::unix::fs::FileExt;
    let mut bytes = vec![0; file_bytes.min(HEADER_BYTES as u64) as usize];
    file.read_exact_at(&mut bytes, 0).map_err(FileError::new("read", path))?;
    match Header::decode(&bytes) {
        Ok(header) if header.index == index => Ok(header),
        Ok(header) => {
            let fault = HeaderFault::Field { field: "segment index", found: header.index, expected: index };
            Err(header_damage(index, path, 0, fault))
        }
        Err(HeaderFault::Version { version }) if version > FORMAT_VERSION => {
            Err(ReadError::NewerVersion { path: path.to_owned(), version })
        }
        Err(fault) => Err(header_damage(index, path, 0, fault)),
    }
}

fn header_damage(segment: u64, path: &Path, offset: usize, fault: HeaderFault) -> ReadError {
    let reason = DamageReason::Header(fault);
    ReadError::Damaged(Damage {
        segment,
        offset: offset as u64,
        path: path.to_owned(),
        reason,
        next_valid: None,
    })
}
