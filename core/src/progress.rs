//! How far an answer of many rows is: a session keeps it between turns.

/// How far a query is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// Where to go on: a slot, a position or an instrument.
    pub next: usize,
    /// So many have been sent.
    pub rows: u32,
}
