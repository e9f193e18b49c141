//! Going through a journal's records, with a filter.

use std::path::Path;

use clap::Args;
use tollgate_journal::Reader;

use super::super::failure::Failure;
use super::super::moment;
use super::entry::{Entry, Names};
use tollgate_core::record::Record;

/// Which records are wanted.
#[derive(Args, Debug)]
pub(crate) struct Filter {
    /// Only records of this kind; repeat it for more.
    #[arg(long = "kind", value_name = "KIND", value_delimiter = ',',
          value_parser = ["name", "start", "price", "intent", "refusal", "child", "report", "venue", "digest", "loss"])]
    kinds: Vec<String>,
    /// Only records of this client, by its name.
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// Only from this record on.
    #[arg(long, value_name = "SEQUENCE")]
    from: Option<u64>,
    /// Only up to this record.
    #[arg(long, value_name = "SEQUENCE")]
    to: Option<u64>,
    /// Only since this time, or since so long ago (`15m`).
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    since: Option<u64>,
    /// Only before this time.
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    until: Option<u64>,
}

impl Filter {
    fn matches(&self, entry: &Entry, names: &Names) -> bool {
        let kind = Record::kind_name(entry.kind);
        let of_client =
            |wanted: &String| entry.client().is_some_and(|client| names.client(client) == *wanted);
        self.from.is_none_or(|from| entry.sequence >= from)
            && self.since.is_none_or(|since| entry.time_ns >= since)
            && self.until.is_none_or(|until| entry.time_ns < until)
            && (self.kinds.is_empty() || self.kinds.iter().any(|wanted| wanted == kind))
            && self.client.as_ref().is_none_or(of_client)
    }
}

/// A journal's records in order, as far as the filter wants them.
pub(crate) struct Walk {
    reader: Reader,
    filter: Filter,
    pub(crate) names: Names,
}

impl Walk {
    /// Reading begins with the first record whatever is wanted, since it says what the names are.
    pub(crate) fn open(directory: &Path, filter: Filter) -> Result<Self, Failure> {
        Ok(Self { reader: Reader::open(directory)?, filter, names: Names::default() })
    }

    /// True when nothing after `sequence` is wanted.
    pub(crate) fn ends_with(&self, sequence: u64) -> bool {
        self.filter.to.is_some_and(|to| sequence >= to)
    }

    /// The next record that is wanted; `None` when there is none for now.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, Failure> {
        while let Some(record) = self.reader.next()? {
            if self.filter.to.is_some_and(|to| record.sequence > to) {
                return Ok(None);
            }
            let entry = Entry {
                sequence: record.sequence,
                time_ns: record.time_ns,
                kind: record.kind,
                record: Record::decode(record.sequence, record.kind, record.payload),
            };
            self.names.learn(&entry);
            if self.filter.matches(&entry, &self.names) {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }
}
