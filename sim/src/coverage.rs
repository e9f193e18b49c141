//! What was reached, counted.

use std::collections::BTreeMap;
use std::fmt;

use tollgate_core::record::Record;
use tollgate_protocol::answer::OrderStatus;
use tollgate_protocol::event::ReportKind;
use tollgate_protocol::reject::Code;

use crate::moves::Move;

/// Kinds of records there are.
const RECORD_KINDS: u16 = 9;

/// Counters of what runs have reached.
#[derive(Clone, Default, Debug)]
pub struct Coverage {
    counts: BTreeMap<(Table, String), u64>,
    /// Moves made.
    pub moves: u64,
    /// Turns of gateways.
    pub turns: u64,
    /// Records written.
    pub records: u64,
    /// Orders that reached a venue.
    pub orders: u64,
    /// Starts of a process.
    pub starts: u64,
    /// Virtual nanoseconds.
    pub virtual_ns: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Table {
    Move,
    Transition,
    Reject,
    SessionEnd,
    Report,
    Record,
    CrashPoint,
}

impl Table {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Move, "moves"),
        (Self::Transition, "transitions of orders"),
        (Self::Reject, "reject codes"),
        (Self::SessionEnd, "ends of sessions"),
        (Self::Report, "reports"),
        (Self::Record, "records"),
        (Self::CrashPoint, "crash points"),
    ];

    /// Everything that could be in it, where that is known.
    fn possible(self) -> Vec<String> {
        let crash_point = |kind, is_written| crash_point(kind, is_written);
        match self {
            Self::Move => Move::ALL.iter().map(|it| it.name().to_owned()).collect(),
            Self::Reject => codes(200..u16::MAX),
            Self::SessionEnd => codes(100..200),
            Self::Report => ReportKind::NAMES.iter().map(|name| (*name).to_owned()).collect(),
            Self::Record => (1..=RECORD_KINDS).map(|kind| Record::kind_name(kind).to_owned()).collect(),
            Self::CrashPoint => (1..=RECORD_KINDS)
                .flat_map(|kind| [crash_point(kind, false), crash_point(kind, true)])
                .collect(),
            Self::Transition => Vec::new(),
        }
    }
}

fn codes(range: std::ops::Range<u16>) -> Vec<String> {
    let all = Code::ALL.iter().filter(|code| range.contains(&code.number()));
    all.map(|code| code.name().to_owned()).collect()
}

fn crash_point(kind: u16, is_written: bool) -> String {
    format!("{} {}", if is_written { "after" } else { "before" }, Record::kind_name(kind))
}

impl Coverage {
    fn count(&mut self, table: Table, what: String) {
        *self.counts.entry((table, what)).or_insert(0) += 1;
    }

    /// A move was made.
    pub fn moved(&mut self, action: Move) {
        self.moves += 1;
        self.count(Table::Move, action.name().to_owned());
    }

    /// An order's status changed.
    pub fn transition(&mut self, from: Option<OrderStatus>, to: OrderStatus) {
        if from != Some(to) {
            let from = from.map_or("-", OrderStatus::name);
            self.count(Table::Transition, format!("{from} > {}", to.name()));
        }
    }

    /// A command was refused.
    pub fn refused(&mut self, code: Code) {
        self.count(Table::Reject, code.name().to_owned());
    }

    /// A session ended.
    pub fn ended(&mut self, code: Code) {
        self.count(Table::SessionEnd, code.name().to_owned());
    }

    /// A record was written.
    pub fn record(&mut self, record: &Record) {
        self.records += 1;
        self.count(Table::Record, Record::kind_name(record.kind()).to_owned());
        if let Record::Report(report) = record {
            self.count(Table::Report, report.report.kind.name().to_owned());
        }
    }

    /// A process ended at a record.
    pub fn crashed(&mut self, kind: u16, is_written: bool) {
        self.count(Table::CrashPoint, crash_point(kind, is_written));
    }

    /// Adds another's.
    pub fn merge(&mut self, other: &Self) {
        for (key, count) in &other.counts {
            *self.counts.entry(key.clone()).or_insert(0) += count;
        }
        self.moves += other.moves;
        self.turns += other.turns;
        self.records += other.records;
        self.orders += other.orders;
        self.starts += other.starts;
        self.virtual_ns += other.virtual_ns;
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (table, title) in Table::ALL {
            writeln!(f, "{title}")?;
            let mut never = table.possible();
            for ((_, what), count) in self.counts.iter().filter(|((of, _), _)| *of == table) {
                writeln!(f, "  {what:<40} {count:>12}")?;
                never.retain(|possible| possible != what);
            }
            if !never.is_empty() {
                writeln!(f, "  never: {}", never.join(", "))?;
            }
        }
        Ok(())
    }
}
