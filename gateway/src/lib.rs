//! The Tollgate gateway's process: sockets, threads, the door, the side port, and the venues, put together.

pub mod door;
pub mod gateway;
pub mod hot_thread;
pub mod inherited;
pub mod link;
pub mod log_queue;
pub mod memory_need;
pub mod notify;
pub mod side;
pub mod venue_files;
pub mod venues;
