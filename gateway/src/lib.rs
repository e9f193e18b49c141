//! The Tollgate gateway process: signed commands in, checked, journaled, executed, reported back.

pub mod client;
pub mod cold;
pub mod command;
pub mod gateway;
pub mod hot;
pub mod link;
pub mod memory_need;
pub mod metrics;
pub mod record;
pub mod recovery;
pub mod replay;
#[doc(hidden)]
pub mod rig;
pub mod venue_files;
