//! The table of figures, with goals and verdicts, for people and as JSON.

use serde_json::{Value, json};

use super::durable::{Latency, PAUSE, PENDING};
use super::{Measured, PAYLOAD_BYTES, RECORD_BYTES, Round};
use crate::report;
use crate::report::Part;
use crate::{cores, machine};

use crate::statistics::Spread;

/// What a figure should reach.
#[derive(Clone, Copy)]
enum Goal {
    /// Not above `goal`, and not above `first` in the first release.
    AtMost { first: f64, goal: f64 },
    /// Not below.
    AtLeast(f64),
}

/// One figure over the rounds.
struct Row {
    label: String,
    unit: &'static str,
    /// By round.
    values: Vec<f64>,
    spread: Spread,
    goal: Option<Goal>,
}

/// Figures that belong together: their name in JSON, what stands above them, and they themselves.
struct Section {
    name: &'static str,
    title: String,
    rows: Vec<Row>,
}

impl Row {
    fn new(label: &str, unit: &'static str, goal: Option<Goal>, values: Vec<f64>) -> Self {
        Self { label: label.to_owned(), unit, spread: Spread::of(values.iter().copied()), values, goal }
    }
}

impl Section {
    /// A row of it where other sections' rows stand beside it.
    fn called(&self, row: &Row) -> String {
        format!("{}: {}", self.name.replace('_', " "), row.label)
    }
}

impl Goal {
    fn is_met(self, median: f64) -> bool {
        match self {
            Self::AtMost { goal, .. } => median <= goal,
            Self::AtLeast(goal) => median >= goal,
        }
    }

    fn verdict(self, median: f64) -> String {
        match self {
            Self::AtMost { goal, .. } if median <= goal => format!("goal {goal} met"),
            Self::AtMost { first, goal } if median <= first => {
                format!("first release {first} met, goal {goal} not met")
            }
            Self::AtMost { first, .. } => format!("first release {first} NOT met"),
            Self::AtLeast(goal) if median >= goal => format!("goal {goal} met"),
            Self::AtLeast(goal) => format!("goal {goal} NOT met"),
        }
    }

    /// For the page.
    fn verdict_of(self, name: &str, row: &Row) -> report::Verdict {
        let median = row.spread.median;
        let state = match self {
            _ if self.is_met(median) => report::State::Met,
            Self::AtMost { first, .. } if median <= first => report::State::FirstRelease,
            _ => report::State::NotMet,
        };
        let text = format!("{name} {} {}; {}", shown(median), row.unit, self.verdict(median));
        report::Verdict { state, text }
    }

    fn json(self, median: f64) -> Value {
        match self {
            Self::AtMost { first, goal } => json!({
                "at_most": goal,
                "first_release": first,
                "met": self.is_met(median),
                "first_release_met": median <= first,
            }),
            Self::AtLeast(goal) => json!({ "at_least": goal, "met": self.is_met(median) }),
        }
    }
}

pub(super) fn print(measured: &Measured) {
    for (name, value) in machine::describe() {
        println!("{name:<11}{value}");
    }
    println!("{:<11}{}", "files", measured.file_system);
    println!(
        "pinned     appends on core {}, the journal's cold threads on core {}",
        cores::server(),
        cores::client()
    );
    println!("record     {RECORD_BYTES} bytes, {PAYLOAD_BYTES} of them payload");
    println!("rounds     {}", measured.rounds.len());
    println!("steal      {} ms in all", measured.steal * 10);
    for section in sections(measured) {
        println!("\n{}", section.title);
        for row in &section.rows {
            let it = row.spread;
            let figure = format!("{} ({}–{}) {}", shown(it.median), shown(it.low), shown(it.high), row.unit);
            let verdict = row.goal.map_or_else(String::new, |goal| goal.verdict(it.median));
            println!("  {:<38}{figure:>36}  {verdict}", row.label);
        }
    }
    let (record, copy) = faults(measured);
    println!("\npage faults in timed batches: {record} of the appends, {copy} of the copies");
    println!("* printed, not claimed: a shared machine cannot defend them");
}

pub(super) fn document(measured: &Measured) -> Value {
    let machine: serde_json::Map<_, _> =
        machine::describe().into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    let figures: serde_json::Map<_, _> = sections(measured)
        .into_iter()
        .map(|section| (section.name.to_owned(), section.rows.iter().map(row_json).collect()))
        .collect();
    let (record, copy) = faults(measured);
    json!({
        "machine": machine,
        "file_system": measured.file_system,
        "record_bytes": RECORD_BYTES,
        "payload_bytes": PAYLOAD_BYTES,
        "rounds": measured.rounds.len(),
        "recovered_records": measured.records,
        "steal_ms": measured.steal * 10,
        "page_faults": { "append": record, "copy": copy },
        "figures": figures,
    })
}

/// The same for the page.
pub(super) fn part(measured: &Measured) -> Part {
    let all = sections(measured);
    let rows = || all.iter().flat_map(|section| section.rows.iter().map(|row| (section.called(row), row)));
    let judged = |(name, row): (String, &Row)| row.goal.map(|goal| goal.verdict_of(&name, row));
    let ratios = rows().filter(|(_, row)| matches!(row.goal, Some(Goal::AtMost { .. })));
    let rates = rows().filter(|(_, row)| matches!(row.goal, Some(Goal::AtLeast(_))));
    let mut table =
        vec![["", "median", "lower quartile", "upper quartile", "unit"].map(str::to_owned).to_vec()];
    for (name, row) in rows() {
        let figures = [row.spread.median, row.spread.low, row.spread.high].map(shown);
        table.push(std::iter::once(name).chain(figures).chain([row.unit.to_owned()]).collect());
    }
    let section = report::Section {
        title: "The journal alone".to_owned(),
        explanation: format!(
            "Records of {PAYLOAD_BYTES} bytes, beside a copy of as many bytes, a direct write of 4 KiB and a reading of \
             the same bytes, on {}. * printed, not claimed: a shared machine cannot defend it.",
            measured.file_system
        ),
        verdicts: rows().filter_map(judged).collect(),
        plots: vec![
            report::Plot::Spreads {
                title: "Times the control, over the rounds".to_owned(),
                unit: "×".to_owned(),
                rows: ratios.map(|(name, row)| (name, Spread::five(row.values.iter().copied()))).collect(),
                marks: vec![("append".to_owned(), 1.5), ("durable".to_owned(), 1.2)],
            },
            report::Plot::Bars {
                title: "Records a second: group commit on the disk, and recovery".to_owned(),
                unit: "a second".to_owned(),
                bars: rates.map(|(name, row)| (name, row.spread.median)).collect(),
                mark: None,
            },
        ],
        table,
    };
    Part { section, distributions: Vec::new() }
}

fn row_json(row: &Row) -> Value {
    let mut figure = row.spread.json();
    figure["name"] = json!(row.label.trim_end_matches('*'));
    figure["unit"] = json!(row.unit);
    figure["rounds"] = json!(row.values);
    if let Some(goal) = row.goal {
        figure["goal"] = goal.json(row.spread.median);
    }
    figure
}

/// Page faults in timed batches: of appends, and of copies.
fn faults(measured: &Measured) -> (u64, u64) {
    let rounds = measured.rounds.iter().map(|round| &round.append);
    rounds.fold((0, 0), |sum, it| (sum.0 + it.record_faults, sum.1 + it.copy_faults))
}

/// A figure with as many decimals as it can bear.
fn shown(value: f64) -> String {
    match value {
        value if value >= 1000.0 => format!("{value:.0}"),
        value if value >= 100.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

fn sections(measured: &Measured) -> Vec<Section> {
    vec![append(measured), durable(measured), group(measured), recovery(measured)]
}

fn row(
    measured: &Measured,
    label: &str,
    unit: &'static str,
    goal: Option<Goal>,
    figure: impl Fn(&Round) -> f64,
) -> Row {
    Row::new(label, unit, goal, measured.rounds.iter().map(figure).collect())
}

fn append(measured: &Measured) -> Section {
    let goal = Some(Goal::AtMost { first: 2.0, goal: 1.5 });
    Section {
        name: "append",
        title: "append, class process: page cache, pages touched before; mean of batches, rolls of segments included"
            .to_owned(),
        rows: vec![
            row(measured, "record", "ns", None, |it| it.append.record_ns),
            row(measured, "copy of as many bytes", "ns", None, |it| it.append.copy_ns),
            row(measured, "record ÷ copy", "×", goal, |it| it.append.record_ns / it.append.copy_ns),
            row(measured, "record ÷ copy, median batches", "×", None, |it| {
                it.append.record_median_ns / it.append.copy_median_ns
            }),
            row(measured, "append with a roll, by itself", "ns", None, |it| it.append.roll_ns),
            row(measured, "longest append of a round*", "ns", None, |it| it.append.longest_ns),
            worst(measured),
        ],
    }
}

/// The longest append of the whole run.
fn worst(measured: &Measured) -> Row {
    let longest_ns = measured.rounds.iter().map(|it| it.append.longest_ns).fold(0.0, f64::max);
    Row::new("longest append of all*", "ns", None, vec![longest_ns])
}

fn durable(measured: &Measured) -> Section {
    type Pick = fn(&Round) -> (Latency, Latency);
    let paused = format!("after {} µs of pause", PAUSE.as_micros());
    let kinds: [(&str, Pick); 2] = [
        ("back to back", |it| (it.durable.busy, it.durable.busy_direct)),
        (&paused, |it| (it.durable.paused, it.durable.paused_direct)),
    ];
    let goal = Some(Goal::AtMost { first: 1.3, goal: 1.2 });
    let mut rows = Vec::new();
    for (kind, pick) in kinds {
        let label = |what: &str| format!("{what}, {kind}");
        rows.extend([
            row(measured, &label("record p50"), "µs", None, |it| pick(it).0.p50_us),
            row(measured, &label("direct p50"), "µs", None, |it| pick(it).1.p50_us),
            row(measured, &label("ratio p50"), "×", goal, |it| pick(it).0.p50_us / pick(it).1.p50_us),
            row(measured, &label("ratio p99*"), "×", None, |it| pick(it).0.p99_us / pick(it).1.p99_us),
        ]);
    }
    rows.push(row(measured, "bytes written for one record", "B", None, |it| it.durable.written_bytes));
    rows.push(row(measured, "waited for a core, group commits too", "ms", None, |it| it.durable.waited_ms));
    let title = "durable append, class disk: until the watermark covers it, spinning; direct is an O_DIRECT|O_DSYNC write of 4 KiB";
    Section { name: "durable", title: title.to_owned(), rows }
}

fn group(measured: &Measured) -> Section {
    let line = |(at, pending): (usize, &u64)| {
        let goal = Some(Goal::AtLeast(100_000.0));
        row(measured, &format!("at most {pending} pending"), "records/s", goal, move |it| {
            it.durable.group[at]
        })
    };
    Section {
        name: "group_commit",
        title: "group commit, class disk: turns of half of what may be pending".to_owned(),
        rows: PENDING.iter().enumerate().map(line).collect(),
    }
}

fn recovery(measured: &Measured) -> Section {
    let records = measured.records as f64;
    let bytes = measured.recovered_bytes as f64;
    let goal = Some(Goal::AtLeast(5e6));
    Section {
        name: "recovery",
        title: format!("recovery of {} records, page cache warm", measured.records),
        rows: vec![
            row(measured, "open with a visitor", "records/s", goal, |it| records / it.recovery.open_s),
            row(measured, "scan by a reader", "records/s", None, |it| records / it.recovery.scan_s),
            row(measured, "read and CRC-32C of the same bytes", "MB/s", None, |it| {
                bytes / it.recovery.checksum_s / 1e6
            }),
            row(measured, "open ÷ read and CRC-32C", "×", None, |it| {
                it.recovery.open_s / it.recovery.checksum_s
            }),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_names_the_bound_that_decided() {
        let ratio = Goal::AtMost { first: 2.0, goal: 1.5 };
        assert_eq!(ratio.verdict(1.5), "goal 1.5 met");
        assert_eq!(ratio.verdict(1.51), "first release 2 met, goal 1.5 not met");
        assert_eq!(ratio.verdict(2.01), "first release 2 NOT met");
        let rate = Goal::AtLeast(100_000.0);
        assert_eq!(rate.verdict(100_000.0), "goal 100000 met");
        assert_eq!(rate.verdict(99_999.0), "goal 100000 NOT met");
        assert_eq!(rate.json(99_999.0)["met"], false);
        assert_eq!(ratio.json(1.7)["first_release_met"], true);
    }

    #[test]
    fn ratios_are_paired_within_a_round() {
        let round = |record_ns, copy_ns| Round {
            append: super::super::append::Figures { record_ns, copy_ns, ..Default::default() },
            ..Round::default()
        };
        // The machine halves its speed from one round to the next: the ratio stays.
        let rounds = vec![round(30.0, 20.0), round(60.0, 40.0), round(120.0, 80.0)];
        let (file_system, steal) = (String::new(), 0);
        let measured = Measured { rounds, records: 1, recovered_bytes: 1, file_system, steal };
        let section = append(&measured);
        let ratio = section.rows.iter().find(|row| row.label == "record ÷ copy").map(|row| row.spread);
        let tenths = ratio.map(|it| [it.low, it.median, it.high].map(|it| (it * 10.0) as u64));
        assert_eq!(tenths, Some([15, 15, 15]));
    }
}
