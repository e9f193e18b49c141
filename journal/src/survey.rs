//! Walking all segments of a directory without changing any: what recovery, repair and verify build on.

use crate::directory::list_segments;
use crate::error::{Damage, DamageReason, FileError, OpenError};
use crate::format::{DurableHint, FORMAT_VERSION, HEADER_BYTES, Header, HeaderFault, Opening, segment_name};
use crate::map::Mapping;
use crate::record::{Record, RecordFault};
use crate::scan::{Cursor, Ending, Step, is_zero_from, judge_last};
use memmap2::Advice;
use std::fs::File;
use std::path::{Path, PathBuf};

/// A segment file as found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) index: u64,
    pub(crate) path: PathBuf,
    /// Size of the file, at most the size its header states.
    mapping: Option<Mapping>,
    pub(crate) header: Result<Header, HeaderFault>,
    /// Nothing but zeros after the header.
    pub(crate) empty: bool,
}

/// What a survey of an undamaged directory found.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    pub(crate) found: Vec<Found>,
    /// The last segment with records, or with its first sequence set, and how it ends.
    pub(crate) active: Option<Active>,
    pub(crate) identity: Option<[u8; 16]>,
    pub(crate) records: u64,
    pub(crate) first_sequence: Option<u64>,
}

/// The segment that appends continue in or after.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Active {
    /// Position in [`Survey::found`].
    pub(crate) position: usize,
    pub(crate) header: Header,
    pub(crate) cursor: Cursor,
    pub(crate) ending: Ending,
}

impl Found {
    pub(crate) fn load(index: u64, path: PathBuf) -> Result<Self, FileError> {
        let file = File::open(&path).map_err(FileError::new("open", &path))?;
        let size = file.metadata().map_err(FileError::new("examine", &path))?.len();
        let size = size.min(crate::format::SEGMENT_BYTES_MAXIMUM) as usize;
        let mapping = if size == 0 {
            None
        } else {
            let mapping = Mapping::read_only(&file, size, Advice::Sequential);
            Some(mapping.map_err(FileError::new("map", &path))?)
        };
        let mut found = Self { index, path, mapping, header: Err(HeaderFault::Magic), empty: false };
        found.header = Header::decode(found.bytes());
        if let Ok(header) = found.header
            && header.index != index
        {
            found.header =
                Err(HeaderFault::Field { field: "segment index", found: header.index, expected: index });
        }
        found.empty = is_zero_from(found.bytes(), HEADER_BYTES.min(found.bytes().len()));
        Ok(found)
    }

    /// The bytes of the file, at most as many as the header states.
    pub(crate) fn bytes(&self) -> &[u8] {
        let Some(mapping) = &self.mapping else { return &[] };
        let stated = match &self.header {
            Ok(header) => header.segment_bytes as usize,
            Err(_) => mapping.len(),
        };
        mapping.bytes(0..mapping.len().min(stated))
    }

    pub(crate) fn opening(&self, header: &Header) -> Result<Option<Opening>, HeaderFault> {
        Opening::decode(self.bytes(), header.seed())
    }

    pub(crate) fn hint(&self, header: &Header) -> DurableHint {
        DurableHint::decode(self.bytes(), header.seed())
    }

    pub(crate) fn damage(&self, offset: usize, reason: DamageReason) -> Damage {
        Damage {
            segment: self.index,
            offset: offset as u64,
            path: self.path.clone(),
            reason,
            next_valid: None,
        }
    }

    fn header_error(&self, fault: HeaderFault) -> OpenError {
        match fault {
            HeaderFault::Version { version } if version > FORMAT_VERSION => {
                OpenError::NewerVersion { path: self.path.clone(), version, supported: FORMAT_VERSION }
            }
            fault => OpenError::Damaged(self.damage(0, DamageReason::Header(fault))),
        }
    }
}

/// Loads all segments and walks their records in order.
pub(crate) fn survey(directory: &Path, visit: &mut dyn FnMut(Record<'_>)) -> Result<Survey, OpenError> {
    let mut survey = Survey::default();
    let mut gap = None;
    for (index, path) in list_segments(directory)? {
        if let Some(last) = survey.found.last().map(|found: &Found| found.index)
            && index != last + 1
        {
            gap = Some(OpenError::Damaged(missing(directory, last + 1)));
            break;
        }
        survey.found.push(Found::load(index, path)?);
    }
    if let Some(gap) = gap {
        // Damage before the gap comes first; what is intact before it is still visited.
        for position in 0..survey.found.len() {
            survey.walk(position, false, visit)?;
        }
        return Err(gap);
    }
    let Some(active) = survey.find_active()? else { return Ok(survey) };
    for position in 0..=active {
        survey.walk(position, position == active, visit)?;
    }
    Ok(survey)
}

fn missing(directory: &Path, index: u64) -> Damage {
    Damage {
        segment: index,
        offset: 0,
        path: directory.join(segment_name(index)),
        reason: DamageReason::Missing,
        next_valid: None,
    }
}

impl Survey {
    /// The last segment that holds anything. Those after it were prepared and never written.
    fn find_active(&self) -> Result<Option<usize>, OpenError> {
        for found in &self.found {
            if let Err(HeaderFault::Version { version }) = found.header
                && version > FORMAT_VERSION
            {
                return Err(found.header_error(HeaderFault::Version { version }));
            }
        }
        if let Some(position) = self.found.iter().rposition(|found| !found.empty) {
            return Ok(Some(position));
        }
        // No records at all: the first segment, once entered, still says where the sequence stands.
        let Some(first) = self.found.first() else { return Ok(None) };
        match first.header.and_then(|header| first.opening(&header)) {
            Ok(Some(_)) => Ok(Some(0)),
            _ if first.index == 1 => Ok(None),
            Ok(None) => {
                Err(OpenError::Damaged(first.damage(crate::format::OPENING_OFFSET, DamageReason::NotEntered)))
            }
            Err(fault) => Err(first.header_error(fault)),
        }
    }

    fn walk(
        &mut self,
        position: usize,
        last: bool,
        visit: &mut dyn FnMut(Record<'_>),
    ) -> Result<(), OpenError> {
        let found = &self.found[position];
        let header = found.header.map_err(|fault| found.header_error(fault))?;
        let (opening, mut cursor) = check_start(found, &header, self.identity, self.active.as_ref())?;
        self.identity = Some(header.identity);
        self.first_sequence.get_or_insert(opening.first_sequence);
        let bytes = found.bytes();
        let step = loop {
            let offset = cursor.position;
            match cursor.step(bytes) {
                Step::Record(decoded) => {
                    self.records += 1;
                    visit(Record {
                        sequence: decoded.fields.sequence,
                        time_ns: decoded.fields.time_ns,
                        kind: decoded.fields.kind,
                        payload: &bytes[offset + crate::record::RECORD_HEADER_BYTES..offset + decoded.length],
                        segment: header.index,
                        offset: offset as u64,
                    });
                }
                other => break other,
            }
        };
        let ending = judge(found, &header, &cursor, step, last).map_err(OpenError::Damaged)?;
        self.active = Some(Active { position, header, cursor, ending });
        Ok(())
    }
}

/// Checks that a segment belongs to this journal and continues the one before it.
pub(crate) fn check_start(
    found: &Found,
    header: &Header,
    identity: Option<[u8; 16]>,
    before: Option<&Active>,
) -> Result<(Opening, Cursor), OpenError> {
    let damaged = |offset, reason| OpenError::Damaged(found.damage(offset, reason));
    if identity.is_some_and(|identity| identity != header.identity) {
        return Err(damaged(0, DamageReason::Header(HeaderFault::Identity)));
    }
    let at = crate::format::OPENING_OFFSET;
    let opening = found.opening(header).map_err(|fault| damaged(at, DamageReason::Header(fault)))?;
    let Some(opening) = opening else { return Err(damaged(at, DamageReason::NotEntered)) };
    if let Some(before) = before {
        let Cursor { sequence, previous, .. } = before.cursor;
        if opening.first_sequence != sequence {
            let reason = DamageReason::Gap { found: opening.first_sequence, expected: sequence };
            return Err(damaged(at, reason));
        }
        if opening.previous_checksum != previous {
            return Err(damaged(at, DamageReason::Chain));
        }
    }
    Ok((opening, Cursor::start(opening.first_sequence, opening.previous_checksum, header.seed())))
}

/// Applies the decision table to the end of a segment.
pub(crate) fn judge(
    found: &Found,
    header: &Header,
    cursor: &Cursor,
    step: Step,
    last: bool,
) -> Result<Ending, Damage> {
    let bytes = found.bytes();
    let durable_bytes = found.hint(header).bytes;
    let ending = judge_last(bytes, cursor, step, durable_bytes);
    let damage = |fault, next_valid: Option<usize>| {
        let below = (cursor.position as u64) < durable_bytes;
        let reason =
            if below { DamageReason::Durable { fault, durable_bytes } } else { DamageReason::Record(fault) };
        Damage { next_valid: next_valid.map(|next| next as u64), ..found.damage(cursor.position, reason) }
    };
    match ending {
        Ending::Damaged { fault, next_valid } => Err(damage(fault, next_valid)),
        Ending::Clean if !last => Err(damage(RecordFault::NoEnd, None)),
        Ending::Torn { fault, .. } if !last => Err(damage(fault, None)),
        ending => Ok(ending),
    }
}
