//! The paper venue: matches orders against quotes, keeps its own ledger as a real venue would, and can be told to
//! misbehave.
//!
//! [`Engine`] decides, without any input or output; [`Ledger`] remembers; [`start`] runs both on a thread of
//! their own behind the lanes of [`tollgate_contract::venue`]. Stop loss, take profit and hedging tickets are refused.

mod book;
mod delivery;
mod engine;
mod entry;
pub mod feed;
mod handle;
mod id_map;
mod ledger;
mod matching;
mod memory;
mod order;
mod random;
mod rules;
mod settings;
mod state;
mod thread;

pub use engine::{Engine, Statistics};
pub use entry::LedgerEntry;
pub use handle::{PaperHandle, PaperStatistics};
pub use ledger::{Ledger, LedgerError, read_ledger};
pub use settings::{Faults, PaperSettings, SettingsError};
pub use state::Contradiction;
pub use thread::{LaneCapacities, StartError, Started, start};
