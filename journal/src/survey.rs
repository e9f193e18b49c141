//! Walking all segments of a directory without changing any: what recovery, repair and verify build on.

use crate::directory::{list_segments, open_regular};
use crate::error::{Damage, DamageReason, FileError, OpenError};
use crate::format::{DurableHint, FORMAT_VERSION, HEADER_BYTES, Header, HeaderFault, Opening, segment_name};
use crate::head::FoundHead;
use crate::map::Mapping;
use crate::record::{Record, RecordFault};
use crate::scan::{Cursor, Ending, Step, is_zero_from, judge_last};
use memmap2::Advice;
use std::path::{Path, PathBuf};
use std::sync::atomic::{Ordering, fence};

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
        let file = open_regular(&path).map_err(FileError::new("open", &path))?;
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

    /// Reads the record at the cursor. The length is loaded as a reader's is, so that what it commits is seen whole
    /// though a writer is at work.
    pub(crate) fn step(&self, cursor: &mut Cursor) -> Step {
        fence(Ordering::Acquire);
        if let Some(mapping) = &self.mapping
            && cursor.position + 4 <= mapping.len()
            && mapping.load_u32(cursor.position) == 0
        {
            return Step::Blank;
        }
        cursor.step(self.bytes())
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

/// Loads all segments, walks their records in order, and compares what there is with the heads.
pub(crate) fn survey(
    directory: &Path,
    heads: &[FoundHead],
    visit: &mut dyn FnMut(Record<'_>),
) -> Result<Survey, OpenError> {
    let survey = walk_all(directory, visit)?;
    let next = survey.active.as_ref().and_then(|active| survey.found.get(active.position + 1));
    let lost = match &survey.active {
        Some(active) => check_next(directory, heads, active, next).and_then(|()| {
            check_heads(directory, heads, Some(active.header.identity), active.cursor.sequence - 1)
        }),
        None => check_nothing(directory, heads, &survey.found),
    };
    lost.map_err(OpenError::Damaged)?;
    Ok(survey)
}

/// A segment is closed only to go on in the next, which was ready by then.
pub(crate) fn check_next(
    directory: &Path,
    heads: &[FoundHead],
    active: &Active,
    next: Option<&Found>,
) -> Result<(), Damage> {
    let kept = active.cursor.sequence - 1;
    let accepted = |found: &FoundHead| found.head.accepted.is_some_and(|loss| loss.kept_sequence == kept);
    if active.ending != Ending::Closed || heads.iter().any(accepted) {
        return Ok(());
    }
    match next {
        None => Err(missing(directory, active.header.index + 1)),
        Some(next) => match next.header {
            Ok(_) => Ok(()),
            Err(fault) => Err(next.damage(0, DamageReason::Header(fault))),
        },
    }
}

/// The journal is the one that belongs here, and reaches as far as was known to be durable.
pub(crate) fn check_heads(
    directory: &Path,
    heads: &[FoundHead],
    identity: Option<[u8; 16]>,
    kept: u64,
) -> Result<(), Damage> {
    for FoundHead { path, head } in heads {
        let expected = head.identity;
        if let Some(found) = identity.filter(|found| *found != expected) {
            return Err(loss(directory, DamageReason::OtherJournal { found, expected, head: path.clone() }));
        }
        if kept < head.sequence {
            let durable = head.sequence;
            return Err(loss(directory, DamageReason::Lost { kept, durable, head: path.clone() }));
        }
    }
    Ok(())
}

/// Without a record there must never have been one, as far as the heads know, and the first segment still be there.
pub(crate) fn check_nothing(directory: &Path, heads: &[FoundHead], found: &[Found]) -> Result<(), Damage> {
    let identity = found.first().and_then(|found| found.header.ok()).map(|header| header.identity);
    if identity.is_none()
        && let Some(FoundHead { path, head }) = heads.iter().find(|found| found.head.accepted.is_none())
    {
        let reason = DamageReason::Gone { durable: head.sequence, head: path.clone() };
        return Err(loss(directory, reason));
    }
    check_heads(directory, heads, identity, 0)
}

/// Concerns the journal as a whole, beginning with its first segment.
fn loss(directory: &Path, reason: DamageReason) -> Damage {
    Damage { reason, ..missing(directory, 1) }
}

fn walk_all(directory: &Path, visit: &mut dyn FnMut(Record<'_>)) -> Result<Survey, OpenError> {
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
            // A segment is prepared only once the one before it stands whole.
            Err(fault)
                if first.header.is_err() && self.found[1..].iter().any(|later| later.header.is_ok()) =>
            {
                Err(first.header_error(fault))
            }
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
