//! `journal list` and `journal follow`.

use std::time::Duration;

use clap::Args;

use super::super::failure::Failure;
use super::super::output::Output;
use super::super::signals::Stop;
use super::Source;
use super::entry::Entry;
use super::walk::{Filter, Walk};

/// How often a live journal is looked at.
const TURN: Duration = Duration::from_millis(50);

/// Options of `journal list`.
#[derive(Args, Debug)]
pub(crate) struct ListArguments {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    filter: Filter,
    /// Only the last so many of them.
    #[arg(long, value_name = "NUMBER")]
    last: Option<usize>,
}

/// Options of `journal follow`.
#[derive(Args, Debug)]
pub(crate) struct FollowArguments {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    filter: Filter,
    /// Stop after so many records.
    #[arg(long, value_name = "NUMBER")]
    count: Option<u64>,
}

fn print(entry: &Entry, walk: &Walk, output: &Output) -> Result<(), Failure> {
    if output.json {
        output.document(&entry.document(&walk.names))
    } else {
        output.line(entry.line(&walk.names))
    }
}

impl ListArguments {
    pub(crate) fn run(self, output: &Output) -> Result<(), Failure> {
        let mut walk = Walk::open(&self.source.directory()?, self.filter)?;
        let Some(last) = self.last else {
            while let Some(entry) = walk.next()? {
                print(&entry, &walk, output)?;
            }
            return Ok(());
        };
        let mut kept = std::collections::VecDeque::new();
        while let Some(entry) = walk.next()? {
            kept.push_back(entry);
            if kept.len() > last {
                kept.pop_front();
            }
        }
        kept.iter().try_for_each(|entry| print(entry, &walk, output))
    }
}

impl FollowArguments {
    pub(crate) fn run(self, output: &Output) -> Result<(), Failure> {
        let stop = Stop::install()?;
        let mut walk = Walk::open(&self.source.directory()?, self.filter)?;
        let mut left = self.count.unwrap_or(u64::MAX);
        while left > 0 && !stop.requested() {
            match walk.next()? {
                Some(entry) => {
                    print(&entry, &walk, output)?;
                    left -= 1;
                    if walk.ends_with(entry.sequence) {
                        return Ok(());
                    }
                }
                None => {
                    stop.wait_timeout(TURN);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::flags;

    use super::*;

    #[test]
    fn last_and_count_bound_what_is_shown() {
        let given: ListArguments = flags::arguments("journal --last 20").unwrap();
        assert_eq!(given.last, Some(20));
        let given: FollowArguments = flags::arguments("journal --count 3").unwrap();
        assert_eq!(given.count, Some(3));
        assert!(flags::arguments::<ListArguments>("journal --last -1").is_err());
    }
}
