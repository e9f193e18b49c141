//! The cold threads: the door, where connections log on, and the side port. They talk to the hot thread by lanes
//! and read its counters; nothing here can slow it.

pub mod door;
pub mod side;
