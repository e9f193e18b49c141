//! The Tollgate gateway process: signed commands in, checked, journaled, executed, reported back.

pub mod client;
pub mod cold;
pub mod command;
pub mod gateway;
pub mod hot;
pub mod inherited;
pub mod link;
pub mod metrics;
pub mod notify;
pub mod record;
pub mod recovery;
pub mod replay;
#[doc(hidden)]
pub mod rig;
