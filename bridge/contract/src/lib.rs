//! What the gateway and its venues say to each other: one contract ([`venue`]), and the lanes that carry it ([`lane`]).

pub mod lane;
pub mod venue;
