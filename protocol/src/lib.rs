//! Vocabulary and wire format of the Tollgate gateway.
//!
//! What a client may say ([`command`]), what it hears back ([`event`], [`answer`]), the refusals and their
//! stable numbers ([`reject`]), exact prices and quantities ([`decimal`], [`instrument`], [`money`]), and how all
//! of it travels ([`frame`], [`logon`], [`mac`], [`client`]). `WIRE.md` beside this crate is the specification.
//!
//! Everything here is pure: no I/O, no clock, no threads, no randomness of its own. Every type that travels on
//! the hot path is `Copy` and holds its text inline, so that decoding never allocates.

pub mod answer;
pub mod client;
pub mod command;
pub mod decimal;
pub mod event;
pub mod frame;
pub mod identity;
pub mod instrument;
pub mod logon;
pub mod mac;
pub mod money;
pub mod reject;
pub mod text;
pub mod wire;

pub use command::{Action, Command};
pub use decimal::Decimal;
pub use event::{Event, EventBody};
pub use identity::{CommandId, OrderId};
pub use instrument::{Instrument, InstrumentIndex};
pub use money::Money;
pub use reject::{Code, Owner, Reject};
pub use text::{AccountName, Symbol, Text};
