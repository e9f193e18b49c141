//! `journal replay`: every decision made again, and compared.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tollgate_journal::Reader;

use super::super::check::load;
use super::super::failure::{Exit, Failure};
use super::super::output::Output;
use tollgate_core::replay::{Difference, Replay, Tally};
use tollgate_gateway::gateway::empty_state;

/// Records between two signs of life.
const PROGRESS_RECORDS: u64 = 100_000;

/// Options of `journal replay`.
#[derive(Args, Debug)]
pub(crate) struct ReplayArguments {
    /// The settings that the journal was written under; they name its directory too.
    #[arg(long, env = "TOLLGATE_CONFIG", value_name = "FILE")]
    config: PathBuf,
}

impl ReplayArguments {
    pub(crate) fn run(&self, output: &Output) -> Result<(), Failure> {
        let settings = load(&self.config)?;
        let directory = &settings.journal.directory;
        let mut reader = Reader::open(directory)?;
        let mut replay = Replay::new(empty_state(&settings));
        let live = io::stderr().is_terminal();
        let mut records = 0;
        while let Some(record) = reader.next()? {
            replay.take(&record).map_err(Failure::operating)?;
            records += 1;
            if live && records % PROGRESS_RECORDS == 0 {
                // A progress line that cannot be written does no harm.
                let _ = write!(io::stderr(), "\r{records} records");
            }
        }
        if live && records >= PROGRESS_RECORDS {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
        let (tally, _) = replay.finish();
        report(records, &tally, output)?;
        if tally.different == 0 { Ok(()) } else { Err(Failure::silent(Exit::Operating)) }
    }
}

fn report(records: u64, tally: &Tally, output: &Output) -> Result<(), Failure> {
    if output.json {
        let differences: Vec<_> = tally.differences.iter().map(|it| json!(sentence(it))).collect();
        return output.document(&json!({
            "records": records,
            "decisions_same": tally.same,
            "decisions_different": tally.different,
            "decisions_of_surroundings": tally.by_surroundings,
            "digests_right": tally.digests,
            "differences": differences,
        }));
    }
    output.line(format_args!(
        "{records} records: {} decisions made again and the same, {} different, {} that rested on the moment's room \
         and were not made again, {} digests right",
        tally.same, tally.different, tally.by_surroundings, tally.digests
    ))?;
    for difference in &tally.differences {
        output.line(sentence(difference))?;
    }
    if tally.different > 0 {
        output.line("Were the settings other ones when the journal was written? Replay needs the same.")?;
    }
    Ok(())
}

fn sentence(difference: &Difference) -> String {
    let Difference { sequence, recorded, replayed } = difference;
    format!("record {sequence}: the journal says {recorded:?}, the replay {replayed:?}")
}
