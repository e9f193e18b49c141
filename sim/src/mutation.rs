//! Mistakes of the kind that a developer makes, to be planted: the simulator must find each.

/// A mistake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mutation {
    /// One in the core; planted there by its feature `mutations`.
    #[cfg(feature = "mutations")]
    Core(tollgate_core::mutation::Mutation),
    /// The adapter drops a report now and then.
    LoseReport,
    /// The door tells one event too few when a session resumes.
    SkipEvent,
}

impl Mutation {
    /// True when it is the one that is planted.
    pub fn is(self, planted: Option<Self>) -> bool {
        planted == Some(self)
    }
}
