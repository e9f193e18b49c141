//! The stages of a command, and who is told when they end.

/// A stage of the way of a command, in their order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// The frame's tag and sequence.
    Authenticate,
    /// From bytes to a command.
    Decode,
    /// Whether it was seen before.
    Dedupe,
    /// Precision and risk.
    Check,
    /// The record.
    Journal,
    /// Requests put on their way.
    Route,
    /// The answer, laid out.
    Reply,
}

impl Stage {
    /// All of them, in their order.
    pub const ALL: [Self; 7] = [
        Self::Authenticate,
        Self::Decode,
        Self::Dedupe,
        Self::Check,
        Self::Journal,
        Self::Route,
        Self::Reply,
    ];

    /// Its name in metrics and figures.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Authenticate => "authenticate",
            Self::Decode => "decode",
            Self::Dedupe => "dedupe",
            Self::Check => "check",
            Self::Journal => "journal",
            Self::Route => "route",
            Self::Reply => "reply",
        }
    }
}

/// Notes when stages end. The common one does nothing and costs nothing.
pub trait Probe {
    /// A stage has ended.
    fn ended(&mut self, stage: Stage);
}

/// Measures nothing.
pub struct Unwatched;

impl Probe for Unwatched {
    #[inline(always)]
    fn ended(&mut self, _stage: Stage) {}
}
