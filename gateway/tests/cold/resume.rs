//! Events of the past.
