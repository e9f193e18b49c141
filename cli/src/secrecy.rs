//! Secrets stay in memory: the process leaves no core dump, and nobody but root looks into it.

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// From here on there is no core dump, and no debugger of the same user.
pub(crate) fn keep() {
    // A system that knows neither writes no dump, or writes it as before; no command fails for that.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// What is in memory now, keys among it, is never written to a swap file. Called before the journal and the tables are
/// there, which are large and hold no secrets. Small machines and containers often do not allow it.
pub(crate) fn lock_memory() {
    if let Err(error) = mlockall(MlockAllFlags::CURRENT | MlockAllFlags::ONFAULT) {
        tracing::info!(
            "the memory of the keys cannot be locked ({error}), so a swap file could get to see them; allow it by \
             LimitMEMLOCK=infinity, or do without swap"
        );
    }
}
