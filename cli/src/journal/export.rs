//! `journal export`: records for other programs.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::super::failure::Failure;
use super::super::output::Output;
use super::Source;
use super::entry::{Entry, Names};
use super::walk::{Filter, Walk};

/// The columns of a CSV file: members of a record's JSON, wherever in it they stand.
const COLUMNS: [&str; 25] = [
    "sequence",
    "time",
    "time_ns",
    "kind",
    "client",
    "origin",
    "event_sequence",
    "action",
    "command_id",
    "order_id",
    "account",
    "symbol",
    "side",
    "order_type",
    "time_in_force",
    "quantity",
    "price",
    "stop_price",
    "report",
    "filled_quantity",
    "open_quantity",
    "trade_id",
    "fee",
    "code",
    "reason",
];
/// Where a column is looked for after the record itself.
const PARTS: [&str; 3] = ["effect", "command", "reject"];

/// What is written.
#[derive(Clone, Copy, ValueEnum, Debug)]
enum Format {
    /// A JSON document a line, with everything a record says.
    Jsonl,
    /// A table of the fields that most questions are about, and each record in words.
    Csv,
}

/// Options of `journal export`.
#[derive(Args, Debug)]
pub(crate) struct ExportArguments {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    filter: Filter,
    /// What to write.
    #[arg(long, value_enum, default_value = "jsonl")]
    format: Format,
    /// Where to write; must not exist yet. Default: standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl ExportArguments {
    pub(crate) fn run(self, output: &Output) -> Result<(), Failure> {
        let mut walk = Walk::open(&self.source.directory()?, self.filter)?;
        let Some(path) = &self.output else {
            let mut writer = BufWriter::with_capacity(1 << 16, io::stdout().lock());
            write_all(&mut walk, self.format, &mut writer, &Failure::from)?;
            return Ok(writer.flush()?);
        };
        let failed =
            |error: io::Error| Failure::operating(format_args!("cannot write {}: {error}", path.display()));
        let records = write_file(&mut walk, self.format, path, &failed)?;
        if output.json {
            return output.document(&json!({"records": records, "file": path}));
        }
        output.line(format_args!("wrote {records} records to {}", path.display()))
    }
}

fn write_file(
    walk: &mut Walk,
    format: Format,
    path: &Path,
    failed: &dyn Fn(io::Error) -> Failure,
) -> Result<u64, Failure> {
    let file = OpenOptions::new().write(true).create_new(true).open(path).map_err(failed)?;
    let mut writer = BufWriter::with_capacity(1 << 16, file);
    let written = write_all(walk, format, &mut writer, failed)
        .and_then(|records| writer.flush().map_err(failed).map(|()| records));
    if written.is_err() {
        // Half a file must not be taken for a whole one.
        let _ = std::fs::remove_file(path);
    }
    written
}

fn write_all(
    walk: &mut Walk,
    format: Format,
    writer: &mut impl Write,
    failed: &dyn Fn(io::Error) -> Failure,
) -> Result<u64, Failure> {
    if matches!(format, Format::Csv) {
        writeln!(writer, "{},detail", COLUMNS.join(",")).map_err(failed)?;
    }
    let mut records = 0;
    while let Some(entry) = walk.next()? {
        let line = match format {
            Format::Jsonl => entry.document(&walk.names).to_string(),
            Format::Csv => csv_line(&entry, &walk.names),
        };
        writeln!(writer, "{line}").map_err(failed)?;
        records += 1;
    }
    Ok(records)
}

fn csv_line(entry: &Entry, names: &Names) -> String {
    let document = entry.document(names);
    let mut cells: Vec<String> = COLUMNS.iter().map(|column| cell(&document, column)).collect();
    cells.push(quoted(&entry.detail(names)));
    cells.join(",")
}

/// A column's value: in the record, or in the parts of it.
fn cell(document: &Value, column: &str) -> String {
    let parts = PARTS.iter().filter_map(|part| document.get(part).filter(|part| part.is_object()));
    let mut values = std::iter::once(document).chain(parts).filter_map(|part| part.get(column));
    match values.find(|value| !value.is_null() && value.as_str() != Some("")) {
        None => String::new(),
        Some(Value::String(text)) => quoted(text),
        Some(value) => value.to_string(),
    }
}

/// As RFC 4180 has it.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::flags;

    #[test]
    fn cells_are_found_in_the_parts_and_quoted() {
        let document = json!({
            "kind": "refusal", "price": null, "command": {"price": "1.5", "symbol": "A,B"}, "reject": {"code": "X"}
        });
        let cells = ["kind", "price", "symbol", "code", "fee"].map(|column| cell(&document, column));
        assert_eq!(cells, ["refusal", "1.5", "\"A,B\"", "X", ""]);
        assert_eq!(quoted("say \"no\""), "\"say \"\"no\"\"\"");
    }

    #[test]
    fn format_is_json_lines_unless_it_is_given() {
        let plain: ExportArguments = flags::arguments("journal").unwrap();
        assert!(matches!(plain.format, Format::Jsonl) && plain.output.is_none());
        let given: ExportArguments = flags::arguments("journal --format csv --output a.csv").unwrap();
        assert!(matches!(given.format, Format::Csv));
        assert_eq!(given.output.unwrap().to_str(), Some("a.csv"));
        assert!(flags::arguments::<ExportArguments>("journal --format xml").is_err());
    }
}
