//! Venues of the Tollgate gateway: one contract ([`venue`]), the lanes that carry it ([`lane`]), one folder a venue.
//!
//! A venue runs on its own thread and owns its sockets. It hears [`venue::VenueRequest`]s and says
//! [`venue::VenueReport`]s, by lanes alone. It knows nothing of clients, risk or the journal.

pub mod binance;
pub mod lane;
pub mod paper;
pub mod venue;
