//! The whole gateway, over real sockets, on the paper venue.
#![allow(clippy::unwrap_used, missing_docs)]

mod faults;
mod hostile;
mod kill;
mod limits;
mod storm;
mod support;
mod trader;

mod trading;
