//! What is Binance's own: the form of its exchange information.

pub mod exchange_info;
