//! Checking a whole journal without changing it.

use crate::directory::list_segments;
use crate::error::{Damage, DamageReason, OpenError};
use crate::format::{HeaderFault, OPENING_OFFSET, segment_name};
use crate::head::{self, FoundHead};
use crate::record::RecordFault;
use crate::scan::{Cursor, Ending, LaterRecords, Step};
use crate::survey::{Active, Found, check_heads, check_next, check_nothing, check_start, judge};
use std::path::Path;
use std::time::Duration;

/// How far a verification has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Index of the segment just checked.
    pub segment: u64,
    /// Segments checked.
    pub segments_done: u64,
    /// Segments to check.
    pub segments_total: u64,
    /// Intact records seen.
    pub records: u64,
}

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Segment files, those prepared and not written yet included.
    pub segments: u64,
    /// Intact records, those after damage included.
    pub records: u64,
    /// Sequence of the first intact record.
    pub first_sequence: Option<u64>,
    /// Sequence of the last intact record.
    pub last_sequence: Option<u64>,
    /// Every place where the journal is damaged, in order.
    pub damages: Vec<Damage>,
    /// An interrupted append at the very end, which the next open cuts. On a journal that is being written
    /// this may be the record that was just being appended.
    pub torn_tail: Option<TornTail>,
}

/// Bytes at the end that are not a committed record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// Index of the segment.
    pub segment: u64,
    /// Offset of the first byte.
    pub offset: u64,
    /// Number of bytes.
    pub bytes: u64,
    /// What is wrong with them.
    pub fault: RecordFault,
}

impl Verification {
    /// No damage; a torn tail is none.
    pub fn is_intact(&self) -> bool {
        self.damages.is_empty()
    }
}

/// Checks every header and record of a journal: checksums, continuity of sequences and segments, and that nothing is
/// missing as far as the head in the directory knows. Goes on after damage to list all of it. Takes no lock and changes
/// nothing; on a journal that is being written it checks what there was when it began, or more.
pub fn verify(
    directory: impl AsRef<Path>,
    progress: impl FnMut(Progress),
) -> Result<Verification, OpenError> {
    verify_with_head(directory, None, progress)
}

/// [`verify`], with the journal's head outside of its directory as well (see
/// [`Settings::head_file`](crate::Settings::head_file)).
pub fn verify_with_head(
    directory: impl AsRef<Path>,
    head_file: Option<&Path>,
    mut progress: impl FnMut(Progress),
) -> Result<Verification, OpenError> {
    let directory = directory.as_ref();
    // Before the segments: a journal that is being written is ahead of its heads.
    let heads = head::read_all(&head::places(directory, head_file))?;
    let files = list_segments(directory)?;
    let mut verifier = Verifier::default();
    let total = files.len() as u64;
    let mut found = Vec::with_capacity(files.len());
    for (index, path) in files {
        found.push(Found::load(index, path)?);
    }
    let last = found.iter().rposition(|found| !found.empty).or_else(|| entered(&found));
    for (position, segment) in found.iter().enumerate() {
        if last.is_some_and(|last| position <= last) {
            verifier.expect_index(directory, segment.index);
            verifier.segment(segment, Some(position) == last)?;
        }
        progress(Progress {
            segment: segment.index,
            segments_done: position as u64 + 1,
            segments_total: total,
            records: verifier.result.records,
        });
    }
    verifier.result.segments = total;
    if verifier.result.is_intact() {
        let lost = verifier.check_loss(directory, &heads, &found, last)?;
        verifier.result.damages.extend(lost.err());
    }
    Ok(verifier.result)
}

/// Without a record anywhere, the first segment still counts once it was entered, as it does for opening.
fn entered(found: &[Found]) -> Option<usize> {
    let first = found.first()?;
    let is_entered = matches!(first.header.and_then(|header| first.opening(&header)), Ok(Some(_)));
    // A segment is prepared only once the one before it stands whole.
    let is_damaged = first.header.is_err() && found[1..].iter().any(|later| later.header.is_ok());
    (is_entered || is_damaged || first.index != 1).then_some(0)
}

#[derive(Default)]
struct Verifier {
    result: Verification,
    identity: Option<[u8; 16]>,
    /// The segment before, when it ended as it should.
    before: Option<Active>,
    previous_index: Option<u64>,
    /// Last sequence of the last segment walked.
    kept: u64,
}

impl Verifier {
    /// What the segments cannot say of themselves, in the order in which opening looks.
    fn check_loss(
        &self,
        directory: &Path,
        heads: &[FoundHead],
        found: &[Found],
        last: Option<usize>,
    ) -> Result<Result<(), Damage>, OpenError> {
        let Some(last) = last else { return Ok(check_nothing(directory, heads, found)) };
        if let Some(active) = &self.before {
            // A writer may have made and entered it since the directory was listed.
            let index = active.header.index + 1;
            let path = directory.join(segment_name(index));
            let appeared = match found.get(last + 1) {
                None if path.exists() => Some(Found::load(index, path)?),
                _ => None,
            };
            if let Err(damage) =
                check_next(directory, heads, active, found.get(last + 1).or(appeared.as_ref()))
            {
                return Ok(Err(damage));
            }
        }
        Ok(check_heads(directory, heads, self.identity, self.kept))
    }

    fn expect_index(&mut self, directory: &Path, index: u64) {
        if let Some(previous) = self.previous_index {
            for segment in previous + 1..index {
                let path = directory.join(segment_name(segment));
                let reason = DamageReason::Missing;
                self.result.damages.push(Damage { segment, offset: 0, path, reason, next_valid: None });
            }
        }
        self.previous_index = Some(index);
    }

    fn segment(&mut self, found: &Found, last: bool) -> Result<(), OpenError> {
        let before = self.before.take();
        let header = match found.header {
            Ok(header) => header,
            Err(HeaderFault::Version { version }) if version > crate::format::FORMAT_VERSION => {
                let path = found.path.clone();
                let supported = crate::format::FORMAT_VERSION;
                return Err(OpenError::NewerVersion { path, version, supported });
            }
            Err(fault) => {
                self.result.damages.push(found.damage(0, DamageReason::Header(fault)));
                return Ok(());
            }
        };
        let start = check_start(found, &header, self.identity, before.as_ref());
        self.identity.get_or_insert(header.identity);
        let mut cursor = match (start, found.opening(&header)) {
            (Ok((_, cursor)), _) => cursor,
            (Err(OpenError::Damaged(damage)), Ok(Some(opening))) => {
                self.result.damages.push(damage);
                Cursor::start(opening.first_sequence, opening.previous_checksum, header.seed())
            }
            (Err(OpenError::Damaged(damage)), _) => {
                self.result.damages.push(damage);
                return Ok(());
            }
            (Err(error), _) => return Err(error),
        };
        let ending = self.records(found, &mut cursor, last);
        self.kept = cursor.sequence - 1;
        if let Some(ending) = ending {
            self.before = Some(Active { position: 0, header, cursor, ending });
        }
        Ok(())
    }

    /// Walks the records of a segment, passing over damage; `None` unless it ends as it should.
    fn records(&mut self, found: &Found, cursor: &mut Cursor, last: bool) -> Option<Ending> {
        let header = found.header.ok()?;
        let mut looks = Looks::default();
        loop {
            let before = *cursor;
            let step = found.step(cursor);
            if let Step::Record(decoded) = step {
                self.result.records += 1;
                self.result.first_sequence.get_or_insert(decoded.fields.sequence);
                self.result.last_sequence = Some(decoded.fields.sequence);
                continue;
            }
            let verdict = judge(found, &header, cursor, step, last);
            // A writer may have gone on between the step and the verdict: what it commits is whole, so another look
            // at the same place tells its work from damage.
            if last
                && !matches!(verdict, Ok(Ending::Clean | Ending::Closed))
                && looks.again(&before, &verdict)
            {
                // A closing record has moved it on.
                *cursor = before;
                continue;
            }
            match verdict {
                Ok(Ending::Torn { fault, until }) => {
                    let offset = cursor.position as u64;
                    let bytes = until as u64 - offset;
                    self.result.torn_tail = Some(TornTail { segment: header.index, offset, bytes, fault });
                    return None;
                }
                Ok(ending) => return Some(ending),
                Err(damage) => self.result.damages.push(damage),
            }
            if matches!(step, Step::End) {
                return None;
            }
            let (position, decoded) = LaterRecords::after(found.bytes(), cursor).next()?;
            let (sequence, previous) = (decoded.fields.sequence, decoded.previous);
            *cursor = Cursor { position, sequence, previous, seed: cursor.seed };
        }
    }
}

/// Looks taken at one place of the last segment before a verdict counts.
#[derive(Default)]
struct Looks {
    position: usize,
    taken: u32,
}

impl Looks {
    /// Damage shows at the second look, since whatever made it look so was committed after the record at that place.
    const DAMAGE: u32 = 2;
    /// An append takes well under a microsecond, unless its thread is interrupted in the middle.
    const TORN: u32 = 50;
    const PAUSE: Duration = Duration::from_micros(200);

    fn again(&mut self, cursor: &Cursor, verdict: &Result<Ending, Damage>) -> bool {
        if self.position != cursor.position {
            *self = Self { position: cursor.position, taken: 0 };
        }
        self.taken += 1;
        let is_damage = verdict.is_err();
        if !is_damage && self.taken > 1 {
            std::thread::sleep(Self::PAUSE);
        }
        self.taken < if is_damage { Self::DAMAGE } else { Self::TORN }
    }
}

/// Whether damage concerns the start of a segment rather than one of its records.
pub(crate) fn is_whole_segment(damage: &Damage) -> bool {
    damage.offset <= OPENING_OFFSET as u64
}
