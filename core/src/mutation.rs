//! Mistakes of the kind that a developer makes, for the test that shows that the simulator finds each. Without the feature
//! `mutations`, which nothing that ships turns on, none of this is compiled, and every question after one is a `false` that
//! the compiler knows.

#[cfg(feature = "mutations")]
use std::sync::atomic::{AtomicU8, Ordering};

/// A mistake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Mutation {
    /// A command that was seen is judged again.
    SkipDedupe = 1,
    /// A fill that was told before is taken again.
    FillTwice,
    /// Orders leave before their record is on the disk.
    SendBeforeJournal,
    /// Clients are told before the record is on the disk.
    TellBeforeJournal,
    /// What a stop left in flight is not asked for when its venue is back.
    ForgetInFlight,
    /// An order whose fate is unknown is sent again.
    SendUnknownAgain,
    /// A venue that may be behind is believed when it does not find an order.
    BelieveUnsure,
    /// A fill that comes after its order's end is dropped.
    DropLateFill,
    /// A rejection is journaled and told, and not remembered.
    ForgetRejection,
    /// A resumed session misses its first event.
    SkipFirstEvent,
    /// A change that the venue refused stays pending.
    KeepPending,
    /// A halt stops cancels.
    HaltStopsCancels,
}

#[cfg(feature = "mutations")]
static PLANTED: AtomicU8 = AtomicU8::new(0);

/// Plants a mistake in this process, or takes it out again.
#[cfg(feature = "mutations")]
pub fn plant(mutation: Option<Mutation>) {
    PLANTED.store(mutation.map_or(0, |mutation| mutation as u8), Ordering::Relaxed);
}

/// True when it is planted.
#[cfg(feature = "mutations")]
pub(crate) fn is(mutation: Mutation) -> bool {
    PLANTED.load(Ordering::Relaxed) == mutation as u8
}

/// Never.
#[cfg(not(feature = "mutations"))]
#[inline(always)]
#[allow(clippy::inline_always)]
pub(crate) const fn is(_mutation: Mutation) -> bool {
    false
}
