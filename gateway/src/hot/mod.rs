//! The hot thread.
