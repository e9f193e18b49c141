//! The simulator of the Tollgate gateway: the real hot path, its recovery and its replay, clients with real frames, venues,
//! a disk, a network and clocks that lie, on one thread, from one number. `README.md` beside this crate says how to read a
//! trace, add a move, and add a venue.

mod act;
mod check;
pub mod client;
mod commands;
pub mod coverage;
mod door;
pub mod fault;
pub mod gateway;
pub mod journal;
pub mod moves;
pub mod mutation;
pub mod random;
pub mod run;
mod settle;
pub mod setup;
pub mod sim;
pub mod socket;
pub mod venue;
pub mod world;
