//! The hot thread: client sockets, the pipeline, order and risk state, the journal's append half.
//!
//! Nothing here blocks, allocates, locks, logs or formats once it runs, and the time is read once a turn; a test holds
//! the ban list, another counts allocations. The other threads are reached by lanes alone.

// The modules are private to the hot thread; `pub` in them is for one another.
#![allow(unreachable_pub)]

mod clock;
mod core;
mod dedupe;
mod digest;
mod event_loop;
mod exposure;
mod halts;
mod judge;
mod limits;
mod memory;
mod orders;
mod outbox;
pub(crate) mod pipeline;
pub(crate) mod precision;
mod query;
mod recent;
mod repeat;
pub(crate) mod reports;
mod risk;
mod rules;
pub(crate) mod sessions;
mod state;
mod table;

pub use clock::Probe;
pub use event_loop::{Hot, HotParts, StopFlag, VenueParts};
pub use judge::{Asker, judge};
pub use rules::Rules;
pub use state::{Sizes, State};
