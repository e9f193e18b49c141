//! Events of the past, from the journal.
//!
//! Finding where a client left off means reading the journal up to there. To read it once and not at every logon,
//! marks are kept along the way: what the numbers meant at that point, and how far each client's events had come.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use tollgate_journal::{ReadError, Reader};
use tollgate_protocol::Event;
use tollgate_protocol::event::Durability;
use tollgate_protocol::text::Text;

use crate::record::{NameTable, Record, RecordError};

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
    marks: Mutex<Marks>,
}

/// In order of sequence. Whoever searches beyond the last adds to them.
struct Marks {
    list: Vec<Mark>,
    spacing: u64,
    most: usize,
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
        let most = (MARK_NUMBERS_MAX / clients.len().max(1)).clamp(8, 1024);
        let marks = Mutex::new(Marks { list: vec![start], spacing: MARK_SPACING, most });
        Self { directory, durability, clients, marks }
    }

    /// Finds the client's first event after `resume_after`. Blocks for as long as reading takes.
    pub(super) fn find(&self, client: u16, resume_after: u64) -> Result<Past, HistoryError> {
        let mark = self.mark_before(client, resume_after);
        let mut reader = Reader::open(&self.directory)?;
        if mark.sequence > 0 {
            reader.seek(mark.sequence)?;
        }
        let mut past = Past { reader, mark, client, durability: self.durability, found: None };
        let own = usize::from(client);
        loop {
            let before = past.mark.last_events.get(own).copied().unwrap_or(0);
            match past.read(&self.clients)? {
                Step::End if before == resume_after => return Ok(past),
                Step::End => return Err(HistoryError::Beyond { resume_after, last: before }),
                Step::Event(first) if first > resume_after => {
                    let wanted = resume_after + 1;
                    return if first == wanted {
                        Ok(past)
                    } else {
                        Err(HistoryError::Gone { wanted, first })
                    };
                }
                Step::Event(_) => past.found = None,
                Step::Other => {}
            }
            self.note(&past.mark);
        }
    }

    /// Reads on from where `past` stands: at most `count` events of records up to `sequence_max`; fewer only when
    /// there are no more. Blocks for as long as reading takes.
    pub(super) fn read(
        &self,
        past: &mut Past,
        sequence_max: u64,
        count: usize,
    ) -> Result<Vec<Event>, HistoryError> {
        let mut events = Vec::with_capacity(count);
        loop {
            if let Some((sequence, event)) = past.found {
                if sequence > sequence_max || events.len() >= count {
                    break;
                }
                events.push(event);
                past.found = None;
            }
            if matches!(past.read(&self.clients)?, Step::End) {
                break;
            }
        }
        Ok(events)
    }

    fn mark_before(&self, client: u16, resume_after: u64) -> Mark {
        let marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let own = usize::from(client);
        let reached = |mark: &Mark| mark.last_events.get(own).is_none_or(|last| *last <= resume_after);
        let after = marks.list.partition_point(reached);
        // The first mark stands before every event, so there is always one.
        marks.list[after.max(1) - 1].clone()
    }

    /// Keeps the mark when it lies far enough beyond the last.
    fn note(&self, mark: &Mark) {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let last = marks.list.last().map_or(0, |mark| mark.sequence);
        if mark.sequence < last + marks.spacing {
            return;
        }
        if marks.list.len() >= marks.most {
            let mut position = 0;
            marks.list.retain(|_| {
                position += 1;
                position % 2 == 1
            });
            marks.spacing *= 2;
        }
        marks.list.push(mark.clone());
    }
}

/// A place in the journal, for one client.
pub(super) struct Past {
    reader: Reader,
    mark: Mark,
    client: u16,
    durability: Durability,
    /// The event that was read last, with its record's sequence, when nobody has taken it yet.
    found: Option<(u64, Event)>,
}

enum Step {
    /// The journal ends here for now.
    End,
    /// An event of the client with this number, now in `found`.
    Event(u64),
    /// Something else.
    Other,
}

impl Past {
    fn read(&mut self, clients: &[Text<31>]) -> Result<Step, HistoryError> {
        let Some(raw) = self.reader.next()? else { return Ok(Step::End) };
        self.mark.sequence = raw.sequence + 1;
        if !may_matter(raw.kind) {
            return Ok(Step::Other);
        }
        let record = Record::decode(raw.sequence, raw.kind, raw.payload)?;
        if let Record::Name(name) = &record {
            if name.table == NameTable::Client {
                self.mark.rename(name.index, clients.iter().position(|client| *client == name.name));
            }
            return Ok(Step::Other);
        }
        let Some((number, event)) = record.event(raw.sequence, raw.time_ns, self.durability) else {
            return Ok(Step::Other);
        };
        let Some(client) = self.mark.meanings.get(usize::from(number)).copied().flatten() else {
            return Ok(Step::Other);
        };
        self.mark.last_events[usize::from(client)] = event.event_sequence;
        if client != self.client {
            return Ok(Step::Other);
        }
        self.found = Some((raw.sequence, event));
        Ok(Step::Event(event.event_sequence))
    }
}

impl Mark {
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
