//! `journal verify`, `journal stats` and `journal repair`.

use std::io::{self, IsTerminal, Write};

use clap::Args;
use serde_json::json;
use tollgate_journal::{Damage, OpenError, Progress, RepairError, RepairOptions, RepairReport, Verification};

use super::super::failure::{Exit, Failure};
use super::super::output::{Output, Tone};
use super::super::table::Table;
use super::super::{document, moment};
use super::Source;
use tollgate_core::record::Record;

/// Options of `journal verify`.
#[derive(Args, Debug)]
pub(crate) struct VerifyArguments {
    #[command(flatten)]
    source: Source,
}

/// Options of `journal stats`.
#[derive(Args, Debug)]
pub(crate) struct StatsArguments {
    #[command(flatten)]
    source: Source,
}

/// Options of `journal repair`.
#[derive(Args, Debug)]
pub(crate) struct RepairArguments {
    #[command(flatten)]
    source: Source,
    /// Only say what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Accept that records are gone: what is there counts as the journal from now on, and the next start records it.
    /// First look for the journal elsewhere, and compare with the venues' own lists of orders and positions.
    #[arg(long)]
    accept_loss: bool,
}

/// Damage has an exit code of its own.
pub(crate) fn open_failure(error: &OpenError) -> Failure {
    let exit = if matches!(error, OpenError::Damaged(_)) { Exit::Damaged } else { Exit::Operating };
    Failure::new(exit, error)
}

impl VerifyArguments {
    pub(crate) fn run(&self, output: &Output) -> Result<(), Failure> {
        let directory = self.source.directory()?;
        let live = io::stderr().is_terminal();
        let head_file = self.source.head_file(&directory)?;
        let verification = tollgate_journal::verify_with_head(&directory, Some(&head_file), |progress| {
            if live {
                show_progress(&progress);
            }
        });
        if live {
            // A progress line that cannot be wiped does no harm.
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
        let verification = verification.map_err(|error| open_failure(&error))?;
        report_verification(&verification, output)?;
        if verification.is_intact() { Ok(()) } else { Err(Failure::silent(Exit::Damaged)) }
    }
}

fn show_progress(progress: &Progress) {
    let _ = write!(
        io::stderr(),
        "\r\x1b[Ksegment {} of {}, {} records",
        progress.segments_done,
        progress.segments_total,
        progress.records
    );
}

fn damage_document(damage: &Damage) -> serde_json::Value {
    json!({
        "segment": damage.segment,
        "offset": damage.offset,
        "file": damage.path,
        "reason": damage.reason.to_string(),
        "next_intact_offset": damage.next_valid,
    })
}

fn report_verification(verification: &Verification, output: &Output) -> Result<(), Failure> {
    if output.json {
        return output.document(&json!({
            "intact": verification.is_intact(),
            "segments": verification.segments,
            "records": verification.records,
            "first_sequence": verification.first_sequence,
            "last_sequence": verification.last_sequence,
            "damages": verification.damages.iter().map(damage_document).collect::<Vec<_>>(),
            "torn_tail": verification.torn_tail.map(|tail| json!({
                "segment": tail.segment, "offset": tail.offset, "bytes": tail.bytes, "reason": tail.fault.to_string(),
            })),
        }));
    }
    for damage in &verification.damages {
        output.line(format_args!("{}  {damage}", output.paint(Tone::Bad, "damaged")))?;
    }
    if let Some(tail) = verification.torn_tail {
        output.line(format_args!(
            "{}  {} bytes at the end of segment {} (offset {}) are no record: {}; the next start cuts them",
            output.paint(Tone::Warning, "torn tail"),
            tail.bytes,
            tail.segment,
            tail.offset,
            tail.fault
        ))?;
    }
    let range = match (verification.first_sequence, verification.last_sequence) {
        (Some(first), Some(last)) => format!(", sequences {first} to {last}"),
        _ => String::new(),
    };
    let counts = format!("{} records in {} segments{range}", verification.records, verification.segments);
    if verification.is_intact() {
        return output.line(format_args!("{}  {counts}", output.paint(Tone::Good, "intact")));
    }
    output.line(format_args!(
        "{} places are damaged; {counts} are intact.\nTo keep what stands before the first damage: `tollgate journal \
         repair --dry-run`, then without --dry-run.",
        verification.damages.len()
    ))
}

impl StatsArguments {
    pub(crate) fn run(&self, output: &Output) -> Result<(), Failure> {
        let statistics = tollgate_journal::statistics(self.source.directory()?)?;
        if output.json {
            let kind = |(kind, it): (&u16, &tollgate_journal::KindStatistics)| json!({"kind": Record::kind_name(*kind), "records": it.records, "payload_bytes": it.payload_bytes});
            let point = |point: tollgate_journal::RecordPoint| json!({"sequence": point.sequence, "time": document::time(point.time_ns)});
            return output.document(&json!({
                "segments": statistics.segments,
                "file_bytes": statistics.file_bytes,
                "records": statistics.records,
                "payload_bytes": statistics.payload_bytes,
                "first": statistics.first.map(point),
                "last": statistics.last.map(point),
                "kinds": statistics.kinds.iter().map(kind).collect::<Vec<_>>(),
            }));
        }
        output.line(format_args!(
            "{} records in {} segments, {} bytes of payload in {} bytes of files",
            statistics.records, statistics.segments, statistics.payload_bytes, statistics.file_bytes
        ))?;
        for (name, point) in [("first", statistics.first), ("last", statistics.last)] {
            if let Some(point) = point {
                output.line(format_args!(
                    "{name:<5}  {:>9}  {}",
                    point.sequence,
                    moment::short(point.time_ns)
                ))?;
            }
        }
        let mut table = Table::new(&["kind", ">records", ">payload bytes", ">mean bytes"]);
        for (kind, it) in &statistics.kinds {
            let mean = it.payload_bytes / it.records.max(1);
            let name = Record::kind_name(*kind).to_owned();
            table.row([name, it.records.to_string(), it.payload_bytes.to_string(), mean.to_string()]);
        }
        if table.is_empty() { Ok(()) } else { output.text(&table.render(output)) }
    }
}

impl RepairArguments {
    pub(crate) fn run(&self, output: &Output) -> Result<(), Failure> {
        let named = self.source.named_directory()?;
        let head_file = Some(self.source.head_file(&named)?);
        // A directory without a segment can be accepted, but not repaired.
        let is_missed = head_file.as_ref().is_some_and(|file| file.exists()) || named.join("HEAD").exists();
        let directory = if is_missed { named } else { self.source.directory()? };
        let options = RepairOptions { dry_run: self.dry_run, accept_loss: self.accept_loss, head_file };
        let report = tollgate_journal::repair(&directory, &options).map_err(|error| match &error {
            RepairError::Open(open) => open_failure(open),
            RepairError::StillDamaged(_) => Failure::new(Exit::Damaged, &error),
        })?;
        report_repair(&report, output)?;
        if report.needs_acceptance { Err(Failure::silent(Exit::Damaged)) } else { Ok(()) }
    }
}

fn report_repair(report: &RepairReport, output: &Output) -> Result<(), Failure> {
    if output.json {
        let aside = report.set_aside.iter().map(|(from, to)| json!({"from": from, "to": to}));
        return output.document(&json!({
            "dry_run": report.dry_run,
            "damage": report.damage.as_ref().map(damage_document),
            "kept_records": report.kept_records,
            "kept_last_sequence": report.kept_last_sequence,
            "dropped_records": report.dropped_records,
            "needs_acceptance": report.needs_acceptance,
            "set_aside": aside.collect::<Vec<_>>(),
        }));
    }
    let Some(damage) = &report.damage else {
        return output.line(format_args!("nothing to repair: {} records are intact", report.kept_records));
    };
    let (keeps, drops, sets) = if report.dry_run {
        ("would keep", "would drop", "would set aside")
    } else {
        ("kept", "dropped", "set aside")
    };
    output.line(damage)?;
    if damage.reason.is_loss() {
        let done = match (report.needs_acceptance, report.dry_run) {
            (true, _) => {
                "Nothing was changed. Put the right journal back; only if it is lost for good, accept it with --accept-loss."
            }
            (false, true) => "would accept this loss",
            (false, false) => "accepted; the next start records it",
        };
        return output.line(done);
    }
    output.line(format_args!(
        "{keeps}  {} records, up to sequence {}",
        report.kept_records, report.kept_last_sequence
    ))?;
    output.line(format_args!("{drops}  {} intact records after the damage", report.dropped_records))?;
    for (from, to) in &report.set_aside {
        output.line(format_args!("{sets}  {} as {}", from.display(), to.display()))?;
    }
    if report.dropped_records > 0 {
        output.line(
            "Dropped records may be of orders that reached a venue: compare with the venue's own list before trading.",
        )?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::flags;

    use super::*;

    #[test]
    fn dry_run_is_off_unless_it_is_given() {
        assert!(!flags::arguments::<RepairArguments>("journal").unwrap().dry_run);
        assert!(flags::arguments::<RepairArguments>("journal --dry-run").unwrap().dry_run);
    }
}
