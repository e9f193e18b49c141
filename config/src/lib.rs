//! What the gateway reads at start: one TOML file of settings and one of keys.
//!
//! Everything is checked before anything is opened, and every mistake is told at once, with the path of its key,
//! the value, and what would be right. Values may take environment variables (`${NAME}`, `${NAME:-default}`, `$$`
//! for a dollar) and the content of files (`file:PATH`). `example.toml` beside this crate ([`EXAMPLE`]) is the
//! reference of every key.
//!
//! This crate opens no sockets, starts no threads and asks no clock.

pub mod account;
pub mod client;
pub mod error;
pub mod files;
pub mod hours;
pub mod instrument;
pub mod key_settings;
pub mod keys;
pub mod limits;
pub mod listing;
pub mod risk;
pub mod settings;
pub mod venue;

mod expand;
mod gateway;
mod reader;
mod secrecy;
mod value;

pub use account::{AccountSettings, PositionMode, SelfTradeMode};
pub use client::{ClientSettings, PrecisionMode};
pub use error::{ConfigError, ConfigErrors};
pub use files::{Disk, Files, NoFiles};
pub use gateway::{
    CapacitySettings, DedupeSettings, GatewaySettings, HotSettings, Idle, JournalSettings, SessionSettings,
    SideSettings,
};
pub use hours::TradingHours;
pub use instrument::InstrumentSettings;
pub use key_settings::KeySettings;
pub use keys::Scopes;
pub use limits::OwnerLimits;
pub use listing::{Exchange, ListedSymbol};
pub use risk::RiskSettings;
pub use settings::{DEMO, EXAMPLE, Settings};
pub use venue::{FeedSettings, PaperFaults, PaperSettings, VenueKind, VenueSettings};
