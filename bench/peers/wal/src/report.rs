//! The tables and the goal, for people and as JSON.

use serde_json::{Map, Value, json};

use crate::contest::{Measured, Pick};
use crate::log::PAYLOAD_BYTES;
use crate::spread::Spread;
use crate::{BUFFERED, COLD_CORE, HOT_CORE, Results};

/// How many times as long as the journal raft-engine takes without sync, at least.
const GOAL: f64 = 50.0;
/// Where each contest has them.
const CONTROL: usize = 0;
const JOURNAL: usize = 1;

/// What a contest is printed with.
struct Table<'a> {
    sides: &'a [Measured],
    title: String,
    unit: &'static str,
    /// Nanoseconds of the unit.
    unit_ns: f64,
    /// What ratios are of, and its name.
    main: (&'static str, Pick),
    /// What is printed beside.
    other: (&'static str, Pick),
}

fn tables(results: &Results) -> [Table<'_>; 2] {
    [
        Table {
            sides: &results.buffered,
            title: format!(
                "append without sync, batches of {}: safe from a crash of the process",
                BUFFERED.records
            ),
            unit: "ns",
            unit_ns: 1.0,
            main: ("mean", |it| it.mean),
            other: ("median batch", |it| it.p50),
        },
        Table {
            sides: &results.durable,
            title: "append with sync, one by one: on the disk before the next begins".to_owned(),
            unit: "µs",
            unit_ns: 1000.0,
            main: ("p50", |it| it.p50),
            other: ("p99*", |it| it.p99),
        },
    ]
}

pub(crate) fn print(results: &Results) {
    println!("record   {PAYLOAD_BYTES} bytes of payload");
    println!("rounds   {}", results.buffered[CONTROL].rounds.len());
    println!("pinned   appends on core {HOT_CORE}, the logs' own threads on core {COLD_CORE}");
    println!("files    {}", results.directory.display());
    if results.in_memory {
        println!("         a file system in memory: figures with sync mean nothing");
    }
    if cfg!(debug_assertions) {
        println!("build    debug: figures mean nothing");
    }
    tables(results).iter().for_each(print_table);
    println!("* printed, not claimed: a shared machine cannot defend it\n");
    println!("{}", verdict(goal_ratio(results)));
}

fn print_table(table: &Table) {
    let Table { sides, title, unit, unit_ns, main, other } = table;
    println!("\n{title}");
    let (main_title, other_title) = (format!("{}, {unit}", main.0), format!("{}, {unit}", other.0));
    println!("{:<12}{main_title:>24}{:>22}{:>22}{other_title:>26}", "", "÷ tollgate", "÷ control");
    for (at, side) in sides.iter().enumerate() {
        let scaled = |pick: Pick| side.spread(pick).divided_by(*unit_ns).shown();
        let ratio = |other: usize| {
            if at == other { String::new() } else { side.ratio(&sides[other], main.1).shown() }
        };
        let [tollgate, control] = [ratio(JOURNAL), ratio(CONTROL)];
        println!("{:<12}{:>24}{tollgate:>22}{control:>22}{:>26}", side.name, scaled(main.1), scaled(other.1));
    }
    for side in *sides {
        println!("  {:<13}{}", side.name, side.does);
    }
}

pub(crate) fn document(results: &Results) -> Value {
    let [buffered, durable] = tables(results).map(|table| contest_json(&table));
    let ratio = goal_ratio(results);
    json!({
        "payload_bytes": PAYLOAD_BYTES,
        "rounds": results.buffered[CONTROL].rounds.len(),
        "in_memory": results.in_memory,
        "without_sync": buffered,
        "with_sync": durable,
        "raft_engine_over_tollgate": { "ratio": ratio.json(), "at_least": GOAL, "met": is_met(ratio) },
    })
}

fn contest_json(table: &Table) -> Value {
    let side = |side: &Measured| {
        let rounds: Vec<_> = side.rounds.iter().map(|it| json!([it.mean, it.p50, it.p99])).collect();
        let figures = json!({
            "does": side.does,
            "mean_ns": side.spread(|it| it.mean).json(),
            "p50_ns": side.spread(|it| it.p50).json(),
            "p99_ns": side.spread(|it| it.p99).json(),
            "over_tollgate": side.ratio(&table.sides[JOURNAL], table.main.1).json(),
            "over_control": side.ratio(&table.sides[CONTROL], table.main.1).json(),
            "rounds_mean_p50_p99_ns": rounds,
        });
        (side.name.to_owned(), figures)
    };
    Value::Object(table.sides.iter().map(side).collect::<Map<_, _>>())
}

pub(crate) fn is_goal_met(results: &Results) -> bool {
    is_met(goal_ratio(results))
}

/// raft-engine is the last of those without sync.
fn goal_ratio(results: &Results) -> Spread {
    let sides = &results.buffered;
    sides[sides.len() - 1].ratio(&sides[JOURNAL], |it| it.mean)
}

fn is_met(ratio: Spread) -> bool {
    ratio.median >= GOAL
}

fn verdict(ratio: Spread) -> String {
    let met = if is_met(ratio) { "met" } else { "NOT met" };
    format!(
        "goal {met}: without sync raft-engine takes {} × tollgate, {GOAL} at least are wanted",
        ratio.shown()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_goal_is_met_by_the_median() {
        let told = |median| verdict(Spread { low: 40.0, median, high: 60.0 });
        assert!(
            told(50.0).starts_with("goal met: without sync raft-engine takes 50.00 (40.00–60.00) × tollgate")
        );
        assert!(told(49.9).starts_with("goal NOT met"));
    }
}
