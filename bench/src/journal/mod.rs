//! The journal beside what the machine itself can do with the same bytes, round by round.

mod append;
mod durable;
mod live;
mod recovery;
mod report;

use std::error::Error;
use std::path::{Path, PathBuf};

use clap::Args;
use tollgate_journal::RECORD_HEADER_BYTES;

use crate::report::Part;
use crate::{cores, machine};

use crate::turns::random_order;
use append::Append;
use durable::Durable;
use recovery::Recovery;

/// Bytes of payload of every record.
const PAYLOAD_BYTES: usize = 128;
/// Bytes that such a record occupies.
const RECORD_BYTES: usize = RECORD_HEADER_BYTES + PAYLOAD_BYTES;
/// Enough for recovery to be more than the opening of files.
const RECORDS_MINIMUM: u64 = 10_000;
/// As many as a start should take a second for, at most.
const RECORDS_DEFAULT: u64 = 1_000_000;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// Rounds that count; one more is run first and thrown away.
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// Where to write, on the disk to be measured; a directory made there is removed at the end. Without it, the
    /// current directory.
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Records of the journal that is recovered, 10000 at least; 160 bytes each.
    #[arg(long, default_value_t = RECORDS_DEFAULT)]
    records: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What one round has shown.
#[derive(Default)]
struct Round {
    append: append::Figures,
    durable: durable::Figures,
    recovery: recovery::Figures,
}

/// The rounds that count, and what they ran on.
struct Measured {
    rounds: Vec<Round>,
    records: u64,
    recovered_bytes: u64,
    file_system: String,
    steal: u64,
}

pub(crate) fn run(options: &Options) -> Result<bool, String> {
    if options.rounds == 0 {
        return Err("--rounds is 0, give one at least".to_owned());
    }
    if options.records < RECORDS_MINIMUM {
        return Err(format!("--records is {}, give {RECORDS_MINIMUM} at least", options.records));
    }
    let measured = measure(options).map_err(|error| error.to_string())?;
    if options.json {
        println!("{}", report::document(&measured));
    } else {
        report::print(&measured);
    }
    Ok(true)
}

/// The same measurement for the page, on the disk of `directory`.
pub(crate) fn part(rounds: usize, directory: &Path) -> Result<Part, String> {
    let options =
        Options { rounds, directory: Some(directory.to_owned()), records: RECORDS_DEFAULT, json: false };
    measure(&options).map(|measured| report::part(&measured)).map_err(|error| error.to_string())
}

fn measure(options: &Options) -> Outcome<Measured> {
    let base = options.directory.clone().unwrap_or_else(|| PathBuf::from("."));
    let base = base.canonicalize().map_err(|error| format!("--directory {}: {error}", base.display()))?;
    let directory = tempfile::Builder::new()
        .prefix("tollgate-bench-")
        .tempdir_in(&base)
        .map_err(|error| format!("cannot write to {}: {error}", base.display()))?;
    cores::take_client()?;
    cores::pin(cores::server())?;
    let steal = machine::steal();
    let (rounds, recovered_bytes) = rounds(options, directory.path())?;
    Ok(Measured {
        rounds,
        records: options.records,
        recovered_bytes,
        file_system: machine::file_system(&base),
        steal: machine::steal() - steal,
    })
}

fn rounds(options: &Options, directory: &Path) -> Outcome<(Vec<Round>, u64)> {
    let mut recovery = Recovery::new(directory, options.records)?;
    let mut append = Append::new(directory)?;
    let mut durable = Durable::new(directory)?;
    let mut rounds = Vec::with_capacity(options.rounds);
    for number in 0..=options.rounds {
        let mut round = Round::default();
        for which in random_order(3)? {
            match which {
                0 => round.append = append.round()?,
                1 => round.durable = durable.round()?,
                _ => round.recovery = recovery.round()?,
            }
        }
        if number > 0 {
            rounds.push(round);
        }
        eprint!("\rround {number} of {}", options.rounds);
    }
    eprintln!();
    append.stop()?;
    durable.stop()?;
    Ok((rounds, recovery.bytes()))
}

/// Which of two goes first.
fn coin() -> Outcome<bool> {
    Ok(random_order(2)?[0] == 0)
}
