//! Venues of the Tollgate gateway, one folder each; what they hear and say is in [`tollgate_contract`].
//!
//! A venue runs on its own thread and owns its sockets. It hears requests and says reports, by lanes alone. It knows
//! nothing of clients, risk or the journal.

pub mod binance;
pub mod paper;
