//! Events of the past, from the journal.
//!
//! Recovery reads the journal from its beginning to its end, and the door on from there when somebody asks. Along the way
//! marks are kept: what the numbers meant at that point, and how far each client's events had come. A client that
//! left off somewhere is served from the mark before.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use tollgate_journal::{Place, ReadError, Reader};
use tollgate_protocol::Event;
use tollgate_protocol::event::{Durability, EventBody};
use tollgate_protocol::text::Text;

use crate::link::Watermark;
use tollgate_core::record::{Name, NameTable, Record, RecordError};

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
    known: Known,
}

/// What recovery has seen of each client's events, so that the door need not read the journal again.
pub struct HistoryIndex {
    durability: Durability,
    clients: Vec<Text<31>>,
    known: Known,
}

/// Marks, and how far they reach.
struct Known {
    /// What is known where reading goes on.
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
    /// The record before it; `None` before every record.
    place: Option<Place>,
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

impl Known {
    fn nothing(clients: usize) -> Self {
        let start = Mark { sequence: 0, place: None, meanings: Vec::new(), last_events: vec![0; clients] };
        let marks_max = (MARK_NUMBERS_MAX / clients.max(1)).clamp(8, 1024);
        Self { end: start.clone(), marks: vec![start], spacing: MARK_SPACING, marks_max }
    }

    /// Keeps a mark where the last is far enough behind.
    fn mark(&mut self) {
        let last = self.marks.last().map_or(0, |mark| mark.sequence);
        if self.end.sequence >= last + self.spacing {
            keep(&mut self.marks, &mut self.spacing, self.marks_max, &self.end);
        }
    }
}

impl HistoryIndex {
    /// Before the first record.
    pub fn new(settings: &tollgate_config::Settings) -> Self {
        let clients: Vec<Text<31>> = settings.clients.iter().map(|client| client.name).collect();
        let known = Known::nothing(clients.len());
        Self { durability: settings.journal.durability, clients, known }
    }

    /// Takes the next record, and what recovery has read it as: with the present numbers.
    pub fn take(&mut self, raw: &tollgate_journal::Record<'_>, record: &Record) {
        let end = &mut self.known.end;
        end.sequence = raw.sequence + 1;
        end.place = Some(raw.place());
        if let Record::Name(name) = record {
            end.learn(name, &self.clients);
        } else if let Some((client, event)) = record.event(raw.sequence, raw.time_ns, self.durability)
            && let Some(last) = end.last_events.get_mut(usize::from(client))
        {
            *last = event.event_sequence;
        }
        self.known.mark();
    }
}

impl History {
    /// Of the journal in `directory`, as far as `index` knows it.
    pub(super) fn new(directory: PathBuf, index: HistoryIndex) -> Self {
        let HistoryIndex { durability, clients, known } = index;
        Self { directory, durability, clients, index: Mutex::new(Index { reader: None, known }) }
    }

    /// A reader that goes on where the mark is.
    fn reader_at(&self, mark: &Mark) -> Result<Reader, ReadError> {
        match mark.place {
            Some(place) => Reader::open_after(&self.directory, place),
            None => Reader::open(&self.directory),
        }
    }

    /// Finds the client's first event after `resume_after`. Blocks for as long as reading takes.
    pub(super) fn find(&self, client: u16, resume_after: u64) -> Result<Past, HistoryError> {
        let mark = self.mark_before(client, resume_after)?;
        let reader = self.reader_at(&mark)?;
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

    /// The last mark at which the client had seen everything, once the journal is known to its end: what was written
    /// since the last time, or since the start. Whoever comes meanwhile waits, and has less to read then.
    fn mark_before(&self, client: u16, resume_after: u64) -> Result<Mark, HistoryError> {
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        let index = &mut *index;
        let reader = match &mut index.reader {
            Some(reader) => reader,
            none => none.insert(self.reader_at(&index.known.end)?),
        };
        let known = &mut index.known;
        while !matches!(known.end.advance(reader, &self.clients, self.durability)?, Step::End) {
            known.mark();
        }
        let own = usize::from(client);
        let last = known.end.last_events.get(own).copied().unwrap_or(0);
        if resume_after > last {
            return Err(HistoryError::Beyond { resume_after, last });
        }
        if resume_after == last {
            return Ok(known.end.clone());
        }
        let seen = |mark: &Mark| mark.last_events.get(own).is_none_or(|last| *last <= resume_after);
        // The first mark stands before every event, so there is always one.
        let after = known.marks.partition_point(seen).max(1);
        Ok(known.marks[after - 1].clone())
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
        self.place = Some(raw.place());
        if !may_matter(raw.kind) {
            return Ok(Step::Other);
        }
        let record = Record::decode(raw.sequence, raw.kind, raw.payload)?;
        if let Record::Name(name) = &record {
            self.learn(name, clients);
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

    fn learn(&mut self, name: &Name, clients: &[Text<31>]) {
        if name.table == NameTable::Client {
            self.rename(name.index, clients.iter().position(|client| *client == name.name));
        }
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
    #![allow(clippy::unwrap_used)]

    use super::*;
    use tollgate_core::record::{Authority, PAYLOAD_BYTES_MAX, RejectionRecord};
    use tollgate_journal::{Appender, Room, Settings};
    use tollgate_protocol::reject::{Code, Owner, Reject};
    use tollgate_protocol::{AccountName, Action, Command, CommandId, Decimal};

    const RECORDS: u64 = 40_000;

    fn append(appender: &mut Appender, record: &Record) {
        let encode = |out: &mut [u8]| record.encode(out);
        appender.append(Room::Ordinary, record.kind(), 1, PAYLOAD_BYTES_MAX, encode).unwrap();
    }

    fn refusal(client: u16, event_sequence: u64) -> Record {
        let command = Command {
            command_id: CommandId(u128::from(event_sequence)),
            created_at_ns: 1,
            deadline_ns: 0,
            account: AccountName::EMPTY,
            action: Action::Heartbeat,
        };
        let reject = Reject::new(Code::QueueFull, Owner::Gateway);
        let authority = Authority::default();
        Record::Rejection(RejectionRecord {
            client,
            event_sequence,
            content_hash: 7,
            authority,
            command,
            reject,
        })
    }

    #[test]
    fn first_resume_after_a_start_reads_what_is_near_and_not_the_whole_journal() {
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings { segment_bytes: 16 << 20, ..Settings::new(directory.path()) };
        let clients: Vec<Text<31>> = ["one", "two"].map(|name| Text::new(name).unwrap()).into();
        let mut appender = tollgate_journal::open(&settings, |_| {}).unwrap().appender;
        for (index, name) in clients.iter().enumerate() {
            let (tick, step) = (Decimal::ZERO, Decimal::ZERO);
            let (table, index) = (NameTable::Client, index as u16);
            append(&mut appender, &Record::Name(Name { table, index, name: *name, tick, step }));
        }
        for event in 1..=RECORDS / 2 {
            append(&mut appender, &refusal(0, event));
            append(&mut appender, &refusal(1, event));
        }
        drop(appender);
        // The start: recovery sees every record.
        let known = Known::nothing(clients.len());
        let mut index = HistoryIndex { durability: Durability::Process, clients, known };
        let opened = tollgate_journal::open(&settings, |raw| {
            let record = Record::decode(raw.sequence, raw.kind, raw.payload).unwrap();
            index.take(&raw, &record);
        });
        let mut appender = opened.unwrap().appender;
        let last = RECORDS / 2;
        append(&mut appender, &refusal(1, last + 1));
        let history = History::new(directory.path().to_owned(), index);
        let watermark = Watermark { sequence: u64::MAX, is_final: false };
        for (resume_after, most) in [(last + 1, 0), (last, MARK_SPACING), (last / 2, MARK_SPACING)] {
            let mut past = history.find(1, resume_after).unwrap();
            assert!(past.reader.records_read() <= 2 + most, "{}", past.reader.records_read());
            let events = history.read(&mut past, watermark, 10).unwrap();
            let sequences: Vec<u64> = events.iter().map(|event| event.event_sequence).collect();
            let expected: Vec<u64> = (resume_after + 1..=last + 1).take(10).collect();
            assert_eq!(sequences, expected);
        }
        let index = history.index.lock().unwrap();
        assert_eq!(index.reader.as_ref().unwrap().records_read(), 2, "the last known, and the one after it");
    }

    #[test]
    fn marks_stay_few_and_cover_everything() {
        let (mut marks, mut spacing) = (Vec::new(), 1);
        for sequence in 0..10_000 {
            let last = marks.last().map(|mark: &Mark| mark.sequence);
            if last.is_none_or(|last| sequence >= last + spacing) {
                let mark = Mark { sequence, place: None, meanings: Vec::new(), last_events: Vec::new() };
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
