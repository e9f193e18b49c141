//! The hot half: appends records to mapped memory. No allocation, no lock, no system call but the wake of a
//! sleeping flusher.

use crate::append::Append;
use crate::error::AppendError;
use crate::format::Opening;
use crate::map::Tail;
use crate::record::{Fields, RECORD_HEADER_BYTES, UNSYNCED_NOT_STATED, padded, seal};
use crate::segment::Segment;
use crate::settings::{Durability, Room};
use crate::status::{Condition, Reason, Shared, Status};
use rtrb::{Consumer, Producer};
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

/// Appends records. Owned by one thread at a time.
pub struct Appender {
    /// Writes into the memory of `segment`, which is held beside it.
    tail: Tail,
    segment: Arc<Segment>,
    /// End of the room every record may use without a look at the next segment.
    soft_limit: usize,
    next: Option<Arc<Segment>>,
    prepared: Consumer<Arc<Segment>>,
    retired: Producer<Arc<Segment>>,
    shared: Arc<Shared>,
    next_sequence: u64,
    previous: u32,
    records: u64,
    /// Bytes at the end of a segment that each room leaves to those above it.
    kept_from: [usize; Room::COUNT],
    largest_bytes: usize,
    published: u64,
}

/// Where an appender starts.
pub(crate) struct AppenderStart {
    pub(crate) segment: Arc<Segment>,
    pub(crate) prepared: Consumer<Arc<Segment>>,
    pub(crate) retired: Producer<Arc<Segment>>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) next_sequence: u64,
    pub(crate) previous: u32,
    pub(crate) records: u64,
    pub(crate) kept_from: [usize; Room::COUNT],
    pub(crate) largest_bytes: usize,
}

impl Appender {
    pub(crate) fn new(start: AppenderStart) -> Self {
        let used = start.segment.used.load(Ordering::Acquire) as usize;
        Self {
            tail: Tail::take(&start.segment.mapping, used),
            soft_limit: start.segment.capacity().saturating_sub(start.kept_from[Room::Ordinary as usize]),
            segment: start.segment,
            next: None,
            prepared: start.prepared,
            retired: start.retired,
            shared: start.shared,
            next_sequence: start.next_sequence,
            previous: start.previous,
            records: start.records,
            kept_from: start.kept_from,
            largest_bytes: start.largest_bytes,
            published: start.next_sequence - 1,
        }
    }

    /// Sequence the next record will get. The first is 1; they are contiguous over segments and restarts.
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Has the memory of the next records brought near. It costs a few instructions, and saves the next append the wait for
    /// memory that nobody has looked at yet: for who has nothing better to do just now.
    #[inline]
    pub fn prefetch_next(&self) {
        self.tail.prefetch();
    }

    /// Appends a record and returns its sequence. `fill` writes the payload into the slice it is given, of
    /// `maximum_payload_bytes`, and returns how many bytes of it count; the others are zeroed, so keep the
    /// maximum tight.
    ///
    /// # Panics
    /// If `fill` returns more than `maximum_payload_bytes`; nothing is appended then, nor if `fill` panics.
    #[inline]
    pub fn append(
        &mut self,
        room: Room,
        kind: u16,
        time_ns: u64,
        maximum_payload_bytes: usize,
        fill: impl FnOnce(&mut [u8]) -> usize,
    ) -> Result<u64, AppendError> {
        if maximum_payload_bytes > self.largest_bytes {
            return Err(AppendError::TooLarge);
        }
        let needed = padded(RECORD_HEADER_BYTES + maximum_payload_bytes);
        if room == Room::Ordinary && self.shared.failure.load(Ordering::Relaxed) != Reason::None as u8 {
            return Err(AppendError::Failed);
        }
        if self.tail.committed() + needed > self.soft_limit {
            self.make_room(room, needed)?;
        }

        let sequence = self.next_sequence;
        let fields = Fields { sequence, time_ns, kind, end: false, unsynced: self.unsynced() };
        let slot = self.tail.slot(needed);
        let payload_bytes = fill_payload(slot, maximum_payload_bytes, fill);
        let length = RECORD_HEADER_BYTES + payload_bytes;
        self.previous = seal(slot, length, fields, self.segment.seed, self.previous);
        self.tail.commit(length, padded(length));

        self.segment.used.store(self.tail.committed() as u64, Ordering::Release);
        self.shared.appended.store(sequence, Ordering::Release);
        self.next_sequence = sequence + 1;
        self.records += 1;
        Ok(sequence)
    }

    /// Wakes the flusher if records were appended since the last call (disk class). Call it once a turn, so
    /// that one wake and one sync serve all records of the turn. Without it the flusher notices within 10 ms.
    pub fn publish(&mut self) {
        let last = self.next_sequence - 1;
        if self.published == last {
            return;
        }
        self.published = last;
        if self.shared.durability == Durability::Disk {
            // Pairs with the fence of the flusher between saying that it sleeps and looking for records.
            fence(Ordering::SeqCst);
            if self.shared.sleeping.load(Ordering::Relaxed)
                && self.shared.sleeping.swap(false, Ordering::SeqCst)
                && let Some(thread) = self.shared.flusher_thread.get()
            {
                thread.unpark();
            }
        }
    }

    /// The watermark: every record up to this sequence has the configured durability.
    pub fn durable_sequence(&self) -> u64 {
        self.shared.durable_sequence()
    }

    /// Asks for one call of the waker (see [`set_watermark_waker`]) when the watermark moves next or the
    /// journal fails, and returns the watermark as it stands after the request: sleep only if that is still
    /// too low.
    ///
    /// [`set_watermark_waker`]: crate::FlusherHandle::set_watermark_waker
    pub fn request_watermark_wake(&self) -> u64 {
        self.shared.interest.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.shared.durable_sequence()
    }

    /// State of the journal; costs a few loads.
    pub fn status(&self) -> Status {
        let (condition, reason) = self.shared.condition();
        let used = self.tail.committed();
        Status {
            condition,
            reason,
            segment_index: self.segment.header.index,
            used_bytes: used as u64,
            free_bytes: self.segment.capacity().saturating_sub(used) as u64,
            ordinary_free_bytes: match condition {
                Condition::Failed => 0,
                _ => self.soft_limit.saturating_sub(used) as u64,
            },
            next_ready: self.next.is_some() || !self.prepared.is_empty(),
            records: self.records,
            unsynced_records: (self.next_sequence - 1)
                .saturating_sub(self.shared.synced.load(Ordering::Relaxed)),
            sync_running_ms: self.shared.sync.running_ms(),
        }
    }

    /// Earlier records that are not on disk yet. Recovery learns from it that a batch was never synced.
    #[inline]
    fn unsynced(&self) -> u16 {
        if self.shared.durability != Durability::Disk {
            return UNSYNCED_NOT_STATED;
        }
        let behind = self.next_sequence - 1 - self.shared.synced.load(Ordering::Relaxed);
        u16::try_from(behind).map_or(UNSYNCED_NOT_STATED, |behind| behind.min(UNSYNCED_NOT_STATED))
    }

    /// The record does not fit below the soft limit: use the reserve, or go to the next segment.
    #[cold]
    fn make_room(&mut self, room: Room, needed: usize) -> Result<(), AppendError> {
        if self.next.is_none() {
            self.next = self.prepared.pop().ok();
        }
        let end = self.tail.committed() + needed;
        let capacity = self.segment.capacity();
        let kept = if self.next.is_some() { 0 } else { self.kept_from[room as usize] };
        if end + kept <= capacity {
            return Ok(());
        }
        match self.next.take() {
            Some(next) => {
                self.roll(next);
                Ok(())
            }
            None if room == Room::Ordinary => Err(AppendError::Full),
            None => Err(AppendError::ReserveFull),
        }
    }

    /// Closes the segment and enters the next: a closing record, two header words, and a swap of pointers.
    fn roll(&mut self, next: Arc<Segment>) {
        let sequence = self.next_sequence;
        let fields = Fields { sequence, time_ns: 0, kind: 0, end: true, unsynced: self.unsynced() };
        let slot = self.tail.slot(RECORD_HEADER_BYTES);
        let checksum = seal(slot, RECORD_HEADER_BYTES, fields, self.segment.seed, self.previous);
        self.tail.commit(RECORD_HEADER_BYTES, RECORD_HEADER_BYTES);
        self.segment.used.store(self.tail.committed() as u64, Ordering::Release);

        next.enter(Opening { first_sequence: sequence, previous_checksum: checksum });
        self.previous = checksum;
        self.tail = Tail::take(&next.mapping, next.used.load(Ordering::Acquire) as usize);
        self.soft_limit = next.capacity() - self.kept_from[Room::Ordinary as usize];
        let closed = std::mem::replace(&mut self.segment, next);
        closed.closed.store(true, Ordering::Release);
        // The ring holds more segments than can be alive; were it full, the memory would merely be released
        // by the flusher's own reference.
        let _ = self.retired.push(closed);
    }
}

impl Append for Appender {
    #[inline]
    fn append(
        &mut self,
        room: Room,
        kind: u16,
        time_ns: u64,
        maximum_payload_bytes: usize,
        fill: impl FnOnce(&mut [u8]) -> usize,
    ) -> Result<u64, AppendError> {
        self.append(room, kind, time_ns, maximum_payload_bytes, fill)
    }

    #[inline]
    fn publish(&mut self) {
        self.publish();
    }

    #[inline]
    fn next_sequence(&self) -> u64 {
        self.next_sequence()
    }

    #[inline]
    fn durable_sequence(&self) -> u64 {
        self.durable_sequence()
    }

    fn status(&self) -> Status {
        self.status()
    }

    #[inline]
    fn prefetch_next(&self) {
        self.prefetch_next();
    }
}

/// Lets `fill` write the payload, and leaves zeros where it must not have written.
#[inline]
fn fill_payload(slot: &mut [u8], maximum: usize, fill: impl FnOnce(&mut [u8]) -> usize) -> usize {
    let mut scrub = Scrub { payload: &mut slot[RECORD_HEADER_BYTES..RECORD_HEADER_BYTES + maximum], kept: 0 };
    let bytes = fill(scrub.payload);
    assert!(bytes <= maximum, "payload of {bytes} bytes, more than the {maximum} announced");
    scrub.kept = bytes;
    bytes
}

/// Zeroes what is not part of the payload, also when `fill` panics: the bytes after a record must stay zero,
/// for they are the next length word.
struct Scrub<'a> {
    payload: &'a mut [u8],
    kept: usize,
}

impl Drop for Scrub<'_> {
    #[inline]
    fn drop(&mut self) {
        self.payload[self.kept..].fill(0);
    }
}
