//! Events of the past, from the journal.
//!
//! The journal is read once from its beginning to its end, and on from there when somebody asks. Along the way
//! marks are kept: what the numbers meant at that point, and how far each client's events had come. A client that
//! left off somewhere is served from the mark before.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use tollgate_journal::{ReadError, Reader};
use tollgate_protocol::Event;
use tollgate_protocol::event::{Durability, EventBody};
use tollgate_protocol::text::Text;

use crate::link::Watermark;
use tollgate_core::record::{NameTable, Record, RecordError};

/// The most numbers that all marks keep together.
const MARK_NUMBERS_MAX: usize = 1 << 20;
/// Records between two marks, to begin with.
const MARK_SPACING: u64 = 8_192;

/// The journal as the door reads it. Shared by the threads that search it.
pub(super) struct History {
    directory: PathBuf,
    /// The class that acknowledgements state.
    durability: Durability,
    /// The clients, by their present numbers.
    clients: Vec<Text<31>>,
    index: Mutex<Index>,
}

/// What is known of the journal so far.
struct Index {
    /// Where reading goes on; absent before the first time.
    reader: Option<Reader>,
    /// What is known at that point.
    end: Mark,
    /// In order of sequence, the first before every record.
    marks: Vec<Mark>,
    spacing: u64,
    marks_max: usize,
}

/// What is known before the record `sequence` is read.
#[derive(Clone)]
struct Mark {
    sequence: u64,
    /// What the journal's client numbers mean here: the client's present number, `None` when it is gone.
    meanings: Vec<Option<u16>>,
    /// The last event of each client, by its present number; 0 for none.
    last_events: Vec<u64>,
}

/// Why events cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub(super) enum HistoryError {
    /// They are no longer there.
    #[error("the events from {wanted} on are no longer in the journal: the client's first there is {first}")]
    Gone {
        /// The first event wanted.
        wanted: u64,
        /// The first one found beyond it.
        first: u64,
    },
    /// They never were.
    #[error("event {resume_after} never was: the client's last is {last}")]
    Beyond {
        /// The event that the client says it has seen.
        resume_after: u64,
        /// The client's last; 0 for none.
        last: u64,
    },
    /// The journal could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A record is not understood.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl History {
    /// Of the journal in `directory`, for the clients of the settings.
    pub(super) fn new(directory: PathBuf, durability: Durability, clients: Vec<Text<31>>) -> Self {
        let start = Mark { sequence: 0, meanings: Vec::new(), last_events: vec![0; clients.len()] };
        let index = Index {
            reader: None,
            end: start.clone(),
            marks: vec![start],
            spacing: MARK_SPACING,
            marks_max: (MARK_NUMBERS_MAX / clients.len().max(1)).clamp(8, 1024),
        };
        Self { directory, durability, clients, index: Mutex::new(index) }
    }

    /// Finds the client's first event after `resume_after`. Blocks for as long as reading takes.
    pub(super) fn find(&self, client: u16, resume_after: u64) -> Result<Past, HistoryError> {
        let mark = self.mark_before(client, resume_after)?;
        let mut reader = Reader::open(&self.directory)?;
        if mark.sequence > 0 {
            reader.seek(mark.sequence)?;
        }
        let mut past = Past { reader, mark, client, found: None };
        let wanted = resume_after.saturating_add(1);
        while past.found.is_none() && self.step(&mut past)? {
            past.found = past.found.filter(|(_, event)| event.event_sequence >= wanted);
        }
        match past.found {
            Some((_, event)) if event.event_sequence != wanted => {
                Err(HistoryError::Gone { wanted, first: event.event_sequence })
            }
            _ => Ok(past),
        }
    }

    /// Reads on from where `past` stands: at most `count` events; fewer only when there are no more that may be told, for
    /// an acknowledgement must not be told before it is as durable as it says. Blocks for as long as reading takes.
    pub(super) fn read(
        &self,
        past: &mut Past,
        watermark: Watermark,
        count: usize,
    ) -> Result<Vec<Event>, HistoryError> {
        let waits_for_disk = self.durability == Durability::Disk;
        let mut events = Vec::with_capacity(count);
        loop {
            if let Some((sequence, mut event)) = past.found {
                let is_beyond = waits_for_disk && sequence > watermark.sequence;
                if is_beyond && !watermark.is_final || events.len() >= count {
                    break;
                }
                if is_beyond && let EventBody::Acknowledged(it) = &mut event.body {
                    it.durability = Durability::Process;
                }
                events.push(event);
                past.found = None;
            }
            if !self.step(past)? {
                break;
            }
        }
        Ok(events)
    }

    /// Reads a record; false when the journal ends here for now.
    fn step(&self, past: &mut Past) -> Result<bool, HistoryError> {
        match past.mark.advance(&mut past.reader, &self.clients, self.durability)? {
            Step::End => return Ok(false),
            Step::Event { client, sequence, event } if client == past.client => {
                past.found = Some((sequence, event));
            }
            Step::Event { .. } | Step::Other => {}
        }
        Ok(true)
    }

    /// The last mark at which the client had seen everything, once the whole journal is known. Whoever comes
    /// meanwhile waits, and has less to read then.
    fn mark_before(&self, client: u16, resume_after: u64) -> Result<Mark, HistoryError> {
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        let index = &mut *index;
        let reader = match &mut index.reader {
            Some(reader) => reader,
            none => none.insert(Reader::open(&self.directory)?),
        };
        while !matches!(index.end.advance(reader, &self.clients, self.durability)?, Step::End) {
            let last = index.marks.last().map_or(0, |mark| mark.sequence);
            if index.end.sequence >= last + index.spacing {
                keep(&mut index.marks, &mut index.spacing, index.marks_max, &index.end);
            }
        }
        let own = usize::from(client);
        let last = index.end.last_events.get(own).copied().unwrap_or(0);
        if resume_after > last {
            return Err(HistoryError::Beyond { resume_after, last });
        }
        if resume_after == last {
            return Ok(index.end.clone());
        }
        let seen = |mark: &Mark| mark.last_events.get(own).is_none_or(|last| *last <= resume_after);
        // The first mark stands before every event, so there is always one.
        let after = index.marks.partition_point(seen).max(1);
        Ok(index.marks[after - 1].clone())
    }
}

/// Keeps a mark; when there are too many, every other goes and they lie twice as far apart from then on.
fn keep(marks: &mut Vec<Mark>, spacing: &mut u64, marks_max: usize, mark: &Mark) {
    if marks.len() >= marks_max {
        let mut position = 0_usize;
        marks.retain(|_| {
            position += 1;
            position % 2 == 1
        });
        *spacing *= 2;
    }
    marks.push(mark.clone());
}

/// A place in the journal, for one client.
pub(super) struct Past {
    reader: Reader,
    mark: Mark,
    client: u16,
    /// The client's event that was read last, with its record's sequence, when nobody has taken it yet.
    found: Option<(u64, Event)>,
}

// A box for every record would cost more than the copy.
#[expect(clippy::large_enum_variant)]
enum Step {
    /// The journal ends here for now.
    End,
    /// An event of a client of the settings, and its record's sequence.
    Event { client: u16, sequence: u64, event: Event },
    /// Something else.
    Other,
}

impl Mark {
    /// Reads the next record, and knows more.
    fn advance(
        &mut self,
        reader: &mut Reader,
        clients: &[Text<31>],
        durability: Durability,
    ) -> Result<Step, HistoryError> {
        let Some(raw) = reader.next()? else { return Ok(Step::End) };
        self.sequence = raw.sequence + 1;
        if !may_matter(raw.kind) {
            return Ok(Step::Other);
        }
        let record = Record::decode(raw.sequence, raw.kind, raw.payload)?;
        if let Record::Name(name) = &record {
            if name.table == NameTable::Client {
                self.rename(name.index, clients.iter().position(|client| *client == name.name));
            }
            return Ok(Step::Other);
        }
        let Some((number, event)) = record.event(raw.sequence, raw.time_ns, durability) else {
            return Ok(Step::Other);
        };
        let Some(client) = self.meanings.get(usize::from(number)).copied().flatten() else {
            return Ok(Step::Other);
        };
        self.last_events[usize::from(client)] = event.event_sequence;
        Ok(Step::Event { client, sequence: raw.sequence, event })
    }

    fn rename(&mut self, number: u16, meaning: Option<usize>) {
        let number = usize::from(number);
        if self.meanings.len() <= number {
            self.meanings.resize(number + 1, None);
        }
        self.meanings[number] = meaning.map(|client| client as u16);
    }
}

/// True for kinds of records that tell a client something, or that name one.
fn may_matter(kind: u16) -> bool {
    matches!(Record::kind_name(kind), "name" | "intent" | "refusal" | "report")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_stay_few_and_cover_everything() {
        let (mut marks, mut spacing) = (Vec::new(), 1);
        for sequence in 0..10_000 {
            let last = marks.last().map(|mark: &Mark| mark.sequence);
            if last.is_none_or(|last| sequence >= last + spacing) {
                let mark = Mark { sequence, meanings: Vec::new(), last_events: Vec::new() };
                keep(&mut marks, &mut spacing, 8, &mark);
            }
            assert!(marks.len() <= 8);
            assert_eq!(marks[0].sequence, 0);
            let widest = marks.windows(2).map(|pair| pair[1].sequence - pair[0].sequence).max();
            assert!(widest.is_none_or(|widest| widest <= spacing), "{widest:?} at {sequence}");
        }
        assert!(spacing >= 10_000 / 8);
    }
}
