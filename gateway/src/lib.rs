//! The Tollgate gateway process.
