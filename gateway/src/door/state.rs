//! How the door does, for readiness and metrics.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The tasks that the door cannot do without.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum Task {
    /// Takes connections.
    Accept = 0,
    /// Ends what has expired.
    Expiry = 1,
    /// Looks at the keys file.
    Keys = 2,
    /// Hears the hot thread.
    Listen = 3,
}

impl Task {
    /// Every task, in order.
    pub const ALL: [Self; 4] = [Self::Accept, Self::Expiry, Self::Keys, Self::Listen];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Expiry => "expiry",
            Self::Keys => "keys",
            Self::Listen => "listen",
        }
    }
}

/// How the door does. Written by its thread, read by the side port.
#[derive(Debug)]
pub struct DoorState {
    began: Instant,
    /// When the door's thread last showed that it turns, in milliseconds since `began`.
    seen_ms: AtomicU64,
    is_over: AtomicBool,
    restarts: [AtomicU64; Task::ALL.len()],
    /// Whoever starts without a keys file has no keys that could be revoked in it.
    had_keys_file: AtomicBool,
    keys: Mutex<Option<KeysProblem>>,
}

/// Why the keys in force may not be those in the file.
#[derive(Clone, Debug)]
struct KeysProblem {
    since: Instant,
    words: String,
}

impl Default for DoorState {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            seen_ms: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            restarts: Default::default(),
            had_keys_file: AtomicBool::new(false),
            keys: Mutex::new(None),
        }
    }
}

impl DoorState {
    /// The door's thread turns.
    pub(super) fn turned(&self) {
        self.seen_ms.store(self.began.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// How long ago the door's thread turned; it does so every second.
    pub fn silence(&self) -> Duration {
        self.began.elapsed().saturating_sub(Duration::from_millis(self.seen_ms.load(Ordering::Relaxed)))
    }

    /// The door's thread has ended.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    /// True when the door's thread has ended, in whatever way.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// A task had ended by a defect and begins again.
    pub(super) fn restarted(&self, task: Task) {
        self.restarts[task as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How often the task has begun again after a defect.
    pub fn restarts(&self, task: Task) -> u64 {
        self.restarts[task as usize].load(Ordering::Relaxed)
    }

    /// There is a keys file.
    pub(super) fn set_had_keys_file(&self) {
        self.had_keys_file.store(true, Ordering::Relaxed);
    }

    /// True when there has been a keys file.
    pub(super) fn had_keys_file(&self) -> bool {
        self.had_keys_file.load(Ordering::Relaxed)
    }

    /// The keys file cannot be read as it is; true when this was not known in these words. `None`: it can.
    pub(super) fn set_keys_problem(&self, words: Option<String>) -> bool {
        let mut present = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = present.as_ref().map(|it| &it.words) != words.as_ref();
        let since = present.as_ref().map_or_else(Instant::now, |it| it.since);
        *present = words.map(|words| KeysProblem { since, words });
        changes
    }

    /// Why the keys in force may not be those in the file, and for how long this has been so.
    pub fn keys_problem(&self) -> Option<(String, Duration)> {
        let present = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        present.as_ref().map(|it| (it.words.clone(), it.since.elapsed()))
    }
}

/// Says that the door's thread has ended, a panic included.
pub(super) struct EndGuard(pub(super) std::sync::Arc<DoorState>);

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.0.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_keeps_its_beginning_and_says_when_its_words_are_new() {
        let state = DoorState::default();
        assert!(state.set_keys_problem(Some("gone".to_owned())));
        let (words, first) = state.keys_problem().unwrap_or_default();
        assert_eq!(words, "gone");
        assert!(!state.set_keys_problem(Some("gone".to_owned())));
        assert!(state.set_keys_problem(Some("broken".to_owned())));
        assert!(state.keys_problem().is_some_and(|(words, age)| words == "broken" && age >= first));
        assert!(state.set_keys_problem(None) && state.keys_problem().is_none());
    }
}
