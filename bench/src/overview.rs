//! Everything that can be measured in a few minutes, on one page, with the percentile files beside it.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::report::{hgrm, page};
use crate::{Class, Idle, Mac, journal, latency, machine, open_loop, soak, stages, throughput};

/// What to measure, and where to write it.
#[derive(Args)]
pub(crate) struct Options {
    /// The directory for report.html and the .hgrm files; made when it is not there.
    #[arg(long, value_name = "DIRECTORY", default_value = "tollgate-report")]
    out: PathBuf,
    /// Rounds of every measurement.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// How long the gateway is watched under a steady load, in minutes; 0 for not at all.
    #[arg(long, default_value_t = 2.0)]
    soak_minutes: f64,
    /// The journal's durability class.
    #[arg(long, value_enum, default_value = "process")]
    durability: Class,
    /// How the gateway waits.
    #[arg(long, value_enum, default_value = "spin")]
    idle: Idle,
}

pub(crate) fn run(options: &Options) -> Result<bool, String> {
    fs::create_dir_all(&options.out).map_err(|error| format!("{}: {error}", options.out.display()))?;
    let Options { rounds, durability, idle, .. } = *options;
    let mut parts = Vec::new();
    for mac in [Mac::HmacSha256, Mac::Blake3] {
        parts.push(latency::part(rounds, mac, durability, idle)?);
    }
    parts.push(open_loop::part(rounds, durability, idle)?);
    for mac in [Mac::HmacSha256, Mac::Blake3] {
        parts.push(throughput::part(rounds, mac, durability)?);
    }
    parts.push(stages::part(rounds * 40)?);
    parts.push(journal::part(rounds, &options.out)?);
    if options.soak_minutes > 0.0 {
        parts.push(soak::part(options.soak_minutes, Mac::HmacSha256, durability)?);
    }
    let mut facts: Vec<(String, String)> =
        machine::describe().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    facts.push(("journal".to_owned(), durability.argument().to_owned()));
    facts.push(("the gateway waits by".to_owned(), idle.argument().to_owned()));
    facts.push(("rounds".to_owned(), rounds.to_string()));
    let mut sections = Vec::new();
    for part in parts {
        for (name, histogram) in &part.distributions {
            write(&options.out.join(format!("{name}.hgrm")), &hgrm(histogram))?;
        }
        sections.push(part.section);
    }
    let path = options.out.join("report.html");
    write(&path, &page("Tollgate: what this machine makes of it", &facts, &sections))?;
    println!("{}", path.display());
    Ok(true)
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
