//! What the disk itself takes for one durable block.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;

use rustix::fs::OFlags;

use crate::log::{Log, Outcome, Payloads, timed};

const BLOCK_BYTES: usize = 4096;
/// A block is written as often as a page of the journal is: that holds so many records of 160 bytes.
const WRITES_A_BLOCK: u64 = 25;
const BLOCKS: u64 = 4096;

/// Memory as direct writes want it.
#[repr(align(4096))]
struct Block([u8; BLOCK_BYTES]);

/// A file written before, whose blocks are written past the page cache, each durable when the write returns.
pub(crate) struct Direct {
    file: File,
    path: PathBuf,
    block: Box<Block>,
    payloads: Payloads,
}

impl Direct {
    pub(crate) fn open(path: PathBuf) -> Outcome<Self> {
        let block = Box::new(Block([7; BLOCK_BYTES]));
        let file = File::create(&path)?;
        // Written, not only reserved: a first write to reserved space has metadata to change.
        for at in 0..BLOCKS {
            file.write_all_at(&block.0, at * BLOCK_BYTES as u64)?;
        }
        file.sync_all()?;
        let flags = (OFlags::DIRECT | OFlags::DSYNC).bits() as i32;
        let file = OpenOptions::new().write(true).custom_flags(flags).open(&path).map_err(|error| {
            format!(
                "{} cannot be written past the page cache ({error}): name a --directory on a disk",
                path.display()
            )
        })?;
        Ok(Self { file, path, block, payloads: Payloads::new() })
    }
}

/// Where the write with this number goes. The first is 1.
fn offset_of(number: u64) -> u64 {
    (number - 1) / WRITES_A_BLOCK % BLOCKS * BLOCK_BYTES as u64
}

impl Log for Direct {
    fn batch(&mut self, records: usize) -> Outcome<u64> {
        let Self { file, block, payloads, .. } = self;
        timed(records, || {
            let payload = payloads.next();
            block.0[..payload.len()].copy_from_slice(payload);
            Ok(file.write_all_at(&block.0, offset_of(payloads.number()))?)
        })
    }

    fn finish(self: Box<Self>) -> Outcome<()> {
        let written = fs::read(&self.path)?;
        let at = offset_of(self.payloads.number()) as usize;
        self.payloads.compare("direct", written.get(at..at + self.payloads.last().len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_written_often_and_the_last_is_followed_by_the_first() {
        assert_eq!([1, 25, 26, 50, 51].map(offset_of), [0, 0, 4096, 4096, 8192]);
        assert_eq!(offset_of(WRITES_A_BLOCK * BLOCKS + 1), 0);
    }
}
