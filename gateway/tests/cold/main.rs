//! The cold threads over real sockets: the door with a hot side that is played here, and the side port.
#![allow(clippy::unwrap_used)]

mod door;
mod keys;
mod resume;
mod secrecy;
mod side;
mod support;
