//! The hot path of the Tollgate gateway: everything between a client's bytes and a venue's request, and back.
//!
//! It owns client sessions, order and risk state and the journal's append half, and is generic over what it stands on
//! ([`World`]): it starts no thread, opens no file, and asks no clock but its world's. Nothing here blocks, allocates,
//! locks, logs or formats once it runs; a test holds the ban list, another counts allocations. Other threads are
//! reached by lanes alone.

// The modules are private to the hot path; `pub` in them is for one another.
#![allow(unreachable_pub)]
#![warn(clippy::expect_used)]
#![cfg_attr(test, allow(clippy::disallowed_types, clippy::disallowed_methods, clippy::disallowed_macros))]

mod core;
mod dedupe;
mod digest;
mod event_loop;
mod exposure;
mod halts;
mod judge;
mod limits;
pub mod link;
mod memory;
pub mod metrics;
#[cfg(feature = "mutations")]
pub mod mutation;
#[cfg(not(feature = "mutations"))]
mod mutation;
mod orders;
mod outbox;
mod pipeline;
mod precision;
mod progress;
mod query;
mod recent;
pub mod record;
pub mod recovery;
mod repeat;
pub mod replay;
mod reports;
#[doc(hidden)]
pub mod rig;
mod risk;
mod rules;
mod sample;
mod sessions;
mod stage;
mod state;
mod table;
mod world;

pub use event_loop::{Hot, HotParts, Readiness, StopFlag, VenueParts};
pub use judge::{Asker, judge};
pub use rules::Rules;
pub use stage::{Probe, Stage, Unwatched};
pub use state::{Sizes, State};
pub use world::{Socket, World};
