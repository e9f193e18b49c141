//! What the hot path asks of a journal.

use crate::error::AppendError;
use crate::settings::Room;
use crate::status::Status;

/// A journal, as its one writer sees it. [`Appender`](crate::Appender) is the real one.
pub trait Append {
    /// Appends a record and returns its sequence: see [`Appender::append`](crate::Appender::append).
    fn append(
        &mut self,
        room: Room,
        kind: u16,
        time_ns: u64,
        maximum_payload_bytes: usize,
        fill: impl FnOnce(&mut [u8]) -> usize,
    ) -> Result<u64, AppendError>;
    /// Tells whoever makes records durable that there are new ones. Called once a turn.
    fn publish(&mut self);
    /// Sequence the next record will get.
    fn next_sequence(&self) -> u64;
    /// Every record up to this sequence has the configured durability.
    fn durable_sequence(&self) -> u64;
    /// State of the journal.
    fn status(&self) -> Status;
    /// Has the memory of the next records brought near.
    fn prefetch_next(&self);
}
