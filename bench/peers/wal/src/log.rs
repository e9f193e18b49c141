//! What a log has to do to be measured.

use std::error::Error;
use std::fs::{self, File};
use std::path::Path;
use std::time::Instant;

/// Bytes of payload of every record.
pub(crate) const PAYLOAD_BYTES: usize = 128;

pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// A log, or a control, that takes turns with others. Only [`batch`](Self::batch) is timed.
pub(crate) trait Log {
    /// Makes the log ready for a turn.
    fn prepare(&mut self) -> Outcome<()> {
        Ok(())
    }

    /// Appends so many records, each as safe as the log was opened for before the next begins; nanoseconds of all.
    fn batch(&mut self, records: usize) -> Outcome<u64>;

    /// Leaves nothing dirty that would be written, and nothing in memory that would grow, while others have a turn.
    fn rest(&mut self) -> Outcome<()> {
        Ok(())
    }

    /// Ends the log; an error when the last record does not read back as it was appended.
    fn finish(self: Box<Self>) -> Outcome<()>;
}

/// Payloads numbered ahead. A wide load that closely follows a narrow store to the same bytes waits for it: numbering a
/// payload right before it is appended would be timed with the append.
const AHEAD: usize = 64;

/// Payloads, each with its number in the first eight bytes.
pub(crate) struct Payloads {
    ring: [[u8; PAYLOAD_BYTES]; AHEAD],
    number: u64,
}

impl Payloads {
    pub(crate) fn new() -> Self {
        let mut payloads = Self { ring: [[7; PAYLOAD_BYTES]; AHEAD], number: 0 };
        (0..AHEAD as u64).for_each(|number| payloads.write(number));
        payloads
    }

    /// Number of the last one; the first is 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The last one again.
    pub(crate) fn last(&self) -> &[u8; PAYLOAD_BYTES] {
        &self.ring[place(self.number)]
    }

    #[inline]
    pub(crate) fn next(&mut self) -> &[u8; PAYLOAD_BYTES] {
        self.write(self.number + AHEAD as u64);
        self.number += 1;
        self.last()
    }

    #[inline]
    fn write(&mut self, number: u64) {
        self.ring[place(number)][..8].copy_from_slice(&number.to_le_bytes());
    }

    /// An error unless `found` is the last payload.
    pub(crate) fn compare(&self, name: &str, found: Option<&[u8]>) -> Outcome<()> {
        match found {
            Some(found) if found == self.last() => Ok(()),
            Some(_) => Err(format!("{name}: record {} is not what was appended", self.number).into()),
            None => Err(format!("{name}: record {} was appended and is not there", self.number).into()),
        }
    }
}

fn place(number: u64) -> usize {
    number as usize % AHEAD
}

/// Number of a payload.
pub(crate) fn number_of(payload: &[u8]) -> u64 {
    payload.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Appends so many times; nanoseconds of all, with one look at the clock before and one after.
#[inline]
pub(crate) fn timed(records: usize, mut append: impl FnMut() -> Outcome<()>) -> Outcome<u64> {
    let began = Instant::now();
    for _ in 0..records {
        append()?;
    }
    Ok(began.elapsed().as_nanos() as u64)
}

/// Writes to the disk what the page cache holds of the files in a directory.
pub(crate) fn sync_files(directory: &Path) -> Outcome<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            File::open(entry.path())?.sync_data()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn payloads_are_numbered_and_compared() {
        let mut payloads = Payloads::new();
        let first = *payloads.next();
        for number in 2..=200 {
            assert_eq!(number_of(payloads.next()), number);
        }
        assert_eq!((number_of(&first), number_of(&[1, 2]), payloads.number()), (1, 0, 200));
        assert!(payloads.compare("log", Some(payloads.last())).is_ok());
        let told = |found| payloads.compare("log", found).unwrap_err().to_string();
        assert_eq!(told(Some(&first)), "log: record 200 is not what was appended");
        assert_eq!(told(None), "log: record 200 was appended and is not there");
    }

    #[test]
    fn a_batch_is_as_many_appends_and_ends_with_the_first_error() {
        let mut appended = 0;
        let batch = timed(5, || {
            appended += 1;
            if appended == 3 { Err("full".into()) } else { Ok(()) }
        });
        assert_eq!((batch.unwrap_err().to_string().as_str(), appended), ("full", 3));
    }
}
