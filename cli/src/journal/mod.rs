//! `tollgate journal`: reading, checking and repairing journals, also while a gateway writes them.

mod entry;
mod export;
mod list;
mod maintain;
mod replay;
mod walk;

pub(crate) use maintain::open_failure;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use tollgate_journal::ReadError;

use super::check::load;
use super::failure::{Exit, Failure};
use super::output::Output;
use tollgate_gateway::gateway::journal_head_file;

/// What to do with a journal.
#[derive(Subcommand, Debug)]
pub(crate) enum JournalArguments {
    /// Print records, one a line.
    #[command(
        after_help = "Examples:\n  tollgate journal list /var/lib/tollgate/journal --kind intent --client trend\n  \
        tollgate journal list --config tollgate.toml --since 15m --json | jq 'select(.kind == \"refusal\")'"
    )]
    List(list::ListArguments),
    /// Print records, and go on with those that are written from now on, until Ctrl-C.
    Follow(list::FollowArguments),
    /// Check every header and record: checksums, continuity of sequences and segments. Exit code 4 when damaged.
    Verify(maintain::VerifyArguments),
    /// Write records as JSON Lines or CSV.
    #[command(
        after_help = "Example:\n  tollgate journal export --config tollgate.toml --format csv --output day.csv --since 24h"
    )]
    Export(export::ExportArguments),
    /// Count segments, bytes, records and kinds.
    Stats(maintain::StatsArguments),
    /// Keep the records before the first damage, and set the rest aside; or accept a loss. Nothing is deleted.
    ///
    /// Where records are gone without a trace (the directory is empty, or another journal's, or its last segments are
    /// missing), only --accept-loss makes the journal open again; the next start records it.
    ///
    /// Only for a journal that `verify` calls damaged: a torn tail left by a crash needs no repair. Refused while a
    /// gateway uses the journal. What is dropped may hold orders that reached a venue: compare with the venue's own
    /// list of orders before trading goes on.
    Repair(maintain::RepairArguments),
    /// Make every decision again from the journal alone, and compare.
    ///
    /// The same journal and settings give the same decisions, bit for bit. Also checks every digest of the state that
    /// the journal holds. Exit code 1 when a decision differs.
    Replay(replay::ReplayArguments),
}

impl JournalArguments {
    pub(crate) fn run(self, output: &Output) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(output),
            Self::Follow(follow) => follow.run(output),
            Self::Verify(verify) => verify.run(output),
            Self::Export(export) => export.run(output),
            Self::Stats(stats) => stats.run(output),
            Self::Repair(repair) => repair.run(output),
            Self::Replay(replay) => replay.run(output),
        }
    }
}

/// Which journal is meant.
#[derive(Args, Debug)]
pub(crate) struct Source {
    /// The journal's directory.
    #[arg(value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
    /// The gateway's settings, which name the directory.
    #[arg(long, env = "TOLLGATE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Source {
    /// The journal's head outside of its directory: as the settings say, or where a gateway puts it by itself.
    fn head_file(&self, directory: &Path) -> Result<PathBuf, Failure> {
        if let (None, Some(config)) = (&self.directory, &self.config) {
            return Ok(journal_head_file(&load(config)?));
        }
        let mut name = directory.file_name().unwrap_or_default().to_owned();
        name.push(".head");
        Ok(directory.with_file_name(name))
    }

    /// The directory, whether it exists or not.
    fn named_directory(&self) -> Result<PathBuf, Failure> {
        match (&self.directory, &self.config) {
            (Some(directory), _) => Ok(directory.clone()),
            (None, Some(config)) => Ok(load(config)?.journal.directory),
            (None, None) => Err(Failure::usage("no journal is named: give its DIRECTORY, or --config FILE")),
        }
    }

    /// The directory, which must hold a journal: a mistyped path must not look like an empty one.
    fn directory(&self) -> Result<PathBuf, Failure> {
        let directory = self.named_directory()?;
        let entries = std::fs::read_dir(&directory).map_err(|error| {
            Failure::operating(format_args!("cannot read {}: {error}", directory.display()))
        })?;
        let is_segment = |entry: std::fs::DirEntry| {
            entry.file_name().to_str().is_some_and(|name| tollgate_journal::segment_index(name).is_some())
        };
        if entries.filter_map(Result::ok).any(is_segment) {
            return Ok(directory);
        }
        Err(Failure::operating(format_args!(
            "{} holds no journal: name the directory with the segment files, usually DIR/journal",
            directory.display()
        )))
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        let exit = if matches!(error, ReadError::Damaged(_)) { Exit::Damaged } else { Exit::Operating };
        Self::new(exit, error)
    }
}
