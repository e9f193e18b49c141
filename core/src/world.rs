//! What the hot path stands on: its sockets, its journal, its clocks. The gateway's are real; a simulator makes them up.

use std::io;

use tollgate_journal::Append;

/// A client's connection, which never blocks.
pub trait Socket: Send + 'static {
    /// Reads what there is; 0 when the other side has ended, `WouldBlock` when there is nothing for now.
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize>;
    /// Writes what fits; `WouldBlock` when nothing does.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
}

/// Where the hot path runs.
pub trait World {
    /// The connections of its clients.
    type Socket: Socket;
    /// Where its records go.
    type Journal: Append;

    /// The wall clock: nanoseconds since the Unix epoch. It may jump, both ways.
    fn wall_ns(&mut self) -> u64;
    /// A clock that only goes forward: nanoseconds since whenever.
    fn monotonic_ns(&self) -> u64;
    /// From now on, says when the socket of the session in `slot` can be read or written.
    fn watch(&mut self, socket: &Self::Socket, slot: u16) -> io::Result<()>;
    /// Says so no longer.
    fn unwatch(&mut self, socket: &Self::Socket);
    /// Lets about a millisecond pass. Only the last turn does that.
    fn pause(&mut self);
}
