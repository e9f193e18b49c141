//! A brake on log lines that outsiders can cause.

use std::time::{Duration, Instant};

/// The most lines in a second.
const LINES_MAX: u32 = 5;
const SECOND: Duration = Duration::from_secs(1);

/// Lets a few lines a second pass and counts the others.
pub(super) struct Quiet {
    second_began: Option<Instant>,
    lines: u32,
    suppressed: u64,
}

impl Quiet {
    /// Nothing logged yet.
    pub(super) fn new() -> Self {
        Self { second_began: None, lines: 0, suppressed: 0 }
    }

    /// How many lines were suppressed since the last one, when this one may be written; `None` when it may not.
    pub(super) fn line(&mut self, now: Instant) -> Option<u64> {
        if self.second_began.is_none_or(|began| now.saturating_duration_since(began) >= SECOND) {
            self.second_began = Some(now);
            self.lines = 0;
        }
        if self.lines >= LINES_MAX {
            self.suppressed += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_lines_a_second_pass_and_the_next_names_the_rest() {
        let mut quiet = Quiet::new();
        let begin = Instant::now();
        let passed = (0..100).filter(|_| quiet.line(begin).is_some()).count();
        assert_eq!(passed, LINES_MAX as usize);
        assert_eq!(quiet.line(begin + SECOND), Some(95));
        assert_eq!(quiet.line(begin + SECOND), Some(0));
    }
}
