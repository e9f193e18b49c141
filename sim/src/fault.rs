//! What a run can be found guilty of.

use std::fmt;

/// A fault: which promise was broken, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// The promise; a run is cut down to what breaks the same one.
    pub kind: Kind,
    /// How.
    pub words: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.words)
    }
}

/// The promises.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// The gateway does not panic.
    Panic,
    /// At most one venue order for one command.
    OrderTwice,
    /// One command has one outcome.
    OutcomeTwice,
    /// Nothing leaves before its record has the configured class.
    LeftEarly,
    /// What a client was told stands in the journal at its class, and stays there.
    ToldLost,
    /// Events come without gaps, and once a session.
    EventsBroken,
    /// What is final stays so, but for late fills.
    FinalChanged,
    /// Orders end, or stand as their venue has them.
    OrderUnsettled,
    /// Positions are the venue's.
    PositionDiffers,
    /// The same records give the same state.
    StateDiffers,
    /// The same records give the same decisions.
    DecisionDiffers,
    /// A journal that the gateway wrote opens.
    RecoveryFailed,
    /// Frames are valid, and answers are to what was asked.
    AnswerWrong,
    /// What only makes risk smaller passes every check of risk.
    CancelRefused,
}

impl Kind {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Panic => "panic",
            Self::OrderTwice => "order-twice",
            Self::OutcomeTwice => "outcome-twice",
            Self::LeftEarly => "left-early",
            Self::ToldLost => "told-lost",
            Self::EventsBroken => "events-broken",
            Self::FinalChanged => "final-changed",
            Self::OrderUnsettled => "order-unsettled",
            Self::PositionDiffers => "position-differs",
            Self::StateDiffers => "state-differs",
            Self::DecisionDiffers => "decision-differs",
            Self::RecoveryFailed => "recovery-failed",
            Self::AnswerWrong => "answer-wrong",
            Self::CancelRefused => "cancel-refused",
        }
    }
}
