//! What passes between the hot thread and the door, with the connections of this process.

use crate::hot_thread::ClientSocket;

pub use tollgate_core::link::{ACCOUNTS_MAX, Grant, INSTRUMENTS_MAX, SymbolSet, Watermark};

/// A session that has logged on: see [`tollgate_core::link::Handover`].
pub type Handover = tollgate_core::link::Handover<ClientSocket>;
/// What the door tells the hot thread.
pub type ToHot = tollgate_core::link::ToHot<ClientSocket>;
/// What the hot thread tells the door.
pub type FromHot = tollgate_core::link::FromHot<ClientSocket>;
