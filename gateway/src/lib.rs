//! The Tollgate gateway process: signed commands in, checked, journaled, executed, reported back.

pub mod client;
pub mod cold;
pub mod command;
pub mod hot;
pub mod link;
pub mod metrics;
pub mod record;
